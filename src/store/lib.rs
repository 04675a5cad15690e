//! Postgres: one named transaction entry, a file per table group, the outbox and the embedded server.
//!
//! Every write is idempotent, so that it may be retried; writes of runners check a fencing token. The
//! store never decides, never computes inside a transaction, and knows nothing of networks but Postgres and the
//! object store that it is handed for what is old.

mod anchors;
mod archive;
mod audit;
mod audit_entries;
mod commands;
mod config;
mod data;
mod dead_letters;
mod deployments;
mod drift;
pub mod embedded;
mod error;
mod export;
mod lease;
mod listing;
mod migrations;
mod monitoring;
mod outbox;
mod overview;
mod paper;
mod protocol;
mod regimes;
mod results;
mod reviews;
mod revisions;
mod row;
mod runs;
mod scores;
mod seal;
mod service;
mod session_end;
mod session_replay;
mod sessions;
mod status;
mod stored;
mod strategies;
mod tls;
mod transaction;
mod transitions;
mod views;

pub use anchors::{AnchorFile, AuditAnchor};
pub use archive::Archive;
pub use audit::{AuditBreak, AuditHead, AuditReport};
pub use audit_entries::AuditRow;
pub use commands::{About, Command, CommandKind, Pause, Request};
pub use config::{ConnectOptions, RetentionConfig, StoreConfig};
pub use data::DataVerdictRow;
pub use dead_letters::{DeadLetter, DeadLetterKind, DeadLetterStatus, NewDeadLetter};
pub use deployments::{Deployment, DeploymentChange, PerformanceDay, total_pct};
pub use drift::{AlertOutcome, DriftAlert, DriftReading};
pub use error::StoreError;
pub use export::{EXPORTED, Pseudonyms};
pub use lease::{Lease, LeaseToken};
pub use listing::{ListedStrategy, LiveRow, SessionRow, SessionStory, StrategyFacets, StrategyQuery, StrategySort};
pub use migrations::{MigrationReport, SCHEMA_VERSION};
pub use monitoring::{AssetRegime, DeploymentLine, MonitoringSnapshot};
pub use outbox::{ClaimedEvent, Delivery, NewEvent, OutboxDepth};
pub use overview::{GenerationRow, Overview, TrialTotals};
pub use paper::{ActivePaperRun, PaperPass, PaperRun, PassOutcome};
pub use protocol::{
    NumberedSession, PlaceboRecord, ProtocolSessionRow, ProtocolTotals, SearchedRecord, SessionNumbers, TrialCounts,
    Trials,
};
pub use regimes::{NewVolatilityRegime, VolatilityRegimeRow};
pub use results::{BacktestRow, NewResult, Parameters};
pub use reviews::DailyReview;
pub use revisions::{DataVersionUse, MAX_REVISION_DETAIL, NewRevision, Rescore, Rescored, RevisionRow, SessionUse};
pub use runs::{BacktestRun, NewRun, NewWindow, OptimizationRun, RunStatus, RunTrade, Segment, WalkForwardWindow};
pub use scores::{NewScore, RankedScore, Score, ScorePart};
pub use seal::RotationReport;
pub use service::{NewServiceBacktest, SERVICE_KIND, ServiceBacktest, ServiceBacktestLine};
pub use session_end::{CandidateRecord, FinishReport, Judgement, WaitingRecord, WindowStat};
pub use sessions::{
    FailedBacktest, GenerationRecord, NewSession, RecordOutcome, ResumableSession, Session, SessionStatus,
};
pub use status::{FeedStatus, RunnerStatus};
pub use stored::Stored;
pub use strategies::{
    Lineage, NewStrategy, Page, StatRow, StatSource, Strategy, StrategyDetail, StrategyFilter, TradeRow,
};
pub use tls::TlsMode;
pub use transaction::{TransactionObserver, Tx};
pub use transitions::{NewPaperRun, TransitionOutcome, TransitionRecord, TransitionRow};
pub use views::{MATERIALIZED_VIEWS, PortfolioDay, ProvenStrategy, StrategySummary};

// What these crates decide is what the tables hold.
pub use lifecycle::{
    DeploymentStatus, DriftAction as RecommendedAction, DriftKind as DriftType, DriftSeverity as Severity, Phase,
    RiskLimits,
};

use secrecy::ExposeSecret;
use std::{sync::Arc, time::Duration};

/// A handle on the database. Clones share one pool.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    pool: deadpool_postgres::Pool,
    options: ConnectOptions,
    statement_timeout_s: u64,
    audit_key: audit::ChainKey,
    keys: Arc<seal::Keyring>,
    observer: Option<Box<TransactionObserver>>,
}

impl Store {
    /// A store on the server that `options` names. Connects, to say early when it is not there.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] with what the server or the network said.
    pub async fn connect(options: &ConnectOptions, config: &StoreConfig) -> Result<Self, StoreError> {
        Self::connect_observed(options, config, None).await
    }

    /// Like [`Store::connect`], telling `observer` of each transaction.
    ///
    /// # Errors
    /// As [`Store::connect`].
    pub async fn connect_observed(
        options: &ConnectOptions,
        config: &StoreConfig,
        observer: Option<Box<TransactionObserver>>,
    ) -> Result<Self, StoreError> {
        let pg = options.for_session("sg-ai", config.statement_timeout_s);
        let manager = deadpool_postgres::Manager::from_config(
            pg,
            options.tls.clone(),
            deadpool_postgres::ManagerConfig { recycling_method: deadpool_postgres::RecyclingMethod::Fast },
        );
        let pool = deadpool_postgres::Pool::builder(manager)
            .max_size(config.pool_size.max(1))
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .wait_timeout(Some(Duration::from_secs(30)))
            .create_timeout(Some(Duration::from_secs(15)))
            .build()
            .map_err(|error| StoreError::Config(error.to_string()))?;
        let keys = seal::Keyring::new(config.genome_key.as_ref(), &config.genome_former_keys)?;
        let store = Self {
            inner: Arc::new(Inner {
                pool,
                options: options.clone(),
                statement_timeout_s: config.statement_timeout_s,
                audit_key: audit::ChainKey::new(config.audit_key.as_ref().map(ExposeSecret::expose_secret)),
                keys: Arc::new(keys),
                observer,
            }),
        };
        store.ping().await?;
        Ok(store)
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let client = self.inner.pool.get().await?;
        client.simple_query("select 1").await?;
        Ok(())
    }

    /// Where the server is; shows no password.
    #[must_use]
    pub fn target(&self) -> String {
        self.inner.options.to_string()
    }

    /// Closes the pool: connections in use end when they are given back.
    pub fn close(&self) {
        self.inner.pool.close();
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.inner.options)
    }
}

/// A count as Postgres holds it.
fn count(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A count as we hold it; the schema keeps it from being negative.
fn uncount(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

/// Postgres text holds no NUL.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

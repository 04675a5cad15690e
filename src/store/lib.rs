//! Postgres: one named transaction entry, a folder per table group, the archive and the embedded server.
//!
//! Every write is idempotent, so that it may be retried; writes of runners check a fencing token. The
//! store never decides, never computes inside a transaction, and knows nothing of networks but Postgres and the
//! object store that it is handed for what is old.

mod archive;
mod audit;
mod backtests;
mod books;
mod connection;
mod data;
pub mod embedded;
mod error;
mod media_items;
mod migrations;
mod names;
mod operations;
mod paper;
mod partitions;
mod room;
mod row;
mod seal;
mod search;
mod stored;
mod strategies;
mod transaction;
mod work;

pub use archive::{Archive, EXPORTED, Pseudonyms};
pub use audit::{AnchorFile, AuditAnchor, AuditBreak, AuditHead, AuditReport, AuditRow, Beginning};
pub use backtests::{
    BacktestRow, BacktestRun, NewOptimization, NewPoint, NewResult, NewRun, NewServiceBacktest, NewWindow,
    Optimization, OptimizationLine, OptimizationPoint, OptimizationRun, Parameters, PortfolioBacktest,
    RemovedOfClients, RunStatus, RunTrade, SERVICE_KIND, Segment, ServiceBacktest, ServiceBacktestLine,
    WalkForwardWindow,
};
pub use books::{
    BookBlock, BookDay, BookDeployment, BookMember, BookMove, BookRow, BookStep, BookTransition, LiveMember, NewBook,
};
pub use connection::{ConnectOptions, RetentionConfig, StoreConfig, TlsMode};
pub use data::{
    AskingStrategy, DataVerdictRow, DataVersionUse, MAX_REVISION_DETAIL, ModelDay, ModelState, ModelWatchRow,
    NewModelWatch, NewRevision, Rescore, Rescored, RevisionRow, SessionUse,
};
pub use error::StoreError;
pub use media_items::{Imported, MediaItem, MediaLine, MediaStrategy, ProposalKind, Proposed, media_digest};
pub use migrations::{MigrationReport, SCHEMA_VERSION};
pub use operations::{
    AssetRegime, BookLine, ClaimedEvent, Command, CommandKind, DailyReview, DeadLetter, DeadLetterKind,
    DeadLetterStatus, Delivery, DeploymentLine, EXPIRED, FeedStatus, Lease, LeaseToken, ModelLine, MonitoringSnapshot,
    MoveLine, NewCommand, NewDeadLetter, NewEvent, OutboxDepth, Overview, Pause, Request, RunnerStatus,
};
pub use paper::{
    ActivePaperRun, AlertOutcome, Deployment, DeploymentChange, DriftAlert, DriftReading, LiveDay, LiveRow,
    NewVolatilityRegime, PaperDays, PaperPass, PaperRun, PassOutcome, PerformanceDay, ProvingDays, RegimeChange,
    VolatilityRegimeRow, total_pct,
};
pub use seal::RotationReport;
pub use search::{
    CandidateRecord, Champion, ChosenRow, FailedBacktest, FinishReport, GenerationRecord, GenerationRow, Judgement,
    NewSession, NumberedSession, PastStrategy, PlaceboRecord, ProtocolSessionRow, ProtocolTotals, Proved,
    RecordOutcome, ResumableSession, SearchScores, SearchUnderWay, SearchedRecord, Session, SessionLessons,
    SessionNumbers, SessionRow, SessionStatus, SessionStory, TrialCounts, TrialTotals, Trials, WaitingRecord,
    WindowStat,
};
pub use stored::Stored;
pub use strategies::{
    FigureLimit, Lineage, ListedEvidence, ListedStrategy, MATERIALIZED_VIEWS, NewPaperRun, NewScore, NewStrategy, Page,
    PortfolioDay, ProvenStrategy, RankedScore, Score, ScorePart, StatRow, StatSource, Strategy, StrategyDetail,
    StrategyFacets, StrategyFilter, StrategyQuery, StrategySort, StrategySummary, TradeRow, TransitionOutcome,
    TransitionRecord, TransitionRow, seen_until,
};
pub use transaction::{TransactionObserver, Tx};
pub use work::{NewWork, Posted, TakenWork, WorkCounts, WorkFailure, WorkKind, WorkStatus, WorkWorker, work_digest};

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
    room: room::Room,
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
                room: room::Room::default(),
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

    /// Why the server can store nothing, where it said so lately: reads do not tell.
    #[must_use]
    pub fn lacks_room(&self) -> Option<&'static str> {
        self.inner.room.lacking()
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

//! What every runner works with: built once by the composition root, shared by all.

use crate::config::{DaemonConfig, IslandConfig};
use anyhow::Context as _;
use candles::quality::QualityPolicy;
use candles::time::DAY_MS;
use candles::{Interval, MarketKind, Symbol};
use engine::{Costs, Engine, EngineConfig};
use genome::random::Seed;
use lifecycle::{Gate, StayingConfig, Thresholds};
use market::download::Downloader;
use market::{CandleCache, Feed};
use notify::Channel;
use protocol::{Plan, ProtocolConfig};
use search::SearchConfig;
use std::sync::Arc;
use std::time::Duration;
use store::{Lease, LeaseToken, Store};
use tokio_util::sync::CancellationToken;

/// What an activation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Did {
    /// Its work.
    Work,
    /// Nothing was due.
    Nothing,
    /// Another process holds the lease and does the work.
    StoodBy,
    /// It was told to stop; what was finished is stored, the rest will be done again.
    Stopped,
}

impl Did {
    /// The name in logs and in the store.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Work => "worked",
            Self::Nothing => "nothing due",
            Self::StoodBy => "standing by: another process does this work",
            Self::Stopped => "stopped",
        }
    }
}

/// The parts.
#[derive(Clone)]
pub(crate) struct Core {
    pub(crate) settings: DaemonConfig,
    pub(crate) search: SearchConfig,
    pub(crate) protocol: ProtocolConfig,
    /// Limits of the gates.
    pub(crate) limits: Thresholds,
    /// Detectors of an edge that has gone.
    pub(crate) staying: StayingConfig,
    pub(crate) costs: Costs,
    pub(crate) initial_capital: f64,
    pub(crate) market: MarketKind,
    /// Who is told of events.
    pub(crate) channels: Vec<Channel>,
    pub(crate) seed: Seed,
    pub(crate) store: Store,
    pub(crate) cache: CandleCache,
    pub(crate) feed: Arc<Feed>,
    /// Brings by archives what is missing in bulk.
    pub(crate) downloader: Arc<Downloader>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) engine_config: EngineConfig,
    pub(crate) threads: Arc<rayon::ThreadPool>,
    /// When candles are good enough to be evidence.
    pub(crate) quality: QualityPolicy,
    pub(crate) gate: Arc<dyn Gate>,
    pub(crate) stop: CancellationToken,
}

impl Core {
    /// The same parts for one island of the search.
    pub(crate) fn for_island(&self, island: &IslandConfig) -> Self {
        let mut core = self.clone();
        core.settings.symbols.clone_from(&island.symbols);
        core.settings.interval = island.interval.unwrap_or(self.settings.interval);
        core.search = self.search.for_interval(core.settings.interval);
        core.seed = island.seed.map_or(self.seed, Seed);
        core
    }

    /// Symbols and candles that are searched on, each set once.
    pub(crate) fn searched(&self) -> Vec<(Vec<Symbol>, Interval)> {
        let settings = &self.settings;
        let mut feeds = vec![(settings.symbols.clone(), settings.interval)];
        for island in &settings.islands {
            let feed = (island.symbols.clone(), island.interval.unwrap_or(settings.interval));
            if !feeds.contains(&feed) {
                feeds.push(feed);
            }
        }
        feeds
    }

    /// Candles before a window on which indicators warm up, ms.
    pub(crate) fn warmup_ms(&self) -> i64 {
        i64::from(self.settings.warmup_days.max(self.settings.shadow_lookback_days)) * DAY_MS
    }

    /// What a session is told.
    pub(crate) fn plan(&self) -> Plan<'_> {
        let candidates = self.settings.candidates_per_session as usize;
        Plan { search: &self.search, protocol: &self.protocol, candidates }
    }

    /// Closed trades that count as recent in live evidence.
    pub(crate) fn recent_trades(&self) -> usize {
        self.limits.live_recent_trades as usize
    }

    /// The engine, or one for runs that began with another capital than is configured now.
    pub(crate) fn engine_with(&self, initial_capital: f64) -> Arc<Engine> {
        if initial_capital.to_bits() == self.initial_capital.to_bits() {
            return Arc::clone(&self.engine);
        }
        Arc::new(Engine::new(EngineConfig { initial_capital, ..self.engine_config.clone() }))
    }

    /// Makes sure that `lease` is held: keeps it, or tries to take it. False while another process has it.
    pub(crate) async fn hold(&self, lease: &mut Option<Lease>, name: &str) -> anyhow::Result<bool> {
        if let Some(held) = lease
            && held.check().await.is_ok()
        {
            return Ok(true);
        }
        *lease = None;
        *lease =
            self.store.try_acquire_lease(name).await.with_context(|| format!("cannot ask for the lease {name:?}"))?;
        Ok(lease.is_some())
    }

    /// Waits, but not beyond a stop; whether there was one.
    pub(crate) async fn wait(&self, time: Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => true,
            () = tokio::time::sleep(time) => false,
        }
    }

    /// Runs pure computation on the worker threads, off the async ones.
    pub(crate) async fn compute<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        let core = Arc::clone(self);
        tokio::task::spawn_blocking(move || core.threads.install(work)).await.context("a computation panicked")
    }
}

/// The token of a lease that is held.
pub(crate) fn token(lease: Option<&Lease>) -> anyhow::Result<LeaseToken> {
    lease.map(Lease::token).context("the lease was lost")
}

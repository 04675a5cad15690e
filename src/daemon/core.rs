//! What every runner works with: built once by the composition root, shared by all.

use crate::config::{DaemonConfig, IslandConfig};
use anyhow::Context as _;
use candles::quality::QualityPolicy;
use candles::time::DAY_MS;
use candles::{Interval, MarketKind, Symbol};
use engine::{Engine, Terms};
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
pub(super) enum Did {
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
    pub(super) const fn name(self) -> &'static str {
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
pub(super) struct Core {
    pub(super) settings: DaemonConfig,
    pub(super) search: SearchConfig,
    pub(super) protocol: ProtocolConfig,
    /// Limits of the gates.
    pub(super) limits: Thresholds,
    /// Detectors of an edge that has gone.
    pub(super) staying: StayingConfig,
    /// Capital and costs of what begins now; runs go on with those that they began with.
    pub(super) terms: Terms,
    pub(super) market: MarketKind,
    /// Who is told of events.
    pub(super) channels: Vec<Channel>,
    pub(super) seed: Seed,
    pub(super) store: Store,
    pub(super) cache: CandleCache,
    pub(super) feed: Arc<Feed>,
    /// Brings by archives what is missing in bulk.
    pub(super) downloader: Arc<Downloader>,
    pub(super) engine: Arc<Engine>,
    pub(super) threads: Arc<rayon::ThreadPool>,
    /// When candles are good enough to be evidence.
    pub(super) quality: QualityPolicy,
    pub(super) gate: Arc<dyn Gate>,
    pub(super) stop: CancellationToken,
}

impl Core {
    /// The same parts for one island of the search.
    pub(super) fn for_island(&self, island: &IslandConfig) -> Self {
        let mut core = self.clone();
        core.settings.symbols.clone_from(&island.symbols);
        core.settings.interval = island.interval.unwrap_or(self.settings.interval);
        core.search = self.search.for_interval(core.settings.interval);
        core.seed = island.seed.map_or(self.seed, Seed);
        core
    }

    /// Symbols and candles that are searched on, each set once.
    pub(super) fn searched(&self) -> Vec<(Vec<Symbol>, Interval)> {
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
    pub(super) fn warmup_ms(&self) -> i64 {
        i64::from(self.settings.warmup_days.max(self.settings.shadow_lookback_days)) * DAY_MS
    }

    /// What a session is told.
    pub(super) fn plan(&self) -> Plan<'_> {
        let candidates = self.settings.candidates_per_session as usize;
        Plan { search: &self.search, protocol: &self.protocol, candidates }
    }

    /// Closed trades that count as recent in live evidence.
    pub(super) fn recent_trades(&self) -> usize {
        self.limits.live_recent_trades as usize
    }

    /// Makes sure that `lease` is held: keeps it, or tries to take it. False while another process has it.
    pub(super) async fn hold(&self, lease: &mut Option<Lease>, name: &str) -> anyhow::Result<bool> {
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
    pub(super) async fn wait(&self, time: Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => true,
            () = tokio::time::sleep(time) => false,
        }
    }

    /// Runs pure computation on the worker threads, off the async ones.
    pub(super) async fn compute<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        let core = Arc::clone(self);
        tokio::task::spawn_blocking(move || core.threads.install(work)).await.context("a computation panicked")
    }
}

/// The token of a lease that is held.
pub(super) fn token(lease: Option<&Lease>) -> anyhow::Result<LeaseToken> {
    lease.map(Lease::token).context("the lease was lost")
}

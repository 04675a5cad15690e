//! What use-cases work with, by who needs what: each is handed the parts that it needs. Built once by whoever wires
//! everything together; decides nothing.

use super::candle_source::CandleSource;
use super::memory::MemoryPlan;
use super::models::Chosen;
use super::shared::Sharing;
use crate::config::{DaemonConfig, IslandConfig};
use anyhow::Context as _;
use candles::time::DAY_MS;
use engine::{Engine, Execution, RankedMarket, Terms};
use genome::{StrategyForm, random::Seed};
use lifecycle::{EdgeDecayConfig, Gate, Thresholds};
use notify::Channel;
use portfolio::PortfolioTerms;
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

/// What computes: the engine, the terms of what begins now, and the threads that it runs on.
#[derive(Clone)]
pub(crate) struct Compute {
    pub(crate) engine: Arc<Engine>,
    /// Capital and costs of what begins now; runs go on with those that they began with.
    pub(crate) terms: Terms,
    /// How orders of strategies that rank the market meet it.
    pub(crate) execution: Execution,
    pub(crate) threads: Arc<rayon::ThreadPool>,
    /// Where memory is limited.
    pub(crate) memory: Option<MemoryPlan>,
}

impl Compute {
    /// For work that says itself on what terms it trades; memory is not limited.
    pub(crate) fn of_work(engine: Engine, threads: Arc<rayon::ThreadPool>) -> Self {
        let (terms, execution) = (Terms::default(), Execution::default());
        Self { engine: Arc::new(engine), terms, execution, threads, memory: None }
    }

    /// The terms of what ranks the market.
    pub(crate) fn portfolio_terms(&self) -> PortfolioTerms {
        let Terms { initial_capital, costs, fill_on } = self.terms;
        PortfolioTerms { initial_capital, costs, fill_on, execution: self.execution }
    }

    /// Runs pure computation on the worker threads, off the async ones.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> anyhow::Result<T> {
        let threads = Arc::clone(&self.threads);
        tokio::task::spawn_blocking(move || threads.install(work)).await.context("a computation panicked")
    }
}

/// What decides on moves from state to state.
#[derive(Clone)]
pub(crate) struct Gates {
    pub(crate) gate: Arc<dyn Gate>,
    /// Limits of the gates.
    pub(crate) limits: Thresholds,
    /// Detectors of an edge that has gone.
    pub(crate) staying: EdgeDecayConfig,
}

impl Gates {
    /// Closed trades that count as recent in live evidence.
    pub(crate) fn recent_trades(&self) -> usize {
        self.limits.live_recent_trades as usize
    }
}

/// What is searched, where, and from which seed.
#[derive(Clone)]
pub(crate) struct SearchSetup {
    pub(crate) settings: DaemonConfig,
    pub(crate) search: SearchConfig,
    pub(crate) protocol: ProtocolConfig,
    pub(crate) seed: Seed,
    /// Quote asset of the market that is ranked; `None` where strategies of rules are searched on `settings.symbols`.
    pub(crate) ranks: Option<String>,
    /// Models that searches are offered, whatever their candles.
    pub(crate) models: Chosen,
}

impl SearchSetup {
    /// The same for one island of the search.
    pub(crate) fn for_island(&self, island: &IslandConfig) -> Self {
        let mut of_island = self.clone();
        of_island.settings.symbols.clone_from(&island.symbols);
        of_island.settings.interval = island.interval.unwrap_or(self.settings.interval);
        of_island.ranks.clone_from(&island.ranks);
        if island.ranks.is_some() {
            of_island.search.form = StrategyForm::Ranking;
            // One search ranks one panel of candles.
            of_island.search.ranking.timeframes = vec![of_island.settings.interval];
            of_island.settings.backtest_days = self.settings.ranking_backtest_days;
        }
        of_island.search = of_island.search.for_interval(of_island.settings.interval);
        of_island.search.population_size = self.population_size(island);
        of_island.seed = island.seed.map_or(self.seed, Seed);
        of_island
    }

    /// How many strategies a generation of an island has: where both forms are searched, each its share.
    fn population_size(&self, island: &IslandConfig) -> usize {
        let (all, settings) = (self.search.population_size, &self.settings);
        let ranking = settings.islands.iter().filter(|island| island.ranks.is_some()).count();
        if ranking == 0 || ranking == settings.islands.len() {
            return all;
        }
        let share = if island.ranks.is_some() { settings.ranking_share } else { 1.0 - settings.ranking_share };
        ((2.0 * share * all as f64).round() as usize).max(2)
    }

    /// Of the models those that its strategies can ask: on its own candles, by rules on higher ones, too.
    pub(crate) fn chosen(&self) -> Chosen {
        let (base, ranks) = (self.settings.interval, self.ranks.is_some());
        self.models.only(|own| own == base || (!ranks && own > base && base.is_multiple(own)))
    }

    /// The same for one generation of a batch, due whenever there are newer candles.
    pub(crate) fn for_batch(&self, batch_size: u32) -> Self {
        let mut batch = self.clone();
        batch.settings.generation_interval_s = 1;
        batch.search = SearchConfig { population_size: batch_size as usize, generations: 1, ..batch.search };
        batch
    }

    /// Candles before a window on which it warms up, ms. What ranks the market looks back twice as far as its longest
    /// look-back: at values of series that look back themselves.
    pub(crate) fn warmup_ms(&self) -> i64 {
        if self.ranks.is_some() { self.ranked_warmup_ms() } else { self.settings.warmup_ms() }
    }

    /// The same of what ranks the market, whoever asks, ms.
    pub(crate) fn ranked_warmup_ms(&self) -> i64 {
        let ranking = &self.search.ranking;
        let longest = ranking.lookback_days.1.max(ranking.universe_volume_days).max(ranking.universe_listed_days);
        self.settings.warmup_ms().max(2 * i64::from(longest) * DAY_MS)
    }

    /// What a session is told.
    pub(crate) fn plan(&self) -> Plan<'_> {
        let candidates = self.settings.candidates_per_session as usize;
        Plan { search: &self.search, protocol: &self.protocol, candidates }
    }
}

/// What ties work to this process: where it is stored, who is told, and when it ends.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) store: Store,
    /// Who is told of events.
    pub(crate) channels: Vec<Channel>,
    pub(crate) stop: CancellationToken,
}

impl Process {
    /// Waits, but not beyond a stop; whether there was one.
    pub(crate) async fn wait(&self, time: Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => true,
            () = tokio::time::sleep(time) => false,
        }
    }
}

/// What a search session takes. It walks the whole way from candles to decisions.
#[derive(Clone)]
pub(crate) struct SessionParts {
    pub(crate) candles: CandleSource,
    pub(crate) compute: Compute,
    pub(crate) gates: Gates,
    pub(crate) search: Arc<SearchSetup>,
    pub(crate) process: Process,
    /// Where null searches are shared with workers.
    pub(crate) sharing: Option<Sharing>,
}

impl SessionParts {
    /// The market that the session's strategies rank and how their orders meet it; `None` where they trade by rules.
    pub(crate) fn ranked(&self) -> Option<RankedMarket> {
        let quote = self.search.ranks.clone()?;
        Some(RankedMarket { quote, execution: self.compute.execution })
    }
}

/// Work that one process does at a time, by the name of its lease.
pub(crate) struct Turn {
    store: Store,
    name: String,
    lease: Option<Lease>,
}

impl Turn {
    /// Nobody's yet.
    pub(crate) fn new(store: &Store, name: impl Into<String>) -> Self {
        Self { store: store.clone(), name: name.into(), lease: None }
    }

    /// Makes sure that the lease is held: keeps it, or tries to take it. False while another process has it.
    pub(crate) async fn hold(&mut self) -> anyhow::Result<bool> {
        if let Some(held) = &mut self.lease
            && held.check().await.is_ok()
        {
            return Ok(true);
        }
        self.lease = None;
        let name = &self.name;
        self.lease =
            self.store.try_acquire_lease(name).await.with_context(|| format!("cannot ask for the lease {name:?}"))?;
        Ok(self.lease.is_some())
    }

    /// The token of the lease that is held.
    pub(crate) fn token(&self) -> anyhow::Result<LeaseToken> {
        self.lease.as_ref().map(Lease::token).context("the lease was lost")
    }
}

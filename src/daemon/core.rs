//! The parts that use-cases work with, built once from the configuration, and the use-cases made of them.
//!
//! Hands to each what it needs; runs none of them.

use crate::config::Config;
use crate::usecases::answers::Answers;
use crate::usecases::archive_store::archive_store;
use crate::usecases::book::BookRunner;
use crate::usecases::book_setup::BookSetup;
use crate::usecases::book_watch::BookLimits;
use crate::usecases::cache_budget::CacheBudget;
use crate::usecases::candle_source::CandleSource;
use crate::usecases::deployments::{DeploymentManager, Rules};
use crate::usecases::edge_decay::EdgeDecayMonitor;
use crate::usecases::holds::Holds;
use crate::usecases::memory::{MarketSize, MemoryPlan};
use crate::usecases::model_watch::ModelWatch;
use crate::usecases::models::{Chosen, Models};
use crate::usecases::operators::OperatorCommands;
use crate::usecases::paper::PaperRunner;
use crate::usecases::parts::{Compute, Gates, Process, SearchSetup, SessionParts};
use crate::usecases::review::{Kept, REVIEW, ReviewRunner};
use crate::usecases::revision_watch::RevisionWatch;
use crate::usecases::schedule::Missed;
use crate::usecases::session::SessionRunner;
use crate::usecases::shared::{Sharing, own_name};
use crate::usecases::volatility_regimes::VolatilityRegimeMonitor;
use candles::{InstrumentTable, Interval, time::DAY_MS};
use clock::Clock;
use engine::{Engine, Terms, VenueCosts};
use genome::random::Seed;
use market::download::Downloader;
use market::{Binance, CandleCache, Exchange, Feed};
use notify::Channel;
use portfolio::PortfolioConfig;
use search::SearchConfig;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use telemetry::metrics;
use tokio_util::sync::CancellationToken;

/// The parts.
pub(crate) struct Core {
    pub(crate) candles: CandleSource,
    pub(crate) compute: Compute,
    pub(crate) gates: Gates,
    pub(crate) search: Arc<SearchSetup>,
    pub(crate) process: Process,
    /// How portfolios trade.
    portfolio: PortfolioConfig,
    /// What they cost, by venue.
    costs: VenueCosts,
    /// Cuts and exclusions in force.
    instruments: InstrumentTable,
    /// Where memory is limited.
    pub(crate) memory: Option<MemoryPlan>,
    /// Where work is shared with workers.
    sharing: Option<Sharing>,
}

/// The largest market that an island ranks, as far as it is cached.
async fn largest_market(search: &SearchSetup, cache: &CandleCache) -> anyhow::Result<Option<MarketSize>> {
    let settings = &search.settings;
    let ranked = settings.ranked();
    if ranked.is_empty() {
        return Ok(None);
    }
    let cached = cache.symbols(settings.market).await?;
    let days = i64::from(settings.ranking_backtest_days) + i64::from(settings.holdout_days);
    let span_ms = days * DAY_MS + search.ranked_warmup_ms();
    let of = |(quote, interval): (&str, Interval)| {
        let symbols = cached.iter().filter(|symbol| symbol.as_str().ends_with(quote)).count();
        MarketSize { symbols, span_ms, interval }
    };
    Ok(ranked.into_iter().map(of).max_by_key(|market| market.mb()))
}

/// Settings of a search that is offered models.
fn offering(mut search: SearchConfig, chosen: &Chosen) -> SearchConfig {
    search.variation.models = chosen.offered();
    search.ranking.models = chosen.offered();
    search
}

impl Core {
    /// Builds them.
    ///
    /// # Errors
    /// When the candle cache cannot be opened, the file of instruments is none, `daemon.max_memory_mb` is too little, or threads
    /// or a client for the exchange cannot be had.
    pub(crate) async fn build(
        config: &Config,
        data_dir: &Path,
        store: &Store,
        clock: &Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let instruments = config.market.instruments();
        let instruments = instruments.map_err(|why| anyhow::anyhow!("market.instruments_file {why}"))?;
        let cache = CandleCache::open_configured(&data_dir.join("candles"), &config.market)?;
        let client = Binance::observed(&config.market, Box::new(count_request))?;
        let exchange: Arc<dyn Exchange> = Arc::new(client.clone());
        let threads = rayon::ThreadPoolBuilder::new()
            // 0: one for each processor.
            .num_threads(config.daemon.threads as usize)
            .thread_name(|i| format!("compute-{i}"))
            .build()?;
        let models = Models::of(&config.models, data_dir, cache.clone(), (instruments.clone(), Arc::clone(clock)));
        let chosen = models.for_search(&config.models.search, config.daemon.market)?;
        let search = SearchSetup {
            settings: config.daemon.clone(),
            search: offering(config.search.clone(), &chosen).for_interval(config.daemon.interval),
            protocol: config.protocol.clone(),
            seed: Seed(config.daemon.seed),
            ranks: None,
            models: chosen,
        };
        let memory = MemoryPlan::of(config, largest_market(&search, &cache).await?)?;
        let engine = match memory {
            Some(plan) => Engine::within(config.engine.cache_mb, usize::try_from(plan.work_mb)?),
            None => Engine::new(config.engine.cache_mb),
        };
        let sharing =
            config.work.enabled.then(|| Sharing::of(config, data_dir, store, own_name("daemon"))).transpose()?;
        Ok(Self {
            candles: CandleSource {
                market: config.daemon.market,
                feed: Arc::new(Feed::new(Arc::clone(&exchange), cache.clone(), &config.market)),
                downloader: Arc::new(Downloader::new(client, cache.clone(), &config.market)),
                cache,
                holds: Holds::default(),
                quality: config.market.quality,
                models,
                store: store.clone(),
                premium_ms: config.search.ranking.readings.then(Arc::default),
                brought: Arc::default(),
            },
            compute: Compute {
                engine: Arc::new(engine),
                terms: Terms {
                    initial_capital: config.engine.initial_capital,
                    costs: config.costs.of(config.daemon.market),
                    ..Terms::default()
                },
                execution: config.portfolio.execution,
                threads: Arc::new(threads),
                memory,
            },
            gates: Gates {
                gate: lifecycle::gate(&config.lifecycle)?,
                limits: config.lifecycle.clone(),
                staying: config.staying.clone(),
            },
            search: Arc::new(search),
            process: Process { store: store.clone(), channels: Channel::configured(&config.notify), stop },
            portfolio: config.portfolio,
            costs: config.costs,
            instruments,
            memory,
            sharing,
        })
    }

    /// What answers clients over HTTP; `shown_settings` are without secrets.
    pub(crate) fn answers(&self, shown_settings: Vec<http::ShownSetting>) -> Answers {
        Answers {
            candles: self.candles.clone(),
            compute: self.compute.clone(),
            store: self.process.store.clone(),
            settings: self.search.settings.clone(),
            portfolio: self.portfolio,
            costs: self.costs,
            instruments: self.instruments.clone(),
            memory: self.memory,
            shown_settings,
        }
    }

    /// A runner of sessions for each island of the search; `main` is its name where the settings name none.
    pub(crate) fn islands(&self, main: String, missed: Missed) -> Vec<SessionRunner> {
        let islands = &self.search.settings.islands;
        if islands.is_empty() {
            return vec![SessionRunner::new(self.session_parts(Arc::clone(&self.search)), main, missed)];
        }
        let runner = |island| {
            let parts = self.session_parts(Arc::new(self.search.for_island(island)));
            SessionRunner::new(parts, island.name.clone(), missed)
        };
        islands.iter().map(runner).collect()
    }

    fn session_parts(&self, search: Arc<SearchSetup>) -> SessionParts {
        SessionParts {
            candles: self.candles.clone(),
            compute: self.compute.clone(),
            gates: self.gates.clone(),
            search,
            process: self.process.clone(),
            sharing: self.sharing.clone(),
        }
    }

    fn staying(&self) -> EdgeDecayMonitor {
        let (store, compute) = (self.process.store.clone(), self.compute.clone());
        EdgeDecayMonitor::new(store, compute, self.gates.staying.clone(), self.search.seed)
    }

    /// What walks the book; `None` where the settings name none.
    pub(crate) fn book(&self, config: &Config) -> Option<BookRunner> {
        let setup = BookSetup::of(config)?;
        let limits = BookLimits::of(config);
        let (candles, compute, process) = (self.candles.clone(), self.compute.clone(), self.process.clone());
        Some(BookRunner::new(candles, compute, process, setup, limits, self.sharing.clone()))
    }

    /// Paper trading.
    pub(crate) fn paper(&self) -> PaperRunner {
        let gates = (self.gates.clone(), self.staying());
        let settings = self.search.settings.clone();
        PaperRunner::new(self.candles.clone(), self.compute.clone(), gates, settings, self.process.clone())
    }

    /// The deployment manager.
    pub(crate) fn deployments(&self, config: &Config) -> DeploymentManager {
        let settings = self.search.settings.clone();
        let review_interval_s = settings.review_interval_s;
        let (candles, store) = (self.candles.clone(), self.process.store.clone());
        let regimes =
            VolatilityRegimeMonitor::new(candles.clone(), self.compute.clone(), store, settings, config.regime.clone());
        let watches = (self.staying(), regimes);
        DeploymentManager::new(candles, self.process.clone(), watches, review_interval_s, Rules::of(config))
    }

    /// The daily review.
    ///
    /// # Errors
    /// When there is no place for what is old.
    pub(crate) fn review(
        &self,
        config: &Config,
        data_dir: &Path,
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<ReviewRunner> {
        let kept = Kept { archive: archive_store(config, data_dir)?, retention: config.store.retention };
        let batch_size = config.review.batch_size;
        let batch = (batch_size > 0).then(|| {
            let parts = self.session_parts(Arc::new(self.search.for_batch(batch_size)));
            SessionRunner::new(parts, REVIEW.to_owned(), Missed::Skip)
        });
        let (candles, process) = (self.candles.clone(), self.process.clone());
        Ok(ReviewRunner::new(candles, process, config.review.clone(), (batch, kept), Arc::clone(clock)))
    }

    /// What deals with revised candles.
    pub(crate) fn revisions(&self) -> RevisionWatch {
        let settings = self.search.settings.clone();
        RevisionWatch::new(self.candles.clone(), self.gates.clone(), settings, self.process.clone())
    }

    /// What watches models.
    pub(crate) fn model_watch(&self, clock: &Arc<dyn Clock>) -> ModelWatch {
        let (candles, compute, process) = (self.candles.clone(), self.compute.clone(), self.process.clone());
        ModelWatch::new(candles, compute, process, Arc::clone(clock), self.search.settings.clone())
    }

    /// What keeps the candle cache within its budget.
    pub(crate) fn cache_budget(&self, budget_bytes: u64) -> CacheBudget {
        let (candles, store) = (self.candles.clone(), self.process.store.clone());
        CacheBudget::new(candles, store, self.search.settings.clone(), budget_bytes)
    }

    /// What obeys operators.
    pub(crate) fn operators(&self) -> OperatorCommands {
        let search = Arc::clone(&self.search);
        OperatorCommands::new(self.candles.clone(), self.compute.clone(), search, self.process.clone())
    }
}

/// Counts a request to the exchange.
fn count_request(took: Duration, failed: bool) {
    metrics::EXCHANGE_REQUEST_SECONDS.record(took);
    if failed {
        metrics::EXCHANGE_FAILURES_TOTAL.increment();
    }
}

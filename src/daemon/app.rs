//! The composition root: builds store, candles, engine, gate, HTTP and runners, runs them, and takes them down.

use super::anchors::AnchorLoop;
use super::archive::archive_store;
use super::budget::CacheKeeper;
use super::commands::Commands;
use super::continuous::ContinuousRunner;
use super::core::Core;
use super::database::Database;
use super::deployments::{DeploymentManager, Deployments, Rules};
use super::messages::report_trouble;
use super::notifier::OutboxLoop;
use super::paper::PaperRunner;
use super::review::{Kept, Review, ReviewRunner};
use super::revisions::Revisions;
use super::runners::{Continuous, Shadow};
use super::schedule::Missed;
use super::service::Answers;
use super::stopper::Stopper;
use super::stream::StreamWatch;
use super::supervisor::{Event, Patience, Supervisor};
use super::upkeep::{AuditWatch, Gauges};
use crate::config::Config;
use anyhow::Context as _;
use clock::Clock;
use engine::{Engine, Terms};
use genome::random::Seed;
use market::download::Downloader;
use market::stream::{Follow, Tail};
use market::{Binance, CandleCache, Exchange, Feed};
use notify::Channel;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store::{AnchorFile, Store};
use telemetry::metrics;

/// Between two looks at whether a search session is due: often, so that a session starts when it should.
const LOOK: Duration = Duration::from_secs(20);
/// Time kept of the grace for HTTP, connections and the private server.
const TAKE_DOWN: Duration = Duration::from_secs(2);

/// What a process does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Searches.
    pub continuous: bool,
    /// Extends paper trading and decides.
    pub shadow: bool,
    /// Name of the island that searches where the settings name none.
    pub(super) island: String,
    /// What becomes of sessions that fell due while nobody was there.
    pub(super) missed: Missed,
    /// Reviews each day.
    pub(super) reviews: bool,
    /// Wall time between looks at whether a session is due and at new candles; from the settings without it.
    pub(super) tick: Option<Duration>,
    /// Name of the database to make when the configured one holds data: for what must not mix with it.
    pub(super) own_database: Option<String>,
    /// Settings as they may be shown: key, value, who set it.
    pub settings: Vec<(String, serde_json::Value, String)>,
}

impl Plan {
    /// The given runners on the configured schedule.
    #[must_use]
    pub fn new(continuous: bool, shadow: bool) -> Self {
        Self {
            continuous,
            shadow,
            island: "main".to_owned(),
            missed: Missed::Skip,
            reviews: continuous,
            tick: None,
            own_database: None,
            settings: Vec::new(),
        }
    }
}

/// A daemon that runs.
pub(super) struct App {
    database: Database,
    supervisor: Supervisor,
    http: http::Server,
    /// Where existing clients of the service look for it, unless the port is taken.
    service: Option<http::Server>,
    grace: Duration,
}

impl App {
    /// Builds everything and starts it.
    ///
    /// # Errors
    /// When something that nothing works without cannot be had: database, data directory, HTTP port.
    pub(super) async fn start(
        config: &Config,
        data_dir: &Path,
        clock: &Arc<dyn Clock>,
        plan: Plan,
        stopper: &Stopper,
    ) -> anyhow::Result<Self> {
        metrics::measured();
        std::fs::create_dir_all(data_dir)
            .with_context(|| format!("cannot make the data directory {}", data_dir.display()))?;
        let database = match &plan.own_database {
            Some(name) => Database::open_empty(config, name).await?,
            None => Database::open(config).await?,
        };
        match Self::assemble(config, data_dir, clock, plan, stopper, &database.store).await {
            Ok((supervisor, http, service)) => {
                let grace = Duration::from_secs(config.daemon.shutdown_grace_s);
                Ok(Self { database, supervisor, http, service, grace })
            }
            Err(error) => {
                database.close().await;
                Err(error)
            }
        }
    }

    async fn assemble(
        config: &Config,
        data_dir: &Path,
        clock: &Arc<dyn Clock>,
        plan: Plan,
        stopper: &Stopper,
        store: &Store,
    ) -> anyhow::Result<(Supervisor, http::Server, Option<http::Server>)> {
        let stop = stopper.token();
        let cache = CandleCache::open_configured(&data_dir.join("candles"), &config.market)?;
        let client = Binance::observed(&config.market, Box::new(count_request))?;
        let exchange: Arc<dyn Exchange> = Arc::new(client.clone());
        let threads = rayon::ThreadPoolBuilder::new().thread_name(|i| format!("compute-{i}")).build()?;
        let core = Arc::new(Core {
            settings: config.daemon.clone(),
            search: config.search.clone().for_interval(config.daemon.interval),
            terms: Terms { initial_capital: config.engine.initial_capital, costs: config.costs },
            market: config.daemon.market,
            protocol: config.protocol.clone(),
            limits: config.lifecycle.clone(),
            staying: config.staying.clone(),
            channels: Channel::configured(&config.notify),
            seed: Seed(config.daemon.seed),
            store: store.clone(),
            feed: Arc::new(Feed::new(Arc::clone(&exchange), cache.clone(), &config.market)),
            downloader: Arc::new(Downloader::new(client, cache.clone(), &config.market)),
            cache,
            engine: Arc::new(Engine::new(config.engine.cache_mb)),
            threads: Arc::new(threads),
            gate: lifecycle::gate(&config.lifecycle)?,
            quality: config.market.quality,
            stop: stop.clone(),
        });
        let readings = Arc::new(store.clone());
        let service = http::Service {
            store: store.clone(),
            backtests: Arc::new(Answers::new(Arc::clone(&core), plan.settings.clone())),
            initial_capital: config.engine.initial_capital,
            stop: stop.clone(),
        };
        let limits = http::Limits {
            generation_interval_s: config.daemon.generation_interval_s,
            shadow_interval_s: config.daemon.shadow_interval_s,
        };
        let router = http::router(readings, Some(service), &config.http, limits, Arc::clone(clock));
        let http = http::Server::start(&config.http, config.http.port, router.clone(), stop.clone()).await?;
        let service = match http::Server::start(&config.http, config.http.service_port, router, stop.clone()).await {
            Ok(server) => Some(server),
            // Another daemon of this machine may serve it there; searching and paper trading do not depend on it.
            Err(error) => {
                tracing::warn!(%error, setting = "http.service_port", "the service is served on {} alone", http.address());
                None
            }
        };

        let patience = Patience::from(&config.daemon);
        let mut supervisor = Supervisor::new(stop, patience, trouble_reporter(&core, clock));
        let seconds = Duration::from_secs;
        if plan.continuous {
            supervisor.spawn(Continuous {
                core: Arc::clone(&core),
                islands: islands(&core, plan.island, plan.missed),
                period: plan.tick.unwrap_or(LOOK.min(seconds(config.daemon.generation_interval_s))),
            });
        }
        if plan.shadow {
            let runner = PaperRunner::new(Arc::clone(&core));
            supervisor.spawn(Shadow {
                core: Arc::clone(&core),
                runner,
                period: plan.tick.unwrap_or(seconds(config.daemon.shadow_interval_s)),
            });
        }
        let file = AnchorFile::in_dir(data_dir);
        supervisor.spawn(AnchorLoop { store: store.clone(), file, clock: Arc::clone(clock) });
        if plan.shadow && config.market.stream {
            let (market, interval) = (core.market, core.settings.interval);
            // Islands on other candles poll.
            let searched =
                core.searched().into_iter().filter(|(_, on)| *on == interval).flat_map(|(symbols, _)| symbols);
            let symbols: BTreeSet<_> = searched.chain(core.settings.shadow_symbols.iter().cloned()).collect();
            let follow = Follow { market, symbols: symbols.into_iter().collect(), interval };
            let tail = Tail::new(&config.market, follow, Arc::clone(&core.feed));
            supervisor.spawn(StreamWatch::start(store.clone(), tail, core.stop.clone()));
        }
        if plan.shadow {
            let period = plan.tick.unwrap_or(seconds(config.daemon.shadow_interval_s));
            supervisor.spawn(Revisions::new(Arc::clone(&core), period));
        }
        if config.market.cache_budget_mb > 0 {
            let budget_bytes = config.market.cache_budget_mb << 20;
            let period = seconds(config.daemon.shadow_interval_s);
            supervisor.spawn(CacheKeeper::new(Arc::clone(&core), budget_bytes, period));
        }
        supervisor.spawn(Commands::new(Arc::clone(&core)));
        if !core.channels.is_empty() {
            supervisor.spawn(OutboxLoop::new(store.clone(), &config.notify)?);
        }
        if plan.shadow {
            supervisor.spawn(Deployments {
                core: Arc::clone(&core),
                manager: DeploymentManager::new(Arc::clone(&core), Rules::of(config)),
                period: plan.tick.unwrap_or(seconds(config.daemon.shadow_interval_s)),
            });
        }
        if plan.reviews {
            let kept = Kept { archive: archive_store(config, data_dir)?, retention: config.store.retention };
            supervisor.spawn(Review {
                core: Arc::clone(&core),
                runner: ReviewRunner::new(&core, config.review.clone(), kept, Arc::clone(clock)),
                period: plan.tick.unwrap_or(LOOK),
            });
        }
        supervisor.spawn(Gauges { core: Arc::clone(&core), data_dir: data_dir.to_owned() });
        supervisor.spawn(AuditWatch {
            core: Arc::clone(&core),
            anchors: AnchorFile::in_dir(data_dir),
            period: seconds(config.review.audit_interval_s),
        });
        Ok((supervisor, http, service))
    }

    /// Where HTTP answers.
    pub(super) fn http(&self) -> SocketAddr {
        self.http.address()
    }

    /// Where clients of the service look for it, unless the port is taken.
    pub(super) fn service(&self) -> Option<SocketAddr> {
        self.service.as_ref().map(http::Server::address)
    }

    /// The store, for whoever watches.
    pub(super) fn store(&self) -> Store {
        self.database.store.clone()
    }

    /// Waits until it is told to stop, then takes everything down within the grace.
    pub(super) async fn finish(self) {
        let dropped = self.supervisor.drain(self.grace.saturating_sub(TAKE_DOWN)).await;
        if !dropped.is_empty() {
            tracing::warn!(?dropped, "some work was abandoned; what it had finished is stored");
        }
        let grace = Duration::from_millis(500);
        let service = async {
            if let Some(service) = self.service {
                service.drain(grace).await;
            }
        };
        tokio::join!(self.http.drain(grace), service);
        self.database.close().await;
        tracing::info!("stopped");
    }
}

/// Runs the daemon until SIGTERM or SIGINT.
///
/// # Errors
/// When something that nothing works without cannot be had: database, data directory, HTTP port.
pub async fn run(config: &Config, data_dir: &Path, clock: &Arc<dyn Clock>, plan: Plan) -> anyhow::Result<()> {
    let stopper = Stopper::new();
    let _signals = stopper.listen()?;
    let app = App::start(config, data_dir, clock, plan, &stopper).await?;
    app.finish().await;
    Ok(())
}

/// Counts a request to the exchange.
fn count_request(took: Duration, failed: bool) {
    metrics::EXCHANGE_REQUEST_SECONDS.record(took);
    if failed {
        metrics::EXCHANGE_FAILURES_TOTAL.increment();
    }
}

/// A runner for each island of the search.
fn islands(core: &Arc<Core>, main: String, missed: Missed) -> Vec<ContinuousRunner> {
    let islands = &core.settings.islands;
    if islands.is_empty() {
        return vec![ContinuousRunner::new(Arc::clone(core), main, missed)];
    }
    let runner = |island| ContinuousRunner::new(Arc::new(core.for_island(island)), island.name.clone(), missed);
    islands.iter().map(runner).collect()
}

/// A parked loop becomes a dead letter and a notification, stored by a task of its own.
fn trouble_reporter(core: &Arc<Core>, clock: &Arc<dyn Clock>) -> impl Fn(&Event) + Send + Sync + 'static {
    let (core, clock) = (Arc::clone(core), Arc::clone(clock));
    move |event| {
        let (core, event, now_ms) = (Arc::clone(&core), event.clone(), clock.now_ms());
        tokio::spawn(async move { report_trouble(&core, &event, now_ms).await });
    }
}

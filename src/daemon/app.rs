//! The composition root: builds store, candles, engine, gate, HTTP and runners, runs them, and takes them down.

use super::core::Core;
use super::loops::anchors::AnchorLoop;
use super::loops::audit::AuditWatch;
use super::loops::books::Books;
use super::loops::cache::CacheKeeper;
use super::loops::commands::Commands;
use super::loops::continuous::Continuous;
use super::loops::deployments::Deployments;
use super::loops::gauges::Gauges;
use super::loops::memory::MemoryWatch;
use super::loops::models::Models;
use super::loops::outbox::OutboxLoop;
use super::loops::review::Review;
use super::loops::revisions::Revisions;
use super::loops::shadow::Shadow;
use super::loops::stream::StreamWatch;
use super::runtime::stopper::Stopper;
use super::runtime::supervisor::{Patience, Supervisor};
use super::trouble::{Keeper, Troubles, is_unreachable};
use crate::config::{Config, DaemonConfig};
use crate::usecases::audit_anchors::AuditAnchors;
use crate::usecases::database::Database;
use crate::usecases::schedule::Missed;
use crate::usecases::shared::blobs::Blobs;
use anyhow::Context as _;
use clock::Clock;
use market::stream::{Follow, Tail};
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
pub(crate) struct Plan {
    /// Searches.
    pub(crate) continuous: bool,
    /// Extends paper trading and decides.
    pub(crate) shadow: bool,
    /// Name of the island that searches where the settings name none.
    pub(crate) island: String,
    /// What becomes of sessions that fell due while nobody was there.
    pub(crate) missed: Missed,
    /// Reviews each day.
    pub(crate) reviews: bool,
    /// Wall time between looks at whether a session is due and at new candles; from the settings without it.
    pub(crate) tick: Option<Duration>,
    /// Name of the database to make when the configured one holds data: for what must not mix with it.
    pub(crate) own_database: Option<String>,
    /// Settings as they may be shown: key, value, who set it.
    pub(crate) settings: Vec<http::ShownSetting>,
}

impl Plan {
    /// The given runners on the configured schedule.
    #[must_use]
    pub(crate) fn new(continuous: bool, shadow: bool) -> Self {
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
pub(crate) struct App {
    database: Database,
    supervisor: Supervisor,
    http: http::Server,
    /// Where existing clients of the service look for it, unless the port is taken.
    service: Option<http::Server>,
    troubles: Keeper,
    grace: Duration,
}

impl App {
    /// Builds everything and starts it.
    ///
    /// # Errors
    /// When something that nothing works without cannot be had: database, data directory, HTTP port.
    pub(crate) async fn start(
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
            Ok((supervisor, http, service, troubles)) => {
                let grace = Duration::from_secs(config.daemon.shutdown_grace_s);
                Ok(Self { database, supervisor, http, service, troubles, grace })
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
    ) -> anyhow::Result<(Supervisor, http::Server, Option<http::Server>, Keeper)> {
        let source = String::from(config.market.source.clone());
        store.note_market_source(&source, config.market.source.is_simulated()).await?;
        let stop = stopper.token();
        let core = Core::build(config, data_dir, store, clock, stop.clone()).await?;
        let readings = Arc::new(store.clone());
        let service = http::Service {
            store: store.clone(),
            backtests: Arc::new(core.answers(plan.settings.clone())),
            initial_capital: config.engine.initial_capital,
            media_limits: media::ClientLimits {
                min_sharpe_ratio: config.lifecycle.min_sharpe_ratio,
                min_win_rate_percent: config.lifecycle.min_win_rate_percent,
                max_drawdown_percent: config.lifecycle.max_drawdown_percent,
            },
            backtest_days: config.daemon.backtest_days,
            work_blobs: work_blobs(config, data_dir)?,
            stop: stop.clone(),
        };
        let limits = http::Limits {
            generation_interval_s: config.daemon.generation_interval_s,
            shadow_interval_s: config.daemon.shadow_interval_s,
            work_lease_s: config.work.enabled.then_some(config.work.lease_s),
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
        let (troubles, keeper) = Troubles::start(core.process.clone(), Arc::clone(clock));
        let mut supervisor = Supervisor::new(stop, patience, is_unreachable, move |event| troubles.tell(event));
        Self::start_loops(&mut supervisor, &core, config, data_dir, clock, plan)?;
        Ok((supervisor, http, service, keeper))
    }

    /// Starts every loop that the plan and the settings ask for.
    fn start_loops(
        supervisor: &mut Supervisor,
        core: &Core,
        config: &Config,
        data_dir: &Path,
        clock: &Arc<dyn Clock>,
        plan: Plan,
    ) -> anyhow::Result<()> {
        let store = &core.process.store;
        let seconds = Duration::from_secs;
        let shadow_period = plan.tick.unwrap_or(seconds(config.daemon.shadow_interval_s));
        if plan.continuous {
            supervisor.spawn(Continuous {
                store: store.clone(),
                islands: core.islands(plan.island, plan.missed),
                period: plan.tick.unwrap_or(LOOK.min(seconds(config.daemon.generation_interval_s))),
            });
        }
        if let Some(runner) = core.book(config).filter(|_| plan.continuous) {
            supervisor.spawn(Books { store: store.clone(), runner, period: shadow_period });
        }
        if plan.shadow {
            supervisor.spawn(Shadow { store: store.clone(), runner: core.paper(), period: shadow_period });
        }
        let file = AnchorFile::in_dir(data_dir);
        let anchors = Arc::new(AuditAnchors::new(store.clone(), file, Arc::clone(clock)));
        supervisor.spawn(AnchorLoop(Arc::clone(&anchors)));
        if plan.shadow && config.market.stream {
            let tail = Tail::new(&config.market, followed(&config.daemon), Arc::clone(&core.candles.feed));
            supervisor.spawn(StreamWatch::start(store.clone(), tail, core.process.stop.clone()));
        }
        if plan.shadow {
            supervisor.spawn(Revisions { watch: core.revisions(), period: shadow_period });
            let watch = core.model_watch(clock);
            supervisor.spawn(Models { store: store.clone(), watch, period: shadow_period });
        }
        if config.market.cache_budget_mb > 0 {
            let budget = core.cache_budget(config.market.cache_budget_mb << 20);
            let period = seconds(config.daemon.shadow_interval_s);
            supervisor.spawn(CacheKeeper { store: store.clone(), budget, period });
        }
        supervisor.spawn(Commands(core.operators()));
        if !core.process.channels.is_empty() {
            supervisor.spawn(OutboxLoop::new(store.clone(), &config.notify)?);
        }
        if plan.shadow {
            let manager = core.deployments(config);
            supervisor.spawn(Deployments { store: store.clone(), manager, period: shadow_period });
        }
        if plan.reviews {
            let runner = core.review(config, data_dir, clock)?;
            supervisor.spawn(Review { store: store.clone(), runner, period: plan.tick.unwrap_or(LOOK) });
        }
        let engine = Arc::clone(&core.compute.engine);
        supervisor.spawn(Gauges { engine: Arc::clone(&engine), data_dir: data_dir.to_owned(), memory: core.memory });
        if let Some(plan) = core.memory {
            supervisor.spawn(MemoryWatch { engine, plan, was_near: false });
        }
        supervisor.spawn(AuditWatch { store: store.clone(), anchors, period: seconds(config.review.audit_interval_s) });
        Ok(())
    }

    /// Where HTTP answers.
    pub(crate) fn http(&self) -> SocketAddr {
        self.http.address()
    }

    /// Where clients of the service look for it, unless the port is taken.
    pub(crate) fn service(&self) -> Option<SocketAddr> {
        self.service.as_ref().map(http::Server::address)
    }

    /// The store, for whoever watches.
    pub(crate) fn store(&self) -> Store {
        self.database.store.clone()
    }

    /// Waits until it is told to stop, then takes everything down within the grace.
    pub(crate) async fn finish(self) {
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
        // The loops have ended: nothing more is told.
        tokio::join!(self.http.drain(grace), service, self.troubles.end(grace));
        self.database.close().await;
        tracing::info!("stopped");
    }
}

/// Runs the daemon until SIGTERM or SIGINT.
///
/// # Errors
/// When something that nothing works without cannot be had: database, data directory, HTTP port.
pub(crate) async fn run(config: &Config, data_dir: &Path, clock: &Arc<dyn Clock>, plan: Plan) -> anyhow::Result<()> {
    let stopper = Stopper::new();
    let _signals = stopper.listen()?;
    let app = App::start(config, data_dir, clock, plan, &stopper).await?;
    app.finish().await;
    Ok(())
}

/// What workers fetch over HTTP, where there is a token for it.
fn work_blobs(config: &Config, data_dir: &Path) -> anyhow::Result<Option<http::WorkBlobs>> {
    let Some(token) = config.work.token.clone() else { return Ok(None) };
    let place = Blobs::open(config, data_dir)?;
    place.is_writable()?;
    Ok(Some(http::WorkBlobs { token, place: Arc::new(place) }))
}

/// What the live tail follows.
fn followed(settings: &DaemonConfig) -> Follow {
    let interval = settings.interval;
    // Islands on other candles poll.
    let searched = settings.searched().into_iter().filter(|(_, on)| *on == interval).flat_map(|(symbols, _)| symbols);
    let symbols: BTreeSet<_> = searched.chain(settings.shadow_symbols.iter().cloned()).collect();
    Follow { market: settings.market, symbols: symbols.into_iter().collect(), interval }
}

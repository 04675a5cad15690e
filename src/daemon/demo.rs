//! The demo: the whole product on a simulated exchange, offline, in minutes.
//!
//! The same runners, gates, store and HTTP as in earnest; only the market is simulated, and runs faster than real
//! time. Sessions and reviews lie on a grid of market time, so one seed tells one story whatever the machine's speed;
//! a slower machine gets less far in it. Says plainly that the market is simulated.

use super::app::{App, Plan};
use super::runtime::stopper::Stopper;
use crate::config::{Config, IslandConfig};
use crate::usecases::schedule::Missed;
use anyhow::Context as _;
use candles::{Interval, Symbol};
use clock::Clock;
use lifecycle::State;
use market::config::Source;
use market::simulator::{SimulatedExchange, demo_market, demo_symbols};
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::embedded::{self, EmbeddedConfig, EmbeddedError};
use store::{Overview, Page, Store, StoreConfig, StoreError, StrategyQuery, StrategySort, TransitionRow};

/// What the demo is asked to do.
#[derive(Clone, Debug)]
pub(crate) struct DemoOptions {
    /// Names the market and every random stream of the search.
    pub(crate) seed: u64,
    /// Ends by itself after this long; until a signal without it.
    pub(crate) duration: Option<Duration>,
    /// Wall time of one simulated day.
    pub(crate) day: Duration,
    /// Leaves everything in this directory, which is new or empty, for other commands.
    pub(crate) keep: Option<PathBuf>,
    /// Settings as they may be shown: key, value, who set it.
    pub(crate) settings: Vec<http::ShownSetting>,
}

/// What the demo did.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DemoSummary {
    /// Always true: nothing here says anything about a real market.
    pub(crate) simulated: bool,
    /// Names the story.
    pub(crate) seed: u64,
    /// How many strategies ever reached each state.
    pub(crate) reached: BTreeMap<State, u64>,
    /// How many are in each state at the end.
    pub(crate) strategies: BTreeMap<State, u64>,
    /// Generations bred.
    pub(crate) generations: u64,
    /// Strategies backtested by the search.
    pub(crate) evaluations: u64,
    /// Moves from state to state.
    pub(crate) transitions: u64,
    /// The same by kind.
    pub(crate) transitions_by_kind: BTreeMap<String, u64>,
    /// Days that went by in the simulated market.
    pub(crate) simulated_days: f64,
    /// How long it ran.
    pub(crate) seconds: f64,
    /// Where everything was left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kept: Option<PathBuf>,
    /// A strategy that is worth a look: of those live or in shadow the one with the most evidence, else of those that are disabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) strategy: Option<String>,
    /// The book of rankings; none before it began.
    pub(crate) book: Option<DemoBook>,
}

/// Where the demo's book stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct DemoBook {
    /// Its state.
    pub(crate) state: State,
    /// Its newest move in words; none before the first.
    pub(crate) why: Option<String>,
    /// When that was, market time, UTC ms.
    pub(crate) at_market_ms: Option<i64>,
}

impl DemoBook {
    async fn of(store: &Store) -> Result<Option<Self>, StoreError> {
        let Some(row) = store.book(None).await? else { return Ok(None) };
        let last = store.book_transitions(row.id).await?.pop();
        let (why, at_market_ms) = last.map(|last| (last.summary, last.at_market_ms)).unzip();
        Ok(Some(Self { state: row.state, why, at_market_ms }))
    }
}

/// What the terminal shows of a demo under way.
#[derive(Clone, Debug)]
pub(crate) struct DemoStatus {
    /// Days since the demo's market time began.
    pub(crate) simulated_days: f64,
    /// Wall time since the demo began.
    pub(crate) elapsed: Duration,
    /// Everything in numbers.
    pub(crate) overview: Overview,
    /// Transitions since the last status, oldest first.
    pub(crate) news: Vec<TransitionRow>,
    /// The book of rankings.
    pub(crate) book: Option<DemoBook>,
}

/// Whoever shows what happens.
pub(crate) trait DemoView: Send {
    /// Something that takes a while is being prepared.
    fn say(&mut self, line: &str);
    /// Everything runs; HTTP answers at `http`, and at `service`, where clients of the service look for it.
    fn started(&mut self, http: SocketAddr, service: Option<SocketAddr>, options: &DemoOptions);
    /// About once a second.
    fn status(&mut self, status: &DemoStatus);
}

/// Between two looks at what happened.
const LOOK: Duration = Duration::from_millis(500);
/// Between two activations of the runners: simulated hours go by in this time.
const TICK: Duration = Duration::from_millis(250);
/// Simulated time between two search sessions.
const SESSION_INTERVAL_S: u64 = 7 * 86_400;

/// History that the book walks before its life begins, days.
const BOOK_HISTORY_DAYS: u32 = 200;

/// Simulated time between two reviews of every shadow and live strategy.
const REVIEW_INTERVAL_S: u64 = 6 * 3_600;

/// Runs the demo until its time is up, or a signal.
///
/// # Errors
/// When Postgres or the simulated exchange cannot be started, or the HTTP port is taken.
pub(crate) async fn demo(
    mut config: Config,
    data_dir: &Path,
    clock: &Arc<dyn Clock>,
    options: DemoOptions,
    view: &mut dyn DemoView,
) -> anyhow::Result<DemoSummary> {
    let stopper = Stopper::new();
    let _signals = stopper.listen()?;
    // Candles and the private database of a simulated market never mix with real ones.
    let (home, _removed) = match &options.keep {
        Some(kept) => (empty_directory(kept)?, None),
        None => {
            std::fs::create_dir_all(data_dir)
                .with_context(|| format!("cannot make the data directory {}", data_dir.display()))?;
            let made = tempfile::Builder::new().prefix("demo-").tempdir_in(data_dir);
            let made = made.context("cannot make the demo's directory")?;
            (made.path().to_owned(), Some(made))
        }
    };
    if options.keep.is_some() {
        // What is kept is one directory, the database with it.
        config.store.database_url = None;
    }

    let mut market = demo_market(options.seed);
    let start_ms = market.now_ms;
    // Time stands still until everything runs: the first session sees the same candles on every machine.
    market.speed = 0.0;
    let exchange = SimulatedExchange::start(market).await?;
    configure(&mut config, &options, &exchange, &home)?;

    let plan = Plan {
        continuous: true,
        shadow: true,
        island: "demo".to_owned(),
        missed: Missed::CatchUp { first_ms: start_ms },
        // A day goes by in a second: nobody wants a summary of each.
        reviews: false,
        tick: Some(TICK),
        own_database: Some(format!("sg_ai_demo_{}", clock.now_ms())),
        settings: options.settings.clone(),
    };
    if config.store.database_url.is_none() {
        ensure_postgres(&config.store, view).await?;
    }
    let began = Instant::now();
    let app = App::start(&config, &home, clock, plan, &stopper).await?;
    exchange.clock().set_speed(86_400.0 / options.day.as_secs_f64());
    view.started(app.http(), app.service(), &options);
    let store = app.store();
    let days = |now_ms: i64| (now_ms - start_ms) as f64 / 86_400_000.0;
    let mut seen = 0;
    while !stopper.is_stopping() && options.duration.is_none_or(|d| began.elapsed() < d) {
        tokio::select! {
            () = stopper.stopped() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
        // A look that fails shows nothing; the runners report their own trouble.
        let news = store.transitions_after(seen, 1_000).await;
        if let (Ok(overview), Ok(news), Ok(book)) = (store.overview().await, news, DemoBook::of(&store).await) {
            seen = news.last().map_or(seen, |row| row.seq);
            let simulated_days = days(exchange.clock().now_ms());
            view.status(&DemoStatus { simulated_days, elapsed: began.elapsed(), overview, news, book });
        }
    }
    let simulated_days = days(exchange.clock().now_ms());
    let overview = store.overview().await.context("cannot read what the demo did")?;
    let mut nearest = Vec::new();
    // Where nobody is followed any more, one that was.
    for states in [vec![State::Live, State::Shadow], vec![State::Disabled]] {
        if nearest.is_empty() {
            let of = StrategyQuery { states, sort: StrategySort::LogE, ..StrategyQuery::default() };
            (nearest, _) = store.list_strategies(&of, Page::first(1)).await.context("cannot read what the demo did")?;
        }
    }
    let book = DemoBook::of(&store).await.context("cannot read what became of the book")?;
    stopper.stop();
    app.finish().await;
    exchange.stop().await;
    Ok(DemoSummary {
        simulated: true,
        seed: options.seed,
        reached: overview.reached,
        strategies: overview.strategies,
        generations: overview.trials.generations,
        evaluations: overview.trials.evaluations,
        transitions: overview.transitions.values().sum(),
        transitions_by_kind: overview.transitions,
        simulated_days,
        seconds: began.elapsed().as_secs_f64(),
        kept: options.keep.is_some().then_some(home),
        strategy: nearest.into_iter().next().map(|row| row.strategy.name),
        book,
    })
}

/// The directory with its full path, made where there is none. What is in it already would be mixed with what comes.
fn empty_directory(path: &Path) -> anyhow::Result<PathBuf> {
    let shown = path.display();
    std::fs::create_dir_all(path).with_context(|| format!("cannot make the directory {shown}"))?;
    let mut inside = std::fs::read_dir(path).with_context(|| format!("cannot read the directory {shown}"))?;
    anyhow::ensure!(inside.next().is_none(), "{shown} is not empty: --keep takes a new directory");
    path.canonicalize().with_context(|| format!("cannot find the directory {shown}"))
}

/// Installs PostgreSQL's programs where none are found: the demo is a newcomer's first command.
async fn ensure_postgres(config: &StoreConfig, view: &mut dyn DemoView) -> anyhow::Result<()> {
    let server = EmbeddedConfig::new(config);
    match embedded::locate(server.postgres_bin.as_deref(), &server.cache_dir, None) {
        Err(EmbeddedError::NoPrograms { looked, .. }) => {
            view.say(&format!("no PostgreSQL found ({looked}): installing one, once"))
        }
        // Anything else is told by the start itself.
        _ => return Ok(()),
    }
    let (told, mut lines) = tokio::sync::mpsc::unbounded_channel::<String>();
    let installing = tokio::task::spawn_blocking(move || {
        // Nobody listens any more only when the demo is over.
        embedded::install(&server.cache_dir, &mut |line| drop(told.send(line.to_owned())))
    });
    while let Some(line) = lines.recv().await {
        view.say(&line);
    }
    installing.await.context("the installation panicked")?.context("cannot install PostgreSQL")?;
    Ok(())
}

/// One island for each form of strategy: rules on the named symbols, rankings of the whole market.
fn islands(symbols: &[Symbol]) -> anyhow::Result<Vec<IslandConfig>> {
    let names: Vec<&str> = symbols.iter().map(Symbol::as_str).collect();
    let texts = [format!("rules:{}", names.join("+")), "book:*USDT:4h".to_owned()];
    texts.iter().map(|text| text.parse().map_err(anyhow::Error::msg)).collect()
}

/// The product's settings, but for what makes minutes out of months.
fn configure(
    config: &mut Config,
    options: &DemoOptions,
    exchange: &SimulatedExchange,
    home: &Path,
) -> anyhow::Result<()> {
    config.market.source = Source::try_from(exchange.base_url()).map_err(anyhow::Error::msg)?;
    config.market.spot_host = None;
    config.market.um_host = None;
    config.store.data_dir = home.join("postgres");
    config.daemon.seed = options.seed;
    // Its market's edges are as strong as this fee lets them be found.
    config.costs.spot_fee_fraction = 0.0004;
    config.daemon.symbols = demo_symbols();
    config.daemon.shadow_symbols = Vec::new();
    config.daemon.islands = islands(&config.daemon.symbols)?;
    config.daemon.generation_interval_s = SESSION_INTERVAL_S;
    config.daemon.candidates_per_session = 5;
    // The simulated market's history is no longer; its edges are strong enough to show in it.
    config.daemon.backtest_days = 90;
    config.daemon.ranking_backtest_days = 270;
    config.daemon.holdout_days = 30;
    // Minutes are to be enough for an edge to go live: a demo may be wrong more often than what trades.
    config.protocol.false_promotions_per_year = 1.0;
    config.protocol.dead_promotions = 0.2;
    config.protocol.null_searches = config.protocol.null_searches.min(9);
    config.lifecycle.max_p_value = config.lifecycle.max_p_value.max(0.1);
    // And half a year of shadow is not there: what a hold-out promises is to be kept for two months.
    config.lifecycle.shadow_max_days = 60.0;
    config.lifecycle.shadow_growth_days = 40.0;
    config.search.population_size = config.search.population_size.min(180);
    config.search.generations = config.search.generations.min(6);
    config.daemon.ranking_share = 0.25;
    // A market of a dozen coins, ranked by what is a few weeks old at most.
    let ranking = &mut config.search.ranking;
    (ranking.universe_top, ranking.universe_listed_days, ranking.universe_volume_days) = (vec![12, 16], 30, 10);
    (ranking.lookback_days, ranking.rebalance) = ((1, 30), vec![Interval::H12, Interval::D1]);
    // A book of them: a history of months, as many strategies as a dozen coins are worth, and the evidence that it needs in
    // earnest but for the days of its life.
    config.daemon.book = Some("*USDT:4h".parse().map_err(anyhow::Error::msg)?);
    config.daemon.rehearse_history = BOOK_HISTORY_DAYS;
    let book = &mut config.book;
    (book.search_days, book.least_days, book.life_min_days) = (150, 60, 14);
    (book.population_size, book.generations, book.null_searches) = (24, 2, 2);
    // Months go by in minutes: hourly reviews would cost more than they show.
    config.daemon.review_interval_s = REVIEW_INTERVAL_S;
    // A decayed edge shows within weeks of market time, not after months.
    config.lifecycle.live_recent_trades = 20;
    Ok(())
}

//! `sg-ai rehearse --book`: the book walked over the cached market, and over a null market of the same candles.

use super::RehearseArgs;
use crate::cli::{
    CliError, Context,
    checkpoints::{CheckpointArgs, Unfit},
    format::{number, percent},
    output,
    window::iso,
};
use crate::usecases::database::Database;
use crate::usecases::portfolio::{MarketSpan, WholeMarket, load_panel};
use crate::usecases::shared::{Sharing, block::OnThread, own_name};
use anyhow::Context as _;
use book::{
    BookConfig, BookError, CheckpointError, DayFigures, Figures, Member, Pipeline, Traded, Walk, Walker, Weighing,
};
use candles::time::DAY_MS;
use engine::performance;
use genome::random::Seed;
use indicatif::ProgressBar;
use portfolio::{Panel, PortfolioTerms};
use search::SearchConfig;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// A block as it is printed. Nothing in it is of the machine or the hour, so that a walk that was killed and resumed prints
/// the same bytes.
#[derive(Serialize)]
struct Line<'a> {
    /// `real`, or `placebo`: a null market of the same candles.
    market: &'static str,
    block: String,
    begin: String,
    end: String,
    evaluated: u64,
    distinct: u32,
    /// Share of promises that strategies kept in the blocks before.
    kept: f64,
    /// Why it holds cash, where it does.
    cash: Option<String>,
    members: Vec<MemberLine<'a>>,
    net_return: f64,
    hedged_return: f64,
    turnover_per_day: f64,
    mean_gross: Option<f64>,
    /// At the block's end.
    log_e: Option<f64>,
}

#[derive(Serialize)]
struct MemberLine<'a> {
    strategy: String,
    niche: &'a str,
    weight: f64,
    t: f64,
    expected_sharpe: f64,
    false_discovery: f64,
    turnover_per_day: Option<f64>,
    /// Annual Sharpe ratio, hedged, that it had in the block by itself.
    came: Option<f64>,
}

/// The closing object.
#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    book: Figures,
    placebo: Option<Figures>,
    /// The same members in other weights, by the name of the way.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    weights: BTreeMap<&'static str, Figures>,
}

/// All that a walk needs, and where it goes.
struct Work {
    search: SearchConfig,
    book: BookConfig,
    terms: PortfolioTerms,
    market: WholeMarket,
    identity: BTreeMap<String, String>,
    checkpoints: CheckpointArgs,
    walks: Vec<Walk>,
    seed: Seed,
    json: bool,
    returns: Option<PathBuf>,
    compare_weights: bool,
    shared: Option<OnThread>,
}

pub(super) async fn run(args: RehearseArgs, ctx: &Context) -> Result<(), CliError> {
    if let Some(symbol) = args.window.symbols().first() {
        return Err(CliError::Usage(format!(
            "--symbols names {symbol}, but a book looks at the whole cached market; leave --symbols out"
        )));
    }
    args.window.check_dates()?;
    let (from_ms, to_ms) = args.window.dates_ms();
    let seed = Seed(args.seed);
    let fresh = Walk::begin(seed, from_ms, to_ms).map_err(|e| CliError::Usage(e.to_string()))?;
    if let Some(folder) =
        args.returns.as_deref().and_then(Path::parent).filter(|f| !f.as_os_str().is_empty() && !f.is_dir())
    {
        return Err(CliError::Usage(format!("--returns: there is no folder {}", folder.display())));
    }
    let interval = args.window.interval();
    let (search, book) = args.size.book(ctx.config(), interval)?;
    let terms = args.window.portfolio_terms(args.realistic, ctx);
    let span = MarketSpan { market: args.window.market(), interval, to_ms };
    let market = load_panel(&ctx.cache_to_read()?, span, interval, ctx.instruments()?).await?;
    let json = |value: serde_json::Result<String>| value.unwrap_or_default();
    let identity: BTreeMap<String, String> = [
        ("market", format!("{} {interval}", args.window.market())),
        ("window", format!("{} to {}", iso(from_ms), iso(to_ms))),
        ("set of costs and terms", json(serde_json::to_string(&terms))),
        ("version of candles", market.data_version.clone()),
        ("program", crate::CODE_VERSION.to_owned()),
        ("seed", args.seed.to_string()),
        ("search", json(serde_json::to_string(&search))),
        ("set of the book's settings", json(serde_json::to_string(&book))),
        ("placebo", if args.no_placebo { "none" } else { "one" }.to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let checkpoints = CheckpointArgs::after_each(args.checkpoint);
    let found = checkpoints.read(|bytes| {
        Walk::from_bytes(bytes, &identity).map_err(|error| match error {
            CheckpointError::Damaged => Unfit::Damaged(error.to_string()),
            _ => Unfit::Other(error.to_string()),
        })
    })?;
    let walks = found.unwrap_or_else(|| vec![fresh; if args.no_placebo { 1 } else { 2 }]);
    let threads = usize::from(args.threads.unwrap_or(0));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("cannot start threads")?;
    let pool = Arc::new(pool);
    let (mut database, mut shared) = (None, None);
    if args.workers {
        let opened = Database::open(ctx.config()).await?;
        let sharing = Sharing::of(ctx.config(), ctx.data_dir(), &opened.store, own_name("rehearsal"))?;
        (database, shared) = (Some(opened), Some(OnThread::of(sharing, &pool)));
    }
    let work = Work {
        search,
        book,
        terms,
        market,
        identity,
        checkpoints,
        walks,
        seed,
        json: args.json,
        returns: args.returns,
        compare_weights: args.compare_weights,
        shared,
    };
    let walked = tokio::task::spawn_blocking(move || work.run(&pool)).await.context("the walk broke off");
    if let Some(database) = database {
        database.close().await;
    }
    walked?
}

/// What is wrong with what was asked for, and what is wrong with the machine.
fn told(error: BookError) -> CliError {
    match error {
        BookError::NoBlock | BookError::Ends { .. } => CliError::Usage(error.to_string()),
        _ => anyhow::Error::new(error).into(),
    }
}

impl Work {
    fn run(mut self, pool: &rayon::ThreadPool) -> Result<(), CliError> {
        let (search, book) = (self.search.clone(), self.book.clone());
        let pipeline = Pipeline { search: &search, book: &book, terms: self.terms };
        let bar = ProgressBar::new(self.walks.iter().map(|walk| walk.planned() as u64).sum());
        bar.enable_steady_tick(Duration::from_secs(1));
        if !self.json {
            output::text(heading()).context("standard output")?;
        }
        for at in 0..self.walks.len() {
            let null =
                (at > 0).then(|| book::placebo(&self.market.panel, self.seed)).transpose().context("the placebo")?;
            self.walk(at, null.as_ref(), pipeline, pool, &bar)?;
        }
        let mut weights = BTreeMap::new();
        if self.compare_weights {
            let walker =
                pool.install(|| Walker::new(pipeline, &self.market.panel, self.walks[0].clone())).map_err(told)?;
            for weighing in Weighing::ALL {
                let walk = pool.install(|| walker.weighed(weighing)).map_err(told)?;
                weights.insert(weighing.name(), walk.figures());
            }
        }
        bar.finish_and_clear();
        if let Some(path) = &self.returns {
            fs::write(path, DayFigures::csv(&self.walks[0].day_figures()))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        let placebo = self.walks.get(1).map(Walk::figures);
        let whole = Whole { book: self.walks[0].figures(), placebo, weights };
        let printed = if self.json { output::json_line(&whole) } else { output::text(lines(&whole)) };
        Ok(printed.context("standard output")?)
    }

    /// One walk from where it stands to its end; blocks that were over before are told again.
    fn walk(
        &mut self,
        at: usize,
        null: Option<&Panel>,
        pipeline: Pipeline<'_>,
        pool: &rayon::ThreadPool,
        bar: &ProgressBar,
    ) -> Result<(), CliError> {
        let market = if null.is_some() { "placebo" } else { "real" };
        let state = self.walks[at].clone();
        let done = state.blocks().len();
        for block in 0..done {
            self.tell(market, &state, block, bar)?;
        }
        let panel = null.unwrap_or(&self.market.panel);
        let mut walker = pool.install(|| Walker::new(pipeline, panel, state)).map_err(told)?;
        let (began, planned) = (Instant::now(), walker.walk().planned());
        while !walker.walk().is_finished() {
            let search = pool.install(|| walker.block_search()).map_err(told)?;
            match (&self.shared, search) {
                (Some(shared), Some(search)) => {
                    let made = Some(shared.searched(search)?);
                    pool.install(|| walker.advance_by(made).map(|_| ())).map_err(told)?;
                }
                _ => pool.install(|| walker.advance().map(|_| ())).map_err(told)?,
            }
            let over = walker.walk().blocks().len();
            self.walks[at] = walker.walk().clone();
            self.checkpoints.write(&Walk::to_bytes(&self.walks, &self.identity))?;
            let a_block = began.elapsed().as_secs_f64() / (over - done) as f64;
            tracing::info!("{market}: {over} of {planned} blocks, {:.0} s left", a_block * (planned - over) as f64);
            self.tell(market, walker.walk(), over - 1, bar)?;
        }
        Ok(())
    }

    fn tell(&self, market: &'static str, walk: &Walk, block: usize, bar: &ProgressBar) -> Result<(), CliError> {
        let traded = &walk.blocks()[block];
        let days = walk.day_figures();
        let line = line(market, traded, &days);
        let told = || if self.json { output::json_line(&line) } else { output::text(row(&line)) };
        bar.suspend(told).context("standard output")?;
        bar.inc(1);
        Ok(())
    }
}

fn line<'a>(market: &'static str, traded: &'a Traded, days: &[DayFigures]) -> Line<'a> {
    let block = traded.block;
    let within: Vec<&DayFigures> =
        days.iter().filter(|d| d.day_ms >= block.begin_ms && d.day_ms < block.end_ms).collect();
    let compounded = |of: fn(&DayFigures) -> f64| within.iter().fold(1.0, |equity, day| equity * (1.0 + of(day))) - 1.0;
    let member = |(m, came): (&'a Member, &Option<f64>)| MemberLine {
        strategy: m.strategy.to_string().trim_end().to_owned(),
        niche: &m.niche,
        weight: m.weight,
        t: m.t,
        expected_sharpe: m.expected_sharpe,
        false_discovery: m.false_discovery,
        turnover_per_day: m.turnover_per_day,
        came: *came,
    };
    Line {
        market,
        block: block.name(),
        begin: iso(block.begin_ms),
        end: iso(block.end_ms),
        evaluated: traded.evaluated,
        distinct: traded.distinct,
        kept: traded.kept,
        cash: traded.cash.map(|cash| cash.to_string()),
        members: traded.members.iter().zip(&traded.came).map(member).collect(),
        net_return: compounded(|day| day.net),
        hedged_return: compounded(|day| day.hedged),
        turnover_per_day: traded.turnover / ((block.end_ms - block.begin_ms) / DAY_MS) as f64,
        mean_gross: traded.mean_gross,
        log_e: within.last().and_then(|day| day.log_e),
    }
}

fn heading() -> String {
    format!(
        "{:<8} {:<8} {:>8} {:>9} {:>9} {:>9} {:>9} {:>7}  {}\n",
        "market", "block", "members", "promised", "net", "hedged", "turnover", "ln E", ""
    )
}

fn row(line: &Line<'_>) -> String {
    let promised: Vec<f64> = line.members.iter().map(|m| m.expected_sharpe).collect();
    format!(
        "{:<8} {:<8} {:>8} {:>9} {:>9} {:>9} {:>9.3} {:>7}  {}\n",
        line.market,
        line.block,
        line.members.len(),
        number(performance::mean(&promised)),
        percent(Some(line.net_return)),
        percent(Some(line.hedged_return)),
        line.turnover_per_day,
        number(line.log_e),
        line.cash.as_deref().unwrap_or_default(),
    )
}

fn lines(whole: &Whole) -> String {
    let of = |name: &str, f: &Figures| {
        format!(
            "{name:<25} net Sharpe {}, hedged {}, ln E {} (at most {:.2}), growth {} a year, drawdown {}, turnover {} a day, {} \
             blocks, {} members\n",
            number(f.net_sharpe),
            number(f.hedged_sharpe),
            number(f.log_e),
            f.max_log_e,
            percent(f.cagr),
            percent(f.max_drawdown),
            number(f.turnover_per_day),
            f.blocks,
            number(f.members_mean),
        )
    };
    let placebo = whole.placebo.as_ref().map(|f| of("placebo", f)).unwrap_or_default();
    let weights: String = whole.weights.iter().map(|(name, figures)| of(name, figures)).collect();
    format!("\n{}{placebo}{weights}", of("real", &whole.book))
}

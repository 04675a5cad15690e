//! `sg-ai calibrate --book`: how often a book goes live with an edge and without, and how soon it leaves: over whole walks on
//! simulated markets or shuffled candles, or, with `--lives`, at the level of days.

use super::{CalibrateArgs, MarketName, shared};
use crate::cli::{
    CliError, Context,
    format::{number, percent},
    output,
};
use crate::usecases::portfolio::{MarketSpan, load_panel};
use crate::usecases::shared::{
    lives::{Came, Kind, LivesTask, Of},
    markets::{self, BookTask},
};
use anyhow::Context as _;
use book::{BookConfig, BookWorld, Calibrated, LifeWorld};
use candles::{Interval, MarketKind};
use evidence::binomial::clopper_pearson;
use genome::random::Seed;
use indicatif::ProgressBar;
use lifecycle::EdgeDecayConfig;
use portfolio::{Panel, PortfolioTerms};
use rayon::prelude::*;
use serde::Serialize;

/// Days of a year.
const YEAR: u32 = 365;
/// Days for which a live book is watched beyond its first year.
const WATCHED_DAYS: u32 = 730;
/// True annual Sharpe ratios of books, where none are named.
const SHARPES: [f64; 4] = [1.0, 1.5, 2.0, 3.0];
/// Years before life in which edges of dying books are gone.
const DEAD_YEARS: [u32; 3] = [0, 1, 2];

/// Books of one kind.
#[derive(Serialize)]
struct Row {
    world: String,
    books: u64,
    /// ln E of history reached what going live needs.
    history_proves: f64,
    live: u64,
    rate: f64,
    ci95: (f64, f64),
    median_days_to_live: Option<f64>,
    /// Of those that went live.
    left: f64,
    median_days_to_leave: Option<f64>,
    /// What live ones earned until they left or the end: with `--lives` in units of a day's deviation, else a fraction.
    mean_earned_live: Option<f64>,
    /// Of whole walks.
    #[serde(flatten)]
    walked: Option<Walked>,
}

/// What whole walks tell more: medians over markets.
#[derive(Serialize)]
struct Walked {
    hedged_sharpe: Option<f64>,
    promised: Option<f64>,
    came: Option<f64>,
    placebos_that_prove: u64,
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}

fn worlds(args: &CalibrateArgs) -> Result<Vec<BookWorld>, CliError> {
    match args.market {
        MarketName::All => Ok(BookWorld::ALL.to_vec()),
        MarketName::Noise => Ok(vec![BookWorld::Noise]),
        MarketName::Changing => Ok(vec![BookWorld::Changing]),
        MarketName::Dying => Ok(vec![BookWorld::Dying]),
        MarketName::Lasting => Ok(vec![BookWorld::Lasting]),
        _ => Err(CliError::Usage("--book: --market is noise, changing, dying, lasting or all".to_owned())),
    }
}

/// Measures, and prints what came of it.
pub(super) async fn run(args: CalibrateArgs, ctx: &Context) -> Result<(), CliError> {
    let config = ctx.config();
    let worlds = worlds(&args)?;
    let (search, book) = args.size.book(config, Interval::H4)?;
    let decay = config.staying.clone();
    // Simulated markets are spot markets.
    let market = args.candles.unwrap_or(MarketKind::Spot);
    let terms = PortfolioTerms {
        initial_capital: config.engine.initial_capital,
        costs: config.costs.of(market),
        ..PortfolioTerms::default()
    };
    let panel = match args.candles {
        Some(market) => {
            let span = MarketSpan { market, interval: Interval::H4, to_ms: i64::MAX };
            Some(load_panel(&ctx.cache_to_read()?, span, Interval::H4, ctx.instruments()?).await?.panel)
        }
        None => None,
    };
    let json = args.json;
    let rows = if let Some(lives) = args.lives {
        of_lives(&args, lives, (book, decay), ctx).await?
    } else {
        let task = BookTask {
            seed: Seed(args.seed),
            coins: args.coins,
            edges: args.edges,
            years: (args.history_years, 1),
            search,
            book,
            terms,
            decay,
        };
        of_walks(args, worlds, (task, panel), ctx).await?
    };
    if json { output::json(&rows) } else { output::text(table(&rows)) }.context("standard output")?;
    Ok(())
}

async fn of_walks(
    args: CalibrateArgs,
    worlds: Vec<BookWorld>,
    (task, panel): (BookTask, Option<Panel>),
    ctx: &Context,
) -> Result<Vec<Row>, CliError> {
    // Said before anything is walked.
    task.on(panel.as_ref()).start_ms().map_err(|error| CliError::Usage(error.to_string()))?;
    let needed = book::needed_log_e(&task.book, 1);
    let jobs: Vec<(BookWorld, u64)> =
        worlds.iter().flat_map(|world| (0..args.markets).map(move |number| (*world, number))).collect();
    let bar = ProgressBar::new(jobs.len() as u64);
    let told = {
        let bar = bar.clone();
        move |found: &Calibrated| {
            bar.inc(1);
            tracing::info!("{}", serde_json::to_string(found).unwrap_or_default());
        }
    };
    let all = if args.workers {
        let (mut told, panel) = (told, panel.as_ref());
        let walked = async |together| markets::walked(together, &task, panel, &jobs, &mut told).await;
        shared::together(&args, ctx, walked).await?
    } else {
        let walked = move || {
            let threads = usize::from(args.threads.unwrap_or(0));
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("cannot start threads")?;
            let one = |&(world, number): &(BookWorld, u64)| {
                let found = task.on(panel.as_ref()).run(world, number, &|| false);
                let found = found.with_context(|| format!("market {number} with {}", world.name()))?;
                told(&found);
                Ok(found)
            };
            pool.install(|| jobs.par_iter().map(one).collect::<anyhow::Result<Vec<Calibrated>>>())
        };
        tokio::task::spawn_blocking(walked).await.context("the calibration broke off")??
    };
    bar.finish_and_clear();
    Ok(worlds.iter().map(|world| row_of_walks(*world, &all, needed)).collect())
}

fn row_of_walks(world: BookWorld, all: &[Calibrated], needed: f64) -> Row {
    let of: Vec<&Calibrated> = all.iter().filter(|found| found.world == world).collect();
    let lives = of.iter().map(|found| Life {
        proves: found.history_log_e >= Some(needed),
        live_after_days: found.live_after_days.map(|days| days as f64),
        left_after_days: found.left_after_days.map(|days| days as f64),
        earned: found.live_return,
    });
    let medians = |value: fn(&Calibrated) -> Option<f64>| median(of.iter().filter_map(|f| value(f)).collect());
    let walked = Walked {
        hedged_sharpe: medians(|f| f.hedged_sharpe),
        promised: medians(|f| f.promised),
        came: medians(|f| f.came),
        placebos_that_prove: of.iter().filter(|f| f.placebo_max_log_e >= needed).count() as u64,
    };
    row(world.name().to_owned(), lives.collect(), Some(walked))
}

/// What a row is made of.
struct Life {
    proves: bool,
    live_after_days: Option<f64>,
    left_after_days: Option<f64>,
    earned: f64,
}

fn row(world: String, lives: Vec<Life>, walked: Option<Walked>) -> Row {
    let count = |is: fn(&Life) -> bool| lives.iter().filter(|l| is(l)).count() as u64;
    let (books, live) = (lives.len() as u64, count(|l| l.live_after_days.is_some()));
    let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let earned: f64 = lives.iter().filter(|l| l.live_after_days.is_some()).map(|l| l.earned).sum();
    Row {
        world,
        books,
        history_proves: share(count(|l| l.proves), books),
        live,
        rate: share(live, books),
        ci95: clopper_pearson(live, books, 0.95).unwrap_or((0.0, 1.0)),
        median_days_to_live: median(lives.iter().filter_map(|l| l.live_after_days).collect()),
        left: share(count(|l| l.left_after_days.is_some()), live),
        median_days_to_leave: median(lives.iter().filter_map(|l| l.left_after_days).collect()),
        mean_earned_live: (live > 0).then(|| earned / live as f64),
        walked,
    }
}

async fn of_lives(
    args: &CalibrateArgs,
    lives: u64,
    (book, decay): (BookConfig, EdgeDecayConfig),
    ctx: &Context,
) -> Result<Vec<Row>, CliError> {
    let sharpes = if args.sharpe.is_empty() { SHARPES.to_vec() } else { args.sharpe.clone() };
    let days = |years: u32| i64::from(years * YEAR);
    let mut worlds = vec![("noise".to_owned(), LifeWorld::Noise)];
    worlds.extend(sharpes.iter().map(|&sharpe| (format!("Sharpe {sharpe}"), LifeWorld::Lasting { sharpe })));
    for &sharpe in &sharpes {
        for years in DEAD_YEARS {
            let name = match years {
                0 => format!("Sharpe {sharpe}, dies as life begins"),
                years => format!("Sharpe {sharpe}, dead for {years} y"),
            };
            worlds.push((name, LifeWorld::Dying { sharpe, days_before: days(years) }));
        }
        // Dies in the middle of what is watched: how soon a live one leaves.
        let name = format!("Sharpe {sharpe}, dies after a year of life");
        worlds.push((name, LifeWorld::Dying { sharpe, days_before: -days(1) }));
    }
    let task = LivesTask::Books {
        book: Box::new(book),
        decay: Box::new(decay),
        history_days: args.history_years * YEAR,
        days: YEAR,
        watched_days: WATCHED_DAYS,
    };
    let seed = Seed(args.seed).child("book", 0);
    let kinds: Vec<Kind> = worlds.iter().map(|&(_, world)| Kind { seed, of: Of::Book { world } }).collect();
    let came = shared::lived(args, lives, task, kinds, ctx).await?;
    let one = |((name, _), came): ((String, LifeWorld), Came)| {
        let Came::Books(all) = came else { anyhow::bail!("no lives of books") };
        let lives = all.iter().map(|lived| Life {
            proves: lived.history_proves,
            live_after_days: lived.live_after_days.map(f64::from),
            left_after_days: lived.left_after_days.map(f64::from),
            earned: lived.earned,
        });
        Ok(row(name, lives.collect(), None))
    };
    Ok(worlds.into_iter().zip(came).map(one).collect::<anyhow::Result<_>>()?)
}

fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<40} {:>6} {:>9} {:>7} {:>15} {:>8} {:>7} {:>9} {:>9} {:>8} {:>9} {:>7} {:>8}\n",
        "what they hold",
        "books",
        "history %",
        "live %",
        "95 % interval",
        "days to",
        "left %",
        "days to",
        "earned",
        "hedged",
        "promised",
        "came",
        "placebos"
    );
    let days = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |days| format!("{days:.0}"));
    for r in rows {
        let interval = format!("{:.1} - {:.1}", 100.0 * r.ci95.0, 100.0 * r.ci95.1);
        let earned = if r.walked.is_some() { percent(r.mean_earned_live) } else { number(r.mean_earned_live) };
        text += &format!(
            "{:<40} {:>6} {:>9.1} {:>7.1} {interval:>15} {:>8} {:>7.1} {:>9} {earned:>9}",
            r.world,
            r.books,
            100.0 * r.history_proves,
            100.0 * r.rate,
            days(r.median_days_to_live),
            100.0 * r.left,
            days(r.median_days_to_leave),
        );
        if let Some(w) = &r.walked {
            text += &format!(
                " {:>8} {:>9} {:>7} {:>8}",
                number(w.hedged_sharpe),
                number(w.promised),
                number(w.came),
                w.placebos_that_prove
            );
        }
        text.push('\n');
    }
    text
}

//! `sg-ai calibrate`: how often the shipped protocol promotes, on simulated markets of which all is known.

mod book;
mod lives;
mod shared;

use super::{CliError, Context, output, size::SizeArgs};
use anyhow::Context as _;
use candles::MarketKind;
use clap::{Args, ValueEnum};
use engine::{Engine, Terms};
use genome::{StrategyForm, random::Seed};
use indicatif::{ProgressBar, ProgressStyle};
use portfolio::PortfolioTerms;
use protocol::{
    CalibrationSettings, Days,
    calibration::{Job, Kind, Row, Strengths, Tried, rows},
    strength::StrengthError,
};
use search::SearchConfig;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// True annual Sharpe ratios, where none are named.
const SHARPES: [f64; 3] = [3.5, 7.0, 10.0];

/// Kinds of markets as the command line names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MarketName {
    Noise,
    NoiseFreeOfCosts,
    MeanReversion,
    Momentum,
    Dying,
    RankNoise,
    RankMomentum,
    RankReversal,
    RankVolume,
    Changing,
    Lasting,
    All,
}

impl MarketName {
    fn kinds(self) -> Vec<Kind> {
        match self {
            Self::Noise => vec![Kind::Noise],
            Self::NoiseFreeOfCosts => vec![Kind::NoiseFreeOfCosts],
            Self::MeanReversion => vec![Kind::MeanReversion],
            Self::Momentum => vec![Kind::Momentum],
            Self::Dying => vec![Kind::Dying],
            Self::RankNoise => vec![Kind::RankNoise],
            Self::RankMomentum => vec![Kind::RankMomentum],
            Self::RankReversal => vec![Kind::RankReversal],
            Self::RankVolume => vec![Kind::RankVolume],
            // Of books alone.
            Self::Changing | Self::Lasting => Vec::new(),
            Self::All => Kind::ALL.to_vec(),
        }
    }
}

/// Measure how often the protocol promotes on simulated markets: false promotions on noise, power where there is an edge
#[derive(Args, Debug)]
pub(crate) struct CalibrateArgs {
    /// What the markets have to be found; dying edges are gone once a strategy enters shadow, or a book's life begins. In
    /// those named rank- strategies rank many coins; all are the others. With --book: noise, changing, dying, lasting, all
    #[arg(long, value_name = "KIND", value_enum, default_value = "all")]
    market: MarketName,
    /// True annual Sharpe ratios that the edges give whoever knows them, after costs (where strategies rank: before), on all
    /// symbols together, separated by commas; dying edges have the largest [default: 3.5,7,10; with --book --lives
    /// 1,1.5,2,3, of the whole book]
    #[arg(long, value_name = "RATIOS", value_delimiter = ',', allow_negative_numbers = true)]
    sharpe: Vec<f64>,
    /// Coins of each market whose strategies rank it
    #[arg(long, value_name = "COUNT", default_value_t = 40, value_parser = clap::value_parser!(u32).range(10..=500))]
    coins: u32,
    /// Markets of each kind and strength
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    markets: u64,
    /// Names the markets and every random number
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Threads, a market each; the results do not depend on them [default: one a processor]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    #[command(flatten)]
    size: SizeArgs,
    /// Days after a promotion's shadow period, in which the edge is dead, for which it is watched
    #[arg(long, value_name = "DAYS", default_value_t = 90)]
    decay_days: u32,
    /// Hours of market time between two reviews in shadow and live
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=720))]
    review_hours: u32,
    /// Sessions on each market, a day apart, each beginning with the best of the one before
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    sessions: u32,
    /// Age of the daemon when its first session on a market ends: 1h, 7d, 1y and the like, lived on markets without an
    /// edge; with --lives, ages at which an edge begins, separated by commas [default: its first session; with --lives
    /// 1h,1d,7d,30d,1y,3y]
    #[arg(long, value_name = "AGE", value_delimiter = ',', value_parser = age)]
    age: Vec<i64>,
    /// Sessions that the daemon has a day
    #[arg(long, value_name = "COUNT", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=1440))]
    sessions_per_day: u32,
    /// Simulate so many whole lives of each kind instead, at the level of statistics: nothing is searched
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    lives: Option<u64>,
    /// Walk books instead: month by month over years of each market, then a year of life
    #[arg(long, conflicts_with_all = ["sessions", "age", "resume"])]
    book: bool,
    /// With --book: plant edges in all cached 4h candles of this market, spot or um, shuffled in time within blocks of a year,
    /// instead of simulating coins
    #[arg(long, value_name = "MARKET", requires = "book", conflicts_with_all = ["coins", "lives"])]
    candles: Option<MarketKind>,
    /// With --book: weak edges of each market that holds some, of Sharpe ratios of 0.3 to 1.5 each
    #[arg(long, value_name = "COUNT", default_value_t = 12, requires = "book", value_parser = clap::value_parser!(u32).range(1..=100))]
    edges: u32,
    /// With --book: years of history before its life
    #[arg(long, value_name = "YEARS", default_value_t = 4, requires = "book", value_parser = clap::value_parser!(u32).range(1..=20))]
    history_years: u32,
    /// File to which each finished market is added, and from which a run that was broken off goes on
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Share markets, or lives, with workers (`sg-ai worker`, settings `work.*`, DATABASE_URL); the results are the same
    #[arg(long)]
    workers: bool,
    /// Print JSON: an object a kind and strength
    #[arg(long)]
    json: bool,
}

/// A line of the file to resume from.
#[derive(Serialize, Deserialize)]
struct Line {
    /// Digest of everything that the results rest on.
    settings: String,
    #[serde(flatten)]
    tried: Tried,
}

/// Runs `sg-ai calibrate`.
///
/// # Errors
/// When the options are wrong, or the file to resume from cannot be read or written.
pub(crate) async fn run(mut args: CalibrateArgs, ctx: &Context) -> Result<(), CliError> {
    if let Some(wrong) = args.sharpe.iter().find(|s| !(0.0..=100.0).contains(*s)) {
        return Err(CliError::Usage(format!("--sharpe must be 0 to 100, not {wrong}")));
    }
    if args.book {
        return book::run(args, ctx).await;
    }
    if args.sharpe.is_empty() {
        args.sharpe = SHARPES.to_vec();
    }
    if args.market.kinds().is_empty() {
        return Err(CliError::Usage("--market: changing and lasting edges are those of --book".to_owned()));
    }
    let config = ctx.config();
    let mut search = args.size.search(config, config.daemon.interval)?;
    if args.market.kinds().iter().all(|kind| kind.ranks()) {
        search.form = StrategyForm::Ranking;
        search.ranking.timeframes = vec![candles::Interval::H4];
        search.validate().map_err(|e| CliError::Usage(format!("search.{e}")))?;
    }
    if let Some(lives) = args.lives {
        return lives::run(&args, lives, ctx).await;
    }
    if args.age.len() > 1 {
        return Err(CliError::Usage("--age takes one age, or several with --lives".to_owned()));
    }
    lifecycle::gate(&config.lifecycle).context("the gate's limits")?;
    let days = args.size.days(config, args.decay_days);
    let settings = settings(&args, ctx, &search, days);
    let done = args.resume.as_deref().map(|path| read(path, &settings)).transpose()?.unwrap_or_default();
    let jobs: Vec<Job> = jobs(&args).into_iter().filter(|job| !done.iter().any(|t| t.job == *job)).collect();
    let file = args.resume.as_deref().map(append).transpose()?;
    let work = Work {
        threads: usize::from(args.threads.unwrap_or(0)),
        jobs,
        done,
        file: Mutex::new(file),
        settings,
        cache_mb: config.engine.cache_mb,
    };
    // Its markets are spot markets.
    let costs = config.costs.of(MarketKind::Spot);
    let terms = Terms { initial_capital: config.engine.initial_capital, costs, ..Terms::default() };
    let portfolio = PortfolioTerms {
        initial_capital: terms.initial_capital,
        costs,
        execution: config.portfolio.execution,
        ..PortfolioTerms::default()
    };
    let mut calibration = CalibrationSettings {
        seed: Seed(args.seed),
        symbols: config.daemon.symbols.clone(),
        interval: config.daemon.interval,
        search,
        protocol: config.protocol.clone(),
        candidates: config.daemon.candidates_per_session as usize,
        initial_capital: terms.initial_capital,
        costs,
        fill_on: terms.fill_on,
        portfolio,
        coins: args.coins,
        limits: config.lifecycle.clone(),
        staying: config.staying.clone(),
        strengths: Strengths::default(),
        days,
        warmup_days: config.daemon.warmup_days,
        review_ms: i64::from(args.review_hours) * 3_600_000,
        sessions: args.sessions,
        age_ms: args.age.first().copied().unwrap_or(0),
        sessions_per_day: args.sessions_per_day,
    };
    let measured = move || {
        calibration.measure(&work.jobs, &Engine::new(work.cache_mb))?;
        Ok::<_, StrengthError>((work, calibration))
    };
    let (work, calibration) = tokio::task::spawn_blocking(measured)
        .await
        .context("the calibration broke off")?
        .map_err(anyhow::Error::from)?;
    let tried = if args.workers {
        shared::run(work, &calibration, ctx).await?
    } else {
        let all = move || work.run(&calibration);
        tokio::task::spawn_blocking(all).await.context("the calibration broke off")??
    };
    let rows = rows(&tried);
    if args.json {
        output::json(&rows).context("standard output")?;
    } else {
        output::text(table(&rows)).context("standard output")?;
    }
    Ok(())
}

/// So many threads; 0: one a processor.
fn threads(asked: usize) -> usize {
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    if asked == 0 { available } else { asked }
}

/// By kind, strength and number, whoever ended first.
fn in_order(mut found: Vec<Tried>) -> Vec<Tried> {
    found.sort_by_key(|t| (t.job.kind, t.job.sharpe.to_bits(), t.job.number));
    found
}

/// Everything that the results rest on, as a digest.
fn settings(args: &CalibrateArgs, ctx: &Context, search: &SearchConfig, days: Days) -> String {
    let config = ctx.config();
    let all = json!({
        "seed": args.seed, "search": search, "days": days, "protocol": config.protocol, "costs": config.costs,
        "lifecycle": config.lifecycle, "staying": config.staying,
        "sharpe": "after costs", "symbols": config.daemon.symbols, "interval": config.daemon.interval,
        "warmup_days": config.daemon.warmup_days, "candidates": config.daemon.candidates_per_session,
        "capital": config.engine.initial_capital, "review_hours": args.review_hours, "sessions": args.sessions,
        "age": args.age, "sessions_per_day": args.sessions_per_day, "coins": args.coins,
        "execution": config.portfolio.execution,
    });
    digest(&all, crate::CODE_VERSION)
}

/// An age in ms: a whole number of hours, days or years of 365 days.
fn age(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is no age: 1h, 7d, 1y and the like are expected, at least 1h and at most 100y");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let hours = match unit {
        'h' => 1,
        'd' => 24,
        'y' => 24 * 365,
        _ => return Err(wrong()),
    };
    let count: i64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let hours = count.checked_mul(hours).filter(|hours| (1..=100 * 365 * 24).contains(hours)).ok_or_else(wrong)?;
    Ok(hours * 3_600_000)
}

/// Of what results rest on and the build that computes them: another build of one version may come to other numbers.
fn digest(rested_on: &Value, code_version: &str) -> String {
    let all = json!({ "on": rested_on, "version": code_version });
    hex::encode(&Sha256::digest(all.to_string())[..16])
}

fn jobs(args: &CalibrateArgs) -> Vec<Job> {
    let strongest = args.sharpe.iter().copied().fold(0.0, f64::max);
    let mut jobs = Vec::new();
    for kind in args.market.kinds() {
        let strengths = match kind {
            Kind::Noise | Kind::NoiseFreeOfCosts | Kind::RankNoise => vec![0.0],
            Kind::Dying => vec![strongest],
            Kind::MeanReversion | Kind::Momentum | Kind::RankMomentum | Kind::RankReversal | Kind::RankVolume => {
                args.sharpe.clone()
            }
        };
        for sharpe in strengths {
            jobs.extend((0..args.markets).map(|number| Job { kind, sharpe, number }));
        }
    }
    jobs
}

/// The markets that were finished with the same settings.
fn read(path: &Path, settings: &str) -> Result<Vec<Tried>, CliError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(CliError::Usage(format!("cannot read {}: {error}", path.display()))),
    };
    let (mut found, mut others) = (Vec::new(), 0_u64);
    for line in BufReader::new(file).lines() {
        let line = line.with_context(|| format!("cannot read {}", path.display()))?;
        // A line that was being written when the run was broken off does not read: its market is tried again.
        match serde_json::from_str::<Line>(&line) {
            Ok(line) if line.settings == settings => found.push(line.tried),
            Ok(_) => others += 1,
            Err(_) => {}
        }
    }
    if others > 0 {
        tracing::warn!("{others} markets in {} were tried with other settings or by another build", path.display());
    }
    Ok(found)
}

fn append(path: &Path) -> Result<File, CliError> {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|error| CliError::Usage(format!("cannot write {}: {error}", path.display())))?;
    // Ends a line that was broken off, so that the next one is whole.
    file.write_all(b"\n").with_context(|| format!("cannot write {}", path.display()))?;
    Ok(file)
}

/// What is to be tried, and where results go.
struct Work {
    threads: usize,
    jobs: Vec<Job>,
    done: Vec<Tried>,
    file: Mutex<Option<File>>,
    settings: String,
    cache_mb: usize,
}

impl Work {
    fn threads(&self) -> usize {
        threads(self.threads)
    }

    fn bar(&self) -> ProgressBar {
        let bar = ProgressBar::new((self.jobs.len() + self.done.len()) as u64).with_position(self.done.len() as u64);
        // The template is a constant that parses; a plain bar would do as well.
        if let Ok(style) =
            ProgressStyle::with_template("{bar:30} market {pos}/{len} {elapsed_precise}, {eta} left {msg}")
        {
            bar.set_style(style);
        }
        bar.tick();
        bar
    }

    /// Tries all markets, each on one thread.
    fn run(self, calibration: &CalibrationSettings) -> anyhow::Result<Vec<Tried>> {
        let (threads, bar) = (self.threads(), self.bar());
        let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
        let found = Mutex::new(self.done.clone());
        std::thread::scope(|scope| -> anyhow::Result<()> {
            for _ in 0..threads.min(self.jobs.len()) {
                // A pool of one thread: what the engine spreads stays on this market's thread.
                let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().context("cannot start threads")?;
                let (bar, next, failed, found, work) = (&bar, &next, &failed, &found, &self);
                scope.spawn(move || {
                    let engine = Engine::new((work.cache_mb / threads).max(16));
                    while let Some(&job) = work.jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let tried = pool.install(|| calibration.run(job, &engine, &|| false));
                        let stored = tried.map_err(anyhow::Error::from).and_then(|tried| {
                            work.store(&tried)?;
                            Ok(tried)
                        });
                        match stored {
                            Ok(tried) => found.lock().unwrap_or_else(PoisonError::into_inner).push(tried),
                            Err(error) => {
                                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                                return;
                            }
                        }
                        let live = found
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .iter()
                            .filter(|t| t.promoted > 0)
                            .count();
                        bar.set_message(format!("{live} with a live strategy"));
                        bar.inc(1);
                    }
                });
            }
            Ok(())
        })?;
        bar.finish_and_clear();
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(in_order(found.into_inner().unwrap_or_else(PoisonError::into_inner))),
        }
    }

    fn store(&self, tried: &Tried) -> anyhow::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = file.as_mut() else { return Ok(()) };
        let line = Line { settings: self.settings.clone(), tried: tried.clone() };
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        file.write_all(text.as_bytes()).context("cannot write the file to resume from")
    }
}

fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<20} {:>6} {:>7} {:>7} {:>8} {:>7} {:>15} {:>7} {:>8} {:>5} {:>8} {:>6} {:>9}\n",
        "kind",
        "sharpe",
        "planted",
        "markets",
        "promoted",
        "rate %",
        "95 % interval",
        "thres-",
        "days to",
        "tests",
        "entered",
        "nulls",
        "days to"
    );
    text.push_str(&format!("{:>82} {:>8} {:>5} {:>8} {:>6} {:>9}\n", "hold", "live", "", "shadow", "each", "demotion"));
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.1}"));
    for row in rows {
        let interval = format!("{:.1} - {:.1}", 100.0 * row.ci95.0, 100.0 * row.ci95.1);
        let left = if row.watched == 0 {
            "-".to_owned()
        } else {
            format!("{} ({}/{})", number(row.median_days_to_demotion), row.left, row.watched)
        };
        text.push_str(&format!(
            "{:<20} {:>6} {:>7} {:>7} {:>8} {:>7.1} {:>15} {:>7} {:>8} {:>5} {:>8} {:>6.1} {:>9}\n",
            row.kind.name(),
            number(row.sharpe),
            number(row.planted_sharpe),
            row.markets,
            row.promoted,
            100.0 * row.rate,
            interval,
            number(row.median_threshold),
            number(row.median_days_to_live),
            row.tests,
            row.entered,
            row.null_searches,
            left
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_hours_days_or_years() {
        let hour_ms = 3_600_000;
        assert_eq!([age("1h"), age("7d"), age("3y")], [1, 168, 26_280].map(|h| Ok(h * hour_ms)));
        for wrong in ["", "7", "d", "-1d", "1.5y", "101y", "0h", "0d", "9999999999999999y", "1m", "\u{e9}"] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn another_build_of_one_version_goes_on_from_nothing_of_this_one() {
        let on = json!({ "seed": 1 });
        let this = digest(&on, crate::CODE_VERSION);
        let other = digest(&on, &format!("{}+{:016x}", env!("CARGO_PKG_VERSION"), 1));
        assert_ne!(this, other);
        assert_ne!(this, digest(&json!({ "seed": 2 }), crate::CODE_VERSION));
    }
}

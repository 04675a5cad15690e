//! `sg-ai rehearse`: what the protocol, or the book, would have made of the candles in the cache. Stores nothing, fetches
//! nothing.

mod book;

use super::{CliError, Context, output, size::SizeArgs, window::WindowArgs};
use crate::usecases::window::finer_within;
use anyhow::Context as _;
use candles::time::DAY_MS;
use chrono::DateTime;
use clap::Args;
use engine::{Costs, Engine, SymbolWindow, Window, WindowError};
use genome::random::Seed;
use indicatif::ProgressBar;
use protocol::{Account, Days, Plan, Program, Rehearsed, RunPlan, rehearse};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Tell what the protocol would have made of cached candles: sessions, hold-outs, shadow and live, beside null markets
/// of the same candles; or walk the book over them
#[derive(Args, Debug)]
pub(crate) struct RehearseArgs {
    #[command(flatten)]
    window: WindowArgs,
    /// Days between two sessions
    #[arg(long, value_name = "DAYS", default_value_t = 30, conflicts_with = "book", value_parser = clap::value_parser!(u32).range(1..=3650))]
    every_days: u32,
    /// Sessions at most; those that reach the end of the candles are kept
    #[arg(long, value_name = "COUNT", conflicts_with = "book", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    sessions: Option<u32>,
    #[command(flatten)]
    size: SizeArgs,
    /// Leave the null markets out
    #[arg(long)]
    no_placebo: bool,
    /// Root of every random number: the same seed gives the same result
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Threads; the results do not depend on them [default: one a processor]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Walk the book over the whole cached market: month by month search, admit, weigh, freeze, trade on one account
    #[arg(long)]
    book: bool,
    /// With --book: write date,net,benchmark,hedged,step,log_e of each day to this file
    #[arg(long, value_name = "FILE", requires = "book")]
    returns: Option<PathBuf>,
    /// With --book: go on from this file, where it is there, and write to it after each block
    #[arg(long, value_name = "FILE", requires = "book")]
    checkpoint: Option<PathBuf>,
    /// With --book: trade the members of the finished walk once more, weighed in each way that book.weighing names
    #[arg(long, requires = "book")]
    compare_weights: bool,
    /// With --book: trade as paper runs do: late, in lots, with margin and borrow (settings `portfolio.execution.*`)
    #[arg(long, requires = "book")]
    realistic: bool,
    /// With --book: share null searches with workers (`sg-ai worker`, settings `work.*`, DATABASE_URL); the results are the same
    #[arg(long, requires = "book")]
    workers: bool,
    /// Print a JSON object a session, or a block and one of the whole
    #[arg(long)]
    json: bool,
}

/// A session as it is printed.
#[derive(Serialize)]
struct Line<'a> {
    split: String,
    /// Wall time, seconds.
    seconds: f64,
    #[serde(flatten)]
    session: &'a Rehearsed,
}

/// Runs `sg-ai rehearse`.
///
/// # Errors
/// When the options are wrong, or the cache lacks the candles.
pub(crate) async fn run(args: RehearseArgs, ctx: &Context) -> Result<(), CliError> {
    if args.book {
        return book::run(args, ctx).await;
    }
    let config = ctx.config();
    let search = args.size.search(config, args.window.interval())?;
    let limits = &config.lifecycle;
    let gate = lifecycle::gate(limits).context("the gate's limits")?;
    let days = args.size.days(config, 0);
    let whole = args.window.load(ctx).await?;
    let splits_ms = splits(&whole, days, limits.shadow_min_days, &args).map_err(CliError::Usage)?;
    let (terms, cache_mb) = (args.window.terms(ctx), config.engine.cache_mb);
    let (protocol, staying, limits) = (config.protocol.clone(), config.staying.clone(), limits.clone());
    let candidates = config.daemon.candidates_per_session as usize;
    let work = move || {
        let threads = usize::from(args.threads.unwrap_or(0));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("cannot start threads")?;
        let plan = RunPlan {
            session: Plan { search: &search, protocol: &protocol, candidates },
            terms: &terms,
            gate: &*gate,
            staying: &staying,
            limits: &limits,
            account: Account::open(&protocol, 0),
            known: &[],
            past: &[],
            days,
            review_ms: DAY_MS,
        };
        pool.install(|| all(&plan, &whole, &splits_ms, &args, cache_mb))
    };
    tokio::task::spawn_blocking(work).await.context("the rehearsal broke off")??;
    Ok(())
}

/// Where searches end: the last where there are candles for a hold-out and the least time in shadow after it, and
/// others before it.
fn splits(whole: &Window, days: Days, shadow_min_days: f64, args: &RehearseArgs) -> Result<Vec<i64>, String> {
    let first_ms = whole.from_ms() + i64::from(days.search) * DAY_MS;
    let after_ms = i64::from(days.holdout) * DAY_MS + (shadow_min_days.ceil() as i64) * DAY_MS;
    let last_ms = whole.to_ms() - after_ms;
    if last_ms < first_ms {
        let there = (whole.to_ms() - whole.from_ms()) / DAY_MS;
        return Err(format!(
            "{there} days of candles are too few: {} of search, {} of hold-out and {} of shadow are needed",
            days.search, days.holdout, shadow_min_days
        ));
    }
    let mut splits: Vec<i64> =
        std::iter::successors(Some(last_ms), |at| Some(at - i64::from(args.every_days) * DAY_MS))
            .take_while(|at| *at >= first_ms)
            .take(args.sessions.map_or(usize::MAX, |n| n as usize))
            .collect();
    splits.reverse();
    Ok(splits)
}

fn all(
    plan: &RunPlan<'_>,
    whole: &Window,
    splits_ms: &[i64],
    args: &RehearseArgs,
    cache_mb: usize,
) -> anyhow::Result<()> {
    let engine = Engine::new(cache_mb);
    let cut = |from_ms: i64, to_ms: i64| part(whole, from_ms, to_ms);
    let markets = if args.no_placebo { &[false][..] } else { &[false, true] };
    let bar = ProgressBar::new((splits_ms.len() * markets.len()) as u64);
    bar.enable_steady_tick(Duration::from_secs(1));
    if !args.json {
        output::text(heading(&plan.terms.costs)).context("standard output")?;
    }
    for &placebo in markets {
        let program = Program { splits_ms, until_ms: whole.to_ms(), placebo, seed: Seed(args.seed) };
        let (mut began, mut printed) = (Instant::now(), Ok(()));
        let mut each = |session: &Rehearsed| {
            let split = DateTime::from_timestamp_millis(session.split_ms).map(|t| t.date_naive().to_string());
            let line = Line { split: split.unwrap_or_default(), seconds: began.elapsed().as_secs_f64(), session };
            let result = bar.suspend(|| if args.json { output::json_line(&line) } else { output::text(row(&line)) });
            if printed.is_ok() {
                printed = result;
            }
            bar.inc(1);
            began = Instant::now();
        };
        rehearse(plan, &engine, &cut, program, &|| false, &mut each)?;
        printed.context("standard output")?;
    }
    bar.finish_and_clear();
    Ok(())
}

/// The candles of a range, with all before it as warm-up.
fn part(whole: &Window, from_ms: i64, to_ms: i64) -> Result<Window, WindowError> {
    let cut = |s: &SymbolWindow| SymbolWindow {
        candles: Arc::new(s.candles.slice(i64::MIN, to_ms)),
        finer: finer_within(s.finer.iter().map(AsRef::as_ref), i64::MIN, to_ms),
        funding: s.funding.iter().copied().filter(|f| f.time_ms < to_ms).collect(),
        ..s.clone()
    };
    Window::new(from_ms, to_ms, whole.symbols().iter().map(cut).collect())
}

fn heading(costs: &Costs) -> String {
    format!(
        "Costs: {} of the notional a side. E-values are logarithms (ln 20 = 3.0).\n{:<8} {:<10} {:>6} {:>6} {:>7} {:>9} {:>9} {:>6} {:>8} {:>8}  {}\n",
        costs.fee_fraction,
        "market",
        "split",
        "p",
        "nulls",
        "shadow",
        "hold-out",
        "total",
        "live",
        "days to",
        "seconds",
        "what candidates missed"
    )
}

fn row(line: &Line<'_>) -> String {
    let (s, t) = (line.session, &line.session.trial);
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.1}"));
    let missed: Vec<String> = t.missed.iter().map(|(name, count)| format!("{name} {count}")).collect();
    format!(
        "{:<8} {:<10} {:>6.3} {:>6} {:>7} {:>9} {:>9} {:>6} {:>8} {:>8.1}  {}\n",
        if s.placebo { "placebo" } else { "real" },
        line.split,
        t.searched.p_value,
        t.searched.null_searches,
        format!("{}/{}", t.entered, t.candidates),
        number(t.best_holdout_log_e),
        number(t.best_total_log_e),
        t.promoted,
        number(t.live_after_days),
        line.seconds,
        missed.join(", ")
    )
}

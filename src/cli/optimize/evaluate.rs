//! The loop of an optimisation: propose, evaluate, record, and now and then a checkpoint.

use super::{Done, OptimizeArgs, ground::Setting, stored};
use crate::cli::{CliError, checkpoints::Unfit, window::iso};
use crate::usecases::parts::Compute;
use crate::usecases::shared::{Sharing, slices::Slices};
use anyhow::Context as _;
use engine::Engine;
use indicatif::{ProgressBar, ProgressStyle};
use optimize::{Batch, CheckpointError, Measured, Points, Run, Settings, Story};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, sync::Arc, time::Instant};
use uuid::Uuid;

/// Points between two looks at the progress, without a checkpoint.
const AT_ONCE: usize = 1_000;
/// Seconds between two lines of progress where nobody looks at a terminal.
const TOLD_EVERY_S: u64 = 10;

/// Everything beside the settings that makes this run this run, by name.
fn identity(args: &OptimizeArgs, points: &Points, setting: &Setting) -> BTreeMap<String, String> {
    let (from_ms, to_ms) = args.window.dates_ms();
    let (config, warmup_from_ms) = (&setting.recipe.config, setting.recipe.warmup_from_ms);
    let symbols: Vec<&str> = config.symbols.iter().map(candles::Symbol::as_str).collect();
    let costs = serde_json::to_string(&config.costs).unwrap_or_default();
    let execution = setting.execution.map(|e| serde_json::to_string(&e).unwrap_or_default());
    let execution = execution.map_or_else(String::new, |e| format!(", execution {e}"));
    [
        ("strategy", points.strategy.hash().to_string()),
        ("market", format!("{} {}", config.market, config.interval)),
        ("list of symbols", symbols.join(",")),
        ("dates", format!("{} to {}, warmed up from {}", iso(from_ms), iso(to_ms), iso(warmup_from_ms))),
        ("set of costs", format!("{costs}, capital {}{execution}", config.initial_capital)),
        ("version of candles", setting.data_version.clone()),
        ("program", crate::CODE_VERSION.to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// The id of a run: the same for the same strategy, settings and data, so that one that is run again is counted once.
fn id(identity: &BTreeMap<String, String>, settings: &Settings) -> Uuid {
    let text = serde_json::to_string(&(identity, settings)).unwrap_or_default();
    let digest = Sha256::digest(text);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Evaluates every point, from the checkpoint on where there is one.
pub(super) async fn run(
    args: &OptimizeArgs,
    name: Option<String>,
    settings: Settings,
    (points, setting): (Points, &Setting),
    opened: Option<&stored::Opened>,
    sharing: Option<Sharing>,
) -> Result<Done, CliError> {
    let points = Arc::new(points);
    let threads = usize::from(args.threads.unwrap_or(0));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("cannot start threads")?;
    let compute = Compute::of_work(Engine::default(), Arc::new(pool));
    let on = Arc::clone(&points);
    let itself = compute.run(move || on.itself()).await.context("the backtest broke off")?;
    let own = itself.map_err(|e| CliError::Usage(format!("the strategy as it stands: {e}")))?;
    let days = own.daily_returns.len();
    let mut config = args.forward.config(days)?;
    let fresh = Run::new(settings.clone(), days).map_err(CliError::usage)?;
    let identity = identity(args, &points, setting);
    let found = args.checkpoints.read(|bytes| {
        Run::from_bytes(bytes, &identity, &settings).map_err(|error| match error {
            CheckpointError::Damaged => Unfit::Damaged(error.to_string()),
            _ => Unfit::Other(error.to_string()),
        })
    })?;
    let mut run = found.unwrap_or(fresh);
    let mut told = match opened {
        Some(opened) => {
            let id = id(&identity, &settings);
            let new =
                stored::new(id, name.clone(), &settings, args.window.dates_ms(), (&points, setting), run.budget());
            Some(stored::Telling::begin(opened, new).await?)
        }
        None => None,
    };
    let mut work = match sharing {
        Some(sharing) if !run.is_finished() => {
            Work::Shared(Box::new(Slices::open(sharing, compute, Arc::clone(&points), &run).await?))
        }
        _ => Work::Alone(compute, Arc::clone(&points)),
    };
    let bar = progress_bar(&run);
    let (every, began, already) = (args.checkpoints.every(), Instant::now(), run.evaluated().len());
    if already > 0 {
        tracing::info!("going on after {already} of {} points", run.budget());
    }
    let (mut noted, mut last_told) = (already, Instant::now());
    while !run.is_finished() {
        let (batch, results) = work.next(&run, every, noted).await?;
        run.record(batch, results);
        let count = run.evaluated().len();
        bar.set_position(count as u64);
        let best = run.best().and_then(|i| run.value(i, settings.objectives[0]));
        bar.set_message(best.map_or_else(String::new, |best| format!("best {} {best:.2}", settings.objectives[0])));
        if bar.is_hidden() && last_told.elapsed().as_secs() >= TOLD_EVERY_S {
            tracing::info!("{count} of {} points in {:.0} s", run.budget(), began.elapsed().as_secs_f64());
            last_told = Instant::now();
        }
        if every.is_some_and(|every| count >= noted + every || run.is_finished()) {
            if let Some(told) = &mut told {
                told.tell(&run).await?;
            }
            args.checkpoints.write(&run.to_bytes(&identity))?;
            noted = count;
        }
    }
    bar.finish_and_clear();
    work.end().await?;
    if let Some(told) = &mut told {
        told.tell(&run).await?;
    }
    let seconds = began.elapsed().as_secs_f64();
    let new = run.evaluated().len() - already;
    tracing::info!("{new} points in {seconds:.1} s, {:.0} a second", new as f64 / seconds.max(1e-9));
    config.trials_before = match (args.forward.trials, &told) {
        (Some(trials), _) => trials,
        (None, Some(told)) => told.trials_before().await?,
        (None, None) => 0,
    };
    let made = tokio::task::spawn_blocking(move || (Story::of(&run, &config), run));
    let (story, run) = made.await.context("the analysis broke off")?;
    Ok(Done { name, strategy: points.strategy.clone(), run, story, own })
}

/// Who evaluates.
enum Work {
    Alone(Compute, Arc<Points>),
    Shared(Box<Slices>),
}

impl Work {
    /// What the next points came to, which are those up to the next checkpoint at most: one is due `every` so many after
    /// those that are `noted`.
    async fn next(
        &mut self,
        run: &Run,
        every: Option<usize>,
        noted: usize,
    ) -> anyhow::Result<(Batch, Vec<Result<Measured, String>>)> {
        match self {
            Self::Alone(compute, points) => {
                let batch = run.propose(sizes(run, (every, noted), AT_ONCE, 1).pop().unwrap_or(AT_ONCE));
                let (points, space) = (Arc::clone(points), run.settings().space.clone());
                let evaluated = compute.run(move || {
                    let results = points.evaluate(&space, &batch.points);
                    (batch, results)
                });
                evaluated.await.context("the evaluation broke off")
            }
            Self::Shared(slices) => {
                let ahead = slices.ahead().await?;
                let mut batches = run.ahead(&sizes(run, (every, noted), slices.size(), ahead));
                let results = slices.evaluate(run.evaluated().len(), &batches).await;
                if results.is_err() {
                    // What failed says more than that nobody heard of it.
                    let _ = slices.end().await;
                }
                let results = results?;
                anyhow::ensure!(!batches.is_empty(), "no point is left, and the run is not finished");
                Ok((batches.swap_remove(0), results))
            }
        }
    }

    async fn end(&self) -> anyhow::Result<()> {
        match self {
            Self::Alone(..) => Ok(()),
            Self::Shared(slices) => slices.end().await,
        }
    }
}

/// Sizes of the next batches, so many of them, none larger than `most` and none across a checkpoint.
fn sizes(run: &Run, (every, mut noted): (Option<usize>, usize), most: usize, count: usize) -> Vec<usize> {
    let (mut at, budget, mut sizes) = (run.evaluated().len(), run.budget(), Vec::new());
    while sizes.len() < count && at < budget {
        let size = every.map_or(most, |every| (noted + every).saturating_sub(at).clamp(1, most));
        at += size;
        if every.is_some_and(|every| at >= noted + every) {
            noted = at;
        }
        sizes.push(size);
    }
    sizes
}

fn progress_bar(run: &Run) -> ProgressBar {
    let bar = ProgressBar::new(run.budget() as u64);
    // The template is a constant that parses; a plain bar would do as well.
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} points {per_sec} {elapsed_precise} {msg}") {
        bar.set_style(style);
    }
    bar.set_position(run.evaluated().len() as u64);
    bar
}

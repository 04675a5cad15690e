//! `sg-ai calibrate --workers`: the same markets and lives, tried by whoever has a slot.

use super::{CalibrateArgs, Work, in_order};
use crate::cli::{CliError, Context};
use crate::usecases::database::Database;
use crate::usecases::parts::Compute;
use crate::usecases::shared::{
    Sharing,
    lives::{self, Came, Kind, LivesTask},
    markets, own_name,
    together::Together,
};
use anyhow::Context as _;
use engine::Engine;
use protocol::{CalibrationSettings, calibration::Tried};
use std::sync::Arc;

/// Tries all markets together with workers.
pub(super) async fn run(work: Work, calibration: &CalibrationSettings, ctx: &Context) -> Result<Vec<Tried>, CliError> {
    let threads = work.threads();
    let database = Database::open(ctx.config()).await?;
    let tried = async {
        let together = of_threads(threads, work.cache_mb, &database, ctx)?;
        let (bar, mut found) = (work.bar(), work.done.clone());
        let mut told = |tried: Tried| {
            work.store(&tried)?;
            found.push(tried);
            bar.inc(1);
            Ok(())
        };
        markets::tried(together, calibration, &work.jobs, &mut told).await?;
        bar.finish_and_clear();
        Ok::<_, anyhow::Error>(in_order(found))
    };
    let tried = tried.await;
    database.close().await;
    Ok(tried?)
}

/// What it takes to do items together with workers, so many of them here at once.
fn of_threads(threads: usize, cache_mb: usize, database: &Database, ctx: &Context) -> anyhow::Result<Together> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("cannot start threads")?;
    let compute = Compute::of_work(Engine::new(cache_mb), Arc::new(pool));
    let sharing = Sharing::of(ctx.config(), ctx.data_dir(), &database.store, own_name("calibration"))?;
    Ok(Together { sharing, compute, slots: u32::try_from(threads).unwrap_or(u32::MAX) })
}

/// Does something together with workers, and closes the database again.
pub(super) async fn together<T>(
    args: &CalibrateArgs,
    ctx: &Context,
    work: impl AsyncFnOnce(Together) -> anyhow::Result<T>,
) -> Result<T, CliError> {
    let threads = super::threads(args.threads.map_or(0, usize::from));
    let database = Database::open(ctx.config()).await?;
    let done = match of_threads(threads, ctx.config().engine.cache_mb, &database, ctx) {
        Ok(together) => work(together).await,
        Err(error) => Err(error),
    };
    database.close().await;
    Ok(done?)
}

/// Has so many lives of each kind lived, here or together with workers; what became of them, in the order of the kinds.
pub(super) async fn lived(
    args: &CalibrateArgs,
    count: u64,
    task: LivesTask,
    kinds: Vec<Kind>,
    ctx: &Context,
) -> Result<Vec<Came>, CliError> {
    if args.workers {
        return together(args, ctx, async |together| lives::lived(together, &task, &kinds, count).await).await;
    }
    let threads = usize::from(args.threads.unwrap_or(0));
    let all = move || {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("cannot start threads")?;
        pool.install(|| kinds.iter().map(|&kind| task.lived(kind, 0, count)).collect::<anyhow::Result<Vec<_>>>())
    };
    Ok(tokio::task::spawn_blocking(all).await.context("the simulation broke off")??)
}

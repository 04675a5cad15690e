//! `sg-ai calibrate --workers`: the same markets, tried by whoever has a slot.

use super::{Work, in_order};
use crate::cli::{CliError, Context};
use crate::usecases::database::Database;
use crate::usecases::parts::Compute;
use crate::usecases::shared::{Sharing, markets::Markets, own_name};
use anyhow::Context as _;
use engine::Engine;
use protocol::{CalibrationSettings, calibration::Tried};
use std::sync::Arc;

/// Tries all markets together with workers.
pub(super) async fn run(work: Work, calibration: &CalibrationSettings, ctx: &Context) -> Result<Vec<Tried>, CliError> {
    let threads = work.threads();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("cannot start threads")?;
    let compute = Compute::of_work(Engine::new(work.cache_mb), Arc::new(pool));
    let database = Database::open(ctx.config()).await?;
    let tried = async {
        let sharing = Sharing::of(ctx.config(), ctx.data_dir(), &database.store, own_name("calibration"))?;
        let markets = Markets { sharing, compute, slots: u32::try_from(threads).unwrap_or(u32::MAX) };
        let (bar, mut found) = (work.bar(), work.done.clone());
        let mut told = |tried: Tried| {
            work.store(&tried)?;
            found.push(tried);
            bar.inc(1);
            Ok(())
        };
        markets.run(calibration, &work.jobs, &mut told).await?;
        bar.finish_and_clear();
        Ok::<_, anyhow::Error>(in_order(found))
    };
    let tried = tried.await;
    database.close().await;
    Ok(tried?)
}

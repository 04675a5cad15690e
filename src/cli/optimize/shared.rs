//! `sg-ai optimize --workers`: the same points, evaluated by whoever has a slot.

use super::{Done, OptimizeArgs, evaluate, ground::Setting, stored};
use crate::cli::{CliError, Context};
use crate::usecases::database::Database;
use crate::usecases::shared::{Sharing, own_name};
use optimize::{Points, Settings};

/// Evaluates every point: here, or where that is asked for together with workers.
pub(super) async fn evaluated(
    args: &OptimizeArgs,
    name: Option<String>,
    settings: Settings,
    ground: (Points, &Setting),
    opened: Option<&stored::Opened>,
    ctx: &Context,
) -> Result<Done, CliError> {
    if !args.workers {
        return evaluate::run(args, name, settings, ground, opened, None).await;
    }
    let queue = match opened {
        Some(_) => None,
        // The run is not stored, but its slices are posted.
        None => Some(Database::open(ctx.config()).await?),
    };
    let store = opened.map(|opened| &opened.database.store).or(queue.as_ref().map(|queue| &queue.store));
    let sharing = |store| Sharing::of(ctx.config(), ctx.data_dir(), store, own_name("optimization"));
    let done = match store.map(sharing).transpose() {
        Ok(sharing) => evaluate::run(args, name, settings, ground, opened, sharing).await,
        Err(error) => Err(error.into()),
    };
    if let Some(queue) = queue {
        queue.close().await;
    }
    done
}

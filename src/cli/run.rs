//! `sg-ai run`, `continuous` and `shadow`: the daemon, whole or one half of it.

use super::{CliError, Context};
use crate::daemon::{self, Plan};

/// Which runners this process has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Half {
    /// Both.
    Both,
    /// The continuous runner: search.
    Continuous,
    /// The shadow runner: paper trading and the deployment manager.
    Shadow,
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// When something that nothing works without cannot be had: the database, the data directory, the HTTP port.
pub(crate) async fn run(half: Half, ctx: &Context) -> Result<(), CliError> {
    let mut plan = match half {
        Half::Both => Plan::new(true, true),
        Half::Continuous => Plan::new(true, false),
        Half::Shadow => Plan::new(false, true),
    };
    plan.settings = ctx.shown_settings();
    Ok(daemon::run(ctx.config(), ctx.data_dir(), &ctx.clock, plan).await?)
}

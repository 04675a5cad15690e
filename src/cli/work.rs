//! `sg-ai worker`: does work that a daemon posts. `sg-ai work status`: how that stands.

use super::{CliError, Context, output};
use crate::daemon;
use crate::usecases::database::Database;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use std::time::Duration;
use store::WorkStatus;

/// Do work that a daemon of the same build posts, here or on another machine
///
/// Needs the daemon's database (DATABASE_URL) and the place of its candles for workers (`work.blobs`): the daemon's own address with
/// `work.token`, a bucket or a directory.
#[derive(Args, Debug)]
pub(crate) struct WorkerArgs {
    /// Items that it does at once; each uses all threads (`daemon.threads`) that the others leave
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    slots: u32,
    /// Its name, which no other worker has [default: of the machine and the process]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// Look at work that is shared with workers
#[derive(Args, Debug)]
pub(crate) struct WorkArgs {
    #[command(subcommand)]
    command: WorkCommand,
}

#[derive(Debug, Subcommand)]
enum WorkCommand {
    /// Tell how much work waits, who does it, and what was lost
    Status {
        /// Print JSON, an object
        #[arg(long)]
        json: bool,
    },
}

/// Runs `sg-ai worker`.
///
/// # Errors
/// When the database or the place of candles cannot be had.
pub(crate) async fn worker(args: WorkerArgs, ctx: &Context) -> Result<(), CliError> {
    if args.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
        return Err(CliError::Usage("--name must not be empty".to_owned()));
    }
    Ok(daemon::work(ctx.config(), ctx.data_dir(), &ctx.clock, args.slots, args.name).await?)
}

/// Runs `sg-ai work`.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn run(args: WorkArgs, ctx: &Context) -> Result<(), CliError> {
    let WorkCommand::Status { json } = args.command;
    let database = Database::open(ctx.config()).await?;
    let status = database.store.work_status(Duration::from_secs(ctx.config().work.lease_s)).await;
    database.close().await;
    let status = status.context("cannot ask how work stands")?;
    if json {
        output::json(&status).context("standard output")?
    } else {
        output::text(told(&status)).context("standard output")?
    }
    Ok(())
}

fn told(s: &WorkStatus) -> String {
    let oldest = s.oldest_s.map(|oldest_s| format!(", the oldest for {oldest_s:.0} s")).unwrap_or_default();
    let mut text = format!(
        "{} items wait{oldest}; {} are taken ({} overdue), {} failed, {} done, {:.2} a second of late\n",
        s.waiting, s.taken, s.overdue, s.failed, s.done, s.done_per_second
    );
    text += &format!("{} were lost by a worker and done by another; {} results disagreed\n", s.lost, s.disagreements);
    for (kind, n) in &s.kinds {
        text += &format!(
            "{kind}: {} wait, {} taken, {} done, {} failed, {} cancelled\n",
            n.waiting, n.taken, n.done, n.failed, n.cancelled
        );
    }
    for f in &s.failures {
        let (who, error) = (f.worker.as_deref().unwrap_or("nobody"), telemetry::without_user_info(&f.error));
        text += &format!("item {} ({}) failed at {who}, taken {} times: {error}\n", f.id, f.kind, f.attempts);
    }
    for w in &s.workers {
        let there = if w.is_there { "there" } else { "not heard of any more" };
        text += &format!(
            "{}: {there}, on {}, {} of {} slots at work, {} done, build {}\n",
            w.name,
            w.host.as_deref().unwrap_or("a machine without a name"),
            w.has,
            w.slots,
            w.done,
            w.code_version
        );
    }
    text
}

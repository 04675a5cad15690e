//! `sg-ai audit`: asks whether the audit trail holds. Repairs nothing.

use super::{CliError, Context, output};
use crate::store::{Store, embedded::Database};
use anyhow::Context as _;
use clap::{Args, Subcommand};

/// Look into the audit trail.
#[derive(Args, Debug)]
pub struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Read the whole trail and name the first entry that was edited, inserted, removed or reordered
    Verify {
        /// Print one JSON object instead of a line
        #[arg(long)]
        json: bool,
    },
}

/// Runs `sg-ai audit`.
///
/// # Errors
/// When the trail does not hold, or the database does not answer.
pub async fn run(args: AuditArgs, ctx: &Context) -> Result<(), CliError> {
    let AuditCommand::Verify { json } = args.command;
    let config = &ctx.config().store;
    let database = Database::open(config).await.context("database")?;
    let store = Store::connect(&database.options, config).await.context("database")?;
    let report = store.verify_audit_chain().await.context("audit trail")?;
    store.close();
    database.close().await;
    if json {
        output::json(&report).context("standard output")?;
    } else if report.first_bad.is_none() {
        let unkeyed = match report.unkeyed {
            0 => String::new(),
            n => format!(", {n} of them without a key"),
        };
        let head = &report.head.hash;
        output::line(format!("{} entries hold{unkeyed}; head {head}", report.entries)).context("standard output")?;
    }
    match report.first_bad {
        None => Ok(()),
        Some(bad) => Err(anyhow::anyhow!("the audit trail does not hold: entry {} {}", bad.id, bad.problem).into()),
    }
}

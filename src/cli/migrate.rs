//! `sg-ai migrate`: brings the schema of the database up to date. The daemon does so by itself at its start.

use super::{CliError, Context, output};
use anyhow::Context as _;
use clap::Args;
use store::{Store, embedded::Database};

/// Bring the schema of the database up to date.
#[derive(Args, Debug)]
pub(crate) struct MigrateArgs {
    /// Print one JSON object instead of a line
    #[arg(long)]
    json: bool,
}

/// Runs `sg-ai migrate`.
///
/// # Errors
/// When the database does not answer, or its schema was made by a newer program.
pub(crate) async fn run(args: MigrateArgs, ctx: &Context) -> Result<(), CliError> {
    let config = &ctx.config().store;
    let database = Database::open(config).await.context("database")?;
    let store = Store::connect(&database.options, config).await.context("database")?;
    let report = store.migrate().await.context("migrate")?;
    store.close();
    database.close().await;
    let printed = if args.json {
        output::json(&report)
    } else if report.from == report.to {
        output::line(format!("schema version {}: nothing to do", report.to))
    } else {
        output::line(format!("schema brought from version {} to version {}", report.from, report.to))
    };
    Ok(printed.context("standard output")?)
}

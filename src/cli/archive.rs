//! `sg-ai archive`: what left the database for Parquet files, and how it comes back. Decides nothing.

use super::{CliError, Context, format::operator, output};
use crate::usecases::archive_store::archive_store;
use crate::usecases::database::Database;
use anyhow::Context as _;
use chrono::DateTime;
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use object_store::ObjectStore;
use serde_json::json;
use std::sync::Arc;
use store::{Archive, Store};
use uuid::Uuid;

/// Look after rows that are old.
#[derive(Args, Debug)]
pub(crate) struct ArchiveArgs {
    #[command(subcommand)]
    command: ArchiveCommand,
}

#[derive(Debug, Subcommand)]
enum ArchiveCommand {
    /// List the archives
    List {
        /// Print JSON, an array
        #[arg(long)]
        json: bool,
    },
    /// Move what is older than it is kept to the archive now, as the daemon does each day
    Run {
        /// Print JSON, an array
        #[arg(long)]
        json: bool,
    },
    /// Read the files of all archives and say whether they are what was written
    Verify {
        /// Print one JSON object instead of a line
        #[arg(long)]
        json: bool,
    },
    /// Bring the rows of an archive back for 30 days
    Restore {
        /// Id of the archive
        archive: Uuid,
        /// Print one JSON object instead of a line
        #[arg(long)]
        json: bool,
    },
}

/// Runs `sg-ai archive`.
///
/// # Errors
/// When the database does not answer, or a file is missing or not what was written.
pub(crate) async fn run(args: ArchiveArgs, ctx: &Context) -> Result<(), CliError> {
    let opened = Database::open(ctx.config()).await?;
    let done = dispatch(args.command, &opened.store, ctx).await;
    opened.close().await;
    Ok(done?)
}

async fn dispatch(command: ArchiveCommand, store: &Store, ctx: &Context) -> anyhow::Result<()> {
    let objects: Arc<dyn ObjectStore> = archive_store(ctx.config(), ctx.data_dir())?;
    let actor = operator();
    match command {
        ArchiveCommand::List { json } => told(&store.archives().await?, json)?,
        ArchiveCommand::Run { json } => {
            let now =
                DateTime::from_timestamp_millis(ctx.clock.now_ms()).context("the clock is outside the calendar")?;
            let retention = &ctx.config().store.retention;
            told(&store.archive_old(objects.as_ref(), retention, now, &actor).await?, json)?;
            let removed = store.remove_unused_of_clients(retention.clients_days, &actor).await?;
            let (strategies, backtests) = (removed.strategies, removed.backtests);
            tracing::info!(strategies, backtests, "what clients posted and nobody uses is removed");
        }
        ArchiveCommand::Verify { json } => {
            let archives = store.archives().await?;
            for archive in &archives {
                store.verify_archive(objects.as_ref(), archive.id).await?;
            }
            if json {
                return Ok(output::json(&json!({ "verified": archives.len() }))?);
            }
            output::line(format!("{} archives are as they were written", archives.len()))?;
        }
        ArchiveCommand::Restore { archive, json } => {
            let restored = store.restore_archive(objects.as_ref(), archive, &actor).await?;
            if json {
                return Ok(output::json(&restored)?);
            }
            output::line(format!("{} rows of {} are back", restored.rows, restored.table))?;
        }
    }
    Ok(())
}

fn told(archives: &[Archive], json: bool) -> anyhow::Result<()> {
    if json {
        return Ok(output::json(&archives)?);
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["id", "table", "month", "rows", "bytes", "where", "file"]);
    for a in archives {
        let place = if a.dropped_at.is_some() { "archive" } else { "database and archive" };
        table.add_row([
            a.id.to_string(),
            a.table.clone(),
            a.from.format("%Y-%m").to_string(),
            a.rows.to_string(),
            a.bytes.to_string(),
            place.to_owned(),
            a.path.clone(),
        ]);
    }
    Ok(output::line(table.to_string())?)
}

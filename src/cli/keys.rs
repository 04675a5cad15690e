//! `sg-ai keys`: with which keys genomes are sealed, and sealing them anew. Makes and stores no key.

use super::{CliError, Context, format::operator, output};
use crate::usecases::database::Database;
use clap::{Args, Subcommand};
use serde_json::json;
use store::Store;

/// Strategies sealed anew in one transaction.
const BATCH: u32 = 500;

/// Look after the keys of sealed genomes.
#[derive(Args, Debug)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Tell how many strategies are sealed with which key
    List {
        /// Print JSON, an array
        #[arg(long)]
        json: bool,
    },
    /// Seal everything with the configured key that is not: after setting one, or another one. Stopped, it goes on
    /// where it was
    Rotate {
        /// Print one JSON object instead of a line
        #[arg(long)]
        json: bool,
    },
}

/// Runs `sg-ai keys`.
///
/// # Errors
/// When the database does not answer, or a genome needs a key that is not configured.
pub(crate) async fn run(args: KeysArgs, ctx: &Context) -> Result<(), CliError> {
    let opened = Database::open(ctx.config()).await?;
    let done = dispatch(args.command, &opened.store).await;
    opened.close().await;
    Ok(done?)
}

async fn dispatch(command: KeysCommand, store: &Store) -> anyhow::Result<()> {
    match command {
        KeysCommand::List { json } => {
            let (keys, current) = (store.genome_keys().await?, store.genome_key());
            let of = |key: &Option<String>| *key == current;
            if json {
                let row =
                    |(key, n): (&Option<String>, &u64)| json!({ "key": key, "strategies": n, "current": of(key) });
                return Ok(output::json(&keys.iter().map(row).collect::<Vec<_>>())?);
            }
            for (key, n) in &keys {
                let name = key.as_deref().unwrap_or("in the clear");
                output::line(format!("{name}  {n} strategies{}", if of(key) { "  (as configured)" } else { "" }))?;
            }
        }
        KeysCommand::Rotate { json } => {
            let actor = operator();
            let told = |done| tracing::info!(strategies = done, "sealed anew so far");
            let report = store.rotate_genome_keys(BATCH, &actor, told).await?;
            if json {
                return Ok(output::json(&report)?);
            }
            let how = report.key.as_ref().map_or_else(|| "in the clear".to_owned(), |key| format!("sealed with {key}"));
            output::line(format!(
                "everything is {how} now: {} strategies, {} dead letters, {} search states and {} messages were not",
                report.strategies, report.dead_letters, report.search_states, report.messages
            ))?;
        }
    }
    Ok(())
}

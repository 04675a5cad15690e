//! `sg-ai dead-letters`: look at what failed, and try a failed backtest again.

use super::{CliError, Context, format, output};
use crate::usecases::database::Database;
use crate::usecases::dead_letters;
use clap::{Args, Subcommand};
use serde_json::json;
use store::{DeadLetter, DeadLetterStatus, Page, Store};

/// Look at what failed, and try it again
#[derive(Args, Debug)]
pub(crate) struct DeadLettersArgs {
    #[command(subcommand)]
    command: DeadLettersCommand,
}

#[derive(Debug, Subcommand)]
enum DeadLettersCommand {
    /// List what failed, newest first
    List {
        /// Those that are done with, too
        #[arg(long)]
        all: bool,
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Leave out so many first
        #[arg(long, default_value_t = 0)]
        offset: u64,
        /// Print JSON, an array
        #[arg(long)]
        json: bool,
    },
    /// Run a failed backtest again: it is resolved if it succeeds, and stays open with the new error otherwise
    Retry {
        /// Number of the dead letter
        id: i64,
        /// Print JSON, an object
        #[arg(long)]
        json: bool,
    },
}

/// Runs `sg-ai dead-letters`.
///
/// # Errors
/// When the database does not answer, there is no such dead letter, or it failed again.
pub(crate) async fn run(args: DeadLettersArgs, ctx: &Context) -> Result<(), CliError> {
    let opened = Database::open(ctx.config()).await?;
    let done = match args.command {
        DeadLettersCommand::List { all, limit, offset, json } => {
            list(&opened.store, all, Page { limit, offset }, json).await
        }
        DeadLettersCommand::Retry { id, json } => retry(&opened.store, ctx, id, json).await,
    };
    opened.close().await;
    Ok(done?)
}

async fn list(store: &Store, all: bool, page: Page, json: bool) -> anyhow::Result<()> {
    let mut letters = store.dead_letters((!all).then_some(DeadLetterStatus::Open), page).await?;
    if !all {
        // One that was being tried again when the process ended is not done with either.
        letters.extend(store.dead_letters(Some(DeadLetterStatus::Retried), page).await?);
        letters.truncate(page.limit as usize);
    }
    if json {
        output::json(&letters)?;
    } else if letters.is_empty() {
        output::line(if all { "nothing ever failed" } else { "nothing is open" })?;
    } else {
        output::line(table(&letters))?;
    }
    Ok(())
}

fn table(letters: &[DeadLetter]) -> String {
    let mut table = output::table();
    table.set_header(["id", "kind", "what", "status", "failed", "retries", "last", "error"]);
    for letter in letters {
        let what: String = letter.subject.chars().take(16).collect();
        table.add_row([
            letter.id.to_string(),
            letter.kind.name().to_owned(),
            what,
            letter.status.name().to_owned(),
            letter.occurrences.to_string(),
            letter.retries.to_string(),
            letter.last_seen_at.format("%Y-%m-%d %H:%M").to_string(),
            letter.error.clone(),
        ]);
    }
    table.to_string()
}

async fn retry(store: &Store, ctx: &Context, id: i64, json: bool) -> anyhow::Result<()> {
    let actor = format::operator();
    let retried = dead_letters::retry(store, &ctx.models()?, id, &actor).await?;
    match &retried {
        Ok(performance) if json => {
            output::json(&json!({ "id": id, "resolved": true, "performance": performance }))?;
        }
        Ok(performance) => {
            let lines = format::performance_lines(performance);
            output::text(format!("{lines}\ndead letter {id} is resolved\n"))?;
        }
        Err(error) if json => {
            output::json(&json!({ "id": id, "resolved": false, "error": format!("{error:#}") }))?;
        }
        Err(_) => {}
    }
    retried.map(drop)
}

//! `sg-ai dead-letters`: look at what failed, and try a failed backtest again.

use super::{CliError, Context, data, output};
use crate::daemon::Database;
use crate::daemon::replay::{Recipe, replay};
use crate::store::{DeadLetter, DeadLetterKind, DeadLetterStatus, NewDeadLetter, Page, Store};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

/// Look at what failed, and try it again
#[derive(Args, Debug)]
pub struct DeadLettersArgs {
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
pub async fn run(args: DeadLettersArgs, ctx: &Context) -> Result<(), CliError> {
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

/// Which backtest failed: what the search stores with it.
#[derive(Deserialize)]
struct Failed {
    #[serde(flatten)]
    recipe: Recipe,
    from_ms: i64,
    to_ms: i64,
}

async fn retry(store: &Store, ctx: &Context, id: i64, json: bool) -> anyhow::Result<()> {
    let letter = store.dead_letter(id).await?;
    anyhow::ensure!(
        letter.kind == DeadLetterKind::Backtest,
        "dead letter {id} is a {}: only backtests can be tried again from here",
        letter.kind.name()
    );
    let genome = letter.genome.clone().with_context(|| format!("no genome is stored with dead letter {id}"))?;
    let actor = format!("operator {}", super::strategies::user());
    store.mark_dead_letter(id, DeadLetterStatus::Retried, &actor).await?;
    match again(ctx, &genome, &letter.context).await {
        Ok(performance) => {
            store.mark_dead_letter(id, DeadLetterStatus::Resolved, &actor).await?;
            if json {
                output::json(&json!({ "id": id, "resolved": true, "performance": performance }))?;
            } else {
                let lines = super::backtest::performance_lines(&performance);
                output::text(format!("{lines}\ndead letter {id} is resolved\n"))?;
            }
            Ok(())
        }
        Err(error) => {
            let failed = NewDeadLetter {
                kind: letter.kind,
                subject: letter.subject,
                error: format!("{error:#}"),
                genome: letter.genome,
                context: letter.context,
            };
            store.add_dead_letter(&failed).await?;
            if json {
                output::json(&json!({ "id": id, "resolved": false, "error": failed.error }))?;
            }
            Err(error.context(format!("dead letter {id} failed again and stays open")))
        }
    }
}

async fn again(ctx: &Context, genome: &Value, context: &Value) -> anyhow::Result<crate::engine::Performance> {
    let strategy = serde_json::from_value(genome.clone()).context("the stored genome does not read")?;
    let failed = Failed::deserialize(context).context("what is stored of the backtest does not do")?;
    let replayed = replay(&data::cache(ctx)?, &strategy, &failed.recipe, (failed.from_ms, failed.to_ms)).await?;
    Ok(replayed.outcome.performance)
}

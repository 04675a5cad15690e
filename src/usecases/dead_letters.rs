//! Runs the failed backtest of a dead letter again. Resolves it, or leaves it open with the new error; decides nothing.

use super::replay::replay_on;
use super::run_candles::RunSpec;
use super::whole_market::Cached;
use anyhow::Context as _;
use engine::{Performance, Recipe};
use serde::Deserialize;
use store::{DeadLetterKind, DeadLetterStatus, NewDeadLetter, Store};

/// Which backtest failed: what the search stores with it.
#[derive(Deserialize)]
struct Failed {
    #[serde(flatten)]
    recipe: Recipe,
    from_ms: i64,
    to_ms: i64,
}

/// Runs the failed backtest of a dead letter again: it is resolved if it succeeds, and stays open with the new error, the
/// inner one, otherwise.
///
/// # Errors
/// When there is no such dead letter, it is none of a backtest, or the store does not answer.
pub(crate) async fn retry(
    store: &Store,
    cached: Cached<'_>,
    id: i64,
    actor: &str,
) -> anyhow::Result<anyhow::Result<Performance>> {
    let letter = store.dead_letter(id).await?;
    anyhow::ensure!(
        letter.kind == DeadLetterKind::Backtest,
        "dead letter {id} is a {}: only backtests can be tried again",
        letter.kind.name()
    );
    let genome = letter.genome.with_context(|| format!("no genome is stored with dead letter {id}"))?;
    store.mark_dead_letter(id, DeadLetterStatus::Retried, actor).await?;
    let again = async {
        let failed = Failed::deserialize(&letter.context).context("what is stored of the backtest does not do")?;
        let spec = RunSpec::of_test(&failed.recipe, failed.to_ms);
        let range = (failed.from_ms, failed.to_ms);
        replay_on(cached, genome.read()?, (&failed.recipe.config, &spec), range).await
    };
    match again.await {
        Ok(replayed) => {
            store.mark_dead_letter(id, DeadLetterStatus::Resolved, actor).await?;
            Ok(Ok(replayed.ran.performance))
        }
        Err(error) => {
            let failed = NewDeadLetter {
                kind: letter.kind,
                subject: letter.subject,
                error: format!("{error:#}"),
                // What is stored of it stays.
                genome: None,
                context: letter.context,
            };
            store.add_dead_letter(&failed).await?;
            Ok(Err(error.context(format!("dead letter {id} failed again and stays open"))))
        }
    }
}

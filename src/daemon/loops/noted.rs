//! What a loop does, noted in the store for health and stats; an operator may let it rest. Does no work itself.

use crate::daemon::trouble::is_unreachable;
use crate::usecases::parts::Did;
use serde_json::json;
use store::Store;

/// Notes the beginning and the end of an activation. The note is not the work: failing to note fails nothing.
pub(crate) async fn noted(
    store: &Store,
    name: &'static str,
    work: impl Future<Output = anyhow::Result<Did>>,
) -> anyhow::Result<Did> {
    // Where it cannot be told whether it rests, it goes on: an operator can stop the process. Without a database there is
    // nothing to go on with.
    match store.pauses().await {
        Err(error) if error.is_unreachable() => return Err(error.into()),
        Ok(pauses) if pauses.iter().any(|pause| pause.runner == name) => {
            if let Err(error) =
                store.runner_heartbeat(name, Some(&json!({ "did": "resting: paused by an operator" }))).await
            {
                tracing::warn!(runner = name, %error, "cannot note that it rests");
            }
            return Ok(Did::Nothing);
        }
        _ => {}
    }
    if let Err(error) = store.runner_started(name).await {
        tracing::warn!(runner = name, %error, "cannot note the start");
    }
    let outcome = work.await;
    if outcome.as_ref().is_err_and(is_unreachable) {
        // It could not be noted, and is no failure of the loop.
        return outcome;
    }
    let failure = outcome.as_ref().err().map(|error| format!("{error:#}"));
    let detail = json!({ "did": outcome.as_ref().ok().map(|did| did.name()) });
    if !matches!(outcome, Ok(Did::StoodBy))
        && let Err(error) = store.runner_finished(name, failure.as_deref(), &detail).await
    {
        tracing::warn!(runner = name, %error, "cannot note the end");
    }
    outcome
}

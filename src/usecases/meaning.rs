//! Stored results that an earlier meaning of the engine computed: those that what changed concerns are found and scored
//! again, once, with that cause.
//!
//! Each strategy is settled in a transaction of its own, so a kill costs the one under way. A paper run that goes on is
//! computed from its beginning at each pass anyway: here the gate is asked with what it comes to, and the cause is kept.

use super::affected::{AffectedRun, AffectedStrategy};
use super::replay::stored_runs;
use super::rescore::{Cause, Outcomes, Rescorer};
use engine::{MEANING, MeaningChange};
use serde::Serialize;
use std::collections::BTreeSet;
use store::{LeaseToken, Store, StrategyDetail};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Strategies looked at in one go; most of them are read and left alone.
const LOOKED_AT: u32 = 500;
/// Strategies scored again in one pass of the daemon: revised candles are not to wait for all of them.
pub(crate) const A_PASS: usize = 25;

/// A strategy whose stored results mean something else than they would now.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outdated {
    #[serde(flatten)]
    pub(crate) strategy: AffectedStrategy,
    /// What changed for it, in words.
    pub(crate) cause: String,
}

/// What a pass came to.
#[derive(Debug, Default)]
pub(crate) struct CaughtUp {
    pub(crate) outcomes: Vec<Outcomes>,
    /// Nothing is left.
    pub(crate) is_done: bool,
}

/// Whether something of a strategy was computed by an earlier meaning and would come out otherwise now.
async fn outdated(store: &Store, id: Uuid) -> anyhow::Result<Option<Outdated>> {
    let detail = store.strategy(&id.to_string()).await?;
    let backtests = store.backtest_results(id).await?;
    Ok(concerned(detail, &backtests))
}

fn concerned(detail: StrategyDetail, backtests: &[store::BacktestRow]) -> Option<Outdated> {
    let genome = match detail.strategy.genome.read() {
        // What ranks the market has had one meaning so far.
        Ok(genome) => genome.rules()?.clone(),
        Err(error) => {
            tracing::warn!(strategy = detail.strategy.name, %error, "its results cannot be scored again");
            return None;
        }
    };
    let (mut changed, mut runs) = (BTreeSet::new(), Vec::new());
    for run in stored_runs(&detail, backtests) {
        let (Ok(recipe), Some(_)) = (&run.recipe, &run.performance) else { continue };
        let since = MeaningChange::since(recipe.config.engine_meaning, &genome, run.from_ms);
        if since.is_empty() {
            continue;
        }
        changed.extend(since);
        let (source, from_ms, to_ms, data_version) = (run.source, run.from_ms, run.to_ms, run.data_version.clone());
        runs.push(AffectedRun { source, from_ms, to_ms, data_version, data_version_now: None, run });
    }
    if runs.is_empty() {
        return None;
    }
    // In the order of the table.
    let changed: Vec<&str> = MeaningChange::ALL.iter().map(|c| c.what).filter(|what| changed.contains(what)).collect();
    let cause = format!("engine meaning {MEANING}: {}", changed.join("; "));
    Some(Outdated { strategy: AffectedStrategy::new(detail, runs), cause })
}

/// Every strategy that is to be scored again, up to a bound; changes nothing.
///
/// # Errors
/// When the store does not answer.
pub(crate) async fn all_outdated(store: &Store) -> anyhow::Result<Vec<Outdated>> {
    let mut all = Vec::new();
    for id in store.strategies_before_meaning(MEANING, 10 * LOOKED_AT).await? {
        all.extend(outdated(store, id).await?);
    }
    Ok(all)
}

impl Rescorer<'_> {
    /// Scores strategies of an earlier meaning again, at most `most`, and notes those that nothing of it concerns.
    ///
    /// # Errors
    /// When the store does not answer or the lease is lost; what was settled before stays settled.
    pub(crate) async fn catch_up(
        &self,
        lease: &LeaseToken,
        most: usize,
        stop: &CancellationToken,
    ) -> anyhow::Result<CaughtUp> {
        let mut done = CaughtUp::default();
        loop {
            let ids = self.store.strategies_before_meaning(MEANING, LOOKED_AT).await?;
            done.is_done = ids.is_empty();
            if done.is_done {
                return Ok(done);
            }
            for id in ids {
                if done.outcomes.len() >= most || stop.is_cancelled() {
                    return Ok(done);
                }
                let Some(Outdated { strategy, cause }) = outdated(self.store, id).await? else {
                    self.store.meaning_concerns_nothing(lease, id, MEANING).await?;
                    continue;
                };
                let cause = Cause { revision_ids: Vec::new(), engine_meaning: Some(MEANING), text: cause };
                done.outcomes.extend(self.rescore(lease, &cause, &[strategy]).await?);
            }
        }
    }
}

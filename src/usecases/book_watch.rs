//! What a live book has at work: its share, as its days and the limits say, set and told. Moves no book.

use super::book::Decided;
use super::parts::Compute;
use crate::config::Config;
use ::book::{Share, ShareRules, Walk, share};
use lifecycle::{AllocationPolicy, DeploymentStatus, DriftConfig, State};
use store::{BookDeployment, BookMember, BookRow, LeaseToken, Store};

/// By what a book is sized.
#[derive(Clone, Debug)]
pub(crate) struct BookLimits {
    allocation: AllocationPolicy,
    drift: DriftConfig,
}

impl BookLimits {
    pub(crate) fn of(config: &Config) -> Self {
        Self { allocation: config.deployment.clone(), drift: config.drift.clone() }
    }
}

/// Sizes live books.
pub(crate) struct BookWatch {
    store: Store,
    compute: Compute,
    limits: BookLimits,
}

impl BookWatch {
    pub(crate) const fn new(store: Store, compute: Compute, limits: BookLimits) -> Self {
        Self { store, compute, limits }
    }

    /// Sets what a live book has at work after its newest day; `frozen_ms` is when its newest block began. One that an
    /// operator holds stays as it is.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn size(
        &self,
        row: &BookRow,
        decided: Decided,
        frozen_ms: i64,
        token: &LeaseToken,
    ) -> anyhow::Result<()> {
        if row.state != State::Live {
            return Ok(());
        }
        let now = self.store.book_deployment(row.id).await?;
        if now.as_ref().is_some_and(|now| now.held) {
            return Ok(());
        }
        let Decided { course, days, .. } = decided;
        let Some(live_ms) = course.live_ms else { return Ok(()) };
        let of_strategies = store::total_pct(&self.store.open_deployments().await?);
        let (limits, seed) = (self.limits.clone(), row.seed);
        let room_pct = limits.allocation.max_total_pct - of_strategies;
        let found = move || {
            let level = course.decay.map(|verdict| verdict.level);
            let rules = ShareRules { policy: &limits.allocation, drift: &limits.drift, room_pct, seed };
            share(&days, (live_ms, frozen_ms), level, rules)
        };
        let found = self.compute.run(found).await?;
        let wanted = deployment(row, live_ms, now.as_ref(), &found);
        let changes = now.as_ref().is_none_or(|now| {
            (now.phase, now.status, now.allocation_pct) != (wanted.phase, wanted.status, wanted.allocation_pct)
        });
        match self.store.set_book_deployment(&wanted, "book", Some(token)).await {
            Ok(_) if changes => tracing::info!(
                book = row.number,
                phase = wanted.phase.name(),
                status = wanted.status.name(),
                allocation_pct = wanted.allocation_pct,
                reason = wanted.reasons.join("; "),
                "the book's deployment changes"
            ),
            Ok(_) => {}
            // An operator has disabled it meanwhile: the next look sees that.
            Err(store::StoreError::Conflict(why)) => tracing::info!(book = row.number, why, "no change"),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

fn deployment(row: &BookRow, live_ms: i64, now: Option<&BookDeployment>, found: &Share) -> BookDeployment {
    let status = if found.pct.is_some() { DeploymentStatus::Active } else { DeploymentStatus::Paused };
    BookDeployment {
        book_id: row.id,
        phase: found.phase,
        phase_market_ms: found.phase_from_ms,
        status,
        allocation_pct: found.pct.or_else(|| now.map(|now| now.allocation_pct)).unwrap_or(0.0),
        held: false,
        reasons: found.reasons.clone(),
        started_market_ms: live_ms,
        ended_market_ms: None,
    }
}

/// Who trades in the blocks that a step can have changed, by hash.
pub(crate) fn members_of(walk: &Walk) -> Vec<BookMember> {
    let frozen = walk.frozen().zip(walk.next()).map(|(chosen, block)| (block.begin_ms, &chosen.members));
    let last = walk.blocks().last().map(|block| (block.block.begin_ms, &block.members));
    let mut all = Vec::new();
    for (begin_ms, members) in last.into_iter().chain(frozen) {
        for (place, m) in (0..).zip(members) {
            all.push(BookMember {
                begin_ms,
                place,
                genome_hash: m.strategy.hash().to_string(),
                niche: m.niche.clone(),
                weight: m.weight,
                expected_sharpe: m.expected_sharpe,
                false_discovery: m.false_discovery,
            });
        }
    }
    all
}

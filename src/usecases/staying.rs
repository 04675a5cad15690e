//! Whether live strategies still do what they were promoted for: the detectors of each, calibrated once.
//!
//! Asked by the gate's reviews and by the deployment manager; decides nothing.

use super::core::Core;
use engine::Trade;
use lifecycle::{StayingDetectors, StayingVerdict, results_in_risk};
use std::collections::{BTreeMap, btree_map::Entry};
use std::sync::Arc;
use uuid::Uuid;

/// Detectors of live strategies, by paper run: what proved a strategy is settled when it goes live.
#[derive(Default)]
pub(crate) struct StayingWatch(BTreeMap<Uuid, StayingDetectors>);

impl StayingWatch {
    /// What the detectors of a live strategy say of the trades of its run so far; `None` before the first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn verdict(
        &mut self,
        core: &Arc<Core>,
        (strategy_id, run_id): (Uuid, Uuid),
        trades: &[Trade],
    ) -> anyhow::Result<Option<StayingVerdict>> {
        let live_r = results_in_risk(trades);
        if live_r.is_empty() {
            return Ok(None);
        }
        let detectors = match self.0.entry(run_id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let expected_r = core.store.proving_results(strategy_id).await?;
                let (config, seed) = (core.staying.clone(), core.seed.child("staying", strategy_id.as_u128() as u64));
                new.insert(core.compute(move || StayingDetectors::calibrate(&expected_r, &config, seed)).await?)
            }
        };
        Ok(Some(detectors.judge(&live_r)))
    }

    /// Forgets the runs that have ended.
    pub(crate) fn keep(&mut self, is_live: impl Fn(Uuid) -> bool) {
        self.0.retain(|run_id, _| is_live(*run_id));
    }
}

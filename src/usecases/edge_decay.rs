//! Whether live strategies still do what they were promoted for: the detectors of each, calibrated once.
//!
//! Asked by the gate's reviews and by the deployment manager; decides nothing.

use super::parts::Compute;
use engine::Trade;
use genome::random::Seed;
use lifecycle::{EdgeDecayConfig, EdgeDecayDetectors, EdgeDecayVerdict, results_in_risk};
use std::collections::{BTreeMap, btree_map::Entry};
use store::Store;
use uuid::Uuid;

/// Detectors of live strategies: what proved a strategy is settled when it goes live.
pub(crate) struct EdgeDecayMonitor {
    store: Store,
    compute: Compute,
    config: EdgeDecayConfig,
    seed: Seed,
    /// By paper run.
    known: BTreeMap<Uuid, EdgeDecayDetectors>,
}

impl EdgeDecayMonitor {
    /// Knows of nobody yet.
    pub(crate) fn new(store: Store, compute: Compute, config: EdgeDecayConfig, seed: Seed) -> Self {
        Self { store, compute, config, seed, known: BTreeMap::new() }
    }

    /// What the detectors of a live strategy say of the trades of its run so far; `None` before the first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn verdict(
        &mut self,
        (strategy_id, run_id): (Uuid, Uuid),
        trades: &[Trade],
    ) -> anyhow::Result<Option<EdgeDecayVerdict>> {
        let live_r = results_in_risk(trades);
        if live_r.is_empty() {
            return Ok(None);
        }
        let detectors = match self.known.entry(run_id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let expected_r = self.store.proving_results(strategy_id).await?;
                let (config, seed) = (self.config.clone(), self.seed.child("staying", strategy_id.as_u128() as u64));
                new.insert(self.compute.run(move || EdgeDecayDetectors::calibrate(&expected_r, &config, seed)).await?)
            }
        };
        Ok(Some(detectors.judge(&live_r)))
    }

    /// Forgets the runs that have ended.
    pub(crate) fn keep(&mut self, is_live: impl Fn(Uuid) -> bool) {
        self.known.retain(|run_id, _| is_live(*run_id));
    }
}

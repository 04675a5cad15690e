//! Whether live strategies still do what they were promoted for: the detectors of each, calibrated once.
//!
//! Asked by the gate's reviews and by the deployment manager; decides nothing.

use super::parts::Compute;
use super::ran::LiveResults;
use genome::random::Seed;
use lifecycle::{EdgeDecayConfig, EdgeDecayDetectors, EdgeDecayVerdict, results_in_risk};
use protocol::{Book, DayBook};
use std::collections::BTreeMap;
use store::Store;
use uuid::Uuid;

/// Detectors of live strategies: what proved a strategy is settled when it goes live.
pub(crate) struct EdgeDecayMonitor {
    store: Store,
    compute: Compute,
    config: EdgeDecayConfig,
    seed: Seed,
    /// By paper run, with the units of days of a strategy that ranks the market.
    known: BTreeMap<Uuid, (EdgeDecayDetectors, Option<DayBook>)>,
}

impl EdgeDecayMonitor {
    /// Knows of nobody yet.
    pub(crate) fn new(store: Store, compute: Compute, config: EdgeDecayConfig, seed: Seed) -> Self {
        Self { store, compute, config, seed, known: BTreeMap::new() }
    }

    /// What the detectors of a live strategy say of its run so far; `None` before the first result.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn verdict(
        &mut self,
        (strategy_id, run_id): (Uuid, Uuid),
        live: LiveResults<'_>,
    ) -> anyhow::Result<Option<EdgeDecayVerdict>> {
        let is_empty = match live {
            LiveResults::Trades(trades) => results_in_risk(trades).is_empty(),
            LiveResults::Hedged(days) => days.is_empty(),
        };
        if is_empty {
            return Ok(None);
        }
        if !self.known.contains_key(&run_id) {
            let known = match live {
                LiveResults::Trades(_) => {
                    let expected_r = self.store.proving_results(strategy_id).await?;
                    Some((expected_r, None))
                }
                LiveResults::Hedged(_) => self.proven_days(strategy_id).await?,
            };
            // Without a standing nobody proved anything: an operator let it go live.
            let Some((expected_r, book)) = known else { return Ok(None) };
            let (config, seed) = (self.config.clone(), self.seed.child("staying", strategy_id.as_u128() as u64));
            let calibrate = move || EdgeDecayDetectors::calibrate(&expected_r, &config, seed);
            let detectors = self.compute.run(calibrate).await?;
            self.known.insert(run_id, (detectors, book));
        }
        let Some((detectors, book)) = self.known.get(&run_id) else { return Ok(None) };
        let live_r = match (live, book) {
            (LiveResults::Trades(trades), _) => results_in_risk(trades),
            (LiveResults::Hedged(days), Some(book)) => book.in_deviations(days),
            (LiveResults::Hedged(_), None) => return Ok(None),
        };
        Ok(Some(detectors.judge(&live_r)))
    }

    /// Days on which a strategy that ranks the market was proven, deviations, and what their units are.
    async fn proven_days(&self, strategy_id: Uuid) -> anyhow::Result<Option<(Vec<f64>, Option<DayBook>)>> {
        let standing = self.store.standings(&[strategy_id]).await?.remove(&strategy_id);
        let Some(Book::Days(book)) = standing.map(|standing| standing.book) else { return Ok(None) };
        let mut days = self.store.proving_days(strategy_id).await?;
        days.holdout.extend(book.in_deviations(&days.shadow));
        Ok(Some((days.holdout, Some(book))))
    }

    /// Forgets the runs that have ended.
    pub(crate) fn keep(&mut self, is_live: impl Fn(Uuid) -> bool) {
        self.known.retain(|run_id, _| is_live(*run_id));
    }
}

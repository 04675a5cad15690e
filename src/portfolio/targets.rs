//! Targets at a rebalance: weights of the members that have a score, smoothed and held to limits. Trades nothing.

use crate::{
    Execution, Seat,
    prepared::Ready,
    slopes::betas,
    state::{State, Targets, Trader},
    weights::{self, Ranked},
};

impl Trader<'_> {
    /// Sets targets and leaves their orders; gives how many members there are, and how many have a score.
    pub(crate) fn rebalance(
        &self,
        state: &mut State<'_>,
        next: usize,
        (slot, close_ms): (Option<usize>, i64),
        equity: f64,
    ) -> (u32, u32) {
        if let Some(told) = self.told {
            let at = told.binary_search_by_key(&close_ms, |rebalance| rebalance.time_ms);
            let Some(rebalance) = at.ok().map(|at| &told[at]) else { return (0, 0) };
            state.targets.newest.clone_from(&rebalance.targets);
            self.hold_to_limits(&mut state.targets.newest, slot);
            self.order(state, next, equity);
            return (rebalance.members, rebalance.ranked);
        }
        let Ready { scores, members, .. } = self.ready;
        let places = slot.map_or(0..0, |slot| members.places(slot));
        let all = &members.seats()[places.clone()];
        let Targets { newest, smoothing, left, volatilities, seats, weighing } = &mut state.targets;
        scores.at(places.clone(), left);
        let seats: &[Seat] = if left.is_whole() {
            all
        } else {
            seats.clear();
            seats.extend(left.places().iter().map(|place| members.seats()[*place]));
            seats
        };
        let volatilities: Option<&[f64]> = scores.volatility.as_ref().map(|all| {
            if left.is_whole() {
                return &all[places.clone()];
            }
            volatilities.clear();
            volatilities.extend(left.places().iter().map(|place| all[*place]));
            &volatilities[..]
        });
        let computed;
        let betas = match (self.strategy.weights.beta_neutral, &self.ready.betas, slot) {
            (None, ..) => None,
            (Some(_), Some(shared), Some(slot)) if left.is_whole() => Some(shared.at(self.panel, slot, all)),
            (Some(returns), ..) => {
                computed = betas(self.panel, seats, returns as usize);
                Some(&computed[..])
            }
        };
        let ranked = Ranked { scores: left.scores(), volatilities, betas };
        let weights = &self.strategy.weights;
        let raw = weights::target(weights, self.strategy.gross.get(), &ranked, weighing);
        smoothing.targets((seats, raw), weights.smooth as usize, self.panel.instruments().len(), newest);
        self.hold_to_limits(newest, slot);
        let counts = (all.len() as u32, seats.len() as u32);
        self.order(state, next, equity);
        counts
    }

    /// What cannot be sold short is not, and no more is held than may be.
    fn hold_to_limits(&self, targets: &mut Vec<(u32, f64)>, slot: Option<usize>) {
        let Execution { greatest_gross, greatest_one_sided_gross, .. } = self.terms.execution;
        if let Some(lenders) = &self.ready.lenders {
            let seats = slot.map(|slot| lenders.at(slot)).unwrap_or_default();
            let is_lent = |instrument: &u32| seats.binary_search_by_key(instrument, |s| s.instrument).is_ok();
            targets.retain(|(instrument, target)| *target > 0.0 || is_lent(instrument));
        }
        if greatest_gross <= 0.0 && greatest_one_sided_gross <= 0.0 {
            return;
        }
        let gross: f64 = targets.iter().map(|(_, t)| t.abs()).sum();
        let one_sided = targets.iter().all(|(_, t)| *t > 0.0) || targets.iter().all(|(_, t)| *t < 0.0);
        let limits = [(true, greatest_gross), (one_sided, greatest_one_sided_gross)];
        let most = limits.into_iter().filter(|(holds, most)| *holds && *most > 0.0).map(|(_, most)| most);
        let most = most.fold(f64::INFINITY, f64::min);
        if gross > most {
            targets.iter_mut().for_each(|(_, target)| *target *= most / gross);
        }
    }
}

//! The archive: the best of each kind of strategy ever seen, no two of which earn alike. Never evaluates.
//!
//! Kinds are cells of a MAP-Elites grid: what the idea is (family, sides, timeframe) and how it behaves (how long it
//! holds, how often it trades); of strategies that rank the market, their niche (horizon, turnover, data, legs) and timeframe. A cell is held by whoever is fitter. Strategies of different cells may still be one
//! bet in two disguises, so the correlation of daily returns inside the archive is bounded: of two that earn too much
//! alike only the fitter stays.
//!
//! Source: Mouret and Clune, Illuminating search spaces by mapping elites (2015).

use super::SearchConfig;
use super::profile::Profile;
use super::state::{Individual, rank};
use genome::{
    AnyNiche, RankingNiche, Timeframe,
    niche::{Family, Sides},
};
use std::collections::HashMap;
use std::hash::Hash;

/// Upper ends of the holding-time bands, hours; the last band has none.
const HOLDING_HOURS: [f64; 3] = [2.0, 8.0, 36.0];
/// Upper ends of the turnover bands, trades a day over all symbols; the last band has none.
const TRADES_A_DAY: [f64; 3] = [0.5, 2.0, 6.0];

/// A cell of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Cell {
    /// Of strategies of rules.
    Rules {
        /// Kind of idea.
        family: Family,
        /// Sides traded.
        sides: Sides,
        /// Base timeframe.
        timeframe: Timeframe,
        /// Band of the mean holding time: below 2 hours, 8 hours, 36 hours, or longer.
        holding: u8,
        /// Band of the turnover: below 0.5, 2, 6 trades a day, or more.
        turnover: u8,
    },
    /// Of strategies that rank the market: how long they hold and how much they trade follows from what they are.
    Ranking {
        /// Horizon, turnover, data, legs.
        niche: RankingNiche,
        /// Base timeframe.
        timeframe: Timeframe,
    },
}

impl Cell {
    /// Where a strategy belongs; `None` before it was evaluated.
    #[must_use]
    pub(super) fn of(individual: &Individual) -> Option<Self> {
        let summary = &individual.measured.as_ref()?.summary;
        let days = f64::from(summary.days.max(1));
        let timeframe = individual.strategy.timeframe();
        Some(match AnyNiche::of(&individual.strategy) {
            AnyNiche::Rules(niche) => Self::Rules {
                family: niche.family,
                sides: niche.sides,
                timeframe,
                holding: band(summary.avg_trade_duration_hours.unwrap_or(0.0), &HOLDING_HOURS),
                turnover: band(f64::from(summary.total_trades) / days, &TRADES_A_DAY),
            },
            AnyNiche::Ranking(niche) => Self::Ranking { niche, timeframe },
        })
    }
}

fn band(value: f64, ends: &[f64]) -> u8 {
    ends.iter().take_while(|end| value >= **end).count() as u8
}

/// Whoever is fitter holds each cell. Cells have an order, so that the result does not depend on anything else; of
/// equals the one that was there first stays.
#[must_use]
pub(super) fn holders<K: Hash + Eq + Ord + Copy>(entries: impl IntoIterator<Item = (K, f64)>) -> Vec<(K, usize)> {
    let mut best: HashMap<K, (usize, f64)> = HashMap::new();
    for (i, (cell, fitness)) in entries.into_iter().enumerate() {
        let holder = best.entry(cell).or_insert((i, fitness));
        if fitness > holder.1 {
            *holder = (i, fitness);
        }
    }
    let mut held: Vec<(K, usize)> = best.into_iter().map(|(cell, (i, _))| (cell, i)).collect();
    held.sort_unstable();
    held
}

/// The archive after offspring (those of `contenders` that still have their profile): the fittest of each cell, best
/// first, each correlated at most as the settings allow with everything better.
pub(super) fn updated(config: &SearchConfig, old: Vec<Individual>, contenders: &[Individual]) -> Vec<Individual> {
    let profile = |i: &Individual| i.measured.as_ref().and_then(|m| m.profile.clone());
    let mut all = old;
    all.extend(contenders.iter().filter(|i| profile(i).is_some()).cloned());
    rank(&mut all);
    let cells: Vec<(Cell, f64)> = all.iter().filter_map(|i| Some((Cell::of(i)?, i.fitness()))).collect();
    let mut places: Vec<usize> = holders(cells).into_iter().map(|(_, place)| place).collect();
    places.sort_unstable();
    let mut kept: Vec<(Profile, Individual)> = Vec::new();
    for place in places {
        if kept.len() >= config.archive_size {
            break;
        }
        let Some(profile) = profile(&all[place]) else { continue };
        let alike = |other: &Profile| profile.correlation(other).is_some_and(|c| c > config.archive_max_correlation);
        if !kept.iter().any(|(other, _)| alike(other)) {
            kept.push((profile, all[place].clone()));
        }
    }
    kept.into_iter().map(|(_, individual)| individual).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_begin_at_their_ends() {
        assert_eq!([0.0, 1.9, 2.0, 8.0, 35.0, 36.0, 1e6].map(|h| band(h, &HOLDING_HOURS)), [0, 0, 1, 2, 2, 3, 3]);
    }

    #[test]
    fn the_fitter_holds_a_cell_and_the_first_of_equals() {
        let held = holders([((1, 1), 0.5), ((0, 2), 0.1), ((1, 1), 0.7), ((0, 2), 0.1), ((1, 1), 0.6)]);
        assert_eq!(held, [((0, 2), 1), ((1, 1), 2)]);
    }
}

//! The archive: the best of each kind of strategy ever seen, no two of which earn alike. Never evaluates.
//!
//! Kinds are cells of a MAP-Elites grid: what the idea is (family, sides, timeframe) and how it behaves (how long it
//! holds, how often it trades). A cell is held by whoever is fitter. Strategies of different cells may still be one
//! bet in two disguises, so the correlation of daily returns inside the archive is bounded: of two that earn too much
//! alike only the fitter stays.
//!
//! Source: Mouret and Clune, Illuminating search spaces by mapping elites (2015).

use super::generation::rank;
use super::{Individual, SearchConfig};
use genome::{
    Timeframe,
    niche::{Family, Niche, Sides},
};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::hash::Hash;

/// Upper ends of the holding-time bands, hours; the last band has none.
const HOLDING_HOURS: [f64; 3] = [2.0, 8.0, 36.0];
/// Upper ends of the turnover bands, trades a day over all symbols; the last band has none.
const TRADES_A_DAY: [f64; 3] = [0.5, 2.0, 6.0];

/// A cell of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    /// Kind of idea.
    pub family: Family,
    /// Sides traded.
    pub sides: Sides,
    /// Base timeframe.
    pub timeframe: Timeframe,
    /// Band of the mean holding time: below 2 hours, 8 hours, 36 hours, or longer.
    pub holding: u8,
    /// Band of the turnover: below 0.5, 2, 6 trades a day, or more.
    pub turnover: u8,
}

impl Cell {
    /// Where a strategy belongs; `None` before it was evaluated.
    #[must_use]
    pub fn of(individual: &Individual) -> Option<Self> {
        let Niche { family, sides, timeframe, .. } = Niche::of(&individual.strategy);
        let summary = &individual.measured.as_ref()?.summary;
        let days = f64::from(summary.days.max(1));
        Some(Self {
            family,
            sides,
            timeframe,
            holding: band(summary.avg_trade_duration_hours.unwrap_or(0.0), &HOLDING_HOURS),
            turnover: band(f64::from(summary.total_trades) / days, &TRADES_A_DAY),
        })
    }
}

fn band(value: f64, ends: &[f64]) -> u8 {
    ends.iter().take_while(|end| value >= **end).count() as u8
}

/// Daily returns less their mean, scaled to length 1: the product of two is their correlation. In single precision,
/// which is enough to tell likeness and halves the stored state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Profile(Vec<f32>);

impl Profile {
    /// Of daily returns; `None` without variance.
    #[must_use]
    pub fn of(daily_returns: &[f64]) -> Option<Self> {
        let mean = daily_returns.iter().sum::<f64>() / daily_returns.len() as f64;
        let length = daily_returns.iter().map(|r| (r - mean).powi(2)).sum::<f64>().sqrt();
        let unit = (length > 0.0 && length.is_finite()).then_some(length)?;
        Some(Self(daily_returns.iter().map(|r| ((r - mean) / unit) as f32).collect()))
    }

    /// Correlation of two strategies' daily returns; `None` where they cover different numbers of days.
    #[must_use]
    pub fn correlation(&self, other: &Self) -> Option<f64> {
        let pairs = self.0.iter().zip(&other.0);
        (self.0.len() == other.0.len()).then(|| pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum())
    }
}

/// Eight hex digits a day: an array of numbers would take twice the room in the stored state.
impl From<Profile> for String {
    fn from(profile: Profile) -> Self {
        profile.0.iter().map(|value| format!("{:08x}", value.to_bits())).collect()
    }
}
impl From<String> for Profile {
    fn from(text: String) -> Self {
        let bits = text.as_bytes().chunks(8).filter_map(|c| u32::from_str_radix(std::str::from_utf8(c).ok()?, 16).ok());
        Self(bits.map(f32::from_bits).collect())
    }
}

/// Whoever is fitter holds each cell. Cells have an order, so that the result does not depend on anything else; of
/// equals the one that was there first stays.
#[must_use]
pub fn holders<K: Hash + Eq + Ord + Copy>(entries: impl IntoIterator<Item = (K, f64)>) -> Vec<(K, usize)> {
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

/// The archive after newcomers (those of `contenders` that still have their profile): the fittest of each cell, best
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
    fn profiles_multiply_to_correlations() {
        let profile = |returns: &[f64]| Profile::of(returns).unwrap();
        let up = profile(&[0.01, 0.02, 0.03, 0.02]);
        assert!((up.correlation(&profile(&[0.1, 0.2, 0.3, 0.2])).unwrap() - 1.0).abs() < 1e-6);
        assert!((up.correlation(&profile(&[-0.1, -0.2, -0.3, -0.2])).unwrap() + 1.0).abs() < 1e-6);
        assert_eq!(up.correlation(&profile(&[0.1, 0.2])), None);
        assert_eq!((Profile::of(&[0.1, 0.1]), Profile::of(&[]), Profile::of(&[f64::NAN])), (None, None, None));
        let stored = serde_json::to_string(&up).unwrap();
        assert_eq!(serde_json::from_str::<Profile>(&stored).unwrap(), up);
    }

    #[test]
    fn the_fitter_holds_a_cell_and_the_first_of_equals() {
        let held = holders([((1, 1), 0.5), ((0, 2), 0.1), ((1, 1), 0.7), ((0, 2), 0.1), ((1, 1), 0.6)]);
        assert_eq!(held, [((0, 2), 1), ((1, 1), 2)]);
    }
}

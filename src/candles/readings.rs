//! What is known beside candles: what the market publishes (funding, premium, open interest, ratios of longs and shorts),
//! and what models predict, each with the time at which it was known.
//!
//! Never looks at a reading that was not known at the time asked for, and never fetches one.

use genome::ModelSeries;
use std::collections::BTreeMap;

/// Values of one kind in time order, each from the time on at which it was known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Readings {
    times_ms: Vec<i64>,
    values: Vec<f64>,
}

/// What the market of one symbol published, by kind; empty where nothing is cached.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MarketReadings {
    /// Funding rates, fractions of the notional, one a payment.
    pub funding: Readings,
    /// Closes of premium index candles, fractions of the index price.
    pub premium: Readings,
    /// Open interest in base units.
    pub open_interest: Readings,
    /// Open interest in quote units.
    pub open_interest_value: Readings,
    /// Long accounts over short accounts.
    pub long_short_ratio: Readings,
    /// Long positions over short positions of the top traders.
    pub top_long_short_ratio: Readings,
    /// Bought over sold volume of takers.
    pub taker_long_short_ratio: Readings,
    /// What models predict, by series, at closes (open + interval) of the models' candles. Whoever attaches predictions
    /// gives every series that a strategy asks for, an empty one where its model says nothing.
    pub models: BTreeMap<ModelSeries, Readings>,
}

impl MarketReadings {
    /// The same with other predictions in place of those that were there.
    #[must_use]
    pub fn with_models(&self, models: BTreeMap<ModelSeries, Readings>) -> Self {
        Self { models, ..self.clone() }
    }

    /// What models had predicted by a time, UTC ms.
    #[must_use]
    pub fn models_until(&self, time_ms: i64) -> BTreeMap<ModelSeries, Readings> {
        self.models.iter().map(|(series, readings)| (*series, readings.until(time_ms))).collect()
    }

    /// Every kind that the market publishes with its name in the language, in one order.
    #[must_use]
    pub fn named(&self) -> [(&'static str, &Readings); 7] {
        [
            ("funding", &self.funding),
            ("premium", &self.premium),
            ("open_interest", &self.open_interest),
            ("open_interest_value", &self.open_interest_value),
            ("long_short_ratio", &self.long_short_ratio),
            ("top_long_short_ratio", &self.top_long_short_ratio),
            ("taker_long_short_ratio", &self.taker_long_short_ratio),
        ]
    }
}

/// Why readings cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("the reading known at {time_ms} ms is {value}, which is no finite number")]
pub struct NotFinite {
    /// When it was known, UTC ms.
    pub time_ms: i64,
    /// The value.
    pub value: f64,
}

impl Readings {
    /// Readings from pairs of (when it was known in UTC ms, value) in any order. Of several known at one time the last
    /// given holds: a revision takes the place of what it revises.
    ///
    /// # Errors
    /// A value that is not finite.
    pub fn new(pairs: impl IntoIterator<Item = (i64, f64)>) -> Result<Self, NotFinite> {
        let mut pairs: Vec<(i64, f64)> = pairs.into_iter().collect();
        if let Some(&(time_ms, value)) = pairs.iter().find(|(_, value)| !value.is_finite()) {
            return Err(NotFinite { time_ms, value });
        }
        // Stable: pairs of one time stay in the order given.
        pairs.sort_by_key(|(time_ms, _)| *time_ms);
        let mut readings = Self::default();
        for (time_ms, value) in pairs {
            if readings.times_ms.last() == Some(&time_ms) {
                readings.values.pop();
            } else {
                readings.times_ms.push(time_ms);
            }
            readings.values.push(value);
        }
        Ok(readings)
    }

    /// Number of readings.
    #[must_use]
    pub fn len(&self) -> usize {
        self.times_ms.len()
    }
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.times_ms.is_empty()
    }
    /// When each was known, UTC ms, ascending.
    #[must_use]
    pub fn times_ms(&self) -> &[i64] {
        &self.times_ms
    }
    /// The values, in time order.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Those that were known at `time_ms`.
    #[must_use]
    pub fn until(&self, time_ms: i64) -> Self {
        let known = self.known_at(time_ms);
        Self { times_ms: self.times_ms[..known].to_vec(), values: self.values[..known].to_vec() }
    }

    /// How many were known at `time_ms`.
    fn known_at(&self, time_ms: i64) -> usize {
        self.times_ms.partition_point(|t| *t <= time_ms)
    }

    /// The newest reading known at `time_ms`, and since when.
    #[must_use]
    pub fn newest_at(&self, time_ms: i64) -> Option<(i64, f64)> {
        let last = self.known_at(time_ms).checked_sub(1)?;
        Some((self.times_ms[last], self.values[last]))
    }

    /// The newest value known at `time_ms`, however old.
    #[must_use]
    pub fn last_at(&self, time_ms: i64) -> Option<f64> {
        self.newest_at(time_ms).map(|(_, value)| value)
    }

    /// Values that became known after `from_ms` and no later than `to_ms`, in time order.
    #[must_use]
    pub fn between(&self, from_ms: i64, to_ms: i64) -> &[f64] {
        let to = self.known_at(to_ms);
        &self.values[self.known_at(from_ms).min(to)..to]
    }

    /// Sum of the values that became known after `from_ms` and no later than `to_ms`, added in time order; `None`
    /// without any.
    #[must_use]
    pub fn sum_since(&self, from_ms: i64, to_ms: i64) -> Option<f64> {
        let values = self.between(from_ms, to_ms);
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// Mean of the values that became known after `from_ms` and no later than `to_ms`; `None` without any.
    #[must_use]
    pub fn mean_since(&self, from_ms: i64, to_ms: i64) -> Option<f64> {
        let count = self.between(from_ms, to_ms).len();
        self.sum_since(from_ms, to_ms).map(|sum| sum / count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_seen_before_it_was_known() {
        let readings = Readings::new([(30, 3.0), (10, 1.0), (20, 2.0)]).unwrap();
        assert_eq!(readings.times_ms(), [10, 20, 30]);
        assert_eq!(readings.last_at(9), None);
        assert_eq!(readings.last_at(10), Some(1.0));
        assert_eq!(readings.newest_at(29), Some((20, 2.0)));
        assert_eq!(readings.last_at(i64::MAX), Some(3.0));
    }

    #[test]
    fn a_window_is_open_at_its_beginning_and_closed_at_its_end() {
        let readings = Readings::new([(10, 1.0), (20, 2.0), (30, 6.0)]).unwrap();
        assert_eq!(readings.between(10, 30), [2.0, 6.0]);
        assert_eq!(readings.sum_since(10, 30), Some(8.0));
        assert_eq!(readings.mean_since(9, 29), Some(1.5));
        assert_eq!(readings.mean_since(30, 40), None);
        assert_eq!(readings.sum_since(40, 10), None);
        assert_eq!(Readings::default().sum_since(0, 40), None);
    }

    #[test]
    fn a_revision_takes_the_place_of_what_it_revises() {
        let readings = Readings::new([(20, 2.0), (10, 1.0), (20, 2.5)]).unwrap();
        assert_eq!((readings.len(), readings.last_at(20)), (2, Some(2.5)));
        let said = Readings::new([(20, f64::NAN)]).unwrap_err().to_string();
        assert_eq!(said, "the reading known at 20 ms is NaN, which is no finite number");
    }
}

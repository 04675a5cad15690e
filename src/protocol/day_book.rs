//! Bets on the days of a strategy that ranks the market: hedged daily returns in units of their deviation (definitions,
//! section 8.3), by the same e-process as steps of rules.
//!
//! **What is tested.** No edge means: whatever the past, a day's hedged return has a mean of at most 0. Nothing is asked of
//! drifts of single coins: weights are set before the day, so a coin that rises for ever is knowledge if the ranking holds
//! it. What the market as a whole earns is taken off by a beta from days before.
//!
//! **The worst** that is reckoned with is the worst day of the search window, and at least 3.125 deviations: no bet is above
//! 0.16 of the capital a deviation, as the definitions have it, and none is lost whole before a day twice as bad.

use super::EvidenceDay;
use candles::time::DAY_MS;
use evidence::track::deviation;
use evidence::wealth::{Bets, Stake, Wealth};
use lifecycle::EValues;
use portfolio::Hedged;
use serde::{Deserialize, Serialize};

/// Least worst day that is reckoned with, deviations.
const LEAST_WORST: f64 = 3.125;

/// The bets and what they have come to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DayBook {
    /// Deviation (ddof 1) of the search window's hedged daily returns; what a day's return is divided by.
    deviation: f64,
    /// Worst day that is reckoned with, deviations.
    worst: f64,
    excess: Wealth,
    plain: Wealth,
}

impl DayBook {
    /// Bets that the search window's days suggest; nothing won or lost yet. `None` where they do not vary.
    #[must_use]
    pub fn open(days: &[Hedged]) -> Option<Self> {
        let hedged: Vec<f64> = days.iter().map(|day| day.hedged).collect();
        let deviation = deviation(&hedged).filter(|deviation| *deviation > 0.0 && deviation.is_finite())?;
        let in_deviations = |value: fn(&Hedged) -> f64| days.iter().map(move |day| value(day) / deviation);
        let worst = in_deviations(|day| day.hedged.min(day.net)).fold(0.0_f64, |worst, day| worst.max(-day));
        let bets = |steps: Vec<f64>| Wealth::new(Bets::suggested_by(&steps));
        Some(Self {
            deviation,
            worst: worst.max(LEAST_WORST),
            excess: bets(in_deviations(|day| day.hedged).collect()),
            plain: bets(in_deviations(|day| day.net).collect()),
        })
    }

    /// The same bets, with nothing seen yet.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self { excess: self.excess.anew(), plain: self.plain.anew(), ..self.clone() }
    }

    /// Bets on what comes next alone, weighted by what the bets have come to.
    #[must_use]
    pub fn succeeding(&self) -> Self {
        Self { excess: self.excess.succeeding(), plain: self.plain.succeeding(), ..self.clone() }
    }

    /// Takes days in that follow those seen so far.
    pub fn observe(&mut self, days: &[Hedged]) {
        let (deviation, worst) = (self.deviation, self.worst);
        let stake = |result: f64| Stake { result: result / deviation, worst, drift: &[] };
        self.excess.observe(days.iter().map(|day| stake(day.hedged)));
        self.plain.observe(days.iter().map(|day| stake(day.net)));
    }

    /// The same, with ln E at the end of each.
    pub(super) fn observe_by_day(&mut self, days: &[Hedged]) -> Vec<EvidenceDay> {
        let mut one = |day: &Hedged| {
            self.observe(std::slice::from_ref(day));
            (day.day_ms + DAY_MS, self.excess.log_e())
        };
        days.iter().map(&mut one).collect()
    }

    /// What is no day of a ranking proves nothing, for good.
    pub(super) fn ruin(&mut self) {
        let broken = Stake { result: f64::NAN, worst: self.worst, drift: &[] };
        self.excess.observe([broken]);
        self.plain.observe([broken]);
    }

    /// Hedged days in deviations of the search window: the results that detectors watch.
    #[must_use]
    pub fn results(&self, days: &[Hedged]) -> Vec<f64> {
        self.in_deviations(&days.iter().map(|day| day.hedged).collect::<Vec<_>>())
    }

    /// The same from hedged returns.
    #[must_use]
    pub fn in_deviations(&self, hedged: &[f64]) -> Vec<f64> {
        hedged.iter().map(|hedged| hedged / self.deviation).collect()
    }

    /// What they have come to.
    #[must_use]
    pub fn values(&self) -> EValues {
        EValues { log_excess: self.excess.log_e(), log_plain: self.plain.log_e() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use genome::random::Seed;
    use rand::RngExt as _;
    use rand_distr::StandardNormal;

    /// Days of a deviation of 1 % and a mean of so many deviations.
    fn days(seed: u64, count: usize, mean: f64) -> Vec<Hedged> {
        let mut rng = Seed(seed).stream("days", 0);
        let mut day = |number: usize| {
            let z: f64 = rng.sample(StandardNormal);
            let hedged = 0.01 * (z + mean);
            Hedged { day_ms: number as i64 * 86_400_000, net: hedged, benchmark: Some(0.0), beta: 0.0, hedged }
        };
        (0..count).map(&mut day).collect()
    }

    #[test]
    fn an_edge_becomes_evidence_and_none_does_not() {
        let searched = days(1, 700, 0.12);
        let book = DayBook::open(&searched).unwrap();
        // Of 400 strategies without an edge E reaches 20 with at most 1 in 20, and its mean is at most 1.
        let (mut reached, mut sum) = (0, 0.0);
        for seed in 0..400 {
            let mut book = book.clone();
            let mut most = 0.0_f64;
            for day in days(100 + seed, 365, 0.0) {
                book.observe(&[day]);
                most = most.max(book.values().log_excess.map_or(0.0, f64::exp));
            }
            reached += u32::from(most >= 20.0);
            sum += book.values().log_excess.map_or(0.0, f64::exp);
        }
        assert!(reached <= 32, "{reached} of 400");
        assert!(sum / 400.0 < 1.3, "{}", sum / 400.0);
        // A Sharpe ratio of 3 a year (0.157 deviations a day) proves itself in three years.
        let mut proven = 0;
        for seed in 0..40 {
            let mut book = book.clone();
            book.observe(&days(900 + seed, 1_095, 0.157));
            proven += u32::from(book.values().log_excess.is_some_and(|log| log > 20f64.ln()));
        }
        assert!(proven >= 30, "{proven} of 40");
    }

    #[test]
    fn two_stretches_are_one_process_and_broken_days_prove_nothing() {
        let book = DayBook::open(&days(1, 500, 0.1)).unwrap();
        let all = days(2, 300, 0.1);
        let (mut whole, mut parts) = (book.clone(), book.clone());
        whole.observe(&all);
        parts.observe(&all[..120]);
        let mut alone = parts.succeeding();
        parts.observe(&all[120..]);
        assert_eq!(whole, parts);
        alone.observe(&all[120..]);
        let sum = book_log(&book, &all[..120]) + alone.values().log_excess.unwrap();
        assert!((sum - whole.values().log_excess.unwrap()).abs() < 1e-9);
        whole.ruin();
        whole.observe(&all);
        assert_eq!(whole.values(), EValues { log_excess: None, log_plain: None });
        assert!(DayBook::open(&[]).is_none() && DayBook::open(&all[..1]).is_none());
        let still = vec![Hedged { hedged: 0.0, net: 0.0, ..all[0] }; 50];
        assert!(DayBook::open(&still).is_none());
        let stored = serde_json::to_string(&book).unwrap();
        assert_eq!(serde_json::from_str::<DayBook>(&stored).unwrap(), book);
    }

    fn book_log(book: &DayBook, days: &[Hedged]) -> f64 {
        let mut book = book.clone();
        book.observe(days);
        book.values().log_excess.unwrap()
    }
}

//! Whole lives of a book at the level of its days: how often it goes live with an edge and without, and how soon it leaves
//! when the edge dies, over thousands of lives in seconds.
//!
//! Requirements, bets and detectors are the real ones. The days are a model: hedged returns of the stated annual Sharpe ratio
//! with heavy tails (Student, 5 degrees of freedom) and volatility that clusters (an autoregression of its logarithm, 0.95 a
//! day, deviation 0.38). Searches nothing, and knows no placebo: a placebo only ever forbids.

use crate::{BookConfig, Course, DayFigures, course, course::Rules, needed_log_e, wealth, wealth::IDLE_DAYS};
use candles::time::DAY_MS;
use genome::random::Seed;
use lifecycle::EdgeDecayConfig;
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal, StudentT};
use serde::{Deserialize, Serialize};

/// What a book has.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "world")]
pub enum LifeWorld {
    /// Nothing.
    Noise,
    /// An annual Sharpe ratio for as long as it is watched.
    Lasting {
        /// Hedged, after costs.
        sharpe: f64,
    },
    /// One that is gone so many days before its life begins (below 0: after).
    Dying {
        /// Hedged, after costs, until then.
        sharpe: f64,
        /// Days.
        days_before: i64,
    },
}

/// A book's life.
#[derive(Clone, Copy, Debug)]
pub struct BookLife<'a> {
    /// What it has.
    pub world: LifeWorld,
    /// What going live needs.
    pub book: &'a BookConfig,
    /// What ends it.
    pub decay: &'a EdgeDecayConfig,
    /// Days of history before it.
    pub history_days: u32,
    /// Days in which it may go live.
    pub days: u32,
    /// Further days for which a live one is watched.
    pub watched_days: u32,
}

/// What became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BookLived {
    /// Days of its life until it went live; `None` where it did not within `days`.
    pub live_after_days: Option<u32>,
    /// Days from then until it left; `None` where it did not while it was watched.
    pub left_after_days: Option<u32>,
    /// Whether wealth had what going live needs when its life began.
    pub history_proves: bool,
    /// Sum of steps while it was live: what it earned, in units of a day's deviation.
    pub earned: f64,
}

impl BookLife<'_> {
    /// Lives it; the same seed gives the same life.
    #[must_use]
    pub fn live(&self, seed: Seed) -> BookLived {
        let days = self.days_of(seed);
        let began_ms = i64::from(self.history_days) * DAY_MS;
        let rules =
            Rules { book: self.book, decay: self.decay, pipeline: 1, began_ms, seed: seed.child("detectors", 0) };
        let history = days[..self.history_days as usize].last().and_then(|day| day.bet_log_e);
        let history_proves = history >= Some(needed_log_e(self.book, 1));
        let Course { live_ms, left_ms: left, .. } = course(&days, None, rules);
        let end_ms = began_ms + i64::from(self.days) * DAY_MS;
        let Some(live_ms) = live_ms.filter(|live_ms| *live_ms <= end_ms) else {
            return BookLived { history_proves, ..BookLived::default() };
        };
        let count = |ms: i64| u32::try_from(ms / DAY_MS).unwrap_or(0);
        let end = left.map_or(days.len(), |left| count(left) as usize);
        BookLived {
            history_proves,
            live_after_days: Some(count(live_ms - began_ms)),
            left_after_days: left.map(|left| count(left - live_ms)),
            earned: days[count(live_ms) as usize..end].iter().map(|day| day.bet_step).sum(),
        }
    }

    fn sharpe_on(&self, day: u32) -> f64 {
        match self.world {
            LifeWorld::Noise => 0.0,
            LifeWorld::Lasting { sharpe } => sharpe,
            LifeWorld::Dying { sharpe, days_before } => {
                if i64::from(day) < i64::from(self.history_days) - days_before {
                    sharpe
                } else {
                    0.0
                }
            }
        }
    }

    fn days_of(&self, seed: Seed) -> Vec<DayFigures> {
        let mut rng = seed.stream("days", 0);
        let student = StudentT::new(5.0).expect("5 is above 0");
        let (persistence, shock) = (0.95_f64, 0.12);
        let mut log_volatility = 0.0_f64;
        // Their means over time, so that a Sharpe ratio is what it says: E v^2 of exp of the autoregression, and 5/3.
        let mean_square = (2.0 * shock * shock / (1.0 - persistence * persistence)).exp() * 5.0 / 3.0;
        let (mut n, mut mean, mut squares) = (0.0_f64, 0.0_f64, 0.0_f64);
        let mut one = |day: u32| {
            let normal: f64 = rng.sample(StandardNormal);
            log_volatility = persistence * log_volatility + shock * normal;
            let noise = log_volatility.exp() * student.sample(&mut rng) / mean_square.sqrt();
            let hedged: f64 = 0.01 * (self.sharpe_on(day) / 365.0_f64.sqrt() + noise);
            let deviation = (squares / (n - 1.0)).sqrt();
            let step = if (day as usize) < IDLE_DAYS { 0.0 } else { hedged / deviation };
            n += 1.0;
            let from_mean = hedged - mean;
            mean += from_mean / n;
            squares += from_mean * (hedged - mean);
            (hedged, step)
        };
        let (hedged, steps): (Vec<f64>, Vec<f64>) =
            (0..self.history_days + self.days + self.watched_days).map(&mut one).unzip();
        DayFigures::of_hedged(&hedged, &wealth(&steps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(world: LifeWorld, of: impl Fn(&BookLived) -> bool) -> f64 {
        let (book, decay) = (BookConfig::default(), EdgeDecayConfig { paths: 200, ..EdgeDecayConfig::default() });
        let life = BookLife { world, book: &book, decay: &decay, history_days: 1_460, days: 365, watched_days: 365 };
        (0..60).filter(|n| of(&life.live(Seed(*n)))).count() as f64 / 60.0
    }

    #[test]
    fn strong_books_live_and_noise_does_not() {
        let live = |lived: &BookLived| lived.live_after_days.is_some();
        assert!(share(LifeWorld::Lasting { sharpe: 4.0 }, live) > 0.9);
        assert!(share(LifeWorld::Noise, live) < 0.1);
        // Dead for two years before: hardly ever. Dead after half a year of life: it leaves.
        assert!(share(LifeWorld::Dying { sharpe: 2.0, days_before: 730 }, live) < 0.35);
        let life = LifeWorld::Lasting { sharpe: 4.0 };
        assert!(share(life, |lived| lived.left_after_days.is_some()) < 0.2);
        let one = BookLife {
            world: life,
            book: &BookConfig::default(),
            decay: &EdgeDecayConfig::default(),
            history_days: 400,
            days: 100,
            watched_days: 0,
        };
        let days = one.days_of(Seed(3));
        let hedged: Vec<f64> = days.iter().map(|day| day.hedged).collect();
        // The quick deviation is the one of the definitions.
        for (day, bet) in days.iter().zip(crate::bets(&hedged)) {
            assert!((day.step - bet.step).abs() < 1e-9, "{day:?} {bet:?}");
        }
    }
}

//! Whether a model's calibration is still what it was: bets that it is not, which may be looked at after every step.
//!
//! **Steps.** Targets overlap, so one close a horizon counts: those whose time is a whole number of horizons since 1970. A
//! step is a horizon, or the whole horizons that fit into a day; what its forecasts came to is known when it ends.
//!
//! **Errors.** Of a step the *level* is the mean of y - p over its forecasts, where y is 1 if the target came out above its middle,
//! else 0; the *slope* is the mean of w (y - p), where w = (p - b) / (2 s), held within -1 and 1, b is the constant forecast and s
//! the mean of |p - b| before the step. A level above 0: more came than was said. A slope below 0: what was said for or against
//! holds less than was said.
//!
//! **What is tested.** Bets begin at every step, each against this: whatever the past, the mean error of a coming step is no
//! further from the mean before the bet began (two years at most, [`LEAST_BEFORE`] steps at least) than a tolerance plus two
//! standard errors of that mean. The tolerance is 0.02 of a level and a quarter of mean w (p - b) of a slope. Nothing is
//! assumed of how symbols hang together: a step is one result.
//!
//! **Why it may be looked at each day.** A bet's wealth is a product of 1 + f x / worst, where x is by how much the error is beyond what
//! is allowed, and worst the most that the step can lose, known when it begins: each factor has a mean of 1 at most, so that a
//! bet is a supermartingale from 1. The evidence M is the sum of all bets begun in the last [`WINDOW_DAYS`] (mean over four
//! ways to be wrong and three stakes), at most that of all bets ever begun, whose sum less their number is a supermartingale
//! (Shiryaev and Roberts; Shin, Ramdas and Rinaldo 2024). Hence the chance that M reaches A within N steps is (N + bets of a
//! window) / A at most; A is [`YEARS`] times that number for a year. A drift ends when M is no more than the number of bets.
//!
//! Knows no forecast whose target was not known.

use super::evaluate::{Resolved, resolved};
use super::{Examples, ModelFile, Predictions};
use candles::time::DAY_MS;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// Bets that began longer ago count no more.
pub const WINDOW_DAYS: i64 = 90;
/// What bets compare with reaches back so far.
const BEFORE_DAYS: i64 = 730;
/// Steps before a bet that its comparison needs.
pub(super) const LEAST_BEFORE: usize = 60;
/// Expected years to a false alarm, at least: one begins within a given year with a chance of 1 in so many at most.
pub(super) const YEARS: f64 = 20.0;

const LEVEL_TOLERANCE: f64 = 0.02;
const SLOPE_TOLERANCE: f64 = 0.25;
const STANDARD_ERRORS: f64 = 2.0;
/// Shares of the wealth that the worst outcome of a step would cost.
const STAKES: [f64; 3] = [0.1, 0.3, 0.7];
const YEAR_DAYS: f64 = 365.25;

/// A way in which calibration can be other than it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// The target comes out above its middle more often than was said.
    Higher,
    /// Less often.
    Lower,
    /// What is said for or against holds more than it did.
    Surer,
    /// What is said for or against holds less than it did.
    TooSure,
}

impl Way {
    /// All of them: the error that each is about (0 level, 1 slope) and to which side.
    const ALL: [(Self, usize, f64); 4] =
        [(Self::Higher, 0, 1.0), (Self::Lower, 0, -1.0), (Self::Surer, 1, 1.0), (Self::TooSure, 1, -1.0)];
}

/// Mean of an error over the steps before the window and in it; `None` without steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Errors {
    /// Over two years before the window.
    pub before: Option<f64>,
    /// In the window.
    pub lately: Option<f64>,
}

/// What bets against a model's calibration have come to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// End of the newest step, UTC ms; `None` without one.
    pub until_ms: Option<i64>,
    /// Steps in the window.
    pub steps: usize,
    /// Bets that count; 0 while there is too little before to compare with.
    pub bets: usize,
    /// The sum of their wealth.
    pub evidence: f64,
    /// What it must reach for a drift to be told.
    pub needed: f64,
    /// End of the step at which it was told, where it goes on, UTC ms.
    pub since_ms: Option<i64>,
    /// Ends of all steps at which one was told, UTC ms.
    pub told_ms: Vec<i64>,
    /// The way that most of the evidence is of, where drift is told.
    pub way: Option<Way>,
    /// Mean level error.
    pub level: Errors,
    /// Mean slope error.
    pub slope: Errors,
}

/// An error of a step, and what is known of it when the step begins.
#[derive(Clone, Copy, Debug)]
struct StepError {
    value: f64,
    least: f64,
    most: f64,
    tolerance: f64,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    end_ms: i64,
    errors: [StepError; 2],
}

/// Bets that began at one step.
struct Begun {
    begin_ms: i64,
    mean: [f64; 2],
    allowed: [f64; 2],
    wealth: [[f64; STAKES.len()]; Way::ALL.len()],
}

/// How long a step is, ms.
fn step_ms(horizon_ms: i64) -> i64 {
    horizon_ms * (DAY_MS / horizon_ms).max(1)
}

/// Steps in time order that had ended by `until_ms`; those without a forecast are left out.
fn steps(examples: &Examples, predictions: &Predictions, until_ms: i64) -> Vec<Step> {
    let (horizon_ms, step_ms) = (examples.horizon_ms, step_ms(examples.horizon_ms));
    let mut by_step: BTreeMap<i64, Vec<Resolved>> = BTreeMap::new();
    for one in resolved(examples, predictions).concat() {
        let end_ms = (one.at_ms.div_euclid(step_ms) + 1) * step_ms;
        if one.at_ms.rem_euclid(horizon_ms) == 0 && end_ms <= until_ms {
            by_step.entry(end_ms).or_default().push(one);
        }
    }
    let (mut sum, mut count) = (0.0, 0_usize);
    let mut step = |(end_ms, of): (i64, Vec<Resolved>)| {
        let n = of.len() as f64;
        let scale = if count > 0 { sum / count as f64 } else { 0.0 };
        let weight =
            |r: &Resolved| if scale > 0.0 { ((r.probability - r.base) / (2.0 * scale)).clamp(-1.0, 1.0) } else { 0.0 };
        let (mut level, mut slope) = ([0.0; 3], [0.0; 3]);
        let mut claim = 0.0;
        for r in &of {
            let (w, misses) = (weight(r), [-r.probability, 1.0 - r.probability]);
            let missed = misses[usize::from(r.above)];
            for (sums, w) in [(&mut level, 1.0), (&mut slope, w)] {
                let [low, high] = misses.map(|m| w * m);
                sums[0] += w * missed / n;
                sums[1] += low.min(high) / n;
                sums[2] += low.max(high) / n;
            }
            claim += w * (r.probability - r.base) / n;
            sum += (r.probability - r.base).abs();
            count += 1;
        }
        let error = |[value, least, most]: [f64; 3], tolerance| StepError { value, least, most, tolerance };
        Step { end_ms, errors: [error(level, LEVEL_TOLERANCE), error(slope, SLOPE_TOLERANCE * claim)] }
    };
    by_step.into_iter().map(&mut step).collect()
}

/// What bets compare with: means of errors over steps, and what more is allowed because they are means of so few.
fn compared(before: &[Step]) -> ([f64; 2], [f64; 2]) {
    let n = before.len() as f64;
    let of = |error: usize| {
        let values = before.iter().map(|step| step.errors[error].value);
        let mean = values.clone().sum::<f64>() / n;
        let variance = values.map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
        (mean, STANDARD_ERRORS * (variance / n).sqrt())
    };
    let ((level, level_allowed), (slope, slope_allowed)) = (of(0), of(1));
    ([level, slope], [level_allowed, slope_allowed])
}

impl Begun {
    fn observe(&mut self, step: &Step) {
        for ((_, error, side), wealth) in Way::ALL.iter().zip(&mut self.wealth) {
            let e = &step.errors[*error];
            let beyond = |value: f64| side * (value - self.mean[*error]) - e.tolerance - self.allowed[*error];
            let worst = -beyond(if *side > 0.0 { e.least } else { e.most });
            // What cannot lose is no bet: the comparison lies beyond all that can come.
            if worst > 0.0 {
                for (stake, wealth) in STAKES.iter().zip(wealth) {
                    *wealth *= 1.0 + stake * beyond(e.value) / worst;
                }
            }
        }
    }

    /// Of each way: mean over the ways and stakes.
    fn by_way(&self) -> [f64; Way::ALL.len()] {
        self.wealth.map(|of| of.iter().sum::<f64>() / (of.len() * Way::ALL.len()) as f64)
    }
}

/// What bets against a model's calibration have come to by `until_ms`.
#[must_use]
pub fn drift(file: &ModelFile, examples: &Examples, predictions: &Predictions, until_ms: i64) -> Drift {
    let all = steps(examples, predictions, until_ms);
    let window_ms = WINDOW_DAYS * DAY_MS;
    let step_ms = step_ms(i64::from(file.horizon_candles) * file.candle_ms());
    let in_days = |days: f64| days * DAY_MS as f64 / step_ms as f64;
    let needed = YEARS * (in_days(YEAR_DAYS) + in_days(WINDOW_DAYS as f64).max(1.0));
    let mut found = Drift { needed, ..Drift::default() };
    let mut begun: VecDeque<Begun> = VecDeque::new();
    let mut oldest = 0;
    for (number, step) in all.iter().enumerate() {
        while all[oldest].end_ms <= step.end_ms - BEFORE_DAYS * DAY_MS {
            oldest += 1;
        }
        if number - oldest >= LEAST_BEFORE {
            let (mean, allowed) = compared(&all[oldest..number]);
            let wealth = [[1.0; STAKES.len()]; Way::ALL.len()];
            begun.push_back(Begun { begin_ms: step.end_ms, mean, allowed, wealth });
        }
        while begun.front().is_some_and(|bet| bet.begin_ms <= step.end_ms - window_ms.max(step_ms)) {
            begun.pop_front();
        }
        let mut by_way = [0.0; Way::ALL.len()];
        for bet in &mut begun {
            bet.observe(step);
            by_way.iter_mut().zip(bet.by_way()).for_each(|(sum, one)| *sum += one);
        }
        found.evidence = by_way.iter().sum();
        found.bets = begun.len();
        if found.evidence >= needed && found.since_ms.is_none() {
            found.since_ms = Some(step.end_ms);
            found.told_ms.push(step.end_ms);
        } else if found.evidence <= begun.len() as f64 {
            found.since_ms = None;
        }
        let most = (0..by_way.len()).max_by(|a, b| by_way[*a].total_cmp(&by_way[*b]).then(b.cmp(a)));
        found.way = most.filter(|_| found.since_ms.is_some()).map(|way| Way::ALL[way].0);
    }
    found.until_ms = all.last().map(|step| step.end_ms);
    let from_ms = found.until_ms.unwrap_or(until_ms) - window_ms;
    let split = all.partition_point(|step| step.end_ms <= from_ms);
    let first = all.partition_point(|step| step.end_ms <= from_ms - BEFORE_DAYS * DAY_MS);
    found.steps = all.len() - split;
    let mean = |of: &[Step], error: usize| {
        (!of.is_empty()).then(|| of.iter().map(|s| s.errors[error].value).sum::<f64>() / of.len() as f64)
    };
    let errors = |error| Errors { before: mean(&all[first..split], error), lately: mean(&all[split..], error) };
    (found.level, found.slope) = (errors(0), errors(1));
    found
}

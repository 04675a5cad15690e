//! Two numbers for one outcome, 0 to 100 each, of the same parts; two outcomes are never compared here.
//!
//! | part | in the fitness | in the score | 0 at | 100 at |
//! |---|---|---|---|---|
//! | significance | 0.95 | 0.40 | t far below 0 | t far above 6: logistic in the t of daily net returns, penalised for few losses and shrunk for few trades, 50 at 3 |
//! | profit factor | | 0.15 | 1 | 3 |
//! | drawdown | | 0.10 | 40 % | none |
//! | consistency | | 0.15 | no block of days with a gain | a gain in every block |
//! | breadth | | 0.05 | no symbol with a gain | a gain on every symbol |
//! | trades | | 0.10 | none | four times the least number of trades |
//! | simplicity | 0.05 | 0.05 | the largest strategy | the smallest |
//!
//! A part that rests on an undefined value is 0, and with too few trades the whole is 0. The **fitness** is what
//! strategies are selected by. Significance is nearly all of it, because it is the one part whose luck shrinks with the
//! length of the window; it never quite reaches 0 or 100, so that the search sees which of two losers loses less. The
//! **score** is for people and keeps apart what one number hides. It is not selected by: profit factor, drawdown and
//! consistency reward whoever waits for rare occasions, and a search that was paid for them bred strategies of 200
//! trades with splendid profit factors, of which a third was left later (measured in docs/SEARCH.md).
//!
//! **Few trades.** There are many more ways to pick 50 candles than to pick 1,000, so the luckiest of many strategies
//! is one that trades seldom. The t of n trades is multiplied with sqrt(n / (n + 300)): 0.38 at 50 trades, 0.71 at 300,
//! 0.88 at 1,000.
//!
//! **Penalised t.** A near target and a far stop win almost every trade until the stop is hit; in a window without such a
//! loss Student's t is enormous, and the best of ten thousand strategies is the one whose losses happened not to come.
//! So the t is taken as if the full loss had come 9 times at least: the strategy's full losses that are missing
//! from 9 are added as days, each losing what a trade risks. Nine, because a loss that is expected 9.2 times stays
//! away with a chance of 1 in 10,000. Who already took 9 full losses is judged by what happened alone.

use engine::{Outcome, Stake};
use serde::{Deserialize, Serialize};

/// Each part of a fitness, 0 to 100.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Components {
    /// 100 / (1 + exp(-(t - 3) / 2)), t the penalised t-statistic of daily net returns times sqrt(n / (n + 300)) for n trades.
    pub significance: f64,
    /// 100 x (profit factor - 1) / 2, within 0 to 100.
    pub profit_factor: f64,
    /// 100 x (1 - drawdown / 0.4), within 0 to 100.
    pub drawdown: f64,
    /// 100 x share of the time blocks that ended with a gain.
    pub consistency: f64,
    /// 100 x share of the symbols that ended with a gain.
    pub breadth: f64,
    /// 100 x trades / (4 x least number of trades), at most 100.
    pub trades: f64,
    /// 100 x (1 - complexity / most complexity), at least 0.
    pub simplicity: f64,
}

impl Components {
    /// Name of each part and its weight in the score, in order; the weights sum to 1.
    pub const WEIGHTS: [(&'static str, f64); 7] = [
        ("significance", 0.40),
        ("profit_factor", 0.15),
        ("drawdown", 0.10),
        ("consistency", 0.15),
        ("breadth", 0.05),
        ("trades", 0.10),
        ("simplicity", 0.05),
    ];

    /// The parts in the order of [`Components::WEIGHTS`].
    #[must_use]
    pub const fn values(&self) -> [f64; 7] {
        [
            self.significance,
            self.profit_factor,
            self.drawdown,
            self.consistency,
            self.breadth,
            self.trades,
            self.simplicity,
        ]
    }

    /// Weight x value of each part: what it adds to the score.
    #[must_use]
    pub fn points(&self) -> [f64; 7] {
        let mut points = self.values();
        for (point, (_, weight)) in points.iter_mut().zip(Self::WEIGHTS) {
            *point *= weight;
        }
        points
    }

    /// The points added up in order: the score for people, 0 to 100.
    #[must_use]
    pub fn score(&self) -> f64 {
        self.points().iter().sum()
    }

    /// What strategies are selected by, 0 to 100.
    #[must_use]
    pub fn fitness(&self) -> f64 {
        0.95 * self.significance + 0.05 * self.simplicity
    }
}

/// Trades at which half of the t's square is left by the shrinkage.
const SHRINKAGE_TRADES: f64 = 300.0;
/// Full losses that a strategy is judged with at least.
const FULL_LOSSES: u32 = 9;
/// Daily returns with the full losses that did not come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PenalisedT {
    /// Standard deviation (ddof 1).
    pub(super) deviation: f64,
    /// mean / deviation x sqrt(days).
    pub(super) t: f64,
}

impl PenalisedT {
    /// `None` for fewer than two days, or without variance. Without a stake nothing is added.
    #[must_use]
    pub(super) fn of(daily_returns: &[f64], stake: Option<Stake>) -> Option<Self> {
        let stake = stake.unwrap_or(Stake { fraction: 0.0, full_losses: FULL_LOSSES });
        let missing = f64::from(FULL_LOSSES.saturating_sub(stake.full_losses));
        let days = daily_returns.len() as f64 + missing;
        let mean = (daily_returns.iter().sum::<f64>() - missing * stake.fraction) / days;
        let squares: f64 = daily_returns.iter().map(|r| (r - mean).powi(2)).sum();
        let squares = squares + missing * (stake.fraction + mean).powi(2);
        let deviation = (squares / (days - 1.0)).sqrt();
        let t = mean / deviation * days.sqrt();
        (deviation > 0.0 && t.is_finite()).then_some(Self { deviation, t })
    }
}

/// What a strategy must have for a fitness above 0, and how large it may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct FitnessLimits {
    /// Trades below which the fitness is 0.
    pub(super) min_trades: u32,
    /// Complexity at which simplicity is 0.
    pub(super) max_complexity: f64,
}

impl FitnessLimits {
    /// The parts of an outcome's fitness; `None` with too few trades. `blocks` are returns by block of days.
    #[must_use]
    pub(super) fn measure(
        &self,
        outcome: &Outcome,
        penalised: Option<PenalisedT>,
        blocks: &[f64],
        complexity: f64,
    ) -> Option<Components> {
        let p = &outcome.performance;
        if p.total_trades < self.min_trades.max(1) {
            return None;
        }
        let share = |gains: usize, of: usize| if of == 0 { 0.0 } else { 100.0 * gains as f64 / of as f64 };
        let gained = |r: Option<f64>| r.is_some_and(|r| r > 0.0);
        let symbols = match outcome.per_symbol.len() {
            0 => share(usize::from(gained(p.total_return)), 1),
            n => share(outcome.per_symbol.iter().filter(|s| gained(s.total_return)).count(), n),
        };
        let target = 4.0 * f64::from(self.min_trades.max(1));
        let trades = f64::from(p.total_trades);
        let shrinkage = (trades / (trades + SHRINKAGE_TRADES)).sqrt();
        Some(Components {
            significance: penalised.map_or(0.0, |s| 100.0 / (1.0 + (-(s.t * shrinkage - 3.0) / 2.0).exp())),
            profit_factor: p.profit_factor.map_or(0.0, |f| percent((f - 1.0) / 2.0)),
            drawdown: p.max_drawdown.map_or(0.0, |d| percent(1.0 + d / 0.4)),
            consistency: share(blocks.iter().filter(|&&r| r > 0.0).count(), blocks.len()),
            breadth: symbols,
            trades: percent(trades / target),
            simplicity: percent(1.0 - complexity / self.max_complexity),
        })
    }
}

/// A fraction as 0 to 100, cut at both ends. Not a number becomes 0: nothing that is undefined scores.
fn percent(fraction: f64) -> f64 {
    if fraction.is_nan() { 0.0 } else { 100.0 * fraction.clamp(0.0, 1.0) }
}

/// Sums of daily returns over blocks of nearly equal length, 10 days or more each, 12 at most.
///
/// Fewer than 20 days are one block: halves of so little say nothing apart.
#[must_use]
pub(super) fn time_blocks(daily_returns: &[f64]) -> Vec<f64> {
    let days = daily_returns.len();
    let count = (days / 10).clamp(1, 12);
    (0..count).map(|b| daily_returns[b * days / count..(b + 1) * days / count].iter().sum()).collect()
}

/// What a strategy is compared on, case by case: each time block's return, then each symbol's, in units of the
/// penalised daily deviation and the square root of the days (so that size does not matter). `None` where undefined.
#[must_use]
pub(super) fn cases(outcome: &Outcome, penalised: Option<PenalisedT>, blocks: &[f64]) -> Vec<Option<f64>> {
    let days = outcome.daily_returns.len() as f64;
    let unit = penalised.map(|s| s.deviation * days.sqrt());
    let in_units = |value: Option<f64>, parts: usize| Some(value? * (parts.max(1) as f64).sqrt() / unit?);
    let by_time = blocks.iter().map(|b| in_units(Some(*b), blocks.len()));
    let symbols = &outcome.per_symbol;
    by_time.chain(symbols.iter().map(|p| in_units(p.total_return, symbols.len()))).collect()
}

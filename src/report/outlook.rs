//! What daily results say beyond their sum: windows one after the other, what the years might have brought in another
//! order, and how sure the Sharpe ratio is. Pure; the same results give the same numbers to the bit.

use super::{Part, Period};
use crate::evidence::bootstrap::{block_length, stationary_indices};
use crate::evidence::monte_carlo::quantile;
use crate::evidence::sharpe::SharpeRatio;
use crate::evidence::walk_forward::{Fold, efficiency};
use genome::random::Seed;
use serde::Serialize;

const DAY_MS: i64 = 86_400_000;
/// Length of a window, days.
const WINDOW_DAYS: usize = 30;
/// Paths of the fan.
const PATHS: usize = 1_000;
/// Points at which the fan is cut.
const CUTS: usize = 60;
/// Fewer daily returns say nothing about other orders of them.
const LEAST_DAYS: usize = 20;
/// Shares of paths below each line of the fan.
pub(super) const QUANTILES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];

/// Some days in a row of one part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Window {
    pub(super) part: Part,
    pub(super) from_ms: i64,
    /// Exclusive.
    pub(super) to_ms: i64,
    /// Fraction.
    pub(super) total_return: f64,
    /// Annual; `None` without variance.
    pub(super) sharpe_ratio: Option<f64>,
    /// Negative fraction of the window's own peak, on daily values.
    pub(super) max_drawdown: f64,
    /// That ended in it.
    pub(super) trades: usize,
}

/// Gains that other orders of the same days would have brought.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Fan {
    /// Days from the start of each cut.
    pub(super) days: Vec<usize>,
    /// For each of [`QUANTILES`], the gain (a fraction) at each cut.
    pub(super) gains: Vec<Vec<f64>>,
    /// 5 %, 50 % and 95 % of the paths' largest drawdowns, positive fractions.
    pub(super) drawdowns: [f64; 3],
    /// Share of paths that end with a loss.
    pub(super) loss_probability: f64,
    /// Expected length of the blocks that paths are made of, days.
    pub(super) block_days: f64,
    /// How many paths.
    pub(super) paths: usize,
}

/// What is known of a strategy's returns out of sample; in sample where there is nothing else.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Outlook {
    pub(super) windows: Vec<Window>,
    /// Profit a day after the search over profit a day in it; `None` unless something was earned in it.
    pub(super) walk_forward_efficiency: Option<f64>,
    /// Whether fan and Sharpe ratio are of what the search chose by, for want of anything else.
    pub(super) in_sample: bool,
    /// Daily returns that fan and Sharpe ratio rest on.
    pub(super) days: usize,
    pub(super) fan: Option<Fan>,
    /// Chance that the true Sharpe ratio is above 0, 0 to 1.
    pub(super) probabilistic_sharpe: Option<f64>,
    /// Days needed for that chance to reach 95 %; `None` where the ratio is not above 0.
    pub(super) minimum_track_record_days: Option<f64>,
}

/// Returns from one point to the next.
fn returns(period: &Period) -> Vec<f64> {
    let pairs = period.daily_equity.windows(2).filter(|pair| pair[0].equity > 0.0);
    pairs.map(|pair| pair[1].equity / pair[0].equity - 1.0).collect()
}

/// Of all periods.
pub(super) fn of(periods: &[Period], seed: Seed) -> Outlook {
    let after = |p: &&Period| p.part != Part::Backtest;
    let mut results: Vec<f64> = periods.iter().filter(after).flat_map(returns).collect();
    let in_sample = results.is_empty();
    if in_sample {
        results = periods.iter().flat_map(returns).collect();
    }
    let sharpe = SharpeRatio::of(&results);
    Outlook {
        windows: periods.iter().flat_map(windows).collect(),
        walk_forward_efficiency: walk_forward(periods),
        in_sample,
        days: results.len(),
        fan: fan(&results, seed),
        probabilistic_sharpe: sharpe.and_then(|s| s.probabilistic(0.0)),
        minimum_track_record_days: sharpe.and_then(|s| s.minimum_track_record(0.0, 0.95)).filter(|d| d.is_finite()),
    }
}

fn windows(period: &Period) -> Vec<Window> {
    let points = &period.daily_equity;
    let mut found = Vec::new();
    for from in (0..points.len().saturating_sub(1)).step_by(WINDOW_DAYS) {
        let days = &points[from..points.len().min(from + WINDOW_DAYS + 1)];
        let (first, last) = (&days[0], &days[days.len() - 1]);
        if first.equity <= 0.0 {
            break;
        }
        let steps: Vec<f64> =
            days.windows(2).map(|pair| pair[1].equity / pair[0].equity.max(f64::MIN_POSITIVE) - 1.0).collect();
        let mut peak = 0.0_f64;
        let fall = |deepest: f64, point: &crate::engine::DailyEquity| {
            peak = peak.max(point.equity);
            deepest.min(point.equity / peak - 1.0)
        };
        found.push(Window {
            part: period.part,
            from_ms: first.time_ms,
            to_ms: last.time_ms,
            total_return: last.equity / first.equity - 1.0,
            sharpe_ratio: crate::engine::performance::sharpe_ratio(&steps),
            max_drawdown: days.iter().fold(0.0, fall),
            trades: period.trades.iter().filter(|t| (first.time_ms..last.time_ms).contains(&t.exit_time_ms)).count(),
        });
    }
    found
}

fn walk_forward(periods: &[Period]) -> Option<f64> {
    let gained = |part: fn(Part) -> bool| {
        let of = periods.iter().filter(|p| part(p.part) && p.daily_equity.len() > 1);
        of.fold((0.0, 0.0), |(profit, days), p| {
            let (first, last) = (&p.daily_equity[0], &p.daily_equity[p.daily_equity.len() - 1]);
            (profit + last.equity / first.equity - 1.0, days + (last.time_ms - first.time_ms) as f64 / DAY_MS as f64)
        })
    };
    let (inside, outside) = (gained(|p| p == Part::Backtest), gained(|p| p != Part::Backtest));
    efficiency(&[Fold {
        in_sample_profit: inside.0,
        in_sample_days: inside.1,
        out_of_sample_profit: outside.0,
        out_of_sample_days: outside.1,
    }])
}

fn fan(results: &[f64], seed: Seed) -> Option<Fan> {
    if results.len() < LEAST_DAYS {
        return None;
    }
    let block_days = block_length(results).unwrap_or(1.0).ceil().clamp(1.0, 30.0);
    let step = results.len().div_ceil(CUTS).max(1);
    let mut days: Vec<usize> = (0..=results.len()).step_by(step).collect();
    if days.last() != Some(&results.len()) {
        days.push(results.len());
    }
    let (mut at, mut drawdowns, mut losses) =
        (vec![Vec::with_capacity(PATHS); days.len()], Vec::with_capacity(PATHS), 0);
    for path in 0..PATHS {
        let mut rng = seed.stream("report fan", path as u64);
        let (mut equity, mut peak, mut deepest) = (1.0_f64, 1.0_f64, 0.0_f64);
        let mut cut = 0;
        at[0].push(0.0);
        for (day, i) in stationary_indices(results.len(), block_days, &mut rng).into_iter().enumerate() {
            equity *= 1.0 + results[i];
            peak = peak.max(equity);
            deepest = deepest.max(1.0 - equity / peak);
            if days.get(cut + 1) == Some(&(day + 1)) {
                cut += 1;
                at[cut].push(equity - 1.0);
            }
        }
        drawdowns.push(deepest);
        losses += u32::from(equity < 1.0);
    }
    let gains = QUANTILES.map(|q| at.iter().map(|values| quantile(values, q).unwrap_or(0.0)).collect());
    let drawdowns = [0.05, 0.5, 0.95].map(|q| quantile(&drawdowns, q).unwrap_or(0.0));
    let loss_probability = f64::from(losses) / PATHS as f64;
    Some(Fan { days, gains: gains.to_vec(), drawdowns, loss_probability, block_days, paths: PATHS })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fan_is_ordered_reproducible_and_around_what_happened() {
        let results: Vec<f64> = (0..240).map(|i| if i % 3 == 0 { -0.01 } else { 0.008 }).collect();
        let first = fan(&results, Seed(1)).unwrap();
        assert_eq!(first, fan(&results, Seed(1)).unwrap());
        for cut in 0..first.days.len() {
            assert!(first.gains.windows(2).all(|pair| pair[0][cut] <= pair[1][cut]));
        }
        let happened = results.iter().map(|r| 1.0 + r).product::<f64>() - 1.0;
        let last = |q: usize| *first.gains[q].last().unwrap();
        assert!(last(0) < happened && happened < last(4), "{happened}: {} to {}", last(0), last(4));
        assert_eq!(first.days.last(), Some(&240));
        assert!(fan(&results[..LEAST_DAYS - 1], Seed(1)).is_none());
    }
}

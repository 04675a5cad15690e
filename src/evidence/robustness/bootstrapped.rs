//! Days like those that were, drawn in blocks: where as many again may lead, as a finding and as a fan over time.

use super::{Finding, RobustnessConfig, RobustnessInputs, finding, paths, percent, sure};
use crate::bootstrap::{block_length, stationary_indices};
use crate::monte_carlo::{PathResult, quantile};
use genome::random::Seed;
use serde::{Deserialize, Serialize};

/// Points in time at which the fan is cut.
const CUTS: usize = 60;
/// Shares of paths below each line of the fan.
pub const FAN_QUANTILES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];

/// Gains of the paths over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fan {
    /// Days from the start of each cut, 0 first.
    pub days: Vec<usize>,
    /// For each of [`FAN_QUANTILES`], the gain (a fraction) at each cut.
    pub gains: Vec<Vec<f64>>,
    /// How many paths.
    pub paths: usize,
}

/// Days at which a fan over so many days is cut: evenly, the first and the last always.
fn cuts(days: usize) -> Vec<usize> {
    let step = days.div_ceil(CUTS).max(1);
    let mut cuts: Vec<usize> = (0..days).step_by(step).collect();
    cuts.push(days);
    cuts
}

/// Gain after so many days of each cut. Equity ends at 0, as in [`PathResult`].
fn gains_at(results: &[f64], cuts: &[usize]) -> Vec<f64> {
    let (mut equity, mut day) = (1.0_f64, 0);
    let gain = |cut: &usize| {
        for r in &results[day..*cut] {
            equity = (equity * (1.0 + r)).max(0.0);
        }
        day = *cut;
        equity - 1.0
    };
    cuts.iter().map(gain).collect()
}

fn fan(days: Vec<usize>, gains: &[Vec<f64>]) -> Option<Fan> {
    if gains.is_empty() {
        return None;
    }
    let mut lines = vec![Vec::with_capacity(days.len()); FAN_QUANTILES.len()];
    for cut in 0..days.len() {
        let mut at: Vec<f64> = gains.iter().map(|path| path[cut]).collect();
        // Once, and not for each quantile.
        at.sort_by(f64::total_cmp);
        for (line, q) in lines.iter_mut().zip(FAN_QUANTILES) {
            line.push(quantile(&at, q)?);
        }
    }
    Some(Fan { days, gains: lines, paths: gains.len() })
}

/// The finding, and the same paths over time.
pub(super) fn bootstrapped(m: &RobustnessInputs, config: &RobustnessConfig, seed: Seed) -> (Finding, Option<Fan>) {
    let daily = &m.base.daily_returns;
    let length = block_length(daily).map(|l| l.ceil().max(1.0));
    let cuts = cuts(daily.len());
    let (drawn, gains): (Vec<PathResult>, Vec<Vec<f64>>) = length
        .map_or_else(Vec::new, |length| {
            paths(config, |i| {
                let indices = stationary_indices(daily.len(), length, &mut seed.stream("bootstrap", i));
                let results: Vec<f64> = indices.into_iter().map(|i| daily[i]).collect();
                (PathResult::of(results.iter().copied(), 1.0), gains_at(&results, &cuts))
            })
        })
        .into_iter()
        .unzip();
    let returns: Vec<f64> = drawn.iter().map(|p| p.final_equity - 1.0).collect();
    let falls: Vec<f64> = drawn.iter().map(|p| p.max_drawdown).collect();
    let share = |hits: usize| (!drawn.is_empty()).then(|| hits as f64 / drawn.len() as f64);
    let ruin = share(drawn.iter().filter(|p| p.lowest_equity <= 1.0 - config.ruin_fraction).count());
    let loss = share(returns.iter().filter(|r| **r < 0.0).count());
    // A bad end is as rare as a good one.
    let (worst, best) = (1.0 - config.confidence, config.confidence);
    let sentence = match (quantile(&returns, worst), quantile(&returns, best), loss, ruin) {
        (Some(low), Some(high), Some(loss), Some(ruin)) => format!(
            "Days like these drawn in blocks, as many again: {} of the paths end between {} and {}, {} end with a \
             loss, and {} lose {} of the capital on the way. It takes the days for typical, which a search's pick is not.",
            sure(best - worst),
            percent(low),
            percent(high),
            percent(loss),
            percent(ruin),
            percent(config.ruin_fraction)
        ),
        _ => "Too few days, or none that differ, to be drawn from.".to_owned(),
    };
    let figures = [
        ("block_length_days", length),
        ("return_1_fraction", quantile(&returns, 0.01)),
        ("return_5_fraction", quantile(&returns, 0.05)),
        ("return_10_fraction", quantile(&returns, 0.1)),
        ("return_50_fraction", quantile(&returns, 0.5)),
        ("return_90_fraction", quantile(&returns, 0.9)),
        ("return_95_fraction", quantile(&returns, 0.95)),
        ("return_99_fraction", quantile(&returns, 0.99)),
        ("max_drawdown_90_fraction", quantile(&falls, 0.9)),
        ("max_drawdown_95_fraction", quantile(&falls, 0.95)),
        ("max_drawdown_99_fraction", quantile(&falls, 0.99)),
        ("loss_probability", loss),
        ("ruin_probability", ruin),
    ];
    (finding("monte_carlo_bootstrap", sentence, &figures), fan(cuts, &gains))
}

//! Everything that is known about one strategy beyond its backtest, as findings with a plain sentence each.
//!
//! For the reader, never a gate: after a search each of these can be fooled, and which way is said in its sentence.
//! Whoever asks runs the backtests (neighbours, noisy candles, other costs, other symbols) and hands in what came of
//! them; nothing here backtests.

mod bootstrapped;
mod inputs;

use super::monte_carlo::{PathResult, Resampling, path, quantile};
use super::overfitting::overfitting;
use super::sharpe::SharpeRatio;
use super::volatility_regime::Volatility;
use super::walk_forward::{Anchor, Fold, efficiency, folds, profitable_folds};
use genome::random::Seed;
use rand::RngExt;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use bootstrapped::{FAN_QUANTILES, Fan};
pub use inputs::{RobustnessInputs, Run, first_whole_day_ms, trade_returns, volatility_by_day};

/// Settings: the customary ones by default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RobustnessConfig {
    /// Days in sample of a walk-forward fold.
    pub inside_days: usize,
    /// Days out of sample of a fold.
    pub outside_days: usize,
    /// Trades in sample below which a variant is not chosen.
    pub min_inside_trades: u32,
    /// Simulated paths.
    pub paths: u64,
    /// Loss that counts as ruin, a fraction of the capital.
    pub ruin_fraction: f64,
    /// Share of trades left out in the test of skipped trades.
    pub skipped_fraction: f64,
    /// Time blocks of the probability of overfitting.
    pub overfitting_blocks: usize,
    /// Share of the daily profit that has to be kept out of sample.
    pub efficiency_threshold: f64,
    /// Probability that counts as sure, above 0.5: where sentences tell a bad case, it is the one beyond it.
    pub confidence: f64,
}

impl Default for RobustnessConfig {
    fn default() -> Self {
        Self {
            inside_days: 180,
            outside_days: 60,
            min_inside_trades: 30,
            paths: 10_000,
            ruin_fraction: 0.5,
            skipped_fraction: 0.1,
            overfitting_blocks: 10,
            efficiency_threshold: 0.5,
            confidence: 0.95,
        }
    }
}

impl RobustnessConfig {
    /// The customary settings with walk-forward windows that fit into so many days: half of them in sample, a sixth
    /// out of sample, where there is no room for two customary ones.
    #[must_use]
    pub fn fitting(days: usize) -> Self {
        let usual = Self::default();
        if days >= usual.inside_days + 2 * usual.outside_days {
            return usual;
        }
        Self { inside_days: days / 2, outside_days: days / 6, ..usual }
    }
}

/// A number with its name. The unit is in the name; `None` where it is undefined.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Figure {
    pub name: String,
    pub value: Option<f64>,
}

/// What one question gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Such as `walk_forward_rolling`.
    pub name: String,
    /// What it says, for people.
    pub sentence: String,
    /// The numbers behind it.
    pub figures: Vec<Figure>,
}

/// A window of the rolling walk-forward. Days are counted from the first, ends exclusive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WalkForwardWindow {
    /// First day in sample.
    pub from_day: usize,
    /// First day out of sample.
    pub split_day: usize,
    /// End.
    pub end_day: usize,
    /// Which neighbour was chosen in sample, from 1; `None` for the strategy itself.
    pub neighbour: Option<usize>,
    /// Return of its days in sample.
    pub inside_return_fraction: f64,
    /// The same out of sample.
    pub outside_return_fraction: f64,
}

/// All findings, in a fixed order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RobustnessReport {
    /// Days that the strategy's own run covers.
    pub days: usize,
    /// One a question.
    pub findings: Vec<Finding>,
    /// Windows of the rolling walk-forward, in order of time.
    pub windows: Vec<WalkForwardWindow>,
    /// Where days like these may lead; `None` where there are too few.
    pub fan: Option<Fan>,
}

/// The findings. The same arguments give the same bits at any number of threads.
#[must_use]
pub fn robustness_report(inputs: &RobustnessInputs, config: &RobustnessConfig, seed: Seed) -> RobustnessReport {
    let (windows, rolling) = walk_forward(inputs, config, Anchor::Rolling);
    let (bootstrap, fan) = bootstrapped::bootstrapped(inputs, config, seed);
    let findings = vec![
        rolling,
        walk_forward(inputs, config, Anchor::Anchored).1,
        shuffled(inputs, config, seed),
        bootstrap,
        skipped(inputs, config, seed),
        noise(inputs),
        stress(inputs),
        neighbourhood(inputs),
        sharpe(inputs, config),
        overfitted(inputs, config),
        elsewhere(inputs),
        regimes(inputs),
    ];
    RobustnessReport { days: inputs.base.daily_returns.len(), findings, windows, fan }
}

fn finding(name: &str, sentence: String, figures: &[(&str, Option<f64>)]) -> Finding {
    let figure = |(name, value): &(&str, Option<f64>)| Figure {
        name: (*name).to_owned(),
        value: value.filter(|v| v.is_finite()),
    };
    Finding { name: name.to_owned(), sentence, figures: figures.iter().map(figure).collect() }
}

fn percent(fraction: f64) -> String {
    format!("{:.1} %", 100.0 * fraction)
}

/// A confidence such as `95 %`.
fn sure(confidence: f64) -> String {
    format!("{} %", (confidence * 1e4).round() / 1e2)
}

/// In one of how many cases it is worse.
fn odds(confidence: f64) -> f64 {
    (1.0 / (1.0 - confidence)).round()
}

fn sum(returns: &[f64]) -> f64 {
    returns.iter().sum()
}

/// What days one after the other come to: never below -1, however many there are.
fn compounded(returns: &[f64]) -> f64 {
    returns.iter().fold(1.0_f64, |level, r| level * (1.0 + r)).max(0.0) - 1.0
}

/// On each fold the variant (the strategy or a neighbour) that earned most in sample is traded out of sample.
fn walk_forward(m: &RobustnessInputs, config: &RobustnessConfig, anchor: Anchor) -> (Vec<WalkForwardWindow>, Finding) {
    let name = match anchor {
        Anchor::Rolling => "walk_forward_rolling",
        Anchor::Anchored => "walk_forward_anchored",
    };
    let days = m.base.daily_returns.len();
    let variants: Vec<&Run> = std::iter::once(&m.base).chain(&m.neighbours).collect();
    let (mut found, mut all) = (Vec::new(), Vec::new());
    for ([from, split], [_, end]) in folds(days, config.inside_days, config.outside_days, anchor) {
        let trades = |run: &Run| run.trades_by_day.get(from..split).map_or(0, |d| d.iter().sum::<u32>());
        let usable = variants.iter().copied().enumerate().filter(|(_, run)| trades(run) >= config.min_inside_trades);
        let usable = usable.filter(|(_, run)| run.daily_returns.len() == days);
        let inside = |run: &Run| sum(&run.daily_returns[from..split]);
        // The first of equals, so that nothing but the strategy's own result can replace it.
        let best = usable.reduce(|a, b| if inside(b.1) > inside(a.1) { b } else { a });
        let Some((place, best)) = best else { continue };
        found.push(WalkForwardWindow {
            from_day: from,
            split_day: split,
            end_day: end,
            neighbour: (place > 0).then_some(place),
            inside_return_fraction: compounded(&best.daily_returns[from..split]),
            outside_return_fraction: compounded(&best.daily_returns[split..end]),
        });
        all.push(Fold {
            in_sample_profit: inside(best),
            in_sample_days: (split - from) as f64,
            out_of_sample_profit: sum(&best.daily_returns[split..end]),
            out_of_sample_days: (end - split) as f64,
        });
    }
    let (ratio, won) = (efficiency(&all), profitable_folds(&all));
    let sentence = match (found.len(), ratio) {
        (0, _) => format!(
            "No fold: a walk-forward needs {} days and {} trades in sample and {days} days are there.",
            config.inside_days + config.outside_days,
            config.min_inside_trades
        ),
        (n, None) => {
            format!("In {n} folds the best variant in sample lost money even there, so nothing can be kept of it.")
        }
        (n, Some(ratio)) if ratio < 0.0 => format!(
            "Chosen anew among its neighbours on each of {n} folds, it lost money out of sample: nothing of its profit in \
             sample was kept."
        ),
        (n, Some(ratio)) => format!(
            "Chosen anew among its neighbours on each of {n} folds, it kept {} of its daily profit out of sample ({} by \
             convention is enough; two noisy means make a noisy ratio).",
            percent(ratio),
            percent(config.efficiency_threshold)
        ),
    };
    let figures = [("folds", Some(found.len() as f64)), ("efficiency", ratio), ("profitable_folds_fraction", won)];
    let finding = finding(name, sentence, &figures);
    (found, finding)
}

fn paths<T: Send>(config: &RobustnessConfig, draw: impl Fn(u64) -> T + Send + Sync) -> Vec<T> {
    (0..config.paths).into_par_iter().map(draw).collect()
}

fn shuffled(m: &RobustnessInputs, config: &RobustnessConfig, seed: Seed) -> Finding {
    let trades = &m.trade_returns;
    let real = PathResult::of(trades.iter().copied(), 1.0).max_drawdown;
    let drawn = if trades.len() < 2 {
        Vec::new()
    } else {
        paths(config, |i| path(trades, 1.0, Resampling::Shuffle, &mut seed.stream("shuffle", i)))
    };
    let falls: Vec<f64> = drawn.iter().map(|p| p.max_drawdown).collect();
    let at = |q| quantile(&falls, q);
    let sentence = match at(config.confidence) {
        None => "Too few trades to be put in another order.".to_owned(),
        Some(worse) => format!(
            "The same trades in another order: in one of {} orders the largest drawdown is beyond {} (it was {} by \
             closed trades). A shuffle says nothing about the edge.",
            odds(config.confidence),
            percent(worse),
            percent(real)
        ),
    };
    let figures = [
        ("max_drawdown_fraction", Some(real)),
        ("max_drawdown_90_fraction", at(0.9)),
        ("max_drawdown_95_fraction", at(0.95)),
        ("max_drawdown_99_fraction", at(0.99)),
    ];
    finding("monte_carlo_shuffle", sentence, &figures)
}

fn skipped(m: &RobustnessInputs, config: &RobustnessConfig, seed: Seed) -> Finding {
    let total = |i: u64| {
        let mut rng = seed.stream("skip", i);
        let kept = m.trade_returns.iter().filter(|_| !rng.random_bool(config.skipped_fraction));
        kept.sum::<f64>()
    };
    let enough = m.trade_returns.len() >= 2;
    let drawn: Vec<f64> = if enough { (0..config.paths).into_par_iter().map(total).collect() } else { Vec::new() };
    let won = enough.then(|| drawn.iter().filter(|t| **t > 0.0).count() as f64 / drawn.len().max(1) as f64);
    let sentence = match (won, quantile(&drawn, 1.0 - config.confidence)) {
        (Some(won), Some(low)) => format!(
            "With {} of the trades missed at random, {} of the draws still earn, and one in {} earns less than {}.",
            percent(config.skipped_fraction),
            percent(won),
            odds(config.confidence),
            percent(low)
        ),
        _ => "Too few trades for some to be missed.".to_owned(),
    };
    let figures = [("profitable_fraction", won), ("sum_of_returns_5_fraction", quantile(&drawn, 0.05))];
    finding("skipped_trades", sentence, &figures)
}

/// Median t of some runs, its share of the strategy's own, and the share of runs with a gain.
fn survives(m: &RobustnessInputs, runs: &[Run]) -> (Option<f64>, Option<f64>, Option<f64>) {
    let t: Vec<f64> = runs.iter().map(|r| r.t.unwrap_or(0.0)).collect();
    let median = quantile(&t, 0.5);
    let kept = median.zip(m.base.t.filter(|t| *t > 0.0)).map(|(median, own)| median / own);
    let gains = runs.iter().filter(|r| r.total_return.is_some_and(|r| r > 0.0)).count();
    let share = (!runs.is_empty()).then(|| gains as f64 / runs.len() as f64);
    (median, kept, share)
}

fn many(m: &RobustnessInputs, name: &str, what: &str, runs: &[Run]) -> Finding {
    let (median, kept, gains) = survives(m, runs);
    let sentence = match (kept, gains) {
        (_, None) => format!("Nothing was tried: there is no {what}."),
        (None, Some(gains)) => {
            format!("{} of {} {what} earn; the strategy itself has no t above 0.", percent(gains), runs.len())
        }
        (Some(kept), Some(gains)) => format!(
            "{} of {} {what} still earn, and the middle one keeps {} of the t-statistic: {}.",
            percent(gains),
            runs.len(),
            percent(kept),
            if kept < 0.5 { "the result is a peak that luck may have put there" } else { "it is no lone peak" }
        ),
    };
    let figures = [
        ("runs", Some(runs.len() as f64)),
        ("median_t", median),
        ("t_kept_fraction", kept),
        ("profitable_fraction", gains),
    ];
    finding(name, sentence, &figures)
}

fn noise(m: &RobustnessInputs) -> Finding {
    many(m, "noise_on_candles", "draws of noise on the candles", &m.noisy)
}

fn neighbourhood(m: &RobustnessInputs) -> Finding {
    many(m, "parameter_neighbourhood", "neighbours with one number moved", &m.neighbours)
}

fn named(name: &str, runs: &[(String, Run)], none: &str, all: impl Fn(usize, usize) -> String) -> Finding {
    let earning = runs.iter().filter(|(_, r)| r.total_return.is_some_and(|r| r > 0.0)).count();
    let sentence = if runs.is_empty() { none.to_owned() } else { all(earning, runs.len()) };
    let names: Vec<(String, Option<f64>)> = runs
        .iter()
        .flat_map(|(n, r)| [(format!("{n}_return_fraction"), r.total_return), (format!("{n}_t"), r.t)])
        .collect();
    let figures: Vec<(&str, Option<f64>)> = names.iter().map(|(n, v)| (n.as_str(), *v)).collect();
    finding(name, sentence, &figures)
}

fn stress(m: &RobustnessInputs) -> Finding {
    let all = |earning, of| format!("At higher costs it still earns in {earning} of {of} cases.");
    named("cost_stress", &m.stressed, "No higher costs were tried.", all)
}

fn elsewhere(m: &RobustnessInputs) -> Finding {
    let all = |earning, of| {
        format!(
            "On symbols that were not searched it earns on {earning} of {of}; luck alone would give about half before costs."
        )
    };
    named("other_symbols", &m.elsewhere, "No symbol that was not searched was tried.", all)
}

fn sharpe(m: &RobustnessInputs, config: &RobustnessConfig) -> Finding {
    let ratio = SharpeRatio::of(&m.base.daily_returns);
    let trials = m.trials.filter(|n| *n > 1).map(|n| n as f64);
    let likely = ratio.and_then(|r| r.probabilistic(0.0));
    // V = 1/T: what the ratios of tries without any edge vary by.
    let deflated = ratio.zip(trials).and_then(|(r, n)| r.deflated(n, 1.0 / r.periods));
    let record = ratio.and_then(|r| r.minimum_track_record(0.0, config.confidence));
    let days = m.base.daily_returns.len();
    let sentence = match (ratio, likely) {
        (Some(ratio), Some(likely)) => {
            let annual = ratio.ratio * 365_f64.sqrt();
            let alone = format!(
                "An annual Sharpe ratio of {annual:.2} over {days} days: taken alone, {} sure to be above 0",
                percent(likely)
            );
            let among = match (trials, deflated) {
                (Some(n), Some(d)) => format!("; as the best of {n:.0} evaluations ever counted, {} sure", percent(d)),
                _ => "; how many were tried is not known, so that it cannot be deflated".to_owned(),
            };
            let needed = match record {
                Some(days) => {
                    let sure = sure(config.confidence);
                    format!("; {days:.0} days of such a record would be needed for {sure} alone.")
                }
                None => "; no length of such a record would ever do.".to_owned(),
            };
            alone + &among + &needed
        }
        _ => "The daily returns have no Sharpe ratio.".to_owned(),
    };
    let figures = [
        ("sharpe_daily", ratio.map(|r| r.ratio)),
        ("probabilistic_sharpe", likely),
        ("trials", trials),
        ("deflated_sharpe", deflated),
        ("minimum_track_record_days", record),
    ];
    finding("sharpe_ratio", sentence, &figures)
}

fn overfitted(m: &RobustnessInputs, config: &RobustnessConfig) -> Finding {
    let columns: Vec<Vec<f64>> =
        std::iter::once(&m.base).chain(&m.neighbours).map(|r| r.daily_returns.clone()).collect();
    let found = overfitting(&columns, config.overfitting_blocks);
    let sentence = match &found {
        None => "Too few days or neighbours for a probability of overfitting.".to_owned(),
        Some(f) => format!(
            "Of it and its {} neighbours, the best on one half of the time is in the worse half on the other in {} of \
             the splits. These are clones of one idea and not all that was tried: it tells a sharp peak from a flat top, \
             not an edge from noise.",
            m.neighbours.len(),
            percent(f.probability)
        ),
    };
    let figures = [
        ("overfitting_probability", found.as_ref().map(|f| f.probability)),
        ("loss_probability", found.as_ref().map(|f| f.probability_of_loss)),
    ];
    finding("overfitting", sentence, &figures)
}

fn regimes(m: &RobustnessInputs) -> Finding {
    let days = m.base.daily_returns.iter().zip(&m.regimes);
    let of = |wanted: Volatility| {
        let found: Vec<f64> = days.clone().filter(|(_, v)| **v == Some(wanted)).map(|(r, _)| *r).collect();
        let mean = (!found.is_empty()).then(|| sum(&found) / found.len() as f64);
        (found.len(), mean)
    };
    let [low, middle, high] = [Volatility::Low, Volatility::Middle, Volatility::High].map(of);
    let known = low.0 + middle.0 + high.0;
    let gained = [low, middle, high].iter().filter(|(_, mean)| mean.is_some_and(|m| m > 0.0)).count();
    let sentence = if known == 0 {
        "How volatile the days were is not known.".to_owned()
    } else {
        let part = |(days, mean): (usize, Option<f64>)| {
            format!(
                "{} a day on {days} days",
                mean.map_or_else(|| "nothing".to_owned(), |m| format!("{:.3} %", 100.0 * m))
            )
        };
        format!(
            "By the market's volatility against its own past it earned {} of low, {} of middling and {} of high \
             volatility: a gain in {gained} of 3.",
            part(low),
            part(middle),
            part(high)
        )
    };
    let figures = [
        ("low_days", Some(low.0 as f64)),
        ("low_mean_daily_return_fraction", low.1),
        ("middle_days", Some(middle.0 as f64)),
        ("middle_mean_daily_return_fraction", middle.1),
        ("high_days", Some(high.0 as f64)),
        ("high_mean_daily_return_fraction", high.1),
    ];
    finding("regimes", sentence, &figures)
}

#[cfg(test)]
mod tests;

//! What is known about a strategy that ranks the market beyond its backtest: how sure its Sharpe ratio is, and what is
//! left of it at other costs, on realistic terms, with neighbouring numbers and without its best names.
//!
//! Runs the backtests that this takes. For readers: stores nothing and judges nothing.

use super::robustness::NEIGHBOUR_STEP;
use engine::{Costs, Slippage};
use evidence::bootstrap::resampled_sharpe_ratios;
use evidence::robustness::{Figure, Finding};
use evidence::sharpe::SharpeRatio;
use genome::{Ranking, Universe, random::Seed, variation::score_neighbours};
use portfolio::{Execution, Panel, PortfolioTerms, Results, RunError, run};
use rayon::prelude::*;

/// Days of a year: crypto markets do not close.
const DAYS_A_YEAR: f64 = 365.0;
/// Factors of every look-back, smoothing aside, of a neighbour.
const LOOK_BACKS: [f64; 4] = [0.75, 0.9, 1.1, 1.33];
/// Factors of the universe's size.
const SIZES: [f64; 2] = [0.67, 1.5];
/// Names that are left out together.
const BEST_NAMES: usize = 5;

/// What is to be looked into.
pub(crate) struct PortfolioProof {
    /// Whom it is about.
    pub(crate) strategy: Ranking,
    /// On what.
    pub(crate) panel: Panel,
    /// Begin and end, UTC ms.
    pub(crate) window_ms: (i64, i64),
    /// Its own terms.
    pub(crate) terms: PortfolioTerms,
    /// Those of paper runs.
    pub(crate) realistic: Execution,
    /// Strategies ever tried, where that is known.
    pub(crate) trials: Option<u64>,
    /// Resampled paths.
    pub(crate) paths: u64,
    /// Root of the resampling.
    pub(crate) seed: Seed,
}

impl PortfolioProof {
    fn results(&self, strategy: &Ranking, terms: &PortfolioTerms) -> Result<Results, RunError> {
        let (from_ms, to_ms) = self.window_ms;
        let track = run(strategy, &self.panel, from_ms, to_ms, terms)?;
        Ok(Results::of(&track, &self.panel, from_ms, to_ms, terms))
    }

    /// Results of several runs, side by side.
    fn all(&self, runs: &[(Ranking, PortfolioTerms)]) -> Result<Vec<Results>, RunError> {
        runs.par_iter().map(|(strategy, terms)| self.results(strategy, terms)).collect()
    }

    /// Everything found, in a fixed order.
    ///
    /// # Errors
    /// When the strategy cannot run over the panel.
    pub(crate) fn findings(&self) -> Result<Vec<Finding>, RunError> {
        let own = self.results(&self.strategy, &self.terms)?;
        Ok(vec![
            self.sharpe(&own),
            self.resampled(&own),
            years(&own),
            self.costs(&own)?,
            self.on_realistic_terms(&own)?,
            self.neighbours(&own)?,
            names(&own),
        ])
    }

    fn sharpe(&self, own: &Results) -> Finding {
        let hedged: Vec<f64> = own.days.iter().map(|d| d.hedged).collect();
        let daily = SharpeRatio::of(&hedged);
        let annual = |v: f64| v * DAYS_A_YEAR.sqrt();
        let error = daily.and_then(|s| s.standard_error()).map(annual);
        let above_zero = daily.and_then(|s| s.probabilistic(0.0));
        let trials = self.trials.map(|n| n as f64);
        let deflated = daily.zip(trials).and_then(|(s, n)| s.deflated(n, 1.0 / s.periods));
        let among = match (trials, deflated) {
            (Some(n), Some(p)) => {
                format!(" As the best of {n:.0} worthless tries it would have a chance of {}.", share(1.0 - p))
            }
            _ => " How many were tried before it is not known; --trials says so.".to_owned(),
        };
        let sentence = format!(
            "Annual Sharpe ratio {} net and {} hedged, the latter within {} (one standard error) over {} days; the chance \
             that it is above 0, had this strategy alone been tried, is {}.{among}",
            ratio(own.performance.sharpe_ratio),
            ratio(own.figures.hedged.sharpe_ratio),
            ratio(error),
            hedged.len(),
            above_zero.map_or_else(|| "not defined".to_owned(), share),
        );
        finding(
            "sharpe_ratio",
            sentence,
            [
                ("sharpe_ratio", own.performance.sharpe_ratio),
                ("hedged_sharpe_ratio", own.figures.hedged.sharpe_ratio),
                ("standard_error", error),
                ("probability_above_zero", above_zero),
                ("deflated_probability", deflated),
                ("mean_beta", own.figures.hedged.mean_beta),
            ],
        )
    }

    /// Hedged days drawn anew in blocks.
    fn resampled(&self, own: &Results) -> Finding {
        let hedged: Vec<f64> = own.days.iter().map(|d| d.hedged).collect();
        let (length, all) = resampled_sharpe_ratios(&hedged, self.paths, self.seed);
        let at = |share: f64| all.get(((share * all.len() as f64) as usize).min(all.len().saturating_sub(1))).copied();
        let (low, high) = (at(0.05), at(0.95));
        let below = all.iter().filter(|s| **s <= 0.0).count() as f64 / all.len().max(1) as f64;
        let sentence = format!(
            "Of {} series of its hedged days drawn anew in blocks of {length:.0} days on average, nine in ten have a Sharpe \
             ratio of {} to {}; {} have none above 0.",
            all.len(),
            ratio(low),
            ratio(high),
            share(below),
        );
        let figures = [("low_sharpe_ratio", low), ("high_sharpe_ratio", high), ("share_not_above_zero", Some(below))];
        finding("resampled_days", sentence, figures)
    }

    fn costs(&self, own: &Results) -> Result<Finding, RunError> {
        let Costs { fee_fraction, slippage, .. } = self.terms.costs;
        let bps = if let Slippage::Fixed { bps } = slippage { bps } else { 0.0 };
        let costs = |fee: f64, more: f64| {
            let costs = Costs {
                fee_fraction: fee_fraction * fee,
                slippage: if more > 0.0 { Slippage::Fixed { bps: bps + more } } else { slippage },
                ..self.terms.costs
            };
            PortfolioTerms { costs, ..self.terms }
        };
        let stresses = [
            ("fee_x2", costs(2.0, 0.0)),
            ("fee_x3", costs(3.0, 0.0)),
            ("plus_5_bps", costs(1.0, 5.0)),
            ("plus_10_bps", costs(1.0, 10.0)),
        ];
        let runs: Vec<_> = stresses.iter().map(|(_, terms)| (self.strategy.clone(), *terms)).collect();
        let found = self.all(&runs)?;
        let of = |((name, _), results): (&(&'static str, PortfolioTerms), &Results)| {
            (*name, results.figures.hedged.sharpe_ratio)
        };
        let figures: Vec<_> = stresses.iter().zip(&found).map(of).collect();
        let sentence = format!(
            "Hedged Sharpe ratio {} at its own costs, {} at twice and {} at three times the fee, {} with 5 and {} with 10 basis \
             points of slippage more; it trades {} of its equity a day.",
            ratio(own.figures.hedged.sharpe_ratio),
            ratio(figures[0].1),
            ratio(figures[1].1),
            ratio(figures[2].1),
            ratio(figures[3].1),
            own.figures.turnover_per_day.map_or_else(|| "an undefined share".to_owned(), share),
        );
        Ok(finding("costs", sentence, figures))
    }

    fn on_realistic_terms(&self, own: &Results) -> Result<Finding, RunError> {
        let late = Execution { delay_candles: 1, ..self.terms.execution };
        let on = |execution| (self.strategy.clone(), PortfolioTerms { execution, ..self.terms });
        let found = self.all(&[on(late), on(self.realistic)])?;
        let (late, real) = (&found[0], &found[1]);
        let sentence = format!(
            "Hedged Sharpe ratio {} where orders fill a candle later, and {} on the terms of paper runs (late, in lots, with \
             margin, borrow and bad exits); {} at its own.",
            ratio(late.figures.hedged.sharpe_ratio),
            ratio(real.figures.hedged.sharpe_ratio),
            ratio(own.figures.hedged.sharpe_ratio),
        );
        let figures = [
            ("late_sharpe_ratio", late.figures.hedged.sharpe_ratio),
            ("realistic_sharpe_ratio", real.figures.hedged.sharpe_ratio),
            ("realistic_total_return", real.performance.total_return),
        ];
        Ok(finding("realistic_terms", sentence, figures))
    }

    /// Every look-back longer or shorter, smaller and larger universes, and each parameter of the score's indicators moved.
    fn neighbours(&self, own: &Results) -> Result<Finding, RunError> {
        let mut all: Vec<Ranking> = LOOK_BACKS.iter().map(|factor| self.strategy.with_look_backs(*factor)).collect();
        all.extend(SIZES.iter().map(|factor| {
            let top = (f64::from(self.strategy.universe.top) * factor).round().max(2.0) as u32;
            Ranking { universe: Universe { top, ..self.strategy.universe }, ..self.strategy.clone() }
        }));
        let of_indicators = score_neighbours(&self.strategy, NEIGHBOUR_STEP);
        let moved = match of_indicators.len() {
            0 => String::new(),
            n => format!(", {n} with one parameter of an indicator moved by a tenth"),
        };
        let indicators = of_indicators.len() as f64;
        all.extend(of_indicators);
        let runs: Vec<_> = all.iter().map(|neighbour| (neighbour.clone(), self.terms)).collect();
        let mut found: Vec<f64> = self.all(&runs)?.iter().filter_map(|r| r.figures.hedged.sharpe_ratio).collect();
        found.sort_by(f64::total_cmp);
        let (worst, best) = (found.first().copied(), found.last().copied());
        let median = found.get(found.len() / 2).copied();
        let sentence = format!(
            "Of {} neighbours (look-backs of 0.75 to 1.33 times, universes of 0.67 and 1.5 times the size{moved}) the worst has \
             a hedged Sharpe ratio of {}, the median {}, the best {}; itself {}.",
            all.len(),
            ratio(worst),
            ratio(median),
            ratio(best),
            ratio(own.figures.hedged.sharpe_ratio),
        );
        let figures = [
            ("worst_sharpe_ratio", worst),
            ("median_sharpe_ratio", median),
            ("best_sharpe_ratio", best),
            ("runs", Some(all.len() as f64)),
            ("indicator_runs", Some(indicators)),
        ];
        Ok(finding("neighbours", sentence, figures))
    }
}

fn years(own: &Results) -> Finding {
    let told: Vec<String> = own
        .figures
        .years
        .iter()
        .map(|y| {
            format!(
                "{} {} ({} hedged, {} members)",
                y.year,
                ratio(y.sharpe_ratio),
                ratio(y.hedged_sharpe_ratio),
                ratio(y.mean_members)
            )
        })
        .collect();
    let figures = own.figures.years.iter().map(|y| (format!("hedged_sharpe_ratio_{}", y.year), y.hedged_sharpe_ratio));
    Finding {
        name: "years".to_owned(),
        sentence: format!("Sharpe ratio by calendar year: {}.", told.join(", ")),
        figures: figures.map(|(name, value)| Figure { name, value }).collect(),
    }
}

/// How much of it is a few names' doing.
fn names(own: &Results) -> Finding {
    let total = own.performance.total_return;
    let best: f64 = own.figures.attribution.iter().take(BEST_NAMES).map(|a| a.total).sum();
    let without = total.map(|t| t - best);
    let told: Vec<String> = own
        .figures
        .attribution
        .iter()
        .take(BEST_NAMES)
        .map(|a| format!("{} {}", a.instrument, share(a.total)))
        .collect();
    let sentence = format!(
        "Of a gain of {} in all the long leg gave {} and the short leg {}; without the gains of its {} best names ({}) it would \
         be {}. {} names were held.",
        total.map_or_else(|| "an undefined share".to_owned(), share),
        share(own.figures.long_gain),
        share(own.figures.short_gain),
        told.len(),
        told.join(", "),
        without.map_or_else(|| "undefined".to_owned(), share),
        own.figures.attribution.len(),
    );
    let figures = [
        ("long_gain", Some(own.figures.long_gain)),
        ("short_gain", Some(own.figures.short_gain)),
        ("total_return_without_best_names", without),
    ];
    finding("names", sentence, figures)
}

fn finding(name: &str, sentence: String, figures: impl IntoIterator<Item = (&'static str, Option<f64>)>) -> Finding {
    let figure = |(name, value): (&str, Option<f64>)| Figure { name: name.to_owned(), value };
    Finding { name: name.to_owned(), sentence, figures: figures.into_iter().map(figure).collect() }
}

fn ratio(value: Option<f64>) -> String {
    value.map_or_else(|| "undefined".to_owned(), |v| format!("{v:.2}"))
}

fn share(value: f64) -> String {
    format!("{:.1} %", 100.0 * value)
}

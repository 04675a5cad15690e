//! Targets that somebody else set, traded on one account: fills, costs, funding, ends of instruments and limits as for
//! every strategy.
//!
//! Decides nothing: who holds several strategies on one account nets their targets first.

use crate::{Benchmark, Panel, PortfolioTerms, Rebalance, RunError, Track, prepared::Ground, state::Trader};
use genome::{Expression, Form, Number, PriceField, Ranking, Series, Source, Weights};

/// Trades `targets` (ascending by time; numbers of instruments are this panel's) over the slots that open in
/// `[from_ms, to_ms)`. A name whose target differs from its present share by less than `band` is left alone unless its
/// target is 0. Targets of times that are no close in the window are left out.
///
/// # Errors
/// When the window is empty, or the terms are impossible.
pub fn follow(
    targets: &[Rebalance],
    panel: &Panel,
    (from_ms, to_ms): (i64, i64),
    band: f64,
    terms: &PortfolioTerms,
) -> Result<Track, RunError> {
    if from_ms >= to_ms {
        return Err(RunError::EmptyWindow);
    }
    terms.validate().map_err(RunError::Terms)?;
    // What can be borrowed, and what slippage looks at, are had as for a strategy that looks at the benchmark's members.
    let close = Series { source: Source::Price(PriceField::Close), timeframe: None, across: None };
    let frame = Ranking {
        timeframe: panel.interval(),
        universe: Benchmark::UNIVERSE,
        score: Expression::Series(close),
        rebalance: panel.interval(),
        weights: Weights { band: Number::new(band).filter(|band| band.get() > 0.0), ..Weights::of(Form::Linear) },
        gross: Number::int(1),
    };
    let mut ready = Ground::new(panel, from_ms, to_ms, 0).prepare(&[&frame], terms);
    let ready = ready.pop().unwrap_or(Err(RunError::EmptyWindow))?;
    Ok(Trader { strategy: &frame, panel, terms, ready: &ready, told: Some(targets) }.run(from_ms, to_ms, true))
}

//! How large a drift has to be so that an edge is as strong as stated, measured on markets made for it.
//!
//! Never looks at the market that is asked for: the same edge is as strong whatever the seed.

use super::edge::EdgeSpec;
use super::path::PathModel;
use super::spec::{MarketSpec, SymbolSpec};
use candles::Interval;
use candles::time::DAY_MS;
use genome::random::Seed;

const YEAR_MS: f64 = 365.0 * 86_400_000.0;

/// The drift, in standard deviations of one of the edge's candles, that gives the stated Sharpe ratio; of an edge of the
/// cross-section that of a day, a unit of tilt.
pub(crate) fn drift(market: &MarketSpec, edge: &EdgeSpec) -> f64 {
    if edge.sharpe <= 0.0 {
        0.0
    } else if edge.kind.ranks() {
        ranking_drift(market, edge)
    } else {
        market.symbols.iter().find(|s| edge.is_on(&s.symbol)).map_or(0.0, |s| drift_of_one(market, edge, s))
    }
}

/// Holding the drift's direction for a share p of N candles a year earns `p drift E[sigma]` a candle with variance
/// `p E[sigma^2]`, so Sharpe = drift sqrt(p N) E[sigma] / sqrt(E[sigma^2]). Drift changes how often signals come,
/// so p is counted on a market that has the edge, made with a seed of its own, and the equation is iterated.
fn drift_of_one(market: &MarketSpec, edge: &EdgeSpec, symbol: &SymbolSpec) -> f64 {
    const DAYS: u64 = 200;
    let interval_ms = edge.interval.fixed_ms().unwrap_or(DAY_MS);
    let base = if edge.interval <= Interval::H1 { edge.interval } else { market.base };
    let spec = MarketSpec { base, ..measured(market, edge, vec![lasting(symbol)]) };
    let per_year = YEAR_MS / interval_ms as f64;
    let mean_to_root_mean_square = (-0.5 * market.volatility.log_variance()).exp();
    let mut share: f64 = 0.3;
    let mut drift = 0.0;
    for _ in 0..3 {
        drift = edge.sharpe / ((share * per_year).sqrt() * mean_to_root_mean_square);
        share = drifting_share(&spec, drift, DAYS).max(1e-4);
    }
    drift
}

/// Share of candles that drift, over the market's first days.
fn drifting_share(spec: &MarketSpec, drift: f64, days: u64) -> f64 {
    let model = PathModel::new(spec, &[drift]);
    let end = (0..days).fold(model.initial_state(), |state, day| model.day(day, &state).1);
    PathModel::drifted(&end) as f64 / (days * model.per_day() as u64) as f64
}

/// What the ideal strategy earns grows with the drift in a straight line, but that drift changes who is ranked where: so
/// its mean and deviation are measured on a market that has the edge, all its symbols listed, and the drift is set by them.
/// The mean is that of what the edge adds, which is known without the noise of what else happens.
fn ranking_drift(market: &MarketSpec, edge: &EdgeSpec) -> f64 {
    const DAYS: u64 = 4_000;
    /// As tilts do not depend on how many are ranked, some of many symbols tell.
    const SYMBOLS: usize = 60;
    let symbols = market.symbols.iter().filter(|s| edge.is_on(&s.symbol)).take(SYMBOLS).map(lasting).collect();
    let spec = MarketSpec { base: Interval::H1, ..measured(market, edge, symbols) };
    let daily = edge.sharpe / 365f64.sqrt();
    // About right, so that the drift that is measured is nearly the one that is sought.
    let drift = daily / (-0.5 * market.volatility.log_variance()).exp();
    let earned = ideal_ratio(&spec, drift, DAYS);
    if earned > 0.0 { drift * daily / earned } else { drift }
}

/// Mean of what a ranking edge adds to its ideal strategy's daily returns, over their standard deviation.
fn ideal_ratio(spec: &MarketSpec, drift: f64, days: u64) -> f64 {
    let model = PathModel::new(spec, &[drift]);
    let mut state = model.initial_state();
    let (mut count, mut added, mut sum, mut squares) = (0.0, 0.0, 0.0, 0.0);
    for day in 0..days {
        let weights = model.ideal(day, &state);
        let end = model.day(day, &state).1;
        if !weights.is_empty() {
            let (before, after): (Vec<_>, Vec<_>) =
                (PathModel::expected(&state).collect(), PathModel::expected(&end).collect());
            let earned = |at: usize| after[at].1 / before[at].1 - 1.0;
            let returned: f64 = weights.iter().map(|(at, w)| w * earned(*at)).sum();
            added += weights.iter().map(|(at, w)| w * (after[*at].0 - before[*at].0)).sum::<f64>();
            count += 1.0;
            sum += returned;
            squares += returned * returned;
        }
        state = end;
    }
    let variance = squares / count - (sum / count).powi(2);
    if count > 0.0 && variance > 0.0 { added / count / variance.sqrt() } else { 0.0 }
}

/// The market on which an edge is measured: these symbols, the edge for all time, a seed of its own.
fn measured(market: &MarketSpec, edge: &EdgeSpec, symbols: Vec<SymbolSpec>) -> MarketSpec {
    let edges = vec![EdgeSpec { start_ms: i64::MIN, end_ms: None, symbols: Vec::new(), ..edge.clone() }];
    MarketSpec { seed: Seed(0), steps_per_candle: 2, symbols, edges, ..market.clone() }
}

/// The symbol, there from first to last.
fn lasting(symbol: &SymbolSpec) -> SymbolSpec {
    SymbolSpec { listed_ms: None, delisted_ms: None, fades_ms: None, ..symbol.clone() }
}

//! How strong an edge has to be planted so that a given Sharpe ratio is there to be earned after costs.
//!
//! A planted edge is set by what its natural strategy earns on one symbol before costs. Whoever trades pays costs and
//! trades all symbols at once; so the strength is sought at which a strategy that knows the edge earns what was asked
//! for, measured on many simulated years. Never looks at a market that is tried.

use candles::time::DAY_MS;
use candles::{Interval, MarketKind, Symbol};
use engine::{Engine, EvaluationError, SymbolWindow, Terms, Wanted, Window, WindowError};
use genome::{Strategy, random::Seed};
use simulated::{EdgeKind, EdgeSpec, MarketError, MarketSpec, SimulatedMarket, SpecError};
use std::sync::Arc;

/// 1980-01-01: no market that is tried begins before it ends.
const START_MS: i64 = 315_532_800_000;
const WARM_UP_DAYS: i64 = 30;
/// Windows of two years that are measured: the mean's standard error is about 0.13 beside what symbols add.
const WINDOWS: i64 = 15;
const WINDOW_DAYS: i64 = 730;
/// What is found earns what was asked for to this.
const TOLERANCE: f64 = 0.03;
/// Strongest edge that is tried.
const STRONGEST: f64 = 30.0;

/// Why no strength was found.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum StrengthError {
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error(transparent)]
    Market(#[from] MarketError),
    #[error(transparent)]
    Window(#[from] WindowError),
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    #[error(
        "a {kind} edge on {interval} candles cannot be planted so that it earns a Sharpe ratio of {asked} after costs: the strongest earns {most:.1}"
    )]
    Unreachable { kind: EdgeKind, interval: Interval, asked: f64, most: f64 },
    #[error("no strategy is known that trades a {0} edge")]
    Unknown(EdgeKind),
}

/// A strategy that knows the edge and trades it at little cost: it turns where the edge turns.
fn knowing(kind: EdgeKind, interval: Interval) -> Option<Strategy> {
    let (long, short) = match kind {
        EdgeKind::MeanReversion { lookback, deviations, .. } => (
            format!("close < bollinger_lower({lookback}, {deviations})"),
            format!("close > bollinger_upper({lookback}, {deviations})"),
        ),
        EdgeKind::Momentum { lookback, .. } => {
            (format!("close > donchian_upper({lookback})"), format!("close < donchian_lower({lookback})"))
        }
        EdgeKind::TimeOfDay { .. }
        | EdgeKind::VolumeSpike { .. }
        | EdgeKind::Product { .. }
        | EdgeKind::RankMomentum { .. }
        | EdgeKind::RankReversal { .. }
        | EdgeKind::RankVolume { .. } => return None,
    };
    format!("{interval}; long when {long} exit when {short}; short when {short} exit when {long}; stop 10%")
        .parse()
        .ok()
}

/// What is measured: an edge on all of these symbols.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Planting<'a> {
    pub kind: EdgeKind,
    pub symbols: &'a [Symbol],
    pub interval: Interval,
    pub terms: &'a Terms,
}

impl Planting<'_> {
    /// The strength (see [`EdgeSpec::sharpe`]) at which a strategy that knows the edge earns an annual Sharpe ratio of
    /// `sharpe` after costs, all symbols together.
    ///
    /// # Errors
    /// When no strength does, or the market cannot be made.
    pub fn strength(&self, sharpe: f64, engine: &Engine) -> Result<f64, StrengthError> {
        let strategy = knowing(self.kind, self.interval).ok_or(StrengthError::Unknown(self.kind))?;
        let earned = |strength: f64| self.earned(&strategy, strength, engine);
        let first = sharpe.clamp(1.0, STRONGEST);
        let (mut low, mut high) = ((0.0, earned(0.0)?), (first, earned(first)?));
        while high.1 < sharpe {
            if high.0 >= STRONGEST {
                let (kind, interval) = (self.kind, self.interval);
                return Err(StrengthError::Unreachable { kind, interval, asked: sharpe, most: high.1 });
            }
            let next = (high.0 * 1.5).min(STRONGEST);
            (low, high) = (high, (next, earned(next)?));
        }
        // What is earned grows with the strength, nearly in a straight line.
        for _ in 0..12 {
            let at = low.0 + (high.0 - low.0) * ((sharpe - low.1) / (high.1 - low.1)).clamp(0.05, 0.95);
            let found = earned(at)?;
            if (found - sharpe).abs() <= TOLERANCE {
                return Ok(at);
            }
            if found < sharpe { low = (at, found) } else { high = (at, found) }
        }
        Ok((low.0 + high.0) / 2.0)
    }

    /// Mean annual Sharpe ratio over the windows, after costs.
    fn earned(&self, strategy: &Strategy, strength: f64, engine: &Engine) -> Result<f64, StrengthError> {
        let mut spec = MarketSpec::noise(Seed(0).child("strength", 0), START_MS, self.symbols);
        let lasting = EdgeSpec::lasting(self.kind, self.symbols.to_vec(), strength);
        spec.edges = vec![EdgeSpec { interval: self.interval, ..lasting }];
        let market = SimulatedMarket::new(spec)?;
        let mut sum = 0.0;
        for window in 0..WINDOWS {
            let from_ms = START_MS + (WARM_UP_DAYS + window * WINDOW_DAYS) * DAY_MS;
            let to_ms = from_ms + WINDOW_DAYS * DAY_MS;
            let one = |symbol: &Symbol| {
                Ok(SymbolWindow {
                    market: MarketKind::Spot,
                    symbol: symbol.clone(),
                    candles: Arc::new(market.candles(symbol, self.interval, from_ms - WARM_UP_DAYS * DAY_MS, to_ms)?),
                    finer: Vec::new(),
                    funding: Arc::from([]),
                    readings: Arc::default(),
                    across: Arc::default(),
                })
            };
            let symbols = self.symbols.iter().map(one).collect::<Result<Vec<_>, MarketError>>()?;
            let window = Window::new(from_ms, to_ms, symbols)?;
            let outcomes = engine.evaluate(std::slice::from_ref(strategy), &window, self.terms, Wanted::default());
            for outcome in outcomes {
                sum += outcome?.performance.sharpe_ratio.unwrap_or_default();
            }
        }
        Ok(sum / WINDOWS as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_ask_for_a_stronger_edge() {
        let engine = Engine::default();
        let symbols: Vec<Symbol> = vec!["BTCUSDT".parse().unwrap()];
        let kind = EdgeKind::Momentum { lookback: 48, hold: 16 };
        let terms = Terms::default();
        // An hour's candles: a quarter of the work.
        let planting = Planting { kind, symbols: &symbols, interval: Interval::H1, terms: &terms };
        let strength = planting.strength(4.0, &engine).unwrap();
        assert!((4.2..12.0).contains(&strength), "{strength}");
        let strategy = knowing(kind, Interval::H1).unwrap();
        assert!((planting.earned(&strategy, strength, &engine).unwrap() - 4.0).abs() < 0.1);
        let impossible = planting.strength(90.0, &engine).unwrap_err().to_string();
        assert!(impossible.contains("cannot be planted"), "{impossible}");
    }
}

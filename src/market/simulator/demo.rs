//! The market that the demo shows: two strong edges among noise, one of which dies.
//!
//! Made to be found quickly, not to be lifelike: no real market is this generous.

use super::server::ExchangeConfig;
use candles::Symbol;
use candles::time::DAY_MS;
use genome::random::Seed;
use simulated::MarketSpec;
use simulated::{EdgeKind, EdgeSpec};

/// 2025-01-01: where the demo's clock starts.
const NOW_MS: i64 = 1_735_689_600_000;
/// Days of candles before the start: a backtest window of 90, its hold-out, and warm-up for 4h indicators.
const HISTORY_DAYS: i64 = 180;
/// Days after the start at which mean reversion begins to die, and how long that takes.
const DECAY_AFTER_DAYS: i64 = 35;
const DECAY_DAYS: i64 = 5;

/// Four symbols on 15m candles. BTCUSDT, SOLUSDT and ARBUSDT revert to their mean after closes outside
/// `bollinger(20, 2.2)`; from day 35 that edge dies, and by day 40 it has turned against those who trade it.
/// BTCUSDT and ETHUSDT rise from 13:00 to 17:00 UTC and fall from 01:00 to 05:00, for ever.
///
/// The clock runs a simulated day in two wall seconds.
#[must_use]
pub fn demo_market(seed: u64) -> ExchangeConfig {
    let symbols: Vec<Symbol> =
        ["BTCUSDT", "ETHUSDT", "SOLUSDT", "ARBUSDT"].iter().filter_map(|name| name.parse().ok()).collect();
    let some = |wanted: &[usize]| wanted.iter().filter_map(|i| symbols.get(*i).cloned()).collect();
    let mut market = MarketSpec::noise(Seed(seed), NOW_MS - HISTORY_DAYS * DAY_MS, &symbols);
    let reversion = EdgeKind::MeanReversion { lookback: 20, deviations: 2.2, hold: 16 };
    market.edges = vec![
        EdgeSpec {
            end_ms: Some(NOW_MS + DECAY_AFTER_DAYS * DAY_MS),
            decay_ms: DECAY_DAYS * DAY_MS,
            residual: -0.7,
            ..EdgeSpec::lasting(reversion, some(&[0, 2, 3]), 26.0)
        },
        EdgeSpec::lasting(EdgeKind::TimeOfDay { hour: 13, hours: 4 }, some(&[0, 1]), 18.0),
    ];
    ExchangeConfig { speed: 43_200.0, ..ExchangeConfig::new(market, NOW_MS) }
}

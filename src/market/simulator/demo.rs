//! The market that the demo shows: strong edges of rules, one of which dies, and coins of which those that rose go on rising.
//!
//! Made to be found quickly, not to be lifelike: no real market is this generous.

use super::server::ExchangeConfig;
use candles::Symbol;
use candles::time::DAY_MS;
use genome::random::Seed;
use simulated::{EdgeKind, EdgeSpec, MarketSpec, SymbolSpec};

/// 2025-01-01: where the demo's clock starts.
const NOW_MS: i64 = 1_735_689_600_000;
/// Days of candles before the start: those that a ranking is searched on, its hold-out, and warm-up.
const HISTORY_DAYS: i64 = 400;
/// Days after the start at which mean reversion begins to die, and how long that takes.
const DECAY_AFTER_DAYS: i64 = 35;
const DECAY_DAYS: i64 = 5;
/// Symbols that are traded by rules.
const NAMED: [&str; 4] = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "ARBUSDT"];
/// Coins beside them.
const COINS: u32 = 12;
/// Annual Sharpe ratio of whoever ranks the coins by the right thing, before costs.
const MOMENTUM_SHARPE: f64 = 14.0;
/// The same of the two weaker ones beside it: one that dies, one that is born, days from the start.
const WEAKER_SHARPE: f64 = 5.0;
const REVERSAL_UNTIL: i64 = 30;
const VOLUME_FROM: i64 = 20;
/// Days from the start at which a coin is listed: one while there are only old candles, one before your eyes.
const LISTED: [(usize, i64); 2] = [(8, -150), (9, 8)];
/// The same of delistings; the second fades away.
const DELISTED: [(usize, i64); 2] = [(10, -100), (11, 25)];
/// Days before its end in which a coin's volume fades.
const FADING_DAYS: i64 = 60;

/// The symbols of [`demo_market`] that are traded by rules.
#[must_use]
pub fn demo_symbols() -> Vec<Symbol> {
    NAMED.iter().filter_map(|name| name.parse().ok()).collect()
}

/// Four symbols on 15m candles. BTCUSDT, SOLUSDT and ARBUSDT revert to their mean after closes outside
/// `bollinger(20, 2.2)`; from day 35 that edge dies, and by day 40 it has turned against those who trade it.
/// BTCUSDT and ETHUSDT rise from 13:00 to 17:00 UTC and fall from 01:00 to 05:00, for ever.
///
/// Beside them twelve coins, `C01USDT` and so on: those that rose most over 14 days rise against those that rose least, for
/// ever. Two weaker edges are between them: yesterday's losers rise until day 30, and from day 20 on those whose volume grew. `C09USDT` is listed and `C11USDT` delisted before the start, `C10USDT` is listed on day 8 and `C12USDT` delisted on
/// day 25, after its volume has faded.
///
/// The clock runs a simulated day in two wall seconds.
#[must_use]
pub fn demo_market(seed: u64) -> ExchangeConfig {
    let symbols = demo_symbols();
    let some = |wanted: &[usize]| wanted.iter().filter_map(|i| symbols.get(*i).cloned()).collect();
    let start_ms = NOW_MS - HISTORY_DAYS * DAY_MS;
    let mut market = MarketSpec::noise(Seed(seed), start_ms, &symbols);
    let listed = coins(seed, start_ms);
    let coins: Vec<Symbol> = listed.iter().map(|coin| coin.symbol.clone()).collect();
    market.symbols.extend(listed);
    let reversion = EdgeKind::MeanReversion { lookback: 20, deviations: 2.2, hold: 16 };
    market.edges = vec![
        EdgeSpec {
            end_ms: Some(NOW_MS + DECAY_AFTER_DAYS * DAY_MS),
            decay_ms: DECAY_DAYS * DAY_MS,
            residual: -0.7,
            ..EdgeSpec::lasting(reversion, some(&[0, 2, 3]), 26.0)
        },
        EdgeSpec::lasting(EdgeKind::TimeOfDay { hour: 13, hours: 4 }, some(&[0, 1]), 18.0),
        EdgeSpec {
            end_ms: Some(NOW_MS + REVERSAL_UNTIL * DAY_MS),
            decay_ms: DECAY_DAYS * DAY_MS,
            ..EdgeSpec::lasting(EdgeKind::RankReversal { days: 1 }, coins.clone(), WEAKER_SHARPE)
        },
        EdgeSpec {
            start_ms: NOW_MS + VOLUME_FROM * DAY_MS,
            ..EdgeSpec::lasting(EdgeKind::RankVolume { days: 1, against: 20 }, coins.clone(), WEAKER_SHARPE)
        },
        EdgeSpec::lasting(EdgeKind::RankMomentum { days: 14 }, coins, MOMENTUM_SHARPE),
    ];
    let mut config = ExchangeConfig { speed: 43_200.0, ..ExchangeConfig::new(market, NOW_MS) };
    // Months of requests come in minutes.
    config.limits.spot_weight_per_minute = 1_000_000;
    config
}

/// Coins of characters drawn from the seed, whose lives are those that the demo shows.
fn coins(seed: u64, start_ms: i64) -> Vec<SymbolSpec> {
    // The number is a possible one.
    let drawn = MarketSpec::coins(Seed(seed), start_ms, COINS, HISTORY_DAYS as u32).map(|market| market.symbols);
    let mut coins = drawn.unwrap_or_default();
    for coin in &mut coins {
        (coin.listed_ms, coin.delisted_ms, coin.fades_ms) = (None, None, None);
    }
    for (number, day) in LISTED {
        coins[number].listed_ms = Some(NOW_MS + day * DAY_MS);
    }
    for (number, day) in DELISTED {
        coins[number].delisted_ms = Some(NOW_MS + day * DAY_MS);
    }
    if let Some((number, day)) = DELISTED.last() {
        coins[*number].fades_ms = Some(NOW_MS + (day - FADING_DAYS) * DAY_MS);
    }
    coins
}

//! A market of many made-up coins: own volatilities, volumes and lives, all from the seed.
//!
//! Draws what coins are, never a price of a later time.

use super::limits::SpecError;
use super::spec::{MarketSpec, SymbolSpec, VolatilitySpec};
use candles::time::{DAY_MS, HOUR_MS};
use candles::{Interval, Symbol};
use genome::random::Seed;
use rand::RngExt as _;
use rand_distr::StandardNormal;

/// Most coins of a market.
pub const MAX_COINS: u32 = 500;
/// Days before its end in which a coin that dies slowly fades; it trades less than a thousandth at last.
const FADING_DAYS: i64 = 150;
/// Days that a coin has candles at the least.
const LEAST_DAYS: i64 = 60;

impl MarketSpec {
    /// A market without an edge of `coins` made-up coins, `C01USDT` and so on, on 1h candles. Half of their variance comes
    /// from a factor common to all. Volatilities (0.4 to 2 a year) and daily quote volumes (0.5 to 500 million) are each coin's
    /// own and stay.
    ///
    /// Of ten coins, three are listed after the market's start; of eight, two are delisted, one of them at once and one after
    /// its volume has faded for 150 days. Both are spread evenly over `days` days from the start. So a longer market of the
    /// same seed has other listings; that of the same `days` is the same whatever is asked of it.
    ///
    /// # Errors
    /// Fewer than 2 coins or more than [`MAX_COINS`].
    pub fn coins(seed: Seed, start_ms: i64, coins: u32, days: u32) -> Result<Self, SpecError> {
        if !(2..=MAX_COINS).contains(&coins) {
            return Err(SpecError::Coins { asked: coins, most: MAX_COINS });
        }
        let symbols = (0..coins).map(|number| coin(seed, start_ms, number, coins, i64::from(days)));
        Ok(Self {
            seed,
            start_ms,
            base: Interval::H1,
            steps_per_candle: 4,
            common_factor_share: 0.5,
            volatility: VolatilitySpec::default(),
            symbols: symbols.collect::<Result<_, _>>()?,
            edges: Vec::new(),
        })
    }
}

fn coin(seed: Seed, start_ms: i64, number: u32, coins: u32, days: i64) -> Result<SymbolSpec, SpecError> {
    let name = format!("C{:02}USDT", number + 1);
    let symbol: Symbol = name.parse().map_err(|_| SpecError::Coins { asked: coins, most: MAX_COINS })?;
    let mut rng = seed.child("coin", 0).child(&name, 0).stream("is", 0);
    let mut normal = || rng.sample::<f64, _>(StandardNormal);
    let annual_volatility = (0.9 * (0.35 * normal()).exp()).clamp(0.4, 2.0);
    let quote_volume = (2e7 * (1.3 * normal()).exp()).clamp(5e5, 5e8);
    let initial_price = 10f64.powf((0.5 + normal()).clamp(-1.5, 3.0));
    // A place in time of its own, a little off, on the hour.
    let mut place = |at: u32, of: u32| {
        let within = (f64::from(at) + rng.random::<f64>()) / f64::from(of.max(1));
        start_ms + (within * (days * DAY_MS) as f64) as i64 / HOUR_MS * HOUR_MS
    };
    let late = |number: u32| number % 10 >= 7;
    let ends = |number: u32| number % 8 == 2 || number % 8 == 5;
    let rank = |is: &dyn Fn(u32) -> bool, below: u32| (0..below).filter(|n| is(*n)).count() as u32;
    let listed_ms = late(number).then(|| place(rank(&late, number), rank(&late, coins)));
    let delisted_ms = ends(number).then(|| {
        let end_ms = place(rank(&ends, number), rank(&ends, coins));
        end_ms.max(listed_ms.unwrap_or(start_ms) + LEAST_DAYS * DAY_MS)
    });
    let fading = |end_ms: i64| (end_ms - FADING_DAYS * DAY_MS).max(listed_ms.unwrap_or(start_ms));
    let fades_ms = delisted_ms.filter(|_| number % 8 == 5).map(fading);
    Ok(SymbolSpec {
        initial_price,
        annual_volatility,
        price_decimals: if initial_price >= 100.0 { 2 } else { 4 },
        volume_decimals: if initial_price >= 100.0 { 4 } else { 1 },
        daily_volume: quote_volume / initial_price,
        listed_ms,
        delisted_ms,
        fades_ms,
        ..SymbolSpec::named(&symbol)
    })
}

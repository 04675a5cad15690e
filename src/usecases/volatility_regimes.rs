//! Regimes of the assets that strategies trade: noted at each 00:00 UTC of market time, and when they change.
//!
//! Looks at whole hours only, and at candles that had closed by then. Fetches nothing.

use super::candle_source::CandleSource;
use super::parts::Compute;
use crate::config::DaemonConfig;
use candles::time::DAY_MS;
use candles::time::HOUR_MS;
use candles::{CandleSeries, Symbol, Ticker};
use evidence::volatility_regime::{VolatilityRegime, VolatilityRegimeConfig, VolatilityRegimeReading, classify};
use std::collections::BTreeMap;
use store::{NewVolatilityRegime, Store};

/// Hours that are looked at in one go: whoever was away for longer is told of the newest of them.
const MOST_HOURS: i64 = 24 * 40;

/// Keeps the regimes of all assets.
pub(crate) struct VolatilityRegimeMonitor {
    candles: CandleSource,
    compute: Compute,
    store: Store,
    settings: DaemonConfig,
    config: VolatilityRegimeConfig,
    /// The newest hour that was looked at, by asset.
    looked_ms: BTreeMap<Symbol, i64>,
}

impl VolatilityRegimeMonitor {
    pub(crate) fn new(
        candles: CandleSource,
        compute: Compute,
        store: Store,
        settings: DaemonConfig,
        config: VolatilityRegimeConfig,
    ) -> Self {
        Self { candles, compute, store, settings, config, looked_ms: BTreeMap::new() }
    }

    /// Notes what is new of every asset; how many regimes that were.
    pub(crate) async fn record(&mut self) -> anyhow::Result<usize> {
        let CandleSource { market, cache, .. } = &self.candles;
        let interval = self.settings.interval;
        let mut symbols: Vec<Symbol> = self.settings.shadow_symbols.clone();
        let searched = self.settings.searched().into_iter().filter(|(_, on)| *on == interval);
        symbols.extend(searched.flat_map(|(symbols, _)| symbols));
        symbols.sort();
        symbols.dedup();
        let mut newest = Vec::with_capacity(symbols.len());
        for symbol in symbols {
            let close_ms = cache.newest_close_ms(&Ticker::of(*market, &symbol), interval).await?;
            let hour_ms = close_ms.map(|close_ms| (close_ms + 1).div_euclid(HOUR_MS) * HOUR_MS);
            newest.extend(hour_ms.filter(|hour| self.looked_ms.get(&symbol) < Some(hour)).map(|hour| (symbol, hour)));
        }
        if newest.is_empty() {
            return Ok(0);
        }
        let known = self.store.current_regimes().await?;
        let mut noted = 0;
        for (symbol, newest_ms) in newest {
            let last = known.iter().find(|r| r.market == *market && r.asset == symbol);
            let oldest_ms = newest_ms - MOST_HOURS * HOUR_MS;
            let from_ms = last.map_or(newest_ms, |r| r.effective_from_ms + HOUR_MS).max(oldest_ms);
            let load_ms = from_ms - self.config.look_back_ms();
            let candles = cache.load(&Ticker::of(*market, &symbol), interval, load_ms, newest_ms).await?;
            let (config, before) = (self.config.clone(), last.map(|r| r.regime));
            let found = self.compute.run(move || news(&candles, from_ms, newest_ms, before, &config)).await?;
            for (at_ms, reading) in found {
                let regime = NewVolatilityRegime {
                    market: *market,
                    asset: symbol.clone(),
                    volatility_percentile: reading.percentile,
                    realised_volatility: reading.realised_volatility,
                    effective_from_ms: at_ms,
                };
                noted += usize::from(self.store.record_regime(&regime).await?);
            }
            self.looked_ms.insert(symbol, newest_ms);
        }
        Ok(noted)
    }
}

/// The regimes worth noting at the whole hours of `[from_ms, to_ms]`: those that begin a day, and those that differ
/// from the one before.
fn news(
    candles: &CandleSeries,
    from_ms: i64,
    to_ms: i64,
    mut before: Option<VolatilityRegime>,
    config: &VolatilityRegimeConfig,
) -> Vec<(i64, VolatilityRegimeReading)> {
    let mut found = Vec::new();
    let mut at_ms = from_ms;
    while at_ms <= to_ms {
        if let Some(reading) = classify(candles, at_ms, config)
            && (before != Some(reading.regime) || at_ms % DAY_MS == 0)
        {
            before = Some(reading.regime);
            found.push((at_ms, reading));
        }
        at_ms += HOUR_MS;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use candles::CandleSeries;

    #[test]
    fn regimes_are_noted_each_day_and_on_change() {
        let config = VolatilityRegimeConfig { window_hours: 24, history_days: 30, min_history_days: 10 };
        // Thirty days of equal moves, then from noon on ten times as large ones.
        let candles = hourly(31 * 24, |hour| if hour >= 30 * 24 + 12 { 0.01 } else { 0.001 });
        let found = news(&candles, 28 * DAY_MS + HOUR_MS, 31 * DAY_MS, Some(VolatilityRegime::Normal), &config);
        let hours: Vec<i64> = found.iter().map(|(at_ms, _)| at_ms / HOUR_MS).collect();
        // Midnights, and the first hour after the larger moves began.
        assert!(hours.contains(&(29 * 24)) && hours.contains(&(30 * 24)) && hours.contains(&(31 * 24)), "{hours:?}");
        assert!(hours.contains(&(30 * 24 + 13)), "{hours:?}");
        assert_eq!(found.last().unwrap().1.regime, VolatilityRegime::Extreme);
        assert!(
            news(
                &candles,
                30 * DAY_MS + 14 * HOUR_MS,
                30 * DAY_MS + 20 * HOUR_MS,
                Some(VolatilityRegime::Extreme),
                &config
            )
            .is_empty()
        );
    }

    /// Hourly candles from 1970 on whose moves are as large as told, up and down in turn.
    fn hourly(hours: i64, size: impl Fn(i64) -> f64) -> CandleSeries {
        let mut close = 100.0_f64;
        let candle = |hour: i64| {
            let open = close;
            close *= if hour % 2 == 0 { 1.0 + size(hour) } else { 1.0 / (1.0 + size(hour)) };
            let open_time_ms = hour * HOUR_MS;
            candles::Candle {
                open_time_ms,
                open,
                high: open.max(close),
                low: open.min(close),
                close,
                volume: 1.0,
                close_time_ms: open_time_ms + HOUR_MS - 1,
                quote_volume: close,
                trade_count: 1,
                taker_buy_volume: 0.5,
                taker_buy_quote_volume: 0.5 * close,
            }
        };
        CandleSeries::from_candles("1h".parse().unwrap(), &(0..hours).map(candle).collect::<Vec<_>>()).unwrap()
    }
}

//! Names for data: what a result over a whole market was computed from, by content. Pure.
//!
//! Two names are equal only if all that could be looked at is, to the bit, the table of instruments included.

use crate::cache::{content_sha256, funding_sha256};
use candles::readings::{MarketReadings, Readings};
use candles::{CandleSeries, FundingRate, InstrumentTable, MarketKind, Symbol};
use sha2::{Digest, Sha256};

/// What of a symbol was looked at.
#[derive(Clone, Copy, Debug)]
pub struct SymbolData<'a> {
    /// Which symbol.
    pub symbol: &'a Symbol,
    /// Its candles, warm-up included.
    pub candles: &'a CandleSeries,
    /// Its funding payments; empty on spot.
    pub funding: &'a [FundingRate],
    /// What its perpetual published.
    pub readings: &'a MarketReadings,
}

/// SHA-256, in hex, of what a table says: two tables share it only if they cut and exclude the same.
#[must_use]
pub fn table_sha256(table: &InstrumentTable) -> String {
    hex::encode(Sha256::digest(table.canonical_text()))
}

/// SHA-256, in hex, of the data of several symbols, in the order given, and of the table that makes instruments of them.
#[must_use]
pub fn market_sha256(market: MarketKind, symbols: &[SymbolData<'_>], table: &InstrumentTable) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("market {market}\ninstruments {}\n", table_sha256(table)));
    for data in symbols {
        hash.update(format!("symbol {}\ncandles {}\n", data.symbol, content_sha256(data.candles)));
        hash.update(format!("funding {}\n", funding_sha256(data.funding)));
        for (_, readings) in data.readings.named() {
            add(&mut hash, readings);
        }
        // None is no part, so that names from before there were models stay.
        for (series, readings) in &data.readings.models {
            hash.update(format!("predicted {series}\n"));
            add(&mut hash, readings);
        }
    }
    hex::encode(hash.finalize())
}

fn add(hash: &mut Sha256, readings: &Readings) {
    hash.update((readings.len() as u64).to_le_bytes());
    for (time_ms, value) in readings.times_ms().iter().zip(readings.values()) {
        hash.update(time_ms.to_le_bytes());
        hash.update(value.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candles::{Candle, Interval};

    #[test]
    fn every_part_of_the_data_changes_the_name() {
        let candle = |close: f64| Candle {
            open_time_ms: 0,
            open: 1.0,
            high: 2.0,
            low: 0.5,
            close,
            volume: 1.0,
            close_time_ms: 3_599_999,
            quote_volume: 1.0,
            trade_count: 1,
            taker_buy_volume: 0.5,
            taker_buy_quote_volume: 0.5,
        };
        let series = |close: f64| CandleSeries::from_candles(Interval::H1, &[candle(close)]).unwrap();
        let (a, b) = (series(1.0), series(1.5));
        let (x, y): (Symbol, Symbol) = ("XUSDT".parse().unwrap(), "YUSDT".parse().unwrap());
        let paid = [FundingRate { time_ms: 0, rate: 0.1 }];
        let none = MarketReadings::default();
        let read = |pairs: &[(i64, f64)]| Readings::new(pairs.iter().copied()).unwrap();
        let premium = MarketReadings { premium: read(&[(1, 0.5)]), ..MarketReadings::default() };
        let interest = MarketReadings { open_interest: read(&[(1, 0.5)]), ..MarketReadings::default() };
        let of = |symbol, candles, funding, readings| SymbolData { symbol, candles, funding, readings };
        let (empty, table) = (InstrumentTable::empty(), InstrumentTable::default());
        let names = [
            market_sha256(MarketKind::Um, &[of(&x, &a, &[], &none)], &empty),
            market_sha256(MarketKind::Spot, &[of(&x, &a, &[], &none)], &empty),
            market_sha256(MarketKind::Um, &[of(&x, &a, &[], &none)], &table),
            market_sha256(MarketKind::Um, &[of(&y, &a, &[], &none)], &empty),
            market_sha256(MarketKind::Um, &[of(&x, &b, &[], &none)], &empty),
            market_sha256(MarketKind::Um, &[of(&x, &a, &paid, &none)], &empty),
            market_sha256(MarketKind::Um, &[of(&x, &a, &[], &premium)], &empty),
            market_sha256(MarketKind::Um, &[of(&x, &a, &[], &interest)], &empty),
            market_sha256(MarketKind::Um, &[of(&x, &a, &[], &none), of(&y, &a, &[], &none)], &empty),
            market_sha256(MarketKind::Um, &[of(&y, &a, &[], &none), of(&x, &a, &[], &none)], &empty),
        ];
        let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
        assert_eq!(names[0], market_sha256(MarketKind::Um, &[of(&x, &a, &[], &none)], &empty));
    }
}

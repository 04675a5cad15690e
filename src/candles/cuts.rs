//! Where candles say that a ticker became another instrument, held against the table of instruments. Pure.
//!
//! Proposes and contradicts; the table alone decides. A market that moves, however fast, trades on the way: an open is held
//! against the last close, and what happens within a candle proposes nothing.

use crate::instrument::{Entry, InstrumentTable};
use crate::quality::gap_between;
use crate::time::DAY_MS;
use crate::{CandleSeries, Symbol, interval};
use serde::Serialize;

/// An open this many times the last close, or this small a part of it, is another unit of price. On five years of candles
/// of four hours of 353 spot tickers it marks the five known cuts and nothing else; the largest other is 1.12.
pub const CUT_RATIO: f64 = 3.5;
/// After a hole of a day or more half of the price or twice is enough: trade stopped for a reason.
pub const CUT_RATIO_AFTER_HOLE: f64 = 2.0;
/// A cut of the table is contradicted where no open of its day is this far from the last close, and no candle missing.
const LEAST_RATIO: f64 = 1.5;

/// A cut that the table does not have.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProposedCut {
    /// Which ticker.
    pub symbol: Symbol,
    /// Midnight before the first candle of the new instrument, UTC ms.
    pub from_ms: i64,
    /// Its open over the last close before it.
    pub open_ratio: f64,
    /// Candles missing before it.
    pub missing: u64,
    /// The line to add to the table.
    pub line: String,
}

/// A cut of the table that the candles contradict.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ContradictedCut {
    /// Which ticker.
    pub symbol: Symbol,
    /// Where the table cuts, UTC ms.
    pub from_ms: i64,
    /// What the candles say.
    pub detail: String,
}

fn day(ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(ms).unwrap_or_default().format("%Y-%m-%d").to_string()
}

/// Cuts that the candles of a ticker propose and the table does not have, in time order.
#[must_use]
pub fn proposed_cuts(symbol: &Symbol, series: &CandleSeries, table: &InstrumentTable) -> Vec<ProposedCut> {
    let (times, known) = (series.open_times_ms(), table.cuts(symbol));
    let mut found = Vec::new();
    for i in 1..series.len() {
        let open_ratio = series.opens()[i] / series.closes()[i - 1];
        let gap = gap_between(series.interval(), times[i - 1], times[i]);
        let is_hole = gap.is_some_and(|gap| gap.to_ms - gap.from_ms >= DAY_MS);
        let limit = if is_hole { CUT_RATIO_AFTER_HOLE } else { CUT_RATIO };
        if open_ratio < limit && open_ratio > 1.0 / limit {
            continue;
        }
        let from_ms = times[i].div_euclid(DAY_MS) * DAY_MS;
        // A table has days only: one that begins or ends with the new instrument's first is meant for it, too.
        let is_known =
            |&cut: &i64| (times[i - 1] < cut && cut <= times[i]) || cut == from_ms || cut == from_ms + DAY_MS;
        if known.iter().any(is_known) {
            continue;
        }
        let missing = gap.map_or(0, |gap| gap.missing);
        let after = if missing > 0 { format!(" after {missing} missing candles") } else { String::new() };
        let times_text =
            if open_ratio >= 1.0 { format!("{open_ratio:.1} times") } else { format!("1/{:.1} of", 1.0 / open_ratio) };
        let line = format!("{symbol},cut,{},opens at {times_text} the last close{after}", day(from_ms));
        found.push(ProposedCut { symbol: symbol.clone(), from_ms, open_ratio, missing, line });
    }
    found
}

/// Cuts of the table on whose day the candles of the ticker just go on, in time order. Where there is no candle on one
/// side of a cut there is nothing to contradict it.
#[must_use]
pub fn contradicted_cuts(symbol: &Symbol, series: &CandleSeries, table: &InstrumentTable) -> Vec<ContradictedCut> {
    let times = series.open_times_ms();
    let mut found = Vec::new();
    for from_ms in table.cuts(symbol) {
        let first = times.partition_point(|&t| t < from_ms);
        if first == 0 || first == times.len() {
            continue;
        }
        // Of a candle longer than a day the one that holds the cut, and the next.
        let end_ms = interval::next_open_time_ms(series.interval(), times[first]).max(from_ms + DAY_MS);
        let pairs = (first..times.len()).take_while(|&i| i == first || times[i] < end_ms);
        let mut largest = 1.0_f64;
        let mut has_hole = false;
        for i in pairs {
            let ratio = series.opens()[i] / series.closes()[i - 1];
            largest = if ratio.max(1.0 / ratio) > largest.max(1.0 / largest) { ratio } else { largest };
            has_hole |= gap_between(series.interval(), times[i - 1], times[i]).is_some();
        }
        if has_hole || largest.max(1.0 / largest) >= LEAST_RATIO {
            continue;
        }
        let detail = format!(
            "the table cuts {symbol} on {}, and its candles go on: none is missing, and the open farthest from the last \
             close is {largest:.3} times it; take the line out, or correct its date",
            day(from_ms)
        );
        found.push(ContradictedCut { symbol: symbol.clone(), from_ms, detail });
    }
    found
}

/// Tickers that the table cuts and of which `listed` knows nothing, in the order of its lines.
#[must_use]
pub fn cuts_of_nothing(table: &InstrumentTable, listed: impl Fn(&str) -> bool) -> Vec<String> {
    let cut = |line: &&crate::instrument::Line| matches!(line.entry, Entry::Cut { .. }) && !listed(&line.ticker);
    let mut found: Vec<String> = Vec::new();
    for line in table.lines().iter().filter(cut) {
        if !found.contains(&line.ticker) {
            found.push(line.ticker.clone());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Candle, Interval};

    const H4: i64 = 14_400_000;

    /// Candles of (slot, open, close).
    fn series(rows: &[(i64, f64, f64)]) -> CandleSeries {
        let candle = |&(slot, open, close): &(i64, f64, f64)| Candle {
            open_time_ms: slot * H4,
            open,
            high: open.max(close),
            low: open.min(close),
            close,
            volume: 1.0,
            close_time_ms: (slot + 1) * H4 - 1,
            quote_volume: 1.0,
            trade_count: 1,
            taker_buy_volume: 0.0,
            taker_buy_quote_volume: 0.0,
        };
        CandleSeries::from_candles(Interval::H4, &rows.iter().map(candle).collect::<Vec<_>>()).unwrap()
    }

    fn symbol() -> Symbol {
        "XUSDT".parse().unwrap()
    }

    fn table(rows: &str) -> InstrumentTable {
        format!("ticker,kind,first_candle_of_the_new,reason\n{rows}").parse().unwrap()
    }

    #[test]
    fn an_open_far_from_the_last_close_is_proposed_with_its_line() {
        let found = proposed_cuts(
            &symbol(),
            // A crash that is traded through, then a redenomination on day 2, and a return after a hole on day 5.
            &series(&[(0, 9.0, 9.0), (1, 9.0, 0.09), (13, 9.0, 9.1), (14, 9.1, 9.0), (32, 3.9, 4.0), (33, 4.0, 4.0)]),
            &InstrumentTable::empty(),
        );
        let lines: Vec<&str> = found.iter().map(|cut| cut.line.as_str()).collect();
        assert_eq!(
            lines,
            [
                "XUSDT,cut,1970-01-03,opens at 100.0 times the last close after 11 missing candles",
                "XUSDT,cut,1970-01-06,opens at 1/2.3 of the last close after 17 missing candles",
            ]
        );
        // What is proposed is taken, and proposes nothing any more.
        let taken = table(&lines.join("\n"));
        assert_eq!(taken.cuts(&symbol()), [2 * DAY_MS, 5 * DAY_MS]);
        let again = series(&[(0, 9.0, 9.0), (1, 9.0, 0.09), (13, 9.0, 9.1), (14, 9.1, 9.0), (32, 3.9, 4.0)]);
        assert_eq!(proposed_cuts(&symbol(), &again, &taken), []);
        assert_eq!(contradicted_cuts(&symbol(), &again, &taken), []);
    }

    #[test]
    fn a_move_within_candles_and_a_hole_at_one_price_propose_nothing() {
        let quiet = [(0, 9.0, 0.1), (1, 0.1, 8.0), (2, 4.0, 4.0), (60, 4.4, 4.4), (61, 14.0, 14.0)];
        assert_eq!(proposed_cuts(&symbol(), &series(&quiet), &InstrumentTable::empty()), []);
        assert_eq!(proposed_cuts(&symbol(), &series(&[]), &InstrumentTable::empty()), []);
    }

    #[test]
    fn a_cut_where_the_candles_go_on_is_contradicted() {
        let rows: Vec<(i64, f64, f64)> = (0..60).map(|slot| (slot, 5.0, 5.0)).collect();
        let going_on = series(&rows);
        let found = contradicted_cuts(&symbol(), &going_on, &table("XUSDT,cut,1970-01-04,\nYUSDT,cut,1970-01-04,\n"));
        assert_eq!((found.len(), found[0].from_ms), (1, 3 * DAY_MS));
        assert!(found[0].detail.contains("on 1970-01-04, and its candles go on"), "{}", found[0].detail);
        // A hole on that day, candles on one side alone: nothing to say.
        let hole: Vec<_> = rows.iter().copied().filter(|row| row.0 != 20).collect();
        assert_eq!(contradicted_cuts(&symbol(), &series(&hole), &table("XUSDT,cut,1970-01-04,\n")), []);
        assert_eq!(contradicted_cuts(&symbol(), &going_on, &table("XUSDT,cut,1980-01-04,\n")), []);
        assert_eq!(
            cuts_of_nothing(&table("XUSDT,cut,1970-01-04,\nYUSDT,cut,1970-01-04,\n"), |name| name == "XUSDT"),
            ["YUSDT"]
        );
    }
}

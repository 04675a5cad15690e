//! Who belongs to a universe at a time, and why the others do not. Pure: what is known of each instrument in, verdicts out.
//!
//! Never looks at a candle that closes later than the time asked for, and never fills a place that stays empty later on.

use crate::time::DAY_MS;
use crate::{CandleSeries, InstrumentTable, Symbol, instrument::InstrumentId, interval};
use genome::Universe;
use serde::Serialize;
use std::ops::Range;

/// What is known of an instrument at a time T, a candle's open + interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate<'a> {
    /// Its name as printed: it decides between equal volumes, in byte order.
    pub name: &'a str,
    /// Whether no universe has it.
    pub is_excluded: bool,
    /// When its first candle opened, UTC ms; `None` while it has none that closed by T.
    pub listed_since_ms: Option<i64>,
    /// Whether one of its candles closes at T.
    pub closes_now: bool,
    /// Sum over its candles that close in (T - volume days, T], in the quote asset: see [`quote_volume`].
    pub quote_volume: f64,
}

/// Whether a candidate is a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// It is.
    Member {
        /// By volume, from 1.
        rank: u32,
    },
    /// The table of instruments excludes it.
    Excluded,
    /// No candle of it closes at T.
    NoCandle,
    /// Its first candle opened too lately.
    ListedTooLately {
        /// Whole days since then.
        days: i64,
    },
    /// Others have more volume.
    Outranked {
        /// By volume, from 1.
        rank: u32,
    },
}

/// The verdicts on all candidates at `at_ms`, in their order (definitions, 7.2): of those that are not excluded, have a
/// candle that closes then and a first one that opened `listed_days` before or earlier, the `top` with the greatest
/// quote volume; of equal ones the first by name.
#[must_use]
pub fn verdicts(universe: &Universe, at_ms: i64, candidates: &[Candidate<'_>]) -> Vec<Verdict> {
    let latest_ms = at_ms.saturating_sub(i64::from(universe.listed_days) * DAY_MS);
    let mut ranked: Vec<usize> = Vec::new();
    let mut found: Vec<Verdict> = Vec::with_capacity(candidates.len());
    for (i, candidate) in candidates.iter().enumerate() {
        found.push(match candidate.listed_since_ms {
            _ if candidate.is_excluded => Verdict::Excluded,
            Some(since_ms) if candidate.closes_now && since_ms <= latest_ms => {
                ranked.push(i);
                // Its rank follows.
                Verdict::Outranked { rank: 0 }
            }
            Some(since_ms) if candidate.closes_now => {
                Verdict::ListedTooLately { days: (at_ms - since_ms).div_euclid(DAY_MS) }
            }
            _ => Verdict::NoCandle,
        });
    }
    ranked.sort_by(|&a, &b| {
        let (a, b) = (&candidates[a], &candidates[b]);
        b.quote_volume.total_cmp(&a.quote_volume).then_with(|| a.name.as_bytes().cmp(b.name.as_bytes()))
    });
    for (place, i) in ranked.into_iter().enumerate() {
        let rank = place as u32 + 1;
        found[i] = if rank <= universe.top { Verdict::Member { rank } } else { Verdict::Outranked { rank } };
    }
    found
}

/// Quote volume of the candles at `places` that close in `(from_ms, to_ms]`, each at its open + interval; where a candle
/// has none recorded, volume x close. Added in time order.
#[must_use]
pub fn quote_volume(series: &CandleSeries, places: Range<usize>, from_ms: i64, to_ms: i64) -> f64 {
    let times = &series.open_times_ms()[places.clone()];
    let ends_by = |ms: i64| times.partition_point(|&t| interval::next_open_time_ms(series.interval(), t) <= ms);
    let (first, last) = (ends_by(from_ms), ends_by(to_ms));
    (places.start + first..places.start + last.max(first)).map(|i| series.candle(i).traded_quote_volume()).sum()
}

/// One instrument of the cache at a time, and the verdict on it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Standing {
    /// Which instrument.
    pub instrument: InstrumentId,
    /// Whether it is a member, or why not.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Why the table excludes it, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclusion: Option<String>,
    /// When its first candle opened, UTC ms; `None` while there is none.
    pub listed_since_ms: Option<i64>,
    /// Quote volume over the days that the universe looks at.
    pub quote_volume: f64,
}

/// The standing of every instrument that the table makes of a market's tickers, at `at_ms`; in order of tickers, then of
/// instruments. Instruments that begin later are left out: at that time nobody knew of them.
#[must_use]
pub fn standings(
    universe: &Universe,
    at_ms: i64,
    table: &InstrumentTable,
    market: &[(&Symbol, &CandleSeries)],
) -> Vec<Standing> {
    let volume_from_ms = at_ms.saturating_sub(i64::from(universe.volume_days) * DAY_MS);
    let listed = |name: &str| market.iter().any(|(symbol, _)| symbol.as_str() == name);
    let mut found: Vec<Standing> = Vec::new();
    let (mut names, mut closing) = (Vec::new(), Vec::new());
    for (symbol, series) in market {
        let exclusion = table.exclusion(symbol, listed).map(str::to_owned);
        for (instrument, places) in table.instruments(symbol, series.open_times_ms()) {
            let times = &series.open_times_ms()[places.clone()];
            let closed = times.partition_point(|&t| interval::next_open_time_ms(series.interval(), t) <= at_ms);
            let Some(&since_ms) = times[..closed].first() else { continue };
            let last_ms = times[closed - 1];
            names.push(instrument.to_string());
            closing.push(interval::next_open_time_ms(series.interval(), last_ms) == at_ms);
            found.push(Standing {
                instrument,
                verdict: Verdict::NoCandle,
                exclusion: exclusion.clone(),
                listed_since_ms: Some(since_ms),
                quote_volume: quote_volume(series, places, volume_from_ms, at_ms),
            });
        }
    }
    let candidates: Vec<Candidate<'_>> = found
        .iter()
        .zip(&names)
        .zip(&closing)
        .map(|((standing, name), &closes_now)| Candidate {
            name,
            is_excluded: standing.exclusion.is_some(),
            listed_since_ms: standing.listed_since_ms,
            closes_now,
            quote_volume: standing.quote_volume,
        })
        .collect();
    let verdicts = verdicts(universe, at_ms, &candidates);
    for (standing, verdict) in found.iter_mut().zip(verdicts) {
        standing.verdict = verdict;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Candle, Interval};

    const H4: i64 = 14_400_000;

    fn universe(text: &str) -> Universe {
        text.parse().unwrap()
    }

    fn candle(open_time_ms: i64, close: f64, volume: f64, quote_volume: f64) -> Candle {
        Candle {
            open_time_ms,
            open: close,
            high: close,
            low: close,
            close,
            volume,
            close_time_ms: open_time_ms + H4 - 1,
            quote_volume,
            trade_count: 1,
            taker_buy_volume: 0.0,
            taker_buy_quote_volume: 0.0,
        }
    }

    fn series(from_day: i64, to_day: i64, volume: f64) -> CandleSeries {
        let candles = (from_day * 6..to_day * 6).map(|n| candle(n * H4, 2.0, volume, 0.0));
        CandleSeries::from_candles(Interval::H4, &candles.collect::<Vec<_>>()).unwrap()
    }

    fn said(universe: &Universe, at_ms: i64, table: &InstrumentTable, market: &[(&str, CandleSeries)]) -> Vec<String> {
        let market: Vec<(Symbol, &CandleSeries)> = market.iter().map(|(n, s)| (n.parse().unwrap(), s)).collect();
        let market: Vec<(&Symbol, &CandleSeries)> = market.iter().map(|(n, s)| (n, *s)).collect();
        let found = standings(universe, at_ms, table, &market);
        found.iter().map(|s| format!("{} {:?}", s.instrument, s.verdict)).collect()
    }

    #[test]
    fn volume_is_of_candles_that_close_after_the_beginning_and_by_the_end() {
        let rows = [candle(0, 2.0, 3.0, 0.0), candle(H4, 2.0, 5.0, 11.0), candle(2 * H4, 2.0, 7.0, 0.0)];
        let series = CandleSeries::from_candles(Interval::H4, &rows).unwrap();
        assert_eq!(quote_volume(&series, 0..3, 0, 3 * H4), 6.0 + 11.0 + 14.0);
        assert_eq!(quote_volume(&series, 0..3, H4, 3 * H4), 11.0 + 14.0);
        assert_eq!(quote_volume(&series, 0..3, H4, 3 * H4 - 1), 11.0);
        assert_eq!(quote_volume(&series, 1..3, 0, 2 * H4), 11.0);
        assert_eq!(quote_volume(&series, 0..3, 3 * H4, H4), 0.0);
    }

    #[test]
    fn each_that_is_no_member_is_told_why() {
        let table: InstrumentTable =
            "ticker,kind,first_candle_of_the_new,reason\nBUSDUSDT,exclude,,stablecoin\nOLDUSDT,cut,1970-04-01,other\n"
                .parse()
                .unwrap();
        let mut halted = series(0, 100, 5.0);
        halted = halted.slice(0, 100 * DAY_MS - H4);
        let market = [
            ("AUSDT", series(0, 100, 1.0)),
            ("BUSDT", series(0, 100, 3.0)),
            ("BUSDUSDT", series(0, 100, 9.0)),
            ("CUSDT", series(0, 100, 3.0)),
            ("HALTUSDT", halted),
            ("LATEUSDT", series(200, 210, 9.0)),
            ("NEWUSDT", series(70, 100, 9.0)),
            ("OLDUSDT", series(0, 100, 9.0)),
        ];
        let rule = universe("top 2 by quote_volume(30d), listed 60d");
        let at = said(&rule, 100 * DAY_MS, &table, &market);
        assert_eq!(
            at,
            [
                "AUSDT Outranked { rank: 3 }",
                "BUSDT Member { rank: 1 }",
                "BUSDUSDT Excluded",
                "CUSDT Member { rank: 2 }",
                "HALTUSDT NoCandle",
                "NEWUSDT ListedTooLately { days: 30 }",
                // A cut on day 90: the new instrument is ten days old, whatever the ticker is.
                "OLDUSDT#1 NoCandle",
                "OLDUSDT#2 ListedTooLately { days: 10 }",
            ]
        );
        // At the very day the age is enough; a candle earlier it is not.
        let rule = universe("top 9 by quote_volume(1d), listed 30d");
        assert!(said(&rule, 100 * DAY_MS, &table, &market).contains(&"NEWUSDT Member { rank: 1 }".to_owned()));
        let earlier = said(&rule, 100 * DAY_MS - H4, &table, &market);
        assert!(earlier.contains(&"NEWUSDT ListedTooLately { days: 29 }".to_owned()), "{earlier:?}");
    }

    #[test]
    fn later_candles_change_nothing() {
        let table = InstrumentTable::default();
        let rule = universe("top 2 by quote_volume(30d), listed 20d");
        let long = [("AUSDT", series(0, 100, 1.0)), ("BUSDT", series(10, 90, 2.0)), ("CUSDT", series(60, 100, 3.0))];
        let short: Vec<_> = long.iter().map(|(name, s)| (*name, s.slice(0, 50 * DAY_MS))).collect();
        assert_eq!(said(&rule, 50 * DAY_MS, &table, &long), said(&rule, 50 * DAY_MS, &table, &short));
    }
}

//! Instruments: one ticker may name several in turn, and some are left out of every universe.
//!
//! The table says so; it is data, not code. Knows no candles, and never decides from prices that a ticker was cut.

use crate::Symbol;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt, ops::Range, str::FromStr};

/// An instrument of a market: a ticker, and which of the instruments that it has named, counted from 1.
///
/// Printed as `LUNAUSDT#1`; without a number where the ticker has named one alone (0).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstrumentId {
    /// The ticker.
    pub symbol: Symbol,
    /// Which of the ticker's instruments, from 1; 0 where it has one.
    pub part: u32,
}

impl InstrumentId {
    /// The one instrument of a ticker.
    #[must_use]
    pub const fn of(symbol: Symbol) -> Self {
        Self { symbol, part: 0 }
    }
}

impl fmt::Display for InstrumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.part == 0 { f.pad(self.symbol.as_str()) } else { f.pad(&format!("{}#{}", self.symbol, self.part)) }
    }
}

impl FromStr for InstrumentId {
    type Err = String;
    /// Reads `LUNAUSDT#1` and whatever a [`Symbol`] is read from.
    fn from_str(text: &str) -> Result<Self, String> {
        let Some((symbol, part)) = text.split_once('#') else { return Ok(Self::of(text.parse()?)) };
        match part.parse() {
            Ok(part @ 1..) => Ok(Self { symbol: symbol.parse()?, part }),
            _ => Err(format!("{text:?} is not an instrument; expected a name such as LUNAUSDT#1")),
        }
    }
}

impl TryFrom<String> for InstrumentId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<InstrumentId> for String {
    fn from(id: InstrumentId) -> Self {
        id.to_string()
    }
}

/// What a line of the table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Entry {
    /// The ticker's candles that open from this time on are another instrument than those before.
    Cut {
        /// First candle of the new instrument: midnight UTC, ms.
        from_ms: i64,
    },
    /// No universe has it.
    Exclude,
}

/// A line of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// A ticker; or, for an exclusion, `*` with an ending of bases and a quote (`*UPUSDT`).
    pub ticker: String,
    /// What it says.
    #[serde(flatten)]
    pub entry: Entry,
    /// Why, for people.
    pub reason: String,
}

/// Cuts and exclusions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstrumentTable {
    lines: Vec<Line>,
}

/// Why a table cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the instrument table: {problem}")]
pub struct TableError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub problem: String,
}

/// The first line of a table.
pub const HEADER: &str = "ticker,kind,first_candle_of_the_new,reason";

/// Quotes by which a starred ticker is taken apart, longest first.
const QUOTES: [&str; 8] = ["FDUSD", "USDT", "USDC", "BUSD", "TUSD", "BTC", "ETH", "BNB"];

impl Default for InstrumentTable {
    /// The table that the program is built with (`config/instruments.csv`).
    fn default() -> Self {
        include_str!("../../config/instruments.csv").parse().expect("a test reads the table that is built in")
    }
}

impl FromStr for InstrumentTable {
    type Err = TableError;
    /// Reads CSV with the header `ticker,kind,first_candle_of_the_new,reason`; kinds are `cut` and `exclude`. Blank
    /// lines and lines that begin with `#` are left out.
    fn from_str(text: &str) -> Result<Self, TableError> {
        let mut lines: Vec<Line> = Vec::new();
        let rows = text.lines().enumerate().map(|(i, row)| (i + 1, row.trim_start_matches('\u{feff}').trim()));
        let mut rows = rows.filter(|(_, row)| !row.is_empty() && !row.starts_with('#'));
        match rows.next() {
            Some((_, HEADER)) => {}
            Some((line, row)) => {
                return Err(TableError { line, problem: format!("expected the header `{HEADER}`, found `{row}`") });
            }
            None => {
                return Err(TableError { line: 1, problem: format!("it is empty; expected the header `{HEADER}`") });
            }
        }
        for (line, row) in rows {
            let read = read_line(row).map_err(|problem| TableError { line, problem })?;
            if lines.iter().any(|l| l.ticker == read.ticker && l.entry == read.entry) {
                return Err(TableError { line, problem: format!("{} is there twice", read.ticker) });
            }
            lines.push(read);
        }
        Ok(Self { lines })
    }
}

fn read_line(row: &str) -> Result<Line, String> {
    let mut cells = row.splitn(4, ',').map(str::trim);
    let mut cell = || cells.next().unwrap_or_default();
    let (ticker, kind, date, reason) = (cell(), cell(), cell(), cell());
    let entry = match (kind, date) {
        ("cut", "") => return Err("a cut needs the date of the new instrument's first candle".to_owned()),
        ("cut", date) => {
            let day: chrono::NaiveDate =
                date.parse().map_err(|_| format!("`{date}` is not a date such as 2022-05-31"))?;
            Entry::Cut { from_ms: day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis() }
        }
        ("exclude", "") => Entry::Exclude,
        ("exclude", _) => return Err("an exclusion has no date".to_owned()),
        _ => return Err(format!("`{kind}` is not a kind; expected cut or exclude")),
    };
    let ticker = match ticker.strip_prefix('*') {
        Some(ending) if entry == Entry::Exclude => {
            if starred(ending).is_none() {
                return Err(format!("`{ticker}` must be `*`, an ending of bases, and one of {}", QUOTES.join(", ")));
            }
            ticker.to_owned()
        }
        Some(_) => return Err("a cut is of one ticker; `*` is for exclusions".to_owned()),
        None => ticker.parse::<Symbol>()?.as_str().to_owned(),
    };
    Ok(Line { ticker, entry, reason: reason.to_owned() })
}

/// `UPUSDT` as `UP` and `USDT`.
fn starred(ending: &str) -> Option<(&str, &'static str)> {
    QUOTES.iter().find_map(|q| ending.strip_suffix(q).filter(|e| !e.is_empty()).map(|e| (e, *q)))
}

impl InstrumentTable {
    /// A table that says nothing.
    #[must_use]
    pub const fn empty() -> Self {
        Self { lines: Vec::new() }
    }

    /// Its lines, in order.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Where the ticker's candles begin another instrument, UTC ms, ascending.
    #[must_use]
    pub fn cuts(&self, symbol: &Symbol) -> Vec<i64> {
        let of = |l: &Line| match l.entry {
            Entry::Cut { from_ms } if l.ticker == symbol.as_str() => Some(from_ms),
            _ => None,
        };
        let mut cuts: Vec<i64> = self.lines.iter().filter_map(of).collect();
        cuts.sort_unstable();
        cuts
    }

    /// Why no universe has the ticker, if none has. `listed` tells whether a ticker has candles in the cache: a starred
    /// line means a base that ends so and, without the ending, is a base there.
    #[must_use]
    pub fn exclusion(&self, symbol: &Symbol, listed: impl Fn(&str) -> bool) -> Option<&str> {
        let means = |l: &&Line| match (l.entry, l.ticker.strip_prefix('*')) {
            (Entry::Exclude, None) => l.ticker == symbol.as_str(),
            (Entry::Exclude, Some(ending)) => {
                let stem = symbol.as_str().strip_suffix(ending).filter(|s| !s.is_empty());
                stem.zip(starred(ending)).is_some_and(|(stem, (_, quote))| listed(&format!("{stem}{quote}")))
            }
            (Entry::Cut { .. }, _) => false,
        };
        self.lines.iter().find(means).map(|l| l.reason.as_str())
    }

    /// The instruments that a ticker's candles are, with the places of their candles (`open_times_ms` ascending). A
    /// ticker without candles on both sides of a cut keeps its name.
    #[must_use]
    pub fn instruments(&self, symbol: &Symbol, open_times_ms: &[i64]) -> Vec<(InstrumentId, Range<usize>)> {
        let ends = self.cuts(symbol).into_iter().map(|cut| open_times_ms.partition_point(|&t| t < cut));
        let mut from = 0;
        let mut out: Vec<(InstrumentId, Range<usize>)> = Vec::new();
        for (i, end) in ends.chain([open_times_ms.len()]).enumerate() {
            if end > from {
                out.push((InstrumentId { symbol: symbol.clone(), part: i as u32 + 1 }, from..end));
            }
            from = end;
        }
        if let [(only, _)] = &mut out[..] {
            only.part = 0;
        }
        out
    }

    /// The table as text that two tables share only if they say the same: for hashes.
    #[must_use]
    pub fn canonical_text(&self) -> String {
        let said = |l: &Line| match l.entry {
            Entry::Cut { from_ms } => format!("{},cut,{from_ms}\n", l.ticker),
            Entry::Exclude => format!("{},exclude,\n", l.ticker),
        };
        let lines: BTreeSet<String> = self.lines.iter().map(said).collect();
        lines.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(text: &str) -> Symbol {
        text.parse().unwrap()
    }

    fn table(rows: &str) -> Result<InstrumentTable, TableError> {
        format!("{HEADER}\n{rows}").parse()
    }

    #[test]
    fn the_table_that_is_built_in_can_be_read() {
        let table = InstrumentTable::default();
        assert_eq!(table.cuts(&symbol("LUNAUSDT")), [1_653_955_200_000]);
        assert_eq!(table.exclusion(&symbol("BUSDUSDT"), |_| false), Some("stablecoin"));
        assert_eq!(table.exclusion(&symbol("BTCUSDT"), |_| true), None);
        assert_eq!(InstrumentTable::empty().canonical_text(), "");
    }

    #[test]
    fn a_starred_line_needs_the_base_without_the_ending() {
        let table = InstrumentTable::default();
        let listed = |name: &str| ["BTCUSDT", "JUPUSDT", "UPUSDT"].contains(&name);
        assert!(table.exclusion(&symbol("BTCUPUSDT"), listed).is_some());
        assert_eq!(table.exclusion(&symbol("JUPUSDT"), listed), None, "J is no base");
        assert_eq!(table.exclusion(&symbol("UPUSDT"), listed), None, "the ending alone is a name of its own");
    }

    #[test]
    fn a_ticker_is_cut_where_it_has_candles_on_both_sides() {
        let table = table("XUSDT,cut,1970-01-11,a\nXUSDT,cut,1970-01-21,b\n").unwrap();
        let day = 86_400_000;
        let names = |times: &[i64]| {
            let found = table.instruments(&symbol("XUSDT"), times);
            found.into_iter().map(|(id, at)| (id.to_string(), at)).collect::<Vec<_>>()
        };
        assert_eq!(names(&[]), []);
        assert_eq!(names(&[day, 9 * day]), [("XUSDT".to_owned(), 0..2)]);
        assert_eq!(names(&[9 * day, 10 * day]), [("XUSDT#1".to_owned(), 0..1), ("XUSDT#2".to_owned(), 1..2)]);
        assert_eq!(names(&[9 * day, 20 * day]), [("XUSDT#1".to_owned(), 0..1), ("XUSDT#3".to_owned(), 1..2)]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (rows, line, says) in [
            ("X,cut,,", 2, "needs the date"),
            ("\n\nX,cut,yesterday,", 4, "`yesterday` is not a date"),
            ("X,exclude,2022-01-01,", 2, "has no date"),
            ("X,drop,,", 2, "expected cut or exclude"),
            ("*UP,exclude,,", 2, "must be `*`"),
            ("*UPUSDT,cut,2022-01-01,", 2, "of one ticker"),
            ("A B,exclude,,", 2, "is not a symbol"),
            ("X,exclude,,\nX,exclude,,again", 3, "twice"),
        ] {
            let found = table(rows).unwrap_err();
            assert!(found.line == line && found.problem.contains(says), "{rows:?}: {found}");
        }
        assert!("".parse::<InstrumentTable>().unwrap_err().problem.contains("empty"));
        assert!("a,b\n".parse::<InstrumentTable>().unwrap_err().problem.contains("expected the header"));
    }

    #[test]
    fn names_read_back() {
        for text in ["BTCUSDT", "LUNAUSDT#1", "LUNAUSDT#12"] {
            assert_eq!(text.parse::<InstrumentId>().unwrap().to_string(), text);
        }
        assert!("LUNAUSDT#0".parse::<InstrumentId>().is_err() && "LUNAUSDT#x".parse::<InstrumentId>().is_err());
    }
}

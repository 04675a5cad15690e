//! What is known about a stored month without decoding it, and where it came from. Pure.

use super::reading_table::ReadingTable;
use super::sources::{MAX_REMEMBERED, Merged, SourceDisagreement, SourceKind, Span};
use candles::quality::{self, Gap};
use candles::{CandleSeries, FundingRate, Interval, MarketKind, Symbol, Ticker};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Facts about the candles of one stored month. They follow from the candles alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Which market.
    pub market: MarketKind,
    /// Which symbol.
    pub symbol: Symbol,
    /// Which interval.
    pub interval: Interval,
    /// `YYYY-MM`, UTC, of the open times.
    pub month: String,
    /// Candles.
    pub rows: u64,
    /// Open time of the first candle, UTC ms.
    pub first_open_ms: i64,
    /// Open time of the last candle, UTC ms.
    pub last_open_ms: i64,
    /// Holes between first and last.
    pub gaps: Vec<Gap>,
    /// Candles without volume.
    pub zero_volumes: u64,
    /// Hash of the candles, see [`content_sha256`].
    pub content_sha256: String,
}

impl Facts {
    /// The facts about a month's candles; `None` when there are none.
    #[must_use]
    pub fn of(ticker: &Ticker, month: &str, series: &CandleSeries) -> Option<Self> {
        let (first, last) = (series.open_times_ms().first()?, series.open_times_ms().last()?);
        Some(Self {
            market: ticker.market,
            symbol: ticker.symbol.clone(),
            interval: series.interval(),
            month: month.to_owned(),
            rows: series.len() as u64,
            first_open_ms: *first,
            last_open_ms: *last,
            gaps: quality::gaps(series),
            zero_volumes: series.volumes().iter().filter(|v| **v == 0.0).count() as u64,
            content_sha256: content_sha256(series),
        })
    }
}

/// Facts about the funding payments of one stored month.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct FundingFacts {
    pub(super) symbol: Symbol,
    pub(super) month: String,
    pub(super) rows: u64,
    pub(super) first_ms: i64,
    pub(super) last_ms: i64,
}

impl FundingFacts {
    pub(super) fn of(symbol: &Symbol, month: &str, rates: &[FundingRate]) -> Option<Self> {
        let (first_ms, last_ms) = (rates.first()?.time_ms, rates.last()?.time_ms);
        Some(Self { symbol: symbol.clone(), month: month.to_owned(), rows: rates.len() as u64, first_ms, last_ms })
    }
}

/// Facts about the readings of one stored month.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ReadingFacts {
    pub(super) symbol: Symbol,
    pub(super) part: String,
    pub(super) month: String,
    pub(super) rows: u64,
    /// When the first row was known, UTC ms.
    pub(super) first_ms: i64,
    /// When the last row was known, UTC ms.
    pub(super) last_ms: i64,
    pub(super) content_sha256: String,
}

impl ReadingFacts {
    pub(super) fn of(symbol: &Symbol, month: &str, table: &ReadingTable, content_sha256: String) -> Option<Self> {
        let (first, last) = (table.times_ms().first()?, table.times_ms().last()?);
        Some(Self {
            symbol: symbol.clone(),
            part: table.part().to_string(),
            month: month.to_owned(),
            rows: table.len() as u64,
            first_ms: *first,
            last_ms: *last,
            content_sha256,
        })
    }
}

/// Where candles came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// A dump's file name, or the host of a REST answer.
    pub source: String,
    /// When they were fetched or imported, UTC ms.
    pub fetched_at_ms: i64,
}

/// A stored month: what it holds and, where that was recorded, the last thing that changed it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Manifest {
    /// What it holds.
    #[serde(flatten)]
    pub facts: Facts,
    /// What changed it last; `None` when the record is missing.
    pub provenance: Option<Provenance>,
    /// Dump archives that went into it, oldest first, as far as its history reaches back.
    pub archives: Vec<Archive>,
    /// Candles that its sources do not agree about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disagreements: Vec<SourceDisagreement>,
}

/// A dump archive that was merged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// Its file name.
    pub name: String,
    /// SHA-256 of its bytes, hex.
    pub sha256: String,
}

/// A line of a month's history: what was merged, and the content that came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct HistoryLine {
    pub(super) content_sha256: String,
    #[serde(flatten)]
    pub(super) provenance: Provenance,
    /// Hash of the dump archive, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) archive_sha256: Option<String>,
    pub(super) added: u64,
    pub(super) replaced: u64,
}

/// How many lines of history a month keeps: enough to see how it came about, small enough to rewrite each time.
const MAX_HISTORY: usize = 32;

/// A month's history, kept beside it.
///
/// It is written before the month itself: whichever write a crash cuts off, the line that carries the hash of the
/// stored content is the one that tells where that content came from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct History {
    pub(super) merges: Vec<HistoryLine>,
    /// Whether all of it came from a host that has it still: such a month may be evicted.
    #[serde(default)]
    pub(super) fetched: bool,
    /// Whose its candles are, in time order; what was stored before that was recorded is in none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) sources: Vec<Span>,
    /// Candles that its sources do not agree about, in time order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) disagreements: Vec<SourceDisagreement>,
}

impl History {
    pub(super) fn can_be_fetched(&self) -> bool {
        self.fetched && !self.merges.is_empty()
    }

    /// Notes whose the candles are now and what the sources do not agree about; whether that is anything new.
    pub(super) fn note_sources(&mut self, merged: &Merged, kind: SourceKind) -> bool {
        let before = (self.sources.clone(), self.disagreements.clone());
        self.sources.clone_from(&merged.spans);
        self.disagreements.retain(|d| d.refused != kind || merged.confirmed.binary_search(&d.open_time_ms).is_err());
        for new in &merged.disagreements {
            self.disagreements.retain(|d| (d.open_time_ms, d.refused) != (new.open_time_ms, new.refused));
            if self.disagreements.len() < MAX_REMEMBERED {
                self.disagreements.push(new.clone());
            }
        }
        self.disagreements.sort_by_key(|d| (d.open_time_ms, d.refused));
        before != (self.sources.clone(), self.disagreements.clone())
    }

    /// The archives in it, each name with its newest content.
    pub(super) fn archives(&self) -> Vec<Archive> {
        let mut found: Vec<Archive> = Vec::new();
        for line in &self.merges {
            let Some(sha256) = line.archive_sha256.clone() else { continue };
            found.retain(|archive| archive.name != line.provenance.source);
            found.push(Archive { name: line.provenance.source.clone(), sha256 });
        }
        found
    }

    pub(super) fn push(&mut self, line: HistoryLine) {
        // A line whose content never came to be is overtaken by the next attempt.
        let same = |last: &HistoryLine| {
            last.content_sha256 == line.content_sha256 && last.archive_sha256.is_some() == line.archive_sha256.is_some()
        };
        if self.merges.last().is_some_and(same) {
            self.merges.pop();
        }
        self.merges.push(line);
        // The oldest lines go first, and those that name archives last: they tell what need not be fetched again.
        while self.merges.len() > MAX_HISTORY {
            let plain = self.merges.iter().position(|l| l.archive_sha256.is_none());
            self.merges.remove(plain.filter(|at| at + 1 < self.merges.len()).unwrap_or(0));
        }
    }

    pub(super) fn provenance_of(&self, content_sha256: &str) -> Option<Provenance> {
        self.merges.iter().rev().find(|l| l.content_sha256 == content_sha256).map(|l| l.provenance.clone())
    }
}

/// What the cache holds of one symbol and interval.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Coverage {
    /// Of which ticker.
    #[serde(flatten)]
    pub ticker: Ticker,
    /// Which interval.
    pub interval: Interval,
    /// Candles.
    pub rows: u64,
    /// Open time of the first readable candle, UTC ms.
    pub first_open_ms: Option<i64>,
    /// Open time of the last readable candle, UTC ms.
    pub last_open_ms: Option<i64>,
    /// Holes between first and last, those between months too.
    pub gaps: Vec<Gap>,
    /// Candles without volume.
    pub zero_volumes: u64,
    /// Stored months in time order.
    pub months: Vec<Manifest>,
    /// Months that are there but cannot be read, and why.
    pub damaged: Vec<String>,
}

impl Coverage {
    /// The coverage that readable months, in time order, add up to; `None` when nothing is stored.
    pub(super) fn of(ticker: &Ticker, interval: Interval, months: Vec<Manifest>, damaged: Vec<String>) -> Option<Self> {
        if months.is_empty() && damaged.is_empty() {
            return None;
        }
        let gaps = holes(interval, months.iter().map(|m| &m.facts));
        Some(Self {
            ticker: ticker.clone(),
            interval,
            rows: months.iter().map(|m| m.facts.rows).sum(),
            first_open_ms: months.first().map(|m| m.facts.first_open_ms),
            last_open_ms: months.last().map(|m| m.facts.last_open_ms),
            gaps,
            zero_volumes: months.iter().map(|m| m.facts.zero_volumes).sum(),
            months,
            damaged,
        })
    }

    /// Missing candles between first and last.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.gaps.iter().map(|g| g.missing).sum()
    }
}

/// The holes inside months and between them; the months in time order.
#[must_use]
pub fn holes<'a>(interval: Interval, months: impl IntoIterator<Item = &'a Facts>) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let mut previous: Option<i64> = None;
    for facts in months {
        gaps.extend(previous.and_then(|ms| quality::gap_between(interval, ms, facts.first_open_ms)));
        gaps.extend(&facts.gaps);
        previous = Some(facts.last_open_ms);
    }
    gaps
}

/// SHA-256, as hex, of exactly these candles: interval name, then each candle's open time, prices, volumes and counts
/// in Binance's order, as little-endian 64-bit values. Two series have one hash only if they are equal to the bit.
#[must_use]
pub fn content_sha256(series: &CandleSeries) -> String {
    let mut hash = Sha256::new();
    hash.update(series.interval().name().as_bytes());
    let mut row = [0_u8; 80];
    for c in series.candles() {
        let words = [
            c.open_time_ms.to_le_bytes(),
            c.open.to_le_bytes(),
            c.high.to_le_bytes(),
            c.low.to_le_bytes(),
            c.close.to_le_bytes(),
            c.volume.to_le_bytes(),
            c.quote_volume.to_le_bytes(),
            c.trade_count.to_le_bytes(),
            c.taker_buy_volume.to_le_bytes(),
            c.taker_buy_quote_volume.to_le_bytes(),
        ];
        for (to, word) in row.chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&word);
        }
        hash.update(row);
    }
    hex::encode(hash.finalize())
}

//! Funding and readings of a month alike: how many there are, from when to when, their hash, and the month itself.
//!
//! Never fetches or merges anything.

use super::manifest::ReadingFacts;
use super::reading_table::{ReadingTable, readings_sha256};
use super::readings::reading_dir;
use super::{CacheError, CandleCache, Superseded, file, funding_sha256};
use candles::stored::Part;
use candles::{FundingRate, MarketKind, Symbol, Ticker};
use serde::{Deserialize, Serialize};

/// A stored month of funding or readings, by its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValuesMonth {
    /// `YYYY-MM`, UTC, of the times.
    pub month: String,
    /// Payments, or rows of readings.
    pub rows: u64,
    /// When the first was known, UTC ms.
    pub first_ms: i64,
    /// When the last was known, UTC ms.
    pub last_ms: i64,
    /// Hash of the values, see [`funding_sha256`] and [`readings_sha256`].
    pub content_sha256: String,
}

/// What the cache holds of a ticker's funding or of one kind of its readings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ValuesCoverage {
    /// Of which ticker.
    #[serde(flatten)]
    pub ticker: Ticker,
    /// Funding, premium or metrics.
    pub part: Part,
    /// Payments, or rows of readings.
    pub rows: u64,
    /// When the first readable one was known, UTC ms.
    pub first_ms: Option<i64>,
    /// When the last readable one was known, UTC ms.
    pub last_ms: Option<i64>,
    /// Stored months in time order.
    pub months: Vec<ValuesMonth>,
    /// Months that are there but cannot be read, and why.
    pub damaged: Vec<String>,
}

/// The funding or the readings of one month.
#[derive(Clone, Debug, PartialEq)]
pub enum MonthValues {
    /// Payments in time order.
    Funding(Vec<FundingRate>),
    /// Premium or metrics.
    Readings(ReadingTable),
}

impl MonthValues {
    /// When each was known, UTC ms, ascending.
    #[must_use]
    pub fn times_ms(&self) -> Vec<i64> {
        match self {
            Self::Funding(rates) => rates.iter().map(|r| r.time_ms).collect(),
            Self::Readings(table) => table.times_ms().to_vec(),
        }
    }

    /// Those known in `[first_ms, last_ms]`, both included.
    #[must_use]
    pub fn between(&self, first_ms: i64, last_ms: i64) -> Self {
        match self {
            Self::Funding(rates) => {
                Self::Funding(rates.iter().filter(|r| (first_ms..=last_ms).contains(&r.time_ms)).copied().collect())
            }
            Self::Readings(table) => Self::Readings(table.slice(first_ms, last_ms.saturating_add(1))),
        }
    }

    /// Hash of exactly these values, hex.
    #[must_use]
    pub fn sha256(&self) -> String {
        match self {
            Self::Funding(rates) => funding_sha256(rates),
            Self::Readings(table) => readings_sha256(table),
        }
    }

    /// The month by its content; `None` without a value.
    fn named(&self, month: &str) -> Option<ValuesMonth> {
        let times = self.times_ms();
        Some(ValuesMonth {
            month: month.to_owned(),
            rows: times.len() as u64,
            first_ms: *times.first()?,
            last_ms: *times.last()?,
            content_sha256: self.sha256(),
        })
    }
}

impl CandleCache {
    /// What is stored of funding and readings, sorted by symbol and part. No reading is decoded; payments are few.
    ///
    /// # Errors
    /// When the directory cannot be read. A single unreadable month is part of the answer instead.
    pub async fn values_coverage(&self) -> Result<Vec<ValuesCoverage>, CacheError> {
        let mut all = Vec::new();
        for symbol in self.symbols(MarketKind::Um).await? {
            for part in [Part::Funding, Part::Premium, Part::Metrics] {
                all.extend(self.values_coverage_of(&symbol, part).await?);
            }
        }
        Ok(all)
    }

    async fn values_coverage_of(&self, symbol: &Symbol, part: Part) -> Result<Option<ValuesCoverage>, CacheError> {
        let (mut months, mut damaged) = (Vec::new(), Vec::new());
        for month in self.months_in(&reading_dir(symbol, part), i64::MIN, i64::MAX).await? {
            match self.named_month(symbol, part, &month).await {
                Ok(found) => months.extend(found),
                Err(e @ CacheError::Damaged { .. }) => damaged.push(e.to_string()),
                Err(e) => return Err(e),
            }
        }
        if months.is_empty() && damaged.is_empty() {
            return Ok(None);
        }
        Ok(Some(ValuesCoverage {
            ticker: Ticker::of(MarketKind::Um, symbol),
            part,
            rows: months.iter().map(|m| m.rows).sum(),
            first_ms: months.first().map(|m| m.first_ms),
            last_ms: months.last().map(|m| m.last_ms),
            months,
            damaged,
        }))
    }

    async fn named_month(&self, symbol: &Symbol, part: Part, month: &str) -> Result<Option<ValuesMonth>, CacheError> {
        if part == Part::Funding {
            return Ok(self.values_month(symbol, part, month).await?.named(month));
        }
        let path = format!("{}/{month}.parquet", reading_dir(symbol, part));
        let facts: Option<ReadingFacts> = self.footer(&path, file::reading_facts).await?;
        Ok(facts.map(|facts| ValuesMonth {
            month: facts.month,
            rows: facts.rows,
            first_ms: facts.first_ms,
            last_ms: facts.last_ms,
            content_sha256: facts.content_sha256,
        }))
    }

    /// The funding or readings that a stored month has now; none when it is not stored.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn values_month(&self, symbol: &Symbol, part: Part, month: &str) -> Result<MonthValues, CacheError> {
        Ok(match part {
            Part::Funding => MonthValues::Funding(self.load_funding_month(symbol, month).await?),
            _ => MonthValues::Readings(self.reading_month(symbol, part, month).await?),
        })
    }

    /// The funding or readings of a former content; `None` when it is not kept, or is none of them.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn superseded_values(&self, former: &Superseded) -> Result<Option<MonthValues>, CacheError> {
        Ok(match former.part {
            Part::Candles(_) => None,
            Part::Funding => self.load_superseded_funding(former).await?.map(MonthValues::Funding),
            Part::Premium | Part::Metrics => self.load_superseded_readings(former).await?.map(MonthValues::Readings),
        })
    }
}

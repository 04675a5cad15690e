//! Downloads of funding, premium index and metrics: archives that are what their checksums say, then REST where it has
//! them. For metrics the exchange answers for the last thirty days only.
//!
//! One archive's or symbol's failure stops no other. Never takes an archive whose checksum differs.

use super::plan::{DAY_SETTLES_MS, MONTH_SETTLES_MS, months};
use super::{Downloader, Trouble};
use crate::cache::{CacheError, MergeReport, Provenance};
use crate::dumps::{Product, ReadingName, Values, read_values};
use crate::{Exchange as _, feed::FundingFreshness};
use candles::{Interval, MarketKind, Symbol};
use chrono::Datelike as _;
use futures::{StreamExt, stream};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Archives of one symbol fetched ahead of the merge: they are small, and each waits for its answer.
const FETCH_AHEAD: usize = 4;

/// Which values are wanted of one symbol.
#[derive(Clone, Debug, PartialEq)]
pub struct ValuesWanted {
    /// Which symbol.
    pub symbol: Symbol,
    /// Funding, premium or metrics.
    pub product: Product,
    /// At the closes of which candles the premium is wanted.
    pub interval: Interval,
    /// First time, UTC ms.
    pub from_ms: i64,
    /// End, exclusive, UTC ms.
    pub to_ms: i64,
}

/// What a download brought of one symbol's values.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ValuesReport {
    /// Which symbol.
    pub symbol: Symbol,
    /// Funding, premium or metrics.
    pub product: Product,
    /// Archives merged.
    pub archives: u64,
    /// Their bytes.
    pub archive_bytes: u64,
    /// Archives that do not exist.
    pub absent: u64,
    /// Archives that had changed since they were merged before.
    pub reissued: Vec<String>,
    /// Values that were not there before.
    pub added: u64,
    /// Values that were others.
    pub replaced: u64,
    /// When the newest cached value was known, UTC ms.
    pub newest_ms: Option<i64>,
    /// What went wrong with single archives or rows; the rest went on.
    pub problems: Vec<String>,
    /// Why the values are incomplete, if they are for a failure.
    pub error: Option<String>,
}

/// The archives to fetch for what is wanted, in time order: those not in `known` (names), that are out by `now_ms`.
#[must_use]
pub fn plan_values(wanted: &ValuesWanted, known: &BTreeMap<String, String>, now_ms: i64) -> Vec<ReadingName> {
    let (from_ms, to_ms) = (wanted.from_ms.max(0), wanted.to_ms.min(now_ms));
    let interval = (wanted.product == Product::Premium).then_some(wanted.interval);
    let mut found = Vec::new();
    for first_day in months(from_ms, to_ms) {
        let (symbol, product) = (wanted.symbol.clone(), wanted.product);
        let monthly = ReadingName { product, symbol, interval, first_day, daily: false };
        let by_month = product != Product::Metrics;
        if by_month && monthly.range_ms().1 + MONTH_SETTLES_MS <= now_ms {
            found.push(monthly);
        } else if product != Product::Funding {
            let days = first_day.iter_days().take_while(|day| day.month() == first_day.month());
            let days = days.map(|first_day| ReadingName { first_day, daily: true, ..monthly.clone() });
            found.extend(days.filter(|day| {
                let (a, b) = day.range_ms();
                b > from_ms && a < to_ms && b + DAY_SETTLES_MS <= now_ms
            }));
        }
    }
    found.retain(|name| !known.contains_key(&name.file_name()));
    found
}

impl Downloader {
    /// The archives that would be fetched.
    ///
    /// # Errors
    /// When the exchange does not tell its time, or the cache cannot be read.
    pub async fn plan_values(&self, wanted: &[ValuesWanted]) -> anyhow::Result<Vec<ReadingName>> {
        let now_ms = self.client.server_time_ms(MarketKind::Um).await?;
        let mut all = Vec::new();
        for one in wanted {
            all.extend(plan_values(one, &self.known(one).await?, now_ms));
        }
        Ok(all)
    }

    async fn known(&self, wanted: &ValuesWanted) -> Result<BTreeMap<String, String>, CacheError> {
        match wanted.product.part() {
            Some(part) => Ok(self.feed.cache().merged_archives(&wanted.symbol, part).await?.into_iter().collect()),
            None => Ok(BTreeMap::new()),
        }
    }

    /// Fetches values, `parallel` symbols at a time; the reports come in the order asked for. With `recheck` archives
    /// that were merged before are held against their checksums of now, and REST is read again. `on` hears of each
    /// archive.
    pub async fn values(
        &self,
        wanted: &[ValuesWanted],
        parallel: usize,
        recheck: bool,
        on: &(dyn Fn(&str) + Sync),
    ) -> Vec<ValuesReport> {
        let each = wanted.iter().map(|one| async move {
            let mut report = ValuesReport {
                symbol: one.symbol.clone(),
                product: one.product,
                archives: 0,
                archive_bytes: 0,
                absent: 0,
                reissued: Vec::new(),
                added: 0,
                replaced: 0,
                newest_ms: None,
                problems: Vec::new(),
                error: None,
            };
            if let Err(e) = self.values_of(one, recheck, on, &mut report).await {
                report.error = Some(e.to_string());
            }
            report
        });
        stream::iter(each.collect::<Vec<_>>()).buffered(parallel.max(1)).collect().await
    }

    async fn values_of(
        &self,
        wanted: &ValuesWanted,
        recheck: bool,
        on: &(dyn Fn(&str) + Sync),
        report: &mut ValuesReport,
    ) -> anyhow::Result<()> {
        let now_ms = self.client.server_time_ms(MarketKind::Um).await?;
        let known = self.known(wanted).await?;
        let mut names = plan_values(wanted, &known, now_ms);
        if recheck {
            let every = plan_values(wanted, &BTreeMap::new(), now_ms);
            for name in every.into_iter().filter(|name| known.contains_key(&name.file_name())) {
                let file = name.file_name();
                match self.has_changed(&name.path(), known.get(&file).map(String::as_str)).await {
                    Ok(false) => {}
                    Ok(true) => {
                        report.reissued.push(file);
                        names.push(name);
                    }
                    Err(e) => report.problems.push(format!("{file}: {e}")),
                }
            }
        }
        let fetched = stream::iter(names.into_iter().map(|name| async move {
            let read_as = name.clone();
            let got = self.fetch_archive(&name.path(), move |bytes| read_values(bytes, &read_as)).await;
            (name, got)
        }));
        let mut fetched = std::pin::pin!(fetched.buffered(FETCH_AHEAD));
        while let Some((name, got)) = fetched.next().await {
            let file = name.file_name();
            on(&file);
            match got {
                Ok(None) => report.absent += 1,
                Ok(Some((bytes, rows))) => {
                    let merged = self.merge_values(&name, &bytes, &rows.values, now_ms).await?;
                    report.archives += 1;
                    report.archive_bytes += bytes.len() as u64;
                    report.added += merged.added;
                    report.replaced += merged.replaced;
                    if rows.refused_count > 0 {
                        report.problems.push(format!("{file}: {} rows refused", rows.refused_count));
                    }
                }
                Err(Trouble::Archive(why)) => report.problems.push(format!("{file}: {why}")),
                Err(Trouble::Cache(e)) => return Err(e.into()),
            }
        }
        self.values_by_rest(wanted, recheck, report).await
    }

    async fn merge_values(
        &self,
        name: &ReadingName,
        bytes: &[u8],
        values: &Values,
        now_ms: i64,
    ) -> Result<MergeReport, CacheError> {
        let sha256 = hex::encode(Sha256::digest(bytes));
        let provenance = Provenance { source: name.file_name(), fetched_at_ms: now_ms };
        let cache = self.feed.cache();
        match values {
            Values::Funding(rates) => cache.merge_funding(&name.symbol, rates, &provenance, Some(&sha256)).await,
            Values::Readings(table) => cache.merge_readings(&name.symbol, table, &provenance, Some(&sha256)).await,
        }
    }

    /// Brings what archives did not have.
    async fn values_by_rest(
        &self,
        wanted: &ValuesWanted,
        again: bool,
        report: &mut ValuesReport,
    ) -> anyhow::Result<()> {
        let one = std::slice::from_ref(&wanted.symbol);
        let brought = match wanted.product {
            Product::Funding => self.feed.refresh_funding(one, wanted.from_ms, again).await,
            Product::Premium => self.feed.refresh_premium(one, wanted.interval, wanted.from_ms, again).await,
            Product::Metrics => self.feed.refresh_metrics(one, wanted.from_ms, wanted.to_ms).await,
            Product::Candles => Vec::new(),
        };
        for FundingFreshness { newest_ms, added, replaced, error, .. } in brought {
            report.newest_ms = newest_ms;
            report.added += added;
            report.replaced += replaced;
            report.error = error;
        }
        Ok(())
    }
}

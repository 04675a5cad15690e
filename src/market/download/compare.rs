//! Stored months of archives held against what the exchange answers now: monthly archives have been wrong.
//!
//! Where the two differ the exchange's candles are merged, which outrank a monthly archive's, and it is told. Adds no
//! candle that was missing, and an exchange that does not answer spoils no download.

use super::{Downloader, SeriesReport, plan};
use crate::cache::{CacheError, Provenance};
use crate::dumps::DumpName;
use crate::{Exchange, ExchangeError};
use candles::agreement::difference;
use candles::quality::count_between;
use candles::resample::resample;
use candles::{Candle, CandleSeries, Interval, MarketKind, Ticker, interval};

/// Hours of one month that are looked at candle by candle; a month with more is wrong as a whole, and told so.
const MAX_HOURS: usize = 100;

impl Downloader {
    /// Holds what is stored of an archive's time against the exchange. False when the exchange did not answer.
    pub(super) async fn compare(
        &self,
        market: MarketKind,
        name: &DumpName,
        now_ms: i64,
        report: &mut SeriesReport,
    ) -> Result<bool, CacheError> {
        let (from_ms, to_ms) = name.range_ms();
        let (cache, ticker) = (self.feed.cache(), Ticker::of(market, &name.symbol));
        let stored = cache.load_stored(&ticker, name.interval, from_ms, to_ms).await?;
        if stored.is_empty() {
            return Ok(true);
        }
        let said = match self.differing(&ticker, name, &stored).await {
            Ok(said) => said,
            // Delisted: the archives are all there is.
            Err(ExchangeError::UnknownSymbol { .. }) => return Ok(false),
            Err(e) => {
                report.problems.push(format!("{}: not held against the exchange: {e}", name.file_name()));
                return Ok(false);
            }
        };
        if said.is_empty() {
            return Ok(true);
        }
        let provenance = Provenance { source: self.feed.source().to_owned(), fetched_at_ms: now_ms };
        let merged = cache.merge_fetched(&ticker, &said, &provenance, None).await?;
        let what = merged.disagreement().unwrap_or_else(|| {
            format!("{} stored candles were not what the exchange says now, and were replaced", merged.replaced)
        });
        report.problems.push(format!("{}: {what}", name.file_name()));
        report.merge += merged;
        Ok(true)
    }

    /// The exchange's candles of an archive's time that are stored with other values.
    async fn differing(
        &self,
        ticker: &Ticker,
        name: &DumpName,
        stored: &CandleSeries,
    ) -> Result<CandleSeries, ExchangeError> {
        let mut said = CandleSeries::new(name.interval);
        let (from_ms, to_ms) = name.range_ms();
        let (at, _) = plan::comparison(name.interval, self.client.max_klines(ticker.market));
        let mut ranges = vec![(from_ms, to_ms)];
        if at != name.interval {
            let hours = self.answer(ticker, at, (from_ms, to_ms)).await?;
            ranges = wrong_hours(stored, &hours);
            ranges.truncate(MAX_HOURS);
        }
        for range in ranges {
            for theirs in self.answer(ticker, name.interval, range).await? {
                let Ok(i) = stored.open_times_ms().binary_search(&theirs.open_time_ms) else { continue };
                if difference(&theirs, &stored.candle(i)).is_some() {
                    // What cannot be is no correction.
                    let _ = said.push(&theirs);
                }
            }
        }
        Ok(said)
    }

    /// The exchange's candles of a range that is long past.
    async fn answer(
        &self,
        ticker: &Ticker,
        interval: Interval,
        (mut from_ms, to_ms): (i64, i64),
    ) -> Result<Vec<Candle>, ExchangeError> {
        let mut all = Vec::new();
        while from_ms < to_ms {
            let limit = u32::try_from(count_between(interval, from_ms, to_ms)).unwrap_or(u32::MAX);
            let limit = limit.clamp(1, self.client.max_klines(ticker.market));
            let mut rows = self.client.klines(ticker, interval, from_ms, to_ms - 1, limit).await?;
            rows.retain(|c| (from_ms..to_ms).contains(&c.open_time_ms));
            let Some(newest_ms) = rows.iter().map(|c| c.open_time_ms).max() else { break };
            from_ms = interval::next_open_time_ms(interval, interval::open_time_ms(interval, newest_ms));
            all.append(&mut rows);
        }
        Ok(all)
    }
}

/// Hours whose candles add up to another one than the exchange's; those with a candle missing are left out.
fn wrong_hours(stored: &CandleSeries, hours: &[Candle]) -> Vec<(i64, i64)> {
    let Ok(built) = resample(stored, Interval::H1) else { return Vec::new() };
    let times = stored.open_times_ms();
    let wrong = |theirs: &Candle| {
        let end_ms = interval::next_open_time_ms(Interval::H1, theirs.open_time_ms);
        let i = built.open_times_ms().binary_search(&theirs.open_time_ms).ok()?;
        let here = times.partition_point(|t| *t < end_ms) - times.partition_point(|t| *t < theirs.open_time_ms);
        let is_whole = here as u64 == count_between(stored.interval(), theirs.open_time_ms, end_ms);
        (is_whole && difference(theirs, &built.candle(i)).is_some()).then_some((theirs.open_time_ms, end_ms))
    };
    hours.iter().filter_map(wrong).collect()
}

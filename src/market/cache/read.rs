//! Reading candles back: whole ranges, intervals built from finer ones, and long ranges month by month.

use super::{CacheError, CandleCache, YEAR_10000_MS, blocking, candle_dir, damage, decode, file};
use candles::resample::{can_resample, resample};
use candles::{CandleSeries, Interval, Ticker, interval};
use futures::{StreamExt, TryStreamExt, stream};

/// Months decoded at once: a few cores' worth, so that memory stays bounded.
const DECODE_AT_ONCE: usize = 4;

impl CandleCache {
    /// Candles that open in `[from_ms, to_ms)`.
    ///
    /// Only what is stored comes back: gaps stay gaps, and nothing stored gives an empty series. An interval of which
    /// nothing at all is stored is resampled from the finer one that covers the range best (the finest, when several
    /// cover it equally); its candles are whole ones only.
    ///
    /// # Errors
    /// When a month cannot be read.
    pub async fn load(
        &self,
        ticker: &Ticker,
        interval: Interval,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<CandleSeries, CacheError> {
        let stored = self.stored_intervals(ticker).await?;
        if stored.contains(&interval) {
            return self.load_stored(ticker, interval, from_ms, to_ms).await;
        }
        let (from, to) = (from_ms.clamp(0, YEAR_10000_MS), to_ms.clamp(0, YEAR_10000_MS));
        let first_ms = interval::open_time_ms(interval, from);
        let end_ms = interval::next_open_time_ms(interval, interval::open_time_ms(interval, to));
        let mut best: Option<(i64, Interval)> = None;
        for finer in stored.into_iter().filter(|finer| *finer < interval && can_resample(*finer, interval)) {
            let covered_ms = self.covered_ms(ticker, finer, first_ms, end_ms).await?;
            if best.is_none_or(|(most, _)| covered_ms > most) {
                best = Some((covered_ms, finer));
            }
        }
        let Some((_, finer)) = best else { return Ok(CandleSeries::new(interval)) };
        let fine = self.load_stored(ticker, finer, first_ms, end_ms).await?;
        let coarse = blocking(move || resample(&fine, interval)).await?;
        let dir = candle_dir(ticker, finer);
        Ok(coarse.map_err(|e| damage(&dir, e))?.slice(from_ms, to_ms))
    }

    /// How much of `[from_ms, to_ms)` stored candles cover, in ms.
    async fn covered_ms(
        &self,
        ticker: &Ticker,
        interval: Interval,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<i64, CacheError> {
        let dir = candle_dir(ticker, interval);
        let mut covered_ms = 0;
        for month in self.months_in(&dir, from_ms, to_ms).await? {
            let Some(facts) = self.facts(&dir, &month).await? else { continue };
            let end_ms = interval::next_open_time_ms(interval, facts.last_open_ms);
            covered_ms += (end_ms.min(to_ms) - facts.first_open_ms.max(from_ms)).max(0);
            let holes = facts.gaps.iter().map(|g| (g.to_ms.min(to_ms) - g.from_ms.max(from_ms)).max(0));
            covered_ms -= holes.sum::<i64>();
        }
        Ok(covered_ms)
    }

    /// [`load`](Self::load), without building what is not stored.
    ///
    /// # Errors
    /// When a month cannot be read.
    pub async fn load_stored(
        &self,
        ticker: &Ticker,
        interval: Interval,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<CandleSeries, CacheError> {
        let dir = candle_dir(ticker, interval);
        let months = self.months_in(&dir, from_ms, to_ms).await?;
        let mut parts = Vec::with_capacity(months.len());
        if self.storage.is_local() && months.len() > DECODE_AT_ONCE {
            // One task for all of them: what there is to do for a month is little beside handing it over twice.
            let (storage, at) = (self.storage.clone(), dir.clone());
            let decoding = tokio::task::spawn_blocking(move || {
                let read = |month: &String| {
                    let path = format!("{at}/{month}.parquet");
                    let Some(bytes) = storage.get_local(&path)? else { return Ok(CandleSeries::new(interval)) };
                    file::decode(bytes, interval).map_err(|e| damage(&path, e))
                };
                months.iter().map(read).collect::<Result<Vec<_>, CacheError>>()
            });
            parts = match decoding.await {
                Ok(decoded) => decoded?,
                Err(e) if e.is_panic() => return Err(damage(&dir, "the structure of a month is broken")),
                Err(e) => return Err(CacheError::Task(e.to_string())),
            };
        } else {
            let decoded = stream::iter(months.into_iter().map(|month| {
                let path = format!("{dir}/{month}.parquet");
                async move {
                    match self.storage.get(&path).await? {
                        Some(bytes) => decode(path, bytes, interval).await,
                        None => Ok(CandleSeries::new(interval)),
                    }
                }
            }));
            let mut decoded = std::pin::pin!(decoded.buffered(DECODE_AT_ONCE));
            while let Some(part) = decoded.try_next().await? {
                parts.push(part);
            }
        }
        // Only the first and the last can reach beyond.
        for part in [parts.len().saturating_sub(1), 0] {
            if let Some(part) = parts.get_mut(part) {
                let times = part.open_times_ms();
                if times.first().is_some_and(|t| *t < from_ms) || times.last().is_some_and(|t| *t >= to_ms) {
                    *part = part.slice(from_ms, to_ms);
                }
            }
        }
        CandleSeries::concat(interval, &parts).map_err(|e| damage(&dir, e))
    }

    /// [`load_stored`](Self::load_stored) month by month, for ranges that are not to be in memory at once: at most one
    /// month (of minutes: about 4 MB) is decoded ahead.
    pub fn months(
        &self,
        ticker: &Ticker,
        interval: Interval,
        from_ms: i64,
        to_ms: i64,
    ) -> impl futures::Stream<Item = Result<CandleSeries, CacheError>> + Send + 'static {
        let (cache, ticker) = (self.clone(), ticker.clone());
        let dir = candle_dir(&ticker, interval);
        let names = async move { cache.months_in(&dir, from_ms, to_ms).await.map(|months| (cache, months)) };
        stream::once(names).flat_map(move |listed| {
            let ticker = ticker.clone();
            match listed {
                Err(e) => stream::iter([Err(e)]).boxed(),
                Ok((cache, months)) => stream::iter(months)
                    .then(move |month| {
                        let (cache, ticker) = (cache.clone(), ticker.clone());
                        async move {
                            let whole = cache.load_month(&ticker, interval, &month).await?;
                            let is_inside = whole.open_times_ms().first().is_some_and(|t| *t >= from_ms)
                                && whole.open_times_ms().last().is_some_and(|t| *t < to_ms);
                            Ok(if is_inside { whole } else { whole.slice(from_ms, to_ms) })
                        }
                    })
                    .boxed(),
            }
        })
    }
}

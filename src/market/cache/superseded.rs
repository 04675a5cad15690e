//! Stored months whose content was replaced: the old content stays, by its hash, until it is pruned or evicted.
//!
//! Without it nobody could say which candles (or funding payments) of a month were revised. Months that only grew are
//! not kept twice: what they were is still in what they are. Layout: `superseded/YYYY-MM.SHA256.parquet` beside the
//! months of a symbol's interval, or of its funding.

use super::funding::funding_sha256;
use super::reading_table::{ReadingTable, readings_sha256};
use super::readings::reading_dir;
use super::{CacheError, CandleCache, candle_dir, content_sha256, damage, decode, file};
use candles::stored::Part;
use candles::{CandleSeries, FundingRate, Interval, MarketKind, Symbol, Ticker};

const SUPERSEDED: &str = "superseded";

/// A month's former content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[allow(missing_docs)]
pub struct Superseded {
    #[serde(flatten)]
    pub ticker: Ticker,
    pub part: Part,
    /// `YYYY-MM`.
    pub month: String,
    /// Hash of what it held.
    pub content_sha256: String,
}

impl Superseded {
    /// Where it is, below the cache's root.
    #[must_use]
    pub fn path(&self) -> String {
        let dir = match self.part {
            Part::Candles(interval) => candle_dir(&self.ticker, interval),
            part @ (Part::Funding | Part::Premium | Part::Metrics) => reading_dir(&self.ticker.symbol, part),
        };
        format!("{dir}/{SUPERSEDED}/{}.{}.parquet", self.month, self.content_sha256)
    }
}

impl CandleCache {
    /// Keeps what is stored at `path` before it is replaced. Doing it twice changes nothing.
    pub(super) async fn keep_superseded(
        &self,
        dir: &str,
        month: &str,
        path: &str,
        old: &CandleSeries,
    ) -> Result<(), CacheError> {
        if old.is_empty() { Ok(()) } else { self.keep_as(dir, month, path, &content_sha256(old)).await }
    }

    /// [`keep_superseded`](Self::keep_superseded) of funding payments.
    pub(super) async fn keep_superseded_funding(
        &self,
        dir: &str,
        month: &str,
        path: &str,
        old: &[FundingRate],
    ) -> Result<(), CacheError> {
        if old.is_empty() { Ok(()) } else { self.keep_as(dir, month, path, &funding_sha256(old)).await }
    }

    /// [`keep_superseded`](Self::keep_superseded) of readings.
    pub(super) async fn keep_superseded_readings(
        &self,
        dir: &str,
        month: &str,
        path: &str,
        old: &ReadingTable,
    ) -> Result<(), CacheError> {
        if old.is_empty() { Ok(()) } else { self.keep_as(dir, month, path, &readings_sha256(old)).await }
    }

    async fn keep_as(&self, dir: &str, month: &str, path: &str, sha256: &str) -> Result<(), CacheError> {
        match self.storage.get(path).await? {
            Some(bytes) => {
                self.storage.put(&format!("{dir}/{SUPERSEDED}/{month}.{sha256}.parquet"), bytes.to_vec()).await
            }
            None => Ok(()),
        }
    }

    /// Former contents that are kept, in order.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub async fn superseded(&self) -> Result<Vec<Superseded>, CacheError> {
        let mut all = Vec::new();
        for market in [MarketKind::Spot, MarketKind::Um] {
            for symbol in self.storage.list(&market.to_string()).await?.0 {
                let Ok(symbol) = symbol.parse::<Symbol>() else { continue };
                let mut dirs: Vec<(Part, String)> = Vec::new();
                let ticker = Ticker { market, symbol };
                for interval in self.stored_intervals(&ticker).await? {
                    dirs.push((Part::Candles(interval), candle_dir(&ticker, interval)));
                }
                if market == MarketKind::Um {
                    let parts = [Part::Funding, Part::Premium, Part::Metrics];
                    dirs.extend(parts.map(|part| (part, reading_dir(&ticker.symbol, part))));
                }
                for (part, dir) in dirs {
                    for name in self.storage.list(&format!("{dir}/{SUPERSEDED}")).await?.1 {
                        let Some((month, sha)) = name.strip_suffix(".parquet").and_then(|n| n.split_once('.')) else {
                            continue;
                        };
                        let (ticker, month, content_sha256) = (ticker.clone(), month.to_owned(), sha.to_owned());
                        all.push(Superseded { ticker, part, month, content_sha256 });
                    }
                }
            }
        }
        all.sort();
        Ok(all)
    }

    /// The candles of a former content; `None` when it is not kept, or is none of candles.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn load_superseded(&self, former: &Superseded) -> Result<Option<CandleSeries>, CacheError> {
        let Part::Candles(interval) = former.part else { return Ok(None) };
        let path = former.path();
        match self.storage.get(&path).await? {
            Some(bytes) => Ok(Some(decode(path, bytes, interval).await?)),
            None => Ok(None),
        }
    }

    /// The funding payments of a former content; `None` when it is not kept, or is none of funding.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn load_superseded_funding(&self, former: &Superseded) -> Result<Option<Vec<FundingRate>>, CacheError> {
        let path = former.path();
        match self.storage.get(&path).await? {
            Some(bytes) if former.part == Part::Funding => {
                file::decode_funding(bytes).map(Some).map_err(|e| damage(&path, e))
            }
            _ => Ok(None),
        }
    }

    /// The readings of a former content; `None` when it is not kept, or is none of readings.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn load_superseded_readings(&self, former: &Superseded) -> Result<Option<ReadingTable>, CacheError> {
        let path = former.path();
        match self.storage.get(&path).await? {
            Some(bytes) if matches!(former.part, Part::Premium | Part::Metrics) => {
                file::decode_readings(bytes, former.part).map(Some).map_err(|e| damage(&path, e))
            }
            _ => Ok(None),
        }
    }

    /// Removes a former content; whether it was there.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(crate) async fn remove_superseded(&self, former: &Superseded) -> Result<bool, CacheError> {
        self.storage.delete(&former.path()).await
    }

    /// An object beside the candles; `None` when there is none.
    pub(crate) async fn get_object(&self, path: &str) -> Result<Option<bytes::Bytes>, CacheError> {
        self.storage.get(path).await
    }

    /// Writes an object beside the candles, whole or not at all.
    pub(crate) async fn put_object(&self, path: &str, bytes: Vec<u8>) -> Result<(), CacheError> {
        self.storage.put(path, bytes).await
    }

    /// Removes an object beside the candles; whether it was there.
    pub(crate) async fn delete_object(&self, path: &str) -> Result<bool, CacheError> {
        self.storage.delete(path).await
    }

    /// Names of objects right under a directory beside the candles, sorted.
    pub(crate) async fn list_objects(&self, dir: &str) -> Result<Vec<String>, CacheError> {
        Ok(self.storage.list(dir).await?.1)
    }

    /// Every object with its size in bytes.
    pub(crate) async fn object_sizes(&self) -> Result<Vec<(String, u64)>, CacheError> {
        self.storage.sizes("").await
    }

    /// The candles that a stored month has now; empty when it is not stored.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn load_month(
        &self,
        ticker: &Ticker,
        interval: Interval,
        month: &str,
    ) -> Result<CandleSeries, CacheError> {
        let path = format!("{}/{month}.parquet", candle_dir(ticker, interval));
        match self.storage.get(&path).await? {
            Some(bytes) => decode(path, bytes, interval).await,
            None => Ok(CandleSeries::new(interval)),
        }
    }
}

//! Stored months whose candles were replaced: the old content stays, by its hash, until it is pruned.
//!
//! Without it nobody could say which candles of a month were revised. Months that only grew are not kept twice: what
//! they were is still in what they are. Layout: `MARKET/SYMBOL/INTERVAL/superseded/YYYY-MM.SHA256.parquet`.

use super::{CacheError, CandleCache, candle_dir, content_sha256, decode};
use crate::market::{CandleSeries, Interval, MarketKind, Symbol};

const SUPERSEDED: &str = "superseded";

/// A month's former content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[allow(missing_docs)]
pub struct Superseded {
    pub market: MarketKind,
    pub symbol: Symbol,
    pub interval: Interval,
    /// `YYYY-MM`.
    pub month: String,
    /// Hash of the candles that it had.
    pub content_sha256: String,
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
        let kept = format!("{dir}/{SUPERSEDED}/{month}.{}.parquet", content_sha256(old));
        match self.storage.get(path).await? {
            Some(bytes) if !old.is_empty() => self.storage.put(&kept, bytes.to_vec()).await,
            _ => Ok(()),
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
                for interval in self.stored_intervals(market, &symbol).await? {
                    let dir = format!("{}/{SUPERSEDED}", candle_dir(market, &symbol, interval));
                    for name in self.storage.list(&dir).await?.1 {
                        let Some((month, sha)) = name.strip_suffix(".parquet").and_then(|n| n.split_once('.')) else {
                            continue;
                        };
                        all.push(Superseded {
                            market,
                            symbol: symbol.clone(),
                            interval,
                            month: month.to_owned(),
                            content_sha256: sha.to_owned(),
                        });
                    }
                }
            }
        }
        all.sort();
        Ok(all)
    }

    /// The candles of a former content; `None` when it is not kept.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn load_superseded(&self, former: &Superseded) -> Result<Option<CandleSeries>, CacheError> {
        let path = superseded_path(former);
        match self.storage.get(&path).await? {
            Some(bytes) => Ok(Some(decode(path, bytes, former.interval).await?)),
            None => Ok(None),
        }
    }

    /// Removes a former content; whether it was there.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub async fn remove_superseded(&self, former: &Superseded) -> Result<bool, CacheError> {
        self.storage.delete(&superseded_path(former)).await
    }

    /// An object beside the candles; `None` when there is none.
    pub(in crate::market) async fn get_object(&self, path: &str) -> Result<Option<bytes::Bytes>, CacheError> {
        self.storage.get(path).await
    }

    /// Writes an object beside the candles, whole or not at all.
    pub(in crate::market) async fn put_object(&self, path: &str, bytes: Vec<u8>) -> Result<(), CacheError> {
        self.storage.put(path, bytes).await
    }

    /// Removes an object beside the candles; whether it was there.
    pub(in crate::market) async fn delete_object(&self, path: &str) -> Result<bool, CacheError> {
        self.storage.delete(path).await
    }

    /// Names of objects right under a directory beside the candles, sorted.
    pub(in crate::market) async fn list_objects(&self, dir: &str) -> Result<Vec<String>, CacheError> {
        Ok(self.storage.list(dir).await?.1)
    }

    /// The candles that a stored month has now; empty when it is not stored.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn load_month(
        &self,
        market: MarketKind,
        symbol: &Symbol,
        interval: Interval,
        month: &str,
    ) -> Result<CandleSeries, CacheError> {
        let path = format!("{}/{month}.parquet", candle_dir(market, symbol, interval));
        match self.storage.get(&path).await? {
            Some(bytes) => decode(path, bytes, interval).await,
            None => Ok(CandleSeries::new(interval)),
        }
    }
}

fn superseded_path(former: &Superseded) -> String {
    let dir = candle_dir(former.market, &former.symbol, former.interval);
    format!("{dir}/{SUPERSEDED}/{}.{}.parquet", former.month, former.content_sha256)
}

//! Cached predictions: a file a model, under a name that changes with the model and the code, and good
//! only for the very candles that it was made of. Never changes a prediction: what is wrong with a file makes it as if it
//! were not there.

use anyhow::Context as _;
use candles::{MarketReadings, Readings, time::DAY_MS};
use genome::ModelName;
use market::cache::content_sha256;
use models::{Fit, ModelCandles, ModelFile, Point, Predictions, SymbolPredictions};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    io::Write,
    path::PathBuf,
    time::{Duration, SystemTime},
};

/// Where predictions are kept, and for how long.
#[derive(Clone, Debug)]
pub(crate) struct PredictionCache {
    pub(crate) dir: PathBuf,
    pub(crate) budget_bytes: u64,
    pub(crate) days: u32,
}

/// Names what predicts: the model's meaning, its network, where candles begin, and the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key(String);

impl Key {
    pub(super) fn new(file: &ModelFile, network_sha256: Option<&str>, first_ms: i64) -> Self {
        let network = network_sha256.unwrap_or("none");
        let text = format!(
            "model {}\nnetwork {network}\ncandles from {first_ms}\ncode {}\n",
            file.digest(),
            crate::CODE_VERSION
        );
        Self(hex::encode(Sha256::digest(text)))
    }
}

/// What a file held.
pub(super) struct Cached {
    pub(super) predictions: Predictions,
    /// [`prefix_sha256`] of the candles that they were made of.
    pub(super) data_sha256: String,
}

/// The first line of a file; numbers follow, 24 bytes a point.
#[derive(Serialize, Deserialize)]
struct Header {
    key: String,
    data_sha256: String,
    until_ms: i64,
    fits: Vec<Fit>,
    /// Names of symbols and how many points each has.
    symbols: Vec<(String, usize)>,
    body_sha256: String,
}

const POINT_BYTES: usize = 24;

impl PredictionCache {
    fn path(&self, name: ModelName, key: &Key) -> PathBuf {
        self.dir.join(format!("{name}-{}.predictions", &key.0[..16]))
    }

    /// What is cached under a key, if anything that can be read is; notes that somebody asked.
    ///
    /// # Errors
    /// When a file that is there cannot be opened.
    pub(super) fn read(&self, name: ModelName, key: &Key) -> anyhow::Result<Option<Cached>> {
        let path = self.path(name, key);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let found = parsed(&bytes).filter(|(header, _)| header.key == key.0);
        if found.is_none() {
            tracing::warn!("cached predictions in {} are damaged; they are computed again", path.display());
        }
        // How old a file is counts from when it was last asked for; where that cannot be noted it ages sooner.
        let _ = std::fs::File::options().append(true).open(&path).and_then(|f| f.set_modified(SystemTime::now()));
        Ok(found.map(|(header, symbols)| Cached {
            predictions: Predictions { until_ms: header.until_ms, symbols, fits: header.fits },
            data_sha256: header.data_sha256,
        }))
    }

    /// Keeps predictions, whole or not at all, then removes what is too old or too much.
    ///
    /// # Errors
    /// When nothing can be written.
    pub(super) fn write(
        &self,
        name: ModelName,
        key: &Key,
        predictions: &Predictions,
        data_sha256: &str,
        now_ms: i64,
    ) -> anyhow::Result<()> {
        let mut body = Vec::with_capacity(predictions.symbols.iter().map(|s| s.points.len() * POINT_BYTES).sum());
        for point in predictions.symbols.iter().flat_map(|s| &s.points) {
            body.extend(point.at_ms.to_le_bytes());
            body.extend(point.probability.to_le_bytes());
            body.extend(point.base.to_le_bytes());
        }
        let header = Header {
            key: key.0.clone(),
            data_sha256: data_sha256.to_owned(),
            until_ms: predictions.until_ms,
            fits: predictions.fits.clone(),
            symbols: predictions.symbols.iter().map(|s| (s.name.clone(), s.points.len())).collect(),
            body_sha256: hex::encode(Sha256::digest(&body)),
        };
        let path = self.path(name, key);
        let kept = || -> anyhow::Result<()> {
            std::fs::create_dir_all(&self.dir)?;
            let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
            file.write_all(&serde_json::to_vec(&header)?)?;
            file.write_all(b"\n")?;
            file.write_all(&body)?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            self.prune(now_ms)
        };
        kept().with_context(|| format!("cannot keep predictions in {}", path.display()))
    }

    /// Removes files that nobody asked for in so many days, then the oldest above the budget.
    fn prune(&self, now_ms: i64) -> anyhow::Result<()> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            let entry = entry?;
            let facts = entry.metadata()?;
            if entry.path().extension().is_some_and(|e| e == "predictions") {
                files.push((facts.modified()?, entry.path(), facts.len()));
            }
        }
        files.sort();
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(now_ms.max(0).cast_unsigned());
        let lifetime = Duration::from_millis((i64::from(self.days) * DAY_MS).cast_unsigned());
        let mut total: u64 = files.iter().map(|(_, _, length)| length).sum();
        for (asked, path, length) in files {
            let is_old = now.duration_since(asked).is_ok_and(|age| age > lifetime);
            if is_old || total > self.budget_bytes {
                std::fs::remove_file(&path)?;
                total -= length;
            }
        }
        Ok(())
    }
}

fn parsed(bytes: &[u8]) -> Option<(Header, Vec<SymbolPredictions>)> {
    let end = bytes.iter().position(|b| *b == b'\n')?;
    let header: Header = serde_json::from_slice(&bytes[..end]).ok()?;
    let body = &bytes[end + 1..];
    let points: usize = header.symbols.iter().try_fold(0_usize, |sum, (_, points)| sum.checked_add(*points))?;
    if Some(body.len()) != points.checked_mul(POINT_BYTES) || hex::encode(Sha256::digest(body)) != header.body_sha256 {
        return None;
    }
    let number = |bytes: &[u8], at: usize| <[u8; 8]>::try_from(&bytes[at..at + 8]).unwrap_or_default();
    let mut all = body.chunks_exact(POINT_BYTES).map(|bytes| Point {
        at_ms: i64::from_le_bytes(number(bytes, 0)),
        probability: f64::from_le_bytes(number(bytes, 8)),
        base: f64::from_le_bytes(number(bytes, 16)),
    });
    let of = |(name, points): &(String, usize)| SymbolPredictions {
        name: name.clone(),
        points: all.by_ref().take(*points).collect(),
    };
    let symbols = header.symbols.iter().map(of).collect();
    Some((header, symbols))
}

/// SHA-256, in hex, of candles that had closed and readings that were known by a time, of each symbol in the order given.
pub(super) fn prefix_sha256(candles: &[ModelCandles<'_>], until_ms: i64) -> String {
    let mut hash = Sha256::new();
    for of in candles {
        let known = of.candles.closed_before(until_ms);
        // One that had no candle by then is no part: it may be listed later.
        if known.is_empty() {
            continue;
        }
        hash.update(format!("symbol {}\ncandles {}\n", of.name, content_sha256(&known)));
        for (name, readings) in MarketReadings::named(of.readings) {
            let count = Readings::times_ms(readings).partition_point(|time_ms| *time_ms <= until_ms);
            hash.update(format!("{name} {count}\n"));
            for (time_ms, value) in readings.times_ms().iter().zip(readings.values()).take(count) {
                hash.update(time_ms.to_le_bytes());
                hash.update(value.to_le_bytes());
            }
        }
    }
    hex::encode(hash.finalize())
}

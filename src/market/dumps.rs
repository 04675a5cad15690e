//! Import of Binance's public dump archives (`SYMBOL-INTERVAL-YYYY-MM[-DD].zip` of candles; funding, premium index and
//! metrics of USD-M futures) into the cache.
//!
//! One bad row or file is refused and named; the rest goes on, and nothing already stored is harmed. Never fetches
//! anything, never repairs a row, never reads a clock.

mod archive;
pub(crate) mod name;
mod readings;
mod report;

pub use archive::{DumpError, Refused, Rows, read_archive, read_csv};
pub(crate) use archive::{market_said, verify_checksum};
pub(crate) use name::{Contract, contract_of};
pub use name::{DumpName, NameError};
pub use readings::{Product, ReadingName, ValueRows, Values, read_values, read_values_csv};
pub use report::{FileReport, ImportReport, Problem, Severity, ValueCounts};

use super::cache::{CacheError, CandleCache, Provenance};
use candles::{CandleSeries, MarketKind, Ticker, quality};
use futures::{StreamExt, stream};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Deeper trees are no dump trees (and a directory linked into itself ends here).
const MAX_DEPTH: usize = 16;
/// Series merged at the same time: a write waits for the disk, and meanwhile others read.
const SERIES_AT_ONCE: usize = 8;

/// How to import.
#[derive(Clone, Copy, Debug)]
pub struct ImportOptions {
    /// The market of files whose path names none; a file whose path names another is refused.
    pub market: Option<MarketKind>,
    /// Recorded as the time of import, UTC ms.
    pub now_ms: i64,
}

/// Why an import could not begin or had to stop.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ImportError {
    #[error("{path} cannot be read: {source}", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} holds no {what}", path = path.display())]
    NothingFound { path: PathBuf, what: String },
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// The zip files under `path` (a directory, searched to any usual depth, or a single file), in the order in which they
/// are merged: by name, so that where a directory holds one archive twice or a day beside its month the outcome does
/// not depend on where they lie. What is no dump archive by its name is among them, to be refused with the reason.
///
/// # Errors
/// When the directory cannot be read, or holds none.
pub fn find_archives(path: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let mut found = Vec::new();
    if path.is_file() {
        found.push(path.to_owned());
    } else {
        walk(path, 0, &mut found)?;
    }
    found.retain(|file| path == file || file.extension().is_some_and(|e| e.eq_ignore_ascii_case("zip")));
    found.sort_by(|a, b| (a.file_name(), a).cmp(&(b.file_name(), b)));
    order_copies(&mut found);
    let what = "file named like SYMBOL-INTERVAL-YYYY-MM.zip; other programs' files need --mapping".to_owned();
    if found.is_empty() { Err(ImportError::NothingFound { path: path.to_owned(), what }) } else { Ok(found) }
}

/// Puts archives of one name in the order of their worth, the best last, so that it is the one that counts: checked
/// against a checksum file rather than not, then the one written later, then by content, so that there is one answer.
fn order_copies(found: &mut [PathBuf]) {
    for copies in found.chunk_by_mut(|a, b| a.file_name() == b.file_name()) {
        if copies.len() > 1 {
            copies.sort_by_cached_key(|path| {
                let bytes = archive::read_bounded(path).unwrap_or_default();
                let is_checked = path.with_extension("zip.CHECKSUM").is_file();
                (is_checked, archive::written(&bytes), Sha256::digest(&bytes).to_vec())
            });
        }
    }
}

fn walk(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), ImportError> {
    let failed = |source| ImportError::Read { path: dir.to_owned(), source };
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            if depth < MAX_DEPTH {
                walk(&path, depth + 1, found)?;
            }
        } else {
            found.push(path);
        }
    }
    Ok(())
}

/// Imports archives in order. `on_file` hears of each file when it is done.
///
/// # Errors
/// When the cache cannot be written, which ends the import: the next file would fare no better. What is wrong with a
/// file is part of the report instead.
pub async fn import(
    cache: &CandleCache,
    archives: &[PathBuf],
    options: ImportOptions,
    mut on_file: impl FnMut(&FileReport),
) -> Result<ImportReport, ImportError> {
    let mut report = ImportReport::default();
    // One series a task, in order within it: archives of one series depend on each other, series do not.
    let mut series: Vec<(PathBuf, Vec<usize>)> = Vec::new();
    let mut places: HashMap<PathBuf, usize> = HashMap::new();
    for (i, path) in archives.iter().enumerate() {
        let of = series_of(path);
        let at = *places.entry(of.clone()).or_insert_with(|| {
            series.push((of, Vec::new()));
            series.len() - 1
        });
        series[at].1.push(i);
    }
    let mut files: Vec<Option<FileReport>> = vec![None; archives.len()];
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let work = stream::iter(series.into_iter().map(|(_, places)| {
        let tell = tell.clone();
        async move {
            for i in places {
                let file = import_file(cache, &archives[i], options).await?;
                // Nobody listens only once the import has failed.
                let _ = tell.send((i, file));
            }
            Ok::<(), ImportError>(())
        }
    }));
    let mut work = std::pin::pin!(work.buffer_unordered(SERIES_AT_ONCE));
    loop {
        tokio::select! {
            biased;
            Some((i, file)) = told.recv() => {
                on_file(&file);
                files[i] = Some(file);
            }
            done = work.next() => match done {
                Some(done) => done?,
                None => break,
            },
        }
    }
    while let Ok((i, file)) = told.try_recv() {
        on_file(&file);
        files[i] = Some(file);
    }
    files.into_iter().flatten().for_each(|file| report.push(file));
    Ok(report)
}

/// What archives have in common that are merged into one series: their name without the date, and where they lie but for
/// the period. Archives that only seem to differ wait for each other at the lock of the series.
fn series_of(path: &Path) -> PathBuf {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    PathBuf::from(name.splitn(3, '-').take(2).collect::<Vec<_>>().join("-"))
}

async fn import_file(cache: &CandleCache, path: &Path, options: ImportOptions) -> Result<FileReport, ImportError> {
    let mut file = FileReport::new(path.display().to_string());
    let owned = path.to_owned();
    let opened = tokio::task::spawn_blocking(move || read_file(&owned, options.market)).await;
    match opened.unwrap_or_else(|e| Err(DumpError::Reader(e.to_string()))) {
        Err(e) => file.refuse(&e),
        Ok(OpenedFile::Candles(opened)) => {
            let source = opened.name.file_name();
            file.describe(&opened);
            let provenance = Provenance { source, fetched_at_ms: options.now_ms };
            let ticker = Ticker::of(opened.market, &opened.name.symbol);
            file.merged(cache.merge(&ticker, &opened.series, &provenance).await?);
        }
        Ok(OpenedFile::Values(opened)) => {
            file.describe_values(&opened);
            let provenance = Provenance { source: opened.name.file_name(), fetched_at_ms: options.now_ms };
            let (symbol, sha256) = (&opened.name.symbol, Some(opened.sha256.as_str()));
            file.merged(match &opened.rows.values {
                Values::Funding(rates) => cache.merge_funding(symbol, rates, &provenance, sha256).await?,
                Values::Readings(table) => cache.merge_readings(symbol, table, &provenance, sha256).await?,
            });
        }
    }
    Ok(file)
}

/// An archive read and checked, ready to be merged.
#[derive(Debug)]
struct Opened {
    market: MarketKind,
    name: DumpName,
    series: CandleSeries,
    rows: u64,
    refused: Vec<Refused>,
    refused_count: u64,
    gaps: Vec<quality::Gap>,
    checksum_missing: bool,
}

/// An archive of funding, premium or metrics, read and checked.
#[derive(Debug)]
struct OpenedValues {
    name: ReadingName,
    rows: ValueRows,
    sha256: String,
    checksum_missing: bool,
}

#[derive(Debug)]
enum OpenedFile {
    Candles(Opened),
    Values(OpenedValues),
}

fn read_file(path: &Path, market: Option<MarketKind>) -> Result<OpenedFile, DumpError> {
    if let Some(name) = ReadingName::of_path(path) {
        let name = name?;
        readings::check_market(path, &name, market)?;
        let (bytes, checksum_missing) = read_checked(path)?;
        let sha256 = hex::encode(Sha256::digest(&bytes));
        return Ok(OpenedFile::Values(OpenedValues {
            rows: read_values(&bytes, &name)?,
            name,
            sha256,
            checksum_missing,
        }));
    }
    let name = DumpName::of_path(path).map_err(DumpError::Name)?;
    let market = archive::market_of(path, &name, market)?;
    let (bytes, checksum_missing) = read_checked(path)?;
    let Rows { series, rows, refused, refused_count } = read_archive(&bytes, &name)?;
    let gaps = quality::gaps(&series);
    Ok(OpenedFile::Candles(Opened { market, name, series, rows, refused, refused_count, gaps, checksum_missing }))
}

/// An archive's bytes, held against its checksum file; whether there is none.
fn read_checked(path: &Path) -> Result<(Vec<u8>, bool), DumpError> {
    let bytes = archive::read_bounded(path)?;
    let checksum_path = path.with_extension("zip.CHECKSUM");
    let checksum_missing = match std::fs::read(&checksum_path) {
        Ok(text) => {
            verify_checksum(&bytes, &text)?;
            false
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => true,
        Err(e) => return Err(DumpError::Read(e.to_string())),
    };
    Ok((bytes, checksum_missing))
}

//! Import of Binance's public dump archives (`SYMBOL-INTERVAL-YYYY-MM[-DD].zip`) into the cache.
//!
//! One bad row or file is refused and named; the rest goes on, and nothing already stored is harmed. Never fetches
//! anything, never repairs a row, never reads a clock.

mod archive;
mod report;

pub(crate) use archive::verify_checksum;
pub use archive::{DumpError, DumpName, Refused, Rows, read_archive, read_csv};
pub use report::{FileReport, ImportReport, Problem, Severity};

use super::cache::{CacheError, CandleCache, Provenance};
use candles::{CandleSeries, MarketKind, quality};
use futures::{StreamExt, stream};
use std::path::{Path, PathBuf};

/// Deeper trees are no dump trees (and a directory linked into itself ends here).
const MAX_DEPTH: usize = 16;
/// Files read ahead of the merge, so that both cores have work.
const READ_AHEAD: usize = 4;

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
    #[error("{path} holds no file named like SYMBOL-INTERVAL-YYYY-MM.zip", path = path.display())]
    NothingFound { path: PathBuf },
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// The dump archives under `path` (a directory, searched to any usual depth, or a single file), sorted.
///
/// # Errors
/// When the directory cannot be read, or holds no archive.
pub fn find_archives(path: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let mut found = Vec::new();
    if path.is_file() {
        found.push(path.to_owned());
    } else {
        walk(path, 0, &mut found)?;
    }
    found.retain(|file| DumpName::of_path(file).is_some());
    found.sort();
    if found.is_empty() { Err(ImportError::NothingFound { path: path.to_owned() }) } else { Ok(found) }
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
    let read = stream::iter(archives.iter().cloned().map(|path| async move {
        let shown = path.display().to_string();
        let opened = tokio::task::spawn_blocking(move || read_file(&path, options.market)).await;
        (shown, opened.unwrap_or_else(|e| Err(DumpError::Reader(e.to_string()))))
    }));
    let mut read = std::pin::pin!(read.buffered(READ_AHEAD));
    while let Some((path, opened)) = read.next().await {
        let mut file = FileReport::new(path);
        match opened {
            Err(e) => file.refuse(&e),
            Ok(opened) => {
                let source = opened.name.file_name();
                file.describe(&opened);
                let provenance = Provenance { source, fetched_at_ms: options.now_ms };
                let merged = cache.merge(opened.market, &opened.name.symbol, &opened.series, &provenance).await?;
                file.merged(merged);
            }
        }
        on_file(&file);
        report.push(file);
    }
    Ok(report)
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

fn read_file(path: &Path, market: Option<MarketKind>) -> Result<Opened, DumpError> {
    let name = DumpName::of_path(path).ok_or(DumpError::Name)?;
    // These dumps look like candles to the last column.
    if let Some(other) = path.components().find_map(|part| not_traded(part.as_os_str().to_str()?)) {
        return Err(DumpError::NotTraded(other.to_owned()));
    }
    let market = match (market_of(path), market) {
        (Some(found), Some(asked)) if found != asked => return Err(DumpError::OtherMarket { found, asked }),
        (found, asked) => found.or(asked).ok_or(DumpError::NoMarket)?,
    };
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
    let Rows { series, rows, refused, refused_count } = read_archive(&bytes, &name)?;
    let gaps = quality::gaps(&series);
    Ok(Opened { market, name, series, rows, refused, refused_count, gaps, checksum_missing })
}

fn not_traded(directory: &str) -> Option<&str> {
    ["markPriceKlines", "indexPriceKlines", "premiumIndexKlines"].contains(&directory).then_some(directory)
}

/// The market that a path names: the last of its directories called `spot` or `um`.
fn market_of(path: &Path) -> Option<MarketKind> {
    let names = path.parent()?.components().rev();
    names.filter_map(|part| part.as_os_str().to_str()).find_map(|part| part.parse().ok())
}

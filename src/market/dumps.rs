//! Import of Binance's public dump archives (`SYMBOL-INTERVAL-YYYY-MM[-DD].zip`) into the cache.
//!
//! One bad row or file is refused and named; the rest goes on, and nothing already stored is harmed. Never fetches
//! anything, never repairs a row, never reads a clock.

mod archive;
pub(crate) mod name;
mod report;

pub use archive::{DumpError, Refused, Rows, read_archive, read_csv};
pub(crate) use archive::{market_said, verify_checksum};
pub(crate) use name::{Contract, contract_of};
pub use name::{DumpName, NameError};
pub use report::{FileReport, ImportReport, Problem, Severity};

use super::cache::{CacheError, CandleCache, Provenance};
use candles::{CandleSeries, MarketKind, quality};
use futures::{StreamExt, stream};
use sha2::{Digest, Sha256};
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
    let name = DumpName::of_path(path).map_err(DumpError::Name)?;
    let market = archive::market_of(path, &name, market)?;
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

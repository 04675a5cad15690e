//! Other programs' files into the cache. One bad file is refused and named; the rest goes on.

use super::name::{Named, agreed};
use super::{Format, MAX_FILE_BYTES, Mapping, read};
use crate::cache::{CandleCache, Provenance};
use crate::dumps::{FileReport, ImportError, ImportReport, Problem, Rows, Severity};
use candles::{Interval, MarketKind, Symbol, Ticker, quality};
use std::io::Read;
use std::path::{Path, PathBuf};

/// What the caller says of files whose names do not; a file whose name says something else is refused.
#[derive(Clone, Debug, Default)]
pub struct ForeignOptions {
    /// In place of the mapping's market.
    pub market: Option<MarketKind>,
    /// In place of the mapping's symbol.
    pub symbol: Option<Symbol>,
    /// In place of the mapping's interval.
    pub interval: Option<Interval>,
    /// Recorded as the time of import, UTC ms.
    pub now_ms: i64,
}

/// The files of the mapping's format in a directory (not below it), sorted; or the one file.
///
/// # Errors
/// When the directory cannot be read, or holds none.
pub fn find_files(path: &Path, mapping: &Mapping) -> Result<Vec<PathBuf>, ImportError> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let endings: &[&str] = match mapping.format {
        Format::Csv => &["csv", "txt", "tsv"],
        Format::Feather => &["feather", "arrow"],
        Format::Json => &["json"],
    };
    let failed = |source| ImportError::Read { path: path.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.extension().and_then(|e| e.to_str()).is_some_and(|e| endings.contains(&e)) && file.is_file() {
            found.push(file);
        }
    }
    found.sort();
    if found.is_empty() {
        Err(ImportError::NothingFound {
            path: path.to_owned(),
            what: format!("file that ends in .{}", endings.join(", .")),
        })
    } else {
        Ok(found)
    }
}

/// Imports files by a mapping. `on_file` hears of each file when it is done.
///
/// # Errors
/// When the cache cannot be written, which ends the import.
pub async fn import_foreign(
    cache: &CandleCache,
    files: &[PathBuf],
    mapping: &Mapping,
    options: &ForeignOptions,
    mut on_file: impl FnMut(&FileReport),
) -> Result<ImportReport, ImportError> {
    let mut report = ImportReport::default();
    for path in files {
        let mut file = FileReport::new(path.display().to_string());
        let refuse = |file: &mut FileReport, line: Option<u64>, what: String| {
            file.problems.push(Problem { severity: Severity::Error, line, what });
        };
        match identify(path, mapping, options) {
            Err(why) => refuse(&mut file, None, format!("refused: {why}")),
            Ok((ticker, interval)) => {
                (file.market, file.symbol) = (Some(ticker.market), Some(ticker.symbol.clone()));
                file.interval = Some(interval);
                match read_file(path, mapping, interval).await {
                    Err(why) => refuse(&mut file, None, format!("refused: {why}")),
                    Ok(rows) => {
                        file.rows = rows.rows;
                        file.rows_refused = rows.refused_count;
                        file.gaps = quality::gaps(&rows.series);
                        for row in &rows.refused {
                            refuse(&mut file, Some(row.line), format!("row refused: {}", row.why));
                        }
                        let source = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
                        let provenance = Provenance { source, fetched_at_ms: options.now_ms };
                        file.merged(cache.merge(&ticker, &rows.series, &provenance).await?);
                    }
                }
            }
        }
        on_file(&file);
        report.push(file);
    }
    Ok(report)
}

/// What a file is, by its name, the options and the mapping.
fn identify(path: &Path, mapping: &Mapping, options: &ForeignOptions) -> Result<(Ticker, Interval), String> {
    let named = Named::of(path, mapping.names)?;
    let interval = agreed(named.interval, ("--interval", options.interval), mapping.interval)?;
    // Without an interval the name is only a word: it stands for a symbol where nobody gives one.
    let symbol = match named.interval {
        Some(_) => agreed(named.symbol, ("--symbol", options.symbol.clone()), mapping.symbol.clone())?,
        None => options.symbol.clone().or(mapping.symbol.clone()).or(named.symbol),
    };
    let market = agreed(named.market, ("--market", options.market), mapping.market)?;
    let symbol = symbol.ok_or("no symbol in its name or mapping; say --symbol")?;
    let interval = interval.ok_or("no interval in its name or mapping; say --interval")?;
    Ok((Ticker { market: market.unwrap_or_default(), symbol }, interval))
}

async fn read_file(path: &Path, mapping: &Mapping, interval: Interval) -> Result<Rows, String> {
    let (path, mapping) = (path.to_owned(), mapping.clone());
    let read = tokio::task::spawn_blocking(move || -> Result<Rows, String> {
        let file = std::fs::File::open(&path).map_err(|e| format!("it cannot be read: {e}"))?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|e| format!("it cannot be read: {e}"))?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(format!("it has more than {MAX_FILE_BYTES} bytes"));
        }
        read(&bytes, &mapping, interval).map_err(|e| e.to_string())
    });
    read.await.unwrap_or_else(|e| Err(format!("the reader failed: {e}")))
}

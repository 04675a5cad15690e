//! What an import did, file by file.

use super::{DumpError, Opened, OpenedValues, Product, Refused};
use crate::cache::MergeReport;
use candles::quality::Gap;
use candles::{Interval, MarketKind, Symbol};
use serde::Serialize;
use std::collections::BTreeMap;

pub use candles::quality::Severity;

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad: an error when data was refused, a warning otherwise.
    pub severity: Severity,
    /// Line in the CSV, from 1, where it is about a row.
    pub line: Option<u64>,
    /// In words.
    pub what: String,
}

/// What became of one file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FileReport {
    /// Its path as given.
    pub path: String,
    /// Whether it was imported.
    pub imported: bool,
    /// What it holds, once known; candles until then.
    pub product: Product,
    /// Which market, once known.
    pub market: Option<MarketKind>,
    /// Which symbol, once known.
    pub symbol: Option<Symbol>,
    /// Which interval, once known.
    pub interval: Option<Interval>,
    /// Rows read, without a header.
    pub rows: u64,
    /// Rows refused.
    pub rows_refused: u64,
    /// What the merge changed.
    #[serde(flatten)]
    pub merge: MergeReport,
    /// Holes between its first and last candle.
    pub gaps: Vec<Gap>,
    /// What was found.
    pub problems: Vec<Problem>,
}

impl FileReport {
    pub(crate) fn new(path: String) -> Self {
        Self {
            path,
            imported: false,
            product: Product::Candles,
            market: None,
            symbol: None,
            interval: None,
            rows: 0,
            rows_refused: 0,
            merge: MergeReport::default(),
            gaps: Vec::new(),
            problems: Vec::new(),
        }
    }

    pub(super) fn refuse(&mut self, why: &DumpError) {
        self.problem(Severity::Error, None, format!("refused: {why}"));
    }

    pub(super) fn describe(&mut self, opened: &Opened) {
        self.market = Some(opened.market);
        self.symbol = Some(opened.name.symbol.clone());
        self.interval = Some(opened.name.interval);
        self.rows = opened.rows;
        self.rows_refused = opened.refused_count;
        self.gaps.clone_from(&opened.gaps);
        self.describe_rows(opened.checksum_missing, &opened.refused, opened.refused_count);
        let missing: u64 = opened.gaps.iter().map(|g| g.missing).sum();
        if missing > 0 {
            let holes = opened.gaps.len();
            self.problem(Severity::Warning, None, format!("{missing} candles are missing in {holes} gaps"));
        }
    }

    pub(super) fn describe_values(&mut self, opened: &OpenedValues) {
        self.product = opened.name.product;
        self.market = Some(MarketKind::Um);
        self.symbol = Some(opened.name.symbol.clone());
        self.interval = opened.name.interval;
        self.rows = opened.rows.rows;
        self.rows_refused = opened.rows.refused_count;
        self.describe_rows(opened.checksum_missing, &opened.rows.refused, opened.rows.refused_count);
    }

    fn describe_rows(&mut self, checksum_missing: bool, refused: &[Refused], refused_count: u64) {
        if checksum_missing {
            self.problem(Severity::Warning, None, "it has no CHECKSUM file beside it; taken unverified".to_owned());
        }
        for row in refused {
            self.problem(Severity::Error, Some(row.line), format!("row refused: {}", row.why));
        }
        let unshown = refused_count - refused.len() as u64;
        if unshown > 0 {
            self.problem(Severity::Error, None, format!("{unshown} more rows refused"));
        }
    }

    pub(crate) fn merged(&mut self, merge: MergeReport) {
        self.imported = true;
        if merge.damaged > 0 {
            self.problem(Severity::Warning, None, "the stored month was damaged; set aside and written anew".into());
        }
        if let Some(what) = merge.disagreement() {
            self.problem(Severity::Warning, None, what);
        }
        if merge.replaced > 0 {
            let n = merge.replaced;
            let what = if self.product == Product::Candles { "candles" } else { "values" };
            self.problem(Severity::Warning, None, format!("{n} stored {what} had other values and were replaced"));
        }
        self.merge = merge;
    }

    fn problem(&mut self, severity: Severity, line: Option<u64>, what: String) {
        self.problems.push(Problem { severity, line, what });
    }
}

/// What an import changed of values that are no candles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ValueCounts {
    /// Files imported.
    pub files: u64,
    /// Values that were not there before.
    pub added: u64,
    /// Values that were others.
    pub replaced: u64,
    /// Values that were there already.
    pub unchanged: u64,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ImportReport {
    /// Files imported.
    pub files_imported: u64,
    /// Files refused.
    pub files_refused: u64,
    /// Rows read.
    pub rows: u64,
    /// Rows refused in imported files.
    pub rows_refused: u64,
    /// What the merges of candles changed.
    #[serde(flatten)]
    pub merge: MergeReport,
    /// What was merged of funding, premium and metrics, by product.
    pub values: BTreeMap<Product, ValueCounts>,
    /// Candles missing inside files.
    pub missing: u64,
    /// Every file, in order.
    pub files: Vec<FileReport>,
}

impl ImportReport {
    pub(crate) fn push(&mut self, file: FileReport) {
        if file.imported {
            self.files_imported += 1;
        } else {
            self.files_refused += 1;
        }
        self.rows += file.rows;
        self.rows_refused += file.rows_refused;
        if file.product == Product::Candles {
            self.merge += file.merge.clone();
        } else if file.imported {
            let counts = self.values.entry(file.product).or_default();
            counts.files += 1;
            counts.added += file.merge.added;
            counts.replaced += file.merge.replaced;
            counts.unchanged += file.merge.unchanged;
        }
        self.missing += file.gaps.iter().map(|g| g.missing).sum::<u64>();
        self.files.push(file);
    }

    /// Whether anything was refused.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.files_refused > 0 || self.rows_refused > 0
    }
}

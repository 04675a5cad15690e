//! Which source gave each stored candle, and where two of them disagree. Pure.
//!
//! The rule, whatever the order in which sources come: daily archives and the exchange's own answers outrank monthly
//! archives, and those outrank other programs' files. Monthly archives are made once and have been found to hold what the
//! other two do not (binance-public-data issue 475: 398 rows of 398); other programs' files are copies of a part.
//! Of one rank, the later one counts: exchanges revise. A candle that gives way, or is not taken, is told.

use candles::agreement::difference;
use candles::{Candle, CandleSeries};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Disagreements that a report describes; beyond that they are only counted.
pub(super) const MAX_DESCRIBED: usize = 20;
/// Disagreements that a month remembers.
pub(super) const MAX_REMEMBERED: usize = 1_000;

/// What kind of source gave a candle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// Another program's file.
    Other,
    /// An archive of a month.
    Monthly,
    /// An archive of a day.
    Daily,
    /// The exchange's own answer.
    Exchange,
}

impl SourceKind {
    fn rank(self) -> u8 {
        match self {
            Self::Other => 0,
            Self::Monthly => 1,
            Self::Daily | Self::Exchange => 2,
        }
    }
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Other => "other program's file",
            Self::Monthly => "monthly archive",
            Self::Daily => "daily archive",
            Self::Exchange => "exchange",
        })
    }
}

/// Two sources that gave different candles for one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceDisagreement {
    /// Open time, UTC ms.
    pub open_time_ms: i64,
    /// Whose candle is stored.
    pub kept: SourceKind,
    /// Whose candle is not.
    pub refused: SourceKind,
    /// The first value that differs: `high 2 and not the 1`.
    pub what: String,
}

impl fmt::Display for SourceDisagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} says {} of the {}, which counts", self.refused, self.what, self.kept)
    }
}

/// What a merge changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergeReport {
    /// Candles that were not there before.
    pub added: u64,
    /// Candles that were there with other values.
    pub replaced: u64,
    /// Candles that were there already, the same.
    pub unchanged: u64,
    /// Stored months that could not be read; they were set aside as `.damaged` and written anew.
    pub damaged: u64,
    /// Candles that were not taken: for their time there is another of a source that outranks theirs.
    #[serde(default)]
    pub outranked: u64,
    /// Candles about which sources of two ranks disagree, whichever of them is stored now.
    #[serde(default)]
    pub disagreeing: u64,
    /// The first of them.
    #[serde(default)]
    pub disagreements: Vec<SourceDisagreement>,
}

impl MergeReport {
    /// What to say of sources that disagree, if some do.
    #[must_use]
    pub fn disagreement(&self) -> Option<String> {
        let first = self.disagreements.first()?;
        let at = chrono::DateTime::from_timestamp_millis(first.open_time_ms).unwrap_or_default();
        let (n, at) = (self.disagreeing, at.format("%Y-%m-%d %H:%M"));
        Some(format!("sources disagree about {n} candles, the first {at}: {first}"))
    }
}

impl std::ops::AddAssign for MergeReport {
    fn add_assign(&mut self, other: Self) {
        self.added += other.added;
        self.replaced += other.replaced;
        self.unchanged += other.unchanged;
        self.damaged += other.damaged;
        self.outranked += other.outranked;
        self.disagreeing += other.disagreeing;
        let left = MAX_DESCRIBED.saturating_sub(self.disagreements.len());
        self.disagreements.extend(other.disagreements.into_iter().take(left));
    }
}

/// A run of stored candles of one source: open times of the first and the last, both included, UTC ms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Span {
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
    pub(super) kind: SourceKind,
}

/// Stored candles, and new ones that are to be merged into them.
pub(super) struct Merging<'a> {
    pub(super) old: &'a CandleSeries,
    /// Whose the old ones are, as far as that was recorded.
    pub(super) spans: &'a [Span],
    pub(super) new: &'a CandleSeries,
    pub(super) kind: SourceKind,
}

/// What a merge came to.
pub(super) struct Merged {
    pub(super) series: CandleSeries,
    pub(super) spans: Vec<Span>,
    pub(super) report: MergeReport,
    /// All disagreements, in time order.
    pub(super) disagreements: Vec<SourceDisagreement>,
    /// Open times at which the new source says what is stored.
    pub(super) confirmed: Vec<i64>,
}

impl Merging<'_> {
    /// Both series as one, by the rule.
    pub(super) fn run(&self) -> Result<Merged, String> {
        let Self { old, new, kind, .. } = *self;
        let mut out = Merged {
            series: CandleSeries::new(old.interval()),
            spans: Vec::new(),
            report: MergeReport::default(),
            disagreements: Vec::new(),
            confirmed: Vec::new(),
        };
        let (mut i, mut j) = (0, 0);
        let (old_times, new_times) = (old.open_times_ms(), new.open_times_ms());
        while i < old.len() || j < new.len() {
            let old_time = old_times.get(i).copied().unwrap_or(i64::MAX);
            let new_time = new_times.get(j).copied().unwrap_or(i64::MAX);
            let (candle, of) = if old_time < new_time {
                (old.candle(i), self.kind_at(old_time))
            } else if old_time > new_time {
                out.report.added += 1;
                (new.candle(j), Some(kind))
            } else {
                self.decide(old.candle(i), new.candle(j), &mut out)
            };
            i += usize::from(old_time <= new_time);
            j += usize::from(new_time <= old_time);
            out.series.push(&candle).map_err(|e| e.to_string())?;
            out.extend_spans(candle.open_time_ms, of);
        }
        out.report.disagreeing = out.disagreements.len() as u64;
        out.report.disagreements = out.disagreements.iter().take(MAX_DESCRIBED).cloned().collect();
        Ok(out)
    }

    fn kind_at(&self, open_time_ms: i64) -> Option<SourceKind> {
        let at = self.spans.partition_point(|span| span.to_ms < open_time_ms);
        self.spans.get(at).filter(|span| span.from_ms <= open_time_ms).map(|span| span.kind)
    }

    fn decide(&self, old: Candle, new: Candle, out: &mut Merged) -> (Candle, Option<SourceKind>) {
        let open_time_ms = old.open_time_ms;
        let known = self.kind_at(open_time_ms);
        // What was stored before sources were recorded gives way to everything, as it did then.
        let (old_rank, new_rank) = (known.map_or(0, SourceKind::rank), self.kind.rank());
        let of = if new_rank > old_rank { Some(self.kind) } else { known };
        if old == new {
            out.report.unchanged += 1;
            out.confirmed.push(open_time_ms);
            return (old, of.or(Some(self.kind)));
        }
        let (kept, refused) = if new_rank < old_rank { (&old, &new) } else { (&new, &old) };
        let what = differs(kept, refused);
        if new_rank < old_rank {
            match (what, known) {
                (Some(what), Some(kept)) => {
                    out.report.outranked += 1;
                    out.disagreements.push(SourceDisagreement { open_time_ms, kept, refused: self.kind, what });
                }
                _ => {
                    out.report.unchanged += 1;
                    out.confirmed.push(open_time_ms);
                }
            }
            return (old, known);
        }
        out.report.replaced += 1;
        if let (true, Some(refused), Some(what)) = (new_rank > old_rank, known, what) {
            out.disagreements.push(SourceDisagreement { open_time_ms, kept: self.kind, refused, what });
        }
        (new, Some(self.kind))
    }
}

impl Merged {
    fn extend_spans(&mut self, open_time_ms: i64, kind: Option<SourceKind>) {
        let previous_ms = self.series.len().checked_sub(2).map(|i| self.series.open_times_ms()[i]);
        let Some(kind) = kind else { return };
        match self.spans.last_mut() {
            Some(last) if last.kind == kind && Some(last.to_ms) == previous_ms => last.to_ms = open_time_ms,
            _ => self.spans.push(Span { from_ms: open_time_ms, to_ms: open_time_ms, kind }),
        }
    }
}

/// What one source says that the other does not. Where one has no volume at all, as some programs' files, it says nothing
/// of it.
fn differs(kept: &Candle, refused: &Candle) -> Option<String> {
    let silent = kept.volume == 0.0 || refused.volume == 0.0;
    let volume = if silent { refused.volume } else { kept.volume };
    difference(&Candle { volume, ..*kept }, refused)
}

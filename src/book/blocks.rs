//! Blocks of a walk: calendar months of market time.

use candles::time::DAY_MS;
use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveTime};
use serde::{Deserialize, Serialize};

/// A stretch in which members and weights stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Its beginning, 00:00 UTC, ms.
    pub begin_ms: i64,
    /// Its end, exclusive, 00:00 UTC, ms.
    pub end_ms: i64,
}

impl Block {
    /// Whole days.
    #[must_use]
    pub const fn days(&self) -> usize {
        ((self.end_ms - self.begin_ms) / DAY_MS) as usize
    }

    /// `2019-01`.
    #[must_use]
    pub fn name(&self) -> String {
        let begin = DateTime::from_timestamp_millis(self.begin_ms).unwrap_or_default();
        format!("{}-{:02}", begin.year(), begin.month())
    }
}

/// The blocks of a window: calendar months, of which the first and the last may be cut short by it. `None` where its ends are
/// no midnights, or it holds no whole month: then there is nothing to walk over.
#[must_use]
pub fn months(from_ms: i64, to_ms: i64) -> Option<Vec<Block>> {
    if from_ms % DAY_MS != 0 || to_ms % DAY_MS != 0 {
        return None;
    }
    let mut blocks = Vec::new();
    let (mut begin_ms, mut whole) = (from_ms, false);
    while begin_ms < to_ms {
        let first_ms = month_begin_ms(begin_ms, 0)?;
        let next_ms = month_begin_ms(begin_ms, 1)?;
        whole |= first_ms == begin_ms && next_ms <= to_ms;
        blocks.push(Block { begin_ms, end_ms: next_ms.min(to_ms) });
        begin_ms = next_ms;
    }
    whole.then_some(blocks)
}

/// The block that begins at a time: to the end of its calendar month, or to where a walk ends before it. `None` where nothing
/// is left.
pub(crate) fn block(begin_ms: i64, to_ms: Option<i64>) -> Option<Block> {
    let next_ms = month_begin_ms(begin_ms, 1)?;
    let end_ms = to_ms.map_or(next_ms, |to_ms| to_ms.min(next_ms));
    (begin_ms < end_ms).then_some(Block { begin_ms, end_ms })
}

/// Where the month of a time begins, or one so many months later.
fn month_begin_ms(time_ms: i64, later: u32) -> Option<i64> {
    let date = DateTime::from_timestamp_millis(time_ms)?.date_naive();
    let first = NaiveDate::from_ymd_opt(date.year(), date.month(), 1)?.checked_add_months(Months::new(later))?;
    Some(first.and_time(NaiveTime::MIN).and_utc().timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        format!("{text}T00:00:00Z").parse::<DateTime<chrono::Utc>>().unwrap().timestamp_millis()
    }

    #[test]
    fn blocks_are_calendar_months() {
        let blocks = months(at("2019-12-01"), at("2020-03-01")).unwrap();
        let names: Vec<(String, usize)> = blocks.iter().map(|b| (b.name(), b.days())).collect();
        assert_eq!(names, [("2019-12".to_owned(), 31), ("2020-01".to_owned(), 31), ("2020-02".to_owned(), 29)]);
        let cut = months(at("2020-01-15"), at("2020-03-02")).unwrap();
        assert_eq!(cut.iter().map(Block::days).collect::<Vec<_>>(), [17, 29, 1]);
    }

    #[test]
    fn less_than_a_month_is_none() {
        assert_eq!(months(at("2020-01-02"), at("2020-02-28")), None);
        assert_eq!(months(at("2020-01-01"), at("2020-01-31")), None);
        assert!(months(at("2020-01-01"), at("2020-02-01")).is_some());
        assert_eq!(months(at("2020-01-01") + 1, at("2020-03-01")), None);
        assert_eq!(months(at("2020-03-01"), at("2020-01-01")), None);
        assert_eq!(months(i64::MAX - i64::MAX % DAY_MS, i64::MAX), None);
    }
}

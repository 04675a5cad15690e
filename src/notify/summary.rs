//! The daily summary: what the last day brought, stored once a day for every channel.

use super::{Channel, Day, Notice};
use crate::store::{Page, Store, StoreError};
use chrono::{DateTime, Days, Duration, NaiveDate, Timelike, Utc};
use std::collections::BTreeMap;

/// Transitions of a day that are looked at, newest first; more than a daemon can make.
const MOST_TRANSITIONS: u32 = 10_000;

/// The day whose summary is due: yesterday, once the hour has come; `None` before.
#[must_use]
pub fn due_day(now: DateTime<Utc>, hour_utc: u32) -> Option<NaiveDate> {
    if now.hour() < hour_utc { None } else { now.date_naive().checked_sub_days(Days::new(1)) }
}

/// Stores the summary of `day` for each channel; whether it is new. Doing so again changes nothing.
///
/// # Errors
/// When the database does not answer.
pub async fn enqueue_daily_summary(
    store: &Store,
    channels: &[Channel],
    day: NaiveDate,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let overview = store.overview().await?;
    let since = now - Duration::hours(24);
    let mut transitions = BTreeMap::new();
    for row in store.recent_transitions(Page::first(MOST_TRANSITIONS)).await? {
        if row.created_at >= since {
            *transitions.entry(row.kind).or_insert(0) += 1;
        }
    }
    let head = store.audit_head().await?;
    let fitness = overview.last_generations.iter().filter_map(|row| row.best_fitness);
    let day = Day {
        date: day.to_string(),
        strategies: overview.strategies,
        transitions,
        best_fitness: fitness.max_by(f64::total_cmp),
        generations: overview.trials.generations,
        evaluations: overview.trials.evaluations,
        open_dead_letters: overview.open_dead_letters,
        audit_head: (head.last_id > 0).then(|| format!("{} {}", head.last_id, head.hash)),
    };
    let key = day.key();
    let mut new = false;
    for event in Notice::DailySummary(day).events(&key, channels) {
        new |= store.enqueue_event(&event).await?;
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_due_from_its_hour_on_and_is_about_yesterday() {
        let at = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
        assert_eq!(due_day(at("2025-12-01T02:59:59Z"), 3), None);
        assert_eq!(due_day(at("2025-12-01T03:00:00Z"), 3), NaiveDate::from_ymd_opt(2025, 11, 30));
        assert_eq!(due_day(at("2025-12-01T23:59:59Z"), 3), NaiveDate::from_ymd_opt(2025, 11, 30));
        assert_eq!(due_day(at("2025-12-01T00:00:00Z"), 0), NaiveDate::from_ymd_opt(2025, 11, 30));
    }
}

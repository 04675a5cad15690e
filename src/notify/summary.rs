//! The daily summary: what the last day brought, stored once a day for every channel.

use super::{Channel, Day, Notice};
use chrono::{DateTime, Duration, NaiveDate, Utc};
use store::{Store, StoreError};

/// Stores the summary of `day` for each channel; whether it is new. Doing so again changes nothing. `review` is what
/// the daily review found, a line each.
///
/// # Errors
/// When the database does not answer.
pub async fn enqueue_daily_summary(
    store: &Store,
    channels: &[Channel],
    day: NaiveDate,
    now: DateTime<Utc>,
    review: Vec<String>,
) -> Result<bool, StoreError> {
    let (overview, snapshot) = (store.overview().await?, store.monitoring_snapshot().await?);
    let since = now - Duration::hours(24);
    let transitions = store.transitions_since(since).await?;
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
        open_drift_alerts: snapshot.open_drift_alerts.values().sum(),
        allocated_pct: snapshot.allocated_pct,
        review,
        audit_head: (head.last_id > 0).then(|| format!("{} {}", head.last_id, head.hash)),
    };
    let key = day.key();
    let mut new = false;
    for event in Notice::DailySummary(day).events(&key, channels) {
        new |= store.enqueue_event(&event).await?;
    }
    Ok(new)
}

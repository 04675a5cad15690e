//! The daily summary: what the last day brought, stored once a day for every channel.

use super::{Channel, Day, Notice};
use chrono::{DateTime, Duration, NaiveDate, Utc};
use store::{BookLine, Store, StoreError};

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
        book: snapshot.book.as_ref().map(book),
        audit_head: (head.last_id > 0).then(|| format!("{} {}", head.last_id, head.hash)),
    };
    let key = day.key();
    let mut new = false;
    for event in Notice::DailySummary(day).events(&key, channels) {
        new |= store.enqueue_event(&event).await?;
    }
    Ok(new)
}

/// The book in a line.
fn book(line: &BookLine) -> String {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.2}"));
    let mut text = format!(
        "book {} {}: ln E {} of {}, placebo {}; hedged Sharpe {}, placebo {}; {} members",
        line.number,
        line.state,
        number(line.log_e[0]),
        number(line.needed_log_e),
        number(line.log_e[1]),
        number(line.hedged_sharpe[0]),
        number(line.hedged_sharpe[1]),
        line.members
    );
    if let Some(day) = line.day_return {
        text += &format!("; newest day {:+.2} %", 100.0 * day);
    }
    if line.state == "live" {
        text += &format!("; {:.2} % of the capital", line.allocated_pct);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_is_told_in_a_line() {
        let shadow = BookLine {
            number: 1,
            state: "shadow".to_owned(),
            log_e: [Some(2.5), Some(-0.4)],
            needed_log_e: Some(2.996),
            members: 7,
            ..BookLine::default()
        };
        let told = "book 1 shadow: ln E 2.50 of 3.00, placebo -0.40; hedged Sharpe -, placebo -; 7 members";
        assert_eq!(book(&shadow), told);
        let live = BookLine {
            state: "live".to_owned(),
            hedged_sharpe: [Some(1.5), Some(-0.25)],
            day_return: Some(-0.0123),
            allocated_pct: 1.75,
            ..shadow
        };
        let told = "book 1 live: ln E 2.50 of 3.00, placebo -0.40; hedged Sharpe 1.50, placebo -0.25; 7 members; newest \
                    day -1.23 %; 1.75 % of the capital";
        assert_eq!(book(&live), told);
    }
}

//! Whether work that is shared with workers is done: a pure judgement of a snapshot.
//!
//! Reads nothing itself.

use super::health::{Check, LEAST_PATIENCE_S, Limits, Status, span};
use super::snapshot::Snapshot;
use telemetry::without_user_info;

/// Leases for which an item may wait beside a worker that has nothing to do.
const IDLE_LEASES: f64 = 4.0;

/// Shared work that nobody takes though somebody could, and work at which workers fail. The daemon does by itself what
/// nobody else does, so that neither makes it unhealthy.
pub(super) fn work(snapshot: &Snapshot, limits: Limits) -> Option<Check> {
    let patience_s = (IDLE_LEASES * limits.work_lease_s? as f64).max(LEAST_PATIENCE_S);
    let work = &snapshot.work;
    let there = work.workers.iter().filter(|worker| worker.is_there);
    let (count, idle) = (there.clone().count(), there.filter(|worker| worker.has < u64::from(worker.slots)).count());
    let (failed, waiting) = (work.failed, work.waiting);
    let failure = work.failures.iter().find(|failure| failure.is_final).filter(|_| failed > 0);
    let (status, detail) = if failed > 0 {
        let why = failure.map(|failure| format!(", the newest: {}", without_user_info(&failure.error)));
        (Status::Degraded, format!("workers failed at {failed} items{}", why.unwrap_or_default()))
    } else if idle > 0
        && let Some(oldest_s) = work.oldest_s.filter(|oldest_s| *oldest_s > patience_s)
    {
        let detail = format!(
            "{waiting} items wait, the oldest for {}, though {idle} of {count} workers could take more; are they of the \
             build that posted them?",
            span(oldest_s)
        );
        (Status::Degraded, detail)
    } else {
        (Status::Healthy, format!("{count} workers, {waiting} items wait, {} are taken", work.taken))
    };
    Some(Check { status, detail, age_s: work.oldest_s })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{Health, assess};

    const NOW: i64 = 1_764_449_100_000;
    const LIMITS: Limits = Limits { generation_interval_s: 3600, shadow_interval_s: 900, work_lease_s: Some(30) };

    /// Of a daemon that has just started, of which nothing else is asked yet.
    fn judge(change: impl FnOnce(&mut Snapshot)) -> Health {
        let mut snapshot = Snapshot::default();
        change(&mut snapshot);
        assess(&Ok(snapshot), LIMITS, NOW, NOW)
    }

    #[test]
    fn work_that_waits_beside_idle_workers_or_fails_is_degraded() {
        use store::{WorkFailure, WorkWorker};
        let told = |oldest_s: f64, has: u64, is_there: bool| {
            judge(|s| {
                let name = "one".to_owned();
                let (started_at, seen_at) = Default::default();
                let host = None;
                let worker = WorkWorker {
                    name,
                    code_version: "a".into(),
                    host,
                    slots: 2,
                    has,
                    done: 9,
                    started_at,
                    seen_at,
                    is_there,
                };
                (s.work.waiting, s.work.oldest_s, s.work.workers) = (3, Some(oldest_s), vec![worker]);
            })
        };
        let well = told(119.0, 1, true);
        assert_eq!((well.status, well.checks.work.unwrap().status), (Status::Healthy, Status::Healthy));
        let waits = told(121.0, 1, true);
        let check = waits.checks.work.unwrap();
        assert_eq!((waits.status, check.status, check.age_s), (Status::Degraded, Status::Degraded, Some(121.0)));
        assert!(
            check.detail.starts_with("3 items wait, the oldest for 2 min, though 1 of 1 workers"),
            "{}",
            check.detail
        );
        // Whoever is busy takes it later; where nobody is there the daemon does it.
        assert_eq!(told(1e6, 2, true).status, Status::Healthy);
        assert_eq!(told(1e6, 0, false).status, Status::Healthy);
        let failed = judge(|s| {
            let error = "postgres://me:secret@host/db is away".to_owned();
            let kind = "null_search".to_owned();
            s.work.failures = vec![WorkFailure { id: 1, kind, worker: None, attempts: 5, is_final: true, error }];
            s.work.failed = 1;
        });
        let check = failed.checks.work.unwrap();
        assert_eq!((failed.status, check.status), (Status::Degraded, Status::Degraded));
        assert!(check.detail.starts_with("workers failed at 1 items, the newest: postgres://"), "{}", check.detail);
        assert!(!check.detail.contains("secret"), "{}", check.detail);
        // Where no work is shared, nothing is told.
        let limits = Limits { work_lease_s: None, ..LIMITS };
        let health = assess(&Ok(Snapshot::default()), limits, NOW, NOW);
        assert_eq!(health.checks.work, None);
        assert!(serde_json::to_value(&health).unwrap()["checks"].get("work").is_none());
    }
}

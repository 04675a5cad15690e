//! Partitions by market time: made by whoever writes, before the first row of a month or year, and a day's work ahead of it.
//!
//! No insert fails without: what has no partition waits in the default one, and moves when there is one.

use crate::{Store, StoreError, Tx};
use chrono::{DateTime, Months, Utc};

/// Tables that are partitioned so, and the months that a partition has.
const TABLES: [(&str, u32); 2] = [("performance_metrics", 1), ("market_regimes", 12)];

/// Makes the partition of a table that a moment of market time lies in, where there is none.
pub(crate) async fn ensure_partition(tx: &Tx, table: &str, at: DateTime<Utc>) -> Result<(), StoreError> {
    tx.execute("select ensure_partition($1, $2)", &[&table, &at]).await.map(drop)
}

impl Store {
    /// Makes the partitions of a moment and of the month or year after it, and those of rows that wait for one.
    pub(crate) async fn make_partitions(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.transaction("make_partitions", |tx| async move {
            for (table, months) in TABLES {
                let next = now.checked_add_months(Months::new(months));
                for at in [Some(now), next].into_iter().flatten() {
                    ensure_partition(&tx, table, at).await?;
                }
            }
            tx.execute("select settle_partitions()", &[]).await.map(drop)
        })
        .await
    }
}

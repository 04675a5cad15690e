//! What a job does: a little work, then its result, stored once. Knows nothing of queues.

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use std::{error::Error, time::Duration};
use tokio_postgres::NoTls;

/// Tables that the outcome is read from: `runs` has a row for each time a job was done to its end.
pub const TABLES: &str = "
    create table items (id bigint primary key, output bigint, applied int not null default 0, done_at timestamptz);
    create table runs (item bigint not null, worker text not null);";

/// The result of an item, so that a wrong one would be seen.
pub fn output(item: i64) -> i64 {
    item.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}

#[derive(Clone, Debug)]
pub struct Effects {
    pool: Pool,
    pub work: Duration,
    pub name: String,
}

impl Effects {
    pub fn new(url: &str, work: Duration, name: &str) -> Result<Self, Box<dyn Error>> {
        let fast = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(url.parse()?, NoTls, fast);
        Ok(Self { pool: Pool::builder(manager).max_size(2).build()?, work, name: name.into() })
    }

    async fn store(&self, item: i64) -> Result<(), Box<dyn Error + Send + Sync>> {
        let mut client = self.pool.get().await?;
        let tx = client.transaction().await?;
        tx.execute("insert into runs values ($1, $2)", &[&item, &self.name]).await?;
        let once =
            "update items set output = $2, applied = applied + 1, done_at = now() where id = $1 and output is null";
        tx.execute(once, &[&item, &output(item)]).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Does the job. A database that is away is waited for: what is measured is how the queue fares.
    pub async fn apply(&self, item: i64) {
        tokio::time::sleep(self.work).await;
        while self.store(item).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

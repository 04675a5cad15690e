//! `graphile_worker` over tokio-postgres.

use crate::effects::Effects;
use graphile_worker::{IntoTaskHandlerResult, LocalQueueConfig, TaskHandler, WorkerContext, WorkerOptions};
use serde::{Deserialize, Serialize};
use std::{error::Error, time::Duration};
use tokio_postgres::Client;

#[derive(Clone, Deserialize, Serialize)]
struct Item {
    item: i64,
}

impl TaskHandler for Item {
    const IDENTIFIER: &'static str = "item";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        match context.get_ext::<Effects>() {
            Some(effects) => {
                effects.apply(self.item).await;
                Ok::<(), String>(())
            }
            None => Err("no effects".to_owned()),
        }
    }
}

fn options(url: &str, slots: usize) -> WorkerOptions {
    WorkerOptions::default()
        .database_url(url)
        .max_pg_conn(4)
        .concurrency(slots)
        .poll_interval(Duration::from_millis(100))
        .local_queue(LocalQueueConfig::builder().size(10).build())
        .heartbeat_interval(Duration::from_secs(1))
        .sweep_interval(Duration::from_secs(1))
        .sweep_threshold(Duration::from_secs(5))
        .recovery_delay(Duration::from_millis(100))
        .listen_os_shutdown_signals(false)
        .define_job::<Item>()
}

pub async fn prepare(client: &Client, url: &str, items: i64) -> Result<(), Box<dyn Error>> {
    drop(options(url, 1).init().await?);
    let sql = "select count(*) from (select graphile_worker.add_job('item', json_build_object('item', n), max_attempts := 1000)
        from generate_series(1::bigint, $1::bigint) n) added";
    client.query(sql, &[&items]).await?;
    Ok(())
}

pub async fn work(url: &str, effects: Effects, slots: usize) -> Result<(), Box<dyn Error>> {
    options(url, slots).add_extension(effects).init().await?.run().await?;
    Ok(())
}

//! `apalis-postgres`, which brings sqlx 0.9.

use crate::effects::Effects;
use apalis::prelude::*;
use apalis_postgres::{Config, PostgresStorage};
use sqlx_09::PgPool;
use std::{error::Error, time::Duration};
use tokio_postgres::Client;

fn config() -> Config {
    Config::default().queue("items").batch_size(2).heartbeat_interval(Duration::from_secs(1)).missed_heartbeats(5)
}

pub async fn prepare(_client: &Client, url: &str, items: i64) -> Result<(), Box<dyn Error>> {
    let pool = PgPool::connect(url).await?;
    PostgresStorage::setup(&pool).await?;
    for first in (1..=items).step_by(1000) {
        let some = (first..(first + 1000).min(items + 1))
            .map(|item| TaskBuilder::new(item.to_string().into_bytes()).max_attempts(1000).build())
            .collect::<Vec<_>>();
        let mut connection = pool.acquire().await?;
        apalis_postgres::queries::push_tasks(&mut *connection, "items", some).await?;
    }
    Ok(())
}

async fn item(item: i64, effects: Data<Effects>) -> Result<(), BoxDynError> {
    effects.apply(item).await;
    Ok(())
}

pub async fn work(url: &str, effects: Effects, slots: usize) -> Result<(), Box<dyn Error>> {
    let pool = PgPool::connect(url).await?;
    let name = format!("{}-{}", effects.name, std::process::id());
    let backend = PostgresStorage::new(&pool).with_config(config()).with_pubsub();
    let worker = WorkerBuilder::new(name).backend(backend).data(effects).concurrency(slots).build(item);
    worker.run().await?;
    Ok(())
}

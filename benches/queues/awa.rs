//! `awa`, which brings sqlx 0.8.

use crate::effects::Effects;
use awa::{Client as Awa, InsertOpts, JobArgs, JobResult, QueueConfig};
use serde::{Deserialize, Serialize};
use sqlx_08::PgPool;
use std::{error::Error, time::Duration};
use tokio_postgres::Client;

#[derive(Deserialize, JobArgs, Serialize)]
struct Item {
    item: i64,
}

pub async fn prepare(_client: &Client, url: &str, items: i64) -> Result<(), Box<dyn Error>> {
    let pool = PgPool::connect(url).await?;
    awa::awa_model::migrations::run(&pool).await?;
    let options = || InsertOpts { queue: "items".into(), max_attempts: 1000, ..Default::default() };
    let all = (1..=items).map(|item| awa::awa_model::insert::params_with(&Item { item }, options()));
    let all = all.collect::<Result<Vec<_>, _>>()?;
    for some in all.chunks(1000) {
        let mut tx = pool.begin().await?;
        awa::awa_model::insert_many_copy(&mut tx, some).await?;
        tx.commit().await?;
    }
    Ok(())
}

pub async fn work(url: &str, effects: Effects, slots: usize) -> Result<(), Box<dyn Error>> {
    let pool = PgPool::connect(url).await?;
    let queue = QueueConfig { max_workers: slots as u32, ..QueueConfig::default() };
    let client = Awa::builder(pool)
        .queue("items", queue)
        .heartbeat_interval(Duration::from_secs(1))
        .heartbeat_rescue_interval(Duration::from_secs(1))
        .heartbeat_staleness(Duration::from_secs(5))
        .leader_election_interval(Duration::from_secs(1))
        .leader_check_interval(Duration::from_secs(1))
        .register::<Item, _, _>(move |args: Item, _context| {
            let effects = effects.clone();
            async move {
                effects.apply(args.item).await;
                Ok(JobResult::Completed)
            }
        })
        .build()?;
    client.start().await?;
    std::future::pending::<()>().await;
    Ok(())
}

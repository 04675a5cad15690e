//! The reference: a table, `for update skip locked`, a lease that ends.

use crate::effects::Effects;
use std::{error::Error, time::Duration};
use tokio_postgres::{Client, NoTls};

pub async fn prepare(client: &Client, _url: &str, items: i64) -> Result<(), Box<dyn Error>> {
    client
        .batch_execute(&format!(
            "create schema own;
             create table own.jobs (id bigint primary key generated always as identity, item bigint not null,
                 worker text, leased_until timestamptz not null default '-infinity');
             create index on own.jobs (leased_until, id);
             insert into own.jobs (item) select generate_series(1, {items})"
        ))
        .await?;
    Ok(())
}

async fn slot(url: &str, effects: &Effects) -> Result<(), Box<dyn Error>> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    let take = client
        .prepare(
            "update own.jobs set worker = $1, leased_until = now() + interval '5 s' where id = (
                 select id from own.jobs where leased_until < now() order by leased_until, id
                 for update skip locked limit 1) returning id, item",
        )
        .await?;
    let done = client.prepare("delete from own.jobs where id = $1").await?;
    loop {
        match client.query_opt(&take, &[&effects.name]).await? {
            Some(row) => {
                let (id, item): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
                effects.apply(item).await;
                client.execute(&done, &[&id]).await?;
            }
            None => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

pub async fn work(url: &str, effects: Effects, slots: usize) -> Result<(), Box<dyn Error>> {
    let one = || async {
        loop {
            let _ = slot(url, &effects).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let both: Vec<_> = (0..slots).map(|_| one()).collect();
    futures_join(both).await;
    Ok(())
}

async fn futures_join<F: Future<Output = ()>>(all: Vec<F>) {
    let mut all: Vec<_> = all.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for one in &mut all {
            pending |= one.as_mut().poll(context).is_pending();
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
}

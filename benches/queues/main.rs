//! Measures queues over Postgres: jobs a second, with a blocked vacuum horizon, and while workers and the server are killed.
//!
//! `sg-ai-queues QUEUE [JOBS] [KILLS] [SERVER_KILLS]` prints a line of JSON; `PG_BIN` names the folder of `initdb` and `postgres`.

#[cfg(feature = "apalis")]
mod apalis;
#[cfg(feature = "awa")]
mod awa;
mod effects;
#[cfg(feature = "graphile")]
mod graphile;
mod own;
mod server;

use effects::Effects;
use serde_json::{Value, json};
use server::Server;
use std::{
    env,
    error::Error,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tokio_postgres::Client;

const WORKERS: usize = 4;
const SLOTS: usize = 2;
/// Longer than that nothing done: the rest counts as lost.
const PATIENCE: Duration = Duration::from_secs(60);

type Outcome<T> = Result<T, Box<dyn Error>>;

async fn prepare(queue: &str, client: &Client, url: &str, jobs: i64) -> Outcome<()> {
    client.batch_execute(effects::TABLES).await?;
    client.execute("insert into items select generate_series(1::bigint, $1::bigint)", &[&jobs]).await?;
    match queue {
        #[cfg(feature = "apalis")]
        "apalis" => apalis::prepare(client, url, jobs).await,
        #[cfg(feature = "awa")]
        "awa" => awa::prepare(client, url, jobs).await,
        #[cfg(feature = "graphile")]
        "graphile" => graphile::prepare(client, url, jobs).await,
        "own" => own::prepare(client, url, jobs).await,
        other => Err(format!("no queue {other:?} in this build: see features in Cargo.toml").into()),
    }
}

async fn work(queue: &str, url: &str, effects: Effects) -> Outcome<()> {
    match queue {
        #[cfg(feature = "apalis")]
        "apalis" => apalis::work(url, effects, SLOTS).await,
        #[cfg(feature = "awa")]
        "awa" => awa::work(url, effects, SLOTS).await,
        #[cfg(feature = "graphile")]
        "graphile" => graphile::work(url, effects, SLOTS).await,
        "own" => own::work(url, effects, SLOTS).await,
        other => Err(format!("no queue {other:?} in this build").into()),
    }
}

/// Workers as processes, started again when they end, as a service manager does.
struct Fleet {
    queue: String,
    url: String,
    work_ms: u64,
    workers: Vec<Child>,
    ended: usize,
}

impl Fleet {
    fn new(queue: &str, url: String, work_ms: u64) -> Outcome<Self> {
        let mut fleet = Self { queue: queue.into(), url, work_ms, workers: Vec::new(), ended: 0 };
        for number in 0..WORKERS {
            let worker = fleet.spawn(number)?;
            fleet.workers.push(worker);
        }
        Ok(fleet)
    }

    fn spawn(&self, number: usize) -> Outcome<Child> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["worker", &self.queue, &self.url, &self.work_ms.to_string(), &format!("worker-{number}")]);
        Ok(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
    }

    fn kill(&mut self, number: usize) -> Outcome<()> {
        self.workers[number].kill()?;
        self.workers[number].wait()?;
        self.workers[number] = self.spawn(number)?;
        Ok(())
    }

    fn look_after(&mut self) -> Outcome<()> {
        for number in 0..WORKERS {
            if self.workers[number].try_wait()?.is_some() {
                self.ended += 1;
                self.workers[number] = self.spawn(number)?;
            }
        }
        Ok(())
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            let _ = worker.kill();
            let _ = worker.wait();
        }
    }
}

async fn left(server: &Server) -> Outcome<i64> {
    let client = server.client().await?;
    Ok(client.query_one("select count(*) from items where output is null", &[]).await?.try_get(0)?)
}

async fn drained(server: &Server, fleet: &mut Fleet) -> Outcome<Duration> {
    let (began, mut last, mut seen) = (Instant::now(), Instant::now(), i64::MAX);
    loop {
        let now = left(server).await?;
        if now < seen {
            (seen, last) = (now, Instant::now());
        }
        if now == 0 || last.elapsed() > PATIENCE {
            return Ok(last.duration_since(began));
        }
        fleet.look_after()?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What has become of the jobs, by what they left.
async fn outcome(server: &Server) -> Outcome<Value> {
    let client = server.client().await?;
    let rows = client.query("select id, output, applied from items", &[]).await?;
    let (mut lost, mut twice, mut wrong) = (0, 0, 0);
    for row in &rows {
        let (id, output, applied): (i64, Option<i64>, i32) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        lost += usize::from(output.is_none());
        twice += usize::from(applied > 1);
        wrong += usize::from(output.is_some_and(|output| output != effects::output(id)));
    }
    let runs: i64 = client.query_one("select count(*) from runs", &[]).await?.try_get(0)?;
    let rates = "select (10 * count(*) / greatest(1, extract(epoch from max(done_at) - min(done_at))::float8) / 10)::float8 from (
        select done_at, ntile(4) over (order by done_at) q from items where done_at is not null) x group by q order by q";
    let rates: Vec<f64> = client.query(rates, &[]).await?.iter().map(|row| row.get::<_, f64>(0).round()).collect();
    let sizes = "select coalesce(sum(n_dead_tup), 0)::bigint, coalesce(sum(pg_total_relation_size(relid)), 0)::bigint
        from pg_stat_user_tables where schemaname <> 'public'";
    let sizes = client.query_one(sizes, &[]).await?;
    Ok(json!({ "lost": lost, "applied_twice": twice, "wrong": wrong, "done_again": runs - (rows.len() - lost) as i64,
        "rate_by_quarter": rates, "dead_tuples": sizes.get::<_, i64>(0), "queue_bytes": sizes.get::<_, i64>(1) }))
}

async fn undisturbed(queue: &str, programs: &str, jobs: i64, horizon: bool) -> Outcome<Value> {
    let mut server = Server::new(programs.into())?;
    server.start().await?;
    let client = server.client().await?;
    let before = Instant::now();
    prepare(queue, &client, &server.url(), jobs).await?;
    let enqueue_s = before.elapsed().as_secs_f64();
    let old = server.client().await?;
    if horizon {
        old.batch_execute("begin isolation level repeatable read; select txid_current()").await?;
    }
    let mut fleet = Fleet::new(queue, server.url(), 0)?;
    let took = drained(&server, &mut fleet).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut found = outcome(&server).await?;
    found["enqueue_s"] = json!(enqueue_s);
    found["seconds"] = json!(took.as_secs_f64());
    found["jobs_per_second"] = json!((jobs as f64 / took.as_secs_f64()).round());
    Ok(found)
}

async fn chaos(queue: &str, programs: &str, jobs: i64, kills: usize, server_kills: usize) -> Outcome<Value> {
    let mut server = Server::new(programs.into())?;
    server.start().await?;
    let client = server.client().await?;
    prepare(queue, &client, &server.url(), jobs).await?;
    drop(client);
    let mut fleet = Fleet::new(queue, server.url(), 20)?;
    let began = Instant::now();
    for kill in 0..kills {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(200)).await;
            fleet.look_after()?;
        }
        fleet.kill(kill % WORKERS)?;
        if server_kills > 0 && (kill + 1) % kills.div_ceil(server_kills).max(1) == 0 {
            server.kill()?;
            server.start().await?;
        }
    }
    let left_after_kills = left(&server).await?;
    let last_kill = began.elapsed();
    let took = drained(&server, &mut fleet).await?;
    let mut found = outcome(&server).await?;
    found["seconds"] = json!((last_kill + took).as_secs_f64());
    found["left_after_kills"] = json!(left_after_kills);
    found["workers_that_ended_by_themselves"] = json!(fleet.ended);
    Ok(found)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Outcome<()> {
    let given: Vec<String> = env::args().skip(1).collect();
    if let [first, queue, url, work_ms, name] = given.as_slice()
        && first == "worker"
    {
        let effects = Effects::new(url, Duration::from_millis(work_ms.parse()?), name)?;
        return work(queue, url, effects).await;
    }
    let queue = given.first().ok_or("which queue: own, graphile, awa or apalis?")?;
    let number = |at: usize, otherwise: usize| given.get(at).map_or(Ok(otherwise), |text| text.parse::<usize>());
    let (jobs, kills, server_kills) = (number(1, 10_000)? as i64, number(2, 20)?, number(3, 5)?);
    let programs = env::var("PG_BIN").unwrap_or_else(|_| "/usr/lib/postgresql/15/bin".into());
    let found = json!({
        "queue": queue,
        "undisturbed": undisturbed(queue, &programs, jobs, false).await?,
        "old_transaction": undisturbed(queue, &programs, jobs, true).await?,
        "killed": chaos(queue, &programs, jobs, kills, server_kills).await?,
    });
    println!("{found}");
    Ok(())
}

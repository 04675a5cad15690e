//! Null searches shared with workers: the same sessions to the bit with none, one and two of them, whoever is killed; and thousands of items, none lost and
//! none done twice.

use super::{
    book,
    process::{Daemon, wait_for},
    stage::{NOW_MS, Stage},
    support::{self, TestDatabase},
};
use candles::{Interval, MarketKind, Symbol, time::DAY_MS};
use engine::{Engine, SymbolWindow, Terms, Window};
use genome::random::Seed;
use protocol::{Halves as _, NullSearch, PackedGround, RulesHalves, Split};
use search::SearchConfig;
use sha2::{Digest as _, Sha256};
use simulated::{MarketSpec, SimulatedMarket};
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use store::{NewWork, WorkKind};
use tokio_postgres::Client;

/// A stage whose sessions make 19 null searches, all of them.
pub(super) fn nulls(stage: &mut Stage) {
    for (name, value) in [
        ("SG__PROTOCOL__NULL_EXCEEDANCES", "12"),
        ("SG__PROTOCOL__NULL_SEARCHES", "12"),
        ("SG__PROTOCOL__PLACEBO_EVERY_SESSIONS", "0"),
        ("SG_LOG_LEVEL", "debug"),
        ("SG__WORK__LEASE_S", "2"),
        ("SG__DAEMON__THREADS", "1"),
    ] {
        stage.set(name, value);
    }
}

/// A stage of two symbols, whose null searches take longer than a worker that found nothing waits before it looks again.
async fn symbols() -> Stage {
    let mut stage = Stage::new(21, 0.0).await;
    stage.set("SG_POPULATION_SIZE", "200");
    stage.set("SG__SEARCH__GENERATIONS", "6");
    stage
}

/// What the first session came to: its generations, its null searches, what it stored; in a digest.
pub(super) async fn session(client: &Client) -> String {
    wait_for("the first session has ended", async || ended(client).await.then_some(())).await;
    let sql = "select concat_ws('|',
            (select string_agg(g.detail::text, '|' order by g.number) from generations g where g.session_id = s.id),
            (select string_agg(concat(r.p_value, ' ', r.null_searches, ' ', r.as_good), '|')
                from protocol_sessions r where r.session_id = s.id),
            (select string_agg(genome_hash, '|' order by genome_hash) from strategies),
            (select string_agg(concat(u.genome_hash, ' ', u.why), '|' order by u.rank) from untested_candidates u),
            (select string_agg(x.scores::text, '|' order by x.day) from search_scores x))
        from search_sessions s where s.number = 1";
    let told: String = client.query_one(sql, &[]).await.unwrap().get(0);
    assert!(told.len() > 1_000, "{told}");
    hex::encode(Sha256::digest(told))
}

pub(super) async fn count(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

pub(super) async fn ended(client: &Client) -> bool {
    count(client, "select count(*) from search_sessions where number = 1 and status = 'finished'").await > 0
}

/// So many workers, each ready for work.
pub(super) async fn workers_of(stage: &Stage, count: usize) -> Vec<Daemon> {
    let mut workers = Vec::new();
    for _ in 0..count {
        let mut worker = stage.daemon("worker");
        worker.logged("working").await;
        workers.push(worker);
    }
    workers
}

pub(super) const BY_WORKERS: &str = "select count(*) from work_items where state = 'done' and worker like 'worker%'";

/// A session with so many workers, killed so many times: its digest, null searches that were posted and done, and those of them
/// that workers did.
async fn with_workers(mut stage: Stage, workers: usize, kills: usize) -> (String, i64, i64) {
    nulls(&mut stage);
    if workers > 0 {
        stage.set("SG__WORK__ENABLED", "true");
    }
    // The workers are there before there is work.
    stage.json(&["migrate", "--json"]);
    let mut others = workers_of(&stage, workers).await;
    let mut daemon = stage.daemon("continuous");
    daemon.logged("listening").await;
    let client = stage.client().await;
    for kill in 0..kills {
        // Whoever has an item is gone with it; in the middle the daemon, too.
        wait_for("a worker has work", async || {
            let taken = "select count(*) from work_items where state = 'taken' and worker like 'worker%'";
            (count(&client, taken).await > 0 || ended(&client).await).then_some(())
        })
        .await;
        for worker in std::mem::take(&mut others) {
            worker.kill();
            others.push(stage.daemon("worker"));
        }
        if kill == kills / 2 {
            daemon.kill();
            daemon = stage.daemon("continuous");
        }
    }
    let digest = session(&client).await;
    daemon.stop().await;
    for worker in others {
        worker.stop().await;
    }
    let done = count(&client, "select count(*) from work_items where state = 'done'").await;
    assert_eq!(count(&client, "select coalesce(sum(disagreements), 0)::bigint from work_items").await, 0);
    // Whoever stopped has given back what it had, and is not looked for.
    assert_eq!(count(&client, "select count(*) from work_items where state = 'taken'").await, 0);
    if kills == 0 {
        assert_eq!(count(&client, "select count(*) from work_workers").await, 0);
    }
    (digest, done, count(&client, BY_WORKERS).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_the_same_with_any_number_of_workers_whoever_is_killed() {
    let (alone, posted, _) = with_workers(symbols().await, 0, 0).await;
    assert_eq!(posted, 0, "nothing is shared unless it is asked for");
    for (workers, kills) in [(1, 0), (2, 0), (2, 3)] {
        let (digest, done, by_workers) = with_workers(symbols().await, workers, kills).await;
        assert_eq!(digest, alone, "{workers} workers, killed {kills} times");
        assert!(done >= 12, "{done}");
        // Whoever is killed again and again may finish nothing.
        assert!(kills > 0 || by_workers > 0, "{workers} workers made {by_workers} of {done}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_rank_a_market_are_the_same_with_workers() {
    let stage = async || {
        let mut stage = Stage::of_coins(23).await;
        stage.set("SG_POPULATION_SIZE", "20");
        stage.set("SG__SEARCH__GENERATIONS", "2");
        stage
    };
    let (alone, posted, _) = with_workers(stage().await, 0, 0).await;
    assert_eq!(posted, 0);
    let (digest, done, _) = with_workers(stage().await, 2, 1).await;
    assert_eq!(digest, alone);
    assert!(done >= 12, "{done}");
}

/// Of a book's blocks: those that were done, and those of them that workers did.
const BOOK_NULLS: [&str; 2] = [
    "select count(*) from work_items where state = 'done' and kind = 'book_null_search'",
    "select count(*) from work_items where state = 'done' and kind = 'book_null_search' and worker like 'worker%'",
];

/// A book's history walked with so many workers, killed so many times: what it did, null searches of its blocks that were posted and done,
/// and those of them that workers did.
async fn walked(workers: usize, kills: usize) -> (Stage, Vec<Vec<String>>, i64, i64) {
    let mut stage = Stage::of_coins(27).await;
    book::SETTINGS.iter().for_each(|(name, value)| stage.set(name, value));
    for (name, value) in [
        ("SG__BOOK__POPULATION_SIZE", "24"),
        ("SG__BOOK__NULL_SEARCHES", "4"),
        ("SG__PROTOCOL__NULL_SEARCHES", "1"),
        ("SG__PROTOCOL__PLACEBO_EVERY_SESSIONS", "0"),
        ("SG__WORK__LEASE_S", "2"),
        ("SG__DAEMON__THREADS", "1"),
        ("SG__WORK__ENABLED", if workers > 0 { "true" } else { "false" }),
    ] {
        stage.set(name, value);
    }
    stage.json(&["migrate", "--json"]);
    let mut others = workers_of(&stage, workers).await;
    let mut daemon = stage.daemon("continuous");
    daemon.logged("listening").await;
    let client = stage.client().await;
    let settled = async || count(&client, "select count(*) from books where state <> 'candidate'").await > 0;
    for kill in 0..kills {
        wait_for("a worker has work", async || {
            let taken = "select count(*) from work_items
                where state = 'taken' and kind = 'book_null_search' and worker like 'worker%'";
            (count(&client, taken).await > 0 || settled().await).then_some(())
        })
        .await;
        for worker in std::mem::take(&mut others) {
            worker.kill();
            others.push(stage.daemon("worker"));
        }
        if kill == kills / 2 {
            daemon.kill();
            daemon = stage.daemon("continuous");
        }
    }
    wait_for("its history is walked", async || settled().await.then_some(())).await;
    daemon.stop().await;
    for worker in others {
        worker.stop().await;
    }
    assert_eq!(count(&client, "select coalesce(sum(disagreements), 0)::bigint from work_items").await, 0);
    let open = "select count(*) from work_items where state in ('waiting', 'taken') and kind = 'book_null_search'";
    assert_eq!(count(&client, open).await, 0);
    let [done, by_workers] = [count(&client, BOOK_NULLS[0]).await, count(&client, BOOK_NULLS[1]).await];
    let did = book::did(&client).await;
    (stage, did, done, by_workers)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_book_walks_the_same_with_any_number_of_workers_whoever_is_killed() {
    let (stage, alone, posted, _) = walked(0, 0).await;
    assert!(alone[0].len() > 200, "{} days", alone[0].len());
    assert_eq!(posted, 0, "nothing is shared unless it is asked for");
    for (workers, kills) in [(1, 0), (2, 0), (2, 3)] {
        let began = Instant::now();
        let (_, did, done, by_workers) = walked(workers, kills).await;
        let took = began.elapsed().as_secs_f64();
        eprintln!("{workers} workers, killed {kills} times: {took:.1} s, {by_workers} of {done} by workers");
        assert!(did == alone, "{workers} workers, killed {kills} times, came to another book");
        assert!(done >= 8, "{done}");
        assert!(kills > 0 || by_workers > 0, "{workers} workers made {by_workers} of {done}");
    }
    rehearsed(&stage).await;
}

/// A rehearsal on the candles that a daemon has fetched prints the same bytes with a worker.
async fn rehearsed(stage: &Stage) {
    let run = async |more: &[&str]| {
        let args = [
            "rehearse",
            "--book",
            "--market",
            "spot",
            "--interval",
            "4h",
            "--from",
            "2024-11-01",
            "--to",
            "2025-01-01",
            "--search-days",
            "120",
            "--population",
            "24",
            "--generations",
            "2",
            "--threads",
            "1",
            "--json",
        ];
        let mut command = stage.command(&[&args[..], more].concat());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let alone = run(&[]).await;
    assert_eq!(alone.lines().count(), 5, "two blocks, those of the placebo, and the whole: {alone}");
    let mut worker = stage.daemon("worker");
    worker.logged("working").await;
    assert_eq!(run(&["--workers"]).await, alone);
    let client = stage.client().await;
    let [done, by_workers] = [count(&client, BOOK_NULLS[0]).await, count(&client, BOOK_NULLS[1]).await];
    eprintln!("a rehearsal: {by_workers} of {done} null searches by the worker");
    assert!(done >= 8 && by_workers > 0, "{by_workers} of {done}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_calibration_has_the_same_rows_with_workers_whoever_is_killed() {
    let mut stage = Stage::new(24, 0.0).await;
    stage.set("SG__WORK__LEASE_S", "2");
    stage.json(&["migrate", "--json"]);
    // As many markets as one process needs longer for than a worker looks away.
    let args = "calibrate --json --markets 16 --population 40 --generations 4 --threads 1 --market mean-reversion --sharpe 7 \
        --search-days 30 --holdout-days 10 --seed 3";
    let args: Vec<&str> = args.split_whitespace().collect();
    let run = async |more: &[&str]| {
        let mut command = stage.command(&[&args[..], more].concat());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let alone = run(&[]).await;
    let mut workers = workers_of(&stage, 2).await;
    let client = stage.client().await;
    let killed = async {
        wait_for("a worker has a market", async || {
            let has = "select count(*) from work_items where kind = 'calibration_market' and worker like 'worker%'";
            (count(&client, has).await > 0).then_some(())
        })
        .await;
        workers.remove(0).kill();
    };
    let resumed = stage.dir.path().join("markets.jsonl");
    let more = ["--workers", "--resume", resumed.to_str().unwrap()];
    let (shared, ()) = tokio::join!(run(&more), killed);
    assert_eq!(shared, alone);
    // Each market is kept once, and nothing is left to do for whoever asks again.
    let lines = std::fs::read_to_string(&resumed).unwrap();
    assert_eq!(lines.lines().filter(|line| !line.is_empty()).count(), 16, "{lines}");
    assert_eq!(run(&more).await, alone);
    for worker in workers {
        worker.stop().await;
    }
    let done = "select count(*) from work_items where state = 'done' and kind = 'calibration_market'";
    assert_eq!(count(&client, done).await, 16);
    assert_eq!(count(&client, "select coalesce(sum(disagreements), 0)::bigint from work_items").await, 0);
}

/// Null searches of a few strategies on ten days: small enough for thousands.
fn small() -> (Vec<u8>, NullSearch) {
    let symbols: Vec<Symbol> = vec!["BTCUSDT".parse().unwrap()];
    let market = SimulatedMarket::new(MarketSpec::noise(Seed(5), NOW_MS, &symbols)).unwrap();
    let cut = |from_ms, to_ms| {
        let window = |symbol: &Symbol| SymbolWindow {
            market: MarketKind::Spot,
            symbol: symbol.clone(),
            candles: Arc::new(market.candles(symbol, Interval::M15, NOW_MS, to_ms).unwrap()),
            finer: Vec::new(),
            funding: Arc::from([]),
            readings: Arc::default(),
            across: Arc::default(),
        };
        Window::new(from_ms, to_ms, symbols.iter().map(window).collect())
    };
    let split = Split::cut(cut, NOW_MS + 5 * DAY_MS, NOW_MS + 10 * DAY_MS, NOW_MS + 11 * DAY_MS).unwrap();
    let halves = RulesHalves::new(split, Arc::new(Engine::default()), Terms::default());
    let mut search =
        SearchConfig { population_size: 6, generations: 1, elites: 1, min_trades: 1, ..SearchConfig::default() };
    search.variation.timeframes = vec![Interval::M15];
    search.variation.max_lookback_days = 2;
    (halves.packed().unwrap(), NullSearch { search, seed: Seed(5), candidates: 3, learnt: None })
}

/// So many null searches of a few strategies, whose blobs are put into a folder.
pub(super) fn small_items(folder: &Path, items: u32) -> Vec<NewWork> {
    let (ground, task) = small();
    std::fs::create_dir_all(folder).unwrap();
    let put = |bytes: &[u8]| {
        let digest = hex::encode(Sha256::digest(bytes));
        std::fs::write(folder.join(format!("{digest}.zst")), zstd::bulk::compress(bytes, 1).unwrap()).unwrap();
        digest
    };
    let (ground, told) = (put(&ground), put(&serde_json::to_vec(&task).unwrap()));
    let item = |number: u32| {
        let input = format!(r#"{{"ground":"{ground}","task":"{told}","number":{number}}}"#);
        NewWork { kind: WorkKind::NullSearch, input, place: number }
    };
    (0..items).map(item).collect()
}

/// Many small items, workers and server killed over and over. `SG_TEST_CHAOS=full` makes it 10,000 items, 20 kills of workers and
/// 5 of Postgres.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_and_nothing_done_twice_whoever_is_killed() {
    let full = std::env::var("SG_TEST_CHAOS").is_ok_and(|what| what == "full");
    let (items, kills, server_kills) = if full { (10_000_u32, 20, 5) } else { (400, 4, 1) };
    let server = support::server(|folder| folder.with_extension("chaos")).await;
    let (options, url) = (server.connect_options(), server.url());
    let database = TestDatabase { options, name: "postgres".to_owned(), url: url.clone().into() };
    let mut stage = Stage::on(22, 0.0, database, &url).await;
    for (name, value) in [("SG__WORK__LEASE_S", "2"), ("SG__DAEMON__THREADS", "1")] {
        stage.set(name, value);
    }
    stage.json(&["migrate", "--json"]);
    let (ground, task) = small();
    let all = small_items(&stage.dir.path().join("data/work"), items);
    let store = stage.database.store().await;
    let batch = uuid::Uuid::now_v7();
    for some in all.chunks(500) {
        store.post_work(sg_ai::CODE_VERSION, batch, some).await.unwrap();
    }
    let began = Instant::now();
    let worker = async || {
        let mut worker = Daemon::start(stage.command(&["worker", "--slots", "2"]));
        worker.logged("working").await;
        worker
    };
    let mut workers = Vec::new();
    for _ in 0..4 {
        workers.push(worker().await);
    }
    let done = async || {
        let client = stage.database.client().await;
        count(&client, "select count(*) from work_items where state = 'done'").await
    };
    let many = i64::from(items);
    for kill in 1..=kills {
        let enough = many * i64::from(kill) / i64::from(kills + 1);
        wait_for("work goes on", async || (done().await >= enough).then_some(())).await;
        workers.remove(0).kill();
        workers.push(worker().await);
        if kill % (kills / server_kills) == 0 {
            let pid = i32::try_from(server.pid().unwrap()).unwrap();
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
            wait_for("the server is there again", async || {
                let there = server.pid().is_some_and(|now| i32::try_from(now).unwrap() != pid);
                (there && store.work_status(Duration::from_secs(2)).await.is_ok()).then_some(())
            })
            .await;
        }
    }
    // Longer than anything else here may wait: thousands of items.
    let deadline = Instant::now() + Duration::from_secs(600);
    while done().await < many {
        assert!(Instant::now() < deadline, "{} of {many}", done().await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let took = began.elapsed();
    for worker in workers {
        worker.stop().await;
    }
    let status = store.work_status(Duration::from_secs(2)).await.unwrap();
    eprintln!("{items} items in {:.1} s, {} taken again from whoever was gone", took.as_secs_f64(), status.lost);
    assert_eq!((status.done, status.failed, status.disagreements), (u64::from(items), 0, 0));
    assert!(!full || status.lost > 0, "nobody was killed with work in its hands");
    // One process comes to the same.
    let elsewhere = PackedGround::read(&ground, Arc::default()).unwrap();
    for some in all.chunks(500) {
        for posted in store.post_work(sg_ai::CODE_VERSION, batch, some).await.unwrap() {
            let found = task.run(&*elsewhere.ground(), posted.place, &|_| false).unwrap();
            assert_eq!(posted.output, Some(serde_json::to_string(&found).unwrap()), "item {}", posted.place);
        }
    }
}

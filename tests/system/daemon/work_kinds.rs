//! Commands of operators that share what they compute with workers: the same output and the same bytes as alone, though the command is
//! killed, and a worker while it has some of it.

use super::{
    process::{Daemon, wait_for},
    stage::Stage,
    work::{count, workers_of},
};
use std::{process::Output, time::Instant};
use tokio_postgres::Client;

/// What a command printed.
async fn printed(stage: &Stage, args: &[&str]) -> String {
    let Output { status, stdout, stderr } = ran(stage, args).await;
    assert!(status.success(), "{args:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

async fn ran(stage: &Stage, args: &[&str]) -> Output {
    let mut command = stage.command(args);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// Begins a command with workers and kills it as soon as it has posted items of a kind; then kills a worker that has one, or had one.
/// What both leave is there for whoever comes next.
async fn interrupted(stage: &Stage, args: &[&str], kind: &str, workers: &mut Vec<Daemon>) {
    let client = stage.client().await;
    let of_kind = format!("select count(*) from work_items where kind = '{kind}'");
    let by_workers = format!("{of_kind} and worker like 'worker%'");
    let (posted, made) = (count(&client, &of_kind).await, count(&client, &by_workers).await);
    let asker = Daemon::start(stage.command(args));
    wait_for("items are posted", async || (count(&client, &of_kind).await > posted).then_some(())).await;
    asker.kill();
    wait_for("a worker has an item", async || (count(&client, &by_workers).await > made).then_some(())).await;
    let has =
        format!("select worker from work_items where state = 'taken' and kind = '{kind}' and worker like 'worker%'");
    let whose: Vec<String> = client.query(&has, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    let at =
        workers.iter().position(|w| whose.iter().any(|name| name.ends_with(&format!(" {}", w.pid())))).unwrap_or(0);
    workers.remove(at).kill();
}

/// Items of a kind that are done, those of them by workers, and nothing of it open or in doubt.
async fn done(client: &Client, kind: &str) -> (i64, i64) {
    let open = format!("select count(*) from work_items where kind = '{kind}' and state in ('waiting', 'taken')");
    assert_eq!(count(client, &open).await, 0);
    assert_eq!(count(client, "select coalesce(sum(disagreements), 0)::bigint from work_items").await, 0);
    let done = format!("select count(*) from work_items where kind = '{kind}' and state = 'done'");
    (count(client, &done).await, count(client, &format!("{done} and worker like 'worker%'")).await)
}

/// What a command prints, the same alone and with two workers, though it and one of them are killed; and how many items are done.
async fn shared_alike(stage: &Stage, args: &[&str], kind: &str) -> (String, i64) {
    let client = stage.client().await;
    let began = Instant::now();
    let alone = printed(stage, args).await;
    eprintln!("{kind}, alone: {:.1} s", began.elapsed().as_secs_f64());
    let mut workers = workers_of(stage, 2).await;
    let with = [args, &["--workers"]].concat();
    interrupted(stage, &with, kind, &mut workers).await;
    let shared = printed(stage, &with).await;
    assert!(shared == alone, "{args:?} prints {shared} with workers, and alone {alone}");
    for worker in workers {
        worker.stop().await;
    }
    let (all, by_workers) = done(&client, kind).await;
    eprintln!("{kind}: {by_workers} of {all} by workers");
    assert!(by_workers > 0, "{kind}: {by_workers} of {all}");
    // Who asks again takes up what was done.
    assert_eq!(printed(stage, &with).await, alone);
    assert_eq!(done(&client, kind).await.0, all, "nothing is done twice");
    (alone, all)
}

const RANKING: &str = "4h; universe top 8 by quote_volume(10d), listed 20d; score ts_rank(close, 132) * ts_rank(volume, 90); rebalance 4h; \
    weights linear; gross 1";

#[tokio::test(flavor = "multi_thread")]
async fn an_optimisation_has_the_same_bytes_with_workers_whoever_is_killed() {
    let mut stage = Stage::of_coins(25).await;
    stage.set("SG__WORK__LEASE_S", "2");
    stage.json(&["migrate", "--json"]);
    let fetch = "data download --top 12 --intervals 4h --from 2024-06-01 --to 2025-01-01";
    printed(&stage, &fetch.split(' ').collect::<Vec<_>>()).await;
    let client = stage.client().await;
    let strategy = stage.dir.path().join("ranking.txt");
    std::fs::write(&strategy, RANKING).unwrap();
    let own = "--from 2024-10-01 --to 2025-01-01 --interval 4h --param score.1.ts_rank.candles=20..400:1 \
        --param score.2.ts_rank.candles=20..400:1 --min-in-sample-trades 3 --threads 1 --json";
    let own: Vec<&str> = own.split_whitespace().collect();
    let methods = [("random", "--points 800 --checkpoint-every 300"), ("genetic", "--points 400 --population 100")];
    let mut before = 0;
    for (method, more) in methods {
        let file = |name: &str| stage.dir.path().join(format!("{method}-{name}.checkpoint"));
        let args = |name: &str, more_still: &[&str]| {
            let (strategy, file) = (strategy.to_str().unwrap().to_owned(), file(name).to_str().unwrap().to_owned());
            let begin = ["optimize", "--strategy", &strategy, "--method", method, "--no-store", "--checkpoint", &file];
            let args = [&begin[..], &own, &more.split(' ').collect::<Vec<_>>(), more_still].concat();
            args.into_iter().map(str::to_owned).collect::<Vec<String>>()
        };
        let run = async |name: &str, more_still: &[&str]| {
            let args = args(name, more_still);
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            (printed(&stage, &args).await, std::fs::read(file(name)).unwrap())
        };
        let began = Instant::now();
        let alone = run("alone", &[]).await;
        eprintln!("{method}, alone: {:.1} s", began.elapsed().as_secs_f64());
        let mut workers = workers_of(&stage, 2).await;
        let begun = args("shared", &["--workers"]);
        let begun: Vec<&str> = begun.iter().map(String::as_str).collect();
        interrupted(&stage, &begun, "optimization_slice", &mut workers).await;
        assert!(run("shared", &["--workers"]).await == alone, "{method} came to something else with workers");
        for worker in workers {
            worker.stop().await;
        }
        let (all, by_workers) = done(&client, "optimization_slice").await;
        eprintln!("{method}: {by_workers} of {all} slices by workers");
        assert!(by_workers > before, "{method}: {by_workers} of {all}");
        before = by_workers;
        // Who has no checkpoint takes up what was done.
        assert!(run("again", &["--workers"]).await == alone, "{method}");
        assert_eq!(done(&client, "optimization_slice").await.0, all, "nothing is done twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn books_and_lives_are_calibrated_alike_with_workers_whoever_is_killed() {
    let mut stage = Stage::new(26, 0.0).await;
    stage.set("SG__WORK__LEASE_S", "2");
    stage.set("SG__BOOK__NULL_SEARCHES", "1");
    stage.json(&["migrate", "--json"]);
    let books = "calibrate --json --book --markets 2 --market noise --coins 10 --history-years 1 --population 6 --generations 1 --threads 1";
    let (_, all) = shared_alike(&stage, &books.split(' ').collect::<Vec<_>>(), "book_market").await;
    assert_eq!(all, 2);
    // Of daemons, and of books: each in handfuls of 100.
    let lives = "calibrate --json --lives 110 --sharpe 7 --age 30d --threads 1";
    let (_, all) = shared_alike(&stage, &lives.split(' ').collect::<Vec<_>>(), "lives").await;
    assert_eq!(all, 2 * (3 + 1 + 3));
    let lives = "calibrate --json --book --lives 20 --sharpe 2 --history-years 1";
    let alone = printed(&stage, &lives.split(' ').collect::<Vec<_>>()).await;
    assert_eq!(printed(&stage, &format!("{lives} --workers").split(' ').collect::<Vec<_>>()).await, alone);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_bred_again_by_workers_whoever_is_killed() {
    // Days enough for some sessions.
    let mut stage = Stage::new(27, 7_200.0).await;
    stage.set("SG__WORK__LEASE_S", "2");
    stage.set("SG_POPULATION_SIZE", "200");
    stage.set("SG__SEARCH__GENERATIONS", "6");
    stage.set("SG__PROTOCOL__NULL_SEARCHES", "1");
    stage.json(&["migrate", "--json"]);
    let mut daemon = stage.daemon("continuous");
    daemon.logged("listening").await;
    let client = stage.client().await;
    let finished = "select count(*) from search_sessions where status = 'finished' and island = 'main'";
    wait_for("sessions end", async || (count(&client, finished).await >= 4).then_some(())).await;
    daemon.stop().await;
    let (told, all) = shared_alike(&stage, &["reproduce", "main/1..4", "--json"], "session_replay").await;
    assert_eq!(all, 4);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["identical"], told["sessions"].as_array().unwrap().len()), (&true.into(), 4), "{told}");
    // A stored figure that nobody computed is found by whoever breeds it.
    let sql = "update generations g set detail = jsonb_set(detail, '{evaluations}', '1') from search_sessions s
        where s.id = g.session_id and s.number = 2 and s.island = 'main' and g.number = 1";
    assert_eq!(client.execute(sql, &[]).await.unwrap(), 1);
    for more in [&[][..], &["--workers"]] {
        let args = [&["reproduce", "main/1..4", "--json"], more].concat();
        let told = ran(&stage, &args).await;
        assert!(!told.status.success());
        let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
        let verdicts: Vec<&str> =
            told["sessions"].as_array().unwrap().iter().map(|s| s["verdict"].as_str().unwrap()).collect();
        assert_eq!(verdicts, ["identical", "differs", "identical", "identical"], "{told}");
        assert_eq!(told["sessions"][1]["generations"].as_array().unwrap().len(), 2, "up to the first that differs");
    }
}

//! A search that is killed in the middle finds what one finds that never was; paper trading decides the same.

use super::{
    books,
    process::wait_for,
    stage::{NOW_MS, Stage},
};
use candles::time::DAY_MS;
use genome::random::Seed;
use rand::RngExt;
use simulated::SymbolSpec;
use std::time::Duration;
use tokio_postgres::Client;

/// What the first session found: everything but ids and wall times.
const FOUND: &str = "select s.genome_hash, s.name, s.generation, s.parent_hashes::text, s.state,
        (select string_agg(source || ' ' || window_from_ms || ' ' || window_to_ms || ' ' || data_version || ' '
             || performance::text, '; ' order by source) from strategy_stats where strategy_id = s.id),
        (select string_agg(kind || ' ' || summary || ' ' || decision::text || ' ' || evidence::text, '; ' order by seq)
             from transitions where strategy_id = s.id)
     from strategies s join search_sessions e on e.id = s.session_id and e.number = 1 order by s.genome_hash";

/// What paper trading did: moves, runs and trades, but for ids and wall times.
const TRADED: [&str; 3] = [
    "select concat_ws(' ', s.genome_hash, t.kind, t.at_market_ms, t.summary, t.decision, t.evidence)
     from transitions t join strategies s on s.id = t.strategy_id order by s.genome_hash, t.seq",
    "select concat_ws(' ', s.genome_hash, r.phase, r.warmup_from_ms, r.from_ms, r.to_ms, r.performance,
         r.closed_trades, r.open_positions, r.daily_equity, r.portfolio)
     from paper_runs r join strategies s on s.id = r.strategy_id order by s.genome_hash, r.from_ms",
    "select concat_ws(' ', s.genome_hash, t.symbol, t.side, t.entry_time_ms, t.entry_price, t.exit_time_ms,
         t.exit_price, t.quantity, t.profit, t.fees, t.exit_reason)
     from paper_trades t join strategies s on s.id = t.strategy_id
     order by s.genome_hash, t.entry_time_ms, t.symbol, t.side",
];

async fn texts(client: &Client, query: &str) -> Vec<String> {
    client.query(query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// Days of paper trading at once, by daemons that are killed so many times.
async fn paper_trading(stage: &Stage, client: &mut Client, (days, kills): (i64, u64)) -> Vec<Vec<String>> {
    stage.exchange.clock().advance(days * DAY_MS);
    for kill in 0..kills {
        let mut daemon = stage.daemon("shadow");
        daemon.logged("listening").await;
        let wait_ms = Seed(13).stream("moments of kills", kill).random_range(20..700);
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        daemon.kill();
        books::check(client).await;
    }
    let mut daemon = stage.daemon("shadow");
    daemon.logged("listening").await;
    let end_ms = stage.exchange.clock().now_ms();
    let behind = format!("select count(*) from paper_runs where ended_at is null and to_ms < {end_ms}");
    wait_for("all runs have come to the end", async || (books::count(client, &behind).await == 0).then_some(())).await;
    daemon.stop().await;
    books::check(client).await;
    let mut did = Vec::new();
    for query in TRADED {
        did.push(texts(client, query).await);
    }
    did
}

type Found = (Vec<Vec<Option<String>>>, Vec<String>, Vec<Vec<String>>);

/// A session, and paper trading of what it found for so many days after, killed again and again.
async fn first_session(stage: &mut Stage, (population, days): (u32, i64), kills: u32) -> Found {
    stage.set("SG__SEARCH__GENERATIONS", "6");
    stage.set("SG_POPULATION_SIZE", &population.to_string());
    // All null searches are made, so that there is a middle of them.
    stage.set("SG__PROTOCOL__NULL_EXCEEDANCES", "19");
    let mut daemon = stage.daemon("continuous");
    daemon.logged("listening").await;
    let mut client = stage.client().await;
    let generations = "select count(*) from generations";
    for _ in 0..kills {
        let before = books::count(&client, generations).await;
        wait_for("one generation more", async || (books::count(&client, generations).await > before).then_some(()))
            .await;
        daemon.kill();
        let running = "select count(*) from search_sessions where status = 'running'";
        assert_eq!(books::count(&client, running).await, 1, "killed too late to interrupt anything");
        books::check(&mut client).await;
        daemon = stage.daemon("continuous");
        daemon.logged("search session resumed").await;
    }
    if kills > 0 {
        // And once in the middle of the null searches.
        let nulls = "select coalesce(max(null_searches), 0) from trial_ledger";
        wait_for("a null search", async || (books::count(&client, nulls).await > 0).then_some(())).await;
        daemon.kill();
        let running = "select count(*) from search_sessions where status = 'running'";
        assert_eq!(books::count(&client, running).await, 1, "killed too late to interrupt null searches");
        books::check(&mut client).await;
        daemon = stage.daemon("continuous");
        daemon.logged("search session resumed").await;
    }
    daemon.logged("search session finished").await;
    daemon.stop().await;
    books::check(&mut client).await;
    let rows = client.query(FOUND, &[]).await.unwrap();
    let row_texts = |row: &tokio_postgres::Row| {
        let born: i32 = row.get(2);
        let mut texts = vec![Some(born.to_string())];
        texts.extend([0, 1, 3, 4, 5, 6].map(|at| row.get::<_, Option<String>>(at)));
        texts
    };
    let bred = "select concat_ws(' ', number, best_fitness, median_fitness, mean_fitness, evaluations,
        distinct_strategies, failures, archive_size) from generations order by number";
    let scores = "select concat_ws(' ', market, form, day, sessions, scores) from search_scores";
    let (found, mut bred) = (rows.iter().map(row_texts).collect(), texts(&client, bred).await);
    bred.extend(texts(&client, scores).await);
    let learnt = stage.json(&["learner", "explain", "--json"]);
    let blocks = learnt["scores"][0]["blocks"].as_object().unwrap();
    assert!(blocks.len() > 10 && blocks.values().all(|b| b["null_searches"].as_u64() >= Some(10)), "{learnt}");
    let traded = paper_trading(stage, &mut client, (days, u64::from(kills) * 2)).await;
    (found, bred, traded)
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_change_nothing_of_what_is_found_and_decided() {
    let (mut one, mut other) = (Stage::new(13, 0.0).await, Stage::new(13, 0.0).await);
    let (whole, interrupted) =
        tokio::join!(first_session(&mut one, (60, 21), 0), first_session(&mut other, (60, 21), 3));
    assert!(!whole.2[2].is_empty(), "nothing was traded");
    same(&whole, &interrupted);
}

/// A strategy that ranks the market, through candidate, shadow and live, while coins are listed and delisted.
#[tokio::test(flavor = "multi_thread")]
async fn kills_change_nothing_of_what_ranks_the_market_either() {
    let (mut one, mut other) = (Stage::of_coins(27).await, Stage::of_coins(27).await);
    let (whole, interrupted) =
        tokio::join!(first_session(&mut one, (20, 75), 0), first_session(&mut other, (20, 75), 3));
    same(&whole, &interrupted);
    let went_live = whole.2[0].iter().filter(|text| text.contains(" go_live ")).count();
    assert!(went_live > 0, "none went live: {:?}", whole.2[0]);

    let client = other.client().await;
    let count = async |sql: &str| books::count(&client, sql).await;
    assert_eq!(count("select count(*) from strategies where form <> 'ranking' or symbols <> '{}'").await, 0);
    // A run looks at coins that were listed since it began, and holds none that is delisted.
    let listed = "select count(*) from paper_runs r, jsonb_array_elements(r.portfolio -> 'stays') s
        where not r.config -> 'symbols' ? (s ->> 'instrument')";
    assert!(count(listed).await > 0, "no coin was listed after a run began");
    let ended = |s: &SymbolSpec| s.delisted_ms.is_some_and(|end| (NOW_MS..NOW_MS + 60 * DAY_MS).contains(&end));
    let spec = other.exchange.market().spec();
    let gone: Vec<String> = spec.symbols.iter().filter(|s| ended(s)).map(|s| format!("'{}'", s.symbol)).collect();
    assert!(!gone.is_empty(), "no coin was delisted");
    let held = format!(
        "select count(*) from paper_runs r, jsonb_array_elements(r.open_positions) s
         where r.ended_at is null and s ->> 'instrument' in ({})",
        gone.join(", ")
    );
    assert_eq!(count(&held).await, 0, "{gone:?}");

    // All that is stored comes out the same again: sessions, backtests, hold-outs, paper runs.
    let ids =
        client.query("select name from strategies where session_id is not null order by name", &[]).await.unwrap();
    for row in ids {
        let name: String = row.get(0);
        let done = other.json(&["reproduce", &name, "--json"]);
        assert_eq!(done["identical"], true, "{done}");
        assert!(done["sources"].as_array().unwrap().len() >= 2, "{done}");
    }
    let session = other.json(&["reproduce", "book/1", "--json"]);
    assert_eq!(session["verdict"], "identical", "{session}");
}

/// What was killed found and did what was not.
#[track_caller]
fn same(whole: &Found, interrupted: &Found) {
    // Six generations, and how building blocks scored in one session.
    assert_eq!(whole.1.len(), 7, "{:?}", whole.1);
    assert!(!whole.0.is_empty());
    assert_eq!(interrupted.1, whole.1);
    assert_eq!(interrupted.0, whole.0);
    let moves = whole.2[0].iter().filter(|text| !text.contains(" enter_shadow ")).count();
    assert!(moves > 0, "nothing was decided: {:?}", whole.2[0]);
    for (had, expected) in interrupted.2.iter().zip(&whole.2) {
        assert_eq!(had, expected);
    }
}

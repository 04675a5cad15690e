//! A search that is killed in the middle finds what one finds that never was.

use crate::{books, process::wait_for, stage::Stage};

/// What the first session found: everything but ids and wall times.
const FOUND: &str = "select s.genome_hash, s.name, s.generation, s.parent_hashes::text, s.state,
        (select string_agg(source || ' ' || window_from_ms || ' ' || window_to_ms || ' ' || data_version || ' '
             || performance::text, '; ' order by source) from strategy_stats where strategy_id = s.id),
        (select string_agg(kind || ' ' || summary || ' ' || decision::text || ' ' || evidence::text, '; ' order by seq)
             from transitions where strategy_id = s.id)
     from strategies s join search_sessions e on e.id = s.session_id and e.number = 1 order by s.genome_hash";

async fn first_session(kills: u32) -> (Vec<Vec<Option<String>>>, Vec<String>) {
    let mut stage = Stage::new(13, 0.0).await;
    stage.set("SG__SEARCH__GENERATIONS", "6");
    stage.set("SG_POPULATION_SIZE", "60");
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
    daemon.logged("search session finished").await;
    daemon.stop().await;
    books::check(&mut client).await;
    let rows = client.query(FOUND, &[]).await.unwrap();
    let texts = |row: &tokio_postgres::Row| {
        let born: i32 = row.get(2);
        let mut texts = vec![Some(born.to_string())];
        texts.extend([0, 1, 3, 4, 5, 6].map(|at| row.get::<_, Option<String>>(at)));
        texts
    };
    let bred = "select concat_ws(' ', number, best_fitness, median_fitness, mean_fitness, evaluations,
        distinct_strategies, failures, archive_size) from generations order by number";
    let bred = client.query(bred, &[]).await.unwrap();
    (rows.iter().map(texts).collect(), bred.iter().map(|row| row.get(0)).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_in_a_session_change_nothing_of_what_it_finds() {
    let (whole, interrupted) = tokio::join!(first_session(0), first_session(3));
    assert_eq!(whole.1.len(), 6, "{:?}", whole.1);
    assert!(!whole.0.is_empty());
    assert_eq!(interrupted.1, whole.1);
    assert_eq!(interrupted.0, whole.0);
}

//! Results that an earlier meaning of the engine computed: those that what changed concerns are scored again, once, with
//! that cause, and no other.

use crate::revisions::Place;
use crate::story::day;
use candles::MarketKind;
use genome::StrategyFile;
use serde_json::{Value, json};

fn strategy(fast: u32, risk: &str) -> genome::Strategy {
    let text = format!(
        r#"{{"name": "cross", "timeframe": "15m", "long": {{"entry": "ema({fast}) crosses above ema(30)",
            "exit": "ema({fast}) crosses below ema(30)"}}, "risk": {{{risk}}}}}"#
    );
    StrategyFile::parse(&text).unwrap().strategy
}

#[tokio::test]
async fn what_an_earlier_meaning_computed_is_scored_again_once_where_it_concerns_it() {
    let place = Place::new().await;
    for (name, fast, risk) in [("trailing", 5, r#""trailing_stop": "2%""#), ("plain", 6, r#""stop_loss": "2%""#)] {
        place.story_of(MarketKind::Spot, name, "BTCUSDT", strategy(fast, risk), day(50), false).await;
    }
    let nothing = place.affected(&["all"]).await;
    assert_eq!(nothing["of_earlier_meaning"], json!([]), "what this engine computed stands: {nothing:#}");
    // As they were stored before meanings had numbers, with what another engine came to.
    let older = "update backtest_results set parameters = parameters - 'engine_meaning';
        update paper_runs set config = config - 'engine_meaning';
        update paper_runs set performance = jsonb_set(performance, '{total_return}', '9')
            where strategy_id = (select id from strategies where name = 'trailing');
        update strategy_stats set performance = jsonb_set(performance, '{total_return}', '9')
            where strategy_id = (select id from strategies where name = 'trailing')";
    place.database.client().await.batch_execute(older).await.unwrap();
    let before = place.figures().await;

    let cause = "engine meaning 2: a trailing percentage is of the best close since the entry";
    let report = place.affected(&["all"]).await;
    let listed = report["of_earlier_meaning"].as_array().unwrap();
    assert_eq!(listed.len(), 1, "{report:#}");
    assert_eq!((&listed[0]["name"], &listed[0]["cause"]), (&json!("trailing"), &json!(cause)));
    let sources: Vec<&Value> = listed[0]["runs"].as_array().unwrap().iter().map(|run| &run["source"]).collect();
    assert_eq!(sources, ["backtest", "holdout", "shadow"]);
    let told = place.command(&["reproduce", "trailing"]).await;
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    let why = "MEANS SOMETHING ELSE NOW: engine meaning 1 computed it, and this is meaning 2: a trailing percentage";
    assert!(text.contains(why) && !text.contains("DIFFERS"), "{text}");
    assert_eq!(told.status.code(), Some(1));
    assert_eq!(place.command(&["reproduce", "plain"]).await.status.code(), Some(0), "nothing concerns it");

    let done = place.affected(&["all", "--rescore"]).await;
    let rescored = done["rescored"].as_array().unwrap();
    assert_eq!(rescored.len(), 1, "{done:#}");
    assert_eq!((&rescored[0]["name"], &rescored[0]["rescored"]), (&json!("trailing"), &json!(3)));
    assert!(rescored[0]["decision"].is_string(), "the gate was asked: {done:#}");
    let after = place.figures().await;
    let moved: Vec<&str> = before.iter().zip(&after).filter(|(a, b)| a != b).map(|(a, _)| a.0.as_str()).collect();
    assert_eq!(moved, ["trailing"]);
    assert_eq!(place.command(&["reproduce", "trailing"]).await.status.code(), Some(0), "as this engine has it");

    let again = place.affected(&["all", "--rescore"]).await;
    assert_eq!((&again["of_earlier_meaning"], &again["rescored"]), (&json!([]), &json!([])), "once is enough");
    let client = place.database.client().await;
    let sql = "select s.name, m.meaning, m.cause from engine_meanings m join strategies s on s.id = m.strategy_id
        order by s.name";
    let kept: Vec<(String, i32, Option<String>)> =
        client.query(sql, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    assert_eq!(kept, [("plain".to_owned(), 2, None), ("trailing".to_owned(), 2, Some(cause.to_owned()))]);
    let sql = "select actor, metadata ->> 'cause' from audit_logs
        where event_type = 'data_changed' and entity_type = 'strategy'";
    let entries: Vec<(String, String)> =
        client.query(sql, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(entries, [("engine".to_owned(), cause.to_owned())]);
    assert!(place.store.verify_audit_chain().await.unwrap().first_bad.is_none());
    let refused = client.execute("update engine_meanings set cause = 'another'", &[]).await;
    assert!(refused.is_err(), "what came of it is only ever added to");
}

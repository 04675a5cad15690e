//! Paper trading on candles that are not fit for evidence: followed, but nothing is decided on it, and why is kept.

use super::{
    books,
    process::wait_for,
    stage::{NOW_MS, Stage},
};
use candles::time::DAY_MS;
use market::simulator::{FaultKind, FaultSpec};

#[tokio::test(flavor = "multi_thread")]
async fn candles_full_of_holes_move_no_strategy() {
    let stage = Stage::new(13, 0.0).await;
    let mut daemon = stage.daemon("continuous");
    daemon.logged("search session finished").await;
    daemon.stop().await;
    let mut client = stage.client().await;
    let shadows = "select count(*) from strategies where state = 'shadow'";
    assert!(books::count(&client, shadows).await > 0, "nothing is in shadow: nothing is tried here");

    // A third of the quarter hours from now on have no candles, for ever. Ten days are more than the gate waits for.
    stage.exchange.add_fault(FaultSpec { from_ms: Some(NOW_MS), ..FaultSpec::sometimes(FaultKind::Gap, 0.33) });
    stage.exchange.clock().advance(10 * DAY_MS);
    let daemon = stage.daemon("shadow");
    let end_ms = NOW_MS + 9 * DAY_MS;
    let behind = format!("select count(*) from paper_runs where ended_at is null and to_ms < {end_ms}");
    wait_for("all runs are followed", async || (books::count(&client, &behind).await == 0).then_some(())).await;
    daemon.stop().await;
    let moved = "select count(*) from transitions where from_state = 'shadow'";
    assert_eq!(books::count(&client, moved).await, 0, "nothing was decided");
    let refused = format!(
        "select count(*) from data_verdicts where not fit and reason like '%candles are missing%' and window_from_ms = {NOW_MS}"
    );
    // Four review points a day.
    assert!(books::count(&client, &refused).await >= 9 * 4 - 1, "each point that decided nothing says why");
    books::check(&mut client).await;
}

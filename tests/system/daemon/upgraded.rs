//! A daemon of another build finds a session unfinished: it does not go on with it under the first one's version.

use super::{books, process::wait_for, stage::Stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_another_build_began_is_begun_anew() {
    let mut stage = Stage::new(13, 0.0).await;
    // Long enough to be interrupted.
    stage.set("SG__SEARCH__GENERATIONS", "40");
    stage.set("SG__PROTOCOL__NULL_EXCEEDANCES", "19");
    let mut daemon = stage.daemon("continuous");
    daemon.logged("listening").await;
    let mut client = stage.client().await;
    let generations = "select count(*) from generations";
    wait_for("a generation", async || (books::count(&client, generations).await > 0).then_some(())).await;
    daemon.kill();
    let other = "0.0.1+0123456789abcdef";
    let reason = format!("version {other} began it, and this is version {}", sg_ai::CODE_VERSION);
    let claimed = "update search_sessions set code_version = $1 where status = 'running'";
    assert_eq!(client.execute(claimed, &[&other]).await.unwrap(), 1, "killed too late to interrupt anything");

    let mut daemon = stage.daemon("continuous");
    daemon.logged(&format!("search session abandoned: {reason}")).await;
    daemon.logged("search session opened").await;
    let bred = "select count(*) from generations g join search_sessions e on e.id = g.session_id where e.number = 2";
    wait_for("a generation of the next session", async || (books::count(&client, bred).await > 0).then_some(())).await;
    daemon.kill();
    let rows = client
        .query("select number, status, code_version, reason, window_to_ms from search_sessions order by number", &[])
        .await
        .unwrap();
    let sessions: Vec<(i64, String, String, Option<String>, i64)> =
        rows.iter().map(|r| (r.get(0), r.get(1), r.get(2), r.get(3), r.get(4))).collect();
    assert_eq!(sessions.len(), 2, "{sessions:?}");
    let (first, second) = (&sessions[0], &sessions[1]);
    assert_eq!((first.1.as_str(), first.2.as_str()), ("abandoned", other));
    assert_eq!(first.3.as_deref(), Some(reason.as_str()));
    // The same candles, from the first generation on, all of it by the build that says so.
    assert_eq!((second.1.as_str(), second.2.as_str()), ("running", sg_ai::CODE_VERSION));
    assert_eq!(second.4, first.4);
    books::check(&mut client).await;
}

//! The audit trail with a key, as its operator meets it: anchors that are there, anchors that went missing.

use super::{process::wait_for, stage::Stage};

/// What `sg-ai audit verify` says on standard error where the trail does not hold; empty where it does.
fn verified(stage: &Stage) -> String {
    let output = stage.command(&["audit", "verify"]).output().unwrap();
    if output.status.success() { String::new() } else { String::from_utf8(output.stderr).unwrap() }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_key_the_trail_is_held_to_its_anchors() {
    let mut stage = Stage::new(41, 0.0).await;
    stage.set("SG_AUDIT_KEY", "a long secret of the trail");
    stage.set("SG_GENERATION_INTERVAL", "100000000");
    let anchors = stage.dir.path().join("data/audit-anchors.jsonl");
    let mut daemon = stage.daemon("shadow");
    daemon.url().await;
    // A new trail begins by itself.
    wait_for("the head is noted", async || anchors.exists().then_some(())).await;
    let holds = "select count(*) from runner_status where name = 'audit' and detail ->> 'holds' = 'true'";
    let client = stage.client().await;
    wait_for("the daemon finds that it holds", async || {
        (client.query_one(holds, &[]).await.unwrap().get::<_, i64>(0) == 1).then_some(())
    })
    .await;
    daemon.stop().await;
    assert_eq!(verified(&stage), "");

    // What went missing is missed, and does not come back by itself.
    std::fs::remove_file(&anchors).unwrap();
    assert!(verified(&stage).contains("is held by no anchor"));
    let broken = "select count(*) from runner_status where name = 'audit' and detail ->> 'holds' = 'false'";
    let mut daemon = stage.daemon("shadow");
    daemon.url().await;
    wait_for("the daemon finds that it does not hold", async || {
        (client.query_one(broken, &[]).await.unwrap().get::<_, i64>(0) == 1).then_some(())
    })
    .await;
    daemon.stop().await;
    assert!(!anchors.exists());

    // An operator who knows why begins anew; a line that somebody made up is seen.
    assert!(stage.command(&["audit", "anchor"]).output().unwrap().status.success());
    assert_eq!(verified(&stage), "");
    let (kept, forged) = (
        std::fs::read_to_string(&anchors).unwrap(),
        format!("{{\"last_id\":1,\"hash\":\"{}\",\"at\":\"2025-01-01T00:00:00Z\"}}\n", "0".repeat(64)),
    );
    std::fs::write(&anchors, format!("{kept}{forged}")).unwrap();
    assert!(verified(&stage).contains("without the key's proof"));
    std::fs::write(&anchors, kept).unwrap();
    stage.set("SG_AUDIT_KEY", "the secret of somebody else");
    assert!(!verified(&stage).is_empty());
}

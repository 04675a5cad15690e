//! Limits that operators set hold: threads that compute, and memory that the process takes.

use super::{books, process::wait_for, stage::Stage};
use std::path::PathBuf;

const LIMIT_MB: u64 = 208;

fn proc(pid: u32, what: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{what}"))
}

/// What a process held most, bytes.
fn peak_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(proc(pid, "status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() * 1024
}

/// Names of a process's threads.
fn threads(pid: u32) -> Vec<String> {
    let tasks = std::fs::read_dir(proc(pid, "task")).unwrap();
    // One may have ended in between.
    tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_stays_within_its_threads_and_memory() {
    let mut stage = Stage::new(41, 0.0).await;
    stage.set("SG__DAEMON__THREADS", "1");
    stage.set("SG_POPULATION_SIZE", "300");
    stage.set("SG__DAEMON__MAX_MEMORY_MB", &LIMIT_MB.to_string());
    // What is set beside it does not fit: said at once, with what would.
    let refused = stage.command(&["run"]).output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("256 for engine.cache_mb"), "{told}");
    stage.set("SG__ENGINE__CACHE_MB", "16");

    let mut daemon = stage.daemon("run");
    let url = daemon.url().await;
    let client = stage.client().await;
    let finished = "select count(*) from search_sessions where status = 'finished'";
    wait_for("a session is finished", async || (books::count(&client, finished).await >= 1).then_some(())).await;
    let (peak, threads) = (peak_bytes(daemon.pid()), threads(daemon.pid()));
    println!("{} MB at most, {} threads", peak / 1_000_000, threads.len());
    assert!(peak < LIMIT_MB * 1_000_000, "{peak} bytes");
    let computing: Vec<&String> = threads.iter().filter(|name| name.starts_with("compute-")).collect();
    assert_eq!(computing.len(), 1, "{threads:?}");
    assert!(!threads.iter().any(|name| name.starts_with("global-1")), "{threads:?}");
    let metrics = reqwest::get(format!("{url}/metrics")).await.unwrap().text().await.unwrap();
    let value = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse::<f64>().unwrap()
    };
    assert_eq!(value("sg_ai_memory_limit_bytes"), LIMIT_MB as f64 * 1e6);
    assert!(value("sg_ai_memory_bytes") > 1e6 && value("sg_ai_memory_bytes") <= peak_bytes(daemon.pid()) as f64);
    assert!(value("sg_ai_memory_drops_total") >= 0.0);
    daemon.stop().await;
}

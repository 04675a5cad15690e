//! `sg-ai demo`, as a newcomer's script would run it.

use super::support;
use serde_json::Value;
use std::{path::Path, process::Command};
use tempfile::TempDir;

/// Processes whose command line names this folder, where the system has them as files.
fn processes_on(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let lines = std::fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| {
        // A process may end while it is looked at.
        let line = std::fs::read(entry.ok()?.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).replace('\0', " "))
    });
    lines.filter(|line| line.contains(folder)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_with_its_summary_and_leaves_nothing_behind() {
    // Finds or installs the server programs that the demo needs, too.
    let _database = support::empty_database().await;
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sg-ai"));
    command.env_clear().current_dir(dir.path()).env("SG_DATA_DIR", &data).env("SG_POPULATION_SIZE", "40");
    for name in ["PATH", "HOME", "XDG_CACHE_HOME", "SG_POSTGRES_BIN"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    // Long enough for a session on a machine that other tests keep busy: its days pass whether or not anybody computes.
    command.args(["demo", "--for", "70s", "--day", "1s", "--json"]);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{summary}\n{said}"));
    let reached = ["candidate", "shadow", "live", "disabled"].map(|state| number(&summary["reached"][state]));
    assert!(reached[0] >= reached[1] && reached[1] >= reached[2] && reached[1] > 0, "{summary}");
    assert!(number(&summary["generations"]) > 0 && number(&summary["evaluations"]) > 0, "{summary}");
    assert!(number(&summary["transitions"]) >= reached[1], "{summary}");
    let searched = |island: &str| said.contains(&format!("{island} session 1 generation"));
    assert!(searched("rules") && searched("book"), "both forms of strategy: {said}");
    assert!(
        summary["book"]["state"].is_string() && said.contains("book candidate: walks its history"),
        "{summary}\n{said}"
    );
    assert!(said.contains("SIMULATED") && said.contains("http://127.0.0.1:"), "{said}");
    let left: Vec<_> = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(processes_on(dir.path()), Vec::<String>::new());
}

//! `sg-ai postgres start`: its private server, when the daemon that keeps it is killed.

use crate::support;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

fn is_alive(pid: u32) -> bool {
    kill(Pid::from_raw(pid as i32), None).is_ok()
}

/// Whether the process ends within 20 seconds.
async fn ends(pid: u32) -> bool {
    for _ in 0..400 {
        if !is_alive(pid) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

/// `sg-ai postgres start` on a folder; with the URL that it prints.
fn daemon(data_dir: &Path) -> (Child, String) {
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_sg-ai"))
        .args(["postgres", "start"])
        .env_remove("DATABASE_URL")
        .env("SG__STORE__DATA_DIR", data_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut url).unwrap();
    assert!(url.starts_with("postgresql://"), "{url:?}");
    (daemon, url.trim().to_owned())
}

fn server_pid(data_dir: &Path) -> u32 {
    let text = fs::read_to_string(data_dir.join("cluster/postmaster.pid")).unwrap();
    text.lines().next().unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn a_killed_daemon_leaves_no_server_behind_and_loses_nothing() {
    let data_dir = support::server_folder("orphan").await;
    let mut daemons = Vec::new();
    for n in 0..4 {
        let (mut daemon, url) = daemon(&data_dir);
        let client = support::connect(&url.clone().into()).await;
        client.batch_execute("create table if not exists kept (n int); insert into kept values (1)").await.unwrap();
        let kept: i64 = client.query_one("select count(*) from kept", &[]).await.unwrap().get(0);
        assert_eq!(kept, n + 1);
        let pid = server_pid(&data_dir);
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        // Every other time the next one starts at once, while the server may still be there.
        if n % 2 == 0 && cfg!(target_os = "linux") {
            assert!(ends(pid).await, "the server outlived its daemon");
        }
        daemons.push(daemon);
    }
    let (mut daemon, _) = daemon(&data_dir);
    let pid = server_pid(&data_dir);
    kill(Pid::from_raw(daemon.id() as i32), Signal::SIGTERM).unwrap();
    assert!(daemon.wait().unwrap().success(), "SIGTERM is a request that is granted");
    assert!(!is_alive(pid));
    fs::remove_dir_all(&data_dir).unwrap();
}

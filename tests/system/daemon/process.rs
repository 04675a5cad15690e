//! A daemon as a process, with its log.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// The documented limit of a stop.
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(10);
/// Before a test gives up waiting for something that a slow machine may take long for.
const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(25);

/// Waits until `look` finds something. `what` is said when it never does.
pub(crate) async fn wait_for<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// A running `sg-ai`. Killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    lines: Arc<Mutex<Vec<Value>>>,
    reader: Option<JoinHandle<()>>,
}

impl Daemon {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let reader = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                // What is no log line is kept as it is, for the text of a failed test.
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                sink.lock().unwrap().push(value);
            }
        });
        Self { child, lines, reader: Some(reader) }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> Vec<Value> {
        self.lines.lock().unwrap().clone()
    }

    fn tail(&self) -> String {
        let log = self.log();
        log[log.len().saturating_sub(20)..].iter().map(|line| format!("\n  {line}")).collect()
    }

    /// The first log line with this message, once it is there.
    pub(crate) async fn logged(&mut self, message: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.log().into_iter().find(|line| line["message"] == message) {
                return line;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "no {message:?} ({ended:?}):{}", self.tail());
            tokio::time::sleep(POLL).await;
        }
    }

    /// Where it answers HTTP, `http://127.0.0.1:PORT`.
    pub(crate) async fn url(&mut self) -> String {
        format!("http://{}", self.logged("listening").await["address"].as_str().unwrap())
    }

    /// Ends it at once, as a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        assert!(!self.child.wait().unwrap().success(), "it ended by itself:{}", self.tail());
    }

    /// Asks it to stop and holds it to its word: 0 within ten seconds. Returns its log.
    pub(crate) async fn stop(mut self) -> Vec<Value> {
        let asked = Instant::now();
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM).unwrap();
        let status: ExitStatus = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(asked.elapsed() < STOP_LIMIT, "still there {STOP_LIMIT:?} after SIGTERM:{}", self.tail());
            tokio::time::sleep(POLL).await;
        };
        self.reader.take().unwrap().join().unwrap();
        assert_eq!(status.code(), Some(0), "after SIGTERM:{}", self.tail());
        self.log()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Gone already in every test that went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

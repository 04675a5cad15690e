//! A page in a real headless browser, driven as a person would.
//!
//! Speaks the browser's own debugging protocol, to the Chromium that there is.

use super::process::wait_for;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

/// A page of a browser of the test's own.
pub(super) struct Page {
    browser: Child,
    socket: WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>,
    session: Option<String>,
    next: u64,
    /// What the page complained of.
    pub(super) complaints: Vec<String>,
    /// Where it asked.
    pub(super) asked: Vec<String>,
    /// As they came, compressed.
    pub(super) received_bytes: f64,
    _home: tempfile::TempDir,
}

impl Page {
    /// `None` where there is no browser, or none that starts.
    pub(super) async fn open() -> Option<Self> {
        let home = tempfile::TempDir::new().unwrap();
        let programs = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
        let mut browser = programs.iter().find_map(|program| {
            Command::new(program)
                .args([
                    "--headless=new",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--no-first-run",
                    "--remote-debugging-port=0",
                ])
                .arg(format!("--user-data-dir={}", home.path().display()))
                .arg("about:blank")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .ok()
        })?;
        let lines = BufReader::new(browser.stderr.take().unwrap()).lines();
        let (found, address) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut found = Some(found);
            for line in lines.map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("listening on ") {
                    let _ = found.take().map(|found| found.send(address.trim().to_owned()));
                }
            }
        });
        // What is called a browser may be a stub that tells how to install one.
        let Ok(Ok(address)) = tokio::time::timeout(Duration::from_secs(60), address).await else {
            let _ = browser.kill();
            let _ = browser.wait();
            return None;
        };
        let socket = connect_async(address).await.unwrap().0;
        let (complaints, asked) = (Vec::new(), Vec::new());
        let mut page =
            Self { browser, socket, session: None, next: 0, complaints, asked, received_bytes: 0.0, _home: home };
        let target = page.call("Target.createTarget", json!({ "url": "about:blank" })).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        page.session = page.call("Target.attachToTarget", attach).await["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Runtime.enable", "Network.enable", "Log.enable"] {
            page.call(domain, json!({})).await;
        }
        Some(page)
    }

    pub(super) async fn call(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = session.clone().into();
        }
        self.socket.send(Message::text(message.to_string())).await.unwrap();
        loop {
            let told =
                tokio::time::timeout(Duration::from_secs(60), self.socket.next()).await.expect("the browser answers");
            let Ok(told) = serde_json::from_str::<Value>(told.unwrap().unwrap().to_text().unwrap_or_default()) else {
                continue;
            };
            if told["id"] == id {
                assert!(told["error"].is_null(), "{method}: {told}");
                return told["result"].clone();
            }
            let event = &told["params"];
            match told["method"].as_str().unwrap_or_default() {
                "Runtime.exceptionThrown" => self.complaints.push(event["exceptionDetails"].to_string()),
                "Runtime.consoleAPICalled" if event["type"] == "error" => {
                    self.complaints.push(event["args"].to_string())
                }
                "Log.entryAdded" if event["entry"]["level"] == "error" => {
                    self.complaints.push(event["entry"].to_string())
                }
                "Network.requestWillBeSent" => {
                    self.asked.push(event["request"]["url"].as_str().unwrap_or_default().to_owned());
                }
                "Network.loadingFinished" => self.received_bytes += event["encodedDataLength"].as_f64().unwrap_or(0.0),
                _ => {}
            }
        }
    }

    pub(super) async fn evaluate(&mut self, script: &str) -> Value {
        let params = json!({ "expression": script, "returnByValue": true, "awaitPromise": true });
        let done = self.call("Runtime.evaluate", params).await;
        assert!(done["exceptionDetails"].is_null(), "{script}: {done}");
        done["result"]["value"].clone()
    }

    /// Waits until a script says true.
    pub(super) async fn until(&mut self, script: &str) {
        wait_for(script, async || (self.evaluate(script).await == true).then_some(())).await;
    }

    pub(super) async fn press(&mut self, key: &str) {
        // Keys that are no text are told by their numbers.
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            _ => (0, key),
        };
        for kind in ["keyDown", "keyUp"] {
            let event = json!({ "type": kind, "key": key, "text": text, "windowsVirtualKeyCode": code });
            self.call("Input.dispatchKeyEvent", event).await;
        }
    }

    /// Waits for the page with this heading.
    pub(super) async fn titled(&mut self, title: &str) {
        self.until(&format!("document.querySelector('h1')?.textContent.startsWith('{title}') ?? false")).await;
    }

    /// Waits until no dialog is open. What the daemon did may be told before its answer closes the dialog, and while
    /// one is open, keys belong to it.
    pub(super) async fn without_dialog(&mut self) {
        self.until("document.querySelector('dialog') === null").await;
    }

    /// Presses a button of the page and fills in the dialog that asks for a reason.
    pub(super) async fn act(&mut self, button: &str, why: &str, token: &str) {
        self.without_dialog().await;
        let find =
            format!("[...document.querySelectorAll('main button')].find((b) => b.textContent.startsWith('{button}'))");
        self.until(&format!("{find} !== undefined")).await;
        self.evaluate(&format!(
            "{find}.click();
             document.querySelector('dialog textarea').value = '{why}';
             document.querySelector('dialog input[type=password]').value = '{token}';
             document.querySelector('dialog form').requestSubmit(); true"
        ))
        .await;
    }

    pub(super) async fn width(&mut self, width: u32) {
        let size = json!({ "width": width, "height": 844, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Opens by their titles the cards that a phone folds.
    pub(super) async fn unfold(&mut self) {
        // One that was opened stays open; each folds a moment after it is there.
        self.until(
            "(() => {
                const folded = document.querySelectorAll('details.card:not([open]) > summary');
                for (const title of folded) title.click();
                window.calm = folded.length ? 0 : (window.calm ?? 0) + 1;
                return window.calm > 10;
            })()",
        )
        .await;
        self.evaluate("window.calm = 0; true").await;
    }
}

/// The version of axe that `.ci/run` names.
fn axe_version() -> &'static str {
    let words = include_str!("../../../.ci/run").split_whitespace();
    words.filter_map(|word| word.strip_prefix("axe=")).next().expect("the script names a version of axe")
}

/// The script of axe, which finds what keeps people from using a page; installed where it is not there yet. `None` where it
/// cannot be installed.
pub(super) fn axe() -> Option<String> {
    let version = axe_version();
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/checkers/axe-{version}"));
    let script = home.join("node_modules/axe-core/axe.min.js");
    if !script.exists() {
        let arguments = ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"];
        let package = format!("axe-core@{version}");
        let _ = Command::new("npm").args(arguments).arg(&home).arg(package).output();
    }
    std::fs::read_to_string(script).ok()
}

impl Page {
    /// A picture of a page once its charts are drawn, as PNG.
    pub(super) async fn screenshot(&mut self, url: &str, path: &Path) {
        self.width(1180).await;
        self.call("Page.navigate", json!({ "url": url })).await;
        self.until("document.querySelector('.candles canvas') !== null").await;
        let clip = json!({ "x": 0, "y": 0, "width": 1180, "height": 1330, "scale": 0.8 });
        let params = json!({ "format": "png", "clip": clip, "captureBeyondViewport": true });
        let told = self.call("Page.captureScreenshot", params).await;
        let picture = decoded(told["data"].as_str().unwrap());
        assert!(picture.len() < 200_000, "{} bytes are too many for a README", picture.len());
        std::fs::write(path, picture).unwrap();
    }

    /// What axe finds serious or critical on the page as it stands: rule, what is wrong, and where.
    pub(super) async fn serious(&mut self, axe: &str) -> Vec<String> {
        if self.evaluate("typeof axe === 'object'").await != true {
            self.evaluate(&format!("{axe}; true")).await;
        }
        let found = self
            .evaluate(
                "axe.run(document, { resultTypes: ['violations'] }).then((result) => result.violations
                    .filter((v) => ['serious', 'critical'].includes(v.impact))
                    .flatMap((v) => v.nodes.map((n) => `${v.id}: ${v.help}: ${n.html.slice(0, 160)}: ${n.failureSummary}`)))",
            )
            .await;
        let found = found.as_array().cloned().unwrap_or_default();
        found.into_iter().map(|one| one.as_str().unwrap_or_default().to_owned()).collect()
    }
}

/// Bytes from base 64.
fn decoded(text: &str) -> Vec<u8> {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let value = |byte: u8| digits.iter().position(|digit| *digit == byte).expect("a digit of base 64") as u32;
    let text = text.trim_end_matches('=').as_bytes();
    let of_four = text.chunks(4).flat_map(|four| {
        let bits = four.iter().fold(0, |bits, byte| bits << 6 | value(*byte)) << (6 * (4 - four.len()));
        bits.to_be_bytes()[1..four.len()].to_vec()
    });
    of_four.collect()
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.browser.kill();
        let _ = self.browser.wait();
    }
}

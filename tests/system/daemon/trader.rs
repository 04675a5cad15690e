//! A trader's quarter hour: why the strategy that is nearest to live is not, and when it may be; what another one does
//! beside it; its trades as a file; its report. On the demo, which is kept and looked at by other commands afterwards.

use super::{
    page::{Page, axe},
    support::{self, tools::not_checked},
};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Until the demo has strategies in shadow whose evidence is known; its first session takes most of it.
const PATIENCE: Duration = Duration::from_secs(240);

struct Demo {
    child: Child,
    base: String,
    /// What it said on standard error.
    said: std::sync::Arc<std::sync::Mutex<String>>,
}

/// A program that knows nothing of whoever runs the tests.
fn clean(program: &str, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().current_dir(dir).env("SG_DATA_DIR", dir.join("data"));
    for name in ["PATH", "HOME", "XDG_CACHE_HOME", "SG_POSTGRES_BIN"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command
}

impl Demo {
    fn start(dir: &Path) -> Self {
        let mut command = clean(env!("CARGO_BIN_EXE_sg-ai"), dir);
        // Fails only when another test of this binary was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        command.env("SG_POPULATION_SIZE", "60");
        command.args(["demo", "--keep", "kept", "--day", "1s", "--service-port", "0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let said = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
        let mut base = None;
        for line in lines.by_ref() {
            if let Some((_, rest)) = line.split_once("Dashboard ") {
                base = rest.split('/').nth(2).map(|at| format!("http://{at}"));
                break;
            }
            said.lock().unwrap().push_str(&format!("{line}\n"));
        }
        let keep = said.clone();
        std::thread::spawn(move || lines.for_each(|line| keep.lock().unwrap().push_str(&format!("{line}\n"))));
        let base = base.unwrap_or_else(|| panic!("it does not start: {}", said.lock().unwrap()));
        Self { child, base, said }
    }

    async fn get(&self, path: &str) -> Value {
        reqwest::get(format!("{}{path}", self.base)).await.unwrap().json().await.unwrap()
    }

    /// The strategy in shadow with the most evidence, once there are two; `None` in vain.
    async fn nearest(&self) -> Option<Value> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let overview = self.get("/api/overview").await;
            let shadow = overview["shadow"].as_array().cloned().unwrap_or_default();
            if shadow.len() > 1 && shadow[0]["log_needed"].is_number() {
                return Some(shadow[0].clone());
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        None
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // Where the test broke off: it ends its own server, too.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

const CLICK: &str = "const one = (name) => [...document.querySelectorAll('main a, main button')].find((b) => b.textContent.startsWith(name));";

#[tokio::test(flavor = "multi_thread")]
async fn a_trader_finds_why_the_nearest_is_not_live_compares_exports_and_reads() {
    let Some(mut page) = Page::open().await else {
        return not_checked("Chromium that starts", "a trader's quarter hour");
    };
    // Finds or installs the server programs that the demo needs, too.
    let _database = support::empty_database().await;
    let dir = TempDir::new().unwrap();
    let mut demo = Demo::start(dir.path());
    let Some(nearest) = demo.nearest().await else { panic!("{}", demo.said.lock().unwrap()) };
    let (name, number) = (nearest["name"].as_str().unwrap(), nearest["strategy_id"].as_i64().unwrap());

    // The picture of the README, where somebody wants it anew.
    if let Some(path) = std::env::var_os("SG_AI_SCREENSHOT") {
        page.screenshot(&format!("{}/#/strategy/{number}", demo.base), Path::new(&path)).await;
    }
    // Where it stands is on the first page; a click tells why it is not live, and when it may be.
    page.width(1280).await;
    page.call("Page.navigate", json!({ "url": format!("{}/", demo.base) })).await;
    page.titled("Overview").await;
    page.until("[...document.querySelectorAll('.evidence')].some((e) => /^E [0-9.^]+ of /.test(e.textContent))").await;
    page.evaluate(&format!("document.querySelector('main a[href=\"#/strategy/{number}\"]').click(); true")).await;
    page.titled(name).await;
    page.until("[...document.querySelectorAll('h2')].some((head) => head.textContent.startsWith('Evidence'))").await;
    // Its requirements are known once the gate was asked; it may have gone live meanwhile, and is told so then.
    page.until(
        "/missing|met|live/.test(document.querySelector('main').innerText)
         && /Live: (about|cannot be told)|Promoted/.test(document.querySelector('main').innerText)",
    )
    .await;

    // Everything that its trades say: curve beside buy and hold, rolling figures, series of its rules, every trade.
    page.until("document.querySelectorAll('.uplot').length >= 6 && document.querySelector('table.trades') !== null")
        .await;
    page.until("document.querySelector('.candles canvas') !== null").await;
    let shown = page.evaluate("document.querySelector('main').innerText").await;
    for part in ["buy and hold", "Volatility, annualised", "By symbol and side", "best within", "Worst drawdowns"] {
        assert!(shown.as_str().unwrap().to_lowercase().contains(&part.to_lowercase()), "{part}: {shown}");
    }
    let sorted = format!(
        "(() => {{ {CLICK} document.querySelector('[data-by=profit]').click();
            const profits = [...document.querySelectorAll('table.trades tbody tr')].map((row) => Number(row.children[7].textContent.replaceAll(',', '')));
            return profits.length > 1 && profits.every((p, i) => i === 0 || profits[i - 1] >= p); }})()"
    );
    assert_eq!(page.evaluate(&sorted).await, true, "sorted by profit, the best first");

    // As a file.
    let downloads = dir.path().join("downloads");
    std::fs::create_dir(&downloads).unwrap();
    page.call("Page.setDownloadBehavior", json!({ "behavior": "allow", "downloadPath": downloads })).await;
    page.evaluate(&format!("(() => {{ {CLICK} one('Save these trades').click(); }})(); true")).await;
    let file = downloads.join(format!("{name}-trades.csv"));
    let begun = Instant::now();
    while !file.exists() && begun.elapsed() < Duration::from_secs(30) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let text = std::fs::read_to_string(&file).unwrap();
    let count = page.evaluate("document.querySelector('table.trades') && Number(/of ([0-9,]+)/.exec(document.querySelector('main').innerText.split('best within').pop())[1].replaceAll(',', ''))").await;
    assert_eq!(text.lines().count() as i64 - 1, count.as_i64().unwrap_or_default(), "a line each: {count}");
    assert!(text.starts_with("period,symbol,side,entry_time,"), "{text}");

    // Its report, a page of its own.
    let link = "document.querySelector('main a[href$=\"/report?trades=1000\"]').href";
    let report = page.evaluate(link).await;
    let report = reqwest::get(report.as_str().unwrap()).await.unwrap();
    assert_eq!(report.status(), 200);
    let report = report.text().await.unwrap();
    for part in [name, "simulated", "buy and hold", "Decisions"] {
        assert!(report.contains(part), "{part}");
    }

    // Beside another one.
    page.evaluate(&format!("(() => {{ {CLICK} one('Compare').click(); }})(); true")).await;
    page.titled("Compare").await;
    let all = demo.get("/api/strategies?state=candidate,shadow,live&limit=20").await;
    let other = all["items"].as_array().unwrap().iter().find(|row| row["strategy_id"] != number).unwrap();
    page.evaluate(&format!(
        "document.querySelector('input[name=add]').value = '{}'; document.querySelector('main form').requestSubmit(); true",
        other["strategy_id"]
    ))
    .await;
    page.until("document.querySelectorAll('.chip').length === 2 && document.querySelectorAll('.u-legend .u-series').length === 3")
        .await;
    let shown = page.evaluate("document.querySelector('main').innerText").await;
    for part in [name, other["name"].as_str().unwrap(), "Sharpe ratio", "E, out of sample"] {
        assert!(shown.as_str().unwrap().contains(part), "{part}: {shown}");
    }
    // By the same figures that the strategy's own page has.
    let correlations = demo.get("/api/correlations").await;
    let size = correlations["strategies"].as_array().unwrap().len();
    assert!(size > 1 && correlations["correlation"].as_array().unwrap().len() == size, "{correlations}");

    // Nothing on any page keeps people out, in either theme.
    match axe() {
        None => not_checked("axe-core, nor npm to install it", "whether people can use the pages"),
        Some(axe) => {
            for theme in ["light", "dark"] {
                for place in [
                    "",
                    "strategies",
                    &format!("strategy/{number}"),
                    "compare",
                    "book",
                    "evolution",
                    "optimizations",
                    "data",
                    "operations",
                    "media",
                    "settings",
                ] {
                    page.evaluate(&format!(
                        "document.querySelector('main').replaceChildren(); document.documentElement.dataset.theme = '{theme}';
                         location.hash = '#/{place}'; dispatchEvent(new HashChangeEvent('hashchange')); true"
                    ))
                    .await;
                    page.until("document.querySelector('main h1') !== null").await;
                    if place.starts_with("strategy/") {
                        page.until("document.querySelector('.candles canvas') !== null").await;
                    }
                    let found = page.serious(&axe).await;
                    assert!(found.is_empty(), "#/{place}, {theme}: {found:#?}");
                }
            }
        }
    }
    assert!(page.complaints.is_empty(), "{:?}", page.complaints);

    // The demo ends, and what it kept is opened by the commands that it names.
    let ended = Command::new("kill").args(["-INT", &demo.child.id().to_string()]).status().unwrap();
    assert!(ended.success());
    let mut told = String::new();
    std::io::Read::read_to_string(demo.child.stdout.as_mut().unwrap(), &mut told).unwrap();
    assert!(demo.child.wait().unwrap().success(), "{}", demo.said.lock().unwrap());
    let commands: Vec<&str> = told.lines().filter(|line| line.contains(" sg-ai ")).map(str::trim).collect();
    assert!(commands.len() >= 5, "{told}");
    for line in commands {
        let line = line.replace("sg-ai ", &format!("{} ", env!("CARGO_BIN_EXE_sg-ai")));
        let output = clean("sh", dir.path()).args(["-c", &line]).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

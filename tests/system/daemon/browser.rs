//! The dashboard in a real headless browser against a real daemon: loads, navigates, acts, is told live.

use super::{page::Page, ranking, service::Client, stage::Stage, support::tools::not_checked};
use serde_json::{Value, json};

const TOKEN: &str = "a token of this test alone";

/// Pages by the key that opens them.
const PAGES: [(&str, &str); 11] = [
    ("1", "Overview"),
    ("2", "Strategies"),
    ("3", "Evolution"),
    ("4", "Data"),
    ("5", "Operations"),
    ("6", "Optimisation"),
    ("7", "Media"),
    ("8", "Book"),
    ("9", "Settings"),
    ("0", "Models"),
    ("c", "Compare"),
];

/// The id of a stored optimisation of twelve points.
fn optimised(stage: &Stage) -> String {
    let text = r#"{"name": "cross", "timeframe": "15m",
        "long": {"entry": "ema(5) crosses above ema(30)", "exit": "ema(5) crosses below ema(30)"}}"#;
    std::fs::write(stage.dir.path().join("cross.json"), text).unwrap();
    let run = |words: &str| {
        let output = stage.command(&words.split(' ').collect::<Vec<_>>()).output().unwrap();
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    run("data download --symbols BTCUSDT --intervals 15m --from 2024-12-01 --to 2024-12-31");
    let told =
        run("optimize --strategy cross.json --symbols BTCUSDT --from 2024-12-04 --to 2024-12-28 --method grid --json \
         --param entry.long.1.ema.period=3,4,5,6 --param entry.long.1.right.ema.period=20,30,40 --least-trades 1");
    serde_json::from_slice::<Value>(&told).unwrap()["id"].as_str().unwrap().to_owned()
}

// The exchange answers while a command is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_loads_navigates_acts_and_is_told_live() {
    let Some(mut page) = Page::open().await else {
        return not_checked("Chromium that starts", "the dashboard in a browser");
    };
    let mut stage = Stage::new(5, 0.0).await;
    stage.set("SG_ACTION_TOKEN", TOKEN);
    let optimised = optimised(&stage);
    let mut daemon = stage.daemon("shadow");
    let base = daemon.url().await;
    let http = reqwest::Client::new();
    let strategy =
        json!({ "name": "to look at", "entry_rules": ["RSI < 30"], "risk_management": { "stop_loss_pct": 0.02 } });
    let stored = http.post(format!("{base}/strategies")).json(&strategy).send().await.unwrap();
    let id = stored.json::<Value>().await.unwrap()["strategy_id"].as_i64().unwrap();

    page.width(1280).await;
    page.call("Page.navigate", json!({ "url": format!("{base}/") })).await;
    page.titled("Overview").await;
    page.until("document.getElementById('pulse').className === 'pulse on'").await;
    page.until("!document.getElementById('simulated').hidden").await;
    page.press("?").await;
    page.until("document.querySelectorAll('dialog kbd').length === 15").await;
    page.evaluate("document.querySelector('dialog').close(); true").await;
    page.without_dialog().await;
    let bytes = page.received_bytes;
    assert!(bytes > 10_000.0 && bytes < 200_000.0, "{bytes} bytes at first");

    // By keys from page to page, wide and narrow: nothing scrolls sideways, and the list of strategies fits.
    for width in [1280, 390] {
        page.width(width).await;
        for (key, title) in PAGES.into_iter().rev() {
            page.press(key).await;
            page.titled(title).await;
            let fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth";
            assert_eq!(page.evaluate(fits).await, true, "{title} at {width}");
            if width == 390 {
                // Cards beyond the first are folded: a few screens a page.
                page.until("document.documentElement.scrollHeight < 5 * innerHeight").await;
            }
        }
        page.press("2").await;
        page.until("document.querySelector('table.cards a')?.textContent === 'to look at'").await;
        let fits = "[...document.querySelectorAll('.scroll')].every((s) => s.scrollWidth <= s.clientWidth)";
        assert_eq!(page.evaluate(fits).await, true, "the list of strategies at {width}");
    }
    // A stored optimisation: every part of what it says is drawn, wide and narrow.
    for width in [1280, 390] {
        page.width(width).await;
        page.evaluate(&format!("location.hash = '#/optimizations/{optimised}'; true")).await;
        page.titled("cross").await;
        page.until(
            "['What may be believed', 'Walk-forward matrix', 'Importance', 'Parallel coordinates', 'The best points'].every(
                (part) => [...document.querySelectorAll('h2')].some((head) => head.textContent === part))
             && document.querySelectorAll('table.heat td[title]').length === 12
             && document.querySelectorAll('main svg path').length === 12",
        )
        .await;
        let fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth";
        assert_eq!(page.evaluate(fits).await, true, "an optimisation at {width}");
    }
    page.press("2").await;
    page.titled("Strategies").await;
    page.until("document.querySelector('table.cards a')?.textContent === 'to look at'").await;
    page.width(1280).await;
    let before = page.evaluate("getComputedStyle(document.body).backgroundColor").await;
    page.press("t").await;
    assert_ne!(page.evaluate("getComputedStyle(document.body).backgroundColor").await, before, "the theme changes");

    // Without a pointer: links, sorting, filters and a strategy are reached by the Tab key, and a link opens by Enter.
    page.evaluate("document.activeElement.blur(); true").await;
    let mut reached = Vec::new();
    for _ in 0..64 {
        page.press("Tab").await;
        let name = "document.activeElement.name || document.activeElement.textContent";
        reached.push(page.evaluate(name).await.as_str().unwrap_or_default().to_owned());
    }
    for wanted in
        ["Overview", "Strategies", "Evolution", "Data", "Operations", "Theme", "q", "state", "Sharpe", "to look at"]
    {
        assert!(reached.iter().any(|name| name == wanted), "{wanted} is not among {reached:?}");
    }
    page.evaluate("document.querySelector('table.cards a').focus(); true").await;
    page.press("Enter").await;
    page.titled("to look at").await;
    // It was never measured: there is nothing to compute from, and the page says so.
    page.evaluate(
        "[...document.querySelectorAll('main button')].find((b) => b.textContent === 'Compute it now').click(); true",
    )
    .await;
    page.until(
        "document.querySelector('main [role=alert]')?.textContent.includes('nothing has been measured') ?? false",
    )
    .await;
    // That answer, a 404, is what the browser logs as an error.
    assert!(page.complaints.iter().all(|c| c.contains("404")), "{:?}", page.complaints);
    page.complaints.clear();

    // Acts as an operator does: button, reason, token.
    page.act("Approve", "seen in a browser", "not the token").await;
    page.until("document.querySelector('dialog .error').textContent.includes('token')").await;
    assert!(page.complaints.iter().all(|c| c.contains("401")), "{:?}", page.complaints);
    page.complaints.clear();
    page.evaluate(&format!(
        "document.querySelector('dialog input[type=password]').value = '{TOKEN}';
         document.querySelector('dialog form').requestSubmit(); true"
    ))
    .await;
    page.until("document.querySelector('.head .state')?.textContent === 'shadow'").await;
    let sql = "select count(*) from operator_commands where kind = 'approve' and expected_state = 'candidate'
        and client_key ~ '^[0-9a-f]{32}$'";
    assert_eq!(super::books::count(&stage.client().await, sql).await, 1, "said for which state, under one name");
    page.without_dialog().await;
    page.press("5").await;
    page.titled("Operations").await;
    page.act("Pause", "a rest", TOKEN).await;
    page.until("document.querySelector('main').textContent.includes('rests: a rest')").await;
    page.act("Resume", "rested", TOKEN).await;
    page.until("!document.querySelector('main').textContent.includes('rests: a rest')").await;

    // What others do is told.
    page.without_dialog().await;
    page.press("1").await;
    page.until("document.querySelector('ul.feed')?.textContent.includes('seen in a browser') ?? false").await;
    let body = json!({ "why": "done from elsewhere" });
    let request = http.post(format!("{base}/api/strategies/{id}/disable")).bearer_auth(TOKEN).json(&body);
    assert_eq!(request.send().await.unwrap().status(), 200);
    page.until("document.querySelector('ul.feed').textContent.includes('done from elsewhere')").await;

    // There is no book, and the browser logs the answer that says so.
    page.complaints.retain(|complaint| !complaint.contains("/api/book"));
    assert!(page.complaints.is_empty(), "{:?}", page.complaints);
    let left: Vec<_> = page.asked.iter().filter(|url| !url.starts_with(&base) && !url.starts_with("data:")).collect();
    assert!(left.is_empty(), "requests left the origin: {left:?}");

    // Once nobody answers, nothing on the page is called healthy, and figures are no longer shown as if they were of now.
    page.until("document.querySelector('.dot.health') !== null").await;
    daemon.stop().await;
    page.until(
        "'stale' in document.documentElement.dataset && !document.getElementById('lost').hidden
         && getComputedStyle(document.querySelector('.dot.health')).visibility === 'hidden'",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_ranks_the_market_has_its_page() {
    let Some(mut page) = Page::open().await else {
        return not_checked("Chromium that starts", "the page of a strategy that ranks the market in a browser");
    };
    let mut stage = Stage::new(3, 0.0).await;
    stage.set("SG_ACTION_TOKEN", TOKEN);
    stage.set("SG_GENERATION_INTERVAL", "100000000");
    ranking::cached(&stage).await;
    let mut daemon = stage.daemon("shadow");
    let client = Client { base: daemon.url().await, http: reqwest::Client::new() };
    let strategy = json!({ "name": "by momentum", "strategy": ranking::TEXT });
    let (_, stored) = client.post("/strategies", &strategy, None).await;
    let id = stored["strategy_id"].as_i64().unwrap();

    // Before a backtest it says what is missing.
    page.width(1280).await;
    page.call("Page.navigate", json!({ "url": format!("{}/#/strategy/{id}", client.base) })).await;
    page.titled("by momentum").await;
    page.until("document.querySelector('main').textContent.includes('No backtest of it is stored')").await;
    let order = json!({ "start_date": "2024-11-25", "end_date": "2025-01-01" });
    let mut wanted = ranking::order(id);
    wanted.as_object_mut().unwrap().extend(order.as_object().unwrap().clone());
    let (status, ran) = client.post("/backtest", &wanted, None).await;
    assert_eq!(status, 200, "{ran}");

    for width in [1280, 390] {
        page.width(width).await;
        page.call("Page.reload", json!({})).await;
        page.titled("by momentum").await;
        page.unfold().await;
        page.until(
            "document.querySelectorAll('.uplot').length >= 3 && document.querySelector('canvas[role=img]') !== null",
        )
        .await;
        let shown = page.evaluate("document.querySelector('main').innerText").await;
        let sharpe = format!("{:.2}", ran["portfolio"]["hedged"]["sharpe_ratio"].as_f64().unwrap());
        let parts = [
            "Ranks them by",
            "hedged",
            &sharpe,
            "equal weight",
            "Weights over time",
            "ETHUSDT",
            "Nothing has been decided",
        ];
        for part in parts {
            assert!(shown.as_str().unwrap().contains(part), "{part} at {width}: {shown}");
        }
        let fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth";
        assert_eq!(page.evaluate(fits).await, true, "at {width}");
        let approve = "[...document.querySelectorAll('main button')].some((b) => b.textContent.startsWith('Approve'))";
        assert_eq!(page.evaluate(approve).await, true, "an operator may let it in");
    }
    page.call("Page.navigate", json!({ "url": format!("{}/#/strategies", client.base) })).await;
    page.until("document.querySelector('table.cards')?.textContent.includes('its universe') ?? false").await;
    assert!(page.complaints.is_empty(), "{:?}", page.complaints);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn media_items_have_their_pages() {
    let Some(mut page) = Page::open().await else {
        return not_checked("Chromium that starts", "the pages of media items in a browser");
    };
    let mut stage = Stage::new(3, 0.0).await;
    stage.set("SG_GENERATION_INTERVAL", "100000000");
    stage.set("MIN_SHARPE_RATIO", "50");
    let mut daemon = stage.daemon("shadow");
    let client = Client { base: daemon.url().await, http: reqwest::Client::new() };
    stage.client().await.batch_execute(&super::media::exchange_clock()).await.unwrap();
    let hit = json!({
        "keyword": "<b>RSI</b>", "category": "technical_indicator", "start_time": 1, "end_time": 2, "confidence": 0.9
    });
    let said = json!({ "text": "golden cross on the hourly chart, seven hour chart", "start_time": 3, "end_time": 9 });
    let item = json!({ "keyword_hits": [hit], "transcripts": [said], "embeddings": [[1.0, 2.0]] });
    for id in [42, 43] {
        assert_eq!(client.post(&format!("/media/{id}/features"), &item, None).await.0, 201);
    }
    let (status, told) = client.post("/media/42/strategies", &json!({}), None).await;
    assert_eq!(status, 200, "{told}");

    page.call("Page.navigate", json!({ "url": format!("{}/#/media", client.base) })).await;
    page.titled("Media").await;
    for width in [1280, 390] {
        page.width(width).await;
        page.until("document.querySelectorAll('main tr.row').length === 2").await;
        page.unfold().await;
        let shown = page.evaluate("document.querySelector('main').innerText").await;
        for part in ["none proposed", "features: not promoted", "lexicon: not promoted", "(2)"] {
            assert!(shown.as_str().unwrap().contains(part), "{part} at {width}: {shown}");
        }
        let fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth";
        assert_eq!(page.evaluate(fits).await, true, "the list at {width}");
    }
    page.evaluate("document.querySelector('main tr.row a[href=\"#/media/42\"]').click(); true").await;
    page.titled("Media item 42").await;
    for width in [1280, 390] {
        page.width(width).await;
        page.unfold().await;
        let shown = page.evaluate("document.querySelector('main').innerText").await;
        let parts = [
            "Video_Strategy_42",
            "Video_Strategy_42_lexicon",
            "1h; long when rsi(14) < 30 and sma(50) crosses above sma(200)",
            "MIN_SHARPE_RATIO",
            "candidate",
            "golden cross",
            "Left out: \"seven hour chart\"",
            "It counts as one trial",
            "avg_confidence",
            // As text, whatever it looks like.
            "<b>RSI</b>",
        ];
        for part in parts {
            assert!(shown.as_str().unwrap().contains(part), "{part} at {width}: {shown}");
        }
        let fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth";
        assert_eq!(page.evaluate(fits).await, true, "the item at {width}");
    }
    page.call("Page.navigate", json!({ "url": format!("{}/#/media/7", client.base) })).await;
    page.until("document.querySelector('main [role=alert]')?.textContent.includes('7') ?? false").await;
    assert!(page.complaints.iter().all(|c| c.contains("404")), "{:?}", page.complaints);
    daemon.stop().await;
}

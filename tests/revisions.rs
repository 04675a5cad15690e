//! One candle revised: exactly the results that rested on it are listed and computed again, and no other.

// A failed assumption of a test is a failed test.
#![allow(clippy::unwrap_used)]

#[path = "support/mod.rs"]
mod support;

use genome::{StrategyFile, random::Seed};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sg_ai::{
    daemon::replay::{Recipe, RunConfig},
    engine::{Costs, Engine, EngineConfig, ExitReason, Outcome, SymbolWindow, Wanted, Window},
    lifecycle::{Check, Decision, Transition, Verdict},
    market::{
        CandleCache, CandleSeries, Interval, MarketKind, Symbol,
        cache::Provenance,
        simulated::{MarketSpec, SimulatedMarket},
        snapshot,
    },
    store::{
        CandidateRecord, Judgement, NewPaperRun, NewSession, NewStrategy, PaperPass, Store, TransitionRecord,
        WindowStat,
    },
};
use std::sync::Arc;
use support::{TestDatabase, database};
use tempfile::TempDir;
use uuid::Uuid;

/// 2024-01-01.
const START_MS: i64 = 1_704_067_200_000;
const DAY_MS: i64 = 86_400_000;
const M15: Interval = Interval::M15;
const SPOT: MarketKind = MarketKind::Spot;

const fn day(n: i64) -> i64 {
    START_MS + n * DAY_MS
}

fn strategy(fast: u32) -> genome::Strategy {
    let text = format!(
        r#"{{"name": "cross", "timeframe": "15m", "long": {{"entry": "ema({fast}) crosses above ema(30)",
            "exit": "ema({fast}) crosses below ema(30)"}}, "risk": {{"stop_loss": "2%"}}}}"#
    );
    StrategyFile::parse(&text).unwrap().strategy
}

struct Place {
    dir: TempDir,
    cache: CandleCache,
    database: TestDatabase,
    store: Store,
}

impl Place {
    async fn new() -> Self {
        let (database, store) = database().await;
        let dir = TempDir::new().unwrap();
        let cache = CandleCache::open(&dir.path().join("candles")).unwrap();
        let symbols: Vec<Symbol> = ["BTCUSDT", "ETHUSDT"].map(|s| s.parse().unwrap()).to_vec();
        let market = SimulatedMarket::new(MarketSpec::noise(Seed(3), START_MS, &symbols)).unwrap();
        for symbol in &symbols {
            let series = market.candles(symbol, M15, START_MS, day(50)).unwrap();
            cache.merge(SPOT, symbol, &series, &made()).await.unwrap();
        }
        Self { dir, cache, database, store }
    }

    /// Another close for the candle of BTCUSDT that opens then.
    async fn revise(&self, open_ms: i64) {
        let btc: Symbol = "BTCUSDT".parse().unwrap();
        let series = self.cache.load_stored(SPOT, &btc, M15, open_ms, open_ms + 1).await.unwrap();
        let mut candle = series.candle(0);
        candle.close *= 1.04;
        candle.high = candle.high.max(candle.close);
        let revised = CandleSeries::from_candles(M15, &[candle]).unwrap();
        assert_eq!(self.cache.merge(SPOT, &btc, &revised, &made()).await.unwrap().replaced, 1);
    }

    fn config(symbol: &Symbol) -> RunConfig {
        RunConfig {
            market: SPOT,
            symbols: vec![symbol.clone()],
            interval: M15,
            costs: Costs::default(),
            initial_capital: 7_000.0,
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    async fn window(&self, symbol: &Symbol, from_ms: i64, to_ms: i64) -> Window {
        let candles = self.cache.load(SPOT, symbol, M15, START_MS, to_ms).await.unwrap();
        let symbol = symbol.clone();
        let funding = Arc::from([]);
        let window = SymbolWindow { market: SPOT, symbol, candles: Arc::new(candles), finer: None, funding };
        Window::new(from_ms, to_ms, vec![window]).unwrap()
    }

    async fn outcome(&self, symbol: &Symbol, fast: u32, from_ms: i64, to_ms: i64) -> Outcome {
        let engine = Engine::new(EngineConfig { initial_capital: 7_000.0, ..EngineConfig::default() });
        let wanted = Wanted { ledger: true, ..Wanted::default() };
        let window = self.window(symbol, from_ms, to_ms).await;
        engine.evaluate(&[strategy(fast)], &window, &Costs::default(), wanted).pop().unwrap().unwrap()
    }

    /// Searched on days 10 to 30, held out to day 40, in shadow to `shadow_to`; where that is day 45 and `live`, then
    /// live to day 50.
    async fn story(&self, name: &str, symbol: &str, fast: u32, shadow_to: i64, live: bool) -> Uuid {
        let lease = self.store.try_acquire_lease("work").await.unwrap().unwrap();
        let token = lease.token();
        let symbol: Symbol = symbol.parse().unwrap();
        let spec = NewSession {
            island: name.to_owned(),
            number: 1,
            seed: Seed(1),
            config: json!({ "warmup_ms": 10 * DAY_MS }),
            symbols: vec![symbol.clone()],
            market: SPOT,
            timeframe: M15,
            window_from_ms: day(10),
            holdout_from_ms: day(30),
            window_to_ms: day(40),
            data_version: self.window(&symbol, day(10), day(40)).await.data_version(),
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let session = self.store.open_session(&token, &spec).await.unwrap();
        let genome = strategy(fast);
        let id = Uuid::now_v7();
        let new = NewStrategy {
            id,
            name: name.to_owned(),
            genome: serde_json::to_value(&genome).unwrap(),
            canonical: genome.to_string(),
            genome_hash: genome.hash().to_string(),
            kind: "evolved".to_owned(),
            version: "1.0.0".to_owned(),
            parent_hashes: Vec::new(),
            generation: 3,
            island: Some(name.to_owned()),
            session_id: Some(session.id),
            symbols: vec![symbol.clone()],
            market: SPOT,
            timeframe: M15,
            seen_until_ms: Some(day(40)),
            created_by: "search".to_owned(),
        };
        let recipe = Recipe { config: Self::config(&symbol), warmup_from_ms: START_MS, data_to_ms: Some(day(40)) };
        let stat = async |from_ms, to_ms| {
            let performance = self.outcome(&symbol, fast, from_ms, to_ms).await.performance;
            Some(WindowStat { from_ms, to_ms, performance, trades: Vec::new() })
        };
        let judgement = Judgement {
            backtest: stat(day(10), day(30)).await,
            holdout: stat(day(30), day(40)).await,
            parameters: serde_json::to_value(&recipe).unwrap(),
            transition: Some(Self::moves(id, &symbol, Transition::EnterShadow, day(40))),
            ..Judgement::default()
        };
        let candidate = CandidateRecord { strategy: new, judgement };
        self.store.finish_session(&token, session.id, &[candidate], &[]).await.unwrap();
        self.pass(id, &symbol, fast, day(40), shadow_to).await;
        if live {
            let record = Self::moves(id, &symbol, Transition::GoLive, shadow_to);
            self.store.apply_transition(&record, Some(&token)).await.unwrap();
            self.pass(id, &symbol, fast, shadow_to, day(50)).await;
        }
        lease.release().await;
        id
    }

    fn moves(id: Uuid, symbol: &Symbol, transition: Transition, at_ms: i64) -> TransitionRecord {
        let check = Check { name: "made".into(), needed: ">= 1".into(), had: Some(7.0), passed: true };
        let summary = "meets every requirement".to_owned();
        let decision = Decision { verdict: Verdict::Move(transition), summary, checks: vec![check] };
        let mut record = TransitionRecord::from_decision(id, "made/1", decision, json!({}), "gate", at_ms).unwrap();
        let config = serde_json::to_value(Self::config(symbol)).unwrap();
        record.run = Some(NewPaperRun { warmup_from_ms: START_MS, config });
        record
    }

    async fn pass(&self, id: Uuid, symbol: &Symbol, fast: u32, from_ms: i64, to_ms: i64) {
        let lease = self.store.try_acquire_lease("paper").await.unwrap().unwrap();
        let detail = self.store.strategy(&id.to_string()).await.unwrap();
        let run = detail.paper_runs.iter().find(|r| r.ended_at.is_none()).unwrap();
        let outcome = self.outcome(symbol, fast, from_ms, to_ms).await;
        let ledger = outcome.ledger.unwrap();
        let closed: Vec<_> = ledger.trades.into_iter().filter(|t| t.exit_reason != ExitReason::EndOfWindow).collect();
        let pass = PaperPass {
            run_id: run.id,
            to_ms,
            data_version: Some(self.window(symbol, from_ms, to_ms).await.data_version()),
            performance: outcome.performance,
            closed_trades: u32::try_from(closed.len()).unwrap(),
            open_positions: json!([]),
            trades: closed,
            daily_equity: ledger.daily_equity,
        };
        self.store.record_paper_pass(&lease.token(), &pass).await.unwrap();
        lease.release().await;
    }

    async fn affected(&self, args: &[&str]) -> Value {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_sg-ai"))
            .args(["data", "affected", "--json"])
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("SG_DATA_DIR", self.dir.path())
            .env("DATABASE_URL", self.database.url.expose_secret())
            .output()
            .await
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Every stored figure with the version of its candles, by strategy.
    async fn figures(&self) -> Vec<(String, String)> {
        let sql = "select s.name, string_agg(t.source || t.window_from_ms || t.data_version || t.performance::text,
                ' ' order by t.source, t.window_from_ms)
            from strategy_stats t join strategies s on s.id = t.strategy_id group by s.name order by s.name";
        let rows = self.database.client().await.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }
}

fn made() -> Provenance {
    Provenance { source: "simulated".into(), fetched_at_ms: START_MS }
}

/// Names of affected strategies, each with its affected results.
fn listed(report: &Value) -> Vec<(String, Vec<String>)> {
    let mut all: Vec<_> = report["strategies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| {
            let runs = s["runs"].as_array().unwrap().iter().map(|r| r["source"].as_str().unwrap().to_owned());
            (s["name"].as_str().unwrap().to_owned(), runs.collect())
        })
        .collect();
    all.sort();
    all
}

fn of(name: &str, sources: &[&str]) -> (String, Vec<String>) {
    (name.to_owned(), sources.iter().map(|s| (*s).to_owned()).collect())
}

#[tokio::test]
async fn exactly_what_rested_on_a_revised_candle_is_listed_and_scored_again() {
    let place = Place::new().await;
    place.story("live", "BTCUSDT", 5, day(45), true).await;
    place.story("shadow", "BTCUSDT", 6, day(50), false).await;
    place.story("early", "BTCUSDT", 7, day(46), false).await;
    place.story("other", "ETHUSDT", 8, day(50), false).await;
    snapshot::take(&place.cache, Some("before"), day(50)).await.unwrap();
    let before = place.figures().await;
    let nothing = place.affected(&["before"]).await;
    assert_eq!((listed(&nothing), nothing["changes"].as_array().map(Vec::len)), (vec![], Some(0)));

    // Day 47: looked at by the live run and one shadow run, by nothing that ended earlier.
    place.revise(day(47)).await;
    let report = place.affected(&["before"]).await;
    assert_eq!(listed(&report), [of("live", &["live"]), of("shadow", &["shadow"])], "{report:#}");
    assert_eq!((report["sessions"].as_array().map(Vec::len), &report["untouched"]), (Some(0), &json!(1)));
    assert_eq!(report["changes"][0]["candles"][0]["open_time_ms"], day(47));
    let live = report["strategies"].as_array().unwrap().iter().find(|s| s["name"] == "live").unwrap();
    assert!(live["deployment"].is_string(), "{live}");
    assert_eq!(place.figures().await, before, "listing changes nothing");

    let done = place.affected(&["all", "--rescore"]).await;
    let rescored: Vec<_> = done["rescored"].as_array().unwrap().iter().map(|o| &o["rescored"]).collect();
    assert_eq!(rescored, [&json!(1), &json!(1)], "{done:#}");
    assert!(done["rescored"][0]["decision"].is_string(), "the gate was asked: {done:#}");
    let after = place.figures().await;
    let changed: Vec<&str> = before.iter().zip(&after).filter(|(a, b)| a != b).map(|(a, _)| a.0.as_str()).collect();
    assert_eq!(changed, ["live", "shadow"], "no other figure moved");
    assert_eq!(listed(&place.affected(&["before"]).await), [], "what is scored again rests on them no more");
    assert_eq!(place.affected(&["all", "--rescore"]).await["rescored"], json!([]), "once is enough");

    let audit = "select entity_id, metadata ->> 'cause' from audit_logs
        where event_type = 'data_changed' and entity_type = 'strategy' order by id";
    let entries = place.database.client().await.query(audit, &[]).await.unwrap();
    assert_eq!(entries.len(), 2);
    let cause: String = entries[0].get(1);
    assert_eq!(cause, "the exchange revised 1 candles of spot BTCUSDT 15m 2024-02");
    assert!(place.store.verify_audit_chain().await.unwrap().first_bad.is_none());

    // Day 20: everything on that symbol looked at it, its sessions too.
    place.revise(day(20)).await;
    let report = place.affected(&["before"]).await;
    let all = ["backtest", "holdout", "shadow"];
    let live = ["backtest", "holdout", "shadow", "live"];
    assert_eq!(listed(&report), [of("early", &all), of("live", &live), of("shadow", &all)]);
    let islands: Vec<_> = report["sessions"].as_array().unwrap().iter().map(|s| &s["island"]).collect();
    assert_eq!(islands, ["live", "shadow", "early"]);
}

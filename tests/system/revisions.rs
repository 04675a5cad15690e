//! One candle revised: exactly the results that rested on it are listed and computed again, and no other.

use crate::{
    story::{START_MS, Story, day},
    support::{TestDatabase, database},
};
use candles::stored::{CandleRange, Part};
use candles::{CandleSeries, FundingRate, Interval, MarketKind, Symbol, Ticker};
use genome::{StrategyFile, random::Seed};
use lifecycle::Transition;
use market::{
    Binance, CandleCache, Feed, MarketConfig,
    budget::{InUse, keep_within},
    cache::Provenance,
    simulator::{ExchangeConfig, SimulatedExchange},
    snapshot,
};
use protocol::Did;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use simulated::{MarketSpec, SimulatedMarket};
use std::{collections::BTreeSet, process::Output, sync::Arc};
use store::Store;
use tempfile::TempDir;
use uuid::Uuid;

const M15: Interval = Interval::M15;
const SPOT: MarketKind = MarketKind::Spot;

fn strategy(fast: u32) -> genome::Strategy {
    let text = format!(
        r#"{{"name": "cross", "timeframe": "15m", "long": {{"entry": "ema({fast}) crosses above ema(30)",
            "exit": "ema({fast}) crosses below ema(30)"}}, "risk": {{"stop_loss": "2%"}}}}"#
    );
    StrategyFile::parse(&text).unwrap().strategy
}

pub(crate) struct Place {
    pub(crate) dir: TempDir,
    cache: CandleCache,
    pub(crate) database: TestDatabase,
    pub(crate) store: Store,
}

impl Place {
    pub(crate) async fn new() -> Self {
        let place = Self::empty().await;
        let symbols: Vec<Symbol> = ["BTCUSDT", "ETHUSDT"].map(|s| s.parse().unwrap()).to_vec();
        let market = SimulatedMarket::new(MarketSpec::noise(Seed(3), START_MS, &symbols)).unwrap();
        for symbol in &symbols {
            let series = market.candles(symbol, M15, START_MS, day(50)).unwrap();
            place.cache.merge(&Ticker::of(SPOT, symbol), &series, &made()).await.unwrap();
        }
        place
    }

    async fn empty() -> Self {
        let (database, store) = database().await;
        let dir = TempDir::new().unwrap();
        let cache = CandleCache::open(&dir.path().join("candles")).unwrap();
        Self { dir, cache, database, store }
    }

    /// Another close for the candle of BTCUSDT that opens then.
    async fn revise(&self, open_ms: i64) {
        let btc: Symbol = "BTCUSDT".parse().unwrap();
        let series = self.cache.load_stored(&Ticker::of(SPOT, &btc), M15, open_ms, open_ms + 1).await.unwrap();
        let mut candle = series.candle(0);
        candle.close *= 1.04;
        candle.high = candle.high.max(candle.close);
        let revised = CandleSeries::from_candles(M15, &[candle]).unwrap();
        assert_eq!(
            self.cache.merge_fetched(&Ticker::of(SPOT, &btc), &revised, &made(), None).await.unwrap().replaced,
            1
        );
    }

    /// Searched on days 10 to 30, held out to day 40, in shadow to `shadow_to`; where that is day 45 and `live`, then
    /// live to day 50.
    async fn story(&self, name: &str, symbol: &str, fast: u32, shadow_to: i64, live: bool) -> Uuid {
        self.story_on(SPOT, name, symbol, fast, shadow_to, live).await
    }

    async fn story_on(
        &self,
        market: MarketKind,
        name: &str,
        symbol: &str,
        fast: u32,
        shadow_to: i64,
        live: bool,
    ) -> Uuid {
        self.story_of(market, name, symbol, strategy(fast), shadow_to, live).await
    }

    pub(crate) async fn story_of(
        &self,
        market: MarketKind,
        name: &str,
        symbol: &str,
        genome: genome::Strategy,
        shadow_to: i64,
        live: bool,
    ) -> Uuid {
        let lease = self.store.try_acquire_lease("work").await.unwrap().unwrap();
        let token = lease.token();
        let symbol: Symbol = symbol.parse().unwrap();
        let (cache, store) = (&self.cache, &self.store);
        let story = Story { cache, store, market, symbol, name, island: name, genome };
        let id = story.begin(&token).await;
        story.pass(&token, id, day(40), shadow_to).await;
        if live {
            let record = story.moves(id, Transition::GoLive, shadow_to);
            self.store.apply_transition(&record, Some(&token)).await.unwrap();
            story.pass(&token, id, shadow_to, day(50)).await;
        }
        lease.release().await;
        id
    }

    async fn data(&self, args: &[&str]) -> Output {
        let args: Vec<&str> = ["data"].into_iter().chain(args.iter().copied()).collect();
        self.command(&args).await
    }

    pub(crate) async fn command(&self, args: &[&str]) -> Output {
        tokio::process::Command::new(env!("CARGO_BIN_EXE_sg-ai"))
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("SG_DATA_DIR", self.dir.path())
            .env("DATABASE_URL", self.database.url.expose_secret())
            .output()
            .await
            .unwrap()
    }

    pub(crate) async fn affected(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = ["affected", "--json"].into_iter().chain(args.iter().copied()).collect();
        let output = self.data(&args).await;
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Every stored figure with the version of its candles, by strategy.
    pub(crate) async fn figures(&self) -> Vec<(String, String)> {
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

#[tokio::test]
async fn what_a_hold_out_proves_follows_its_revised_candles() {
    let place = Place::new().await;
    let id = place.story("shadow", "BTCUSDT", 6, day(50), false).await;
    let other = place.story("other", "ETHUSDT", 8, day(50), false).await;
    let before = place.store.standings(&[id, other]).await.unwrap();
    assert_eq!(before.len(), 2);
    // In shadow alone: nothing of the hold-out changes, and shadow is computed from its candles at every review.
    place.revise(day(47)).await;
    place.affected(&["all", "--rescore"]).await;
    assert_eq!(place.store.standings(&[id, other]).await.unwrap(), before);

    place.revise(day(35)).await;
    let done = place.affected(&["all", "--rescore"]).await;
    assert_eq!(done["rescored"].as_array().map(Vec::len), Some(1), "{done:#}");
    let after = place.store.standings(&[id, other]).await.unwrap();
    assert_ne!(after[&id].holdout, before[&id].holdout, "the stored E is that of the revised candles");
    assert_eq!(after[&other], before[&other]);
    // The bets were known before the hold-out began: they are what they were, and so are level and p.
    let story = Story {
        cache: &place.cache,
        store: &place.store,
        market: SPOT,
        symbol: "BTCUSDT".parse().unwrap(),
        name: "shadow",
        island: "shadow",
        genome: strategy(6),
    };
    let (holdout, window) = (story.outcome(day(30), day(40)).await, story.window(day(30), day(40)).await);
    assert_eq!(after[&id], before[&id].revised(&Did::Traded(holdout.ledger.unwrap(), Arc::new(window))));
    // What the gate of shadow is told of both together rests on it.
    let (shadow, window) = (story.outcome(day(40), day(50)).await, story.window(day(40), day(50)).await);
    let ledger = shadow.ledger.unwrap();
    let told = |standing: &protocol::Standing| {
        standing.since(&Did::Traded(ledger.clone(), Arc::new(window.clone()))).total.unwrap()
    };
    assert_ne!(told(&after[&id]), told(&before[&id]));

    let audit = "select metadata ->> 'cause', metadata -> 'holdout' from audit_logs
        where event_type = 'data_changed' and entity_type = 'strategy' order by id desc limit 1";
    let entry = place.database.client().await.query_one(audit, &[]).await.unwrap();
    let (cause, moved): (String, Value) = (entry.get(0), entry.get(1));
    assert_eq!(cause, "the exchange revised 1 candles of spot BTCUSDT 15m 2024-02");
    assert_eq!(moved["before"], serde_json::to_value(before[&id].holdout).unwrap());
    assert_eq!(moved["after"], serde_json::to_value(after[&id].holdout).unwrap());
    let stored = "select holdout_log_e from strategy_standings where strategy_id = $1";
    let stored: Option<f64> = place.database.client().await.query_one(stored, &[&id]).await.unwrap().get(0);
    assert_eq!(stored, after[&id].holdout.log_excess);
}

#[tokio::test]
async fn what_a_data_version_was_used_for_is_told_by_its_hash() {
    let place = Place::new().await;
    let id = place.story("live", "BTCUSDT", 5, day(45), true).await;
    place.story("other", "ETHUSDT", 8, day(50), false).await;
    let detail = place.store.strategy(&id.to_string()).await.unwrap();
    let of = |source: &str| {
        let stat = detail.stats.iter().find(|s| s.source.name() == source).unwrap();
        stat.data_version.clone().unwrap()
    };
    let (searched, live) = (of("backtest"), of("live"));
    let report = place.affected(&[&searched[..12]]).await;
    let uses: Vec<_> = report["uses"].as_array().unwrap().iter().map(|u| (&u["what"], &u["name"])).collect();
    let (backtest, holdout, session, name) = (json!("backtest"), json!("holdout"), json!("session"), json!("live"));
    assert_eq!(uses, [(&backtest, &name), (&holdout, &name), (&session, &json!("live/1"))], "{report:#}");
    assert_eq!((listed(&report), report["changes"].as_array().map(Vec::len)), (vec![], Some(0)));

    // Day 47 is in the live run's version alone; day 20 in all of them.
    place.revise(day(47)).await;
    assert_eq!(listed(&place.affected(&[&searched]).await), []);
    let report = place.affected(&[&live]).await;
    assert_eq!(listed(&report), [("live".to_owned(), vec!["live".to_owned()])], "{report:#}");
    assert_eq!(report["changes"][0]["part"], "15m");
    let text = place.data(&["affected", &live[..10]]).await;
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.starts_with(&format!("data version {live}: 1 results were computed from it\n")), "{text}");
    assert!(text.contains("1 strategies and 0 sessions rest on them"), "{text}");
    for wrong in [vec!["affected", "0123456789abcdef"], vec!["affected", &live, "--rescore"]] {
        assert_eq!(place.data(&wrong).await.status.code(), Some(2), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_revised_funding_payment_is_noticed_and_what_rested_on_it_scored_again() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let place = Place::empty().await;
    let btc: Symbol = "BTCUSDT".parse().unwrap();
    let market = MarketSpec::noise(Seed(3), START_MS, std::slice::from_ref(&btc));
    let truth = SimulatedMarket::new(market.clone()).unwrap();
    let config = ExchangeConfig { speed: 0.0, ..ExchangeConfig::new(market, day(50)) };
    let exchange = SimulatedExchange::start(config).await.unwrap();
    let series = truth.candles(&btc, M15, START_MS, day(50)).unwrap();
    place.cache.merge(&Ticker::of(MarketKind::Um, &btc), &series, &made()).await.unwrap();
    // As the exchange had it before: one payment on day 47 was another.
    let mut former = truth.funding_rates(&btc, START_MS, day(50)).unwrap();
    let changed = former.iter().position(|r| r.time_ms >= day(47)).unwrap();
    former[changed] = FundingRate { rate: former[changed].rate + 0.01, ..former[changed] };
    place.cache.merge_funding(&btc, &former, &made(), None).await.unwrap();
    place.story_on(MarketKind::Um, "shadow", "BTCUSDT", 6, day(50), false).await;
    place.story_on(MarketKind::Um, "early", "BTCUSDT", 7, day(46), false).await;
    let before = place.figures().await;

    let market = MarketConfig { source: exchange.base_url().try_into().unwrap(), ..MarketConfig::default() };
    let feed = Feed::new(Arc::new(Binance::new(&market).unwrap()), place.cache.clone(), &market);
    let asked = std::slice::from_ref(&btc);
    let fresh = feed.refresh_funding(asked, START_MS, false).await.remove(0);
    assert_eq!((fresh.replaced, fresh.error), (0, None), "the newest day alone is read again by itself");
    let again = feed.refresh_funding(asked, START_MS, true).await.remove(0);
    assert_eq!((again.replaced, again.error), (1, None));

    let report = place.affected(&["all"]).await;
    assert_eq!(listed(&report), [("shadow".to_owned(), vec!["shadow".to_owned()])], "{report:#}");
    let change = &report["changes"][0];
    assert_eq!(
        (&change["part"], &change["payments"][0]["time_ms"]),
        (&json!("funding"), &json!(former[changed].time_ms))
    );
    assert_eq!(report["untouched"], 1);
    let done = place.affected(&["all", "--rescore"]).await;
    assert_eq!(done["rescored"][0]["rescored"], 1, "{done:#}");
    let after = place.figures().await;
    let moved: Vec<&str> = before.iter().zip(&after).filter(|(a, b)| a != b).map(|(a, _)| a.0.as_str()).collect();
    assert_eq!(moved, ["shadow"]);
    let audit =
        "select metadata ->> 'cause' from audit_logs where event_type = 'data_changed' and entity_type = 'strategy'";
    let cause: String = place.database.client().await.query_one(audit, &[]).await.unwrap().get(0);
    assert_eq!(cause, "the exchange revised 1 payments of um BTCUSDT funding 2024-02");
    assert_eq!(place.cache.superseded().await.unwrap()[0].part, Part::Funding);
}

#[tokio::test]
async fn the_budget_takes_neither_what_results_rest_on_nor_what_a_snapshot_holds() {
    let place = Place::empty().await;
    let btc: Symbol = "BTCUSDT".parse().unwrap();
    let market = SimulatedMarket::new(MarketSpec::noise(Seed(3), START_MS, std::slice::from_ref(&btc))).unwrap();
    // Days 0 to 50 are January and February; more follows that nobody has looked at.
    let series = market.candles(&btc, M15, START_MS, day(150)).unwrap();
    place.cache.merge_fetched(&Ticker::of(SPOT, &btc), &series, &made(), None).await.unwrap();
    snapshot::take(&place.cache, Some("all"), day(150)).await.unwrap();
    let months = async || -> Vec<String> {
        let stored = place.cache.stored_months(&Ticker::of(SPOT, &btc), M15).await.unwrap();
        stored.into_iter().map(|facts| facts.month).collect()
    };
    let whole = months().await;
    let (nothing, none) = (InUse::default(), keep_within(&place.cache, 1, &InUse::default(), false).await.unwrap());
    assert_eq!((none.evicted.len(), months().await), (0, whole.clone()), "a snapshot holds all of it");
    std::fs::remove_dir_all(place.dir.path().join("candles/snapshots")).unwrap();

    // What this process works with no other one takes, and takes once it is done.
    let range = CandleRange { market: SPOT, symbol: btc.clone(), interval: M15, from_ms: day(40), to_ms: day(50) };
    let working = place.cache.hold(vec![range]).await.unwrap();
    // As another process opens it: locks are of open files.
    let another = CandleCache::open(&place.dir.path().join("candles")).unwrap();
    keep_within(&another, 1, &InUse::default(), false).await.unwrap();
    assert_eq!(months().await, ["2024-02"], "day 40 to 50 is February");
    drop(working);
    place.cache.merge_fetched(&Ticker::of(SPOT, &btc), &series, &made(), None).await.unwrap();
    assert_eq!(months().await, whole);

    place.story("shadow", "BTCUSDT", 6, day(50), false).await;
    let held = place.store.candles_in_use().await.unwrap();
    let used = |from_ms, to_ms| CandleRange { market: SPOT, symbol: btc.clone(), interval: M15, from_ms, to_ms };
    assert!(held.contains(&used(START_MS, day(40))) && held.contains(&used(START_MS, day(50))), "{held:?}");
    let in_use = InUse { held, dealt_with: BTreeSet::new() };
    let said = keep_within(&place.cache, 1, &in_use, true).await.unwrap();
    assert_eq!(months().await, whole, "only said");
    let gone = keep_within(&place.cache, 1, &in_use, false).await.unwrap();
    assert_eq!((gone.evicted.len(), &gone), (3, &said));
    assert_eq!(months().await, ["2024-01", "2024-02"], "what the story rests on stays");

    // A former content goes when its revision was dealt with, and not before.
    place.revise(day(20)).await;
    let again = keep_within(&place.cache, 1, &in_use, false).await.unwrap();
    assert_eq!(again.contents, []);
    place.affected(&["all", "--rescore"]).await;
    let dealt_with = place.store.contents_dealt_with().await.unwrap();
    let settled = keep_within(&place.cache, 1, &InUse { dealt_with, ..in_use }, false).await.unwrap();
    assert_eq!((settled.contents.len(), place.cache.superseded().await.unwrap().len()), (1, 0));
    assert_eq!(months().await, ["2024-01", "2024-02"]);
    let rest = keep_within(&place.cache, u64::MAX, &nothing, false).await.unwrap();
    assert_eq!((rest.evicted.len(), rest.freed_bytes), (0, 0), "within the budget nothing goes");
}

//! Downloads from a simulated exchange: archives and REST, faults, interruptions, limits.

use crate::support::symbol;
use candles::time::DAY_MS;
use candles::{Interval, MarketKind, Ticker};
use genome::random::Seed;
use market::cache::CandleCache;
use market::download::{Downloader, SeriesPlan, SeriesReport, Wanted};
use market::simulator::{ExchangeConfig, FaultKind, FaultSpec, SimulatedExchange};
use market::snapshot::{self, MonthChange};
use market::{Binance, MarketConfig};
use simulated::MarketSpec;
use std::collections::BTreeMap;
use std::path::Path;

const SPOT: MarketKind = MarketKind::Spot;
const M15: Interval = Interval::M15;
/// 2024-11-20: the archives of November and December have ms, those of January us.
const START_MS: i64 = 1_732_060_800_000;
/// 2025-02-10 and some minutes.
const NOW_MS: i64 = START_MS + 82 * DAY_MS + 450_000;

fn exchange_config() -> ExchangeConfig {
    let mut market = MarketSpec::noise(Seed(11), START_MS, &[symbol("BTCUSDT"), symbol("ETHUSDT")]);
    market.steps_per_candle = 1;
    ExchangeConfig { speed: 0.0, ..ExchangeConfig::new(market, NOW_MS) }
}

/// An exchange, a cache, and a downloader between them that does not wait long.
struct Fixture {
    exchange: SimulatedExchange,
    dir: tempfile::TempDir,
    cache: CandleCache,
    downloader: Downloader,
}

async fn fixture(config: ExchangeConfig) -> Fixture {
    let exchange = SimulatedExchange::start(config).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(dir.path()).unwrap();
    let market = market_config(&exchange);
    let downloader = Downloader::new(Binance::new(&market).unwrap(), cache.clone(), &market);
    Fixture { exchange, dir, cache, downloader }
}

fn market_config(exchange: &SimulatedExchange) -> MarketConfig {
    MarketConfig {
        source: exchange.base_url().try_into().unwrap(),
        retry_delay_ms: 1,
        retries: 12,
        breaker_failures: 500,
        ..MarketConfig::default()
    }
}

impl Fixture {
    async fn plan(&self, market: MarketKind, interval: Interval, from_ms: i64) -> Vec<SeriesPlan> {
        let of = |name| Wanted { symbol: symbol(name), interval, from_ms, to_ms: i64::MAX };
        self.downloader.plan(market, &[of("BTCUSDT"), of("ETHUSDT")]).await.unwrap()
    }

    async fn run(&self, plans: &[SeriesPlan]) -> Vec<SeriesReport> {
        self.downloader.run(SPOT, plans, 2, false, &|_| {}).await
    }

    async fn download(&self) -> Vec<SeriesReport> {
        let plans = self.plan(SPOT, M15, START_MS).await;
        self.run(&plans).await
    }

    /// What the exchange has had until now, as the cache has it.
    async fn assert_complete(&self, market: MarketKind, interval: Interval) {
        for name in ["BTCUSDT", "ETHUSDT"] {
            let stored =
                self.cache.load_stored(&Ticker::of(market, &symbol(name)), interval, 0, i64::MAX).await.unwrap();
            let end_ms = candles::interval::open_time_ms(interval, NOW_MS);
            let truth = self.exchange.market().candles(&symbol(name), interval, START_MS, end_ms).unwrap();
            assert_eq!(stored.len(), truth.len(), "{name}");
            assert_eq!((stored.opens(), stored.closes()), (truth.opens(), truth.closes()), "{name}");
        }
    }
}

/// Every stored month by its path.
fn months(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|e| e == "parquet") {
                found.insert(path.strip_prefix(dir).unwrap().display().to_string(), std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[tokio::test]
async fn months_and_days_come_from_archives_and_the_rest_from_rest() {
    let fixture = fixture(exchange_config()).await;
    let plans = fixture.plan(SPOT, M15, START_MS).await;
    let names: Vec<String> = plans[0].archives.iter().map(|a| a.file_name()).collect();
    let monthly = ["BTCUSDT-15m-2024-11.zip", "BTCUSDT-15m-2024-12.zip", "BTCUSDT-15m-2025-01.zip"];
    assert_eq!(names[..3], monthly);
    assert_eq!(names[3..].len(), 8, "the days of February that are out: {names:?}");
    assert_eq!(plans[0].missing, 82 * 96);
    assert_eq!(plans[0].from_rest, 96, "yesterday is not out yet");
    let before = fixture.exchange.weight(SPOT).peak;
    let reports = fixture.run(&plans).await;
    for report in &reports {
        assert_eq!((report.archives, report.merge.added, report.missing), (11, 82 * 96, 0), "{report:?}");
        assert_eq!((&report.error, report.problems.len()), (&None, 0));
    }
    fixture.assert_complete(SPOT, M15).await;
    // Holding three months against the exchange takes three pages each, at weight 2.
    let held = 2 * 3 * 3 * 2;
    assert!(fixture.exchange.weight(SPOT).peak - before < held + 60, "archives cost no weight");

    let again = fixture.plan(SPOT, M15, START_MS).await;
    let left: Vec<_> = again.iter().map(|p| (p.archives.len(), p.missing, p.known.len())).collect();
    assert_eq!(left, [(0, 0, 3), (0, 0, 3)], "what is there is not fetched again");
}

#[tokio::test]
async fn faulty_answers_change_nothing_of_the_result() {
    let calm = fixture(exchange_config()).await;
    calm.download().await;
    let mut config = exchange_config();
    for kind in [FaultKind::Html, FaultKind::Truncated, FaultKind::Empty, FaultKind::Status500, FaultKind::Checksum] {
        config.faults.push(FaultSpec::sometimes(kind, 0.06));
    }
    let stormy = fixture(config).await;
    for report in stormy.download().await {
        assert_eq!((report.missing, &report.error), (0, &None), "{report:?}");
    }
    assert_eq!(months(stormy.dir.path()), months(calm.dir.path()), "byte for byte");
}

#[tokio::test]
async fn an_archive_that_never_fits_its_checksum_is_named_and_its_candles_come_from_rest() {
    let mut config = exchange_config();
    let january = FaultSpec { endpoint: Some("checksum".into()), ..FaultSpec::always(FaultKind::Checksum) };
    config.faults.push(FaultSpec { symbol: Some(symbol("BTCUSDT")), ..january });
    let fixture = fixture(config).await;
    let reports = fixture.download().await;
    assert_eq!((reports[0].archives, reports[0].missing, &reports[0].error), (0, 0, &None));
    assert_eq!(reports[0].problems.len(), 11);
    assert!(reports[0].problems[0].contains("its SHA-256 is"), "{}", reports[0].problems[0]);
    assert_eq!(reports[1].archives, 11, "the other symbol is not concerned");
    fixture.assert_complete(SPOT, M15).await;
}

#[tokio::test]
async fn what_does_not_exist_is_an_error_and_what_is_before_the_listing_a_gap() {
    let fixture = fixture(exchange_config()).await;
    let of = |name, from_ms| Wanted { symbol: symbol(name), interval: M15, from_ms, to_ms: i64::MAX };
    let wanted = [of("NOUSDT", START_MS), of("BTCUSDT", START_MS - 120 * DAY_MS)];
    let plans = fixture.downloader.plan(SPOT, &wanted).await.unwrap();
    let reports = fixture.run(&plans).await;
    assert!(reports[0].error.as_ref().unwrap().contains("NOUSDT is not known on spot"), "{:?}", reports[0]);
    assert_eq!((&reports[1].error, reports[1].merge.added, reports[1].missing), (&None, 82 * 96, 120 * 96));
    assert_eq!(
        fixture.downloader.first_open_ms(&Ticker::of(SPOT, &symbol("BTCUSDT")), M15).await.unwrap(),
        Some(START_MS)
    );
}

#[tokio::test]
async fn a_reissued_month_is_found_fetched_and_told_candle_by_candle() {
    let fixture = fixture(exchange_config()).await;
    fixture.download().await;
    let before = snapshot::take(&fixture.cache, Some("before"), NOW_MS).await.unwrap();
    let revised_ms = START_MS + 20 * DAY_MS;
    let fault =
        FaultSpec { from_ms: Some(revised_ms), to_ms: Some(revised_ms + 1), ..FaultSpec::always(FaultKind::Reissued) };
    fixture.exchange.add_fault(FaultSpec { symbol: Some(symbol("ETHUSDT")), ..fault });

    let plans = fixture.plan(SPOT, M15, START_MS).await;
    let reports = fixture.downloader.run(SPOT, &plans, 2, true, &|_| {}).await;
    assert_eq!(reports[0].reissued, Vec::<String>::new());
    assert_eq!(reports[1].reissued, ["ETHUSDT-15m-2024-12.zip"]);
    assert_eq!(reports[1].merge.replaced, 1);

    let after = snapshot::of_cache(&fixture.cache, NOW_MS).await.unwrap();
    let diff = snapshot::diff(&fixture.cache, &before, &after).await.unwrap();
    assert_eq!(diff.len(), 1);
    assert_eq!((diff[0].ticker.symbol.as_str(), diff[0].month.as_str()), ("ETHUSDT", "2024-12"));
    let MonthChange::Revised { candles, added: 0 } = &diff[0].change else { panic!("{diff:?}") };
    assert_eq!(candles.iter().map(|r| r.open_time_ms).collect::<Vec<_>>(), [revised_ms]);
    assert_eq!(candles[0].old.open, candles[0].new.unwrap().open);
    assert!(candles[0].old.volume > candles[0].new.unwrap().volume);

    assert_eq!(snapshot::prune(&fixture.cache, None, false).await.unwrap().contents.len(), 0, "the snapshot needs it");
    snapshot::take(&fixture.cache, Some("after"), NOW_MS + 1).await.unwrap();
    let pruned = snapshot::prune(&fixture.cache, Some(1), false).await.unwrap();
    assert_eq!((pruned.snapshots, pruned.contents.len()), (vec!["before".to_owned()], 1));
    let left = snapshot::diff(&fixture.cache, &before, &after).await.unwrap();
    assert!(matches!(left[0].change, MonthChange::Unknown), "what is pruned cannot be told any more");
}

#[tokio::test]
async fn futures_archives_have_headers_and_funding_comes_along() {
    let fixture = fixture(exchange_config()).await;
    let plans = fixture.plan(MarketKind::Um, Interval::H1, START_MS).await;
    let reports = fixture.downloader.run(MarketKind::Um, &plans, 2, false, &|_| {}).await;
    assert!(reports.iter().all(|r| r.missing == 0 && r.archives == 11 && r.error.is_none()), "{reports:?}");
    fixture.assert_complete(MarketKind::Um, Interval::H1).await;
    let brought = fixture.downloader.feed().refresh_funding(&[symbol("BTCUSDT")], START_MS, false).await.remove(0);
    assert_eq!((brought.added, brought.error), (82 * 3 + 1, None));
}

#[tokio::test]
async fn the_budget_evicts_the_oldest_months_that_can_be_fetched_again() {
    let fixture = fixture(exchange_config()).await;
    fixture.download().await;
    let imported = crate::support::run(M15, START_MS - 300 * DAY_MS, 500, 1);
    fixture
        .cache
        .merge(&Ticker::of(SPOT, &symbol("OLDUSDT")), &imported, &crate::support::provenance("file.csv"))
        .await
        .unwrap();
    let whole = fixture.cache.size_bytes().await.unwrap();
    assert_eq!(fixture.cache.evict(whole, |_, _| false, false).await.unwrap(), []);
    let named = fixture.cache.evict(whole / 2, |_, _| false, true).await.unwrap();
    assert_eq!(fixture.cache.size_bytes().await.unwrap(), whole, "only named");
    let gone = fixture.cache.evict(whole / 2, |_, _| false, false).await.unwrap();
    assert_eq!(gone, named);
    assert!(gone[0].path.ends_with("2024-11.parquet") && gone.iter().all(|e| !e.path.contains("OLDUSDT")), "{gone:?}");
    assert!(fixture.cache.size_bytes().await.unwrap() <= whole / 2);
    assert!(
        fixture.cache.evict(0, |_, facts| facts.last_open_ms >= START_MS, false).await.unwrap().is_empty(),
        "what is protected stays"
    );
    fixture.download().await;
    fixture.assert_complete(SPOT, M15).await;
}

#[tokio::test]
async fn long_ranges_are_read_month_by_month() {
    use futures::TryStreamExt;
    let fixture = fixture(exchange_config()).await;
    fixture.download().await;
    let (from_ms, to_ms) = (START_MS + DAY_MS, START_MS + 60 * DAY_MS);
    let parts: Vec<_> =
        fixture.cache.months(&Ticker::of(SPOT, &symbol("BTCUSDT")), M15, from_ms, to_ms).try_collect().await.unwrap();
    assert_eq!(parts.iter().map(|p| p.len()).collect::<Vec<_>>(), [10 * 96, 31 * 96, 18 * 96]);
    let whole = fixture.cache.load_stored(&Ticker::of(SPOT, &symbol("BTCUSDT")), M15, from_ms, to_ms).await.unwrap();
    let streamed: Vec<_> = parts.iter().flat_map(|p| p.candles()).collect();
    assert_eq!(streamed, whole.candles().collect::<Vec<_>>());
}

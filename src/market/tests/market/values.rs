//! Downloads of funding, premium index and metrics from a simulated exchange: archives, then REST.

use crate::support::{provenance, symbol, zip_with};
use candles::stored::Part;
use candles::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use candles::{Interval, MarketKind, Ticker};
use genome::random::Seed;
use market::cache::{CandleCache, METRICS_COLUMNS, METRICS_DELAY_MS};
use market::download::{Downloader, ValuesReport, ValuesWanted};
use market::dumps::Product;
use market::simulator::{ExchangeConfig, FaultKind, FaultSpec, SimulatedExchange};
use market::{Binance, Exchange, MarketConfig, Metric};
use simulated::MarketSpec;

/// 2024-11-20.
const START_MS: i64 = 1_732_060_800_000;
/// 2025-02-10 and some minutes.
const NOW_MS: i64 = START_MS + 82 * DAY_MS + 450_000;
/// November to January are out as months.
const MONTHS: u64 = 3;

struct Fixture {
    exchange: SimulatedExchange,
    _dir: tempfile::TempDir,
    cache: CandleCache,
    client: Binance,
    downloader: Downloader,
}

async fn fixture(faults: Vec<FaultSpec>) -> Fixture {
    let mut market = MarketSpec::noise(Seed(23), START_MS, &[symbol("BTCUSDT"), symbol("ETHUSDT")]);
    market.steps_per_candle = 1;
    let config = ExchangeConfig { speed: 0.0, faults, ..ExchangeConfig::new(market, NOW_MS) };
    let exchange = SimulatedExchange::start(config).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(dir.path()).unwrap();
    let config = MarketConfig {
        source: exchange.base_url().try_into().unwrap(),
        retry_delay_ms: 1,
        retries: 1,
        ..MarketConfig::default()
    };
    let client = Binance::new(&config).unwrap();
    let downloader = Downloader::new(client.clone(), cache.clone(), &config);
    Fixture { exchange, _dir: dir, cache, client, downloader }
}

impl Fixture {
    async fn download(&self, name: &str, products: &[Product], recheck: bool) -> Vec<ValuesReport> {
        self.download_from(START_MS, name, products, recheck).await
    }

    async fn download_from(&self, from_ms: i64, name: &str, products: &[Product], recheck: bool) -> Vec<ValuesReport> {
        let of = |&product: &Product| ValuesWanted {
            symbol: symbol(name),
            product,
            interval: Interval::H1,
            from_ms,
            to_ms: i64::MAX,
        };
        let wanted: Vec<ValuesWanted> = products.iter().map(of).collect();
        self.downloader.values(&wanted, 2, recheck, &|_| {}).await
    }

    async fn premium(&self) -> (Vec<i64>, Vec<f64>) {
        let stored = self.cache.load_readings(&symbol("BTCUSDT"), Part::Premium, 0, i64::MAX).await.unwrap();
        stored.column("premium")
    }
}

#[tokio::test]
async fn archives_and_rest_bring_what_the_exchange_has_each_value_when_it_was_known() {
    let f = fixture(Vec::new()).await;
    let btc = symbol("BTCUSDT");
    let all = [Product::Funding, Product::Premium, Product::Metrics];
    let reports = f.download("BTCUSDT", &all, false).await;
    for report in &reports {
        assert!(report.error.is_none() && report.problems.is_empty(), "{report:?}");
    }
    // Days of February until the eighth: that of the ninth is not sure to be out.
    assert_eq!([reports[0].archives, reports[1].archives, reports[2].archives], [MONTHS, MONTHS + 8, 81]);

    let paid = f.cache.load_funding(&btc, 0, i64::MAX).await.unwrap();
    let truth = f.exchange.market().funding_rates(&btc, START_MS, NOW_MS).unwrap();
    assert_eq!(paid.len(), truth.len(), "none twice, though archives and REST stamp them apart");
    for (paid, truth) in paid.iter().zip(&truth) {
        assert!(paid.rate == truth.rate && (0..1_000).contains(&(paid.time_ms - truth.time_ms)), "{paid:?} {truth:?}");
    }
    let end_ms = NOW_MS / HOUR_MS * HOUR_MS;
    let truth = f.exchange.market().premium(&btc, Interval::H1, START_MS, end_ms).unwrap();
    let (times, values) = f.premium().await;
    assert_eq!(
        times,
        truth.iter().map(|p| p.open_time_ms + HOUR_MS).collect::<Vec<_>>(),
        "known at the close, none still open"
    );
    assert_eq!(values, truth.iter().map(|p| p.close).collect::<Vec<_>>());
    let metrics = f.cache.load_readings(&btc, Part::Metrics, 0, i64::MAX).await.unwrap();
    // The day of the ninth and the first row of the tenth by REST: the next one is not known yet.
    let truth = f.exchange.market().metric_rows(&btc, START_MS, START_MS + 82 * DAY_MS).unwrap();
    assert_eq!(metrics.times_ms(), truth.iter().map(|m| m.time_ms + METRICS_DELAY_MS).collect::<Vec<_>>());
    assert_eq!(metrics.column("open_interest").1, truth.iter().map(|m| m.open_interest).collect::<Vec<_>>());
    let days = 81 * 288;
    let shown = |(i, m): (usize, &simulated::Metrics)| {
        let ratio = m.ratios[2];
        // The exchange's own answers have four decimals.
        if i < days { ratio } else { (ratio * 1e4).round() / 1e4 }
    };
    assert_eq!(metrics.column("account_ratio").1, truth.iter().enumerate().map(shown).collect::<Vec<_>>());

    // What a rule on candles of four hours sees: of metrics the newest of each candle, no later than its close.
    let seen = f.cache.load_market_readings(&btc, Interval::H4, START_MS + 10 * DAY_MS).await.unwrap();
    assert_eq!((seen.premium.len(), seen.funding.len(), seen.open_interest.len()), (240, 30, 60));
    assert_eq!(seen.premium.last_at(START_MS + 8 * HOUR_MS), Some(values[7]));
    assert_eq!(seen.long_short_ratio.newest_at(START_MS + 4 * HOUR_MS).unwrap().0, START_MS + 4 * HOUR_MS);

    let again = f.download("BTCUSDT", &all, false).await;
    assert!(again.iter().all(|r| r.archives + r.added + r.replaced == 0), "{again:?}");
}

#[tokio::test]
async fn an_archive_that_is_not_what_its_checksum_says_is_not_taken_and_rest_fills_in() {
    let wrong = FaultSpec { endpoint: Some("checksum".into()), ..FaultSpec::always(FaultKind::Checksum) };
    let f = fixture(vec![FaultSpec { symbol: Some(symbol("BTCUSDT")), ..wrong }]).await;
    let mut reports = f.download("BTCUSDT", &[Product::Premium], false).await;
    let from_ms = START_MS + 79 * DAY_MS;
    reports.extend(f.download_from(from_ms, "BTCUSDT", &[Product::Metrics], false).await);
    assert_eq!([reports[0].archives, reports[1].archives], [0, 0]);
    assert_eq!([reports[0].problems.len(), reports[1].problems.len()], [MONTHS as usize + 8, 2]);
    assert!(reports[0].problems[0].contains("BTCUSDT-1h-2024-11.zip: its SHA-256 is"), "{:?}", reports[0].problems);
    assert_eq!(f.premium().await.0.len(), 82 * 24);
    let newest_ms = START_MS + 82 * DAY_MS + METRICS_DELAY_MS;
    assert_eq!((reports[1].added, reports[1].newest_ms, &reports[1].error), (3 * 288 + 1, Some(newest_ms), &None));
    let other = f.download_from(from_ms, "ETHUSDT", &[Product::Metrics], false).await;
    assert_eq!((other[0].archives, other[0].problems.len()), (2, 0), "the other symbol is not concerned");
}

#[tokio::test]
async fn a_reissued_archive_is_found_by_a_recheck_and_keeps_what_was_there() {
    let f = fixture(Vec::new()).await;
    f.download("BTCUSDT", &[Product::Premium], false).await;
    let (times, values) = f.premium().await;
    let at_ms = START_MS + 20 * DAY_MS;
    let row = format!("{at_ms},0,0.1,-0.1,0.05,0,{},0,720,0,0,0\n", at_ms + HOUR_MS - 1);
    let path = "futures/um/monthly/premiumIndexKlines/BTCUSDT/1h/BTCUSDT-1h-2024-12.zip";
    f.exchange.publish(path, zip_with("BTCUSDT-1h-2024-12.csv", row.as_bytes()));
    assert_eq!(f.download("BTCUSDT", &[Product::Premium], false).await[0].reissued, Vec::<String>::new());
    // REST would put it right again; it is another fault's place to be told here.
    let report = f.download("BTCUSDT", &[Product::Premium], true).await.remove(0);
    assert_eq!(report.reissued, ["BTCUSDT-1h-2024-12.zip"]);
    assert_eq!(report.replaced, 2, "once by the archive, once by the exchange's own answer");
    let former = f.cache.superseded().await.unwrap();
    assert!(!former.is_empty() && former.iter().all(|s| s.part == Part::Premium && s.month == "2024-12"));
    assert_eq!(f.premium().await, (times, values));
}

#[tokio::test]
async fn the_exchange_answers_for_the_premium_as_for_candles() {
    let f = fixture(Vec::new()).await;
    let btc = symbol("BTCUSDT");
    let rows = f.client.premium_klines(&btc, Interval::H4, START_MS, START_MS + DAY_MS, 3).await.unwrap();
    let truth = f.exchange.market().premium(&btc, Interval::H4, START_MS, START_MS + DAY_MS).unwrap();
    assert_eq!(rows.len(), 3);
    for (row, truth) in rows.iter().zip(&truth) {
        assert_eq!((row.open_time_ms, row.open, row.close), (truth.open_time_ms, truth.open, truth.close));
        assert_eq!((row.volume, row.trade_count), (0.0, 2_880));
    }
    // Both ends included, nothing behind now.
    let at_end = f.client.premium_klines(&btc, Interval::H4, START_MS, START_MS + 8 * HOUR_MS, 1_500).await.unwrap();
    assert_eq!(at_end.len(), 3);
    let all = f.client.premium_klines(&btc, Interval::D1, START_MS, i64::MAX / 2, 1_500).await.unwrap();
    assert_eq!(all.last().unwrap().open_time_ms, START_MS + 82 * DAY_MS);
    let unknown = f.client.premium_klines(&symbol("NONEUSDT"), Interval::H1, START_MS, NOW_MS, 5).await;
    assert!(unknown.unwrap_err().to_string().contains("NONEUSDT is not known on um"));
    // What the daemon asks for: the newest, again from a day before.
    let fresh = f
        .downloader
        .feed()
        .refresh_premium(std::slice::from_ref(&btc), Interval::H1, NOW_MS / HOUR_MS * HOUR_MS - 3 * DAY_MS, false)
        .await;
    assert_eq!((fresh[0].added, fresh[0].newest_ms, &fresh[0].error), (72, Some(NOW_MS / HOUR_MS * HOUR_MS), &None));
    let stored = f.cache.coverage_of(&Ticker::of(MarketKind::Um, &btc), Interval::H1).await.unwrap();
    assert!(stored.is_none(), "a premium is no candle");
}

/// The same two days twice: as the exchange answers for them, and from their archives.
#[tokio::test]
async fn what_the_exchange_answers_of_metrics_is_what_archives_have_but_for_rounding() {
    let (by_rest, by_archive) = (fixture(Vec::new()).await, fixture(Vec::new()).await);
    let btc = [symbol("BTCUSDT")];
    let (from_ms, to_ms) = (START_MS + 79 * DAY_MS + 1, START_MS + 81 * DAY_MS + 1);
    let fresh = by_rest.downloader.feed().refresh_metrics(&btc, from_ms, to_ms).await.remove(0);
    assert_eq!((fresh.added, fresh.error), (2 * 288, None));
    let metrics = by_rest.exchange.metrics_requests();
    assert_eq!((metrics.limit, metrics.peak, metrics.refusals), (1_000, 10, 0), "two answers of five parts each");
    by_archive.download_from(from_ms, "BTCUSDT", &[Product::Metrics], false).await;

    let known = (from_ms + METRICS_DELAY_MS, to_ms + METRICS_DELAY_MS);
    let load = async |f: &Fixture| f.cache.load_readings(&btc[0], Part::Metrics, known.0, known.1).await.unwrap();
    let (rest, archive) = (load(&by_rest).await, load(&by_archive).await);
    assert_eq!(rest.times_ms(), archive.times_ms(), "and known at the same time");
    for name in METRICS_COLUMNS {
        let (rest, archive) = (rest.column(name).1, archive.column(name).1);
        assert_eq!(rest.len(), 2 * 288, "{name}");
        let is_ratio = name.ends_with("ratio");
        for (a, b) in rest.iter().zip(&archive) {
            assert!((a - b).abs() <= if is_ratio { 5.0001e-5 } else { 0.0 }, "{name}: {a} {b}");
        }
        assert_eq!(rest != archive, is_ratio, "{name}: ratios are rounded, and no column is another's");
    }

    // When the archives come out nothing is revised: what was known then stays.
    let report = by_rest.download_from(from_ms, "BTCUSDT", &[Product::Metrics], false).await.remove(0);
    assert_eq!((report.archives, report.replaced, report.problems.len()), (2, 0, 0));
    assert_eq!((load(&by_rest).await, by_rest.cache.superseded().await.unwrap()), (rest, Vec::new()));
    // And an answer does not round what an archive has.
    by_archive.cache.merge_readings(&btc[0], &load(&by_rest).await, &provenance("exchange"), None).await.unwrap();
    assert_eq!(load(&by_archive).await, archive);
}

#[tokio::test]
async fn the_exchange_answers_for_metrics_as_it_is_documented() {
    let f = fixture(Vec::new()).await;
    let btc = symbol("BTCUSDT");
    let rows = f.client.metric(&btc, Metric::OpenInterest, NOW_MS - 2 * HOUR_MS, NOW_MS).await.unwrap();
    assert_eq!((rows.len(), rows.last().unwrap().time_ms), (24, START_MS + 82 * DAY_MS + 5 * MINUTE_MS));
    assert_eq!(f.client.metric(&btc, Metric::Accounts, NOW_MS, NOW_MS - 1).await, Ok(Vec::new()));
    let old = f.client.metric(&btc, Metric::TakerVolume, NOW_MS - 31 * DAY_MS, NOW_MS).await.unwrap_err();
    assert!(old.to_string().contains("parameter 'startTime' is invalid."), "{old}");
    let unknown = f.client.metric(&symbol("NONEUSDT"), Metric::TopTraderPositions, NOW_MS - HOUR_MS, NOW_MS).await;
    assert!(unknown.unwrap_err().to_string().contains("NONEUSDT is not known on um"));
    let of_day =
        |query: &str| format!("{}/futures/data/topLongShortAccountRatio?symbol=BTCUSDT{query}", f.exchange.base_url());
    let text = async |query: &str| reqwest::get(of_day(query)).await.unwrap().text().await.unwrap();
    let hours: serde_json::Value = serde_json::from_str(&text("&period=1h&limit=3").await).unwrap();
    let times: Vec<i64> = hours.as_array().unwrap().iter().map(|row| row["timestamp"].as_i64().unwrap()).collect();
    assert_eq!(times, [-2, -1, 0].map(|hour| START_MS + 82 * DAY_MS + hour * HOUR_MS));
    for (query, says) in [
        ("", "'period' was not sent"),
        ("&period=7m", "'period' is not valid"),
        ("&period=5m&limit=501", "'limit' is not valid"),
    ] {
        assert!(text(query).await.contains(says), "{query}");
    }
}

//! Odd archives, imported and downloaded: each is taken or named with the reason, and the others go on.

use crate::corpus::{Expected, Odd, corpus};
use crate::support::{csv_of, symbol, zip_with};
use candles::time::DAY_MS;
use candles::{CandleSeries, Interval, MarketKind, Symbol, Ticker};
use genome::random::Seed;
use market::download::{Downloader, SeriesReport, Wanted};
use market::dumps::{DumpName, ImportOptions, find_archives, import};
use market::simulator::{ExchangeConfig, SimulatedExchange};
use market::{Binance, CandleCache, MarketConfig, Provenance};
use sha2::{Digest, Sha256};
use simulated::MarketSpec;

const SPOT: MarketKind = MarketKind::Spot;
const M15: Interval = Interval::M15;
/// 2024-11-20.
const START_MS: i64 = 1_732_060_800_000;
/// 2025-01-10 and some minutes.
const NOW_MS: i64 = START_MS + 51 * DAY_MS + 450_000;
/// 2024-12-21T13:00:00Z.
const HOUR_MS: i64 = START_MS + 31 * DAY_MS + 13 * 3_600_000;
/// Refused rows that a report describes.
const SHOWN: usize = 20;

#[tokio::test]
async fn every_odd_archive_is_taken_or_named_with_the_reason_and_the_others_go_on() {
    for seed in [1, 2, 3] {
        let (tree, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let all = corpus(Seed(seed), 1);
        all.iter().for_each(|odd| odd.write(tree.path()));
        let cache = CandleCache::open(dir.path()).unwrap();
        let archives = find_archives(tree.path()).unwrap();
        let options = ImportOptions { market: None, now_ms: NOW_MS };
        let report = import(&cache, &archives, options, |_| {}).await.unwrap();
        assert_eq!(report.files.len(), all.len(), "seed {seed}: every file is told of");
        let mut taken = 0;
        for odd in &all {
            let what = format!("seed {seed}, {}/{}", odd.dir, odd.name);
            let file = report.files.iter().find(|f| f.path.ends_with(&format!("{}/{}", odd.dir, odd.name))).unwrap();
            match &odd.expected {
                Expected::Refused(why) => {
                    let said: Vec<&str> = file.problems.iter().map(|p| p.what.as_str()).collect();
                    assert!(!file.imported && said.len() == 1 && said[0].contains(why), "{what}: {said:?}");
                }
                Expected::Taken { series, refused_lines } => {
                    taken += 1;
                    assert!(file.imported, "{what}: {:?}", file.problems);
                    let lines: Vec<u64> = file.problems.iter().filter_map(|p| p.line).collect();
                    assert_eq!(lines, refused_lines[..refused_lines.len().min(SHOWN)], "{what}");
                    assert_eq!(file.rows_refused, refused_lines.len() as u64, "{what}");
                    let unverified = file.problems.iter().any(|p| p.what.contains("no CHECKSUM file"));
                    assert_eq!(unverified, odd.checksum.is_none(), "{what}");
                    assert_eq!(stored(&cache, odd).await, **series, "{what}");
                    assert_eq!(file.gaps, candles::quality::gaps(series), "{what}");
                }
            }
        }
        assert_eq!(
            (report.files_imported, cache.coverage().await.unwrap().len()),
            (taken, taken as usize),
            "nothing else"
        );
        let again = import(&cache, &archives, options, |_| {}).await.unwrap();
        assert_eq!((again.merge.added, again.merge.replaced, again.merge.outranked), (0, 0, 0), "seed {seed}");
    }
}

async fn stored(cache: &CandleCache, odd: &Odd) -> CandleSeries {
    let name = DumpName::parse(&odd.name).unwrap();
    cache.load_stored(&Ticker::of(odd.market.unwrap(), &name.symbol), name.interval, 0, i64::MAX).await.unwrap()
}

/// What is wrong with a symbol's archive of December, made of the right candles, and what must be said of it.
type Case = (&'static str, fn(&CandleSeries) -> Vec<u8>, &'static str);

fn whole(series: &CandleSeries, name: &str) -> Vec<u8> {
    zip_with(&format!("{name}-15m-2024-12.csv"), csv_of(series, 1).as_bytes())
}

/// With other highs in one hour, as archives of 2020-12 and 2021-09 had.
fn stale(series: &CandleSeries) -> CandleSeries {
    let wrong = |mut c: candles::Candle| {
        if (HOUR_MS..HOUR_MS + 3_600_000).contains(&c.open_time_ms) {
            c.high *= 1.02;
        }
        c
    };
    CandleSeries::from_candles(M15, &series.candles().map(wrong).collect::<Vec<_>>()).unwrap()
}

const CASES: [Case; 8] = [
    ("STALEUSDT", |s| whole(&stale(s), "STALEUSDT"), "sources disagree about 4 candles, the first 2024-12-21 13:00"),
    ("EMPTYUSDT", |_| zip_with("EMPTYUSDT-15m-2024-12.csv", b""), "it holds no candle"),
    ("HOLESUSDT", |s| whole(&s.slice(0, HOUR_MS), "HOLESUSDT"), ""),
    (
        "TWICEUSDT",
        |s| {
            let csv = csv_of(s, 1);
            let first = csv.lines().next().unwrap();
            zip_with("x.csv", format!("{first}\n{csv}").as_bytes())
        },
        "1 rows refused",
    ),
    ("RENAMEDUSDT", |s| whole(s, "FORMERUSDT"), "the CSV inside is named FORMERUSDT"),
    (
        "MICROUSDT",
        |s| zip_with("x.csv", format!("open_time,a,b,c,d,e,f,g,h,i,j,ignore\n{}", csv_of(s, 1_000)).as_bytes()),
        "",
    ),
    (
        "LATEUSDT",
        |s| {
            let late = |c: candles::Candle| c.open_time_ms.to_string();
            let mut csv = csv_of(s, 1);
            for time in s.candles().map(late) {
                csv = csv.replacen(&format!("{time},"), &format!("{}5,", &time[..time.len() - 1]), 1);
            }
            zip_with("x.csv", csv.as_bytes())
        },
        "too many to trust the others",
    ),
    ("1000CATUSDT", |s| whole(s, "1000CATUSDT"), ""),
];

struct Fixture {
    exchange: SimulatedExchange,
    _dir: tempfile::TempDir,
    cache: CandleCache,
    downloader: Downloader,
}

async fn fixture(symbols: &[Symbol]) -> Fixture {
    let mut market = MarketSpec::noise(Seed(17), START_MS, symbols);
    market.steps_per_candle = 1;
    let exchange =
        SimulatedExchange::start(ExchangeConfig { speed: 0.0, ..ExchangeConfig::new(market, NOW_MS) }).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(dir.path()).unwrap();
    let config = MarketConfig {
        source: exchange.base_url().try_into().unwrap(),
        retry_delay_ms: 1,
        retries: 1,
        ..MarketConfig::default()
    };
    let downloader = Downloader::new(Binance::new(&config).unwrap(), cache.clone(), &config);
    Fixture { exchange, _dir: dir, cache, downloader }
}

impl Fixture {
    fn truth(&self, symbol: &Symbol) -> CandleSeries {
        self.exchange.market().candles(symbol, M15, START_MS, candles::interval::open_time_ms(M15, NOW_MS)).unwrap()
    }

    fn publish(&self, name: &str, archive: &[u8]) {
        let path = format!("spot/monthly/klines/{name}/15m/{name}-15m-2024-12.zip");
        self.exchange.publish(&path, archive.to_vec());
    }

    async fn download(&self, symbols: &[Symbol], recheck: bool) -> Vec<SeriesReport> {
        let of = |symbol: &Symbol| Wanted { symbol: symbol.clone(), interval: M15, from_ms: START_MS, to_ms: i64::MAX };
        let wanted: Vec<Wanted> = symbols.iter().map(of).collect();
        let plans = self.downloader.plan(SPOT, &wanted).await.unwrap();
        self.downloader.run(SPOT, &plans, 2, recheck, &|_| {}).await
    }

    async fn assert_true(&self, symbol: &Symbol) {
        let stored = self.cache.load_stored(&Ticker::of(SPOT, symbol), M15, 0, i64::MAX).await.unwrap();
        let truth = self.truth(symbol);
        assert_eq!((stored.opens(), stored.highs()), (truth.opens(), truth.highs()), "{symbol}");
        assert_eq!((stored.lows(), stored.closes()), (truth.lows(), truth.closes()), "{symbol}");
    }
}

/// December, as an archive holds it.
fn december(truth: &CandleSeries) -> CandleSeries {
    truth.slice(START_MS + 11 * DAY_MS, START_MS + 42 * DAY_MS)
}

#[tokio::test]
async fn odd_archives_spoil_no_download_and_what_is_wrong_with_them_is_told() {
    let symbols: Vec<Symbol> = CASES.iter().map(|case| symbol(case.0)).collect();
    let fixture = fixture(&symbols).await;
    for (name, archive, _) in CASES {
        fixture.publish(name, &archive(&december(&fixture.truth(&symbol(name)))));
    }
    let reports = fixture.download(&symbols, false).await;
    for (report, (name, _, words)) in reports.iter().zip(CASES) {
        assert_eq!((&report.error, report.missing), (&None, 0), "{name}: {report:?}");
        fixture.assert_true(&report.symbol).await;
        match words {
            "" => assert!(report.problems.is_empty(), "{name}: {:?}", report.problems),
            words => {
                let said = report.problems.join("\n");
                assert!(report.problems.len() == 1 && said.contains(words), "{name}: {said}");
                assert!(said.contains(&format!("{name}-15m-2024-12.zip")), "{said}");
            }
        }
    }
    let stale = &reports[0];
    assert_eq!((stale.merge.disagreeing, stale.merge.replaced), (4, 4));
    assert!(stale.problems[0].contains("the monthly archive says high"), "{}", stale.problems[0]);
    assert!(stale.problems[0].contains("of the exchange, which counts"), "{}", stale.problems[0]);
}

/// A stale archive that is in the cache already, from before anybody looked: checking again finds it.
#[tokio::test]
async fn a_recheck_holds_stored_months_against_the_exchange() {
    let btc = [symbol("BTCUSDT")];
    let fixture = fixture(&btc).await;
    let wrong = stale(&december(&fixture.truth(&btc[0])));
    let archive = whole(&wrong, "BTCUSDT");
    fixture.publish("BTCUSDT", &archive);
    let provenance = Provenance { source: "BTCUSDT-15m-2024-12.zip".to_owned(), fetched_at_ms: NOW_MS };
    let sha256 = hex::encode(Sha256::digest(&archive));
    fixture.cache.merge_fetched(&Ticker::of(SPOT, &btc[0]), &wrong, &provenance, Some(&sha256)).await.unwrap();
    let plain = fixture.download(&btc, false).await.remove(0);
    assert_eq!((plain.merge.replaced, plain.problems.len()), (0, 0), "what is stored is not looked at unasked");
    let again = fixture.download(&btc, true).await.remove(0);
    assert_eq!((again.reissued.len(), again.merge.replaced, again.merge.disagreeing), (0, 4, 4), "{again:?}");
    assert!(again.problems[0].contains("sources disagree about 4 candles"), "{:?}", again.problems);
    fixture.assert_true(&btc[0]).await;
    assert!(fixture.download(&btc, true).await[0].problems.is_empty(), "it is told once");
}

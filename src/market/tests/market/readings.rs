//! Funding, premium index and metrics: what their archives must be, and how they are kept.

use crate::support::{APRIL_MS, csv_of, provenance, put, run, symbol, zip_of, zip_with};
use candles::stored::Part;
use candles::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use candles::{FundingRate, Interval, MarketKind};
use market::CandleCache;
use market::cache::{METRICS_DELAY_MS, ReadingTable};
use market::dumps::{ImportOptions, ImportReport, Product, find_archives, import};
use std::path::Path;

const METRICS_HEADER: &str = "create_time,symbol,sum_open_interest,sum_open_interest_value,\
    count_toptrader_long_short_ratio,sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio\n";
const FUNDING_HEADER: &str = "calc_time,funding_interval_hours,last_funding_rate\n";

async fn import_tree(root: &Path, cache: &CandleCache, market: Option<MarketKind>) -> ImportReport {
    let archives = find_archives(root).unwrap();
    import(cache, &archives, ImportOptions { market, now_ms: APRIL_MS }, |_| {}).await.unwrap()
}

/// Three payments a day from the month's beginning, some milliseconds late.
fn funding_csv(days: i64, late_ms: i64) -> String {
    let row = |n: i64| format!("{},8,{:.8}\n", APRIL_MS + n * 8 * HOUR_MS + late_ms, 0.0001 * (n % 5) as f64 - 0.0001);
    FUNDING_HEADER.to_owned() + &(0..3 * days).map(row).collect::<String>()
}

fn premium_csv(interval: Interval, n: usize) -> String {
    let times = run(interval, APRIL_MS, n, 0);
    let row = |c: candles::Candle| {
        let close = (c.open_time_ms / HOUR_MS % 7) as f64 * 1e-4 - 3e-4;
        format!("{},0.0001,0.0002,-0.0004,{close:.8},0,{},0,720,0,0,0\n", c.open_time_ms, c.close_time_ms)
    };
    times.candles().map(row).collect()
}

/// A day of metrics, stamped from five minutes past midnight to the next midnight.
fn metrics_csv(of: &str, day_ms: i64) -> String {
    let row = |n: i64| {
        let at = chrono::DateTime::from_timestamp_millis(day_ms + n * 5 * MINUTE_MS).unwrap();
        // Early files lack a ratio here and there.
        let ratio = if n % 50 == 7 { String::new() } else { format!("{}", 1.0 + n as f64 / 1e3) };
        format!("{},{of},{}.5,{n}00,1.5,1.25,{ratio},0.75\n", at.format("%Y-%m-%d %H:%M:%S"), 1_000 + n)
    };
    METRICS_HEADER.to_owned() + &(1..=288).map(row).collect::<String>()
}

#[tokio::test]
async fn funding_premium_and_metrics_are_imported_as_of_when_they_were_known() {
    let (tree, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let cache = CandleCache::open(dir.path()).unwrap();
    let (root, btc) = (tree.path(), symbol("BTCUSDT"));
    put(root, "um/fundingRate/BTCUSDT", "BTCUSDT-fundingRate-2024-04.zip", &zip_of(funding_csv(30, 3).as_bytes()));
    let premium = zip_with("BTCUSDT-1h-2024-04.csv", premium_csv(Interval::H1, 720).as_bytes());
    put(root, "futures/um/monthly/premiumIndexKlines/BTCUSDT/1h", "BTCUSDT-1h-2024-04.zip", &premium);
    put(
        root,
        "um/metrics/BTCUSDT",
        "BTCUSDT-metrics-2024-04-01.zip",
        &zip_of(metrics_csv("BTCUSDT", APRIL_MS).as_bytes()),
    );
    put(
        root,
        "um/klines/BTCUSDT",
        "BTCUSDT-1h-2024-04.zip",
        &zip_of(csv_of(&run(Interval::H1, APRIL_MS, 720, 0), 1).as_bytes()),
    );

    let report = import_tree(root, &cache, None).await;
    assert!(!report.has_errors(), "{:?}", report.files);
    let added: Vec<_> = report.values.iter().map(|(product, counts)| (*product, counts.files, counts.added)).collect();
    assert_eq!(added, [(Product::Funding, 1, 90), (Product::Premium, 1, 720), (Product::Metrics, 1, 288)]);
    assert_eq!((report.merge.added, report.rows), (720, 90 + 720 + 288 + 720));

    let rates = cache.load_funding(&btc, 0, i64::MAX).await.unwrap();
    assert_eq!((rates.len(), rates[0]), (90, FundingRate { time_ms: APRIL_MS + 3, rate: -0.0001 }));
    // A premium is known at its candle's close, the last one of the month at the beginning of the next.
    let premium = cache.load_readings(&btc, Part::Premium, 0, i64::MAX).await.unwrap();
    let (times, values) = premium.column("premium");
    assert_eq!((times[0], times[719]), (APRIL_MS + HOUR_MS, APRIL_MS + 30 * DAY_MS));
    assert!((values[1] - ((APRIL_MS / HOUR_MS + 1) % 7) as f64 * 1e-4 + 3e-4).abs() < 1e-12);
    // Metrics are known five minutes after their stamp, and what was empty is not there.
    let metrics = cache.load_readings(&btc, Part::Metrics, 0, i64::MAX).await.unwrap();
    let (times, values) = metrics.column("open_interest");
    assert_eq!((times.len(), times[0], values[0]), (288, APRIL_MS + 5 * MINUTE_MS + METRICS_DELAY_MS, 1_001.5));
    let (times, values) = metrics.column("account_ratio");
    assert!(times.len() == 282 && values.iter().all(|v| v.is_finite()));
    assert!(!times.contains(&(APRIL_MS + 7 * 5 * MINUTE_MS + METRICS_DELAY_MS)));
    assert_eq!(metrics.column("premium"), (vec![], vec![]));

    // Nothing changes the second time, and the archives are known.
    let again = import_tree(root, &cache, None).await;
    assert!(again.values.values().all(|counts| counts.added + counts.replaced == 0));
    let names: Vec<_> = cache.merged_archives(&btc, Part::Metrics).await.unwrap().into_iter().map(|a| a.0).collect();
    assert_eq!(names, ["BTCUSDT-metrics-2024-04-01.zip"]);
}

#[tokio::test]
async fn what_is_not_what_name_path_and_header_say_is_refused_by_line() {
    let (tree, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let cache = CandleCache::open(dir.path()).unwrap();
    let root = tree.path();
    let (metrics, funding) = (metrics_csv("BTCUSDT", APRIL_MS), funding_csv(30, 0));
    let premium = premium_csv(Interval::H1, 720);
    let wrong_header = metrics.replacen("sum_open_interest,", "open_interest,", 1);
    let no_header = funding.split_once('\n').unwrap().1.to_owned();
    let candles = csv_of(&run(Interval::H1, APRIL_MS, 720, 0), 1);
    let positive = premium.replace(",-", ",");
    // (directory, name, content, what the refusal says)
    let refused: [(&str, &str, &str, &str); 12] = [
        (
            "um/metrics/ETHUSDT",
            "ETHUSDT-metrics-2024-04-01.zip",
            &metrics,
            "line 2: it is of BTCUSDT, and the file's name says ETHUSDT",
        ),
        (
            "um/metrics/A",
            "BTCUSDT-metrics-2024-04-02.zip",
            &metrics,
            "line 2: create_time 2024-04-01 00:05:00 is outside",
        ),
        (
            "um/metrics/B",
            "BTCUSDT-metrics-2024-04-01.zip",
            &wrong_header,
            "line 1: expected the header `create_time,symbol,sum_open_interest,",
        ),
        ("um/metrics/C", "CUSDT-metrics-2024-04-01.zip", &funding, "line 1: expected the header `create_time"),
        (
            "um/fundingRate/D",
            "BTCUSDT-fundingRate-2024-04.zip",
            &no_header,
            "line 1: expected the header `calc_time,funding_interval_hours,last_funding_rate`, found `1711929600000",
        ),
        ("um/fundingRate/E", "BTCUSDT-fundingRate-2024-05.zip", &funding, "line 2: its time 1711929600000 is outside"),
        ("um/metrics/F", "FUSDT-fundingRate-2024-04.zip", &funding, "its path says metrics, its name fundingRate"),
        (
            "spot/fundingRate",
            "GUSDT-fundingRate-2024-04.zip",
            &funding,
            "of USD-M futures (funding), and its path or --market says spot",
        ),
        ("um/klines/H", "HUSDT-1h-2024-04.zip", &premium, "line 1: counts without volume in every row"),
        ("um/klines/I", "IUSDT-1h-2024-04.zip", &positive, "a premium index belongs below premiumIndexKlines"),
        (
            "um/premiumIndexKlines/J",
            "JUSDT-1h-2024-04.zip",
            &candles,
            "is no premium: a candle below premiumIndexKlines",
        ),
        ("um/premiumIndexKlines/K", "KUSDT-4h-2024-04.zip", &premium, "line 1: it closes at"),
    ];
    for (at, name, content, _) in refused {
        put(root, at, name, &zip_of(content.as_bytes()));
    }
    let report = import_tree(root, &cache, None).await;
    for (at, name, _, words) in refused {
        let file = report.files.iter().find(|f| f.path.ends_with(&format!("{at}/{name}"))).unwrap();
        assert!(!file.imported && file.problems[0].what.contains(words), "{at}/{name}: {:?}", file.problems);
    }
    assert_eq!((report.files_imported, report.files_refused), (0, 12));
    assert!(cache.coverage().await.unwrap().is_empty());
    let metrics = cache.load_readings(&symbol("ETHUSDT"), Part::Metrics, 0, i64::MAX).await.unwrap();
    assert!(metrics.is_empty() && cache.load_funding(&symbol("BTCUSDT"), 0, i64::MAX).await.unwrap().is_empty());
}

#[tokio::test]
async fn single_bad_rows_are_refused_by_line_and_the_rest_is_kept() {
    let (tree, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let cache = CandleCache::open(dir.path()).unwrap();
    let mut lines: Vec<String> = metrics_csv("BTCUSDT", APRIL_MS).lines().map(str::to_owned).collect();
    lines[10] = lines[10].replace(",BTCUSDT,", ",ETHUSDT,");
    lines[20] = lines[20].replacen("2024-04-01 ", "2024-04-01T", 1);
    lines[30] = lines[30].replace("00,1.5", "00,-1.5");
    lines[40] = lines[40].split(',').take(2).collect::<Vec<_>>().join(",") + ",,,,,,";
    // The same row again is no news; the same time with another value is a contradiction.
    lines.insert(51, lines[50].clone());
    lines.insert(52, lines[50].replace("1.25", "9"));
    put(tree.path(), "um/metrics", "BTCUSDT-metrics-2024-04-01.zip", &zip_of(lines.join("\n").as_bytes()));
    let report = import_tree(tree.path(), &cache, None).await;
    let file = &report.files[0];
    let said: Vec<_> = file.problems.iter().map(|p| (p.line, p.what.as_str())).collect();
    assert_eq!(said.iter().map(|(line, _)| line.unwrap()).collect::<Vec<_>>(), [11, 21, 31, 41, 53], "{said:?}");
    assert!(said[2].1.contains("count_toptrader_long_short_ratio -1.5 is negative"), "{said:?}");
    assert_eq!((file.imported, file.merge.added, file.rows_refused), (true, 284, 5));
}

#[tokio::test]
async fn a_revision_keeps_what_was_there_and_damage_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(dir.path()).unwrap();
    let btc = symbol("BTCUSDT");
    let rows = |salt: f64| (0..100).map(|n| (APRIL_MS + n * HOUR_MS, vec![Some(salt + n as f64)])).collect();
    let table = ReadingTable::from_rows(Part::Premium, rows(0.0));
    let origin = provenance("exchange");
    let merged = cache.merge_readings(&btc, &table, &origin, None).await.unwrap();
    assert_eq!((merged.added, merged.replaced), (100, 0));
    let revised = ReadingTable::from_rows(Part::Premium, vec![(APRIL_MS + HOUR_MS, vec![Some(7.5)])]);
    let merged = cache.merge_readings(&btc, &revised, &origin, None).await.unwrap();
    assert_eq!((merged.added, merged.replaced, merged.unchanged), (0, 1, 0));
    let former = cache.superseded().await.unwrap();
    assert_eq!((former.len(), former[0].part, former[0].month.as_str()), (1, Part::Premium, "2024-04"));
    assert_eq!(cache.load_superseded_readings(&former[0]).await.unwrap(), Some(table));
    let now = cache.load_readings(&btc, Part::Premium, APRIL_MS, APRIL_MS + 2 * HOUR_MS).await.unwrap();
    assert_eq!(now.column("premium"), (vec![APRIL_MS, APRIL_MS + HOUR_MS], vec![0.0, 7.5]));

    let path = dir.path().join("um/BTCUSDT/premium/2024-04.parquet");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.truncate(bytes.len() / 2);
    std::fs::write(&path, bytes).unwrap();
    let said = cache.load_readings(&btc, Part::Premium, 0, i64::MAX).await.unwrap_err().to_string();
    assert!(said.contains("um/BTCUSDT/premium/2024-04.parquet is damaged"), "{said}");
    assert_eq!(cache.merge_readings(&btc, &revised, &origin, None).await.unwrap().damaged, 1);
}

/// Exchange and archive stamp a payment some milliseconds apart; paid it is once.
#[tokio::test]
async fn a_payment_that_two_sources_stamp_apart_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(dir.path()).unwrap();
    let btc = symbol("BTCUSDT");
    let paid = |late_ms: i64, rate: f64| {
        [0, 1, 2].map(|n| FundingRate { time_ms: APRIL_MS + n * 8 * HOUR_MS + late_ms, rate })
    };
    let origin = provenance("exchange");
    assert_eq!(cache.merge_funding(&btc, &paid(0, 0.5), &origin, None).await.unwrap().added, 3);
    let merged = cache.merge_funding(&btc, &paid(17, 0.5), &origin, None).await.unwrap();
    assert_eq!((merged.added, merged.replaced, merged.unchanged), (0, 0, 3));
    assert_eq!(cache.merge_funding(&btc, &paid(17, 0.25), &origin, None).await.unwrap().replaced, 3);
    assert_eq!(cache.load_funding(&btc, 0, i64::MAX).await.unwrap(), paid(0, 0.25));
}

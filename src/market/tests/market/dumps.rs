//! Dump archives: names, checksums, both time units, and what is wrong with some.

use crate::support::{APRIL_MS, QUARTER_MS, csv_of, put, run, symbol, zip_at, zip_of, zip_with};
use candles::quality::{FindingKind, QualityPolicy, Severity};
use candles::time::DAY_MS;
use candles::{CandleSeries, Interval, MarketKind, Ticker};
use market::cache::CandleCache;
use market::dumps::{DumpError, DumpName, ImportOptions, ImportReport, find_archives, import, read_archive, read_csv};
use proptest::prelude::*;
use std::path::Path;

const NAME: &str = "BTCUSDT-15m-2024-04.zip";

fn name() -> DumpName {
    DumpName::parse(NAME).unwrap()
}

fn month() -> CandleSeries {
    run(Interval::M15, APRIL_MS, 2_880, 1)
}

async fn import_tree(root: &Path, cache: &CandleCache, market: Option<MarketKind>) -> ImportReport {
    let archives = find_archives(root).unwrap();
    let mut heard = 0;
    let report = import(cache, &archives, ImportOptions { market, now_ms: APRIL_MS }, |_| heard += 1).await.unwrap();
    assert_eq!(heard, report.files.len());
    report
}

#[test]
fn names_say_symbol_interval_and_range() {
    let month = DumpName::parse("1000PEPEUSDT-1mo-2024-12.zip").unwrap();
    assert_eq!((month.symbol.as_str(), month.interval, month.daily), ("1000PEPEUSDT", Interval::Mo1, false));
    let day = DumpName::parse("BTCUSDT_240329-1m-2024-02-29.zip").unwrap();
    assert_eq!(day.range_ms(), (1_709_164_800_000, 1_709_251_200_000));
    assert_eq!(day.file_name(), "BTCUSDT_240329-1m-2024-02-29.zip");
    for other in [
        "BTCUSDT-15m-2024-13.zip",
        "BTCUSDT-15m-2023-02-29.zip",
        "BTCUSDT-15x-2024-01.zip",
        "BTCUSDT-15m.zip",
        "BTCUSDT-aggTrades-2024-01.zip",
        "BTCUSDT-15m-2024-04.zip.CHECKSUM",
        "-15m-2024-04.zip",
        "BTCUSDT-15m-+024-04.zip",
    ] {
        assert_eq!(DumpName::parse(other), None, "{other}");
    }
}

#[test]
fn both_units_with_and_without_header_give_the_same_candles() {
    let header = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,x,ignore\n";
    for ticks in [1, 1_000] {
        for header in ["", header, &format!("\u{feff}{header}")] {
            let csv = format!("{header}{}", csv_of(&month(), ticks));
            let rows = read_archive(&zip_of(csv.as_bytes()), &name()).unwrap();
            assert_eq!((rows.series, rows.rows, rows.refused_count), (month(), 2_880, 0));
        }
    }
}

#[test]
fn bad_rows_are_refused_by_line_and_the_rest_is_kept() {
    let mut lines: Vec<String> = csv_of(&month(), 1).lines().map(str::to_owned).collect();
    lines[9] = lines[9].replacen(',', ",x", 1);
    lines[19] = lines[18].clone();
    lines[29] = lines[29].replacen(&(APRIL_MS + 29 * QUARTER_MS).to_string(), "1711955700", 1);
    lines[39] = "\"never closed, 1,2".to_owned();
    lines[49].push_str(",1,2");
    let rows = read_csv(lines.join("\n").as_bytes(), &name()).unwrap();
    let refused: Vec<_> = rows.refused.iter().map(|r| r.line).collect();
    assert_eq!(refused, [10, 20, 30, 40, 50]);
    assert_eq!((rows.rows, rows.series.len()), (2_880, 2_875));
    assert!(rows.refused[2].why.contains("neither in milliseconds nor in microseconds"), "{}", rows.refused[2].why);
}

#[test]
fn what_is_no_whole_archive_of_these_candles_is_refused_with_the_reason() {
    let good = zip_of(csv_of(&month(), 1).as_bytes());
    let refusal = |bytes: &[u8]| read_archive(bytes, &name()).unwrap_err();
    assert!(matches!(refusal(&good[..good.len() / 2]), DumpError::Zip(_)));
    assert!(matches!(refusal(b""), DumpError::Zip(_)));
    assert_eq!(refusal(b"\n<!DOCTYPE html><html>"), DumpError::Html);
    assert_eq!(refusal(&zip_of(b"<?xml version=\"1.0\"?><Error/>")), DumpError::Html);
    assert_eq!(refusal(&zip_of(b"")), DumpError::Empty);
    assert_eq!(
        refusal(&zip_of(b"1,2,3,4,5,6,true,false\n")),
        DumpError::OtherProduct { columns: 8, hint: ", as aggregated trades have" }
    );
    let other_month = read_archive(&good, &DumpName::parse("BTCUSDT-15m-2024-05.zip").unwrap()).unwrap_err();
    assert!(matches!(other_month, DumpError::TooManyBadRows { refused: 2_880, .. }), "{other_month}");
    let other_interval = read_archive(&good, &DumpName::parse("BTCUSDT-5m-2024-04.zip").unwrap()).unwrap_err();
    assert!(matches!(other_interval, DumpError::TooManyBadRows { .. }), "{other_interval}");
    let bomb = zip_of(&vec![b'1'; 65 << 20]);
    assert!(bomb.len() < 1 << 20);
    assert!(matches!(refusal(&bomb), DumpError::Bomb(_)));
}

#[tokio::test]
async fn a_tree_is_imported_and_what_is_wrong_with_a_file_stays_with_it() {
    let (tree, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let cache = CandleCache::open(dir.path()).unwrap();
    let good = zip_of(csv_of(&month(), 1).as_bytes());
    let root = tree.path();
    put(root, "spot", NAME, &good);
    let unchecked = put(root, "data/spot/a", "AUSDT-15m-2024-04.zip", &good);
    std::fs::remove_file(unchecked.with_extension("zip.CHECKSUM")).unwrap();
    let wrong = put(root, "spot", "BUSDT-15m-2024-04.zip", &good);
    std::fs::write(wrong.with_extension("zip.CHECKSUM"), format!("{}  x\n", "0".repeat(64))).unwrap();
    let html = put(root, "spot", "CUSDT-15m-2024-04.zip", &good);
    std::fs::write(html.with_extension("zip.CHECKSUM"), "<html>").unwrap();
    put(root, "spot", "DUSDT-15m-2024-04.zip", &good[..1_000]);
    put(root, "um/markPriceKlines", "EUSDT-15m-2024-04.zip", &good);
    put(root, "nowhere", "FUSDT-15m-2024-04.zip", &good);
    put(
        root,
        "futures/um/monthly",
        "GUSDT-15m-2024-04-02.zip",
        &zip_of(csv_of(&run(Interval::M15, APRIL_MS + 96 * QUARTER_MS, 90, 1), 1_000).as_bytes()),
    );
    put(root, "spot", "README.zip", b"no dump");

    let report = import_tree(root, &cache, None).await;
    assert_eq!((report.files_imported, report.files_refused, report.merge.added), (3, 6, 2_880 + 2_880 + 90));
    let said: String = report.files.iter().flat_map(|f| &f.problems).map(|p| format!("{}\n", p.what)).collect();
    for words in [
        "no CHECKSUM file",
        "its checksum file says 000",
        "its checksum file is not one",
        "no whole zip archive",
        "markPriceKlines",
        "neither spot nor um",
        "its name is not SYMBOL-INTERVAL",
    ] {
        assert!(said.contains(words), "{words:?} is not in:\n{said}");
    }
    assert!(report.has_errors());
    let stored =
        cache.load(&Ticker::of(MarketKind::Spot, &symbol("BTCUSDT")), Interval::M15, i64::MIN, i64::MAX).await.unwrap();
    assert_eq!(stored, month());
    let coverage =
        cache.coverage_of(&Ticker::of(MarketKind::Um, &symbol("GUSDT")), Interval::M15).await.unwrap().unwrap();
    assert_eq!(coverage.months[0].provenance.as_ref().unwrap().source, "GUSDT-15m-2024-04-02.zip");

    let again = import_tree(root, &cache, None).await;
    assert_eq!((again.merge.added, again.merge.replaced), (0, 0));
    let told = import_tree(root, &cache, Some(MarketKind::Um)).await;
    assert_eq!((told.files_imported, told.files_refused), (2, 7), "only the undecided file and the um one agree");
}

/// What an archive's path, name and the CSV inside say must be one thing.
#[tokio::test]
async fn an_archive_is_what_path_name_and_content_say_together() {
    let (tree, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let cache = CandleCache::open(dir.path()).unwrap();
    let csv = csv_of(&run(Interval::M15, APRIL_MS, 2_880, 1), 1);
    let holding = |inside: &str| zip_with(inside, csv.as_bytes());
    let root = tree.path();
    // (directory, name, the CSV inside, what the refusal says)
    let refused = [
        ("spot", "XRPUSDT-15m-2024-04.zip", "BTCUSDT-1m-2024-04.csv", "named BTCUSDT-1m-2024-04.csv"),
        ("spot", "AUSDT-15m-2024-04.zip", "BUSDT-15m-2024-04.csv", "named BUSDT-15m-2024-04.csv"),
        ("spot", "CUSDT-15m-2024-04.zip", "CUSDT-5m-2024-04.csv", "named CUSDT-5m-2024-04.csv"),
        ("spot", "DUSDT-15m-2024-04.zip", "DUSDT-15m-2024-03.csv", "named DUSDT-15m-2024-03.csv"),
        ("spot", "EUSDT-15m-2024-04.zip", "EUSDT-aggTrades-2024-04.csv", "named EUSDT-aggTrades-2024-04.csv"),
        ("spot", "FUSDT-15m-2024-04.zip", "币安人生USDT-15m-2024-04.csv", "named 币安人生USDT-15m-2024-04.csv"),
        ("spot", "GUSDT-15m-2024-04.zip", "um/indexPriceKlines/GUSDT-15m-2024-04.csv", "indexPriceKlines"),
        ("futures/cm/monthly", "BTCUSD_PERP-15m-2024-04.zip", "BTCUSD_PERP-15m-2024-04.csv", "coin-margined"),
        ("futures/cm/daily", "HUSD-15m-2024-04-01.zip", "HUSD-15m-2024-04-01.csv", "its path says cm"),
        ("futures/um", "ETHUSD_240628-15m-2024-04.zip", "ETHUSD_240628-15m-2024-04.csv", "coin-margined"),
        ("spot", "ETHUSDT_240628-15m-2024-04.zip", "x.csv", "delivery date"),
        ("spot", "IUSDT-1s-2024-04.zip", "IUSDT-1s-2024-04.csv", "the interval \"1s\""),
        ("spot", "JUSDT-trades-2024-04.zip", "JUSDT-trades-2024-04.csv", "says trades, not candles"),
        ("spot", "KUSDT-15m-2024-13.zip", "x.csv", "the calendar does not have"),
        ("spot", "L:USDT-15m-2024-04.zip", "x.csv", "symbol \"L:USDT\" cannot be kept"),
    ];
    for (at, name, inside, _) in refused {
        put(root, at, name, &holding(inside));
    }
    // A path inside, the former spelling of a month, and a name that says nothing are no contradiction.
    for (name, inside) in [
        ("MUSDT-15m-2024-04.zip", "data/spot/MUSDT-15m-2024-04.csv"),
        ("NUSDT-15m-2024-04.zip", "candles.csv"),
        ("ETHUSDT_240628-15m-2024-04.zip", "ETHUSDT_240628-15m-2024-04.csv"),
    ] {
        put(root, if name.contains('_') { "um" } else { "spot" }, name, &holding(inside));
    }
    for market in [None, Some(MarketKind::Um)] {
        let report = import_tree(root, &cache, market).await;
        for (at, name, _, words) in refused {
            let file = report.files.iter().find(|f| f.path.ends_with(&format!("{at}/{name}"))).unwrap();
            let said = &file.problems[0].what;
            let other_market = market.is_some() && said.contains("its path says spot, --market says um");
            assert!(!file.imported && (said.contains(words) || other_market), "{at}/{name}: {said}");
        }
    }
    let stored: Vec<String> = cache.coverage().await.unwrap().iter().map(|c| c.ticker.to_string()).collect();
    assert_eq!(stored, ["spot:MUSDT", "spot:NUSDT", "um:ETHUSDT_240628"]);
}

/// A stale monthly archive beside right daily ones: the days count, whatever comes first, and it is told.
#[tokio::test]
async fn daily_archives_outrank_monthly_ones_in_any_order_and_the_disagreement_is_told() {
    let truth = month();
    let day = |n: i64| truth.slice(APRIL_MS + n * DAY_MS, APRIL_MS + (n + 1) * DAY_MS);
    let at_ms = APRIL_MS + 20 * DAY_MS + 13 * 4 * QUARTER_MS;
    let stale = truth.candles().map(|mut c| {
        if (at_ms..at_ms + 4 * QUARTER_MS).contains(&c.open_time_ms) {
            c.high += 1.0;
        }
        c
    });
    let stale =
        zip_of(csv_of(&CandleSeries::from_candles(Interval::M15, &stale.collect::<Vec<_>>()).unwrap(), 1).as_bytes());
    let days: Vec<(String, Vec<u8>)> = (19..22)
        .map(|n| (format!("BTCUSDT-15m-2024-04-{}.zip", n + 1), zip_of(csv_of(&day(n), 1).as_bytes())))
        .collect();
    let mut contents = Vec::new();
    // The first half of the cases in one import, by where the files lie; the others one import after the other.
    for (month_at, days_at, apart) in [
        ("spot/a", "spot/b", None),
        ("spot/b", "spot/a", None),
        ("spot/a", "spot/b", Some(true)),
        ("spot/a", "spot/b", Some(false)),
    ] {
        let (tree, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let cache = CandleCache::open(dir.path()).unwrap();
        let put_month = || drop(put(tree.path(), month_at, NAME, &stale));
        let put_days = || days.iter().for_each(|(name, zip)| drop(put(tree.path(), days_at, name, zip)));
        let one = async |at: &str| {
            let report = import_tree(&tree.path().join(at), &cache, Some(MarketKind::Spot)).await;
            let said: String = report.files.iter().flat_map(|f| &f.problems).map(|p| format!("{}\n", p.what)).collect();
            (said, report.merge.disagreeing)
        };
        put_month();
        put_days();
        let (first, second) = match apart {
            None => (one("").await, Default::default()),
            Some(true) => (one(month_at).await, one(days_at).await),
            Some(false) => (one(days_at).await, one(month_at).await),
        };
        let (said, told) = (first.0 + &second.0, first.1 + second.1);
        assert_eq!(told, 4, "{said}");
        assert!(said.contains("sources disagree about 4 candles, the first 2024-04-21 13:00"), "{said}");
        assert!(
            said.contains("the monthly archive says high") && said.contains("of the daily archive, which counts"),
            "{said}"
        );
        let stored = cache
            .load_stored(&Ticker::of(MarketKind::Spot, &symbol("BTCUSDT")), Interval::M15, 0, i64::MAX)
            .await
            .unwrap();
        assert_eq!(stored, truth);
        let coverage = cache.coverage().await.unwrap().remove(0);
        assert_eq!(coverage.months[0].disagreements.len(), 4);
        let check =
            market::verify::verify(&cache, &coverage, &QualityPolicy::default(), &candles::InstrumentTable::empty())
                .await
                .unwrap();
        let found: Vec<_> = check.report.findings.iter().filter(|f| f.kind == FindingKind::Disagreement).collect();
        assert_eq!((found.len(), found[0].from_ms, found[0].severity), (4, at_ms, Severity::Warning));
        assert!(check.fit_for_evidence, "it is resolved");
        contents.push(coverage.months[0].facts.content_sha256.clone());
        // Brought again, the wrong archive changes nothing; a right one ends the disagreement.
        one("").await;
        let right = zip_of(csv_of(&truth, 1).as_bytes());
        put(tree.path(), month_at, NAME, &right);
        one("").await;
        let coverage = cache.coverage().await.unwrap().remove(0);
        assert_eq!(
            (&coverage.months[0].facts.content_sha256, coverage.months[0].disagreements.len()),
            (&contents[0], 0)
        );
    }
    assert!(contents.iter().all(|c| *c == contents[0]));
}

/// Two archives of one name: the one with a checksum, then the one that was written later, counts, wherever it lies.
#[tokio::test]
async fn of_two_archives_of_one_name_the_better_one_counts() {
    let (right, wrong) = (run(Interval::M15, APRIL_MS, 96, 1), run(Interval::M15, APRIL_MS, 96, 2));
    let zip = |series: &CandleSeries, year| zip_at("x.csv", csv_of(series, 1).as_bytes(), year);
    for (right_at, wrong_at) in [("spot/a", "spot/b"), ("spot/b", "spot/a")] {
        for by_checksum in [true, false] {
            let (tree, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let cache = CandleCache::open(dir.path()).unwrap();
            put(tree.path(), right_at, NAME, &zip(&right, if by_checksum { 2024 } else { 2025 }));
            let other = put(tree.path(), wrong_at, NAME, &zip(&wrong, if by_checksum { 2025 } else { 2024 }));
            if by_checksum {
                std::fs::remove_file(other.with_extension("zip.CHECKSUM")).unwrap();
            }
            let report = import_tree(tree.path(), &cache, None).await;
            let said: String = report.files.iter().flat_map(|f| &f.problems).map(|p| p.what.as_str()).collect();
            assert!(said.contains("96 stored candles had other values and were replaced"), "{said}");
            let stored = cache
                .load_stored(&Ticker::of(MarketKind::Spot, &symbol("BTCUSDT")), Interval::M15, 0, i64::MAX)
                .await
                .unwrap();
            assert_eq!(stored, right, "{right_at} {by_checksum}");
        }
    }
}

#[tokio::test]
async fn a_directory_without_dumps_is_an_error() {
    let tree = tempfile::tempdir().unwrap();
    let error = find_archives(tree.path()).unwrap_err().to_string();
    assert!(error.contains("holds no file named like") && error.contains("--mapping"), "{error}");
    assert!(find_archives(&tree.path().join("missing")).unwrap_err().to_string().contains("cannot be read"));
}

/// Excerpts of real files, as they were published: times in milliseconds, in microseconds from 2025 on, and the header
/// and all twelve columns of futures. Every row arrives, with the numbers that it has, and nothing else.
#[tokio::test]
async fn real_rows_arrive_as_they_are() {
    let excerpts = [
        ("spot", "BTCUSDT-15m-2024-04-01.zip", include_str!("excerpts/BTCUSDT-15m-2024-04-01.csv"), 96, 1),
        ("spot", "ARBUSDT-15m-2025-01-01.zip", include_str!("excerpts/ARBUSDT-15m-2025-01-01.csv"), 96, 1_000),
        ("um", "LTCUSDT-1m-2026-02-01.zip", include_str!("excerpts/LTCUSDT-1m-2026-02-01.csv"), 60, 1),
    ];
    let (tree, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (market, name, csv, ..) in excerpts {
        put(tree.path(), market, name, &zip_of(csv.as_bytes()));
    }
    let cache = CandleCache::open(dir.path()).unwrap();
    let report = import_tree(tree.path(), &cache, None).await;
    assert_eq!((report.files_imported, report.files_refused), (3, 0));
    for (market, name, csv, rows, ticks) in excerpts {
        let file = report.files.iter().find(|f| f.path.ends_with(name)).unwrap();
        assert_eq!((file.rows, &file.gaps[..], &file.problems[..]), (rows, &[][..], &[][..]), "{name}");
        let dump = DumpName::parse(name).unwrap();
        let series = cache
            .load_stored(&Ticker::of(market.parse().unwrap(), &dump.symbol), dump.interval, 0, i64::MAX)
            .await
            .unwrap();
        let lines: Vec<&str> = csv.lines().filter(|line| !line.starts_with("open_time")).collect();
        assert_eq!((series.len(), lines.len()), (rows as usize, rows as usize), "{name}");
        for (candle, line) in series.candles().zip(lines) {
            let field: Vec<f64> = line.split(',').map(|field| field.parse().unwrap()).collect();
            assert_eq!(candle.open_time_ms as f64, field[0] / f64::from(ticks), "{line}");
            assert_eq!((candle.close_time_ms + 1) as f64, (field[6] + 1.0) / f64::from(ticks), "{line}");
            assert_eq!([candle.open, candle.high, candle.low, candle.close, candle.volume], field[1..6], "{line}");
            let rest = [candle.taker_buy_volume, candle.taker_buy_quote_volume];
            assert_eq!(
                (candle.quote_volume, candle.trade_count as f64, &rest[..]),
                (field[7], field[8], &field[9..11])
            );
        }
    }
    for coverage in cache.coverage().await.unwrap() {
        assert_eq!((coverage.missing(), coverage.zero_volumes), (0, 0), "{} {}", coverage.ticker, coverage.interval);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn raw_bytes_never_panic_the_readers(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = read_csv(&bytes, &name());
        let _ = read_archive(&bytes, &name());
        let _ = read_archive(&zip_of(&bytes), &name());
    }

    #[test]
    fn rows_that_nearly_are_candles_never_panic_the_reader(csv in "([0-9]{1,19}(,(-?[0-9]{1,20}|NaN|inf|1e308|)){0,13}\r?\n){0,20}") {
        if let Ok(rows) = read_csv(csv.as_bytes(), &name()) {
            prop_assert!(rows.series.len() as u64 + rows.refused_count == rows.rows);
        }
    }

    #[test]
    fn an_archive_with_damaged_bytes_never_panics(at in 0.0..1.0_f64, with in any::<u8>(), n in 1_usize..64) {
        let mut bytes = zip_of(csv_of(&run(Interval::M15, APRIL_MS, 50, 1), 1).as_bytes());
        let start = (at * bytes.len() as f64) as usize;
        let end = (start + n).min(bytes.len());
        bytes[start..end].fill(with);
        let _ = read_archive(&bytes, &name());
    }
}

//! Other programs' files: read by a mapping, refused with reasons.

use crate::support::{APRIL_MS, QUARTER_MS, run};
use arrow_array::{ArrayRef, Float64Array, RecordBatch, TimestampMillisecondArray};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use candles::{CandleSeries, Interval, MarketKind, Ticker};
use market::CandleCache;
use market::foreign::{
    Column, ForeignError, ForeignOptions, Mapping, Named, Naming, TimeFormat, find_files, import_foreign, read,
};
use proptest::prelude::*;
use std::sync::Arc;

const M15: Interval = Interval::M15;

fn built_in(name: &str) -> Mapping {
    Mapping::built_in().remove(name).unwrap()
}

/// The candles' values that other programs know.
fn plain(series: &CandleSeries) -> Vec<(i64, [f64; 5])> {
    series.candles().map(|c| (c.open_time_ms, [c.open, c.high, c.low, c.close, c.volume])).collect()
}

fn truth() -> CandleSeries {
    run(M15, APRIL_MS, 300, 1)
}

fn mt5(series: &CandleSeries, offset_ms: i64) -> String {
    let mut text = "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\r\n".to_owned();
    for c in series.candles() {
        let time = chrono::DateTime::from_timestamp_millis(c.open_time_ms + offset_ms).unwrap();
        let time = time.format("%Y.%m.%d\t%H:%M:%S");
        text.push_str(&format!("{time}\t{}\t{}\t{}\t{}\t{}\t0\t2\r\n", c.open, c.high, c.low, c.close, c.volume));
    }
    text
}

fn feather(series: &CandleSeries) -> Vec<u8> {
    let rows: Vec<_> = series.candles().collect();
    let times = TimestampMillisecondArray::from_iter_values(rows.iter().map(|c| c.open_time_ms)).with_timezone("UTC");
    let floats = |value: fn(&candles::Candle) -> f64| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(rows.iter().map(value)))
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(times),
        floats(|c| c.open),
        floats(|c| c.high),
        floats(|c| c.low),
        floats(|c| c.close),
        floats(|c| c.volume),
    ];
    let stamp = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let mut fields = vec![Field::new("date", stamp, false)];
    fields.extend(["open", "high", "low", "close", "volume"].map(|name| Field::new(name, DataType::Float64, false)));
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    let mut writer = arrow_ipc::writer::FileWriter::try_new(Vec::new(), &schema).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    writer.into_inner().unwrap()
}

fn json(series: &CandleSeries) -> String {
    let rows: Vec<_> = series.candles().map(|c| (c.open_time_ms, c.open, c.high, c.low, c.close, c.volume)).collect();
    serde_json::to_string(&rows).unwrap()
}

#[test]
fn an_mt5_export_a_freqtrade_feather_and_json_file_hold_the_same_candles() {
    let truth = truth();
    let expected = plain(&truth);
    assert_eq!(plain(&read(mt5(&truth, 0).as_bytes(), &built_in("mt5"), M15).unwrap().series), expected);
    assert_eq!(plain(&read(&feather(&truth), &built_in("freqtrade_feather"), M15).unwrap().series), expected);
    assert_eq!(plain(&read(json(&truth).as_bytes(), &built_in("freqtrade_json"), M15).unwrap().series), expected);
    // A broker's clock that is three hours ahead.
    let ahead = Mapping { utc_offset_minutes: 180, ..built_in("mt5") };
    assert_eq!(plain(&read(mt5(&truth, 3 * 3_600_000).as_bytes(), &ahead, M15).unwrap().series), expected);
}

#[test]
fn other_column_orders_units_and_directions_are_a_matter_of_the_mapping() {
    let truth = truth();
    let mut rows: Vec<String> = truth
        .candles()
        .map(|c| format!("{};{};{};{};{}", c.close, c.high, c.low, c.open, c.open_time_ms / 1_000))
        .collect();
    rows.reverse();
    let mapping = Mapping {
        delimiter: ';',
        time: vec![Column::Place(5)],
        time_format: TimeFormat::try_from("unix_s".to_owned()).unwrap(),
        open: Column::Place(4),
        high: Column::Place(2),
        low: Column::Place(3),
        close: Column::Place(1),
        volume: None,
        ..Mapping::default()
    };
    let found = read(rows.join("\n").as_bytes(), &mapping, M15).unwrap();
    assert_eq!(found.series.closes(), truth.closes());
    assert!(found.series.volumes().iter().all(|v| *v == 0.0));
    let with_header = format!("c;h;l;o;t\n{}", rows.join("\n"));
    assert_eq!(read(with_header.as_bytes(), &mapping, M15).unwrap().series, found.series);
}

#[test]
fn what_a_mapping_does_not_fit_is_refused_with_the_reason() {
    let truth = truth();
    let mapping = built_in("freqtrade_json");
    let seconds = Mapping { time_format: TimeFormat::try_from("unix_us".to_owned()).unwrap(), ..mapping.clone() };
    let error = read(json(&truth).as_bytes(), &seconds, M15).unwrap_err();
    assert!(matches!(error, ForeignError::TooManyBadRows { .. }), "{error}");
    assert!(error.to_string().contains("no time of a candle in the unit that the mapping says"), "{error}");
    let error = read(mt5(&truth, 0).as_bytes(), &Mapping::default(), M15).unwrap_err();
    assert!(
        error.to_string().contains("begins like an HTML page") || error.to_string().contains("no column"),
        "{error}"
    );
    let error = read(mt5(&truth, 0).as_bytes(), &Mapping { delimiter: ',', ..built_in("mt5") }, M15).unwrap_err();
    assert!(matches!(error, ForeignError::NoColumn(..)), "{error}");
    let half = feather(&truth);
    assert!(matches!(
        read(&half[..half.len() / 2], &built_in("freqtrade_feather"), M15),
        Err(ForeignError::Broken { .. })
    ));
    assert!(matches!(read(b"<html>", &mapping, M15), Err(ForeignError::Broken { .. })));
    let mut one_bad: Vec<String> = mt5(&truth, 0).lines().map(str::to_owned).collect();
    one_bad[7] = one_bad[7].replace("2024", "20x4");
    let found = read(one_bad.join("\n").as_bytes(), &built_in("mt5"), M15).unwrap();
    assert_eq!((found.series.len(), found.refused_count, found.refused[0].line), (299, 1, 8));
    assert!(TimeFormat::try_from("soon".to_owned()).is_err());
}

#[tokio::test]
async fn files_are_filed_under_what_their_names_say() {
    let dir = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(&dir.path().join("cache")).unwrap();
    let files = dir.path().join("files");
    std::fs::create_dir(&files).unwrap();
    let truth = truth();
    std::fs::write(files.join("XAUUSD_M15_2024.csv"), mt5(&truth, 0)).unwrap();
    std::fs::write(files.join("EURUSD_M15_2024.csv"), "<html>").unwrap();
    let mapping = built_in("mt5");
    let found = find_files(&files, &mapping).unwrap();
    let options = ForeignOptions { now_ms: APRIL_MS, ..ForeignOptions::default() };
    let report = import_foreign(&cache, &found, &mapping, &options, |_| {}).await.unwrap();
    assert_eq!((report.files_imported, report.files_refused, report.merge.added), (1, 1, 300));
    let gold = "XAUUSD".parse().unwrap();
    assert_eq!(cache.load(&Ticker::of(MarketKind::Spot, &gold), M15, 0, i64::MAX).await.unwrap().len(), 300);
    let hours = cache.load(&Ticker::of(MarketKind::Spot, &gold), Interval::H1, 0, i64::MAX).await.unwrap();
    assert_eq!(hours.open_times_ms()[..2], [APRIL_MS, APRIL_MS + 4 * QUARTER_MS]);
}

/// What a name says: symbol, interval, market, or a word of the reason why it is refused.
#[test]
fn a_file_is_what_its_whole_name_says() {
    use Naming::{Freqtrade, Plain};
    let (spot, um) = (Some(MarketKind::Spot), Some(MarketKind::Um));
    let taken = [
        (Freqtrade, "BTC_USDT-5m.feather", "BTCUSDT", "5m", spot),
        (Freqtrade, "BTC_USDT-1h-spot.feather", "BTCUSDT", "1h", spot),
        (Freqtrade, "BTC_USDT_USDT-1h-futures.feather", "BTCUSDT", "1h", um),
        (Freqtrade, "1000SHIB_USDT_USDT-1Mo-futures.feather", "1000SHIBUSDT", "1M", um),
        (Freqtrade, "BTC_USDT_USDT-240329-1h-futures.feather", "BTCUSDT_240329", "1h", um),
        (Plain, "BTC_USDT_USDT-1h.csv", "BTCUSDT", "1h", um),
        (Plain, "BTCUSDT_240329-1h.csv", "BTCUSDT_240329", "1h", um),
        (Plain, "BTC-USDT-1h.csv", "BTCUSDT", "1h", None),
        (Plain, "XAUUSD_M15_2024.csv", "XAUUSD", "15m", None),
        (Plain, "EURUSD_H1_202401020000_202412312300.csv", "EURUSD", "1h", None),
        (Plain, "EURUSD-1h-2024-01-31.csv", "EURUSD", "1h", None),
    ];
    for (naming, name, symbol, interval, market) in taken {
        let named = Named::of(name.as_ref(), naming).unwrap();
        let told = (named.symbol.unwrap().to_string(), named.interval.unwrap().to_string(), named.market);
        assert_eq!(told, (symbol.to_owned(), interval.to_owned(), market), "{name}");
    }
    let refused = [
        ("BTC_USDT_USDT-1h-mark.feather", "mark"),
        ("BTC_USDT_USDT-1h-index.feather", "index"),
        ("BTC_USDT_USDT-1h-premiumIndex.feather", "premiumIndex"),
        ("BTC_USDT_USDT-1h-funding_rate.feather", "funding_rate"),
        ("BTC_USDT_USDT-8h-funding_rate.feather", "funding_rate"),
        ("BTC_USDT-trades.feather", "trades"),
        ("BTC_USD_BTC-1h-futures.feather", "coin-margined"),
        ("BTC_USD-1h-futures.feather", "coin-margined"),
        ("BTCUSD-1h-futures.feather", "coin-margined"),
        ("BTCUSD_PERP-1h.csv", "coin-margined"),
        ("BTCUSD_240329-1h.csv", "coin-margined"),
        ("futures/cm/BTCUSD-1h.csv", "coin-margined"),
        ("um/markPriceKlines/BTCUSDT-1h.csv", "markPriceKlines"),
        ("BTC_USDT_USDT-1h-spot.feather", "contract of um"),
        ("BTC_USDT-1h-ask.csv", "\"ask\" after the interval"),
        ("A_B_C_D_E-1h.csv", "no pair"),
        ("币安人生_USDT-1h.feather", "cannot be kept"),
    ];
    for (name, word) in refused {
        for naming in [Plain, Freqtrade] {
            let why = Named::of(name.as_ref(), naming).unwrap_err();
            assert!(why.contains(word), "{name}: {why}");
        }
    }
}

/// A directory of a futures bot: traded candles with mark prices and funding rates beside them, and spot beside both.
#[tokio::test]
async fn mark_prices_do_not_replace_traded_candles_and_each_market_keeps_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(&dir.path().join("cache")).unwrap();
    let files = dir.path().join("files");
    std::fs::create_dir(&files).unwrap();
    let (traded, mark, on_spot) = (truth(), run(M15, APRIL_MS, 300, 2), run(M15, APRIL_MS, 300, 3));
    for (name, series) in [
        ("BTC_USDT_USDT-15m-futures.feather", &traded),
        ("BTC_USDT_USDT-15m-mark.feather", &mark),
        ("BTC_USDT_USDT-15m-funding_rate.feather", &mark),
        ("BTC_USDT-15m.feather", &on_spot),
    ] {
        std::fs::write(files.join(name), feather(series)).unwrap();
    }
    let mapping = built_in("freqtrade_feather");
    let found = find_files(&files, &mapping).unwrap();
    let import = async |market, symbol: Option<&str>| {
        let symbol = symbol.map(|s| s.parse().unwrap());
        let options = ForeignOptions { market, symbol, now_ms: APRIL_MS, ..ForeignOptions::default() };
        let report = import_foreign(&cache, &found, &mapping, &options, |_| {}).await.unwrap();
        let said: Vec<String> = report.files.iter().flat_map(|f| &f.problems).map(|p| p.what.clone()).collect();
        (report.files_imported, said)
    };
    let (taken, said) = import(None, None).await;
    assert_eq!((taken, said.len()), (2, 2), "{said:?}");
    assert!(said.iter().any(|s| s.contains("says mark")) && said.iter().any(|s| s.contains("says funding_rate")));
    let btc = "BTCUSDT".parse().unwrap();
    for (market, expected) in [(MarketKind::Um, &traded), (MarketKind::Spot, &on_spot)] {
        let stored = cache.load(&Ticker::of(market, &btc), M15, 0, i64::MAX).await.unwrap();
        assert_eq!(plain(&stored), plain(expected), "{market}");
    }
    // Told of one market, the other's file is refused rather than filed under it.
    let (taken, said) = import(Some(MarketKind::Um), None).await;
    assert_eq!(taken, 1);
    assert!(said.iter().any(|s| s.contains("its name says spot, --market says um")), "{said:?}");
    let (taken, said) = import(None, Some("ETHUSDT")).await;
    assert_eq!(taken, 0);
    assert!(said.iter().any(|s| s.contains("its name says BTCUSDT, --symbol says ETHUSDT")), "{said:?}");
}

#[test]
fn candles_of_a_longer_interval_are_not_taken_for_ones_of_a_shorter() {
    let hours = run(Interval::H1, APRIL_MS, 50, 1);
    let error = read(json(&hours).as_bytes(), &built_in("freqtrade_json"), M15).unwrap_err();
    assert!(matches!(error, ForeignError::OtherInterval(3_600, M15)), "{error}");
}

#[test]
fn byte_order_marks_and_utf_16_are_read() {
    let truth = truth();
    let (csv, json) = (mt5(&truth, 0), json(&truth));
    let utf16: Vec<u8> =
        "\u{feff}".encode_utf16().chain(csv.encode_utf16()).flat_map(|unit| unit.to_le_bytes()).collect();
    assert_eq!(plain(&read(&utf16, &built_in("mt5"), M15).unwrap().series), plain(&truth));
    let marked = format!("\u{feff}{json}");
    assert_eq!(plain(&read(marked.as_bytes(), &built_in("freqtrade_json"), M15).unwrap().series), plain(&truth));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn raw_bytes_never_panic_the_readers(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        for name in ["mt5", "freqtrade_feather", "freqtrade_json"] {
            let _ = read(&bytes, &built_in(name), M15);
        }
    }

    #[test]
    fn damaged_feather_files_never_panic(at in 0.0..1.0_f64, with in any::<u8>(), n in 1_usize..24) {
        let mut bytes = feather(&run(M15, APRIL_MS, 20, 1));
        let start = (at * bytes.len() as f64) as usize;
        let end = (start + n).min(bytes.len());
        bytes[start..end].fill(with);
        let _ = read(&bytes, &built_in("freqtrade_feather"), M15);
    }

    #[test]
    fn rows_that_nearly_are_candles_never_panic(json in r#"\[(\[(-?[0-9]{1,20}|null|"x"|1e400|0.5)(,(-?[0-9]{1,20}|null|"7")){0,7}\],?){0,8}\]"#) {
        let _ = read(json.as_bytes(), &built_in("freqtrade_json"), M15);
        let _ = market::stream::read_event(&json);
    }
}

//! Other programs' files: read by a mapping, refused with reasons.

use crate::support::{APRIL_MS, QUARTER_MS, run};
use arrow_array::{ArrayRef, Float64Array, RecordBatch, TimestampMillisecondArray};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use candles::{CandleSeries, Interval, MarketKind};
use market::CandleCache;
use market::foreign::{Column, ForeignError, ForeignOptions, Mapping, TimeFormat, find_files, import_foreign, read};
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
    assert_eq!(cache.load(MarketKind::Spot, &gold, M15, 0, i64::MAX).await.unwrap().len(), 300);
    let hours = cache.load(MarketKind::Spot, &gold, Interval::H1, 0, i64::MAX).await.unwrap();
    assert_eq!(hours.open_times_ms()[..2], [APRIL_MS, APRIL_MS + 4 * QUARTER_MS]);
    assert_eq!(
        Mapping::named_by("BTC_USDT_USDT-1h-futures.feather".as_ref()),
        ("BTCUSDT".parse().ok(), Some(Interval::H1))
    );
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

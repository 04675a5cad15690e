//! Candles as Parquet and CSV, read back.

use crate::support::{APRIL_MS, QUARTER_MS, provenance, run, symbol};
use candles::{Candle, CandleSeries, Interval, MarketKind, Ticker};
use market::CandleCache;
use market::export::{ExportSpec, Format, Packing, export};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;
use std::io::Read;
use std::path::Path;

const SPOT: MarketKind = MarketKind::Spot;

async fn cache(dir: &Path) -> (CandleCache, Vec<(String, CandleSeries)>) {
    let cache = CandleCache::open(dir).unwrap();
    // Numbers that take all digits there are.
    let odd = |mut c: Candle| {
        c.volume = c.volume / 3.0 * 1e-7;
        c.quote_volume = 0.1 + 0.2;
        c
    };
    let mut stored = Vec::new();
    for (name, salt) in [("BTCUSDT", 1), ("1000PEPEUSDT", 2)] {
        let rows: Vec<Candle> = run(Interval::M15, APRIL_MS, 3_000, salt).candles().map(odd).collect();
        let series = CandleSeries::from_candles(Interval::M15, &rows).unwrap();
        cache.merge(&Ticker::of(SPOT, &symbol(name)), &series, &provenance("x")).await.unwrap();
        stored.push((name.to_owned(), series));
    }
    (cache, stored)
}

fn spec(format: Format, packing: Packing) -> ExportSpec {
    let symbols = vec![symbol("BTCUSDT"), symbol("1000PEPEUSDT")];
    ExportSpec { market: SPOT, symbols, interval: Interval::M15, from_ms: i64::MIN, to_ms: i64::MAX, format, packing }
}

fn read_parquet(path: &Path) -> Vec<(String, Candle)> {
    let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap().map(Result::unwrap);
    rows.map(|row| {
        let candle = Candle {
            open_time_ms: row.get_timestamp_millis(1).unwrap(),
            open: row.get_double(2).unwrap(),
            high: row.get_double(3).unwrap(),
            low: row.get_double(4).unwrap(),
            close: row.get_double(5).unwrap(),
            volume: row.get_double(6).unwrap(),
            close_time_ms: row.get_timestamp_millis(7).unwrap(),
            quote_volume: row.get_double(8).unwrap(),
            trade_count: row.get_long(9).unwrap().unsigned_abs(),
            taker_buy_volume: row.get_double(10).unwrap(),
            taker_buy_quote_volume: row.get_double(11).unwrap(),
        };
        (row.get_string(0).unwrap().clone(), candle)
    })
    .collect()
}

fn read_csv(text: &str) -> Vec<(String, Candle)> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(header[..4], ["symbol", "open_time", "open", "high"]);
    let row = |r: csv::StringRecord| {
        let number = |i: usize| r[i].parse::<f64>().unwrap();
        let candle = Candle {
            open_time_ms: r[1].parse().unwrap(),
            open: number(2),
            high: number(3),
            low: number(4),
            close: number(5),
            volume: number(6),
            close_time_ms: r[7].parse().unwrap(),
            quote_volume: number(8),
            trade_count: r[9].parse().unwrap(),
            taker_buy_volume: number(10),
            taker_buy_quote_volume: number(11),
        };
        (r[0].to_owned(), candle)
    };
    reader.records().map(|r| row(r.unwrap())).collect()
}

fn unpacked(path: &Path, packing: Packing) -> String {
    let file = std::fs::File::open(path).unwrap();
    let mut text = String::new();
    match packing {
        Packing::Gzip => flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap(),
        Packing::Zstd => zstd::Decoder::new(file).unwrap().read_to_string(&mut text).unwrap(),
        Packing::None | Packing::Snappy => std::io::BufReader::new(file).read_to_string(&mut text).unwrap(),
    };
    text
}

#[tokio::test]
async fn every_form_reads_back_to_the_bit() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (cache, stored) = cache(dir.path()).await;
    let truth: Vec<(String, Candle)> =
        stored.iter().flat_map(|(name, series)| series.candles().map(move |c| (name.clone(), c))).collect();
    for packing in [Packing::None, Packing::Gzip, Packing::Zstd, Packing::Snappy] {
        let path = out.path().join(format!("{packing:?}.parquet"));
        let written = export(&cache, &spec(Format::Parquet, packing), &path).await.unwrap();
        assert_eq!((written.len(), written[0].symbols[1].1), (1, 3_000));
        assert_eq!(read_parquet(&path), truth, "{packing:?}");
    }
    for packing in [Packing::None, Packing::Gzip, Packing::Zstd] {
        let path = out.path().join(format!("{packing:?}.csv"));
        export(&cache, &spec(Format::Csv, packing), &path).await.unwrap();
        assert_eq!(read_csv(&unpacked(&path, packing)), truth, "{packing:?}");
    }
}

#[tokio::test]
async fn a_directory_gets_a_file_a_symbol_and_a_range_is_cut() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (cache, stored) = cache(dir.path()).await;
    let (from_ms, to_ms) = (APRIL_MS + 10 * QUARTER_MS, APRIL_MS + 20 * QUARTER_MS);
    let spec = ExportSpec { from_ms, to_ms, ..spec(Format::Csv, Packing::Gzip) };
    let written = export(&cache, &spec, out.path()).await.unwrap();
    let names: Vec<_> = written.iter().map(|w| w.path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["BTCUSDT-15m.csv.gz", "1000PEPEUSDT-15m.csv.gz"]);
    let rows = read_csv(&unpacked(&written[1].path, Packing::Gzip));
    let truth: Vec<Candle> = stored[1].1.slice(from_ms, to_ms).candles().collect();
    assert_eq!(rows.into_iter().map(|(_, c)| c).collect::<Vec<_>>(), truth);
    // What is not stored is built from what is.
    let hours = ExportSpec { interval: Interval::H1, ..spec };
    let into = out.path().join("hours/");
    let written = export(&cache, &hours, &into).await.unwrap();
    assert_eq!(written[0].symbols[0].1, 2);
}

#[tokio::test]
async fn what_cannot_be_exported_is_told_and_leaves_no_file() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (cache, _) = cache(dir.path()).await;
    let path = out.path().join("all.csv");
    let mut missing = spec(Format::Csv, Packing::None);
    missing.symbols.push(symbol("NONEUSDT"));
    let said = export(&cache, &missing, &path).await.unwrap_err().to_string();
    assert_eq!(said, "there are no 15m candles of spot NONEUSDT in that time");
    let said = export(&cache, &spec(Format::Csv, Packing::Snappy), &path).await.unwrap_err().to_string();
    assert!(said.contains("snappy is for parquet"), "{said}");
    let nowhere = out.path().join("no/where.csv");
    let said = export(&cache, &spec(Format::Csv, Packing::None), &nowhere).await.unwrap_err().to_string();
    assert!(said.contains("where.csv cannot be written"), "{said}");
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0);
    assert!("lz4".parse::<Packing>().unwrap_err().contains("expected none, gzip, zstd or snappy"));
    assert!("feather".parse::<Format>().unwrap_err().contains("expected parquet or csv"));
}

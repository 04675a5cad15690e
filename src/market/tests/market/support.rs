//! Candles to test with.

// Each test binary uses a part of it.
#![allow(dead_code)]

use candles::{Candle, CandleSeries, Interval, Symbol, interval};
use market::Provenance;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};

/// 2024-04-01T00:00:00Z.
pub(crate) const APRIL_MS: i64 = 1_711_929_600_000;
pub(crate) const QUARTER_MS: i64 = 900_000;

pub(crate) fn symbol(name: &str) -> Symbol {
    name.parse().unwrap()
}

pub(crate) fn provenance(source: &str) -> Provenance {
    Provenance { source: source.to_owned(), fetched_at_ms: APRIL_MS }
}

/// A candle whose values follow from its time and `salt`.
pub(crate) fn candle(interval: Interval, open_time_ms: i64, salt: u64) -> Candle {
    let wave = ((open_time_ms / 60_000) as f64 * 0.37 + salt as f64).sin();
    let open = 100.0 + wave;
    let close = 100.0 + wave * 0.5;
    Candle {
        open_time_ms,
        open,
        high: open.max(close) + 0.25,
        low: open.min(close) - 0.25,
        close,
        volume: 10.0 + wave,
        close_time_ms: interval::close_time_ms(interval, open_time_ms),
        quote_volume: 1_000.0 + wave,
        trade_count: 7 + salt,
        taker_buy_volume: 4.0,
        taker_buy_quote_volume: 400.0,
    }
}

/// `n` candles in a row from `from_ms`.
pub(crate) fn run(interval: Interval, from_ms: i64, n: usize, salt: u64) -> CandleSeries {
    let mut series = CandleSeries::new(interval);
    let mut time = interval::open_time_ms(interval, from_ms);
    for _ in 0..n {
        series.push(&candle(interval, time, salt)).unwrap();
        time = interval::next_open_time_ms(interval, time);
    }
    series
}

/// Rows as in a dump; `ticks` per ms.
pub(crate) fn csv_of(series: &CandleSeries, ticks: i64) -> String {
    let row = |c: Candle| {
        format!(
            "{},{},{},{},{},{},{},{},{},{},{},0\n",
            c.open_time_ms * ticks,
            c.open,
            c.high,
            c.low,
            c.close,
            c.volume,
            (c.close_time_ms + 1) * ticks - 1,
            c.quote_volume,
            c.trade_count,
            c.taker_buy_volume,
            c.taker_buy_quote_volume
        )
    };
    series.candles().map(row).collect()
}

pub(crate) fn zip_of(csv: &[u8]) -> Vec<u8> {
    zip_with("x.csv", csv)
}

/// A zip of one file of that name.
pub(crate) fn zip_with(inside: &str, csv: &[u8]) -> Vec<u8> {
    zip_at(inside, csv, 2024)
}

/// A zip of one file of that name, written at the beginning of a year.
pub(crate) fn zip_at(inside: &str, csv: &[u8], year: u16) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let written = zip::DateTime::from_date_and_time(year, 1, 1, 0, 0, 0).unwrap();
    let options = zip::write::SimpleFileOptions::default().last_modified_time(written);
    zip.start_file(inside, options).unwrap();
    zip.write_all(csv).unwrap();
    zip.finish().unwrap().into_inner()
}

/// Puts a file and its checksum file into a dump tree.
pub(crate) fn put(root: &Path, market: &str, file: &str, bytes: &[u8]) -> PathBuf {
    let dir = root.join(market);
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join(file);
    std::fs::write(&path, bytes).unwrap();
    let line = format!("{}  {file}\n", hex::encode(Sha256::digest(bytes)));
    std::fs::write(dir.join(format!("{file}.CHECKSUM")), line).unwrap();
    path
}

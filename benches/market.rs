//! Import and load rates: archives to candles, candles to the cache, the cache back to candles.
//!
//! `cargo bench -p sg-ai-market --bench market`. `SG_BENCH_DIR` names a folder with archives; without it 48 are made.
//! `benches/peers/market.py` reads the same CSV with polars and pandas.
// It prints a table, and a bench without its input has nothing better to do than to stop.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use candles::{Candle, CandleSeries, Interval, MarketKind, Ticker, interval};
use futures::TryStreamExt;
use market::cache::{CandleCache, Provenance};
use market::dumps::{DumpName, ImportOptions, find_archives, import, read_archive, read_csv};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// 2024-01-01.
const START_MS: i64 = 1_704_067_200_000;
const RUNS: usize = 5;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let archives = std::env::var_os("SG_BENCH_DIR").map_or_else(|| made_archives(scratch.path()), PathBuf::from);
    println!("archives: {}", archives.display());
    println!("{:<52}{:>10}{:>14}{:>10}", "", "ms", "M rows/s", "MB/s");

    let files: Vec<(DumpName, Vec<u8>, Vec<u8>)> = find_archives(&archives)
        .unwrap()
        .into_iter()
        .map(|path| {
            let zip = std::fs::read(&path).unwrap();
            let mut csv = Vec::new();
            let mut archive = zip::ZipArchive::new(std::io::Cursor::new(&zip)).unwrap();
            archive.by_index(0).unwrap().read_to_end(&mut csv).unwrap();
            (DumpName::of_path(&path).unwrap(), zip, csv)
        })
        .collect();
    let csv_bytes: usize = files.iter().map(|(_, _, csv)| csv.len()).sum();
    let rows: usize = files.iter().map(|(name, _, csv)| read_csv(csv, name).unwrap().series.len()).sum();
    row("CSV to checked candles, one thread", rows, csv_bytes, || {
        for (name, _, csv) in &files {
            assert!(!read_csv(csv, name).unwrap().series.is_empty());
        }
    });
    row("zip to checked candles, one thread", rows, csv_bytes, || {
        for (name, zip, _) in &files {
            assert!(!read_archive(zip, name).unwrap().series.is_empty());
        }
    });
    row("sg-ai data import: zips to the cache, with fsync", rows, csv_bytes, || {
        let dir = tempfile::tempdir().unwrap();
        let cache = CandleCache::open(dir.path()).unwrap();
        let options = ImportOptions { market: Some(MarketKind::Spot), now_ms: START_MS };
        let paths = find_archives(&archives).unwrap();
        let report = runtime.block_on(import(&cache, &paths, options, |_| {})).unwrap();
        assert_eq!(report.merge.added as usize, rows);
    });

    let cache = CandleCache::open(&scratch.path().join("cache")).unwrap();
    let tickers: Vec<Ticker> = (0..10).map(|i| spot(&format!("S{i}USDT"))).collect();
    let two_years = 2 * 365 * 96;
    for (i, ticker) in tickers.iter().enumerate() {
        store(&runtime, &cache, ticker, &made(Interval::M15, two_years, i as u64));
    }
    let loaded = two_years * tickers.len();
    row("load 2 years of 15m of 10 symbols from the cache", loaded, loaded * 80, || {
        for ticker in &tickers {
            let series = cache.load(ticker, Interval::M15, 0, i64::MAX);
            assert_eq!(runtime.block_on(series).unwrap().len(), two_years);
        }
    });
    let minutes = 365 * 1_440;
    let one = spot("M1USDT");
    store(&runtime, &cache, &one, &made(Interval::M1, minutes, 3));
    row("load a year of 1m whole", minutes, minutes * 80, || {
        let series = cache.load(&one, Interval::M1, 0, i64::MAX);
        assert_eq!(runtime.block_on(series).unwrap().len(), minutes);
    });
    row("read a year of 1m month by month", minutes, minutes * 80, || {
        let months = cache.months(&one, Interval::M1, 0, i64::MAX);
        let rows = months.try_fold(0, |sum, part| async move { Ok(sum + part.len()) });
        assert_eq!(runtime.block_on(rows).unwrap(), minutes);
    });
}

/// Prints the median of some runs.
fn row(name: &str, rows: usize, bytes: usize, mut work: impl FnMut()) {
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let began = Instant::now();
            work();
            began.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let median = times[RUNS / 2];
    println!(
        "{name:<52}{:>10.1}{:>14.2}{:>10.0}",
        1e3 * median,
        rows as f64 / median / 1e6,
        bytes as f64 / median / 1e6
    );
}

fn spot(name: &str) -> Ticker {
    Ticker { market: MarketKind::Spot, symbol: name.parse().unwrap() }
}

fn store(runtime: &tokio::runtime::Runtime, cache: &CandleCache, ticker: &Ticker, series: &CandleSeries) {
    let provenance = Provenance { source: "made".to_owned(), fetched_at_ms: START_MS };
    runtime.block_on(cache.merge(ticker, series, &provenance)).unwrap();
}

fn made(every: Interval, n: usize, salt: u64) -> CandleSeries {
    let mut series = CandleSeries::new(every);
    let mut open_time_ms = START_MS;
    let mut price = 30_000.0;
    for i in 0..n {
        // Digits as real prices have them: two decimals, moving about.
        let step = ((i as u64).wrapping_mul(6_364_136_223_846_793_005).wrapping_add(salt) >> 40) as f64 / 1e5 - 80.0;
        let open = f64::round(price * 100.0) / 100.0;
        let close = f64::round((price + step).clamp(1_000.0, 90_000.0) * 100.0) / 100.0;
        series
            .push(&Candle {
                open_time_ms,
                open,
                high: open.max(close) + 7.5,
                low: open.min(close) - 7.5,
                close,
                volume: f64::round(step.abs() * 1e5) / 1e5 + 0.001,
                close_time_ms: interval::close_time_ms(every, open_time_ms),
                quote_volume: f64::round(step.abs() * price * 1e5) / 1e5,
                trade_count: 100 + i as u64 % 977,
                taker_buy_volume: 1.25,
                taker_buy_quote_volume: 37_500.0,
            })
            .unwrap();
        price = close;
        open_time_ms = interval::next_open_time_ms(every, open_time_ms);
    }
    series
}

/// 48 archives of a month each.
fn made_archives(dir: &Path) -> PathBuf {
    let root = dir.join("archives/spot");
    std::fs::create_dir_all(&root).unwrap();
    for symbol in 0..4 {
        let year = made(Interval::M15, 365 * 96, symbol);
        let mut month_ms = START_MS;
        for month in 1..=12 {
            let next_ms = interval::next_open_time_ms(Interval::Mo1, month_ms);
            let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
            let stem = format!("S{symbol}USDT-15m-2024-{month:02}");
            let options = zip::write::SimpleFileOptions::default();
            zip.start_file(format!("{stem}.csv"), options).unwrap();
            for c in year.slice(month_ms, next_ms).candles() {
                let (o, h, l, cl, v) = (c.open, c.high, c.low, c.close, c.volume);
                let (t, e, n) = (c.open_time_ms, c.close_time_ms, c.trade_count);
                writeln!(zip, "{t},{o:.8},{h:.8},{l:.8},{cl:.8},{v:.8},{e},0.0,{n},0.0,0.0,0").unwrap();
            }
            std::fs::write(root.join(format!("{stem}.zip")), zip.finish().unwrap().into_inner()).unwrap();
            month_ms = next_ms;
        }
    }
    root
}

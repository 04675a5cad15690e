//! The candle cache: what is written is read, and nothing else.

use crate::support::{APRIL_MS, QUARTER_MS, candle, provenance, run, symbol};
use candles::resample::resample;
use candles::{CandleSeries, FundingRate, Interval, MarketKind, Ticker};
use market::cache::{CacheError, CandleCache, content_sha256};
use proptest::prelude::*;
use std::path::Path;
use std::process::Command;

const SPOT: MarketKind = MarketKind::Spot;
const M15: Interval = Interval::M15;

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(future)
}

async fn all(cache: &CandleCache, name: &str, interval: Interval) -> CandleSeries {
    cache.load_stored(&Ticker::of(SPOT, &symbol(name)), interval, i64::MIN, i64::MAX).await.unwrap()
}

#[tokio::test]
async fn what_was_merged_comes_back_to_the_bit_across_months() {
    let dir = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(dir.path()).unwrap();
    let series = run(M15, APRIL_MS - 40 * QUARTER_MS, 4_000, 1);
    let btc = symbol("BTCUSDT");
    let report = cache.merge(&Ticker::of(SPOT, &btc), &series, &provenance("test")).await.unwrap();
    assert_eq!((report.added, report.replaced, report.unchanged), (4_000, 0, 0));
    assert_eq!(all(&cache, "BTCUSDT", M15).await, series);

    let (from, to) = (APRIL_MS - QUARTER_MS, APRIL_MS + 2 * QUARTER_MS);
    let part = cache.load(&Ticker::of(SPOT, &btc), M15, from, to).await.unwrap();
    assert_eq!(part.open_times_ms(), [from, APRIL_MS, APRIL_MS + QUARTER_MS], "from is included, to is not");

    let coverage = cache.coverage().await.unwrap();
    assert_eq!(coverage.len(), 1);
    assert_eq!((coverage[0].rows, coverage[0].missing()), (4_000, 0));
    let months: Vec<_> = coverage[0].months.iter().map(|m| (m.facts.month.as_str(), m.facts.rows)).collect();
    assert_eq!(months, [("2024-03", 40), ("2024-04", 2_880), ("2024-05", 1_080)]);
    assert_eq!(coverage[0].months[0].provenance, Some(provenance("test")));
    assert_eq!(cache.newest_close_ms(&Ticker::of(SPOT, &btc), M15).await.unwrap(), series.last_close_time_ms());
    assert_eq!(cache.newest_close_ms(&Ticker::of(MarketKind::Um, &btc), M15).await.unwrap(), None);
}

#[tokio::test]
async fn merging_again_counts_what_changed_and_writes_nothing_for_what_did_not() {
    let dir = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(dir.path()).unwrap();
    let eth = Ticker::of(SPOT, &symbol("ETHUSDT"));
    let first = run(M15, APRIL_MS, 100, 1);
    cache.merge(&eth, &first, &provenance("a")).await.unwrap();
    let path = dir.path().join("spot/ETHUSDT/15m/2024-04.parquet");
    let before = std::fs::metadata(&path).unwrap().modified().unwrap();
    let again = cache.merge(&eth, &first, &provenance("b")).await.unwrap();
    assert_eq!((again.added, again.replaced, again.unchanged), (0, 0, 100));
    assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), before);

    let revised = CandleSeries::from_candles(
        M15,
        &[candle(M15, APRIL_MS + QUARTER_MS, 9), candle(M15, APRIL_MS + 102 * QUARTER_MS, 1)],
    )
    .unwrap();
    let report = cache.merge(&eth, &revised, &provenance("c")).await.unwrap();
    assert_eq!((report.added, report.replaced, report.unchanged), (1, 1, 0));
    let stored = all(&cache, "ETHUSDT", M15).await;
    assert_eq!(stored.candle(1), candle(M15, APRIL_MS + QUARTER_MS, 9));
    let coverage = cache.coverage_of(&eth, M15).await.unwrap().unwrap();
    assert_eq!(coverage.missing(), 2);
    assert_eq!(coverage.gaps[0].from_ms, APRIL_MS + 100 * QUARTER_MS);
    assert_eq!(coverage.months[0].provenance, Some(provenance("c")));
    assert_eq!(coverage.months[0].facts.content_sha256, content_sha256(&stored));
}

#[tokio::test]
async fn the_order_of_merges_leaves_no_trace_in_the_bytes() {
    let series = run(M15, APRIL_MS, 2_000, 1);
    let mut files = Vec::new();
    for cuts in [vec![0, 2_000], vec![0, 7, 500, 1_999, 2_000]] {
        let dir = tempfile::tempdir().unwrap();
        let cache = CandleCache::open(dir.path()).unwrap();
        for cut in cuts.windows(2).rev() {
            let (from, to) = (APRIL_MS + cut[0] * QUARTER_MS, APRIL_MS + cut[1] * QUARTER_MS);
            cache
                .merge(&Ticker::of(SPOT, &symbol("SOLUSDT")), &series.slice(from, to), &provenance("x"))
                .await
                .unwrap();
        }
        files.push(std::fs::read(dir.path().join("spot/SOLUSDT/15m/2024-04.parquet")).unwrap());
    }
    assert!(files[0] == files[1], "the same candles must give the same file");
}

#[tokio::test]
async fn minutes_and_months_are_kept_apart() {
    let dir = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(dir.path()).unwrap();
    let btc = Ticker::of(SPOT, &symbol("BTCUSDT"));
    for interval in [Interval::M1, Interval::Mo1] {
        cache.merge(&btc, &run(interval, APRIL_MS, 5, 1), &provenance("x")).await.unwrap();
    }
    assert_eq!(cache.stored_intervals(&btc).await.unwrap(), [Interval::M1, Interval::Mo1]);
    assert!(dir.path().join("spot/BTCUSDT/1mo/2024-04.parquet").exists(), "1M and 1m are one name on some disks");
    assert_eq!(all(&cache, "BTCUSDT", Interval::Mo1).await.len(), 5);
}

#[tokio::test]
async fn a_damaged_month_is_named_left_out_and_healed_by_the_next_merge() {
    let dir = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(dir.path()).unwrap();
    let btc = Ticker::of(SPOT, &symbol("BTCUSDT"));
    let series = run(M15, APRIL_MS, 4_000, 1);
    cache.merge(&btc, &series, &provenance("x")).await.unwrap();
    let path = dir.path().join("spot/BTCUSDT/15m/2024-04.parquet");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();

    let error = cache.load(&btc, M15, APRIL_MS, i64::MAX).await.unwrap_err();
    assert!(matches!(&error, CacheError::Damaged { path, .. } if path.ends_with("2024-04.parquet")), "{error}");
    let coverage = cache.coverage_of(&btc, M15).await.unwrap().unwrap();
    assert_eq!((coverage.months.len(), coverage.damaged.len()), (1, 1));

    let report = cache.merge(&btc, &series, &provenance("y")).await.unwrap();
    assert_eq!((report.damaged, report.added, report.unchanged), (1, 2_880, 1_120));
    assert_eq!(all(&cache, "BTCUSDT", M15).await, series);
    assert!(dir.path().join("spot/BTCUSDT/15m/2024-04.parquet.damaged").exists());
}

#[tokio::test]
async fn what_a_killed_writer_left_half_written_is_never_seen_and_goes_away() {
    let dir = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(dir.path()).unwrap();
    let btc = Ticker::of(SPOT, &symbol("BTCUSDT"));
    cache.merge(&btc, &run(M15, APRIL_MS, 10, 1), &provenance("x")).await.unwrap();
    let half = dir.path().join("spot/BTCUSDT/15m/2024-05.parquet#1");
    std::fs::write(&half, b"PAR1 half a file").unwrap();
    assert_eq!(all(&cache, "BTCUSDT", M15).await.len(), 10);
    assert_eq!(cache.coverage().await.unwrap()[0].months.len(), 1);
    cache.merge(&btc, &run(M15, APRIL_MS, 11, 1), &provenance("x")).await.unwrap();
    assert!(!half.exists());
}

#[tokio::test]
async fn an_interval_that_is_not_stored_is_built_from_the_finer_one_that_covers_most() {
    let dir = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(dir.path()).unwrap();
    let btc = Ticker::of(SPOT, &symbol("BTCUSDT"));
    let quarters = run(M15, APRIL_MS, 100, 1);
    let minutes = run(Interval::M1, APRIL_MS, 600, 1);
    for series in [&quarters, &minutes] {
        cache.merge(&btc, series, &provenance("x")).await.unwrap();
    }
    let load = |from, to| cache.load(&btc, Interval::H1, from, to);
    let hours = load(i64::MIN, i64::MAX).await.unwrap();
    assert_eq!(hours, resample(&quarters, Interval::H1).unwrap());
    assert_eq!(hours.len(), 25);
    let (two, four) = (APRIL_MS + 8 * QUARTER_MS, APRIL_MS + 16 * QUARTER_MS);
    let finest = resample(&minutes, Interval::H1).unwrap().slice(two, four);
    assert_eq!(load(two, four).await.unwrap(), finest, "both cover it: the finest counts");
    assert_eq!(load(two + 1, four + 1).await.unwrap().open_times_ms(), [two + 4 * QUARTER_MS, four]);
    assert!(cache.load(&Ticker::of(SPOT, &symbol("NOUSDT")), Interval::H1, two, four).await.unwrap().is_empty());
    assert!(cache.load(&btc, Interval::M3, two, four).await.unwrap().len() == 40);
}

#[tokio::test]
async fn funding_is_kept_beside_the_candles() {
    let dir = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(dir.path()).unwrap();
    let btc = symbol("BTCUSDT");
    let rates: Vec<_> =
        (0..120).map(|i| FundingRate { time_ms: APRIL_MS + i * 28_800_000, rate: 1e-4 * i as f64 - 3e-3 }).collect();
    assert_eq!(cache.merge_funding(&btc, &rates, &provenance("exchange"), None).await.unwrap().added, 120);
    let revised = FundingRate { rate: 0.5, ..rates[3] };
    let report = cache.merge_funding(&btc, &[rates[2], revised], &provenance("exchange"), None).await.unwrap();
    assert_eq!((report.added, report.replaced, report.unchanged), (0, 1, 1));
    let loaded = cache.load_funding(&btc, APRIL_MS, i64::MAX).await.unwrap();
    assert_eq!((loaded.len(), loaded[3]), (120, revised));
    assert_eq!(cache.load_funding(&btc, rates[5].time_ms, rates[7].time_ms).await.unwrap(), rates[5..7]);
    assert!(cache.coverage().await.unwrap().is_empty(), "funding is no candle interval");
}

const WRITER_DIR: &str = "SG_TEST_WRITER_DIR";
const WRITER_PART: &str = "SG_TEST_WRITER_PART";
const PARTS: i64 = 40;

/// The body of a writing process: merges its share of the candles in small pieces.
fn write_share(dir: &Path, share: i64) {
    let series = run(M15, APRIL_MS, 20 * PARTS as usize, 1);
    block_on(async {
        let cache = CandleCache::open(dir).unwrap();
        for part in (0..PARTS).filter(|p| p % 2 == share) {
            let (from, to) = (APRIL_MS + 20 * part * QUARTER_MS, APRIL_MS + 20 * (part + 1) * QUARTER_MS);
            cache
                .merge(&Ticker::of(SPOT, &symbol("BTCUSDT")), &series.slice(from, to), &provenance("x"))
                .await
                .unwrap();
        }
    });
}

/// Started by the tests below as another process; by itself it has nothing to do.
#[test]
fn writer_process() {
    if let (Ok(dir), Ok(share)) = (std::env::var(WRITER_DIR), std::env::var(WRITER_PART)) {
        write_share(Path::new(&dir), share.parse().unwrap());
    }
}

fn start_writer(dir: &Path, share: i64) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cache::writer_process"])
        .env(WRITER_DIR, dir)
        .env(WRITER_PART, share.to_string())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn two_processes_that_merge_into_one_month_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut writers = [start_writer(dir.path(), 0), start_writer(dir.path(), 1)];
    for writer in &mut writers {
        assert!(writer.wait().unwrap().success());
    }
    let cache = CandleCache::open(dir.path()).unwrap();
    assert_eq!(block_on(all(&cache, "BTCUSDT", M15)), run(M15, APRIL_MS, 20 * PARTS as usize, 1));
}

#[test]
fn a_writer_killed_at_any_moment_leaves_whole_files() {
    let dir = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(dir.path()).unwrap();
    let truth = run(M15, APRIL_MS, 20 * PARTS as usize, 1);
    for i in 0..6 {
        let mut writer = start_writer(dir.path(), i % 2);
        std::thread::sleep(std::time::Duration::from_millis(15 + 9 * i.unsigned_abs()));
        writer.kill().unwrap();
        writer.wait().unwrap();
        for candle in block_on(all(&cache, "BTCUSDT", M15)).candles() {
            let i = truth.open_times_ms().binary_search(&candle.open_time_ms).unwrap();
            assert_eq!(candle, truth.candle(i));
        }
    }
    write_share(dir.path(), 0);
    write_share(dir.path(), 1);
    assert_eq!(block_on(all(&cache, "BTCUSDT", M15)), truth);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Bytes changed anywhere in a stored month end in an error or in the very same candles, never in a panic or in others.
    #[test]
    fn a_stored_month_with_damaged_bytes_never_panics(at in 0.0..1.0_f64, with in any::<u8>(), n in 1_usize..40) {
        let dir = tempfile::tempdir().unwrap();
        let cache = CandleCache::open(dir.path()).unwrap();
        block_on(async {
            cache.merge(&Ticker::of(SPOT, &symbol("BTCUSDT")), &run(M15, APRIL_MS, 200, 1), &provenance("x")).await.unwrap();
            let path = dir.path().join("spot/BTCUSDT/15m/2024-04.parquet");
            let mut bytes = std::fs::read(&path).unwrap();
            let start = (at * bytes.len() as f64) as usize;
            let end = (start + n).min(bytes.len());
            bytes[start..end].fill(with);
            std::fs::write(&path, bytes).unwrap();
            let loaded = cache.load(&Ticker::of(SPOT, &symbol("BTCUSDT")), M15, i64::MIN, i64::MAX).await;
            match loaded {
                Ok(series) => prop_assert_eq!(series, run(M15, APRIL_MS, 200, 1)),
                Err(e) => prop_assert!(matches!(e, CacheError::Damaged { .. }), "{}", e),
            }
            prop_assert!(cache.coverage().await.is_ok());
            Ok(())
        })?;
    }
}

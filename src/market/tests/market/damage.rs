//! Dump archives damaged in many ways: each is found, by the import or by the check, and named.

use crate::support::{APRIL_MS, csv_of, put, symbol, zip_of};
use candles::quality::{FindingKind, QualityPolicy};
use candles::time::DAY_MS;
use candles::{Interval, MarketKind, Ticker};
use genome::random::Seed;
use market::CandleCache;
use market::dumps::{ImportOptions, find_archives, import};
use market::verify::verify;
use simulated::{MarketSpec, SimulatedMarket};
use std::path::PathBuf;

const NAME: &str = "BTCUSDT-15m-2024-04.zip";

/// Rows of a sound month, with volatility and tails as markets have them.
fn sound() -> Vec<Vec<String>> {
    let market = SimulatedMarket::new(MarketSpec::noise(Seed(4), APRIL_MS, &[symbol("BTCUSDT")])).unwrap();
    let month = market.candles(&symbol("BTCUSDT"), Interval::M15, APRIL_MS, APRIL_MS + 30 * DAY_MS).unwrap();
    csv_of(&month, 1).lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

fn archive(rows: &[Vec<String>]) -> Vec<u8> {
    let lines: Vec<String> = rows.iter().map(|row| row.join(",")).collect();
    zip_of((lines.join("\n") + "\n").as_bytes())
}

/// What import and check said of an archive: problems in words, kinds of findings, whether it may be evidence.
async fn told(bytes: &[u8], checksum_of: &[u8]) -> (String, Vec<FindingKind>, bool) {
    let dir = tempfile::tempdir().unwrap();
    let dumps: PathBuf = dir.path().join("dumps");
    put(&dumps, "spot", NAME, checksum_of);
    std::fs::write(dumps.join("spot").join(NAME), bytes).unwrap();
    let cache = CandleCache::open(&dir.path().join("cache")).unwrap();
    let options = ImportOptions { market: None, now_ms: APRIL_MS };
    let report = import(&cache, &find_archives(&dumps).unwrap(), options, |_| {}).await.unwrap();
    let words: Vec<String> = report.files[0].problems.iter().map(|p| p.what.clone()).collect();
    let stored = cache.coverage_of(&Ticker::of(MarketKind::Spot, &symbol("BTCUSDT")), Interval::M15).await.unwrap();
    let Some(coverage) = stored else { return (words.join("; "), Vec::new(), false) };
    let check = verify(&cache, &coverage, &QualityPolicy::default(), &candles::InstrumentTable::empty()).await.unwrap();
    let kinds = check.report.findings.iter().map(|f| f.kind).collect();
    (words.join("; "), kinds, check.fit_for_evidence)
}

type Damage = fn(&mut Vec<Vec<String>>);

fn scale(row: &mut [String], factor: f64) {
    for cell in &mut row[1..5] {
        *cell = format!("{:.8}", cell.parse::<f64>().unwrap() * factor);
    }
}

#[tokio::test]
async fn a_sound_month_has_nothing_to_tell() {
    let bytes = archive(&sound());
    let (words, kinds, fit) = told(&bytes, &bytes).await;
    assert_eq!((words.as_str(), fit), ("", true), "{kinds:?}");
}

#[tokio::test]
async fn damaged_archives_are_refused_with_the_reason() {
    let whole = archive(&sound());
    let other: Vec<Vec<String>> = sound().iter().map(|row| row[..7].to_vec()).collect();
    let seconds = {
        let mut rows = sound();
        rows.iter_mut().for_each(|row| row[0].truncate(10));
        archive(&rows)
    };
    let cases: [(&[u8], &[u8], &str); 5] = [
        (&whole[..whole.len() / 2], &whole[..whole.len() / 2], "no whole zip archive"),
        (&whole, b"another archive", "its SHA-256 is"),
        (b"<html>Just a moment...</html>", b"<html>Just a moment...</html>", "an HTML page"),
        (&archive(&other), &archive(&other), "columns"),
        (&seconds, &seconds, "neither in milliseconds nor in microseconds"),
    ];
    for (bytes, checksum_of, expected) in cases {
        let (words, kinds, fit) = told(bytes, checksum_of).await;
        assert!(words.contains("refused") && words.contains(expected), "{expected}: {words}");
        assert_eq!((kinds, fit), (vec![], false), "nothing of it is stored");
    }
}

#[tokio::test]
async fn damaged_rows_are_found_by_import_or_check() {
    use FindingKind as K;
    // What is done, what the import says, what the check finds, whether it may still be evidence.
    let cases: [(Damage, &str, Option<K>, bool); 10] = [
        (|r| drop(r.drain(100..110)), "10 candles are missing in 1 gaps", Some(K::Gap), true),
        (|r| drop(r.drain(100..200)), "100 candles are missing", Some(K::Incomplete), false),
        (|r| r.insert(7, r[6].clone()), "does not come after", None, true),
        (|r| r.swap(50, 51), "does not come after", Some(K::Gap), true),
        (
            |r| r[9][0] = (r[9][0].parse::<i64>().unwrap() + 7_000).to_string(),
            "does not open on the 15m grid",
            Some(K::Gap),
            true,
        ),
        (|r| r[9][2] = "1.0".into(), "open or close outside low to high", Some(K::Gap), true),
        (|r| r[9][5] = "-1".into(), "a volume that is negative", Some(K::Gap), true),
        (
            |r| {
                let close = r[500][4].clone();
                for row in &mut r[501..600] {
                    row[1..5].fill(close.clone());
                }
            },
            "",
            Some(K::StaleRun),
            true,
        ),
        (|r| r[1_000..].iter_mut().for_each(|row| scale(row, 10.0)), "", Some(K::Jump), false),
        (|r| r[1_000..].iter_mut().for_each(|row| scale(row, 0.5)), "", Some(K::Jump), true),
    ];
    for (i, (damage, said, found, still_fit)) in cases.into_iter().enumerate() {
        let mut rows = sound();
        damage(&mut rows);
        let bytes = archive(&rows);
        let (words, kinds, fit) = told(&bytes, &bytes).await;
        assert!(words.contains(said), "case {i}: {words}");
        assert!(found.is_none_or(|kind| kinds.contains(&kind)), "case {i}: {kinds:?}");
        assert_eq!(fit, still_fit, "case {i}: {kinds:?}");
    }
}

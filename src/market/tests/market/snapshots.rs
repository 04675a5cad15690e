//! Snapshots of what stands beside candles: funding and readings by content.

use crate::support::{APRIL_MS, provenance, run, symbol};
use candles::stored::Part;
use candles::time::{DAY_MS, HOUR_MS};
use candles::{FundingRate, Interval, MarketKind, Ticker};
use market::CandleCache;
use market::cache::ReadingTable;
use market::snapshot::{self, PaymentRevision, ValuesChange};

fn paid(n: i64, rate: f64) -> FundingRate {
    FundingRate { time_ms: APRIL_MS + n * 8 * HOUR_MS, rate }
}

fn premium(from: i64, n: i64, of: f64) -> ReadingTable {
    let row = |i| (APRIL_MS + i * HOUR_MS, vec![Some(of)]);
    ReadingTable::from_rows(Part::Premium, (from..from + n).map(row).collect())
}

fn metrics(n: i64) -> ReadingTable {
    let row = |i: i64| (APRIL_MS + i * HOUR_MS, (0..6).map(|c| Some((i + c) as f64)).collect());
    ReadingTable::from_rows(Part::Metrics, (0..n).map(row).collect())
}

/// A cache with an hour's candles, ninety payments, and readings of April.
async fn filled(dir: &std::path::Path) -> CandleCache {
    let cache = CandleCache::open(dir).unwrap();
    let (btc, origin) = (symbol("BTCUSDT"), provenance("x"));
    let ticker = Ticker::of(MarketKind::Um, &btc);
    cache.merge(&ticker, &run(Interval::H1, APRIL_MS, 100, 1), &origin).await.unwrap();
    let payments: Vec<FundingRate> = (0..93).map(|n| paid(n, 1e-4)).collect();
    cache.merge_funding(&btc, &payments, &origin, None).await.unwrap();
    cache.merge_readings(&btc, &premium(0, 100, 1e-5), &origin, None).await.unwrap();
    cache.merge_readings(&btc, &metrics(50), &origin, None).await.unwrap();
    cache
}

#[tokio::test]
async fn what_is_stored_beside_candles_is_told_by_series_time_and_number() {
    let dir = tempfile::tempdir().unwrap();
    let cache = filled(dir.path()).await;
    let told = cache.values_coverage().await.unwrap();
    let figures: Vec<_> = told.iter().map(|v| (v.part, v.rows, v.first_ms.unwrap(), v.last_ms.unwrap())).collect();
    assert_eq!(
        figures,
        [
            (Part::Funding, 93, APRIL_MS, APRIL_MS + 92 * 8 * HOUR_MS),
            (Part::Premium, 100, APRIL_MS, APRIL_MS + 99 * HOUR_MS),
            (Part::Metrics, 50, APRIL_MS, APRIL_MS + 49 * HOUR_MS),
        ]
    );
    assert_eq!(
        told[0].months.iter().map(|m| (m.month.as_str(), m.rows)).collect::<Vec<_>>(),
        [("2024-04", 90), ("2024-05", 3)]
    );
    assert_eq!(told[0].ticker, Ticker::of(MarketKind::Um, &symbol("BTCUSDT")));

    std::fs::write(dir.path().join("um/BTCUSDT/premium/2024-04.parquet"), "gone").unwrap();
    let damaged = cache.values_coverage().await.unwrap().remove(1);
    assert_eq!((damaged.rows, damaged.damaged.len()), (0, 1));
    assert!(damaged.damaged[0].contains("um/BTCUSDT/premium/2024-04.parquet is damaged"), "{:?}", damaged.damaged);
}

#[tokio::test]
async fn a_snapshot_carries_funding_and_readings_and_tells_what_became_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let cache = filled(dir.path()).await;
    let (btc, origin) = (symbol("BTCUSDT"), provenance("x"));
    let taken = snapshot::take(&cache, Some("before"), APRIL_MS + 40 * DAY_MS).await.unwrap();
    assert_eq!((taken.rows(), taken.value_rows()), (100, 93 + 100 + 50));
    // Read back it is the same, and the same content has the same version in another cache.
    let read = snapshot::find(&cache, "before").await.unwrap();
    assert_eq!(read, taken);
    let other_dir = tempfile::tempdir().unwrap();
    let other = filled(other_dir.path()).await;
    assert_eq!(snapshot::of_cache(&other, 0).await.unwrap().version, taken.version);

    // A payment is revised, the premium grows, metrics of a new month come.
    cache.merge_funding(&btc, &[paid(7, 5e-4)], &origin, None).await.unwrap();
    cache.merge_readings(&btc, &premium(100, 20, 2e-5), &origin, None).await.unwrap();
    let later = ReadingTable::from_rows(Part::Metrics, vec![(APRIL_MS + 31 * DAY_MS, vec![Some(1.0); 6])]);
    cache.merge_readings(&btc, &later, &origin, None).await.unwrap();
    let now = snapshot::of_cache(&cache, 0).await.unwrap();
    assert_ne!(now.version, taken.version);
    let diff = snapshot::diff_values(&cache, &read, &now).await.unwrap();
    let told: Vec<_> = diff.iter().map(|d| (d.part, d.month.as_str(), &d.change)).collect();
    let revision = PaymentRevision { time_ms: paid(7, 0.0).time_ms, old: 1e-4, new: Some(5e-4) };
    let revised = ValuesChange::Revised { payments: vec![revision], readings: Vec::new(), added: 0 };
    assert_eq!(
        told,
        [
            (Part::Funding, "2024-04", &revised),
            (Part::Premium, "2024-04", &ValuesChange::Grown { values: 20 }),
            (Part::Metrics, "2024-05", &ValuesChange::Added),
        ]
    );
    assert!(snapshot::diff(&cache, &read, &now).await.unwrap().is_empty(), "no candle differs");

    // What the snapshot needs of former contents stays; a content that is not what its hash says is told.
    assert!(snapshot::prune(&cache, None, false).await.unwrap().contents.is_empty());
    assert_eq!(cache.superseded().await.unwrap().len(), 1);
    std::fs::write(dir.path().join("um/BTCUSDT/premium/2024-04.parquet"), "gone").unwrap();
    let damaged = snapshot::diff_values(&cache, &read, &now).await.unwrap();
    assert_eq!(damaged[1].change, ValuesChange::Unknown);

    // One from before snapshots had them still reads, and says nothing of them.
    let path = dir.path().join("snapshots/before.json");
    let mut old: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    old.as_object_mut().unwrap().remove("values").unwrap();
    std::fs::write(&path, old.to_string()).unwrap();
    let old = snapshot::find(&cache, "before").await.unwrap();
    assert_eq!((old.values.is_none(), old.value_rows()), (true, 0));
    assert!(snapshot::diff_values(&cache, &old, &now).await.unwrap().is_empty());
    assert_eq!(snapshot::prune(&cache, None, true).await.unwrap().contents.len(), 1, "nobody needs it then");
}

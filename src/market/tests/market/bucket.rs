//! The candle cache in a bucket, chosen by configuration alone, against a small S3 of our own.

use crate::s3;
use crate::support::{APRIL_MS, provenance, run, symbol};
use axum::body::Bytes;
use candles::{Interval, MarketKind, Ticker};
use market::cache::CandleCache;
use market::{MarketConfig, snapshot};

#[tokio::test]
async fn a_bucket_holds_what_a_directory_holds() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (endpoint, objects) = s3::start().await;
    let config = MarketConfig {
        cache_url: Some("s3://bucket/our/candles".to_owned()),
        s3_endpoint: Some(endpoint.parse().unwrap()),
        s3_access_key_id: Some("key".to_owned().into()),
        s3_secret_access_key: Some("secret".to_owned().into()),
        ..MarketConfig::default()
    };
    let (dir, locks) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bucket = CandleCache::open_configured(locks.path(), &config).unwrap();
    let local = CandleCache::open_configured(dir.path(), &MarketConfig::default()).unwrap();
    let (btc, series) =
        (Ticker::of(MarketKind::Spot, &symbol("BTCUSDT")), run(Interval::M15, APRIL_MS - 900_000 * 40, 4_000, 1));
    for cache in [&bucket, &local] {
        let report = cache.merge(&btc, &series, &provenance("x")).await.unwrap();
        assert_eq!(report.added, 4_000);
        let again = cache.merge(&btc, &series, &provenance("x")).await.unwrap();
        assert_eq!(again.unchanged, 4_000);
        assert_eq!(cache.load(&btc, Interval::M15, 0, i64::MAX).await.unwrap(), series);
        let hours = cache.load(&btc, Interval::H1, 0, i64::MAX).await.unwrap();
        assert_eq!(hours.len(), 1_000);
        snapshot::take(cache, Some("first"), APRIL_MS).await.unwrap();
    }
    assert_eq!(bucket.coverage().await.unwrap(), local.coverage().await.unwrap());
    assert_eq!(
        snapshot::find(&bucket, "current").await.unwrap().version,
        snapshot::find(&local, "first").await.unwrap().version
    );
    let key = "our/candles/spot/BTCUSDT/15m/2024-04.parquet";
    let stored = std::fs::read(dir.path().join("spot/BTCUSDT/15m/2024-04.parquet")).unwrap();
    assert_eq!(objects.lock().unwrap()[key], stored, "the same bytes in both places");

    objects.lock().unwrap().insert(key.to_owned(), Bytes::from_static(b"PAR1 gone"));
    let healed = bucket.merge(&btc, &series, &provenance("y")).await.unwrap();
    assert_eq!((healed.damaged, healed.added), (1, 2_880));
    assert_eq!(objects.lock().unwrap()[key], stored);
}

//! The exchange in this process, without HTTP: the newest candle as it is at the moment.

use crate::support::symbol;
use candles::time::DAY_MS;
use candles::{Candle, Interval, MarketKind, Ticker};
use genome::random::Seed;
use market::{Exchange, simulator::InProcessExchange};
use simulated::{MarketSpec, SimulatedMarket};
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

/// 2024-01-01.
const START_MS: i64 = 1_704_067_200_000;

/// What is still open shows what has happened so far, and nothing of what is to come.
#[tokio::test]
async fn the_newest_candle_grows_until_it_closes() {
    let market = Arc::new(SimulatedMarket::new(MarketSpec::noise(Seed(61), START_MS, &[symbol("BTCUSDT")])).unwrap());
    let now = Arc::new(AtomicI64::new(0));
    let exchange = InProcessExchange::new(Arc::clone(&market), {
        let now = Arc::clone(&now);
        move || now.load(Ordering::SeqCst)
    });
    let open_ms = START_MS + 3 * DAY_MS + 4 * 3_600_000;
    let whole = market.candles(&symbol("BTCUSDT"), Interval::H1, open_ms, open_ms + 1).unwrap().candle(0);
    let mut last: Option<Candle> = None;
    let mut shapes = 0;
    for minute in 0..60 {
        let at = open_ms + minute * 60_000 + 59_999;
        now.store(at, Ordering::SeqCst);
        assert_eq!(exchange.server_time_ms(MarketKind::Spot).await.unwrap(), at);
        let rows = exchange
            .klines(&Ticker::of(MarketKind::Spot, &symbol("BTCUSDT")), Interval::H1, open_ms - 3_600_000, i64::MAX, 500)
            .await
            .unwrap();
        let Some(row) = rows.get(1).copied() else { continue };
        assert_eq!(rows.len(), 2);
        assert_eq!((row.open_time_ms, row.open), (open_ms, whole.open));
        assert!(row.high <= whole.high && row.low >= whole.low, "{row:?} {whole:?}");
        if let Some(before) = last {
            assert!(row.high >= before.high && row.low <= before.low);
            shapes += usize::from(row != before);
        }
        last = Some(row);
    }
    assert!(shapes > 10, "{shapes}");
    now.store(open_ms + 3_600_000, Ordering::SeqCst);
    let rows = exchange
        .klines(&Ticker::of(MarketKind::Um, &symbol("BTCUSDT")), Interval::H1, open_ms, i64::MAX, 500)
        .await
        .unwrap();
    assert_eq!(rows, [whole]);
}

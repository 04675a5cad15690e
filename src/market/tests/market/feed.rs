//! The feed: fetching what is missing, and nothing that is not closed.

use crate::support::{APRIL_MS, QUARTER_MS, candle, symbol};
use async_trait::async_trait;
use candles::stored::Part;
use candles::time::MINUTE_MS;
use candles::{Candle, FundingRate, Interval, MarketKind, Symbol, Ticker, interval};
use market::cache::{CandleCache, METRICS_DELAY_MS};
use market::exchange::METRICS_REACH_MS;
use market::feed::Feed;
use market::{Exchange, ExchangeError, ExchangeInfo, MarketConfig, Metric, MetricRow};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

const UM: MarketKind = MarketKind::Um;
const M15: Interval = Interval::M15;

/// An exchange in memory: candles from a listing time on, with a clock, holes, revisions and failures set by the test.
#[derive(Default)]
struct Fake {
    state: Mutex<FakeState>,
}

#[derive(Default)]
struct FakeState {
    now_ms: i64,
    listed_ms: i64,
    holes: BTreeSet<i64>,
    revised: BTreeSet<i64>,
    impossible: BTreeSet<i64>,
    down: bool,
    fail_after: Option<usize>,
    asked: Vec<(i64, i64, u32)>,
    funding: Vec<FundingRate>,
    premium: Vec<Candle>,
    metrics: Vec<(Metric, MetricRow)>,
}

impl Fake {
    fn set(&self, change: impl FnOnce(&mut FakeState)) {
        change(&mut self.state.lock().unwrap());
    }

    fn asked(&self) -> Vec<(i64, i64, u32)> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }
}

fn unavailable() -> ExchangeError {
    ExchangeError::Unavailable { host: "fake".to_owned(), what: "switched off".to_owned() }
}

#[async_trait]
impl Exchange for Fake {
    async fn server_time_ms(&self, _: MarketKind) -> Result<i64, ExchangeError> {
        let state = self.state.lock().unwrap();
        if state.down { Err(unavailable()) } else { Ok(state.now_ms) }
    }

    async fn klines(
        &self,
        ticker: &Ticker,
        interval: Interval,
        from_ms: i64,
        to_ms: i64,
        limit: u32,
    ) -> Result<Vec<Candle>, ExchangeError> {
        let mut state = self.state.lock().unwrap();
        if ticker.symbol.as_str() == "NOUSDT" {
            return Err(ExchangeError::UnknownSymbol { market: ticker.market, symbol: ticker.symbol.to_string() });
        }
        state.asked.push((from_ms, to_ms, limit));
        if state.fail_after.is_some_and(|n| state.asked.len() > n) {
            return Err(unavailable());
        }
        let mut time = interval::open_time_ms(interval, from_ms.max(state.listed_ms) + QUARTER_MS - 1);
        let mut rows = Vec::new();
        // The newest row is still open, as on the real one.
        while time <= to_ms.min(state.now_ms) && rows.len() < limit as usize {
            if !state.holes.contains(&time) {
                let mut row = candle(interval, time, u64::from(state.revised.contains(&time)));
                if state.impossible.contains(&time) {
                    row.high = row.low / 2.0;
                }
                rows.push(row);
            }
            time = interval::next_open_time_ms(interval, time);
        }
        Ok(rows)
    }

    fn max_klines(&self, _: MarketKind) -> u32 {
        100
    }

    async fn exchange_info(&self, _: MarketKind) -> Result<ExchangeInfo, ExchangeError> {
        Ok(ExchangeInfo { server_time_ms: 0, rate_limits: vec![], symbols: vec![] })
    }

    async fn premium_klines(
        &self,
        _: &Symbol,
        interval: Interval,
        from_ms: i64,
        to_ms: i64,
        limit: u32,
    ) -> Result<Vec<Candle>, ExchangeError> {
        let state = self.state.lock().unwrap();
        let fits = |c: &&Candle| (from_ms..=to_ms).contains(&c.open_time_ms);
        let fits_grid = |c: &&Candle| candles::interval::open_time_ms(interval, c.open_time_ms) == c.open_time_ms;
        Ok(state.premium.iter().filter(fits).filter(fits_grid).take(limit as usize).copied().collect())
    }

    async fn metric(
        &self,
        _: &Symbol,
        metric: Metric,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<MetricRow>, ExchangeError> {
        let mut state = self.state.lock().unwrap();
        if metric == Metric::OpenInterest {
            state.asked.push((from_ms, to_ms, 500));
        }
        let fits = |(of, row): &&(Metric, MetricRow)| *of == metric && (from_ms..=to_ms).contains(&row.time_ms);
        Ok(state.metrics.iter().filter(fits).map(|(_, row)| row.clone()).collect())
    }

    async fn funding_rates(&self, _: &Symbol, from_ms: i64, to_ms: i64) -> Result<Vec<FundingRate>, ExchangeError> {
        let state = self.state.lock().unwrap();
        let fits = |r: &&FundingRate| (from_ms..=to_ms).contains(&r.time_ms);
        Ok(state.funding.iter().filter(fits).take(10).copied().collect())
    }
}

struct Fixture {
    fake: Arc<Fake>,
    feed: Feed,
    cache: CandleCache,
    _dir: tempfile::TempDir,
}

fn at(n: i64) -> i64 {
    APRIL_MS + n * QUARTER_MS
}

/// A feed on an exchange whose clock is half way into the candle after `closed` closed ones.
fn fixture(closed: i64) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(dir.path()).unwrap();
    let fake = Arc::new(Fake::default());
    fake.set(|s| (s.now_ms, s.listed_ms) = (at(closed) + QUARTER_MS / 2, APRIL_MS));
    let feed = Feed::new(Arc::clone(&fake) as Arc<dyn Exchange>, cache.clone(), &MarketConfig::default());
    Fixture { fake, feed, cache, _dir: dir }
}

impl Fixture {
    async fn refresh(&self) -> market::feed::SymbolFreshness {
        self.feed.refresh(UM, &[symbol("BTCUSDT")], M15, APRIL_MS).await.remove(0)
    }

    async fn stored(&self) -> Vec<Candle> {
        let all = self.cache.load(&Ticker::of(UM, &symbol("BTCUSDT")), M15, i64::MIN, i64::MAX).await.unwrap();
        all.candles().collect()
    }
}

#[tokio::test]
async fn only_closed_candles_arrive_and_only_missing_ones_are_asked_for() {
    let fixture = fixture(250);
    let first = fixture.refresh().await;
    assert_eq!((first.added, first.newest_close_ms, &first.error), (250, Some(at(250) - 1), &None));
    assert_eq!(fixture.stored().await, (0..250).map(|i| candle(M15, at(i), 0)).collect::<Vec<_>>());
    assert_eq!(fixture.fake.asked(), [(at(0), at(249), 100), (at(100), at(249), 100), (at(200), at(249), 51)]);

    let second = fixture.refresh().await;
    assert_eq!((second.added, second.replaced), (0, 0));
    assert_eq!(fixture.fake.asked(), [(at(247), at(249), 4)], "the last few are read again");

    fixture.fake.set(|s| s.now_ms = at(252));
    assert_eq!(fixture.refresh().await.added, 2, "a candle has closed when the next one opens");
    fixture.fake.set(|s| s.now_ms = at(253) - 1);
    assert_eq!(fixture.refresh().await.added, 0, "in its last millisecond it is still open");
}

#[tokio::test]
async fn revisions_and_late_candles_find_their_way() {
    let fixture = fixture(300);
    fixture.fake.set(|s| s.holes.extend([at(10), at(290)]));
    let first = fixture.refresh().await;
    assert_eq!(first.gaps.iter().map(|g| g.from_ms).collect::<Vec<_>>(), [at(10), at(290)]);
    fixture.fake.set(|s| {
        s.revised.insert(at(299));
        s.holes.clear();
    });
    fixture.fake.asked();
    let second = fixture.refresh().await;
    assert_eq!((second.added, second.replaced, second.gaps), (2, 1, vec![]));
    assert_eq!(fixture.stored().await[299], candle(M15, at(299), 1));
}

#[tokio::test]
async fn old_holes_are_asked_for_once_and_young_ones_each_time() {
    let fixture = fixture(300);
    fixture.fake.set(|s| s.holes.extend([at(10), at(290)]));
    fixture.refresh().await;
    let of_holes = |asked: Vec<(i64, i64, u32)>| asked.into_iter().map(|a| a.0).collect::<Vec<_>>();
    fixture.fake.asked();
    fixture.refresh().await;
    assert_eq!(of_holes(fixture.fake.asked()), [at(10), at(290), at(297)]);
    fixture.refresh().await;
    assert_eq!(of_holes(fixture.fake.asked()), [at(290), at(297)]);
}

#[tokio::test]
async fn a_start_before_the_listing_is_asked_for_once() {
    let fixture = fixture(300);
    let early = || async { fixture.feed.refresh(UM, &[symbol("BTCUSDT")], M15, at(-5_000)).await.remove(0) };
    assert_eq!(early().await.added, 300);
    early().await;
    fixture.fake.asked();
    assert_eq!(early().await.error, None);
    assert_eq!(fixture.fake.asked().len(), 1, "only the end");
}

#[tokio::test]
async fn one_symbol_failing_stops_no_other() {
    let fixture = fixture(20);
    let symbols = [symbol("BTCUSDT"), symbol("NOUSDT"), symbol("ETHUSDT")];
    let all = fixture.feed.refresh(UM, &symbols, M15, APRIL_MS).await;
    assert_eq!(all.iter().map(|s| s.symbol.as_str()).collect::<Vec<_>>(), ["BTCUSDT", "NOUSDT", "ETHUSDT"]);
    assert_eq!(all.iter().map(|s| s.added).collect::<Vec<_>>(), [20, 0, 20]);
    assert!(all[1].error.as_ref().unwrap().contains("NOUSDT is not known on um"));
}

#[tokio::test]
async fn without_the_exchange_the_cached_candles_stay() {
    let fixture = fixture(20);
    fixture.refresh().await;
    fixture.fake.set(|s| s.down = true);
    let down = fixture.refresh().await;
    assert_eq!((down.added, down.newest_close_ms), (0, Some(at(20) - 1)));
    assert!(down.error.unwrap().contains("switched off"));
    assert_eq!(fixture.stored().await.len(), 20);
}

#[tokio::test]
async fn what_came_before_a_failure_is_kept_and_the_next_refresh_goes_on_there() {
    let fixture = fixture(250);
    fixture.fake.set(|s| s.fail_after = Some(2));
    let cut = fixture.refresh().await;
    assert_eq!(cut.added, 200);
    assert!(cut.error.is_some());
    fixture.fake.set(|s| s.fail_after = None);
    fixture.fake.asked();
    assert_eq!(fixture.refresh().await.added, 50);
    assert_eq!(fixture.fake.asked().len(), 1);
}

#[tokio::test]
async fn an_impossible_candle_is_refused_and_named() {
    let fixture = fixture(30);
    fixture.fake.set(|s| s.impossible.extend([at(7)]));
    let fresh = fixture.refresh().await;
    assert_eq!((fresh.added, fresh.gaps.len()), (29, 1));
    assert!(fresh.refused, "the others are there");
    let error = fresh.error.unwrap();
    assert!(error.contains("1 candles of the exchange were refused") && error.contains(&at(7).to_string()), "{error}");
}

#[tokio::test]
async fn a_bounded_refresh_stops_at_its_end() {
    let fixture = fixture(250);
    let fresh = fixture.feed.refresh_until(UM, &[symbol("BTCUSDT")], M15, at(10), at(20)).await.remove(0);
    assert_eq!((fresh.added, fresh.newest_close_ms), (10, Some(at(20) - 1)));
    fixture.refresh().await;
    assert_eq!(fixture.stored().await.len(), 250, "what lies before and after comes later");
}

/// Funding as it is paid: stamps some ms late, every 8 hours, then 4, then every hour, as the exchange decides.
#[tokio::test]
async fn funding_comes_with_late_stamps_and_changing_intervals_as_it_was_paid() {
    const HOUR_MS: i64 = 3_600_000;
    let fixture = fixture(250);
    let (mut paid, mut time_ms) = (Vec::new(), APRIL_MS);
    for (hours, times) in [(8, 70), (4, 90), (1, 110), (8, 30)] {
        for i in 0..times {
            let late_ms = (i * 7 + hours) % 13;
            paid.push(FundingRate { time_ms: time_ms + late_ms, rate: 1e-4 * (i % 5 - 2) as f64 });
            time_ms += hours * HOUR_MS;
        }
    }
    fixture.fake.set(|s| {
        s.funding.clone_from(&paid);
        s.now_ms = time_ms;
    });
    let btc = [symbol("BTCUSDT")];
    let fresh = fixture.feed.refresh_funding(&btc, APRIL_MS, false).await.remove(0);
    assert_eq!((fresh.added, fresh.replaced, fresh.error), (paid.len() as u64, 0, None));
    assert_eq!(fixture.cache.load_funding(&btc[0], 0, i64::MAX).await.unwrap(), paid);
    let again = fixture.feed.refresh_funding(&btc, APRIL_MS, true).await.remove(0);
    assert_eq!((again.added, again.replaced), (0, 0), "read again it is the same");
}

#[tokio::test]
async fn funding_is_paged_and_continued() {
    let fixture = fixture(250);
    let payment = |i: i64| FundingRate { time_ms: APRIL_MS + i * 28_800_000, rate: 1e-4 };
    fixture.fake.set(|s| {
        s.funding = (0..25).map(payment).collect();
        s.now_ms = payment(24).time_ms;
    });
    let btc = [symbol("BTCUSDT")];
    let fresh = fixture.feed.refresh_funding(&btc, APRIL_MS, false).await.remove(0);
    assert_eq!((fresh.added, fresh.newest_ms, fresh.error), (25, Some(payment(24).time_ms), None));
    fixture.fake.set(|s| {
        s.funding.push(payment(25));
        s.now_ms = payment(25).time_ms;
    });
    assert_eq!(fixture.feed.refresh_funding(&btc, APRIL_MS, false).await[0].added, 1);
    assert_eq!(fixture.cache.load_funding(&btc[0], 0, i64::MAX).await.unwrap().len(), 26);
}

#[tokio::test]
async fn metrics_are_asked_for_where_they_lack_and_taken_once_every_part_is_there() {
    let fixture = fixture(250);
    let btc = [symbol("BTCUSDT")];
    let five = 5 * MINUTE_MS;
    let stamp = |n: i64| APRIL_MS + n * five;
    let row = |n: i64, metric: Metric| {
        let values = metric.columns().map(|column| n as f64 + column as f64 / 10.0).collect();
        (metric, MetricRow { time_ms: stamp(n), values })
    };
    // The newest row lacks its last part; an old one will lack it for good, another is missing altogether.
    let now_ms = stamp(40) + five + 1;
    let there = |n: i64, metric: Metric| n != 9 && (metric != Metric::TakerVolume || (n != 7 && n != 40));
    let all = (1..=41).flat_map(|n| Metric::ALL.map(|metric| (n, metric)));
    let rows: Vec<_> = all.filter(|(n, metric)| there(*n, *metric)).map(|(n, metric)| row(n, metric)).collect();
    fixture.fake.set(|s| (s.metrics, s.now_ms) = (rows, now_ms));
    let fresh = fixture.feed.refresh_metrics(&btc, stamp(1) - 1, i64::MAX).await.remove(0);
    // 41 is stamped before now, and known only five minutes later.
    assert_eq!((fresh.added, fresh.newest_ms, fresh.error), (38, Some(stamp(39) + METRICS_DELAY_MS), None));
    assert_eq!(fixture.fake.asked(), [(stamp(1), stamp(40), 500)]);
    let stored = fixture.cache.load_readings(&btc[0], Part::Metrics, 0, i64::MAX).await.unwrap();
    assert_eq!(
        stored.row(0),
        (stamp(1) + METRICS_DELAY_MS, [0, 1, 2, 3, 4, 5].map(|c| Some(1.0 + c as f64 / 10.0)).into())
    );
    assert_eq!(stored.row(6).1.last(), Some(&None), "an old row is taken without what nobody has");

    // Once its last part is there, the newest row is taken; what was missing is asked for again, and nothing else.
    fixture.fake.set(|s| s.metrics.push(row(40, Metric::TakerVolume)));
    let fresh = fixture.feed.refresh_metrics(&btc, stamp(1), i64::MAX).await.remove(0);
    assert_eq!((fresh.added, fresh.replaced), (1, 0));
    assert_eq!(fixture.fake.asked(), [(stamp(9), stamp(40), 500)]);
    let fresh = fixture.feed.refresh_metrics(&btc, stamp(1), i64::MAX).await.remove(0);
    assert_eq!((fresh.added, fixture.fake.asked()), (0, vec![(stamp(9), stamp(9), 500)]));

    // Never from before what the exchange answers for, never more than one answer holds.
    fixture.fake.set(|s| (s.metrics, s.now_ms) = (Vec::new(), stamp(40) + 90 * 24 * 12 * five));
    fixture.feed.refresh_metrics(&btc, 0, i64::MAX).await;
    let asked = fixture.fake.asked();
    let first_ms = stamp(40) + 90 * 24 * 12 * five - METRICS_REACH_MS;
    assert_eq!((asked.len(), asked[0]), (18, (first_ms, first_ms + 499 * five, 500)));
    assert!(asked.windows(2).all(|pair| pair[1].0 == pair[0].1 + five), "{asked:?}");
}

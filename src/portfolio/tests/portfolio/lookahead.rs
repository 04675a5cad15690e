//! Nothing later than a candle's close changes what was decided there: candles of the own and of every other symbol,
//! funding, listings and lines of the table. And the same bits come out whatever comes later, and on any number of
//! threads.

use crate::worlds::{self, World, rng};
use candles::{Candle, CandleSeries, FundingRate, InstrumentTable, Interval, readings::MarketReadings};
use genome::Ranking;
use portfolio::{Panel, PortfolioTerms, Results, Ticker, Track, run};
use rand::{Rng, RngExt};

fn track(world: &World, strategy: &Ranking, terms: &PortfolioTerms) -> Option<(Panel, Track)> {
    let panel = Panel::new(world.market, strategy.timeframe, world.tickers.clone(), &world.table).ok()?;
    let track = run(strategy, &panel, world.from, world.to, terms).unwrap();
    Some((panel, track))
}

/// Targets by time and name, their bits.
type Targets = Vec<(i64, Vec<(String, u64)>)>;

/// What was known and decided by `time_ms`: equity to the bit, targets by name.
fn known_by(panel: &Panel, track: &Track, time_ms: i64) -> (Vec<(i64, u64)>, Targets) {
    let equity = track.slots.iter().filter(|s| s.time_ms <= time_ms).map(|s| (s.time_ms, s.equity.to_bits())).collect();
    let named = |(i, w): &(u32, f64)| (panel.instruments()[*i as usize].id().to_string(), w.to_bits());
    let targets = track.rebalances.iter().filter(|r| r.time_ms <= time_ms);
    (equity, targets.map(|r| (r.time_ms, r.targets.iter().map(named).collect())).collect())
}

/// The series with every candle that closes after `time_ms` changed.
fn shaken(rng: &mut impl Rng, candles: &CandleSeries, time_ms: i64) -> CandleSeries {
    let change = |c: Candle| {
        if c.close_time_ms < time_ms {
            return Some(c);
        }
        let factor: f64 = rng.random_range(0.2..5.0);
        let kept = rng.random_bool(0.8);
        let price = |p: f64| p * factor;
        kept.then(|| Candle {
            open: price(c.open),
            high: price(c.high),
            low: price(c.low),
            close: price(c.close),
            volume: c.volume * 7.0 + 1.0,
            quote_volume: c.quote_volume * 3.0,
            ..c
        })
    };
    let all: Vec<Candle> = candles.candles().filter_map(change).collect();
    CandleSeries::from_candles(candles.interval(), &all).unwrap()
}

/// The world with everything after `time_ms` changed: of ticker `which`, or of all.
fn future_changed(rng: &mut impl Rng, world: &World, time_ms: i64, which: Option<usize>) -> World {
    let mut changed = world.clone();
    for (i, ticker) in changed.tickers.iter_mut().enumerate() {
        if which.is_none_or(|which| which == i) {
            ticker.candles = shaken(rng, &ticker.candles, time_ms);
            for due in ticker.funding.iter_mut().filter(|f| f.time_ms > time_ms) {
                due.rate = rng.random_range(-0.01..0.01);
            }
        }
    }
    changed
}

/// Slippage by participation looks at the volume of the candle in which an order fills, which is part of that fill;
/// so does a fill at an open. Both are known when that candle has closed, and so compared then.
#[test]
fn what_comes_later_changes_nothing_before() {
    let mut decided = 0;
    for seed in 0..300 {
        let rng = &mut rng(90_000 + seed);
        let world = worlds::world(rng, false);
        let (strategy, terms) = (worlds::strategy(rng, false), worlds::terms(rng));
        let Some((panel, plain)) = track(&world, &strategy, &terms) else { continue };
        let slots = (world.to - world.from) / (4 * 3_600_000);
        let time_ms = world.from + rng.random_range(1..slots.max(2)) * 4 * 3_600_000;
        // Beyond the end of all candles nothing ends, and a later candle moves that end.
        let time_ms = time_ms.min(panel.end_ms());
        let expected = known_by(&panel, &plain, time_ms);
        decided += expected.1.iter().filter(|(_, targets)| !targets.is_empty()).count();
        let own_or_other = rng.random_range(0..world.tickers.len());
        let mut worlds =
            vec![future_changed(rng, &world, time_ms, None), future_changed(rng, &world, time_ms, Some(own_or_other))];
        worlds.push(with_later_listing(&world, time_ms));
        worlds.push(without_later_candles(&world, time_ms));
        worlds.push(with_later_cut(&world, time_ms));
        for (kind, changed) in worlds.iter().enumerate() {
            // A table may cut a ticker after all that was known: its name then has a number, and nothing else changes.
            let Some((panel, other)) = track(changed, &strategy, &terms) else { continue };
            if panel.end_ms() < time_ms {
                // No candle at all closes at this time, so that candles end earlier without those that come later.
                continue;
            }
            let found = known_by(&panel, &other, time_ms);
            let told = format!("seed {seed}, change {kind}, at {time_ms}: {strategy}");
            assert_eq!(found.0, expected.0, "{told}");
            let bare = |targets: &Targets| -> Vec<(i64, Vec<u64>)> {
                targets.iter().map(|(t, all)| (*t, all.iter().map(|(_, w)| *w).collect())).collect()
            };
            assert_eq!(bare(&found.1), bare(&expected.1), "{told}");
        }
    }
    assert!(decided > 1_000, "only {decided} decisions were compared");
}

/// A coin that is listed after the time, with the greatest volume of all.
fn with_later_listing(world: &World, time_ms: i64) -> World {
    let mut changed = world.clone();
    let candle = |i: i64| Candle {
        open_time_ms: time_ms + i * 4 * 3_600_000,
        open: 5.0,
        high: 6.0,
        low: 4.0,
        close: 5.0,
        volume: 1e12,
        close_time_ms: time_ms + (i + 1) * 4 * 3_600_000 - 1,
        quote_volume: 5e12,
        trade_count: 1,
        taker_buy_volume: 0.0,
        taker_buy_quote_volume: 0.0,
    };
    let all: Vec<Candle> = (0..100).map(candle).collect();
    changed.tickers.push(Ticker {
        symbol: "LATEUSDT".parse().unwrap(),
        candles: CandleSeries::from_candles(Interval::H4, &all).unwrap(),
        funding: vec![FundingRate { time_ms: time_ms + 1, rate: 0.01 }],
        readings: MarketReadings::default(),
    });
    changed
}

/// The market as it was known then. What ends an instrument within the week before the end of all candles is not known
/// to be an end, so this world stops at the time.
fn without_later_candles(world: &World, time_ms: i64) -> World {
    let mut changed = world.clone();
    for ticker in &mut changed.tickers {
        ticker.candles = ticker.candles.slice(i64::MIN, time_ms);
        ticker.funding.retain(|f| f.time_ms <= time_ms);
    }
    changed.tickers.retain(|t| !t.candles.is_empty());
    changed.to = changed.to.min(time_ms + 1);
    changed
}

fn with_later_cut(world: &World, time_ms: i64) -> World {
    let mut changed = world.clone();
    let lines = world.table.lines().iter();
    let mut text = "ticker,kind,first_candle_of_the_new,reason\n".to_owned();
    for line in lines {
        let said = match line.entry {
            candles::instrument::Entry::Cut { from_ms } => format!("{},cut,{},", line.ticker, date(from_ms)),
            candles::instrument::Entry::Exclude => format!("{},exclude,,", line.ticker),
        };
        text.push_str(&format!("{said}\n"));
    }
    let day = time_ms.div_euclid(worlds::DAY) + 2;
    text.push_str(&format!("C0USDT,cut,{},later\n", date(day * worlds::DAY)));
    changed.table = text.parse().unwrap_or_else(|_| InstrumentTable::empty());
    if changed.table.lines().is_empty() { world.clone() } else { changed }
}

fn date(ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(ms).unwrap().format("%Y-%m-%d").to_string()
}

/// What a leak of one candle would be like: something of the next candle is known a candle early.
#[derive(Clone, Copy, Debug)]
enum Leak {
    Close,
    High,
    Volume,
    Funding,
    Listing,
}

fn leaking(world: &World, leak: Leak) -> World {
    const STEP: i64 = 4 * 3_600_000;
    let mut leaking = world.clone();
    for ticker in &mut leaking.tickers {
        let all: Vec<Candle> = ticker.candles.candles().collect();
        let early = |pair: &[Candle]| match leak {
            Leak::Close => Candle { close: pair[1].close, high: 1e12, low: 1e-12, ..pair[0] },
            Leak::High => Candle { high: pair[0].high.max(pair[1].high), ..pair[0] },
            Leak::Volume => Candle { volume: pair[1].volume, quote_volume: pair[1].quote_volume, ..pair[0] },
            Leak::Funding | Leak::Listing => pair[0],
        };
        let mut known: Vec<Candle> = all.windows(2).map(early).collect();
        known.extend(all.last());
        if let (Leak::Listing, Some(first)) = (leak, all.first()) {
            known.insert(
                0,
                Candle { open_time_ms: first.open_time_ms - STEP, close_time_ms: first.open_time_ms - 1, ..*first },
            );
        }
        ticker.candles = CandleSeries::from_candles(Interval::H4, &known).unwrap();
        if let Leak::Funding = leak {
            ticker.funding.iter_mut().for_each(|f| f.time_ms -= STEP);
        }
    }
    leaking
}

/// The comparison that the test above makes, of an engine that would know something a candle early: it must differ.
#[test]
fn planted_leaks_are_caught() {
    for leak in [Leak::Close, Leak::High, Leak::Volume, Leak::Funding, Leak::Listing] {
        let caught = (0..60).any(|seed| {
            let rng = &mut rng(7_000 + seed);
            let world = worlds::world(rng, false);
            let score = match leak {
                Leak::High => "close / highest(high, 3)",
                _ => "close / delay(close, 1)",
            };
            let text =
                format!("4h; universe top 2 by quote_volume(1d); score {score}; rebalance 4h; weights linear; gross 1");
            let (strategy, terms) = (text.parse().unwrap(), PortfolioTerms::default());
            let middle = world.from + (world.to - world.from) / 2;
            let time_ms = middle.div_euclid(4 * 3_600_000) * 4 * 3_600_000;
            let changed = match leak {
                // What is listed with the next candle is known to be.
                Leak::Listing => with_later_listing(&world, time_ms),
                _ => future_changed(rng, &world, time_ms, None),
            };
            let of = |world: &World| {
                track(&leaking(world, leak), &strategy, &terms).map(|(panel, track)| known_by(&panel, &track, time_ms))
            };
            of(&world).zip(of(&changed)).is_some_and(|(a, b)| a != b)
        });
        assert!(caught, "{leak:?}");
    }
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    for seed in 0..20 {
        let rng = &mut rng(500 + seed);
        let world = worlds::world(rng, false);
        let (strategy, terms) = (worlds::strategy(rng, false), worlds::terms(rng));
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let (panel, track) = track(&world, &strategy, &terms)?;
                let results = Results::of(&track, &panel, world.from, world.to, &terms);
                Some((serde_json::to_string(&results).unwrap(), format!("{track:?}")))
            })
        };
        assert_eq!(on(1), on(7), "seed {seed}");
    }
}

//! The simulated market: repeatable to the bit, honest without an edge, and as strong as stated with one.

use candles::time::DAY_MS;
use candles::{CandleSeries, Interval, Symbol, resample::resample};
use genome::random::Seed;
use simulated::{EdgeKind, EdgeSpec, MarketSpec, SimulatedMarket, SpecError};

/// 2024-01-01.
const START_MS: i64 = 1_704_067_200_000;

fn symbol(name: &str) -> Symbol {
    name.parse().expect("a symbol")
}

fn symbols(names: &[&str]) -> Vec<Symbol> {
    names.iter().map(|n| symbol(n)).collect()
}

fn noise(seed: u64, names: &[&str]) -> MarketSpec {
    MarketSpec::noise(Seed(seed), START_MS, &symbols(names))
}

fn candles(market: &SimulatedMarket, name: &str, interval: Interval, days: i64) -> CandleSeries {
    market.candles(&symbol(name), interval, START_MS, START_MS + days * DAY_MS).expect("candles of a symbol it has")
}

fn returns(series: &CandleSeries) -> Vec<f64> {
    series.closes().windows(2).map(|w| w[1] / w[0] - 1.0).collect()
}

/// Mean over its standard error: about normal when the true mean is 0.
fn t_statistic(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    mean / (variance / n).sqrt()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let (ma, mb) = (mean(a), mean(b));
    let product: f64 = a.iter().zip(b).map(|(x, y)| (x - ma) * (y - mb)).sum();
    let squares = |v: &[f64], m: f64| v.iter().map(|x| (x - m).powi(2)).sum::<f64>();
    product / (squares(a, ma) * squares(b, mb)).sqrt()
}

#[test]
fn candles_do_not_depend_on_what_was_asked_before() {
    let all = SimulatedMarket::new(noise(7, &["BTCUSDT", "ARBUSDT"])).unwrap();
    let whole = candles(&all, "ARBUSDT", Interval::M15, 41);
    assert_eq!(whole.len(), 41 * 96);
    let other = SimulatedMarket::new(noise(7, &["BTCUSDT", "ARBUSDT"])).unwrap();
    for (from, to) in [(33, 36), (2, 9), (0, 40), (20, 21)] {
        let (from, to) = (START_MS + from * DAY_MS + 7_000, START_MS + to * DAY_MS + 13);
        let part = other.candles(&symbol("ARBUSDT"), Interval::M15, from, to).unwrap();
        assert!(part == whole.slice(from, to), "{from} to {to}");
    }
    // Nor on which other symbols there are.
    let alone = SimulatedMarket::new(noise(7, &["ARBUSDT"])).unwrap();
    assert!(candles(&alone, "ARBUSDT", Interval::M15, 41) == whole);
    // But on the seed.
    let different = SimulatedMarket::new(noise(8, &["ARBUSDT"])).unwrap();
    assert!(candles(&different, "ARBUSDT", Interval::M15, 1) != whole.slice(START_MS, START_MS + DAY_MS));
}

#[test]
fn a_market_larger_than_its_cache_is_made_again_to_the_bit() {
    let mut spec = noise(3, &["BTCUSDT"]);
    (spec.base, spec.steps_per_candle) = (Interval::M1, 1);
    let market = SimulatedMarket::new(spec).unwrap();
    let first = candles(&market, "BTCUSDT", Interval::M1, 2);
    let far = START_MS + 800 * DAY_MS;
    assert_eq!(market.candles(&symbol("BTCUSDT"), Interval::D1, START_MS, far).unwrap().len(), 800);
    assert!(candles(&market, "BTCUSDT", Interval::M1, 2) == first);
}

#[test]
fn coarser_candles_are_the_resampled_finer_ones() {
    let mut spec = noise(11, &["SOLUSDT"]);
    (spec.base, spec.steps_per_candle) = (Interval::M1, 4);
    let market = SimulatedMarket::new(spec).unwrap();
    // 2024-01-01 was a Monday, so that weeks and months begin with the market.
    let fine = candles(&market, "SOLUSDT", Interval::M15, 91);
    for interval in [Interval::M30, Interval::H1, Interval::H4, Interval::D1, Interval::W1, Interval::Mo1] {
        let expected = resample(&fine, interval).unwrap();
        let got = market.candles(&symbol("SOLUSDT"), interval, START_MS, START_MS + 91 * DAY_MS).unwrap();
        let got = got.slice(START_MS, expected.last_close_time_ms().unwrap());
        assert_eq!(got.open_times_ms(), expected.open_times_ms(), "{interval}");
        assert_eq!(got.opens(), expected.opens(), "{interval}");
        assert_eq!(got.highs(), expected.highs(), "{interval}");
        assert_eq!(got.lows(), expected.lows(), "{interval}");
        assert_eq!(got.closes(), expected.closes(), "{interval}");
        for (a, b) in got.candles().zip(expected.candles()) {
            // Sums of floats round; the market's own are of whole units.
            assert!((a.volume / b.volume - 1.0).abs() < 1e-12, "{a:?} {b:?}");
            assert!((a.quote_volume / b.quote_volume - 1.0).abs() < 1e-12);
            assert_eq!(a.trade_count, b.trade_count);
        }
    }
}

#[test]
fn candles_are_possible_on_the_price_grid_and_without_gaps() {
    let market = SimulatedMarket::new(noise(5, &["BTCUSDT", "ARBUSDT"])).unwrap();
    for (name, ticks) in [("BTCUSDT", 1e2), ("ARBUSDT", 1e4)] {
        let series = candles(&market, name, Interval::M15, 60);
        assert_eq!(series.len(), 60 * 96);
        for (i, c) in series.candles().enumerate() {
            assert_eq!(c.open_time_ms, START_MS + i as i64 * 900_000);
            assert!(c.low > 0.0 && c.low <= c.open.min(c.close) && c.high >= c.open.max(c.close), "{c:?}");
            for price in [c.open, c.high, c.low, c.close] {
                assert!(price < 0.1 || (price * ticks - (price * ticks).round()).abs() < 1e-6, "{price}");
            }
            assert!(c.volume > 0.0 && c.taker_buy_volume <= c.volume && c.trade_count > 0);
            let mean_price = c.quote_volume / c.volume;
            assert!(mean_price > c.low * 0.999 && mean_price < c.high * 1.001, "{c:?}");
        }
        assert!(series.opens()[1..] == series.closes()[..series.len() - 1]);
    }
}

/// Every way of trading noise that is tried here must earn nothing before costs. Twelve seeds' worth of candles;
/// bounds are 4 standard errors, and the seeds are fixed.
#[test]
fn without_an_edge_nothing_earns() {
    let market = SimulatedMarket::new(noise(21, &["BTCUSDT", "ARBUSDT"])).unwrap();
    for name in ["BTCUSDT", "ARBUSDT"] {
        let series = candles(&market, name, Interval::M15, 4 * 365);
        let r = returns(&series);
        assert!(t_statistic(&r).abs() < 4.0, "holding: {}", t_statistic(&r));
        // After a rise, after a fall, after a wide candle, after heavy volume, by time of day.
        let after = |pick: &dyn Fn(usize) -> f64| -> f64 {
            let products: Vec<f64> = (25..r.len()).map(|i| pick(i) * r[i]).filter(|p| *p != 0.0).collect();
            t_statistic(&products)
        };
        let volumes = series.volumes();
        let rules: [(&str, &dyn Fn(usize) -> f64); 6] = [
            ("last candle's sign", &|i| r[i - 1].signum()),
            ("the day's momentum", &|i| (series.closes()[i] - series.closes()[i - 24]).signum()),
            ("large moves", &|i| if r[i - 1].abs() > 0.008 { r[i - 1].signum() } else { 0.0 }),
            ("heavy volume", &|i| if volumes[i] > 2.0 * mean(&volumes[i - 20..i]) { r[i - 1].signum() } else { 0.0 }),
            ("afternoons", &|i| if series.open_times_ms()[i + 1] % DAY_MS > DAY_MS / 2 { 1.0 } else { 0.0 }),
            ("closes near the low", &|i| {
                let c = series.candle(i);
                if c.close < c.low + 0.1 * (c.high - c.low) { 1.0 } else { 0.0 }
            }),
        ];
        for (rule, pick) in rules {
            let t = after(pick);
            assert!(t.abs() < 4.0, "{name}, {rule}: t = {t}");
        }
    }
}

/// Stops and targets fill at their level inside a candle. On a fair market neither may earn: highs and lows must be
/// those of a continuous path, or a tight stop would fill at better prices than the path ever offered.
#[test]
fn without_an_edge_stops_and_targets_earn_nothing() {
    let market = SimulatedMarket::new(noise(22, &["BTCUSDT"])).unwrap();
    let series = candles(&market, "BTCUSDT", Interval::M15, 6 * 365);
    for (what, stop, target) in [("stop", 0.002, f64::MAX), ("target", f64::MAX, 0.002)] {
        let mut results = Vec::new();
        let mut i = 0;
        while i + 8 < series.len() {
            let entry = series.opens()[i];
            let (low, high) = (entry * (1.0 - stop), entry * (1.0 + target));
            let hit = (i..i + 8).find_map(|k| {
                if series.lows()[k] <= low { Some(-stop) } else { (series.highs()[k] >= high).then_some(target) }
            });
            results.push(hit.unwrap_or(series.closes()[i + 7] / entry - 1.0));
            i += 8;
        }
        let t = t_statistic(&results);
        assert!(t.abs() < 4.0, "{what}: t = {t}, mean = {}", mean(&results));
    }
}

#[test]
fn volatility_is_as_stated_clustered_and_fat_tailed() {
    let market = SimulatedMarket::new(noise(31, &["BTCUSDT", "ETHUSDT"])).unwrap();
    let series = candles(&market, "BTCUSDT", Interval::M15, 6 * 365);
    let r = returns(&series);
    let annual = (mean(&r.iter().map(|x| x * x).collect::<Vec<_>>()) * 35_040.0).sqrt();
    assert!((annual / 0.55 - 1.0).abs() < 0.08, "annual volatility {annual}");
    let second = mean(&r.iter().map(|x| x.powi(2)).collect::<Vec<_>>());
    let fourth = mean(&r.iter().map(|x| x.powi(4)).collect::<Vec<_>>());
    assert!(fourth / second.powi(2) > 6.0, "kurtosis {}", fourth / second.powi(2));
    let size: Vec<f64> = r.iter().map(|x| x.abs()).collect();
    for (lag, least) in [(1, 0.12), (16, 0.06), (96, 0.06)] {
        let c = correlation(&size[lag..], &size[..size.len() - lag]);
        assert!(c > least, "lag {lag}: {c}");
    }
    let other = returns(&candles(&market, "ETHUSDT", Interval::M15, 6 * 365));
    let c = correlation(&r, &other);
    assert!((0.25..0.5).contains(&c), "correlation of symbols {c}");
}

/// Annual Sharpe ratio from daily sums.
fn annual_sharpe(per_candle: &[f64]) -> f64 {
    let daily: Vec<f64> = per_candle.chunks_exact(96).map(|day| day.iter().sum()).collect();
    t_statistic(&daily) / (daily.len() as f64).sqrt() * 365f64.sqrt()
}

/// The natural strategy of each kind, written against candles alone: position held in candle `i`.
fn positions(kind: EdgeKind, s: &CandleSeries) -> Vec<f64> {
    let mut out = vec![0.0; s.len()];
    let mut hold_until = 0;
    let mut side = 0.0;
    for (i, position) in out.iter_mut().enumerate() {
        let signal = match kind {
            EdgeKind::MeanReversion { lookback, deviations, .. } if i >= lookback as usize => {
                let closes = &s.closes()[i - lookback as usize..i];
                let m = mean(closes);
                let sd = mean(&closes.iter().map(|c| (c - m).powi(2)).collect::<Vec<_>>()).sqrt();
                let z = (closes[closes.len() - 1] - m) / sd;
                if z < -deviations { 1.0 } else { -f64::from(u8::from(z > deviations)) }
            }
            EdgeKind::Momentum { lookback, .. } if i > lookback as usize => {
                let before = i - 1 - lookback as usize..i - 1;
                let close = s.closes()[i - 1];
                if s.highs()[before.clone()].iter().all(|h| close > *h) {
                    1.0
                } else {
                    -f64::from(u8::from(s.lows()[before].iter().all(|l| close < *l)))
                }
            }
            EdgeKind::VolumeSpike { lookback, multiple, .. } if i > lookback as usize => {
                let usual = mean(&s.volumes()[i - 1 - lookback as usize..i - 1]);
                let moved = s.closes()[i - 1] - s.opens()[i - 1];
                if s.volumes()[i - 1] >= multiple * usual && moved != 0.0 { moved.signum() } else { 0.0 }
            }
            EdgeKind::Product { lookback, .. } if i > lookback as usize => {
                let usual = mean(&s.volumes()[i - 1 - lookback as usize..i - 1]);
                let (moved, more) = (s.closes()[i - 1] - s.opens()[i - 1], s.volumes()[i - 1] - usual);
                if moved * more == 0.0 { 0.0 } else { (moved * more).signum() }
            }
            EdgeKind::TimeOfDay { hour, hours } => {
                let now = (s.open_times_ms()[i] / 3_600_000) as u32 % 24;
                let within = |from: u32| (now + 24 - from) % 24 < hours;
                *position = f64::from(u8::from(within(hour))) - f64::from(u8::from(within((hour + 12) % 24)));
                continue;
            }
            _ => 0.0,
        };
        if signal != 0.0 {
            let (EdgeKind::MeanReversion { hold, .. }
            | EdgeKind::Momentum { hold, .. }
            | EdgeKind::VolumeSpike { hold, .. }
            | EdgeKind::Product { hold, .. }) = kind
            else {
                continue;
            };
            (side, hold_until) = (signal, i + hold as usize);
        }
        *position = if i < hold_until { side } else { 0.0 };
    }
    out
}

fn earned(kind: EdgeKind, series: &CandleSeries) -> Vec<f64> {
    let moved = series.candles().map(|c| c.close / c.open - 1.0);
    positions(kind, series).iter().zip(moved).map(|(p, r)| p * r).collect()
}

/// Twelve years of each kind at a Sharpe ratio of 6: the standard error of the measured ratio is about 0.3.
#[test]
fn an_edge_is_as_strong_as_stated() {
    for name in ["mean_reversion", "momentum", "time_of_day", "volume_spike", "product"] {
        let kind: EdgeKind = name.parse().unwrap();
        let mut spec = noise(41, &["ETHUSDT"]);
        spec.edges = vec![EdgeSpec::lasting(kind, symbols(&["ETHUSDT"]), 6.0)];
        let market = SimulatedMarket::new(spec).unwrap();
        let series = candles(&market, "ETHUSDT", Interval::M15, 12 * 365);
        let sharpe = annual_sharpe(&earned(kind, &series));
        assert!((sharpe - 6.0).abs() < 0.9, "{name}: {sharpe}");
        // Both sides are mirrored, so holding gains nothing.
        let t = t_statistic(&returns(&series));
        assert!(t.abs() < 4.0, "{name}: holding has t = {t}");
    }
}

#[test]
fn an_edge_starts_decays_and_turns_when_told_and_only_on_its_symbols() {
    let kind: EdgeKind = "mean_reversion".parse().unwrap();
    let mut spec = noise(51, &["BTCUSDT", "ETHUSDT"]);
    let year = 365 * DAY_MS;
    spec.edges = vec![EdgeSpec {
        start_ms: START_MS + 2 * year,
        end_ms: Some(START_MS + 4 * year),
        decay_ms: year,
        residual: -1.0,
        ..EdgeSpec::lasting(kind, symbols(&["ETHUSDT"]), 8.0)
    }];
    let edge = spec.edges[0].clone();
    let level = |years: f64| edge.level(START_MS + (years * year as f64) as i64);
    assert_eq!(
        [level(1.0), level(2.0), level(3.9), level(4.5), level(5.0), level(9.0)],
        [0.0, 1.0, 1.0, 0.0, -1.0, -1.0]
    );
    let market = SimulatedMarket::new(spec).unwrap();
    let sharpes = |name: &str| {
        let series = candles(&market, name, Interval::M15, 7 * 365);
        let earned = earned(kind, &series);
        let part = |from: usize, to: usize| annual_sharpe(&earned[from * 35_040..to * 35_040]);
        [part(0, 2), part(2, 4), part(5, 7)]
    };
    let [before, during, after] = sharpes("ETHUSDT");
    assert!(before.abs() < 3.0 && during > 5.0 && after < -5.0, "{before} {during} {after}");
    assert!(sharpes("BTCUSDT").iter().all(|s| s.abs() < 3.0));
    // What the edge starts later cannot change what came before.
    let plain = SimulatedMarket::new(noise(51, &["ETHUSDT"])).unwrap();
    let until = |m: &SimulatedMarket| candles(m, "ETHUSDT", Interval::H1, 2 * 365);
    assert!(until(&market) == until(&plain));
}

#[test]
fn funding_comes_every_eight_hours() {
    let market = SimulatedMarket::new(noise(7, &["BTCUSDT"])).unwrap();
    let rates = market.funding_rates(&symbol("BTCUSDT"), START_MS, START_MS + 2 * DAY_MS).unwrap();
    let times: Vec<i64> = rates.iter().map(|r| (r.time_ms - START_MS) / 3_600_000).collect();
    assert_eq!(times, [0, 8, 16, 24, 32, 40, 48]);
    assert!(rates.iter().all(|r| r.rate.abs() < 0.004));
    let again = market.funding_rates(&symbol("BTCUSDT"), START_MS + DAY_MS, START_MS + 2 * DAY_MS).unwrap();
    assert_eq!(again, rates[3..]);
}

#[test]
fn impossible_markets_are_refused_with_the_reason() {
    let refused = |change: &dyn Fn(&mut MarketSpec)| {
        let mut spec = noise(1, &["BTCUSDT"]);
        change(&mut spec);
        SimulatedMarket::new(spec).unwrap_err()
    };
    assert_eq!(refused(&|s| s.symbols.clear()), SpecError::NoSymbols);
    assert_eq!(refused(&|s| s.start_ms += 1), SpecError::Start(START_MS + 1));
    assert_eq!(refused(&|s| s.base = Interval::H4), SpecError::Base(Interval::H4));
    assert!(matches!(refused(&|s| s.common_factor_share = f64::NAN), SpecError::OutOfRange { .. }));
    let edge = EdgeSpec::lasting("momentum".parse().unwrap(), symbols(&["ETHUSDT"]), 5.0);
    assert_eq!(refused(&|s| s.edges.push(edge.clone())), SpecError::EdgeSymbol(symbol("ETHUSDT")));
    let market = SimulatedMarket::new(noise(1, &["BTCUSDT"])).unwrap();
    let error = market.candles(&symbol("BTCUSDT"), Interval::M1, START_MS, START_MS + DAY_MS).unwrap_err();
    assert_eq!(error.to_string(), "the simulated market's finest interval is 15m; 1m candles cannot be made from it");
}

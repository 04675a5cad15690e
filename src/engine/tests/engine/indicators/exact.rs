//! Indicators that compare or subtract sums of prices, against exact fractions, on candles of a coin that costs a few
//! hundred ticks of 1e-8: ties are frequent there, and binary numbers break them.

use super::candles::{Dice, START_MS, random_indicator, series};
use candles::{Candle, Interval, interval};
use engine::indicator::compute;
use genome::{Indicator, IndicatorKind as Kind};
use num_rational::BigRational as Exact;
use proptest::prelude::*;

type Values = Vec<Option<Exact>>;

fn whole(x: i64) -> Exact {
    Exact::from_integer(x.into())
}

fn to_f64(x: &Exact) -> f64 {
    // Enough digits, whatever the lengths of numerator and denominator are.
    let scale = num_rational::BigRational::from_integer(10_i64.pow(18).into());
    let digits = (x * &scale).round().to_integer().to_string();
    digits.parse::<f64>().unwrap() / 1e18
}

/// A candle in ticks; volume in units.
#[derive(Clone, Copy, Debug)]
struct Whole {
    open: i64,
    high: i64,
    low: i64,
    close: i64,
    volume: i64,
}

impl Whole {
    fn typical3(self) -> i64 {
        self.high + self.low + self.close
    }
}

/// A walk of few ticks a candle around 1,000: moves repeat, and so do sums.
fn walk(seed: u64, len: usize) -> Vec<Whole> {
    let mut dice = Dice(seed);
    let mut price = 1_000_i64;
    (0..len)
        .map(|_| {
            let open = price;
            let close = (open + dice.between(0, 8) as i64 - 4).max(20);
            let (top, bottom) = (open.max(close), open.min(close));
            price = close;
            Whole {
                open,
                high: top + dice.between(0, 3) as i64,
                low: bottom - dice.between(0, 3) as i64,
                close,
                volume: dice.between(0, 6) as i64 * 1_000,
            }
        })
        .collect()
}

/// The candles as they are read from decimals such as 0.00001003.
fn read(walk: &[Whole]) -> Vec<Candle> {
    let price = |ticks: i64| format!("0.{ticks:08}").parse::<f64>().unwrap();
    let mut open_time_ms = interval::open_time_ms(Interval::M15, START_MS);
    walk.iter()
        .map(|w| {
            let candle = Candle {
                open_time_ms,
                open: price(w.open),
                high: price(w.high),
                low: price(w.low),
                close: price(w.close),
                volume: w.volume as f64,
                close_time_ms: interval::close_time_ms(Interval::M15, open_time_ms),
                quote_volume: 0.0,
                trade_count: 1,
                taker_buy_volume: 0.0,
                taker_buy_quote_volume: 0.0,
            };
            open_time_ms = interval::next_open_time_ms(Interval::M15, open_time_ms);
            candle
        })
        .collect()
}

fn sum<'a>(values: impl IntoIterator<Item = &'a Exact>) -> Exact {
    values.into_iter().fold(whole(0), |a, b| a + b)
}

fn highest(w: &[Whole]) -> i64 {
    w.iter().map(|c| c.high).max().unwrap()
}

fn lowest(w: &[Whole]) -> i64 {
    w.iter().map(|c| c.low).min().unwrap()
}

/// One value for each window of the last `n` candles.
fn windows(walk: &[Whole], n: usize, of: impl Fn(&[Whole]) -> Option<Exact>) -> Values {
    (0..walk.len()).map(|i| if i + 1 >= n { of(&walk[i + 1 - n..=i]) } else { None }).collect()
}

fn ranges(walk: &[Whole]) -> Vec<Exact> {
    let range = |pair: &[Whole]| pair[1].high.max(pair[0].close) - pair[1].low.min(pair[0].close);
    walk.windows(2).map(|pair| whole(range(pair))).collect()
}

/// In ticks.
fn atr(walk: &[Whole], n: usize) -> Values {
    let ranges = ranges(walk);
    let mut out: Values = vec![None; walk.len()];
    for i in n..walk.len() {
        let average = match &out[i - 1] {
            None => sum(&ranges[..n]) / whole(n as i64),
            Some(before) => (before * whole(n as i64 - 1) + &ranges[i - 1]) / whole(n as i64),
        };
        out[i] = Some(average);
    }
    out
}

fn fast_k(walk: &[Whole], n: usize) -> Values {
    windows(walk, n, |w| {
        let (high, low) = (highest(w), lowest(w));
        let above = w[n - 1].close - low;
        Some(if high > low { Exact::new((100 * above).into(), (high - low).into()) } else { whole(50) })
    })
}

fn mean_of_defined(values: &Values, n: usize) -> Values {
    let mean = |w: &[Option<Exact>]| {
        let defined: Option<Vec<&Exact>> = w.iter().map(Option::as_ref).collect();
        defined.map(|values| sum(values) / whole(n as i64))
    };
    (0..values.len()).map(|i| if i + 1 >= n { mean(&values[i + 1 - n..=i]) } else { None }).collect()
}

fn mfi(walk: &[Whole], n: usize) -> Values {
    windows(walk, n + 1, |w| {
        let (mut up, mut down) = (0_i64, 0_i64);
        for pair in w.windows(2) {
            let flow = pair[1].typical3() * pair[1].volume;
            match pair[1].typical3().cmp(&pair[0].typical3()) {
                std::cmp::Ordering::Greater => up += flow,
                std::cmp::Ordering::Less => down += flow,
                std::cmp::Ordering::Equal => {}
            }
        }
        Some(if up + down > 0 { Exact::new((100 * up).into(), (up + down).into()) } else { whole(50) })
    })
}

fn cci(walk: &[Whole], n: usize) -> Values {
    windows(walk, n, |w| {
        let prices: Vec<Exact> = w.iter().map(|c| Exact::new(c.typical3().into(), 3.into())).collect();
        let mean = sum(&prices) / whole(n as i64);
        let away: Vec<Exact> = prices.iter().map(|x| if *x > mean { x - &mean } else { &mean - x }).collect();
        let away = sum(&away) / whole(n as i64);
        let last = &prices[n - 1] - mean;
        Some(if away == whole(0) { whole(0) } else { last / (Exact::new(15.into(), 1000.into()) * away) })
    })
}

/// +DI, -DI and ADX.
fn directional(walk: &[Whole], n: usize) -> [Values; 3] {
    let moves: Vec<(i64, i64)> = walk
        .windows(2)
        .map(|pair| {
            let (up, down) = (pair[1].high - pair[0].high, pair[0].low - pair[1].low);
            (if up > down { up.max(0) } else { 0 }, if down > up { down.max(0) } else { 0 })
        })
        .collect();
    let ranges = ranges(walk);
    let count = whole(n as i64);
    let mut out = [vec![None; walk.len()], vec![None; walk.len()], vec![None; walk.len()]];
    let mut sums = [whole(0), whole(0), whole(0)];
    let (mut seed, mut adx): (Exact, Option<Exact>) = (whole(0), None);
    for i in 1..walk.len() {
        let news = [whole(moves[i - 1].0), whole(moves[i - 1].1), ranges[i - 1].clone()];
        for (sum, new) in sums.iter_mut().zip(news) {
            *sum = if i < n { &*sum + new } else { &*sum - &*sum / &count + new };
        }
        let [plus, minus, range] = &sums;
        if i < n {
            continue;
        }
        let moving = *range > whole(0);
        for (k, movement) in [plus, minus].into_iter().enumerate() {
            out[k][i] = Some(if moving { whole(100) * movement / range } else { whole(0) });
        }
        let total = plus + minus;
        let difference = if plus > minus { plus - minus } else { minus - plus };
        let index = (moving && total > whole(0)).then(|| whole(100) * difference / total);
        if i < 2 * n {
            seed += index.unwrap_or_else(|| whole(0));
            if i == 2 * n - 1 {
                adx = Some(&seed / &count);
            }
        } else if let (Some(before), Some(index)) = (&adx, index) {
            adx = Some((before * (&count - whole(1)) + index) / &count);
        }
        out[2][i] = adx.clone();
    }
    out
}

/// Line in ticks, and direction.
fn supertrend(walk: &[Whole], n: usize, multiple: &Exact) -> [Values; 2] {
    let ranges = atr(walk, n);
    let mut state: Option<(Exact, Exact, bool)> = None;
    let mut out = [vec![None; walk.len()], vec![None; walk.len()]];
    for (i, c) in walk.iter().enumerate() {
        let Some(range) = &ranges[i] else { continue };
        let (half, middle) = (multiple * range, Exact::new((c.high + c.low).into(), 2.into()));
        let (mut upper, mut lower) = (&middle + &half, &middle - &half);
        let close = whole(c.close);
        let mut up = close >= middle;
        if let Some((upper_before, lower_before, was_up)) = state {
            let before = whole(walk[i - 1].close);
            upper = if before > upper_before { upper } else { upper.min(upper_before) };
            lower = if before < lower_before { lower } else { lower.max(lower_before) };
            up = if was_up { close >= lower } else { close > upper };
        }
        out[0][i] = Some(if up { lower.clone() } else { upper.clone() });
        out[1][i] = Some(whole(if up { 1 } else { -1 }));
        state = Some((upper, lower, up));
    }
    out
}

fn order_blocks(walk: &[Whole], n: usize, multiple: &Exact, bullish: bool, top: bool) -> Values {
    let ranges = atr(walk, n);
    let body = |c: &Whole| if bullish { c.close - c.open } else { c.open - c.close };
    let mut level = None;
    (0..walk.len())
        .map(|i| {
            let far = i > 0
                && ranges[i - 1].as_ref().is_some_and(|range| whole(body(&walk[i])) >= multiple * range)
                && body(&walk[i]) > 0
                && if bullish { walk[i].close > walk[i - 1].high } else { walk[i].close < walk[i - 1].low };
            let block = (i.saturating_sub(n)..i).rev().find(|&j| body(&walk[j]) < 0);
            if let (true, Some(j)) = (far, block) {
                level = Some(whole(if top { walk[j].high } else { walk[j].low }));
            }
            level.clone()
        })
        .collect()
}

fn false_breaks(walk: &[Whole], n: usize, below: bool) -> Values {
    windows(walk, n + 1, |w| {
        let (range, last) = (&w[..n], w[n]);
        let breaks = if below {
            last.low < lowest(range) && last.close > lowest(range)
        } else {
            last.high > highest(range) && last.close < highest(range)
        };
        let on_volume = last.volume * n as i64 > range.iter().map(|c| c.volume).sum::<i64>();
        Some(whole(i64::from(breaks && on_volume)))
    })
}

fn middles(walk: &[Whole], n: usize) -> Values {
    windows(walk, n, |w| Some(Exact::new((highest(w) + lowest(w)).into(), 2.into())))
}

fn shifted(values: &Values, by: usize) -> Values {
    (0..values.len()).map(|i| i.checked_sub(by).and_then(|i| values[i].clone())).collect()
}

/// Exact values, and how many units of them make one of the indicator's. `None` for those that subtract nothing
/// derived, or need roots and logarithms.
fn exact(indicator: &Indicator, walk: &[Whole]) -> Option<(Values, f64)> {
    const TICK: f64 = 1e8;
    let p = |i: usize| indicator.params()[i].get();
    let n = |i: usize| p(i).round() as usize;
    // What a user writes has one decimal here.
    let tenths = |i: usize| Exact::new(((p(i) * 10.0).round() as i64).into(), 10.into());
    Some(match indicator.kind() {
        Kind::Mfi => (mfi(walk, n(0)), 1.0),
        Kind::Cci => (cci(walk, n(0)), 1.0),
        Kind::Vwap => {
            let weighted = |w: &[Whole]| {
                let volume: i64 = w.iter().map(|c| c.volume).sum();
                let money: i64 = w.iter().map(|c| c.typical3() * c.volume).sum();
                (volume > 0).then(|| Exact::new(money.into(), (3 * volume).into()))
            };
            (windows(walk, n(0), weighted), TICK)
        }
        Kind::PlusDi => (directional(walk, n(0))[0].clone(), 1.0),
        Kind::MinusDi => (directional(walk, n(0))[1].clone(), 1.0),
        Kind::Adx => (directional(walk, n(0))[2].clone(), 1.0),
        Kind::Atr => (atr(walk, n(0)), TICK),
        Kind::Natr => {
            let of = |(range, c): (&Option<Exact>, &Whole)| range.as_ref().map(|r| whole(100) * r / whole(c.close));
            (atr(walk, n(0)).iter().zip(walk).map(of).collect(), 1.0)
        }
        Kind::StochasticK => (mean_of_defined(&fast_k(walk, n(0)), n(1)), 1.0),
        Kind::StochasticD => (mean_of_defined(&mean_of_defined(&fast_k(walk, n(0)), n(1)), n(2)), 1.0),
        Kind::WilliamsR => (fast_k(walk, n(0)).iter().map(|k| k.as_ref().map(|k| k - whole(100))).collect(), 1.0),
        Kind::Supertrend => (supertrend(walk, n(0), &tenths(1))[0].clone(), TICK),
        Kind::SupertrendDirection => (supertrend(walk, n(0), &tenths(1))[1].clone(), 1.0),
        Kind::BullishOrderBlockHigh => (order_blocks(walk, n(0), &tenths(1), true, true), TICK),
        Kind::BullishOrderBlockLow => (order_blocks(walk, n(0), &tenths(1), true, false), TICK),
        Kind::BearishOrderBlockHigh => (order_blocks(walk, n(0), &tenths(1), false, true), TICK),
        Kind::BearishOrderBlockLow => (order_blocks(walk, n(0), &tenths(1), false, false), TICK),
        Kind::WyckoffSpring => (false_breaks(walk, n(0), true), 1.0),
        Kind::WyckoffUpthrust => (false_breaks(walk, n(0), false), 1.0),
        Kind::IchimokuConversion | Kind::IchimokuBase => (middles(walk, n(0)), TICK),
        Kind::IchimokuSpanB => (shifted(&middles(walk, n(0)), n(1)), TICK),
        Kind::DonchianMiddle => (shifted(&middles(walk, n(0)), 1), TICK),
        _ => return None,
    })
}

fn assert_exact(indicator: &Indicator, walk: &[Whole]) -> bool {
    let Some((expected, unit)) = exact(indicator, walk) else { return false };
    let column = compute(indicator, &series(&read(walk), Interval::M15));
    for (i, expected) in expected.iter().enumerate() {
        let expected = expected.as_ref().map(|x| to_f64(x) / unit);
        let close = match (column.get(i), expected) {
            (Some(got), Some(expected)) => (got - expected).abs() <= 1e-11 / unit + 1e-11 * expected.abs(),
            (got, expected) => got.is_none() && expected.is_none(),
        };
        assert!(close, "{indicator:?} at {i}: {:?}, exactly {expected:?}", column.get(i));
    }
    true
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ties_are_those_of_the_decimals(seed: u64, len in 0usize..90) {
        let walk = walk(seed, len);
        let mut dice = Dice(seed);
        let checked = Kind::all().iter().filter(|spec| {
            assert_exact(&random_indicator(spec.kind, &mut dice), &walk)
        });
        prop_assert_eq!(checked.count(), 23);
    }
}

#[test]
fn an_equal_typical_price_is_no_rise() {
    // From a report: candle 31 has the typical price of candle 30 to the tick, and a hundred times its volume.
    let mut walk = walk(3, 34);
    for c in &mut walk {
        c.volume = 1_000;
    }
    walk[30] = Whole { open: 1_200, high: 1_203, low: 1_198, close: 1_201, volume: 1_000 };
    walk[31] = Whole { open: 1_201, high: 1_202, low: 1_199, close: 1_201, volume: 100_000 };
    assert_eq!(walk[30].typical3(), walk[31].typical3());
    for n in [2, 14] {
        assert!(assert_exact(&super::candles::indicator(Kind::Mfi, &[f64::from(n)]), &walk));
    }
}

#[test]
fn the_same_moves_in_another_order_are_as_volatile() {
    const N: usize = 3;
    const LOOKBACK: usize = 30;
    let walk = walk(11, 1_500);
    let ratios = walk.windows(2).map(|pair| {
        let (a, b) = (pair[0].close, pair[1].close);
        // Up as far as down.
        Exact::new(a.max(b).into(), a.min(b).into())
    });
    let ratios: Vec<Exact> = ratios.collect();
    // By candle from the Nth on: its moves, whatever their order, and what they come to.
    let moves: Vec<Vec<Exact>> = ratios
        .windows(N)
        .map(|w| {
            let mut sorted = w.to_vec();
            sorted.sort();
            sorted
        })
        .collect();
    let sizes: Vec<f64> = moves.iter().map(|w| w.iter().map(|r| to_f64(r).ln().powi(2)).sum()).collect();
    let percentile = super::candles::indicator(Kind::VolatilityPercentile, &[N as f64, LOOKBACK as f64]);
    let column = compute(&percentile, &series(&read(&walk), Interval::M15));
    let mut ties = 0;
    for end in LOOKBACK - 1..moves.len() {
        let recent = end + 1 - LOOKBACK..=end;
        let equal = recent.clone().filter(|&i| moves[i] == moves[end]).count();
        let below = recent.filter(|&i| moves[i] != moves[end] && sizes[i] < sizes[end]).count();
        ties += usize::from(equal > 1);
        assert_eq!(column.get(end + N), Some((below as f64 + 0.5 * equal as f64) / LOOKBACK as f64), "{end}");
    }
    assert!(ties > 50, "{ties} ties only");
}

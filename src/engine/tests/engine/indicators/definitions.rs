//! Each indicator by its plain definition, window by window, and the engine's columns against it.

use super::candles::{Dice, Flavour, random_candles, random_indicator, series};
use candles::{Candle, Interval};
use engine::indicator::compute;
use genome::{Indicator, IndicatorKind as Kind, Scale};
use proptest::prelude::*;

type Values = Vec<Option<f64>>;

/// One value for each window of the last `n` elements.
fn windows<T>(items: &[T], n: usize, of: impl Fn(&[T]) -> Option<f64>) -> Values {
    (0..items.len()).map(|i| if i + 1 >= n { of(&items[i + 1 - n..=i]) } else { None }).collect()
}

/// As `windows`, over values that can be undefined: then the result is.
fn defined_windows(values: &[Option<f64>], n: usize, of: impl Fn(&[f64]) -> Option<f64>) -> Values {
    windows(values, n, |w| w.iter().copied().collect::<Option<Vec<f64>>>().and_then(|w| of(&w)))
}

fn zip(a: &Values, b: &Values, of: impl Fn(f64, f64) -> f64) -> Values {
    a.iter().zip(b).map(|(a, b)| Some(of((*a)?, (*b)?))).collect()
}

fn shifted(values: &Values, by: usize) -> Values {
    (0..values.len()).map(|i| i.checked_sub(by).and_then(|i| values[i])).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    if values.iter().all(|v| *v == values[0]) {
        return 0.0;
    }
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

/// Starts with the mean of the first `n` defined values, then moves by `weight` of the distance.
fn smoothed(values: &Values, n: usize, weight: f64) -> Values {
    let first = values.iter().position(Option::is_some).unwrap_or(values.len());
    let mut average = None;
    (0..values.len())
        .map(|i| {
            if i + 1 == first + n {
                average = Some(mean(&values[first..=i].iter().flatten().copied().collect::<Vec<_>>()));
            } else if let (Some(before), Some(value)) = (average, values[i]) {
                average = Some(before + weight * (value - before));
            }
            average
        })
        .collect()
}

fn ema(values: &Values, n: usize) -> Values {
    smoothed(values, n, 2.0 / (n as f64 + 1.0))
}

fn weighted(values: &Values, n: usize) -> Values {
    let total = (n * (n + 1) / 2) as f64;
    defined_windows(values, n, |w| Some(w.iter().enumerate().map(|(k, x)| (k + 1) as f64 * x).sum::<f64>() / total))
}

fn typical(c: &Candle) -> f64 {
    (c.high + c.low + c.close) / 3.0
}

/// A sum of prices; of those with eight decimals at most the decimals' own, where ties are ties (`exact.rs` holds the
/// engine to fractions).
fn summed(prices: &[f64]) -> f64 {
    let ticks = |x: f64| (x * 1e8).round();
    if prices.iter().all(|&x| ticks(x) / 1e8 == x) {
        prices.iter().map(|&x| ticks(x)).sum::<f64>() / 1e8
    } else {
        prices.iter().sum()
    }
}

fn highest(window: &[Candle]) -> f64 {
    window.iter().map(|c| c.high).fold(f64::MIN, f64::max)
}

fn lowest(window: &[Candle]) -> f64 {
    window.iter().map(|c| c.low).fold(f64::MAX, f64::min)
}

fn range_middles(candles: &[Candle], n: usize) -> Values {
    windows(candles, n, |w| Some((highest(w) + lowest(w)) / 2.0))
}

/// From the second candle on, `of` a candle and the one before it.
fn steps(candles: &[Candle], of: impl Fn(&Candle, &Candle) -> f64) -> Values {
    (0..candles.len()).map(|i| (i > 0).then(|| of(&candles[i - 1], &candles[i]))).collect()
}

fn true_ranges(candles: &[Candle]) -> Values {
    steps(candles, |before, now| now.high.max(before.close) - now.low.min(before.close))
}

fn atr(candles: &[Candle], n: usize) -> Values {
    smoothed(&true_ranges(candles), n, 1.0 / n as f64)
}

/// +DI, -DI and DX; DX is `None` where nothing moves in a direction.
fn directional(candles: &[Candle], n: usize) -> Vec<Option<(f64, f64, Option<f64>)>> {
    let up = steps(candles, |before, now| summed(&[now.high, -before.high]));
    let down = steps(candles, |before, now| summed(&[before.low, -now.low]));
    let plus = zip(&up, &down, |up, down| if up > down { up.max(0.0) } else { 0.0 });
    let minus = zip(&up, &down, |up, down| if down > up { down.max(0.0) } else { 0.0 });
    let ranges = true_ranges(candles);
    let sum = |values: &Values| {
        let mut total = 0.0;
        (0..values.len())
            .map(|i| {
                let value = values[i].unwrap_or(0.0);
                total = if i < n { total + value } else { total - total / n as f64 + value };
                total
            })
            .collect::<Vec<f64>>()
    };
    let (plus, minus, ranges) = (sum(&plus), sum(&minus), sum(&ranges));
    (0..candles.len())
        .map(|i| {
            let (p, m, range) = (plus[i], minus[i], ranges[i]);
            let moves = range > candles[i].close * 1e-12;
            let di = |x: f64| if moves { 100.0 * x / range } else { 0.0 };
            let index = (moves && p + m > 0.0).then(|| 100.0 * (p - m).abs() / (p + m));
            (i >= n).then(|| (di(p), di(m), index))
        })
        .collect()
}

fn adx(candles: &[Candle], n: usize) -> Values {
    let movement = directional(candles, n);
    let index = |i: usize| movement[i].and_then(|(_, _, index)| index);
    let mut average = None;
    (0..candles.len())
        .map(|i| {
            if i + 1 == 2 * n {
                average = Some((n..=i).map(|i| index(i).unwrap_or(0.0)).sum::<f64>() / n as f64);
            } else if let (Some(before), Some(index)) = (average, index(i)) {
                average = Some((before * (n as f64 - 1.0) + index) / n as f64);
            }
            average
        })
        .collect()
}

fn choppiness(candles: &[Candle], n: usize) -> Values {
    windows(candles, n + 1, |w| {
        let walked: f64 = true_ranges(w).iter().flatten().sum();
        let reached = highest(&w[1..]) - lowest(&w[1..]);
        (reached > 0.0).then(|| (100.0 * (walked / reached).log10() / (n as f64).log10()).clamp(0.0, 100.0))
    })
}

fn supertrend(candles: &[Candle], n: usize, multiple: f64) -> Vec<Option<(f64, f64)>> {
    let ranges = atr(candles, n);
    let mut state: Option<(f64, f64, bool)> = None;
    (0..candles.len())
        .map(|i| {
            let half = multiple * ranges[i]?;
            let c = &candles[i];
            let middle = (c.high + c.low) / 2.0;
            let (mut upper, mut lower) = (middle + half, middle - half);
            // In whole ticks, so that rounding does not decide on a close in the very middle.
            let ticks = |price: f64| (price * 1e8).round();
            let mut up = 2.0 * ticks(c.close) >= ticks(c.high) + ticks(c.low);
            if let Some((upper_before, lower_before, was_up)) = state {
                let before = candles[i - 1].close;
                upper = if before > upper_before { upper } else { upper.min(upper_before) };
                lower = if before < lower_before { lower } else { lower.max(lower_before) };
                up = if was_up { c.close >= lower } else { c.close > upper };
            }
            state = Some((upper, lower, up));
            Some(if up { (lower, 1.0) } else { (upper, -1.0) })
        })
        .collect()
}

/// The last level of all swings known at each candle. `key` is compared; its value is the level.
fn swings(candles: &[Candle], s: usize, key: impl Fn(&Candle) -> f64, above: bool) -> Values {
    let beats = |a: f64, b: f64| if above { a > b } else { a < b };
    let is_swing = |j: usize| (j - s..=j + s).all(|k| k == j || beats(key(&candles[j]), key(&candles[k])));
    (0..candles.len())
        .map(|i| {
            (s..=i.saturating_sub(s)).rev().filter(|j| j + s <= i).find(|&j| is_swing(j)).map(|j| key(&candles[j]))
        })
        .collect()
}

fn order_blocks(candles: &[Candle], n: usize, multiple: f64, bullish: bool, top: bool) -> Values {
    let ranges = atr(candles, n);
    let body = |c: &Candle| if bullish { c.close - c.open } else { c.open - c.close };
    let impulse = |i: usize| {
        let (c, before) = (&candles[i], &candles[i - 1]);
        let breaks = if bullish { c.close > before.high } else { c.close < before.low };
        ranges[i - 1].is_some_and(|range| body(c) >= multiple * range && body(c) > 0.0) && breaks
    };
    let block = |i: usize| (i.saturating_sub(n)..i).rev().find(|&j| body(&candles[j]) < 0.0);
    let mut level = None;
    (0..candles.len())
        .map(|i| {
            if i > 0
                && impulse(i)
                && let Some(j) = block(i)
            {
                level = Some(if top { candles[j].high } else { candles[j].low });
            }
            level
        })
        .collect()
}

/// A range of `n` candles and the candle after it.
fn false_breaks(candles: &[Candle], n: usize, below: bool) -> Values {
    windows(candles, n + 1, |w| {
        let (range, last) = (&w[..n], &w[n]);
        let breaks = if below {
            last.low < lowest(range) && last.close > lowest(range)
        } else {
            last.high > highest(range) && last.close < highest(range)
        };
        let on_volume = last.volume * n as f64 > range.iter().map(|c| c.volume).sum();
        Some(f64::from(u8::from(breaks && on_volume)))
    })
}

/// Wilder's rules in his own words: tomorrow's stop moves towards the extreme, and stays out of two days' range.
fn parabolic(candles: &[Candle], step: f64, maximum: f64) -> Values {
    let mut out = vec![None; candles.len()];
    if candles.len() < 2 {
        return out;
    }
    let step = step.min(maximum);
    let (fall, rise) = (summed(&[candles[0].low, -candles[1].low]), summed(&[candles[1].high, -candles[0].high]));
    let mut long = !(fall > 0.0 && fall > rise);
    let mut stop = if long { candles[0].low } else { candles[0].high };
    let mut extreme = if long { candles[1].high } else { candles[1].low };
    let mut factor = step;
    for i in 1..candles.len() {
        let two = [&candles[i], &candles[if i > 1 { i - 1 } else { 1 }]];
        let (high, low) = (two[0].high.max(two[1].high), two[0].low.min(two[1].low));
        let c = &candles[i];
        if (long && c.low <= stop) || (!long && c.high >= stop) {
            long = !long;
            stop = if long { extreme.min(low) } else { extreme.max(high) };
            extreme = if long { c.high } else { c.low };
            factor = step;
            out[i] = Some(stop);
        } else {
            out[i] = Some(stop);
            let further = if long { c.high.max(extreme) } else { c.low.min(extreme) };
            if further != extreme {
                extreme = further;
                factor = (factor + step).min(maximum);
            }
        }
        stop += factor * (extreme - stop);
        stop = if long { stop.min(low) } else { stop.max(high) };
    }
    out
}

/// The indicator's values by definition.
pub(crate) fn definition(indicator: &Indicator, candles: &[Candle]) -> Values {
    let p: Vec<f64> = indicator.params().iter().map(|p| p.get()).collect();
    let n = |i: usize| p[i] as usize;
    let some = |of: fn(&Candle) -> f64| candles.iter().map(|c| Some(of(c))).collect::<Values>();
    let closes = some(|c| c.close);
    let sma = |n| defined_windows(&closes, n, |w| Some(mean(w)));
    let band = |of: fn(f64, f64, f64, f64) -> f64| {
        defined_windows(&closes, n(0), |w| Some(of(mean(w), p[1] * deviation(w), w[w.len() - 1], p[1])))
    };
    let macd = |fast: usize, slow: usize| {
        // The fast average, too, begins with the mean that ends where the slow one does.
        let late: Values = closes.iter().enumerate().map(|(i, c)| c.filter(|_| i + fast >= slow)).collect();
        zip(&ema(&late, fast), &ema(&closes, slow), |fast, slow| fast - slow)
    };
    let fast_k = |n| {
        windows(candles, n, |w| {
            let (high, low) = (highest(w), lowest(w));
            Some(if high > low { 100.0 * (w[w.len() - 1].close - low) / (high - low) } else { 50.0 })
        })
    };
    let average = |values: &Values, n| defined_windows(values, n, |w| Some(mean(w)));
    let gains = |sign: f64| steps(candles, move |before, now| (sign * (now.close - before.close)).max(0.0));
    let share = |a: f64, b: f64| if a + b > 0.0 { 100.0 * a / (a + b) } else { 50.0 };
    let keltner =
        |sign: f64| zip(&ema(&closes, n(0)), &atr(candles, n(1)), |middle, range| middle + sign * p[2] * range);
    let volatility = |n: usize| {
        let logs = steps(candles, |before, now| (now.close / before.close).ln());
        defined_windows(&logs, n, |w| Some((w.iter().map(|r| r * r).sum::<f64>() / n as f64).sqrt()))
    };
    let before = |n: usize, of: fn(&[Candle]) -> f64| shifted(&windows(candles, n, |w| Some(of(w))), 1);
    match indicator.kind() {
        Kind::Sma | Kind::BollingerMiddle => sma(n(0)),
        Kind::Ema | Kind::KeltnerMiddle => ema(&closes, n(0)),
        Kind::Wma => weighted(&closes, n(0)),
        Kind::Hma => {
            let raw = zip(&weighted(&closes, n(0) / 2), &weighted(&closes, n(0)), |half, whole| 2.0 * half - whole);
            weighted(&raw, p[0].sqrt() as usize)
        }
        Kind::Vwap => windows(candles, n(0), volume_weighted),
        Kind::SessionVwap => (0..candles.len())
            .map(|i| {
                let day = |c: &Candle| c.open_time_ms.div_euclid(86_400_000);
                let first = (0..=i).find(|&j| day(&candles[j]) == day(&candles[i]))?;
                volume_weighted(&candles[first..=i])
            })
            .collect(),
        Kind::Rsi => {
            let wilder = |values: &Values| smoothed(values, n(0), 1.0 / p[0]);
            zip(&wilder(&gains(1.0)), &wilder(&gains(-1.0)), share)
        }
        Kind::Macd => macd(n(0), n(1)),
        Kind::MacdSignal => ema(&macd(n(0), n(1)), n(2)),
        Kind::MacdHistogram => zip(&macd(n(0), n(1)), &ema(&macd(n(0), n(1)), n(2)), |line, signal| line - signal),
        Kind::BollingerUpper => band(|mean, half, _, _| mean + half),
        Kind::BollingerLower => band(|mean, half, _, _| mean - half),
        Kind::BollingerWidth => band(|mean, half, _, _| 2.0 * half / mean),
        Kind::BollingerPercentB => {
            band(|mean, half, close, _| if half > 0.0 { 0.5 + (close - mean) / (2.0 * half) } else { 0.5 })
        }
        Kind::StandardDeviation => defined_windows(&closes, n(0), |w| Some(deviation(w))),
        Kind::Atr => atr(candles, n(0)),
        Kind::Natr => zip(&atr(candles, n(0)), &closes, |range, close| 100.0 * range / close),
        Kind::Adx => adx(candles, n(0)),
        Kind::PlusDi => directional(candles, n(0)).iter().map(|d| Some((*d)?.0)).collect(),
        Kind::MinusDi => directional(candles, n(0)).iter().map(|d| Some((*d)?.1)).collect(),
        Kind::StochasticK => average(&fast_k(n(0)), n(1)),
        Kind::StochasticD => average(&average(&fast_k(n(0)), n(1)), n(2)),
        Kind::WilliamsR => fast_k(n(0)).iter().map(|k| Some((*k)? - 100.0)).collect(),
        Kind::Cci => windows(candles, n(0), |w| {
            // Three times the price: the index has no unit, and equal sums of decimals are equal.
            let prices: Vec<f64> = w.iter().map(|c| summed(&[c.high, c.low, c.close])).collect();
            let last = prices[prices.len() - 1];
            let mean = mean(&prices);
            let away = prices.iter().map(|x| (x - mean).abs()).sum::<f64>() / prices.len() as f64;
            Some(if prices.iter().all(|x| *x == last) { 0.0 } else { (last - mean) / (0.015 * away) })
        }),
        Kind::Mfi => windows(candles, n(0) + 1, |w| {
            let flow = |sign: f64| {
                let total = |c: &Candle| summed(&[c.high, c.low, c.close]);
                let rises = |pair: &&[Candle]| sign * (total(&pair[1]) - total(&pair[0])) > 0.0;
                w.windows(2).filter(rises).map(|pair| typical(&pair[1]) * pair[1].volume).sum::<f64>()
            };
            Some(share(flow(1.0), flow(-1.0)))
        }),
        Kind::Obv => (0..candles.len())
            .map(|i| {
                let signed = |pair: &[Candle]| match pair[1].close.total_cmp(&pair[0].close) {
                    std::cmp::Ordering::Greater => pair[1].volume,
                    std::cmp::Ordering::Equal => 0.0,
                    std::cmp::Ordering::Less => -pair[1].volume,
                };
                Some(candles[0].volume + candles[..=i].windows(2).map(signed).sum::<f64>())
            })
            .collect(),
        Kind::Roc => zip(&closes, &shifted(&closes, n(0)), |now, then| 100.0 * (now - then) / then),
        Kind::DonchianUpper => before(n(0), highest),
        Kind::DonchianLower => before(n(0), lowest),
        Kind::DonchianMiddle => before(n(0), |w| (highest(w) + lowest(w)) / 2.0),
        Kind::KeltnerUpper => keltner(1.0),
        Kind::KeltnerLower => keltner(-1.0),
        Kind::Supertrend => supertrend(candles, n(0), p[1]).iter().map(|s| Some((*s)?.0)).collect(),
        Kind::SupertrendDirection => supertrend(candles, n(0), p[1]).iter().map(|s| Some((*s)?.1)).collect(),
        Kind::IchimokuConversion | Kind::IchimokuBase => range_middles(candles, n(0)),
        Kind::IchimokuSpanA => {
            let (conversion, base) = (range_middles(candles, n(0)), range_middles(candles, n(1)));
            shifted(&zip(&conversion, &base, |a, b| (a + b) / 2.0), n(2))
        }
        Kind::IchimokuSpanB => shifted(&range_middles(candles, n(0)), n(1)),
        Kind::IchimokuLagging => shifted(&closes, n(0)),
        Kind::SwingResistance => swings(candles, n(0), |c| c.high, true),
        Kind::SwingSupport => swings(candles, n(0), |c| c.low, false),
        Kind::BullishOrderBlockHigh => order_blocks(candles, n(0), p[1], true, true),
        Kind::BullishOrderBlockLow => order_blocks(candles, n(0), p[1], true, false),
        Kind::BearishOrderBlockHigh => order_blocks(candles, n(0), p[1], false, true),
        Kind::BearishOrderBlockLow => order_blocks(candles, n(0), p[1], false, false),
        Kind::WyckoffSpring => false_breaks(candles, n(0), true),
        Kind::WyckoffUpthrust => false_breaks(candles, n(0), false),
        Kind::ParabolicSar => parabolic(candles, p[0], p[1]),
        Kind::LinregSlope => defined_windows(&closes, n(0), |w| {
            let xs: Vec<f64> = (0..w.len()).map(|k| k as f64).collect();
            let (mean_x, mean_y) = (mean(&xs), mean(w));
            let covariance: f64 = xs.iter().zip(w).map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
            Some(covariance / xs.iter().map(|x| (x - mean_x).powi(2)).sum::<f64>())
        }),
        Kind::RealizedVolatility => volatility(n(0)),
        Kind::VolatilityPercentile => {
            // Ranks what the engine calls volatility (which is compared by itself), so that ties are the same ties.
            let plain = super::candles::indicator(Kind::RealizedVolatility, &p[..1]);
            let column = compute(&plain, &series(candles, Interval::M15));
            let values: Values = (0..candles.len()).map(|i| column.get(i)).collect();
            defined_windows(&values, n(1), |w| {
                let last = w[w.len() - 1];
                let equal = w.iter().filter(|v| (**v - last).abs() <= 1e-12 * last).count() as f64;
                let below = w.iter().filter(|v| last - **v > 1e-12 * last).count() as f64;
                Some((below + 0.5 * equal) / w.len() as f64)
            })
        }
        Kind::VolumeZscore => defined_windows(&some(|c| c.volume), n(0), |w| {
            let deviation = deviation(w);
            Some(if deviation > 0.0 { (w[w.len() - 1] - mean(w)) / deviation } else { 0.0 })
        }),
        Kind::VolumeSma => average(&some(|c| c.volume), n(0)),
        Kind::Choppiness => choppiness(candles, n(0)),
        Kind::Regime => {
            let chop = choppiness(candles, n(0));
            let regime = |(adx, chop): (&Option<f64>, &Option<f64>)| {
                let choppy = chop.is_some_and(|chop| chop >= 61.8);
                Some(if (*adx)? >= 25.0 {
                    1.0
                } else if choppy {
                    -1.0
                } else {
                    0.0
                })
            };
            adx(candles, n(0)).iter().zip(&chop).map(regime).collect()
        }
        Kind::HourOfDay => some(|c| chrono_of(c).0),
        Kind::DayOfWeek => some(|c| chrono_of(c).1),
        Kind::Amihud => windows(candles, n(0) + 1, |w| {
            let moves = w.windows(2).map(|c| ((c[1].close / c[0].close - 1.0).abs(), c[1].quote_volume));
            let all: Option<Vec<f64>> = moves.map(|(r, traded)| (traded > 0.0).then(|| r / traded)).collect();
            all.map(|all| mean(&all))
        }),
        // Without readings nothing of the market is known (`readings.rs`).
        kind => {
            assert!(kind.is_of_market(), "{kind:?} has no definition here");
            vec![None; candles.len()]
        }
    }
}

fn volume_weighted(window: &[Candle]) -> Option<f64> {
    let volume: f64 = window.iter().map(|c| c.volume).sum();
    (volume > 0.0).then(|| window.iter().map(|c| typical(c) * c.volume).sum::<f64>() / volume)
}

fn chrono_of(candle: &Candle) -> (f64, f64) {
    use chrono::{DateTime, Datelike, Timelike};
    let close = DateTime::from_timestamp_millis(candle.close_time_ms).unwrap();
    (f64::from(close.hour()), f64::from(close.weekday().num_days_from_monday()))
}

/// What rounding may do to a value of this scale, where prices and volumes reach this far.
fn tolerance(scale: Scale, candles: &[Candle], expected: f64) -> f64 {
    let price = highest(candles).max(1.0);
    let volume = candles.iter().map(|c| c.volume).sum::<f64>();
    let size = match scale {
        Scale::Price | Scale::PriceDifference | Scale::Range => price,
        Scale::Volume | Scale::Cumulative => volume,
        Scale::Percent | Scale::NegativePercent | Scale::PercentOfPrice => 100.0,
        // A deviation as small as a price's grid magnifies what rounding does to the price.
        Scale::Signed => 1e4,
        Scale::Fraction | Scale::UnitRange => 1.0,
        // Sums of what is not negative lose nothing.
        _ => 0.0,
    };
    1e-11 * size + 1e-9 * expected.abs()
}

fn assert_as_defined(indicator: &Indicator, candles: &[Candle]) {
    let column = compute(indicator, &series(candles, Interval::M15));
    let expected = definition(indicator, candles);
    assert_eq!(column.len(), expected.len());
    for (i, expected) in expected.iter().enumerate() {
        let got = column.get(i);
        let close = match (got, expected) {
            (Some(got), Some(expected)) => {
                let scale = indicator.kind().spec().scale;
                (got - expected).abs() <= tolerance(scale, candles, *expected)
            }
            (got, expected) => got.is_none() && expected.is_none(),
        };
        assert!(close, "{indicator:?} at {i}: {got:?}, by definition {expected:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_indicator_is_what_it_is_defined_to_be(
        seed: u64, flavour in proptest::sample::select(Flavour::ALL.to_vec()), len in 0usize..220,
    ) {
        let candles = random_candles(seed, len, flavour, Interval::M15);
        let mut dice = Dice(seed);
        for spec in Kind::all() {
            assert_as_defined(&random_indicator(spec.kind, &mut dice), &candles);
        }
    }
}

//! Values of expressions, each computed anew.

use super::Plain;
use genome::{Across, Binary, Expression, PriceField, Rolling, Source, Unary};

impl Plain<'_> {
    pub(super) fn volatility(&self, coin: usize, k: usize, n: usize) -> Option<f64> {
        let c = &self.coins[coin].candles;
        let first = (k + 1).checked_sub(n).filter(|f| *f >= 1)?;
        let squares: f64 = (first..=k).map(|j| (c[j].close / c[j - 1].close).ln().powi(2)).sum();
        Some((squares / n as f64).sqrt()).filter(|v| v.is_finite())
    }

    /// Whether a member may be ranked as far as its volatility goes.
    pub(super) fn has_volatility(&self, coin: usize, k: usize) -> bool {
        self.strategy
            .weights
            .inverse_volatility
            .is_none_or(|n| self.volatility(coin, k, n as usize).is_some_and(|v| v > 0.0))
    }

    /// Value at candle k, where operators across the market see `left` at this candle, or, `left` being `None`, all
    /// members of then.
    pub(super) fn value(&self, e: &Expression, coin: usize, k: usize, left: Option<&[usize]>) -> Option<f64> {
        let ok = |v: f64| Some(v).filter(|v| v.is_finite());
        let candle = self.coins[coin].candles[k];
        match e {
            Expression::Constant(c) => Some(c.get()),
            Expression::Series(s) => match s.source {
                Source::Price(PriceField::Open) => Some(candle.open),
                Source::Price(PriceField::High) => Some(candle.high),
                Source::Price(PriceField::Low) => Some(candle.low),
                Source::Price(PriceField::Close) => Some(candle.close),
                Source::Price(PriceField::Volume) => Some(candle.volume),
                _ => unreachable!("worlds have no other series"),
            },
            Expression::Volatility { returns } => self.volatility(coin, k, *returns as usize),
            Expression::Unary(op, x) => {
                let x = self.value(x, coin, k, left)?;
                match op {
                    Unary::Negate => ok(-x),
                    Unary::Abs => ok(x.abs()),
                    Unary::Log => {
                        self.nearly_nothing(x, 1.0);
                        if x > 0.0 { ok(x.ln()) } else { None }
                    }
                    Unary::Sign => {
                        self.nearly_nothing(x, 1e6);
                        Some(if x > 0.0 {
                            1.0
                        } else if x < 0.0 {
                            -1.0
                        } else {
                            0.0
                        })
                    }
                }
            }
            Expression::Binary(op, x, y) => {
                let (x, y) = (self.value(x, coin, k, left)?, self.value(y, coin, k, left)?);
                ok(match op {
                    Binary::Add => x + y,
                    Binary::Subtract => {
                        self.nearly_nothing(x - y, x);
                        x - y
                    }
                    Binary::Multiply => x * y,
                    Binary::Divide => {
                        self.nearly_nothing(y, 1.0);
                        x / y
                    }
                    Binary::Min => x.min(y),
                    Binary::Max => x.max(y),
                })
            }
            Expression::Rolling(op, x, n) => self.rolling(*op, x, coin, k, *n as usize),
            Expression::Correlation(x, y, n) => {
                let n = *n as usize;
                let (x, y) = (self.window(x, coin, k, n)?, self.window(y, coin, k, n)?);
                let (mx, my) = (x.iter().sum::<f64>() / n as f64, y.iter().sum::<f64>() / n as f64);
                let xx: f64 = x.iter().map(|v| (v - mx).powi(2)).sum();
                let yy: f64 = y.iter().map(|v| (v - my).powi(2)).sum();
                let xy: f64 = x.iter().zip(&y).map(|(a, b)| (a - mx) * (b - my)).sum();
                self.nearly_nothing(xx.sqrt(), mx);
                self.nearly_nothing(yy.sqrt(), my);
                let correlation = if xx > 0.0 && yy > 0.0 { xy / (xx * yy).sqrt() } else { return None };
                // Of two that move as one only rounding tells which is nearer to 1.
                self.nearly_nothing(1.0 - correlation.abs(), 1.0);
                if correlation.abs() == 1.0 {
                    self.fragile.set(true);
                }
                ok(correlation)
            }
            Expression::Across(op, x) => {
                let t = self.close_of(&candle);
                let seen: Vec<usize> = match left {
                    Some(left) => left.to_vec(),
                    None => {
                        let all = self.members(t, self.strategy.universe.top);
                        all.into_iter().filter(|i| self.has_volatility(*i, self.closing_at(*i, t).unwrap())).collect()
                    }
                };
                if !seen.contains(&coin) {
                    return None;
                }
                let own = self.value(x, coin, k, left)?;
                let values: Vec<f64> =
                    seen.iter().filter_map(|i| self.value(x, *i, self.closing_at(*i, t)?, left)).collect();
                let n = values.len();
                if n < 2 {
                    return None;
                }
                self.near_ties(&values, exact(x));
                let mean = values.iter().sum::<f64>() / n as f64;
                match op {
                    Across::Rank => Some(average_rank(&values, own) / (n - 1) as f64),
                    Across::Demean => ok(own - mean),
                    Across::Relative => {
                        self.nearly_nothing(mean, values.iter().map(|v| v.abs()).fold(0.0, f64::max));
                        ok(own / mean)
                    }
                    Across::ZScore => {
                        let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
                        self.nearly_nothing(deviation, mean);
                        ok((own - mean) / deviation)
                    }
                }
            }
            Expression::Beta(x, n) => {
                let n = *n as usize;
                let first = (k + 1).checked_sub(n).filter(|f| *f >= 1)?;
                let (mut ours, mut market, mut largest) = (Vec::new(), Vec::new(), 0.0_f64);
                for j in first..=k {
                    ours.push(self.change(x, coin, j)?);
                    let t = self.close_of(&self.coins[coin].candles[j]);
                    let all = self.members(t, self.strategy.universe.top);
                    let seen = all.into_iter().filter(|i| self.has_volatility(*i, self.closing_at(*i, t).unwrap()));
                    let changes: Vec<f64> =
                        seen.filter_map(|i| self.change(x, i, self.closing_at(i, t).unwrap())).collect();
                    if changes.is_empty() {
                        return None;
                    }
                    largest = changes.iter().fold(largest, |most, c| most.max(c.abs()));
                    // A change has no more digits than the values that it is between.
                    largest = self.value(x, coin, j, None).map_or(largest, |v| largest.max(1e-4 * v.abs()));
                    market.push(changes.iter().sum::<f64>() / changes.len() as f64);
                }
                self.slope(&market, &ours, largest)
            }
        }
    }

    pub(super) fn slope(&self, x: &[f64], y: &[f64], largest: f64) -> Option<f64> {
        let n = x.len() as f64;
        let (mx, my) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
        let xx: f64 = x.iter().map(|v| (v - mx).powi(2)).sum();
        let xy: f64 = x.iter().zip(y).map(|(a, b)| (a - mx) * (b - my)).sum();
        // A mean that stands still but for rounding has a slope in one computation and none in the other.
        if largest > 0.0 && xx.sqrt() <= 1e-9 * largest {
            self.fragile.set(true);
        }
        Some(xy / xx).filter(|v| xx > 0.0 && v.is_finite())
    }

    /// Change of a price or an amount: relative; of anything else: a difference.
    pub(super) fn change(&self, x: &Expression, coin: usize, k: usize) -> Option<f64> {
        let (now, before) = (self.value(x, coin, k, None)?, self.value(x, coin, k.checked_sub(1)?, None)?);
        let plain =
            x.unit().map_or(true, |u| !matches!(u, genome::Unit::Of { quote, base } if (quote, base) != (0, 0)));
        let change = if plain { now - before } else { now / before - 1.0 };
        Some(change).filter(|c| c.is_finite())
    }

    pub(super) fn window(&self, x: &Expression, coin: usize, k: usize, n: usize) -> Option<Vec<f64>> {
        let first = (k + 1).checked_sub(n)?;
        (first..=k).map(|j| self.value(x, coin, j, None)).collect()
    }

    pub(super) fn rolling(&self, op: Rolling, x: &Expression, coin: usize, k: usize, n: usize) -> Option<f64> {
        let ok = |v: f64| Some(v).filter(|v| v.is_finite());
        match op {
            Rolling::Delay => return self.value(x, coin, k.checked_sub(n)?, None),
            Rolling::Delta => {
                let (now, then) = (self.value(x, coin, k, None)?, self.value(x, coin, k.checked_sub(n)?, None)?);
                self.nearly_nothing(now - then, now);
                return ok(now - then);
            }
            _ => {}
        }
        let w = self.window(x, coin, k, n)?;
        let mean = w.iter().sum::<f64>() / n as f64;
        match op {
            Rolling::Mean => ok(mean),
            Rolling::Sum => {
                self.nearly_nothing(mean, w.iter().map(|v| v.abs()).fold(0.0, f64::max));
                ok(w.iter().sum())
            }
            Rolling::Highest => ok(w.iter().copied().fold(f64::MIN, f64::max)),
            Rolling::Lowest => ok(w.iter().copied().fold(f64::MAX, f64::min)),
            Rolling::Deviation => {
                let deviation = (w.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
                if deviation <= 1e-9 * mean.abs() {
                    self.fragile.set(true);
                }
                ok(deviation)
            }
            Rolling::TsRank => {
                self.near_ties(&w, exact(x));
                ok(average_rank(&w, w[n - 1]) / (n - 1) as f64)
            }
            Rolling::Decay => {
                let total: f64 = w.iter().enumerate().map(|(i, v)| (i + 1) as f64 * v).sum();
                ok(total / (n * (n + 1) / 2) as f64)
            }
            Rolling::Delay | Rolling::Delta => unreachable!(),
        }
    }

    /// Whether what looks at this coin alone is defined.
    pub(super) fn can_be(&self, e: &Expression, coin: usize, k: usize) -> bool {
        if !across_now(e) {
            return self.value(e, coin, k, None).is_some();
        }
        match e {
            Expression::Unary(_, x) | Expression::Across(_, x) => self.can_be(x, coin, k),
            Expression::Binary(_, x, y) => self.can_be(x, coin, k) && self.can_be(y, coin, k),
            _ => unreachable!(),
        }
    }
}

/// Number of values below, and half of the others that are equal: average rank - 1.
pub(super) fn average_rank(values: &[f64], own: f64) -> f64 {
    let below = values.iter().filter(|v| **v < own).count() as f64;
    let equal = values.iter().filter(|v| **v == own).count() as f64;
    below + (equal - 1.0) / 2.0
}

/// Whether every way to compute the expression gives the same bits: each step is one operation on such values.
pub(super) fn exact(e: &Expression) -> bool {
    match e {
        Expression::Constant(_) | Expression::Series(_) => true,
        Expression::Unary(_, x) | Expression::Across(Across::Rank, x) => exact(x),
        Expression::Binary(_, x, y) => exact(x) && exact(y),
        Expression::Rolling(op, x, _) => {
            !matches!(op, Rolling::Mean | Rolling::Sum | Rolling::Deviation | Rolling::Decay) && exact(x)
        }
        _ => false,
    }
}

/// Whether the expression looks across the market at the candle itself.
pub(super) fn across_now(e: &Expression) -> bool {
    match e {
        Expression::Across(..) => true,
        Expression::Unary(_, x) => across_now(x),
        Expression::Binary(_, x, y) => across_now(x) || across_now(y),
        _ => false,
    }
}

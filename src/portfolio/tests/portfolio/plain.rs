//! A second implementation from the definitions alone: every value is computed anew where it is needed, with loops over
//! an instrument's candles, nothing shared with the crate. Slow on purpose.
//!
//! `fragile` is set where rounding could decide (scores that nearly tie, a division by nearly nothing): such a run is
//! not compared.

use candles::{Candle, FundingRate, InstrumentTable, MarketKind, interval};
use engine::Slippage;
use genome::{Across, Binary, Expression, Form, PriceField, Ranking, Rolling, Source, Unary};
use portfolio::{PortfolioTerms, Ticker};
use std::{cell::Cell, collections::BTreeMap};

const DAY: i64 = 86_400_000;

pub(crate) struct Coin {
    pub(crate) name: String,
    excluded: bool,
    candles: Vec<Candle>,
    funding: Vec<FundingRate>,
    next_opens: Option<i64>,
}

pub(crate) struct Plain<'a> {
    pub(crate) coins: Vec<Coin>,
    pub(crate) fragile: Cell<bool>,
    market: MarketKind,
    strategy: &'a Ranking,
    terms: &'a PortfolioTerms,
}

pub(crate) struct Run {
    pub(crate) equity: Vec<(i64, f64)>,
    pub(crate) targets: Vec<(i64, Vec<(String, f64)>)>,
    pub(crate) turnover: f64,
}

impl<'a> Plain<'a> {
    pub(crate) fn new(
        market: MarketKind,
        tickers: &[Ticker],
        table: &InstrumentTable,
        strategy: &'a Ranking,
        terms: &'a PortfolioTerms,
    ) -> Self {
        let mut coins = Vec::new();
        for t in tickers {
            let all: Vec<Candle> = t.candles.candles().collect();
            let cuts = table.cuts(&t.symbol);
            let excluded = table
                .lines()
                .iter()
                .any(|l| l.entry == candles::instrument::Entry::Exclude && l.ticker == t.symbol.as_str());
            let part_of = |c: &Candle| cuts.iter().filter(|cut| c.open_time_ms >= **cut).count();
            let parts: Vec<(usize, Vec<Candle>)> = (0..=cuts.len())
                .map(|p| (p, all.iter().filter(|c| part_of(c) == p).copied().collect::<Vec<_>>()))
                .filter(|(_, c)| !c.is_empty())
                .collect();
            for (i, (p, candles)) in parts.iter().enumerate() {
                let name = if parts.len() == 1 { t.symbol.to_string() } else { format!("{}#{}", t.symbol, p + 1) };
                let next_opens = parts.get(i + 1).map(|(_, next)| next[0].open_time_ms);
                let funding = t.funding.clone();
                coins.push(Coin { name, excluded, candles: candles.clone(), funding, next_opens });
            }
        }
        coins.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        Self { coins, fragile: Cell::new(false), market, strategy, terms }
    }

    fn close_of(&self, c: &Candle) -> i64 {
        interval::next_open_time_ms(self.strategy.timeframe, c.open_time_ms)
    }

    fn closing_at(&self, coin: usize, t: i64) -> Option<usize> {
        self.coins[coin].candles.iter().position(|c| self.close_of(c) == t)
    }

    fn members(&self, t: i64, top: u32) -> Vec<usize> {
        let u = self.strategy.universe;
        let mut able = Vec::new();
        for (i, coin) in self.coins.iter().enumerate() {
            if coin.excluded || self.closing_at(i, t).is_none() {
                continue;
            }
            if coin.candles[0].open_time_ms > t - i64::from(u.listed_days) * DAY {
                continue;
            }
            let volume: f64 = coin
                .candles
                .iter()
                .filter(|c| self.close_of(c) > t - i64::from(u.volume_days) * DAY && self.close_of(c) <= t)
                .map(|c| if c.quote_volume == 0.0 { c.volume * c.close } else { c.quote_volume })
                .sum();
            able.push((volume, i));
        }
        self.near_ties(&able.iter().map(|(v, _)| *v).collect::<Vec<_>>(), true);
        able.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        able.truncate(top as usize);
        let mut members: Vec<usize> = able.into_iter().map(|(_, i)| i).collect();
        members.sort_unstable();
        members
    }

    /// Takes note of values that differ by no more than rounding, and of such as are equal by its luck: those that are
    /// not `exact`.
    fn near_ties(&self, values: &[f64], exact: bool) {
        for (i, a) in values.iter().enumerate() {
            for b in &values[..i] {
                if (a == b && !exact) || (a != b && (a - b).abs() <= 1e-9 * (a.abs() + b.abs())) {
                    self.fragile.set(true);
                }
            }
        }
    }

    fn nearly_nothing(&self, x: f64, beside: f64) {
        if x != 0.0 && x.abs() <= 1e-9 * beside.abs() {
            self.fragile.set(true);
        }
    }

    fn volatility(&self, coin: usize, k: usize, n: usize) -> Option<f64> {
        let c = &self.coins[coin].candles;
        let first = (k + 1).checked_sub(n).filter(|f| *f >= 1)?;
        let squares: f64 = (first..=k).map(|j| (c[j].close / c[j - 1].close).ln().powi(2)).sum();
        Some((squares / n as f64).sqrt()).filter(|v| v.is_finite())
    }

    /// Whether a member may be ranked as far as its volatility goes.
    fn has_volatility(&self, coin: usize, k: usize) -> bool {
        self.strategy
            .weights
            .inverse_volatility
            .is_none_or(|n| self.volatility(coin, k, n as usize).is_some_and(|v| v > 0.0))
    }

    /// Value at candle k, where operators across the market see `left` at this candle, or, `left` being `None`, all
    /// members of then.
    fn value(&self, e: &Expression, coin: usize, k: usize, left: Option<&[usize]>) -> Option<f64> {
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
                    market.push(changes.iter().sum::<f64>() / changes.len() as f64);
                }
                self.slope(&market, &ours, largest)
            }
        }
    }

    fn slope(&self, x: &[f64], y: &[f64], largest: f64) -> Option<f64> {
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
    fn change(&self, x: &Expression, coin: usize, k: usize) -> Option<f64> {
        let (now, before) = (self.value(x, coin, k, None)?, self.value(x, coin, k.checked_sub(1)?, None)?);
        let plain =
            x.unit().map_or(true, |u| !matches!(u, genome::Unit::Of { quote, base } if (quote, base) != (0, 0)));
        let change = if plain { now - before } else { now / before - 1.0 };
        Some(change).filter(|c| c.is_finite())
    }

    fn window(&self, x: &Expression, coin: usize, k: usize, n: usize) -> Option<Vec<f64>> {
        let first = (k + 1).checked_sub(n)?;
        (first..=k).map(|j| self.value(x, coin, j, None)).collect()
    }

    fn rolling(&self, op: Rolling, x: &Expression, coin: usize, k: usize, n: usize) -> Option<f64> {
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
    fn can_be(&self, e: &Expression, coin: usize, k: usize) -> bool {
        if !across_now(e) {
            return self.value(e, coin, k, None).is_some();
        }
        match e {
            Expression::Unary(_, x) | Expression::Across(_, x) => self.can_be(x, coin, k),
            Expression::Binary(_, x, y) => self.can_be(x, coin, k) && self.can_be(y, coin, k),
            _ => unreachable!(),
        }
    }

    fn weights(&self, t: i64) -> Vec<(usize, f64)> {
        let s = self.strategy;
        let members = self.members(t, s.universe.top);
        let at = |i: usize| self.closing_at(i, t).unwrap();
        let left: Vec<usize> = members
            .into_iter()
            .filter(|i| self.has_volatility(*i, at(*i)) && self.can_be(&s.score, *i, at(*i)))
            .collect();
        let scored: Vec<(usize, f64)> = left
            .iter()
            .filter_map(|i| {
                let across = across_now(&s.score);
                Some((*i, self.value(&s.score, *i, at(*i), across.then_some(&left[..]))?))
            })
            .collect();
        let n = scored.len();
        if n < 2 {
            return scored.iter().map(|(i, _)| (*i, 0.0)).collect();
        }
        let scores: Vec<f64> = scored.iter().map(|(_, v)| *v).collect();
        self.near_ties(&scores, exact(&s.score));
        let mut x: Vec<f64> = match s.weights.form {
            Form::Linear => scores.iter().map(|v| average_rank(&scores, *v) / (n - 1) as f64 - 0.5).collect(),
            Form::TopBottom { top_pct, bottom_pct } => {
                let mut order: Vec<usize> = (0..n).collect();
                order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
                let many = |pct: f64| ((pct * n as f64 / 100.0).floor() as usize).max(1);
                let mut x = vec![0.0; n];
                order.iter().take(many(top_pct.get())).for_each(|i| x[*i] = 1.0);
                if let Some(pct) = bottom_pct {
                    order.iter().rev().take(many(pct.get())).for_each(|i| x[*i] = -1.0);
                }
                x
            }
        };
        if let Some(k) = s.weights.inverse_volatility {
            for (x, (i, _)) in x.iter_mut().zip(&scored) {
                *x /= self.volatility(*i, at(*i), k as usize).unwrap();
            }
        }
        if s.weights.form == Form::Linear && !s.weights.long_only {
            let mean = x.iter().sum::<f64>() / n as f64;
            self.near_zero_after(&x, mean);
            x.iter_mut().for_each(|x| *x -= mean);
        }
        let gross = s.gross.get();
        let scale = |x: &mut Vec<f64>| {
            if s.weights.long_only {
                x.iter_mut().for_each(|x| *x = x.max(0.0));
            }
            let leg = if s.weights.long_only { gross } else { gross / 2.0 };
            let up: f64 = x.iter().filter(|x| **x > 0.0).sum();
            let down: f64 = -x.iter().filter(|x| **x < 0.0).sum::<f64>();
            for x in x {
                if *x > 0.0 {
                    *x *= leg / up;
                } else if *x < 0.0 {
                    *x *= leg / down;
                }
            }
        };
        scale(&mut x);
        if let Some(cap) = s.weights.cap {
            x = capped(&x, cap.get());
        }
        if let Some(k) = s.weights.beta_neutral {
            let b: Vec<Option<f64>> =
                scored.iter().map(|(i, _)| self.market_slope(*i, t, k as usize, &scored)).collect();
            let held: Vec<usize> = (0..n).filter(|i| x[*i] != 0.0 && b[*i].is_some()).collect();
            let wb: f64 = held.iter().map(|i| x[*i] * b[*i].unwrap()).sum();
            let bb: f64 = held.iter().map(|i| b[*i].unwrap().powi(2)).sum();
            if bb > 0.0 {
                for i in held {
                    let off = b[i].unwrap() * wb / bb;
                    self.nearly_nothing(x[i] - off, x[i]);
                    x[i] -= off;
                }
            }
            scale(&mut x);
        }
        scored.iter().map(|(i, _)| *i).zip(x).collect()
    }

    fn near_zero_after(&self, x: &[f64], mean: f64) {
        for x in x {
            // Within rounding of the mean the sign, and so the leg, is open.
            if (x - mean).abs() <= 1e-9 * (x.abs() + mean.abs() + 1e-6) && (x - mean) != 0.0 {
                self.fragile.set(true);
            }
        }
    }

    /// Slope of the coin's last k returns on the mean return of the ranked members in the same slots.
    fn market_slope(&self, coin: usize, t: i64, k: usize, ranked: &[(usize, f64)]) -> Option<f64> {
        let last = self.closing_at(coin, t)?;
        let first = (last + 1).checked_sub(k).filter(|f| *f >= 1)?;
        let own_return = |i: usize, j: usize| {
            let c = &self.coins[i].candles;
            c[j].close / c[j - 1].close - 1.0
        };
        let (mut x, mut y, mut largest) = (Vec::new(), Vec::new(), 0.0_f64);
        for j in first..=last {
            let open = self.coins[coin].candles[j].open_time_ms;
            let all: Vec<f64> = ranked
                .iter()
                .filter_map(|(i, _)| {
                    let at = self.coins[*i].candles.iter().position(|c| c.open_time_ms == open)?;
                    (at > 0).then(|| own_return(*i, at))
                })
                .collect();
            largest = all.iter().fold(largest, |most, r| most.max(r.abs()));
            x.push(all.iter().sum::<f64>() / all.len() as f64);
            y.push(own_return(coin, j));
        }
        self.slope(&x, &y, largest)
    }

    pub(crate) fn run(&self, from: i64, to: i64) -> Run {
        let (s, terms, e) = (self.strategy, self.terms, self.terms.execution);
        let mut cash = terms.initial_capital;
        let mut units: BTreeMap<usize, f64> = BTreeMap::new();
        let mut orders: BTreeMap<usize, (f64, f64, u32, u32)> = BTreeMap::new(); // units, equity, wait, tries
        let mut history: Vec<Vec<(usize, f64)>> = Vec::new();
        let mut run = Run { equity: Vec::new(), targets: Vec::new(), turnover: 0.0 };
        let cache_end = self.coins.iter().flat_map(|c| &c.candles).map(|c| self.close_of(c)).max().unwrap();
        let mut liquidated = false;
        let mut open = interval::first_open_time_ms(s.timeframe, from);
        while open < to {
            let t = interval::next_open_time_ms(s.timeframe, open);
            // The last candle of a coin that has closed by a time.
            let last = |i: usize, by: i64| self.coins[i].candles.iter().rfind(|c| self.close_of(c) <= by).copied();
            for (i, (want, equity, wait, tries)) in std::mem::take(&mut orders) {
                if wait > 0 {
                    orders.insert(i, (want, equity, wait - 1, tries));
                    continue;
                }
                let Some(candle) = self.coins[i].candles.iter().find(|c| c.open_time_ms == open) else {
                    if tries > 0 {
                        orders.insert(i, (want, equity, 0, tries - 1));
                    }
                    continue;
                };
                let held = units.get(&i).copied().unwrap_or(0.0);
                let want = self.lots(want, candle.open);
                let change = want - held;
                let value = change.abs() * candle.open;
                if change == 0.0 || (want != 0.0 && value < e.least_notional) {
                    continue;
                }
                let slip = match terms.costs.slippage {
                    Slippage::Fixed { bps } => bps / 1e4,
                    Slippage::SquareRoot { coefficient } => {
                        (coefficient * (change.abs() / candle.volume).sqrt()).clamp(0.0, 0.5)
                    }
                    Slippage::Atr { .. } => unreachable!("worlds have no such slippage"),
                };
                cash -= change * candle.open + value * (terms.costs.fee_fraction + slip);
                run.turnover += value / equity;
                units.insert(i, want);
                if want == 0.0 {
                    units.remove(&i);
                }
            }
            for (i, u) in &units {
                for f in self.coins[*i].funding.iter().filter(|f| f.time_ms > open && f.time_ms <= t) {
                    if let Some(known) = last(*i, f.time_ms) {
                        cash -= u * f.rate * known.close;
                    }
                }
                if self.market == MarketKind::Spot && *u < 0.0 {
                    let years = (t - open) as f64 / (365.0 * DAY as f64);
                    cash += u * last(*i, t).unwrap().close * e.borrow_rate_per_year * years;
                }
            }
            let held: Vec<usize> = units.keys().copied().collect();
            for i in held {
                let known = last(i, t).unwrap();
                if self.close_of(&known) == t {
                    continue;
                }
                let followed = self.coins[i].next_opens.is_some_and(|n| n < t);
                let gone = t - self.close_of(&known) >= 7 * DAY && t <= cache_end;
                if followed || gone {
                    let value = units.remove(&i).unwrap() * known.close;
                    cash += value - value.abs() * terms.costs.delisting_fraction.max(e.frozen_exit_fraction);
                    orders.remove(&i);
                }
            }
            let worth = |units: &BTreeMap<usize, f64>| -> f64 {
                units.iter().map(|(i, u)| u * last(*i, t).unwrap().close).sum()
            };
            let gross: f64 = units.iter().map(|(i, u)| (u * last(*i, t).unwrap().close).abs()).sum();
            if !units.is_empty() && cash + worth(&units) <= e.maintenance_margin_fraction * gross {
                cash = (cash + worth(&units) - gross * terms.costs.delisting_fraction).max(0.0);
                units.clear();
                orders.clear();
                liquidated = true;
            }
            let equity = cash + worth(&units);
            run.equity.push((t, equity));
            let on_clock = interval::open_time_ms(s.rebalance, t) == t;
            if on_clock && t > from && t < to && !liquidated {
                history.push(self.weights(t));
                let since = history.len().saturating_sub(s.weights.smooth as usize);
                let recent = &history[since..];
                let mut targets: BTreeMap<usize, f64> = BTreeMap::new();
                for (i, w) in recent.iter().flatten() {
                    *targets.entry(*i).or_default() += w / recent.len() as f64;
                }
                for total in targets.values() {
                    // What cancels but for rounding would be a target in one computation and none in the other.
                    self.nearly_nothing(*total, 1e-3);
                }
                targets.retain(|_, w| *w != 0.0);
                self.limit(&mut targets, t);
                run.targets.push((t, targets.iter().map(|(i, w)| (self.coins[*i].name.clone(), *w)).collect()));
                orders.clear();
                for i in 0..self.coins.len() {
                    let held = units.get(&i).copied().unwrap_or(0.0);
                    let target = targets.get(&i).copied().unwrap_or(0.0);
                    if target == 0.0 && held == 0.0 {
                        continue;
                    }
                    let price = last(i, t).unwrap().close;
                    let band = s.weights.band.map_or(0.0, |b| b.get());
                    let distance = (target - held * price / equity).abs();
                    self.nearly_nothing(distance - band, band);
                    if target != 0.0 && distance < band {
                        continue;
                    }
                    if target * equity / price != held {
                        orders.insert(i, (target * equity / price, equity, e.delay_candles, e.retry_candles));
                    }
                }
            }
            open = t;
        }
        run
    }

    fn limit(&self, targets: &mut BTreeMap<usize, f64>, t: i64) {
        let e = self.terms.execution;
        if e.borrowable_members > 0 && self.market == MarketKind::Spot {
            let lenders = self.members(t, e.borrowable_members);
            targets.retain(|i, w| *w > 0.0 || lenders.contains(i));
        }
        let gross: f64 = targets.values().map(|w| w.abs()).sum();
        let one_sided = targets.values().all(|w| *w > 0.0) || targets.values().all(|w| *w < 0.0);
        let mut most = if e.greatest_gross > 0.0 { e.greatest_gross } else { f64::INFINITY };
        if one_sided && e.greatest_one_sided_gross > 0.0 {
            most = most.min(e.greatest_one_sided_gross);
        }
        if gross > most {
            targets.values_mut().for_each(|w| *w *= most / gross);
        }
    }

    fn lots(&self, units: f64, price: f64) -> f64 {
        let most = self.terms.execution.lot_notional;
        if most == 0.0 {
            return units;
        }
        // The greatest power of ten of units that is worth no more than `most`.
        let mut power = 0_i32;
        while 10.0_f64.powi(power) * price > most {
            power -= 1;
        }
        while 10.0_f64.powi(power + 1) * price <= most {
            power += 1;
        }
        self.nearly_nothing(10.0_f64.powi(power) * price - most, most);
        let lots = units / 10.0_f64.powi(power);
        self.nearly_nothing(lots - lots.round(), lots);
        if (lots - lots.round()).abs() < 1e-6 {
            self.fragile.set(true);
        }
        lots.trunc() * 10.0_f64.powi(power)
    }
}

/// Number of values below, and half of the others that are equal: average rank - 1.
fn average_rank(values: &[f64], own: f64) -> f64 {
    let below = values.iter().filter(|v| **v < own).count() as f64;
    let equal = values.iter().filter(|v| **v == own).count() as f64;
    below + (equal - 1.0) / 2.0
}

fn capped(x: &[f64], cap: f64) -> Vec<f64> {
    let mut x = x.to_vec();
    for sign in [1.0, -1.0] {
        let mut fixed: Vec<usize> = Vec::new();
        loop {
            let over: Vec<usize> = (0..x.len()).filter(|i| sign * x[*i] > cap).collect();
            if over.is_empty() {
                break;
            }
            let excess: f64 = over.iter().map(|i| sign * x[*i] - cap).sum();
            over.iter().for_each(|i| x[*i] = sign * cap);
            fixed.extend(&over);
            let rest: Vec<usize> = (0..x.len()).filter(|i| sign * x[*i] > 0.0 && !fixed.contains(i)).collect();
            let total: f64 = rest.iter().map(|i| sign * x[*i]).sum();
            if rest.is_empty() {
                break;
            }
            rest.iter().for_each(|i| x[*i] += x[*i] / total * excess);
        }
    }
    x
}

/// Whether every way to compute the expression gives the same bits: each step is one operation on such values.
fn exact(e: &Expression) -> bool {
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
fn across_now(e: &Expression) -> bool {
    match e {
        Expression::Across(..) => true,
        Expression::Unary(_, x) => across_now(x),
        Expression::Binary(_, x, y) => across_now(x) || across_now(y),
        _ => false,
    }
}

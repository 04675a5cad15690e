//! A second implementation from the definitions alone: every value is computed anew where it is needed, with loops over
//! an instrument's candles, nothing shared with the crate. Slow on purpose.
//!
//! `fragile` is set where rounding could decide (scores that nearly tie, a division by nearly nothing): such a run is
//! not compared.

mod values;
mod weights;

use candles::{Candle, FundingRate, InstrumentTable, MarketKind, interval};
use engine::{FillOn, Slippage};
use genome::Ranking;
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

/// By coin: units, equity, wait, tries.
type Orders = BTreeMap<usize, (f64, f64, u32, u32)>;

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

    pub(crate) fn run(&self, from: i64, to: i64) -> Run {
        let (s, terms, e) = (self.strategy, self.terms, self.terms.execution);
        let mut cash = terms.initial_capital;
        let mut units: BTreeMap<usize, f64> = BTreeMap::new();
        let mut orders = Orders::new();
        let mut history: Vec<Vec<(usize, f64)>> = Vec::new();
        let mut run = Run { equity: Vec::new(), targets: Vec::new(), turnover: 0.0 };
        let cache_end = self.coins.iter().flat_map(|c| &c.candles).map(|c| self.close_of(c)).max().unwrap();
        let mut liquidated = false;
        let mut open = interval::first_open_time_ms(s.timeframe, from);
        while open < to {
            let t = interval::next_open_time_ms(s.timeframe, open);
            // The last candle of a coin that has closed by a time.
            let last = |i: usize, by: i64| self.coins[i].candles.iter().rfind(|c| self.close_of(c) <= by).copied();
            let mut fill = |orders: &mut Orders, units: &mut BTreeMap<usize, f64>, cash: &mut f64| {
                for (i, (want, equity, wait, tries)) in std::mem::take(orders) {
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
                    let price = if terms.fill_on == FillOn::Close { candle.close } else { candle.open };
                    let held = units.get(&i).copied().unwrap_or(0.0);
                    let want = self.lots(want, price);
                    let change = want - held;
                    let value = change.abs() * price;
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
                    let slip = terms.costs.max_slippage_bps.map_or(slip, |most| slip.min(most / 1e4));
                    *cash -= change * price + value * (terms.costs.fee_fraction + slip);
                    run.turnover += value / equity;
                    units.insert(i, want);
                    if want == 0.0 {
                        units.remove(&i);
                    }
                }
            };
            if terms.fill_on == FillOn::NextOpen {
                fill(&mut orders, &mut units, &mut cash);
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
            if terms.fill_on == FillOn::Close && t < to {
                fill(&mut orders, &mut units, &mut cash);
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

//! A ledger marked to market step by step, in units of risk: what an e-process over results is made of.
//!
//! A step is a candle of the strategy's own timeframe. Its result is the change of equity in it, of all symbols
//! together, each divided by the risk of the trade that is open there (known when the trade began). Positions that
//! are still open are marked, winners and losers alike, so no order of closing can flatter; and results that overlap,
//! on one symbol or on correlated ones, fall into one step instead of being multiplied as if they came one by one.
//!
//! **What exposure earned.** From a step's result is taken what the strategy's mean exposure to each symbol would have
//! earned there: measured on candles from before (`Marked::mean_exposure` of the search window), so it is known at every
//! step, and being long all the time in a rising market leaves nothing over. What the exposure of the step itself differs
//! from that mean is told beside it, as what a drift of 1 a year would earn: whoever bets has to hold out against every
//! drift (`wealth`). So a strategy that is long more often in the hold-out than it was in its search gains nothing by a
//! market that rises, and on a symbol that was never searched nothing is taken away and all of the exposure is told.
//!
//! **The worst** that a step can do is known when it begins: every trade that is open is stopped, which costs what it
//! has gained and its risk, on all symbols in one candle; what is taken away moves as much against it as it ever did in the
//! search window; and every drift is against it.

use crate::wealth::{LARGEST_DRIFT, Stake};
use candles::{Interval, interval};
use engine::{Ledger, Trade, Window};

/// 365 days.
const YEAR_MS: f64 = 365.0 * 86_400_000.0;

/// One step of a marked ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Step {
    /// End of the step, UTC ms.
    pub end_ms: i64,
    /// Net result in units of risk.
    pub result_r: f64,
    /// Most that the result could lose, at least 0.
    pub worst_r: f64,
    /// The result less what the mean exposure would have earned, and less what any drift would have earned while a
    /// position that ended within the step was there, which nobody knows.
    pub excess_r: f64,
    /// Most that the excess could lose, whatever the drifts, at least 0.
    pub excess_worst_r: f64,
}

/// The steps of all symbols together, in time order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Steps {
    /// One by one.
    pub each: Vec<Step>,
    /// By step, then by symbol: what a drift of 1 a year would have earned through the exposure in the excess.
    drift: Vec<f64>,
    symbols: usize,
}

impl Steps {
    /// What bets on the results are about.
    pub fn plain(&self) -> impl Iterator<Item = Stake<'_>> {
        self.each.iter().map(|s| Stake { result: s.result_r, worst: s.worst_r, drift: &[] })
    }

    /// What bets on the excess are about.
    pub fn excess(&self) -> impl Iterator<Item = Stake<'_>> {
        let drift = |k: usize| &self.drift[k * self.symbols..(k + 1) * self.symbols];
        let stake =
            move |(k, s): (usize, &Step)| Stake { result: s.excess_r, worst: s.excess_worst_r, drift: drift(k) };
        self.each.iter().enumerate().map(stake)
    }
}

/// What is taken away of a symbol.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Hedge {
    /// Exposure, notional over risk; 0 takes nothing away.
    pub exposure: f64,
    /// Largest move of the price against it that is reckoned with, in a step, a fraction of the price.
    pub move_against: f64,
    /// Where the symbol's drift stands among those of all symbols.
    pub symbol: usize,
}

/// One symbol's steps.
#[derive(Clone, Debug, Default)]
struct Sleeve {
    end_ms: Vec<i64>,
    /// Since the step before.
    years: Vec<f64>,
    result_r: Vec<f64>,
    worst_r: Vec<f64>,
    /// Notional over risk at the step's end, negative when short.
    exposure_r: Vec<f64>,
    /// The same through the step, of positions that are there to its end.
    held_r: Vec<f64>,
    /// The same of those that ended within.
    ended_r: Vec<f64>,
    /// Close over the close before - 1.
    market_return: Vec<f64>,
}

/// A ledger marked to market.
#[derive(Clone, Debug, Default)]
pub struct Marked {
    sleeves: Vec<Sleeve>,
}

impl Marked {
    /// Marks a ledger that was made in `window` by a strategy of `timeframe`. Trades without a stop count their whole
    /// notional as risk.
    #[must_use]
    pub fn new(ledger: &Ledger, window: &Window, timeframe: Interval) -> Self {
        let one = |(number, holdings): (usize, &Vec<engine::Holding>)| {
            let Some(data) = window.symbols().get(number) else { return Sleeve::default() };
            let trades: Vec<&Trade> = ledger.trades.iter().filter(|t| t.symbol == data.symbol).collect();
            let (times, closes) = (data.candles.open_times_ms(), data.candles.closes());
            let first = times.partition_point(|&t| t < window.from_ms());
            let mut sleeve = Sleeve::default();
            let Some(begin) = holdings.first() else { return sleeve };
            let (mut held, mut next) = (*begin, 0);
            // What the sleeve had before the first trade that may still be open.
            let (mut equity, mut open, mut before) = (begin.cash, 0, begin.cash);
            let mut last_close = closes.get(first.saturating_sub(1)).copied().unwrap_or(1.0);
            let mut last_ms = None;
            let mut i = first;
            while i < times.len() {
                let from_ms = interval::open_time_ms(timeframe, times[i]);
                let end_ms = interval::next_open_time_ms(timeframe, from_ms);
                while i + 1 < times.len() && times[i + 1] < end_ms {
                    i += 1;
                }
                let close = closes[i];
                i += 1;
                let units_before = held.units;
                while holdings.get(next).is_some_and(|h| h.from_ms <= end_ms) {
                    held = holdings[next];
                    next += 1;
                }
                // The trade that was open first in this step gives the unit: it is known before the step.
                while trades.get(open).is_some_and(|t| t.exit_time_ms < from_ms) {
                    before += trades[open].profit;
                    open += 1;
                }
                let here = trades[open..].iter().take_while(|t| t.entry_time_ms < end_ms);
                let risk = here.clone().next().map(|t| risk(t));
                let (mut worst, mut through, mut ended) = (0.0, 0.0, 0.0);
                for trade in here {
                    let is_old = trade.entry_time_ms < from_ms;
                    // What it has gained so far can be lost, too.
                    let gained = if is_old { equity - before } else { 0.0 };
                    worst += (self::risk(trade) + gained).max(0.0);
                    // One that ends at the step's very beginning is there no more.
                    if trade.exit_time_ms > from_ms {
                        let units = if is_old { units_before } else { trade.side.sign() * trade.quantity };
                        *(if trade.exit_time_ms < end_ms { &mut ended } else { &mut through }) += units * last_close;
                    }
                }
                let now = if held.units == 0.0 { held.cash } else { (held.cash + held.units * close).max(0.0) };
                let per_risk = |value: f64| risk.map_or(0.0, |risk| value / risk);
                sleeve.end_ms.push(end_ms);
                sleeve.years.push((end_ms - last_ms.unwrap_or(from_ms)) as f64 / YEAR_MS);
                sleeve.result_r.push(per_risk(now - equity));
                sleeve.worst_r.push(per_risk(worst));
                sleeve.exposure_r.push(per_risk(held.units * close));
                sleeve.held_r.push(per_risk(through));
                sleeve.ended_r.push(per_risk(ended));
                sleeve.market_return.push(close / last_close - 1.0);
                (equity, last_close, last_ms) = (now, close, Some(end_ms));
            }
            sleeve
        };
        Self { sleeves: ledger.holdings.iter().enumerate().map(one).collect() }
    }

    /// Mean exposure to each symbol over all steps, notional over risk; 0 for a symbol without a step.
    #[must_use]
    pub fn mean_exposure(&self) -> Vec<f64> {
        let mean = |s: &Sleeve| s.exposure_r.iter().sum::<f64>() / s.exposure_r.len().max(1) as f64;
        self.sleeves.iter().map(mean).collect()
    }

    /// The mean exposure to each symbol as what is to be taken away, with the largest move against it of these steps.
    #[must_use]
    pub fn hedges(&self) -> Vec<Hedge> {
        let hedge = |(symbol, (sleeve, exposure)): (usize, (&Sleeve, f64))| {
            let against = sleeve.market_return.iter().map(|m| m * exposure.signum());
            Hedge { exposure, move_against: against.fold(0.0, f64::max), symbol }
        };
        self.sleeves.iter().zip(self.mean_exposure()).enumerate().map(hedge).collect()
    }

    /// The steps of all symbols together, in time order. `hedges` are what to take away, by symbol, and `symbols` how many
    /// drifts there are. Of a symbol without a hedge nothing is taken away, and its drift stands where the symbol does.
    #[must_use]
    pub fn steps(&self, hedges: &[Hedge], symbols: usize) -> Steps {
        let symbols = hedges.iter().map(|h| h.symbol + 1).fold(symbols.max(self.sleeves.len()), usize::max);
        let mut times: Vec<i64> = self.sleeves.iter().flat_map(|s| s.end_ms.iter().copied()).collect();
        times.sort_unstable();
        times.dedup();
        let mut each: Vec<Step> = times.iter().map(|&end_ms| Step { end_ms, ..Step::default() }).collect();
        let mut drift = vec![0.0; each.len() * symbols];
        for (number, sleeve) in self.sleeves.iter().enumerate() {
            let none = Hedge { symbol: number, ..Hedge::default() };
            let hedge = hedges.get(number).copied().unwrap_or(none);
            let mut at = 0;
            for (k, &end_ms) in sleeve.end_ms.iter().enumerate() {
                while each[at].end_ms < end_ms {
                    at += 1;
                }
                let step = &mut each[at];
                let (result, years) = (sleeve.result_r[k], sleeve.years[k]);
                let (held, ended) = (sleeve.held_r[k], sleeve.ended_r[k]);
                step.result_r += result;
                step.worst_r += sleeve.worst_r[k];
                step.excess_r +=
                    result - hedge.exposure * sleeve.market_return[k] - LARGEST_DRIFT * ended.abs() * years;
                let drifts = LARGEST_DRIFT * (held.abs() + ended.abs() + hedge.exposure.abs()) * years;
                step.excess_worst_r += sleeve.worst_r[k] + hedge.exposure.abs() * hedge.move_against + drifts;
                drift[at * symbols + hedge.symbol] += (held - hedge.exposure) * years;
            }
        }
        Steps { each, drift, symbols }
    }
}

/// What a trade put at stake, quote units; never 0.
fn risk(trade: &Trade) -> f64 {
    let notional = trade.quantity * trade.entry_price;
    trade.risk.filter(|risk| *risk > 0.0 && risk.is_finite()).unwrap_or(notional).max(notional * 1e-4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candles::{Candle, CandleSeries, MarketKind};
    use engine::{ExitReason, Holding, Side, SymbolWindow};
    use std::sync::Arc;

    const M15: i64 = 900_000;

    fn window(closes: &[f64]) -> Window {
        let candle = |(i, &close): (usize, &f64)| Candle {
            open_time_ms: i as i64 * M15,
            open: close,
            high: close,
            low: close,
            close,
            volume: 1.0,
            close_time_ms: (i as i64 + 1) * M15 - 1,
            quote_volume: close,
            trade_count: 1,
            taker_buy_volume: 0.0,
            taker_buy_quote_volume: 0.0,
        };
        let candles: Vec<Candle> = closes.iter().enumerate().map(candle).collect();
        let symbol = SymbolWindow {
            market: MarketKind::Spot,
            symbol: "BTCUSDT".parse().unwrap(),
            candles: Arc::new(CandleSeries::from_candles(Interval::M15, &candles).unwrap()),
            finer: Vec::new(),
            funding: Arc::from([]),
            readings: Arc::default(),
            across: Arc::default(),
        };
        Window::new(M15, closes.len() as i64 * M15, vec![symbol]).unwrap()
    }

    fn long(entry: i64, exit: i64, profit: f64, risk: Option<f64>) -> Trade {
        Trade {
            symbol: "BTCUSDT".parse().unwrap(),
            side: Side::Long,
            entry_time_ms: entry * M15,
            entry_price: 100.0,
            exit_time_ms: exit * M15,
            exit_price: 104.0,
            quantity: 1.0,
            profit,
            return_fraction: 0.0,
            fees: 0.0,
            slippage: 0.0,
            funding: 0.0,
            risk,
            exit_reason: ExitReason::Rule,
            bars: 2,
        }
    }

    /// Bought at 100 at the open of candle 2, sold at 104 at the open of candle 4, fee 0.5 a side.
    fn ledger() -> Ledger {
        let held = |from: i64, cash, units| Holding { from_ms: from * M15, cash, units };
        let holdings = vec![held(2, 1_000.0, 0.0), held(3, 899.5, 1.0), held(5, 1_003.0, 0.0)];
        Ledger { trades: vec![long(2, 4, 3.0, Some(2.0))], daily_equity: Vec::new(), holdings: vec![holdings] }
    }

    #[test]
    fn each_step_is_the_change_of_equity_over_the_risk() {
        let marked = Marked::new(&ledger(), &window(&[100.0, 100.0, 101.0, 103.0, 105.0, 105.0]), Interval::M15);
        let steps = marked.steps(&[], 1).each;
        let results: Vec<f64> = steps.iter().map(|s| s.result_r).collect();
        // Flat; +0.5 after the fee; +2; at the open of candle 4 +1 less the fee; flat.
        assert_eq!(results, [0.0, 0.25, 1.0, 0.25, 0.0]);
        assert!((results.iter().sum::<f64>() - 1.5).abs() < 1e-12, "the trade's profit over its risk");
        assert_eq!(steps[0].end_ms, 2 * M15);
    }

    #[test]
    fn holding_all_the_time_leaves_no_excess() {
        let closes = [100.0, 101.0, 103.0, 102.0, 106.0];
        let holdings = vec![Holding { from_ms: M15, cash: 0.0, units: 10.0 }];
        let trades = vec![Trade { quantity: 10.0, ..long(0, 99, 0.0, Some(10.0)) }];
        let ledger = Ledger { trades, daily_equity: Vec::new(), holdings: vec![holdings] };
        let marked = Marked::new(&ledger, &window(&closes), Interval::M15);
        let exposure = marked.mean_exposure();
        // 10 units of about 103 over a risk of 10.
        assert!((exposure[0] - 103.0).abs() < 1e-9, "{exposure:?}");
        let hedges = marked.hedges();
        assert!((hedges[0].move_against - (106.0 / 102.0 - 1.0)).abs() < 1e-12, "{hedges:?}");
        let steps = marked.steps(&hedges, 1).each;
        let excess: f64 = steps.iter().skip(1).map(|s| s.excess_r).sum();
        let result: f64 = steps.iter().skip(1).map(|s| s.result_r).sum();
        assert!(result > 4.9 && excess.abs() < 0.15, "{result} {excess}");
    }

    #[test]
    fn a_trade_without_a_stop_risks_its_notional() {
        let mut free = ledger();
        free.trades[0].risk = None;
        let window = window(&[100.0, 100.0, 101.0, 103.0, 105.0, 105.0]);
        let steps = Marked::new(&free, &window, Interval::M15).steps(&[], 1).each;
        assert!((steps.iter().map(|s| s.result_r).sum::<f64>() - 0.03).abs() < 1e-12);
    }

    #[test]
    fn the_worst_of_a_step_and_what_drifts_earn_in_it_are_known_when_it_begins() {
        let marked = Marked::new(&ledger(), &window(&[100.0, 100.0, 101.0, 103.0, 105.0, 105.0]), Interval::M15);
        let steps = marked.steps(&[], 1);
        let worst: Vec<f64> = steps.each.iter().map(|s| s.worst_r).collect();
        // Flat; the risk; with what it has gained so far, 0.5 and then 2.5 of a risk of 2; flat.
        assert_eq!(worst, [0.0, 1.0, 1.25, 2.25, 0.0]);
        let years = M15 as f64 / YEAR_MS;
        let drift: Vec<f64> = steps.excess().map(|s| s.drift[0] / years).collect();
        // Bought at 100, risk 2; sold at the open of the last candle, so it is not there any more.
        let expected = [0.0, 50.0, 50.5, 0.0, 0.0];
        assert!(drift.iter().zip(expected).all(|(a, b): (&f64, f64)| (a - b).abs() < 1e-9), "{drift:?}");

        // What the mean exposure would have earned is hedged: its drift is taken away, and its move may be against it.
        let hedge = Hedge { exposure: 10.0, move_against: 0.02, symbol: 0 };
        let hedged = marked.steps(&[hedge], 1);
        let rest: Vec<f64> = hedged.excess().map(|s| s.drift[0] / years).collect();
        assert!(rest.iter().zip(&drift).all(|(a, b)| (a - (b - 10.0)).abs() < 1e-9), "{rest:?}");
        let drifts = LARGEST_DRIFT * (50.0 + 10.0) * years;
        assert!((hedged.each[1].excess_worst_r - (1.0 + 0.2 + drifts)).abs() < 1e-9, "{:?}", hedged.each[1]);

        // Stopped within the candle, nobody knows when: no drift of it counts for the strategy.
        let mut stopped = ledger();
        stopped.trades[0].exit_time_ms = 4 * M15 - 1;
        stopped.trades[0].exit_reason = ExitReason::StopLoss;
        let window = window(&[100.0, 100.0, 101.0, 103.0, 105.0, 105.0]);
        let ended = Marked::new(&stopped, &window, Interval::M15).steps(&[], 1);
        assert_eq!(ended.excess().nth(2).unwrap().drift[0], 0.0);
        let taken = ended.each[2].result_r - ended.each[2].excess_r;
        assert!((taken - LARGEST_DRIFT * 50.5 * years).abs() < 1e-12, "{taken}");
    }

    #[test]
    fn symbols_without_a_hedge_keep_their_own_drift() {
        let marked = Marked::new(&ledger(), &window(&[100.0, 100.0, 101.0, 103.0, 105.0, 105.0]), Interval::M15);
        let unsearched = Hedge { symbol: 2, ..Hedge::default() };
        let steps = marked.steps(&[unsearched], 2);
        let second = steps.excess().nth(1).unwrap();
        assert_eq!((second.drift.len(), second.drift[0], second.drift[1]), (3, 0.0, 0.0));
        assert!(second.drift[2] > 0.0 && second.result == steps.each[1].result_r, "{second:?}");
    }
}

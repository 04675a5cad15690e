//! A ledger marked to market step by step, in units of risk: what an e-process over results is made of.
//!
//! A step is a candle of the strategy's own timeframe. Its result is the change of equity in it, of all symbols
//! together, each divided by the risk of the trade that is open there (known when the trade began). Positions that
//! are still open are marked, winners and losers alike, so no order of closing can flatter; and results that overlap,
//! on one symbol or on correlated ones, fall into one step instead of being multiplied as if they came one by one.
//!
//! The excess over exposure takes away, in every step, what the strategy's mean exposure to each symbol would have
//! earned there. The mean exposure is measured on candles from before (`Marked::mean_exposure` of the search
//! window), so it is known at every step; being long all the time in a rising market leaves nothing over.

use candles::{Interval, interval};
use engine::{Ledger, Trade, Window};
use serde::{Deserialize, Serialize};

/// One step of a marked ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// End of the step, UTC ms.
    pub end_ms: i64,
    /// Net result in units of risk.
    pub result_r: f64,
    /// The same less what the mean exposure would have earned.
    pub excess_r: f64,
}

/// One symbol's steps.
#[derive(Clone, Debug, Default)]
struct Sleeve {
    end_ms: Vec<i64>,
    result_r: Vec<f64>,
    /// Notional over risk at the step's end, negative when short.
    exposure_r: Vec<f64>,
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
            let (mut equity, mut open) = (begin.cash, 0);
            let mut last_close = closes.get(first.saturating_sub(1)).copied().unwrap_or(1.0);
            let mut i = first;
            while i < times.len() {
                let from_ms = interval::open_time_ms(timeframe, times[i]);
                let end_ms = interval::next_open_time_ms(timeframe, from_ms);
                while i + 1 < times.len() && times[i + 1] < end_ms {
                    i += 1;
                }
                let close = closes[i];
                i += 1;
                while holdings.get(next).is_some_and(|h| h.from_ms <= end_ms) {
                    held = holdings[next];
                    next += 1;
                }
                // The trade that was open first in this step gives the unit: it is known before the step.
                while trades.get(open).is_some_and(|t| t.exit_time_ms < from_ms) {
                    open += 1;
                }
                let risk = trades.get(open).filter(|t| t.entry_time_ms < end_ms).map(|t| risk(t));
                let now = if held.units == 0.0 { held.cash } else { (held.cash + held.units * close).max(0.0) };
                let per_risk = |value: f64| risk.map_or(0.0, |risk| value / risk);
                sleeve.end_ms.push(end_ms);
                sleeve.result_r.push(per_risk(now - equity));
                sleeve.exposure_r.push(per_risk(held.units * close));
                sleeve.market_return.push(close / last_close - 1.0);
                (equity, last_close) = (now, close);
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

    /// The steps of all symbols together, in time order. `exposure` is what to take away, by symbol; symbols that it
    /// does not name have nothing taken away.
    #[must_use]
    pub fn steps(&self, exposure: &[f64]) -> Vec<Step> {
        let mut times: Vec<i64> = self.sleeves.iter().flat_map(|s| s.end_ms.iter().copied()).collect();
        times.sort_unstable();
        times.dedup();
        let mut steps: Vec<Step> = times.iter().map(|&end_ms| Step { end_ms, ..Step::default() }).collect();
        for (number, sleeve) in self.sleeves.iter().enumerate() {
            let hedge = exposure.get(number).copied().unwrap_or(0.0);
            let mut at = 0;
            for (k, &end_ms) in sleeve.end_ms.iter().enumerate() {
                while steps[at].end_ms < end_ms {
                    at += 1;
                }
                let step = &mut steps[at];
                step.result_r += sleeve.result_r[k];
                step.excess_r += sleeve.result_r[k] - hedge * sleeve.market_return[k];
            }
        }
        steps
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
        let steps = marked.steps(&[]);
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
        let steps = marked.steps(&exposure);
        let excess: f64 = steps.iter().skip(1).map(|s| s.excess_r).sum();
        let result: f64 = steps.iter().skip(1).map(|s| s.result_r).sum();
        assert!(result > 4.9 && excess.abs() < 0.15, "{result} {excess}");
    }

    #[test]
    fn a_trade_without_a_stop_risks_its_notional() {
        let mut free = ledger();
        free.trades[0].risk = None;
        let window = window(&[100.0, 100.0, 101.0, 103.0, 105.0, 105.0]);
        let steps = Marked::new(&free, &window, Interval::M15).steps(&[]);
        assert!((steps.iter().map(|s| s.result_r).sum::<f64>() - 0.03).abs() < 1e-12);
    }
}

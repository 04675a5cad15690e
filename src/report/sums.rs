//! Trades summed by symbol and side, a table a period. Pure.

use super::{Period, chart, format, names, trades};
use candles::Symbol;
use engine::{Side, Trade, performance};
use maud::{Markup, html};
use serde::Serialize;
use std::collections::BTreeMap;

/// Of the trades of one symbol on one side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Sums {
    pub(super) symbol: Symbol,
    pub(super) side: Side,
    pub(super) trades: usize,
    /// Net, quote units.
    pub(super) profit: f64,
    /// Mean net profit / entry notional.
    pub(super) mean_return: Option<f64>,
    /// Fraction.
    pub(super) win_rate: Option<f64>,
    pub(super) profit_factor: Option<f64>,
    /// Fees, slippage and funding, quote units.
    pub(super) costs: f64,
}

/// By symbol, long before short.
pub(super) fn of(trades: &[Trade]) -> Vec<Sums> {
    let mut groups: BTreeMap<(&Symbol, bool), Vec<&Trade>> = BTreeMap::new();
    for trade in trades {
        groups.entry((&trade.symbol, trade.side == Side::Short)).or_default().push(trade);
    }
    let sums = |((symbol, short), trades): ((&Symbol, bool), Vec<&Trade>)| {
        let profits: Vec<f64> = trades.iter().map(|t| t.profit).collect();
        let returns: Vec<f64> = trades.iter().map(|t| t.return_fraction).collect();
        Sums {
            symbol: symbol.clone(),
            side: if short { Side::Short } else { Side::Long },
            trades: trades.len(),
            profit: profits.iter().sum(),
            mean_return: performance::mean(&returns),
            win_rate: performance::win_rate(&profits),
            profit_factor: performance::profit_factor(&profits),
            costs: trades.iter().map(|t| t.fees + t.slippage + t.funding).sum(),
        }
    };
    groups.into_iter().map(sums).collect()
}

/// The tables; nothing without trades.
pub(super) fn section(periods: &[Period]) -> Markup {
    let names = names(periods);
    let traded = || periods.iter().zip(&names).filter(|(period, _)| !period.trades.is_empty());
    html! {
        @if traded().next().is_some() {
            h2 { "By symbol and side" }
            div.scroll { table {
                thead { tr { @for name in ["period", "symbol", "side", "trades", "profit", "mean return", "win rate", "profit factor", "costs"] { th { (name) } } } }
                tbody { @for (period, name) in traded() { @for sums in of(&period.trades) { tr {
                    td { span class=(format!("dot {}", chart::class(period.part))) { (name) } }
                    td { (sums.symbol) } td { (trades::side(sums.side)) } td { (format::number(sums.trades as f64, 0)) }
                    td class=(if sums.profit < 0.0 { "no" } else { "yes" }) { (format::number(sums.profit, 2)) }
                    td { (format::percent(sums.mean_return)) } td { (format::percent(sums.win_rate)) }
                    td { (format::ratio(sums.profit_factor)) } td { (format::number(sums.costs, 2)) }
                } } } }
            } }
            p.soft { "Profit is net of costs; both are in quote units." }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Part, tests::period};

    #[test]
    fn sums_are_those_of_the_trades() {
        let mut period = period(Part::Shadow, 0, 60, 90);
        for (i, trade) in period.trades.iter_mut().enumerate().filter(|(i, _)| i % 3 == 0) {
            trade.symbol = "ETHUSDT".parse().unwrap();
            trade.funding = i as f64;
        }
        let found = of(&period.trades);
        let keys: Vec<(&str, Side)> = found.iter().map(|s| (s.symbol.as_str(), s.side)).collect();
        let (long, short) = (Side::Long, Side::Short);
        assert_eq!(keys, [("BTCUSDT", long), ("BTCUSDT", short), ("ETHUSDT", long), ("ETHUSDT", short)]);
        for sums in &found {
            let own = || period.trades.iter().filter(|t| t.symbol == sums.symbol && t.side == sums.side);
            let (count, won) = (own().count(), own().filter(|t| t.profit > 0.0).count());
            assert_eq!((sums.trades, sums.win_rate), (count, Some(won as f64 / count as f64)));
            assert!((sums.profit - own().map(|t| t.profit).sum::<f64>()).abs() < 1e-9);
            assert!((sums.costs - own().map(|t| 1.5 + t.funding).sum::<f64>()).abs() < 1e-9);
            let mean = own().map(|t| t.return_fraction).sum::<f64>() / count as f64;
            assert!((sums.mean_return.unwrap() - mean).abs() < 1e-12);
        }
        assert_eq!(of(&[]), []);
        assert!(section(&[period]).into_string().contains("ETHUSDT"));
    }
}

//! What a trade costs at each venue, by hand.

use crate::execution::{FREE, SIGNAL, flat, long_at_100, short_at_100, trades_on};
use crate::support::{candles, percent};
use candles::MarketKind;
use engine::{Costs, ExitReason, Slippage, VenueCosts};
use genome::Timeframe;

#[test]
fn a_short_pays_for_what_it_borrowed_and_a_long_does_not() {
    let costs = Costs { borrow_rate_per_year: 0.365, ..FREE };
    // Sold at 100 an hour after the start, bought back three hours later at 90.
    let mut short = short_at_100();
    short.risk.take_profit = percent(10.0);
    let prices = [SIGNAL, flat(100.0), flat(98.0), [98.0, 98.0, 89.0, 90.0], flat(90.0)];
    let series = || candles(Timeframe::H1, &prices);
    let (free, paid) = (trades_on(&short, series(), &FREE), trades_on(&short, series(), &costs));
    assert_eq!((paid.len(), paid[0].exit_reason), (1, ExitReason::TakeProfit));
    // 0.1 % a day of the value at 90.
    let days = (paid[0].exit_time_ms - paid[0].entry_time_ms) as f64 / 86_400_000.0;
    let borrow = 0.001 * days * paid[0].quantity * 90.0;
    assert!(days > 0.1 && (paid[0].funding - borrow).abs() < 1e-9, "{:?}", paid[0]);
    assert!((free[0].profit - paid[0].profit - borrow).abs() < 1e-9);
    let (free, paid) = (trades_on(&long_at_100(), series(), &FREE), trades_on(&long_at_100(), series(), &costs));
    assert_eq!((free, paid[0].funding), (paid.clone(), 0.0));
    // A stop takes what the market gives: it slips, and pays its venue's fee.
    let mut stopped = long_at_100();
    stopped.risk.stop_loss = percent(5.0);
    let venue = VenueCosts { slippage: Slippage::Fixed { bps: 10.0 }, ..VenueCosts::default() };
    let fall = || candles(Timeframe::H1, &[SIGNAL, flat(100.0), [100.0, 100.0, 90.0, 92.0]]);
    for (market, fee) in [(MarketKind::Spot, 0.001), (MarketKind::Um, 0.0005)] {
        let t = trades_on(&stopped, fall(), &venue.of(market)).remove(0);
        let (entry, exit) = (100.0 * 1.001, 100.0 * 1.001 * 0.95 * 0.999);
        assert_eq!(t.exit_reason, ExitReason::StopLoss);
        assert!((t.entry_price - entry).abs() < 1e-9 && (t.exit_price - exit).abs() < 1e-9, "{t:?}");
        assert!((t.fees - fee * t.quantity * (entry + exit)).abs() < 1e-9, "{t:?}");
    }
}

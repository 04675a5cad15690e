//! What cancels across the market is 0, and not what rounding leaves of it.

use crate::worlds::{DAY, rng};
use candles::{Candle, CandleSeries, Interval, MarketKind, readings::MarketReadings};
use genome::Ranking;
use portfolio::{Panel, PortfolioTerms, Ticker, run};
use rand::RngExt;

/// So many instruments with a candle in each of 300 slots.
fn panel(seed: u64, instruments: usize) -> Panel {
    let (step, rng) = (4 * 3_600_000, &mut rng(seed));
    let mut ticker = |number: usize| {
        let mut price = 10.0_f64.powf(rng.random_range(-4.0..4.0));
        let candle = |slot: i64| {
            let open = price;
            price *= 1.0 + rng.random_range(-0.03..0.03);
            Candle {
                open_time_ms: slot * step,
                open,
                high: open.max(price),
                low: open.min(price),
                close: price,
                volume: 1_000.0 / price,
                close_time_ms: (slot + 1) * step - 1,
                quote_volume: 0.0,
                trade_count: 0,
                taker_buy_volume: 0.0,
                taker_buy_quote_volume: 0.0,
            }
        };
        let candles: Vec<Candle> = (0..300).map(candle).collect();
        Ticker {
            symbol: format!("C{number}USDT").parse().unwrap(),
            candles: CandleSeries::from_candles(Interval::H4, &candles).unwrap(),
            funding: Vec::new(),
            readings: MarketReadings::default(),
        }
    };
    let tickers = (0..instruments).map(&mut ticker).collect();
    let table = "ticker,kind,first_candle_of_the_new,reason\n".parse().unwrap();
    Panel::new(MarketKind::Spot, Interval::H4, tickers, &table).unwrap()
}

/// Members that had a score at each rebalance.
fn ranked(panel: &Panel, score: &str) -> Vec<u32> {
    let text = format!("4h; universe top 9 by quote_volume(1d); score {score}; rebalance 4h; weights linear; gross 1");
    let strategy: Ranking = text.parse().unwrap();
    let track = run(&strategy, panel, 20 * DAY, 40 * DAY, &PortfolioTerms::default()).unwrap();
    track.rebalances.iter().map(|r| r.ranked).collect()
}

#[test]
fn members_whose_changes_cancel_have_no_beta() {
    for instruments in [2, 3, 7] {
        for seed in 0..5 {
            let panel = panel(seed, instruments);
            for inner in ["relative(close / delay(close, 3))", "cs_demean(close / delay(close, 3))", "cs_rank(roc(6))"]
            {
                let found = ranked(&panel, &format!("beta({inner}, 10)"));
                assert!(found.iter().all(|n| *n == 0), "{instruments} instruments, seed {seed}, {inner}: {found:?}");
            }
            let known = ranked(&panel, "beta(close, 10)");
            assert!(
                known.iter().all(|n| *n as usize == instruments),
                "{instruments} instruments, seed {seed}: {known:?}"
            );
        }
    }
}

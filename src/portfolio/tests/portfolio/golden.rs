//! The reference strategy on a market of a linear congruential generator, beside what a plain script computed
//! (`benches/second-opinion/portfolio.py synthetic`).

use candles::{Candle, CandleSeries, Interval, MarketKind, readings::MarketReadings};
use engine::{Costs, Slippage};
use genome::Ranking;
use portfolio::{Panel, PortfolioTerms, Ticker, run};

const DAY: i64 = 86_400_000;
const STEP: i64 = 4 * 3_600_000;

/// Numbers in [0, 1): the upper 53 bits of a 64-bit state.
struct Congruential(u64);

impl Congruential {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / 2.0_f64.powi(53)
    }
}

fn market() -> Vec<Ticker> {
    let mut random = Congruential(42);
    let ticker = |number: i64| {
        let mut price = 10.0 * (number + 1) as f64;
        let (first, last) = (if number == 7 { 400 } else { 0 }, if number == 8 { 1200 } else { 1560 });
        let mut candles = Vec::new();
        for slot in 0..1560_i64 {
            let open = price;
            let close = open * (1.0 + (random.uniform() - 0.5) * 0.06);
            let high = open.max(close) * (1.0 + random.uniform() * 0.01);
            let low = open.min(close) * (1.0 - random.uniform() * 0.01);
            let volume = 1000.0 * random.uniform() / close;
            let missing = random.uniform() < 0.01;
            price = close;
            if (first..last).contains(&slot) && !missing {
                candles.push(Candle {
                    open_time_ms: slot * STEP,
                    open,
                    high,
                    low,
                    close,
                    volume,
                    close_time_ms: (slot + 1) * STEP - 1,
                    quote_volume: 0.0,
                    trade_count: 0,
                    taker_buy_volume: 0.0,
                    taker_buy_quote_volume: 0.0,
                });
            }
        }
        Ticker {
            symbol: format!("C{number}USDT").parse().unwrap(),
            candles: CandleSeries::from_candles(Interval::H4, &candles).unwrap(),
            funding: Vec::new(),
            readings: MarketReadings::default(),
        }
    };
    (0..9).map(ticker).collect()
}

#[test]
fn the_reference_strategy_is_what_a_plain_script_makes_of_it() {
    let strategy: Ranking = "4h; universe top 5 by quote_volume(30d), listed 60d; score close / highest(high, 540); \
                             rebalance 1d; weights linear, inverse volatility(180), smooth 5; gross 1"
        .parse()
        .unwrap();
    let table = "ticker,kind,first_candle_of_the_new,reason\nC3USDT,cut,1970-05-31,test\nC5USDT,exclude,,test\n";
    let panel = Panel::new(MarketKind::Spot, Interval::H4, market(), &table.parse().unwrap()).unwrap();
    let costs = Costs { fee_fraction: 0.001, slippage: Slippage::Fixed { bps: 0.0 }, ..Costs::default() };
    let terms = PortfolioTerms { costs, ..PortfolioTerms::default() };
    let track = run(&strategy, &panel, 130 * DAY, 260 * DAY, &terms).unwrap();

    let equity: Vec<(i64, f64)> = track.slots.iter().map(|s| (s.time_ms, s.equity / terms.initial_capital)).collect();
    let expected = include_str!("../golden/equity.csv").lines().skip(1).map(|line| line.split_once(',').unwrap());
    let expected: Vec<(i64, f64)> = expected.map(|(t, e)| (t.parse().unwrap(), e.parse().unwrap())).collect();
    assert_eq!(equity.len(), expected.len());
    for (found, expected) in equity.iter().zip(&expected) {
        assert!(found.0 == expected.0 && (found.1 - expected.1).abs() < 1e-9, "{found:?} instead of {expected:?}");
    }

    let name = |i: u32| panel.instruments()[i as usize].id().to_string();
    let all = track.rebalances.iter().flat_map(|r| r.targets.iter().map(|(i, w)| (r.time_ms, name(*i), *w)));
    let targets: Vec<(i64, String, f64)> = all.collect();
    let expected: Vec<(i64, String, f64)> = include_str!("../golden/weights.csv")
        .lines()
        .skip(1)
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            (cells[0].parse().unwrap(), cells[1].to_owned(), cells[2].parse().unwrap())
        })
        .collect();
    assert_eq!(targets.len(), expected.len());
    for (found, expected) in targets.iter().zip(&expected) {
        let same = (found.0, &found.1) == (expected.0, &expected.1) && (found.2 - expected.2).abs() < 1e-9;
        assert!(same, "{found:?} instead of {expected:?}");
    }
}

//! The reference strategy on a market of a linear congruential generator, beside what a plain script computed
//! (`benches/second-opinion/portfolio.py synthetic`).

use candles::{Candle, CandleSeries, Interval, MarketKind, readings::MarketReadings};
use engine::{Costs, Slippage};
use genome::Ranking;
use portfolio::{Panel, PortfolioTerms, Record, Results, Ticker, Track, daily_equity, run};

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

/// The reference strategy's run over that market, days 130 to 260.
fn reference() -> (Panel, Track, PortfolioTerms) {
    let strategy: Ranking = "4h; universe top 5 by quote_volume(30d), listed 60d; score close / highest(high, 540); \
                             rebalance 1d; weights linear, inverse volatility(180), smooth 5; gross 1"
        .parse()
        .unwrap();
    let table = "ticker,kind,first_candle_of_the_new,reason\nC3USDT,cut,1970-05-31,test\nC5USDT,exclude,,test\n";
    let panel = Panel::new(MarketKind::Spot, Interval::H4, market(), &table.parse().unwrap()).unwrap();
    let costs = Costs { fee_fraction: 0.001, slippage: Slippage::Fixed { bps: 0.0 }, ..Costs::default() };
    let terms = PortfolioTerms { costs, ..PortfolioTerms::default() };
    let track = run(&strategy, &panel, 130 * DAY, 260 * DAY, &terms).unwrap();
    (panel, track, terms)
}

#[test]
fn the_reference_strategy_is_what_a_plain_script_makes_of_it() {
    let (panel, track, terms) = reference();
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

#[test]
fn what_is_kept_of_a_run_tells_what_it_did() {
    let (panel, track, terms) = reference();
    let results = Results::of(&track, &panel, 130 * DAY, 260 * DAY, &terms);
    let record = Record::of(&track, &results, &panel);
    let days = &record.days;
    assert_eq!((record.instruments as usize, days.day_ms.len()), (panel.instruments().len(), 130));
    let columns = [days.net.len(), days.hedged.len(), days.equal_weight.len(), days.btc.len(), days.turnover.len()];
    assert_eq!(columns, [130; 5]);
    assert_eq!((days.gross.len(), days.exposure.len(), days.btc.iter().flatten().count()), (130, 130, 0), "no bitcoin");
    let grown: f64 = days.net.iter().map(|r| 1.0 + r).product();
    assert!((grown - 1.0 - results.performance.total_return.unwrap()).abs() < 1e-12);
    let traded: f64 = days.turnover.iter().sum();
    assert!((traded - track.turnover).abs() < 1e-9 * traded, "{traded} of {}", track.turnover);
    // The 60th day's end, by hand: its last slot.
    let slot = &track.slots[60 * 6 - 1];
    assert_eq!((slot.time_ms, days.day_ms[59]), (190 * DAY, 189 * DAY));
    assert_eq!((days.gross[59], days.exposure[59]), (Some(slot.gross / slot.equity), Some(slot.net / slot.equity)));

    let map = &record.weights;
    assert_eq!(
        (map.from_ms, map.to_ms),
        (track.rebalances.first().map(|r| r.time_ms), track.rebalances.last().map(|r| r.time_ms))
    );
    // 129 rebalances in 96 columns: the first column is the mean of the first two.
    assert_eq!((track.rebalances.len(), map.names[0].weights.len()), (129, 96));
    for name in &map.names {
        let target = |r: usize| {
            let found = track.rebalances[r].targets.iter();
            let of = |(i, _): &&(u32, f64)| panel.instruments()[*i as usize].id() == &name.instrument;
            found.clone().find(of).map_or(0.0, |(_, target)| *target)
        };
        assert!((name.weights[0] - (target(0) + target(1)) / 2.0).abs() < 1e-15, "{name:?}");
    }
    let equity = daily_equity(&track.slots, 130 * DAY, terms.initial_capital);
    assert_eq!((equity.len(), equity[0].equity, equity[60].equity), (131, terms.initial_capital, slot.equity));

    let kept: Record = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
    assert_eq!(kept, record);
}

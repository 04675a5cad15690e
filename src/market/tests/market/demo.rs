//! The demo's market: hand-written rules find its edges through the real engine, and lose when one dies.

use candles::time::DAY_MS;
use candles::{Interval, MarketKind};
use engine::{Costs, Engine, Outcome, SymbolWindow, Terms, Wanted, Window};
use genome::{Strategy, StrategyFile};
use market::simulator::{demo_market, demo_symbols};
use simulated::SimulatedMarket;
use std::sync::Arc;

/// The demo's market with an engine on it.
struct Demo {
    market: SimulatedMarket,
    now_ms: i64,
    engine: Engine,
}

impl Demo {
    fn new(seed: u64) -> Self {
        let config = demo_market(seed);
        let market = SimulatedMarket::new(config.market).expect("a market that can be");
        Self { market, now_ms: config.now_ms, engine: Engine::default() }
    }

    /// Trades days `[from, to)`, counted from the demo's start.
    fn trade(&self, strategy: &str, from: i64, to: i64) -> Outcome {
        let (from_ms, to_ms) = (self.now_ms + from * DAY_MS, self.now_ms + to * DAY_MS);
        let symbols = demo_symbols().into_iter().map(|symbol| {
            let warm_ms = from_ms - 10 * DAY_MS;
            let candles = self.market.candles(&symbol, Interval::M15, warm_ms, to_ms).expect("its candles");
            SymbolWindow {
                market: MarketKind::Spot,
                symbol,
                candles: Arc::new(candles),
                finer: Vec::new(),
                funding: Arc::new([]),
                readings: Arc::default(),
                across: Arc::default(),
            }
        });
        let window = Window::new(from_ms, to_ms, symbols.collect()).expect("a window");
        let strategy: Strategy = StrategyFile::parse(strategy).expect("a strategy").strategy;
        let wanted = Wanted { per_symbol: true, ..Wanted::default() };
        // The demo's own fee.
        let terms = Terms { costs: Costs { fee_fraction: 0.0004, ..Costs::default() }, ..Terms::default() };
        let mut outcomes = self.engine.evaluate(&[strategy], &window, &terms, wanted);
        outcomes.remove(0).expect("an outcome")
    }
}

const REVERSION: &str = r#"{"timeframe": "15m", "risk": {"stop_loss": "6 atr(14)", "time_exit_bars": 16},
    "long": {"entry": "close < bollinger_lower(20, 2.2)"}, "short": {"entry": "close > bollinger_upper(20, 2.2)"}}"#;
const TO_THE_MIDDLE: &str = r#"{"timeframe": "15m", "risk": {"stop_loss": "6 atr(14)"},
    "long": {"entry": "close < bollinger_lower(20, 2.2)", "exit": "close > bollinger_middle(20, 2)"},
    "short": {"entry": "close > bollinger_upper(20, 2.2)", "exit": "close < bollinger_middle(20, 2)"}}"#;
const AFTERNOONS: &str = r#"{"timeframe": "15m", "risk": {"stop_loss": "3%"},
    "long": {"entry": "hour_of_day > 12 and hour_of_day < 16", "exit": "hour_of_day > 16"},
    "short": {"entry": "hour_of_day > 0 and hour_of_day < 4", "exit": "hour_of_day > 4"}}"#;

/// One line for people: what a failed check prints.
fn told(outcome: &Outcome) -> String {
    let p = &outcome.performance;
    let per_symbol: Vec<_> = outcome.per_symbol.iter().map(|p| (p.profit_factor, p.total_trades)).collect();
    format!(
        "profit factor {:?}, win rate {:?}, {} trades, Sharpe {:?}, drawdown {:?}; {per_symbol:?}",
        p.profit_factor, p.win_rate, p.total_trades, p.sharpe_ratio, p.max_drawdown
    )
}

/// The customary gate from candidate to shadow.
fn passes_the_gate(outcome: &Outcome) -> bool {
    let p = &outcome.performance;
    let at_least = |value: Option<f64>, least: f64| value.is_some_and(|v| v >= least);
    at_least(p.profit_factor, 1.5)
        && (at_least(p.win_rate, 0.55) || at_least(p.profit_factor, 2.0))
        && at_least(p.sharpe_ratio, 1.0)
        && at_least(p.max_drawdown, -0.25)
        && p.total_trades >= 50
}

/// Fees of 0.0004 a side included, over all four symbols, the ones without the edge as well.
#[test]
fn mean_reversion_is_found_promoted_and_dies() {
    for seed in [7, 1] {
        let demo = Demo::new(seed);
        for rule in [REVERSION, TO_THE_MIDDLE] {
            for (from, to) in [(-90, -30), (-30, 0)] {
                let outcome = demo.trade(rule, from, to);
                assert!(passes_the_gate(&outcome), "seed {seed}, {from} to {to}: {}", told(&outcome));
            }
            for (from, to) in [(0, 14), (14, 28)] {
                let shadow = demo.trade(rule, from, to);
                let p = &shadow.performance;
                let promoted = p.profit_factor.is_some_and(|f| f >= 1.3) && p.total_trades >= 10;
                assert!(promoted, "seed {seed}, {from} to {to}: {}", told(&shadow));
            }
            let dead = demo.trade(rule, 40, 54);
            assert!(dead.performance.profit_factor.is_some_and(|f| f < 0.7), "seed {seed}: {}", told(&dead));
        }
    }
}

#[test]
fn the_hours_of_the_day_last() {
    for seed in [7, 1] {
        let demo = Demo::new(seed);
        let before = demo.trade(AFTERNOONS, -90, 0);
        assert!(passes_the_gate(&before), "seed {seed}: {}", told(&before));
        let long_after = demo.trade(AFTERNOONS, 40, 130);
        assert!(long_after.performance.profit_factor.is_some_and(|f| f > 1.2), "seed {seed}: {}", told(&long_after));
    }
}

/// Mean of a day's return of the coins above the middle by their 14 days less that of those below, in units of its standard
/// error, over days `[from, to)` from the demo's start.
fn momentum_pays(demo: &Demo, from: i64, to: i64) -> f64 {
    let coins = demo.market.spec().symbols.iter().filter(|s| s.symbol.as_str().starts_with('C'));
    let (from_ms, to_ms) = (demo.now_ms + (from - 15) * DAY_MS, demo.now_ms + to * DAY_MS);
    let closes: Vec<_> = coins
        .map(|s| demo.market.candles(&s.symbol, Interval::D1, from_ms, to_ms).expect("its candles"))
        .filter(|series| series.len() == (to - from + 15) as usize)
        .map(|series| series.closes().to_vec())
        .collect();
    assert!(closes.len() >= 8, "{}", closes.len());
    let day = |at: usize| {
        let change = |c: &[f64], since: usize, to: usize| c[to] / c[since] - 1.0;
        let mut order: Vec<&Vec<f64>> = closes.iter().collect();
        order.sort_by(|a, b| change(a, at - 14, at).total_cmp(&change(b, at - 14, at)));
        let half = order.len() / 2;
        let mean = |part: &[&Vec<f64>]| part.iter().map(|c| change(c, at, at + 1)).sum::<f64>() / part.len() as f64;
        mean(&order[order.len() - half..]) - mean(&order[..half])
    };
    let earned: Vec<f64> = (14..(to - from + 14) as usize).map(day).collect();
    let n = earned.len() as f64;
    let mean = earned.iter().sum::<f64>() / n;
    let variance = earned.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    mean / (variance / n).sqrt()
}

#[test]
fn coins_come_and_go_and_those_that_rose_go_on_rising() {
    for seed in [7, 1] {
        let demo = Demo::new(seed);
        for (from, to, least) in [(-300, -30, 6.0), (-30, 0, 1.0), (30, 90, 2.0)] {
            let t = momentum_pays(&demo, from, to);
            assert!(t > least, "seed {seed}, {from} to {to}: {t}");
        }
        let listed = |day: i64| {
            let at_ms = demo.now_ms + day * DAY_MS;
            let spec = demo.market.spec();
            spec.symbols.iter().filter(|s| s.is_traded(spec.start_ms, at_ms)).map(|s| s.symbol.to_string()).collect()
        };
        let (before, start, after, end): (Vec<String>, Vec<String>, Vec<String>, Vec<String>) =
            (listed(-200), listed(0), listed(8), listed(25));
        let change =
            |a: &[String], b: &[String]| -> Vec<String> { b.iter().filter(|x| !a.contains(x)).cloned().collect() };
        assert_eq!(
            (change(&before, &start), change(&start, &before)),
            (vec!["C09USDT".into()], vec!["C11USDT".into()])
        );
        assert_eq!((change(&start, &after), change(&after, &start)), (vec!["C10USDT".into()], vec![]));
        assert_eq!((change(&after, &end), change(&end, &after)), (vec![], vec!["C12USDT".into()]));
    }
}

//! The demo's market: hand-written rules find its edges through the real engine, and lose when one dies.

use candles::time::DAY_MS;
use candles::{Interval, MarketKind};
use engine::{Costs, Engine, Outcome, SymbolWindow, Terms, Wanted, Window};
use genome::{Strategy, StrategyFile};
use market::simulator::demo_market;
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
        let symbols = self.market.spec().symbols.iter().map(|s| {
            let warm_ms = from_ms - 10 * DAY_MS;
            let candles = self.market.candles(&s.symbol, Interval::M15, warm_ms, to_ms).expect("its candles");
            SymbolWindow {
                market: MarketKind::Spot,
                symbol: s.symbol.clone(),
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

//! A backtest of rules as a page: what the report of a stored strategy tells, of what is stored nowhere.

use crate::cli::{Context, window::WindowArgs};
use crate::usecases::rule_chart::{self, BySymbol};
use candles::SymbolCoverage;
use engine::{Outcome, Terms, Window};
use genome::{AnyStrategy, Strategy};
use report::{Part, Period, Setup, StrategyReport, TradeRows};

/// The page as HTML.
pub(super) fn page(
    (name, strategy): (Option<&str>, &Strategy),
    args: &WindowArgs,
    (window, terms): (&Window, &Terms),
    outcome: &Outcome,
    (rows, remark): (TradeRows, Option<String>),
    ctx: &Context,
) -> String {
    let (from_ms, to_ms) = args.dates_ms();
    let candles: BySymbol =
        window.symbols().iter().map(|s| (s.symbol.clone(), s.candles.slice(from_ms, i64::MAX))).collect();
    let warmup = window.symbols().iter().filter_map(|s| s.candles.open_times_ms().first()).min();
    let ledger = outcome.ledger.clone().unwrap_or_default();
    let coverage = window
        .symbols()
        .iter()
        .map(|s| SymbolCoverage { symbol: s.symbol.clone(), coverage: args.coverage(&s.candles) });
    let now_ms = ctx.clock.now_ms();
    let report = StrategyReport {
        name: name.unwrap_or("backtest").to_owned(),
        id: None,
        genome_hash: strategy.hash().to_string(),
        state: None,
        disable_reason: None,
        rules: strategy.to_string(),
        words: AnyStrategy::Rules(strategy.clone()).describe(),
        market: args.market(),
        symbols: args.symbols().to_vec(),
        timeframe: strategy.timeframe,
        created_by: "whoever wrote it".to_owned(),
        created_at_ms: now_ms,
        generation: 0,
        island: None,
        session: None,
        ancestors: Vec::new(),
        moves: Vec::new(),
        periods: vec![Period {
            part: Part::Backtest,
            from_ms,
            to_ms,
            performance: Some(outcome.performance.clone()),
            benchmark: rule_chart::benchmark(&candles, &ledger.daily_equity),
            daily_equity: ledger.daily_equity,
            trades: ledger.trades,
            setup: Some(Setup {
                market: args.market(),
                symbols: args.symbols().to_vec(),
                interval: args.interval(),
                costs: terms.costs,
                initial_capital: terms.initial_capital,
                warmup_from_ms: warmup.copied().unwrap_or(from_ms),
                data_version: Some(window.data_version()),
                code_version: crate::CODE_VERSION.to_owned(),
            }),
            coverage: coverage.collect(),
            note: remark,
        }],
        quality: Vec::new(),
        proven: None,
        evidence: None,
        simulated: ctx.config().market.source.is_simulated(),
        made_at_ms: now_ms,
        made_by: env!("CARGO_PKG_VERSION").to_owned(),
    };
    report::render(&report, rows)
}

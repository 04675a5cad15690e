//! How a run that this build computes is set up, as it is stored with its results.
//!
//! The one place that says which build that is: what is stored never claims that another one computed it. Computes
//! nothing.

use candles::{Interval, MarketKind, Symbol};
use engine::{MEANING, ModelsUsed, Recipe, RunConfig, Terms};
use store::{ActivePaperRun, NewPaperRun};

/// The set-up of a run that this build computes.
pub(crate) fn run_config(market: MarketKind, symbols: Vec<Symbol>, interval: Interval, terms: Terms) -> RunConfig {
    RunConfig {
        market,
        symbols,
        interval,
        costs: terms.costs,
        initial_capital: terms.initial_capital,
        code_version: crate::CODE_VERSION.to_owned(),
        engine_meaning: MEANING,
        fill_on: terms.fill_on,
        ranked: None,
        models: ModelsUsed::default(),
    }
}

/// The recipe of a stored result that this build has computed again, and that is stored in its place.
pub(crate) fn computed_again(stored: &Recipe) -> Recipe {
    Recipe { config: gone_on_with(&stored.config), ..stored.clone() }
}

/// The set-up of a paper run for the next one, which goes on with the same settings and which this build begins.
pub(crate) fn gone_on_with(stored: &RunConfig) -> RunConfig {
    RunConfig { code_version: crate::CODE_VERSION.to_owned(), engine_meaning: MEANING, ..stored.clone() }
}

/// The paper run that a strategy which moves begins at `at_ms`. One that ranks the market goes on with the symbols that there
/// are by then, `market`, and with as much warm-up as before.
///
/// # Errors
/// When the settings of the run before do not read.
pub(crate) fn next_run(
    run: &ActivePaperRun,
    at_ms: i64,
    warmup_ms: i64,
    market: Option<Vec<Symbol>>,
) -> anyhow::Result<NewPaperRun> {
    let before = run.run.config.read()?;
    let warmup_ms = match before.ranked {
        Some(_) => run.run.from_ms - run.run.warmup_from_ms,
        None => warmup_ms,
    };
    let mut config = gone_on_with(before);
    if let (Some(_), Some(symbols)) = (&before.ranked, market) {
        config.symbols = symbols;
    }
    Ok(NewPaperRun { warmup_from_ms: at_ms - warmup_ms, config })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_build_computes_says_so() {
        let symbols = vec!["BTCUSDT".parse().unwrap()];
        let config = run_config(MarketKind::Spot, symbols, "15m".parse().unwrap(), Terms::default());
        assert_eq!(config.code_version, crate::CODE_VERSION);
        let by_another = RunConfig { code_version: "0.0.1+1".to_owned(), engine_meaning: 1, ..config.clone() };
        let stored = Recipe { config: by_another, warmup_from_ms: 1, data_to_ms: Some(2) };
        assert_eq!(computed_again(&stored), Recipe { config: config.clone(), ..stored.clone() });
        assert_eq!(gone_on_with(&stored.config), config);
    }
}

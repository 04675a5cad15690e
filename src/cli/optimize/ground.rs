//! What `sg-ai optimize` evaluates points on: candles of the symbols named, or the whole cached market. Fetches nothing.

use super::OptimizeArgs;
use crate::cli::{CliError, Context, window::iso};
use crate::usecases::{
    portfolio::{MarketSpan, load_panel},
    recipe::run_config,
};
use anyhow::Context as _;
use candles::Symbol;
use engine::{Engine, Recipe, Terms};
use genome::{AnyStrategy, Ranking, Strategy};
use optimize::{Ground, MarketGround, SymbolsGround};
use portfolio::{Execution, Market};
use serde_json::{Value, json};
use std::sync::Arc;

/// What makes a run over a ground the same again.
#[derive(Debug)]
pub(super) struct Setting {
    /// What to call the candles in results.
    pub(super) names: Value,
    /// What a replay needs.
    pub(super) recipe: Recipe,
    /// How orders of a portfolio meet the market; `None` for strategies of rules.
    pub(super) execution: Option<Execution>,
    /// Names the candles.
    pub(super) data_version: String,
}

/// Loads what the strategy's points are evaluated on.
///
/// # Errors
/// When the options are not for a strategy of this form, or the cache lacks what they ask for.
pub(super) async fn load(
    strategy: &AnyStrategy,
    args: &OptimizeArgs,
    ctx: &Context,
) -> Result<(Arc<dyn Ground>, Setting), CliError> {
    match strategy {
        AnyStrategy::Rules(strategy) => of_symbols(strategy, args, ctx).await,
        AnyStrategy::Ranking(ranking) => of_market(ranking, args, ctx).await,
    }
}

/// What of the options and the strategy does not go together, told before candles are read.
///
/// # Errors
/// Says what to leave out.
pub(super) fn check(strategy: &AnyStrategy, args: &OptimizeArgs) -> Result<(), CliError> {
    let wrong = |text: String| Err(CliError::Usage(text));
    match strategy {
        AnyStrategy::Rules(_) if args.realistic => {
            wrong("--realistic is for strategies that rank the market; this one is of rules".to_owned())
        }
        AnyStrategy::Rules(strategy) if strategy.looks_across() => wrong(
            "the strategy compares its symbol with a universe, whose values would have to be computed anew for every \
             point; optimize takes strategies of rules that look at their own symbols, and such that rank the market"
                .to_owned(),
        ),
        AnyStrategy::Rules(_) => Ok(()),
        AnyStrategy::Ranking(_) => match args.window.symbols().first() {
            Some(symbol) => wrong(format!(
                "--symbols names {symbol}, but a strategy that ranks the market looks at its universe; leave --symbols out"
            )),
            None => Ok(()),
        },
    }
}

async fn of_symbols(
    strategy: &Strategy,
    args: &OptimizeArgs,
    ctx: &Context,
) -> Result<(Arc<dyn Ground>, Setting), CliError> {
    let asked = &args.window;
    let window = asked.load_for(strategy, ctx).await?;
    let terms = asked.terms(ctx);
    let setting = Setting {
        names: serde_json::to_value(asked.names(&window, &terms.costs)).context("names of the window")?,
        recipe: recipe(args, asked.symbols().to_vec(), terms, asked.first_ms()),
        execution: None,
        data_version: window.data_version(),
    };
    let engine = Arc::new(Engine::new(ctx.config().engine.cache_mb));
    Ok((Arc::new(SymbolsGround { engine, window, terms }), setting))
}

async fn of_market(
    ranking: &Ranking,
    args: &OptimizeArgs,
    ctx: &Context,
) -> Result<(Arc<dyn Ground>, Setting), CliError> {
    let asked = &args.window;
    asked.check_dates()?;
    let (from_ms, to_ms) = asked.dates_ms();
    let span = MarketSpan { market: asked.market(), interval: asked.interval(), to_ms };
    let models = ctx.models()?;
    let needed = models.asked(&AnyStrategy::Ranking(ranking.clone()), asked.market()).map_err(CliError::usage)?;
    let whole = load_panel(&ctx.cache_to_read()?, span, ranking.timeframe, ctx.instruments()?).await?;
    let whole = models.beside_market(&needed, whole, i64::MIN).await?;
    let terms = asked.portfolio_terms(args.realistic, ctx);
    let (panel, data_version) = (Arc::new(whole.panel), whole.data_version);
    if panel.end_ms() < to_ms {
        tracing::warn!("the last cached candle closes at {}; statistics end there", iso(panel.end_ms()));
    }
    let plain = Terms { initial_capital: terms.initial_capital, costs: terms.costs, fill_on: terms.fill_on };
    // All that is cached warms up.
    let first_ms = panel.opens_ms().first().copied().unwrap_or(from_ms);
    let setting = Setting {
        names: json!({
            "market": asked.market(),
            "interval": ranking.timeframe,
            "from": iso(from_ms),
            "to": iso(to_ms),
            "instruments": panel.instruments().len(),
            "data_version": data_version,
            "terms": terms,
            "daily_returns": "hedged",
        }),
        recipe: recipe(args, Vec::new(), plain, first_ms),
        execution: Some(terms.execution),
        data_version,
    };
    let market = tokio::task::spawn_blocking(move || Market::new(panel, from_ms, to_ms, terms));
    let market = market.await.context("the market could not be prepared")?.map_err(CliError::usage)?;
    Ok((Arc::new(MarketGround { market }), setting))
}

fn recipe(args: &OptimizeArgs, symbols: Vec<Symbol>, terms: Terms, warmup_from_ms: i64) -> Recipe {
    let config = run_config(args.window.market(), symbols, args.window.interval(), terms);
    Recipe { config, warmup_from_ms, data_to_ms: None }
}

//! What `sg-ai search` searches: candles of some symbols or a whole market, its null markets, and what it does not see.

use super::SearchArgs;
use crate::cli::{CliError, Context, window::iso};
use crate::usecases::portfolio::{MarketSpan, load_panel};
use anyhow::Context as _;
use engine::{Engine, EvaluationError, Outcome, Terms, Wanted, Window};
use genome::{AnyStrategy, random::Seed, variation::RankingVariation};
use portfolio::PortfolioTerms;
use protocol::{Compared, MarketEvaluator, SeenUntil, SplitPanel, null_market, null_window};
use search::{Evaluator, SearchConfig, evaluate_rules};
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;

/// Kinds of null market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum NullName {
    SignFlipped,
    Shuffled,
    TimeShuffled,
    NamesShuffled,
}

impl NullName {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::SignFlipped => "null: signs flipped",
            Self::Shuffled => "null: candles shuffled",
            Self::TimeShuffled => "null: order in time",
            Self::NamesShuffled => "null: which name is which",
        }
    }
}

/// What is searched.
#[derive(Debug)]
pub(super) struct Ground {
    names: serde_json::Value,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Rules { engine: Arc<Engine>, terms: Terms, window: Window, unseen: Option<Window> },
    Ranking { split: SplitPanel, terms: PortfolioTerms, variation: RankingVariation, has_unseen: bool },
}

/// Candles of the symbols named.
///
/// # Errors
/// When candles are missing.
pub(super) async fn rules(args: &SearchArgs, ctx: &Context) -> Result<Ground, CliError> {
    let window = args.window.load(ctx).await?;
    let terms = args.window.terms(ctx);
    let names = serde_json::to_value(args.window.names(&window, &terms.costs)).context("names of the window")?;
    let unseen = match args.unseen_to {
        Some(unseen_ms) => {
            let (_, to_ms) = args.window.dates_ms();
            Some(args.window.with_dates(to_ms, unseen_ms).load(ctx).await?)
        }
        None => None,
    };
    let engine = Arc::new(Engine::new(ctx.config().engine.cache_mb));
    Ok(Ground { names, kind: Kind::Rules { engine, terms, window, unseen } })
}

/// The whole cached market.
///
/// # Errors
/// When there is none, or symbols are named.
pub(super) async fn ranking(args: &SearchArgs, config: &SearchConfig, ctx: &Context) -> Result<Ground, CliError> {
    if let Some(symbol) = args.window.symbols().first() {
        return Err(CliError::Usage(format!(
            "--symbols names {symbol}, but strategies that rank the market look at their universe; leave --symbols out"
        )));
    }
    let [timeframe] = config.ranking.timeframes[..] else {
        return Err(CliError::Usage(
            "one search ranks one panel of candles: set search.ranking.timeframes to a single timeframe".to_owned(),
        ));
    };
    let (from_ms, to_ms) = args.window.dates_ms();
    let end_ms = args.unseen_to.unwrap_or(to_ms);
    let span = MarketSpan { market: args.window.market(), interval: timeframe, to_ms: end_ms };
    let market = load_panel(&ctx.cache_to_read()?, span, timeframe, ctx.instruments()?).await?;
    let terms = args.window.portfolio_terms(args.realistic, ctx);
    let names = json!({
        "market": args.window.market(),
        "interval": timeframe,
        "from": iso(from_ms),
        "to": iso(to_ms),
        "instruments": market.panel.instruments().len(),
        "data_version": market.data_version,
        "terms": terms,
    });
    let split = SplitPanel::cut(&market.panel, from_ms, to_ms, end_ms).map_err(|e| CliError::Usage(e.to_string()))?;
    let has_unseen = args.unseen_to.is_some();
    Ok(Ground { names, kind: Kind::Ranking { split, terms, variation: config.ranking.clone(), has_unseen } })
}

impl Ground {
    /// What the candles are called in results.
    pub(super) const fn names(&self) -> &serde_json::Value {
        &self.names
    }

    /// Kinds of null market.
    pub(super) const fn null_kinds(&self) -> u32 {
        2
    }

    /// What the search sees.
    ///
    /// # Errors
    /// Where nothing can be evaluated on it.
    pub(super) fn real(&self) -> anyhow::Result<Box<dyn Compared + '_>> {
        Ok(match &self.kind {
            Kind::Rules { engine, terms, window, .. } => {
                Box::new(Rules { engine: engine.clone(), terms: *terms, window: window.clone() })
            }
            Kind::Ranking { split, terms, .. } => {
                let searchable = &split.searchable;
                Box::new(MarketEvaluator::new(Arc::clone(searchable.panel()), searchable.window_ms(), *terms)?)
            }
        })
    }

    /// Null market number `number`: the kinds take turns.
    ///
    /// # Errors
    /// Where candles are such that their null would have prices that are none.
    pub(super) fn null(&self, seed: Seed, number: u32) -> anyhow::Result<(NullName, Box<dyn Compared + '_>)> {
        let even = number.is_multiple_of(2);
        Ok(match &self.kind {
            Kind::Rules { engine, terms, window, .. } => {
                let null = null_window(window, seed.child("null market", u64::from(number)), u64::from(number))?;
                let kind = if even { NullName::SignFlipped } else { NullName::Shuffled };
                (kind, Box::new(Rules { engine: engine.clone(), terms: *terms, window: null }))
            }
            Kind::Ranking { split, terms, variation, .. } => {
                let kind = if even { NullName::TimeShuffled } else { NullName::NamesShuffled };
                (kind, Box::new(null_market(&split.searchable, *terms, variation, seed, (number, false))?))
            }
        })
    }

    /// What the search does not see, where that was asked for.
    ///
    /// # Errors
    /// Where nothing can be evaluated on it.
    pub(super) fn unseen(&self) -> anyhow::Result<Option<Box<dyn Evaluator + '_>>> {
        Ok(match &self.kind {
            Kind::Rules { engine, terms, unseen: Some(window), .. } => {
                Some(Box::new(Rules { engine: engine.clone(), terms: *terms, window: window.clone() }))
            }
            Kind::Ranking { split, terms, has_unseen: true, .. } => {
                let seen = split.searchable.window_ms().1;
                let (panel, from_ms, to_ms) = split.unseen.evidence(SeenUntil::stated(seen))?;
                Some(Box::new(MarketEvaluator::new(Arc::clone(panel), (from_ms, to_ms), *terms)?))
            }
            _ => None,
        })
    }
}

/// Backtests of rules over one window.
#[derive(Debug)]
struct Rules {
    engine: Arc<Engine>,
    terms: Terms,
    window: Window,
}

impl Evaluator for Rules {
    fn evaluate(&self, population: &[AnyStrategy]) -> Vec<Result<Outcome, EvaluationError>> {
        let wanted = Wanted { per_symbol: true, ..Wanted::default() };
        evaluate_rules(&self.engine, population, &self.window, &self.terms, wanted)
    }
}

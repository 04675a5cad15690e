//! Backtests of strategies that rank the market, over the cached market: as they are stored, and computed again.
//!
//! Fetches nothing and stores nothing.

use super::portfolio::{MarketSpan, WholeMarket, load_panel};
use super::recipe::run_config;
use super::replay::{Comparison, Verdict, as_json, differing, why_differs};
use super::whole_market::Cached;
use anyhow::Context as _;
use engine::{ModelsUsed, Recipe, RunConfig, Terms};
use genome::Ranking;
use http::BacktestDone;
use portfolio::{PortfolioTerms, Record, Results, RunError, Track, daily_equity};
use serde_json::Value;
use store::{PortfolioBacktest, ServiceBacktest, StatSource};

/// A run over the whole market, and what it came to.
pub(crate) struct PortfolioRun {
    pub(crate) market: WholeMarket,
    pub(crate) track: Track,
    pub(crate) results: Results,
}

/// Runs a strategy over slots that open in `[from_ms, to_ms)`.
///
/// # Errors
/// When the window is empty, the score cannot be computed or the terms are impossible.
pub(crate) fn run_over(
    market: WholeMarket,
    strategy: &Ranking,
    (from_ms, to_ms): (i64, i64),
    terms: &PortfolioTerms,
) -> Result<PortfolioRun, RunError> {
    let track = portfolio::run(strategy, &market.panel, from_ms, to_ms, terms)?;
    let results = Results::of(&track, &market.panel, from_ms, to_ms, terms);
    Ok(PortfolioRun { market, track, results })
}

impl PortfolioRun {
    /// What is kept of it.
    pub(crate) fn record(&self) -> Record {
        Record::of(&self.track, &self.results, &self.market.panel)
    }

    /// The run as it is stored.
    pub(crate) fn done(
        self,
        (span, models): (MarketSpan, ModelsUsed),
        (from_ms, to_ms): (i64, i64),
        missing_candles: u64,
        terms: &PortfolioTerms,
    ) -> BacktestDone {
        let record = self.record();
        let panel = &self.market.panel;
        let in_window = |open_ms: &&i64| (from_ms..to_ms).contains(*open_ms);
        let plain = Terms { initial_capital: terms.initial_capital, costs: terms.costs, fill_on: terms.fill_on };
        BacktestDone {
            parameters: Recipe {
                config: RunConfig { models, ..run_config(span.market, Vec::new(), span.interval, plain) },
                // All that is cached warms up.
                warmup_from_ms: panel.opens_ms().first().copied().unwrap_or(from_ms),
                data_to_ms: Some(span.to_ms),
            },
            from_ms,
            to_ms,
            data_version: self.market.data_version,
            candles: panel.opens_ms().iter().filter(in_window).count() as u64,
            missing_candles,
            coverage: Vec::new(),
            daily_equity: daily_equity(&self.track.slots, from_ms, terms.initial_capital),
            performance: self.results.performance,
            trades: Vec::new(),
            portfolio: Some(PortfolioBacktest { execution: terms.execution, record }),
        }
    }
}

/// Computes a stored backtest of the service again and says whether it is the same to the bit, or what differs and why.
pub(crate) async fn compare_portfolio(
    cached: Cached<'_>,
    stored: &ServiceBacktest,
    portfolio: &PortfolioBacktest,
) -> Comparison {
    let (b, of) = (&stored.backtest, |verdict, differences, why| Comparison {
        source: StatSource::Backtest,
        backtest_id: Some(stored.id),
        from_ms: stored.backtest.from_ms,
        to_ms: stored.backtest.to_ms,
        verdict,
        differences,
        why,
    });
    let now = match again(cached, stored, portfolio).await {
        Ok(now) => now,
        Err(error) => return of(Verdict::Impossible, Vec::new(), Some(format!("{error:#}"))),
    };
    let mut differences = differing(&[("data_version", b.data_version.clone().into(), now.data_version.into())]);
    let (then, this) = (as_json(&b.performance), as_json(&now.performance));
    differences.extend(differing(&fields(&then, &this)));
    differences.extend(differing(&[("daily_equity", as_json(&b.daily_equity), as_json(&now.daily_equity))]));
    let (then, this) = (as_json(&portfolio.record), as_json(&now.portfolio.map(|p| p.record)));
    differences.extend(differing(&fields(&then["figures"], &this["figures"])));
    for part in ["instruments", "days", "weights", "stays"] {
        differences.extend(differing(&[(part, then[part].clone(), this[part].clone())]));
    }
    if differences.is_empty() {
        return of(Verdict::Identical, differences, None);
    }
    let data =
        "the cached candles, funding, readings or the table of instruments are not those that it was computed from";
    let why = why_differs(&differences, data, &b.parameters.config.code_version, "computed");
    of(Verdict::Differs, differences, Some(why))
}

/// The fields of a JSON object beside those of another.
fn fields<'a>(then: &'a Value, now: &Value) -> Vec<(&'a str, Value, Value)> {
    let of = |(name, value): (&'a String, &Value)| (name.as_str(), value.clone(), now[name].clone());
    then.as_object().into_iter().flatten().map(of).collect()
}

async fn again(
    cached: Cached<'_>,
    stored: &ServiceBacktest,
    portfolio: &PortfolioBacktest,
) -> anyhow::Result<BacktestDone> {
    let (b, genome) = (&stored.backtest, stored.strategy.genome.read()?);
    let strategy = genome.ranking().context("a portfolio's backtest is stored with a strategy of rules")?.clone();
    let Recipe { config, data_to_ms, .. } = &b.parameters;
    let span = MarketSpan {
        market: config.market,
        interval: config.interval,
        to_ms: data_to_ms.unwrap_or(b.to_ms).max(b.to_ms),
    };
    let terms = PortfolioTerms {
        initial_capital: config.initial_capital,
        costs: config.costs,
        execution: portfolio.execution,
        fill_on: config.fill_on,
    };
    let window_ms = (b.from_ms, b.to_ms);
    let chosen = cached.used(&config.models)?;
    let market = load_panel(&cached.candles, span, strategy.timeframe, cached.table.clone()).await?;
    let market = cached.beside_market(&chosen, market, i64::MIN).await?;
    let span = (span, config.models.clone());
    let missing = b.missing_candles;
    let work = move || Ok(run_over(market, &strategy, window_ms, &terms)?.done(span, window_ms, missing, &terms));
    tokio::task::spawn_blocking(work).await.context("the computation broke off")?
}

//! `sg-ai prove` of a strategy that ranks the market.

use super::ProveArgs;
use crate::cli::{CliError, Context, output, window::iso};
use crate::usecases::portfolio::{MarketSpan, WholeMarket, load_panel};
use crate::usecases::portfolio_proof::PortfolioProof;
use anyhow::Context as _;
use candles::{Interval, MarketKind};
use evidence::robustness::Finding;
use genome::{AnyStrategy, Ranking, StrategyHash, random::Seed};
use serde::Serialize;

/// What is printed as JSON.
#[derive(Serialize)]
struct Report {
    hash: StrategyHash,
    strategy: String,
    market: MarketKind,
    interval: Interval,
    from: String,
    to: String,
    data_version: String,
    findings: Vec<Finding>,
}

pub(super) async fn run(strategy: Ranking, args: &ProveArgs, ctx: &Context) -> Result<(), CliError> {
    let window = &args.window;
    window.check_dates()?;
    if !window.symbols().is_empty() || !args.elsewhere.is_empty() {
        return Err(CliError::Usage(
            "a strategy that ranks the market looks at its universe; leave --symbols and --elsewhere out".into(),
        ));
    }
    if let Some(option) = args.first_of_walk_forward() {
        return Err(CliError::Usage(format!(
            "{option} is for strategies of rules: of one that ranks the market no window is chosen"
        )));
    }
    let (from_ms, to_ms) = window.dates_ms();
    let span = MarketSpan { market: window.market(), interval: window.interval(), to_ms };
    let models = ctx.models()?;
    let asked = models.asked(&AnyStrategy::Ranking(strategy.clone()), window.market()).map_err(CliError::usage)?;
    let market = load_panel(&ctx.cache_to_read()?, span, strategy.timeframe, ctx.instruments()?).await?;
    let WholeMarket { panel, data_version } = models.beside_market(&asked, market, i64::MIN).await?;
    let terms = window.portfolio_terms(false, ctx);
    let (hash, text) = (strategy.hash(), strategy.to_string());
    let proof = PortfolioProof {
        strategy,
        panel,
        window_ms: (from_ms, to_ms),
        terms,
        realistic: ctx.config().portfolio.execution,
        trials: args.trials,
        paths: args.paths,
        seed: Seed(args.seed),
    };
    let found = tokio::task::spawn_blocking(move || proof.findings()).await.context("the computation broke off")?;
    let findings = found.map_err(|e| CliError::Usage(e.to_string()))?;
    let report = Report {
        hash,
        strategy: text,
        market: window.market(),
        interval: window.interval(),
        from: iso(from_ms),
        to: iso(to_ms),
        data_version,
        findings,
    };
    let written = if args.json { output::json(&report) } else { output::text(lines(&report)) };
    Ok(written.context("standard output")?)
}

fn lines(report: &Report) -> String {
    let mut text = format!("{}\n# {}\n", report.strategy, report.hash);
    for finding in &report.findings {
        text.push_str(&format!("\n{}\n  {}\n", finding.name.replace('_', " "), finding.sentence));
    }
    text.push_str("\nNone of these is a gate: after a search each of them can be fooled.\n");
    text
}

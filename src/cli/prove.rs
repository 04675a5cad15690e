//! `sg-ai prove`: what is known about one strategy beyond its backtest, a plain sentence each. Stores nothing.

mod ranking;

use super::{
    CliError, Context,
    format::genome_of,
    input::{distinct, strategy_file},
    output,
    window::{WindowArgs, WindowNames},
};
use crate::usecases::database::Database;
use crate::usecases::robustness::Proof;
use anyhow::Context as _;
use candles::Symbol;
use clap::Args;
use engine::Engine;
use evidence::robustness::{RobustnessConfig, RobustnessInputs, RobustnessReport, robustness_report};
use genome::{AnyFile, AnyStrategy, StrategyHash, random::Seed};
use serde::Serialize;
use std::path::PathBuf;

/// Tell what is known about a strategy beyond its backtest
#[derive(Args, Debug)]
pub(crate) struct ProveArgs {
    /// Strategy: a JSON, TOML or text file; - for standard input
    #[arg(long, value_name = "FILE", required_unless_present = "id", conflicts_with = "id")]
    strategy: Option<PathBuf>,
    /// A stored strategy: id, name, or the first characters of id or genome hash
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    #[command(flatten)]
    window: WindowArgs,
    /// Symbols that were not searched, to be tried too, separated by commas
    #[arg(long, value_name = "SYMBOLS", value_delimiter = ',')]
    elsewhere: Vec<Symbol>,
    /// Evaluations ever counted [default: with --id those in the store, else not known]
    #[arg(long, value_name = "COUNT")]
    trials: Option<u64>,
    /// Draws of noise on the candles; none for a strategy that ranks the market
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1000))]
    noise_draws: u32,
    /// Simulated paths
    #[arg(long, value_name = "COUNT", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(100..=1_000_000))]
    paths: u64,
    /// Root of every random number: the same seed gives the same result
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Report {
    hash: StrategyHash,
    strategy: String,
    window: WindowNames,
    #[serde(flatten)]
    robustness: RobustnessReport,
}

/// Runs `sg-ai prove`.
///
/// # Errors
/// When the strategy or the options are wrong, candles are missing, or the database does not answer.
pub(crate) async fn run(args: ProveArgs, ctx: &Context) -> Result<(), CliError> {
    let (strategy, counted) = match strategy(&args, ctx).await? {
        (AnyStrategy::Rules(strategy), counted) => (strategy, counted),
        (AnyStrategy::Ranking(strategy), _) => return ranking::run(strategy, &args, ctx).await,
    };
    let window = args.window.load_for(&strategy, ctx).await?;
    distinct("--elsewhere", &args.elsewhere)?;
    let mut elsewhere = Vec::with_capacity(args.elsewhere.len());
    for symbol in &args.elsewhere {
        let one = args.window.with_symbols(vec![symbol.clone()]);
        elsewhere.push((symbol.to_string(), one.load_for(&strategy, ctx).await?));
    }
    let terms = args.window.terms(ctx);
    let names = args.window.names(&window, &terms.costs);
    let (hash, text) = (strategy.hash(), strategy.to_string());
    let config = RobustnessConfig { paths: args.paths, ..RobustnessConfig::default() };
    let (seed, draws, trials) = (Seed(args.seed), args.noise_draws, args.trials.or(counted));
    let proof =
        Proof { engine: Engine::new(ctx.config().engine.cache_mb), strategy, window, terms, elsewhere, draws, seed };
    let work = move || {
        let material = RobustnessInputs { trials, ..proof.material()? };
        Some(robustness_report(&material, &config, seed))
    };
    let found = tokio::task::spawn_blocking(work).await.context("the computation broke off")?;
    let robustness = found.context("the strategy cannot be evaluated on these candles")?;
    let report = Report { hash, strategy: text, window: names, robustness };
    if args.json {
        output::json(&report).context("standard output")?;
    } else {
        output::text(lines(&report)).context("standard output")?;
    }
    Ok(())
}

/// The strategy, and how many evaluations the store counts where it is a stored one.
async fn strategy(args: &ProveArgs, ctx: &Context) -> Result<(AnyStrategy, Option<u64>), CliError> {
    if let Some(path) = &args.strategy {
        let shown = path.display();
        let text = strategy_file(path).with_context(|| format!("cannot read the strategy {shown}"))?;
        let file = AnyFile::parse(&text).map_err(|e| CliError::Usage(format!("{shown}: {e}")))?;
        return Ok((file.strategy, None));
    }
    let Some(id) = &args.id else { return Err(CliError::Usage("--strategy or --id is required".into())) };
    let opened = Database::open(ctx.config()).await?;
    let stored = opened.store.find_strategy(id).await;
    let totals = opened.store.trial_totals().await;
    opened.close().await;
    let strategy = genome_of(&stored.context("the store")?)?;
    Ok((strategy, Some(totals.context("the store")?.evaluations)))
}

fn lines(report: &Report) -> String {
    let mut text = format!("{}\n# {}\n", report.strategy.trim_end(), report.hash);
    for finding in &report.robustness.findings {
        text.push_str(&format!("\n{}\n  {}\n", finding.name.replace('_', " "), finding.sentence));
    }
    text.push_str("\nNone of these is a gate: after a search each of them can be fooled.\n");
    text
}

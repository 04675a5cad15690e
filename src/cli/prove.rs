//! `sg-ai prove`: robustness tests of one strategy, a plain sentence each. Stores nothing.

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
use candles::{Symbol, time::DAY_MS};
use clap::Args;
use engine::Engine;
use evidence::robustness::{RobustnessConfig, RobustnessInputs, RobustnessReport, robustness_report};
use genome::{AnyFile, AnyStrategy, StrategyHash, random::Seed};
use serde::Serialize;
use std::path::PathBuf;

/// Run robustness tests on one strategy: walk-forward, bootstrap, noise, higher costs, neighbours, other symbols
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
    /// Days in sample of a walk-forward window [default: 180]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    in_sample_days: Option<u32>,
    /// Days out of sample of a walk-forward window [default: 60]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    out_of_sample_days: Option<u32>,
    /// Trades in sample below which a variant is not chosen in a walk-forward window [default: 30]
    #[arg(long, value_name = "COUNT")]
    min_in_sample_trades: Option<u32>,
    /// Share of the daily profit that has to be kept out of sample [default: 0.5]
    #[arg(long, value_name = "FRACTION", value_parser = super::input::positive)]
    efficiency_threshold: Option<f64>,
    /// Probability that counts as sure [default: 0.95]
    #[arg(long, value_name = "FRACTION", value_parser = super::input::probability)]
    confidence: Option<f64>,
    /// Root of every random number: the same seed gives the same result
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

impl ProveArgs {
    /// The first option given that only strategies of rules have.
    fn first_of_walk_forward(&self) -> Option<&'static str> {
        let given = [
            ("--in-sample-days", self.in_sample_days.is_some()),
            ("--out-of-sample-days", self.out_of_sample_days.is_some()),
            ("--min-in-sample-trades", self.min_in_sample_trades.is_some()),
            ("--efficiency-threshold", self.efficiency_threshold.is_some()),
            ("--confidence", self.confidence.is_some()),
        ];
        given.into_iter().find_map(|(option, given)| given.then_some(option))
    }
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
    let config = config(&args)?;
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

/// The settings, and whether the days that are asked for hold a walk-forward window.
fn config(args: &ProveArgs) -> Result<RobustnessConfig, CliError> {
    let usual = RobustnessConfig::default();
    let config = RobustnessConfig {
        paths: args.paths,
        inside_days: args.in_sample_days.map_or(usual.inside_days, |days| days as usize),
        outside_days: args.out_of_sample_days.map_or(usual.outside_days, |days| days as usize),
        min_inside_trades: args.min_in_sample_trades.unwrap_or(usual.min_inside_trades),
        efficiency_threshold: args.efficiency_threshold.unwrap_or(usual.efficiency_threshold),
        confidence: args.confidence.unwrap_or(usual.confidence),
        ..usual
    };
    let (from_ms, to_ms) = args.window.dates_ms();
    let (days, needed) = ((to_ms - from_ms).max(0) / DAY_MS, config.inside_days + config.outside_days);
    // The customary lengths are those of nobody: that they do not fit is a finding.
    let given = args.in_sample_days.is_some() || args.out_of_sample_days.is_some();
    if given && from_ms < to_ms && days < needed as i64 {
        return Err(CliError::Usage(format!(
            "a walk-forward window of {} days in sample and {} out of sample needs {needed} days, and --from to --to has {days}; \
             give shorter lengths or more days",
            config.inside_days, config.outside_days
        )));
    }
    Ok(config)
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

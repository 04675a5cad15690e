//! `sg-ai prove`: what is known about one strategy beyond its backtest, a plain sentence each. Stores nothing.

use super::{
    CliError, Context, output,
    window::{WindowArgs, WindowNames},
};
use crate::{
    daemon::Database,
    engine::{Costs, Engine, Wanted, Window},
    evidence::{
        dossier::{Dossier, DossierConfig, Material, Run, dossier, trade_returns, volatility_by_day},
        noise::noisy,
    },
    market::Symbol,
};
use anyhow::Context as _;
use clap::Args;
use genome::{Strategy, StrategyFile, StrategyHash, random::Seed, variation::neighbours};
use serde::Serialize;
use std::path::PathBuf;

/// How far a neighbour's number is moved, a fraction of it.
const NEIGHBOUR_STEP: f64 = 0.1;
/// Standard deviation of the noise on closes, a share of the candle's range.
const NOISE_SHARE: f64 = 0.2;
/// Higher costs: name, multiple of the fee, and what slippage adds on each side, as a fraction of the notional.
const STRESSES: [(&str, f64, f64); 4] = [
    ("fee_x2", 2.0, 0.0),
    ("fee_x3", 3.0, 0.0),
    ("slippage_plus_5_bps", 1.0, 5e-4),
    ("slippage_plus_10_bps", 1.0, 1e-3),
];

/// Tell what is known about a strategy beyond its backtest
#[derive(Args, Debug)]
pub struct ProveArgs {
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
    /// Draws of noise on the candles
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
    dossier: Dossier,
}

/// Runs `sg-ai prove`.
///
/// # Errors
/// When the strategy or the options are wrong, candles are missing, or the database does not answer.
pub async fn run(args: ProveArgs, ctx: &Context) -> Result<(), CliError> {
    let (strategy, counted) = strategy(&args, ctx).await?;
    let window = args.window.load(ctx).await?;
    let mut elsewhere = Vec::with_capacity(args.elsewhere.len());
    for symbol in &args.elsewhere {
        let one = args.window.with_symbols(vec![symbol.clone()]);
        elsewhere.push((symbol.to_string(), one.load(ctx).await?));
    }
    let costs = args.window.costs(ctx);
    let names = args.window.names(&costs);
    let (hash, text) = (strategy.hash(), strategy.to_string());
    let config = DossierConfig { paths: args.paths, ..DossierConfig::default() };
    let (seed, draws, trials) = (Seed(args.seed), args.noise_draws, args.trials.or(counted));
    let asked =
        Asked { engine: Engine::new(ctx.config().engine.clone()), strategy, window, costs, elsewhere, draws, seed };
    let work = move || {
        let material = Material { trials, ..asked.material()? };
        Some(dossier(&material, &config, seed))
    };
    let found = tokio::task::spawn_blocking(work).await.context("the computation broke off")?;
    let dossier = found.context("the strategy cannot be evaluated on these candles")?;
    let report = Report { hash, strategy: text, window: names, dossier };
    if args.json {
        output::json(&report).context("standard output")?;
    } else {
        output::text(lines(&report)).context("standard output")?;
    }
    Ok(())
}

/// The strategy, and how many evaluations the store counts where it is a stored one.
async fn strategy(args: &ProveArgs, ctx: &Context) -> Result<(Strategy, Option<u64>), CliError> {
    if let Some(path) = &args.strategy {
        let shown = path.display();
        let text = super::backtest::read(path).with_context(|| format!("cannot read the strategy {shown}"))?;
        let file = StrategyFile::parse(&text).map_err(|e| CliError::Usage(format!("{shown}: {e}")))?;
        return Ok((file.strategy, None));
    }
    let Some(id) = &args.id else { return Err(CliError::Usage("--strategy or --id is required".into())) };
    let opened = Database::open(ctx.config()).await?;
    let stored = opened.store.find_strategy(id).await;
    let totals = opened.store.trial_totals().await;
    opened.close().await;
    let strategy = super::strategies::genome_of(&stored.context("the store")?)?;
    Ok((strategy, Some(totals.context("the store")?.evaluations)))
}

/// What is to be run.
struct Asked {
    engine: Engine,
    strategy: Strategy,
    window: Window,
    costs: Costs,
    elsewhere: Vec<(String, Window)>,
    draws: u32,
    seed: Seed,
}

impl Asked {
    fn runs(&self, strategies: &[Strategy], window: &Window, costs: &Costs) -> Vec<Run> {
        let wanted = Wanted { ledger: true, ..Wanted::default() };
        let outcomes = self.engine.evaluate(strategies, window, costs, wanted);
        outcomes.iter().flatten().map(|outcome| Run::of(outcome, window.from_ms())).collect()
    }

    fn one(&self, window: &Window, costs: &Costs) -> Option<Run> {
        self.runs(std::slice::from_ref(&self.strategy), window, costs).pop()
    }

    /// `None` when the strategy itself cannot be evaluated.
    fn material(&self) -> Option<Material> {
        let (window, costs) = (&self.window, &self.costs);
        let itself = std::slice::from_ref(&self.strategy);
        let wanted = Wanted { ledger: true, ..Wanted::default() };
        let outcome = self.engine.evaluate(itself, window, costs, wanted).pop()?.ok()?;
        let stressed = STRESSES.iter().filter_map(|(name, fee, more)| {
            let costs = Costs { fee_fraction: costs.fee_fraction * fee + more, ..*costs };
            Some(((*name).to_owned(), self.one(window, &costs)?))
        });
        let noise = (0..self.draws).filter_map(|draw| self.one(&self.disturbed(draw)?, costs));
        let elsewhere = self.elsewhere.iter().filter_map(|(name, w)| Some((name.clone(), self.one(w, costs)?)));
        let days = outcome.daily_returns.len();
        let regimes = window.symbols().first().map(|s| volatility_by_day(&s.candles, window.from_ms(), days));
        Some(Material {
            base: Run::of(&outcome, window.from_ms()),
            trade_returns: outcome.ledger.as_ref().map(trade_returns).unwrap_or_default(),
            trials: None,
            neighbours: self.runs(&neighbours(&self.strategy, NEIGHBOUR_STEP), window, costs),
            noisy: noise.collect(),
            stressed: stressed.collect(),
            elsewhere: elsewhere.collect(),
            regimes: regimes.unwrap_or_default(),
        })
    }

    /// The window with noise on its candles; finer ones would contradict them and are left out.
    fn disturbed(&self, draw: u32) -> Option<Window> {
        let seed = self.seed.child("noise", u64::from(draw));
        let symbols = self.window.symbols().iter().map(|s| {
            let candles = noisy(&s.candles, NOISE_SHARE, &mut seed.stream(s.symbol.as_str(), 0))?;
            Some(crate::engine::SymbolWindow { candles: candles.into(), finer: None, ..s.clone() })
        });
        Window::new(self.window.from_ms(), self.window.to_ms(), symbols.collect::<Option<_>>()?).ok()
    }
}

fn lines(report: &Report) -> String {
    let mut text = format!("{}\n# {}\n", report.strategy.trim_end(), report.hash);
    for finding in &report.dossier.findings {
        text.push_str(&format!("\n{}\n  {}\n", finding.name.replace('_', " "), finding.sentence));
    }
    text.push_str("\nNone of these is a gate: after a search each of them can be fooled.\n");
    text
}

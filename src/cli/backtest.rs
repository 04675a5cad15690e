//! `sg-ai backtest`: one strategy over cached candles, its performance and its trades; or a file of strategies.

mod batch;
mod page;
mod ranking;
mod terms;

use super::{
    CliError, Context,
    checkpoints::CheckpointArgs,
    format::{number, percent, performance_lines},
    input::strategy_file,
    output,
    window::{WindowArgs, WindowNames},
};
use anyhow::Context as _;
use candles::Symbol;
use clap::Args;
use engine::{Engine, Outcome, Performance, Trade, Wanted};
use genome::{AnyFile, AnyStrategy, StrategyHash};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Backtest one strategy, or a file of strategies
#[derive(Args, Debug)]
pub(crate) struct BacktestArgs {
    /// Strategy: a JSON, TOML or text file; - for standard input
    #[arg(long, value_name = "FILE", required_unless_present = "batch")]
    strategy: Option<PathBuf>,
    /// Strategies: a file with one a line, JSON or text form; prints a JSON line each and a summary; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["strategy", "trades"])]
    batch: Option<PathBuf>,
    /// With --batch: a line for each symbol of each strategy
    #[arg(long, requires = "batch")]
    per_symbol: bool,
    /// With --batch: total return and trade counts alone, which is faster
    #[arg(long, requires = "batch")]
    summary_only: bool,
    /// With --batch: threads to compute on [default: one for each processor]
    #[arg(long, value_name = "N", requires = "batch", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    #[command(flatten)]
    checkpoints: CheckpointArgs,
    #[command(flatten)]
    window: WindowArgs,
    #[command(flatten)]
    terms: terms::TermsArgs,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
    /// Write every trade to this file as CSV; - for standard output
    #[arg(long, value_name = "FILE")]
    trades: Option<PathBuf>,
    /// Which trades of a strategy of rules --report lists one by one: all, none, or so many, the newest
    #[arg(long, value_name = "all|none|N", requires = "report", default_value = "all")]
    trade_rows: report::TradeRows,
    #[command(flatten)]
    ranking: ranking::RankingArgs,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Report<'a> {
    name: Option<&'a str>,
    hash: StrategyHash,
    strategy: String,
    window: WindowNames,
    #[serde(flatten)]
    terms: terms::TermsNames,
    #[serde(skip)]
    remarks: String,
    performance: &'a Performance,
    symbols: Vec<SymbolReport<'a>>,
}

#[derive(Serialize)]
struct SymbolReport<'a> {
    symbol: &'a Symbol,
    performance: &'a Performance,
}

/// Runs `sg-ai backtest`.
///
/// # Errors
/// When the strategy or the options are wrong, candles are missing, or a file cannot be read or written.
pub(crate) async fn run(args: BacktestArgs, ctx: &Context) -> Result<(), CliError> {
    let stdout = Path::new("-");
    if args.json && args.trades.as_deref() == Some(stdout) {
        return Err(CliError::Usage("--json and --trades - both want standard output".into()));
    }
    if let Some(path) = &args.batch {
        let threads =
            args.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from);
        let options = batch::Options {
            per_symbol: args.per_symbol,
            summary_only: args.summary_only,
            threads,
            checkpoints: args.checkpoints.clone(),
            terms: args.terms,
        };
        return batch::run(path, &args.window, options, ctx).await;
    }
    if args.checkpoints.every().is_some() {
        return Err(CliError::Usage("--checkpoint is for --batch: one strategy is evaluated at once".into()));
    }
    let Some(path) = &args.strategy else {
        return Err(CliError::Usage("--strategy or --batch is required".into()));
    };
    let shown = path.display();
    let text = strategy_file(path).with_context(|| format!("cannot read the strategy {shown}"))?;
    let file = AnyFile::parse(&text).map_err(|e| CliError::Usage(format!("{shown}: {e}")))?;
    let strategy = match file.strategy {
        AnyStrategy::Rules(strategy) => strategy,
        AnyStrategy::Ranking(strategy) => {
            if args.trades.is_some() {
                return Err(CliError::Usage("--trades is for strategies of rules; --weights writes targets".into()));
            }
            let named = (file.name.as_deref(), strategy);
            return ranking::run(named, &args.window, (&args.ranking, &args.terms), args.json, ctx).await;
        }
    };
    if let Some(option) = args.ranking.first_given() {
        return Err(CliError::Usage(format!("{option} is for strategies that rank the market")));
    }
    let window = args.window.load_for(&strategy, ctx).await?;
    let terms = args.terms.of(args.window.terms(ctx));
    let names = args.window.names(&window, &terms.costs);
    let engine = Engine::new(ctx.config().engine.cache_mb);
    let (hash, canonical) = (strategy.hash(), strategy.to_string());
    let told = (strategy.clone(), window.clone());
    let outcome = tokio::task::spawn_blocking(move || {
        engine
            .evaluate(&[strategy], &window, &terms, Wanted { ledger: true, per_symbol: true, ..Wanted::default() })
            .pop()
    });
    let outcome = outcome.await.context("the backtest broke off")?.context("the engine gave no result")?;
    let outcome = outcome.map_err(|e| CliError::Usage(format!("{shown}: {e}")))?;

    let trades = outcome.ledger.as_ref().map(|l| l.trades.as_slice()).unwrap_or_default();
    if let Some(path) = &args.trades {
        let written = if path == stdout {
            trades_csv(trades).and_then(|csv| output::text(csv).map_err(Into::into))
        } else {
            trades_csv(trades).and_then(|csv| std::fs::write(path, csv).map_err(Into::into))
        };
        written.with_context(|| format!("cannot write trades to {}", path.display()))?;
    }
    if let Some(path) = &args.ranking.report {
        let remarks = args.terms.remarks().replace("# ", "").trim_end().replace('\n', "; ");
        let html = page::page(
            (file.name.as_deref(), &told.0),
            &args.window,
            (&told.1, &terms),
            &outcome,
            (args.trade_rows, Some(remarks).filter(|text| !text.is_empty())),
            ctx,
        );
        std::fs::write(path, html).with_context(|| format!("cannot write the report to {}", path.display()))?;
    }
    let report = Report {
        name: file.name.as_deref(),
        hash,
        strategy: canonical,
        window: names,
        terms: args.terms.names(),
        remarks: args.terms.remarks(),
        performance: &outcome.performance,
        symbols: symbols(&args.window, &outcome),
    };
    if args.json {
        output::json(&report).context("standard output")?;
    } else if args.trades.as_deref() != Some(stdout) {
        output::text(lines(&report)).context("standard output")?;
    }
    Ok(())
}

fn symbols<'a>(window: &'a WindowArgs, outcome: &'a Outcome) -> Vec<SymbolReport<'a>> {
    let pairs = window.symbols().iter().zip(&outcome.per_symbol);
    pairs.map(|(symbol, performance)| SymbolReport { symbol, performance }).collect()
}

/// Every trade, times as UTC ms; numbers in the shortest form that reads back to the same bits.
fn trades_csv(trades: &[Trade]) -> anyhow::Result<String> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    // Written by itself, so that a file without trades has a header, too.
    csv.write_record([
        "symbol",
        "side",
        "entry_time_ms",
        "entry_price",
        "exit_time_ms",
        "exit_price",
        "quantity",
        "profit",
        "return_fraction",
        "fees",
        "slippage",
        "funding",
        "risk",
        "exit_reason",
        "bars",
    ])?;
    for t in trades {
        csv.serialize((
            (&t.symbol, t.side, t.entry_time_ms, t.entry_price, t.exit_time_ms, t.exit_price, t.quantity, t.profit),
            (t.return_fraction, t.fees, t.slippage, t.funding, t.risk, t.exit_reason, t.bars),
        ))?;
    }
    Ok(String::from_utf8(csv.into_inner().context("trades")?)?)
}

fn lines(report: &Report<'_>) -> String {
    let mut text = report.strategy.trim_end().to_owned();
    text.push_str(&format!("\n# {}\n{}\n", report.hash, report.remarks));
    text.push_str(&performance_lines(report.performance));
    if report.symbols.len() > 1 {
        text.push('\n');
        for s in &report.symbols {
            let p = s.performance;
            let (total, factor) = (percent(p.total_return), number(p.profit_factor));
            let symbol = s.symbol.as_str();
            text.push_str(&format!(
                "{symbol:<12} return {total:>9}  profit factor {factor:>7}  trades {}\n",
                p.total_trades
            ));
        }
    }
    text
}

//! `sg-ai report`: a strategy's whole story as one HTML file.

use super::{CliError, Context, data, output};
use crate::daemon::Database;
use crate::daemon::replay::{Recipe, Replayed, StoredRun, replay, stored_runs};
use crate::engine::Trade;
use crate::market::CandleCache;
use crate::report::{Ancestor, Move, Part, Period, Setup, StrategyReport, render};
use crate::store::{BacktestRow, Lineage, Page, StatSource, Store, StrategyDetail, TradeRow};
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::PathBuf;

/// Steps back that the lineage goes.
const LINEAGE_DEPTH: u32 = 5;
/// Most stored trades that are read where candles are missing to compute them again.
const MAX_STORED_TRADES: u32 = 100_000;

/// Write a report about a strategy
#[derive(Args, Debug)]
pub struct ReportArgs {
    /// Id, name, or the first characters of id or genome hash
    strategy: String,
    /// Where to write it; - for standard output [default: report-NAME.html or report-NAME.json]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// One self-contained HTML file, or the same as JSON
    #[arg(long, value_enum, default_value_t = Format::Html)]
    format: Format,
    /// Print one JSON object about the file instead of its path
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Html,
    Json,
}

/// Runs `sg-ai report`.
///
/// # Errors
/// When there is no such strategy, the database does not answer, or the file cannot be written.
pub async fn run(args: ReportArgs, ctx: &Context) -> Result<(), CliError> {
    let opened = Database::open(ctx.config()).await?;
    let stored = read(&opened.store, &args.strategy).await;
    opened.close().await;
    let report = build(stored?, &data::cache(ctx)?, ctx.clock.now_ms()).await?;
    let (text, ending) = match args.format {
        Format::Html => (render(&report), "html"),
        Format::Json => (serde_json::to_string_pretty(&report).context("report")? + "\n", "json"),
    };
    let path = args.out.unwrap_or_else(|| PathBuf::from(format!("report-{}.{ending}", file_name(&report.name))));
    if path.as_os_str() == "-" {
        return Ok(output::text(text).context("standard output")?);
    }
    std::fs::write(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    let printed = if args.json {
        output::json(&json!({ "path": path, "bytes": text.len(), "strategy_id": report.id }))
    } else {
        output::line(path.display().to_string())
    };
    Ok(printed.context("standard output")?)
}

/// A name as a part of a file name: nothing that a shell or a file system takes for something else.
fn file_name(name: &str) -> String {
    let kept = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    name.chars().map(kept).take(100).collect()
}

/// What the store knows.
struct Stored {
    detail: StrategyDetail,
    backtests: Vec<BacktestRow>,
    lineage: Vec<Lineage>,
    trades: Vec<TradeRow>,
}

async fn read(store: &Store, selector: &str) -> anyhow::Result<Stored> {
    let (detail, backtests) = super::reproduce::read(store, selector).await?;
    let id = detail.strategy.id;
    let lineage = store.lineage(id, LINEAGE_DEPTH).await?;
    let trades = store.paper_trades(id, Page::first(MAX_STORED_TRADES)).await?;
    Ok(Stored { detail, backtests, lineage, trades })
}

async fn build(stored: Stored, cache: &CandleCache, now_ms: i64) -> anyhow::Result<StrategyReport> {
    let s = &stored.detail.strategy;
    let strategy = super::strategies::genome_of(s)?;
    let mut periods = Vec::new();
    for run in stored_runs(&stored.detail, &stored.backtests) {
        let replayed = match (&run.recipe, &run.performance) {
            (_, None) => Err("it has not had its first pass".to_owned()),
            (Err(why), _) => Err(why.clone()),
            (Ok(recipe), Some(_)) => {
                replay(cache, &strategy, recipe, (run.from_ms, run.to_ms)).await.map_err(|e| format!("{e:#}"))
            }
        };
        periods.push(period(run, replayed, &stored.trades));
    }
    let moves = stored.detail.transitions.iter().map(|t| Move {
        at_ms: t.at_market_ms,
        from: t.from,
        to: t.to,
        actor: t.actor.clone(),
        policy: t.policy.clone(),
        summary: t.summary.clone(),
        checks: t.decision.as_ref().map(|d| d.checks.clone()).unwrap_or_default(),
    });
    let ancestors = stored.lineage.iter().map(|a| Ancestor {
        depth: a.depth,
        name: a.name.clone(),
        genome_hash: a.genome_hash.clone(),
        generation: a.generation,
        state: a.state,
    });
    Ok(StrategyReport {
        name: s.name.clone(),
        id: s.id.to_string(),
        genome_hash: s.genome_hash.clone(),
        state: s.state,
        disable_reason: s.disable_reason,
        rules: strategy.to_string(),
        words: genome::describe(&strategy),
        market: s.market,
        symbols: s.symbols.clone(),
        timeframe: s.timeframe,
        created_by: s.created_by.clone(),
        created_at_ms: s.created_at.timestamp_millis(),
        generation: s.generation,
        island: s.island.clone(),
        session: s.session_id.map(|id| id.to_string()),
        ancestors: ancestors.collect(),
        moves: moves.collect(),
        periods,
        made_at_ms: now_ms,
        made_by: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

/// Figures as they are stored; curve and trades as the candles give them, and what is stored where they are missing.
fn period(run: StoredRun, replayed: Result<Replayed, String>, stored_trades: &[TradeRow]) -> Period {
    let part = match run.source {
        StatSource::Backtest => Part::Backtest,
        StatSource::Holdout => Part::Holdout,
        StatSource::Shadow => Part::Shadow,
        StatSource::Live => Part::Live,
    };
    let (daily_equity, trades, note) = match replayed {
        Ok(Replayed { outcome, .. }) => {
            let same = run.performance.as_ref() == Some(&outcome.performance);
            let note = (!same).then(|| {
                "curve and trades are computed anew, and not to the bit what the stored figures rest on; \
                 sg-ai reproduce says why"
                    .to_owned()
            });
            let ledger = outcome.ledger.unwrap_or_default();
            (ledger.daily_equity, ledger.trades, note)
        }
        Err(why) => match run.daily_equity {
            Some(equity) => {
                let of_run = |row: &&TradeRow| Some(row.run_id) == run.paper_run;
                let mut trades: Vec<Trade> = stored_trades.iter().filter(of_run).map(|row| row.trade.clone()).collect();
                trades.sort_by(|a, b| (a.entry_time_ms, &a.symbol).cmp(&(b.entry_time_ms, &b.symbol)));
                let note = run.performance.is_some().then(|| format!("curve and trades are those stored: {why}"));
                (equity, trades, note)
            }
            None => (Vec::new(), Vec::new(), Some(format!("no curve and no trades: {why}"))),
        },
    };
    let setup = run.recipe.ok().map(|recipe| setup(recipe, run.data_version));
    Period {
        part,
        from_ms: run.from_ms,
        to_ms: run.to_ms,
        performance: run.performance,
        daily_equity,
        trades,
        setup,
        note,
    }
}

fn setup(recipe: Recipe, data_version: Option<String>) -> Setup {
    let c = recipe.config;
    Setup {
        market: c.market,
        symbols: c.symbols,
        interval: c.interval,
        costs: c.costs,
        initial_capital: c.initial_capital,
        warmup_from_ms: recipe.warmup_from_ms,
        data_version,
        code_version: c.code_version,
    }
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn names_make_plain_file_names() {
        assert_eq!(file_name("trend-1a2b"), "trend-1a2b");
        assert_eq!(file_name("../a b/$(x)"), ".._a_b___x_");
    }
}

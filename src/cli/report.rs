//! `sg-ai report`: a strategy, backtest, search or generation as one file.

use super::{CliError, Context, book_report, output};
use crate::usecases::database::Database;
use crate::usecases::strategy_report::strategy_report;
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use genome::{AnyStrategy, StrategyForm};
use report::{self, GenerationLine, SearchReport, StrategyLine, StrategyReport, TradeRows, render};
use serde_json::json;
use std::path::PathBuf;
use store::{Page, ServiceBacktest, SessionStory, StatSource, Store, StrategyQuery};

/// Write a report about a strategy, a backtest of the service, a search session, a generation, an optimisation or a book
#[derive(Args, Debug)]
pub(crate) struct ReportArgs {
    /// A strategy (number, id, name, or the first characters of id or genome hash), backtest:NUMBER,
    /// search:ISLAND/NUMBER, generation:ISLAND/NUMBER/GENERATION, optimization:ID, book for the newest book, book:NUMBER
    #[arg(value_name = "ID")]
    what: String,
    /// Where to write it; - for standard output [default: report-NAME.FORMAT]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// One self-contained HTML file, Markdown, everything as JSON, or the trades (generations) as CSV
    #[arg(long, value_enum, default_value_t = Format::Html)]
    format: Format,
    /// Which trades an HTML file lists one by one: all, none, or so many, the newest; its figures are of all of them
    #[arg(long, value_name = "all|none|N", default_value = "all")]
    trades: TradeRows,
    /// Print one JSON object about the file instead of its path
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Html,
    Md,
    Json,
    Csv,
}

/// Runs `sg-ai report`.
///
/// # Errors
/// When there is no such thing, the database does not answer, or the file cannot be written.
pub(crate) async fn run(args: ReportArgs, ctx: &Context) -> Result<(), CliError> {
    let wait = super::output::waiting("reading and computing");
    let opened = Database::open(ctx.config()).await?;
    let now_ms = ctx.clock.now_ms();
    let made = match args.what.split_once(':') {
        Some(("optimization", id)) => optimization(&opened.store, id, args.format, now_ms).await,
        None if args.what == "book" => book(&opened.store, None, args.format, now_ms).await,
        Some(("book", number)) => book(&opened.store, Some(number), args.format, now_ms).await,
        Some(("backtest", number)) => backtest(&opened.store, number, (args.format, args.trades), now_ms).await,
        Some((kind @ ("search" | "generation"), name)) => {
            search(&opened.store, kind == "generation", name, args.format, now_ms).await
        }
        _ => strategy(&opened.store, &args.what, ctx, (args.format, args.trades)).await,
    };
    opened.close().await;
    wait.finish_and_clear();
    let (name, text) = made?;
    let ending = match args.format {
        Format::Html => "html",
        Format::Md => "md",
        Format::Json => "json",
        Format::Csv => "csv",
    };
    let path = args.out.unwrap_or_else(|| PathBuf::from(format!("report-{}.{ending}", file_name(&name))));
    if path.as_os_str() == "-" {
        return Ok(output::text(text).context("standard output")?);
    }
    std::fs::write(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    let printed = if args.json {
        output::json(&json!({ "path": path, "bytes": text.len(), "of": name }))
    } else {
        output::line(path.display().to_string())
    };
    Ok(printed.context("standard output")?)
}

fn written(report: &StrategyReport, format: Format, rows: TradeRows) -> anyhow::Result<String> {
    Ok(match format {
        Format::Html => render(report, rows),
        Format::Md => report::markdown(report),
        Format::Csv => report::csv(report),
        Format::Json => report::json(report)? + "\n",
    })
}

async fn strategy(
    store: &Store,
    selector: &str,
    ctx: &Context,
    (format, rows): (Format, TradeRows),
) -> anyhow::Result<(String, String)> {
    let found = store.find_strategy(selector).await?;
    let judged = !store.latest_stats(&[found.id]).await?.is_empty();
    if found.form == StrategyForm::Ranking && !judged {
        // Nothing judged it yet: its story is its newest backtest on the terms of every other.
        let newest = store.service_backtests_of(found.id, Page::first(500)).await?;
        let newest = newest.iter().find(|line| line.has_usual_terms).with_context(|| {
            format!(
                "{} ranks the market and no backtest of it is stored: POST /backtest stores one, and `sg-ai backtest --report` \
                 writes a report without a store",
                found.name
            )
        })?;
        let stored = store.service_backtest(newest.id).await?;
        let simulated = store.is_simulated().await?;
        return Ok((found.name, of_backtest(&stored, simulated, (format, rows), ctx.clock.now_ms())?));
    }
    let report = strategy_report(store, selector, &ctx.models()?, ctx.clock.now_ms()).await?;
    Ok((report.name.clone(), written(&report, format, rows)?))
}

async fn book(store: &Store, number: Option<&str>, format: Format, now_ms: i64) -> anyhow::Result<(String, String)> {
    let number = number.map(|n| n.parse().context("book: takes a number, as in book:2")).transpose()?;
    let report = book_report::read(store, number, now_ms).await?;
    let text = match format {
        Format::Html => report::book_html(&report),
        Format::Json => report::book_json(&report)? + "\n",
        Format::Md | Format::Csv => anyhow::bail!("a book is reported as html or json, not in this format"),
    };
    Ok((report.name.replace(' ', "-"), text))
}

async fn backtest(
    store: &Store,
    number: &str,
    told: (Format, TradeRows),
    now_ms: i64,
) -> anyhow::Result<(String, String)> {
    let number = number.parse().context("backtest: takes a number, as in backtest:12")?;
    let stored = store.service_backtest(number).await?;
    Ok((format!("backtest-{number}"), of_backtest(&stored, store.is_simulated().await?, told, now_ms)?))
}

async fn optimization(store: &Store, id: &str, format: Format, now_ms: i64) -> anyhow::Result<(String, String)> {
    let found = store.optimization(id).await?;
    let short = found.line.id.to_string()[..8].to_owned();
    let report = found.report.as_ref().context("the run is not finished: it says nothing yet")?;
    if format == Format::Json {
        return Ok((format!("optimization-{short}"), serde_json::to_string_pretty(report)? + "\n"));
    }
    anyhow::ensure!(format == Format::Html, "an optimisation is reported as html or json, not in this format");
    let story: optimize::Story = serde_json::from_value(report.clone()).context("what the run says")?;
    let strategy: AnyStrategy = found
        .strategy
        .parse::<genome::Strategy>()
        .map(Into::into)
        .map_err(|e| anyhow::anyhow!("the strategy of the stored run cannot be read: {e}"))?;
    let mut window = serde_json::to_value(&found.parameters).unwrap_or_default();
    window["from"] = super::window::iso(found.line.from_ms).into();
    window["to"] = super::window::iso(found.line.to_ms).into();
    let page = report::optimization_html(&report::OptimizationReport {
        name: found.line.name.clone().unwrap_or_else(|| "optimisation".to_owned()),
        words: strategy.describe(),
        strategy: found.strategy.clone(),
        hash: found.line.genome_hash.clone(),
        method: found.line.method.clone(),
        seed: found.line.seed.0,
        least_trades: found.settings["least_trades"].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or_default(),
        window,
        own: Vec::new(),
        story: &story,
        simulated: store.is_simulated().await?,
        made_at_ms: now_ms,
        made_by: crate::CODE_VERSION.to_owned(),
    });
    Ok((format!("optimization-{short}"), page))
}

/// The report of a backtest of the service, by the form of its strategy.
fn of_backtest(
    stored: &ServiceBacktest,
    simulated: bool,
    (format, rows): (Format, TradeRows),
    now_ms: i64,
) -> anyhow::Result<String> {
    let Some(report) = http::portfolio_report_of(stored, simulated, now_ms) else {
        return written(&http::backtest_report_of(stored, simulated, now_ms), format, rows);
    };
    match format {
        Format::Html => Ok(report::portfolio_html(&report)),
        Format::Json => Ok(report::portfolio_json(&report)? + "\n"),
        Format::Md | Format::Csv => {
            anyhow::bail!("a strategy that ranks the market is reported as html or json, not in this format")
        }
    }
}

/// `ISLAND/NUMBER` or, of a generation, `ISLAND/NUMBER/GENERATION`.
async fn search(store: &Store, one: bool, name: &str, format: Format, now_ms: i64) -> anyhow::Result<(String, String)> {
    let wrong =
        || anyhow::anyhow!("search:ISLAND/NUMBER or generation:ISLAND/NUMBER/GENERATION is expected, not {name:?}");
    let (name, generation) = if one {
        let (rest, generation) = name.rsplit_once('/').ok_or_else(wrong)?;
        (rest, Some(generation.parse::<u32>().map_err(|_| wrong())?))
    } else {
        (name, None)
    };
    let (island, number) = name.rsplit_once('/').ok_or_else(wrong)?;
    let number: i64 = number.parse().map_err(|_| wrong())?;
    let SessionStory { session, config, generations } = store.session_story(island, number).await?;
    let stored = StrategyQuery { session_id: Some(session.id), ..StrategyQuery::default() };
    let (strategies, _) = store.list_strategies(&stored, Page::first(10_000)).await?;
    let ids: Vec<_> = strategies.iter().map(|row| row.strategy.id).collect();
    let stats = store.latest_stats(&ids).await?;
    let stat = |id, source| stats.iter().find(|s| s.strategy_id == id && s.source == source).map(|s| &s.performance);
    let mut lines: Vec<StrategyLine> = strategies
        .iter()
        .map(|row| {
            let s = &row.strategy;
            let (inside, outside) = (stat(s.id, StatSource::Backtest), stat(s.id, StatSource::Holdout));
            StrategyLine {
                number: s.number,
                name: s.name.clone(),
                state: s.state.to_string(),
                generation: s.generation,
                backtest_return: inside.and_then(|p| p.total_return),
                backtest_sharpe: inside.and_then(|p| p.sharpe_ratio),
                holdout_return: outside.and_then(|p| p.total_return),
                holdout_sharpe: outside.and_then(|p| p.sharpe_ratio),
                holdout_trades: outside.map(|p| p.total_trades),
            }
        })
        .collect();
    let of = |line: &StrategyLine| line.holdout_sharpe.unwrap_or(f64::NEG_INFINITY);
    lines.sort_by(|a, b| of(b).total_cmp(&of(a)).then(a.number.cmp(&b.number)));
    let mut generations: Vec<GenerationLine> = generations
        .into_iter()
        .map(|g| GenerationLine {
            number: g.number + 1,
            best_fitness: g.best_fitness,
            median_fitness: g.median_fitness,
            mean_fitness: g.mean_fitness,
            evaluations: g.evaluations,
            distinct: g.distinct,
            failures: g.failures,
            archive_size: g.archive_size,
            niches: g.detail["niches"].as_u64(),
            duration_ms: g.duration_ms,
            stored_at_ms: g.created_at.timestamp_millis(),
        })
        .collect();
    if let Some(wanted) = generation {
        generations.retain(|g| g.number == wanted);
        anyhow::ensure!(!generations.is_empty(), "session {number} of island {island} has no generation {wanted}");
        lines.retain(|line| line.generation == wanted);
    }
    let report = SearchReport {
        id: session.id.to_string(),
        island: session.island,
        number: u64::try_from(session.number).unwrap_or_default(),
        status: session.status,
        symbols: session.symbols,
        timeframe: session.timeframe,
        window_from_ms: session.window_from_ms,
        holdout_from_ms: session.holdout_from_ms,
        window_to_ms: session.window_to_ms,
        data_version: session.data_version,
        code_version: session.code_version,
        seed: session.seed,
        config,
        generations,
        strategies: lines,
        simulated: store.is_simulated().await?,
        made_at_ms: now_ms,
        made_by: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let text = match format {
        Format::Html => report::search_html(&report),
        Format::Md => report::search_markdown(&report),
        Format::Csv => report::search_csv(&report),
        Format::Json => report::search_json(&report)? + "\n",
    };
    let name =
        generation.map_or_else(|| format!("search-{island}-{number}"), |g| format!("generation-{island}-{number}-{g}"));
    Ok((name, text))
}

/// A name as a part of a file name: nothing that a shell or a file system takes for something else.
fn file_name(name: &str) -> String {
    let kept = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    name.chars().map(kept).take(100).collect()
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

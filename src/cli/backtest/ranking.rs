//! A strategy that ranks the market: the whole cached market as its window, its performance, equity and weights.

use super::terms::TermsArgs;
use crate::cli::{
    CliError, Context,
    format::{number, percent, performance_lines},
    output,
    window::{WindowArgs, iso},
};
use crate::usecases::portfolio::{MarketSpan, load_panel};
use crate::usecases::portfolio_backtest::run_over;
use anyhow::Context as _;
use clap::Args;
use comfy_table::CellAlignment;
use genome::{AnyStrategy, Ranking, StrategyHash};
use portfolio::{Panel, PortfolioTerms, Results, Track};
use report::{PortfolioReport, portfolio_html};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Names of the attribution that are printed, from either end.
const MAX_NAMES: usize = 5;

/// Options of strategies that rank the market.
#[derive(Args, Debug)]
pub(super) struct RankingArgs {
    /// Write equity at every slot to this file as CSV (time_ms,equity), in multiples of the initial capital
    #[arg(long, value_name = "FILE")]
    equity: Option<PathBuf>,
    /// Write the targets of every rebalance to this file as CSV (time_ms,instrument,target)
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Write a report to this file: one self-contained HTML page
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Trade as paper runs do: late, in lots, with margin and borrow (settings `portfolio.execution.*`)
    #[arg(long)]
    realistic: bool,
}

impl RankingArgs {
    /// The first option given, of those that are for ranking strategies alone.
    pub(super) fn first_given(&self) -> Option<&'static str> {
        let given = [
            (self.equity.is_some(), "--equity"),
            (self.weights.is_some(), "--weights"),
            (self.realistic, "--realistic"),
        ];
        given.into_iter().find_map(|(given, name)| given.then_some(name))
    }
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Report<'a> {
    name: Option<&'a str>,
    hash: StrategyHash,
    strategy: String,
    window: WindowNames<'a>,
    #[serde(flatten)]
    results: &'a Results,
}

#[derive(Serialize)]
struct WindowNames<'a> {
    market: candles::MarketKind,
    interval: candles::Interval,
    from: String,
    to: String,
    instruments: usize,
    data_version: &'a str,
    terms: PortfolioTerms,
}

/// Runs the backtest and prints it.
pub(super) async fn run(
    (name, strategy): (Option<&str>, Ranking),
    window: &WindowArgs,
    (options, asked): (&RankingArgs, &TermsArgs),
    json: bool,
    ctx: &Context,
) -> Result<(), CliError> {
    window.check_dates()?;
    if let Some(symbol) = window.symbols().first() {
        return Err(CliError::Usage(format!(
            "--symbols names {symbol}, but a strategy that ranks the market looks at its universe; leave --symbols out"
        )));
    }
    let (from_ms, to_ms) = window.dates_ms();
    let terms = asked.of_portfolio(window.portfolio_terms(options.realistic, ctx))?;
    let span = MarketSpan { market: window.market(), interval: window.interval(), to_ms };
    let models = ctx.models()?;
    let needed = models.asked(&AnyStrategy::Ranking(strategy.clone()), window.market()).map_err(CliError::usage)?;
    let market = load_panel(&ctx.cache_to_read()?, span, strategy.timeframe, ctx.instruments()?).await?;
    let market = models.beside_market(&needed, market, i64::MIN).await?;
    let (text, words, hash, timeframe) =
        (strategy.to_string(), AnyStrategy::Ranking(strategy.clone()).describe(), strategy.hash(), strategy.timeframe);
    let computed = tokio::task::spawn_blocking(move || run_over(market, &strategy, (from_ms, to_ms), &terms));
    let computed = computed.await.context("the backtest broke off")?.map_err(|e| CliError::Usage(e.to_string()))?;
    let (panel, results) = (&computed.market.panel, &computed.results);
    warn(panel, results, to_ms);
    if let Some(path) = &options.equity {
        write(path, equity_csv(&computed.track, terms.initial_capital)?)?;
    }
    if let Some(path) = &options.weights {
        write(path, weights_csv(&computed.track, panel)?)?;
    }
    if let Some(path) = &options.report {
        let page = PortfolioReport {
            name: name.map_or_else(|| format!("ranking {}", &hash.to_string()[..12]), str::to_owned),
            strategy: text.clone(),
            words,
            hash: hash.to_string(),
            market: window.market(),
            timeframe,
            window_ms: (from_ms, to_ms),
            terms,
            data_version: computed.market.data_version.clone(),
            code_version: crate::CODE_VERSION.to_owned(),
            performance: &results.performance,
            record: &computed.record(),
            simulated: ctx.config().market.source.is_simulated(),
            made_at_ms: ctx.clock.now_ms(),
            made_by: env!("CARGO_PKG_VERSION").to_owned(),
        };
        write(path, portfolio_html(&page))?;
    }
    let report = Report {
        name,
        hash,
        strategy: text,
        window: WindowNames {
            market: window.market(),
            interval: window.interval(),
            from: iso(from_ms),
            to: iso(to_ms),
            instruments: panel.instruments().len(),
            data_version: &computed.market.data_version,
            terms,
        },
        results,
    };
    let written = if json { output::json(&report) } else { output::text(lines(&report, &asked.remarks())) };
    Ok(written.context("standard output")?)
}

/// What a reader should know before believing the figures.
fn warn(panel: &Panel, results: &Results, to_ms: i64) {
    if panel.end_ms() < to_ms {
        tracing::warn!("the last cached candle closes at {}; statistics end there", iso(panel.end_ms()));
    }
    if results.figures.empty_rebalances > 0 {
        tracing::warn!(
            "{} of {} rebalances had fewer than two ranked members and held nothing",
            results.figures.empty_rebalances,
            results.figures.rebalances
        );
    }
    if let Some(time_ms) = results.figures.liquidated_ms {
        tracing::warn!("everything was liquidated at {}", iso(time_ms));
    }
}

fn write(path: &Path, text: String) -> Result<(), CliError> {
    Ok(std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?)
}

/// Numbers in the shortest form that reads back to the same bits.
fn equity_csv(track: &Track, capital: f64) -> Result<String, CliError> {
    let rows = track.slots.iter().map(|slot| (slot.time_ms, slot.equity / capital));
    Ok(csv_of(&["time_ms", "equity"], rows)?)
}

fn weights_csv(track: &Track, panel: &Panel) -> Result<String, CliError> {
    let of = |r: &portfolio::Rebalance| {
        let time_ms = r.time_ms;
        let row = move |(i, target): (u32, f64)| (time_ms, panel.instruments()[i as usize].id().to_string(), target);
        r.targets.clone().into_iter().map(row)
    };
    Ok(csv_of(&["time_ms", "instrument", "target"], track.rebalances.iter().flat_map(of))?)
}

fn csv_of<T: Serialize>(header: &[&str], rows: impl Iterator<Item = T>) -> anyhow::Result<String> {
    // Written by itself, so that a file without rows has a header, too.
    let mut csv = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    csv.write_record(header)?;
    for row in rows {
        csv.serialize(row)?;
    }
    Ok(String::from_utf8(csv.into_inner()?)?)
}

fn lines(report: &Report<'_>, remarks: &str) -> String {
    let (performance, r) = (&report.results.performance, &report.results.figures);
    let mut text = format!("{}\n# {}\n{remarks}\n", report.strategy, report.hash);
    text.push_str(&performance_lines(performance));
    let rows = [
        ("hedged sharpe", number(r.hedged.sharpe_ratio)),
        ("mean beta", number(r.hedged.mean_beta)),
        ("turnover a day", percent(r.turnover_per_day)),
        ("mean gross", percent(r.mean_gross)),
        ("mean net", percent(r.mean_net)),
        ("mean names", number(r.mean_names)),
        ("rebalances", r.rebalances.to_string()),
        ("long leg", percent(Some(r.long_gain))),
        ("short leg", percent(Some(r.short_gain))),
        ("equal weight", format!("{} ({})", percent(r.equal_weight.total_return), number(r.equal_weight.sharpe_ratio))),
    ];
    text.extend(rows.iter().map(|(name, value)| format!("{name:<14} {value:>12}\n")));
    if let Some(btc) = &r.btc {
        let value = format!("{} ({})", percent(btc.total_return), number(btc.sharpe_ratio));
        text.push_str(&format!("{:<14} {value:>12}\n", "bitcoin"));
    }
    let mut table = output::table();
    table.set_header(["year", "return", "sharpe", "hedged", "hedged sharpe", "drawdown", "members"]);
    for y in &r.years {
        table.add_row([
            y.year.to_string(),
            percent(y.total_return),
            number(y.sharpe_ratio),
            percent(y.hedged_return),
            number(y.hedged_sharpe_ratio),
            percent(y.max_drawdown),
            number(y.mean_members),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    text.push_str(&format!("\n{table}\n"));
    let (best, rest) = r.attribution.split_at(MAX_NAMES.min(r.attribution.len()));
    let worst = &rest[rest.len().saturating_sub(MAX_NAMES)..];
    for (what, names) in [("best", best), ("worst", worst)] {
        let names: Vec<String> = names.iter().map(|a| format!("{} {}", a.instrument, percent(Some(a.total)))).collect();
        text.push_str(&format!("{what:<6} {}\n", names.join(", ")));
    }
    text
}

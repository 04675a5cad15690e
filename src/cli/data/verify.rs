//! `sg-ai data verify`: is what is cached sound.

use super::progress::steps_bar;
use super::selection::Selection;
use crate::cli::{CliError, Context, format::minute, output};
use anyhow::{Context as _, anyhow};
use candles::cuts::cuts_of_nothing;
use candles::quality::Severity;
use candles::stored::SeriesCheck;
use clap::Args;
use market::verify::verify;
use report::{DataQuality, render_quality};

/// Findings shown for one series as text; JSON has all.
const MAX_SHOWN: usize = 20;

/// Check what is cached
#[derive(Args, Debug)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    selection: Selection,
    /// Write the report as one HTML file, too
    #[arg(long, value_name = "FILE")]
    html: Option<std::path::PathBuf>,
    /// Print JSON, with every finding
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: VerifyArgs, ctx: &Context) -> Result<(), CliError> {
    let cache = ctx.cache_to_read()?;
    let policy = &ctx.config().market.quality;
    let table = ctx.instruments()?;
    let coverage = args.selection.coverage(&cache).await?;
    let bar = steps_bar(coverage.len());
    let mut checks = Vec::with_capacity(coverage.len());
    for series in &coverage {
        bar.set_message(format!("{} {} {}", series.ticker.market, series.ticker.symbol, series.interval));
        checks.push(verify(&cache, series, policy, &table).await.context("candle cache")?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    if ctx.config().market.instruments_file.is_some() && args.selection.is_everything() {
        // Of the built-in table most are not cached by most people.
        let listed = |ticker: &str| coverage.iter().any(|c| c.ticker.symbol.as_str() == ticker);
        for ticker in cuts_of_nothing(&table, listed) {
            tracing::warn!("the table of instruments cuts {ticker}, of which no candle is cached: is its name right?");
        }
    }
    if let Some(path) = &args.html {
        let page = render_quality(&DataQuality::from(&checks[..]), ctx.clock.now_ms());
        std::fs::write(path, page).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if args.json { output::json(&checks) } else { output::text(lines(&checks)) }.context("standard output")?;
    match checks.iter().filter(|c| !c.fit_for_evidence).count() {
        0 => Ok(()),
        unfit => Err(CliError::Failed(anyhow!("{unfit} of {} series are not fit for evidence", checks.len()))),
    }
}

fn lines(checks: &[SeriesCheck]) -> String {
    let mut text = String::new();
    for check in checks {
        let verdict = match check.report.worst() {
            None => "sound",
            Some(Severity::Note) => "sound, with notes",
            Some(Severity::Warning) => "usable, with warnings",
            Some(Severity::Error) => "not fit for evidence",
        };
        let (rows, expected) = (check.report.candles, check.report.expected);
        let (market, symbol, interval) = (check.market, &check.symbol, check.interval);
        text.push_str(&format!("{market} {symbol} {interval}: {rows} of {expected} candles, {verdict}\n"));
        for finding in check.report.findings.iter().take(MAX_SHOWN) {
            let severity = match finding.severity {
                Severity::Note => "note",
                Severity::Warning => "warning",
                Severity::Error => "error",
            };
            text.push_str(&format!("  {severity:<7} {}  {}\n", minute(finding.from_ms), finding.detail));
        }
        for cut in &check.contradicted_cuts {
            text.push_str(&format!("  table   {}\n", cut.detail));
        }
        for cut in &check.proposed_cuts {
            text.push_str(&format!(
                "  another instrument? to be added to the table of instruments:\n    {}\n",
                cut.line
            ));
        }
        let more = check.report.findings.len().saturating_sub(MAX_SHOWN);
        if more > 0 {
            text.push_str(&format!("  and {more} more; --json shows all\n"));
        }
    }
    if checks.is_empty() {
        text.push_str("nothing of that is cached\n");
    }
    text
}

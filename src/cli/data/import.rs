//! `sg-ai data import`: dump archives into the cache.

use super::super::{CliError, Context, output};
use super::{cache, progress};
use crate::market::MarketKind;
use crate::market::dumps::{ImportError, ImportOptions, ImportReport, find_archives, import};
use anyhow::{Context as _, anyhow};
use clap::Args;
use std::path::PathBuf;

/// Import Binance dump archives
#[derive(Args, Debug)]
pub(super) struct ImportArgs {
    /// Directory, searched with all below it, or one archive
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Market of archives whose path names neither spot nor um
    #[arg(long, value_name = "MARKET")]
    market: Option<MarketKind>,
    /// Print the whole report as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: ImportArgs, ctx: &Context) -> Result<(), CliError> {
    let archives = find_archives(&args.path).map_err(|e| match e {
        e @ ImportError::NothingFound { .. } => CliError::usage(e),
        e => CliError::Failed(e.into()),
    })?;
    let options = ImportOptions { market: args.market, now_ms: ctx.clock.now_ms() };
    let cache = cache(ctx)?;
    let bar = progress(archives.len());
    let report = import(&cache, &archives, options, |file| {
        bar.set_message(file.path.rsplit('/').next().unwrap_or_default().to_owned());
        bar.inc(1);
    });
    let report = report.await.context("import");
    bar.finish_and_clear();
    let report = report?;
    if args.json { output::json(&report) } else { output::text(lines(&report)) }.context("standard output")?;
    if report.has_errors() {
        let (files, rows) = (report.files_refused, report.rows_refused);
        return Err(CliError::Failed(anyhow!("{files} files and {rows} rows were refused; the rest is imported")));
    }
    Ok(())
}

fn lines(report: &ImportReport) -> String {
    let mut text = String::new();
    for file in &report.files {
        for problem in &file.problems {
            let line = problem.line.map(|n| format!(":{n}")).unwrap_or_default();
            text.push_str(&format!("{}{line}: {}\n", file.path, problem.what));
        }
    }
    let (files, merge) = (report.files_imported, &report.merge);
    let (new, replaced, same) = (merge.added, merge.replaced, merge.unchanged);
    text.push_str(&format!(
        "{files} files, {} rows: {new} new candles, {replaced} replaced, {same} there already; {} missing inside files\n",
        report.rows, report.missing
    ));
    text
}

//! `sg-ai data import`: dump archives, and other programs' files, into the cache.

use super::progress::steps_bar;
use crate::cli::{CliError, Context, output};
use anyhow::{Context as _, anyhow};
use candles::{Interval, MarketKind, Symbol};
use clap::Args;
use market::dumps::{FileReport, ImportOptions, ImportReport, find_archives, import};
use market::foreign::{ForeignOptions, Mapping, find_files, import_foreign};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Import Binance dump archives, or other programs' files
#[derive(Args, Debug)]
pub(super) struct ImportArgs {
    /// Directory, searched with all below it, or one archive
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Market of files whose path or name says none; with --mapping, in place of the mapping's
    #[arg(long, value_name = "MARKET")]
    market: Option<MarketKind>,
    /// Read other programs' files: mt5, freqtrade_feather, freqtrade_json, or one of market.mapping_file
    #[arg(long, value_name = "NAME")]
    mapping: Option<String>,
    /// Symbol of files whose name does not say
    #[arg(long, value_name = "SYMBOL", requires = "mapping")]
    symbol: Option<Symbol>,
    /// Interval of files whose name does not say
    #[arg(long, value_name = "INTERVAL", requires = "mapping")]
    interval: Option<Interval>,
    /// Print the whole report as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: ImportArgs, ctx: &Context) -> Result<(), CliError> {
    let mapping = args.mapping.as_ref().map(|name| mapping(name, ctx)).transpose()?;
    let files = match &mapping {
        Some(mapping) => find_files(&args.path, mapping),
        None => find_archives(&args.path),
    };
    let files = files.context("nothing is imported")?;
    let now_ms = ctx.clock.now_ms();
    let cache = ctx.cache()?;
    let bar = steps_bar(files.len());
    let on_file = |file: &FileReport| {
        bar.set_message(file.path.rsplit('/').next().unwrap_or_default().to_owned());
        bar.inc(1);
    };
    let report = match &mapping {
        Some(mapping) => {
            let (market, symbol, interval) = (args.market, args.symbol, args.interval);
            let options = ForeignOptions { market, symbol, interval, now_ms };
            import_foreign(&cache, &files, mapping, &options, on_file).await
        }
        None => import(&cache, &files, ImportOptions { market: args.market, now_ms }, on_file).await,
    };
    let report = report.context("import");
    bar.finish_and_clear();
    let report = report?;
    if args.json { output::json(&report) } else { output::text(lines(&report)) }.context("standard output")?;
    if report.has_errors() {
        let (files, rows) = (report.files_refused, report.rows_refused);
        return Err(CliError::Failed(anyhow!("{files} files and {rows} rows were refused; the rest is imported")));
    }
    Ok(())
}

/// A mapping of the configuration, or a built-in one.
fn mapping(name: &str, ctx: &Context) -> Result<Mapping, CliError> {
    let mut known = Mapping::built_in();
    if let Some(path) = &ctx.config().market.mapping_file {
        let said =
            |why: &dyn std::fmt::Display| CliError::Usage(format!("market.mapping_file {}: {why}", path.display()));
        let bytes = std::fs::read(path).map_err(|e| said(&e))?;
        let text = market::text::decode(&bytes).map_err(|e| said(&e))?;
        let own: BTreeMap<String, Mapping> = toml::from_str(&text).map_err(|e| said(&e))?;
        known.extend(own);
    }
    known.get(name).cloned().ok_or_else(|| {
        let names: Vec<&str> = known.keys().map(String::as_str).collect();
        CliError::Usage(format!("there is no mapping {name:?}; there are {}", names.join(", ")))
    })
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

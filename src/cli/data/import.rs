//! `sg-ai data import`: dump archives, and other programs' files, into the cache.

use super::progress::steps_bar;
use crate::cli::{CliError, Context, output};
use anyhow::{Context as _, anyhow};
use candles::{Interval, MarketKind, Symbol};
use clap::Args;
use market::dumps::{FileReport, ImportOptions, ImportReport, Product, Severity, find_archives, import};
use market::foreign::{ForeignOptions, Mapping, find_files, import_foreign};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Warnings shown as text; JSON has all.
const MAX_WARNINGS_SHOWN: usize = 20;
/// Errors shown as text; JSON has all.
const MAX_ERRORS_SHOWN: usize = 200;

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
    let (mut warnings, mut errors) = (0, 0);
    for file in &report.files {
        for problem in &file.problems {
            let (count, most) = match problem.severity {
                Severity::Error => (&mut errors, MAX_ERRORS_SHOWN),
                _ => (&mut warnings, MAX_WARNINGS_SHOWN),
            };
            *count += 1;
            if *count <= most {
                let line = problem.line.map(|n| format!(":{n}")).unwrap_or_default();
                text.push_str(&format!("{}{line}: {}\n", file.path, problem.what));
            }
        }
    }
    for (count, most, what) in [(errors, MAX_ERRORS_SHOWN, "errors"), (warnings, MAX_WARNINGS_SHOWN, "warnings")] {
        if count > most {
            text.push_str(&format!("and {} {what} more; --json has all\n", count - most));
        }
    }
    let symbols = |product: Product, market: MarketKind| {
        let of = report.files.iter().filter(|f| f.imported && f.product == product && f.market == Some(market));
        of.filter_map(|f| f.symbol.as_ref()).collect::<BTreeSet<_>>().len()
    };
    let merge = &report.merge;
    let candle_files = report.files.iter().filter(|f| f.imported && f.product == Product::Candles).count();
    if candle_files > 0 || report.values.is_empty() {
        let [spot, um] = [MarketKind::Spot, MarketKind::Um].map(|market| symbols(Product::Candles, market));
        text.push_str(&format!(
            "{candle_files} files of candles ({spot} symbols of spot, {um} of um): {} new candles, {} replaced, {} there \
             already; {} missing inside files\n",
            merge.added, merge.replaced, merge.unchanged, report.missing
        ));
    }
    for (product, counts) in &report.values {
        let name = product.part().map(|part| part.to_string()).unwrap_or_default();
        text.push_str(&format!(
            "{} files of {name} ({} symbols): {} new, {} replaced, {} there already\n",
            counts.files,
            symbols(*product, MarketKind::Um),
            counts.added,
            counts.replaced,
            counts.unchanged
        ));
    }
    text.push_str(&format!("{} rows of {} files", report.rows, report.files_imported));
    if report.has_errors() {
        text.push_str(&format!("; {} files and {} rows were refused", report.files_refused, report.rows_refused));
    }
    text.push('\n');
    text
}

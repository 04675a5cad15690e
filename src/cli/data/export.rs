//! `sg-ai data export`: candles as a file for other programs.

use crate::cli::{
    CliError, Context,
    input::{distinct, time_ms},
    output,
};
use anyhow::Context as _;
use candles::{Interval, MarketKind, Symbol, Ticker};
use clap::Args;
use market::export::{ExportError, ExportSpec, Exported, Format, Packing, export};
use std::path::PathBuf;

/// Write cached candles as Parquet or CSV
#[derive(Args, Debug)]
pub(super) struct ExportArgs {
    /// Symbols, separated by commas [default: all that have candles of the interval]
    #[arg(long, value_name = "SYMBOLS", value_delimiter = ',')]
    symbols: Vec<Symbol>,
    /// Market: spot or um
    #[arg(long, value_name = "MARKET", default_value = "spot")]
    market: MarketKind,
    /// Interval of the candles
    #[arg(long, value_name = "INTERVAL")]
    interval: Interval,
    /// First candle: a date (UTC midnight) or a time such as 2024-04-01T12:00:00Z [default: the first cached]
    #[arg(long, value_name = "TIME", value_parser = time_ms)]
    from: Option<i64>,
    /// End, exclusive [default: behind the last cached]
    #[arg(long, value_name = "TIME", value_parser = time_ms)]
    to: Option<i64>,
    /// parquet or csv
    #[arg(long, value_name = "FORMAT", default_value = "parquet")]
    format: Format,
    /// none, gzip, zstd or snappy [default: zstd for parquet, none for csv]
    #[arg(long, value_name = "COMPRESSION")]
    compression: Option<Packing>,
    /// File for all symbols; a directory (one that is there, or a name that ends with /) gets a file a symbol
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: ExportArgs, ctx: &Context) -> Result<(), CliError> {
    if args.to.zip(args.from).is_some_and(|(to, from)| to <= from) {
        return Err(CliError::Usage("--from must be before --to".into()));
    }
    distinct("--symbols", &args.symbols)?;
    let cache = ctx.cache_to_read()?;
    let mut symbols = args.symbols;
    if symbols.is_empty() {
        for symbol in cache.symbols(args.market).await.context("candle cache")? {
            let stored = cache.stored_intervals(&Ticker::of(args.market, &symbol)).await.context("candle cache")?;
            if stored.contains(&args.interval) {
                symbols.push(symbol);
            }
        }
    }
    if symbols.is_empty() {
        let (market, interval) = (args.market, args.interval);
        return Err(CliError::Failed(anyhow::anyhow!("no symbol of {market} has candles of {interval} in the cache")));
    }
    let spec = ExportSpec {
        market: args.market,
        symbols,
        interval: args.interval,
        from_ms: args.from.unwrap_or(i64::MIN),
        to_ms: args.to.unwrap_or(i64::MAX),
        format: args.format,
        packing: args.compression.unwrap_or(args.format.usual_packing()),
    };
    let written = export(&cache, &spec, &args.out).await.map_err(|e| match e {
        ExportError::SnappyCsv => CliError::usage(e),
        other => CliError::Failed(other.into()),
    })?;
    let told = if args.json { output::json(&written) } else { output::text(lines(&written)) };
    Ok(told.context("standard output")?)
}

fn lines(written: &[Exported]) -> String {
    let line = |file: &Exported| {
        let candles: u64 = file.symbols.iter().map(|(_, candles)| candles).sum();
        let (path, symbols, mb) = (file.path.display(), file.symbols.len(), file.bytes as f64 / 1e6);
        format!("{path}: {candles} candles of {symbols} symbols, {mb:.1} MB\n")
    };
    written.iter().map(line).collect()
}

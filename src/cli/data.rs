//! `sg-ai data`: what is in the candle cache, and how it gets there.

mod affected;
mod download;
mod import;
mod list;
mod progress;
mod snapshot;
mod verify;

use super::{CliError, Context};
use anyhow::Context as _;
use candles::{Interval, MarketKind, Symbol};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use market::CandleCache;
use market::cache::Coverage;

/// What to do with the candle cache.
#[derive(Args, Debug)]
pub struct DataArgs {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Debug, Subcommand)]
enum DataCommand {
    /// Import Binance dump archives (SYMBOL-INTERVAL-YYYY-MM[-DD].zip), or other programs' files, from a directory
    Import(import::ImportArgs),
    /// Download closed candles (and funding payments) that the cache lacks; an interrupted download goes on
    Download(download::DownloadArgs),
    /// Show what is cached
    List(list::ListArgs),
    /// Freeze what is cached under a name: a manifest of contents, no copy
    Snapshot(snapshot::SnapshotArgs),
    /// Tell what differs between two snapshots, or since one, candle by candle
    Diff(snapshot::DiffArgs),
    /// Tell which strategies, backtests, sessions and deployments rest on candles that were revised since
    Affected(affected::AffectedArgs),
    /// Remove former contents that no snapshot needs, and old snapshots; keep the cache within a budget
    Prune(snapshot::PruneArgs),
    /// Check what is cached: damage, gaps, impossible values, stale runs, jumps, intervals that disagree
    Verify(verify::VerifyArgs),
}

/// Runs `sg-ai data`.
///
/// # Errors
/// As the subcommand: 2 for a wrong request, 1 when something could not be done or was found wrong.
pub async fn run(args: DataArgs, ctx: &Context) -> Result<(), CliError> {
    match args.command {
        DataCommand::Import(args) => import::run(args, ctx).await,
        DataCommand::Download(args) => download::run(args, ctx).await,
        DataCommand::List(args) => list::run(args, ctx).await,
        DataCommand::Snapshot(args) => snapshot::take(args, ctx).await,
        DataCommand::Diff(args) => snapshot::diff(args, ctx).await,
        DataCommand::Affected(args) => affected::run(args, ctx).await,
        DataCommand::Prune(args) => snapshot::prune(args, ctx).await,
        DataCommand::Verify(args) => verify::run(args, ctx).await,
    }
}

/// The candle cache in the data directory.
///
/// # Errors
/// When it cannot be opened.
pub(super) fn cache(ctx: &Context) -> Result<CandleCache, CliError> {
    let dir = ctx.data_dir().join("candles");
    Ok(CandleCache::open_configured(&dir, &ctx.config().market).context("candle cache")?)
}

/// Which stored series; everything where nothing is said.
#[derive(Args, Clone, Debug)]
struct Selection {
    /// Symbols, separated by commas [default: all]
    #[arg(long, value_name = "SYMBOLS", value_delimiter = ',')]
    symbols: Vec<Symbol>,
    /// Market: spot or um [default: both]
    #[arg(long, value_name = "MARKET")]
    market: Option<MarketKind>,
    /// Intervals, separated by commas [default: all]
    #[arg(long, value_name = "INTERVALS", value_delimiter = ',')]
    intervals: Vec<Interval>,
}

impl Selection {
    /// The stored series that are meant.
    async fn coverage(&self, cache: &CandleCache) -> Result<Vec<Coverage>, CliError> {
        let mut all = cache.coverage().await.context("candle cache")?;
        all.retain(|c| {
            (self.symbols.is_empty() || self.symbols.contains(&c.symbol))
                && self.market.is_none_or(|market| market == c.market)
                && (self.intervals.is_empty() || self.intervals.contains(&c.interval))
        });
        Ok(all)
    }
}

/// A bar on standard error, drawn only where that is a terminal.
fn progress(steps: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {elapsed}, {eta} left  {msg}");
    ProgressBar::new(steps as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// A time as `2024-04-01 12:00`, UTC.
fn minute(time_ms: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(time_ms);
    time.map_or_else(|| time_ms.to_string(), |t| t.format("%Y-%m-%d %H:%M").to_string())
}

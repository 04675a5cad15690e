//! `sg-ai data`: what is in the candle cache, and how it gets there.

mod affected;
mod download;
mod export;
mod import;
mod instruments;
mod list;
mod progress;
mod selection;
mod snapshot;
mod universe;
mod verify;

use super::{CliError, Context};
use clap::{Args, Subcommand};

/// What to do with the candle cache.
#[derive(Args, Debug)]
pub(crate) struct DataArgs {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Debug, Subcommand)]
enum DataCommand {
    /// Import Binance dump archives (candles, funding, premium index, metrics), or other programs' files, from a directory
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
    /// Show the table of instruments: where tickers were cut, and which no universe has
    Instruments(instruments::InstrumentsArgs),
    /// Tell who belonged to a universe at a time, and why the others did not
    Universe(universe::UniverseArgs),
    /// Write cached candles as Parquet or CSV, for other programs
    Export(export::ExportArgs),
}

/// Runs `sg-ai data`.
///
/// # Errors
/// As the subcommand: 2 for a wrong request, 1 when something could not be done or was found wrong.
pub(crate) async fn run(args: DataArgs, ctx: &Context) -> Result<(), CliError> {
    match args.command {
        DataCommand::Import(args) => import::run(args, ctx).await,
        DataCommand::Download(args) => download::run(args, ctx).await,
        DataCommand::List(args) => list::run(args, ctx).await,
        DataCommand::Snapshot(args) => snapshot::take(args, ctx).await,
        DataCommand::Diff(args) => snapshot::diff(args, ctx).await,
        DataCommand::Affected(args) => affected::run(args, ctx).await,
        DataCommand::Prune(args) => snapshot::prune(args, ctx).await,
        DataCommand::Verify(args) => verify::run(args, ctx).await,
        DataCommand::Instruments(args) => instruments::run(&args, ctx),
        DataCommand::Universe(args) => universe::run(args, ctx).await,
        DataCommand::Export(args) => export::run(args, ctx).await,
    }
}

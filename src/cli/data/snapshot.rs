//! `sg-ai data snapshot`, `diff` and `prune`: what the cache held, by content.

use crate::cli::{CliError, Context, format::minute, output};
use crate::usecases::cache_budget;
use crate::usecases::database::Database;
use anyhow::Context as _;
use candles::stored::CandleRange;
use clap::Args;
use comfy_table::{CellAlignment, Table, presets::NOTHING};
use market::CandleCache;
use market::budget::{Freed, InUse, keep_within};
use market::snapshot::{self, MonthChange, MonthDiff, NOW, Pruned, Snapshot, SnapshotError, ValuesChange, ValuesDiff};
use serde::Serialize;

/// Revised candles shown for one month as text; JSON has all.
const MAX_SHOWN: usize = 10;

/// Freeze what is cached under a name
#[derive(Args, Debug)]
pub(super) struct SnapshotArgs {
    /// Name [default: vN_YYYY_MM_DD by today's date]
    name: Option<String>,
    /// Print JSON, with every month
    #[arg(long)]
    json: bool,
}

/// Tell what differs between two snapshots, or since one
#[derive(Args, Debug)]
pub(super) struct DiffArgs {
    /// The older one: a name, or current
    #[arg(default_value = "current")]
    a: String,
    /// The newer one: a name, or cache for what is stored now
    #[arg(default_value = NOW)]
    b: String,
    /// Print JSON, with every revised candle
    #[arg(long)]
    json: bool,
}

/// Remove what no snapshot needs
#[derive(Args, Debug)]
pub(super) struct PruneArgs {
    /// Keep only the newest N snapshots (the current one always stays) [default: all]
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
    /// Remove stored months, oldest first, until the candles take at most so many MB: only what can be fetched again, and
    /// neither what a snapshot holds nor what a stored result was computed from [default: market.cache_budget_mb]
    #[arg(long, value_name = "MB")]
    budget_mb: Option<u64>,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Errors of snapshots: a wrong name is a wrong request.
pub(super) fn refused(error: SnapshotError) -> CliError {
    match error {
        SnapshotError::Unknown(_) | SnapshotError::Name(_) | SnapshotError::Taken(_) => CliError::usage(error),
        other => CliError::Failed(other.into()),
    }
}

/// A snapshot, or what is stored now.
pub(super) async fn named(cache: &CandleCache, name: &str, now_ms: i64) -> Result<Snapshot, CliError> {
    let found = if name == NOW { snapshot::of_cache(cache, now_ms).await } else { snapshot::find(cache, name).await };
    found.map_err(refused)
}

pub(super) async fn take(args: SnapshotArgs, ctx: &Context) -> Result<(), CliError> {
    let cache = ctx.cache()?;
    let taken = snapshot::take(&cache, args.name.as_deref(), ctx.clock.now_ms()).await.map_err(refused)?;
    let written = if args.json {
        output::json(&taken)
    } else {
        let series = taken.series.len() + taken.values.as_ref().map_or(0, Vec::len);
        let (rows, values, version) = (taken.rows(), taken.value_rows(), &taken.version[..16]);
        let values = if values == 0 { String::new() } else { format!(", {values} payments and readings") };
        output::line(format!("{}: {series} series, {rows} candles{values}, version {version}", taken.name))
    };
    Ok(written.context("standard output")?)
}

pub(super) async fn diff(args: DiffArgs, ctx: &Context) -> Result<(), CliError> {
    let cache = ctx.cache_to_read()?;
    let now_ms = ctx.clock.now_ms();
    let (a, b) = (named(&cache, &args.a, now_ms).await?, named(&cache, &args.b, now_ms).await?);
    let found = snapshot::diff(&cache, &a, &b).await.map_err(refused)?;
    let values = snapshot::diff_values(&cache, &a, &b).await.map_err(refused)?;
    let written = if args.json {
        let candles = found.into_iter().map(Differing::Candles);
        output::json(&candles.chain(values.into_iter().map(Differing::Values)).collect::<Vec<_>>())
    } else if found.is_empty() && values.is_empty() {
        output::line(format!("{} and {} hold the same", a.name, b.name))
    } else {
        output::text(lines(&found) + &value_lines(&values))
    };
    Ok(written.context("standard output")?)
}

/// A month that differs, of candles or of what stands beside them.
#[derive(Serialize)]
#[serde(untagged)]
enum Differing {
    Candles(MonthDiff),
    Values(ValuesDiff),
}

fn lines(found: &[MonthDiff]) -> String {
    let mut text = String::new();
    for d in found {
        text.push_str(&format!("{} {} {} {}: ", d.ticker.market, d.ticker.symbol, d.interval, d.month));
        match &d.change {
            MonthChange::Added => text.push_str("new\n"),
            MonthChange::Removed => text.push_str("gone\n"),
            MonthChange::Grown { candles } => text.push_str(&format!("{candles} candles more\n")),
            MonthChange::Unknown => text.push_str("differs, but its former content is no longer kept\n"),
            MonthChange::Revised { candles, added } => {
                text.push_str(&format!("{} candles revised, {added} more\n", candles.len()));
                for r in candles.iter().take(MAX_SHOWN) {
                    let now = r.new.map_or("gone".to_owned(), |c| ohlcv(&c));
                    text.push_str(&format!("  {}  {} -> {now}\n", minute(r.open_time_ms), ohlcv(&r.old)));
                }
                if candles.len() > MAX_SHOWN {
                    text.push_str(&format!("  and {} more; --json shows all\n", candles.len() - MAX_SHOWN));
                }
            }
        }
    }
    text
}

fn value_lines(found: &[ValuesDiff]) -> String {
    let mut text = String::new();
    let number = |value: &Option<f64>| value.map_or("-".to_owned(), |v| v.to_string());
    let row = |values: &[Option<f64>]| values.iter().map(number).collect::<Vec<_>>().join(" ");
    for d in found {
        text.push_str(&format!("{} {} {} {}: ", d.ticker.market, d.ticker.symbol, d.part, d.month));
        match &d.change {
            ValuesChange::Added => text.push_str("new\n"),
            ValuesChange::Removed => text.push_str("gone\n"),
            ValuesChange::Grown { values } => text.push_str(&format!("{values} values more\n")),
            ValuesChange::Unknown => text.push_str("differs, and one of its contents is no longer kept\n"),
            ValuesChange::Revised { payments, readings, added } => {
                let gone = || "gone".to_owned();
                let payments = payments
                    .iter()
                    .map(|p| (p.time_ms, p.old.to_string(), p.new.map_or_else(gone, |rate| rate.to_string())));
                let readings =
                    readings.iter().map(|r| (r.time_ms, row(&r.old), r.new.as_deref().map_or_else(gone, row)));
                let all: Vec<_> = payments.chain(readings).collect();
                text.push_str(&format!("{} values revised, {added} more\n", all.len()));
                for (time_ms, old, new) in all.iter().take(MAX_SHOWN) {
                    text.push_str(&format!("  {}  {old} -> {new}\n", minute(*time_ms)));
                }
                if all.len() > MAX_SHOWN {
                    text.push_str(&format!("  and {} more; --json shows all\n", all.len() - MAX_SHOWN));
                }
            }
        }
    }
    text
}

fn ohlcv(c: &candles::Candle) -> String {
    format!("o {} h {} l {} c {} v {}", c.open, c.high, c.low, c.close, c.volume)
}

/// Keeps the cache within a budget. The database, which knows what is in use, is asked only where something must go.
pub(super) async fn within(
    ctx: &Context,
    cache: &CandleCache,
    budget_bytes: u64,
    asked_for: &[CandleRange],
    dry_run: bool,
) -> Result<Freed, CliError> {
    let mut in_use = InUse::default();
    if cache.size_bytes().await.context("candle cache")? > budget_bytes {
        let config = ctx.config();
        let opened = Database::open(config).await?;
        let found = cache_budget::in_use(cache, &opened.store, config.daemon.market, &config.daemon).await;
        opened.close().await;
        in_use = found?;
    }
    in_use.held.extend_from_slice(asked_for);
    keep_within(cache, budget_bytes, &in_use, dry_run).await.map_err(refused)
}

/// What pruning removed.
#[derive(Serialize)]
struct PruneReport {
    #[serde(flatten)]
    pruned: Pruned,
    evicted: Vec<String>,
    evicted_bytes: u64,
    dry_run: bool,
}

pub(super) async fn prune(args: PruneArgs, ctx: &Context) -> Result<(), CliError> {
    let cache = ctx.cache()?;
    let pruned = snapshot::prune(&cache, args.keep, args.dry_run).await.map_err(refused)?;
    let budget_mb = args.budget_mb.unwrap_or(ctx.config().market.cache_budget_mb);
    let mut report = PruneReport { pruned, evicted: Vec::new(), evicted_bytes: 0, dry_run: args.dry_run };
    if budget_mb > 0 {
        let freed = within(ctx, &cache, budget_mb << 20, &[], args.dry_run).await?;
        report.evicted_bytes = freed.freed_bytes;
        report.evicted = freed.evicted.into_iter().map(|e| e.path).collect();
        report.pruned.contents.extend(freed.contents);
    }
    let written = if args.json {
        output::json(&report)
    } else {
        let verb = if report.dry_run { "would remove" } else { "removed" };
        let (snapshots, contents) = (report.pruned.snapshots.len(), report.pruned.contents.len());
        let (months, mb) = (report.evicted.len(), report.evicted_bytes as f64 / 1e6);
        output::line(format!(
            "{verb} {snapshots} snapshots, {contents} former contents of months, {months} months ({mb:.1} MB)"
        ))
    };
    Ok(written.context("standard output")?)
}

/// Snapshots as a table, the current one marked.
pub(super) fn table(all: &[Snapshot], current: Option<&str>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["snapshot", "taken", "series", "candles", "values", "version", ""]);
    for s in all {
        let mark = if Some(s.name.as_str()) == current { "current" } else { "" };
        let series = (s.series.len() + s.values.as_ref().map_or(0, Vec::len)).to_string();
        let (rows, values) = (s.rows().to_string(), s.value_rows().to_string());
        table.add_row([
            s.name.as_str(),
            &minute(s.taken_at_ms),
            &series,
            &rows,
            &values,
            &s.version[..s.version.len().min(16)],
            mark,
        ]);
    }
    for i in [2, 3, 4] {
        if let Some(column) = table.column_mut(i) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

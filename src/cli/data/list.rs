//! `sg-ai data list`: what is cached.

use super::selection::Selection;
use crate::cli::{CliError, Context, format::minute, output};
use anyhow::Context as _;
use clap::Args;
use comfy_table::{CellAlignment, Table, presets::NOTHING};
use market::cache::Coverage;
use market::snapshot;

/// Show what is cached
#[derive(Args, Debug)]
pub(super) struct ListArgs {
    #[command(flatten)]
    selection: Selection,
    /// Show snapshots instead
    #[arg(long)]
    snapshots: bool,
    /// Print JSON, with every month
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: ListArgs, ctx: &Context) -> Result<(), CliError> {
    let cache = ctx.cache_to_read()?;
    if args.snapshots {
        let all = snapshot::all(&cache).await.map_err(super::snapshot::refused)?;
        let current = snapshot::current(&cache).await.context("candle cache")?;
        let written = if args.json {
            output::json(&serde_json::json!({ "current": current, "snapshots": all }))
        } else {
            output::line(super::snapshot::table(&all, current.as_deref()))
        };
        return Ok(written.context("standard output")?);
    }
    let all = args.selection.coverage(&cache).await?;
    let written = if args.json {
        output::json(&all)
    } else if all.is_empty() {
        output::line(format!("nothing of that is cached in {}", cache.dir().display()))
    } else {
        output::line(table(&all))
    };
    Ok(written.context("standard output")?)
}

fn table(all: &[Coverage]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["market", "symbol", "interval", "first", "last", "candles", "missing", ""]);
    for c in all {
        let time = |ms: Option<i64>| ms.map(minute).unwrap_or_default();
        let damage = if c.damaged.is_empty() { String::new() } else { format!("{} damaged months", c.damaged.len()) };
        table.add_row([
            c.ticker.market.to_string(),
            c.ticker.symbol.to_string(),
            c.interval.to_string(),
            time(c.first_open_ms),
            time(c.last_open_ms),
            c.rows.to_string(),
            c.missing().to_string(),
            damage,
        ]);
    }
    for i in [5, 6] {
        if let Some(column) = table.column_mut(i) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

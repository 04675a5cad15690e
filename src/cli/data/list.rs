//! `sg-ai data list`: what is cached.

use super::selection::Selection;
use crate::cli::{CliError, Context, format::minute, output};
use anyhow::Context as _;
use candles::Ticker;
use clap::Args;
use comfy_table::{CellAlignment, Table, presets::NOTHING};
use market::cache::{Coverage, ValuesCoverage};
use market::snapshot;
use serde::Serialize;

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
    let candles = args.selection.coverage(&cache).await?.into_iter().map(Listed::Candles);
    let mut all: Vec<Listed> = candles.collect();
    all.extend(args.selection.values(&cache).await?.into_iter().map(Listed::Values));
    // Of one ticker candles first; each of the two is in order already.
    all.sort_by(|a, b| a.ticker().cmp(b.ticker()));
    let written = if args.json {
        output::json(&all)
    } else if all.is_empty() {
        output::line(format!("nothing of that is cached in {}", cache.dir().display()))
    } else {
        output::line(table(&all))
    };
    Ok(written.context("standard output")?)
}

/// What is cached of one ticker: candles of an interval, or funding, premium, metrics.
#[derive(Serialize)]
#[serde(untagged)]
enum Listed {
    Candles(Coverage),
    Values(ValuesCoverage),
}

impl Listed {
    fn ticker(&self) -> &Ticker {
        match self {
            Self::Candles(c) => &c.ticker,
            Self::Values(v) => &v.ticker,
        }
    }

    /// What it is, its first and last time, how much there is, how much is missing, and months that are damaged.
    fn figures(&self) -> (String, Option<i64>, Option<i64>, u64, Option<u64>, usize) {
        match self {
            Self::Candles(c) => {
                let (first, last) = (c.first_open_ms, c.last_open_ms);
                (c.interval.to_string(), first, last, c.rows, Some(c.missing()), c.damaged.len())
            }
            // How many there should be nobody says: funding is paid every so many hours, by the exchange's choice.
            Self::Values(v) => (v.part.to_string(), v.first_ms, v.last_ms, v.rows, None, v.damaged.len()),
        }
    }
}

fn table(all: &[Listed]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["market", "symbol", "series", "first", "last", "rows", "missing", ""]);
    for one in all {
        let time = |ms: Option<i64>| ms.map(minute).unwrap_or_default();
        let (what, first, last, rows, missing, damaged) = one.figures();
        table.add_row([
            one.ticker().market.to_string(),
            one.ticker().symbol.to_string(),
            what,
            time(first),
            time(last),
            rows.to_string(),
            missing.map(|n| n.to_string()).unwrap_or_default(),
            if damaged == 0 { String::new() } else { format!("{damaged} damaged months") },
        ]);
    }
    for i in [5, 6] {
        if let Some(column) = table.column_mut(i) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

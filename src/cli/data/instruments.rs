//! `sg-ai data instruments`: the table of instruments in force.

use crate::cli::{CliError, Context, output};
use anyhow::Context as _;
use candles::instrument::{Entry, Line};
use clap::Args;
use comfy_table::{Table, presets::NOTHING};
use market::version::table_sha256;
use serde::Serialize;

/// Show the table of instruments: where tickers were cut, and which no universe has
#[derive(Args, Debug)]
pub(super) struct InstrumentsArgs {
    /// Print it as a file that market.instruments_file may name, to be changed
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown<'a> {
    /// Where it comes from: a file, or the built-in one.
    source: String,
    /// Names what it says; part of the data version of every result that uses a universe.
    sha256: String,
    lines: &'a [Line],
}

pub(super) fn run(args: &InstrumentsArgs, ctx: &Context) -> Result<(), CliError> {
    let table = ctx.instruments()?;
    let source = match &ctx.config().market.instruments_file {
        Some(path) => path.display().to_string(),
        None => "built in".to_owned(),
    };
    let shown = Shown { source, sha256: table_sha256(&table), lines: table.lines() };
    let day = |line: &Line| match line.entry {
        Entry::Cut { from_ms } => {
            chrono::DateTime::from_timestamp_millis(from_ms).unwrap_or_default().format("%Y-%m-%d").to_string()
        }
        Entry::Exclude => String::new(),
    };
    let kind = |line: &Line| if line.entry == Entry::Exclude { "exclude" } else { "cut" };
    let written = if args.json {
        output::json(&shown)
    } else if args.csv {
        let rows = shown.lines.iter().map(|l| format!("{},{},{},{}\n", l.ticker, kind(l), day(l), l.reason));
        output::text(format!("{}\n{}", candles::instrument::HEADER, rows.collect::<String>()))
    } else {
        let mut rows = Table::new();
        rows.load_style(NOTHING).set_header(["ticker", "kind", "from", "reason"]);
        for line in shown.lines {
            rows.add_row([line.ticker.as_str(), kind(line), &day(line), &line.reason]);
        }
        output::text(format!("{}\n{}, SHA-256 {}\n", rows.trim_fmt(), shown.source, shown.sha256))
    };
    Ok(written.context("standard output")?)
}

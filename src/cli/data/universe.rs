//! `sg-ai data universe`: who belonged to a universe at a time, and why the others did not.

use crate::cli::{CliError, Context, format::minute, input::time_ms, output};
use crate::usecases::whole_market::{Which, load_market};
use anyhow::Context as _;
use candles::time::rfc3339;
use candles::universe::{Standing, Verdict, standings};
use candles::{CandleSeries, Interval, MarketKind, Symbol, Ticker, interval};
use clap::Args;
use comfy_table::{CellAlignment, Table, presets::NOTHING};
use genome::Universe;
use market::CandleCache;
use market::version::table_sha256;
use serde::Serialize;
use std::collections::BTreeMap;

/// 9999-01-01: behind every candle.
const END_MS: i64 = 253_370_764_800_000;

/// Tell who belonged to a universe at a time, and why the others did not
#[derive(Args, Debug)]
pub(super) struct UniverseArgs {
    /// The universe, as in a ranking strategy
    #[arg(value_name = "UNIVERSE", default_value = "top 30 by quote_volume(30d), listed 60d")]
    universe: Universe,
    /// When: a close of a candle, as a date (UTC midnight) or a time such as 2024-04-01T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time_ms)]
    at: i64,
    /// Market: spot or um
    #[arg(long, value_name = "MARKET", default_value = "spot")]
    market: MarketKind,
    /// Interval of the candles [default: the one that most symbols have]
    #[arg(long, value_name = "INTERVAL")]
    interval: Option<Interval>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    universe: String,
    at: Option<String>,
    at_ms: i64,
    market: MarketKind,
    interval: Interval,
    /// Names the table of instruments.
    instruments_sha256: String,
    /// By rank.
    members: Vec<Standing>,
    /// By what is missing, then by rank and name.
    others: Vec<Standing>,
}

pub(super) async fn run(args: UniverseArgs, ctx: &Context) -> Result<(), CliError> {
    let cache = ctx.cache_to_read()?;
    let table = ctx.instruments()?;
    let interval = match args.interval {
        Some(interval) => interval,
        None => usual_interval(&cache, args.market).await?,
    };
    if interval::open_time_ms(interval, args.at) != args.at {
        let before = minute(interval::open_time_ms(interval, args.at));
        let at = minute(args.at);
        return Err(CliError::Usage(format!(
            "no candle of {interval} closes at {at}; the last close before is {before}"
        )));
    }
    // Everything, since a name such as LUNAUSDT#1 is that of the cache as a whole; verdicts look at nothing later.
    let loaded =
        load_market(&cache, args.market, interval, END_MS, &Which::All, false).await.context("candle cache")?;
    let market: Vec<(&Symbol, &CandleSeries)> = loaded.iter().map(|s| (&s.symbol, &s.candles)).collect();
    if !market.iter().any(|(_, candles)| candles.open_times_ms().first().is_some_and(|first_ms| *first_ms < args.at)) {
        let (kind, at) = (args.market, minute(args.at));
        return Err(CliError::Failed(anyhow::anyhow!(
            "no candle of {interval} that closed by {at} is cached on {kind}"
        )));
    }
    let (members, others): (Vec<Standing>, Vec<Standing>) = standings(&args.universe, args.at, &table, &market)
        .into_iter()
        .partition(|s| matches!(s.verdict, Verdict::Member { .. }));
    let mut report = Report {
        universe: args.universe.to_string(),
        at: rfc3339(args.at),
        at_ms: args.at,
        market: args.market,
        interval,
        instruments_sha256: table_sha256(&table),
        members,
        others,
    };
    report.members.sort_by_key(|s| order(&s.verdict));
    report.others.sort_by_key(|s| order(&s.verdict));
    let written = if args.json { output::json(&report) } else { output::text(text(&report)) };
    Ok(written.context("standard output")?)
}

fn order(verdict: &Verdict) -> (u8, i64) {
    match *verdict {
        Verdict::Member { rank } => (0, i64::from(rank)),
        Verdict::Outranked { rank } => (1, i64::from(rank)),
        Verdict::ListedTooLately { days } => (2, -days),
        Verdict::NoCandle => (3, 0),
        Verdict::Excluded => (4, 0),
    }
}

/// The interval that most symbols of a market have; of several the shortest.
async fn usual_interval(cache: &CandleCache, market: MarketKind) -> Result<Interval, CliError> {
    let mut counts: BTreeMap<Interval, usize> = BTreeMap::new();
    for symbol in cache.symbols(market).await.context("candle cache")? {
        for interval in cache.stored_intervals(&Ticker::of(market, &symbol)).await.context("candle cache")? {
            *counts.entry(interval).or_default() += 1;
        }
    }
    let most = counts.values().max().copied();
    let found = counts.into_iter().find(|(_, count)| Some(*count) == most).map(|(interval, _)| interval);
    found.ok_or_else(|| {
        CliError::Failed(anyhow::anyhow!("no candle of {market} is cached; sg-ai data download brings some"))
    })
}

fn text(report: &Report) -> String {
    let since = |s: &Standing| s.listed_since_ms.map(minute).unwrap_or_default();
    let mut members = Table::new();
    members.load_style(NOTHING).set_header(["rank", "instrument", "quote volume", "listed since"]);
    for s in &report.members {
        let (rank, volume) = (order(&s.verdict).1.to_string(), format!("{:.0}", s.quote_volume));
        members.add_row([rank, s.instrument.to_string(), volume, since(s)]);
    }
    let mut others = Table::new();
    others.load_style(NOTHING).set_header(["no member", "why", "quote volume", "listed since"]);
    for s in &report.others {
        let why = match s.verdict {
            Verdict::Member { .. } => String::new(),
            Verdict::Outranked { rank } => format!("rank {rank}"),
            Verdict::ListedTooLately { days } => format!("listed for {days} days"),
            Verdict::NoCandle => "no candle closes then".to_owned(),
            Verdict::Excluded => format!("excluded: {}", s.exclusion.as_deref().unwrap_or_default()),
        };
        others.add_row([s.instrument.to_string(), why, format!("{:.0}", s.quote_volume), since(s)]);
    }
    for (table, columns) in [(&mut members, [0, 2]), (&mut others, [2, 2])] {
        for column in columns {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    let (count, all) = (report.members.len(), report.members.len() + report.others.len());
    let (kind, interval, at) = (report.market, report.interval, minute(report.at_ms));
    let head = format!("{}: {count} of {all} instruments of {kind} at {at}, candles of {interval}", report.universe);
    format!("{head}\n\n{}\n\n{}\n\ninstruments {}\n", members.trim_fmt(), others.trim_fmt(), report.instruments_sha256)
}

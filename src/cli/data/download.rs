//! `sg-ai data download`: what the cache lacks, from the exchange.

use super::super::window::time_ms;
use super::super::{CliError, Context, output};
use super::{cache, minute, progress};
use crate::market::feed::{Feed, FundingFreshness, SymbolFreshness};
use crate::market::{Binance, Interval, MarketKind, Symbol};
use anyhow::{Context as _, anyhow};
use clap::Args;
use serde::Serialize;
use std::sync::Arc;

/// Download what the cache lacks
#[derive(Args, Debug)]
pub(super) struct DownloadArgs {
    /// Symbols, separated by commas [default: daemon.symbols]
    #[arg(long, value_name = "SYMBOLS", value_delimiter = ',')]
    symbols: Vec<Symbol>,
    /// Market: spot or um; um brings funding payments, too
    #[arg(long, value_name = "MARKET", default_value = "spot")]
    market: MarketKind,
    /// Intervals, separated by commas [default: daemon.interval]
    #[arg(long, value_name = "INTERVALS", value_delimiter = ',')]
    intervals: Vec<Interval>,
    /// First candle: a date (UTC midnight) or a time such as 2024-04-01T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time_ms)]
    from: i64,
    /// End, exclusive [default: the newest closed candle]
    #[arg(long, value_name = "TIME", value_parser = time_ms)]
    to: Option<i64>,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// What a download brought.
#[derive(Debug, Serialize)]
struct Report {
    market: MarketKind,
    candles: Vec<SeriesReport>,
    funding: Vec<FundingFreshness>,
}

#[derive(Debug, Serialize)]
struct SeriesReport {
    interval: Interval,
    #[serde(flatten)]
    freshness: SymbolFreshness,
}

pub(super) async fn run(args: DownloadArgs, ctx: &Context) -> Result<(), CliError> {
    let config = ctx.config();
    if args.to.is_some_and(|to| to <= args.from) {
        return Err(CliError::Usage("--from must be before --to".into()));
    }
    let symbols = if args.symbols.is_empty() { config.daemon.symbols.clone() } else { args.symbols };
    let intervals = if args.intervals.is_empty() { vec![config.daemon.interval] } else { args.intervals };
    let exchange = Binance::new(&config.market).map_err(CliError::usage)?;
    let feed = Feed::new(Arc::new(exchange), cache(ctx)?, &config.market);

    let bar = progress(symbols.len() * intervals.len());
    let mut candles = Vec::new();
    for &interval in &intervals {
        for symbol in &symbols {
            bar.set_message(format!("{symbol} {interval}"));
            let (one, to) = (std::slice::from_ref(symbol), args.to.unwrap_or(i64::MAX));
            let brought = feed.refresh_until(args.market, one, interval, args.from, to).await;
            candles.extend(brought.into_iter().map(|freshness| SeriesReport { interval, freshness }));
            bar.inc(1);
        }
    }
    let funding = match args.market {
        MarketKind::Um => feed.refresh_funding(&symbols, args.from).await,
        MarketKind::Spot => Vec::new(),
    };
    bar.finish_and_clear();
    let report = Report { market: args.market, candles, funding };
    if args.json { output::json(&report) } else { output::text(lines(&report)) }.context("standard output")?;
    let failed = report.candles.iter().filter(|s| s.freshness.error.is_some()).count()
        + report.funding.iter().filter(|s| s.error.is_some()).count();
    match failed {
        0 => Ok(()),
        n => Err(CliError::Failed(anyhow!("{n} series are incomplete; the same command goes on where it stopped"))),
    }
}

fn lines(report: &Report) -> String {
    let mut text = String::new();
    let newest = |ms: Option<i64>| ms.map_or_else(|| "nothing".to_owned(), |ms| minute(ms + 1));
    let error = |e: &Option<String>| e.as_ref().map(|e| format!("; {e}")).unwrap_or_default();
    for SeriesReport { interval, freshness: s } in &report.candles {
        let missing: u64 = s.gaps.iter().map(|g| g.missing).sum();
        let (symbol, added, replaced) = (&s.symbol, s.added, s.replaced);
        text.push_str(&format!(
            "{} {symbol} {interval}: {added} new, {replaced} replaced, {missing} missing, up to {}{}\n",
            report.market,
            newest(s.newest_close_ms),
            error(&s.error)
        ));
    }
    for s in &report.funding {
        let (symbol, added) = (&s.symbol, s.added);
        text.push_str(&format!(
            "{} {symbol} funding: {added} new, up to {}{}\n",
            report.market,
            newest(s.newest_ms),
            error(&s.error)
        ));
    }
    text
}

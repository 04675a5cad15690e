//! `sg-ai data download`: what the cache lacks, from archives and from the exchange.

use super::progress::Bars;
use crate::cli::{
    CliError, Context,
    format::minute,
    input::{distinct, time_ms},
    output,
};
use anyhow::{Context as _, anyhow};
use candles::stored::CandleRange;
use candles::{Interval, MarketKind, Symbol, Ticker};
use clap::Args;
use market::budget::Freed;
use market::download::{Cost, Downloader, SeriesPlan, SeriesReport, ValuesReport, ValuesWanted, Wanted};
use market::dumps::{Product, ReadingName};
use market::feed::FundingFreshness;
use market::{Binance, CandleCache, Exchange, ExchangeError};
use serde::Serialize;

/// Download what the cache lacks
#[derive(Args, Debug)]
pub(super) struct DownloadArgs {
    /// Symbols, separated by commas [default: daemon.symbols]
    #[arg(long, value_name = "SYMBOLS", value_delimiter = ',')]
    symbols: Vec<Symbol>,
    /// In place of --symbols: the N symbols now traded with the largest quote volume of the last day
    #[arg(long, value_name = "N", conflicts_with = "symbols")]
    top: Option<usize>,
    /// Which quote asset --top looks at
    #[arg(long, value_name = "ASSET", default_value = "USDT", requires = "top")]
    quote: String,
    /// Market: spot or um; um brings funding payments, too (see --with)
    #[arg(long, value_name = "MARKET", default_value = "spot")]
    market: MarketKind,
    /// Intervals, separated by commas [default: daemon.interval]
    #[arg(long, value_name = "INTERVALS", value_delimiter = ',')]
    intervals: Vec<Interval>,
    /// First candle: a date (UTC midnight) or a time such as 2024-04-01T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time_ms)]
    #[arg(required_unless_present_any = ["max_available", "update_only"])]
    from: Option<i64>,
    /// End, exclusive [default: the newest closed candle]
    #[arg(long, value_name = "TIME", value_parser = time_ms)]
    to: Option<i64>,
    /// From the first candle that the exchange has
    #[arg(long, conflicts_with = "from")]
    max_available: bool,
    /// Only what came after the newest candle of each series that is cached already [default: all of them]
    #[arg(long, conflicts_with_all = ["from", "max_available", "top"])]
    update_only: bool,
    /// Series fetched at the same time [default: market.requests_at_once]
    #[arg(long, value_name = "N")]
    parallel: Option<usize>,
    /// Values beside candles, separated by commas: funding, premium, metrics. From archives, then REST (metrics: of the
    /// last thirty days); for --market um. Funding comes by REST without it
    #[arg(long, value_name = "VALUES", value_delimiter = ',')]
    with: Vec<With>,
    /// Go on where an interrupted download stopped. This is what always happens; the option is for those who say so
    #[arg(long)]
    resume: bool,
    /// Compare archives merged before with the checksums published now, and fetch again those that were reissued; read
    /// funding payments again
    #[arg(long)]
    recheck: bool,
    /// Only say what would be fetched: files, requests, weight, bytes, time
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// Values beside candles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum With {
    Funding,
    Premium,
    Metrics,
}

/// What a download brought.
#[derive(Debug, Serialize)]
struct Report {
    market: MarketKind,
    candles: Vec<SeriesReport>,
    funding: Vec<FundingFreshness>,
    /// What was asked for by --with.
    values: Vec<ValuesReport>,
    /// Symbols of which nothing could be planned, and why.
    refused: Vec<Refused>,
    /// What the cache's budget removed, if it was exceeded.
    freed: Option<Freed>,
}

#[derive(Debug, Serialize)]
struct Refused {
    symbol: Symbol,
    error: String,
}

/// What a download would fetch.
#[derive(Debug, Serialize)]
struct DryRun<'a> {
    market: MarketKind,
    #[serde(flatten)]
    cost: Cost,
    series: &'a [SeriesPlan],
    /// Archives of values beside candles, two requests each; not counted above.
    #[serde(serialize_with = "file_names")]
    values: &'a [ReadingName],
    refused: Vec<Refused>,
}

pub(super) async fn run(args: DownloadArgs, ctx: &Context) -> Result<(), CliError> {
    let config = ctx.config();
    if args.to.zip(args.from).is_some_and(|(to, from)| to <= from) {
        return Err(CliError::Usage("--from must be before --to".into()));
    }
    if args.parallel == Some(0) || args.top == Some(0) {
        return Err(CliError::Usage("--parallel and --top must be at least 1".into()));
    }
    distinct("--symbols", &args.symbols)?;
    distinct("--intervals", &args.intervals)?;
    if !args.with.is_empty() && args.market != MarketKind::Um {
        return Err(CliError::Usage("--with is of USD-M futures; it goes with --market um".into()));
    }
    let client = Binance::new(&config.market).map_err(CliError::usage)?;
    let cache = ctx.cache()?;
    let downloader = Downloader::new(client.clone(), cache.clone(), &config.market);
    let intervals = if args.intervals.is_empty() { vec![config.daemon.interval] } else { args.intervals.clone() };
    let (symbols, left_out) = match args.top {
        Some(n) => top(&client, args.market, n, &args.quote).await.context("the largest symbols")?,
        None if args.symbols.is_empty() => (config.daemon.symbols.clone(), Vec::new()),
        None => (args.symbols.clone(), Vec::new()),
    };
    for name in left_out {
        tracing::warn!("{name} is among the largest and left out: symbols here are 1 to 20 of A-Z, 0-9, _ and .");
    }
    let (wanted, refused) = if args.update_only {
        (updates(&cache, &args).await?, Vec::new())
    } else {
        wanted(&downloader, &args, &symbols, &intervals).await?
    };
    let plans = downloader.plan(args.market, &wanted).await.context("the exchange")?;
    let values_wanted = values_wanted(&args.with, &wanted, &intervals);
    if args.dry_run {
        let values = downloader.plan_values(&values_wanted).await.context("the exchange")?;
        let page = client.max_klines(args.market);
        // A page of the largest size, at its price.
        let weight = if args.market == MarketKind::Spot { 2 } else { 10 };
        let cost = Cost::of(&plans, page, weight, client.weight_budget(args.market));
        let dry = DryRun { market: args.market, cost, series: &plans, values: &values, refused };
        return Ok(
            if args.json { output::json(&dry) } else { output::text(dry_lines(&dry)) }.context("standard output")?
        );
    }
    let bars = Bars::new(&plans);
    let parallel = args.parallel.unwrap_or(config.market.requests_at_once);
    let candles = downloader.run(args.market, &plans, parallel, args.recheck, &|step| bars.advance(&step)).await;
    bars.finish();
    let funding = match args.market {
        MarketKind::Um if !args.with.contains(&With::Funding) => funding(&downloader, &wanted, args.recheck).await,
        MarketKind::Um | MarketKind::Spot => Vec::new(),
    };
    let steps = super::progress::steps_bar(0);
    let on_file = |file: &str| {
        steps.inc_length(1);
        steps.inc(1);
        steps.set_message(file.to_owned());
    };
    let values = downloader.values(&values_wanted, parallel, args.recheck, &on_file).await;
    steps.finish_and_clear();
    let freed = keep_budget(ctx, &cache, args.market, &wanted).await;
    let report = Report { market: args.market, candles, funding, values, refused, freed };
    if args.json { output::json(&report) } else { output::text(lines(&report)) }.context("standard output")?;
    let failed = report.candles.iter().filter(|s| s.error.is_some()).count()
        + report.funding.iter().filter(|s| s.error.is_some()).count()
        + report.values.iter().filter(|s| s.error.is_some()).count()
        + report.refused.len();
    match failed {
        0 => Ok(()),
        n => Err(CliError::Failed(anyhow!("{n} series are incomplete; the same command goes on where it stopped"))),
    }
}

/// The symbols of a quote asset that are traded now, the largest first; and what is as large, by names that cannot be
/// symbols here.
async fn top(
    client: &Binance,
    market: MarketKind,
    n: usize,
    quote: &str,
) -> Result<(Vec<Symbol>, Vec<String>), ExchangeError> {
    let info = client.exchange_info(market).await?;
    let volumes = client.quote_volumes(market).await?;
    let fits = |symbol: &Symbol| {
        info.symbol(symbol).is_some_and(|s| s.status == "TRADING" && s.quote_asset.eq_ignore_ascii_case(quote))
    };
    let (mut found, mut left_out) = (Vec::new(), Vec::new());
    for (name, _) in volumes {
        match name {
            _ if found.len() == n => break,
            Ok(symbol) if fits(&symbol) => found.push(symbol),
            Ok(_) => {}
            Err(name) if name.to_ascii_uppercase().ends_with(&quote.to_ascii_uppercase()) => left_out.push(name),
            Err(_) => {}
        }
    }
    Ok((found, left_out))
}

/// What the arguments ask for; symbols whose first candle cannot be had are refused, and stop no other.
async fn wanted(
    downloader: &Downloader,
    args: &DownloadArgs,
    symbols: &[Symbol],
    intervals: &[Interval],
) -> Result<(Vec<Wanted>, Vec<Refused>), CliError> {
    let (mut wanted, mut refused) = (Vec::new(), Vec::new());
    let to_ms = args.to.unwrap_or(i64::MAX);
    for symbol in symbols {
        for &interval in intervals {
            let from_ms = match args.from {
                Some(from_ms) => from_ms,
                None => match downloader.first_open_ms(&Ticker::of(args.market, symbol), interval).await {
                    Ok(first_ms) => first_ms.unwrap_or(to_ms),
                    Err(error) => {
                        refused.push(Refused { symbol: symbol.clone(), error: error.to_string() });
                        break;
                    }
                },
            };
            wanted.push(Wanted { symbol: symbol.clone(), interval, from_ms, to_ms });
        }
    }
    Ok((wanted, refused))
}

/// What is cached already, from its newest candle on.
async fn updates(cache: &CandleCache, args: &DownloadArgs) -> Result<Vec<Wanted>, CliError> {
    let mut all = cache.coverage().await.context("candle cache")?;
    all.retain(|c| {
        c.ticker.market == args.market
            && (args.symbols.is_empty() || args.symbols.contains(&c.ticker.symbol))
            && (args.intervals.is_empty() || args.intervals.contains(&c.interval))
    });
    let to_ms = args.to.unwrap_or(i64::MAX);
    let of = |c: market::cache::Coverage| {
        c.last_open_ms.map(|from_ms| Wanted { symbol: c.ticker.symbol, interval: c.interval, from_ms, to_ms })
    };
    Ok(all.into_iter().filter_map(of).collect())
}

/// Brings the cache back to its budget, but never by what was just asked for. Where that fails nothing is evicted, and
/// the download has been done nevertheless.
async fn keep_budget(ctx: &Context, cache: &CandleCache, market: MarketKind, wanted: &[Wanted]) -> Option<Freed> {
    let budget_bytes = ctx.config().market.cache_budget_mb << 20;
    if budget_bytes == 0 {
        return None;
    }
    let held = wanted.iter().map(|w| CandleRange {
        market,
        symbol: w.symbol.clone(),
        interval: w.interval,
        from_ms: w.from_ms,
        to_ms: w.to_ms,
    });
    match super::snapshot::within(ctx, cache, budget_bytes, &held.collect::<Vec<_>>(), false).await {
        Ok(freed) => Some(freed).filter(|f| f.size_bytes > budget_bytes),
        Err(error) => {
            tracing::warn!(%error, "the candle cache is over its budget, and nothing was evicted");
            None
        }
    }
}

/// Funding payments of each symbol, from the earliest start that is wanted of it.
async fn funding(downloader: &Downloader, wanted: &[Wanted], again: bool) -> Vec<FundingFreshness> {
    let mut starts: std::collections::BTreeMap<Symbol, i64> = std::collections::BTreeMap::new();
    for w in wanted {
        let start = starts.entry(w.symbol.clone()).or_insert(w.from_ms);
        *start = (*start).min(w.from_ms);
    }
    let mut all = Vec::new();
    for (symbol, from_ms) in starts {
        all.extend(downloader.feed().refresh_funding(std::slice::from_ref(&symbol), from_ms, again).await);
    }
    all
}

/// What is asked for by --with: of each symbol from the earliest start to the latest end that is wanted of it.
fn values_wanted(with: &[With], wanted: &[Wanted], intervals: &[Interval]) -> Vec<ValuesWanted> {
    let mut spans: std::collections::BTreeMap<&Symbol, (i64, i64)> = std::collections::BTreeMap::new();
    for w in wanted {
        let span = spans.entry(&w.symbol).or_insert((w.from_ms, w.to_ms));
        *span = (span.0.min(w.from_ms), span.1.max(w.to_ms));
    }
    // Premiums of a finer interval hold those of a coarser one.
    let finest = wanted.iter().map(|w| w.interval).chain(intervals.iter().copied()).min().unwrap_or(Interval::H1);
    let mut all = Vec::new();
    for (symbol, (from_ms, to_ms)) in spans {
        for kind in [With::Funding, With::Premium, With::Metrics].into_iter().filter(|kind| with.contains(kind)) {
            let product = match kind {
                With::Funding => Product::Funding,
                With::Premium => Product::Premium,
                With::Metrics => Product::Metrics,
            };
            all.push(ValuesWanted { symbol: symbol.clone(), product, interval: finest, from_ms, to_ms });
        }
    }
    all
}

fn file_names<S: serde::Serializer>(names: &&[ReadingName], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(names.iter().map(ReadingName::file_name))
}

fn dry_lines(dry: &DryRun<'_>) -> String {
    let mut text = String::new();
    for plan in dry.series {
        let w = &plan.wanted;
        let (files, known) = (plan.archives.len(), plan.known.len());
        text.push_str(&format!(
            "{} {} {}: {} candles missing from {} to {}: {files} archives, {} candles by REST; {known} archives are merged\n",
            dry.market,
            w.symbol,
            w.interval,
            plan.missing,
            minute(w.from_ms),
            minute(w.to_ms),
            plan.from_rest
        ));
    }
    for Refused { symbol, error } in &dry.refused {
        text.push_str(&format!("{} {symbol}: {error}\n", dry.market));
    }
    let c = &dry.cost;
    text.push_str(&format!(
        "would fetch {} candles: {} archives, {} requests of weight {} (about {:.0} s at the allowed rate), about {:.1} MB\n",
        c.candles,
        c.files,
        c.requests,
        c.weight,
        c.weight_s,
        c.bytes as f64 / 1e6
    ));
    if !dry.values.is_empty() {
        text.push_str(&format!("and {} archives of values beside candles\n", dry.values.len()));
    }
    text
}

fn lines(report: &Report) -> String {
    let mut text = String::new();
    let newest = |ms: Option<i64>| ms.map_or_else(|| "nothing".to_owned(), |ms| minute(ms + 1));
    let error = |e: &Option<String>| e.as_ref().map(|e| format!("; {e}")).unwrap_or_default();
    for s in &report.candles {
        let (symbol, interval, added, replaced) = (&s.symbol, s.interval, s.merge.added, s.merge.replaced);
        text.push_str(&format!(
            "{} {symbol} {interval}: {added} new, {replaced} replaced, {} missing, {} archives, up to {}{}\n",
            report.market,
            s.missing,
            s.archives,
            newest(s.newest_close_ms),
            error(&s.error)
        ));
        for name in &s.reissued {
            text.push_str(&format!("  {name} was reissued; sg-ai data affected says what rests on it\n"));
        }
        for problem in &s.problems {
            text.push_str(&format!("  {problem}\n"));
        }
    }
    for s in &report.funding {
        let (symbol, added, replaced) = (&s.symbol, s.added, s.replaced);
        text.push_str(&format!(
            "{} {symbol} funding: {added} new, {replaced} replaced, up to {}{}\n",
            report.market,
            newest(s.newest_ms),
            error(&s.error)
        ));
    }
    for s in &report.values {
        let what = s.product.part().map(|part| part.to_string()).unwrap_or_default();
        let (symbol, added, replaced, archives) = (&s.symbol, s.added, s.replaced, s.archives);
        text.push_str(&format!(
            "{} {symbol} {what}: {added} new, {replaced} replaced, {archives} archives, known up to {}{}\n",
            report.market,
            s.newest_ms.map_or_else(|| "nothing".to_owned(), minute),
            error(&s.error)
        ));
        for name in &s.reissued {
            text.push_str(&format!("  {name} was reissued\n"));
        }
        for problem in &s.problems {
            text.push_str(&format!("  {problem}\n"));
        }
    }
    if let Some(freed) = &report.freed {
        let (months, contents, mb) = (freed.evicted.len(), freed.contents.len(), freed.freed_bytes as f64 / 1e6);
        let left = freed.left_bytes() as f64 / 1e6;
        text.push_str(&format!(
            "the cache was over its budget: {months} months and {contents} former contents removed ({mb:.1} MB), {left:.1} MB are left\n"
        ));
    }
    for Refused { symbol, error } in &report.refused {
        text.push_str(&format!("{} {symbol}: {error}\n", report.market));
    }
    text
}

//! Dump archives as the exchange publishes them: a CSV in a zip, and a checksum file beside it.
//!
//! Pure: market, path and time in, bytes out; the same archive has the same bytes each time. A month's archive appears
//! a day after the month's end, a day's archive two hours after the day's.

use super::answer::{MONTH_MS, premium_row, symbol_spec};
use super::faults::CandleFaults;
use crate::dumps::{DumpName, Product, ReadingName};
use candles::{Interval, MarketKind};
use sha2::{Digest, Sha256};
use simulated::SimulatedMarket;
use std::fmt::Write as _;
use std::io::{Cursor, Write as _};
use std::path::Path;

/// From here on the spot archives have microseconds: 2025-01-01.
const MICROSECONDS_FROM_MS: i64 = 1_735_689_600_000;
const MONTH_APPEARS_MS: i64 = 86_400_000;
const DAY_APPEARS_MS: i64 = 2 * 3_600_000;
const FUNDING_HEADER: &str = "calc_time,funding_interval_hours,last_funding_rate\n";
const METRICS_HEADER: &str = "create_time,symbol,sum_open_interest,sum_open_interest_value,\
                              count_toptrader_long_short_ratio,sum_toptrader_long_short_ratio,count_long_short_ratio,\
                              sum_taker_long_short_vol_ratio\n";
const HEADER: &str = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,\
                      taker_buy_quote_volume,ignore\n";

/// An archive that was asked for by its path.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DumpPath {
    pub(super) market: MarketKind,
    pub(super) name: DumpName,
    /// Whether its checksum file is meant.
    pub(super) checksum: bool,
}

impl DumpPath {
    /// Reads `spot/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2024-04.zip` and the like (what follows `data/`).
    pub(super) fn parse(path: &str) -> Option<Self> {
        let (market, rest) = match path.strip_prefix("futures/um/") {
            Some(rest) => (MarketKind::Um, rest),
            None => (MarketKind::Spot, path.strip_prefix("spot/")?),
        };
        let (file, checksum) = match rest.strip_suffix(".CHECKSUM") {
            Some(file) => (file, true),
            None => (rest, false),
        };
        let parts: Vec<&str> = file.split('/').collect();
        let [period, "klines", symbol, interval, file] = parts[..] else { return None };
        let name = DumpName::parse(file)?;
        let spelled = if name.interval == Interval::Mo1 { "1mo" } else { name.interval.name() };
        let fits = name.file_name() == file
            && name.symbol.as_str() == symbol
            && spelled == interval
            && period == if name.daily { "daily" } else { "monthly" };
        fits.then_some(Self { market, name, checksum })
    }
}

/// An archive of funding, premium or metrics that was asked for by its path (what follows `data/`), and whether its
/// checksum file is meant.
pub(super) fn values_path(path: &str) -> Option<(ReadingName, bool)> {
    let (file, checksum) = match path.strip_suffix(".CHECKSUM") {
        Some(file) => (file, true),
        None => (path, false),
    };
    let name = ReadingName::of_path(Path::new(file))?.ok()?;
    (name.path() == format!("data/{file}")).then_some((name, checksum))
}

/// The archive's bytes at simulated time `now_ms`; `None` while (or because) there is none.
pub(super) fn archive(
    market: &SimulatedMarket,
    path: &DumpPath,
    faults: Option<&CandleFaults>,
    now_ms: i64,
) -> Option<Vec<u8>> {
    let DumpName { symbol, interval, daily, .. } = &path.name;
    let spec = symbol_spec(market, symbol, now_ms).ok()?;
    let (from_ms, to_ms) = path.name.range_ms();
    let appears_ms = to_ms + if *daily { DAY_APPEARS_MS } else { MONTH_APPEARS_MS };
    let is_daily_interval = *interval < Interval::D3;
    if appears_ms > now_ms || (*daily && !is_daily_interval) {
        return None;
    }
    let base_ms = market.spec().base.fixed_ms().unwrap_or(MONTH_MS);
    let rows = market.seen(symbol, *interval, (from_ms, to_ms - 1), now_ms, |open_ms, candle| match faults {
        Some(faults) => faults.shown(open_ms, base_ms, now_ms, candle),
        None => Some(candle),
    });
    let rows = rows.ok().filter(|rows| !rows.is_empty())?;
    let mut csv = String::with_capacity(rows.len() * 170);
    if path.market == MarketKind::Um {
        csv.push_str(HEADER);
    }
    for c in &rows {
        let (price, volume, quote) = super::answer::decimals(path.market, spec, c);
        let in_us = path.market == MarketKind::Spot && c.open_time_ms >= MICROSECONDS_FROM_MS;
        let ticks = if in_us { 1_000 } else { 1 };
        let written = writeln!(
            csv,
            "{},{:.price$},{:.price$},{:.price$},{:.price$},{:.volume$},{},{:.quote$},{},{:.volume$},{:.quote$},0",
            c.open_time_ms * ticks,
            c.open,
            c.high,
            c.low,
            c.close,
            c.volume,
            (c.close_time_ms + 1) * ticks - 1,
            c.quote_volume,
            c.trade_count,
            c.taker_buy_volume,
            c.taker_buy_quote_volume,
        );
        debug_assert!(written.is_ok(), "writing to a string does not fail");
    }
    zipped(&path.name.file_name(), &csv)
}

/// An archive of funding, premium or metrics at simulated time `now_ms`; `None` while (or because) there is none.
pub(super) fn values_archive(market: &SimulatedMarket, name: &ReadingName, now_ms: i64) -> Option<Vec<u8>> {
    let (from_ms, to_ms) = name.range_ms();
    let appears_ms = to_ms + if name.daily { DAY_APPEARS_MS } else { MONTH_APPEARS_MS };
    if appears_ms > now_ms || to_ms <= market.spec().start_ms {
        return None;
    }
    let mut csv = String::new();
    let rows: Vec<String> = match (name.product, name.daily) {
        (Product::Funding, false) => {
            csv.push_str(FUNDING_HEADER);
            let paid = market.funding_rates(&name.symbol, from_ms, to_ms - 1).ok()?;
            // Some milliseconds late, as the real ones.
            paid.iter().map(|f| format!("{},8,{:.8}\n", f.time_ms + f.time_ms / 28_800_000 % 9, f.rate)).collect()
        }
        (Product::Premium, _) => {
            let interval = name.interval?;
            csv.push_str(HEADER);
            let rows = market.premium(&name.symbol, interval, from_ms, to_ms).ok()?;
            rows.iter().map(|row| premium_row(interval, row, "") + "\n").collect()
        }
        (Product::Metrics, true) => {
            csv.push_str(METRICS_HEADER);
            let rows = market.metric_rows(&name.symbol, from_ms, to_ms).ok()?;
            let line = |m: &simulated::Metrics| {
                let at = chrono::DateTime::from_timestamp_millis(m.time_ms).unwrap_or_default();
                let ratios = m.ratios.map(|ratio| ratio.to_string()).join(",");
                let (symbol, at) = (&name.symbol, at.format("%Y-%m-%d %H:%M:%S"));
                format!("{at},{symbol},{},{},{ratios}\n", m.open_interest, m.open_interest_value)
            };
            rows.iter().map(line).collect()
        }
        _ => return None,
    };
    if rows.is_empty() {
        return None;
    }
    rows.iter().for_each(|row| csv.push_str(row));
    zipped(&name.file_name(), &csv)
}

fn zipped(file_name: &str, csv: &str) -> Option<Vec<u8>> {
    let inside = file_name.replace(".zip", ".csv");
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file(inside, zip::write::SimpleFileOptions::default()).ok()?;
    zip.write_all(csv.as_bytes()).ok()?;
    Some(zip.finish().ok()?.into_inner())
}

/// The checksum file of an archive: `sha256  name`.
pub(super) fn checksum(archive: &[u8], file_name: &str) -> String {
    format!("{}  {file_name}\n", hex::encode(Sha256::digest(archive)))
}

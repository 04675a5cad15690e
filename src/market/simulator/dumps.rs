//! Dump archives as the exchange publishes them: a CSV in a zip, and a checksum file beside it.
//!
//! Pure: market, path and time in, bytes out; the same archive has the same bytes each time. A month's archive appears
//! a day after the month's end, a day's archive two hours after the day's.

use super::answer::{MONTH_MS, symbol_spec};
use super::faults::CandleFaults;
use crate::dumps::DumpName;
use candles::{Interval, MarketKind};
use sha2::{Digest, Sha256};
use simulated::SimulatedMarket;
use std::fmt::Write as _;
use std::io::{Cursor, Write as _};

/// From here on the spot archives have microseconds: 2025-01-01.
const MICROSECONDS_FROM_MS: i64 = 1_735_689_600_000;
const MONTH_APPEARS_MS: i64 = 86_400_000;
const DAY_APPEARS_MS: i64 = 2 * 3_600_000;
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

/// The archive's bytes at simulated time `now_ms`; `None` while (or because) there is none.
pub(super) fn archive(
    market: &SimulatedMarket,
    path: &DumpPath,
    faults: Option<&CandleFaults>,
    now_ms: i64,
) -> Option<Vec<u8>> {
    let DumpName { symbol, interval, daily, .. } = &path.name;
    let spec = symbol_spec(market, symbol).ok()?;
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
    let inside = path.name.file_name().replace(".zip", ".csv");
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file(inside, zip::write::SimpleFileOptions::default()).ok()?;
    zip.write_all(csv.as_bytes()).ok()?;
    Some(zip.finish().ok()?.into_inner())
}

/// The checksum file of an archive: `sha256  name`.
pub(super) fn checksum(archive: &[u8], name: &DumpName) -> String {
    format!("{}  {}\n", hex::encode(Sha256::digest(archive)), name.file_name())
}

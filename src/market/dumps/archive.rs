//! One dump archive: its name, its checksum, the CSV inside. Bytes in, candles out; bounded in memory and time.

use super::name::{Contract, DumpName, NameError, contract_of, names_something_else};
use candles::{Candle, CandleSeries, Interval, MarketKind, Symbol, interval};
use sha2::{Digest, Sha256};
use std::io::{Cursor, Read};
use std::path::Path;

/// The largest archive read. A month of minutes has about 2 MiB.
const MAX_ARCHIVE_BYTES: u64 = 64 << 20;
/// The most that an archive may unfold to. A month of minutes has about 6 MiB.
const MAX_CSV_BYTES: u64 = 64 << 20;
/// Refused rows described one by one; beyond that they are only counted.
pub(super) const MAX_REFUSED_SHOWN: usize = 20;
/// Above this share of refused rows the whole file is refused: it is damaged, or not what its name says.
pub(super) const MAX_REFUSED_FRACTION: f64 = 0.05;
/// Columns of a kline row; the last one is unused, and some writers leave it out.
pub(super) const COLUMNS: std::ops::RangeInclusive<usize> = 11..=12;

/// Why a whole file is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum DumpError {
    #[error("{0}")]
    Name(NameError),
    #[error("its path names neither spot nor um; say which with --market")]
    NoMarket,
    #[error("it is of coin-margined futures ({0}), which are neither spot nor USD-M and have no place here")]
    CoinMargined(String),
    #[error("{symbol} is a contract with a delivery date, and its path or --market says spot")]
    ContractOnSpot { symbol: Symbol },
    #[error("the CSV inside is named {inside}: not what the archive's own name says")]
    OtherContent { inside: String },
    #[error("its path says {found}, --market says {asked}")]
    OtherMarket { found: MarketKind, asked: MarketKind },
    #[error("its path says {0}: prices nobody traded at, not candles")]
    NotTraded(String),
    #[error("it cannot be read: {0}")]
    Read(String),
    #[error("it has more than {0} bytes, more than any dump")]
    TooLarge(u64),
    #[error("its checksum file is not one: it begins {0:?}")]
    ChecksumFile(String),
    #[error("its SHA-256 is {found}, its checksum file says {expected}; fetch it again")]
    Checksum { found: String, expected: String },
    #[error("it is an HTML page, not an archive; fetch it again")]
    Html,
    #[error("it is no whole zip archive: {0}; fetch it again")]
    Zip(String),
    #[error("it holds {0} files, not one CSV")]
    NotOneFile(usize),
    #[error("it unfolds to more than {0} bytes, more than any dump")]
    Bomb(u64),
    #[error("its rows have {columns} columns{hint}; candles have 12")]
    OtherProduct { columns: usize, hint: &'static str },
    #[error("it holds no candle")]
    Empty,
    #[error("it holds no value")]
    NoValues,
    #[error("line 1: expected the header `{expected}`, found `{found}`")]
    Header { expected: String, found: String },
    #[error("its path says {said}, its name {name}")]
    OtherProductDir { said: String, name: String },
    #[error("it is of USD-M futures ({}), and its path or --market says spot", what.as_deref().unwrap_or_default())]
    NotOnSpot { what: Option<String> },
    #[error(
        "line {line}: counts without volume in every row, as mark, index and premium prices have: nobody traded at them; a \
         premium index belongs below premiumIndexKlines"
    )]
    Sampled { line: u64 },
    #[error("{refused} of {rows} rows are bad, too many to trust the others; the first, line {line}: {why}")]
    TooManyBadRows { refused: u64, rows: u64, line: u64, why: String },
    #[error("the reader failed: {0}")]
    Reader(String),
}

/// The market that a path's directories say: the last of them called `spot`, `um` or `cm`.
///
/// # Errors
/// When they say what has no place here: prices that nobody traded at, or coin-margined futures.
pub(crate) fn market_said(path: &Path) -> Result<Option<MarketKind>, DumpError> {
    // These look like candles of ours to the last column.
    let not_traded = ["markPriceKlines", "indexPriceKlines", "premiumIndexKlines"];
    match parents(path).find(|part| not_traded.contains(part)) {
        Some(part) => Err(DumpError::NotTraded(part.to_owned())),
        None => market_named(path),
    }
}

fn parents(path: &Path) -> impl Iterator<Item = &str> {
    path.parent().into_iter().flat_map(Path::components).filter_map(|part| part.as_os_str().to_str())
}

/// [`market_said`], whatever the product.
pub(super) fn market_named(path: &Path) -> Result<Option<MarketKind>, DumpError> {
    let mut said = Ok(None);
    for part in parents(path) {
        match part {
            "cm" => said = Err(DumpError::CoinMargined("its path says cm".to_owned())),
            _ => said = part.parse().map_or(said, |market| Ok(Some(market))),
        }
    }
    said
}

/// The market of an archive: what its path says, or what was asked for.
pub(super) fn market_of(path: &Path, name: &DumpName, asked: Option<MarketKind>) -> Result<MarketKind, DumpError> {
    let found = market_said(path)?;
    let contract = contract_of(&name.symbol);
    if contract == Some(Contract::CoinMargined) {
        return Err(DumpError::CoinMargined(name.symbol.to_string()));
    }
    let market = match (found, asked) {
        (Some(found), Some(asked)) if found != asked => return Err(DumpError::OtherMarket { found, asked }),
        (found, asked) => found.or(asked).ok_or(DumpError::NoMarket)?,
    };
    if contract == Some(Contract::Delivery) && market == MarketKind::Spot {
        return Err(DumpError::ContractOnSpot { symbol: name.symbol.clone() });
    }
    Ok(market)
}

/// A row that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Line in the CSV, from 1.
    pub line: u64,
    /// Why.
    pub why: String,
}

/// The outcome of reading a dump's rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// The good candles.
    pub series: CandleSeries,
    /// Rows read, without a header.
    pub rows: u64,
    /// The first of the refused rows.
    pub refused: Vec<Refused>,
    /// How many rows were refused.
    pub refused_count: u64,
}

pub(super) fn read_bounded(path: &Path) -> Result<Vec<u8>, DumpError> {
    let failed = |e: std::io::Error| DumpError::Read(e.to_string());
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_ARCHIVE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_ARCHIVE_BYTES { Err(DumpError::TooLarge(MAX_ARCHIVE_BYTES)) } else { Ok(bytes) }
}

/// Compares an archive with its `.CHECKSUM` file (`sha256  name`).
///
/// # Errors
/// When they differ, or the checksum file is none.
pub(crate) fn verify_checksum(archive: &[u8], checksum_file: &[u8]) -> Result<(), DumpError> {
    let text = String::from_utf8_lossy(checksum_file);
    let expected = text.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    if expected.len() != 64 || !expected.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(DumpError::ChecksumFile(text.chars().take(40).collect()));
    }
    let found = hex::encode(Sha256::digest(archive));
    if found == expected { Ok(()) } else { Err(DumpError::Checksum { found, expected }) }
}

/// The candles of an archive.
///
/// # Errors
/// When the archive is none, or its content cannot be trusted as a whole.
pub fn read_archive(bytes: &[u8], name: &DumpName) -> Result<Rows, DumpError> {
    let (inside, csv) = unpack(bytes)?;
    market_said(Path::new(&inside))?;
    if names_something_else(&inside, name) {
        return Err(DumpError::OtherContent { inside });
    }
    read_csv(&csv, name)
}

/// The one file of an archive: its name and its bytes.
pub(super) fn unpack(bytes: &[u8]) -> Result<(String, Vec<u8>), DumpError> {
    if looks_like_html(bytes) {
        return Err(DumpError::Html);
    }
    let broken = |e: zip::result::ZipError| DumpError::Zip(e.to_string());
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    if archive.len() != 1 {
        return Err(DumpError::NotOneFile(archive.len()));
    }
    let file = archive.by_index(0).map_err(broken)?;
    let inside = file.name().map_err(broken)?.into_owned();
    let mut csv = Vec::new();
    // The size that the archive states is only its word: reading stops at the bound by itself.
    file.take(MAX_CSV_BYTES + 1).read_to_end(&mut csv).map_err(|e| DumpError::Zip(e.to_string()))?;
    if csv.len() as u64 > MAX_CSV_BYTES {
        return Err(DumpError::Bomb(MAX_CSV_BYTES));
    }
    Ok((inside, csv))
}

/// When the file in an archive was written, as far as the archive says.
pub(super) fn written(bytes: &[u8]) -> Option<(u16, [u8; 5])> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).ok()?;
    let at = archive.by_index(0).ok()?.last_modified()?;
    Some((at.year(), [at.month(), at.day(), at.hour(), at.minute(), at.second()]))
}

pub(super) fn looks_like_html(bytes: &[u8]) -> bool {
    bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'<')
}

/// The candles of a CSV, with or without a header line, times in ms or us.
///
/// # Errors
/// When the rows are not candles, when there is none, or when too many are bad.
pub fn read_csv(csv: &[u8], name: &DumpName) -> Result<Rows, DumpError> {
    if looks_like_html(csv) {
        return Err(DumpError::Html);
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).quoting(false).from_reader(csv);
    let mut out = Rows { series: CandleSeries::new(name.interval), rows: 0, refused: Vec::new(), refused_count: 0 };
    let (from_ms, to_ms) = name.range_ms();
    let mut record = csv::ByteRecord::new();
    let mut is_first = true;
    let mut sampled = Sampled::default();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(e) => return Err(DumpError::Reader(e.to_string())),
        }
        if std::mem::take(&mut is_first) {
            check_product(&record)?;
            if is_header(&record) {
                continue;
            }
        }
        out.rows += 1;
        let line = record.position().map_or(0, csv::Position::line);
        let pushed = parse_row(&record, name.interval).and_then(|candle| {
            sampled.see(&candle, line);
            if (from_ms..to_ms).contains(&candle.open_time_ms) {
                out.series.push(&candle).map_err(|e| e.to_string())
            } else {
                Err(format!("it opens at {}, outside of what the file's name says", candle.open_time_ms))
            }
        });
        if let Err(why) = pushed {
            out.refused_count += 1;
            if out.refused.len() < MAX_REFUSED_SHOWN {
                out.refused.push(Refused { line, why });
            }
        }
    }
    if let Some(line) = sampled.first_line(out.rows) {
        return Err(DumpError::Sampled { line });
    }
    if let Some(first) = out.refused.first()
        && (out.series.is_empty() || out.refused_count as f64 > MAX_REFUSED_FRACTION * out.rows as f64)
    {
        let (line, why) = (first.line, first.why.clone());
        return Err(DumpError::TooManyBadRows { refused: out.refused_count, rows: out.rows, line, why });
    }
    if out.series.is_empty() { Err(DumpError::Empty) } else { Ok(out) }
}

/// Tells prices that were sampled from those that were traded at: they have counts, of samples, and no volume.
#[derive(Default)]
struct Sampled {
    rows: u64,
    first_line: u64,
}

impl Sampled {
    fn see(&mut self, candle: &Candle, line: u64) {
        if candle.volume == 0.0 && candle.trade_count > 0 {
            if self.rows == 0 {
                self.first_line = line;
            }
            self.rows += 1;
        }
    }

    /// The first such line, where all rows are so.
    fn first_line(&self, rows: u64) -> Option<u64> {
        (rows > 0 && self.rows == rows).then_some(self.first_line)
    }
}

/// Whether a line names columns: it begins with a letter (after a byte order mark, if there is one).
fn is_header(first: &csv::ByteRecord) -> bool {
    let field = first.get(0).unwrap_or_default();
    field.strip_prefix(b"\xef\xbb\xbf").unwrap_or(field).first().is_some_and(u8::is_ascii_alphabetic)
}

/// Other products have other numbers of columns; their first row tells.
fn check_product(first: &csv::ByteRecord) -> Result<(), DumpError> {
    let columns = first.len();
    if COLUMNS.contains(&columns) {
        return Ok(());
    }
    let hint = match columns {
        6 | 7 => ", as trades have",
        8 => ", as aggregated trades have",
        5 => ", as book depth has",
        3 => ", as funding rates have, whose files are named SYMBOL-fundingRate-YYYY-MM.zip",
        _ => "",
    };
    Err(DumpError::OtherProduct { columns, hint })
}

fn parse_row(record: &csv::ByteRecord, interval: Interval) -> Result<Candle, String> {
    if !COLUMNS.contains(&record.len()) {
        return Err(format!("{} columns instead of 12", record.len()));
    }
    let text = |i: usize, name: &str| -> Result<&str, String> {
        std::str::from_utf8(&record[i]).map(str::trim).map_err(|_| format!("{name} is not text"))
    };
    let number = |i: usize, name: &str| -> Result<f64, String> {
        let text = text(i, name)?;
        text.parse().map_err(|_| format!("{name} {text:?} is not a number"))
    };
    let time = |i: usize, name: &str| -> Result<i64, String> {
        let text = text(i, name)?;
        text.parse().map_err(|_| format!("{name} {text:?} is not a time"))
    };
    let open_time_ms = open_ms(time(0, "open time")?)?;
    // Binance ends a candle early when trading halts, never late: a later end is another interval's.
    let close_time_ms = close_ms(time(6, "close time")?)?;
    let expected = interval::close_time_ms(interval, open_time_ms);
    if close_time_ms < open_time_ms || close_time_ms > expected {
        return Err(format!("it closes at {close_time_ms}, not at {expected} as candles of {interval} do"));
    }
    let count = text(8, "trade count")?;
    Ok(Candle {
        open_time_ms,
        open: number(1, "open")?,
        high: number(2, "high")?,
        low: number(3, "low")?,
        close: number(4, "close")?,
        volume: number(5, "volume")?,
        close_time_ms: expected,
        quote_volume: number(7, "quote volume")?,
        trade_count: count.parse().map_err(|_| format!("trade count {count:?} is not a count"))?,
        taker_buy_volume: number(9, "taker buy volume")?,
        taker_buy_quote_volume: number(10, "taker buy quote volume")?,
    })
}

/// From here on a number is microseconds: in ms it would be the year 5138, in us it is 1973.
const FIRST_US: i64 = 100_000_000_000_000;
/// From here on a number is nanoseconds.
const FIRST_NS: i64 = 100_000_000_000_000_000;
/// Below it, a number is seconds (or a time before 1973, when there was no exchange).
const FIRST_MS: i64 = 100_000_000_000;

/// A time that may be in ms or us, as `(ticks per ms)`; other units are a mistake.
fn ticks_per_ms(time: i64) -> Result<i64, String> {
    match time {
        FIRST_MS..FIRST_US => Ok(1),
        FIRST_US..FIRST_NS => Ok(1_000),
        _ => Err(format!("{time} is a time neither in milliseconds nor in microseconds")),
    }
}

pub(super) fn open_ms(time: i64) -> Result<i64, String> {
    let ticks = ticks_per_ms(time)?;
    if time % ticks == 0 { Ok(time / ticks) } else { Err(format!("{time} is not on a millisecond")) }
}

/// A candle closes one unit before the next one opens, whatever the unit is.
pub(super) fn close_ms(time: i64) -> Result<i64, String> {
    let ticks = ticks_per_ms(time)?;
    Ok((time + 1) / ticks - 1)
}

//! Candles of other programs' files: CSV with any column order and time format, Arrow feather files, JSON rows.
//!
//! How a file is to be read is a [`Mapping`], from the configuration or built in. Bytes in, candles out; bounded, and
//! one bad row is refused and named. Never guesses a time unit: a time that the mapping's unit makes impossible is an
//! error.

mod feather;
mod import;
mod name;
mod rows;
mod text;

use super::dumps::{Refused, Rows};
use candles::{CandleSeries, Interval, MarketKind, Symbol};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use name::{Named, Naming};

pub use import::{ForeignOptions, find_files, import_foreign};

/// The largest file read: a decade of minutes as text has about 400 MB.
pub const MAX_FILE_BYTES: u64 = 1 << 30;

/// What a file is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Text with a delimiter.
    #[default]
    Csv,
    /// An Arrow IPC file (feather version 2).
    Feather,
    /// An array of arrays, or of objects.
    Json,
}

/// A column: its name in the header (case does not count), or its place from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Column {
    /// Place, from 1.
    Place(usize),
    /// Name.
    Name(String),
}

/// How times are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TimeFormat {
    /// Counted from the Unix epoch, so many to the millisecond; 0 means seconds.
    Unix {
        /// Ticks in a millisecond; 0 for seconds.
        per_ms: i64,
    },
    /// Text in `chrono`'s notation, such as `%Y.%m.%d %H:%M`.
    Text(String),
}

impl TryFrom<String> for TimeFormat {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "unix_s" => Ok(Self::Unix { per_ms: 0 }),
            "unix_ms" => Ok(Self::Unix { per_ms: 1 }),
            "unix_us" => Ok(Self::Unix { per_ms: 1_000 }),
            "unix_ns" => Ok(Self::Unix { per_ms: 1_000_000 }),
            _ if text.contains('%') => Ok(Self::Text(text)),
            _ => {
                Err(format!("{text:?} is no time format: unix_s, unix_ms, unix_us, unix_ns, or such as %Y.%m.%d %H:%M"))
            }
        }
    }
}

impl From<TimeFormat> for String {
    fn from(format: TimeFormat) -> Self {
        match format {
            TimeFormat::Text(text) => text,
            TimeFormat::Unix { per_ms: 0 } => "unix_s".to_owned(),
            TimeFormat::Unix { per_ms: 1 } => "unix_ms".to_owned(),
            TimeFormat::Unix { per_ms: 1_000 } => "unix_us".to_owned(),
            TimeFormat::Unix { .. } => "unix_ns".to_owned(),
        }
    }
}

/// How another program's file is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mapping {
    /// What the file is made of.
    pub format: Format,
    /// Between two columns of a CSV.
    pub delimiter: char,
    /// Columns that make up the time; several are joined by a space.
    pub time: Vec<Column>,
    /// How it is written.
    pub time_format: TimeFormat,
    /// How far the file's clock is ahead of UTC, minutes.
    pub utc_offset_minutes: i32,
    /// The first price.
    pub open: Column,
    /// The highest price.
    pub high: Column,
    /// The lowest price.
    pub low: Column,
    /// The last price.
    pub close: Column,
    /// The volume; without it each candle has the volume 0.
    pub volume: Option<Column>,
    /// Which market it is filed under, where the file's name does not say; without it, spot.
    pub market: Option<MarketKind>,
    /// Whose way of naming files it is.
    pub names: Naming,
    /// The symbol, where the file's name does not say (`SYMBOL-INTERVAL...`).
    pub symbol: Option<Symbol>,
    /// The interval, where the file's name does not say.
    pub interval: Option<Interval>,
}

impl Default for Mapping {
    fn default() -> Self {
        let name = |text: &str| Column::Name(text.to_owned());
        Self {
            format: Format::Csv,
            delimiter: ',',
            time: vec![name("time")],
            time_format: TimeFormat::Unix { per_ms: 1 },
            utc_offset_minutes: 0,
            open: name("open"),
            high: name("high"),
            low: name("low"),
            close: name("close"),
            volume: None,
            market: None,
            names: Naming::Plain,
            symbol: None,
            interval: None,
        }
    }
}

impl Mapping {
    /// The mappings that are there without any configuration.
    #[must_use]
    pub fn built_in() -> BTreeMap<String, Self> {
        let name = |text: &str| Column::Name(text.to_owned());
        let mt5 = Self {
            delimiter: '\t',
            time: vec![name("<DATE>"), name("<TIME>")],
            time_format: TimeFormat::Text("%Y.%m.%d %H:%M:%S".to_owned()),
            open: name("<OPEN>"),
            high: name("<HIGH>"),
            low: name("<LOW>"),
            close: name("<CLOSE>"),
            volume: Some(name("<TICKVOL>")),
            ..Self::default()
        };
        let places = |format| Self {
            format,
            names: Naming::Freqtrade,
            time: vec![Column::Place(1)],
            open: Column::Place(2),
            high: Column::Place(3),
            low: Column::Place(4),
            close: Column::Place(5),
            volume: Some(Column::Place(6)),
            ..Self::default()
        };
        let volume = Some(name("volume"));
        let names = Naming::Freqtrade;
        let feather = Self { format: Format::Feather, names, time: vec![name("date")], volume, ..Self::default() };
        let found = [("mt5", mt5), ("freqtrade_feather", feather), ("freqtrade_json", places(Format::Json))];
        found.into_iter().map(|(name, mapping)| (name.to_owned(), mapping)).collect()
    }
}

/// An interval in Binance's notation, freqtrade's (`1Mo`) or MetaTrader's (`M15`, `H1`, `Daily`).
fn interval_of(text: &str) -> Option<Interval> {
    let others = [
        ("M1", Interval::M1),
        ("M5", Interval::M5),
        ("M15", Interval::M15),
        ("M30", Interval::M30),
        ("H1", Interval::H1),
        ("H4", Interval::H4),
        ("D1", Interval::D1),
        ("Daily", Interval::D1),
        ("W1", Interval::W1),
        ("MN1", Interval::Mo1),
        ("1Mo", Interval::Mo1),
    ];
    others.iter().find(|(name, _)| *name == text).map(|(_, i)| *i).or_else(|| text.parse().ok())
}

/// Why a file as a whole is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum ForeignError {
    #[error("it cannot be read: {0}")]
    Read(String),
    #[error("it has no column {0:?}; it has {1}")]
    NoColumn(String, String),
    #[error("it is no {format} file: {why}")]
    Broken { format: &'static str, why: String },
    #[error("it has more than {0} rows")]
    TooLong(usize),
    #[error("it holds no candle")]
    Empty,
    #[error("its candles are never less than {0} s apart: they are of a longer interval than {1}")]
    OtherInterval(i64, Interval),
    #[error("{refused} of {rows} rows are bad, too many to trust the others; the first, line {line}: {why}")]
    TooManyBadRows { refused: u64, rows: u64, line: u64, why: String },
}

/// Reads a file's bytes by a mapping.
///
/// # Errors
/// When the bytes are not what the mapping says, hold no candle, or too many rows are bad.
pub fn read(bytes: &[u8], mapping: &Mapping, interval: Interval) -> Result<Rows, ForeignError> {
    match mapping.format {
        Format::Csv => text::read_csv(bytes, mapping, interval),
        Format::Json => text::read_json(bytes, mapping, interval),
        Format::Feather => feather::read(bytes, mapping, interval),
    }
}

/// An empty outcome.
fn nothing(interval: Interval) -> Rows {
    Rows { series: CandleSeries::new(interval), rows: 0, refused: Vec::<Refused>::new(), refused_count: 0 }
}

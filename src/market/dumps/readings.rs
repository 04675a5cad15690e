//! Archives of funding, premium index and metrics of USD-M futures: what they are called, and what is in them.
//!
//! Bytes in, payments and readings out. Reads a file only as what name, path, header and rows say together; never guesses a
//! column, and never dates a value before it was known.

use super::archive::{self, DumpError, MAX_REFUSED_FRACTION, MAX_REFUSED_SHOWN, Refused};
use super::name::{NameError, split_name};
use crate::cache::{METRICS_DELAY_MS, ReadingTable};
use candles::stored::Part;
use candles::{FundingRate, Interval, MarketKind, Symbol, interval};
use chrono::{Datelike, Months, NaiveDate, NaiveDateTime, NaiveTime};
use serde::Serialize;
use std::path::Path;

const FUNDING_HEADER: [&str; 3] = ["calc_time", "funding_interval_hours", "last_funding_rate"];
const METRICS_HEADER: [&str; 8] = [
    "create_time",
    "symbol",
    "sum_open_interest",
    "sum_open_interest_value",
    "count_toptrader_long_short_ratio",
    "sum_toptrader_long_short_ratio",
    "count_long_short_ratio",
    "sum_taker_long_short_vol_ratio",
];
/// Columns of metrics before the first value.
const METRICS_KEYS: usize = 2;
/// The directory of premium archives, which are named as those of candles are.
const PREMIUM_DIR: &str = "premiumIndexKlines";

/// What an archive holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Product {
    /// Candles.
    #[default]
    Candles,
    /// Funding payments.
    Funding,
    /// The premium index, at the closes of its candles.
    Premium,
    /// Open interest and long/short ratios.
    Metrics,
}

impl Product {
    /// Where it is stored; `None` for candles, which need an interval.
    #[must_use]
    pub fn part(self) -> Option<Part> {
        match self {
            Self::Candles => None,
            Self::Funding => Some(Part::Funding),
            Self::Premium => Some(Part::Premium),
            Self::Metrics => Some(Part::Metrics),
        }
    }
}

/// What name and path of an archive say that holds no candles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadingName {
    /// Funding, premium or metrics.
    pub product: Product,
    /// Which symbol.
    pub symbol: Symbol,
    /// The interval of premium candles.
    pub interval: Option<Interval>,
    /// First day covered, UTC.
    pub first_day: NaiveDate,
    /// Whether it covers one day instead of a month.
    pub daily: bool,
}

impl ReadingName {
    /// Of an archive with `SYMBOL-fundingRate-DATE.zip`, `SYMBOL-metrics-DATE.zip` for a name, or one below
    /// `premiumIndexKlines`; `None` when it is for candles to say what is wrong with it.
    ///
    /// # Errors
    /// When its name contradicts its path, or has no symbol, interval or date that there is.
    pub fn of_path(path: &Path) -> Option<Result<Self, DumpError>> {
        let file = path.file_name()?.to_str()?;
        let dirs: Vec<&str> = path.parent()?.iter().filter_map(|part| part.to_str()).collect();
        let is_premium = dirs.contains(&PREMIUM_DIR);
        let name = match split_name(file) {
            Ok(name) => name,
            Err(e) if is_premium => return Some(Err(DumpError::Name(e))),
            Err(_) => return None,
        };
        let product = match name.what {
            "fundingRate" => Product::Funding,
            "metrics" => Product::Metrics,
            _ if is_premium => Product::Premium,
            _ => return None,
        };
        let other_dir = ["klines", "fundingRate", "metrics", PREMIUM_DIR, "markPriceKlines", "indexPriceKlines"];
        let own_dir = match product {
            Product::Premium => PREMIUM_DIR,
            _ => name.what,
        };
        // The last that says a product counts: archives may lie below anything.
        let said = dirs.iter().rev().find(|dir| other_dir.contains(dir));
        if let Some(said) = said.filter(|said| **said != own_dir) {
            return Some(Err(DumpError::OtherProductDir { said: (*said).to_owned(), name: name.what.to_owned() }));
        }
        let read = || {
            let interval = match product {
                Product::Premium => {
                    Some(name.what.parse().map_err(|_| DumpError::Name(NameError::Interval(name.what.to_owned())))?)
                }
                _ => None,
            };
            let symbol = name.symbol().map_err(DumpError::Name)?;
            Ok(Self { product, symbol, interval, first_day: name.first_day, daily: name.daily })
        };
        Some(read())
    }

    /// The file name.
    #[must_use]
    pub fn file_name(&self) -> String {
        let what = match (self.product, self.interval) {
            (Product::Funding, _) => "fundingRate",
            (Product::Metrics, _) => "metrics",
            (_, Some(Interval::Mo1)) => "1mo",
            (_, Some(interval)) => interval.name(),
            (_, None) => "",
        };
        let date = self.first_day.format(if self.daily { "%Y-%m-%d" } else { "%Y-%m" });
        format!("{}-{what}-{date}.zip", self.symbol)
    }

    /// Where it lies below the dumps' address.
    #[must_use]
    pub fn path(&self) -> String {
        let period = if self.daily { "daily" } else { "monthly" };
        let dir = match (self.product, self.interval) {
            (Product::Funding, _) => format!("fundingRate/{}", self.symbol),
            (Product::Metrics, _) => format!("metrics/{}", self.symbol),
            (_, Some(Interval::Mo1)) => format!("{PREMIUM_DIR}/{}/1mo", self.symbol),
            (_, interval) => format!("{PREMIUM_DIR}/{}/{}", self.symbol, interval.map_or("", |i| i.name())),
        };
        format!("data/futures/um/{period}/{dir}/{}", self.file_name())
    }

    /// Times that belong into the file: from the first, up to and without the second, UTC ms.
    #[must_use]
    pub fn range_ms(&self) -> (i64, i64) {
        let start = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc().timestamp_millis();
        let next = match self.daily {
            true => self.first_day.succ_opt(),
            false => self.first_day.with_day(1).and_then(|day| day.checked_add_months(Months::new(1))),
        };
        (start(self.first_day), next.map_or(i64::MAX, start))
    }
}

/// The market of such an archive can only be USD-M.
pub(super) fn check_market(path: &Path, name: &ReadingName, asked: Option<MarketKind>) -> Result<(), DumpError> {
    let said = archive::market_named(path)?.or(asked);
    match (said, asked) {
        (Some(MarketKind::Spot), _) => Err(DumpError::NotOnSpot { what: name.product.part().map(|p| p.to_string()) }),
        (Some(found), Some(asked)) if found != asked => Err(DumpError::OtherMarket { found, asked }),
        _ => Ok(()),
    }
}

/// What an archive holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Funding payments, ascending.
    Funding(Vec<FundingRate>),
    /// Premium or metrics.
    Readings(ReadingTable),
}

/// The outcome of reading an archive's rows.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueRows {
    /// The good ones.
    pub values: Values,
    /// Rows read, without a header.
    pub rows: u64,
    /// The first of the refused rows.
    pub refused: Vec<Refused>,
    /// How many rows were refused.
    pub refused_count: u64,
}

/// The values of an archive.
///
/// # Errors
/// When the archive is none, or its content is not what its name says or cannot be trusted as a whole.
pub fn read_values(bytes: &[u8], name: &ReadingName) -> Result<ValueRows, DumpError> {
    let (inside, csv) = archive::unpack(bytes)?;
    let stem = inside.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem);
    let own = name.file_name();
    // A name without dashes, such as data.csv, says nothing.
    if stem.contains('-') && !stem.eq_ignore_ascii_case(own.trim_end_matches(".zip")) {
        return Err(DumpError::OtherContent { inside });
    }
    read_values_csv(&csv, name)
}

/// The values of a CSV.
///
/// # Errors
/// When header or rows are not what the name says, or when too many are bad.
pub fn read_values_csv(csv: &[u8], name: &ReadingName) -> Result<ValueRows, DumpError> {
    if archive::looks_like_html(csv) {
        return Err(DumpError::Html);
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).quoting(false).from_reader(csv);
    let mut rows: Vec<Row> = Vec::new();
    let (mut count, mut refused, mut refused_count) = (0, Vec::new(), 0);
    let mut record = csv::StringRecord::new();
    let mut is_first = true;
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(e) => return Err(DumpError::Reader(e.to_string())),
        }
        if std::mem::take(&mut is_first) && check_header(&record, name.product)? {
            continue;
        }
        count += 1;
        let line = record.position().map_or(0, csv::Position::line);
        match read_row(&record, name).and_then(|row| place(row, &rows)) {
            Ok(Some(row)) => rows.push(row),
            Ok(None) => {}
            Err(why) => {
                refused_count += 1;
                if refused.len() < MAX_REFUSED_SHOWN {
                    refused.push(Refused { line, why });
                }
            }
        }
    }
    if let Some(first) = refused.first()
        && (rows.is_empty() || refused_count as f64 > MAX_REFUSED_FRACTION * count as f64)
    {
        let (line, why) = (first.line, first.why.clone());
        return Err(DumpError::TooManyBadRows { refused: refused_count, rows: count, line, why });
    }
    if rows.is_empty() {
        return Err(DumpError::NoValues);
    }
    Ok(ValueRows { values: values_of(name.product, rows), rows: count, refused, refused_count })
}

/// A time when values were known, UTC ms, and the values.
type Row = (i64, Vec<Option<f64>>);

/// Rows of one time must say the same; the second is left out then.
fn place(row: Row, before: &[Row]) -> Result<Option<Row>, String> {
    match before.last().filter(|last| last.0 == row.0) {
        None => Ok(Some(row)),
        Some(last) if *last == row => Ok(None),
        Some(_) => Err("it has the time of the row before and other values".to_owned()),
    }
}

fn values_of(product: Product, mut rows: Vec<Row>) -> Values {
    match product.part() {
        Some(part @ (Part::Premium | Part::Metrics)) => Values::Readings(ReadingTable::from_rows(part, rows)),
        _ => {
            rows.sort_by_key(|row| row.0);
            let rate = |(time_ms, values): Row| Some(FundingRate { time_ms, rate: values.first().copied().flatten()? });
            Values::Funding(rows.into_iter().filter_map(rate).collect())
        }
    }
}

/// Whether the first line is a header; those of funding and metrics must be there, and each must be the right one.
fn check_header(first: &csv::StringRecord, product: Product) -> Result<bool, DumpError> {
    let cells = || first.iter().map(|cell| cell.trim_start_matches('\u{feff}').trim());
    let expected: &[&str] = match product {
        Product::Funding => &FUNDING_HEADER,
        Product::Metrics => &METRICS_HEADER,
        Product::Premium | Product::Candles => &["open_time", "open", "high", "low", "close"],
    };
    let is_kline = product == Product::Premium;
    let begins_with_number = cells().next().is_some_and(|cell| cell.starts_with(|c: char| c.is_ascii_digit()));
    if is_kline && begins_with_number {
        return Ok(false);
    }
    let fits = if is_kline {
        cells().take(expected.len()).eq(expected.iter().copied())
    } else {
        cells().eq(expected.iter().copied())
    };
    if fits {
        return Ok(true);
    }
    let found: String = cells().collect::<Vec<_>>().join(",").chars().take(120).collect();
    Err(DumpError::Header { expected: expected.join(","), found })
}

fn read_row(record: &csv::StringRecord, name: &ReadingName) -> Result<Row, String> {
    match name.product {
        Product::Funding => funding_row(record, name),
        Product::Metrics => metrics_row(record, name),
        Product::Premium | Product::Candles => premium_row(record, name),
    }
}

fn number(record: &csv::StringRecord, i: usize, what: &str) -> Result<f64, String> {
    let text = record.get(i).unwrap_or_default().trim();
    let value: f64 = text.parse().map_err(|_| format!("{what} {text:?} is not a number"))?;
    if value.is_finite() { Ok(value) } else { Err(format!("{what} {text:?} is not a number")) }
}

fn time(record: &csv::StringRecord, i: usize, what: &str) -> Result<i64, String> {
    let text = record.get(i).unwrap_or_default().trim();
    let ticks: i64 = text.parse().map_err(|_| format!("{what} {text:?} is not a time"))?;
    archive::open_ms(ticks)
}

fn has_columns(record: &csv::StringRecord, expected: usize) -> Result<(), String> {
    if record.len() == expected { Ok(()) } else { Err(format!("{} columns instead of {expected}", record.len())) }
}

/// A funding payment is known when it is due.
fn funding_row(record: &csv::StringRecord, name: &ReadingName) -> Result<Row, String> {
    has_columns(record, FUNDING_HEADER.len())?;
    let time_ms = inside(time(record, 0, "calc_time")?, name)?;
    let hours = number(record, 1, "funding_interval_hours")?;
    if !(1.0..=24.0).contains(&hours) {
        return Err(format!("funding_interval_hours {hours} is not between 1 and 24"));
    }
    let rate = number(record, 2, "last_funding_rate")?;
    if rate.abs() >= 1.0 {
        return Err(format!("last_funding_rate {rate} is no fraction of a position"));
    }
    Ok((time_ms, vec![Some(rate)]))
}

/// A premium is known when its candle has closed.
fn premium_row(record: &csv::StringRecord, name: &ReadingName) -> Result<Row, String> {
    if !archive::COLUMNS.contains(&record.len()) {
        return Err(format!("{} columns instead of 12", record.len()));
    }
    let interval = name.interval.ok_or("no interval")?;
    let open_time_ms = inside(time(record, 0, "open time")?, name)?;
    if interval::open_time_ms(interval, open_time_ms) != open_time_ms {
        return Err(format!("it opens at {open_time_ms}, not on the grid of {interval}"));
    }
    let (close_ms, expected) = (
        archive::close_ms(record.get(6).unwrap_or_default().trim().parse().map_err(|_| "no close time")?)?,
        interval::close_time_ms(interval, open_time_ms),
    );
    if close_ms != expected {
        return Err(format!("it closes at {close_ms}, not at {expected} as candles of {interval} do"));
    }
    let premium = number(record, 4, "close")?;
    if number(record, 5, "volume")? != 0.0 || premium.abs() >= 1.0 {
        return Err(format!(
            "close {premium} with volume, or of 1 or more, is no premium: a candle below {PREMIUM_DIR}, where it does not belong"
        ));
    }
    Ok((expected + 1, vec![Some(premium)]))
}

/// A row of metrics is known some time after its stamp; what is empty in it is not there.
fn metrics_row(record: &csv::StringRecord, name: &ReadingName) -> Result<Row, String> {
    has_columns(record, METRICS_HEADER.len())?;
    let text = record.get(0).unwrap_or_default().trim();
    let at = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S");
    let at = at.map_err(|_| format!("create_time {text:?} is not a time such as 2023-01-01 00:05:00"))?;
    let stamp_ms = at.and_utc().timestamp_millis();
    let (from_ms, to_ms) = name.range_ms();
    // The last five minutes of a day end with it.
    if !(from_ms..=to_ms).contains(&stamp_ms) {
        return Err(format!("create_time {text} is outside of what the file's name says"));
    }
    let symbol = record.get(1).unwrap_or_default().trim();
    if symbol != name.symbol.as_str() {
        return Err(format!("it is of {symbol}, and the file's name says {}", name.symbol));
    }
    let value = |i: usize| {
        if record.get(i).is_none_or(|cell| cell.trim().is_empty()) {
            return Ok(None);
        }
        let value = number(record, i, METRICS_HEADER[i])?;
        if value < 0.0 { Err(format!("{} {value} is negative", METRICS_HEADER[i])) } else { Ok(Some(value)) }
    };
    let values = (METRICS_KEYS..METRICS_HEADER.len()).map(value).collect::<Result<Vec<_>, String>>()?;
    if values.iter().all(Option::is_none) {
        return Err("it has no value".to_owned());
    }
    Ok((stamp_ms + METRICS_DELAY_MS, values))
}

fn inside(time_ms: i64, name: &ReadingName) -> Result<i64, String> {
    let (from_ms, to_ms) = name.range_ms();
    if (from_ms..to_ms).contains(&time_ms) {
        Ok(time_ms)
    } else {
        Err(format!("its time {time_ms} is outside of what the file's name says"))
    }
}

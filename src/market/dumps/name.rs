//! What the name of a dump archive says, whole, and what else its path says. Reads no file.

use candles::{Interval, Symbol};
use chrono::{Datelike, Months, NaiveDate};
use std::path::Path;

/// Other products of the exchange's archives, as they stand in names in place of the interval.
const PRODUCTS: [&str; 13] = [
    "trades",
    "aggTrades",
    "bookTicker",
    "bookDepth",
    "metrics",
    "fundingRate",
    "liquidationSnapshot",
    "markPriceKlines",
    "indexPriceKlines",
    "premiumIndexKlines",
    "BVOLIndex",
    "EOHSummary",
    "borrowRate",
];

/// Why a name is not that of an archive of candles.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum NameError {
    #[error("its name is not SYMBOL-INTERVAL-YYYY-MM.zip or SYMBOL-INTERVAL-YYYY-MM-DD.zip")]
    Form,
    #[error("its name says {0}, not candles")]
    Product(String),
    #[error("its name says the interval {0:?}, which is none of those kept (1m to 1mo)")]
    Interval(String),
    #[error("its name says the date {0}, which the calendar does not have")]
    Date(String),
    #[error("its symbol {0:?} cannot be kept: symbols are 1 to 20 of A-Z, 0-9, _ and .")]
    Symbol(String),
}

/// The parts of `SYMBOL-WHAT-YYYY-MM[-DD].zip`.
pub(super) struct NameParts<'a> {
    symbol: &'a str,
    pub(super) what: &'a str,
    pub(super) first_day: NaiveDate,
    pub(super) daily: bool,
}

impl NameParts<'_> {
    /// Whole and as written: what a symbol's own reading would forgive is another name here.
    pub(super) fn symbol(&self) -> Result<Symbol, NameError> {
        let read = self.symbol.parse::<Symbol>().ok();
        let read = read.filter(|read| read.as_str().eq_ignore_ascii_case(self.symbol));
        read.ok_or_else(|| NameError::Symbol(self.symbol.to_owned()))
    }
}

/// Takes an archive's name apart.
pub(super) fn split_name(file_name: &str) -> Result<NameParts<'_>, NameError> {
    let stem = file_name.strip_suffix(".zip").ok_or(NameError::Form)?;
    let parts: Vec<&str> = stem.split('-').collect();
    let (symbol, what, date) = match parts[..] {
        [symbol, what, _, _] | [symbol, what, _, _, _] => (symbol, what, &parts[2..]),
        _ => return Err(NameError::Form),
    };
    let are_digits = |(part, digits): (&&str, usize)| part.len() == digits && part.bytes().all(|b| b.is_ascii_digit());
    if !date.iter().zip([4, 2, 2]).all(are_digits) {
        return Err(NameError::Form);
    }
    let number = |at: usize| date.get(at).map_or(Some(1), |part| part.parse::<u32>().ok());
    let first_day = number(0)
        .and_then(|year| NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, number(1)?, number(2)?))
        .ok_or_else(|| NameError::Date(date.join("-")))?;
    Ok(NameParts { symbol, what, first_day, daily: date.len() == 3 })
}

/// What a dump's name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpName {
    /// Which symbol.
    pub symbol: Symbol,
    /// Which interval.
    pub interval: Interval,
    /// First day covered, UTC.
    pub first_day: NaiveDate,
    /// Whether it covers one day instead of a month.
    pub daily: bool,
}

impl DumpName {
    /// Reads `SYMBOL-INTERVAL-YYYY-MM.zip` or `SYMBOL-INTERVAL-YYYY-MM-DD.zip`.
    ///
    /// # Errors
    /// What of the name is none of such an archive.
    pub fn read(file_name: &str) -> Result<Self, NameError> {
        let name = split_name(file_name)?;
        if PRODUCTS.contains(&name.what) {
            return Err(NameError::Product(name.what.to_owned()));
        }
        let interval = name.what.parse().map_err(|_| NameError::Interval(name.what.to_owned()))?;
        Ok(Self { symbol: name.symbol()?, interval, first_day: name.first_day, daily: name.daily })
    }

    /// [`read`](Self::read), where nobody asks why not.
    #[must_use]
    pub fn parse(file_name: &str) -> Option<Self> {
        Self::read(file_name).ok()
    }

    /// [`read`](Self::read) of a path's last part.
    ///
    /// # Errors
    /// As there.
    pub fn of_path(path: &Path) -> Result<Self, NameError> {
        Self::read(path.file_name().and_then(|name| name.to_str()).ok_or(NameError::Form)?)
    }

    /// The file name.
    #[must_use]
    pub fn file_name(&self) -> String {
        let interval = if self.interval == Interval::Mo1 { "1mo" } else { self.interval.name() };
        let date = self.first_day.format(if self.daily { "%Y-%m-%d" } else { "%Y-%m" });
        format!("{}-{interval}-{date}.zip", self.symbol)
    }

    /// Open times that belong into the file: from the first, up to and without the second, UTC ms.
    #[must_use]
    pub fn range_ms(&self) -> (i64, i64) {
        let start = |day: NaiveDate| day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis();
        let next = if self.daily {
            self.first_day.succ_opt()
        } else {
            self.first_day.with_day(1).and_then(|day| day.checked_add_months(Months::new(1)))
        };
        (start(self.first_day), next.map_or(i64::MAX, start))
    }
}

/// What a contract's name says beside its pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contract {
    /// Margined and settled in the coin: `BTCUSD_PERP`, `BTCUSD_240329`.
    CoinMargined,
    /// USD-M with a delivery date: `BTCUSDT_240329`.
    Delivery,
}

/// Whether a symbol names a contract.
pub(crate) fn contract_of(symbol: &Symbol) -> Option<Contract> {
    let (pair, what) = symbol.as_str().split_once('_')?;
    let is_date = what.len() == 6 && what.bytes().all(|b| b.is_ascii_digit());
    match (what == "PERP" || is_date, pair.ends_with("USD")) {
        (true, true) => Some(Contract::CoinMargined),
        (true, false) => Some(if is_date { Contract::Delivery } else { Contract::CoinMargined }),
        (false, _) => None,
    }
}

/// Whether the name of a file inside an archive is that of other candles, or of no candles. Names that say nothing
/// (`data.csv`) may stand for what the archive says.
pub(super) fn names_something_else(inside: &str, name: &DumpName) -> bool {
    let file = inside.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let parts: Vec<&str> = stem.split('-').collect();
    let whole = name.file_name();
    let expected: Vec<&str> = whole.trim_end_matches(".zip").split('-').collect();
    let same = |said: &str, expected: &str| said.eq_ignore_ascii_case(expected);
    let is_interval = |part: &str| part == "1s" || part.parse::<Interval>().is_ok() || PRODUCTS.contains(&part);
    match parts[..] {
        [symbol, interval, ref date @ ..] if is_interval(interval) || date.len() >= 2 => {
            let other_interval = interval.parse::<Interval>().ok() != Some(name.interval);
            let other_date = !date.is_empty() && *date != expected[2..];
            !same(symbol, expected[0]) || other_interval || other_date
        }
        _ => false,
    }
}

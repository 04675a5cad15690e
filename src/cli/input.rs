//! What several commands read: times in options, and files of strategies.

use super::CliError;
use chrono::{DateTime, NaiveDate};
use std::{fmt::Display, io, path::Path};

/// Longer files are no strategies.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A date (UTC midnight) or a time, as UTC ms.
pub(super) fn time_ms(text: &str) -> Result<i64, String> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis());
    }
    let time = DateTime::parse_from_rfc3339(text);
    time.map(|t| t.timestamp_millis())
        .map_err(|_| "expected a date such as 2024-04-01 or a time such as 2024-04-01T12:00:00Z".into())
}

/// A file, or standard input, as far as it is no longer than a strategy can be.
pub(super) fn strategy_file(path: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let source: Box<dyn io::Read> =
        if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(std::fs::File::open(path)?) };
    io::Read::read_to_end(&mut io::Read::take(source, MAX_FILE_BYTES + 1), &mut bytes)?;
    anyhow::ensure!(bytes.len() as u64 <= MAX_FILE_BYTES, "it is longer than {MAX_FILE_BYTES} bytes");
    Ok(market::text::decode(&bytes)?.into_owned())
}

/// A number above 0.
pub(super) fn positive(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|v| v.is_finite() && *v > 0.0);
    value.ok_or_else(|| "expected a number above 0, such as 0.5".to_owned())
}

/// A number between 0.5 and 1, both excluded: how sure is sure.
pub(super) fn probability(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|v| *v > 0.5 && *v < 1.0);
    value.ok_or_else(|| "expected a probability above 0.5 and below 1, such as 0.95".to_owned())
}

/// Refuses a list that names one thing twice.
pub(super) fn distinct<T: PartialEq + Display>(option: &str, named: &[T]) -> Result<(), CliError> {
    match named.iter().enumerate().find(|(i, one)| named[..*i].contains(one)) {
        Some((_, twice)) => Err(CliError::Usage(format!("{option} names {twice} twice"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{distinct, time_ms};

    #[test]
    fn a_list_that_names_one_twice_is_a_wrong_request() {
        assert!(distinct("--symbols", &["A", "B"]).is_ok());
        let error = distinct("--symbols", &["A", "B", "A"]).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.exit_code()), ("--symbols names A twice", 2));
    }

    #[test]
    fn times() {
        assert_eq!(time_ms("2024-04-01"), Ok(1_711_929_600_000));
        assert_eq!(time_ms("2024-04-01T12:00:00Z"), Ok(1_711_972_800_000));
        assert!(time_ms("01.04.2024").unwrap_err().contains("2024-04-01"));
    }
}

//! Numbers and times for people. An undefined value is an en dash; never rounds what is stored.

use chrono::DateTime;

/// What stands for an undefined value.
pub(super) const UNDEFINED: &str = "–";

/// `1,234.50`, with so many decimals.
pub(super) fn number(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return UNDEFINED.to_owned();
    }
    let text = format!("{:.decimals$}", value.abs());
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::with_capacity(text.len() + whole.len() / 3 + 1);
    // What rounds to zero has no sign.
    if value < 0.0 && text.bytes().any(|b| (b'1'..=b'9').contains(&b)) {
        grouped.push('-');
    }
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

/// A ratio: two decimals.
pub(super) fn ratio(value: Option<f64>) -> String {
    value.map_or_else(|| UNDEFINED.to_owned(), |v| number(v, 2))
}

/// A fraction as a percentage: two decimals.
pub(super) fn percent(fraction: Option<f64>) -> String {
    fraction.map_or_else(|| UNDEFINED.to_owned(), |v| number(100.0 * v, 2) + " %")
}

/// A price or quantity: six significant digits, no trailing zeros.
pub(super) fn price(value: f64) -> String {
    let magnitude = if value == 0.0 { 0.0 } else { value.abs().log10().floor() };
    let decimals = (5.0 - magnitude).clamp(0.0, 12.0) as usize;
    let text = number(value, decimals);
    trimmed(text)
}

/// What a gate measured, a count or a ratio: at most three decimals.
pub(super) fn measured(value: f64) -> String {
    trimmed(number(value, 3))
}

/// Without zeros at the end of a fraction.
fn trimmed(text: String) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A length of time.
pub(super) fn hours(value: Option<f64>) -> String {
    match value {
        None => UNDEFINED.to_owned(),
        Some(hours) if hours >= 48.0 => number(hours / 24.0, 1) + " days",
        Some(hours) => number(hours, 1) + " h",
    }
}

/// `2025-01-31 12:45`, UTC.
pub(super) fn time(time_ms: i64) -> String {
    form(time_ms, "%Y-%m-%d %H:%M")
}

/// `2025-01-31`, UTC.
pub(super) fn date(time_ms: i64) -> String {
    form(time_ms, "%Y-%m-%d")
}

fn form(time_ms: i64, how: &str) -> String {
    DateTime::from_timestamp_millis(time_ms).map_or_else(|| time_ms.to_string(), |t| t.format(how).to_string())
}

/// The first characters of a hash.
pub(super) fn short(hash: &str) -> String {
    hash.chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_rounded() {
        assert_eq!(number(1_234_567.891, 2), "1,234,567.89");
        assert_eq!(number(-999.0, 0), "-999");
        assert_eq!(number(-0.001, 2), "0.00");
        assert_eq!(number(f64::NAN, 2), UNDEFINED);
        assert_eq!(percent(Some(-0.12345)), "-12.35 %");
        assert_eq!((ratio(None), percent(None), hours(None)), (UNDEFINED.into(), UNDEFINED.into(), UNDEFINED.into()));
        assert_eq!((hours(Some(47.96)), hours(Some(96.0))), ("48.0 h".to_owned(), "4.0 days".to_owned()));
    }

    #[test]
    fn prices_keep_six_digits() {
        assert_eq!(price(42_123.456), "42,123.5");
        assert_eq!(price(0.000_123_456_78), "0.000123457");
        assert_eq!(price(2.5), "2.5");
        assert_eq!(price(0.0), "0");
        assert_eq!((measured(814.0), measured(1.25), measured(0.0004)), ("814".into(), "1.25".into(), "0".into()));
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(time(1_711_972_800_000), "2024-04-01 12:00");
        assert_eq!(date(i64::MAX), i64::MAX.to_string());
    }
}

//! Fractions written in percent, exactly: the decimal point moves, nothing is multiplied.

use crate::{Number, bounds};

/// The fraction that a percentage written as `text` (without its sign `%`) stands for.
pub(super) fn to_fraction(text: &str) -> Option<Number> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    // The reader of decimal numbers rounds once, to the nearest: no error is added.
    let value: f64 = format!("{mantissa}e{}", exponent.checked_sub(2)?).parse().ok()?;
    Number::new(value).filter(|n| bounds::is_number(*n))
}

/// A fraction in percent, without the sign: 0.015 is `1.5`.
pub(super) fn from_fraction(fraction: Number) -> String {
    let text = fraction.to_string();
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |rest| ("-", rest));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let mut part = part.to_owned();
    while part.len() < 2 {
        part.push('0');
    }
    let (moved, rest) = part.split_at(2);
    let whole = format!("{whole}{moved}");
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let rest = rest.trim_end_matches('0');
    if rest.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{rest}") }
}

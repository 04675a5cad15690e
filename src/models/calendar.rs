//! Years and dates of UTC, from and to milliseconds. Reads no clock.

use candles::time::DAY_MS;

/// Days from 1970-01-01 to the first day of a year from 1970 on.
fn first_day(year: i64) -> i64 {
    let leaps = |y: i64| y / 4 - y / 100 + y / 400;
    365 * (year - 1970) + leaps(year - 1) - leaps(1969)
}

/// The year of a time from 1970 on.
pub(super) fn year_of(time_ms: i64) -> i64 {
    let day = time_ms.div_euclid(DAY_MS).max(0);
    // Years are no shorter than 365 days, so that it is this one or an earlier.
    let mut year = 1970 + day / 365;
    while first_day(year) > day {
        year -= 1;
    }
    year
}

/// Midnight of a date such as `2024-01-31`, UTC ms.
pub(super) fn date_ms(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let mut part = |len: usize| {
        parts.next().filter(|p| p.len() == len && p.bytes().all(|b| b.is_ascii_digit()))?.parse::<i64>().ok()
    };
    let (year, month, day) = (part(4)?, part(2)?, part(2)?);
    let ends = parts.next().is_none();
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = usize::try_from(month - 1).ok()?;
    let is_day = (1..=*lengths.get(before)?).contains(&day);
    let days = first_day(year) + lengths[..before].iter().sum::<i64>() + day - 1;
    (ends && is_day && year >= 1970).then_some(days * DAY_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_years() {
        // date -u -d 2020-02-29 +%s
        for (text, seconds) in [
            ("1970-01-01", 0),
            ("2000-03-01", 951_868_800),
            ("2020-02-29", 1_582_934_400),
            ("2024-12-31", 1_735_603_200),
        ] {
            assert_eq!(date_ms(text), Some(seconds * 1000), "{text}");
            assert_eq!(year_of(seconds * 1000).to_string(), text[..4]);
        }
        assert_eq!((year_of(1_735_689_599_999), year_of(1_735_689_600_000)), (2024, 2025));
        for text in
            ["", "2021-02-29", "2024-13-01", "2024-00-01", "2024-1-1", "2024-01-32", "1969-12-31", "2024-01-01-", "x"]
        {
            assert_eq!(date_ms(text), None, "{text}");
        }
    }
}

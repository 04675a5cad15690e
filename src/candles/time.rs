//! Constants of the calendar and the one text form of times. UTC, milliseconds since the Unix epoch.
//!
//! Never asks what time it is.

/// A minute, ms.
pub const MINUTE_MS: i64 = 60_000;
/// An hour, ms.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// A day of UTC, ms.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// `2025-11-29T20:45:00Z` for UTC milliseconds: the form of every time in our JSON. `None` outside the calendar.
#[must_use]
pub fn rfc3339(ms: i64) -> Option<String> {
    let time = chrono::DateTime::from_timestamp_millis(ms)?;
    Some(time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_other_systems_read_them() {
        assert_eq!(rfc3339(1_764_449_100_000).as_deref(), Some("2025-11-29T20:45:00Z"));
        assert_eq!(rfc3339(1_764_449_100_999).as_deref(), Some("2025-11-29T20:45:00Z"));
        assert_eq!(rfc3339(i64::MAX), None);
    }
}

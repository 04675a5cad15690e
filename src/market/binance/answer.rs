//! What an HTTP answer of Binance means. Pure: status, headers and body in, body or typed error out.

use crate::ExchangeError;
use candles::MarketKind;
use chrono::DateTime;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use std::time::Duration;

/// Where the exchange refuses for its load without saying for how long, it is left alone until its minute is over.
const DEFAULT_STOP: Duration = Duration::from_secs(60);
/// The shortest ban there is.
const DEFAULT_BAN: Duration = Duration::from_secs(120);
/// After its firewall refused us: it looks at five minutes.
const FIREWALL_STOP: Duration = Duration::from_secs(300);
/// The longest stop that is believed: bans last up to three days.
const MAX_STOP: Duration = Duration::from_secs(4 * 86_400);

/// Asked for, to name it in errors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) host: &'a str,
    pub(super) market: MarketKind,
    pub(super) symbol: Option<&'a str>,
}

/// An error body: `{"code":-1121,"msg":"Invalid symbol."}`.
#[derive(Deserialize)]
struct ErrorBody {
    code: i64,
    msg: String,
}

/// The weight that the exchange has counted in its minute, with its clock in seconds since the epoch.
pub(super) fn used_weight(headers: &HeaderMap) -> Option<(u32, u64)> {
    // Header names are compared without regard to case; some routes answer -1 for "not counted".
    let used = headers.get("x-mbx-used-weight-1m").or_else(|| headers.get("x-mbx-used-weight"))?;
    Some((used.to_str().ok()?.trim().parse().ok()?, server_second(headers)?))
}

fn server_second(headers: &HeaderMap) -> Option<u64> {
    let date = DateTime::parse_from_rfc2822(headers.get("date")?.to_str().ok()?).ok()?;
    u64::try_from(date.timestamp()).ok()
}

/// The body of a good answer, or what is wrong with it.
pub(super) fn check<'b>(
    asked: Asked<'_>,
    status: u16,
    headers: &HeaderMap,
    body: &'b [u8],
) -> Result<&'b [u8], ExchangeError> {
    let host = || asked.host.to_owned();
    let error: Option<ErrorBody> =
        if first_byte(body) == Some(b'{') { serde_json::from_slice(body).ok() } else { None };
    let retry_after = || header_seconds(headers, "retry-after");
    let message = || error.as_ref().map_or_else(|| begins(body), |e| e.msg.clone());
    if status == 451 || error.as_ref().is_some_and(|e| e.msg.contains("restricted location")) {
        return Err(ExchangeError::RestrictedLocation { host: host(), message: message() });
    }
    match status {
        418 => {
            let until = || error.as_ref().and_then(|e| banned_until(&e.msg, headers));
            let retry_after = retry_after().or_else(until).unwrap_or(DEFAULT_BAN).min(MAX_STOP);
            return Err(ExchangeError::Banned { host: host(), retry_after });
        }
        429 => return Err(rate_limited(asked, retry_after().unwrap_or(DEFAULT_STOP))),
        403 if error.is_none() => return Err(rate_limited(asked, retry_after().unwrap_or(FIREWALL_STOP))),
        500.. => {
            return Err(ExchangeError::Unavailable { host: host(), what: format!("HTTP {status}, {:?}", message()) });
        }
        _ => {}
    }
    match error {
        Some(ErrorBody { code, msg }) if code < 0 => Err(refusal(asked, status, code, msg, retry_after())),
        _ if (200..300).contains(&status) => match first_byte(body) {
            Some(b'[' | b'{') => Ok(body),
            Some(b'<') => Err(malformed(asked, "HTML in place of JSON", body)),
            Some(_) => Err(malformed(asked, "something that is no JSON", body)),
            None => Err(malformed(asked, "an empty body", body)),
        },
        _ if (300..400).contains(&status) => {
            Err(ExchangeError::Unavailable { host: host(), what: format!("HTTP {status}, it wants us elsewhere") })
        }
        _ => Err(ExchangeError::InvalidRequest { host: host(), status, code: 0, message: message() }),
    }
}

/// An answer that is not what was asked for.
pub(super) fn malformed(asked: Asked<'_>, what: &str, body: &[u8]) -> ExchangeError {
    ExchangeError::MalformedBody { host: asked.host.to_owned(), what: what.to_owned(), begins: begins(body) }
}

fn refusal(asked: Asked<'_>, status: u16, code: i64, message: String, retry_after: Option<Duration>) -> ExchangeError {
    let host = asked.host.to_owned();
    match (code, asked.symbol) {
        (-1121, Some(symbol)) => ExchangeError::UnknownSymbol { market: asked.market, symbol: symbol.to_owned() },
        (-1003 | -1015, _) => rate_limited(asked, retry_after.unwrap_or(DEFAULT_STOP)),
        // The codes for "try again": unknown error, disconnected, unexpected answer, timeout, too busy.
        (-1000 | -1001 | -1006 | -1007 | -1008, _) => {
            ExchangeError::Unavailable { host, what: format!("{message} (code {code})") }
        }
        _ => ExchangeError::InvalidRequest { host, status, code, message },
    }
}

fn rate_limited(asked: Asked<'_>, retry_after: Duration) -> ExchangeError {
    ExchangeError::RateLimited { host: asked.host.to_owned(), retry_after: retry_after.min(MAX_STOP) }
}

fn header_seconds(headers: &HeaderMap, name: &str) -> Option<Duration> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// The end of a ban from words such as `IP banned until 1660090423228.`, counted from the exchange's own clock.
fn banned_until(message: &str, headers: &HeaderMap) -> Option<Duration> {
    let (_, after) = message.split_once("banned until ")?;
    let digits = after.split(|c: char| !c.is_ascii_digit()).next()?;
    let until_ms: u64 = digits.parse().ok()?;
    until_ms.checked_sub(server_second(headers)? * 1_000).map(Duration::from_millis)
}

fn first_byte(body: &[u8]) -> Option<u8> {
    body.iter().copied().find(|b| !b.is_ascii_whitespace())
}

/// The first characters of a body, for a log line.
fn begins(body: &[u8]) -> String {
    let head = &body[..body.len().min(400)];
    String::from_utf8_lossy(head).trim().chars().filter(|c| !c.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ASKED: Asked<'static> = Asked { host: "h", market: MarketKind::Spot, symbol: Some("XUSDT") };

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn answer(status: u16, pairs: &[(&'static str, &str)], body: &str) -> ExchangeError {
        check(ASKED, status, &headers(pairs), body.as_bytes()).unwrap_err()
    }

    #[test]
    fn limits_and_bans_say_for_how_long() {
        let limited = answer(429, &[("retry-after", "7")], r#"{"code":-1003,"msg":"Too many requests"}"#);
        assert_eq!(limited.retry_after(), Some(Duration::from_secs(7)));
        assert!(limited.is_worth_a_retry());
        let without = answer(400, &[], r#"{"code":-1003,"msg":"Too many requests queued."}"#);
        assert_eq!(without.retry_after(), Some(DEFAULT_STOP));
        let body = r#"{"code":-1003,"msg":"Way too many requests; IP(1.2.3.4) banned until 1660090423228."}"#;
        let date = ("date", "Wed, 10 Aug 2022 00:13:38 GMT");
        assert_eq!(answer(418, &[date], body).retry_after(), Some(Duration::from_millis(5_228)));
        assert_eq!(answer(418, &[], body).retry_after(), Some(DEFAULT_BAN));
        let banned = answer(418, &[("retry-after", "99999999999")], body);
        assert_eq!(banned.retry_after(), Some(MAX_STOP));
        assert!(matches!(banned, ExchangeError::Banned { .. }) && !banned.is_worth_a_retry());
    }

    #[test]
    fn every_kind_of_answer_has_its_error() {
        use ExchangeError as E;
        let wafs = answer(403, &[], "<html>Request blocked</html>");
        assert!(matches!(wafs, E::RateLimited { .. }));
        for status in [451, 403, 200] {
            let body = r#"{"code":0,"msg":"Service unavailable from a restricted location according to"}"#;
            assert!(matches!(answer(status, &[], body), E::RestrictedLocation { .. }));
        }
        let unknown = answer(400, &[], r#"{"code":-1121,"msg":"Invalid symbol."}"#);
        assert!(
            matches!(&unknown, E::UnknownSymbol { symbol, .. } if symbol == "XUSDT") && !unknown.is_worth_a_retry()
        );
        let invalid = answer(400, &[], r#"{"code":-1120,"msg":"Invalid interval."}"#);
        assert!(matches!(invalid, E::InvalidRequest { status: 400, code: -1120, .. }));
        assert!(matches!(answer(400, &[], r#"{"code":-1001,"msg":"x"}"#), E::Unavailable { .. }));
        assert!(matches!(answer(503, &[], ""), E::Unavailable { .. }));
        assert!(matches!(answer(302, &[], ""), E::Unavailable { .. }));
        assert!(matches!(answer(404, &[], "nothing"), E::InvalidRequest { status: 404, .. }));
        for body in ["", "  \n", "<html></html>", "OK"] {
            let malformed = answer(200, &[], body);
            assert!(matches!(malformed, E::MalformedBody { .. }) && malformed.is_host_failure(), "{body:?}");
        }
        assert_eq!(check(ASKED, 200, &headers(&[]), b" []"), Ok(&b" []"[..]));
    }

    #[test]
    fn used_weight_needs_a_number_and_a_date() {
        let date = ("date", "Thu, 01 Jan 1970 00:02:05 GMT");
        assert_eq!(used_weight(&headers(&[("X-MBX-USED-WEIGHT-1M", "4"), date])), Some((4, 125)));
        assert_eq!(used_weight(&headers(&[("x-mbx-used-weight", "9"), date])), Some((9, 125)));
        assert_eq!(used_weight(&headers(&[("x-mbx-used-weight-1m", "-1"), date])), None);
        assert_eq!(used_weight(&headers(&[("x-mbx-used-weight-1m", "4")])), None);
    }

    proptest! {
        #[test]
        fn no_answer_panics(status in 100_u16..600, body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = check(ASKED, status, &headers(&[]), &body);
        }
    }
}

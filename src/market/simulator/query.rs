//! Query parameters as Binance takes them, and what it answers when it does not.
//!
//! Pure: text in, typed request or error out.

use crate::exchange::Metric;
use candles::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use candles::{Interval, MarketKind, Symbol};

/// An error body: `{"code":-1121,"msg":"Invalid symbol."}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) code: i32,
    pub(super) message: String,
}

impl ApiError {
    pub(super) fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
    pub(super) fn invalid_symbol() -> Self {
        Self::new(-1121, "Invalid symbol.")
    }
    pub(super) fn invalid_interval() -> Self {
        Self::new(-1120, "Invalid interval.")
    }
    fn missing(name: &str) -> Self {
        Self::new(-1102, format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed."))
    }
    fn illegal(name: &str, range: &str) -> Self {
        Self::new(-1100, format!("Illegal characters found in parameter '{name}'; legal range is '{range}'."))
    }
    fn not_valid(name: &str) -> Self {
        Self::new(-1130, format!("Data sent for parameter '{name}' is not valid."))
    }

    pub(super) fn body(&self) -> String {
        serde_json::json!({ "code": self.code, "msg": self.message }).to_string()
    }
}

/// Parameters in the order sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub(super) fn parse(query: &str) -> Self {
        Self(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn mandatory(&self, name: &str) -> Result<&str, ApiError> {
        self.get(name).filter(|value| !value.is_empty()).ok_or_else(|| ApiError::missing(name))
    }

    fn whole(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        if text.is_empty() {
            return Err(ApiError::new(-1105, format!("Parameter '{name}' was empty.")));
        }
        if text.len() > 20 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ApiError::illegal(name, "^[0-9]{1,20}$"));
        }
        // Twenty digits may not fit: far in the future is all the same.
        Ok(Some(text.parse().unwrap_or(i64::MAX)))
    }

    /// A symbol of legal characters; USD-M takes lower case, too.
    pub(super) fn symbol(&self, market: MarketKind) -> Result<Symbol, ApiError> {
        let text = self.mandatory("symbol")?;
        let text = if market == MarketKind::Um { text.to_ascii_uppercase() } else { text.to_owned() };
        let legal = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
        if text.len() > 20 || !text.chars().all(legal) {
            return Err(ApiError::illegal("symbol", "^[A-Z0-9-_.]{1,20}$"));
        }
        let symbol: Symbol = text.parse().map_err(|_| ApiError::invalid_symbol())?;
        // `BTC-USDT` is legal text but names nothing.
        if symbol.as_str() == text { Ok(symbol) } else { Err(ApiError::invalid_symbol()) }
    }

    /// Spot refuses parameters that it does not read.
    fn all_read(&self, known: &[&str]) -> Result<(), ApiError> {
        let read = self.0.iter().filter(|(key, _)| known.contains(&key.as_str())).count();
        if read == self.0.len() {
            return Ok(());
        }
        let sent = self.0.len();
        let message = format!("Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'.");
        Err(ApiError::new(-1104, message))
    }

    fn range(&self) -> Result<(Option<i64>, Option<i64>), ApiError> {
        Ok((self.whole("startTime")?, self.whole("endTime")?))
    }
}

/// A request for klines.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct KlinesRequest {
    pub(super) symbol: Symbol,
    pub(super) interval: Interval,
    pub(super) start_ms: Option<i64>,
    pub(super) end_ms: Option<i64>,
    pub(super) limit: usize,
}

impl KlinesRequest {
    pub(super) fn parse(market: MarketKind, params: &Params) -> Result<Self, ApiError> {
        let symbol = params.symbol(market)?;
        let text = params.mandatory("interval")?;
        if text.len() > 36 || !text.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(ApiError::illegal("interval", "^[a-zA-Z0-9]{1,36}$"));
        }
        // The dump files' spelling of a month is not REST's.
        let interval = text.parse().ok().filter(|_| text != "1mo").ok_or_else(ApiError::invalid_interval)?;
        let (start_ms, end_ms) = params.range()?;
        let limit = limit(market, params)?;
        if market == MarketKind::Spot {
            params.all_read(&["symbol", "interval", "startTime", "endTime", "limit", "timeZone"])?;
            if params.get("timeZone").is_some_and(|zone| !matches!(zone, "0" | "00:00" | "+00:00" | "-00:00")) {
                return Err(ApiError::not_valid("timeZone"));
            }
        } else if matches!((start_ms, end_ms), (Some(start), Some(end)) if start > end) {
            return Err(ApiError::new(-1023, "Start time is greater than end time."));
        }
        Ok(Self { symbol, interval, start_ms, end_ms, limit })
    }
}

/// Rows asked for: 500 unless said otherwise. Spot lowers a larger limit to 1000, USD-M refuses more than 1500.
fn limit(market: MarketKind, params: &Params) -> Result<usize, ApiError> {
    let limit = params.whole("limit")?.unwrap_or(500);
    match market {
        _ if limit < 1 => Err(ApiError::not_valid("limit")),
        MarketKind::Spot => Ok(limit.min(1_000) as usize),
        MarketKind::Um if limit > 1_500 => Err(ApiError::not_valid("limit")),
        MarketKind::Um => Ok(limit as usize),
    }
}

/// A request for funding rates.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FundingRequest {
    /// All symbols where there is none.
    pub(super) symbol: Option<Symbol>,
    pub(super) start_ms: Option<i64>,
    pub(super) end_ms: Option<i64>,
    pub(super) limit: usize,
}

impl FundingRequest {
    pub(super) fn parse(params: &Params) -> Result<Self, ApiError> {
        let symbol = params.get("symbol").map(|_| params.symbol(MarketKind::Um)).transpose()?;
        let (start_ms, end_ms) = params.range()?;
        let limit = params.whole("limit")?.unwrap_or(100);
        if !(1..=1_000).contains(&limit) {
            return Err(ApiError::not_valid("limit"));
        }
        Ok(Self { symbol, start_ms, end_ms, limit: limit as usize })
    }
}

/// A request for a part of the metrics.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MetricRequest {
    pub(super) symbol: Symbol,
    pub(super) period_ms: i64,
    pub(super) start_ms: Option<i64>,
    pub(super) end_ms: Option<i64>,
    pub(super) limit: usize,
}

impl MetricRequest {
    /// Times before the last thirty days are refused, as the documentation says that only those are available.
    pub(super) fn parse(params: &Params, now_ms: i64) -> Result<Self, ApiError> {
        let symbol = params.symbol(MarketKind::Um)?;
        let period_ms = match params.mandatory("period")? {
            "5m" => 5 * MINUTE_MS,
            "15m" => 15 * MINUTE_MS,
            "30m" => 30 * MINUTE_MS,
            "1h" => HOUR_MS,
            "2h" => 2 * HOUR_MS,
            "4h" => 4 * HOUR_MS,
            "6h" => 6 * HOUR_MS,
            "12h" => 12 * HOUR_MS,
            "1d" => DAY_MS,
            _ => return Err(ApiError::not_valid("period")),
        };
        let (start_ms, end_ms) = params.range()?;
        if start_ms.is_some_and(|start_ms| start_ms < now_ms - 30 * DAY_MS) {
            return Err(ApiError::new(-1130, "parameter 'startTime' is invalid."));
        }
        let limit = params.whole("limit")?.unwrap_or(30);
        if !(1..=500).contains(&limit) {
            return Err(ApiError::not_valid("limit"));
        }
        Ok(Self { symbol, period_ms, start_ms, end_ms, limit: limit as usize })
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Ping,
    Time,
    ExchangeInfo,
    Klines,
    FundingRate,
    Premium,
    Tickers,
    Metric(Metric),
}

impl Endpoint {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Time => "time",
            Self::ExchangeInfo => "exchangeInfo",
            Self::Klines => "klines",
            Self::FundingRate => "fundingRate",
            Self::Premium => "premiumIndexKlines",
            Self::Tickers => "ticker",
            Self::Metric(_) => "metrics",
        }
    }

    /// Request weight, as the documentation and measurements have it. A request that turns out wrong costs the same.
    pub(super) fn weight(self, market: MarketKind, params: &Params) -> u32 {
        match (self, market) {
            (Self::Klines, MarketKind::Spot) => 2,
            (Self::Klines | Self::Premium, MarketKind::Um) => {
                match params.get("limit").and_then(|text| text.parse::<u64>().ok()) {
                    Some(..=100) => 1,
                    Some(101..=500) => 2,
                    None | Some(501..=1_000) => 5,
                    Some(_) => 10,
                }
            }
            (Self::ExchangeInfo, MarketKind::Spot) => 20,
            (Self::FundingRate | Self::Metric(_), _) => 0,
            (Self::Tickers, MarketKind::Spot) => 80,
            (Self::Tickers, MarketKind::Um) => 40,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(market: MarketKind, query: &str) -> String {
        KlinesRequest::parse(market, &Params::parse(query)).unwrap_err().body()
    }

    #[test]
    fn errors_have_binances_codes_and_words() {
        use MarketKind::{Spot, Um};
        let golden = [
            (
                Spot,
                "",
                r#"{"code":-1102,"msg":"Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."}"#,
            ),
            (
                Spot,
                "symbol=btcusdt&interval=1h",
                r#"{"code":-1100,"msg":"Illegal characters found in parameter 'symbol'; legal range is '^[A-Z0-9-_.]{1,20}$'."}"#,
            ),
            (Spot, "symbol=BTC-USDT&interval=1h", r#"{"code":-1121,"msg":"Invalid symbol."}"#),
            (
                Spot,
                "symbol=BTCUSDT",
                r#"{"code":-1102,"msg":"Mandatory parameter 'interval' was not sent, was empty/null, or malformed."}"#,
            ),
            (Spot, "symbol=BTCUSDT&interval=1mo", r#"{"code":-1120,"msg":"Invalid interval."}"#),
            (Um, "symbol=BTCUSDT&interval=1s", r#"{"code":-1120,"msg":"Invalid interval."}"#),
            (
                Spot,
                "symbol=BTCUSDT&interval=1%20h",
                r#"{"code":-1100,"msg":"Illegal characters found in parameter 'interval'; legal range is '^[a-zA-Z0-9]{1,36}$'."}"#,
            ),
            (
                Spot,
                "symbol=BTCUSDT&interval=1h&startTime=1.7e12",
                r#"{"code":-1100,"msg":"Illegal characters found in parameter 'startTime'; legal range is '^[0-9]{1,20}$'."}"#,
            ),
            (
                Um,
                "symbol=BTCUSDT&interval=1h&limit=1501",
                r#"{"code":-1130,"msg":"Data sent for parameter 'limit' is not valid."}"#,
            ),
            (
                Um,
                "symbol=BTCUSDT&interval=1h&startTime=2&endTime=1",
                r#"{"code":-1023,"msg":"Start time is greater than end time."}"#,
            ),
            (
                Spot,
                "symbol=BTCUSDT&interval=1h&a=1&b=2",
                r#"{"code":-1104,"msg":"Not all sent parameters were read; read '2' parameter(s) but was sent '4'."}"#,
            ),
        ];
        for (market, query, body) in golden {
            assert_eq!(refused(market, query), body, "{query}");
        }
    }

    #[test]
    fn limits_default_and_cap_by_market() {
        let limit = |market, query: &str| {
            let query = format!("symbol=btcusdt&interval=1h{query}").replace("btcusdt", "BTCUSDT");
            KlinesRequest::parse(market, &Params::parse(&query)).map(|request| request.limit)
        };
        assert_eq!(limit(MarketKind::Spot, ""), Ok(500));
        assert_eq!(limit(MarketKind::Spot, "&limit=5000"), Ok(1_000));
        assert_eq!(limit(MarketKind::Um, "&limit=1500"), Ok(1_500));
        assert!(limit(MarketKind::Um, "&limit=0").is_err());
        let lower = Params::parse("symbol=btcusdt&interval=1h");
        assert_eq!(KlinesRequest::parse(MarketKind::Um, &lower).unwrap().symbol.as_str(), "BTCUSDT");
    }

    #[test]
    fn weights_follow_the_limit_on_futures() {
        let weight = |market, query: &str| Endpoint::Klines.weight(market, &Params::parse(query));
        let um = ["limit=1", "limit=100", "limit=101", "limit=500", "limit=501", "limit=1000", "limit=1500", ""];
        assert_eq!(um.map(|query| weight(MarketKind::Um, query)), [1, 1, 2, 2, 5, 5, 10, 5]);
        assert_eq!(weight(MarketKind::Spot, "limit=1000"), 2);
    }
}

//! What we ask of an exchange, and what can go wrong, each failure typed by what the caller should do next.
//!
//! Never decides what to fetch (that is the feed's affair) and never hides a failure behind empty data.

use async_trait::async_trait;
use candles::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use candles::{Candle, FundingRate, Interval, MarketKind, Symbol, Ticker};
use std::ops::Range;
use std::time::Duration;

/// Between two rows of metrics, ms.
pub const METRICS_EVERY_MS: i64 = 5 * MINUTE_MS;
/// The most rows of metrics that one answer has.
pub const METRICS_ROWS: i64 = 500;
/// The exchange answers for the metrics of thirty days; an hour less, so that none is refused on the way.
pub const METRICS_REACH_MS: i64 = 30 * DAY_MS - HOUR_MS;

/// A part of the metrics that the exchange answers for by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Open interest in contracts of the base asset, and in the quote asset.
    OpenInterest,
    /// Long to short accounts of the top traders (the archives' `count_toptrader_long_short_ratio`).
    TopTraderAccounts,
    /// Long to short positions of the top traders (the archives' `sum_toptrader_long_short_ratio`).
    TopTraderPositions,
    /// Long to short accounts of all (the archives' `count_long_short_ratio`).
    Accounts,
    /// Bought to sold volume of takers (the archives' `sum_taker_long_short_vol_ratio`).
    TakerVolume,
}

impl Metric {
    /// Every part, in the order of the archives' columns.
    pub const ALL: [Self; 5] =
        [Self::OpenInterest, Self::TopTraderAccounts, Self::TopTraderPositions, Self::Accounts, Self::TakerVolume];

    /// Which of [`METRICS_COLUMNS`](crate::cache::METRICS_COLUMNS) it has, in order.
    #[must_use]
    pub fn columns(self) -> Range<usize> {
        match self {
            Self::OpenInterest => 0..2,
            Self::TopTraderAccounts => 2..3,
            Self::TopTraderPositions => 3..4,
            Self::Accounts => 4..5,
            Self::TakerVolume => 5..6,
        }
    }
}

/// A row of one part of the metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricRow {
    /// Its stamp, UTC ms. When it was published nobody says.
    pub time_ms: i64,
    /// A value a column of the part.
    pub values: Vec<f64>,
}

/// Public market data of an exchange. No method needs credentials.
#[async_trait]
pub trait Exchange: Send + Sync {
    /// The exchange's clock, UTC ms: the only clock that decides whether a candle is closed.
    async fn server_time_ms(&self, market: MarketKind) -> Result<i64, ExchangeError>;

    /// Candles that open in `[from_ms, to_ms]`, **both ends included**, ascending, at most `limit` of them, counted
    /// from `from_ms`. A `limit` above the exchange's own maximum ([`max_klines`](Self::max_klines)) is lowered to it.
    ///
    /// Rows come as the exchange gave them: the newest may still be open, and rows may be missing. Callers drop
    /// what has not closed by [`server_time_ms`](Self::server_time_ms) and record the gaps.
    async fn klines(
        &self,
        ticker: &Ticker,
        interval: Interval,
        from_ms: i64,
        to_ms: i64,
        limit: u32,
    ) -> Result<Vec<Candle>, ExchangeError>;

    /// The most candles one request for klines can answer.
    fn max_klines(&self, market: MarketKind) -> u32;

    /// Symbols with their status, and the request limits in force.
    async fn exchange_info(&self, market: MarketKind) -> Result<ExchangeInfo, ExchangeError>;

    /// Candles of the premium index of a `um` symbol that open in `[from_ms, to_ms]`, **both ends included**, ascending, at
    /// most `limit` of them. Their prices are fractions of the index price and may be negative; they have no volume. The
    /// newest may still be open.
    async fn premium_klines(
        &self,
        symbol: &Symbol,
        interval: Interval,
        from_ms: i64,
        to_ms: i64,
        limit: u32,
    ) -> Result<Vec<Candle>, ExchangeError>;

    /// Rows of a part of the metrics of a `um` symbol, every five minutes, stamped in `[from_ms, to_ms]`, **both ends
    /// included**, ascending, at most [`METRICS_ROWS`]; of a longer range which of them is not said. Nothing from before
    /// [`METRICS_REACH_MS`] ago.
    async fn metric(
        &self,
        symbol: &Symbol,
        metric: Metric,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<MetricRow>, ExchangeError>;

    /// Funding payments of a `um` symbol in `[from_ms, to_ms]`, ascending, at most 1000 of them.
    async fn funding_rates(&self, symbol: &Symbol, from_ms: i64, to_ms: i64)
    -> Result<Vec<FundingRate>, ExchangeError>;
}

/// What an exchange says about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct ExchangeInfo {
    /// The exchange's clock when it answered, UTC ms.
    pub server_time_ms: i64,
    /// Request limits, as stated.
    pub rate_limits: Vec<RateLimit>,
    /// All symbols, trading or not.
    pub symbols: Vec<SymbolInfo>,
}

impl ExchangeInfo {
    /// The request weight allowed per minute, if stated.
    #[must_use]
    pub(crate) fn weight_per_minute(&self) -> Option<u32> {
        let per_minute = |l: &&RateLimit| l.kind == "REQUEST_WEIGHT" && l.interval_s == 60;
        self.rate_limits.iter().find(per_minute).map(|l| l.limit)
    }

    /// What is said about `symbol`.
    #[must_use]
    pub fn symbol(&self, symbol: &Symbol) -> Option<&SymbolInfo> {
        self.symbols.iter().find(|s| &s.symbol == symbol)
    }
}

/// A request limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// `REQUEST_WEIGHT`, `RAW_REQUESTS` or `ORDERS`.
    pub kind: String,
    /// Length of the window, seconds.
    pub interval_s: u64,
    /// Allowed in one window.
    pub limit: u32,
}

/// A symbol as listed.
#[derive(Clone, Debug, PartialEq)]
pub struct SymbolInfo {
    /// Name.
    pub symbol: Symbol,
    /// `TRADING`, `BREAK`, `SETTLING`, ...
    pub status: String,
    /// What is bought and sold.
    pub base_asset: String,
    /// What it is paid in.
    pub quote_asset: String,
    /// When trading began, where stated, UTC ms.
    pub listed_ms: Option<i64>,
    /// The price grid, where stated.
    pub tick_size: Option<f64>,
    /// The quantity grid, where stated.
    pub step_size: Option<f64>,
}

/// Why a request to an exchange failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ExchangeError {
    /// Too many requests (429), or our own budget used up for longer than a caller should wait.
    #[error("{host} is rate limited for another {} s; nothing is asked of it until then", retry_after.as_secs())]
    RateLimited {
        /// The host.
        host: String,
        /// How long it should be left alone.
        retry_after: Duration,
    },
    /// The address is banned (418).
    #[error("{host} has banned this address for another {} s; nothing is asked of it until then", retry_after.as_secs())]
    Banned {
        /// The host.
        host: String,
        /// Until the ban ends.
        retry_after: Duration,
    },
    /// No such symbol (-1121).
    #[error("{symbol} is not known on {market}; check its spelling, or whether it was delisted")]
    UnknownSymbol {
        /// The market asked.
        market: MarketKind,
        /// The symbol asked for.
        symbol: String,
    },
    /// The request was refused as wrong: it stays wrong when repeated.
    #[error("{host} refused the request: {message} (code {code}, HTTP {status})")]
    InvalidRequest {
        /// The host.
        host: String,
        /// HTTP status.
        status: u16,
        /// The exchange's error code; 0 where none was given.
        code: i64,
        /// The exchange's words.
        message: String,
    },
    /// The exchange does not serve this location (451 or its message).
    #[error("{host} does not serve this location: {message}; set market.spot_host or market.um_host to one that does")]
    RestrictedLocation {
        /// The host.
        host: String,
        /// The exchange's words.
        message: String,
    },
    /// An answer that is not what was asked for: HTML, an empty body, broken JSON.
    #[error("{host} answered {what}; it begins {begins:?}")]
    MalformedBody {
        /// The host.
        host: String,
        /// What was wrong with it.
        what: String,
        /// The first characters of the body.
        begins: String,
    },
    /// A server-side failure, or no connection.
    #[error("{host} is unavailable: {what}")]
    Unavailable {
        /// The host.
        host: String,
        /// Status or connection error.
        what: String,
    },
    /// No answer in time.
    #[error("{host} did not answer within {} s", after.as_secs_f64())]
    Timeout {
        /// The host.
        host: String,
        /// How long we waited.
        after: Duration,
    },
    /// The host failed too often lately; it is left alone before the next probe.
    #[error("{host} failed too often lately; the next try is in {} s", retry_after.as_secs())]
    CircuitOpen {
        /// The host.
        host: String,
        /// Until the next probe.
        retry_after: Duration,
    },
}

impl ExchangeError {
    /// Whether the same request may succeed when repeated soon, after a backoff.
    #[must_use]
    pub(crate) fn is_worth_a_retry(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::MalformedBody { .. } | Self::Unavailable { .. } | Self::Timeout { .. } => {
                true
            }
            Self::Banned { .. }
            | Self::UnknownSymbol { .. }
            | Self::InvalidRequest { .. }
            | Self::RestrictedLocation { .. }
            | Self::CircuitOpen { .. } => false,
        }
    }

    /// How long the host must be left alone, where it is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. }
            | Self::Banned { retry_after, .. }
            | Self::CircuitOpen { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }

    /// Whether the host itself is in trouble: what the circuit breaker counts.
    #[must_use]
    pub(crate) fn is_host_failure(&self) -> bool {
        matches!(self, Self::MalformedBody { .. } | Self::Unavailable { .. } | Self::Timeout { .. })
    }
}

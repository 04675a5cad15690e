//! Candles as values, and where they come from.
//!
//! `candle`, `funding`, `interval`, `series`, `symbol`, `resample` and `quality` are pure; the rest does I/O. Nothing
//! here knows strategies, and a missing candle is a gap: recorded, reported, never invented.

pub mod binance;
pub mod cache;
pub mod candle;
pub mod config;
pub mod dumps;
pub mod exchange;
pub mod feed;
pub mod funding;
pub mod interval;
pub mod quality;
pub mod resample;
pub mod series;
pub mod simulated;
pub mod symbol;
pub mod verify;

pub use binance::Binance;
pub use cache::{CandleCache, Provenance};
pub use candle::Candle;
pub use config::MarketConfig;
pub use exchange::{Exchange, ExchangeError, ExchangeInfo};
pub use feed::Feed;
pub use funding::FundingRate;
pub use interval::Interval;
pub use series::CandleSeries;
pub use symbol::{MarketKind, Symbol};

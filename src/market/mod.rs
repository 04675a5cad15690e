//! Candles as values, and where they come from.
//!
//! `candle`, `funding`, `interval`, `series`, `symbol`, `resample`, `quality`, `agreement` and `verdict` are pure; the rest
//! does I/O. Nothing here knows strategies, and a missing candle is a gap: recorded, reported, never invented.

pub mod agreement;
pub mod binance;
pub mod budget;
pub mod cache;
pub mod candle;
pub mod config;
pub mod download;
pub mod dumps;
pub mod exchange;
pub mod feed;
pub mod foreign;
pub mod funding;
pub mod interval;
pub mod quality;
pub mod resample;
pub mod series;
pub mod simulated;
pub mod snapshot;
pub mod stream;
pub mod symbol;
pub mod verdict;
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
pub use verdict::{DataVerdict, Judged, fit_for_evidence};

//! Where candles come from: the exchange, archives, other programs' files; and where they are kept.
//!
//! Does I/O. Knows no strategies, and a missing candle is a gap: recorded, reported, never invented.

pub mod binance;
pub mod budget;
pub mod cache;
pub mod config;
pub mod download;
pub mod dumps;
pub mod exchange;
pub mod export;
pub mod feed;
pub mod foreign;
pub mod simulator;
pub mod snapshot;
pub mod stream;
pub mod text;
pub mod verify;
pub mod version;

pub use binance::Binance;
pub use cache::{CandleCache, Provenance};
pub use config::MarketConfig;
pub use exchange::{Exchange, ExchangeError, ExchangeInfo, Metric, MetricRow, SymbolInfo};
pub use feed::{Feed, SymbolFreshness};

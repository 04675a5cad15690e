//! Candles as values, and where they come from.
//!
//! `candle`, `interval`, `series`, `resample` and `quality` are pure; the rest does I/O. Nothing here
//! knows strategies, and a missing candle is a gap: recorded, reported, never invented.

pub mod candle;
pub mod interval;
pub mod resample;
pub mod series;
pub mod symbol;

pub use candle::Candle;
pub use interval::Interval;
pub use series::CandleSeries;
pub use symbol::{MarketKind, Symbol};

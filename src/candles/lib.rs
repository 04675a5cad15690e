//! Candles as values: series, intervals, resampling, quality, verdicts, and the calendar they lie in.
//!
//! Pure: no I/O, no clock, no randomness. Knows no strategies. A missing candle is a gap, never invented.

pub mod agreement;
pub mod candle;
pub mod coverage;
pub mod cuts;
pub mod funding;
pub mod instrument;
pub mod interval;
pub mod packed;
pub mod quality;
pub mod readings;
pub mod resample;
pub mod series;
pub mod stored;
pub mod symbol;
pub mod tail;
pub mod ticker;
pub mod time;
pub mod universe;
pub mod verdict;

pub use candle::Candle;
pub use coverage::{Coverage, SymbolCoverage};
pub use funding::FundingRate;
pub use instrument::{InstrumentId, InstrumentTable};
pub use interval::Interval;
pub use readings::{MarketReadings, Readings};
pub use series::CandleSeries;
pub use symbol::{MarketKind, Symbol};
pub use ticker::Ticker;
pub use verdict::{DataVerdict, Judged, fit_for_evidence, market_fit_for_evidence};

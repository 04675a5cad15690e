//! Indicator columns against TA-Lib, a second library, their plain definitions, and the promise that no value looks
//! ahead. Higher timeframes and resampling, too.

mod candles;
mod definitions;
mod edges;
mod exact;
mod golden;
mod look_ahead;
mod readings;
mod resampling;
mod second_opinion;
mod timeframes;
mod vectors;

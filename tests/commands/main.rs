//! Commands that work on cached candles, run as the binary that people run.

mod backtest;
mod search;
mod support;

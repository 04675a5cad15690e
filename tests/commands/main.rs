//! Commands that work on cached candles, run as the binary that people run.
// Helpers outside test functions may fail a test.
#![allow(clippy::unwrap_used)]

mod backtest;
mod calibrate;
mod prove;
mod rehearse;
mod search;
mod support;

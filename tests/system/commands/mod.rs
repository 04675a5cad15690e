//! Commands that work on cached candles, run as the binary that people run.

mod backtest;
mod calibrate;
mod models;
mod optimize;
mod optimize_ranking;
mod prove;
mod ranking;
mod rehearse;
mod rehearse_book;
mod search;
mod support;

//! What the program does, one use-case a file: below the command line and below the daemon, and called by both.
//!
//! Asks the pure crates and stores what they say. Knows neither the loops and the supervisor that call it nor the command
//! line, and reads no configuration file.

pub(crate) mod affected;
pub(crate) mod answers;
pub(crate) mod archive_store;
pub(crate) mod audit_anchors;
pub(crate) mod book;
pub(crate) mod book_replay;
pub(crate) mod book_setup;
pub(crate) mod book_watch;
pub(crate) mod cache_budget;
pub(crate) mod candle_source;
pub(crate) mod database;
pub(crate) mod dead_letters;
pub(crate) mod deployments;
pub(crate) mod edge_decay;
pub(crate) mod holds;
mod judge;
pub(crate) mod lessons;
pub(crate) mod meaning;
pub(crate) mod media_lines;
pub(crate) mod memory;
pub(crate) mod messages;
mod model_cache;
mod model_members;
pub(crate) mod model_watch;
pub(crate) mod models;
pub(crate) mod operators;
pub(crate) mod paper;
pub(crate) mod parts;
mod placebo;
pub(crate) mod portfolio;
pub(crate) mod portfolio_backtest;
pub(crate) mod portfolio_proof;
mod predictions;
pub(crate) mod ran;
pub(crate) mod ranked;
pub(crate) mod recipe;
pub mod replay;
pub(crate) mod replay_session;
pub(crate) mod rescore;
pub(crate) mod review;
pub(crate) mod revision_watch;
pub(crate) mod revisions;
pub(crate) mod robustness;
pub(crate) mod rule_chart;
pub(crate) mod run_candles;
pub(crate) mod schedule;
pub(crate) mod session;
mod session_candles;
pub(crate) mod shared;
pub(crate) mod strategy_report;
pub(crate) mod volatility_regimes;
pub mod whole_market;
pub(crate) mod window;

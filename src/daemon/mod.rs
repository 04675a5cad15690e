//! Composition root, supervisor, runners and shutdown. The only place that wires everything together.
//!
//! Decides nothing about strategies and computes nothing itself: it asks the pure rooms and stores what they say.

mod anchors;
mod app;
mod archive;
mod candles;
mod continuous;
mod core;
mod database;
mod demo;
mod deployments;
mod judge;
mod messages;
pub mod notifier;
mod paper;
mod regimes;
pub mod replay;
pub mod replay_session;
mod review;
mod runners;
mod schedule;
pub mod stopper;
pub mod supervisor;
mod timed;
mod upkeep;

pub use app::{Plan, run};
pub use archive::archive_store;
pub use candles::{LoadedSymbol, load_symbol};
pub use database::Database;
pub use demo::{DemoOptions, DemoStatus, DemoSummary, DemoView, demo};
pub use messages::announce;

//! Composition root, supervisor, runners and shutdown. The only place that wires everything together.
//!
//! Decides nothing about strategies and computes nothing itself: it asks the pure rooms and stores what they say.

mod anchors;
mod app;
mod archive;
pub mod budget;
mod candles;
mod commands;
mod continuous;
mod core;
mod database;
pub mod dead_letters;
mod demo;
mod deployments;
mod judge;
mod messages;
pub mod notifier;
mod paper;
mod placebo;
pub mod proof;
mod regimes;
pub mod replay;
pub mod replay_session;
pub mod rescore;
mod review;
pub mod revisions;
mod runners;
mod schedule;
mod service;
mod staying;
pub mod stopper;
mod stream;
pub mod supervisor;
mod upkeep;

pub use app::{Plan, run};
pub use archive::archive_store;
pub use candles::{LoadedSymbol, load_symbol};
pub use database::Database;
pub use demo::{DemoOptions, DemoStatus, DemoSummary, DemoView, demo};
pub use messages::announce;

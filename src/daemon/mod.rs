//! The process: composition root, supervised loops, the demo, shutdown. The only place that wires everything together.
//!
//! Decides nothing about strategies and computes nothing itself: its loops call the use-cases.

mod app;
mod core;
mod demo;
mod loops;
mod runtime;
mod trouble;
mod work;

pub(crate) use app::{Plan, run};
pub(crate) use demo::{DemoBook, DemoOptions, DemoStatus, DemoSummary, DemoView, demo};
pub(crate) use runtime::stopper::Stopper;
pub(crate) use work::work;

//! What a process tells of itself: logs and metrics.
//!
//! Decides nothing and never receives a secret. What the metrics say of stored things is read by whoever writes them.

pub mod logs;
pub mod metrics;

pub use logs::{LogConfig, LogFormat};

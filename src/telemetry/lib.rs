//! What a process tells of itself: logs and metrics.
//!
//! Decides nothing and never receives a secret. What the metrics say of stored things is read by whoever writes them.

pub mod logs;
pub mod metrics;
mod user_info;

pub use logs::{LogConfig, LogFormat};
pub use user_info::without_user_info;

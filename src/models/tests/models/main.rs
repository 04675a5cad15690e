//! Models over made-up markets: files, fits, what they may know, and how good they are.

// Helpers outside test functions may fail a test.
#![allow(clippy::unwrap_used)]

mod drift;
mod edge;
mod files;
mod look_ahead;
#[cfg(feature = "onnx")]
mod networks;
mod numbers;
mod support;
mod together;

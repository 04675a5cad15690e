//! The whole system: the built binary, and what its crates do together over a real database.
//!
//! One test binary: it starts one private server, and links once.

// A failed assumption of a test is a failed test.
#![allow(clippy::unwrap_used)]

mod commands;
mod daemon;
mod data;
mod meanings;
mod operators;
mod private_server;
mod records;
mod revisions;
mod simulate_exchange;
mod story;
#[path = "../support/mod.rs"]
mod support;

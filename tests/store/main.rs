//! The store against a real server: what it keeps, what it refuses, and what survives kills.

// A failed assumption of a test is a failed test.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod audit;
mod deployments;
mod embedded;
mod leases;
mod made;
mod migrations;
mod operations;
mod paper;
mod runs;
mod sessions;
mod transitions;

//! The store against a real server: what it keeps, what it refuses, and what survives kills.

// A failed assumption of a test is a failed test.
#![allow(clippy::unwrap_used)]

#[path = "../../../../tests/support/mod.rs"]
mod support;

mod archive;
mod audit;
mod books;
mod clients;
mod commands;
mod deployments;
mod embedded;
mod encrypted;
mod learner;
mod leases;
mod made;
mod media;
mod migrations;
mod models;
mod names;
mod operations;
mod optimizations;
mod paper;
mod partitions;
mod protocol;
mod ranking;
mod reads;
mod reviews;
mod revisions;
mod rights;
mod runs;
mod sealed;
mod seen;
mod sessions;
mod told;
mod transitions;
mod upgrades;
mod work;

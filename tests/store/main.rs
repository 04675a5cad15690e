//! The store against a real server: what it keeps, what it refuses, and what survives kills.

#[path = "../support/mod.rs"]
mod support;

mod leases;
mod made;
mod migrations;

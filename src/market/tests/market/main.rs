//! The market crate: the cache, dumps, REST, the feed and the simulated exchange through their public interfaces.

// Helpers outside of test functions fail a test by panicking, as the tests themselves do.
#![allow(clippy::unwrap_used)]

mod bucket;
mod cache;
mod coins;
mod corpus;
mod damage;
mod demo;
mod download;
mod dumps;
mod export;
mod feed;
mod foreign;
mod in_process;
mod odd_archives;
mod quality;
mod readings;
mod rest;
#[path = "../../../../tests/support/s3.rs"]
mod s3;
mod simulator;
mod snapshots;
mod stream;
mod support;
mod values;

//! The market room: the cache, dumps, REST and the feed through their public interfaces.

// Helpers outside of test functions fail a test by panicking, as the tests themselves do.
#![allow(clippy::unwrap_used)]

mod bucket;
mod cache;
mod command;
mod damage;
mod download;
mod dumps;
mod feed;
mod foreign;
mod quality;
mod rest;
#[path = "../support/s3.rs"]
mod s3;
mod stream;
mod support;

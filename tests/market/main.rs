//! The market room: the cache, dumps, REST and the feed through their public interfaces.

// Helpers outside of test functions fail a test by panicking, as the tests themselves do.
#![allow(clippy::unwrap_used)]

mod cache;
mod command;
mod dumps;
mod feed;
mod quality;
mod rest;
mod support;

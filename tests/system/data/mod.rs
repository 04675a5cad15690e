//! `sg-ai data`: archives and exchanges to the cache.

mod download;
mod import;
mod messages;
#[path = "../../../src/market/tests/market/support.rs"]
mod support;
mod universe;

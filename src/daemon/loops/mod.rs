//! The loops of the daemon, a file each: when, under which name, and which use-case. No loop does its work itself.

pub(crate) mod anchors;
pub(crate) mod audit;
pub(crate) mod books;
pub(crate) mod cache;
pub(crate) mod commands;
pub(crate) mod continuous;
pub(crate) mod deployments;
pub(crate) mod gauges;
pub(crate) mod memory;
pub(crate) mod models;
mod noted;
pub(crate) mod outbox;
pub(crate) mod review;
pub(crate) mod revisions;
pub(crate) mod shadow;
pub(crate) mod stream;

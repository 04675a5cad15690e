//! Work that is shared with other processes and machines: what it needs by digest, who does it, and how a session takes it up.
//!
//! The store is the queue (`store::TakenWork`); what jobs look at goes as blobs named by their digests. Whoever does a job,
//! it comes to the same bits, so that nothing here can change a number.

pub(crate) mod blobs;
pub(crate) mod nulls;
pub(crate) mod worker;

use blobs::Blobs;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use store::Store;

/// What it takes to share work.
#[derive(Clone)]
pub(crate) struct Sharing {
    pub(crate) store: Store,
    pub(crate) blobs: Blobs,
    /// How long whoever takes work has it without being heard of.
    pub(crate) lease: Duration,
    /// Name of this process among those who work.
    pub(crate) name: String,
    /// Of this machine, where it has a name.
    pub(crate) host: Option<String>,
}

/// A null search as it is posted: blobs of its ground and of what all null searches of the session are told, and its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NullJob {
    pub(crate) ground: String,
    pub(crate) task: String,
    pub(crate) number: u32,
}

/// The name of this machine.
pub(crate) fn host() -> Option<String> {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok())
}

/// A name of this process that no other has: of the machine, the process, and what it is.
pub(crate) fn own_name(what: &str) -> String {
    format!("{what} {} {}", host().as_deref().unwrap_or("unknown"), std::process::id())
}

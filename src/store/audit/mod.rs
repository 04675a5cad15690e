//! The audit trail: the chain of hashes, its entries for readers, and notes of its head outside the database. Decides
//! nothing.

mod anchors;
mod begin;
mod chain;
mod entries;

pub use anchors::{AnchorFile, AuditAnchor};
pub use begin::Beginning;
pub use chain::{AuditBreak, AuditHead, AuditReport};
pub(crate) use chain::{AuditEntry, ChainKey, append, append_from};
pub use entries::AuditRow;

//! What videos say: items with features and families, and the strategies proposed of them. Proposes and judges nothing.

mod items;
mod proposals;

pub use items::{Imported, MediaItem, MediaLine, media_digest};
pub use proposals::{MediaStrategy, ProposalKind, Proposed};

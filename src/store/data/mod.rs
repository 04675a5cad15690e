//! What is known of candles: verdicts about windows, months that were revised, and what was scored again. Holds no
//! candles.

mod rescores;
mod revisions;
pub(crate) mod sources;
mod verdicts;

pub use rescores::{Rescore, Rescored};
pub use revisions::{DataVersionUse, MAX_REVISION_DETAIL, NewRevision, RevisionRow, SessionUse};
pub use verdicts::DataVerdictRow;

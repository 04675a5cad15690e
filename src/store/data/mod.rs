//! What is known of candles: verdicts about windows, and months that were revised. Holds no candles.

mod revisions;
mod verdicts;

pub use revisions::{DataVersionUse, MAX_REVISION_DETAIL, NewRevision, Rescore, Rescored, RevisionRow, SessionUse};
pub use verdicts::DataVerdictRow;

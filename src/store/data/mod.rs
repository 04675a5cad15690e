//! What is known of candles: verdicts about windows, months that were revised, what was scored again, and what
//! was found of models. Holds no candles.

pub(crate) mod model_watch;
mod rescores;
mod revisions;
pub(crate) mod sources;
mod verdicts;

pub use model_watch::{AskingStrategy, ModelDay, ModelState, ModelWatchRow, NewModelWatch};
pub use rescores::{Rescore, Rescored};
pub use revisions::{DataVersionUse, MAX_REVISION_DETAIL, NewRevision, RevisionRow, SessionUse};
pub use verdicts::DataVerdictRow;

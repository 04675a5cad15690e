//! Search sessions: their generations, how they end, and what the evidence protocol counts of them. Searches nothing.

mod accounts;
mod end;
pub(crate) mod generations;
mod learner;
mod listing;
pub(crate) mod protocol;
mod proved;
pub(crate) mod sessions;
pub(crate) mod totals;
mod under_way;

pub use end::{CandidateRecord, Champion, FinishReport, Judgement, WaitingRecord, WindowStat};
pub use generations::{GenerationRow, TrialTotals};
pub use learner::{PastStrategy, SearchScores, SessionLessons};
pub use listing::{SessionRow, SessionStory};
pub use protocol::{
    ChosenRow, NumberedSession, PlaceboRecord, ProtocolSessionRow, SearchedRecord, SessionNumbers, TrialCounts, Trials,
};
pub use proved::Proved;
pub use sessions::{
    FailedBacktest, GenerationRecord, NewSession, RecordOutcome, ResumableSession, Session, SessionStatus,
};
pub use totals::ProtocolTotals;
pub use under_way::SearchUnderWay;

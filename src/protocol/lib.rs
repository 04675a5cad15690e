//! The evidence protocol as one pure flow: search, null searches, hold-out, shadow, decisions.
//!
//! ```text
//! Searchable --search--> champions --null searches--> p-values --account--> tests --+
//!                                                                                  |-> Standing --shadow ledger--> gate
//! Unseen ----------------------------hold-out e-process----------------------------+
//! ```
//!
//! The daemon, `sg-ai calibrate` and the placebo island run this very code. Time is split once: a search is given a
//! [`Searchable`], which nobody but [`Split::cut`] can make and which ends where the split is; what comes after is
//! [`Unseen`], which gives its candles only to whoever states what was seen before.
//!
//! Never reads a clock, never stores, never fetches a candle.

mod account;
pub mod calibration;
mod calibration_settings;
mod choice;
mod config;
mod day_book;
mod ground;
mod lessons;
pub mod lives;
mod null;
mod null_panel;
mod null_search;
mod packed;
#[cfg(test)]
mod ranking_tests;
mod refits;
#[cfg(test)]
mod refits_tests;
mod rehearsal;
mod run;
mod session;
mod standing;
mod standing_rankings;
mod status;
pub mod strength;
#[cfg(test)]
mod tests;
mod timeline;
mod world;

pub use account::{Account, YEAR_MS};
pub use calibration_settings::CalibrationSettings;
pub use choice::{
    Asked, Choice, Known, Named, Proposed, REMEMBERED_DAYS, SAME_EDGE, TESTS_PER_SESSION, Test, choose, moves_with,
};
pub use config::{ProtocolConfig, ProtocolConfigError};
pub use day_book::DayBook;
pub use ground::{Compared, Ground, MarketEvaluator, NoNull, RankingGround, RulesGround, null_kinds, null_market};
pub use lessons::{LESSONS, learnt};
pub use null::null_window;
pub use null_panel::{NullKind, NullPanelError, null_panel};
pub use null_search::{NullFound, NullSearch};
pub use packed::{PackedGround, pack_ranking};
pub use refits::{null_refits, panel_beside, window_beside};
pub use rehearsal::{Cut, Program, Rehearsed, rehearse, rehearse_in};
pub use run::{Days, ProtocolRun, RunError, RunPlan, run, run_in};
pub use session::{Advanced, Candidate, Inherited, Plan, SearchedP, Session, SessionError, SessionState, WarmStart};
pub use standing::{Book, Did, EvidenceDay, Judged, Standing, StepBook, UnderTest, asked, judge};
pub use standing_rankings::{asked_rankings, judge_rankings};
pub use status::TestStatus;
pub use timeline::{Searchable, SearchablePanel, SeenBefore, SeenUntil, Split, SplitPanel, Unseen, UnseenPanel};
pub use world::{Followed, Halves, RankingHalves, RankingWorld, RulesHalves, RulesWorld, World};

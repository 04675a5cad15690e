//! Many weak ranking strategies, traded as one book and proven as one hypothesis: the pipeline itself.
//!
//! ```text
//! SearchablePanel --search, null searches--> expectation --admission, weights--> Chosen --+
//!                                                                                         |-> days -> wealth
//! UnseenPanel ----------------------- targets netted, one account -----------------------+
//! ```
//!
//! Block after block (a calendar month each) members are chosen from what had closed by its beginning, frozen, and traded
//! through it. What chooses is handed a [`protocol::SearchablePanel`], which ends at the block's beginning; what trades is
//! handed candles of the block only against what the book that was frozen has seen. The walk is a value: stored after any block and
//! read back it goes on to the bit, at any number of threads.
//!
//! Never reads a clock, never stores, never decides what becomes of a book.

/// Of the pipeline: another number where the code comes to other numbers of the same settings and candles, for that is
/// another hypothesis. A test holds it to a walk's digest.
pub const VERSION: u32 = 1;

mod admission;
mod allocation;
mod blocks;
mod calibration;
mod checkpoint;
mod config;
mod course;
mod expectation;
mod figures;
mod freeze;
mod insight;
mod lives;
mod netting;
mod planting;
mod proof;
mod searches;
mod trading;
mod walk;
mod wealth;
mod weighing;

pub use admission::{Candidate, Member};
pub use allocation::{Share, ShareEvidence, ShareRules, share};
pub use blocks::{Block, months};
pub use calibration::{BookCalibration, BookCalibrationError, BookWorld, Calibrated, MadeOf};
pub use checkpoint::CheckpointError;
pub use config::{BookConfig, BookConfigError, Weighing};
pub use course::{Course, Rules, course};
pub use expectation::{Expected, Kept, NullSample, Prior};
pub use figures::{DayFigures, Figures};
pub use freeze::{Cash, Chosen, Heritage, Pipeline};
pub use insight::{Exposure, Insight, MemberInsight, Source, Sources};
pub use lives::{BookLife, BookLived, LifeWorld};
pub use netting::{Netted, net};
pub use proof::{Proof, needed_log_e, requirements};
pub use searches::{BlockNullFound, BlockNulls, BlockSearch, Searched};
pub use walk::{BookError, Day, Traded, Walk, Walker, placebo};
pub use wealth::{Bet, FRACTIONS, bets, bets_at_risk, log_e, wealth};
pub use weighing::weights;

//! Many weak ranking strategies, traded as one book and proven as one hypothesis: the pipeline itself.
//!
//! ```text
//! SearchablePanel --search, null searches--> expectation --admission, weights--> Frozen --+
//!                                                                                         |-> days -> wealth
//! UnseenPanel ----------------------- targets netted, one account -----------------------+
//! ```
//!
//! Block after block (a calendar month each) members are chosen from what had closed by its beginning, frozen, and traded
//! through it. What chooses is handed a [`protocol::SearchablePanel`], which ends at the block's beginning; what trades is
//! handed candles of the block only against what the frozen book has seen. The walk is a value: stored after any block and
//! read back it goes on to the bit, at any number of threads.
//!
//! Never reads a clock, never stores, never decides what becomes of a book.

mod admission;
mod blocks;
mod checkpoint;
mod config;
mod expectation;
mod figures;
mod freeze;
mod netting;
mod walk;
mod wealth;
mod weighing;

pub use admission::{Candidate, Member};
pub use blocks::{Block, months};
pub use checkpoint::CheckpointError;
pub use config::{BookConfig, BookConfigError, Weighing};
pub use expectation::{Expected, Kept, NullSample, Prior};
pub use figures::{DayFigures, Figures};
pub use freeze::{Cash, Frozen, Heritage, Pipeline, freeze};
pub use netting::{Netted, net};
pub use walk::{BookError, Day, Traded, Walk, Walker};
pub use wealth::{Bet, FRACTIONS, bets, log_e};
pub use weighing::weights;

//! What a video says about trading, as numbers and as strategies; docs/MEDIA.md is its page.
//!
//! ```text
//! Item --features--> Features --contract--> rules as clients write them
//!      --lexicon---> Found ----compose----> a strategy of the whole language
//!      --signature-> Families: near-duplicates are one idea
//! ```
//!
//! Looks at no candle, runs no backtest, stores nothing, and knows no clock: the moment is passed in.

mod compose;
mod contract;
mod families;
mod features;
mod item;
mod lexicon;
mod numbers;
mod stream;
mod verdict;

pub use compose::{Idea, LexiconProposal, SAME_IDEA_SECONDS, propose};
pub use contract::{ClientRisk, ClientStrategy, client_strategy};
pub use families::{Families, FamilyChoice, NEAR_DUPLICATE_COSINE, Signature};
pub use features::{FEATURE_NAMES, Features};
pub use item::{Invalid, Item, KeywordHit, Limits, MAX_MEDIA_ITEM_ID, NumberedItem, Transcript, check_id};
pub use lexicon::{Found, LEXICON, LexiconEntry, Meaning};
pub use verdict::{ClientLimits, ClientVerdict, Figures, VerdictStatus};

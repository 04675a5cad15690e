//! What earlier strategies have taught: which building blocks keep their promise, and new strategies drawn accordingly; and how
//! building blocks scored in sample, against null markets.
//!
//! Sees strategies and their daily returns after whatever shaped them; whoever calls vouches that these lie inside the search
//! window. Never sees a candle, never evaluates, never decides.

mod features;
mod fit;
mod learnt;
mod names;
mod rankings;
mod scores;

pub use features::features;
pub use fit::{HALF_LIFE_DAYS, LEAST_DAYS, Lesson, learn};
pub use learnt::{Belief, DRAWS, Learnt};
pub use scores::{Contrast, LEAST_NULLS, Scored, Scores};

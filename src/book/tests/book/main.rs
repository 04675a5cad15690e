//! Walks over simulated markets of coins: what is planted is found, noise proves nothing, nothing of a block is looked at
//! before it, and a walk is the same bytes however it was cut and on however many threads.
#![allow(clippy::unwrap_used)]

mod insight;
mod netting;
mod walks;
mod worlds;

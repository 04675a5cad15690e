//! Population -> next population, as named steps. Pure: candles are behind [`Evaluator`].
//!
//! Never decides promotion, never stores, never reads a clock.

mod archive;
mod breed;
mod config;
mod evaluator;
mod fitness;
mod forms;
mod generation;
pub mod pareto;
mod profile;
#[cfg(test)]
mod rankings;
mod selection;
mod state;
#[cfg(test)]
mod tests;
// The same readers as beside the statistics.
#[cfg(test)]
#[path = "../evidence/vectors.rs"]
mod vectors;

pub use config::{SearchConfig, SearchConfigError, Selection};
pub use evaluator::{Evaluator, WindowEvaluator, evaluate_rules};
pub use fitness::Components;
pub use generation::{Failure, GenerationReport, Step, Stopped, advance, champions, start};
pub use profile::Profile;
pub use state::{Counters, Individual, Measured, Origin, SearchState, Summary};

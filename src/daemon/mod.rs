//! Composition root, supervisor, runners and shutdown. The only place that wires everything together.

pub mod notifier;
pub mod stopper;
pub mod supervisor;

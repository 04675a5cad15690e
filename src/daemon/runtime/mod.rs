//! What runs loops and stops them. Knows nothing of what they do.

pub(crate) mod stopper;
pub(crate) mod supervisor;

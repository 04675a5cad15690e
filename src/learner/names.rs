//! How names of building blocks are put together.

/// What joins the two parts of a combination.
pub(crate) const WITH: &str = ", ";

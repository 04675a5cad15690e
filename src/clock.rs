//! The wall clock, behind a trait. Pure modules never see it.

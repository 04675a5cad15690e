//! The sg-ai command.

fn main() {}

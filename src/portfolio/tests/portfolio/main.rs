//! Tests of the portfolio through its public interface: against a plain second implementation, for look-ahead, for the
//! same bits whatever comes later and on however many threads.
#![allow(clippy::unwrap_used)]

mod agreement;
mod cancelling;
mod follow;
mod golden;
mod lookahead;
mod plain;
mod population;
mod universe;
mod worlds;

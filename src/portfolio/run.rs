//! One strategy over one panel: from slot to slot, as the definitions order it (section 7.5).
//!
//! In each slot: orders fill at its open; at its close funding is paid, instruments end, equity is taken, and where the
//! clock says so targets are set, whose orders fill at the open after. Nothing later than that close is looked at.

use crate::{
    Panel, PortfolioTerms,
    account::{Closed, Gain},
    columns::ColumnError,
    prepared::Ground,
    state::Trader,
};
use candles::Interval;
use genome::Ranking;
use serde::Serialize;
use std::collections::BTreeMap;

/// The close of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Slot {
    /// Its close (the next slot's open), UTC ms.
    pub time_ms: i64,
    /// Cash and what is held, quote units.
    pub equity: f64,
    /// Sum of the absolute values held, quote units.
    pub gross: f64,
    /// Sum of the values held, short ones negative, quote units.
    pub net: f64,
    /// Instruments held.
    pub names: u32,
    /// What was traded at its open over equity at the decision, both sides.
    pub turnover: f64,
}

/// Targets at a rebalance.
#[derive(Clone, Debug, PartialEq)]
pub struct Rebalance {
    /// When, UTC ms.
    pub time_ms: i64,
    /// Those that are not 0: number of the instrument and target, in byte order of names.
    pub targets: Vec<(u32, f64)>,
    /// Members of the universe then.
    pub members: u32,
    /// Members that had a score.
    pub ranked: u32,
}

impl Rebalance {
    /// Nothing is wanted.
    #[must_use]
    pub const fn nothing(time_ms: i64) -> Self {
        Self { time_ms, targets: Vec::new(), members: 0, ranked: 0 }
    }
}

/// What a run did.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// Slots that opened in the window, in order.
    pub slots: Vec<Slot>,
    /// Rebalances, in order.
    pub rebalances: Vec<Rebalance>,
    /// Stays that ended, in order of their ends.
    pub closed: Vec<Closed>,
    /// Stays that had not ended, as if they ended with the last slot.
    pub open: Vec<Closed>,
    /// What each instrument gave.
    pub gains: BTreeMap<u32, Gain>,
    /// Sum of what was traded over equity at the decision, both sides.
    pub turnover: f64,
    /// Orders that found no candle.
    pub lapsed: u32,
    /// When everything was taken, UTC ms.
    pub liquidated_ms: Option<i64>,
}

/// Why a strategy cannot run over a panel.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum RunError {
    #[error("the strategy decides on {strategy} candles but the panel holds {panel} ones")]
    Timeframe { strategy: Interval, panel: Interval },
    #[error("the window is empty: its begin must be before its end")]
    EmptyWindow,
    #[error("the score cannot be computed: {0}")]
    Score(#[from] ColumnError),
    #[error("{0}")]
    Terms(String),
}

/// Runs a strategy over the slots that open in `[from_ms, to_ms)`. All of the panel's candles before warm up.
///
/// # Errors
/// When the panel has another timeframe, the window is empty, or the terms are impossible.
pub fn run(
    strategy: &Ranking,
    panel: &Panel,
    from_ms: i64,
    to_ms: i64,
    terms: &PortfolioTerms,
) -> Result<Track, RunError> {
    if strategy.timeframe != panel.interval() {
        return Err(RunError::Timeframe { strategy: strategy.timeframe, panel: panel.interval() });
    }
    if from_ms >= to_ms {
        return Err(RunError::EmptyWindow);
    }
    terms.validate().map_err(RunError::Terms)?;
    let mut ready = Ground::new(panel, from_ms, to_ms, 0).prepare(&[strategy], terms);
    let ready = ready.pop().unwrap_or(Err(RunError::EmptyWindow))?;
    Ok(Trader { strategy, panel, terms, ready: &ready, told: None }.run(from_ms, to_ms, true))
}

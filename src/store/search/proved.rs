//! What was proved of a strategy before shadow, for people. Proves nothing.

use crate::{Store, StoreError};
use ::protocol::{EvidenceDay, Standing};
use serde::Serialize;
use uuid::Uuid;

/// Search, hold-out and what is asked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Proved {
    /// Of its search against null searches; `None` where nobody searched.
    pub p_value: Option<f64>,
    /// Null searches that it rests on.
    pub null_searches: u32,
    /// Chance of going live that its test gave it, should it have no edge, fraction.
    pub level: f64,
    /// End of what shaped it, UTC ms.
    pub seen_until_ms: i64,
    /// ln E of the hold-out; `None` once everything is lost.
    pub holdout_log_e: Option<f64>,
    /// The same at the end of each day of it; empty where that was not kept.
    pub holdout_days: Vec<EvidenceDay>,
    /// ln of the promotion threshold, on the first way from shadow to live.
    pub log_needed: Option<f64>,
}

impl From<Standing> for Proved {
    fn from(standing: Standing) -> Self {
        let level = Some(standing.level).filter(|level| *level > 0.0);
        Self {
            p_value: standing.p_value,
            null_searches: standing.null_searches,
            level: standing.level,
            seen_until_ms: standing.seen_until_ms,
            holdout_log_e: standing.holdout.log_excess,
            holdout_days: standing.holdout_days,
            log_needed: level.map(|level| -lifecycle::promotion_level(level, true).ln()),
        }
    }
}

impl Store {
    /// What was proved of a strategy before shadow; `None` where nothing was, or where it was revived since.
    ///
    /// # Errors
    /// When the database does not answer, or what is stored does not read.
    pub async fn proved(&self, strategy_id: Uuid) -> Result<Option<Proved>, StoreError> {
        Ok(self.standings(&[strategy_id]).await?.remove(&strategy_id).map(Proved::from))
    }
}

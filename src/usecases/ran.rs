//! What a strategy did over a window of candles, in one shape for both forms: for reviews, for what is stored, and for what
//! is computed again. Judges nothing and stores nothing.

use engine::{DailyEquity, ExitReason, Outcome, Performance, Trade, Window};
use lifecycle::PaperEvidence;
use portfolio::{Panel, Record, Results, Track, daily_equity};
use protocol::Did;
use std::sync::Arc;
use store::PaperPass;
use uuid::Uuid;

/// What a live run did, one by one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LiveResults<'a> {
    /// Trades of rules.
    Trades(&'a [Trade]),
    /// Hedged daily returns of what ranks the market.
    Hedged(&'a [f64]),
}

/// What a strategy did.
#[derive(Clone, Debug)]
pub(crate) struct Ran {
    /// As for every strategy.
    pub(crate) performance: Performance,
    /// For its standing.
    pub(crate) did: Did,
    /// Equity at the window's begin, at each 00:00 UTC in it, and at its end.
    pub(crate) daily_equity: Vec<DailyEquity>,
    /// What a strategy that ranks the market has beside these.
    pub(crate) portfolio: Option<Record>,
}

impl Ran {
    /// Of rules over a window; the outcome has its ledger.
    pub(crate) fn traded(outcome: Outcome, window: Arc<Window>) -> Self {
        let ledger = outcome.ledger.unwrap_or_default();
        Self {
            performance: outcome.performance,
            daily_equity: ledger.daily_equity.clone(),
            did: Did::Traded(ledger, window),
            portfolio: None,
        }
    }

    /// Of a strategy that ranks the market, over a panel from `from_ms` on, beginning with `capital`.
    pub(crate) fn held((track, results): &(Track, Results), panel: &Panel, from_ms: i64, capital: f64) -> Self {
        Self {
            performance: results.performance.clone(),
            did: Did::Held(results.days.clone()),
            daily_equity: daily_equity(&track.slots, from_ms, capital),
            portfolio: Some(Record::of(track, results, panel)),
        }
    }

    /// Trades, those included that the window ended. What ranks the market has none: it holds shares.
    pub(crate) fn trades(&self) -> &[Trade] {
        match &self.did {
            Did::Traded(ledger, _) => &ledger.trades,
            Did::Held(_) => &[],
        }
    }

    /// For detectors of an edge that has gone.
    pub(crate) fn live_results(&self) -> LiveResults<'_> {
        match &self.portfolio {
            Some(record) => LiveResults::Hedged(&record.days.hedged),
            None => LiveResults::Trades(self.trades()),
        }
    }

    /// For the gate.
    pub(crate) fn evidence(&self, from_ms: i64, to_ms: i64, recent_trades: usize) -> PaperEvidence {
        match &self.did {
            Did::Traded(ledger, _) => {
                PaperEvidence::traded(&self.performance, &ledger.trades, (from_ms, to_ms), recent_trades)
            }
            Did::Held(_) => PaperEvidence::held(&self.performance, (from_ms, to_ms)),
        }
    }

    /// What the store is told of a paper run up to `to_ms`.
    pub(crate) fn pass(&self, run_id: Uuid, to_ms: i64, data_version: String) -> anyhow::Result<PaperPass> {
        let (open, trades): (Vec<Trade>, Vec<Trade>) =
            self.trades().iter().cloned().partition(|t| t.exit_reason == ExitReason::EndOfWindow);
        let open_positions = match &self.portfolio {
            Some(record) => serde_json::to_value(record.stays.iter().filter(|stay| stay.open).collect::<Vec<_>>())?,
            None => serde_json::to_value(open)?,
        };
        Ok(PaperPass {
            run_id,
            to_ms,
            data_version: Some(data_version),
            performance: self.performance.clone(),
            closed_trades: self.performance.total_trades - self.performance.end_of_window_trades,
            open_positions,
            trades,
            daily_equity: self.daily_equity.clone(),
            portfolio: self.portfolio.clone(),
            progress: None,
        })
    }
}

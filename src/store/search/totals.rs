//! Real and placebo sessions in numbers, for whoever watches. Reads; decides nothing.

use crate::{StoreError, Tx, row::Named as _, search::accounts};
use ::protocol::TestStatus;
use serde::Serialize;

/// Real and placebo sessions in numbers, over all time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct ProtocolTotals {
    /// Sessions that ended.
    pub real_sessions: u64,
    /// The same whose strategies ranked the market.
    pub real_ranking_sessions: u64,
    /// Of them all, those that bought a test: no other one can get anything through.
    pub real_tested: u64,
    /// Of them, with a search that beat its null searches.
    pub real_selected: u64,
    /// Of them, with a strategy that entered shadow.
    pub real_passed: u64,
    pub placebo_sessions: u64,
    /// The same whose strategies ranked the market.
    pub placebo_ranking_sessions: u64,
    pub placebo_tested: u64,
    pub placebo_selected: u64,
    pub placebo_passed: u64,
    /// Null strategies that went live.
    pub placebo_promoted: u64,
    /// Null searches ever, and their backtests.
    pub null_searches: u64,
    pub null_evaluations: u64,
    /// What tests cost now; `None` before the first session.
    pub tests: Option<TestStatus>,
}

/// Real and placebo sessions in numbers.
pub(crate) async fn of_sessions(tx: &Tx) -> Result<ProtocolTotals, StoreError> {
    let sql = "select count(*) filter (where not placebo) as real_sessions,
            count(*) filter (where placebo) as placebo_sessions,
            count(*) filter (where not placebo and e.form = 'ranking') as real_ranking_sessions,
            count(*) filter (where placebo and e.form = 'ranking') as placebo_ranking_sessions,
            count(*) filter (where not placebo and coalesce((detail ->> 'tests')::bigint, candidates) > 0) as real_tested,
            count(*) filter (where placebo and coalesce((detail ->> 'tests')::bigint, candidates) > 0) as placebo_tested,
            count(*) filter (where not placebo and entered > 0) as real_passed,
            count(*) filter (where placebo and entered > 0) as placebo_passed,
            count(*) filter (where placebo and detail ->> 'selected' = 'true') as placebo_selected,
            count(*) filter (where not placebo and detail ->> 'selected' = 'true') as real_selected,
            coalesce(sum(promoted) filter (where placebo), 0)::bigint as placebo_promoted
        from protocol_sessions p left join search_sessions e on e.id = p.session_id where candidates is not null";
    let row = tx.row(sql, &[]).await?;
    let nulls = "select coalesce(sum(null_searches), 0)::bigint as null_searches,
            coalesce(sum(null_evaluations), 0)::bigint as null_evaluations
        from trial_ledger";
    let nulls = tx.row(nulls, &[]).await?;
    Ok(ProtocolTotals {
        real_sessions: row.count("real_sessions")?,
        real_ranking_sessions: row.count("real_ranking_sessions")?,
        placebo_ranking_sessions: row.count("placebo_ranking_sessions")?,
        real_tested: row.count("real_tested")?,
        placebo_tested: row.count("placebo_tested")?,
        placebo_sessions: row.count("placebo_sessions")?,
        real_passed: row.count("real_passed")?,
        placebo_passed: row.count("placebo_passed")?,
        placebo_selected: row.count("placebo_selected")?,
        placebo_promoted: row.count("placebo_promoted")?,
        real_selected: row.count("real_selected")?,
        null_searches: nulls.count("null_searches")?,
        null_evaluations: nulls.count("null_evaluations")?,
        tests: accounts::status(tx).await?,
    })
}

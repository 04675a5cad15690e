//! What operators ask about the whole: counts, totals and the newest generations, read in one snapshot each.

use super::{OutboxDepth, Page, ProtocolTotals, Store, StoreError, Tx, outbox, protocol, row::Named as _};
use chrono::{DateTime, Utc};
use lifecycle::State;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use tokio_postgres::Row;
use uuid::Uuid;

/// How often luck was tried, over all sessions there ever were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct TrialTotals {
    pub sessions: u64,
    pub generations: u64,
    /// Strategies backtested.
    pub evaluations: u64,
    /// Of them, new in their session.
    pub distinct: u64,
    /// Backtests that failed.
    pub failures: u64,
}

/// A stored generation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct GenerationRow {
    pub session_id: Uuid,
    pub island: String,
    pub session_number: u64,
    pub number: u32,
    pub best_fitness: Option<f64>,
    pub median_fitness: Option<f64>,
    pub mean_fitness: Option<f64>,
    pub evaluations: u64,
    pub distinct: u64,
    pub failures: u64,
    pub archive_size: u64,
    pub duration_ms: u64,
    pub detail: Value,
    pub created_at: DateTime<Utc>,
}

/// The state of everything in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overview {
    /// Strategies now in each state.
    pub strategies: BTreeMap<State, u64>,
    /// Strategies that ever were in each state.
    pub reached: BTreeMap<State, u64>,
    /// Transitions ever, by kind (`enter_shadow`, `go_live`, `demote`, `disable`, `revive`).
    pub transitions: BTreeMap<String, u64>,
    /// Disabled strategies by reason.
    pub disabled: BTreeMap<String, u64>,
    /// Trials ever.
    pub trials: TrialTotals,
    /// The newest generation of each island.
    pub last_generations: Vec<GenerationRow>,
    /// Profit factors of the open shadow runs, by strategy; undefined ones left out.
    pub shadow_profit_factors: BTreeMap<Uuid, f64>,
    /// Dead letters that nobody did anything about.
    pub open_dead_letters: u64,
    /// What waits to be sent.
    pub outbox: OutboxDepth,
    /// Real and placebo sessions.
    pub protocol: ProtocolTotals,
}

pub(super) const GENERATION: &str = "g.session_id, e.island, e.number as session_number, g.number, g.best_fitness, \
     g.median_fitness, g.mean_fitness, g.evaluations, g.distinct_strategies, g.failures, g.archive_size, g.duration_ms, g.detail, \
     g.created_at";

pub(super) fn read_generation(row: &Row) -> Result<GenerationRow, StoreError> {
    Ok(GenerationRow {
        session_id: row.try_get("session_id")?,
        island: row.try_get("island")?,
        session_number: row.count("session_number")?,
        number: row.small("number")?,
        best_fitness: row.try_get("best_fitness")?,
        median_fitness: row.try_get("median_fitness")?,
        mean_fitness: row.try_get("mean_fitness")?,
        evaluations: row.count("evaluations")?,
        distinct: row.count("distinct_strategies")?,
        failures: row.count("failures")?,
        archive_size: row.count("archive_size")?,
        duration_ms: row.count("duration_ms")?,
        detail: row.try_get("detail")?,
        created_at: row.try_get("created_at")?,
    })
}

/// Generations of a session, oldest first.
pub(super) async fn generations_of(tx: &Tx, session_id: Uuid) -> Result<Vec<GenerationRow>, StoreError> {
    let sql = format!(
        "select {GENERATION} from generations g join search_sessions e on e.id = g.session_id
         where e.id = $1 order by g.number"
    );
    tx.rows(&sql, &[&session_id]).await?.iter().map(read_generation).collect()
}

async fn counts(tx: &Tx, sql: &str) -> Result<BTreeMap<String, u64>, StoreError> {
    tx.rows(sql, &[]).await?.iter().map(|row| Ok((row.try_get("name")?, row.count("n")?))).collect()
}

/// Counts by state, with a zero for each state that has none.
async fn by_state(tx: &Tx, sql: &str) -> Result<BTreeMap<State, u64>, StoreError> {
    let mut counts: BTreeMap<State, u64> = State::ALL.into_iter().map(|state| (state, 0)).collect();
    for row in tx.rows(sql, &[]).await? {
        counts.insert(row.parse("state")?, row.count("n")?);
    }
    Ok(counts)
}

impl Store {
    /// Everything in numbers.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn overview(&self) -> Result<Overview, StoreError> {
        self.transaction("overview", |tx| async move {
            let tx = &tx;
            tx.execute("set transaction isolation level repeatable read, read only", &[]).await?;
            // Distinct rows straight from an index; a count of distinct values would sort them once more.
            let reached = "select to_state as state, count(*) as n from (
                    select distinct to_state, strategy_id from transitions where to_state <> 'candidate'
                ) t group by 1";
            let last_generations = format!(
                "select {GENERATION} from (select distinct island from search_sessions) i
                 cross join lateral (
                     select e.id, e.island, e.number from search_sessions e
                     where e.island = i.island and e.last_generation is not null order by e.number desc limit 1
                 ) e join lateral (
                     select * from generations g where g.session_id = e.id order by g.number desc limit 1
                 ) g on true order by e.island"
            );
            let profit_factors =
                "select strategy_id, (performance ->> 'profit_factor')::double precision as profit_factor
                from paper_runs where ended_at is null and phase = 'shadow'
                    and performance ->> 'profit_factor' is not null";
            let dead = "select count(*) as n from dead_letters where status = 'open'";
            let strategies = by_state(tx, "select state, count(*) as n from strategies group by 1").await?;
            let mut reached = by_state(tx, reached).await?;
            // Each strategy began as one.
            reached.insert(State::Candidate, strategies.values().sum());
            Ok(Overview {
                strategies,
                reached,
                transitions: counts(tx, "select kind as name, count(*) as n from transitions group by 1").await?,
                disabled: counts(
                    tx,
                    "select disable_reason as name, count(*) as n from strategies where state = 'disabled' group by 1",
                )
                .await?,
                trials: trials(tx).await?,
                last_generations: tx
                    .rows(&last_generations, &[])
                    .await?
                    .iter()
                    .map(read_generation)
                    .collect::<Result<_, _>>()?,
                shadow_profit_factors: tx
                    .rows(profit_factors, &[])
                    .await?
                    .iter()
                    .map(|row| Ok((row.try_get("strategy_id")?, row.try_get("profit_factor")?)))
                    .collect::<Result<_, StoreError>>()?,
                open_dead_letters: tx.row(dead, &[]).await?.count("n")?,
                outbox: outbox::depth(tx).await?,
                protocol: protocol::totals(tx).await?,
            })
        })
        .await
    }

    /// Trials ever.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn trial_totals(&self) -> Result<TrialTotals, StoreError> {
        self.transaction("trial_totals", |tx| async move { trials(&tx).await }).await
    }

    /// Generations of all islands, newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn recent_generations(&self, page: Page) -> Result<Vec<GenerationRow>, StoreError> {
        self.transaction("recent_generations", |tx| async move {
            let tx = &tx;
            let sql = format!(
                "select {GENERATION} from generations g join search_sessions e on e.id = g.session_id
             order by g.created_at desc, g.number desc limit $1 offset $2"
            );
            tx.rows(&sql, &[&page.limit(), &page.offset()]).await?.iter().map(read_generation).collect()
        })
        .await
    }

    /// When the newest generation was recorded, wall time; `None` when there is none.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn last_generation_at(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.transaction("last_generation_at", |tx| async move {
            let tx = &tx;
            Ok(tx.row("select max(created_at) as newest from generations", &[]).await?.try_get("newest")?)
        })
        .await
    }
}

async fn trials(tx: &Tx) -> Result<TrialTotals, StoreError> {
    let sql = "select count(*) as sessions, coalesce(sum(generations), 0)::bigint as generations,
        coalesce(sum(evaluations), 0)::bigint as evaluations,
        coalesce(sum(distinct_strategies), 0)::bigint as distinct_strategies,
        coalesce(sum(failures), 0)::bigint as failures from trial_ledger";
    let row = tx.row(sql, &[]).await?;
    Ok(TrialTotals {
        sessions: row.count("sessions")?,
        generations: row.count("generations")?,
        evaluations: row.count("evaluations")?,
        distinct: row.count("distinct_strategies")?,
        failures: row.count("failures")?,
    })
}

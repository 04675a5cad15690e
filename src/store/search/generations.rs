//! Generations of search sessions, and how often luck was tried in all of them. Records nothing: sessions do.

use crate::{Page, Store, StoreError, Tx, backtests::optimizations, row::Named as _};
use chrono::{DateTime, Utc};
use genome::StrategyForm;
use serde::Serialize;
use serde_json::Value;
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
    /// Form of the strategies that its session searches.
    pub form: StrategyForm,
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

pub(crate) const GENERATION: &str = "g.session_id, e.island, e.form, e.number as session_number, g.number, g.best_fitness, \
     g.median_fitness, g.mean_fitness, g.evaluations, g.distinct_strategies, g.failures, g.archive_size, g.duration_ms, g.detail, \
     g.created_at";

pub(crate) fn read_generation(row: &Row) -> Result<GenerationRow, StoreError> {
    Ok(GenerationRow {
        session_id: row.try_get("session_id")?,
        island: row.try_get("island")?,
        form: row.parse("form")?,
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
pub(crate) async fn generations_of(tx: &Tx, session_id: Uuid) -> Result<Vec<GenerationRow>, StoreError> {
    let sql = format!(
        "select {GENERATION} from generations g join search_sessions e on e.id = g.session_id
         where e.id = $1 order by g.number"
    );
    tx.rows(&sql, &[&session_id]).await?.iter().map(read_generation).collect()
}

/// Trials ever: those of sessions, and one for each family of media whose strategies were tested.
pub(crate) async fn trials(tx: &Tx) -> Result<TrialTotals, StoreError> {
    let sql = "select count(*) as sessions, coalesce(sum(generations), 0)::bigint as generations,
        coalesce(sum(evaluations), 0)::bigint + (select count(tried_at) from media_families) as evaluations,
        coalesce(sum(distinct_strategies), 0)::bigint + (select count(tried_at) from media_families)
            as distinct_strategies,
        coalesce(sum(failures), 0)::bigint as failures from trial_ledger";
    let row = tx.row(sql, &[]).await?;
    // Whoever optimises tries his luck, too; no point of a run is evaluated twice.
    let (optimised, failed) = optimizations::evaluations(tx).await?;
    Ok(TrialTotals {
        sessions: row.count("sessions")?,
        generations: row.count("generations")?,
        evaluations: row.count("evaluations")? + optimised,
        distinct: row.count("distinct_strategies")? + optimised,
        failures: row.count("failures")? + failed,
    })
}

impl Store {
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

    /// The generations of a session, in order.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn generations_of(&self, session_id: Uuid) -> Result<Vec<GenerationRow>, StoreError> {
        self.transaction("generations_of", |tx| async move {
            let sql = format!(
                "select {} from generations g join search_sessions e on e.id = g.session_id
                 where g.session_id = $1 order by g.number",
                GENERATION
            );
            tx.rows(&sql, &[&session_id]).await?.iter().map(read_generation).collect()
        })
        .await
    }
}

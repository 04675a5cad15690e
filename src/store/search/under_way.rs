//! Searches that are under way, for people who wait for them. Reads only.

use crate::{Store, StoreError, row::Named as _};
use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

/// A session that goes on, as far as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct SearchUnderWay {
    pub session_id: Uuid,
    pub island: String,
    pub number: i64,
    pub started_at: DateTime<Utc>,
    /// Generations that are done, and that there will be of each search.
    pub generations_done: u64,
    pub generations: u64,
    /// Whether the search that is compared with null searches is done.
    pub compared: bool,
    /// Null searches that are done, and at most, of every kind of null market.
    pub null_searches_done: u64,
    pub null_searches: u64,
    /// Best statistic of the search that is compared: the part of the fitness that grows with the t of daily net returns.
    /// `None` before that search is done.
    pub statistic: Option<f64>,
    /// The best of each null search that is done; `None` where one found nothing.
    pub null_statistics: Vec<Option<f64>>,
    /// Strategies evaluated so far, in searches of every kind.
    pub evaluations: u64,
    /// Best fitness of its newest generation.
    pub best_fitness: Option<f64>,
    /// When it last stored something.
    pub stored_at: DateTime<Utc>,
    /// Share of the most that there is to do, fraction.
    pub done_fraction: f64,
    /// What is left at the rate so far, seconds; `None` before anything is done. The null searches may end early.
    pub left_s: Option<f64>,
}

impl SearchUnderWay {
    /// With what follows from the counts.
    fn told(self) -> Self {
        let of_search = self.generations.max(1) as f64;
        let own = self.generations_done.min(self.generations) as f64;
        let compared = if self.compared { of_search } else { 0.0 };
        let done = own + compared + self.null_searches_done as f64 * of_search;
        let all = of_search * (2.0 + self.null_searches as f64);
        let took_s = (self.stored_at - self.started_at).as_seconds_f64();
        let left_s = (done > 0.0 && took_s > 0.0).then(|| (all - done).max(0.0) * took_s / done);
        Self { done_fraction: (done / all).min(1.0), left_s, ..self }
    }
}

impl Store {
    /// Sessions that go on, by island.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn searches_under_way(&self) -> Result<Vec<SearchUnderWay>, StoreError> {
        self.transaction("searches_under_way", |tx| async move {
            let sql = "select e.id, e.form, e.island, e.number, e.started_at,
                    coalesce(e.last_generation + 1, 0)::bigint as generations_done,
                    coalesce((e.config #>> '{search,generations}')::bigint, 0) as generations,
                    coalesce(l.compared_evaluations, 0) > 0 as compared,
                    coalesce(l.null_searches, 0)::bigint as null_searches_done,
                    coalesce((e.config #>> '{protocol,null_searches}')::bigint, 0) as null_searches,
                    l.statistic::double precision as statistic,
                    coalesce(l.null_statistics, '{}') as null_statistics,
                    (coalesce(l.evaluations, 0) + coalesce(l.compared_evaluations, 0)
                        + coalesce(l.null_evaluations, 0))::bigint as evaluations,
                    g.best_fitness::double precision as best_fitness,
                    greatest(e.started_at, l.updated_at, g.created_at) as stored_at
                from search_sessions e left join trial_ledger l on l.session_id = e.id
                left join lateral (select best_fitness, created_at from generations g where g.session_id = e.id
                    order by g.number desc limit 1) g on true
                where e.status = 'running' order by e.island";
            let rows = tx.rows(sql, &[]).await?;
            let read = |row: &tokio_postgres::Row| {
                let kinds = u64::from(protocol::null_kinds(row.parse("form")?));
                let session = SearchUnderWay {
                    session_id: row.try_get("id")?,
                    island: row.try_get("island")?,
                    number: row.try_get("number")?,
                    started_at: row.try_get("started_at")?,
                    generations_done: row.count("generations_done")?,
                    generations: row.count("generations")?,
                    compared: row.try_get("compared")?,
                    null_searches_done: row.count("null_searches_done")?,
                    null_searches: row.count("null_searches")? * kinds,
                    statistic: row.try_get("statistic")?,
                    null_statistics: row.try_get("null_statistics")?,
                    evaluations: row.count("evaluations")?,
                    best_fitness: row.try_get("best_fitness")?,
                    stored_at: row.try_get("stored_at")?,
                    done_fraction: 0.0,
                    left_s: None,
                };
                Ok(session.told())
            };
            rows.iter().map(read).collect()
        })
        .await
    }
}

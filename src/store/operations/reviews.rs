//! Daily reviews: which day was reviewed, and what its steps found. Reviews nothing itself.

use crate::{LeaseToken, Page, Store, StoreError};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio_postgres::Row;

/// The review of one day of market time.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct DailyReview {
    pub day: NaiveDate,
    /// `running`, `finished`, or `missed`: nobody was there, and a later day is reviewed instead.
    pub status: String,
    /// What each finished step found, by its name.
    pub steps: Map<String, Value>,
    pub started_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// Days that are noted as missed at most; more than a year was no pause.
const MOST_MISSED_DAYS: i32 = 400;

fn read(row: &Row) -> Result<DailyReview, StoreError> {
    let steps: Value = row.try_get("steps")?;
    Ok(DailyReview {
        day: row.try_get("day")?,
        status: row.try_get("status")?,
        steps: steps.as_object().cloned().unwrap_or_default(),
        started_at: row.try_get("started_at")?,
        finished_at: row.try_get("finished_at")?,
    })
}

impl Store {
    /// The review of `day`, begun now if it was not before, while days between the last one and it become missed, and
    /// so does one that is still running. The first day ever is missed, too: its hour was before there was anybody.
    /// `None` when a later day was begun already.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`].
    pub async fn open_review(&self, lease: &LeaseToken, day: NaiveDate) -> Result<Option<DailyReview>, StoreError> {
        self.transaction("open_review", |tx| async move {
            let tx = &tx;
            lease.verify(tx).await?;
            let sql = "select max(day) as last from daily_reviews";
            let last: Option<NaiveDate> = tx.row(sql, &[]).await?.try_get("last")?;
            match last {
                Some(last) if last > day => return Ok(None),
                Some(last) if last < day => {
                    let sql = "update daily_reviews set status = 'missed', steps = '{}' where status = 'running'";
                    tx.execute(sql, &[]).await?;
                    let sql = "insert into daily_reviews (day, status)
                        select d::date, 'missed' from generate_series(greatest($1::date + 1, $2::date - $3::integer), $2::date - 1,
                            interval '1 day') d on conflict (day) do nothing";
                    tx.execute(sql, &[&last, &day, &MOST_MISSED_DAYS]).await?;
                    tx.execute("insert into daily_reviews (day, status) values ($1, 'running')", &[&day]).await?;
                }
                Some(_) => {}
                None => {
                    tx.execute("insert into daily_reviews (day, status) values ($1, 'missed')", &[&day]).await?;
                }
            }
            let sql = "select day, status, steps, started_at, finished_at from daily_reviews where day = $1";
            tx.row_opt(sql, &[&day]).await?.as_ref().map(read).transpose()
        })
        .await
    }

    /// Notes what a step found; with the last one the review is finished. A step that was noted stays as it was.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`].
    pub async fn note_review_step(
        &self,
        lease: &LeaseToken,
        day: NaiveDate,
        step: &str,
        found: &Value,
        is_last: bool,
    ) -> Result<(), StoreError> {
        self.transaction("note_review_step", |tx| async move {
            let tx = &tx;
            lease.verify(tx).await?;
            let sql = "update daily_reviews set steps = jsonb_build_object($2::text, $3::jsonb) || steps,
                    status = case when $4 then 'finished' else status end,
                    finished_at = case when $4 then now() else finished_at end
                where day = $1 and status = 'running'";
            tx.execute(sql, &[&day, &step, &found, &is_last]).await.map(drop)
        })
        .await
    }

    /// Reviews, newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn daily_reviews(&self, page: Page) -> Result<Vec<DailyReview>, StoreError> {
        self.transaction("daily_reviews", |tx| async move {
            let sql = "select day, status, steps, started_at, finished_at from daily_reviews
                order by day desc limit $1 offset $2";
            tx.rows(sql, &[&page.limit(), &page.offset()]).await?.iter().map(read).collect()
        })
        .await
    }
}

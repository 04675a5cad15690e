//! Search sessions for people who look and for replays that are held against them. Reads only.

use crate::{
    GenerationRow, Page, Session, Store, StoreError, count,
    search::{generations, sessions},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

/// A search session with all its generations.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionStory {
    /// As in a list.
    pub session: SessionRow,
    /// Everything the search was told, an object.
    pub config: Value,
    /// Oldest first.
    pub generations: Vec<GenerationRow>,
}

/// A search session in a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct SessionRow {
    pub id: Uuid,
    pub island: String,
    pub number: i64,
    pub status: String,
    pub symbols: Vec<String>,
    pub timeframe: String,
    pub window_from_ms: i64,
    pub holdout_from_ms: i64,
    pub window_to_ms: i64,
    pub data_version: String,
    pub code_version: String,
    pub seed: String,
    pub report: Option<Value>,
    pub reason: Option<String>,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub evaluations: i64,
}

const SESSION: &str = "e.id, e.island, e.number, e.status, e.symbols, e.timeframe, e.window_from_ms, \
     e.holdout_from_ms, e.window_to_ms, e.data_version, e.code_version, e.seed, e.report, e.reason, e.started_at, \
     e.ended_at, coalesce(l.evaluations, 0) as evaluations";

fn read_session(row: &Row) -> Result<SessionRow, StoreError> {
    Ok(SessionRow {
        id: row.try_get("id")?,
        island: row.try_get("island")?,
        number: row.try_get("number")?,
        status: row.try_get("status")?,
        symbols: row.try_get("symbols")?,
        timeframe: row.try_get("timeframe")?,
        window_from_ms: row.try_get("window_from_ms")?,
        holdout_from_ms: row.try_get("holdout_from_ms")?,
        window_to_ms: row.try_get("window_to_ms")?,
        data_version: row.try_get("data_version")?,
        code_version: row.try_get("code_version")?,
        seed: row.try_get("seed")?,
        report: row.try_get("report")?,
        reason: row.try_get("reason")?,
        started_at: row.try_get("started_at")?,
        ended_at: row.try_get("ended_at")?,
        evaluations: row.try_get("evaluations")?,
    })
}

impl Store {
    /// A session with its settings and all its generations, oldest first.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn session_story(&self, island: &str, number: i64) -> Result<SessionStory, StoreError> {
        self.transaction("session_story", |tx| async move {
            let sql = format!(
                "select {SESSION}, e.config from search_sessions e
                left join trial_ledger l on l.session_id = e.id where e.island = $1 and e.number = $2"
            );
            let row = tx.row_opt(&sql, &[&island, &number]).await?;
            let row = row.ok_or_else(|| StoreError::not_found("session", format!("{island}/{number}")))?;
            let session = read_session(&row)?;
            let generations = generations::generations_of(&tx, session.id).await?;
            Ok(SessionStory { session, config: row.try_get("config")?, generations })
        })
        .await
    }

    /// Search sessions, newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn sessions(&self, page: Page) -> Result<Vec<SessionRow>, StoreError> {
        self.transaction("sessions", |tx| async move {
            let sql = format!(
                "select {SESSION} from search_sessions e left join trial_ledger l on l.session_id = e.id
                order by e.started_at desc, e.id desc limit $1 offset $2"
            );
            tx.rows(&sql, &[&page.limit(), &page.offset()]).await?.iter().map(read_session).collect()
        })
        .await
    }

    /// The session with this id, or of this `ISLAND/NUMBER`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn session(&self, selector: &str) -> Result<Session, StoreError> {
        let id = Uuid::parse_str(selector).ok();
        let by_number =
            selector.rsplit_once('/').and_then(|(island, number)| Some((island, number.parse::<i64>().ok()?)));
        let (island, number) = by_number.unzip();
        self.transaction("session", |tx| async move {
            let sql = format!(
                "select {} from search_sessions e where e.id = $1 or (e.island = $2 and e.number = $3)",
                sessions::COLUMNS
            );
            let row = tx.row_opt(&sql, &[&id, &island, &number]).await?;
            sessions::read(&row.ok_or_else(|| StoreError::not_found("session", selector))?)
        })
        .await
    }

    /// The newest session of an island that had finished when its session `number` began.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn session_before(&self, island: &str, number: u64) -> Result<Option<Session>, StoreError> {
        let number = count(number);
        self.transaction("session_before", |tx| async move {
            let sql = format!(
                "select {} from search_sessions e where e.island = $1 and e.number < $2 and e.status = 'finished'
                 order by e.number desc limit 1",
                sessions::COLUMNS
            );
            tx.row_opt(&sql, &[&island, &number]).await?.as_ref().map(sessions::read).transpose()
        })
        .await
    }
}

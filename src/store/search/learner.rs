//! What sessions learn from and what they were taught. Learns nothing itself.

use super::sessions;
use crate::{
    LeaseToken, Session, Store, StoreError, Tx,
    row::Named as _,
    seal,
    stored::{Stored, known_genome},
};
use ::learner::{Learnt, Scores};
use ::protocol::LESSONS;
use candles::MarketKind;
use chrono::NaiveDate;
use genome::{AnyStrategy, StrategyForm};
use serde::Serialize;
use std::ops::Range;
use tokio_postgres::{Row, types::Json};
use uuid::Uuid;

/// A strategy that a search found, and what had shaped it then.
#[derive(Clone, Debug, PartialEq)]
pub struct PastStrategy {
    /// What it does.
    pub genome: Stored<AnyStrategy>,
    /// UTC ms, exclusive.
    pub seen_until_ms: i64,
}

/// What a session was taught.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SessionLessons {
    /// Strategies of earlier sessions that were looked at.
    pub strategies: u32,
    /// What they taught; `None` where none had earned anything since.
    pub learnt: Option<Learnt>,
}

/// How building blocks scored in the searches of one market and form.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchScores {
    /// Market that was searched.
    pub market: MarketKind,
    /// Form of the strategies.
    pub form: StrategyForm,
    /// Newest sessions.
    pub sessions: u64,
    /// First and last day on which what they searched ended.
    pub days: (NaiveDate, NaiveDate),
    /// What they said.
    pub scores: Scores,
    /// Sessions in all.
    pub all_sessions: u64,
    /// What all said.
    pub all: Scores,
}

impl Store {
    /// Strategies of this form that searches of this market had among their best, tested or not, with what had shaped them when they were
    /// first found: the newest [`LESSONS`] of those before `split_ms`.
    ///
    /// Why the first time: whether one is found again depends on how it went on, so what it earned since it was last found
    /// would tell of those that went on badly.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn past_strategies(
        &self,
        (market, form): (MarketKind, StrategyForm),
        split_ms: i64,
    ) -> Result<Vec<PastStrategy>, StoreError> {
        let (market, form) = (&market.to_string(), &form.to_string());
        self.transaction("past_strategies", |tx| async move {
            let tx = &tx;
            let sql = "with found as (
                    select u.genome_hash, u.genome, u.seen_until_ms from untested_candidates u
                        join search_sessions e on e.id = u.session_id
                        where e.market = $1 and u.seen_until_ms < $2
                            and e.form = $4
                    union all
                    select genome_hash, genome, seen_until_ms from strategies
                        where session_id is not null and market = $1 and seen_until_ms < $2 and form = $4
                ), first as (
                    select distinct on (genome_hash) genome_hash, genome, seen_until_ms from found
                    order by genome_hash, seen_until_ms
                )
                select * from first order by seen_until_ms desc, genome_hash limit $3";
            let read = |row: &Row| {
                let hash: String = row.try_get("genome_hash")?;
                let json = tx.keys().open_json(row.try_get("genome")?, &seal::genome_of(&hash))?;
                let genome = known_genome(json, Some(&hash), None, format_args!("strategy {hash}"));
                Ok(PastStrategy { genome, seen_until_ms: row.try_get("seen_until_ms")? })
            };
            tx.rows(sql, &[market, &split_ms, &i64::from(LESSONS), form]).await?.iter().map(read).collect()
        })
        .await
    }

    /// How building blocks scored in the newest sessions of each market and form, at least so many of them where there are as
    /// many (whole days are counted), and in all; in order of market and form.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn search_scores(&self, newest: u64) -> Result<Vec<SearchScores>, StoreError> {
        self.transaction("search_scores", |tx| async move {
            let sql = "select market, form, day, sessions, scores from search_scores order by market, form, day desc";
            let mut found: Vec<SearchScores> = Vec::new();
            for row in tx.rows(sql, &[]).await? {
                let (market, form): (&str, &str) = (row.try_get("market")?, row.try_get("form")?);
                let read = |error: &dyn std::fmt::Display| StoreError::decode(format!("search_scores: {error}"));
                let (market, form) = (market.parse().map_err(|e| read(&e))?, form.parse().map_err(|e| read(&e))?);
                let (day, sessions): (NaiveDate, u64) = (row.try_get("day")?, row.count("sessions")?);
                let scores: Scores = row.json("scores")?;
                if found.last().is_none_or(|last| (last.market, last.form) != (market, form)) {
                    let (days, scores, all) = ((day, day), Scores::default(), Scores::default());
                    found.push(SearchScores { market, form, sessions: 0, days, scores, all_sessions: 0, all });
                }
                if let Some(last) = found.last_mut() {
                    if last.sessions < newest {
                        (last.sessions, last.days.0) = (last.sessions + sessions, day);
                        last.scores.join(&scores);
                    }
                    last.all_sessions += sessions;
                    last.all.join(&scores);
                }
            }
            Ok(found)
        })
        .await
    }

    /// Keeps what a session was taught, once: what it was first taught stays, and is what comes back.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`].
    pub async fn record_lessons(
        &self,
        lease: &LeaseToken,
        session_id: Uuid,
        lessons: &SessionLessons,
    ) -> Result<SessionLessons, StoreError> {
        self.transaction("record_lessons", |tx| async move {
            let tx = &tx;
            lease.verify(tx).await?;
            let sql = "insert into session_lessons (session_id, strategies, learnt) values ($1, $2, $3)
                on conflict (session_id) do nothing";
            let strategies = i32::try_from(lessons.strategies).unwrap_or(i32::MAX);
            tx.execute(sql, &[&session_id, &strategies, &lessons.learnt.as_ref().map(Json)]).await?;
            of_session(tx, session_id).await?.ok_or_else(|| StoreError::not_found("session", session_id))
        })
        .await
    }

    /// What a session was taught; `None` for one of before there was a learner.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn session_lessons(&self, session_id: Uuid) -> Result<Option<SessionLessons>, StoreError> {
        self.transaction("session_lessons", |tx| async move { of_session(&tx, session_id).await }).await
    }

    /// Whether a session of this island whose window ends in a range of market time (UTC ms) was taught, something or nothing.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn was_taught(&self, island: &str, window_to_ms: Range<i64>) -> Result<bool, StoreError> {
        self.transaction("was_taught", |tx| async move {
            let sql = "select exists (select 1 from search_sessions e join session_lessons l on l.session_id = e.id
                where e.island = $1 and e.window_to_ms >= $2 and e.window_to_ms < $3)";
            Ok(tx.row(sql, &[&island, &window_to_ms.start, &window_to_ms.end]).await?.try_get(0)?)
        })
        .await
    }

    /// The newest session that was taught something, of one island or of all, and what; `None` before there is one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn newest_lessons(&self, island: Option<&str>) -> Result<Option<(Session, SessionLessons)>, StoreError> {
        self.transaction("newest_lessons", |tx| async move {
            let tx = &tx;
            let columns = sessions::COLUMNS;
            let sql = format!(
                "select {columns} from search_sessions e join session_lessons l on l.session_id = e.id
                where l.learnt is not null and ($1::text is null or e.island = $1)
                order by e.window_to_ms desc, e.started_at desc limit 1"
            );
            let Some(row) = tx.row_opt(&sql, &[&island]).await? else { return Ok(None) };
            let session = sessions::read(&row)?;
            let lessons = of_session(tx, session.id).await?;
            Ok(lessons.map(|lessons| (session, lessons)))
        })
        .await
    }
}

/// Adds what the searches of a session said to what others of its market, form and day did.
pub(super) async fn add_scores(tx: &Tx, session_id: Uuid, scores: &Scores) -> Result<(), StoreError> {
    if scores.is_empty() {
        return Ok(());
    }
    let of_session = "select market, form, date '1970-01-01' + ceil(holdout_from_ms / 86400000.0)::integer as day
        from search_sessions where id = $1";
    let insert = format!(
        "insert into search_scores (market, form, day, sessions, scores) select market, form, day, 1, $2 from ({of_session}) s
        on conflict (market, form, day) do nothing"
    );
    if tx.execute(&insert, &[&session_id, &Json(scores)]).await? == 1 {
        return Ok(());
    }
    let lock = format!(
        "select c.market, c.form, c.day, c.scores from search_scores c join ({of_session}) s using (market, form, day)
        for update of c"
    );
    let row = tx.row(&lock, &[&session_id]).await?;
    let mut sum: Scores = row.json("scores")?;
    sum.join(scores);
    let (market, form): (String, String) = (row.try_get("market")?, row.try_get("form")?);
    let day: NaiveDate = row.try_get("day")?;
    let sql =
        "update search_scores set sessions = sessions + 1, scores = $4 where market = $1 and form = $2 and day = $3";
    tx.execute(sql, &[&market, &form, &day, &Json(sum)]).await?;
    Ok(())
}

async fn of_session(tx: &Tx, session_id: Uuid) -> Result<Option<SessionLessons>, StoreError> {
    let sql = "select strategies, learnt from session_lessons where session_id = $1";
    let Some(row) = tx.row_opt(sql, &[&session_id]).await? else { return Ok(None) };
    let strategies: i32 = row.try_get("strategies")?;
    let learnt: Option<Json<Learnt>> = row.try_get("learnt")?;
    Ok(Some(SessionLessons { strategies: strategies.unsigned_abs(), learnt: learnt.map(|json| json.0) }))
}

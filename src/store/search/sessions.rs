//! Search sessions: their generations, and what is needed to resume them. Searches nothing.

use crate::{
    DeadLetterKind, FinishReport, LeaseToken, NewDeadLetter, Store, StoreError, Tx, audit, count, names::names,
    operations::dead_letters, row::Named as _, seal, strategies,
};
use candles::{MarketKind, Symbol};
use chrono::{DateTime, Utc};
use genome::{AnyStrategy, Timeframe, random::Seed};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_postgres::Row;
use uuid::Uuid;

/// A session to open.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSession {
    /// One running session an island.
    pub island: String,
    /// From 1; the number after that of the island's last session.
    pub number: u64,
    /// Root of its random streams.
    pub seed: Seed,
    /// Everything the search was told, an object.
    pub config: Value,
    /// Candles of these symbols.
    pub symbols: Vec<Symbol>,
    /// Of this market.
    pub market: MarketKind,
    /// Of this interval.
    pub timeframe: Timeframe,
    /// First candle, UTC ms.
    pub window_from_ms: i64,
    /// End of what the search sees, start of the hold-out, UTC ms.
    pub holdout_from_ms: i64,
    /// End of the last candle (exclusive), UTC ms.
    pub window_to_ms: i64,
    /// Names the candles' content.
    pub data_version: String,
    /// Version of this program.
    pub code_version: String,
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum SessionStatus {
    Running,
    Finished,
    Abandoned,
}
names!(SessionStatus, "status of a session", Running = "running", Finished = "finished", Abandoned = "abandoned");

/// A stored session.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Session {
    pub id: Uuid,
    /// As it was opened.
    pub spec: NewSession,
    pub status: SessionStatus,
    /// Number of the last recorded generation.
    pub last_generation: Option<u32>,
    pub report: Option<FinishReport>,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
}

/// A running session and what it needs to go on.
#[derive(Clone, Debug, PartialEq)]
pub struct ResumableSession {
    /// The session.
    pub session: Session,
    /// The search's state after `last_generation`, as it was recorded; `None` before the first.
    pub state: Option<Vec<u8>>,
}

/// One generation.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerationRecord {
    /// From 0, without gaps.
    pub number: u32,
    /// Best fitness, 0 to 100; `None` when nothing scored.
    pub best_fitness: Option<f64>,
    /// Median fitness.
    pub median_fitness: Option<f64>,
    /// Mean fitness.
    pub mean_fitness: Option<f64>,
    /// Strategies backtested.
    pub evaluations: u64,
    /// Of them, never seen before in this session.
    pub distinct: u64,
    /// Strategies in the archive.
    pub archive_size: u64,
    /// Wall time, ms.
    pub duration_ms: u64,
    /// Whatever else is worth keeping, an object.
    pub detail: Value,
}

/// A strategy whose backtest failed.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedBacktest {
    /// Hash of its genome.
    pub genome_hash: String,
    /// What it is.
    pub genome: AnyStrategy,
    /// What went wrong.
    pub error: String,
    /// What a retry needs.
    pub context: Value,
}

/// What recording a generation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordOutcome {
    /// It is stored now.
    Recorded,
    /// It was stored before: nothing was changed.
    AlreadyRecorded,
}

pub(crate) const COLUMNS: &str = "e.id, e.island, e.number, e.seed, e.config, e.symbols, e.market, e.timeframe, e.window_from_ms, \
     e.holdout_from_ms, e.window_to_ms, e.data_version, e.code_version, e.status, e.last_generation, e.report, \
     e.started_at, e.ended_at";

pub(crate) fn read(row: &Row) -> Result<Session, StoreError> {
    let seed = row.seed("seed")?;
    Ok(Session {
        id: row.try_get("id")?,
        spec: NewSession {
            island: row.try_get("island")?,
            number: row.count("number")?,
            seed,
            config: row.try_get("config")?,
            symbols: strategies::symbols(row.try_get("symbols")?)?,
            market: row.parse("market")?,
            timeframe: row.parse("timeframe")?,
            window_from_ms: row.try_get("window_from_ms")?,
            holdout_from_ms: row.try_get("holdout_from_ms")?,
            window_to_ms: row.try_get("window_to_ms")?,
            data_version: row.try_get("data_version")?,
            code_version: row.try_get("code_version")?,
        },
        status: row.parse("status")?,
        last_generation: row.try_get::<_, Option<i32>>("last_generation")?.and_then(|n| u32::try_from(n).ok()),
        report: row.json_opt("report")?,
        started_at: row.try_get("started_at")?,
        ended_at: row.try_get("ended_at")?,
    })
}

/// The session, locked until the transaction ends.
pub(crate) async fn lock(tx: &Tx, id: Uuid) -> Result<Session, StoreError> {
    let row =
        tx.row_opt(&format!("select {COLUMNS} from search_sessions e where e.id = $1 for update"), &[&id]).await?;
    read(&row.ok_or_else(|| StoreError::not_found("session", id))?)
}

pub(crate) fn must_run(session: &Session) -> Result<(), StoreError> {
    match session.status {
        SessionStatus::Running => Ok(()),
        status => Err(StoreError::Conflict(format!("session {} is {}, not running", session.id, status.name()))),
    }
}

impl Store {
    /// The number of the next session of an island, from 1.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn next_session_number(&self, island: &str) -> Result<u64, StoreError> {
        self.transaction("next_session_number", |tx| async move {
            let tx = &tx;
            let sql = "select coalesce(max(number), 0) + 1 as next from search_sessions where island = $1";
            tx.row(sql, &[&island]).await?.count("next")
        })
        .await
    }

    /// Opens a session. Opening the same one again (island, number, seed and window) finds it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the island has another running session, or the number was used.
    pub async fn open_session(&self, lease: &LeaseToken, new: &NewSession) -> Result<Session, StoreError> {
        let symbols = &new.symbols.iter().map(Symbol::as_str).collect::<Vec<_>>();
        let (market, timeframe) = (&new.market.to_string(), &new.timeframe.to_string());
        let seed = &new.seed.0.to_string();
        let id = Uuid::now_v7();
        self.transaction("open_session", |tx| async move {
            let tx = &tx;
            lease.verify(tx).await?;
            let sql = "insert into search_sessions (id, island, number, seed, config, symbols, market, timeframe,
                    window_from_ms, holdout_from_ms, window_to_ms, data_version, code_version)
                values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
                on conflict (island, number) do nothing";
            let params: crate::transaction::Params<'_> = &[
                &id,
                &new.island,
                &count(new.number),
                seed,
                &new.config,
                symbols,
                market,
                timeframe,
                &new.window_from_ms,
                &new.holdout_from_ms,
                &new.window_to_ms,
                &new.data_version,
                &new.code_version,
            ];
            let inserted = tx.execute(sql, params).await.map_err(|error| match error.constraint() {
                Some("search_sessions_one_running") => {
                    StoreError::Conflict(format!("island {:?} has a running session already", new.island))
                }
                _ => error,
            })?;
            let sql = format!("select {COLUMNS} from search_sessions e where e.island = $1 and e.number = $2");
            let session = read(&tx.row(&sql, &[&new.island, &count(new.number)]).await?)?;
            if inserted == 0 {
                let same =
                    |spec: &NewSession| (spec.seed, spec.window_from_ms, spec.holdout_from_ms, spec.window_to_ms);
                return if same(&session.spec) == same(new) && session.status == SessionStatus::Running {
                    Ok(session)
                } else {
                    Err(StoreError::Conflict(format!("island {:?} has had a session {}", new.island, new.number)))
                };
            }
            let sql = "insert into trial_ledger
                    (session_id, island, session_number, window_from_ms, window_to_ms, data_version)
                values ($1, $2, $3, $4, $5, $6)";
            let params: crate::transaction::Params<'_> =
                &[&id, &new.island, &count(new.number), &new.window_from_ms, &new.window_to_ms, &new.data_version];
            tx.execute(sql, params).await?;
            self.audit_session(tx, "session_opened", &session, json!({ "seed": seed, "config": new.config })).await?;
            Ok(session)
        })
        .await
    }

    /// The running session of an island, with its state.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn unfinished_session(&self, island: &str) -> Result<Option<ResumableSession>, StoreError> {
        self.transaction("unfinished_session", |tx| async move {
            let tx = &tx;
            let sql = format!(
                "select {COLUMNS}, t.state from search_sessions e left join search_states t on t.session_id = e.id
                 where e.island = $1 and e.status = 'running'"
            );
            let row = tx.row_opt(&sql, &[&island]).await?;
            let Some(row) = row else { return Ok(None) };
            let (session, state): (Session, Option<Vec<u8>>) = (read(&row)?, row.try_get("state")?);
            let open = |state| tx.keys().open_bytes(state, &seal::state_of(session.id));
            Ok(Some(ResumableSession { state: state.map(open).transpose()?, session }))
        })
        .await
    }

    /// The finished session of an island with the highest number.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn last_finished_session(&self, island: &str) -> Result<Option<Session>, StoreError> {
        self.transaction("last_finished_session", |tx| async move {
            let tx = &tx;
            let sql = format!(
                "select {COLUMNS} from search_sessions e where e.island = $1 and e.status = 'finished'
                 order by e.number desc limit 1"
            );
            tx.row_opt(&sql, &[&island]).await?.as_ref().map(read).transpose()
        })
        .await
    }

    /// Stores a generation, the state to resume from after it, and the backtests that failed in it.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; [`StoreError::Conflict`] when the session has ended or a generation is left out.
    pub async fn record_generation(
        &self,
        lease: &LeaseToken,
        session_id: Uuid,
        generation: &GenerationRecord,
        state: &[u8],
        failures: &[FailedBacktest],
    ) -> Result<RecordOutcome, StoreError> {
        let number = i32::try_from(generation.number)
            .map_err(|_| StoreError::Invalid(format!("generation {} is too high", generation.number)))?;
        let failed = count(failures.len() as u64);
        self.transaction("record_generation", |tx| async move {
            let tx = &tx;
            lease.verify(tx).await?;
            let session = lock(tx, session_id).await?;
            let next = session.last_generation.map_or(0, |last| last + 1);
            if generation.number < next {
                return Ok(RecordOutcome::AlreadyRecorded);
            }
            must_run(&session)?;
            if generation.number > next {
                return Err(StoreError::Conflict(format!(
                    "session {session_id} expects generation {next}, not {}",
                    generation.number
                )));
            }
            let (evaluations, distinct) = (count(generation.evaluations), count(generation.distinct));
            let sql = "insert into generations (session_id, number, best_fitness, median_fitness, mean_fitness,
                    evaluations, distinct_strategies, failures, archive_size, duration_ms, detail)
                values ($1, $2, $3::double precision, $4::double precision, $5::double precision, $6, $7, $8, $9,
                    $10, $11)";
            let params: crate::transaction::Params<'_> = &[
                &session_id,
                &number,
                &generation.best_fitness,
                &generation.median_fitness,
                &generation.mean_fitness,
                &evaluations,
                &distinct,
                &failed,
                &count(generation.archive_size),
                &count(generation.duration_ms),
                &generation.detail,
            ];
            tx.execute(sql, params).await?;
            let sql = "insert into search_states (session_id, generation, state) values ($1, $2, $3)
                on conflict (session_id) do update set generation = excluded.generation, state = excluded.state,
                    saved_at = now()";
            let state = tx.keys().seal_bytes(state, &seal::state_of(session_id))?;
            tx.execute(sql, &[&session_id, &number, &state]).await?;
            let sql = "update search_sessions set last_generation = $2, updated_at = now() where id = $1";
            tx.execute(sql, &[&session_id, &number]).await?;
            let sql = "update trial_ledger set generations = generations + 1, evaluations = evaluations + $2,
                    distinct_strategies = distinct_strategies + $3, failures = failures + $4, updated_at = now()
                where session_id = $1";
            tx.execute(sql, &[&session_id, &evaluations, &distinct, &failed]).await?;
            for failure in failures {
                let letter = NewDeadLetter {
                    kind: DeadLetterKind::Backtest,
                    subject: failure.genome_hash.clone(),
                    error: failure.error.clone(),
                    genome: Some(failure.genome.clone()),
                    context: failure.context.clone(),
                };
                dead_letters::add(tx, &letter).await?;
            }
            Ok(RecordOutcome::Recorded)
        })
        .await
    }

    pub(crate) async fn audit_session(
        &self,
        tx: &Tx,
        event: &'static str,
        session: &Session,
        metadata: Value,
    ) -> Result<(), StoreError> {
        let opened = event == "session_opened";
        let entry = audit::AuditEntry {
            event,
            entity_type: "search_session",
            entity_id: &session.id.to_string(),
            actor: "search",
            before: (!opened).then(|| json!({ "status": SessionStatus::Running })),
            after: Some(json!({ "status": event.trim_start_matches("session_").replace("opened", "running") })),
            metadata,
            correlation_id: Some(session.id),
        };
        audit::append(tx, &self.inner.audit_key, &entry).await
    }
}

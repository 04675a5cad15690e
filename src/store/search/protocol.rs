//! What the evidence protocol stores: null searches, sessions and their tests, standings, the placebo island.
//!
//! Counts only go up: a session is numbered once, whatever was killed when and whoever asks. Proves nothing itself.

use crate::{
    LeaseToken, Store, StoreError, Tx, count,
    row::Named as _,
    seal,
    search::{accounts, sessions},
    strategies::seen::VOID,
    uncount,
};
use ::protocol::{Account, Choice, ProtocolConfig, Standing};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio_postgres::{Row, types::Json};
use uuid::Uuid;

/// Trials of one kind in a session.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct TrialCounts {
    pub evaluations: u64,
    /// Of them, that did not trade like a better one of their generation.
    pub distinct: u64,
    /// Evaluations with a defined t-statistic, the sum of these, and of their squares.
    pub t_count: u64,
    pub t_sum: f64,
    pub t_sum_of_squares: f64,
}

/// How often luck was tried in a session so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trials {
    /// By its own search and the one that it is compared by.
    pub real: TrialCounts,
    /// By its null searches.
    pub null: TrialCounts,
    /// Best statistic of the search that is compared; `None` before it is done, or where it found nothing.
    pub statistic: Option<f64>,
    /// That of each null search that is done, in order; `None` where one found nothing.
    pub null_statistics: Vec<Option<f64>>,
}

/// What the searches of a session said.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct SearchedRecord {
    pub session_id: Uuid,
    pub island: String,
    /// End of the hold-out, UTC ms.
    pub at_market_ms: i64,
    pub p_value: f64,
    pub null_searches: u64,
    pub as_good: u64,
    /// Whether the search beat its null searches.
    pub selected: bool,
}

/// A session's numbers among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionNumbers {
    /// Among all sessions, from 1.
    pub session: u64,
    /// Among those whose search beat its null searches, from 1; that of the next such one otherwise.
    pub selected: u64,
    /// Promotions to live before it.
    pub promotions: u64,
}

/// A session that has its numbers, and what was chosen for its candidates.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberedSession {
    /// Which.
    pub numbers: SessionNumbers,
    /// A test, or why there is none, for each strategy that was asked for, by the hash of its genome.
    pub choices: Vec<(String, Choice)>,
    /// Whether the placebo island had its own session after it.
    pub has_placebo: bool,
}

/// A session of the placebo island.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct PlaceboRecord {
    /// The real session after which it ran.
    pub session_id: Uuid,
    pub island: String,
    pub at_market_ms: i64,
    pub numbers: SessionNumbers,
    pub p_value: f64,
    pub null_searches: u64,
    pub as_good: u64,
    pub candidates: u64,
    pub entered: u64,
    pub promoted: u64,
    /// Tests that it bought, from the placebo island's account.
    pub tests: u64,
    pub detail: Value,
}

/// How a session ended, real or placebo.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct ProtocolSessionRow {
    pub session_id: Uuid,
    pub placebo: bool,
    pub island: String,
    pub at_market_ms: i64,
    pub session_number: u64,
    pub p_value: f64,
    pub null_searches: u64,
    pub as_good: u64,
    pub candidates: u64,
    /// Of them, those that were tested.
    pub tests: u64,
    /// Strategies that entered shadow.
    pub entered: u64,
    /// Strategies that went live: so far, of a real session; of a placebo session by the end of its run.
    pub promoted: u64,
    /// What became of each candidate before anything of the hold-out was looked at, in the order of asking: the session's
    /// best, then those that waited. Empty for placebo sessions, and for sessions of before there was an account.
    pub choices: Vec<ChosenRow>,
}

/// Whether a test of a candidate was bought.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct ChosenRow {
    pub genome_hash: String,
    /// What the test cost, fraction; `None` where none was bought.
    pub level: Option<f64>,
    /// Why none was, for people.
    pub why: Option<String>,
}

impl From<(String, Choice)> for ChosenRow {
    fn from((genome_hash, choice): (String, Choice)) -> Self {
        let level = choice.as_ref().ok().map(|test| test.level);
        Self { genome_hash, level, why: choice.err() }
    }
}

const COLUMNS: &str = "session_id, placebo, island, at_market_ms, session_number, p_value::double precision, \
     null_searches, as_good, candidates, entered, case when placebo then promoted else coalesce(live, 0) end as promoted, \
     coalesce((detail ->> 'tests')::bigint, candidates) as tests, coalesce(detail -> 'choices', '[]') as choices";

fn read(row: &Row) -> Result<ProtocolSessionRow, StoreError> {
    Ok(ProtocolSessionRow {
        session_id: row.try_get("session_id")?,
        placebo: row.try_get("placebo")?,
        island: row.try_get("island")?,
        at_market_ms: row.try_get("at_market_ms")?,
        session_number: row.count("session_number")?,
        p_value: row.try_get("p_value")?,
        null_searches: row.count("null_searches")?,
        as_good: row.count("as_good")?,
        candidates: row.count_opt("candidates")?.unwrap_or_default(),
        tests: row.count_opt("tests")?.unwrap_or_default(),
        entered: row.count_opt("entered")?.unwrap_or_default(),
        promoted: row.count_opt("promoted")?.unwrap_or_default(),
        choices: row.try_get::<_, Json<Vec<(String, Choice)>>>("choices")?.0.into_iter().map(Into::into).collect(),
    })
}

fn read_numbers(row: &Row) -> Result<SessionNumbers, StoreError> {
    Ok(SessionNumbers {
        session: row.count("session_number")?,
        selected: row.count("selected_number")?,
        promotions: row.count("promotions")?,
    })
}

/// Stores where a strategy stands; one that stands already keeps what it has.
pub(crate) async fn put_standing(
    tx: &Tx,
    session_id: Uuid,
    strategy_id: Uuid,
    (standing, holdout_results): (&Standing, Option<&[f64]>),
) -> Result<(), StoreError> {
    let sql = "insert into strategy_standings (strategy_id, session_id, p_value, null_searches, level, seen_until_ms,
            holdout_log_e, standing, holdout_results)
        values ($1, $2, $3::double precision, $4, $5::double precision, $6, $7::double precision, $8, $9)
        on conflict (strategy_id) do update set session_id = excluded.session_id, p_value = excluded.p_value,
            null_searches = excluded.null_searches, level = excluded.level, seen_until_ms = excluded.seen_until_ms,
            holdout_log_e = excluded.holdout_log_e, standing = excluded.standing,
            holdout_results = excluded.holdout_results, created_at = now()";
    let params: crate::transaction::Params<'_> = &[
        &strategy_id,
        &session_id,
        &standing.p_value,
        &i64::from(standing.null_searches),
        &standing.level,
        &standing.seen_until_ms,
        &standing.holdout.log_excess,
        &Json(standing),
        &holdout_results,
    ];
    tx.execute(sql, params).await.map(drop)
}

/// Puts what a strategy's hold-out proves, computed again, in the place of what it was thought to.
pub(crate) async fn revise_standing(
    tx: &Tx,
    strategy_id: Uuid,
    (standing, holdout_results): (&Standing, Option<&[f64]>),
) -> Result<(), StoreError> {
    let sql = "update strategy_standings set holdout_log_e = $2::double precision, standing = $3, holdout_results = $4
        where strategy_id = $1";
    tx.execute(sql, &[&strategy_id, &standing.holdout.log_excess, &Json(standing), &holdout_results]).await.map(drop)
}

/// Notes what became of a session's candidates.
pub(crate) async fn end_session(tx: &Tx, session_id: Uuid, candidates: u64, entered: u64) -> Result<(), StoreError> {
    let sql = "update protocol_sessions set candidates = $2, entered = $3 where session_id = $1 and not placebo";
    tx.execute(sql, &[&session_id, &count(candidates), &count(entered)]).await.map(drop)
}

/// A session that has its numbers; `None` before it ended. One that ended before tests were bought chose nothing.
async fn numbered(tx: &Tx, session_id: Uuid) -> Result<Option<NumberedSession>, StoreError> {
    let sql = "select session_number, selected_number, promotions, coalesce(detail -> 'choices', '[]') as choices,
            exists (select from protocol_sessions p where p.session_id = r.session_id and p.placebo) as has_placebo
        from protocol_sessions r where session_id = $1 and not placebo";
    let Some(row) = tx.row_opt(sql, &[&session_id]).await? else { return Ok(None) };
    let has_placebo = row.try_get("has_placebo")?;
    Ok(Some(NumberedSession { numbers: read_numbers(&row)?, choices: row.json("choices")?, has_placebo }))
}

impl Store {
    /// Stores the state of a session between two of its null searches, and how often luck was tried so far: what was
    /// counted before is replaced, so doing it twice counts once.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; [`StoreError::Conflict`] when the session has ended.
    pub async fn record_searching(
        &self,
        lease: &LeaseToken,
        session_id: Uuid,
        state: &[u8],
        Trials { real, null, statistic, null_statistics }: &Trials,
    ) -> Result<(), StoreError> {
        self.transaction("record_searching", |tx| async move {
            let tx = &tx;
            lease.verify(tx).await?;
            let session = sessions::lock(tx, session_id).await?;
            sessions::must_run(&session)?;
            let sql = "update search_states set state = $2, saved_at = now() where session_id = $1";
            let state = tx.keys().seal_bytes(state, &seal::state_of(session_id))?;
            tx.execute(sql, &[&session_id, &state]).await?;
            // What the session's own generations counted is not counted again: the rest is the compared search.
            let sql = "update trial_ledger set t_count = $2, t_sum = $3::double precision,
                    t_sum_of_squares = $4::double precision, compared_evaluations = greatest($5 - evaluations, 0),
                    null_searches = $6, null_evaluations = $7, null_distinct = $8, null_t_count = $9,
                    null_t_sum = $10::double precision, null_t_sum_of_squares = $11::double precision,
                    statistic = $12::double precision, null_statistics = $13, updated_at = now()
                where session_id = $1";
            let params: crate::transaction::Params<'_> = &[
                &session_id,
                &count(real.t_count),
                &real.t_sum,
                &real.t_sum_of_squares,
                &count(real.evaluations),
                &count(null_statistics.len() as u64),
                &count(null.evaluations),
                &count(null.distinct),
                &count(null.t_count),
                &null.t_sum,
                &null.t_sum_of_squares,
                statistic,
                null_statistics,
            ];
            tx.execute(sql, params).await.map(drop)
        })
        .await
    }

    /// Numbers a session, and lets `choose` buy tests for its candidates from the account: once, whoever asks how often.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`].
    pub async fn number_session(
        &self,
        lease: &LeaseToken,
        searched: &SearchedRecord,
        config: &ProtocolConfig,
        choose: &(dyn Fn(Account) -> (Account, Vec<(String, Choice)>) + Sync),
    ) -> Result<NumberedSession, StoreError> {
        self.transaction("number_session", |tx| async move {
            let tx = &tx;
            lease.verify(tx).await?;
            // Whoever numbers another session waits here: no number is given twice, and nothing is spent twice.
            let sql = "select sessions, selected, test_balance, test_at_market_ms from online_procedure for update";
            let row = tx.row(sql, &[]).await?;
            let (sessions, selected): (i64, i64) = (row.try_get("sessions")?, row.try_get("selected")?);
            if let Some(numbered) = numbered(tx, searched.session_id).await? {
                return Ok(numbered);
            }
            let at_ms = searched.at_market_ms;
            let before =
                accounts::account(row.try_get("test_balance")?, row.try_get("test_at_market_ms")?, config, at_ms);
            let (after, choices) = choose(before);
            // As of the session's market time, so that a late daemon counts what a punctual one counts.
            let sql = "select count(*) as promotions from transitions where kind = 'go_live' and at_market_ms <= $1";
            let promotions: i64 = tx.row(sql, &[&searched.at_market_ms]).await?.try_get("promotions")?;
            let (session, own) = (sessions + 1, selected + 1);
            let tests = choices.iter().filter(|(_, choice)| choice.is_ok()).count() as u64;
            let detail = json!({
                "selected": searched.selected, "tests": tests, "choices": choices,
                "account_before": before, "account_after": after,
            });
            let sql = "insert into protocol_sessions (session_id, placebo, island, at_market_ms, session_number,
                    selected_number, promotions, p_value, null_searches, as_good, detail)
                values ($1, false, $2, $3, $4, $5, $6, $7::double precision, $8, $9, $10)";
            let params: crate::transaction::Params<'_> = &[
                &searched.session_id,
                &searched.island,
                &searched.at_market_ms,
                &session,
                &own,
                &promotions,
                &searched.p_value,
                &count(searched.null_searches),
                &count(searched.as_good),
                &detail,
            ];
            tx.execute(sql, params).await?;
            let sql = "update online_procedure set sessions = $1, selected = $2, test_balance = $3,
                test_at_market_ms = $4, false_promotions_per_year = $5";
            let params: crate::transaction::Params<'_> = &[
                &session,
                &(selected + i64::from(searched.selected)),
                &after.balance,
                &after.at_ms,
                &config.false_promotions_per_year,
            ];
            tx.execute(sql, params).await?;
            let numbers =
                SessionNumbers { session: uncount(session), selected: uncount(own), promotions: uncount(promotions) };
            Ok(NumberedSession { numbers, choices, has_placebo: false })
        })
        .await
    }

    /// Numbers that a session was given; `None` before it ended.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn session_numbers(&self, session_id: Uuid) -> Result<Option<NumberedSession>, StoreError> {
        self.transaction("session_numbers", |tx| async move { numbered(&tx, session_id).await }).await
    }

    /// Where strategies stand, of each that stands anywhere. One that was revived stands nowhere until it is judged again.
    ///
    /// # Errors
    /// When the database does not answer; [`StoreError::Unreadable`] when one of them does not read.
    pub async fn standings(&self, strategies: &[Uuid]) -> Result<BTreeMap<Uuid, Standing>, StoreError> {
        self.transaction("standings", |tx| async move {
            let tx = &tx;
            let sql = format!(
                "select strategy_id, standing from strategy_standings s where strategy_id = any($1) and not {VOID}
                 order by strategy_id"
            );
            tx.rows(&sql, &[&strategies])
                .await?
                .iter()
                .map(|row| Ok((row.try_get("strategy_id")?, row.json("standing")?)))
                .collect()
        })
        .await
    }

    /// Stores a session of the placebo island and takes what its tests cost from its account; one that is there already
    /// stays as it is, and spends nothing.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`].
    pub async fn record_placebo(
        &self,
        lease: &LeaseToken,
        placebo: &PlaceboRecord,
        config: &ProtocolConfig,
    ) -> Result<(), StoreError> {
        self.transaction("record_placebo", |tx| async move {
            let tx = &tx;
            lease.verify(tx).await?;
            let sql = "insert into protocol_sessions (session_id, placebo, island, at_market_ms, session_number,
                    selected_number, promotions, p_value, null_searches, as_good, candidates, entered, promoted,
                    detail)
                values ($1, true, $2, $3, $4, $5, $6, $7::double precision, $8, $9, $10, $11, $12,
                    $13 || jsonb_build_object('tests', $14::bigint))
                on conflict (session_id, placebo) do nothing";
            let params: crate::transaction::Params<'_> = &[
                &placebo.session_id,
                &placebo.island,
                &placebo.at_market_ms,
                &count(placebo.numbers.session),
                &count(placebo.numbers.selected),
                &count(placebo.numbers.promotions),
                &placebo.p_value,
                &count(placebo.null_searches),
                &count(placebo.as_good),
                &count(placebo.candidates),
                &count(placebo.entered),
                &count(placebo.promoted),
                &placebo.detail,
                &count(placebo.tests),
            ];
            if tx.execute(sql, params).await? == 0 {
                return Ok(());
            }
            let sql = "select placebo_balance, placebo_at_market_ms from online_procedure for update";
            let row = tx.row(sql, &[]).await?;
            let at_ms = placebo.at_market_ms;
            let before =
                accounts::account(row.try_get("placebo_balance")?, row.try_get("placebo_at_market_ms")?, config, at_ms);
            // Another island may have bought meanwhile: what this one bought is taken off what there is now.
            let buy = |account: Account| account.buy(config).map_or(account, |(after, _)| after);
            let after = (0..placebo.tests).fold(before, |account, _| buy(account));
            let sql = "update online_procedure set placebo_balance = $1, placebo_at_market_ms = $2";
            tx.execute(sql, &[&after.balance, &after.at_ms]).await.map(drop)
        })
        .await
    }

    /// Sessions that ended, real and placebo, the newest in market time first, at most `limit` of each kind.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn protocol_sessions(&self, limit: u32) -> Result<Vec<ProtocolSessionRow>, StoreError> {
        self.transaction("protocol_sessions", |tx| async move {
            let tx = &tx;
            let sql = format!(
                "with went_live as (select s.session_id, count(distinct s.id) as live
                    from transitions t join strategies s on s.id = t.strategy_id where t.kind = 'go_live' group by 1)
                 (select {COLUMNS} from protocol_sessions left join went_live using (session_id)
                    where placebo and candidates is not null order by at_market_ms desc, session_number desc limit $1)
                 union all
                 (select {COLUMNS} from protocol_sessions left join went_live using (session_id)
                    where not placebo and candidates is not null order by at_market_ms desc, session_number desc limit $1)"
            );
            tx.rows(&sql, &[&i64::from(limit)]).await?.iter().map(read).collect()
        })
        .await
    }
}

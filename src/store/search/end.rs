//! How a search session ends: its best are stored with what was measured and decided, or it is given up.

use crate::{
    LeaseToken, NewResult, NewRun, NewScore, NewStrategy, NewWindow, Parameters, RunTrade, Segment, Session,
    SessionStatus, StatSource, Store, StoreError, TransitionRecord, Tx,
    backtests::{results, runs, service},
    seal,
    search::{
        learner, protocol,
        sessions::{lock, must_run},
    },
    stored::{Stored, known_genome, to_json},
    strategies::{self, scores, transitions},
};
use ::learner::Scores;
use ::protocol::Standing;
use chrono::DateTime;
use engine::{Performance, Trade};
use genome::AnyStrategy;
use lifecycle::State;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use tokio_postgres::{Row, types::Json};
use uuid::Uuid;

/// Performance in a window.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct WindowStat {
    pub from_ms: i64,
    pub to_ms: i64,
    pub performance: Performance,
    /// In order of entry.
    pub trades: Vec<Trade>,
}

/// What a session's end measured of a strategy, and what was decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Over what the search saw.
    pub backtest: Option<WindowStat>,
    /// Over the hold-out.
    pub holdout: Option<WindowStat>,
    /// Costs, capital, ...: `backtest_results.parameters`.
    pub parameters: Parameters,
    /// Why one of the two is missing.
    pub failure: Option<String>,
    /// Wall time that measuring took, ms.
    pub execution_time_ms: u64,
    /// What the search thought of it; `None` where no search did.
    pub score: Option<NewScore>,
    /// What was proved; `None` where nothing could be.
    pub standing: Option<Standing>,
    /// Of a strategy that ranks the market: results of its hold-out, deviations.
    pub holdout_results: Option<Vec<f64>>,
    /// The gate's decision; `None` leaves it a candidate.
    pub transition: Option<TransitionRecord>,
}

impl Judgement {
    /// That nothing was measured and nothing decided, with this setup.
    #[must_use]
    pub fn nothing(parameters: Parameters) -> Self {
        Self {
            backtest: None,
            holdout: None,
            parameters,
            failure: None,
            execution_time_ms: 0,
            score: None,
            standing: None,
            holdout_results: None,
            transition: None,
        }
    }
}

/// One of the best of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct CandidateRecord {
    /// The strategy.
    pub strategy: NewStrategy,
    /// What is known of it.
    pub judgement: Judgement,
    /// Why it was not tested, for people; `None` for one that was. What was not tested is no strategy yet:
    /// the next session begins with it.
    pub untested: Option<String>,
}

/// A stored strategy that waited as a candidate: added or revived by an operator.
#[derive(Clone, Debug, PartialEq)]
pub struct WaitingRecord {
    /// The strategy.
    pub strategy_id: Uuid,
    /// What is known of it.
    pub judgement: Judgement,
}

/// How a session ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishReport {
    /// Strategies stored.
    pub stored: u32,
    /// Strategies that were stored before, and were left alone.
    pub rediscovered: u32,
    /// Of the stored ones, how many are in shadow now.
    pub to_shadow: u32,
    /// Of the stored ones, how many are disabled now.
    pub disabled: u32,
    /// Genome hashes of all of them, best first: what the next session begins with.
    #[serde(default)]
    pub champions: Vec<String>,
    /// Of them, how many were not tested.
    #[serde(default)]
    pub untested: u32,
}

/// One of the best that a session ended with.
#[derive(Clone, Debug, PartialEq)]
pub struct Champion {
    /// What it does.
    pub genome: Stored<AnyStrategy>,
    /// What shaped it, UTC ms; `None` where it is not stated.
    pub seen_until_ms: Option<i64>,
}

impl Store {
    /// Ends a session: stores its tested strategies and what is known of those that waited as candidates, and applies
    /// what the gate decided. Those of its best that were not tested are kept for
    /// the next session; how building blocks scored is added to what earlier sessions said.
    ///
    /// A genome that is stored already is left alone, unless a client posted it and nobody has judged it; so is a waiting
    /// strategy that moved meanwhile. Finishing twice gives the first report again.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; [`StoreError::Conflict`] when the session was abandoned; [`StoreError::Invalid`]
    /// when a transition names another strategy.
    pub async fn finish_session(
        &self,
        lease: &LeaseToken,
        session_id: Uuid,
        candidates: &[CandidateRecord],
        waiting: &[WaitingRecord],
        scores: &Scores,
    ) -> Result<FinishReport, StoreError> {
        // Parents before children, so that lineage finds their ids.
        let mut ordered: Vec<&CandidateRecord> = candidates.iter().filter(|c| c.untested.is_none()).collect();
        ordered.sort_by_key(|candidate| candidate.strategy.generation);
        let ordered = &ordered;
        self.transaction("finish_session", |tx| async move {
            let tx = &tx;
            lease.verify(tx).await?;
            let session = lock(tx, session_id).await?;
            if let Some(report) = session.report {
                return Ok(report);
            }
            must_run(&session)?;
            let champions = candidates.iter().map(|c| c.strategy.genome_hash.clone()).collect();
            let mut report = FinishReport { champions, ..FinishReport::default() };
            for (rank, candidate) in candidates.iter().enumerate() {
                report.untested += u32::from(self.keep_untested(tx, session_id, rank, candidate).await?);
            }
            // Rows of which there are many are gathered and go in together.
            let mut rows = Rows::default();
            let judged = candidates.iter().map(|c| &c.judgement).chain(waiting.iter().map(|w| &w.judgement));
            let is_entry = |j: &Judgement| j.transition.as_ref().is_some_and(|t| t.transition.to() == State::Shadow);
            // Those that did enter: what is known already or moved meanwhile was judged, and moves nowhere by that.
            let mut entered = 0;
            for record in waiting {
                let sql = "select 1 from strategies where id = $1 and state = 'candidate' for update";
                if tx.row_opt(sql, &[&record.strategy_id]).await?.is_some() {
                    self.store_judgement(tx, &session, record.strategy_id, &record.judgement, &mut rows).await?;
                    entered += u64::from(is_entry(&record.judgement));
                }
            }
            for candidate in ordered {
                let (new, mut judgement) = (&candidate.strategy, candidate.judgement.clone());
                let mut id = new.id;
                if strategies::insert(tx, &self.inner.audit_key, new).await?.is_none() {
                    let Some(posted) = service::adopt(tx, &self.inner.audit_key, new).await? else {
                        report.rediscovered += 1;
                        continue;
                    };
                    id = posted;
                    judgement.transition.iter_mut().for_each(|transition| transition.strategy_id = posted);
                }
                report.stored += 1;
                self.store_judgement(tx, &session, id, &judgement, &mut rows).await?;
                entered += u64::from(is_entry(&judgement));
                if let Some(transition) = &judgement.transition {
                    report.to_shadow += u32::from(transition.transition.to() == State::Shadow);
                    report.disabled += u32::from(transition.transition.to() == State::Disabled);
                }
            }
            protocol::end_session(tx, session_id, judged.count() as u64, entered).await?;
            results::copy(tx, &rows.results).await?;
            runs::insert(tx, &rows.runs).await?;
            learner::add_scores(tx, session_id, scores).await?;
            runs::note_optimization(tx, session_id, report.champions.first().map(String::as_str), None).await?;
            let sql =
                "update search_sessions set status = 'finished', report = $2, ended_at = now(), updated_at = now()
                where id = $1";
            tx.execute(sql, &[&session_id, &Json(&report)]).await?;
            tx.execute("delete from search_states where session_id = $1", &[&session_id]).await?;
            self.audit_session(tx, "session_finished", &session, json!({ "report": report })).await?;
            Ok(report)
        })
        .await
    }

    /// Keeps one that was not tested; whether it was none.
    async fn keep_untested(
        &self,
        tx: &Tx,
        session_id: Uuid,
        rank: usize,
        candidate: &CandidateRecord,
    ) -> Result<bool, StoreError> {
        let (strategy, Some(why)) = (&candidate.strategy, &candidate.untested) else { return Ok(false) };
        let hash = &strategy.genome_hash;
        let genome = tx.keys().seal_json(&to_json(&strategy.genome)?, &seal::genome_of(hash))?;
        let sql = "insert into untested_candidates (session_id, rank, genome_hash, genome, seen_until_ms, why)
            values ($1, $2, $3, $4, $5, $6)";
        let rank = i32::try_from(rank).unwrap_or(i32::MAX);
        let seen_until_ms = strategy.seen_until_ms.unwrap_or(i64::MAX);
        tx.execute(sql, &[&session_id, &rank, hash, &genome, &seen_until_ms, why]).await?;
        Ok(true)
    }

    /// The best that a session ended with, best first: tested ones as the strategies that they are, the others as they
    /// were kept.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when one of them is stored nowhere.
    pub async fn champions(&self, session: &Session) -> Result<Vec<Champion>, StoreError> {
        let id = session.id;
        let mut kept: BTreeMap<String, Champion> = self
            .transaction("untested_champions", |tx| async move {
                let tx = &tx;
                let sql = "select genome_hash, genome, seen_until_ms from untested_candidates where session_id = $1";
                let read = |row: &Row| {
                    let hash: String = row.try_get("genome_hash")?;
                    let json = tx.keys().open_json(row.try_get("genome")?, &seal::genome_of(&hash))?;
                    let genome = known_genome(json, Some(&hash), None, format_args!("candidate {hash}"));
                    let seen_until_ms = Some(row.try_get("seen_until_ms")?);
                    Ok((hash, Champion { genome, seen_until_ms }))
                };
                tx.rows(sql, &[&id]).await?.iter().map(read).collect()
            })
            .await?;
        let mut champions = Vec::new();
        for hash in session.report.iter().flat_map(|report| &report.champions) {
            champions.push(match kept.remove(hash) {
                Some(champion) => champion,
                None => {
                    let strategy = self.find_strategy(hash).await?;
                    Champion { genome: strategy.genome, seen_until_ms: strategy.seen_until_ms }
                }
            });
        }
        Ok(champions)
    }

    /// Gives a running session up. Abandoning twice changes nothing more.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; [`StoreError::Conflict`] when it was finished.
    pub async fn abandon_session(&self, lease: &LeaseToken, session_id: Uuid, reason: &str) -> Result<(), StoreError> {
        self.transaction("abandon_session", |tx| async move {
            let tx = &tx;
            lease.verify(tx).await?;
            let session = lock(tx, session_id).await?;
            if session.status == SessionStatus::Abandoned {
                return Ok(());
            }
            must_run(&session)?;
            let sql =
                "update search_sessions set status = 'abandoned', reason = $2, ended_at = now(), updated_at = now()
                where id = $1";
            tx.execute(sql, &[&session_id, &reason]).await?;
            runs::note_optimization(tx, session_id, None, Some(reason)).await?;
            tx.execute("delete from search_states where session_id = $1", &[&session_id]).await?;
            self.audit_session(tx, "session_abandoned", &session, json!({ "reason": reason })).await
        })
        .await
    }

    /// Stores what was measured of a strategy but for what goes into `rows`, and moves it where that was decided.
    async fn store_judgement(
        &self,
        tx: &Tx,
        session: &Session,
        id: Uuid,
        judgement: &Judgement,
        rows: &mut Rows,
    ) -> Result<(), StoreError> {
        let sources = [(StatSource::Backtest, &judgement.backtest), (StatSource::Holdout, &judgement.holdout)];
        for (source, stat) in sources {
            let Some(stat) = stat else { continue };
            let window = (stat.from_ms, stat.to_ms);
            let version = Some(session.spec.data_version.as_str());
            strategies::put_stat(tx, id, source, window, version, &stat.performance).await?;
            rows.results.push(NewResult {
                strategy_id: id,
                backtest_id: Some(format!("{}:{}", session.id, source.name())),
                metrics: to_json(&stat.performance)?,
                parameters: judgement.parameters.clone(),
                period_start: DateTime::from_timestamp_millis(stat.from_ms),
                period_end: DateTime::from_timestamp_millis(stat.to_ms),
            });
        }
        let run = run(session, id, judgement)?;
        if let Some(score) = &judgement.score {
            scores::insert(tx, id, score, &[run.id]).await?;
        }
        rows.runs.push(run);
        if let Some(standing) = &judgement.standing {
            protocol::put_standing(tx, session.id, id, (standing, judgement.holdout_results.as_deref())).await?;
        }
        let Some(transition) = &judgement.transition else { return Ok(()) };
        if transition.strategy_id != id {
            return Err(StoreError::Invalid("a judgement's transition names another strategy".to_owned()));
        }
        transitions::apply(tx, &self.inner.audit_key, transition).await.map(drop)
    }
}

/// Rows that are written together at the end.
#[derive(Default)]
struct Rows {
    results: Vec<NewResult>,
    runs: Vec<NewRun>,
}

/// The run that a judgement rests on: one window, found on what the search saw and tried on what it did not.
fn run(session: &Session, strategy_id: Uuid, judgement: &Judgement) -> Result<NewRun, StoreError> {
    let spec = &session.spec;
    let mut trades = Vec::new();
    for (segment, stat) in [(Segment::Train, &judgement.backtest), (Segment::Test, &judgement.holdout)] {
        for trade in stat.iter().flat_map(|stat| &stat.trades) {
            let timeframe = spec.timeframe.to_string();
            trades.push(RunTrade { window_index: 0, segment, timeframe, trade: trade.clone() });
        }
    }
    let (outcome, windows) = match (&judgement.backtest, &judgement.holdout) {
        (Some(train), Some(test)) => {
            let (train_metrics, test_metrics) = (to_json(&train.performance)?, to_json(&test.performance)?);
            let results = json!({ "backtest": train_metrics, "holdout": test_metrics });
            let window = NewWindow {
                train_from_ms: train.from_ms,
                train_to_ms: train.to_ms,
                test_from_ms: test.from_ms,
                test_to_ms: test.to_ms,
                train_metrics,
                test_metrics,
            };
            (Ok(results), vec![window])
        }
        _ => (Err(judgement.failure.clone().unwrap_or_else(|| "it could not be evaluated".to_owned())), Vec::new()),
    };
    Ok(NewRun {
        id: Uuid::now_v7(),
        strategy_id,
        session_id: Some(session.id),
        config: judgement.parameters.clone(),
        dataset_checksum: spec.data_version.clone(),
        from_ms: spec.window_from_ms,
        to_ms: spec.window_to_ms,
        code_version: spec.code_version.clone(),
        seed: spec.seed,
        execution_time_ms: judgement.execution_time_ms,
        outcome,
        windows,
        trades,
    })
}

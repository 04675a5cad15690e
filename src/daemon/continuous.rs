//! The continuous runner: one search session after another, each on the newest closed candles.
//!
//! An activation is idempotent: it goes on with an unfinished session, or opens one when one is due, or does
//! nothing. After each generation and each null search everything is stored, so a killed runner repeats at most one.
//! Never looks at paper trading: nothing from after the window flows back into the search.

use super::candles::{Loaded, WindowSpec, market_now_ms, refresh};
use super::core::{Core, Did, token};
use super::judge;
use super::placebo;
use super::schedule::{Missed, session_due_ms};
use candles::interval;
use candles::time::DAY_MS;
use protocol::{Advanced, Immigrant, SeenUntil, Session as Searching, SessionState, Split};
use search::{Counters, GenerationReport};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{
    FailedBacktest, GenerationRecord, Lease, LeaseToken, NewSession, ResumableSession, SearchedRecord, Session,
    TrialCounts, Trials,
};
use telemetry::metrics;

/// Runs search sessions.
pub(super) struct ContinuousRunner {
    core: Arc<Core>,
    island: String,
    missed: Missed,
    lease: Option<Lease>,
}

impl ContinuousRunner {
    pub(super) fn new(core: Arc<Core>, island: String, missed: Missed) -> Self {
        Self { core, island, missed, lease: None }
    }

    /// Does what is due now.
    ///
    /// # Errors
    /// Whatever failed; calling again goes on from what is stored.
    pub(super) async fn activate(&mut self) -> anyhow::Result<Did> {
        if !self.core.hold(&mut self.lease, &format!("search {}", self.island)).await? {
            return Ok(Did::StoodBy);
        }
        match self.core.store.unfinished_session(&self.island).await? {
            Some(unfinished) => self.resume(unfinished).await,
            None => match placebo::run_if_due(&self.core, &self.token()?, &self.island).await? {
                Did::Nothing => self.open_if_due().await,
                did => Ok(did),
            },
        }
    }

    fn token(&self) -> anyhow::Result<LeaseToken> {
        token(self.lease.as_ref())
    }

    /// Goes on with a session that a former process left, from its last stored generation.
    async fn resume(&self, unfinished: ResumableSession) -> anyhow::Result<Did> {
        let session = unfinished.session;
        let spec = &session.spec;
        // Another machine may have begun it, or the cache may be gone. What cannot be refreshed shows below.
        let from_ms = spec.window_from_ms - self.core.warmup_ms();
        if let Err(error) = refresh(&self.core, spec.market, &spec.symbols, spec.timeframe, from_ms).await {
            tracing::warn!(session = spec.number, error = format!("{error:#}"), "candles of an unfinished session");
        }
        let loaded = self.load(spec).await?;
        let version = loaded.window(spec.window_from_ms, spec.window_to_ms).map(|window| window.data_version());
        if version.as_ref() != Ok(&spec.data_version) {
            return self.abandon(&session, "the candles of its window are no longer those that it began on").await;
        }
        if spec.config != self.settings()? {
            return self.abandon(&session, "the settings have changed since it began").await;
        }
        let state = match unfinished.state {
            Some(bytes) => match serde_json::from_slice(&bytes) {
                Ok(state) => state,
                Err(error) => {
                    let reason = format!("its stored state does not read: {error}");
                    return self.abandon(&session, &reason).await;
                }
            },
            None => self.first_state(&session, &loaded).await?,
        };
        tracing::info!(
            session = spec.number,
            island = self.island,
            generation = state.generation(),
            null_searches = state.null_searches(),
            "search session resumed"
        );
        self.run(session, state, loaded).await
    }

    /// Gives a session up that cannot be gone on with; the next one begins when it is due.
    async fn abandon(&self, session: &Session, reason: &str) -> anyhow::Result<Did> {
        tracing::warn!(session = session.spec.number, island = self.island, "search session abandoned: {reason}");
        self.core.store.abandon_session(&self.token()?, session.id, reason).await?;
        Ok(Did::Work)
    }

    /// Everything that a session's results rest on, beside its candles and its seed.
    fn settings(&self) -> anyhow::Result<serde_json::Value> {
        let core = &self.core;
        Ok(json!({
            "search": core.search,
            "protocol": core.protocol,
            "candidates": core.settings.candidates_per_session,
            "costs": core.costs,
            "initial_capital": core.initial_capital,
            "warmup_ms": core.warmup_ms(),
        }))
    }

    async fn open_if_due(&self) -> anyhow::Result<Did> {
        let core = &self.core;
        let settings = &core.settings;
        // The hold-out comes on top of what the search sees: a longer one costs the search nothing.
        let span_ms = i64::from(settings.backtest_days + settings.holdout_days) * DAY_MS;
        let last = core.store.last_finished_session(&self.island).await?;
        let last_ms = last.map(|s| s.spec.window_to_ms);
        let interval_ms = i64::try_from(settings.generation_interval_s).unwrap_or(i64::MAX / 2_000) * 1_000;
        let due_ms = |newest_ms| session_due_ms(newest_ms, last_ms, interval_ms, self.missed);
        let now_ms = market_now_ms(core, core.market, &settings.symbols, settings.interval).await?;
        // The time alone tells when nothing can be due: no candle is asked for in vain.
        if due_ms(interval::open_time_ms(settings.interval, now_ms)).is_none() {
            return Ok(Did::Nothing);
        }
        let from_ms = now_ms - span_ms - core.warmup_ms();
        let newest_ms = refresh(core, core.market, &settings.symbols, settings.interval, from_ms).await?;
        let Some(to_ms) = due_ms(newest_ms) else { return Ok(Did::Nothing) };
        // The window may end before now, so its warm-up may begin before what was asked for: without this, candles that
        // come into the cache later would make it another window.
        let first_ms = to_ms - span_ms - core.warmup_ms();
        if first_ms < from_ms {
            refresh(core, core.market, &settings.symbols, settings.interval, first_ms).await?;
        }
        let number = core.store.next_session_number(&self.island).await?;
        let mut spec = NewSession {
            island: self.island.clone(),
            number,
            seed: core.seed.child(&self.island, number),
            config: self.settings()?,
            symbols: settings.symbols.clone(),
            market: core.market,
            timeframe: settings.interval,
            window_from_ms: to_ms - span_ms,
            holdout_from_ms: to_ms - i64::from(settings.holdout_days) * DAY_MS,
            window_to_ms: to_ms,
            data_version: String::new(),
            code_version: crate::CODE_VERSION.to_owned(),
        };
        let loaded = self.load(&spec).await?;
        spec.data_version = loaded.window(spec.window_from_ms, spec.window_to_ms)?.data_version();
        let verdict = loaded.fit_for_evidence(spec.window_from_ms, spec.window_to_ms, &core.quality);
        core.store.record_data_verdict(&spec.data_version, &verdict).await?;
        anyhow::ensure!(verdict.fit, "the candles of its window are not fit for evidence: {}", verdict.reason);
        let session = core.store.open_session(&self.token()?, &spec).await?;
        tracing::info!(session = number, island = self.island, window_to_ms = to_ms, "search session opened");
        let state = self.first_state(&session, &loaded).await?;
        self.run(session, state, loaded).await
    }

    fn split(spec: &NewSession, loaded: &Loaded) -> anyhow::Result<Split> {
        Ok(loaded.split(spec.window_from_ms, spec.holdout_from_ms, spec.window_to_ms)?)
    }

    async fn load(&self, spec: &NewSession) -> anyhow::Result<Loaded> {
        let window = WindowSpec {
            market: spec.market,
            symbols: spec.symbols.clone(),
            interval: spec.timeframe,
            warmup_from_ms: spec.window_from_ms - self.core.warmup_ms(),
            to_ms: spec.window_to_ms,
        };
        Loaded::read(&self.core.cache, window).await
    }

    /// A session begins with the best of the one before it: all of them, whatever the hold-out said of each, so
    /// that nothing of the hold-out flows back.
    async fn first_state(&self, session: &Session, loaded: &Loaded) -> anyhow::Result<SessionState> {
        let mut immigrants = Vec::new();
        if let Some(last) = self.core.store.last_finished_session(&self.island).await? {
            for hash in last.report.map(|report| report.champions).unwrap_or_default() {
                let former = self.core.store.find_strategy(&hash).await?;
                // One that does not say what shaped it was shaped by no more than the session before saw.
                let seen = SeenUntil::stated(former.seen_until_ms.unwrap_or(last.spec.holdout_from_ms));
                immigrants.push(Immigrant { strategy: former.genome.into_read()?, seen });
            }
        }
        let split = Self::split(&session.spec, loaded)?;
        // Whoever has seen part of the hold-out would bring it into the search.
        immigrants.retain(|immigrant| immigrant.seen <= split.searchable.seen_until());
        Ok(SessionState::begin(self.core.plan(), session.spec.seed, immigrants, &split.searchable))
    }

    /// Breeds generation after generation, then searches null markets, then lets the gate judge the best.
    async fn run(&self, session: Session, mut state: SessionState, loaded: Loaded) -> anyhow::Result<Did> {
        let core = &self.core;
        let split = Arc::new(Self::split(&session.spec, &loaded)?);
        while !state.is_finished() {
            let began = Instant::now();
            let (shared, split, before) = (Arc::clone(core), Arc::clone(&split), state);
            let advanced = core
                .compute(move || {
                    let stop = |_| shared.stop.is_cancelled();
                    let searchable = &split.searchable;
                    let mut searching = Searching::new(shared.plan(), searchable, &shared.engine, &shared.costs);
                    let nulls = before.null_searches();
                    let (mut state, mut advanced) = searching.advance(before, &stop)?;
                    // A null search is gone on with to its end: its market is made once.
                    while matches!(advanced, Advanced::Null(..)) && state.null_searches() == nulls {
                        (state, advanced) = searching.advance(state, &stop)?;
                    }
                    Ok::<_, search::Stopped>((state, advanced))
                })
                .await?;
            let Ok((after, advanced)) = advanced else {
                tracing::info!(session = session.spec.number, "search stopped; what was under way will be done again");
                return Ok(Did::Stopped);
            };
            state = after;
            match advanced {
                Advanced::Search(report) => self.record(&session, &state, &report, began.elapsed()).await?,
                Advanced::Compared(_) | Advanced::Null(..) | Advanced::Finished => {
                    self.record_searching(&session, &state).await?;
                }
            }
        }
        if core.stop.is_cancelled() {
            return Ok(Did::Stopped);
        }
        let spec = &session.spec;
        let searched = state.searched(&core.protocol);
        let record = SearchedRecord {
            session_id: session.id,
            island: self.island.clone(),
            at_market_ms: spec.window_to_ms,
            p_value: searched.p_value,
            null_searches: searched.null_searches.into(),
            as_good: searched.as_good.into(),
            selected: searched.p_value <= core.limits.max_p_value,
        };
        let numbers = core.store.number_session(&self.token()?, &record).await?;
        let (candidates, waiting) = judge::all(core, &session, &state, (&split, numbers)).await?;
        let report = core.store.finish_session(&self.token()?, session.id, &candidates, &waiting).await?;
        tracing::info!(
            session = spec.number,
            island = self.island,
            evaluations = state.real_counters().evaluations,
            null_searches = searched.null_searches,
            p_value = searched.p_value,
            stored = report.stored,
            rediscovered = report.rediscovered,
            to_shadow = report.to_shadow,
            "search session finished"
        );
        Ok(Did::Work)
    }

    /// Stores what lies between two null searches.
    async fn record_searching(&self, session: &Session, state: &SessionState) -> anyhow::Result<()> {
        let bytes = serde_json::to_vec(state)?;
        let counts = |c: Counters| TrialCounts {
            evaluations: c.evaluations,
            distinct: c.evaluations.saturating_sub(c.twins_dropped),
            t_count: c.t_count,
            t_sum: c.t_sum,
            t_sum_of_squares: c.t_sum_of_squares,
        };
        let trials = Trials {
            real: counts(state.real_counters()),
            null: counts(state.null_counters()),
            null_searches: state.null_searches() as u64,
        };
        self.core.store.record_searching(&self.token()?, session.id, &bytes, trials).await?;
        tracing::debug!(session = session.spec.number, null_searches = state.null_searches(), "null search finished");
        Ok(())
    }

    async fn record(
        &self,
        session: &Session,
        state: &SessionState,
        report: &GenerationReport,
        took: Duration,
    ) -> anyhow::Result<()> {
        let failures = report
            .failures
            .iter()
            .map(|failure| {
                Ok(FailedBacktest {
                    genome_hash: failure.hash.to_string(),
                    genome: failure.strategy.clone(),
                    error: failure.error.to_string(),
                    context: json!({
                        "session_id": session.id,
                        "symbols": session.spec.symbols,
                        "market": session.spec.market,
                        "interval": session.spec.timeframe,
                        "costs": self.core.costs,
                        "initial_capital": self.core.initial_capital,
                        "code_version": session.spec.code_version,
                        "warmup_from_ms": session.spec.window_from_ms - self.core.warmup_ms(),
                        "from_ms": session.spec.window_from_ms,
                        "to_ms": session.spec.holdout_from_ms,
                    }),
                })
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let evaluations = report.evaluations as u64;
        let record = GenerationRecord {
            number: report.generation.saturating_sub(1),
            best_fitness: report.best_fitness,
            median_fitness: report.median_fitness,
            mean_fitness: report.mean_fitness,
            evaluations,
            distinct: evaluations.saturating_sub(report.twins_dropped),
            archive_size: report.archive as u64,
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            detail: serde_json::to_value(report)?,
        };
        let bytes = serde_json::to_vec(state)?;
        self.core.store.record_generation(&self.token()?, session.id, &record, &bytes, &failures).await?;
        metrics::GENERATION_SECONDS.record(took);
        if let Some(each) = u32::try_from(evaluations).ok().and_then(|count| took.checked_div(count)) {
            metrics::BACKTEST_SECONDS.record(each);
        }
        metrics::BACKTESTS_TOTAL.add(evaluations);
        metrics::BACKTEST_FAILURES_TOTAL.add(failures.len() as u64);
        tracing::info!(
            session = session.spec.number,
            generation = report.generation,
            best = report.best_fitness,
            median = report.median_fitness,
            niches = report.niches,
            evaluations,
            seconds = took.as_secs_f64(),
            "generation finished"
        );
        Ok(())
    }
}

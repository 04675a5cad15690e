//! The continuous runner: one search session after another, each on the newest closed candles.
//!
//! An activation is idempotent: it goes on with an unfinished session, or opens one when one is due, or does
//! nothing. After each generation everything is stored, so a killed runner repeats at most one generation.
//! Never looks at paper trading: nothing from after the window flows back into the search.

use super::candles::{DAY_MS, Loaded, WindowSpec, market_now_ms, refresh};
use super::core::{Core, Did, token};
use super::judge;
use super::schedule::{Missed, session_due_ms};
use super::timed::Timed;
use crate::market::interval;
use crate::metrics;
use crate::search::{self, GenerationReport, SearchState, WindowEvaluator};
use crate::store::{FailedBacktest, GenerationRecord, Lease, LeaseToken, NewSession, ResumableSession, Session};
use genome::Strategy;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
            None => self.open_if_due().await,
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
            None => self.first_state(&session).await?,
        };
        tracing::info!(
            session = spec.number,
            island = self.island,
            generation = state.generation,
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
            "costs": core.costs,
            "initial_capital": core.initial_capital,
            "warmup_ms": core.warmup_ms(),
        }))
    }

    async fn open_if_due(&self) -> anyhow::Result<Did> {
        let core = &self.core;
        let settings = &core.settings;
        let span_ms = i64::from(settings.backtest_days) * DAY_MS;
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
        let session = core.store.open_session(&self.token()?, &spec).await?;
        tracing::info!(session = number, island = self.island, window_to_ms = to_ms, "search session opened");
        let state = self.first_state(&session).await?;
        self.run(session, state, loaded).await
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
    async fn first_state(&self, session: &Session) -> anyhow::Result<SearchState> {
        let mut immigrants = Vec::new();
        if let Some(last) = self.core.store.last_finished_session(&self.island).await? {
            for hash in last.report.map(|report| report.champions).unwrap_or_default() {
                let former = self.core.store.find_strategy(&hash).await?;
                immigrants.push(serde_json::from_value::<Strategy>(former.genome)?);
            }
        }
        Ok(search::start(&self.core.search, session.spec.seed, immigrants))
    }

    /// Breeds generation after generation, then lets the gate judge the best.
    async fn run(&self, session: Session, mut state: SearchState, loaded: Loaded) -> anyhow::Result<Did> {
        let core = &self.core;
        // What the search may look at ends where the hold-out begins.
        let window = Arc::new(loaded.window(session.spec.window_from_ms, session.spec.holdout_from_ms)?);
        while !state.is_finished(&core.search) {
            let began = Instant::now();
            let (engine, window, costs) = (Arc::clone(&core.engine), Arc::clone(&window), core.costs);
            let (config, stop, before) = (core.search.clone(), core.stop.clone(), state);
            let advanced = core
                .compute(move || {
                    let evaluator = Timed(WindowEvaluator { engine: &engine, window: &window, costs: &costs });
                    search::advance(&config, before, &evaluator, &|_| stop.is_cancelled())
                })
                .await?;
            let Ok((after, report)) = advanced else {
                tracing::info!(session = session.spec.number, "search stopped; this generation will be done again");
                return Ok(Did::Stopped);
            };
            state = after;
            self.record(&session, &state, &report, began.elapsed()).await?;
        }
        if core.stop.is_cancelled() {
            return Ok(Did::Stopped);
        }
        let candidates = judge::candidates(core, &session, &state, &loaded).await?;
        let waiting = judge::waiting(core, &session, &loaded).await?;
        let report = core.store.finish_session(&self.token()?, session.id, &candidates, &waiting).await?;
        tracing::info!(
            session = session.spec.number,
            island = self.island,
            evaluations = state.counters.evaluations,
            stored = report.stored,
            rediscovered = report.rediscovered,
            to_shadow = report.to_shadow,
            "search session finished"
        );
        Ok(Did::Work)
    }

    async fn record(
        &self,
        session: &Session,
        state: &SearchState,
        report: &GenerationReport,
        took: Duration,
    ) -> anyhow::Result<()> {
        let failures = report
            .failures
            .iter()
            .map(|failure| {
                Ok(FailedBacktest {
                    genome_hash: failure.hash.to_string(),
                    genome: serde_json::to_value(&failure.strategy)?,
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

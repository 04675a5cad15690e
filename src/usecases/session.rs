//! The search: one search session after another, each on the newest closed candles.
//!
//! An activation is idempotent: it goes on with an unfinished session, or opens one when one is due, or does
//! nothing. After each generation and each null search everything is stored, so a killed runner repeats at most one.
//! Never looks at paper trading: nothing from after the window flows back into the search.

use super::judge;
use super::lessons;
use super::memory::MarketSize;
use super::parts::{Did, SearchSetup, SessionParts, Turn};
use super::placebo;
use super::schedule::{Missed, session_due_ms};
use super::session_candles::{SessionCandles, names};
use super::shared::nulls::{Notes, Nulls};
use async_trait::async_trait;
use candles::time::{DAY_MS, rfc3339};
use candles::{Interval, MarketKind, Symbol, interval};
use protocol::{Advanced, Halves, Inherited, RunError, SeenUntil, Session as Searching, SessionState, WarmStart};
use search::{Counters, GenerationReport};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{
    FailedBacktest, GenerationRecord, NewSession, ResumableSession, SearchedRecord, Session, TrialCounts, Trials,
};
use telemetry::metrics;

/// Least days that are searched of a market that is ranked, where it is young.
const LEAST_RANKED_DAYS: i64 = 180;

/// Runs search sessions.
pub(crate) struct SessionRunner {
    parts: SessionParts,
    island: String,
    missed: Missed,
    turn: Turn,
}

impl SessionRunner {
    pub(crate) fn new(parts: SessionParts, island: String, missed: Missed) -> Self {
        let turn = Turn::new(&parts.process.store, format!("search {island}"));
        Self { parts, island, missed, turn }
    }

    /// Does what is due now.
    ///
    /// # Errors
    /// Whatever failed; calling again goes on from what is stored.
    pub(crate) async fn activate(&mut self) -> anyhow::Result<Did> {
        if !self.turn.hold().await? {
            return Ok(Did::StoodBy);
        }
        match self.parts.process.store.unfinished_session(&self.island).await? {
            Some(unfinished) => self.resume(unfinished).await,
            None => match placebo::run_if_due(&self.parts, &self.turn.token()?, &self.island).await? {
                Did::Nothing => self.open_if_due().await,
                did => Ok(did),
            },
        }
    }

    /// Goes on with a session that a former process left, from its last stored generation. Only the build that began it
    /// does: a session names one build for all that it computed, and what two computed nobody could compute again.
    async fn resume(&self, unfinished: ResumableSession) -> anyhow::Result<Did> {
        let session = unfinished.session;
        let spec = &session.spec;
        if let Some(reason) = begun_by_another(&spec.code_version) {
            return self.abandon(&session, &reason).await;
        }
        // Another machine may have begun it, or the cache may be gone. What cannot be refreshed shows below.
        let from_ms = spec.window_from_ms - self.parts.search.warmup_ms();
        if let Err(error) = self.refresh(spec.market, spec.timeframe, &spec.symbols, from_ms).await {
            tracing::warn!(session = spec.number, error = format!("{error:#}"), "candles of an unfinished session");
        }
        let loaded = self.load(spec).await?;
        if loaded.data_version(spec).ok().as_ref() != Some(&spec.data_version) {
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
        self.parts.process.store.abandon_session(&self.turn.token()?, session.id, reason).await?;
        Ok(Did::Work)
    }

    /// Everything that a session's results rest on, beside its candles and its seed.
    fn settings(&self) -> anyhow::Result<serde_json::Value> {
        let SessionParts { compute, search, .. } = &self.parts;
        let mut settings = json!({
            "search": search.search,
            "protocol": search.protocol,
            "candidates": search.settings.candidates_per_session,
            "costs": compute.terms.costs,
            "initial_capital": compute.terms.initial_capital,
            "warmup_ms": search.warmup_ms(),
        });
        if let Some(ranked) = self.parts.ranked() {
            settings["ranked"] = json!(ranked);
        }
        if !search.chosen().is_none() {
            settings["models"] = json!(search.chosen().used());
            settings["model_files"] = json!(search.chosen().files());
        }
        Ok(settings)
    }

    /// Brings the candles that are searched up to date; the time up to which they are known, and their symbols.
    async fn refresh(
        &self,
        market: MarketKind,
        interval: Interval,
        symbols: &[Symbol],
        from_ms: i64,
    ) -> anyhow::Result<(i64, Vec<Symbol>)> {
        let SessionParts { candles, search, .. } = &self.parts;
        let (newest_ms, symbols) = match &search.ranks {
            Some(quote) => candles.refresh_market(market, quote, interval, from_ms).await?,
            None => (candles.refresh(market, symbols, interval, from_ms).await?, symbols.to_vec()),
        };
        Ok((candles.refresh_models(&search.chosen(), interval, (from_ms, newest_ms)).await?, symbols))
    }

    async fn open_if_due(&self) -> anyhow::Result<Did> {
        let SessionParts { candles, search, process, .. } = &self.parts;
        let (store, settings) = (&process.store, &search.settings);
        // The hold-out comes on top of what the search sees: a longer one costs the search nothing.
        let span_ms = i64::from(settings.backtest_days + settings.holdout_days) * DAY_MS;
        let last = store.last_finished_session(&self.island).await?;
        let last_ms = last.map(|s| s.spec.window_to_ms);
        let interval_ms = i64::try_from(settings.generation_interval_s).unwrap_or(i64::MAX / 2_000) * 1_000;
        let due_ms = |newest_ms| session_due_ms(newest_ms, last_ms, interval_ms, self.missed);
        let now_ms = candles.market_now_ms(candles.market, &settings.symbols, settings.interval).await?;
        // The time alone tells when nothing can be due: no candle is asked for in vain.
        if due_ms(interval::open_time_ms(settings.interval, now_ms)).is_none() {
            return Ok(Did::Nothing);
        }
        let from_ms = now_ms - span_ms - search.warmup_ms();
        let (market, interval) = (candles.market, settings.interval);
        let (newest_ms, symbols) = self.refresh(market, interval, &settings.symbols, from_ms).await?;
        let Some(to_ms) = due_ms(newest_ms) else { return Ok(Did::Nothing) };
        // The window may end before now, so its warm-up may begin before what was asked for: without this, candles that
        // come into the cache later would make it another window.
        let first_ms = to_ms - span_ms - search.warmup_ms();
        if first_ms < from_ms {
            self.refresh(market, interval, &settings.symbols, first_ms).await?;
        }
        if let (Some(memory), Some(_)) = (self.parts.compute.memory, &search.ranks) {
            let span_ms = to_ms - first_ms;
            memory.admits(MarketSize { symbols: symbols.len(), span_ms, interval })?;
        }
        let number = store.next_session_number(&self.island).await?;
        let mut spec = NewSession {
            island: self.island.clone(),
            number,
            seed: search.seed.child(&self.island, number),
            config: self.settings()?,
            symbols,
            market: candles.market,
            timeframe: settings.interval,
            window_from_ms: to_ms - span_ms,
            holdout_from_ms: to_ms - i64::from(settings.holdout_days) * DAY_MS,
            window_to_ms: to_ms,
            data_version: String::new(),
            code_version: crate::CODE_VERSION.to_owned(),
        };
        let mut loaded = self.load(&spec).await?;
        // What was tested before was chosen by what lay before its split, which must lie before this one, too.
        let least_split_ms = store.newest_split_ms().await?;
        let since_ms = loaded.since_ms(search);
        let holdout_days = holdout_days(search, to_ms, since_ms, least_split_ms);
        if holdout_days < settings.holdout_days {
            tracing::info!(
                island = self.island,
                holdout_days,
                "the hold-out is shorter than daemon.holdout_days: as long as the candles, and hold-outs before it, allow"
            );
            spec.holdout_from_ms = to_ms - i64::from(holdout_days) * DAY_MS;
            spec.window_from_ms = spec.holdout_from_ms - i64::from(settings.backtest_days) * DAY_MS;
        }
        // A market that is younger than what is looked at is searched since it is one.
        if let Some(since_ms) = since_ms.filter(|since_ms| search.ranks.is_some() && *since_ms > spec.window_from_ms) {
            let least_ms = spec.holdout_from_ms - LEAST_RANKED_DAYS * DAY_MS;
            anyhow::ensure!(
                since_ms <= least_ms,
                "the market can be ranked since {}: the {LEAST_RANKED_DAYS} days before its hold-out are not there yet",
                rfc3339(since_ms).unwrap_or_default()
            );
            spec.window_from_ms = since_ms;
        }
        // A whole market is much to read: once, where once is enough.
        if spec.window_from_ms != to_ms - span_ms {
            loaded = self.load(&spec).await?;
        }
        if search.search.ranking.readings && loaded.lacks_readings() {
            tracing::warn!(
                island = self.island,
                "search.ranking.readings is set, but nothing is cached of funding, premium or open interest: ideas that look \
                 at them score nothing; `sg-ai data download --with funding,premium,metrics` brings some"
            );
        }
        spec.data_version = loaded.data_version(&spec)?;
        let verdict = loaded.fit_for_evidence(&spec, &candles.quality);
        store.record_data_verdict(&self.turn.token()?, &spec.data_version, &verdict).await?;
        anyhow::ensure!(verdict.fit, "the candles of its window are not fit for evidence: {}", verdict.reason);
        let session = store.open_session(&self.turn.token()?, &spec).await?;
        let on = names(&spec.symbols);
        tracing::info!(session = number, island = self.island, on, window_to_ms = to_ms, "search session opened");
        let state = self.first_state(&session, &loaded).await?;
        self.run(session, state, loaded).await
    }

    async fn load(&self, spec: &NewSession) -> anyhow::Result<SessionCandles> {
        SessionCandles::load(self.parts.candles.cached(), &self.parts.search, spec).await
    }

    fn halves(&self, spec: &NewSession, loaded: &SessionCandles) -> anyhow::Result<Arc<dyn Halves>> {
        loaded.halves(spec, &self.parts.compute, &self.parts.search)
    }

    /// A session begins with the best of the one before it: all of them, whatever the hold-out said of each, so
    /// that nothing of the hold-out flows back.
    async fn first_state(&self, session: &Session, loaded: &SessionCandles) -> anyhow::Result<SessionState> {
        let mut warm_starts = Vec::new();
        if let Some(last) = self.parts.process.store.last_finished_session(&self.island).await? {
            for champion in self.parts.process.store.champions(&last).await? {
                // One that does not say what shaped it was shaped by no more than the session before saw.
                let seen = SeenUntil::stated(champion.seen_until_ms.unwrap_or(last.spec.holdout_from_ms));
                warm_starts.push(WarmStart { strategy: champion.genome.read()?.clone(), seen });
            }
        }
        let halves = self.halves(&session.spec, loaded)?;
        // Whoever has seen part of the hold-out would bring it into the search.
        warm_starts.retain(|warm_start| warm_start.seen <= halves.seen_until());
        let lessons = lessons::of_session(&self.parts, &self.turn.token()?, session, &halves).await?;
        let draws = self.parts.search.search.draws_by_lessons();
        let learnt = lessons.and_then(|lessons| lessons.learnt).filter(|_| draws);
        let inherited = Inherited { warm_starts, learnt };
        Ok(SessionState::begin(self.parts.search.plan(), session.spec.seed, inherited, &*halves.ground()?))
    }

    /// Breeds generation after generation, then searches null markets, then lets the gate judge the best.
    async fn run(&self, session: Session, mut state: SessionState, loaded: SessionCandles) -> anyhow::Result<Did> {
        let SessionParts { compute, gates, search, process, .. } = &self.parts;
        let halves = self.halves(&session.spec, &loaded)?;
        drop(loaded);
        while !state.is_finished() {
            if let (Some(sharing), Some(_)) = (&self.parts.sharing, state.next_null()) {
                let (plan, stop, session_id) = (search.plan(), &process.stop, session.id);
                let nulls = Nulls { sharing, compute, stop, session: session_id, plan, halves: &halves };
                if !nulls.run(&mut state, &Noted(self, &session)).await? {
                    return Ok(Did::Stopped);
                }
                continue;
            }
            let began = Instant::now();
            let (stop, setup, halves, before) = (process.stop.clone(), Arc::clone(search), Arc::clone(&halves), state);
            let advanced = compute
                .run(move || {
                    let stop = |_| stop.is_cancelled();
                    let ground = halves.ground()?;
                    let mut searching = Searching::new(setup.plan(), &*ground);
                    let nulls = before.null_searches();
                    let (mut state, mut advanced) = searching.advance(before, &stop)?;
                    // A null search is gone on with to its end: its market is made once.
                    while matches!(advanced, Advanced::Null(..)) && state.null_searches() == nulls {
                        (state, advanced) = searching.advance(state, &stop)?;
                    }
                    Ok::<_, RunError>((state, advanced))
                })
                .await?;
            let (after, advanced) = match advanced {
                Ok(advanced) => advanced,
                Err(RunError::Stopped) => {
                    tracing::info!(
                        session = session.spec.number,
                        "search stopped; what was under way will be done again"
                    );
                    return Ok(Did::Stopped);
                }
                Err(error) => return Err(error.into()),
            };
            state = after;
            match advanced {
                Advanced::Search(report) => self.record(&session, &state, &report, began.elapsed()).await?,
                Advanced::Compared(_) | Advanced::Null(..) | Advanced::Finished => {
                    self.record_searching(&session, &state).await?;
                }
            }
        }
        if process.stop.is_cancelled() {
            return Ok(Did::Stopped);
        }
        let spec = &session.spec;
        let searched = state.searched(&search.protocol);
        let record = SearchedRecord {
            session_id: session.id,
            island: self.island.clone(),
            at_market_ms: spec.window_to_ms,
            p_value: searched.p_value,
            null_searches: searched.null_searches.into(),
            as_good: searched.as_good.into(),
            selected: searched.p_value <= gates.limits.max_p_value,
        };
        let token = self.turn.token()?;
        let (candidates, waiting) = judge::all(&self.parts, &token, &session, (&state, &record), &halves).await?;
        let (token, scores) = (self.turn.token()?, state.scores());
        let report = process.store.finish_session(&token, session.id, &candidates, &waiting, scores).await?;
        tracing::info!(
            session = spec.number,
            island = self.island,
            evaluations = state.real_counters().evaluations,
            null_searches = searched.null_searches,
            p_value = searched.p_value,
            stored = report.stored,
            untested = report.untested,
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
            statistic: state.statistic(),
            null_statistics: state.null_statistics().to_vec(),
        };
        self.parts.process.store.record_searching(&self.turn.token()?, session.id, &bytes, &trials).await?;
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
                        "costs": self.parts.compute.terms.costs,
                        "initial_capital": self.parts.compute.terms.initial_capital,
                        // What is tried again trades as it did.
                        "ranked": self.parts.ranked(),
                        "models": self.parts.search.chosen().used(),
                        "code_version": crate::CODE_VERSION,
                        "warmup_from_ms": session.spec.window_from_ms - self.parts.search.warmup_ms(),
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
        self.parts.process.store.record_generation(&self.turn.token()?, session.id, &record, &bytes, &failures).await?;
        let form = self.parts.search.search.form.name();
        metrics::GENERATION_SECONDS.record(form, took);
        if let Some(each) = u32::try_from(evaluations).ok().and_then(|count| took.checked_div(count)) {
            metrics::BACKTEST_SECONDS.record(form, each);
        }
        metrics::BACKTESTS_TOTAL.add(form, evaluations);
        metrics::BACKTEST_FAILURES_TOTAL.add(form, failures.len() as u64);
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

/// Stores what lies between two null searches of a session.
struct Noted<'a>(&'a SessionRunner, &'a Session);

#[async_trait]
impl Notes for Noted<'_> {
    async fn note(&self, state: &SessionState) -> anyhow::Result<()> {
        self.0.record_searching(self.1, state).await
    }
}

/// Why this build does not go on with a session that the build of that version began; `None` where it is the same.
fn begun_by_another(code_version: &str) -> Option<String> {
    let this = crate::CODE_VERSION;
    (code_version != this).then(|| format!("version {code_version} began it, and this is version {this}"))
}

/// How long the hold-out before `to_ms` is, days: the whole of it, or what the search leaves of the candles that all
/// symbols have since `since_ms`, but not less than the least; and in no case does it begin
/// before one that a session has had.
fn holdout_days(search: &SearchSetup, to_ms: i64, since_ms: Option<i64>, least_split_ms: Option<i64>) -> u32 {
    let days = |ms: i64| u32::try_from(ms / DAY_MS).unwrap_or(0);
    let settings = &search.settings;
    let least = settings.holdout_min_days.min(settings.holdout_days);
    // Of a market it is known since when it can be ranked; its search may be shorter than it might be.
    let (warmup_ms, searched) = match search.ranks {
        Some(_) => (0, LEAST_RANKED_DAYS as u32),
        None => (settings.warmup_ms(), settings.backtest_days),
    };
    let there = since_ms.map_or(u32::MAX, |since_ms| days(to_ms - since_ms - warmup_ms));
    let since_split = least_split_ms.map_or(u32::MAX, |split_ms| days(to_ms - split_ms));
    there.saturating_sub(searched).clamp(least, settings.holdout_days).min(since_split).max(1)
}

#[cfg(test)]
mod tests {
    use super::begun_by_another;

    #[test]
    fn only_the_build_that_began_a_session_goes_on_with_it() {
        assert_eq!(begun_by_another(crate::CODE_VERSION), None);
        // The same version number, built from other sources.
        let other = format!("{}+{:016x}", env!("CARGO_PKG_VERSION"), 1);
        let reason = begun_by_another(&other).unwrap();
        assert_eq!(reason, format!("version {other} began it, and this is version {}", crate::CODE_VERSION));
    }
}

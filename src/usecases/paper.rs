//! The shadow runner and the deployment manager: paper trading of every shadow and live strategy, and what follows.
//!
//! An activation extends each run to the newest closed candle. Wherever it passes a point of the review grid (in
//! market time) the gate decides on the evidence as of that point, so a daemon that was down or runs behind takes
//! the same decisions at the same market times as one that never stopped. Candles that are not fit for evidence decide
//! nothing: the gate is not asked, and the reason is stored. Sends no order; feeds nothing back into the search.

use super::candle_source::CandleSource;
use super::edge_decay::EdgeDecayMonitor;
use super::messages::announce;
use super::parts::{Compute, Did, Gates, Process, Turn};
use super::placebo;
use super::ran::Ran;
use super::recipe::next_run;
use super::run_candles::{Part, RunCandles, RunSpec};
use super::schedule::grid_points;
use crate::config::DaemonConfig;
use anyhow::Context as _;
use candles::time::DAY_MS;
use candles::{DataVerdict, Interval, MarketKind, Symbol, Ticker, interval};
use engine::RunConfig;
use genome::AnyStrategy;
use lifecycle::{
    Decision, GateEvidence, LiveEvidence, Progress, ProtocolEvidence, ShadowEvidence, State, Tested, Verdict,
};
use protocol::Standing;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::{ActivePaperRun, PaperPass, ProtocolSessionRow, StatRow, StatSource, TransitionRecord};
use uuid::Uuid;

/// How far a run that is behind is taken at once, ms.
const STRIDE_MS: i64 = 7 * DAY_MS;
/// Newest sessions of each kind, real and placebo, that are compared.
const COMPARED_SESSIONS: u32 = 10_000;

/// Candles that are refreshed together: of some symbols, or of all that are paid in a quote asset.
type FeedKey = (MarketKind, Vec<Symbol>, Interval, Option<String>);

/// Runs whose candles are the same.
struct Group {
    config: RunConfig,
    warmup_from_ms: i64,
    from_ms: i64,
    to_ms: i64,
    runs: Vec<ActivePaperRun>,
}

/// What is known when a group's runs are reviewed.
struct Known {
    stats: Vec<StatRow>,
    standings: BTreeMap<Uuid, Standing>,
    /// Real and placebo sessions.
    sessions: Vec<ProtocolSessionRow>,
}

impl Known {
    /// What the evidence protocol knows of a strategy in shadow, by what it did there so far.
    fn protocol(&self, id: Uuid, ran: &Ran) -> Option<ProtocolEvidence> {
        Some(self.standings.get(&id)?.since(&ran.did))
    }
}

/// Extends paper trading and decides.
pub(crate) struct PaperRunner {
    candles: CandleSource,
    compute: Compute,
    gates: Gates,
    settings: DaemonConfig,
    process: Process,
    turn: Turn,
    staying: EdgeDecayMonitor,
    /// Why strategies stand still, as far as it was told.
    still: BTreeSet<String>,
}

impl PaperRunner {
    pub(crate) fn new(
        candles: CandleSource,
        compute: Compute,
        (gates, staying): (Gates, EdgeDecayMonitor),
        settings: DaemonConfig,
        process: Process,
    ) -> Self {
        let turn = Turn::new(&process.store, "paper");
        Self { candles, compute, gates, settings, process, turn, staying, still: BTreeSet::new() }
    }

    /// Brings every run up to the newest closed candle.
    ///
    /// # Errors
    /// The first failure, after all other runs had their turn.
    pub(crate) async fn activate(&mut self) -> anyhow::Result<Did> {
        if !self.turn.hold().await? {
            return Ok(Did::StoodBy);
        }
        let mut newest_by_feed = BTreeMap::new();
        // Runs that are as far as they can be now: up to their newest candle, or in trouble.
        let mut settled: BTreeSet<uuid::Uuid> = BTreeSet::new();
        let mut first_error = None;
        let mut did = Did::Nothing;
        // A strategy that moves begins a new run at a time that may lie before the newest candle: go round again.
        loop {
            let runs = self.process.store.paper_runs(&[State::Shadow, State::Live]).await?;
            self.staying.keep(|run_id| runs.iter().any(|r| r.run.id == run_id && r.run.phase == State::Live));
            let runs: Vec<_> = runs.into_iter().filter(|r| !settled.contains(&r.run.id)).collect();
            // All runs go forward together, so that what happens is told in about the order in which it happened.
            // A run that waits for candles is no longer among them: the others must not wait for it.
            let Some(horizon_ms) = runs.iter().map(|r| r.run.to_ms + STRIDE_MS).min() else { break };
            let (groups, mut failed) = groups(runs);
            for group in groups {
                if self.process.stop.is_cancelled() {
                    return Ok(Did::Stopped);
                }
                let (ids, to_ms) = (group.runs.iter().map(|r| r.run.id).collect::<Vec<_>>(), group.to_ms);
                match self.advance(group, horizon_ms, &mut newest_by_feed, &mut failed).await {
                    Ok(Did::Stopped) => return Ok(Did::Stopped),
                    Ok(Did::Work) => did = Did::Work,
                    // Some are merely ahead of the others.
                    Ok(_) if to_ms >= horizon_ms => {}
                    Ok(_) => settled.extend(ids),
                    // One group's trouble is not the others'.
                    Err(error) => {
                        settled.extend(ids);
                        first_error.get_or_insert(error);
                    }
                }
            }
            // One run's trouble is not the others': it is told of, and tried again at the next activation.
            for (run_id, error) in failed {
                settled.insert(run_id);
                first_error.get_or_insert(error);
            }
        }
        if let Err(error) = self.keep_fresh(&newest_by_feed).await {
            first_error.get_or_insert(error);
        }
        first_error.map_or(Ok(did), Err)
    }

    /// Refreshes the candles that are searched on, where no run did: between two sessions nobody else does, and
    /// whoever asks how fresh they are is not to be told that they are late.
    async fn keep_fresh(&self, refreshed: &BTreeMap<FeedKey, i64>) -> anyhow::Result<()> {
        let candles = &self.candles;
        for (quote, interval) in self.settings.ranked() {
            let feed = (candles.market, Vec::new(), interval, Some(quote.to_owned()));
            let of_market = CandleSource::newest_of_market(&candles.cache, candles.market, quote, interval).await?;
            if let (Some(newest_ms), false) = (of_market, refreshed.contains_key(&feed)) {
                candles.refresh_market(candles.market, quote, interval, newest_ms - DAY_MS).await?;
            }
        }
        for (symbols, interval) in self.settings.searched() {
            let feed = (candles.market, symbols, interval, None);
            if refreshed.contains_key(&feed) {
                continue;
            }
            let mut from_ms = Some(i64::MAX);
            for symbol in &feed.1 {
                let newest_ms = candles.cache.newest_close_ms(&Ticker::of(candles.market, symbol), interval).await?;
                from_ms = from_ms.zip(newest_ms).map(|(a, b)| a.min(b));
            }
            // What was never fetched is for the first session to fetch.
            if let Some(from_ms) = from_ms {
                candles.refresh(candles.market, &feed.1, interval, from_ms).await?;
            }
        }
        Ok(())
    }

    /// Brings a group up to its newest candle, but not past `horizon_ms`.
    async fn advance(
        &mut self,
        group: Group,
        horizon_ms: i64,
        newest_by_feed: &mut BTreeMap<FeedKey, i64>,
        failed: &mut Vec<(Uuid, anyhow::Error)>,
    ) -> anyhow::Result<Did> {
        let RunConfig { market, interval, symbols, ranked, .. } = &group.config;
        let (of_symbols, quote) = match ranked {
            Some(ranked) => (Vec::new(), Some(ranked.quote.clone())),
            None => (symbols.clone(), None),
        };
        let feed = (*market, of_symbols, *interval, quote);
        let newest_ms = match newest_by_feed.get(&feed) {
            Some(&newest_ms) => newest_ms,
            None => {
                let from_ms = group.warmup_from_ms;
                let newest_ms = match &feed.3 {
                    Some(quote) => self.candles.refresh_market(*market, quote, *interval, from_ms).await?.0,
                    None => self.candles.refresh(*market, &feed.1, *interval, from_ms).await?,
                };
                newest_by_feed.insert(feed, newest_ms);
                newest_ms
            }
        };
        let newest_ms = newest_ms.min(horizon_ms);
        let chosen = match self.candles.models.used(&group.config.models) {
            Ok(chosen) => chosen,
            // Its strategies stand still, the others go on. Told once.
            Err(error) => {
                let error = format!("{error:#}");
                if self.still.insert(error.clone()) {
                    let strategies: Vec<&str> = group.runs.iter().map(|run| run.strategy.name.as_str()).collect();
                    tracing::warn!(?strategies, error, "strategies stand still");
                }
                return Ok(Did::Nothing);
            }
        };
        let span_ms = (group.warmup_from_ms, newest_ms);
        let newest_ms = self.candles.refresh_models(&chosen, group.config.interval, span_ms).await?;
        if newest_ms <= group.to_ms { Ok(Did::Nothing) } else { self.extend(group, newest_ms, failed).await }
    }

    /// Takes a group's runs from review point to review point up to `newest_ms`; adds those that cannot go on to `failed`.
    async fn extend(
        &mut self,
        mut group: Group,
        newest_ms: i64,
        failed: &mut Vec<(Uuid, anyhow::Error)>,
    ) -> anyhow::Result<Did> {
        let spec = RunSpec::of_run(&group.config, (group.warmup_from_ms, group.from_ms, newest_ms));
        let (loaded, quality) = (spec.load(self.candles.cached()).await?, self.candles.quality);
        let ids: Vec<_> = group.runs.iter().map(|r| r.strategy.id).collect();
        let known = Known {
            stats: self.process.store.latest_stats(&ids).await?,
            standings: self.standings(&ids).await?,
            sessions: self.process.store.protocol_sessions(COMPARED_SESSIONS).await?,
        };
        let review_ms = i64::try_from(self.settings.review_interval_s).unwrap_or(i64::MAX / 2_000) * 1_000;
        // Decisions rest on closed candles: a point inside a candle counts as the candle's open.
        let on_candles = |point_ms| interval::open_time_ms(group.config.interval, point_ms);
        let mut reviews: Vec<i64> = grid_points(group.to_ms, newest_ms, review_ms).map(on_candles).collect();
        reviews.dedup();
        reviews.retain(|&point_ms| point_ms > group.to_ms);
        let last = (reviews.last() != Some(&newest_ms)).then_some(newest_ms);
        let mut did = Did::Nothing;
        for to_ms in reviews.iter().copied().chain(last) {
            if self.process.stop.is_cancelled() {
                return Ok(Did::Stopped);
            }
            if group.runs.is_empty() {
                break;
            }
            let review = Some(to_ms) != last;
            // A symbol has no candle yet since the run began: nothing is known at this point.
            let Some(part) = loaded.part(group.from_ms, to_ms)? else { continue };
            did = Did::Work;
            let outcomes = self.evaluate(&group, &part).await?;
            let verdict = loaded.fit_for_evidence(&part, &quality);
            let mut version = DataVersion { loaded: &loaded, range: (group.from_ms, to_ms), known: None };
            if review && !verdict.fit {
                // No evidence: the gate is not asked, and why is kept. The next point may see the candles repaired.
                let (token, version) = (self.turn.token()?, version.get(&self.candles).await?);
                self.process.store.record_data_verdict(&token, &version, &verdict).await?;
                tracing::warn!(at_market_ms = to_ms, runs = group.runs.len(), "no review: {}", verdict.reason);
            }
            let mut staying = Vec::with_capacity(group.runs.len());
            for (run, outcome) in std::mem::take(&mut group.runs).into_iter().zip(outcomes) {
                let outcome = match outcome {
                    Ok(outcome) => outcome,
                    Err(error) => {
                        failed.push((run.run.id, error));
                        continue;
                    }
                };
                // Between reviews only the newest point is stored; on the way there nothing needs to be.
                let moved = review
                    && verdict.fit
                    && self.review(&run, &outcome, &known, (&part, &verdict, &mut version)).await?;
                if moved {
                    continue;
                }
                if to_ms == newest_ms {
                    let mut pass = outcome.pass(run.run.id, to_ms, version.get(&self.candles).await?)?;
                    if verdict.fit {
                        let (evidence, decision) = self.asked(&run, &outcome, &known, to_ms).await?;
                        pass.progress = Some(self.progress((&run, &outcome), &known, (&evidence, &decision), to_ms));
                    }
                    self.process.store.record_paper_pass(&self.turn.token()?, &pass).await?;
                }
                staying.push(run);
            }
            group.runs = staying;
        }
        Ok(did)
    }

    /// What was proved of the strategies before they entered shadow.
    async fn standings(&self, ids: &[Uuid]) -> anyhow::Result<BTreeMap<Uuid, Standing>> {
        Ok(self.process.store.standings(ids).await?)
    }

    /// Evaluates the group's strategies over the run so far: the same function as everywhere.
    async fn evaluate(&self, group: &Group, part: &Part) -> anyhow::Result<Vec<anyhow::Result<Ran>>> {
        let genomes: Vec<_> = group.runs.iter().map(|run| run.strategy.genome.read()).collect();
        let strategies: Vec<AnyStrategy> = genomes.iter().flatten().copied().cloned().collect();
        let (engine, part, config) = (Arc::clone(&self.compute.engine), part.clone(), group.config.clone());
        let mut ran = self.compute.run(move || part.ran(&engine, &strategies, &config)).await??.into_iter();
        let each = group.runs.iter().zip(genomes).map(|(run, genome)| {
            let id = run.strategy.id;
            genome?;
            let ran = ran.next().with_context(|| format!("strategy {id} was not evaluated"))?;
            ran.with_context(|| format!("strategy {id} cannot be paper-traded"))
        });
        Ok(each.collect())
    }

    /// Lets the gate decide on what was known at the window's end; whether the strategy moved.
    async fn review(
        &mut self,
        run: &ActivePaperRun,
        ran: &Ran,
        known: &Known,
        (part, verdict, version): (&Part, &DataVerdict, &mut DataVersion<'_>),
    ) -> anyhow::Result<bool> {
        let at_ms = part.to_ms();
        let (evidence, decision) = self.asked(run, ran, known, at_ms).await?;
        let Verdict::Move(transition) = decision.verdict else { return Ok(false) };
        let progress = self.progress((run, ran), known, (&evidence, &decision), at_ms);
        let evidence = serde_json::to_value(&evidence)?;
        let id = run.strategy.id;
        let mut record = TransitionRecord::from_decision(
            id,
            self.gates.gate.name(),
            decision,
            evidence,
            "deployment manager",
            at_ms,
        )
        .context("a decision to move makes a record")?;
        if transition.to().trades_on_paper() {
            record.run = Some(next_run(run, at_ms, self.settings.warmup_ms(), part.market())?);
        }
        announce(&self.process.channels, &mut record, &run.strategy.name, &run.strategy.canonical);
        tracing::info!(
            strategy = run.strategy.name,
            from = %transition.from(),
            to = %transition.to(),
            at_market_ms = at_ms,
            reason = record.summary,
            "strategy moves"
        );
        // A move rests on these candles: that they were fit for it is kept with their version.
        let (token, version) = (self.turn.token()?, version.get(&self.candles).await?);
        self.process.store.record_data_verdict(&token, &version, verdict).await?;
        let pass = PaperPass { progress: Some(progress), ..ran.pass(run.run.id, at_ms, version)? };
        self.process.store.record_pass_and_move(&token, &pass, &record).await?;
        Ok(true)
    }

    /// What is told of how close it is: what the gate was asked, with ln E by day.
    fn progress(
        &self,
        (run, ran): (&ActivePaperRun, &Ran),
        known: &Known,
        (evidence, decision): (&GateEvidence, &Decision),
        at_ms: i64,
    ) -> Progress {
        let standing = known.standings.get(&run.strategy.id).filter(|_| run.run.phase == State::Shadow);
        let days = standing.map(|standing| standing.days_since(&ran.did, run.demotions == 0));
        let told = Progress::of(&self.gates.limits, evidence, decision, at_ms);
        Progress { days: days.unwrap_or_default(), ..told }
    }

    /// Asks the gate about a run as of `at_ms`.
    async fn asked(
        &mut self,
        run: &ActivePaperRun,
        ran: &Ran,
        known: &Known,
        at_ms: i64,
    ) -> anyhow::Result<(GateEvidence, Decision)> {
        let paper = ran.evidence(run.run.from_ms, at_ms, self.gates.recent_trades());
        let stat = |source| {
            known
                .stats
                .iter()
                .find(|s| s.strategy_id == run.strategy.id && s.source == source)
                .map(|s| s.performance.clone())
        };
        let tested = Tested { backtest: stat(StatSource::Backtest), holdout: stat(StatSource::Holdout) };
        let (paper, demotions) = (Some(paper), run.demotions);
        let evidence = if run.run.phase == State::Live {
            let staying = self.staying.verdict((run.strategy.id, run.run.id), ran.live_results()).await?;
            GateEvidence::Live(LiveEvidence { tested, run: paper, demotions, staying })
        } else {
            let protocol = known.protocol(run.strategy.id, ran);
            let placebo = placebo::comparison(&known.sessions, at_ms);
            GateEvidence::Shadow(ShadowEvidence { tested, run: paper, demotions, protocol, placebo })
        };
        let decision = self.gates.gate.decide(&evidence);
        Ok((evidence, decision))
    }
}

/// The name of the candles of a part, found when somebody asks: that of a market is a walk over all of it.
struct DataVersion<'a> {
    loaded: &'a RunCandles,
    range: (i64, i64),
    known: Option<String>,
}

impl DataVersion<'_> {
    async fn get(&mut self, candles: &CandleSource) -> anyhow::Result<String> {
        if let Some(known) = &self.known {
            return Ok(known.clone());
        }
        let found = self.loaded.data_version(candles.cached(), self.range).await?;
        Ok(self.known.insert(found).clone())
    }
}

/// Runs with the same candles together, in a fixed order, and those whose stored settings do not read.
fn groups(runs: Vec<ActivePaperRun>) -> (Vec<Group>, Vec<(Uuid, anyhow::Error)>) {
    let mut failed = Vec::new();
    let mut groups: Vec<Group> = Vec::new();
    for run in runs {
        let config = match run.run.config.read() {
            Ok(config) => config.clone(),
            Err(error) => {
                failed.push((run.run.id, error.into()));
                continue;
            }
        };
        let (warmup_from_ms, from_ms, to_ms) = (run.run.warmup_from_ms, run.run.from_ms, run.run.to_ms);
        let same = |g: &Group| {
            (g.warmup_from_ms, g.from_ms, g.to_ms) == (warmup_from_ms, from_ms, to_ms) && g.config == config
        };
        match groups.iter().position(same) {
            Some(i) => groups[i].runs.push(run),
            None => groups.push(Group { config, warmup_from_ms, from_ms, to_ms, runs: vec![run] }),
        }
    }
    (groups, failed)
}

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
use super::recipe::gone_on_with;
use super::schedule::grid_points;
use super::window::{Loaded, WindowSpec};
use crate::config::DaemonConfig;
use anyhow::Context as _;
use candles::time::DAY_MS;
use candles::{DataVerdict, Interval, MarketKind, Symbol, Ticker, interval};
use engine::{ExitReason, Outcome, RunConfig, Wanted, Window, WindowError};
use genome::Strategy;
use lifecycle::{GateEvidence, LiveEvidence, PaperEvidence, ProtocolEvidence, ShadowEvidence, State, Tested, Verdict};
use protocol::Standing;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::{ActivePaperRun, NewPaperRun, PaperPass, ProtocolSessionRow, StatRow, StatSource, TransitionRecord};
use uuid::Uuid;

/// How far a run that is behind is taken at once, ms.
const STRIDE_MS: i64 = 7 * DAY_MS;
/// Newest sessions of each kind, real and placebo, that are compared.
const COMPARED_SESSIONS: u32 = 10_000;

/// Candles that are refreshed together.
type FeedKey = (MarketKind, Vec<Symbol>, Interval);

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
    /// What the evidence protocol knows of a strategy in shadow at a window's end.
    fn protocol(&self, id: Uuid, outcome: &Outcome, window: &Window) -> Option<ProtocolEvidence> {
        let (standing, ledger) = (self.standings.get(&id)?, outcome.ledger.as_ref()?);
        Some(standing.with(ledger, window))
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
        Self { candles, compute, gates, settings, process, turn, staying }
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
        for (symbols, interval) in self.settings.searched() {
            let feed = (candles.market, symbols, interval);
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
        let feed = (group.config.market, group.config.symbols.clone(), group.config.interval);
        let newest_ms = match newest_by_feed.get(&feed) {
            Some(&newest_ms) => newest_ms,
            None => {
                let (market, symbols, candles) = &feed;
                let newest_ms = self.candles.refresh(*market, symbols, *candles, group.warmup_from_ms).await?;
                newest_by_feed.insert(feed, newest_ms);
                newest_ms
            }
        };
        let newest_ms = newest_ms.min(horizon_ms);
        if newest_ms <= group.to_ms { Ok(Did::Nothing) } else { self.extend(group, newest_ms, failed).await }
    }

    /// Takes a group's runs from review point to review point up to `newest_ms`; adds those that cannot go on to `failed`.
    async fn extend(
        &mut self,
        mut group: Group,
        newest_ms: i64,
        failed: &mut Vec<(Uuid, anyhow::Error)>,
    ) -> anyhow::Result<Did> {
        let spec = WindowSpec {
            market: group.config.market,
            symbols: group.config.symbols.clone(),
            interval: group.config.interval,
            warmup_from_ms: group.warmup_from_ms,
            to_ms: newest_ms,
        };
        let loaded = Loaded::read(&self.candles.cache, spec).await?;
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
            let window = match loaded.window(group.from_ms, to_ms) {
                // A symbol has no candle yet since the run began: nothing is known at this point.
                Err(WindowError::Empty(_)) => continue,
                window => window?,
            };
            did = Did::Work;
            let outcomes = self.evaluate(&group, &window).await?;
            let verdict = loaded.fit_for_evidence(group.from_ms, to_ms, &self.candles.quality);
            if review && !verdict.fit {
                // No evidence: the gate is not asked, and why is kept. The next point may see the candles repaired.
                let token = self.turn.token()?;
                self.process.store.record_data_verdict(&token, &window.data_version(), &verdict).await?;
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
                let moved = review && verdict.fit && self.review(&run, &outcome, &known, (&window, &verdict)).await?;
                if moved {
                    continue;
                }
                if to_ms == newest_ms {
                    self.record(&run, &outcome, &window).await?;
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

    /// Backtests the group's strategies over the run so far: the same function as everywhere.
    async fn evaluate(&self, group: &Group, window: &Window) -> anyhow::Result<Vec<anyhow::Result<Outcome>>> {
        let genomes: Vec<_> = group.runs.iter().map(|run| run.strategy.rules()).collect();
        let strategies: Vec<Strategy> = genomes.iter().flatten().copied().cloned().collect();
        let (engine, window, terms) = (Arc::clone(&self.compute.engine), window.clone(), group.config.terms());
        let wanted = Wanted { ledger: true, ..Wanted::default() };
        let outcomes = self.compute.run(move || engine.evaluate(&strategies, &window, &terms, wanted)).await?;
        let mut outcomes = outcomes.into_iter();
        let each = group.runs.iter().zip(genomes).map(|(run, genome)| {
            let id = run.strategy.id;
            genome?;
            let outcome = outcomes.next().with_context(|| format!("strategy {id} was not evaluated"))?;
            outcome.with_context(|| format!("strategy {id} cannot be paper-traded"))
        });
        Ok(each.collect())
    }

    /// Lets the gate decide on what was known at the window's end; whether the strategy moved.
    async fn review(
        &mut self,
        run: &ActivePaperRun,
        outcome: &Outcome,
        known: &Known,
        (window, verdict): (&Window, &DataVerdict),
    ) -> anyhow::Result<bool> {
        let at_ms = window.to_ms();
        let paper = PaperEvidence::of(outcome, run.run.from_ms, at_ms, self.gates.recent_trades());
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
            let trades = outcome.ledger.as_ref().map_or(&[][..], |ledger| &ledger.trades);
            let staying = self.staying.verdict((run.strategy.id, run.run.id), trades).await?;
            GateEvidence::Live(LiveEvidence { tested, run: paper, demotions, staying })
        } else {
            let protocol = known.protocol(run.strategy.id, outcome, window);
            let placebo = placebo::comparison(&known.sessions, at_ms);
            GateEvidence::Shadow(ShadowEvidence { tested, run: paper, demotions, protocol, placebo })
        };
        let decision = self.gates.gate.decide(&evidence);
        let Verdict::Move(transition) = decision.verdict else { return Ok(false) };
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
            record.run = Some(NewPaperRun {
                warmup_from_ms: at_ms - self.settings.warmup_ms(),
                config: gone_on_with(run.run.config.read()?),
            });
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
        let token = self.turn.token()?;
        self.process.store.record_data_verdict(&token, &window.data_version(), verdict).await?;
        self.process.store.record_pass_and_move(&token, &pass(run, outcome, window)?, &record).await?;
        Ok(true)
    }

    async fn record(&self, run: &ActivePaperRun, outcome: &Outcome, window: &Window) -> anyhow::Result<()> {
        let token = self.turn.token()?;
        self.process.store.record_paper_pass(&token, &pass(run, outcome, window)?).await?;
        Ok(())
    }
}

/// What the store is told of a run up to the end of a window.
fn pass(run: &ActivePaperRun, outcome: &Outcome, window: &Window) -> anyhow::Result<PaperPass> {
    let ledger = outcome.ledger.clone().unwrap_or_default();
    let (open, trades) = ledger.trades.into_iter().partition::<Vec<_>, _>(|t| t.exit_reason == ExitReason::EndOfWindow);
    Ok(PaperPass {
        run_id: run.run.id,
        to_ms: window.to_ms(),
        data_version: Some(window.data_version()),
        performance: outcome.performance.clone(),
        closed_trades: u32::try_from(trades.len()).unwrap_or(u32::MAX),
        open_positions: serde_json::to_value(open)?,
        trades,
        daily_equity: ledger.daily_equity,
    })
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

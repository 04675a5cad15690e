//! Results that no longer hold, since candles were revised or the engine's meaning changed, computed again, and the gate
//! asked anew with the new figures.
//!
//! Figures, what the hold-out proves, the gate's answer and the cause are stored in one transaction a strategy; whoever
//! reviews it next reads what the hold-out proves from there. Finds nothing itself: it is told what is affected.

use super::affected::AffectedStrategy;
use super::messages::announce;
use super::ran::Ran;
use super::recipe::{computed_again, next_run};
use super::replay::{replay, replay_on};
use super::run_candles::RunSpec;
use super::whole_market::Cached;
use anyhow::Context as _;
use candles::quality::QualityPolicy;
use candles::stored::Part;
use candles::{DataVerdict, Symbol};
use engine::RunConfig;
use genome::AnyStrategy;
use lifecycle::{Gate, GateEvidence, LiveEvidence, ShadowEvidence, State, Tested, Verdict};
use notify::Channel;
use protocol::Standing;
use serde::Serialize;
use store::{
    ActivePaperRun, LeaseToken, Rescore, Rescored, RevisionRow, StatSource, Store, StrategyDetail, TransitionRecord,
};
use uuid::Uuid;

/// What scoring again needs.
pub(crate) struct Rescorer<'a> {
    /// The candles.
    pub(crate) cached: Cached<'a>,
    /// Where results are.
    pub(crate) store: &'a Store,
    /// Who decides.
    pub(crate) gate: &'a dyn Gate,
    /// Who is told of moves.
    pub(crate) channels: &'a [Channel],
    /// Closed trades that count as recent in live evidence.
    pub(crate) recent_trades: usize,
    /// Candles before a window on which indicators warm up, ms.
    pub(crate) warmup_ms: i64,
    /// When candles are good enough to be evidence.
    pub(crate) quality: QualityPolicy,
}

/// Why results are computed again.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    /// Revised candles or payments.
    pub(crate) revision_ids: Vec<i64>,
    /// A meaning of the engine.
    pub(crate) engine_meaning: Option<u32>,
    /// For people.
    pub(crate) text: String,
}

impl Cause {
    /// What the exchange revised.
    pub(crate) fn revised(revisions: &[RevisionRow]) -> Self {
        let each: Vec<String> = revisions
            .iter()
            .map(|r| {
                let what = match r.part {
                    Part::Candles(_) => "candles",
                    Part::Funding => "payments",
                    Part::Premium | Part::Metrics => "readings",
                };
                format!("{} {what} of {} {} {} {}", r.candles, r.market, r.symbol, r.part, r.month)
            })
            .collect();
        let text = format!("the exchange revised {}", each.join(", "));
        Self { revision_ids: revisions.iter().map(|r| r.id).collect(), engine_meaning: None, text }
    }

    /// Who asks the gate, in the transition that may follow.
    const fn asks(&self) -> &'static str {
        if self.engine_meaning.is_some() { "engine meaning" } else { "data revision" }
    }
}

/// What became of one strategy.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcomes {
    /// In the store.
    pub(crate) id: Uuid,
    /// For people.
    pub(crate) name: String,
    /// Results computed again.
    pub(crate) rescored: u64,
    /// Those that could not be, and why.
    pub(crate) failed: Vec<String>,
    /// What the gate said, where it was asked.
    pub(crate) decision: Option<String>,
    /// The state after.
    pub(crate) state: State,
}

impl Rescorer<'_> {
    /// Computes what is affected again and lets the gate decide on it, strategy by strategy.
    ///
    /// # Errors
    /// When the store does not answer. A result that cannot be computed is part of the answer instead.
    pub(crate) async fn rescore(
        &self,
        lease: &LeaseToken,
        cause: &Cause,
        affected: &[AffectedStrategy],
    ) -> anyhow::Result<Vec<Outcomes>> {
        let active = self.store.paper_runs(&[State::Shadow, State::Live]).await?;
        let mut all = Vec::new();
        for strategy in affected {
            let run = active.iter().find(|run| run.strategy.id == strategy.id);
            all.push(self.strategy(lease, cause, strategy, run).await?);
        }
        Ok(all)
    }

    async fn strategy(
        &self,
        lease: &LeaseToken,
        cause: &Cause,
        affected: &AffectedStrategy,
        active: Option<&ActivePaperRun>,
    ) -> anyhow::Result<Outcomes> {
        let genome = affected.detail.strategy.genome.read()?;
        let mut rescore = Rescore {
            strategy_id: affected.id,
            revision_ids: cause.revision_ids.clone(),
            engine_meaning: cause.engine_meaning,
            cause: cause.text.clone(),
            results: Vec::new(),
            pass: None,
            standing: None,
            holdout_results: None,
            decision: None,
            transition: None,
        };
        let mut standings = self.store.standings(&[affected.id]).await?;
        // The newest hold-out is the one that it stands by.
        let holdouts = affected.detail.stats.iter().filter(|s| s.source == StatSource::Holdout);
        let newest_holdout_ms = holdouts.map(|s| s.window_from_ms).max();
        let (mut failed, mut paper) = (Vec::new(), None);
        for affected in &affected.runs {
            let run = &affected.run;
            let recipe = run.recipe.as_ref().map_err(|why| anyhow::anyhow!("{why}"))?;
            let again = replay(self.cached, genome, recipe, run).await;
            let (new, version) = match again {
                Ok(again) => {
                    let performance = again.ran.performance.clone();
                    let is_newest = run.source == StatSource::Holdout && Some(run.from_ms) == newest_holdout_ms;
                    if is_newest {
                        let stood = standings.remove(&rescore.strategy_id);
                        let moved = stood.map(|stood| (stood.holdout, stood.revised(&again.ran.did)));
                        rescore.standing = moved.filter(|(before, now)| *before != now.holdout);
                        let results = |(_, now): &(_, Standing)| now.book.results(&again.ran.did);
                        let ranks = again.ran.portfolio.is_some();
                        rescore.holdout_results = rescore.standing.as_ref().filter(|_| ranks).map(results);
                    }
                    let is_open = active.is_some_and(|a| Some(a.run.id) == run.paper_run);
                    if is_open {
                        let run_id = run.paper_run.context("a paper run has an id")?;
                        rescore.pass = Some(again.ran.pass(run_id, run.to_ms, again.data_version.clone())?);
                        paper = Some(again.ran);
                    }
                    (Some(performance), Some(again.data_version))
                }
                Err(error) => {
                    failed.push(format!("{} from {}: {error:#}", run.source.name(), run.from_ms));
                    (None, None)
                }
            };
            let is_test = matches!(run.source, StatSource::Backtest | StatSource::Holdout);
            rescore.results.push(Rescored {
                source: run.source,
                from_ms: run.from_ms,
                to_ms: run.to_ms,
                old_data_version: run.data_version.clone(),
                new_data_version: version,
                old: run.performance.clone(),
                new,
                parameters: is_test.then(|| computed_again(recipe)),
            });
        }
        let mut state = affected.state;
        if let Some(active) = active {
            let ran = match paper {
                Some(ran) => Some(ran),
                None => self.paper_again(genome, active).await,
            };
            if let Some(ran) = ran {
                let (verdict, market) = self.judge(lease, active).await?;
                if verdict.fit {
                    state = self.decide(&mut rescore, cause.asks(), &affected.detail, (active, market), &ran)?;
                } else {
                    rescore.decision = Some(format!("the gate was not asked: {}", verdict.reason));
                }
            }
        }
        self.store.record_rescore(lease, &rescore).await?;
        let rescored = rescore.results.iter().filter(|r| r.new.is_some()).count() as u64;
        tracing::warn!(strategy = affected.name, rescored, decision = rescore.decision, "scored again: {}", cause.text);
        Ok(Outcomes {
            id: affected.id,
            name: affected.name.clone(),
            rescored,
            failed,
            decision: rescore.decision,
            state,
        })
    }

    /// Candles of an open paper run, up to where it is.
    fn spec(active: &ActivePaperRun) -> anyhow::Result<(&RunConfig, RunSpec)> {
        let (config, run) = (active.run.config.read()?, &active.run);
        Ok((config, RunSpec::of_run(config, (run.warmup_from_ms, run.from_ms, run.to_ms))))
    }

    /// An open paper run that is not affected itself, for evidence beside the results that are.
    async fn paper_again(&self, genome: &AnyStrategy, active: &ActivePaperRun) -> Option<Ran> {
        let (config, spec) = Self::spec(active).ok()?;
        let range = (active.run.from_ms, active.run.to_ms);
        replay_on(self.cached, genome, (config, &spec), range).await.ok().map(|again| again.ran)
    }

    /// Whether the candles of an open paper run may be evidence as they are now, kept with their version; and the symbols of
    /// the market that it ranks, if it ranks one.
    async fn judge(
        &self,
        lease: &LeaseToken,
        active: &ActivePaperRun,
    ) -> anyhow::Result<(DataVerdict, Option<Vec<Symbol>>)> {
        let (from_ms, to_ms) = (active.run.from_ms, active.run.to_ms);
        let loaded = Self::spec(active)?.1.load(self.cached).await?;
        let part = loaded.part(from_ms, to_ms)?.context("a symbol has no candle of its run")?;
        let verdict = loaded.fit_for_evidence(&part, &self.quality);
        let version = loaded.data_version(self.cached, (from_ms, to_ms)).await?;
        self.store.record_data_verdict(lease, &version, &verdict).await?;
        Ok((verdict, part.market()))
    }

    /// Asks the gate with the new figures; the state after.
    fn decide(
        &self,
        rescore: &mut Rescore,
        asks: &str,
        detail: &StrategyDetail,
        (active, market): (&ActivePaperRun, Option<Vec<Symbol>>),
        ran: &Ran,
    ) -> anyhow::Result<State> {
        let state = active.run.phase;
        let figures = |source: StatSource| {
            let new = rescore.results.iter().rev().find(|r| r.source == source).and_then(|r| r.new.clone());
            new.or_else(|| detail.stats.iter().rev().find(|s| s.source == source).map(|s| s.performance.clone()))
        };
        let at_ms = active.run.to_ms;
        let run = Some(ran.evidence(active.run.from_ms, at_ms, self.recent_trades));
        let tested = Tested { backtest: figures(StatSource::Backtest), holdout: figures(StatSource::Holdout) };
        let demotions = active.demotions;
        // What a gate asks for beyond these stays unknown here, and it holds for want of it.
        let evidence = if state == State::Live {
            GateEvidence::Live(LiveEvidence { tested, run, demotions, staying: None })
        } else {
            GateEvidence::Shadow(ShadowEvidence { tested, run, demotions, protocol: None, placebo: None })
        };
        let decision = self.gate.decide(&evidence);
        rescore.decision = Some(decision.summary.clone());
        let Verdict::Move(transition) = decision.verdict else { return Ok(state) };
        let evidence = serde_json::to_value(&evidence)?;
        let (id, policy) = (rescore.strategy_id, self.gate.name());
        let made = TransitionRecord::from_decision(id, policy, decision, evidence, asks, at_ms);
        let mut record = made.context("a decision to move makes a record")?;
        record.summary = format!("{} (scored again: {})", record.summary, rescore.cause);
        if transition.to().trades_on_paper() {
            record.run = Some(next_run(active, at_ms, self.warmup_ms, market)?);
        }
        announce(self.channels, &mut record, &detail.strategy.name, &detail.strategy.canonical);
        rescore.transition = Some(record);
        Ok(transition.to())
    }
}

//! Obeys what operators left in the store: moves strategies, runs failed backtests again. Decides nothing.

use super::candle_source::CandleSource;
use super::dead_letters;
use super::messages::announce;
use super::parts::{Compute, Process, SearchSetup, Turn};
use super::ranked::ranked_of;
use super::recipe::{gone_on_with, run_config};
use super::whole_market::{Which, load_market};
use anyhow::Context as _;
use candles::Symbol;
use engine::{RankedMarket, RunConfig};
use genome::StrategyForm;
use lifecycle::{DisableReason, State, Transition};
use serde_json::json;
use std::sync::Arc;
use store::{Command, CommandKind, EXPIRED, LeaseToken, NewPaperRun, StoreError, Strategy, TransitionRecord};

/// Obeys operators.
pub(crate) struct OperatorCommands {
    candles: CandleSource,
    compute: Compute,
    search: Arc<SearchSetup>,
    process: Process,
    turn: Turn,
}

impl OperatorCommands {
    pub(crate) fn new(candles: CandleSource, compute: Compute, search: Arc<SearchSetup>, process: Process) -> Self {
        let turn = Turn::new(&process.store, "commands");
        Self { candles, compute, search, process, turn }
    }

    /// Carries out every command that waits; what became of each is stored with it.
    ///
    /// # Errors
    /// When the store does not answer: what it did not answer for waits still. A command that cannot be carried out is
    /// answered, not an error.
    pub(crate) async fn activate(&mut self) -> anyhow::Result<()> {
        let waiting = self.process.store.pending_commands().await?;
        if waiting.is_empty() || !self.turn.hold().await? {
            return Ok(());
        }
        let (lease, mut trouble) = (self.turn.token()?, None);
        for command in &waiting {
            // One command's trouble is not the others'.
            if let Err(error) = self.answer(command, &lease).await {
                trouble.get_or_insert(error);
            }
        }
        trouble.map_or(Ok(()), Err)
    }

    /// Obeys a command, or notes why it cannot be obeyed.
    async fn answer(&self, command: &Command, lease: &LeaseToken) -> anyhow::Result<()> {
        let store = &self.process.store;
        let (done, outcome) = match self.obey(command, lease).await {
            Ok(Some(outcome)) => (true, outcome),
            Ok(None) => return Ok(()),
            Err(error) if is_for_later(&error) => {
                return Err(error.context(format!("command {} waits still", command.id)));
            }
            Err(error) => (false, format!("{error:#}")),
        };
        tracing::info!(command = command.id, actor = command.actor, done, outcome, "operator's command");
        Ok(store.finish_command(command.id, done, &outcome, lease).await?)
    }

    /// What became of it, where that is not stored yet.
    async fn obey(&self, command: &Command, lease: &LeaseToken) -> anyhow::Result<Option<String>> {
        anyhow::ensure!(!command.is_expired, EXPIRED);
        match command.kind {
            CommandKind::Retry => {
                let id = command.target.parse().context("the number of a dead letter is no number")?;
                let again = dead_letters::retry(&self.process.store, self.candles.cached(), id, &command.actor).await?;
                again.map(|_| Some(format!("dead letter {id} is resolved")))
            }
            CommandKind::Disable | CommandKind::Revive | CommandKind::Approve => {
                self.move_strategy(command, lease).await.map(|()| None)
            }
        }
    }

    async fn move_strategy(&self, command: &Command, lease: &LeaseToken) -> anyhow::Result<()> {
        let (store, settings) = (&self.process.store, &self.search.settings);
        let strategy = store.find_strategy(&command.target).await?;
        let from = strategy.state;
        // Whoever disables a strategy means it in whatever state it is; all else is meant for the state that was seen.
        if let Some(seen) = command.expected_state.filter(|seen| *seen != from && command.kind != CommandKind::Disable)
        {
            anyhow::bail!(
                "the strategy is {from} now, and was {seen} when this was asked for: look again, and ask again"
            );
        }
        let to = match (command.kind, command.kind.leads_to(from)) {
            (_, Some(to)) => to,
            (CommandKind::Approve, None) => anyhow::bail!("a strategy that is {from} cannot be approved"),
            (CommandKind::Disable, None) => State::Disabled,
            (CommandKind::Revive | CommandKind::Retry, None) => State::Candidate,
        };
        let transition = Transition::between(from, to, DisableReason::Operator)?;
        let interval = if strategy.form == StrategyForm::Ranking { strategy.timeframe } else { settings.interval };
        let at_ms = self.candles.market_now_ms(strategy.market, &strategy.symbols, interval).await?;
        let at_ms = candles::interval::open_time_ms(interval, at_ms);
        let run = match to.trades_on_paper() {
            true => Some(self.new_run(&strategy, from, at_ms).await?),
            false => None,
        };
        let mut record = TransitionRecord {
            id: command.transition_id.context("it was left by an older sg-ai: ask again")?,
            strategy_id: strategy.id,
            transition,
            summary: command.why.clone(),
            decision: None,
            evidence: json!({ "command_id": command.id }),
            policy: None,
            actor: command.actor.clone(),
            at_market_ms: at_ms,
            run,
            seen_until_ms: command.seen_until_ms,
            events: Vec::new(),
        };
        announce(&self.process.channels, &mut record, &strategy.name, &strategy.canonical);
        let outcome = format!("{} is {to} now", strategy.name);
        let command = store.carry_out(command.id, &record, &outcome, lease).await?;
        let (done, outcome) = (command.done, command.outcome.unwrap_or_default());
        tracing::info!(command = command.id, actor = command.actor, done, outcome, "operator's command");
        Ok(())
    }

    /// The paper run of a strategy that an operator lets in. It goes on with the settings that the run before began with; the
    /// first one begins with those of now.
    async fn new_run(&self, strategy: &Strategy, from: State, at_ms: i64) -> anyhow::Result<NewPaperRun> {
        let settings = &self.search.settings;
        let detail = self.process.store.strategy(&strategy.id.to_string()).await?;
        let before = detail.paper_runs.last().filter(|_| from == State::Shadow);
        let begun = before.map(|run| Ok::<_, anyhow::Error>((run, run.config.read()?))).transpose()?;
        // What it was proven with; where nothing was proven yet, what there is now.
        let models = match begun {
            Some((_, config)) => config.models.clone(),
            None => self.candles.models.asked(strategy.genome.read()?, strategy.market)?.used(),
        };
        if strategy.form == StrategyForm::Rules {
            let followed = settings.followed_symbols(&strategy.symbols).to_vec();
            let anew = || run_config(strategy.market, followed, settings.interval, self.compute.terms);
            let config = begun.map_or_else(anew, |(_, config)| gone_on_with(config));
            let config = RunConfig { models, ..config };
            return Ok(NewPaperRun { warmup_from_ms: at_ms - settings.warmup_ms(), config });
        }
        let quote = match begun {
            Some((_, config)) => ranked_of(config)?.quote.clone(),
            None => {
                let same = settings.ranked().into_iter().find(|(_, interval)| *interval == strategy.timeframe);
                let (quote, _) = same.with_context(|| {
                    format!(
                        "no island ranks a market on {} candles, so nobody follows what does: add one to daemon.islands, such \
                         as book:*USDT:{}",
                        strategy.timeframe, strategy.timeframe
                    )
                })?;
                quote.to_owned()
            }
        };
        let CandleSource { cache, market, .. } = &self.candles;
        // Every symbol that has a candle by then.
        let which =
            Which::Named { symbols: Vec::new(), listed_since: Some((i64::MIN, quote.clone())), from_ms: i64::MIN };
        let listed = load_market(cache, *market, strategy.timeframe, at_ms, &which, false).await?;
        let symbols: Vec<Symbol> = listed.into_iter().map(|s| s.symbol).collect();
        let (warmup_ms, config) = match begun {
            Some((run, config)) => (run.from_ms - run.warmup_from_ms, RunConfig { symbols, ..gone_on_with(config) }),
            None => {
                let ranked = Some(RankedMarket { quote, execution: self.compute.execution });
                let config = run_config(strategy.market, symbols, strategy.timeframe, self.compute.terms);
                (self.search.ranked_warmup_ms(), RunConfig { ranked, models, ..config })
            }
        };
        Ok(NewPaperRun { warmup_from_ms: at_ms - warmup_ms, config })
    }
}

/// Whether a command that failed so may well be obeyed at the next look.
fn is_for_later(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<StoreError>());
    causes.any(|error| error.is_transient() || matches!(error, StoreError::LeaseLost { .. }))
}

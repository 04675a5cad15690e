//! Obeys what operators left in the store: moves strategies, runs failed backtests again. Decides nothing.

use super::candle_source::CandleSource;
use super::dead_letters;
use super::messages::announce;
use super::parts::{Compute, Process, Turn};
use super::recipe::{gone_on_with, run_config};
use crate::config::DaemonConfig;
use anyhow::Context as _;
use lifecycle::{DisableReason, State, Transition};
use serde_json::json;
use store::{Command, CommandKind, NewPaperRun, TransitionRecord};
use uuid::Uuid;

/// Obeys operators.
pub(crate) struct OperatorCommands {
    candles: CandleSource,
    compute: Compute,
    settings: DaemonConfig,
    process: Process,
    turn: Turn,
}

impl OperatorCommands {
    pub(crate) fn new(candles: CandleSource, compute: Compute, settings: DaemonConfig, process: Process) -> Self {
        let turn = Turn::new(&process.store, "commands");
        Self { candles, compute, settings, process, turn }
    }

    /// Carries out every command that waits; what became of each is stored with it.
    ///
    /// # Errors
    /// When the store does not answer. A command that cannot be carried out is answered, not an error.
    pub(crate) async fn activate(&mut self) -> anyhow::Result<()> {
        let waiting = self.process.store.pending_commands().await?;
        if waiting.is_empty() || !self.turn.hold().await? {
            return Ok(());
        }
        for command in &waiting {
            let (done, outcome) = match self.obey(command).await {
                Ok(outcome) => (true, outcome),
                Err(error) => (false, format!("{error:#}")),
            };
            tracing::info!(command = command.id, actor = command.actor, done, outcome, "operator's command");
            self.process.store.finish_command(command.id, done, &outcome).await?;
        }
        Ok(())
    }

    async fn obey(&self, command: &Command) -> anyhow::Result<String> {
        match command.kind {
            CommandKind::Retry => {
                let id = command.target.parse().context("the number of a dead letter is no number")?;
                let again = dead_letters::retry(&self.process.store, &self.candles.cache, id, &command.actor).await?;
                again.map(|_| format!("dead letter {id} is resolved"))
            }
            CommandKind::Disable | CommandKind::Revive | CommandKind::Approve => self.move_strategy(command).await,
        }
    }

    async fn move_strategy(&self, command: &Command) -> anyhow::Result<String> {
        let (store, settings) = (&self.process.store, &self.settings);
        let strategy = store.find_strategy(&command.target).await?;
        let to = match (command.kind, strategy.state) {
            (CommandKind::Disable, _) => State::Disabled,
            (CommandKind::Approve, State::Candidate) => State::Shadow,
            (CommandKind::Approve, State::Shadow) => State::Live,
            (CommandKind::Approve, state) => anyhow::bail!("a strategy that is {state} cannot be approved"),
            _ => State::Candidate,
        };
        let transition = Transition::between(strategy.state, to, DisableReason::Operator)?;
        let followed = settings.followed_symbols(&strategy.symbols).to_vec();
        let interval = settings.interval;
        let at_ms = self.candles.market_now_ms(strategy.market, &strategy.symbols, interval).await?;
        let at_ms = candles::interval::open_time_ms(interval, at_ms);
        // A run goes on with the settings that it began with; the first one begins with those of now.
        let detail = store.strategy(&strategy.id.to_string()).await?;
        let config = match detail.paper_runs.last().filter(|_| strategy.state == State::Shadow) {
            Some(run) => run.config.read().map(gone_on_with),
            None => Ok(run_config(strategy.market, followed, interval, self.compute.terms)),
        };
        let runs = to.trades_on_paper();
        let mut record = TransitionRecord {
            id: Uuid::now_v7(),
            strategy_id: strategy.id,
            transition,
            summary: command.why.clone(),
            decision: None,
            evidence: json!({ "command_id": command.id }),
            policy: None,
            actor: command.actor.clone(),
            at_market_ms: at_ms,
            run: match runs {
                true => Some(NewPaperRun { warmup_from_ms: at_ms - settings.warmup_ms(), config: config? }),
                false => None,
            },
            events: Vec::new(),
        };
        announce(&self.process.channels, &mut record, &strategy.name, &strategy.canonical);
        store.apply_transition(&record, None).await?;
        Ok(format!("{} is {to} now", strategy.name))
    }
}

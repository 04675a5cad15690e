//! Obeys what operators left in the store: moves strategies, runs failed backtests again. Decides nothing.

use super::candles::market_now_ms;
use super::core::Core;
use super::dead_letters;
use super::messages::announce;
use super::supervisor::Activation;
use anyhow::Context as _;
use async_trait::async_trait;
use engine::RunConfig;
use lifecycle::{DisableReason, State, Transition};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use store::{Command, CommandKind, Lease, NewPaperRun, TransitionRecord};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Between two looks: an operator who acts waits for it.
const LOOK: Duration = Duration::from_secs(1);

/// The loop that obeys.
pub(super) struct Commands {
    core: Arc<Core>,
    lease: Option<Lease>,
}

impl Commands {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core, lease: None }
    }

    async fn obey(&self, command: &Command) -> anyhow::Result<String> {
        match command.kind {
            CommandKind::Retry => {
                let id = command.target.parse().context("the number of a dead letter is no number")?;
                let again = dead_letters::retry(&self.core.store, &self.core.cache, id, &command.actor).await?;
                again.map(|_| format!("dead letter {id} is resolved"))
            }
            CommandKind::Disable | CommandKind::Revive | CommandKind::Approve => self.move_strategy(command).await,
        }
    }

    async fn move_strategy(&self, command: &Command) -> anyhow::Result<String> {
        let core = &self.core;
        let strategy = core.store.find_strategy(&command.target).await?;
        let to = match (command.kind, strategy.state) {
            (CommandKind::Disable, _) => State::Disabled,
            (CommandKind::Approve, State::Candidate) => State::Shadow,
            (CommandKind::Approve, State::Shadow) => State::Live,
            (CommandKind::Approve, state) => anyhow::bail!("a strategy that is {state} cannot be approved"),
            _ => State::Candidate,
        };
        let transition = Transition::between(strategy.state, to, DisableReason::Operator)?;
        let followed = core.settings.followed_symbols(&strategy.symbols).to_vec();
        let interval = core.settings.interval;
        let at_ms = market_now_ms(core, strategy.market, &strategy.symbols, interval).await?;
        let at_ms = candles::interval::open_time_ms(interval, at_ms);
        // A run goes on with the settings that it began with; the first one begins with those of now.
        let detail = core.store.strategy(&strategy.id.to_string()).await?;
        let config = match detail.paper_runs.last().filter(|_| strategy.state == State::Shadow) {
            Some(run) => run.config.read().cloned(),
            None => Ok(RunConfig {
                market: strategy.market,
                symbols: followed,
                interval,
                costs: core.costs,
                initial_capital: core.initial_capital,
                code_version: env!("CARGO_PKG_VERSION").to_owned(),
            }),
        };
        let runs = matches!(to, State::Shadow | State::Live);
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
                true => Some(NewPaperRun { warmup_from_ms: at_ms - core.warmup_ms(), config: config? }),
                false => None,
            },
            events: Vec::new(),
        };
        announce(&core.channels, &mut record, &strategy.name, &strategy.canonical);
        core.store.apply_transition(&record, None).await?;
        Ok(format!("{} is {to} now", strategy.name))
    }
}

#[async_trait]
impl Activation for Commands {
    fn name(&self) -> &'static str {
        "commands"
    }
    fn period(&self) -> Duration {
        LOOK
    }
    async fn run(&mut self, _: &CancellationToken) -> anyhow::Result<()> {
        let waiting = self.core.store.pending_commands().await?;
        if waiting.is_empty() || !self.core.hold(&mut self.lease, "commands").await? {
            return Ok(());
        }
        for command in &waiting {
            let (done, outcome) = match self.obey(command).await {
                Ok(outcome) => (true, outcome),
                Err(error) => (false, format!("{error:#}")),
            };
            tracing::info!(command = command.id, actor = command.actor, done, outcome, "operator's command");
            self.core.store.finish_command(command.id, done, &outcome).await?;
        }
        Ok(())
    }
}

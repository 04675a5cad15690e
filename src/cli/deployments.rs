//! `sg-ai deployments`: how much of the capital live strategies have, on paper; pausing and resuming one.

use super::{CliError, Context, format, input::time_ms, output};
use crate::usecases::database::Database;
use anyhow::Context as _;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use lifecycle::DeploymentStatus;
use serde::Serialize;
use store::{Deployment, DeploymentChange, Store, total_pct};

/// Look at deployments of live strategies, pause and resume them
#[derive(Args, Debug)]
pub(crate) struct DeploymentsArgs {
    #[command(subcommand)]
    command: DeploymentsCommand,
}

#[derive(Debug, Subcommand)]
enum DeploymentsCommand {
    /// List deployments that go on, oldest first
    List {
        /// Print JSON, an array
        #[arg(long)]
        json: bool,
    },
    /// Pause the deployment of a live strategy: it keeps its phase and is followed on, with nothing at work
    Pause {
        /// Id, name, or the first characters of id or genome hash of the strategy
        strategy: String,
        /// Market time at which it goes on by itself: a date (UTC midnight) or a time such as 2025-04-01T12:00:00Z;
        /// without it when it is resumed
        #[arg(long, value_name = "TIME", value_parser = time_ms)]
        until: Option<i64>,
        /// Why, for the record
        #[arg(long, value_name = "TEXT")]
        why: String,
        /// Print JSON, an object
        #[arg(long)]
        json: bool,
    },
    /// End a pause: the deployment manager gives it its share at its next look
    Resume {
        /// Id, name, or the first characters of id or genome hash of the strategy
        strategy: String,
        /// Why, for the record
        #[arg(long, value_name = "TEXT")]
        why: String,
        /// Print JSON, an object
        #[arg(long)]
        json: bool,
    },
}

/// A deployment with the name of its strategy.
#[derive(Serialize)]
struct Named {
    strategy: String,
    #[serde(flatten)]
    deployment: Deployment,
}

/// Runs `sg-ai deployments`.
///
/// # Errors
/// When the database does not answer, or there is no such strategy or none with a deployment that goes on.
pub(crate) async fn run(args: DeploymentsArgs, ctx: &Context) -> Result<(), CliError> {
    let opened = Database::open(ctx.config()).await?;
    let done = dispatch(args.command, &opened.store, ctx.config().deployment.max_total_pct).await;
    opened.close().await;
    Ok(done?)
}

async fn dispatch(command: DeploymentsCommand, store: &Store, max_total_pct: f64) -> anyhow::Result<()> {
    match command {
        DeploymentsCommand::List { json } => {
            let mut found = Vec::new();
            for deployment in store.open_deployments().await? {
                let strategy = store.find_strategy(&deployment.strategy_id.to_string()).await?.name;
                found.push(Named { strategy, deployment });
            }
            if json {
                output::json(&found)?;
            } else if found.is_empty() {
                output::line("nothing is live")?;
            } else {
                output::line(format::deployments(found.iter().map(|n| (n.strategy.as_str(), &n.deployment))))?;
            }
        }
        DeploymentsCommand::Pause { strategy, until, why, json } => {
            let until =
                until.map(|ms| DateTime::<Utc>::from_timestamp_millis(ms).context("a time outside the calendar"));
            change(store, max_total_pct, &strategy, Some(until.transpose()?), why, json).await?;
        }
        DeploymentsCommand::Resume { strategy, why, json } => {
            change(store, max_total_pct, &strategy, None, why, json).await?;
        }
    }
    Ok(())
}

async fn change(
    store: &Store,
    max_total_pct: f64,
    selector: &str,
    mut paused: Option<Option<DateTime<Utc>>>,
    why: String,
    json: bool,
) -> anyhow::Result<()> {
    let strategy = store.find_strategy(selector).await?;
    let open = store.open_deployments().await?;
    let (found, others): (Vec<_>, Vec<_>) = open.into_iter().partition(|d| d.strategy_id == strategy.id);
    let found = found.into_iter().next();
    let found = found.with_context(|| format!("{} is {} and has no deployment", strategy.name, strategy.state))?;
    let mut allocation_pct = found.allocation_pct;
    let resumes = paused.is_none();
    if resumes {
        // In hundredths, down. Where nothing is left it waits: the deployment manager shares anew at its next look.
        let others = total_pct(&others) + store.books_at_work_pct().await?;
        let left = ((max_total_pct - others) * 100.0 + 1e-6).floor() / 100.0;
        if left >= 0.01 {
            allocation_pct = allocation_pct.min(left);
        } else {
            paused = Some(DateTime::<Utc>::from_timestamp_millis(found.phase_market_ms));
        }
    }
    let change = DeploymentChange {
        phase: found.phase,
        allocation_pct,
        paused,
        risk_limits: found.risk_limits,
        reason: why,
        actor: format::operator(),
        // The phase stays: it began when it began.
        at_market_ms: found.phase_market_ms,
        max_total_pct,
    };
    let changed = store.change_deployment(None, found.id, &change).await?;
    let status = if paused.is_some() { DeploymentStatus::Paused } else { DeploymentStatus::Active };
    if json {
        let told = serde_json::json!({
            "deployment_id": found.id, "strategy_id": strategy.id, "status": status, "changed": changed,
        });
        output::json(&told)?;
    } else {
        let already = if changed { "" } else { " already" };
        let waits = if resumes && paused.is_some() {
            ", until the deployment manager gives it a share: the others have all of the capital for now"
        } else {
            ""
        };
        output::line(format!("the deployment of {} is {}{already}{waits}", strategy.name, status.name()))?;
    }
    Ok(())
}

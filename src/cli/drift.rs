//! `sg-ai drift`: alerts of live strategies that do not do what was expected of them.

use super::{CliError, Context, format, output};
use crate::usecases::database::Database;
use clap::{Args, Subcommand};
use serde_json::json;
use std::collections::{BTreeMap, btree_map::Entry};
use store::{Page, Store};

/// Look at drift alerts and acknowledge them
#[derive(Args, Debug)]
pub(crate) struct DriftArgs {
    #[command(subcommand)]
    command: DriftCommand,
}

#[derive(Debug, Subcommand)]
enum DriftCommand {
    /// List open alerts, newest first
    List {
        /// Those that are closed, too
        #[arg(long)]
        all: bool,
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Leave out so many first
        #[arg(long, default_value_t = 0)]
        offset: u64,
        /// Print JSON, an array
        #[arg(long)]
        json: bool,
    },
    /// Note that you have seen an open alert, and what you did about it; it closes by itself when the drift is over
    Acknowledge {
        /// Number of the alert
        id: i64,
        /// What was done, for the record
        #[arg(long, value_name = "TEXT")]
        action: Option<String>,
        /// Print JSON, an object
        #[arg(long)]
        json: bool,
    },
}

/// Runs `sg-ai drift`.
///
/// # Errors
/// When the database does not answer, there is no such alert, or it is closed.
pub(crate) async fn run(args: DriftArgs, ctx: &Context) -> Result<(), CliError> {
    let opened = Database::open(ctx.config()).await?;
    let done = dispatch(args.command, &opened.store).await;
    opened.close().await;
    Ok(done?)
}

async fn dispatch(command: DriftCommand, store: &Store) -> anyhow::Result<()> {
    match command {
        DriftCommand::List { all, limit, offset, json } => {
            let alerts = store.drift_alerts(!all, Page { limit, offset }).await?;
            if json {
                output::json(&alerts)?;
            } else if alerts.is_empty() {
                output::line(if all { "nothing ever drifted" } else { "nothing drifts" })?;
            } else {
                let mut names = BTreeMap::new();
                for alert in &alerts {
                    if let Entry::Vacant(name) = names.entry(alert.strategy_id) {
                        name.insert(store.find_strategy(&alert.strategy_id.to_string()).await?.name);
                    }
                }
                output::line(format::drift_alerts(&alerts, &names))?;
            }
        }
        DriftCommand::Acknowledge { id, action, json } => {
            let by = format::operator();
            store.acknowledge_alert(id, &by, action.as_deref(), None).await?;
            if json {
                output::json(&json!({ "id": id, "acknowledged_by": by, "action_taken": action }))?;
            } else {
                output::line(format!("drift alert {id} is acknowledged"))?;
            }
        }
    }
    Ok(())
}

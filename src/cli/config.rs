//! `sg-ai config`: what is set, and by whom. Never shows a secret.

use super::{CliError, Context, output};
use crate::config::env_name;
use anyhow::Context as _;
use clap::{Args, Subcommand};

/// Look at the configuration.
#[derive(Args, Debug)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print every setting, its value and where it came from; secrets are hidden
    Show {
        /// Print one JSON object instead of lines
        #[arg(long)]
        json: bool,
    },
}

/// Runs `sg-ai config`.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) async fn run(args: ConfigArgs, ctx: &Context) -> Result<(), CliError> {
    let ConfigCommand::Show { json } = args.command;
    let settings = &ctx.loaded.settings;
    if json {
        let rows = settings.keys().map(|key| {
            let origin = settings.origin(key).map(ToString::to_string);
            let value = serde_json::json!({
                "value": settings.shown_json(key), "source": origin, "environment": env_name(key)
            });
            (key.to_owned(), value)
        });
        let mut rows: serde_json::Map<_, _> = rows.collect();
        rows.insert("resolved_data_dir".into(), ctx.loaded.data_dir().display().to_string().into());
        output::json(&rows).context("standard output")?;
    } else {
        let width = settings.keys().map(str::len).max().unwrap_or_default();
        let mut text = format!("# data directory: {}\n", ctx.loaded.data_dir().display());
        for key in settings.keys() {
            let shown = settings.shown(key).unwrap_or_default();
            let origin = settings.origin(key).map(ToString::to_string).unwrap_or_default();
            text.push_str(&format!("{key:width$} = {shown}  # {origin}\n"));
        }
        output::text(text).context("standard output")?;
    }
    Ok(())
}

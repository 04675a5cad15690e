//! `sg-ai completions` and `sg-ai man`: what a shell completes, and the manual, from the command line as it is.

use super::{CliError, command, output};
use anyhow::Context as _;
use clap::Args;
use clap_complete::Shell;
use std::path::PathBuf;

/// Print what a shell needs to complete commands and options
#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Print the manual page, or write one for each command
#[derive(Args, Debug)]
pub(crate) struct ManArgs {
    /// Write sg-ai.1, sg-ai-backtest.1 and so on into this directory instead
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Runs `sg-ai completions`.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "sg-ai", &mut script);
    Ok(output::text(String::from_utf8_lossy(&script)).context("standard output")?)
}

/// Runs `sg-ai man`.
///
/// # Errors
/// When a page cannot be written.
pub(crate) fn man(args: &ManArgs) -> Result<(), CliError> {
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command()).render(&mut page).context("the manual")?;
        return Ok(output::text(String::from_utf8_lossy(&page)).context("standard output")?);
    };
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    clap_mangen::generate_to(command(), dir).with_context(|| format!("cannot write into {}", dir.display()))?;
    Ok(output::line(dir.display().to_string()).context("standard output")?)
}

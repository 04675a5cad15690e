//! Files that a long command goes on from: written whole or not at all, the last few kept.
//!
//! FILE is the newest, FILE.1 the one before it, and so on. A damaged one is passed over for the one before it, and said;
//! one of something else is an error. What is in them is the command's affair.

use super::CliError;
use anyhow::Context as _;
use clap::Args;
use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Where and how often.
#[derive(Args, Clone, Debug)]
pub(crate) struct CheckpointArgs {
    /// Go on from this file, where it is there, and write to it how far the work has come
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// With --checkpoint: write it after so many strategies or points
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, requires = "checkpoint", value_parser = clap::value_parser!(u32).range(1..))]
    checkpoint_every: u32,
    /// With --checkpoint: how many are kept; FILE.1 is the one before FILE
    #[arg(long, value_name = "COUNT", default_value_t = 2, requires = "checkpoint", value_parser = clap::value_parser!(u32).range(1..=100))]
    keep_last: u32,
}

/// Why a file is not gone on with.
pub(crate) enum Unfit {
    /// Cut short: the one before it may do.
    Damaged(String),
    /// Of something else: whoever gave it has to decide.
    Other(String),
}

impl CheckpointArgs {
    /// Of a command that writes one after each of its few steps.
    #[must_use]
    pub(crate) const fn after_each(checkpoint: Option<PathBuf>) -> Self {
        Self { checkpoint, checkpoint_every: 1, keep_last: 2 }
    }

    /// How often; `None` without a file.
    #[must_use]
    pub(crate) fn every(&self) -> Option<usize> {
        self.checkpoint.as_ref().map(|_| self.checkpoint_every as usize)
    }

    /// What the newest file that can be read holds; `None` where there is no file, or none was asked for.
    ///
    /// # Errors
    /// When one is of something else, cannot be read, or all are damaged.
    pub(crate) fn read<T>(&self, parse: impl Fn(&[u8]) -> Result<T, Unfit>) -> Result<Option<T>, CliError> {
        let Some(path) = &self.checkpoint else { return Ok(None) };
        let mut damaged = Vec::new();
        for path in (0..self.keep_last).map(|n| numbered(path, n)) {
            let shown = path.display();
            let bytes = match fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    let error = anyhow::Error::new(error).context(format!("cannot read the checkpoint {shown}"));
                    return Err(error.into());
                }
            };
            match parse(&bytes) {
                Ok(found) => {
                    for why in &damaged {
                        tracing::warn!("{why}; going on from {shown}");
                    }
                    return Ok(Some(found));
                }
                Err(Unfit::Other(why)) => return Err(CliError::Usage(format!("the checkpoint {shown}: {why}"))),
                Err(Unfit::Damaged(why)) => damaged.push(format!("the checkpoint {shown}: {why}")),
            }
        }
        match damaged.first() {
            None => Ok(None),
            Some(why) => Err(CliError::Usage(format!("{why}; remove it to begin anew"))),
        }
    }

    /// Writes how far the work has come, and moves the former files on. Nothing without a file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, bytes: &[u8]) -> anyhow::Result<()> {
        let Some(path) = &self.checkpoint else { return Ok(()) };
        self.replace(path, bytes).with_context(|| format!("cannot write the checkpoint {}", path.display()))
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".new-{}", std::process::id()));
        let fresh = PathBuf::from(name);
        let mut file = File::create(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        for n in (1..self.keep_last).rev() {
            match fs::rename(numbered(path, n - 1), numbered(path, n)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&fresh, path)
    }
}

/// The file itself, or the one that was it `n` times before.
fn numbered(path: &Path, n: u32) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    if n > 0 {
        name.push(format!(".{n}"));
    }
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(folder: &Path, keep_last: u32) -> CheckpointArgs {
        CheckpointArgs { checkpoint: Some(folder.join("run.checkpoint")), checkpoint_every: 1, keep_last }
    }

    fn parse(bytes: &[u8]) -> Result<u8, Unfit> {
        match bytes {
            [n] => Ok(*n),
            [_, _] => Err(Unfit::Other("it is of another strategy".to_owned())),
            _ => Err(Unfit::Damaged("it is cut short".to_owned())),
        }
    }

    #[test]
    fn the_last_few_are_kept_and_a_damaged_one_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let args = args(folder.path(), 3);
        assert_eq!(args.read(parse).unwrap(), None, "nothing to go on from");
        for n in 1..=5 {
            args.write(&[n]).unwrap();
        }
        let mut names: Vec<String> =
            fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["run.checkpoint", "run.checkpoint.1", "run.checkpoint.2"]);
        assert_eq!(args.read(parse).unwrap(), Some(5));
        fs::write(folder.path().join("run.checkpoint"), b"").unwrap();
        assert_eq!(args.read(parse).unwrap(), Some(4));
        // Killed between the two renames.
        fs::remove_file(folder.path().join("run.checkpoint")).unwrap();
        assert_eq!(args.read(parse).unwrap(), Some(4));
        fs::write(folder.path().join("run.checkpoint"), b"ab").unwrap();
        let error = args.read(parse).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("of another strategy"), "{error}");
    }

    #[test]
    fn nothing_but_damage_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let args = args(folder.path(), 1);
        fs::write(folder.path().join("run.checkpoint"), b"abc").unwrap();
        let error = args.read(parse).unwrap_err().to_string();
        assert!(error.contains("run.checkpoint: it is cut short; remove it to begin anew"), "{error}");
    }
}

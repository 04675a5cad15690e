//! The one way to standard output: results only, never logs. A reader that went away is not an error.

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::{
    io::{self, Write},
    time::Duration,
};

/// A table that fits the terminal; where there is none, its lines are as long as they are.
#[must_use]
pub(crate) fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table
}

/// Says on standard error, where that is a terminal, that something takes a while.
#[must_use]
pub(crate) fn waiting(what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
    let bar = ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// Writes one line to standard output.
///
/// # Errors
/// When writing fails for another reason than a closed pipe.
pub(crate) fn line(text: impl AsRef<str>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    tolerate(writeln!(out, "{}", text.as_ref()).and_then(|()| out.flush()))
}

/// Writes text as it is to standard output.
///
/// # Errors
/// When writing fails for another reason than a closed pipe.
pub(crate) fn text(text: impl AsRef<str>) -> io::Result<()> {
    bytes(text.as_ref().as_bytes())
}

/// Writes bytes, which are text, as they are to standard output.
///
/// # Errors
/// When writing fails for another reason than a closed pipe.
pub(crate) fn bytes(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    tolerate(out.write_all(bytes).and_then(|()| out.flush()))
}

/// Writes a value as one JSON document, indented, with a line end.
///
/// # Errors
/// When it cannot be serialised, or writing fails for another reason than a closed pipe.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> io::Result<()> {
    line(serde_json::to_string_pretty(value)?)
}

/// Writes a value as one line of JSON, for streams of results.
///
/// # Errors
/// When it cannot be serialised, or writing fails for another reason than a closed pipe.
pub(crate) fn json_line<T: Serialize + ?Sized>(value: &T) -> io::Result<()> {
    line(serde_json::to_string(value)?)
}

fn tolerate(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_tolerated_and_a_full_disk_is_not() {
        assert!(tolerate(Err(io::ErrorKind::BrokenPipe.into())).is_ok());
        assert!(tolerate(Err(io::ErrorKind::StorageFull.into())).is_err());
    }
}

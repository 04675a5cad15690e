//! The list of commands in groups, what people need most first. Knows names alone.

use clap::Command;

/// Groups of commands in the order in which people meet them. A command that is in none is a defect that a test finds.
const GROUPS: [(&str, &[&str]); 6] = [
    ("Run", &["demo", "run", "continuous", "shadow", "worker", "health"]),
    ("Look", &["strategies", "book", "report", "protocol", "deployments", "drift", "learner", "work"]),
    ("Research", &["backtest", "search", "optimize", "prove", "rehearse", "calibrate", "models"]),
    ("Candles", &["data", "simulate-exchange", "media"]),
    ("Trust", &["reproduce", "audit", "keys", "dead-letters", "archive", "export"]),
    ("Set up", &["config", "migrate", "postgres", "completions", "man"]),
];

/// Columns of a command's name.
const NAME_COLUMNS: usize = 18;

/// The command line with its commands in groups.
pub(super) fn grouped(command: Command) -> Command {
    let mut text = String::new();
    for (group, names) in GROUPS {
        text.push_str(&format!("{group}:\n"));
        for name in names {
            let about = command.find_subcommand(name).and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            text.push_str(&format!("  {name:NAME_COLUMNS$} {about}\n"));
        }
        text.push('\n');
    }
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{text}Options:\n{{options}}\n\nMore: sg-ai COMMAND --help\n"
    );
    command.help_template(template)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command;

    #[test]
    fn every_command_is_in_one_group() {
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        grouped.sort_unstable();
        let command = command();
        let mut all: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
        all.sort_unstable();
        assert_eq!(grouped, all);
    }
}

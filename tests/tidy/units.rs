//! The systemd units run what exists, with settings that exist, as users without rights.
//!
//! Starts no unit. `systemd-analyze` is asked where there is one.

use super::deployment::{check_command, is_setting, text};
use super::tools::not_checked;
use sg_ai::config;
use std::{fs, path::Path, process::Command};

const UNITS: [&str; 2] = ["sg-ai.service", "sg-ai-worker.service"];
/// Largest exposure that `systemd-analyze security` may find, tenths of its scale from 0 to 10.
const GREATEST_EXPOSURE_TENTHS: &str = "15";

fn unit(name: &str) -> String {
    text(&format!("deploy/systemd/{name}"))
}

/// The values of a key, in order.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

/// What does not fit the program.
fn problems(unit: &str) -> Vec<String> {
    let mut found = Vec::new();
    let command: Vec<&str> = values(unit, "ExecStart").iter().flat_map(|line| line.split_whitespace()).collect();
    match command.split_first() {
        Some((&"/usr/local/bin/sg-ai", args)) => found.extend(check_command(args).err()),
        _ => found.push(format!("starts {command:?}")),
    }
    let environment = values(unit, "Environment").join(" ");
    for (name, value) in environment.split_whitespace().filter_map(|word| word.split_once('=')) {
        if name != "HOME" && !is_setting(name) {
            found.push(format!("{name} is no setting"));
        }
        if value != "/var/lib/sg-ai" || values(unit, "StateDirectory") != ["sg-ai"] {
            found.push(format!("{name} is {value}, where it may not write"));
        }
    }
    let settings = config::load(&config::Inputs::default()).map(|loaded| loaded.config.daemon.shutdown_grace_s);
    let needed = settings.unwrap_or(u64::MAX).saturating_add(5);
    let stop = values(unit, "TimeoutStopSec").iter().filter_map(|value| value.parse::<u64>().ok()).next_back();
    if stop.is_none_or(|stop| stop < needed) {
        found.push(format!("is given {stop:?} s to stop and may need {needed}"));
    }
    if values(unit, "User") != ["sg-ai"] || values(unit, "KillMode") != ["mixed"] {
        found.push("is another user, or stops another way".into());
    }
    found
}

#[test]
fn units_run_what_exists_and_slips_are_found() {
    for name in UNITS {
        assert_eq!(problems(&unit(name)), [""; 0], "{name}");
    }
    let daemon = unit("sg-ai.service");
    for (from, to, word) in [
        ("sg-ai run", "sg-ai rum", "no command rum"),
        ("SG_DATA_DIR=", "SG_DATADIR=", "SG_DATADIR"),
        ("StateDirectory=sg-ai", "StateDirectory=sg", "may not write"),
        ("TimeoutStopSec=30", "TimeoutStopSec=9", "to stop"),
        ("User=sg-ai", "User=root", "another user"),
    ] {
        let said = problems(&daemon.replace(from, to)).join("\n");
        assert!(daemon.contains(from) && said.contains(word), "{from}: {said}");
    }
}

/// What `systemd-analyze` says of a unit in a folder, and whether it is content.
fn analysed(folder: &Path, name: &str, unit: &str, args: &[&str]) -> (bool, String) {
    let path = folder.join(name);
    // The program is where the tests have it.
    fs::write(&path, unit.replace("/usr/local/bin/sg-ai", env!("CARGO_BIN_EXE_sg-ai"))).unwrap();
    let output = Command::new("systemd-analyze").args(args).arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    // Of other units of the machine it may say something, too.
    let of_it = said.lines().any(|line| line.contains(name) && (line.contains("Unknown") || line.contains("Failed")));
    (output.status.success() && !of_it, said)
}

#[test]
fn systemd_accepts_the_units_and_finds_them_little_exposed() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return not_checked("systemd-analyze", "what systemd makes of the units");
    }
    let folder = tempfile::tempdir().unwrap();
    let verify = ["verify", "--man=no"];
    let security = ["security", "--offline=true", "--no-pager", "--threshold", GREATEST_EXPOSURE_TENTHS];
    for name in UNITS {
        for args in [&verify[..], &security[..]] {
            let (content, said) = analysed(folder.path(), name, &unit(name), args);
            assert!(content, "{name}: {args:?}: {said}");
        }
    }
    let daemon = unit("sg-ai.service");
    for (from, to, args) in [
        ("ProtectSystem=strict", "ProtectSystm=strict", &verify[..]),
        ("sg-ai run", "sg-aj run", &verify[..]),
        ("NoNewPrivileges=yes\nCapabilityBoundingSet=\n", "", &security[..]),
    ] {
        let (content, said) = analysed(folder.path(), "sg-ai.service", &daemon.replace(from, to), args);
        assert!(daemon.contains(from) && !content, "{from}: {said}");
    }
}

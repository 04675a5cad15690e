//! Containers, dashboards, rules and documents name only what exists: commands, options, settings, metrics, routes.
//!
//! Starts no container. `promtool` is asked where there is one.

use super::tools::not_checked;
use serde::Deserialize;
use sg_ai::config;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    process::Command,
};
use telemetry::metrics;

pub(super) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub(super) fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The part of the compose schema that is used; anything else is refused as a likely slip.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Compose {
    #[serde(rename = "x-sg-ai")]
    _template: Service,
    services: BTreeMap<String, Service>,
    volumes: BTreeMap<String, Option<BTreeMap<String, String>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    build: Option<String>,
    image: String,
    restart: String,
    stop_grace_period: Option<String>,
    user: Option<String>,
    read_only: bool,
    cap_drop: Vec<String>,
    security_opt: Vec<String>,
    #[serde(default)]
    tmpfs: Vec<String>,
    #[serde(default)]
    depends_on: BTreeMap<String, DependsOn>,
    #[serde(default)]
    volumes: Vec<String>,
    healthcheck: Option<HealthCheck>,
    #[serde(default)]
    environment: BTreeMap<String, Scalar>,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    ports: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DependsOn {
    condition: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HealthCheck {
    test: Vec<String>,
    interval: String,
    timeout: String,
    retries: u32,
    start_period: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Number(u64),
    Text(String),
}

impl Scalar {
    fn text(&self) -> String {
        match self {
            Scalar::Number(number) => number.to_string(),
            Scalar::Text(text) => text.clone(),
        }
    }
}

fn compose() -> Compose {
    serde_saphyr::from_str(&text("docker-compose.yml")).expect("docker-compose.yml fits the schema")
}

/// Checks `sg-ai ARGS` against the command line as it is: every word must be a command, a known option or a value.
pub(super) fn check_command(args: &[&str]) -> Result<(), String> {
    let root = sg_ai::cli::command();
    let globals: BTreeSet<String> = root.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)).collect();
    let (mut command, mut at_commands) = (&root, true);
    for word in args {
        if let Some(option) = word.strip_prefix("--") {
            let name = option.split('=').next().unwrap_or_default();
            let own = command.get_arguments().any(|arg| arg.get_long() == Some(name));
            if !own && !globals.contains(name) && name != "help" && name != "version" {
                return Err(format!("{} has no option --{name}", command.get_name()));
            }
            at_commands = false;
        } else if at_commands && command.has_subcommands() {
            command =
                command.find_subcommand(word).ok_or_else(|| format!("{} has no command {word}", command.get_name()))?;
        }
    }
    Ok(())
}

/// Whether an environment variable is read by the program.
pub(super) fn is_setting(name: &str) -> bool {
    let defaults = config::Settings::defaults().unwrap();
    let general = defaults.keys().any(|key| config::env_name(key) == name);
    general || name == "SG_CONFIG" || config::ENV_NAMES.iter().any(|(known, _)| *known == name)
}

#[test]
fn compose_starts_what_exists_with_settings_that_exist() {
    let compose = compose();
    let expected = ["continuous", "grafana", "postgres", "prometheus", "shadow"];
    assert_eq!(compose.services.keys().collect::<Vec<_>>(), expected);
    for (name, service) in &compose.services {
        assert_eq!(service.restart, "unless-stopped", "{name}");
        for dependency in service.depends_on.keys() {
            let needed = &compose.services[dependency];
            assert!(needed.healthcheck.is_some(), "{name} waits for {dependency}, which says nothing of its health");
        }
        assert!(service.depends_on.values().all(|on| on.condition == "service_healthy"), "{name}");
        for volume in &service.volumes {
            let source = volume.split(':').next().unwrap();
            match source.strip_prefix("./") {
                Some(path) => assert!(root().join(path).exists(), "{name} mounts {path}, which is not there"),
                None => assert!(compose.volumes.contains_key(source), "{name}: volume {source} is not declared"),
            }
        }
        for port in &service.ports {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port} is open to the network");
        }
        if let Some(check) = &service.healthcheck {
            assert!(check.retries > 0 && !check.interval.is_empty() && !check.timeout.is_empty(), "{name}");
            let _ = &check.start_period;
        }
        if service.image != "sg-ai" {
            continue;
        }
        assert_eq!(service.build.as_deref(), Some("."), "{name}");
        assert!(service.stop_grace_period.is_some(), "{name} must be given time to stop");
        check_command(&service.command.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        let check: Vec<_> = service.healthcheck.as_ref().unwrap().test.iter().map(String::as_str).collect();
        assert_eq!(check[..2], ["CMD", "sg-ai"]);
        check_command(&check[2..]).unwrap();
        for (variable, value) in &service.environment {
            assert!(is_setting(variable), "{name}: {variable} is no setting");
            let value = value.text();
            // What is handed through must be empty when it is not set.
            let through = format!("${{{variable}:-}}");
            assert!(!value.starts_with("${") || value == through, "{name}: {variable} is {value}, expected {through}");
        }
    }
}

/// Variables that the compose file sets by itself, or that containers have no use for: where data lies is the image's.
const NOT_PASSED: &[&str] = &["SG_DATA_DIR", "SG_POSTGRES_BIN"];

#[test]
fn compose_passes_every_secret_and_every_setting_with_a_short_name() {
    let short = config::ENV_NAMES.iter().map(|(name, _)| (*name).to_owned());
    let named = |key: &str| config::ENV_NAMES.iter().any(|(_, known)| *known == key);
    let secrets = config::SECRET_KEYS.iter().filter(|key| !named(key)).map(|key| config::env_name(key));
    let wanted: BTreeSet<String> = short.chain(secrets).filter(|name| !NOT_PASSED.contains(&name.as_str())).collect();
    assert!(wanted.contains("SG_POPULATION_SIZE") && wanted.contains("SG__MARKET__S3_SECRET_ACCESS_KEY"), "{wanted:?}");
    for (name, service) in compose().services.iter().filter(|(_, service)| service.image == "sg-ai") {
        let missing: Vec<_> = wanted.iter().filter(|name| !service.environment.contains_key(*name)).collect();
        assert!(missing.is_empty(), "{name} is not given {missing:?}");
    }
}

#[test]
fn compose_knows_no_password_and_gives_no_container_rights() {
    for (name, service) in &compose().services {
        assert!(service.read_only, "{name} writes to its image");
        assert_eq!(service.cap_drop, ["ALL"], "{name}");
        assert_eq!(service.security_opt, ["no-new-privileges:true"], "{name}");
        assert!(service.tmpfs.iter().all(|mount| mount.starts_with('/')), "{name}");
        assert_ne!(service.user.as_deref(), Some("root"), "{name}");
        for (variable, value) in &service.environment {
            let value = value.text();
            // A password, alone or in an address, has to be given: there is no default to forget about.
            let has_password = variable.contains("PASSWORD") || value.contains("_PASSWORD");
            assert!(!has_password || value.contains("PASSWORD:?"), "{name}: {variable} is {value}");
            assert!(!value.contains(":-") || value.contains(":-}"), "{name}: {variable} has a default in {value}");
        }
    }
}

#[test]
fn every_process_that_is_scraped_is_called_by_a_name_that_it_has() {
    let (compose, scraped) = (compose(), text("dashboards/prometheus.yml"));
    let targets: Vec<&str> = scraped.split("targets: [\"").skip(1).filter_map(|rest| rest.split(':').next()).collect();
    assert_eq!(targets, ["continuous", "shadow"]);
    for name in targets {
        let names = compose.services[name].environment["SG__HTTP__PUBLIC_NAMES"].text();
        assert!(names.split(',').any(|known| known == name), "{name} is not called {name}: {names}");
    }
}

#[test]
fn the_image_is_not_root_and_runs_what_exists() {
    let dockerfile = text("Dockerfile");
    let lines: Vec<&str> = dockerfile.lines().map(str::trim).collect();
    let value = |keyword: &str| {
        let found = lines.iter().rfind(|line| line.starts_with(keyword));
        found.unwrap_or_else(|| panic!("no {keyword}")).trim_start_matches(keyword).trim().to_owned()
    };
    assert_eq!(value("USER"), "sg-ai");
    assert_eq!(value("ENTRYPOINT"), "[\"sg-ai\"]");
    assert!(lines.iter().filter(|line| line.starts_with("FROM ")).count() >= 2, "the image carries no compiler");
    let command: Vec<String> = serde_json::from_str(&value("CMD ")).unwrap();
    check_command(&command.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    let check = value("HEALTHCHECK");
    let check: Vec<String> = serde_json::from_str(&check[check.find('[').unwrap()..]).unwrap();
    check_command(&check[1..].iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    for word in dockerfile.split_whitespace() {
        if let Some((name, _)) = word.split_once('=')
            && (name.starts_with("SG_") || name.starts_with("SHADOW_"))
        {
            assert!(is_setting(name), "{name} is no setting");
        }
    }
    for path in lines.iter().filter(|line| line.starts_with("COPY ") && !line.contains("--from")) {
        let mut parts: Vec<&str> = path.split_whitespace().skip(1).collect();
        parts.pop();
        assert!(parts.iter().all(|path| root().join(path).exists()), "{path}");
    }
}

/// The names of ours in a text, without the suffixes of histograms.
pub(super) fn metric_names(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        if word.starts_with("sg_ai_") {
            let base = ["_bucket", "_count", "_sum"].iter().find_map(|suffix| word.strip_suffix(suffix));
            let histogram =
                |name: &&str| metrics::ALL.iter().any(|m| m.name == *name && m.kind == metrics::Kind::Histogram);
            found.insert(base.filter(histogram).unwrap_or(word).to_owned());
        }
    }
    found
}

#[test]
fn dashboards_and_rules_name_declared_metrics() {
    for path in ["dashboards/sg-ai.json", "dashboards/rules.yml", "dashboards/rules_test.yml"] {
        let names = metric_names(&text(path));
        assert!(!names.is_empty(), "{path} names no metric");
        for name in names {
            assert!(metrics::ALL.iter().any(|metric| metric.name == name), "{path}: {name} is not declared");
        }
    }
    let dashboard: serde_json::Value = serde_json::from_str(&text("dashboards/sg-ai.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.iter().all(|panel| panel["targets"].as_array().is_some_and(|targets| !targets.is_empty())));
    let rules = text("dashboards/rules.yml");
    for alert in ["StrategyPromoted", "StrategyDemoted", "NoGenerationsRecently"] {
        assert!(rules.contains(&format!("- alert: {alert}\n")), "{alert}");
    }
    for route in rules.split("GET ").skip(1).map(|rest| rest.split(['"', ' ']).next().unwrap().trim_end_matches('.')) {
        assert!(http::ROUTES.contains(&route), "rules name {route}");
    }
}

#[test]
fn every_alert_is_in_the_runbook_and_leads_there_and_nothing_else_is() {
    let (rules, runbook) = (text("dashboards/rules.yml"), text("docs/RUNBOOK.md"));
    let mut alerts = BTreeSet::new();
    for rule in rules.split("- alert: ").skip(1) {
        let alert = rule.lines().next().unwrap();
        let link = format!("runbook: docs/RUNBOOK.md#{}", alert.to_ascii_lowercase());
        assert!(rule.lines().any(|line| line.trim() == link), "{alert} lacks {link}");
        alerts.insert(alert);
    }
    let mut described = BTreeSet::new();
    for section in runbook.split("\n## ").skip(1) {
        let alert = section.lines().next().unwrap();
        for part in ["**Means:** ", "**Look:** ", "**Do:** "] {
            assert!(section.contains(&format!("\n{part}")), "{alert} lacks {part}");
        }
        described.insert(alert);
    }
    assert_eq!(described, alerts);
    let defaults = config::Settings::defaults().unwrap();
    let sections: BTreeSet<&str> =
        defaults.keys().filter_map(|key| key.split_once('.')).map(|(name, _)| name).collect();
    for code in runbook.split('`').skip(1).step_by(2) {
        if code.split_once('.').is_some_and(|(section, _)| sections.contains(section)) {
            assert!(defaults.origin(code).is_some(), "the runbook names the setting {code}");
        } else if code.starts_with("/") {
            assert!(http::ROUTES.contains(&code), "the runbook names {code}");
        }
    }
}

#[test]
fn every_rule_is_tested_both_quiet_and_firing() {
    let (rules, tests) = (text("dashboards/rules.yml"), text("dashboards/rules_test.yml"));
    for rule in rules.split("- alert: ").skip(1) {
        let alert = rule.lines().next().unwrap();
        let cases: Vec<&str> =
            tests.split("alertname: ").skip(1).filter(|case| case.lines().next() == Some(alert)).collect();
        let quiet = cases.iter().filter(|case| case.lines().nth(1).unwrap().trim() == "exp_alerts: []").count();
        assert!(quiet > 0 && quiet < cases.len(), "{alert}: {quiet} of {} cases are quiet", cases.len());
    }
}

#[test]
fn promtool_accepts_rules_their_tests_and_the_scrape_configuration() {
    if Command::new("promtool").arg("--version").output().is_err() {
        return not_checked("promtool", "what Prometheus makes of rules, their tests and the scrape configuration");
    }
    // Debian's Prometheus is built without what finds pods: the rest of the file is checked with a list in its place.
    let cluster = text("deploy/kubernetes/prometheus.yml");
    let finds = "kubernetes_sd_configs:\n      - role: pod\n        namespaces:\n          names: [sg-ai]\n";
    assert!(cluster.contains(finds), "deploy/kubernetes/prometheus.yml finds pods in another way");
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("prometheus.yml");
    fs::write(&plain, cluster.replace(finds, "static_configs: []\n")).unwrap();
    for args in [
        ["check", "rules", "rules.yml"],
        ["test", "rules", "rules_test.yml"],
        ["check", "config", "prometheus.yml"],
        ["check", "config", plain.to_str().unwrap()],
    ] {
        let output = Command::new("promtool").args(args).current_dir(root().join("dashboards")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {said}");
    }
    // Rules take the most of what processes say without these two labels: a third would make one metric many.
    let labels: BTreeSet<&str> =
        cluster.lines().filter_map(|line| line.trim().strip_prefix("target_label: ")).collect();
    assert_eq!(labels, ["instance", "role"].into());
}

/// The cells of the table rows in `docs/CONFIGURATION.md`: key, default, unit and meaning, variable.
fn documented() -> BTreeMap<String, Vec<String>> {
    let document = text("docs/CONFIGURATION.md");
    let rows = document.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let cells: Vec<String> = line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
        (cells[0].trim_matches('`').to_owned(), cells)
    })
    .collect()
}

#[test]
fn every_setting_is_documented_with_its_default_and_variable_and_nothing_else_is() {
    let (settings, documented) = (config::Settings::defaults().unwrap(), documented());
    let keys: BTreeSet<&str> = settings.keys().collect();
    let rows: BTreeSet<&str> = documented.keys().map(String::as_str).collect();
    assert_eq!(rows, keys, "docs/CONFIGURATION.md and config/default.toml differ");
    for key in keys {
        let cells = &documented[key];
        assert_eq!(cells[1].trim_matches('`'), settings.shown(key).unwrap(), "{key}");
        let short = config::ENV_NAMES.iter().find(|(_, known)| *known == key).map(|(name, _)| format!("`{name}`"));
        assert_eq!(cells[3], short.unwrap_or_default(), "{key}");
    }
}

#[test]
fn the_settings_that_the_readme_names_have_the_defaults_that_it_says() {
    let (settings, readme) = (config::Settings::defaults().unwrap(), text("README.md"));
    let mut compared = 0;
    for (name, key) in config::ENV_NAMES {
        let Some(row) = readme.lines().find(|line| line.starts_with(&format!("| `{name}` | `"))) else { continue };
        let said = row.split('|').nth(2).unwrap().trim().trim_matches('`');
        let shown = settings.shown(key).unwrap();
        let plain: String = shown.chars().filter(|c| !"[]\" ".contains(*c)).collect();
        assert_eq!(said, plain, "{name} in README.md");
        compared += 1;
    }
    assert!(compared >= 5, "{compared} rows of the README's table were found");
}

#[test]
fn every_key_of_the_default_file_has_a_comment_with_its_unit_or_meaning() {
    let mut commented = false;
    for line in config::DEFAULT_TOML.lines() {
        if line.contains(" = ") && !line.starts_with('#') {
            assert!(commented, "no comment above: {line}");
            commented = false;
        } else {
            commented = line.starts_with('#');
        }
    }
}

#[test]
fn the_names_that_others_rely_on_are_settings() {
    let names = "DATABASE_URL BINANCE_API_KEY BINANCE_API_SECRET SG_POPULATION_SIZE SG_BACKTEST_DAYS \
                 SG_BACKTEST_SYMBOLS SG_GENERATION_INTERVAL SG_CANDIDATE_MIN_PF SG_CANDIDATE_MIN_TRADES \
                 SG_SHADOW_MIN_PF SG_SHADOW_MIN_DAYS SHADOW_TEST_INTERVAL SHADOW_LOOKBACK_DAYS SHADOW_SYMBOLS \
                 MIN_SHARPE_RATIO MIN_WIN_RATE_PERCENT MAX_DRAWDOWN_PERCENT";
    let missing: Vec<&str> = names.split_whitespace().filter(|name| !is_setting(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Every `sg-ai ...` in code spans and code blocks of the documents is a command that exists.
#[test]
fn documents_name_commands_that_exist() {
    let mut checked = 0;
    for path in [
        "README.md",
        "docs/ARCHITECTURE.md",
        "docs/DEPLOYMENT.md",
        "docs/OPERATIONS.md",
        "docs/RUNBOOK.md",
        "docs/SECURITY.md",
    ] {
        let document = text(path);
        let (mut block, mut commands) = (false, Vec::new());
        for line in document.lines() {
            if line.starts_with("```") {
                block = !block;
            } else if block {
                commands.extend(
                    line.split(" && ")
                        .map(|part| part.trim().trim_start_matches("cargo run --release -- ").to_owned())
                        // "sg-ai -> ..." is a line of the graph of crates.
                        .filter(|part| {
                            part.starts_with("sg-ai ") && !part.starts_with("sg-ai -> ")
                                || line.starts_with("cargo run")
                        }),
                );
            } else {
                commands
                    .extend(line.split('`').skip(1).step_by(2).filter(|s| s.starts_with("sg-ai ")).map(str::to_owned));
            }
        }
        for command in commands {
            let words = command.trim_start_matches("sg-ai ").split_whitespace();
            // Variables before it and what is piped after it are not ours; dots and capitals stand for values.
            let words: Vec<&str> = words
                .take_while(|word| !matches!(*word, "|" | "#" | ">" | "&"))
                .filter(|word| *word != "...")
                .collect();
            check_command(&words).unwrap_or_else(|error| panic!("{path}: {command}: {error}"));
            checked += 1;
        }
    }
    assert!(checked > 5, "only {checked} commands were found in the documents");
}

#[test]
fn wrong_commands_are_noticed() {
    assert!(check_command(&["health", "--check", "live"]).is_ok());
    assert!(check_command(&["config", "show", "--json", "--data-dir", "x"]).is_ok());
    assert_eq!(check_command(&["helth"]).unwrap_err(), "sg-ai has no command helth");
    assert_eq!(check_command(&["health", "--chek", "live"]).unwrap_err(), "health has no option --chek");
    assert!(!is_setting("SG__HTTP__PROT") && is_setting("SG__HTTP__PORT"));
    assert_eq!(metric_names("rate(sg_ai_query_seconds_bucket[5m])"), ["sg_ai_query_seconds".to_owned()].into());
}

//! Rules of the house that the compiler cannot hold: purity, length, reachability, and a few habits; in modules of their
//! own the graph of crates, links in documents, and what containers and dashboards name.
//!
//! Reads sources as tokens, without comments and literals. Never runs them. Each rule is tried on a planted violation.
// Helpers outside test functions may fail a test.
#![allow(clippy::unwrap_used)]

#[path = "tidy/crates.rs"]
mod crates;
#[path = "tidy/deployment.rs"]
mod deployment;
#[path = "tidy/kubernetes.rs"]
mod kubernetes;
#[path = "tidy/links.rs"]
mod links;
#[path = "tidy/manifests.rs"]
mod manifests;
#[path = "support/tools.rs"]
mod tools;
#[path = "tidy/units.rs"]
mod units;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Where nothing but values may be known.
const PURE: &[&str] = &[
    "genome/src/",
    "src/book/",
    "src/candles/",
    "src/engine/",
    "src/evidence/",
    "src/learner/",
    "src/lifecycle/",
    "src/media/",
    "src/models/",
    "src/optimize/",
    "src/protocol/",
    "src/report/",
    "src/search/",
    "src/portfolio/",
    "src/simulated/",
];

/// Token sequences that pure modules must not have.
const IMPURE: &[&str] = &[
    "tokio",
    "tokio_util",
    "tokio_postgres",
    "axum",
    "reqwest",
    "hyper",
    "metrics",
    "tracing",
    "std :: env",
    "std :: fs",
    "std :: net",
    "std :: process",
    "std :: thread",
    "SystemTime",
    "Instant",
    "Utc :: now",
    "Local :: now",
    "thread_rng",
    "rand :: rng",
    "rand :: random",
    "OsRng",
    "SysRng",
    "ThreadRng",
    "from_entropy",
    "from_os_rng",
    "getrandom",
    "RandomState",
    "now_v7",
    "new_v4",
];

/// Where work is spread over threads.
const RAYON: &[&str] = &[
    "src/search/",
    "src/evidence/",
    "src/engine/",
    "src/portfolio/columns.rs",
    "src/portfolio/population.rs",
    "src/portfolio/prepared.rs",
];

/// The root's modules, and which of them each must not know: what lies above it.
const LAYERS: &[(&str, &[&str])] = &[
    ("src/config/", &["usecases", "daemon", "cli"]),
    ("src/usecases/", &["daemon", "cli"]),
    ("src/daemon/", &["cli"]),
];

const MAX_LINES: usize = 500;

/// A source file, relative to the root, with forward slashes.
struct Source {
    path: String,
    text: String,
    /// Declared as `#[cfg(test)] mod ...`.
    only_for_tests: bool,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into(), only_for_tests: false }
    }

    fn is_test(&self) -> bool {
        let mut parts = self.path.split('/');
        self.only_for_tests || parts.any(|part| matches!(part, "tests" | "tests.rs" | "benches"))
    }

    /// Tokens of what is not test code: tests come last in a file.
    fn tokens(&self) -> Vec<String> {
        let text = strip(&self.text);
        let end = ["#[cfg(test)]\nmod tests {", "#[cfg(test)]\nmod tests{"].iter().filter_map(|m| text.find(m)).min();
        tokens(&text[..end.unwrap_or(text.len())])
    }
}

/// The text without comments and without the contents of literals; as many lines as before.
fn strip(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let (mut out, mut i) = (String::with_capacity(text.len()), 0);
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    while i < chars.len() {
        let is_word = i > 0 && (chars[i - 1].is_alphanumeric() || chars[i - 1] == '_');
        match chars[i] {
            '/' if at(i + 1) == '/' => {
                while i < chars.len() && chars[i] != '\n' {
                    i += 1;
                }
            }
            '/' if at(i + 1) == '*' => {
                while i < chars.len() && !(chars[i] == '*' && at(i + 1) == '/') {
                    out.extend((chars[i] == '\n').then_some('\n'));
                    i += 1;
                }
                i += 2;
            }
            'r' if !is_word && (at(i + 1) == '"' || (at(i + 1) == '#' && matches!(at(i + 2), '"' | '#'))) => {
                let hashes = (i + 1..).take_while(|&j| at(j) == '#').count();
                i += hashes + 2;
                let closes = |i: usize| at(i) == '"' && (1..=hashes).all(|k| at(i + k) == '#');
                while i < chars.len() && !closes(i) {
                    out.extend((chars[i] == '\n').then_some('\n'));
                    i += 1;
                }
                i += hashes + 1;
                out.push_str("\"\"");
            }
            '"' => {
                i += 1;
                while i < chars.len() && chars[i] != '"' {
                    out.extend((chars[i] == '\n').then_some('\n'));
                    i += if chars[i] == '\\' { 2 } else { 1 };
                }
                i += 1;
                out.push_str("\"\"");
            }
            // A character, not a lifetime.
            '\'' if at(i + 1) == '\\' || at(i + 2) == '\'' => {
                i += if at(i + 1) == '\\' { 3 } else { 2 };
                while i < chars.len() && chars[i] != '\'' {
                    i += 1;
                }
                i += 1;
            }
            c => {
                out.push(c);
                i += 1;
            }
        }
    }
    out
}

fn tokens(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut word = String::new();
    for c in text.chars().chain([' ']) {
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            found.push(std::mem::take(&mut word));
        }
        match c {
            ':' if found.last().is_some_and(|last| last == ":") => *found.last_mut().unwrap() = "::".into(),
            c if c.is_whitespace() => {}
            c => found.push(c.into()),
        }
    }
    found
}

fn has(tokens: &[String], sequence: &str) -> bool {
    let wanted: Vec<&str> = sequence.split(' ').collect();
    tokens.windows(wanted.len()).any(|window| window.iter().zip(&wanted).all(|(a, b)| a == b))
}

fn check_purity(source: &Source) -> Vec<String> {
    if source.is_test() {
        return Vec::new();
    }
    let tokens = source.tokens();
    let mut found = Vec::new();
    if PURE.iter().any(|pure| source.path.starts_with(pure)) {
        let impure = IMPURE.iter().filter(|sequence| has(&tokens, sequence));
        found.extend(impure.map(|sequence| format!("{}: a pure module names {sequence}", source.path)));
    }
    let may_spread = RAYON.iter().any(|path| source.path.starts_with(path))
        || source.path.starts_with("src/daemon/")
        || source.path.starts_with("src/usecases/");
    if has(&tokens, "rayon") && !may_spread && !source.path.starts_with("src/cli/") {
        found.push(format!(
            "{}: rayon is for search, evidence, the engine's batch entry and a portfolio's columns and populations",
            source.path
        ));
    }
    found
}

/// The root's modules that a source names by `crate::x` or `crate::{x, ...}`.
fn check_layers(source: &Source) -> Vec<String> {
    let Some((layer, above)) = LAYERS.iter().find(|(layer, _)| source.path.starts_with(layer)) else {
        return Vec::new();
    };
    let tokens = tokens(&strip(&source.text));
    let mut found = Vec::new();
    for start in (0..tokens.len()).filter(|&i| has(&tokens[i..tokens.len().min(i + 2)], "crate ::")) {
        let mut depth = 0_u32;
        for pair in tokens[start + 1..].windows(2) {
            let after_opening = matches!((depth, pair[0].as_str()), (0, "::") | (1, "{" | ","));
            if after_opening && above.contains(&pair[1].as_str()) {
                found.push(format!("{}: {layer} must not know {}, which is above it", source.path, pair[1]));
            }
            match pair[1].as_str() {
                "{" => depth += 1,
                "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

fn check_habits(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let mut say = |what: String| found.push(format!("{}: {what}", source.path));
    let lines: Vec<&str> = source.text.lines().collect();
    if lines.len() > MAX_LINES {
        say(format!("{} lines; split what has more than {MAX_LINES}", lines.len()));
    }
    if !lines.first().is_some_and(|line| line.starts_with("//! ")) {
        say("the first line must say what the module does (//! ...)".into());
    }
    // Spelt apart, so that this file does not find itself.
    for mark in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")] {
        if tokens(&source.text).iter().any(|token| token == mark) {
            say(format!("has a {mark}"));
        }
    }
    let code = strip(&source.text);
    if code.contains(concat!("#[ign", "ore")) {
        say("has an ignored test".into());
    }
    for (number, line) in code.lines().enumerate() {
        let trimmed = line.trim();
        let allows = trimmed.starts_with("#[allow(") || trimmed.starts_with("#![allow(");
        let before = number.checked_sub(1).and_then(|n| lines.get(n)).map_or("", |line| line.trim());
        if allows && !trimmed.contains("missing_docs") && !before.starts_with("//") && !trimmed.contains("reason") {
            say(format!("line {}: an allow needs its reason on the line above", number + 1));
        }
    }
    found
}

/// Files that no `mod` leads to. Roots are crates: `lib.rs`, `main.rs`, and what stands in `tests` and `benches`.
fn check_reachable(sources: &[Source]) -> Vec<String> {
    let by_path: BTreeMap<&str, &Source> = sources.iter().map(|source| (source.path.as_str(), source)).collect();
    let is_root = |path: &str| {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let in_place = folder.strip_prefix("src/").is_some_and(|crate_| !crate_.contains('/'));
        let crate_root =
            (matches!(folder, "src" | "genome/src") || in_place) && path.ends_with("/lib.rs") || path == "src/main.rs";
        let test_folder =
            |folder: &str| folder.ends_with("tests") || folder.ends_with("benches") || folder == "examples";
        let nested = path.ends_with("/main.rs") && folder.rsplit_once('/').is_some_and(|(above, _)| test_folder(above));
        let top = test_folder(folder) && !folder.starts_with("genome/src/");
        crate_root || top || nested
    };
    let mut open: Vec<&str> = by_path.keys().copied().filter(|path| is_root(path)).collect();
    let mut seen: BTreeSet<&str> = open.iter().copied().collect();
    while let Some(path) = open.pop() {
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
        let stem = file.trim_end_matches(".rs");
        let own = if is_root(path) || stem == "mod" { folder.to_owned() } else { format!("{folder}/{stem}") };
        let source = by_path[path];
        let tokens = tokens(&strip(&source.text));
        let declared = tokens.windows(3).filter(|w| w[0] == "mod" && w[2] == ";").map(|w| w[1].as_str());
        let mut children: Vec<String> =
            declared.flat_map(|name| [format!("{own}/{name}.rs"), format!("{own}/{name}/mod.rs")]).collect();
        for part in source.text.split("#[path = \"").skip(1) {
            children.push(normalise(&format!("{folder}/{}", part.split('"').next().unwrap_or_default())));
        }
        for child in children {
            if let Some((known, _)) = by_path.get_key_value(child.as_str())
                && seen.insert(known)
            {
                open.push(known);
            }
        }
    }
    let dead = by_path.keys().filter(|path| !seen.contains(*path));
    dead.map(|path| format!("{path}: no mod leads to this file")).collect()
}

fn normalise(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(folder: &Path, ending: &[&str], into: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.map(Result::unwrap) {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" {
                read(&path, ending, into);
            }
        } else if ending.iter().any(|ending| name.ends_with(ending)) {
            let relative = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
            into.push(Source::new(&relative, &fs::read_to_string(&path).unwrap()));
        }
    }
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for folder in ["src", "genome/src", "genome/tests", "tests", "benches"] {
        read(&root().join(folder), &[".rs"], &mut found);
    }
    assert!(found.len() > 50, "the sources were not found");
    mark_tests(&mut found);
    found
}

/// Marks the files that their parents declare for tests only.
fn mark_tests(sources: &mut [Source]) {
    let mut marked = BTreeSet::new();
    for source in sources.iter() {
        let tokens = tokens(&strip(&source.text));
        let own = source.path.strip_suffix("/mod.rs").or(source.path.strip_suffix("/lib.rs"));
        let own = own.unwrap_or(source.path.trim_end_matches(".rs"));
        for start in (0..tokens.len()).filter(|&i| has(&tokens[i..tokens.len().min(i + 7)], "# [ cfg ( test ) ]")) {
            // The next module, unless something else comes before it: `mod x;`, `pub(crate) mod x;`.
            let rest: Vec<&str> = tokens[start + 7..].iter().take(7).map(String::as_str).collect();
            let visible = ["pub", "(", "crate", "super", ")"];
            let module = rest.iter().position(|token| !visible.contains(token)).unwrap_or(rest.len());
            if let ["mod", name, ";", ..] = rest[module..] {
                marked.extend([format!("{own}/{name}.rs"), format!("{own}/{name}/mod.rs")]);
            }
        }
    }
    sources.iter_mut().for_each(|source| source.only_for_tests = marked.contains(&source.path));
}

fn refuse(violations: Vec<String>) {
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn pure_modules_know_no_world() {
    refuse(sources().iter().flat_map(check_purity).collect());
}

#[test]
fn the_modules_of_the_root_know_only_what_is_below_them() {
    refuse(sources().iter().flat_map(check_layers).collect());
}

#[test]
fn habits_are_kept() {
    refuse(sources().iter().flat_map(check_habits).collect());
}

#[test]
fn no_file_is_dead() {
    refuse(check_reachable(&sources()));
}

#[test]
fn no_text_names_the_machine_it_was_written_on() {
    let mut texts = Vec::new();
    let endings = [".rs", ".md", ".toml", ".yml", ".yaml", ".sql", ".json", ".py", "Dockerfile", "run"];
    for folder in ["src", "genome", "tests", "benches", "docs", "config", "migrations", "dashboards", ".ci"] {
        read(&root().join(folder), &endings, &mut texts);
    }
    // The last is a folder that lay beside the project there, and lies beside no other.
    let machine = [concat!("/wo", "rk/"), concat!("/ro", "ot/."), concat!("../sha", "red")];
    let named = texts.iter().flat_map(|source| {
        let found = machine.iter().filter(|path| source.text.contains(**path));
        found.map(|path| format!("{}: names {path}", source.path))
    });
    refuse(named.collect());
}

#[test]
fn planted_violations_are_found() {
    let of = |check: fn(&Source) -> Vec<String>, path: &str, text: &str| check(&Source::new(path, text)).join("; ");

    let clock = "//! X.\nuse std::time::Instant;\nfn f() { Instant::now(); }";
    assert_eq!(of(check_purity, "src/engine/x.rs", clock), "src/engine/x.rs: a pure module names Instant");
    assert_eq!(of(check_purity, "src/daemon/x.rs", clock), "");
    let innocent = "//! tokio\n/* axum */ fn f() { let _ = (\"std::fs\", r#\"tokio\"#, 't'); }\n#[cfg(test)]\nmod tests { use std::fs; }";
    assert_eq!(of(check_purity, "src/engine/x.rs", innocent), "");
    assert!(of(check_purity, "src/lifecycle/x.rs", "use rayon::prelude::*;").contains("rayon is for"));
    assert!(of(check_purity, "genome/src/x.rs", "fn f() { rand::rng(); }").contains("rand :: rng"));

    assert_eq!(
        of(check_layers, "src/usecases/x.rs", "use crate::{config::Config, usecases::{daemon, x}, usecases::cli};"),
        ""
    );
    assert!(of(check_layers, "src/usecases/x.rs", "use crate::{config::{A, B}, daemon::C};").contains("know daemon"));
    assert!(of(check_layers, "src/usecases/x.rs", "fn f() { crate::cli::g() }").contains("know cli"));
    assert_eq!(of(check_layers, "src/cli/x.rs", "use crate::daemon::Core;"), "");

    assert!(of(check_habits, "src/x.rs", &"//! X.\n".repeat(501)).contains("501 lines"));
    assert!(of(check_habits, "src/x.rs", "fn f() {}").contains("first line"));
    assert!(of(check_habits, "src/x.rs", concat!("//! X.\n// TO", "DO: later\n")).contains("has a"));
    assert!(of(check_habits, "src/x.rs", concat!("//! X.\n#[ign", "ore]\nfn f() {}\n")).contains("ignored"));
    assert!(of(check_habits, "src/x.rs", "//! X.\n\n#[allow(dead_code)]\nfn f() {}\n").contains("line 3"));
    assert_eq!(of(check_habits, "src/x.rs", "//! X.\n// Because.\n#[allow(dead_code)]\nfn f() {}\n"), "");

    let mut vectors = [
        Source::new("src/evidence/mod.rs", "#[cfg(test)]\npub(crate) mod vectors;\nmod real;"),
        Source::new("src/evidence/vectors.rs", "use std::fs;"),
        Source::new("src/evidence/real.rs", "use std::fs;"),
    ];
    mark_tests(&mut vectors);
    assert_eq!(
        vectors.iter().flat_map(check_purity).collect::<Vec<_>>(),
        ["src/evidence/real.rs: a pure module names std :: fs"]
    );

    let file = |path: &str, text: &str| Source::new(path, text);
    let tree = [
        file("src/lib.rs", "pub mod a;"),
        file("src/a/mod.rs", "mod b; // mod d;"),
        file("src/a/b.rs", "mod c;"),
        file("src/a/b/c.rs", ""),
        file("src/a/d.rs", ""),
        file("tests/one.rs", "#[path = \"support/mod.rs\"]\nmod support;"),
        file("tests/support/mod.rs", ""),
        file("tests/two/main.rs", "mod part;"),
        file("tests/two/part.rs", ""),
        file("tests/two/lost.rs", ""),
    ];
    let dead = ["src/a/d.rs: no mod leads to this file", "tests/two/lost.rs: no mod leads to this file"];
    assert_eq!(check_reachable(&tree), dead);
}

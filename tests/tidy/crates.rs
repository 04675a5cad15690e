//! The graph of crates in the document is the one that Cargo builds.
//!
//! Counts normal dependencies between members of the workspace; what only tests or benches need is no part of it.

use super::root;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

const START: &str = "```crates\n";

/// A crate as the document and the code name it.
fn short(package: &str) -> &str {
    package.strip_prefix("sg-ai-").unwrap_or(package)
}

/// A line a crate: its name, and the crates that it depends on.
fn graph(metadata: &Value) -> String {
    let packages = metadata["packages"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let members: BTreeSet<String> = packages.iter().map(|package| text(&package["name"])).collect();
    let lines: BTreeMap<String, BTreeSet<String>> = packages
        .iter()
        .map(|package| {
            let all = package["dependencies"].as_array().unwrap().iter();
            let normal = all.filter(|dependency| dependency["kind"].is_null());
            let named = normal.map(|dependency| text(&dependency["name"])).filter(|name| members.contains(name));
            (short(&text(&package["name"])).to_owned(), named.map(|name| short(&name).to_owned()).collect())
        })
        .collect();
    lines
        .into_iter()
        .map(|(name, needs)| match needs.is_empty() {
            true => format!("{name}\n"),
            false => format!("{name} -> {}\n", needs.into_iter().collect::<Vec<_>>().join(" ")),
        })
        .collect()
}

/// What stands in the block of the document.
fn written(document: &str) -> Option<&str> {
    let (_, block) = document.split_once(START)?;
    Some(&block[..block.find("```")?])
}

#[test]
fn the_document_shows_the_crates_as_they_are() {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let real = graph(&serde_json::from_slice(&metadata.stdout).unwrap());
    let document = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let right = written(&document) == Some(real.as_str());
    assert!(right, "docs/ARCHITECTURE.md must have this block:\n{START}{real}```");
}

#[test]
fn planted_differences_are_found() {
    let package = |name: &str, needs: &[(&str, Option<&str>)]| {
        let needs: Vec<Value> =
            needs.iter().map(|(name, kind)| serde_json::json!({ "name": name, "kind": kind })).collect();
        serde_json::json!({ "name": name, "dependencies": needs })
    };
    let metadata = serde_json::json!({ "packages": [
        package("sg-ai-two", &[("sg-ai-one", None), ("serde", None), ("sg-ai", Some("dev")), ("genome", None)]),
        package("sg-ai-one", &[("sg-ai-two", Some("dev"))]),
        package("genome", &[]),
        package("sg-ai", &[("sg-ai-two", None)]),
    ]});
    assert_eq!(graph(&metadata), "genome\none\nsg-ai -> two\ntwo -> genome one\n");
    assert_eq!(written("# A\n```crates\none\n```\n```\nno\n```"), Some("one\n"));
    assert_eq!(written("# A\n```\none\n```"), None);
}

//! Links in the documents lead to files and headings that exist.
//!
//! Follows none into the network. Each rule is tried on a planted violation.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

/// The text with as many lines as before, but without blocks of code.
fn without_blocks(text: &str) -> String {
    let (mut kept, mut inside) = (String::with_capacity(text.len()), false);
    for line in text.lines() {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        kept.push_str(if inside || fence { "" } else { line });
        kept.push('\n');
    }
    kept
}

/// A paragraph with as many lines as before, but without spans of code. They end with as many ticks as they began with.
fn without_spans(paragraph: &str) -> String {
    let (mut kept, mut rest) = (String::with_capacity(paragraph.len()), paragraph);
    while let Some((before, from)) = rest.find('`').map(|start| rest.split_at(start)) {
        kept.push_str(before);
        let after = from.trim_start_matches('`');
        let ticks = &from[..from.len() - after.len()];
        rest = after;
        if let Some((span, behind)) = after.split_once(ticks) {
            kept.extend(span.chars().filter(|c| *c == '\n'));
            rest = behind;
        }
    }
    kept + rest
}

/// Line and target of each link: `[text](target)` and `[name]: target`.
fn links(text: &str) -> Vec<(usize, String)> {
    let paragraphs: Vec<String> = without_blocks(text).split("\n\n").map(without_spans).collect();
    let text = paragraphs.join("\n\n");
    let inline = text.match_indices("](").map(|(at, mark)| at + mark.len());
    let starts = text.match_indices('[').map(|(at, _)| at).filter(|&at| at == 0 || text[..at].ends_with('\n'));
    let defined = starts.filter_map(|at| {
        let (name, _) = text[at..].lines().next()?.split_once("]: ")?;
        Some(at + name.len() + 3)
    });
    let mut found: Vec<(usize, String)> = inline
        .chain(defined)
        .map(|at| {
            let line = 1 + text[..at].matches('\n').count();
            (line, text[at..].split([')', ' ', '\n']).next().unwrap_or_default().to_owned())
        })
        .collect();
    found.sort();
    found
}

/// What `#...` may name: headings in lower case, hyphens for spaces, numbered from the second of one name on.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut counts = BTreeMap::<String, usize>::new();
    let mut found = BTreeSet::new();
    for line in without_blocks(text).lines() {
        let title = line.trim_start_matches('#');
        if !(1..=6).contains(&(line.len() - title.len())) || !title.starts_with(' ') {
            continue;
        }
        let kept = title.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let name = kept.collect::<String>().to_lowercase().replace(' ', "-");
        let before = counts.entry(name.clone()).or_default();
        found.insert(if *before == 0 { name } else { format!("{name}-{before}") });
        *before += 1;
    }
    found
}

/// The path of a target from the root; `None` where it leads out of the project.
fn resolve(document: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            ".." => drop(parts.pop()?),
            "." => {}
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The links of a document that lead nowhere; `read` gives what is at a path, where something is.
fn check(document: &str, text: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let broken = |(line, link): (usize, String)| {
        if ["https://", "http://", "mailto:"].iter().any(|scheme| link.starts_with(scheme)) {
            return None;
        }
        let (file, anchor) = link.split_once('#').map_or((link.as_str(), None), |(file, anchor)| (file, Some(anchor)));
        let path = if file.is_empty() { Some(document.to_owned()) } else { resolve(document, file) };
        let found = path.and_then(|path| read(&path));
        let what = match (found, anchor) {
            (None, _) => "is not there",
            (Some(text), Some(anchor)) if !anchors(&text).contains(anchor) => "has no such heading",
            _ => return None,
        };
        Some(format!("{document}, line {line}: {link} {what}"))
    };
    links(text).into_iter().filter_map(broken).collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What is at a path from the root; nothing of folders and pictures, which have no headings.
fn at(path: &str) -> Option<String> {
    let path = root().join(path);
    path.exists().then(|| fs::read_to_string(path).unwrap_or_default())
}

#[test]
fn links_in_documents_lead_to_files_and_headings_that_exist() {
    let docs = fs::read_dir(root().join("docs")).unwrap();
    let names = docs.map(|entry| format!("docs/{}", entry.unwrap().file_name().to_string_lossy()));
    let documents = names.chain(["README.md".into(), "CHANGELOG.md".into()]).filter(|name| name.ends_with(".md"));
    let (mut checked, mut broken) = (0, Vec::new());
    for document in documents {
        let text = at(&document).unwrap();
        checked += links(&text).len();
        broken.extend(check(&document, &text, at));
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(checked > 10, "only {checked} links were found");
}

#[test]
fn planted_broken_links_are_found() {
    let read = |path: &str| match path {
        "LICENSE" => Some(String::new()),
        "docs/A.md" => Some("# A\n## What, and `why`?\n## Twice\n## Twice\n```\n# not one\n```\n".to_owned()),
        _ => None,
    };
    let from_readme = |text: &str| check("README.md", text, read);
    let within = |text: &str| {
        check("docs/A.md", text, |path| if path == "docs/A.md" { Some(text.to_owned()) } else { read(path) })
    };

    assert_eq!(from_readme("One\n[two\nlines](docs/B.md)."), ["README.md, line 3: docs/B.md is not there"]);
    assert_eq!(from_readme("[a]: docs/B.md"), ["README.md, line 1: docs/B.md is not there"]);
    assert_eq!(from_readme("[a](docs/A.md#none)"), ["README.md, line 1: docs/A.md#none has no such heading"]);
    assert_eq!(from_readme("[a](docs/A.md#not-one)"), ["README.md, line 1: docs/A.md#not-one has no such heading"]);
    assert_eq!(from_readme("[a](../LICENSE)"), ["README.md, line 1: ../LICENSE is not there"]);
    assert_eq!(within("[a](LICENSE)"), ["docs/A.md, line 1: LICENSE is not there"]);
    assert_eq!(within("# Here\n[a](#there)"), ["docs/A.md, line 2: #there has no such heading"]);

    for good in ["[a](docs/A.md \"title\")", "[`a`](docs/A.md#what-and-why)", "![a](LICENSE)", "[a]: LICENSE"] {
        assert_eq!(from_readme(good), [""; 0], "{good}");
    }
    assert_eq!(from_readme("[a](docs/A.md#twice), [b](docs/A.md#twice-1), [c](https://example.org/none)"), [""; 0]);
    assert_eq!(from_readme("`[a](b)`, ``[a](`b)``\n```\n[a](b)\n```\n"), [""; 0]);
    assert_eq!(within("# Here\n[a](../LICENSE), [b](./A.md#here), [c](#here)"), [""; 0]);
}

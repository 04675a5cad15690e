//! Media items from JSON lines into the store: each line checked by itself, so that a wrong one stops no other.
//!
//! Batches are stored whole, one after the other; what is stored already is passed over, so that an import that ended in the
//! middle is gone on with by running it again. Holds one batch in memory, and what tells families apart.

use anyhow::{Context as _, ensure};
use clock::Clock;
use media::{Families, Item, NumberedItem};
use serde::Serialize;
use std::{
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    time::Instant,
};
use store::{Imported, Store};

/// Items that are stored in one transaction at most.
const BATCH_ITEMS: usize = 100;
/// Bytes of lines that are kept for one transaction, about.
const BATCH_BYTES: usize = 8 << 20;
/// Problems that a report keeps; more are counted.
const PROBLEMS_KEPT: usize = 10_000;

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LineProblem {
    /// The file; `-` for standard input.
    pub(crate) file: String,
    /// From 1.
    pub(crate) line: u64,
    /// Such as `keyword_hits[3].confidence`, where it is one.
    pub(crate) field: Option<String>,
    /// What was expected, and what was there.
    pub(crate) problem: String,
}

impl fmt::Display for LineProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.problem)
    }
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct ImportReport {
    /// Files read.
    pub(crate) files: u64,
    /// Lines that are not empty.
    pub(crate) lines: u64,
    /// Items that are new.
    pub(crate) created: u64,
    /// Items that took the place of other content.
    pub(crate) replaced: u64,
    /// Items that were stored already.
    pub(crate) unchanged: u64,
    /// Lines that were refused.
    pub(crate) refused: u64,
    /// The first of them, with why.
    pub(crate) problems: Vec<LineProblem>,
    /// How long it took, seconds.
    pub(crate) seconds: f64,
}

impl fmt::Display for ImportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.lines as f64 / self.seconds.max(1e-3);
        write!(
            f,
            "{} lines of {} files in {:.1} s ({rate:.0} a second): {} items are new, {} replaced, {} were stored already, {} lines \
             refused",
            self.lines, self.files, self.seconds, self.created, self.replaced, self.unchanged, self.refused
        )
    }
}

/// The files that a path means, in order of their names; `None` stands for standard input.
///
/// # Errors
/// When there is no such file, or none of JSON lines in a directory.
pub(crate) fn sources(path: &Path) -> anyhow::Result<Vec<Option<PathBuf>>> {
    if path == Path::new("-") {
        return Ok(vec![None]);
    }
    let kind = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    if !kind.is_dir() {
        return Ok(vec![Some(path.to_owned())]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))? {
        let file = entry.with_context(|| format!("cannot read {}", path.display()))?.path();
        if file.extension().is_some_and(|end| end == "jsonl" || end == "ndjson") && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    ensure!(!files.is_empty(), "{} has no *.jsonl and no *.ndjson", path.display());
    Ok(files.into_iter().map(Some).collect())
}

/// Told after each batch: all so far, and the problems of this batch.
pub(crate) type OnBatch<'a> = dyn FnMut(&ImportReport, &[LineProblem]) + Send + 'a;

/// An import under way.
pub(crate) struct Import<'a> {
    store: &'a Store,
    clock: &'a dyn Clock,
    /// The longest line, bytes.
    longest: usize,
    families: Families,
    report: ImportReport,
    began: Instant,
}

/// Items read and not yet stored, and problems not yet told.
#[derive(Default)]
struct Batch {
    items: Vec<(i32, Item)>,
    bytes: usize,
    problems: Vec<LineProblem>,
}

impl<'a> Import<'a> {
    pub(crate) fn new(store: &'a Store, clock: &'a dyn Clock, longest: usize) -> Self {
        let (families, report) = (Families::default(), ImportReport::default());
        Self { store, clock, longest, families, report, began: Instant::now() }
    }

    /// What was done.
    pub(crate) fn finish(mut self) -> ImportReport {
        self.report.seconds = self.began.elapsed().as_secs_f64();
        self.report
    }

    /// Imports a file, or standard input.
    ///
    /// # Errors
    /// When it cannot be read, or the database does not answer.
    pub(crate) async fn file(&mut self, path: Option<&Path>, on_batch: &mut OnBatch<'_>) -> anyhow::Result<()> {
        let name = path.map_or_else(|| "-".to_owned(), |path| path.display().to_string());
        let source: Box<dyn Read + Send> = match path {
            None => Box::new(io::stdin()),
            Some(path) => Box::new(File::open(path).with_context(|| format!("cannot read {name}"))?),
        };
        let mut lines = BufReader::with_capacity(1 << 16, source);
        let (mut line, mut number, mut batch) = (Vec::new(), 0_u64, Batch::default());
        loop {
            number += 1;
            let read =
                next_line(&mut lines, &mut line, self.longest).with_context(|| format!("{name}, line {number}"))?;
            let Some(fits) = read else { break };
            let text = line.trim_ascii();
            let text = if number == 1 { text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text) } else { text };
            if text.is_empty() && fits {
                continue;
            }
            self.report.lines += 1;
            let item = if fits {
                parse(text)
            } else {
                let why = format!("it is longer than the {} bytes that http.max_media_kb allows", self.longest);
                Err((None, why))
            };
            match item {
                Ok(item) => {
                    batch.items.push(item);
                    batch.bytes += line.len();
                }
                Err((field, problem)) => {
                    batch.problems.push(LineProblem { file: name.clone(), line: number, field, problem });
                }
            }
            if batch.items.len() + batch.problems.len() >= BATCH_ITEMS || batch.bytes >= BATCH_BYTES {
                self.put(std::mem::take(&mut batch), on_batch).await?;
            }
        }
        self.report.files += 1;
        self.put(batch, on_batch).await
    }

    async fn put(&mut self, batch: Batch, on_batch: &mut OnBatch<'_>) -> anyhow::Result<()> {
        let Batch { items, problems, .. } = batch;
        let now_ms = self.clock.now_ms();
        for imported in self.store.import_media(&mut self.families, items, now_ms).await? {
            *match imported {
                Imported::Created(_) => &mut self.report.created,
                Imported::Replaced(_) => &mut self.report.replaced,
                Imported::Unchanged => &mut self.report.unchanged,
            } += 1;
        }
        self.report.refused += problems.len() as u64;
        let left = PROBLEMS_KEPT.saturating_sub(self.report.problems.len());
        self.report.problems.extend(problems.iter().take(left).cloned());
        on_batch(&self.report, &problems);
        Ok(())
    }
}

/// Reads the next line; whether it fits, and `None` at the end. Of one that is too long nothing is kept.
fn next_line(lines: &mut impl BufRead, line: &mut Vec<u8>, longest: usize) -> io::Result<Option<bool>> {
    line.clear();
    let most = longest as u64 + 1;
    if lines.by_ref().take(most).read_until(b'\n', line)? == 0 {
        return Ok(None);
    }
    if line.len() as u64 <= longest as u64 || line.ends_with(b"\n") {
        return Ok(Some(true));
    }
    loop {
        line.clear();
        if lines.by_ref().take(most).read_until(b'\n', line)? == 0 || line.ends_with(b"\n") {
            line.clear();
            return Ok(Some(false));
        }
    }
}

/// What is wrong with the text of a line, whose number in the file is told beside it.
fn said(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column ", " at column ")
}

/// An item, or the field at fault and what is wrong with it.
fn parse(text: &[u8]) -> Result<(i32, Item), (Option<String>, String)> {
    if !text.starts_with(b"{") {
        return Err((None, "a JSON object is expected".to_owned()));
    }
    let mut reader = serde_json::Deserializer::from_slice(text);
    let read = serde_path_to_error::deserialize::<_, NumberedItem>(&mut reader);
    let numbered = read.map_err(|error| {
        let path = Some(error.path().to_string()).filter(|path| path != ".");
        let said = said(error.inner());
        let named = ["missing field `", "unknown field `"].iter().find_map(|lead| said.split_once(lead));
        let named = named.and_then(|(_, rest)| rest.split_once('`')).map(|(name, _)| name);
        let field = match (path, named) {
            (Some(path), Some(name)) if !path.ends_with(name) => Some(format!("{path}.{name}")),
            (Some(path), _) => Some(path),
            (None, name) => name.map(str::to_owned),
        };
        (field, said.clone())
    })?;
    reader.end().map_err(|error| (None, format!("something stands behind the object: {}", said(&error))))?;
    numbered.checked().map_err(|invalid| (Some(invalid.field), invalid.problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_line_is_told_with_its_field() {
        assert_eq!(parse(br#"{"media_item_id": 7}"#), Ok((7, Item::default())));
        let hit = |confidence: &str| {
            format!(
                r#"{{"media_item_id": 7, "keyword_hits": [{{"keyword": "rsi", "category": "x", "start_time": 0, "end_time": 1, "confidence": {confidence}}}]}}"#
            )
        };
        assert!(parse(hit("0.5").as_bytes()).is_ok());
        for (line, field) in [
            (hit("NaN"), Some("keyword_hits[0].confidence")),
            (hit("1e999"), Some("keyword_hits[0].confidence")),
            (hit("\"1\""), Some("keyword_hits[0].confidence")),
            (hit("1.5"), Some("keyword_hits[0].confidence")),
            (r#"{"media_item_id": 0}"#.to_owned(), Some("media_item_id")),
            (r#"{"media_item_id": "7"}"#.to_owned(), Some("media_item_id")),
            (r#"{"keyword_hits": []}"#.to_owned(), Some("media_item_id")),
            (r#"{"media_item_id": 7, "keywords": []}"#.to_owned(), Some("keywords")),
            (
                r#"{"media_item_id": 7, "transcripts": [{"text": "x", "start_time": 0}]}"#.to_owned(),
                Some("transcripts[0].end_time"),
            ),
            (r#"{"media_item_id": 7, "embeddings": [[1], [1, 2]]}"#.to_owned(), Some("embeddings[1]")),
            (r#"{"media_item_id": 7} {}"#.to_owned(), None),
            ("[7, [], [], []]".to_owned(), None),
            ("nonsense".to_owned(), None),
        ] {
            let (found, problem) = parse(line.as_bytes()).unwrap_err();
            assert_eq!(found.as_deref(), field, "{line}: {problem}");
            assert!(!problem.is_empty() && !problem.contains("line 1"), "{line}: {problem}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_the_next_one_read() {
        let text = b"short\nmuch too long for this\nlast";
        let (mut lines, mut line, mut found) = (BufReader::with_capacity(4, &text[..]), Vec::new(), Vec::new());
        while let Some(fits) = next_line(&mut lines, &mut line, 8).unwrap() {
            found.push((fits, String::from_utf8(line.clone()).unwrap()));
        }
        assert_eq!(found, [(true, "short\n".to_owned()), (false, String::new()), (true, "last".to_owned())]);
    }
}

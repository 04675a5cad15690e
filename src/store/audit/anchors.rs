//! Notes of the audit trail's head in a file outside the database. Verifies nothing: the trail is held against them.
//!
//! One JSON object a line, newest last. Whoever cuts off the end of the trail, or writes all of it anew, would have to
//! change this file as well; keep copies of it elsewhere (the daily summary carries the head, too). With a key of the
//! trail each note is authenticated by it, so that nobody without the key can write one.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Notes that are kept: a year of them at one every nine hours, and more than that of the newest days.
const KEPT: usize = 1_000;

/// The head of the trail at some time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditAnchor {
    /// Number of the last entry.
    pub last_id: u64,
    /// Its hash, hex.
    pub hash: String,
    /// When that was.
    pub at: DateTime<Utc>,
    /// HMAC-SHA-256 of all that with the key of the trail, hex; `None` where there is no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
}

impl AuditAnchor {
    /// What is authenticated.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"sg-ai audit anchor 1\0".to_vec();
        bytes.extend(self.last_id.to_be_bytes());
        bytes.extend(self.at.timestamp_micros().to_be_bytes());
        bytes.extend(self.hash.as_bytes());
        bytes
    }
}

/// The file.
#[derive(Clone, Debug)]
pub struct AnchorFile {
    path: PathBuf,
}

impl AnchorFile {
    /// `audit-anchors.jsonl` in a directory, whether it is there or not.
    #[must_use]
    pub fn in_dir(data_dir: &Path) -> Self {
        Self::at(data_dir.join("audit-anchors.jsonl"))
    }

    /// A file of another name.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All notes, oldest first; none when there is no file.
    ///
    /// # Errors
    /// When it cannot be read, or a line in it (but for one at the end that a crash cut off) is no note.
    pub fn read(&self) -> io::Result<Vec<AuditAnchor>> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        let parse = |(n, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|error| {
                let what = format!("{} line {}: {error}", self.path.display(), n + 1);
                io::Error::new(io::ErrorKind::InvalidData, what)
            })
        };
        whole.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(parse).collect()
    }

    /// Removes what a crash left of a line.
    fn cut_half_line(&self) -> io::Result<()> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            OpenOptions::new().write(true).open(&self.path)?.set_len(whole as u64)?;
        }
        Ok(())
    }

    /// Adds a note ([`crate::Store::anchor`] makes it), unless the newest one says the same; whether it did. On disk when
    /// this returns.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn note(&self, anchor: AuditAnchor) -> io::Result<bool> {
        let mut anchors = self.read()?;
        self.cut_half_line()?;
        let is_same = |a: &AuditAnchor| {
            (a.last_id, &a.hash, a.mac.is_some()) == (anchor.last_id, &anchor.hash, anchor.mac.is_some())
        };
        if anchor.last_id == 0 || anchors.last().is_some_and(is_same) {
            return Ok(false);
        }
        if anchors.len() < 2 * KEPT {
            let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
            // One write: two daemons on one directory do not mix their lines.
            file.write_all(&line(&anchor)?)?;
            file.sync_data()?;
            return Ok(true);
        }
        anchors.push(anchor);
        thin(&mut anchors);
        let unfinished = self.path.with_extension("unfinished");
        let mut file = File::create(&unfinished)?;
        for anchor in &anchors {
            file.write_all(&line(anchor)?)?;
        }
        file.sync_all()?;
        fs::rename(&unfinished, &self.path)?;
        Ok(true)
    }
}

fn line(anchor: &AuditAnchor) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(anchor)?;
    line.push(b'\n');
    Ok(line)
}

/// Leaves the newest notes, and of the older ones every second, so that none of the past is without.
fn thin(anchors: &mut Vec<AuditAnchor>) {
    let old = anchors.len().saturating_sub(KEPT);
    let mut n = 0;
    anchors.retain(|_| {
        n += 1;
        n > old || n % 2 == 1
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchor(n: u64) -> AuditAnchor {
        AuditAnchor { last_id: n, hash: format!("{n:064x}"), at: DateTime::UNIX_EPOCH, mac: None }
    }

    #[test]
    fn heads_are_noted_once_and_come_back_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let file = AnchorFile::in_dir(dir.path());
        assert_eq!(file.read().unwrap(), []);
        let noted: Vec<bool> = [0, 3, 3, 5].map(|n| file.note(anchor(n)).unwrap()).into();
        assert_eq!(noted, [false, true, false, true]);
        // A crash in the middle of a line.
        OpenOptions::new().append(true).open(file.path()).unwrap().write_all(b"{\"last_id\"").unwrap();
        assert_eq!(file.read().unwrap().iter().map(|a| a.last_id).collect::<Vec<_>>(), [3, 5]);
        assert!(file.note(anchor(6)).unwrap());
        assert_eq!(file.read().unwrap().len(), 3);
        // The same head, authenticated.
        assert!(file.note(AuditAnchor { mac: Some("ab".to_owned()), ..anchor(6) }).unwrap());
        assert_eq!(file.read().unwrap().last().unwrap().mac.as_deref(), Some("ab"));
        fs::write(file.path(), "{}\n").unwrap();
        assert!(file.read().unwrap_err().to_string().contains("line 1"));
    }

    #[test]
    fn the_file_does_not_grow_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let file = AnchorFile::in_dir(dir.path());
        let lines: Vec<u8> = (1..=2 * KEPT as u64).flat_map(|n| line(&anchor(n)).unwrap()).collect();
        fs::write(file.path(), lines).unwrap();
        assert!(file.note(anchor(9_999)).unwrap());
        let left = file.read().unwrap();
        assert_eq!(left.len(), 1_501);
        assert_eq!((left[0].last_id, left.last().unwrap().last_id), (1, 9_999));
    }
}

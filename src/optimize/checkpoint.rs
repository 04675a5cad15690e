//! A run as bytes, and back to the bit: a line of JSON, then daily returns and trades as they are in memory, then a digest.
//!
//! Says of what it is a checkpoint: whoever goes on with it compares that with what is asked for. Touches no file.

use super::run::{Evaluated, Run, Settings};
use super::{MAX_RETURNS, Table};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// First bytes; the number is the form's version.
const MAGIC: &[u8] = b"sg-ai optimize 1\n";
const DIGEST_BYTES: usize = 32;

/// Why bytes are no checkpoint that can be gone on with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum CheckpointError {
    #[error("it is no checkpoint of an optimisation that this program reads")]
    NoCheckpoint,
    #[error("it is cut short or damaged: its digest does not fit its content")]
    Damaged,
    #[error(
        "it is a checkpoint of another {what}: it has {found}, and this run has {wanted}; take another file, or remove it to begin anew"
    )]
    Other { what: String, found: String, wanted: String },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    /// What makes a run this run beside its settings: strategy, window, costs, data, ...
    identity: BTreeMap<String, String>,
    settings: Settings,
    evaluated: Vec<Evaluated>,
    days: usize,
    draws: u64,
    generation: u32,
    parents: Vec<u32>,
}

impl Run {
    /// The run as bytes, with what else identifies it, by name.
    #[must_use]
    pub fn to_bytes(&self, identity: &BTreeMap<String, String>) -> Vec<u8> {
        let head = Head {
            identity: identity.clone(),
            settings: self.settings.clone(),
            evaluated: self.evaluated.clone(),
            days: self.table.days,
            draws: self.draws,
            generation: self.generation,
            parents: self.parents.clone(),
        };
        let mut bytes = MAGIC.to_vec();
        let head = serde_json::to_vec(&head).expect("names and finite numbers can be written as JSON");
        bytes.extend((head.len() as u64).to_le_bytes());
        bytes.extend(head);
        bytes.reserve(10 * self.table.returns.len() + DIGEST_BYTES);
        self.table.returns.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        self.table.trades.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        let digest = Sha256::digest(&bytes);
        bytes.extend(digest);
        bytes
    }

    /// The run that [`Run::to_bytes`] wrote for the same identity and settings.
    ///
    /// # Errors
    /// When the bytes are damaged, or of a run with another identity or other settings: the first difference is told.
    pub fn from_bytes(
        bytes: &[u8],
        identity: &BTreeMap<String, String>,
        settings: &Settings,
    ) -> Result<Self, CheckpointError> {
        let content = bytes.strip_prefix(MAGIC).ok_or(CheckpointError::NoCheckpoint)?;
        let end = bytes.len().checked_sub(DIGEST_BYTES).ok_or(CheckpointError::Damaged)?;
        if end < MAGIC.len() || Sha256::digest(&bytes[..end]).as_slice() != &bytes[end..] {
            return Err(CheckpointError::Damaged);
        }
        let content = &content[..end - MAGIC.len()];
        let (length, content) = content.split_first_chunk::<8>().ok_or(CheckpointError::Damaged)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| CheckpointError::Damaged)?;
        let (head, content) = content.split_at_checked(length).ok_or(CheckpointError::Damaged)?;
        let head: Head = serde_json::from_slice(head).map_err(|_| CheckpointError::NoCheckpoint)?;
        differences(&head, identity, settings)?;
        let cells = head.days.checked_mul(head.evaluated.len()).filter(|cells| *cells <= MAX_RETURNS);
        let cells = cells.filter(|cells| content.len() == 10 * cells).ok_or(CheckpointError::Damaged)?;
        let (returns, trades) = content.split_at(8 * cells);
        let table = Table {
            days: head.days,
            returns: returns.as_chunks::<8>().0.iter().map(|chunk| f64::from_le_bytes(*chunk)).collect(),
            trades: trades.as_chunks::<2>().0.iter().map(|chunk| u16::from_le_bytes(*chunk)).collect(),
        };
        Ok(Self {
            settings: head.settings,
            evaluated: head.evaluated,
            table,
            draws: head.draws,
            generation: head.generation,
            parents: head.parents,
        })
    }
}

/// The first thing in which the checkpoint is of another run.
fn differences(head: &Head, identity: &BTreeMap<String, String>, settings: &Settings) -> Result<(), CheckpointError> {
    let other = |what: &str, found: Option<&String>, wanted: Option<&String>| {
        let told = |value: Option<&String>| value.cloned().unwrap_or_else(|| "none".to_owned());
        Err(CheckpointError::Other { what: what.to_owned(), found: told(found), wanted: told(wanted) })
    };
    for name in identity.keys().chain(head.identity.keys()) {
        let (found, wanted) = (head.identity.get(name), identity.get(name));
        if found != wanted {
            return other(name, found, wanted);
        }
    }
    // Field by field, by the names that the settings have as JSON.
    let fields = |settings: &Settings| match serde_json::to_value(settings) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (found, wanted) = (fields(&head.settings), fields(settings));
    for (name, value) in &wanted {
        let there = found.get(name);
        if there != Some(value) {
            let what = if name == "space" { "set of parameters" } else { name };
            return other(what, there.map(ToString::to_string).as_ref(), Some(&value.to_string()));
        }
    }
    Ok(())
}

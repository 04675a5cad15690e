//! Walks as bytes, and back to the bit: a line of JSON, then its digest. Touches no file.

use crate::Walk;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// First bytes; the number is the form's version.
const MAGIC: &[u8] = b"sg-ai book 1\n";
const DIGEST_BYTES: usize = 32;

/// Why bytes are no checkpoint that can be gone on with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum CheckpointError {
    #[error("it is no checkpoint of a book that this program reads")]
    NoCheckpoint,
    #[error("it is cut short or damaged: its digest does not fit its content")]
    Damaged,
    #[error(
        "it is of a walk with another {what}: it has {found}, and this one {wanted}. Another {what} is another hypothesis: \
         take another file, or remove it to begin anew"
    )]
    Other { what: String, found: String, wanted: String },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    identity: BTreeMap<String, String>,
    walks: Vec<Walk>,
}

impl Walk {
    /// Walks of one pipeline as bytes, with what makes them these walks, by name.
    #[must_use]
    pub fn to_bytes(walks: &[Self], identity: &BTreeMap<String, String>) -> Vec<u8> {
        let content = Content { identity: identity.clone(), walks: walks.to_vec() };
        let mut bytes = MAGIC.to_vec();
        bytes.extend(serde_json::to_vec(&content).expect("names and finite numbers can be written as JSON"));
        let digest = Sha256::digest(&bytes);
        bytes.extend(digest);
        bytes
    }

    /// The walks that [`Walk::to_bytes`] wrote with the same identity.
    ///
    /// # Errors
    /// When the bytes are damaged, or of walks with another identity: the first difference is told.
    pub fn from_bytes(bytes: &[u8], identity: &BTreeMap<String, String>) -> Result<Vec<Self>, CheckpointError> {
        if !bytes.starts_with(MAGIC) {
            // What is shorter than it should be may still be the beginning of one.
            let begins = MAGIC.starts_with(bytes);
            return Err(if begins { CheckpointError::Damaged } else { CheckpointError::NoCheckpoint });
        }
        let end = bytes.len().checked_sub(DIGEST_BYTES).ok_or(CheckpointError::Damaged)?;
        if end < MAGIC.len() || Sha256::digest(&bytes[..end]).as_slice() != &bytes[end..] {
            return Err(CheckpointError::Damaged);
        }
        let content = serde_json::from_slice::<Content>(&bytes[MAGIC.len()..end]);
        let content = content.map_err(|_| CheckpointError::NoCheckpoint)?;
        for name in identity.keys().chain(content.identity.keys()) {
            let (found, wanted) = (content.identity.get(name), identity.get(name));
            if found != wanted {
                let told = |value: Option<&String>| value.cloned().unwrap_or_else(|| "none".to_owned());
                return Err(CheckpointError::Other { what: name.clone(), found: told(found), wanted: told(wanted) });
            }
        }
        Ok(content.walks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use genome::random::Seed;

    #[test]
    fn what_is_damaged_or_of_another_walk_is_told() {
        let identity: BTreeMap<String, String> = [("seed".to_owned(), "1".to_owned())].into();
        let walk = Walk::begin(Seed(1), 0, 400 * 86_400_000).unwrap();
        let bytes = Walk::to_bytes(std::slice::from_ref(&walk), &identity);
        assert_eq!(Walk::from_bytes(&bytes, &identity), Ok(vec![walk]));
        for cut in [0, 5, MAGIC.len(), MAGIC.len() + 3, bytes.len() - 1] {
            assert_eq!(Walk::from_bytes(&bytes[..cut], &identity), Err(CheckpointError::Damaged), "{cut}");
        }
        let mut other = bytes.clone();
        other[MAGIC.len() + 4] ^= 1;
        assert_eq!(Walk::from_bytes(&other, &identity), Err(CheckpointError::Damaged));
        assert_eq!(Walk::from_bytes(b"something else", &identity), Err(CheckpointError::NoCheckpoint));
        let two: BTreeMap<String, String> = [("seed".to_owned(), "2".to_owned())].into();
        let error = Walk::from_bytes(&bytes, &two).unwrap_err().to_string();
        assert!(error.contains("another seed: it has 1, and this one 2"), "{error}");
    }
}

//! Identity of strategies: a digest of the canonical text.

use crate::{Ranking, Strategy};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};

/// Prefix of what is hashed; changes whenever the canonical form does.
const VERSION: &str = "sg-ai strategy 1\n";

/// SHA-256 of a strategy's canonical text: one value for all ways to write one strategy. 64 hex digits as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StrategyHash([u8; 32]);

impl StrategyHash {
    /// The hash of a canonical text.
    fn of(text: &str) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(VERSION);
        hasher.update(text);
        Self(hasher.finalize().into())
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 12 hex digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl Strategy {
    /// The strategy's identity. An invalid strategy is hashed as it stands.
    #[must_use]
    pub fn hash(&self) -> StrategyHash {
        let canonical = self.clone().canonical();
        StrategyHash::of(&canonical.as_ref().unwrap_or(self).to_string())
    }
}

impl Ranking {
    /// The strategy's identity. An invalid strategy is hashed as it stands.
    #[must_use]
    pub fn hash(&self) -> StrategyHash {
        let canonical = self.clone().canonical();
        StrategyHash::of(&canonical.as_ref().unwrap_or(self).to_string())
    }
}

impl fmt::Display for StrategyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(64);
        for byte in self.0 {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        f.pad(&text)
    }
}
impl fmt::Debug for StrategyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StrategyHash({self})")
    }
}

/// A text that is no strategy hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a strategy hash is 64 hexadecimal digits")]
pub struct ParseHashError;

impl FromStr for StrategyHash {
    type Err = ParseHashError;
    fn from_str(text: &str) -> Result<Self, ParseHashError> {
        let digits: Vec<u8> =
            text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>().ok_or(ParseHashError)?;
        let (pairs, rest) = digits.as_chunks::<2>();
        let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
        if !rest.is_empty() {
            return Err(ParseHashError);
        }
        bytes.try_into().map(Self).map_err(|_| ParseHashError)
    }
}
impl TryFrom<String> for StrategyHash {
    type Error = ParseHashError;
    fn try_from(text: String) -> Result<Self, ParseHashError> {
        text.parse()
    }
}
impl From<StrategyHash> for String {
    fn from(hash: StrategyHash) -> Self {
        hash.to_string()
    }
}

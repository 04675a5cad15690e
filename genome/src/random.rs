//! Randomness by name: each stream comes from (seed, label), never from the order of first use.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The root of a family of random streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seed(pub u64);

impl Seed {
    fn digest(self, label: &str, index: u64) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(self.0.to_le_bytes());
        hasher.update((label.len() as u64).to_le_bytes());
        hasher.update(label.as_bytes());
        hasher.update(index.to_le_bytes());
        hasher.finalize().into()
    }

    /// The stream named `label` number `index`: always the same for the same three values.
    #[must_use]
    pub fn stream(self, label: &str, index: u64) -> ChaCha8Rng {
        ChaCha8Rng::from_seed(self.digest(label, index))
    }

    /// A seed of its own for a part of the work, named `label` number `index`.
    #[must_use]
    pub fn child(self, label: &str, index: u64) -> Self {
        let digest = self.digest(label, index);
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&digest[..8]);
        Self(u64::from_le_bytes(bytes))
    }
}

//! The audit trail's hashes, computed once more from their description: what an auditor without our program would do.

use sha2::{Digest, Sha256};
use tokio_postgres::Client;

/// An entry as it is stored, without a key, without JSON but the metadata.
pub(crate) struct Entry {
    pub(crate) id: i64,
    /// Microseconds since 1970.
    pub(crate) created_us: i64,
    pub(crate) entity_id: String,
    pub(crate) prev_hash: [u8; 32],
    pub(crate) hash: [u8; 32],
}

pub(crate) const EVENT: &str = "operator_action";
pub(crate) const ENTITY: &str = "made";
pub(crate) const ACTOR: &str = "nobody";
pub(crate) const METADATA: &str = "{}";

impl Entry {
    /// The entry after one with this hash.
    pub(crate) fn after(prev_hash: [u8; 32], id: i64, created_us: i64) -> Self {
        let entity_id = format!("thing {id}");
        let mut hasher = Sha256::new();
        hasher.update(b"sg-ai audit entry 1\0");
        hasher.update(id.to_be_bytes());
        hasher.update(created_us.to_be_bytes());
        // Event, entity type and id, actor, state before and after, metadata, correlation, address, agent, key.
        let texts = [Some(EVENT), Some(ENTITY), Some(&entity_id), Some(ACTOR), None, None, Some(METADATA)];
        for text in texts.into_iter().chain([None; 4]) {
            match text {
                None => hasher.update([0]),
                Some(text) => {
                    hasher.update([1]);
                    hasher.update((text.len() as u64).to_be_bytes());
                    hasher.update(text);
                }
            }
        }
        hasher.update(prev_hash);
        Self { id, created_us, entity_id, prev_hash, hash: hasher.finalize().into() }
    }

    /// A line for COPY into [`COPY`].
    pub(crate) fn line(&self) -> String {
        format!(
            "{}\t{}\t{EVENT}\t{ENTITY}\t{}\t{ACTOR}\t{METADATA}\t\\\\x{}\t\\\\x{}\n",
            self.id,
            chrono::DateTime::from_timestamp_micros(self.created_us).unwrap().to_rfc3339(),
            self.entity_id,
            hex::encode(self.prev_hash),
            hex::encode(self.hash),
        )
    }
}

pub(crate) const COPY: &str = "copy audit_logs (id, created_at, event_type, entity_type, entity_id, actor, metadata,
    prev_hash, hash) from stdin";

/// Stores entries, the times of which are given, as the beginning of the trail, and the head after them.
pub(crate) async fn fill(client: &Client, times_us: impl Iterator<Item = i64>) -> i64 {
    use futures::SinkExt;
    let mut sink = Box::pin(client.copy_in(COPY).await.unwrap());
    let (mut prev, mut id, mut text) = ([0; 32], 0, String::new());
    for created_us in times_us {
        id += 1;
        let entry = Entry::after(prev, id, created_us);
        prev = entry.hash;
        text.push_str(&entry.line());
        if text.len() > 1_000_000 {
            sink.send(bytes::Bytes::from(std::mem::take(&mut text))).await.unwrap();
        }
    }
    sink.send(bytes::Bytes::from(text)).await.unwrap();
    sink.as_mut().finish().await.unwrap();
    let sql = "update audit_head set last_id = $1, last_hash = $2";
    client.execute(sql, &[&id, &prev.as_slice()]).await.unwrap();
    id
}

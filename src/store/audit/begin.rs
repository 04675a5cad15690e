//! Where notes of the trail's head begin: with a key, an entry of the trail says that they are kept at a place, so that a
//! file that goes missing there is missed. Notes nothing itself.

use crate::{AuditAnchor, AuditHead, Store, StoreError, audit};
use chrono::{DateTime, Utc};
use serde_json::json;

/// Why notes begin at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// An operator says so.
    Wanted,
    /// There are notes of a time before the key, against which the trail is held still.
    Older,
    /// There are none.
    Nothing,
}

impl Store {
    /// A note of the head, authenticated where there is a key.
    #[must_use]
    pub fn anchor(&self, head: &AuditHead, at: DateTime<Utc>) -> AuditAnchor {
        let mut anchor = AuditAnchor { last_id: head.last_id, hash: head.hash.clone(), at, mac: None };
        anchor.mac = self.inner.audit_key.mac(&anchor.bytes());
        anchor
    }

    /// Whether the configured key authenticates a note; never without a key.
    #[must_use]
    pub fn authenticates(&self, anchor: &AuditAnchor) -> bool {
        anchor.mac.as_ref().is_some_and(|mac| self.inner.audit_key.proves(&anchor.bytes(), mac))
    }

    /// Whether entries and notes are authenticated with a key.
    #[must_use]
    pub fn has_audit_key(&self) -> bool {
        self.inner.audit_key.id().is_some()
    }

    /// Says in the trail that its head is noted at a place from here on; false where that must not be said by itself:
    /// the trail says so already (and so the notes there have gone), or nothing tells that it is ours.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn begin_anchors(&self, place: &str, why: Beginning, actor: &str) -> Result<bool, StoreError> {
        let key = self.inner.audit_key.id();
        self.transaction("begin_anchors", |tx| async move {
            let tx = &tx;
            let sql = "select h.last_id, e.key_id is not distinct from $1::text and e.id is not null as is_ours,
                    exists (select from audit_logs where entity_type = 'audit_anchors' and entity_id = $2
                        and key_id is not distinct from $1::text) as has_begun,
                    not exists (select from strategies) and not exists (select from search_sessions)
                        and not exists (select from transitions) as is_new
                from audit_head h left join audit_logs e on e.id = h.last_id for update of h";
            let row = tx.row(sql, &[&key, &place]).await?;
            let (last_id, is_ours): (i64, bool) = (row.try_get("last_id")?, row.try_get("is_ours")?);
            let may = match why {
                Beginning::Wanted | Beginning::Older => true,
                Beginning::Nothing if last_id == 0 => row.try_get("is_new")?,
                Beginning::Nothing => is_ours && !row.try_get::<_, bool>("has_begun")?,
            };
            if !may {
                return Ok(false);
            }
            let entry = audit::AuditEntry {
                event: "configuration_changed",
                entity_type: "audit_anchors",
                entity_id: place,
                actor,
                before: None,
                after: None,
                metadata: json!({ "entries_before": last_id, "is_wanted": why == Beginning::Wanted }),
                correlation_id: None,
            };
            audit::append(tx, &self.inner.audit_key, &entry).await?;
            Ok(true)
        })
        .await
    }
}

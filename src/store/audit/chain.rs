//! The audit trail: one chain of hashes over everything that was decided. Appends and verifies; never edits.
//!
//! An entry's hash covers its content and the hash before it: SHA-256, or HMAC-SHA-256 with a key. The
//! JSON is hashed as Postgres prints it, since that is what a verifier reads back.

use crate::{AuditAnchor, Store, StoreError, Tx, row::Named as _, uncount};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Entries read at a time while verifying.
const VERIFY_CHUNK: i64 = 5_000;

/// The key of the chain and its public name.
pub(crate) struct ChainKey(Option<(String, Hmac<Sha256>)>);

impl ChainKey {
    pub(crate) fn new(key: Option<&str>) -> Self {
        Self(key.filter(|key| !key.is_empty()).map(|key| {
            let id = hex::encode(&Sha256::digest(format!("sg-ai audit key {key}"))[..8]);
            let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
            (id, mac)
        }))
    }

    pub(super) fn id(&self) -> Option<&str> {
        self.0.as_ref().map(|(id, _)| id.as_str())
    }

    /// Proof of the key for these bytes, hex; `None` without a key.
    pub(super) fn mac(&self, bytes: &[u8]) -> Option<String> {
        let (_, mac) = self.0.as_ref()?;
        Some(hex::encode(mac.clone().chain_update(bytes).finalize().into_bytes()))
    }

    /// Whether this is the proof of the key for these bytes.
    pub(super) fn proves(&self, bytes: &[u8], shown: &str) -> bool {
        let (Some((_, mac)), Ok(shown)) = (&self.0, hex::decode(shown)) else { return false };
        mac.clone().chain_update(bytes).verify_slice(&shown).is_ok()
    }

    fn hash(&self, content: &[u8], keyed: bool) -> [u8; 32] {
        match &self.0 {
            Some((_, mac)) if keyed => mac.clone().chain_update(content).finalize().into_bytes().into(),
            _ => Sha256::digest(content).into(),
        }
    }
}

/// What to append.
pub(crate) struct AuditEntry<'a> {
    pub(crate) event: &'static str,
    pub(crate) entity_type: &'static str,
    pub(crate) entity_id: &'a str,
    pub(crate) actor: &'a str,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
    pub(crate) metadata: Value,
    pub(crate) correlation_id: Option<Uuid>,
}

/// The end of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditHead {
    /// Number of the last entry; 0 for an empty trail.
    pub last_id: u64,
    /// Its hash, hex.
    pub hash: String,
}

/// The first place where the trail does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditBreak {
    /// Number of the entry.
    pub id: u64,
    /// What is wrong.
    pub problem: String,
}

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// Entries that hold, from the first on.
    pub entries: u64,
    /// Entries before them that went to the archive, as an entry of the trail says.
    pub archived: u64,
    /// Of those that hold, hashed without a key.
    pub unkeyed: u64,
    /// Notes of the head from outside the database that fit.
    pub anchors: u64,
    /// The head as the database has it.
    pub head: AuditHead,
    /// The first bad entry; `None` when the whole chain holds.
    pub first_bad: Option<AuditBreak>,
}

/// Columns whose texts an entry's hash covers, in the order in which it covers them.
const TEXTS: [&str; 11] = [
    "event_type",
    "entity_type",
    "entity_id",
    "actor",
    "before_state",
    "after_state",
    "metadata",
    "correlation_id",
    "ip_hash",
    "user_agent",
    "key_id",
];

/// Everything an entry's hash covers, beside the hash before it.
#[derive(Default)]
struct Content<'a> {
    id: i64,
    created_us: i64,
    texts: [Option<&'a str>; 11],
}

impl Content<'_> {
    /// Lengths before values, so that no two contents have the same bytes.
    fn bytes(&self, prev_hash: &[u8]) -> Vec<u8> {
        let mut bytes = b"sg-ai audit entry 1\0".to_vec();
        bytes.extend(self.id.to_be_bytes());
        bytes.extend(self.created_us.to_be_bytes());
        for text in self.texts {
            match text {
                None => bytes.push(0),
                Some(text) => {
                    bytes.push(1);
                    bytes.extend((text.len() as u64).to_be_bytes());
                    bytes.extend(text.as_bytes());
                }
            }
        }
        bytes.extend(prev_hash);
        bytes
    }
}

/// Appends an entry inside the caller's transaction. Others who append wait until that ends: do it late.
pub(crate) async fn append(tx: &Tx, key: &ChainKey, entry: &AuditEntry<'_>) -> Result<(), StoreError> {
    append_from(tx, key, entry, None).await
}

/// [`append`] for what was asked for from an address, of which a keyed hash is kept.
pub(crate) async fn append_from(
    tx: &Tx,
    key: &ChainKey,
    entry: &AuditEntry<'_>,
    ip_hash: Option<&str>,
) -> Result<(), StoreError> {
    let head = tx
        .row(
            "select last_id, last_hash, clock_timestamp() as created_at, $1::jsonb::text as before_state,
                 $2::jsonb::text as after_state, $3::jsonb::text as metadata
             from audit_head for update",
            &[&entry.before, &entry.after, &entry.metadata],
        )
        .await?;
    let id = head.try_get::<_, i64>("last_id")? + 1;
    let prev_hash: Vec<u8> = head.try_get("last_hash")?;
    let created_at: DateTime<Utc> = head.try_get("created_at")?;
    let (before, after): (Option<&str>, Option<&str>) = (head.try_get("before_state")?, head.try_get("after_state")?);
    let metadata: &str = head.try_get("metadata")?;
    let correlation = entry.correlation_id.map(|id| id.to_string());
    let content = Content {
        id,
        created_us: created_at.timestamp_micros(),
        texts: [
            Some(entry.event),
            Some(entry.entity_type),
            Some(entry.entity_id),
            Some(entry.actor),
            before,
            after,
            Some(metadata),
            correlation.as_deref(),
            ip_hash,
            None,
            key.id(),
        ],
    };
    let hash = key.hash(&content.bytes(&prev_hash), key.id().is_some());
    tx.execute("select ensure_audit_partition($1)", &[&created_at]).await?;
    tx.execute(
        "insert into audit_logs (id, created_at, event_type, entity_type, entity_id, actor, before_state, after_state,
             metadata, correlation_id, key_id, prev_hash, hash, ip_hash)
         values ($1, $2, $3::text::audit_event, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        &[
            &id,
            &created_at,
            &entry.event,
            &entry.entity_type,
            &entry.entity_id,
            &entry.actor,
            &entry.before,
            &entry.after,
            &entry.metadata,
            &entry.correlation_id,
            &key.id(),
            &prev_hash,
            &hash.as_slice(),
            &ip_hash,
        ],
    )
    .await?;
    tx.execute("update audit_head set last_id = $1, last_hash = $2", &[&id, &hash.as_slice()]).await?;
    Ok(())
}

/// Where a verification stands.
struct Verifier<'k> {
    key: &'k ChainKey,
    next_id: i64,
    prev_hash: Vec<u8>,
    unkeyed: u64,
    keyed_seen: bool,
    /// Notes from outside by the number of their entry, those not met yet.
    anchors: BTreeMap<u64, Vec<&'k AuditAnchor>>,
    anchors_met: u64,
    /// Last archived entry and its hash, hex, as entries of the trail say.
    attested: BTreeSet<(i64, String)>,
}

impl Verifier<'_> {
    /// Checks the next entry; what is wrong with it, if anything is.
    fn check(&mut self, row: &tokio_postgres::Row) -> Result<Option<AuditBreak>, StoreError> {
        let id: i64 = row.try_get("id")?;
        let broken = |id: i64, problem: String| Ok(Some(AuditBreak { id: uncount(id), problem }));
        if id > self.next_id {
            return broken(self.next_id, format!("is missing: entry {id} follows {}", self.next_id - 1));
        }
        if id < self.next_id {
            return broken(id, "is there twice".to_owned());
        }
        let created_at: DateTime<Utc> = row.try_get("created_at")?;
        let mut texts = [None; 11];
        for (text, column) in texts.iter_mut().zip(TEXTS) {
            *text = row.try_get(column)?;
        }
        let content = Content { id, created_us: created_at.timestamp_micros(), texts };
        let keyed = texts[10].is_some();
        if keyed && texts[10] != self.key.id() {
            return broken(
                id,
                match self.key.id() {
                    None => "is hashed with a key, and none is configured".to_owned(),
                    Some(_) => "is hashed with another key than the configured one".to_owned(),
                },
            );
        }
        if self.keyed_seen && !keyed {
            return broken(id, "is hashed without the key, though earlier ones have it".to_owned());
        }
        let prev_hash: &[u8] = row.try_get("prev_hash")?;
        let hash: &[u8] = row.try_get("hash")?;
        if prev_hash != self.prev_hash {
            return broken(id, "does not follow the entry before it".to_owned());
        }
        if hash != self.key.hash(&content.bytes(prev_hash), keyed) {
            return broken(id, "was changed: its hash does not fit its content".to_owned());
        }
        for anchor in self.anchors.remove(&uncount(id)).unwrap_or_default() {
            if anchor.hash != hex::encode(hash) {
                return broken(id, format!("is not the entry of that number that was there on {}", anchor.at));
            }
            self.anchors_met += 1;
        }
        if texts[0] == Some("data_changed") {
            let said: Option<ArchivedTrail> = texts[6].and_then(|text| serde_json::from_str(text).ok());
            self.attested.extend(said.map(|said| (said.audit_last_id, said.audit_last_hash)));
        }
        self.keyed_seen |= keyed;
        self.unkeyed += u64::from(!keyed);
        self.next_id += 1;
        self.prev_hash = hash.to_vec();
        Ok(None)
    }
}

/// What an entry says of a part of the trail that went to the archive.
#[derive(Deserialize)]
struct ArchivedTrail {
    audit_last_id: i64,
    audit_last_hash: String,
}

impl Store {
    /// The end of the chain, to be kept outside the database.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn audit_head(&self) -> Result<AuditHead, StoreError> {
        self.transaction("audit_head", |tx| async move { head(&tx).await }).await
    }

    /// Reads the whole trail and names the first entry that was edited, inserted, removed or reordered. With a key, a trail
    /// without any entry that is hashed with it is none of ours.
    ///
    /// # Errors
    /// When the database does not answer; a bad trail is not an error but a report.
    pub async fn verify_audit_chain(&self) -> Result<AuditReport, StoreError> {
        self.verify(&[], false).await
    }

    /// The same, held against notes of the head that were kept outside the database: with them, a tail that was cut off
    /// and a trail that was written anew are seen whatever was done to the tables. With a key, one of them at least must
    /// be authenticated with it, and none may be forged.
    ///
    /// # Errors
    /// As [`Store::verify_audit_chain`].
    pub async fn verify_audit_chain_against(&self, anchors: &[AuditAnchor]) -> Result<AuditReport, StoreError> {
        self.verify(anchors, self.inner.audit_key.id().is_some()).await
    }

    /// `needed`: whether an authenticated anchor has to be among them.
    async fn verify(&self, anchors: &[AuditAnchor], needed: bool) -> Result<AuditReport, StoreError> {
        self.transaction("verify_audit_chain", |tx| async move {
            let tx = &tx;
            // One snapshot: entries that are appended meanwhile are not looked at.
            tx.execute("set transaction isolation level repeatable read, read only", &[]).await?;
            tx.execute("set local statement_timeout = 0", &[]).await?;
            let head = head(tx).await?;
            let base = tx.row("select last_id, last_hash from audit_base", &[]).await?;
            let (base_id, base_hash): (i64, Vec<u8>) = (base.try_get("last_id")?, base.try_get("last_hash")?);
            let archived = (base_id, hex::encode(&base_hash));
            let mut noted: BTreeMap<u64, Vec<&AuditAnchor>> = BTreeMap::new();
            for anchor in anchors.iter().filter(|anchor| anchor.last_id > uncount(base_id)) {
                noted.entry(anchor.last_id).or_default().push(anchor);
            }
            let mut verifier = Verifier {
                key: &self.inner.audit_key,
                next_id: base_id + 1,
                prev_hash: base_hash,
                unkeyed: 0,
                keyed_seen: false,
                anchors: noted,
                anchors_met: 0,
                attested: BTreeSet::new(),
            };
            let key = &self.inner.audit_key;
            let mut first_bad = forged(key, anchors);
            let (mut after_id, mut after_time) = (i64::MIN, DateTime::UNIX_EPOCH);
            'entries: while first_bad.is_none() {
                let rows = tx
                    .rows(
                        "select id, created_at, event_type::text, entity_type, entity_id, actor, before_state::text,
                             after_state::text, metadata::text, correlation_id::text, ip_hash, user_agent, key_id,
                             prev_hash, hash
                         from audit_logs where (id, created_at) > ($1, $2) order by id, created_at limit $3",
                        &[&after_id, &after_time, &VERIFY_CHUNK],
                    )
                    .await?;
                for row in &rows {
                    first_bad = verifier.check(row)?;
                    if first_bad.is_some() {
                        break 'entries;
                    }
                }
                match rows.last() {
                    Some(last) => (after_id, after_time) = (last.try_get("id")?, last.try_get("created_at")?),
                    None => break,
                }
            }
            if first_bad.is_none() {
                first_bad = verifier.end(&head);
            }
            if first_bad.is_none() && base_id > 0 && !verifier.attested.contains(&archived) {
                let problem = "is missing: no entry of the trail says that it and those before it went to the archive";
                first_bad = Some(AuditBreak { id: uncount(base_id), problem: problem.to_owned() });
            }
            if first_bad.is_none() && needed && !anchors.iter().any(|anchor| anchor.mac.is_some()) {
                let problem = "is held by no anchor that the configured key authenticates: the file of anchors is missing, \
                    empty or older than the key; if that is as it should be, `sg-ai audit anchor` begins anew";
                first_bad = Some(AuditBreak { id: head.last_id, problem: problem.to_owned() });
            }
            Ok(AuditReport {
                entries: uncount(verifier.next_id - 1 - base_id),
                archived: uncount(base_id),
                unkeyed: verifier.unkeyed,
                anchors: verifier.anchors_met,
                head,
                first_bad,
            })
        })
        .await
    }
}

impl Verifier<'_> {
    /// What is wrong with the end, after all entries were found good.
    fn end(&self, head: &AuditHead) -> Option<AuditBreak> {
        let last = uncount(self.next_id - 1);
        let cut = |problem: String| Some(AuditBreak { id: last + 1, problem });
        if let Some((id, anchors)) = self.anchors.last_key_value() {
            let at = anchors.first().map(|anchor| anchor.at.to_string()).unwrap_or_default();
            return cut(format!("is missing: the trail is cut off, entry {id} was there on {at}"));
        }
        if head.last_id > last {
            return cut(format!("is missing: the trail is cut off, its head is entry {}", head.last_id));
        }
        if self.key.id().is_some() && !self.keyed_seen {
            return Some(match last {
                0 => AuditBreak {
                    id: 1,
                    problem: "is missing: the trail is empty, and with a key it has a first entry; if the key is new, \
                        `sg-ai audit anchor` begins the trail"
                        .to_owned(),
                },
                _ => AuditBreak {
                    id: last,
                    problem:
                        "is hashed without the configured key, like all before it: anybody could have written them; \
                        if the key is new, `sg-ai audit anchor` goes on with it"
                            .to_owned(),
                },
            });
        }
        let fits = head.last_id == last && head.hash == hex::encode(&self.prev_hash);
        (!fits).then(|| AuditBreak {
            id: last,
            problem: format!("does not fit the head, which is entry {}", head.last_id),
        })
    }
}

/// The first anchor that is not what its place says: with a key, none is without its proof after the first that has one.
fn forged(key: &ChainKey, anchors: &[AuditAnchor]) -> Option<AuditBreak> {
    key.id()?;
    let mut is_authenticated = false;
    for anchor in anchors {
        let problem = match &anchor.mac {
            Some(mac) if key.proves(&anchor.bytes(), mac) => {
                is_authenticated = true;
                continue;
            }
            Some(_) => {
                "has an anchor that the configured key does not authenticate: it was forged, or is another key's"
            }
            None if is_authenticated => {
                "has an anchor without the key's proof after others that have it: it was forged"
            }
            None => continue,
        };
        return Some(AuditBreak { id: anchor.last_id, problem: problem.to_owned() });
    }
    None
}

pub(super) async fn head(tx: &Tx) -> Result<AuditHead, StoreError> {
    let row = tx
        .row_opt("select last_id, last_hash from audit_head", &[])
        .await?
        .ok_or_else(|| StoreError::not_found("audit head", "1"))?;
    Ok(AuditHead { last_id: row.count("last_id")?, hash: hex::encode(row.try_get::<_, &[u8]>("last_hash")?) })
}

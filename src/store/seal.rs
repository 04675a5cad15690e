//! Genomes at rest, sealed with AES-256-GCM where a key is configured. Keeps no key in the database.
//!
//! Each seal has a random 96-bit nonce and is bound to what it is of (associated data), so that no ciphertext can take
//! another's place. Identity, and so every lookup, is the hash of the plain genome, which is stored in the clear.

use super::{Store, StoreError, audit, row::Named as _};
use aes_gcm::{
    Aes256Gcm, Nonce,
    aead::{Aead, Generate, KeyInit, Payload},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use uuid::Uuid;

const NONCE_BYTES: usize = 12;
const KEY_ID_LEN: usize = 16;
const TEXT_PREFIX: &str = "sealed:";
const BYTES_PREFIX: &[u8] = b"sg-ai sealed 1\0";

/// A key and the name by which rows tell which one they need.
struct GenomeKey {
    id: String,
    cipher: Aes256Gcm,
}

impl GenomeKey {
    fn new(secret: &SecretString) -> Result<Self, StoreError> {
        let wrong = || {
            StoreError::Config(
                "a genome key is 32 bytes as 64 hexadecimal digits; make one with: openssl rand -hex 32".to_owned(),
            )
        };
        let bytes = hex::decode(secret.expose_secret().trim()).map_err(|_| wrong())?;
        let cipher = Aes256Gcm::new_from_slice(&bytes).map_err(|_| wrong())?;
        let digest = Sha256::new_with_prefix(b"sg-ai genome key\0").chain_update(&bytes).finalize();
        Ok(Self { id: hex::encode(&digest[..KEY_ID_LEN / 2]), cipher })
    }
}

/// The configured keys: at most one to seal with, and any number that older rows may need.
pub(super) struct Keyring {
    current: Option<GenomeKey>,
    former: Vec<GenomeKey>,
}

/// A sealed text in its parts.
struct Sealed<'a> {
    key: &'a str,
    nonce: Vec<u8>,
    cipher: Vec<u8>,
}

impl Keyring {
    pub(super) fn new(current: Option<&SecretString>, former: &[SecretString]) -> Result<Self, StoreError> {
        Ok(Self {
            current: current.map(GenomeKey::new).transpose()?,
            former: former.iter().map(GenomeKey::new).collect::<Result<_, _>>()?,
        })
    }

    /// Name of the key that seals; `None` when nothing is sealed.
    pub(super) fn current_id(&self) -> Option<&str> {
        self.current.as_ref().map(|key| key.id.as_str())
    }

    /// `None` without a key.
    fn seal(&self, plain: &[u8], what: &str) -> Result<Option<Sealed<'_>>, StoreError> {
        let Some(key) = &self.current else { return Ok(None) };
        let nonce = Nonce::generate();
        let payload = Payload { msg: plain, aad: what.as_bytes() };
        let cipher = key.cipher.encrypt(&nonce, payload);
        let cipher = cipher.map_err(|_| StoreError::Invalid(format!("{what} cannot be sealed: it is too long")))?;
        Ok(Some(Sealed { key: &key.id, nonce: nonce.to_vec(), cipher }))
    }

    fn open(&self, sealed: &Sealed<'_>, what: &str) -> Result<Vec<u8>, StoreError> {
        let key = self.current.iter().chain(&self.former).find(|key| key.id == sealed.key).ok_or_else(|| {
            StoreError::Config(format!(
                "{what} is sealed with the key {}, which is not configured: set store.genome_key or \
                 store.genome_former_keys",
                sealed.key
            ))
        })?;
        let nonce: [u8; NONCE_BYTES] =
            sealed.nonce.as_slice().try_into().map_err(|_| StoreError::decode(format!("{what}: odd nonce")))?;
        let payload = Payload { msg: sealed.cipher.as_slice(), aad: what.as_bytes() };
        key.cipher.decrypt(&Nonce::from(nonce), payload).map_err(|_| {
            StoreError::decode(format!("{what} was changed since it was sealed, or belongs to another row"))
        })
    }

    /// A JSON value as it is stored.
    pub(super) fn seal_json(&self, value: &Value, what: &str) -> Result<Value, StoreError> {
        Ok(match self.seal(value.to_string().as_bytes(), what)? {
            None => value.clone(),
            Some(Sealed { key, nonce, cipher }) => json!({
                "sealed_with": key, "cipher": "AES-256-GCM", "nonce": hex::encode(nonce), "text": hex::encode(cipher),
            }),
        })
    }

    /// A stored JSON value as it was.
    pub(super) fn open_json(&self, value: Value, what: &str) -> Result<Value, StoreError> {
        let Some(key) = value.get("sealed_with").and_then(Value::as_str) else { return Ok(value) };
        let part = |name: &str| {
            let text = value.get(name).and_then(Value::as_str).unwrap_or_default();
            hex::decode(text).map_err(|_| StoreError::decode(format!("{what}: unreadable seal")))
        };
        let plain = self.open(&Sealed { key, nonce: part("nonce")?, cipher: part("text")? }, what)?;
        serde_json::from_slice(&plain).map_err(|error| StoreError::decode(format!("{what}: {error}")))
    }

    /// A text as it is stored.
    pub(super) fn seal_text(&self, text: &str, what: &str) -> Result<String, StoreError> {
        Ok(match self.seal(text.as_bytes(), what)? {
            None => text.to_owned(),
            Some(Sealed { key, nonce, cipher }) => {
                format!("{TEXT_PREFIX}{key}:{}:{}", hex::encode(nonce), hex::encode(cipher))
            }
        })
    }

    /// A stored text as it was.
    pub(super) fn open_text(&self, text: String, what: &str) -> Result<String, StoreError> {
        let Some(sealed) = text.strip_prefix(TEXT_PREFIX) else { return Ok(text) };
        let unreadable = || StoreError::decode(format!("{what}: unreadable seal"));
        let parts: Vec<&str> = sealed.split(':').collect();
        let [key, nonce, cipher] = parts[..] else { return Err(unreadable()) };
        let bytes = |part| hex::decode(part).map_err(|_| unreadable());
        let plain = self.open(&Sealed { key, nonce: bytes(nonce)?, cipher: bytes(cipher)? }, what)?;
        String::from_utf8(plain).map_err(|_| unreadable())
    }

    /// Bytes as they are stored.
    pub(super) fn seal_bytes(&self, bytes: &[u8], what: &str) -> Result<Vec<u8>, StoreError> {
        Ok(match self.seal(bytes, what)? {
            None => bytes.to_vec(),
            Some(Sealed { key, nonce, cipher }) => [BYTES_PREFIX, key.as_bytes(), &nonce, &cipher].concat(),
        })
    }

    /// Stored bytes as they were.
    pub(super) fn open_bytes(&self, bytes: Vec<u8>, what: &str) -> Result<Vec<u8>, StoreError> {
        let Some(sealed) = bytes.strip_prefix(BYTES_PREFIX) else { return Ok(bytes) };
        let unreadable = || StoreError::decode(format!("{what}: unreadable seal"));
        let (key, rest) = sealed.split_at_checked(KEY_ID_LEN).ok_or_else(unreadable)?;
        let (nonce, cipher) = rest.split_at_checked(NONCE_BYTES).ok_or_else(unreadable)?;
        let key = std::str::from_utf8(key).map_err(|_| unreadable())?;
        self.open(&Sealed { key, nonce: nonce.to_vec(), cipher: cipher.to_vec() }, what)
    }
}

/// What the seal of a strategy's genome is bound to.
pub(super) fn genome_of(hash: &str) -> String {
    format!("genome {hash}")
}

/// What the seal of a strategy's canonical text is bound to.
pub(super) fn text_of(hash: &str) -> String {
    format!("text of genome {hash}")
}

/// What the seal of a dead letter's genome is bound to.
pub(super) fn letter_of(subject: &str) -> String {
    format!("genome of dead letter {subject}")
}

/// What the seal of a message is bound to.
pub(super) fn message_of(key: &str, channel: &str) -> String {
    format!("message {key} for {channel}")
}

/// What the seal of a search's state is bound to.
pub(super) fn state_of(session_id: Uuid) -> String {
    format!("state of session {session_id}")
}

/// What the seals of a book's walks and blocks are bound to.
pub(super) fn book_of(id: Uuid) -> String {
    format!("book {id}")
}

/// What the seals of an optimisation are bound to.
pub(super) fn optimization_of(id: Uuid) -> String {
    format!("optimisation {id}")
}

/// What sealing anew did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RotationReport {
    /// The key with which everything is sealed now; `None` when everything is in the clear.
    pub key: Option<String>,
    /// Strategies that were sealed anew.
    pub strategies: u64,
    /// Dead letters that were.
    pub dead_letters: u64,
    /// States of running searches that were.
    pub search_states: u64,
    /// Messages that were, delivered ones included.
    pub messages: u64,
}

impl Store {
    /// How many strategies are sealed with which key; the name of none is `None`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn genome_keys(&self) -> Result<BTreeMap<Option<String>, u64>, StoreError> {
        self.transaction("genome_keys", |tx| async move {
            let sql = "select genome ->> 'sealed_with' as key, count(*) as n from strategies group by 1";
            tx.rows(sql, &[]).await?.iter().map(|row| Ok((row.try_get("key")?, row.count("n")?))).collect()
        })
        .await
    }

    /// Name of the configured key; `None` when nothing is sealed.
    #[must_use]
    pub fn genome_key(&self) -> Option<String> {
        self.inner.keys.current_id().map(ToOwned::to_owned)
    }

    /// Seals everything with the current key (or opens it, when there is none) that is not, `batch` rows a transaction.
    /// Whoever was killed goes on where that was. `progress` is told of the strategies done so far.
    ///
    /// # Errors
    /// When a row needs a key that is not configured, or does not open: rows before it are done, it is left as it was.
    pub async fn rotate_genome_keys(
        &self,
        batch: u32,
        actor: &str,
        mut progress: impl FnMut(u64),
    ) -> Result<RotationReport, StoreError> {
        self.may_seal().await?;
        let mut report = RotationReport { key: self.genome_key(), ..RotationReport::default() };
        let mut after = Some(Uuid::nil());
        while let Some(from) = after {
            let (last, done) = self.reseal_strategies(from, batch).await?;
            report.strategies += done;
            progress(report.strategies);
            after = last;
        }
        (report.dead_letters, report.search_states) = self.reseal_others().await?;
        let mut after = Some(0);
        while let Some(from) = after {
            let (last, done) = self.reseal_messages(from, batch).await?;
            report.messages += done;
            after = last;
        }
        if report != (RotationReport { key: report.key.clone(), ..RotationReport::default() }) {
            let metadata = &json!(report);
            self.transaction("note_rotation", |tx| async move {
                let entry = audit::AuditEntry {
                    event: "configuration_changed",
                    entity_type: "genome_key",
                    entity_id: self.inner.keys.current_id().unwrap_or("none"),
                    actor,
                    before: None,
                    after: None,
                    metadata: metadata.clone(),
                    correlation_id: None,
                };
                audit::append(&tx, &self.inner.audit_key, &entry).await
            })
            .await?;
        }
        Ok(report)
    }

    /// Whether these rights suffice to seal anew; a writer's do not, since who may seal may replace.
    async fn may_seal(&self) -> Result<(), StoreError> {
        self.transaction("may_seal", |tx| async move {
            let sql = "select has_column_privilege('strategies', 'genome', 'update') as may";
            if tx.row(sql, &[]).await?.try_get("may")? {
                return Ok(());
            }
            let text = "to seal anew is for the owner of the tables, not for a writer: give the owner's DATABASE_URL";
            Err(StoreError::Config(text.to_owned()))
        })
        .await
    }

    /// The next strategies that are not sealed with the current key: the last id, if there may be more, and how many.
    async fn reseal_strategies(&self, after: Uuid, batch: u32) -> Result<(Option<Uuid>, u64), StoreError> {
        let keys = &self.inner.keys;
        self.transaction("reseal_strategies", |tx| async move {
            let tx = &tx;
            let sql = "select id, genome_hash, genome, canonical from strategies
                where (genome ->> 'sealed_with') is distinct from $1 and id > $2 order by id limit $3 for update";
            let rows = tx.rows(sql, &[&keys.current_id(), &after, &i64::from(batch.max(1))]).await?;
            for row in &rows {
                let (id, hash): (Uuid, String) = (row.try_get("id")?, row.try_get("genome_hash")?);
                let genome = keys.open_json(row.try_get("genome")?, &genome_of(&hash))?;
                let canonical = keys.open_text(row.try_get("canonical")?, &text_of(&hash))?;
                let genome = keys.seal_json(&genome, &genome_of(&hash))?;
                let canonical = keys.seal_text(&canonical, &text_of(&hash))?;
                let sql = "update strategies set genome = $2, canonical = $3 where id = $1";
                tx.execute(sql, &[&id, &genome, &canonical]).await?;
            }
            let full = rows.len() >= batch.max(1) as usize;
            let last = rows.last().filter(|_| full).map(|row| row.try_get("id")).transpose()?;
            Ok((last, rows.len() as u64))
        })
        .await
    }

    /// The next messages that are not sealed with the current key: the last id, if there may be more, and how many.
    async fn reseal_messages(&self, after: i64, batch: u32) -> Result<(Option<i64>, u64), StoreError> {
        let keys = &self.inner.keys;
        self.transaction("reseal_messages", |tx| async move {
            let tx = &tx;
            let sql = "select id, event_key, channel, payload from outbox
                where (payload ->> 'sealed_with') is distinct from $1 and id > $2 order by id limit $3 for update";
            let rows = tx.rows(sql, &[&keys.current_id(), &after, &i64::from(batch.max(1))]).await?;
            for row in &rows {
                let what = message_of(row.try_get("event_key")?, row.try_get("channel")?);
                let payload = keys.seal_json(&keys.open_json(row.try_get("payload")?, &what)?, &what)?;
                let sql = "update outbox set payload = $2 where id = $1";
                tx.execute(sql, &[&row.try_get::<_, i64>("id")?, &payload]).await?;
            }
            let full = rows.len() >= batch.max(1) as usize;
            let last = rows.last().filter(|_| full).map(|row| row.try_get("id")).transpose()?;
            Ok((last, rows.len() as u64))
        })
        .await
    }

    /// Dead letters and search states: there are few of them, and they go in one transaction each.
    async fn reseal_others(&self) -> Result<(u64, u64), StoreError> {
        let keys = &self.inner.keys;
        let letters = self
            .transaction("reseal_dead_letters", |tx| async move {
                let tx = &tx;
                let sql = "select id, subject, genome from dead_letters
                    where genome is not null and (genome ->> 'sealed_with') is distinct from $1 order by id for update";
                let rows = tx.rows(sql, &[&keys.current_id()]).await?;
                for row in &rows {
                    let what = letter_of(row.try_get("subject")?);
                    let genome = keys.seal_json(&keys.open_json(row.try_get("genome")?, &what)?, &what)?;
                    let sql = "update dead_letters set genome = $2 where id = $1";
                    tx.execute(sql, &[&row.try_get::<_, i64>("id")?, &genome]).await?;
                }
                Ok(rows.len() as u64)
            })
            .await?;
        let states = self
            .transaction("reseal_search_states", |tx| async move {
                let tx = &tx;
                let mut done = 0;
                for row in tx.rows("select session_id, state from search_states for update", &[]).await? {
                    let (id, stored): (Uuid, Vec<u8>) = (row.try_get("session_id")?, row.try_get("state")?);
                    let sealed = stored.strip_prefix(BYTES_PREFIX).and_then(|rest| rest.get(..KEY_ID_LEN));
                    if sealed == keys.current_id().map(str::as_bytes) {
                        continue;
                    }
                    let what = state_of(id);
                    let state = keys.seal_bytes(&keys.open_bytes(stored, &what)?, &what)?;
                    tx.execute("update search_states set state = $2 where session_id = $1", &[&id, &state]).await?;
                    done += 1;
                }
                Ok(done)
            })
            .await?;
        self.transaction("reseal_untested", |tx| async move {
            let tx = &tx;
            let sql = "select session_id, rank, genome_hash, genome from untested_candidates
                where (genome ->> 'sealed_with') is distinct from $1 order by session_id, rank for update";
            for row in tx.rows(sql, &[&keys.current_id()]).await? {
                let what = genome_of(row.try_get("genome_hash")?);
                let genome = keys.seal_json(&keys.open_json(row.try_get("genome")?, &what)?, &what)?;
                let key: (Uuid, i32) = (row.try_get("session_id")?, row.try_get("rank")?);
                let sql = "update untested_candidates set genome = $3 where session_id = $1 and rank = $2";
                tx.execute(sql, &[&key.0, &key.1, &genome]).await?;
            }
            Ok(())
        })
        .await?;
        self.transaction("reseal_optimizations", |tx| async move {
            let tx = &tx;
            let sql = "select id, canonical, settings, report from optimizations
                where (settings ->> 'sealed_with') is distinct from $1
                    or report is not null and (report ->> 'sealed_with') is distinct from $1 order by id for update";
            for row in tx.rows(sql, &[&keys.current_id()]).await? {
                let id: Uuid = row.try_get("id")?;
                let what = optimization_of(id);
                let anew = |value: Value| keys.seal_json(&keys.open_json(value, &what)?, &what);
                let canonical = keys.seal_text(&keys.open_text(row.try_get("canonical")?, &what)?, &what)?;
                let report = row.try_get::<_, Option<Value>>("report")?.map(anew).transpose()?;
                let sql = "update optimizations set canonical = $2, settings = $3, report = $4 where id = $1";
                tx.execute(sql, &[&id, &canonical, &anew(row.try_get("settings")?)?, &report]).await?;
            }
            Ok(())
        })
        .await?;
        self.reseal_books().await?;
        Ok((letters, states))
    }

    async fn reseal_books(&self) -> Result<(), StoreError> {
        let keys = &self.inner.keys;
        self.transaction("reseal_books", |tx| async move {
            let tx = &tx;
            for row in tx.rows("select id, walks from books order by id for update", &[]).await? {
                let id: Uuid = row.try_get("id")?;
                let what = book_of(id);
                let walks = keys.seal_text(&keys.open_text(row.try_get("walks")?, &what)?, &what)?;
                tx.execute("update books set walks = $2 where id = $1", &[&id, &walks]).await?;
            }
            let sql = "select book_id, is_placebo, begin_ms, body from book_blocks
                where (body ->> 'sealed_with') is distinct from $1 order by book_id, is_placebo, begin_ms for update";
            for row in tx.rows(sql, &[&keys.current_id()]).await? {
                let key: (Uuid, bool, i64) =
                    (row.try_get("book_id")?, row.try_get("is_placebo")?, row.try_get("begin_ms")?);
                let what = book_of(key.0);
                let body = keys.seal_json(&keys.open_json(row.try_get("body")?, &what)?, &what)?;
                let sql = "update book_blocks set body = $4
                    where book_id = $1 and is_placebo = $2 and begin_ms = $3";
                tx.execute(sql, &[&key.0, &key.1, &key.2, &body]).await?;
            }
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(current: Option<u8>, former: &[u8]) -> Keyring {
        let key = |n: &u8| SecretString::from(hex::encode([*n; 32]));
        Keyring::new(current.as_ref().map(key).as_ref(), &former.iter().map(key).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_and_only_as_what_it_was() {
        let (keys, value) = (ring(Some(1), &[]), json!({ "n": 0.1 }));
        let sealed = keys.seal_json(&value, "a").unwrap();
        assert_ne!(sealed, keys.seal_json(&value, "a").unwrap(), "another nonce each time");
        assert!(!sealed.to_string().contains("\"n\""), "{sealed}");
        assert_eq!(keys.open_json(sealed.clone(), "a").unwrap(), value);
        assert_eq!(ring(Some(2), &[1]).open_json(sealed.clone(), "a").unwrap(), value);
        let other = keys.open_json(sealed.clone(), "b").unwrap_err().to_string();
        assert!(other.contains("another row"), "{other}");
        let unknown = ring(Some(2), &[]).open_json(sealed.clone(), "a").unwrap_err().to_string();
        assert!(unknown.contains(keys.current_id().unwrap()) && unknown.contains("genome_former_keys"), "{unknown}");
        let mut changed = sealed;
        let text = changed["text"].as_str().unwrap();
        let digit = if text.ends_with('0') { "1" } else { "0" };
        changed["text"] = format!("{}{digit}", &text[..text.len() - 1]).into();
        assert!(keys.open_json(changed, "a").unwrap_err().to_string().contains("was changed"));
    }

    #[test]
    fn texts_and_bytes_come_back_and_plain_ones_stay() {
        let (keys, none) = (ring(Some(1), &[]), ring(None, &[1]));
        let (text, bytes) = (keys.seal_text("naïve", "a").unwrap(), keys.seal_bytes(&[0, 255, 7], "a").unwrap());
        assert!(text.starts_with("sealed:") && !bytes.ends_with(&[0, 255, 7]));
        assert_eq!(
            (none.open_text(text.clone(), "a").unwrap(), none.open_bytes(bytes.clone(), "a").unwrap()),
            ("naïve".to_owned(), vec![0, 255, 7])
        );
        assert!(none.open_text(text, "b").is_err() && none.open_bytes(bytes[..40].to_vec(), "a").is_err());
        assert_eq!(none.seal_text("x", "a").unwrap(), "x");
        assert_eq!(keys.open_text("long entry close > 1".to_owned(), "a").unwrap(), "long entry close > 1");
    }

    #[test]
    fn a_key_is_32_bytes_in_hex() {
        for odd in ["", "secret", "00", &"zz".repeat(32), &"00".repeat(31)] {
            let error = Keyring::new(Some(&SecretString::from(odd)), &[]).err().unwrap().to_string();
            assert!(error.contains("openssl rand -hex 32"), "{error}");
        }
    }
}

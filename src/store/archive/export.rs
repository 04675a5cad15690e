//! Tables as lines of JSON, for those who work with the figures elsewhere; pseudonymised, if so asked. Writes no file.
//!
//! A pseudonym is a keyed hash (HMAC-SHA-256): the same thing has the same one in all tables of an export, so that they
//! join, and nobody without the key finds the thing again. What tells of people or of rules is left out: genomes, texts
//! that people wrote, addresses, hosts.

use crate::{Store, StoreError};
use futures::TryStreamExt;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

/// Tables that can be exported, and the order of their rows.
pub const EXPORTED: [(&str, &str); 19] = [
    ("strategies", "id"),
    ("strategy_stats", "id"),
    ("strategy_scores", "id"),
    ("transitions", "seq"),
    ("deployments", "id"),
    ("performance_metrics", "deployment_id, day"),
    ("drift_alerts", "id"),
    ("market_regimes", "id"),
    ("paper_runs", "id"),
    ("paper_trades", "id"),
    ("backtest_results", "id"),
    ("backtest_runs", "id"),
    ("walk_forward_windows", "run_id, index"),
    ("backtest_trades", "run_id, seq"),
    ("optimization_runs", "id"),
    ("search_sessions", "id"),
    ("generations", "session_id, number"),
    ("trial_ledger", "session_id"),
    ("audit_logs", "id"),
];

/// Left out whole: rules, what people wrote, where they were, keys.
const DROPPED: &[&str] = &[
    "genome",
    "canonical",
    "summary",
    "reason",
    "why",
    "error",
    "error_message",
    "action_taken",
    "ip_hash",
    "user_agent",
    "key_id",
    "prev_hash",
    "hash",
    "before_state",
    "after_state",
    "metadata",
    "decision",
    "evidence",
    "warnings",
    "detail",
];
/// Names of people, strategies and processes.
const NAMES: &[&str] = &["name", "actor", "created_by", "promoted_by", "acknowledged_by", "holder", "island"];

/// Makes pseudonyms.
pub struct Pseudonyms(Hmac<Sha256>);

impl Pseudonyms {
    /// With a key: the same key gives the same pseudonyms in every export.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"))
    }

    fn of(&self, text: &str) -> String {
        hex::encode(&self.0.clone().chain_update(text.to_ascii_lowercase()).finalize().into_bytes()[..16])
    }

    /// A row without what tells of people or rules.
    fn row(&self, row: &mut Value) {
        let Some(columns) = row.as_object_mut() else { return };
        columns.retain(|name, _| !DROPPED.contains(&name.as_str()));
        for (name, value) in columns {
            if NAMES.contains(&name.as_str()) {
                if let Some(text) = value.as_str() {
                    // What sort of actor it was, but not who.
                    let sort = text.split_once(' ').map(|(sort, _)| format!("{sort} ")).filter(|_| name == "actor");
                    *value = format!("{}{}", sort.unwrap_or_default(), self.of(text)).into();
                }
            } else {
                self.texts(value);
            }
        }
    }

    /// Ids and hashes wherever they are within texts.
    fn texts(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Some(other) = self.text(text) {
                    *text = other;
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.texts(value)),
            Value::Object(map) => map.values_mut().for_each(|value| self.texts(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// The text with a pseudonym for each UUID and each SHA-256 in it; `None` when there is none.
    fn text(&self, text: &str) -> Option<String> {
        let is_word = |c: char| c.is_ascii_hexdigit() || c == '-';
        let (mut out, mut changed, mut rest) = (String::new(), false, text);
        while let Some(start) = rest.find(is_word) {
            let length = rest[start..].find(|c| !is_word(c)).unwrap_or(rest.len() - start);
            let word = &rest[start..start + length];
            out.push_str(&rest[..start]);
            let is_uuid = word.len() == 36 && uuid::Uuid::parse_str(word).is_ok();
            let is_hash = word.len() == 64 && !word.contains('-');
            if is_uuid || is_hash {
                out.push_str(&self.of(word));
                changed = true;
            } else {
                out.push_str(word);
            }
            rest = &rest[start + length..];
        }
        out.push_str(rest);
        changed.then_some(out)
    }
}

impl Store {
    /// The rows of a table as JSON, a line each, handed to `line`; how many they were.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a table that is not exported; what `line` says.
    pub async fn export(
        &self,
        table: &str,
        pseudonyms: Option<&Pseudonyms>,
        line: impl Fn(&str) -> Result<(), String> + Send + Sync,
    ) -> Result<u64, StoreError> {
        let known = EXPORTED.iter().find(|(name, _)| *name == table);
        let (name, order) = known.ok_or_else(|| StoreError::Invalid(format!("table {table:?} is not exported")))?;
        let (sql, line) = (&format!("select to_jsonb(t) as line from {name} t order by {order}"), &line);
        // By hand: what was handed out cannot be handed out again, so nothing is tried twice.
        self.once("export", |tx| async move {
            tx.execute("set transaction isolation level repeatable read, read only", &[]).await?;
            tx.execute("set local statement_timeout = 0", &[]).await?;
            let mut rows = Box::pin(tx.stream(sql, &[]).await?);
            let mut count = 0;
            while let Some(row) = rows.try_next().await? {
                let mut row: Value = row.try_get("line")?;
                if let Some(pseudonyms) = pseudonyms {
                    pseudonyms.row(&mut row);
                }
                line(&row.to_string()).map_err(StoreError::Invalid)?;
                count += 1;
            }
            Ok(count)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_same_thing_has_the_same_pseudonym_wherever_it_is() {
        let (id, hash) = ("0191d1f0-0000-7000-8000-0000000000aa", "ab".repeat(32));
        let make = |key: &[u8]| {
            let mut row = json!({
                "id": id, "backtest_id": format!("{id}:holdout"), "parent_hashes": [hash], "name": "trend-ab12",
                "actor": "operator ann", "genome": {"x": 1}, "summary": "Ann said so", "sharpe": 1.5, "created_at": "2024-01-01T00:00:00+00:00",
            });
            Pseudonyms::new(key).row(&mut row);
            row
        };
        let row = make(b"key");
        let pseudonym = row["id"].as_str().unwrap();
        assert_eq!(pseudonym.len(), 32);
        assert_eq!(row["backtest_id"], format!("{pseudonym}:holdout"));
        assert_eq!((&row["sharpe"], &row["created_at"]), (&json!(1.5), &json!("2024-01-01T00:00:00+00:00")));
        assert!(
            row["actor"].as_str().unwrap().starts_with("operator ")
                && row["parent_hashes"][0].as_str().unwrap().len() == 32
        );
        let text = row.to_string();
        for told in [id, hash.as_str(), "trend", "ann", "Ann", "genome"] {
            assert!(!text.contains(told), "{told}: {text}");
        }
        assert_eq!(row, make(b"key"));
        assert_ne!(row["id"], make(b"another key")["id"]);
    }
}

//! The account of tests as it is stored, and which strategies were tested. Spends nothing itself.

use crate::{Store, StoreError, Strategy, Tx, row::Named as _, strategies::strategy};
use ::protocol::{Account, ProtocolConfig, TestStatus, YEAR_MS};
use std::collections::BTreeMap;
use tokio_postgres::Row;

/// The account as it was stored, with what it earned until `now_ms`; a full one where none was stored.
pub(super) fn account(balance: Option<f64>, at_ms: Option<i64>, config: &ProtocolConfig, now_ms: i64) -> Account {
    let stored = balance.zip(at_ms).map(|(balance, at_ms)| Account { balance, at_ms });
    stored.map_or_else(|| Account::open(config, now_ms), |account| account.at(config, now_ms))
}

pub(super) async fn status(tx: &Tx) -> Result<Option<TestStatus>, StoreError> {
    let sql = "select test_balance, test_at_market_ms, false_promotions_per_year from online_procedure
        where test_balance is not null";
    let Some(row) = tx.row_opt(sql, &[]).await? else { return Ok(None) };
    let account = Account { balance: row.try_get("test_balance")?, at_ms: row.try_get("test_at_market_ms")? };
    let config = ProtocolConfig {
        false_promotions_per_year: row.try_get("false_promotions_per_year")?,
        ..ProtocolConfig::default()
    };
    let sql = "select count(*) as tests, coalesce(sum((c -> 1 -> 'Ok' ->> 'level')::double precision), 0) as spent
        from protocol_sessions p, jsonb_array_elements(p.detail -> 'choices') c
        where not p.placebo and p.at_market_ms > $1 and p.at_market_ms <= $2 and c -> 1 ? 'Ok'";
    let row = tx.row(sql, &[&(account.at_ms - YEAR_MS), &account.at_ms]).await?;
    Ok(Some(TestStatus::of(account, &config, (row.count("tests")?, row.try_get("spent")?))))
}

impl Store {
    /// What the placebo island's tests are bought from at `at_ms`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn placebo_account(&self, config: &ProtocolConfig, at_ms: i64) -> Result<Account, StoreError> {
        self.transaction("placebo_account", |tx| async move {
            let row = tx.row("select placebo_balance, placebo_at_market_ms from online_procedure", &[]).await?;
            Ok(account(row.try_get("placebo_balance")?, row.try_get("placebo_at_market_ms")?, config, at_ms))
        })
        .await
    }

    /// What tests cost now and what was spent, as of the last session; `None` before the first one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn test_status(&self) -> Result<Option<TestStatus>, StoreError> {
        self.transaction("test_status", |tx| async move { status(&tx).await }).await
    }

    /// Strategies that sessions tested which ended after `since_ms` of market time.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn tested_strategies(&self, since_ms: i64) -> Result<Vec<Strategy>, StoreError> {
        self.transaction("tested_strategies", |tx| async move {
            let tx = &tx;
            let columns = strategy::COLUMNS;
            let sql = format!(
                "select {columns} from strategies s join strategy_standings t on t.strategy_id = s.id
                    join protocol_sessions p on p.session_id = t.session_id and not p.placebo
                where p.at_market_ms > $1 order by s.id"
            );
            tx.rows(&sql, &[&since_ms]).await?.iter().map(|row| strategy::read(tx, row)).collect()
        })
        .await
    }

    /// Of these genome hashes those that are strategies already, with their names: a session leaves them alone. What a
    /// client posted and nobody judged is not among them: a session takes it over.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn known_genomes(&self, hashes: &[String]) -> Result<BTreeMap<String, String>, StoreError> {
        self.transaction("known_genomes", |tx| async move {
            let sql = "select genome_hash, name from strategies
                where genome_hash = any($1) and not (type = 'service' and state = 'candidate')";
            let read = |row: &Row| Ok((row.try_get("genome_hash")?, row.try_get("name")?));
            tx.rows(sql, &[&hashes]).await?.iter().map(read).collect()
        })
        .await
    }

    /// The latest beginning of a hold-out that a session has had, UTC ms; `None` before the first one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn newest_split_ms(&self) -> Result<Option<i64>, StoreError> {
        self.transaction("newest_split", |tx| async move {
            let sql = "select max(e.holdout_from_ms) as split from search_sessions e
                join protocol_sessions p on p.session_id = e.id and not p.placebo";
            Ok(tx.row(sql, &[]).await?.try_get("split")?)
        })
        .await
    }
}

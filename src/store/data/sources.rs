//! Where the candles came from that results rest on. Fetches none.

use crate::{Store, StoreError, Tx};

/// Characters of a source that are kept.
const MAX_SOURCE: usize = 500;

impl Store {
    /// Notes that candles of this source are worked with from now on; `simulated` where no real market is behind it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn note_market_source(&self, source: &str, simulated: bool) -> Result<(), StoreError> {
        let source: &String = &source.chars().take(MAX_SOURCE).collect();
        self.transaction("note_market_source", |tx| async move {
            let sql = "insert into market_sources (source, simulated) values ($1, $2)
                on conflict (source) do update set simulated = excluded.simulated or market_sources.simulated";
            tx.execute(sql, &[source, &simulated]).await.map(drop)
        })
        .await
    }

    /// Whether anything in this database may rest on a simulated market.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn is_simulated(&self) -> Result<bool, StoreError> {
        self.transaction("is_simulated", |tx| async move { simulated(&tx).await }).await
    }
}

/// Whether anything may rest on a simulated market.
pub(crate) async fn simulated(tx: &Tx) -> Result<bool, StoreError> {
    let sql = "select exists (select from market_sources where simulated) as simulated";
    Ok(tx.row(sql, &[]).await?.try_get("simulated")?)
}

//! Strategies proposed of media items, what was said of them, and the trial that each family counts as. Judges nothing.

use crate::{Store, StoreError, row::Named as _, strategies};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio_postgres::Row;
use uuid::Uuid;

/// What a proposal was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProposalKind {
    /// The features that existing clients know.
    Features,
    /// The phrases of the lexicon.
    Lexicon,
}

crate::names::names!(ProposalKind, "kind of proposal", Features = "features", Lexicon = "lexicon");

/// That strategies were proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposed {
    /// Number of each proposal, in order.
    pub ids: Vec<i64>,
    /// Whether this is the first of its family: it counts as a trial.
    pub is_trial: bool,
}

/// A strategy that was proposed of an item.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct MediaStrategy {
    pub id: i64,
    pub kind: ProposalKind,
    /// Whether the item has still the content that it was proposed from.
    pub is_current: bool,
    /// `None` once it has left.
    pub strategy: Option<crate::Strategy>,
    pub backtest_id: Option<i64>,
    /// `promoted`, `not_promoted`; `None` until a backtest was judged.
    pub status: Option<String>,
    pub reason: Option<String>,
    pub created_at: DateTime<Utc>,
}

impl Store {
    /// Notes that these strategies were proposed of an item with this content, before anything is known of how they do.
    /// The first time that is so of a family counts as a trial, for ever.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such item.
    pub async fn propose_media(
        &self,
        media_item_id: i32,
        digest: &str,
        strategies: &[(ProposalKind, Uuid)],
    ) -> Result<Proposed, StoreError> {
        self.transaction("propose_media", |tx| async move {
            let tx = &tx;
            let family = "select family_id from media_items where id = $1";
            let row = tx.row_opt(family, &[&media_item_id]).await?;
            let row = row.ok_or_else(|| StoreError::not_found("media item", media_item_id))?;
            let family: i64 = row.try_get("family_id")?;
            let tried = "update media_families set tried_at = now() where id = $1 and tried_at is null";
            let is_trial = tx.execute(tried, &[&family]).await? == 1;
            let mut ids = Vec::with_capacity(strategies.len());
            for (kind, strategy) in strategies {
                let sql = "insert into media_strategies (media_item_id, digest, kind, strategy_id)
                    values ($1, $2, $3, $4) returning id";
                let row = tx.row(sql, &[&media_item_id, &digest, &kind.name(), strategy]).await?;
                ids.push(row.try_get("id")?);
            }
            Ok(Proposed { ids, is_trial })
        })
        .await
    }

    /// Stores what clients' limits say of a proposal's backtest.
    ///
    /// # Errors
    /// When the database does not answer or refuses it.
    pub async fn judge_media(&self, id: i64, backtest_id: i64, status: &str, reason: &str) -> Result<(), StoreError> {
        self.transaction("judge_media", |tx| async move {
            let sql = "update media_strategies set backtest_id = $2, status = $3, reason = $4 where id = $1";
            tx.execute(sql, &[&id, &backtest_id, &status, &reason]).await.map(drop)
        })
        .await
    }

    /// The strategies that were proposed of an item, newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn media_strategies(&self, media_item_id: i32, limit: u32) -> Result<Vec<MediaStrategy>, StoreError> {
        self.transaction("media_strategies", |tx| async move {
            let tx = &tx;
            let sql = format!(
                "select p.id as proposal_id, p.kind, p.digest = m.digest as is_current, p.backtest_id, p.status, p.reason,
                     p.created_at as proposed_at, p.strategy_id, {}
                 from media_strategies p join media_items m on m.id = p.media_item_id
                 left join strategies s on s.id = p.strategy_id
                 where p.media_item_id = $1 order by p.id desc limit $2",
                strategies::COLUMNS
            );
            let one = |row: &Row| {
                let stored: Option<Uuid> = row.try_get("strategy_id")?;
                Ok(MediaStrategy {
                    id: row.try_get("proposal_id")?,
                    kind: row.parse("kind")?,
                    is_current: row.try_get("is_current")?,
                    strategy: stored.map(|_| strategies::read(tx, row)).transpose()?,
                    backtest_id: row.try_get("backtest_id")?,
                    status: row.try_get("status")?,
                    reason: row.try_get("reason")?,
                    created_at: row.try_get("proposed_at")?,
                })
            };
            tx.rows(&sql, &[&media_item_id, &i64::from(limit)]).await?.iter().map(one).collect()
        })
        .await
    }
}

//! Ancestors of strategies, as far as they are stored. Changes nothing.

use crate::{Store, StoreError, row::Named as _};
use lifecycle::State;
use serde::Serialize;
use uuid::Uuid;

/// An ancestor.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Lineage {
    /// 1 for a parent, 2 for its parents, ...
    pub depth: u32,
    pub id: Uuid,
    /// A number that clients hold on to.
    pub number: i64,
    pub name: String,
    pub genome_hash: String,
    /// Parents that are stored.
    pub parent_ids: Vec<Uuid>,
    pub generation: u32,
    pub state: State,
}

impl Store {
    /// Stored ancestors up to `depth` steps back, nearest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn lineage(&self, id: Uuid, depth: u32) -> Result<Vec<Lineage>, StoreError> {
        let depth = i32::try_from(depth).unwrap_or(i32::MAX);
        self.transaction("lineage", |tx| async move {
            let tx = &tx;
            let sql = "with recursive line (depth, id) as (
                    select 1, unnest(parent_ids) from strategies where id = $1
                    union
                    select l.depth + 1, unnest(s.parent_ids) from line l join strategies s on s.id = l.id
                    where l.depth < $2
                )
                select min(l.depth) as depth, s.id, s.name, s.genome_hash, s.generation, s.state, s.number, s.parent_ids
                from line l join strategies s on s.id = l.id where l.depth <= $2
                group by s.id order by 1, s.created_at, s.id";
            tx.rows(sql, &[&id, &depth])
                .await?
                .iter()
                .map(|row| {
                    Ok(Lineage {
                        depth: row.small("depth")?,
                        id: row.try_get("id")?,
                        name: row.try_get("name")?,
                        genome_hash: row.try_get("genome_hash")?,
                        generation: row.small("generation")?,
                        state: row.parse("state")?,
                        number: row.try_get("number")?,
                        parent_ids: row.try_get("parent_ids")?,
                    })
                })
                .collect()
        })
        .await
    }
}

//! What a strategy that is stored is called, and its version: names are unique among strategies that are not disabled,
//! versions rise with those of the stored parents.
//!
//! Whoever looks for a free name holds the head of the audit trail, which every writer of names appends to: nobody takes
//! the name meanwhile, and nobody waits for anybody in a circle.

use super::NewStrategy;
use crate::{StoreError, Tx, row::Named as _};
use lifecycle::{State, Version};

/// Holds names as they are until the transaction ends.
async fn hold(tx: &Tx) -> Result<(), StoreError> {
    tx.execute("select from audit_head for update", &[]).await.map(drop)
}

/// The name that a new strategy is stored under: its own, or one with a number where nobody chose that.
///
/// # Errors
/// [`StoreError::NameTaken`] where somebody chose a name that another strategy has.
pub(crate) async fn free_name(tx: &Tx, new: &NewStrategy) -> Result<String, StoreError> {
    hold(tx).await?;
    if new.name_is_chosen {
        let sql = "select number, state from strategies
            where name = $1 and state <> 'disabled' and genome_hash <> $2";
        let Some(row) = tx.row_opt(sql, &[&new.name, &new.genome_hash]).await? else { return Ok(new.name.clone()) };
        let (number, state) = (row.try_get("number")?, row.parse::<State>("state")?);
        return Err(StoreError::NameTaken { name: new.name.clone(), number, state });
    }
    let row = tx.row("select free_strategy_name($1, $2) as name", &[&new.name, &new.genome_hash]).await?;
    Ok(row.try_get("name")?)
}

/// The name with a number under which a disabled strategy comes back, where another one has its own by now.
pub(crate) async fn name_on_revival(tx: &Tx, id: uuid::Uuid) -> Result<Option<String>, StoreError> {
    hold(tx).await?;
    let sql = "select name, free_strategy_name(name, genome_hash) as free from strategies where id = $1";
    let row = tx.row(sql, &[&id]).await?;
    let (name, free): (String, String) = (row.try_get("name")?, row.try_get("free")?);
    Ok(Some(free).filter(|free| *free != name))
}

/// What a stored strategy is called.
pub(crate) async fn name_of(tx: &Tx, id: uuid::Uuid) -> Result<String, StoreError> {
    let row = tx.row_opt("select name from strategies where id = $1", &[&id]).await?;
    Ok(row.ok_or_else(|| StoreError::not_found("strategy", id))?.try_get("name")?)
}

/// The version of a new strategy. A parent whose version was written by hand and does not read counts as not stored.
pub(crate) async fn version(tx: &Tx, new: &NewStrategy) -> Result<String, StoreError> {
    let sql = "select version from strategies where genome_hash = any($1)";
    let mut parents = Vec::new();
    for row in tx.rows(sql, &[&new.parent_hashes]).await? {
        parents.extend(row.try_get::<_, &str>("version")?.parse::<Version>().ok());
    }
    Ok(Version::of_child(parents, new.step).to_string())
}

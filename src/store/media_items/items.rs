//! Media items with their features, in families of near-duplicates. An item is stored once by its content.

use crate::{Page, Store, StoreError, Tx, row::Named as _, transaction::Params};
use chrono::{DateTime, Utc};
use media::{Families, FamilyChoice, Features, Item, Signature};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use tokio_postgres::{Row, types::Json};

/// Advisory lock of whoever adds items: families are begun one after the other. "sg-ai fa" as bytes.
const FAMILY_LOCK: i64 = 0x7367_2d61_6920_6661;

/// The digest by which the content of an item is known: SHA-256 of its JSON, hex.
#[must_use]
pub fn media_digest(item: &Item) -> String {
    // An item is lists of texts and finite numbers: it always becomes JSON.
    hex::encode(Sha256::digest(serde_json::to_vec(item).unwrap_or_default()))
}

/// An item to store, in the family that was chosen for it.
struct NewMediaItem {
    id: i32,
    item: Item,
    features: Features,
    digest: String,
    family: FamilyChoice,
}

/// What became of an item that was to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// It is new; its family.
    Created(i64),
    /// It took the place of other content; its family.
    Replaced(i64),
    /// The same content is stored already.
    Unchanged,
}

/// A stored item.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct MediaItem {
    pub id: i32,
    pub family: i64,
    /// The first items of its family, itself included, in order of their numbers.
    pub family_items: Vec<i32>,
    /// Items of its family.
    pub family_size: u64,
    /// When strategies of its family were proposed first: it is a trial from then on.
    pub family_tried_at: Option<DateTime<Utc>>,
    pub digest: String,
    pub item: Item,
    pub features: Features,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// An item in a list.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct MediaLine {
    pub id: i32,
    pub family: i64,
    pub family_size: u64,
    pub features: Features,
    pub keyword_hits: u64,
    /// Strategies that are known of it, the newest verdict of each kind: kind, status.
    pub verdicts: Vec<(String, Option<String>)>,
    pub updated_at: DateTime<Utc>,
}

/// Families that are read at once.
const FAMILIES_AT_ONCE: usize = 10_000;
/// Items of a family that are named with each of them.
const NAMED_OF_FAMILY: i64 = 20;

/// The parts of an item that are stored as JSON.
fn words(item: &Item) -> serde_json::Value {
    json!({ "keyword_hits": item.keyword_hits, "transcripts": item.transcripts })
}

fn read(row: &Row) -> Result<MediaItem, StoreError> {
    let mut item: Item = row.json("item")?;
    let (numbers, dim): (Vec<f64>, u32) = (row.try_get("embeddings")?, row.small("embedding_dim")?);
    item.embeddings = numbers.chunks(dim.max(1) as usize).map(<[f64]>::to_vec).collect();
    Ok(MediaItem {
        id: row.try_get("id")?,
        family: row.try_get("family_id")?,
        family_items: row.try_get("family_items")?,
        family_size: row.count("family_size")?,
        family_tried_at: row.try_get("tried_at")?,
        digest: row.try_get("digest")?,
        item,
        features: row.json("features")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}

async fn begin_family(tx: &Tx, signature: Option<&Signature>) -> Result<i64, StoreError> {
    let sql = "insert into media_families (signature) values ($1) returning id";
    Ok(tx.row(sql, &[&signature.map(Signature::numbers)]).await?.try_get("id")?)
}

async fn put_one(tx: &Tx, new: &NewMediaItem, batch: &[i64]) -> Result<(Imported, i64), StoreError> {
    let known = tx.row_opt("select digest, family_id from media_items where id = $1", &[&new.id]).await?;
    if let Some(known) = &known
        && known.try_get::<_, &str>("digest")? == new.digest
    {
        return Ok((Imported::Unchanged, known.try_get("family_id")?));
    }
    let family = match &new.family {
        FamilyChoice::Known(id) => *id,
        FamilyChoice::New(signature) => begin_family(tx, signature.as_ref()).await?,
        FamilyChoice::Beside(k) => *batch.get(*k).ok_or_else(|| {
            StoreError::Invalid(format!(
                "item {} is beside item {k} of its batch, which does not come before it",
                new.id
            ))
        })?,
    };
    let dim = i32::try_from(new.item.embeddings.first().map_or(0, Vec::len)).unwrap_or(i32::MAX);
    let sql = "insert into media_items (id, family_id, digest, item, embeddings, embedding_dim, features)
        values ($1, $2, $3, $4, $5, $6, $7)
        on conflict (id) do update set family_id = excluded.family_id, digest = excluded.digest, item = excluded.item,
            embeddings = excluded.embeddings, embedding_dim = excluded.embedding_dim, features = excluded.features,
            updated_at = now()";
    let params: Params<'_> =
        &[&new.id, &family, &new.digest, &words(&new.item), &new.item.embeddings.concat(), &dim, &Json(&new.features)];
    tx.execute(sql, params).await?;
    Ok((if known.is_some() { Imported::Replaced(family) } else { Imported::Created(family) }, family))
}

impl Store {
    /// Families after this one, in order of their ids, with the signatures that stand for them.
    async fn media_families(&self, after: i64) -> Result<Vec<(i64, Option<Signature>)>, StoreError> {
        self.transaction("media_families", |tx| async move {
            let sql = "select id, signature from media_families where id > $1 order by id limit $2";
            let family = |row: &Row| {
                let signature: Option<Vec<f32>> = row.try_get("signature")?;
                Ok((row.try_get("id")?, signature.map(Signature::stored)))
            };
            tx.rows(sql, &[&after, &(FAMILIES_AT_ONCE as i64)]).await?.iter().map(family).collect()
        })
        .await
    }

    /// The digests of those of these items that are stored.
    async fn media_digests(&self, ids: &[i32]) -> Result<HashMap<i32, String>, StoreError> {
        self.transaction("media_digests", |tx| async move {
            let sql = "select id, digest from media_items where id = any($1)";
            tx.rows(sql, &[&ids]).await?.iter().map(|row| Ok((row.try_get("id")?, row.try_get("digest")?))).collect()
        })
        .await
    }

    /// Stores items that were checked, all or none, each in the first family that it is near to; what became of each.
    /// `families` are those that the caller knows so far, and are brought up to date.
    ///
    /// # Errors
    /// When the database does not answer or refuses a row.
    pub async fn import_media(
        &self,
        families: &mut Families,
        items: Vec<(i32, Item)>,
        now_ms: i64,
    ) -> Result<Vec<Imported>, StoreError> {
        let digests: Vec<(i32, String)> = items.iter().map(|(id, item)| (*id, media_digest(item))).collect();
        let known = self.media_digests(&digests.iter().map(|(id, _)| *id).collect::<Vec<_>>()).await?;
        // One that stands twice in the batch is looked at in its turn.
        let once = |id: i32| digests.iter().filter(|(other, _)| *other == id).count() == 1;
        let is_new = |(id, digest): &(i32, String)| known.get(id) != Some(digest) || !once(*id);
        let is_new: Vec<bool> = digests.iter().map(is_new).collect();
        let (mut new, mut signatures) = (Vec::new(), Vec::new());
        for (((id, item), (_, digest)), _) in items.into_iter().zip(digests).zip(&is_new).filter(|(_, new)| **new) {
            signatures.push(Signature::of(&item));
            let features = Features::of(&item, now_ms);
            new.push(NewMediaItem { id, item, features, digest, family: FamilyChoice::New(None) });
        }
        let stored = loop {
            if new.is_empty() {
                break Vec::new();
            }
            loop {
                let more = self.media_families(families.newest()).await?;
                let last = more.len() < FAMILIES_AT_ONCE;
                more.into_iter().for_each(|(id, signature)| families.add(id, signature));
                if last {
                    break;
                }
            }
            new.iter_mut().zip(families.choose(&signatures)).for_each(|(new, family)| new.family = family);
            if let Some(stored) = self.put_media_items(&new, families.newest()).await? {
                break stored;
            }
        };
        let mut stored = stored.into_iter();
        let outcome = |is_new: bool| if is_new { stored.next() } else { None }.unwrap_or(Imported::Unchanged);
        Ok(is_new.into_iter().map(outcome).collect())
    }

    /// Stores items whose families were chosen among those up to `newest_family`; nothing, where somebody else began one
    /// meanwhile.
    async fn put_media_items(
        &self,
        new: &[NewMediaItem],
        newest_family: i64,
    ) -> Result<Option<Vec<Imported>>, StoreError> {
        self.transaction("put_media_items", |tx| async move {
            let tx = &tx;
            tx.execute("select pg_advisory_xact_lock($1)", &[&FAMILY_LOCK]).await?;
            let newest = "select coalesce(max(id), 0) as newest from media_families";
            if tx.row(newest, &[]).await?.try_get::<_, i64>("newest")? != newest_family {
                return Ok(None);
            }
            let (mut families, mut stored) = (Vec::with_capacity(new.len()), Vec::with_capacity(new.len()));
            for one in new {
                let (imported, family) = put_one(tx, one, &families).await?;
                families.push(family);
                stored.push(imported);
            }
            Ok(Some(stored))
        })
        .await
    }

    /// An item with its content and features.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none of this number.
    pub async fn media_item(&self, id: i32) -> Result<MediaItem, StoreError> {
        self.transaction("media_item", |tx| async move {
            let sql = "select m.*, f.tried_at,
                    (select count(*) from media_items o where o.family_id = m.family_id) as family_size,
                    array(select o.id from media_items o where o.family_id = m.family_id order by o.id limit $2)
                        as family_items
                from media_items m join media_families f on f.id = m.family_id where m.id = $1";
            let row = tx.row_opt(sql, &[&id, &NAMED_OF_FAMILY]).await?;
            read(&row.ok_or_else(|| StoreError::not_found("media item", id))?)
        })
        .await
    }

    /// Items, those that were stored last first; of this family alone where one is given.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn media_items(&self, family: Option<i64>, page: Page) -> Result<Vec<MediaLine>, StoreError> {
        self.transaction("media_items", |tx| async move {
            let sql = "select m.id, m.family_id, m.features, m.updated_at,
                    jsonb_array_length(m.item -> 'keyword_hits')::bigint as keyword_hits,
                    (select count(*) from media_items o where o.family_id = m.family_id) as family_size,
                    array(select distinct on (s.kind) s.kind from media_strategies s where s.media_item_id = m.id
                        order by s.kind, s.id desc) as kinds,
                    array(select distinct on (s.kind) coalesce(s.status, '') from media_strategies s
                        where s.media_item_id = m.id order by s.kind, s.id desc) as statuses
                from media_items m where $1::bigint is null or m.family_id = $1
                order by m.updated_at desc, m.id desc limit $2 offset $3";
            let line = |row: &Row| {
                let (kinds, statuses): (Vec<String>, Vec<String>) = (row.try_get("kinds")?, row.try_get("statuses")?);
                let statuses = statuses.into_iter().map(|status| (!status.is_empty()).then_some(status));
                Ok(MediaLine {
                    id: row.try_get("id")?,
                    family: row.try_get("family_id")?,
                    family_size: row.count("family_size")?,
                    features: row.json("features")?,
                    keyword_hits: row.count("keyword_hits")?,
                    verdicts: kinds.into_iter().zip(statuses).collect(),
                    updated_at: row.try_get("updated_at")?,
                })
            };
            tx.rows(sql, &[&family, &page.limit(), &page.offset()]).await?.iter().map(line).collect()
        })
        .await
    }
}

//! A stored book walked again from its beginning over cached candles, and compared block by block and day by day.
//! Stores nothing.

use super::book::{block, day};
use super::book_setup::{BookSetup, market_of};
use super::shared::block::OnThread;
use super::whole_market::Cached;
use anyhow::Context as _;
use book::{Walk, Walker};
use candles::time::DAY_MS;
use serde::Serialize;
use std::{fmt, sync::Arc};
use store::{BookDay, BookRow, Store};

/// What came of it.
#[derive(Debug, Serialize)]
pub(crate) struct Replayed {
    number: u32,
    /// Blocks and days of the book and its placebo that were compared.
    blocks: usize,
    days: usize,
    /// The first that differs.
    difference: Option<String>,
}

impl Replayed {
    /// Whether all is as it is stored.
    pub(crate) const fn is_same(&self) -> bool {
        self.difference.is_none()
    }
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.difference {
            None => write!(
                f,
                "book {}: {} blocks and {} days, its own and its placebo's: identical to the bit",
                self.number, self.blocks, self.days
            ),
            Some(difference) => write!(f, "book {}: {difference}", self.number),
        }
    }
}

/// Walks it again, the searches of its blocks together with workers where that is asked for.
///
/// # Errors
/// When the cache lacks its candles, or it is of a program that came to other numbers.
pub(crate) async fn replayed(
    store: &Store,
    cached: Cached<'_>,
    row: &BookRow,
    shared: Option<OnThread>,
) -> anyhow::Result<Replayed> {
    let shared = shared.map(Arc::new);
    let version = row.identity.get("version of the pipeline").map_or("", String::as_str);
    anyhow::ensure!(
        version == book::VERSION.to_string(),
        "book {} is of version {version} of the pipeline, and this program has {}: another one comes to other numbers",
        row.number,
        book::VERSION
    );
    let setup = BookSetup::stored(row)?;
    let mut found = Replayed { number: row.number, blocks: 0, days: 0, difference: None };
    let stored = [store.book_days(row.id, false).await?, store.book_days(row.id, true).await?];
    let Some(last) = stored.iter().filter_map(|days| days.last()).map(|day| day.day_ms + DAY_MS).max() else {
        return Ok(found);
    };
    let real = market_of(row, last).load(cached).await?.panel;
    for (is_placebo, stored) in [false, true].into_iter().zip(stored) {
        let blocks = store.book_blocks(row.id, is_placebo).await?;
        let Some(until_ms) = stored.last().map(|day| day.day_ms + DAY_MS) else { continue };
        let null = is_placebo.then(|| book::placebo(&real, row.seed)).transpose()?;
        let panel = null.unwrap_or_else(|| real.clone());
        let (setup, row, shared) = (setup.clone(), row.clone(), shared.clone());
        let walked = tokio::task::spawn_blocking(move || {
            let walk = Walk::endless(row.seed, row.from_ms);
            let mut walker = Walker::with(setup.pipeline(), &panel, (walk, Vec::new()));
            loop {
                let searched = match &shared {
                    Some(shared) => walker.block_search()?.map(|search| shared.searched(search)).transpose()?,
                    None => None,
                };
                let froze = if shared.is_some() { walker.freeze_by(searched)? } else { walker.freeze()? };
                if !froze && !walker.trade(until_ms)? {
                    break;
                }
            }
            Ok::<_, anyhow::Error>(walker.into_parts().0)
        });
        let walk = walked.await.context("the walk broke off")??;
        let whose = if is_placebo { "of its placebo" } else { "of its own" };
        let again: Vec<BookDay> = walk.day_figures().iter().map(day).collect();
        let differs = again.iter().zip(&stored).find(|(a, b)| a != b).map(|(_, stored)| stored.day_ms);
        let missing = (again.len() != stored.len()).then_some(until_ms);
        if let Some(day_ms) = differs.or(missing) {
            let date = candles::time::rfc3339(day_ms).unwrap_or_default();
            found.difference.get_or_insert(format!("the day {date} {whose} is another one"));
        }
        for (traded, stored) in walk.blocks().iter().zip(blocks.iter().filter(|b| b.is_over)) {
            if block(traded, is_placebo, true)? != *stored {
                let name = traded.block.name();
                found.difference.get_or_insert(format!("the block {name} {whose} is another one"));
            }
            found.blocks += 1;
        }
        found.days += again.len();
    }
    Ok(found)
}

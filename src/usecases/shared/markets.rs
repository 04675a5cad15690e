//! Markets of a calibration, tried together with workers: of sessions, and of books.
//!
//! Counts nothing and prints nothing.

use super::batch::batch_of;
use super::together::Together;
use anyhow::Context as _;
use book::{BookCalibration, BookConfig, BookWorld, Calibrated, MadeOf, Pipeline};
use candles::packed::{PackedError, Packer, Unpacker};
use genome::random::Seed;
use lifecycle::EdgeDecayConfig;
use portfolio::{Panel, PortfolioTerms};
use protocol::CalibrationSettings;
use protocol::calibration::{Job, Tried};
use search::SearchConfig;
use serde::{Deserialize, Serialize};
use store::{NewWork, WorkKind};

/// A market as it is posted: the blob of what all markets of the calibration are told, and which it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MarketJob {
    pub(crate) task: String,
    pub(crate) job: Job,
}

/// Tries markets; `told` hears of each once, in whatever order they end.
///
/// # Errors
/// When one cannot be tried, something cannot be stored, or `told` says so.
pub(crate) async fn tried(
    together: Together,
    settings: &CalibrationSettings,
    jobs: &[Job],
    told: &mut (dyn FnMut(Tried) -> anyhow::Result<()> + Send),
) -> anyhow::Result<()> {
    let task = together.sharing.blobs.put(serde_json::to_vec(settings)?).await?;
    let batch = batch_of(&task, "markets")?;
    let item = |(place, &job): (u32, &Job)| {
        let input = serde_json::to_string(&MarketJob { task: task.clone(), job })?;
        Ok::<_, serde_json::Error>(NewWork { kind: WorkKind::CalibrationMarket, input, place })
    };
    let items = (0..).zip(jobs).map(item).collect::<Result<Vec<_>, _>>()?;
    let mut read = |_, output: &str| told(serde_json::from_str(output).context("the result of a market")?);
    together.run(batch, items, &mut read).await
}

/// What all markets of a calibration of books are told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BookTask {
    pub(crate) seed: Seed,
    /// Coins of each, where markets are simulated.
    pub(crate) coins: u32,
    pub(crate) edges: u32,
    /// Years of history, and of life after it.
    pub(crate) years: (u32, u32),
    pub(crate) search: SearchConfig,
    pub(crate) book: BookConfig,
    pub(crate) terms: PortfolioTerms,
    pub(crate) decay: EdgeDecayConfig,
}

impl BookTask {
    /// The calibration: on simulated coins, or on such candles.
    pub(crate) fn on<'a>(&'a self, candles: Option<&'a Panel>) -> BookCalibration<'a> {
        BookCalibration {
            seed: self.seed,
            made_of: candles.map_or(MadeOf::Coins(self.coins), MadeOf::Candles),
            edges: self.edges,
            years: self.years,
            pipeline: Pipeline { search: &self.search, book: &self.book, terms: self.terms },
            decay: &self.decay,
        }
    }
}

/// A market of a calibration of books as it is posted: blobs of what all are told and of the candles that they are made of, where they
/// are not simulated; and which it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BookMarketJob {
    pub(crate) task: String,
    pub(crate) candles: Option<String>,
    pub(crate) world: BookWorld,
    pub(crate) number: u64,
}

/// Candles that markets are made of, as bytes.
fn packed(panel: &Panel) -> Vec<u8> {
    let mut packer = Packer::default();
    panel.pack(&mut packer);
    packer.finish()
}

/// Reads what markets are made of.
///
/// # Errors
/// Where the bytes are none.
pub(crate) fn unpacked(bytes: &[u8]) -> Result<Panel, PackedError> {
    let mut from = Unpacker::new(bytes);
    let panel = Panel::unpack(&mut from)?;
    from.end()?;
    Ok(panel)
}

/// Walks markets; what became of each, in the order of `jobs`. `told` hears of each once, in whatever order they end.
///
/// # Errors
/// When one cannot be walked, or something cannot be stored.
pub(crate) async fn walked(
    together: Together,
    task: &BookTask,
    candles: Option<&Panel>,
    jobs: &[(BookWorld, u64)],
    told: &mut (dyn FnMut(&Calibrated) + Send),
) -> anyhow::Result<Vec<Calibrated>> {
    let blobs = &together.sharing.blobs;
    let candles = match candles {
        Some(panel) => Some(blobs.put(packed(panel)).await?),
        None => None,
    };
    let task = blobs.put(serde_json::to_vec(task)?).await?;
    let batch = batch_of(candles.as_deref().unwrap_or("coins"), &task)?;
    let item = |(place, &(world, number)): (u32, &(BookWorld, u64))| {
        let job = BookMarketJob { task: task.clone(), candles: candles.clone(), world, number };
        let input = serde_json::to_string(&job)?;
        Ok::<_, serde_json::Error>(NewWork { kind: WorkKind::BookMarket, input, place })
    };
    let items = (0..).zip(jobs).map(item).collect::<Result<Vec<_>, _>>()?;
    let mut found: Vec<(u32, Calibrated)> = Vec::with_capacity(jobs.len());
    let mut read = |place, output: &str| {
        let came: Calibrated = serde_json::from_str(output).context("the result of a book's market")?;
        told(&came);
        found.push((place, came));
        Ok(())
    };
    together.run(batch, items, &mut read).await?;
    found.sort_by_key(|(place, _)| *place);
    Ok(found.into_iter().map(|(_, came)| came).collect())
}

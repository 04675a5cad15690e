//! Models of null markets: fitted anew on what a null market is, beside its candles. What came before a market, and instruments
//! that it lacks, are mirrored by a coin's fall as its candles are.
//!
//! Without them null searches would be told less than the search that they are compared with.

use super::ground::NoNull;
use super::null::mirrored;
use super::run::RunError;
use candles::packed::{PackedError, Packer, Unpacker};
use engine::Window;
use genome::random::Seed;
use models::{Beside, ModelCandles, ModelFile, RefitModel, Refits};
use portfolio::Panel;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The models of the null market of a seed: what is beside the market mirrored as the market is.
///
/// # Errors
/// Where candles have no mirror image.
pub fn null_refits(refits: &Refits, seed: Seed) -> Result<Refits, NoNull> {
    Ok(refits.with(|candles| mirrored(candles, seed))?)
}

/// A window with what models that are fitted on it predict.
///
/// # Errors
/// Where a model cannot be fitted on such candles.
pub fn window_beside(window: &Window, refits: &Refits) -> Result<Window, NoNull> {
    let given: Vec<ModelCandles<'_>> = window
        .symbols()
        .iter()
        .map(|s| ModelCandles { name: s.symbol.as_str(), candles: &s.candles, readings: &s.readings, members: None })
        .collect();
    let mut said = refits.predict(&given)?;
    Ok(window.with_models(|s| said.remove(s.symbol.as_str()).unwrap_or_else(|| refits.unsaid())))
}

/// A whole market with what models that are fitted on it predict.
///
/// # Errors
/// Where a model cannot be fitted on such candles.
pub fn panel_beside(panel: &Panel, refits: &Refits) -> Result<Panel, NoNull> {
    let names: Vec<String> = panel.instruments().iter().map(|i| i.id().to_string()).collect();
    let given: Vec<ModelCandles<'_>> = names
        .iter()
        .zip(panel.instruments())
        .map(|(name, i)| ModelCandles { name, candles: i.candles(), readings: i.readings(), members: None })
        .collect();
    let said = refits.predict(&given)?;
    Ok(panel.with_models(|id| said.get(&id.to_string()).cloned().unwrap_or_else(|| refits.unsaid())))
}

/// Writes models and what is beside the market.
pub(super) fn pack(packer: &mut Packer, refits: Option<&Refits>) {
    let Some(refits) = refits else { return packer.number(0) };
    packer.number(refits.models.len() as u64);
    for RefitModel { file, network, members } in &refits.models {
        packer.text(&file.name.to_string());
        packer.text(file.text());
        let bytes = network.as_ref().map_or(&[][..], |network| network.as_slice());
        packer.number(u64::from(network.is_some()));
        packer.bytes(bytes);
        packer.number(members.len() as u64);
        for (name, seats) in members {
            packer.text(name);
            packer.number(u64::from(seats.is_some()));
            let seats = seats.as_deref().unwrap_or_default();
            packer.number(seats.len() as u64);
            seats.iter().for_each(|open_ms| packer.time(*open_ms));
        }
    }
    packer.text(refits.together.map_or("", |timeframe| timeframe.name()));
    packer.number(refits.beside.len() as u64);
    for Beside { name, candles, readings } in &refits.beside {
        packer.text(name);
        packer.candles(candles);
        packer.market_readings(readings);
    }
}

/// Reads what [`pack`] wrote.
pub(super) fn unpack(from: &mut Unpacker<'_>) -> Result<Option<Arc<Refits>>, RunError> {
    let count = from.count(8)?;
    if count == 0 {
        return Ok(None);
    }
    let mut models = Vec::with_capacity(count);
    for _ in 0..count {
        let (name, text) = (from.text()?, from.text()?);
        let file = ModelFile::parse(name, text).map_err(|error| PackedError(error.to_string()))?;
        let has_network = from.number()? == 1;
        let bytes = from.bytes()?;
        let network = has_network.then(|| Arc::new(bytes.to_vec()));
        let mut members = BTreeMap::new();
        for _ in 0..from.count(24)? {
            let (name, has_seats) = (from.text()?.to_owned(), from.number()? == 1);
            let seats = (0..from.count(8)?).map(|_| from.time()).collect::<Result<Vec<i64>, _>>()?;
            members.insert(name, has_seats.then_some(seats));
        }
        models.push(RefitModel { file, network, members });
    }
    let together = match from.text()? {
        "" => None,
        name => Some(name.parse().map_err(|_| PackedError(format!("{name:?} is no timeframe")))?),
    };
    let one = |from: &mut Unpacker<'_>| {
        let (name, candles) = (from.text()?.to_owned(), from.candles()?);
        Ok(Beside { name, candles, readings: Arc::new(from.market_readings()?) })
    };
    let beside = (0..from.count(8)?).map(|_| one(from)).collect::<Result<_, PackedError>>()?;
    Ok(Some(Arc::new(Refits { models, together, beside })))
}

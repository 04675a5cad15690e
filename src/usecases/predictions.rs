//! What models predict, beside the candles of a window, of what was loaded, or of a whole market; and what it takes to fit them
//! anew on markets made from these. Decides nothing.

use super::model_members::members;
use super::models::{Chosen, Model, Models, instruments};
use super::portfolio::WholeMarket;
use candles::{InstrumentId, Readings, Symbol};
use engine::Window;
use genome::ModelSeries;
use models::{Beside, ModelFile, RefitModel, Refits, Said, Target, said, unsaid};
use portfolio::Panel;
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, sync::Arc};

/// What models say of one instrument, by series.
pub(crate) type OfSymbol = BTreeMap<ModelSeries, Readings>;

impl Models {
    /// What chosen models say at closes of a span, UTC ms, and before it where they do. A model whose last fit failed says nothing since.
    ///
    /// # Errors
    /// When candles are missing, this build has no such kind of model, or one gives no probabilities.
    async fn said(&self, chosen: &Chosen, (from_ms, to_ms): (i64, i64)) -> anyhow::Result<Said> {
        let mut all = Vec::with_capacity(chosen.models.len());
        for model in &chosen.models {
            let found = self.predict(model, (chosen.first_ms(&model.file, from_ms), to_ms)).await?;
            if let Some(failed) = found.predictions.fits.last().and_then(|fit| fit.failed.as_ref()) {
                let name = model.file.name;
                tracing::warn!("model {name} stands still since its last fit, and whoever asks it: {failed}");
            }
            all.push(found);
        }
        let found: Vec<_> = all.iter().map(|f| (&f.model.file, &f.examples, &f.predictions)).collect();
        Ok(said(&found, chosen.together)?)
    }

    /// What chosen models say of each of some symbols in a span, UTC ms.
    ///
    /// # Errors
    /// As [`Self::said`].
    pub(crate) async fn said_of(
        &self,
        chosen: &Chosen,
        symbols: impl IntoIterator<Item = &Symbol>,
        span_ms: (i64, i64),
    ) -> anyhow::Result<BTreeMap<Symbol, OfSymbol>> {
        if chosen.is_none() {
            return Ok(BTreeMap::new());
        }
        let found = self.said(chosen, span_ms).await?;
        let one = |symbol: &Symbol| Ok((symbol.clone(), of_symbol(chosen, &found, symbol)?));
        symbols.into_iter().map(one).collect()
    }

    /// The window with what the models asked predict of its symbols.
    ///
    /// # Errors
    /// As [`Self::said`], and where a model does not name a symbol of the window.
    pub(crate) async fn beside_window(&self, asked: &Chosen, window: Window) -> anyhow::Result<Window> {
        if asked.is_none() {
            return Ok(window);
        }
        for Model { file, .. } in &asked.models {
            let is_member = file.target == Target::Direction && Some(file.timeframe) == asked.together;
            let unknown = window.symbols().iter().find(|s| !is_member && !file.names(s.symbol.as_str()));
            if let Some(s) = unknown {
                let known = file.symbols.join(", ");
                anyhow::bail!("model {} says nothing of {}: its symbols are {known}", file.name, s.symbol);
            }
        }
        let mut said =
            self.said_of(asked, window.symbols().iter().map(|s| &s.symbol), (i64::MIN, window.to_ms())).await?;
        Ok(window.with_models(|s| said.remove(&s.symbol).unwrap_or_default()))
    }

    /// The market, whose candles begin at `from_ms` or where there are any, with what the models asked predict of its instruments, under
    /// a name of its own.
    ///
    /// # Errors
    /// As [`Self::said`].
    pub(crate) async fn beside_market(
        &self,
        asked: &Chosen,
        market: WholeMarket,
        from_ms: i64,
    ) -> anyhow::Result<WholeMarket> {
        if asked.is_none() {
            return Ok(market);
        }
        let found = self.said(asked, (from_ms, market.panel.end_ms())).await?;
        let nothing = nothing_of(asked);
        let of = |id: &InstrumentId| found.get(&id.to_string()).unwrap_or(&nothing).clone();
        let panel: Panel = market.panel.with_models(of);
        let mut hash = Sha256::new();
        hash.update(format!("market {}\n", market.data_version));
        for instrument in panel.instruments() {
            for (series, readings) in &instrument.readings().models {
                hash.update(format!("{} {series} {}\n", instrument.id(), readings.len()));
                for (time_ms, value) in readings.times_ms().iter().zip(readings.values()) {
                    hash.update(time_ms.to_le_bytes());
                    hash.update(value.to_le_bytes());
                }
            }
        }
        Ok(WholeMarket { panel, data_version: hex::encode(hash.finalize()) })
    }

    /// What it takes to fit chosen models anew on a market that was made from one which begins and ends at these times, UTC ms.
    ///
    /// # Errors
    /// When candles cannot be read.
    pub(crate) async fn refits(&self, chosen: &Chosen, (from_ms, to_ms): (i64, i64)) -> anyhow::Result<Option<Refits>> {
        if chosen.is_none() {
            return Ok(None);
        }
        let (mut models, mut beside) = (Vec::new(), BTreeMap::new());
        for model in &chosen.models {
            let (file, network) = (model.file.clone(), model.network.clone());
            let panel = self.panel(&file, (chosen.first_ms(&file, from_ms), to_ms)).await?;
            let seats = file.universe.map(|universe| members(&panel, universe));
            let mut names = BTreeMap::new();
            for (at, instrument) in instruments(&file, &panel) {
                let name = instrument.id().to_string();
                let opens = instrument.candles().open_times_ms();
                let seated = |of: &Vec<Vec<bool>>| {
                    opens
                        .iter()
                        .zip(&of[at])
                        .filter(|(_, is_member)| **is_member)
                        .map(|(open_ms, _)| *open_ms)
                        .collect()
                };
                let candles = instrument.candles().clone();
                names.insert(name.clone(), seats.as_ref().map(seated));
                // Two models on the same candles: what reaches further back serves both.
                let known: &mut Beside = beside.entry((file.timeframe, name.clone())).or_insert_with(|| Beside {
                    name,
                    candles: candles.clone(),
                    readings: Arc::new(instrument.readings().with_models(BTreeMap::new())),
                });
                if known.candles.len() < candles.len() {
                    known.candles = candles;
                }
            }
            models.push(RefitModel { file, network, members: names });
        }
        Ok(Some(Refits { models, together: chosen.together, beside: beside.into_values().collect() }))
    }
}

/// What chosen models say of a symbol, one after the other where it was several instruments; empty where they say nothing.
fn of_symbol(chosen: &Chosen, found: &Said, symbol: &Symbol) -> anyhow::Result<OfSymbol> {
    let is_own = |name: &str| name.parse().is_ok_and(|id: InstrumentId| id.symbol == *symbol);
    let own: Vec<&OfSymbol> = found.iter().filter(|(name, _)| is_own(name)).map(|(_, of)| of).collect();
    let mut out = nothing_of(chosen);
    for (series, readings) in &mut out {
        let each = own.iter().filter_map(|of| of.get(series));
        let pairs = each.flat_map(|r| r.times_ms().iter().copied().zip(r.values().iter().copied()));
        *readings = Readings::new(pairs)?;
    }
    Ok(out)
}

fn nothing_of(chosen: &Chosen) -> OfSymbol {
    let files: Vec<&ModelFile> = chosen.models.iter().map(|model| &model.file).collect();
    unsaid(&files, chosen.together)
}

//! What models predict, as readings beside candles: one series each, and those of the models together.

use super::{EnsemblePoint, Examples, ModelFile, Predictions, Target, confidence, ensemble};
use candles::Readings;
use candles::readings::NotFinite;
use genome::{ModelSeries, Timeframe};
use std::collections::BTreeMap;

/// A model with what it looked at and what it predicts.
pub type Found<'a> = (&'a ModelFile, &'a Examples, &'a Predictions);

/// By name of the instrument, what each series says of it.
pub type Said = BTreeMap<String, BTreeMap<ModelSeries, Readings>>;

/// Probability and confidence of each model, and, where `together` names candles, direction and confidence of all that predict a
/// direction on them, for each instrument of any model. A series that says nothing of an instrument is there and empty.
///
/// # Errors
/// None that checked predictions could give.
pub fn said(models: &[Found<'_>], together: Option<Timeframe>) -> Result<Said, NotFinite> {
    let files: Vec<&ModelFile> = models.iter().map(|(file, ..)| *file).collect();
    let nothing = unsaid(&files, together);
    let mut all = Said::new();
    let mut insert = |name: &str, series: ModelSeries, pairs: Vec<(i64, f64)>| {
        let of = all.entry(name.to_owned()).or_insert_with(|| nothing.clone());
        Readings::new(pairs).map(|readings| drop(of.insert(series, readings)))
    };
    for (file, _, predictions) in models {
        for symbol in &predictions.symbols {
            let of = |value: fn(f64) -> f64| symbol.points.iter().map(|p| (p.at_ms, value(p.probability))).collect();
            insert(&symbol.name, ModelSeries::Probability(file.name), of(|p| p))?;
            insert(&symbol.name, ModelSeries::Confidence(file.name), of(confidence))?;
        }
    }
    let is_member = |(file, ..): &&Found<'_>| file.target == Target::Direction && Some(file.timeframe) == together;
    let members: Vec<Found<'_>> = models.iter().filter(is_member).copied().collect();
    for (name, points) in ensemble(&members) {
        let each = |value: fn(&EnsemblePoint) -> f64| points.iter().map(|p| (p.at_ms, value(p))).collect();
        insert(&name, ModelSeries::EnsembleDirection, each(EnsemblePoint::direction))?;
        insert(&name, ModelSeries::EnsembleConfidence, each(|p| confidence(p.probability)))?;
    }
    Ok(all)
}

/// What series there are where nothing is said of an instrument.
#[must_use]
pub fn unsaid(models: &[&ModelFile], together: Option<Timeframe>) -> BTreeMap<ModelSeries, Readings> {
    let own = models.iter().flat_map(|f| [ModelSeries::Probability(f.name), ModelSeries::Confidence(f.name)]);
    let of_all = [ModelSeries::EnsembleDirection, ModelSeries::EnsembleConfidence];
    own.chain(of_all.into_iter().filter(|_| together.is_some())).map(|series| (series, Readings::default())).collect()
}

//! Models fitted anew on a market that was made from the real one: a null market has models of its own, fitted on its own
//! past on the same clock, since what was predicted of the real market tells of moves that the null market does not have.
//!
//! A market that is searched begins later than what its models learn from. What lies before it, and symbols that it lacks, come
//! along here, at the models' own timeframes. Knows no candle after the end of the market that it was made for.

use super::series::{Said, said, unsaid};
use super::{Examples, ModelCandles, ModelError, ModelFile, Predictions, Walk};
use candles::readings::NotFinite;
use candles::resample::{ResampleError, resample};
use candles::series::SeriesError;
use candles::{Candle, CandleSeries, MarketReadings, Readings};
use genome::{ModelSeries, Timeframe};
use std::{collections::BTreeMap, sync::Arc};

/// A model, and of what it predicts.
#[derive(Clone, Debug, PartialEq)]
pub struct RefitModel {
    /// Its file.
    pub file: ModelFile,
    /// Its network, where its file names one.
    pub network: Option<Arc<Vec<u8>>>,
    /// Its instruments by name; of a model with a universe, when the candles open at whose closes each is a member, UTC ms, ascending.
    pub members: BTreeMap<String, Option<Vec<i64>>>,
}

/// Candles of an instrument at the timeframe of some models.
#[derive(Clone, Debug, PartialEq)]
pub struct Beside {
    /// Its name.
    pub name: String,
    /// From where the first fit begins to learn to the end of the market.
    pub candles: CandleSeries,
    /// What was published beside them.
    pub readings: Arc<MarketReadings>,
}

/// Models of a market that is searched, to be fitted anew where it is made into another one.
#[derive(Clone, Debug, PartialEq)]
pub struct Refits {
    /// The models.
    pub models: Vec<RefitModel>,
    /// On which candles the models predict together, if they are asked that.
    pub together: Option<Timeframe>,
    /// Candles of all their instruments, those of the market among them.
    pub beside: Vec<Beside>,
}

/// Why models cannot be fitted on a market.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum RefitError {
    #[error("model {model}: {source}")]
    Model { model: String, source: ModelError },
    #[error("candles of {name}: {why}")]
    Candles { name: String, why: String },
    #[error(transparent)]
    Resample(#[from] ResampleError),
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
}

impl Refits {
    /// The same with other candles beside the market: `other` gives those of an instrument, at the same times.
    ///
    /// # Errors
    /// Those of `other`.
    pub fn with(&self, other: impl Fn(&CandleSeries) -> Result<CandleSeries, String>) -> Result<Self, RefitError> {
        let of = |one: &Beside| match other(&one.candles) {
            Ok(candles) => Ok(Beside { candles, ..one.clone() }),
            Err(why) => Err(RefitError::Candles { name: one.name.clone(), why }),
        };
        Ok(Self { beside: self.beside.iter().map(of).collect::<Result<_, _>>()?, ..self.clone() })
    }

    /// The same up to a time, UTC ms: candles that closed by then.
    #[must_use]
    pub fn until(&self, time_ms: i64) -> Self {
        let of = |one: &Beside| Beside { candles: one.candles.closed_before(time_ms), ..one.clone() };
        let seated = |model: &RefitModel| {
            let until = |seats: &Vec<i64>| seats[..seats.partition_point(|open_ms| *open_ms < time_ms)].to_vec();
            let of = |(name, seats): (&String, &Option<Vec<i64>>)| (name.clone(), seats.as_ref().map(until));
            RefitModel { members: model.members.iter().map(of).collect(), ..model.clone() }
        };
        let (models, beside) = (self.models.iter().map(seated).collect(), self.beside.iter().map(of).collect());
        Self { models, beside, ..self.clone() }
    }

    /// What each series is where nothing is said of an instrument.
    #[must_use]
    pub fn unsaid(&self) -> BTreeMap<ModelSeries, Readings> {
        let files: Vec<&ModelFile> = self.models.iter().map(|model| &model.file).collect();
        unsaid(&files, self.together)
    }

    /// What models fitted on a market predict of it, from its first candle on: of its instruments their candles, of the time
    /// before and of other instruments those that are beside it. What lay before is brought to the price at which the
    /// market begins.
    ///
    /// # Errors
    /// Where this build has no such kind of model, or the candles do not make candles of a model's timeframe.
    pub fn predict(&self, market: &[ModelCandles<'_>]) -> Result<Said, RefitError> {
        let firsts = market.iter().filter_map(|of| of.candles.open_times_ms().first());
        let Some(first_ms) = firsts.min().copied() else { return Ok(Said::new()) };
        let mut found = Vec::with_capacity(self.models.len());
        for model in &self.models {
            found.push((model, self.predicted(model, market, first_ms)?));
        }
        let all: Vec<_> =
            found.iter().map(|(model, (examples, predictions))| (&model.file, examples, predictions)).collect();
        Ok(said(&all, self.together)?)
    }

    fn predicted(
        &self,
        model: &RefitModel,
        market: &[ModelCandles<'_>],
        first_ms: i64,
    ) -> Result<(Examples, Predictions), RefitError> {
        let fail = |source| RefitError::Model { model: model.file.name.to_string(), source };
        let mut owned: Vec<(&str, CandleSeries, &MarketReadings, Option<Vec<bool>>)> =
            Vec::with_capacity(model.members.len());
        for one in &self.beside {
            let Some(seats) = model.members.get(&one.name).filter(|_| one.candles.interval() == model.file.timeframe)
            else {
                continue;
            };
            let searched = market.iter().find(|of| of.name == one.name);
            let candles = match searched {
                Some(of) => joined(&one.candles, &resample(of.candles, model.file.timeframe)?)
                    .map_err(|error| RefitError::Candles { name: one.name.clone(), why: error.to_string() })?,
                None => one.candles.clone(),
            };
            // Who was a member on the real market is one on those that are made of it.
            let is_seated = |open_ms: &i64| seats.as_ref().is_some_and(|seats| seats.binary_search(open_ms).is_ok());
            let seated = seats.as_ref().map(|_| candles.open_times_ms().iter().map(is_seated).collect());
            owned.push((&one.name, candles, searched.map_or(&*one.readings, |of| of.readings), seated));
        }
        let given: Vec<ModelCandles<'_>> = owned
            .iter()
            .map(|(name, candles, readings, seated)| ModelCandles {
                name,
                candles,
                readings,
                members: seated.as_deref(),
            })
            .collect();
        let examples = Examples::new(&model.file, &given)?;
        let kind = model.file.kind(model.network.as_ref().map(|bytes| bytes.as_slice())).map_err(fail)?;
        let walk = Walk { file: &model.file, kind: &*kind, examples: &examples };
        // Nobody asks for what was predicted before the market begins, but the weights of models together.
        let before = match self.together {
            Some(_) => None,
            None => Some(Predictions { until_ms: first_ms, ..Predictions::default() }),
        };
        let predictions = walk.predict(before).map_err(fail)?;
        Ok((examples, predictions))
    }
}

/// Candles of a market after those that lay before its first one, at whose price they end.
fn joined(before: &CandleSeries, market: &CandleSeries) -> Result<CandleSeries, SeriesError> {
    let Some(&first_ms) = market.open_times_ms().first() else { return Ok(before.clone()) };
    let before = before.slice(i64::MIN, first_ms);
    let mut all = CandleSeries::new(market.interval());
    let factor = before.closes().last().map_or(1.0, |last| market.opens()[0] / last);
    for i in 0..before.len() {
        let one = before.candle(i);
        let scaled = Candle {
            open: one.open * factor,
            high: one.high * factor,
            low: one.low * factor,
            close: one.close * factor,
            ..one
        };
        all.push(&scaled)?;
    }
    for i in 0..market.len() {
        all.push(&market.candle(i))?;
    }
    Ok(all)
}

//! Models over cached candles: which files there are, what they predict, and predictions beside the candles of a window or of
//! a whole market. Fetches nothing; that predictions know nothing of later candles is the affair of the crate `models`.

pub(crate) use super::model_cache::PredictionCache;
use super::model_cache::{Key, prefix_sha256};
use super::model_members::members;
use super::portfolio::{MarketSpan, WholeMarket, load_panel_of};
use super::whole_market::Which;
use anyhow::Context as _;
use candles::{InstrumentId, InstrumentTable, MarketKind, MarketReadings, Readings, Symbol};
use engine::{SymbolWindow, Window};
use genome::{AnyStrategy, ModelName, ModelSeries, Timeframe};
use market::CandleCache;
use models::{EnsemblePoint, Examples, Kind, ModelCandles, ModelFile, Predictions, Target, Walk, confidence, ensemble};
use portfolio::Panel;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Longest model file and longest network that are read.
const MAX_FILE_BYTES: u64 = 1 << 20;
const MAX_NETWORK_BYTES: u64 = 256 << 20;

/// Model files of a directory, and the candles that they look at.
pub(crate) struct Models {
    pub(crate) dir: PathBuf,
    pub(crate) cached: PredictionCache,
    pub(crate) candles: CandleCache,
    pub(crate) table: InstrumentTable,
    pub(crate) now_ms: i64,
}

/// A model file with its network, where it names one.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) file: ModelFile,
    network: Option<Arc<Vec<u8>>>,
}

/// What a strategy asks of models.
pub(crate) struct Asked {
    series: BTreeSet<ModelSeries>,
    models: Vec<Model>,
}

/// By name of the instrument and series, pairs of close (UTC ms) and value.
type ByInstrument = BTreeMap<String, BTreeMap<ModelSeries, Vec<(i64, f64)>>>;

/// What a model predicts up to a time, with what it was made of.
pub(crate) struct Predicted {
    pub(crate) model: Model,
    pub(crate) examples: Examples,
    pub(crate) predictions: Predictions,
    pub(crate) kind: Box<dyn Kind>,
}

impl Predicted {
    pub(crate) fn walk(&self) -> Walk<'_> {
        Walk { file: &self.model.file, kind: &*self.kind, examples: &self.examples }
    }
}

impl Model {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.file_stem().and_then(|stem| stem.to_str()).context("its name is no text")?;
        let text = String::from_utf8(read(path, MAX_FILE_BYTES)?).context("it is no UTF-8")?;
        let file = ModelFile::parse(name, &text)?;
        let network = match &file.fit {
            models::KindSettings::Onnx { file: network, .. } => {
                let path = path.with_file_name(network);
                let read = read(&path, MAX_NETWORK_BYTES);
                Some(Arc::new(read.with_context(|| format!("model {name}: fit.file {}", path.display()))?))
            }
            _ => None,
        };
        Ok(Self { file, network })
    }

    fn kind(&self) -> anyhow::Result<Box<dyn Kind>> {
        let kind = self.file.kind(self.network.as_ref().map(|bytes| bytes.as_slice()));
        kind.with_context(|| format!("model {}", self.file.name))
    }
}

fn read(path: &Path, most: u64) -> anyhow::Result<Vec<u8>> {
    let length = std::fs::metadata(path)?.len();
    anyhow::ensure!(length <= most, "it is longer than {most} bytes");
    Ok(std::fs::read(path)?)
}

impl Models {
    /// Every model file, in order of names: the model, or what is wrong with it.
    ///
    /// # Errors
    /// When the directory cannot be read; one that is not there holds none.
    pub(crate) fn all(&self) -> anyhow::Result<BTreeMap<String, anyhow::Result<Model>>> {
        let mut found = BTreeMap::new();
        let entries = match std::fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", self.dir.display())),
        };
        for entry in entries {
            let path = entry.with_context(|| format!("cannot read {}", self.dir.display()))?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                let model = Model::read(&path).with_context(|| path.display().to_string());
                found.insert(name, model);
            }
        }
        Ok(found)
    }

    /// The model of a name.
    ///
    /// # Errors
    /// When there is none, or its file is wrong.
    pub(crate) fn named(&self, name: ModelName) -> anyhow::Result<Model> {
        let path = self.dir.join(format!("{name}.toml"));
        match path.exists() {
            true => Model::read(&path).with_context(|| path.display().to_string()),
            false => anyhow::bail!("there is no model {name}: {} is not there", path.display()),
        }
    }

    /// The models that a strategy asks.
    ///
    /// # Errors
    /// When one is not there, is wrong, or predicts on another market or on other candles than it is asked on.
    pub(crate) fn asked(&self, strategy: &AnyStrategy, market: MarketKind) -> anyhow::Result<Asked> {
        let (mut series, mut models) = (BTreeSet::new(), BTreeMap::new());
        let mut together: Option<Timeframe> = None;
        for one in strategy.model_series() {
            let Some(model) = one.source.model() else { continue };
            let timeframe = one.timeframe.unwrap_or(strategy.timeframe());
            series.insert(model);
            let Some(name) = model.model() else {
                anyhow::ensure!(
                    together.is_none_or(|other| other == timeframe),
                    "{one}: the ensemble is asked on two timeframes; ask it on one"
                );
                together = Some(timeframe);
                continue;
            };
            let found = self.named(name)?;
            let (own, of) = (found.file.timeframe, found.file.market);
            anyhow::ensure!(
                own == timeframe,
                "{one} is asked on {timeframe} candles, but model {name} predicts on {own} ones; write {model}@{own}"
            );
            anyhow::ensure!(of == market, "model {name} is of the {of} market, and the strategy is tested on {market}");
            models.insert(name, found);
        }
        if let Some(timeframe) = together {
            for (_, model) in self.all()? {
                let model = model?;
                let is_member = model.file.target == Target::Direction && model.file.timeframe == timeframe;
                if is_member && model.file.market == market {
                    models.insert(model.file.name, model);
                }
            }
            let any =
                models.values().any(|m: &Model| m.file.target == Target::Direction && m.file.timeframe == timeframe);
            anyhow::ensure!(
                any,
                "the ensemble has no member: no model in {} predicts a direction on {timeframe} {market} candles",
                self.dir.display()
            );
        }
        Ok(Asked { series, models: models.into_values().collect() })
    }

    /// What a model predicts at closes up to `to_ms`: what is cached, gone on with.
    ///
    /// # Errors
    /// When candles are missing, this build has no such kind, or the model gives no probabilities.
    pub(crate) async fn predict(&self, model: &Model, to_ms: i64) -> anyhow::Result<Predicted> {
        let (file, name) = (model.file.clone(), model.file.name);
        let kind = model.kind()?;
        let which = match file.named() {
            Some(named) => named.iter().filter_map(|symbol| symbol.parse().ok()).collect(),
            None => {
                let cached = self.candles.symbols(file.market).await.context("candle cache")?;
                cached.into_iter().filter(|symbol| file.names(symbol.as_str())).collect::<BTreeSet<Symbol>>()
            }
        };
        anyhow::ensure!(!which.is_empty(), "model {name}: no cached symbol of the {} market is called so", file.market);
        let network = model.network.as_ref().map(|bytes| hex::encode(Sha256::digest(&**bytes)));
        let key = Key::new(&file, network.as_deref());
        let before = self.cached.read(name, &key)?;
        // What is cached is held against all the candles that it was made of, then cut.
        let end_ms = before.as_ref().map_or(to_ms, |before| before.predictions.until_ms.max(to_ms));
        let which = Which::Named { symbols: which.into_iter().collect(), listed_since: None, from_ms: i64::MIN };
        let span = MarketSpan { market: file.market, interval: file.timeframe, to_ms: end_ms };
        let whole = load_panel_of(&self.candles, span, &which, file.timeframe, self.table.clone()).await;
        let panel = whole.with_context(|| format!("model {name}"))?.panel;
        let cached = self.cached.clone();
        let (model, now_ms) = (model.clone(), self.now_ms);
        let is_by_name = file.named().is_some();
        let work = move || {
            // A pattern means what a universe can have: no stablecoin, no leveraged token.
            let is_one = |i: &portfolio::PanelInstrument| is_by_name || i.excluded().is_none();
            let members = file.universe.map(|universe| members(&panel, universe));
            let names: Vec<String> = panel.instruments().iter().map(|i| i.id().to_string()).collect();
            let all = panel.instruments().iter().enumerate().filter(|(_, i)| is_one(i));
            let given: Vec<ModelCandles<'_>> = all
                .map(|(number, i)| ModelCandles {
                    name: &names[number],
                    candles: i.candles(),
                    readings: i.readings(),
                    members: members.as_ref().map(|of| of[number].as_slice()),
                })
                .collect();
            let mut examples = Examples::new(&file, &given)?;
            let before =
                before.filter(|before| prefix_sha256(&given, before.predictions.until_ms) == before.data_sha256);
            let had_ms = before.as_ref().map(|before| before.predictions.until_ms);
            let walk = Walk { file: &file, kind: &*kind, examples: &examples };
            let mut predictions = walk.predict(before.map(|before| before.predictions))?;
            if had_ms != Some(predictions.until_ms) {
                cached.write(name, &key, &predictions, &prefix_sha256(&given, predictions.until_ms), now_ms)?;
            }
            for symbol in &mut predictions.symbols {
                symbol.points.retain(|point| point.at_ms <= to_ms);
            }
            predictions.fits.retain(|fit| fit.at_ms <= to_ms);
            predictions.until_ms = predictions.until_ms.min(to_ms);
            examples.forget_after(to_ms);
            Ok::<_, anyhow::Error>(Predicted { model, examples, predictions, kind })
        };
        let made = tokio::task::spawn_blocking(work).await.context("the computation broke off")?;
        made.with_context(|| format!("model {name}"))
    }

    /// Predictions of all models asked, by instrument.
    async fn readings(&self, asked: &Asked, to_ms: i64) -> anyhow::Result<ByInstrument> {
        let mut out: ByInstrument = BTreeMap::new();
        let mut all = Vec::with_capacity(asked.models.len());
        for model in &asked.models {
            all.push(self.predict(model, to_ms).await?);
        }
        for found in &all {
            let name = found.model.file.name;
            if let Some(failed) = found.predictions.fits.last().and_then(|fit| fit.failed.as_ref()) {
                tracing::warn!("model {name} stands still since its last fit, and whoever asks it: {failed}");
            }
            for symbol in &found.predictions.symbols {
                let of = out.entry(symbol.name.clone()).or_default();
                let points = symbol.points.iter();
                of.insert(ModelSeries::Probability(name), points.clone().map(|p| (p.at_ms, p.probability)).collect());
                of.insert(
                    ModelSeries::Confidence(name),
                    points.map(|p| (p.at_ms, confidence(p.probability))).collect(),
                );
            }
        }
        if asked.series.iter().any(|series| series.model().is_none()) {
            let members = all.iter().filter(|found| found.model.file.target == Target::Direction);
            let members: Vec<_> = members.map(|f| (&f.model.file, &f.examples, &f.predictions)).collect();
            for (name, points) in ensemble(&members) {
                let of = out.entry(name).or_default();
                let each = |value: fn(&EnsemblePoint) -> f64| points.iter().map(|p| (p.at_ms, value(p))).collect();
                of.insert(ModelSeries::EnsembleDirection, each(EnsemblePoint::direction));
                of.insert(ModelSeries::EnsembleConfidence, each(|p| confidence(p.probability)));
            }
        }
        Ok(out)
    }

    /// The window with what the models asked predict of its symbols.
    ///
    /// # Errors
    /// As [`Self::predict`], and where a model does not name a symbol of the window.
    pub(crate) async fn beside_window(&self, asked: &Asked, window: Window) -> anyhow::Result<Window> {
        if asked.series.is_empty() {
            return Ok(window);
        }
        for model in asked.models.iter().filter(|m| asked.series.iter().any(|s| s.model() == Some(m.file.name))) {
            let unknown = window.symbols().iter().find(|s| !model.file.names(s.symbol.as_str()));
            if let Some(s) = unknown {
                anyhow::bail!(
                    "model {} says nothing of {}: its symbols are {}",
                    model.file.name,
                    s.symbol,
                    model.file.symbols.join(", ")
                );
            }
        }
        let found = self.readings(asked, window.to_ms()).await?;
        let mut symbols = Vec::with_capacity(window.symbols().len());
        for s in window.symbols() {
            let models = of_instruments(asked, &found, |id| id.symbol == s.symbol)?;
            let readings = Arc::new(MarketReadings { models, ..(*s.readings).clone() });
            symbols.push(SymbolWindow { readings, ..s.clone() });
        }
        Ok(Window::new(window.from_ms(), window.to_ms(), symbols)?)
    }

    /// The market with what the models asked predict of its instruments, under a name of its own.
    ///
    /// # Errors
    /// As [`Self::predict`].
    pub(crate) async fn beside_market(&self, asked: &Asked, market: WholeMarket) -> anyhow::Result<WholeMarket> {
        if asked.series.is_empty() {
            return Ok(market);
        }
        let found = self.readings(asked, market.panel.end_ms()).await?;
        let mut by_name = BTreeMap::new();
        for instrument in market.panel.instruments() {
            let own = instrument.id();
            by_name.insert(own.to_string(), of_instruments(asked, &found, |id| id == own)?);
        }
        let panel: Panel = market.panel.with_models(|id| by_name.get(&id.to_string()).cloned().unwrap_or_default());
        let mut hash = Sha256::new();
        hash.update(format!("market {}\n", market.data_version));
        for (name, models) in &by_name {
            for (series, readings) in models {
                hash.update(format!("{name} {series} {}\n", readings.len()));
                for (time_ms, value) in readings.times_ms().iter().zip(readings.values()) {
                    hash.update(time_ms.to_le_bytes());
                    hash.update(value.to_le_bytes());
                }
            }
        }
        Ok(WholeMarket { panel, data_version: hex::encode(hash.finalize()) })
    }
}

/// Readings of every series asked, of the instruments that `is_own` says; empty where the models say nothing.
fn of_instruments(
    asked: &Asked,
    found: &ByInstrument,
    is_own: impl Fn(&InstrumentId) -> bool,
) -> anyhow::Result<BTreeMap<ModelSeries, Readings>> {
    let mut out = BTreeMap::new();
    for &series in &asked.series {
        let mut pairs = Vec::new();
        for (name, of) in found {
            if name.parse().is_ok_and(|id| is_own(&id)) {
                pairs.extend(of.get(&series).into_iter().flatten().copied());
            }
        }
        out.insert(series, Readings::new(pairs)?);
    }
    Ok(out)
}

//! Models over cached candles: which files there are, which of them something asks, and what one predicts. Fetches nothing; that predictions know nothing of later candles is the affair of the crate `models`.

use super::model_cache::{Key, PredictionCache, prefix_sha256};
use super::model_members::members;
use super::portfolio::{MarketSpan, load_panel_of};
use super::whole_market::Which;
use crate::config::ModelsConfig;
use anyhow::Context as _;
use candles::resample::can_resample;
use candles::{InstrumentTable, MarketKind, Symbol, Ticker, time::DAY_MS};
use clock::Clock;
use engine::ModelsUsed;
use genome::{AnyStrategy, ModelName, ModelSeries, OfferedModel, Timeframe};
use market::CandleCache;
use models::{Examples, Kind, ModelCandles, ModelFile, Predictions, Target, Walk};
use portfolio::PanelInstrument;
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
#[derive(Clone)]
pub(crate) struct Models {
    pub(crate) dir: PathBuf,
    pub(crate) cached: PredictionCache,
    pub(crate) candles: CandleCache,
    /// Cuts and exclusions in force.
    pub(crate) table: InstrumentTable,
    pub(crate) clock: Arc<dyn Clock>,
}

/// A model file with its network, where it names one.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) file: ModelFile,
    pub(super) network: Option<Arc<Vec<u8>>>,
    /// SHA-256 of the network, hex; made once, for it may be large.
    network_sha256: Option<String>,
}

/// Models whose predictions something looks at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chosen {
    /// In order of their names.
    pub(crate) models: Vec<Model>,
    /// On which candles they predict together, where that is asked.
    pub(crate) together: Option<Timeframe>,
}

impl Chosen {
    pub(crate) const fn is_none(&self) -> bool {
        self.models.is_empty()
    }

    /// Those on candles that `fits` says.
    pub(crate) fn only(&self, fits: impl Fn(Timeframe) -> bool) -> Self {
        let models = self.models.iter().filter(|model| fits(model.file.timeframe)).cloned().collect();
        Self { models, together: self.together.filter(|timeframe| fits(*timeframe)) }
    }

    /// Where the candles of a model begin for what begins at a time, UTC ms: from where its first fit there learns, with two months to warm
    /// up, and two years more where forecasts weigh the models together. On a grid of 365 days, so that most share one.
    pub(crate) fn first_ms(&self, file: &ModelFile, from_ms: i64) -> i64 {
        const GRID_MS: i64 = 365 * DAY_MS;
        let weighed_days = if self.together.is_some() { 730 } else { 0 };
        let days = i64::from(file.train_days) + i64::from(file.refit_days) + 60 + weighed_days;
        from_ms.saturating_sub(days * DAY_MS).div_euclid(GRID_MS).saturating_mul(GRID_MS)
    }

    /// As it is stored with what looks at them.
    pub(crate) fn used(&self) -> ModelsUsed {
        let digests = self.models.iter().map(|model| (model.file.name, model.digest())).collect();
        ModelsUsed { digests, together: self.together }
    }

    /// Their files, by name, for whoever has to know later what they were.
    pub(crate) fn files(&self) -> BTreeMap<ModelName, &str> {
        self.models.iter().map(|model| (model.file.name, model.file.text())).collect()
    }

    /// Those of them that a strategy asks.
    pub(crate) fn used_by(&self, strategy: &AnyStrategy) -> ModelsUsed {
        let series: Vec<ModelSeries> = strategy.model_series().iter().filter_map(|one| one.source.model()).collect();
        let together = self.together.filter(|_| series.iter().any(|series| series.model().is_none()));
        let is_asked = |model: &&Model| {
            let named = series.iter().any(|series| series.model() == Some(model.file.name));
            named || (model.file.target == Target::Direction && Some(model.file.timeframe) == together)
        };
        let digests = self.models.iter().filter(is_asked).map(|model| (model.file.name, model.digest())).collect();
        ModelsUsed { digests, together }
    }

    /// What a search may ask of them: each of its own, and, where two or more predict a direction, what they say together.
    pub(crate) fn offered(&self) -> Vec<OfferedModel> {
        let mut all = Vec::new();
        for Model { file, .. } in &self.models {
            all.extend(
                [ModelSeries::Probability(file.name), ModelSeries::Confidence(file.name)]
                    .map(|series| OfferedModel { series, timeframe: file.timeframe }),
            );
        }
        if let Some(timeframe) = self.together {
            all.extend(
                [ModelSeries::EnsembleDirection, ModelSeries::EnsembleConfidence]
                    .map(|series| OfferedModel { series, timeframe }),
            );
        }
        all
    }

    /// These and others.
    ///
    /// # Errors
    /// Where both ask the models together, on different candles.
    pub(crate) fn join(&mut self, other: Self) -> anyhow::Result<()> {
        if let (Some(a), Some(b)) = (self.together, other.together) {
            anyhow::ensure!(a == b, "others ask the ensemble on {a} candles, and this one on {b}: test it apart");
        }
        self.together = self.together.or(other.together);
        self.models.extend(other.models);
        self.models.sort_by_key(|model| model.file.name);
        self.models.dedup_by_key(|model| model.file.name);
        Ok(())
    }

    /// Whether they say all that a strategy asks.
    pub(crate) fn say_all(&self, strategy: &AnyStrategy) -> bool {
        let offered = self.offered();
        let says = |series: &genome::Series| {
            offered.iter().any(|o| {
                Some(o.series) == series.source.model() && o.on(strategy.timeframe()).is_some_and(|own| own == *series)
            })
        };
        strategy.model_series().iter().all(says)
    }
}

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
        let network_sha256 = network.as_ref().map(|bytes| hex::encode(Sha256::digest(&**bytes)));
        Ok(Self { file, network, network_sha256 })
    }

    /// SHA-256, in hex, of what it is: its file's meaning and its network.
    pub(crate) fn digest(&self) -> String {
        let network = self.network_sha256.as_deref().unwrap_or_default();
        hex::encode(Sha256::digest(format!("{}\n{network}\n", self.file.digest())))
    }

    pub(crate) fn kind(&self) -> anyhow::Result<Box<dyn Kind>> {
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
    /// Those of the directory that the settings name; predictions are kept in the data directory.
    pub(crate) fn of(
        config: &ModelsConfig,
        data_dir: &Path,
        candles: CandleCache,
        (table, clock): (InstrumentTable, Arc<dyn Clock>),
    ) -> Self {
        let dir = if config.dir.is_empty() { data_dir.join("models") } else { PathBuf::from(&config.dir) };
        let cached = PredictionCache {
            dir: data_dir.join("predictions"),
            budget_bytes: config.cache_budget_mb << 20,
            days: config.cache_days,
        };
        Self { dir, cached, candles, table, clock }
    }

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
    pub(crate) fn asked(&self, strategy: &AnyStrategy, market: MarketKind) -> anyhow::Result<Chosen> {
        let mut models = BTreeMap::new();
        let mut together: Option<Timeframe> = None;
        for one in strategy.model_series() {
            let Some(model) = one.source.model() else { continue };
            let timeframe = one.timeframe.unwrap_or(strategy.timeframe());
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
        Ok(Chosen { models: models.into_values().collect(), together })
    }

    /// The models that a search is offered: those named that predict on the market's candles.
    ///
    /// # Errors
    /// When one is not there, is wrong, predicts on another market, or cannot be fitted by this build.
    pub(crate) fn for_search(&self, names: &[ModelName], market: MarketKind) -> anyhow::Result<Chosen> {
        let mut models = BTreeMap::new();
        for name in names {
            let model = self.named(*name).with_context(|| format!("models.search names {name}"))?;
            let of = model.file.market;
            anyhow::ensure!(
                of == market,
                "models.search names {name}, which is of the {of} market: daemon.market is {market}"
            );
            model.kind()?;
            models.insert(*name, model);
        }
        let models: Vec<Model> = models.into_values().collect();
        let of_direction: Vec<Timeframe> =
            models.iter().filter(|m| m.file.target == Target::Direction).map(|m| m.file.timeframe).collect();
        // Together they have one clock.
        let together = match &of_direction[..] {
            [first, _, ..] if of_direction.iter().all(|timeframe| timeframe == first) => Some(*first),
            _ => None,
        };
        Ok(Chosen { models, together })
    }

    /// The models that something stored looks at, if they are still what they were.
    ///
    /// # Errors
    /// When one is not there, is wrong, or is another one now.
    pub(crate) fn used(&self, used: &ModelsUsed) -> anyhow::Result<Chosen> {
        let mut models = Vec::with_capacity(used.digests.len());
        for (name, digest) in &used.digests {
            let model = self.named(*name)?;
            let now = model.digest();
            anyhow::ensure!(
                now == *digest,
                "model {name} is not the one that it was ({}, now {}): put its former file back into {}, or give the new one another name",
                &digest[..digest.len().min(12)],
                &now[..12],
                self.dir.display()
            );
            models.push(model);
        }
        Ok(Chosen { models, together: used.together })
    }

    /// What a model predicts at closes up to the end of a span, UTC ms, from candles that open from its begin on: what is cached, gone on
    /// with. It depends on where candles begin; whoever keeps what comes of it says where that is ([`Chosen::first_ms`]).
    ///
    /// # Errors
    /// When candles are missing, this build has no such kind, or the model gives no probabilities.
    pub(crate) async fn predict(&self, model: &Model, (first_ms, to_ms): (i64, i64)) -> anyhow::Result<Predicted> {
        let (file, name) = (model.file.clone(), model.file.name);
        let kind = model.kind()?;
        let key = Key::new(&file, model.network_sha256.as_deref(), first_ms);
        let before = self.cached.read(name, &key)?;
        // What is cached is held against all the candles that it was made of, then cut.
        let end_ms = before.as_ref().map_or(to_ms, |before| before.predictions.until_ms.max(to_ms));
        let panel = self.panel(&file, (first_ms, end_ms)).await?;
        let cached = self.cached.clone();
        let (model, now_ms) = (model.clone(), self.clock.now_ms());
        let work = move || {
            let seats = file.universe.map(|universe| members(&panel, universe));
            let named: Vec<(String, &PanelInstrument, Option<&[bool]>)> = instruments(&file, &panel)
                .into_iter()
                .map(|(at, i)| (i.id().to_string(), i, seats.as_ref().map(|of| of[at].as_slice())))
                .collect();
            let given: Vec<ModelCandles<'_>> = named
                .iter()
                .map(|(name, i, members)| ModelCandles {
                    name,
                    candles: i.candles(),
                    readings: i.readings(),
                    members: *members,
                })
                .collect();
            let mut examples = Examples::new(&file, &given)?;
            let there_was = before.is_some();
            let before =
                before.filter(|before| prefix_sha256(&given, before.predictions.until_ms) == before.data_sha256);
            if there_was && before.is_none() {
                tracing::warn!(
                    "the candles of model {name} are not those that it predicted from before: it is predicted anew, and whoever asks it may \
                     come to other numbers"
                );
            }
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

    /// The symbols that a model names, in order: of a pattern those that have candles.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub(super) async fn symbols(&self, file: &ModelFile) -> anyhow::Result<Vec<Symbol>> {
        if let Some(named) = file.named() {
            let named: BTreeSet<Symbol> = named.iter().filter_map(|symbol| symbol.parse().ok()).collect();
            return Ok(named.into_iter().collect());
        }
        let mut found = BTreeSet::new();
        for symbol in self.candles.symbols(file.market).await.context("candle cache")? {
            // Of a symbol that was cached for something else there may be no such candles.
            let ticker = Ticker::of(file.market, &symbol);
            if !file.names(symbol.as_str()) {
                continue;
            }
            let stored = self.candles.stored_intervals(&ticker).await?;
            if stored.into_iter().any(|stored| can_resample(stored, file.timeframe)) {
                found.insert(symbol);
            }
        }
        Ok(found.into_iter().collect())
    }

    /// The instruments of the symbols that a model names, at its timeframe: candles that open from a time on and closed by another.
    ///
    /// # Errors
    /// When no symbol is called so, or the cache cannot be read.
    pub(super) async fn panel(
        &self,
        file: &ModelFile,
        (first_ms, to_ms): (i64, i64),
    ) -> anyhow::Result<portfolio::Panel> {
        let name = file.name;
        let symbols = self.symbols(file).await?;
        anyhow::ensure!(
            !symbols.is_empty(),
            "model {name}: no symbol of the {} market that is called so has {} candles in {}; `sg-ai data download` brings some",
            file.market,
            file.timeframe,
            self.candles.dir().display()
        );
        let which = Which::Named { symbols, listed_since: None, from_ms: first_ms };
        let span = MarketSpan { market: file.market, interval: file.timeframe, to_ms };
        let whole = load_panel_of(&self.candles, span, &which, file.timeframe, self.table.clone()).await;
        Ok(whole.with_context(|| format!("model {name}"))?.panel)
    }
}

/// The instruments of a panel that a model predicts, with their places. A pattern means what a universe can have: no stablecoin, no
/// leveraged token.
pub(super) fn instruments<'a>(file: &ModelFile, panel: &'a portfolio::Panel) -> Vec<(usize, &'a PanelInstrument)> {
    let is_by_name = file.named().is_some();
    panel.instruments().iter().enumerate().filter(|(_, i)| is_by_name || i.excluded().is_none()).collect()
}

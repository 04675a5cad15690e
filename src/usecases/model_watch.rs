//! Models watched: once a market day each is predicted up to the newest candles, scored, and asked whether its calibration
//! is still what it was. Stored, and told where its state changes. Fetches no candles, and stops no strategy.

use super::candle_source::CandleSource;
use super::models::{Model, Models, Predicted};
use super::parts::{Compute, Did, Process, Turn};
use crate::config::DaemonConfig;
use candles::MarketKind;
use candles::time::{DAY_MS, rfc3339};
use clock::Clock;
use models::{Drift, Errors, Fit, KindSettings, Scores, Target, WINDOW_DAYS, Way, drift, evaluate};
use notify::{ModelTold, Notice};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{ModelState, ModelWatchRow, NewModelWatch};

/// Name of its loop and of its lease.
pub(crate) const MODEL_WATCH: &str = "models";
/// What a window is compared with reaches back so far before it.
const BEFORE_DAYS: i64 = 730;
/// A model that fails is looked at again after this, wall time.
const FAILING_AGAIN_MS: i64 = 3_600_000;
/// Predictions may be behind the market by a day, and by so many candles.
const LATE_CANDLES: i64 = 2;

/// What the page shows of a model, beside its state.
#[derive(Serialize)]
struct Report {
    kind: &'static str,
    settings: KindSettings,
    target: Target,
    market: MarketKind,
    timeframe: String,
    horizon_candles: u32,
    symbols: Vec<String>,
    universe: Option<String>,
    features: Vec<String>,
    refit_days: u32,
    /// Of so many symbols there are predictions, so many of them.
    predicted_symbols: usize,
    predictions: usize,
    /// The newest close that was looked at, and that of the newest prediction, UTC ms.
    until_ms: i64,
    predicted_ms: Option<i64>,
    fits: usize,
    /// Fits in a row, up to the newest, that failed.
    failed_fits: usize,
    last_fit: Option<Fit>,
    /// By year, without reliability tables; over all.
    years: BTreeMap<i64, Value>,
    all: Option<Value>,
    /// Of targets that came due in the window, and in two years before it.
    window_days: i64,
    lately: Option<Scores>,
    before: Option<Value>,
    drift: Drift,
}

/// Watches models.
pub(crate) struct ModelWatch {
    candles: CandleSource,
    compute: Compute,
    process: Process,
    clock: Arc<dyn Clock>,
    settings: DaemonConfig,
    turn: Turn,
}

impl ModelWatch {
    /// Watches the models of the directory that the settings name.
    pub(crate) fn new(
        candles: CandleSource,
        compute: Compute,
        process: Process,
        clock: Arc<dyn Clock>,
        settings: DaemonConfig,
    ) -> Self {
        let turn = Turn::new(&process.store, MODEL_WATCH);
        Self { candles, compute, process, clock, settings, turn }
    }

    /// Looks at each model that is due.
    ///
    /// # Errors
    /// When the directory cannot be read or the store does not answer. What is wrong with a model is no error: it is told.
    pub(crate) async fn activate(&mut self) -> anyhow::Result<Did> {
        let models = self.candles.models.clone();
        let store = self.process.store.clone();
        let (files, known) = (models.all()?, store.model_watch().await?);
        if files.is_empty() && known.is_empty() {
            return Ok(Did::Nothing);
        }
        if !self.turn.hold().await? {
            return Ok(Did::StoodBy);
        }
        let known: BTreeMap<&str, &ModelWatchRow> = known.iter().map(|row| (row.model.as_str(), row)).collect();
        let (market, symbols, interval) = (self.settings.market, &self.settings.symbols, self.settings.interval);
        let now_ms = self.candles.market_now_ms(market, symbols, interval).await?;
        let mut did = Did::Nothing;
        for (name, model) in &files {
            if self.process.stop.is_cancelled() {
                return Ok(Did::Stopped);
            }
            let before = known.get(name.as_str()).copied();
            let digest = model.as_ref().ok().map(Model::digest);
            if !is_due(before, digest.as_deref(), (now_ms, self.clock.now_ms())) {
                continue;
            }
            let found = self.look(&models, name, model, now_ms).await?;
            self.store(before, found).await?;
            did = Did::Work;
        }
        for (name, before) in known.into_iter().filter(|(name, _)| !files.contains_key(*name)) {
            let (model, report) = (name.to_owned(), json!({}));
            let state = ModelState::Gone;
            let gone = NewModelWatch { model, at_market_ms: now_ms, state, reason: None, digest: None, report };
            self.store(Some(before), gone).await?;
            did = Did::Work;
        }
        Ok(did)
    }

    async fn look(
        &self,
        models: &Models,
        name: &str,
        model: &anyhow::Result<Model>,
        now_ms: i64,
    ) -> anyhow::Result<NewModelWatch> {
        let failing = |reason: String, digest: Option<String>| NewModelWatch {
            model: name.to_owned(),
            at_market_ms: now_ms,
            state: ModelState::Failing,
            reason: Some(in_a_line(&reason)),
            digest,
            report: json!({}),
        };
        let model = match model {
            Ok(model) => model,
            Err(error) => return Ok(failing(format!("{error:#}"), None)),
        };
        let digest = Some(model.digest());
        let predicted = match models.predict(model, (i64::MIN, now_ms)).await {
            Ok(predicted) => predicted,
            Err(error) => {
                let report = serde_json::to_value(Report::of_file(model))?;
                return Ok(NewModelWatch { report, ..failing(format!("{error:#}"), digest) });
            }
        };
        let (report, state, reason) = self.compute.run(move || judged(&predicted, now_ms)).await?;
        let report = serde_json::to_value(report)?;
        Ok(NewModelWatch { model: name.to_owned(), at_market_ms: now_ms, state, reason, digest, report })
    }

    /// Stores what was found, with a message where people are told of it.
    async fn store(&self, before: Option<&ModelWatchRow>, found: NewModelWatch) -> anyhow::Result<()> {
        let was = before.map(|row| row.state);
        let changes = was != Some(found.state);
        let is_told = changes && (found.state.is_trouble() || was.is_some_and(ModelState::is_trouble));
        let mut events = Vec::new();
        if is_told {
            let asking = self.process.store.strategies_that_ask_models().await?;
            // A file that is gone was asked as what it said last.
            let report =
                if found.state == ModelState::Gone { before.map(|row| &row.report) } else { Some(&found.report) };
            let asks = |s: &&store::AskingStrategy| report.is_some_and(|report| s.asks(&found.model, report));
            let notice = Notice::Model(ModelTold {
                model: found.model.clone(),
                state: found.state.name().to_owned(),
                was: was.map(|state| state.name().to_owned()),
                reason: found.reason.clone(),
                strategies: asking.iter().filter(asks).map(|s| s.name.clone()).collect(),
                market_time_ms: found.at_market_ms,
            });
            let key = format!("model:{}:{}:{}", found.model, found.state, found.at_market_ms);
            events = notice.events(&key, &self.process.channels);
        }
        self.process.store.record_model_watch(&self.turn.token()?, &found, &events).await?;
        if changes {
            let (model, state, was) = (&found.model, found.state.name(), was.map_or("not there", ModelState::name));
            let reason = found.reason.as_deref().unwrap_or_default();
            match found.state.is_trouble() {
                true => tracing::warn!(model, state, was, reason, "a model is in another state"),
                false => tracing::info!(model, state, was, "a model is in another state"),
            }
        }
        Ok(())
    }
}

/// Whether a model is looked at: once a market day, when its file means something else, and again after an hour if it failed.
fn is_due(before: Option<&ModelWatchRow>, digest: Option<&str>, (market_ms, wall_ms): (i64, i64)) -> bool {
    let Some(row) = before else { return true };
    let failed_ms = (row.state == ModelState::Failing).then(|| row.watched_at.timestamp_millis());
    row.day_ms < market_ms.div_euclid(DAY_MS) * DAY_MS
        || row.digest.as_deref() != digest
        || failed_ms.is_some_and(|at_ms| wall_ms >= at_ms + FAILING_AGAIN_MS)
}

impl Report {
    fn of_file(model: &Model) -> Self {
        let file = &model.file;
        Self {
            kind: file.kind_name(),
            settings: file.fit.clone(),
            target: file.target,
            market: file.market,
            timeframe: file.timeframe.to_string(),
            horizon_candles: file.horizon_candles,
            symbols: file.symbols.clone(),
            universe: file.universe.map(|universe| universe.to_string()),
            features: file.features.iter().map(ToString::to_string).collect(),
            refit_days: file.refit_days,
            predicted_symbols: 0,
            predictions: 0,
            until_ms: 0,
            predicted_ms: None,
            fits: 0,
            failed_fits: 0,
            last_fit: None,
            years: BTreeMap::new(),
            all: None,
            window_days: WINDOW_DAYS,
            lately: None,
            before: None,
            drift: Drift::default(),
        }
    }
}

/// What is shown of a model that could be predicted, how it is, and why.
fn judged(of: &Predicted, now_ms: i64) -> (Report, ModelState, Option<String>) {
    let (file, found, examples) = (&of.model.file, &of.predictions, &of.examples);
    let range = |from_ms: i64, to_ms: i64| evaluate(examples, found, (from_ms, to_ms));
    // Predictions that came due in the window.
    let to_ms = found.until_ms - examples.horizon_ms + 1;
    let from_ms = to_ms - WINDOW_DAYS * DAY_MS;
    let whole = range(i64::MIN, i64::MAX);
    let with_points = found.symbols.iter().filter(|s| !s.points.is_empty());
    let report = Report {
        predicted_symbols: with_points.count(),
        predictions: found.symbols.iter().map(|s| s.points.len()).sum(),
        until_ms: found.until_ms,
        predicted_ms: found.symbols.iter().filter_map(|s| s.points.last()).map(|point| point.at_ms).max(),
        fits: found.fits.len(),
        failed_fits: found.fits.iter().rev().take_while(|fit| fit.failed.is_some()).count(),
        last_fit: found.fits.last().cloned(),
        years: whole.years.iter().map(|(year, scores)| (*year, short(scores))).collect(),
        all: whole.all.as_ref().map(short),
        lately: range(from_ms, to_ms).all,
        before: range(from_ms - BEFORE_DAYS * DAY_MS, from_ms).all.as_ref().map(short),
        drift: drift(file, examples, found, found.until_ms),
        ..Report::of_file(&of.model)
    };
    let late_ms = DAY_MS + LATE_CANDLES * file.candle_ms();
    let at = |ms: i64| rfc3339(ms).unwrap_or_default();
    let failed = report.last_fit.as_ref().and_then(|fit| fit.failed.as_ref().map(|why| (fit.at_ms, why)));
    let reason = if let Some((fit_ms, why)) = failed {
        Some(format!("the fit of {} failed: {why}", at(fit_ms)))
    } else if now_ms - report.until_ms > late_ms {
        Some(format!(
            "the newest {} candle of its symbols closed {}, and the market is at {}: its candles are late; where the daemon does not follow these \
             symbols, name the model in models.search or run `sg-ai data download --update-only`",
            report.timeframe,
            at(report.until_ms),
            at(now_ms)
        ))
    } else {
        match report.predicted_ms {
            Some(predicted_ms) if report.until_ms - predicted_ms <= late_ms => None,
            Some(predicted_ms) => Some(format!(
                "nothing is predicted since {}: a feature has no value on newer candles",
                at(predicted_ms)
            )),
            None if file.fitted_until_ms().is_some_and(|ms| ms > report.until_ms) => {
                Some("its fit.fitted_until is after the newest candle: nothing is predicted before".to_owned())
            }
            None => Some("nothing was ever predicted: no candle has all features after a fit".to_owned()),
        }
    };
    if let Some(reason) = reason {
        return (report, ModelState::Failing, Some(reason));
    }
    match report.drift.way {
        Some(way) => {
            let reason = drifted(way, &report.drift);
            (report, ModelState::Drifting, Some(reason))
        }
        None if report.drift.bets == 0 => (report, ModelState::Young, None),
        None => (report, ModelState::Ok, None),
    }
}

/// What is wrong, in one line: lines that only point at something are left out.
fn in_a_line(text: &str) -> String {
    let says = |line: &&str| line.chars().any(char::is_alphabetic);
    text.lines().map(str::trim).filter(says).collect::<Vec<&str>>().join("; ")
}

/// Scores without the reliability table.
fn short(scores: &Scores) -> Value {
    let mut value = serde_json::to_value(scores).unwrap_or_default();
    value.as_object_mut().map(|of| of.remove("reliability"));
    value
}

fn drifted(way: Way, found: &Drift) -> String {
    let (what, errors) = match way {
        Way::Higher => ("the target comes out above its middle more often than is said", &found.level),
        Way::Lower => ("the target comes out above its middle less often than is said", &found.level),
        Way::Surer => ("what is said for or against holds more than it did", &found.slope),
        Way::TooSure => ("what is said for or against holds less than it did", &found.slope),
    };
    let Errors { before, lately } = errors;
    let shown = |error: &Option<f64>| error.map_or_else(|| "not known".to_owned(), |error| format!("{error:+.3}"));
    format!("{what}: mean error {} in {WINDOW_DAYS} days, {} before", shown(lately), shown(before))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModelsConfig;
    use candles::InstrumentTable;
    use chrono::DateTime;
    use clock::SystemClock;
    use genome::random::Seed;
    use market::CandleCache;
    use models::{Examples, Point, Predictions, SymbolExamples, SymbolPredictions};
    use rand::RngExt;

    const START_MS: i64 = 1_546_300_800_000;

    /// A model of five coins that says each day 0.3 or 0.7, in turns: right with the chance that it says for so many days, then
    /// never more often than by luck.
    fn predicted(days: i64, right_days: i64) -> Predicted {
        let dir = tempfile::TempDir::new().unwrap();
        let text = "timeframe = \"1d\"\nsymbols = [\"*USDT\"]\ntarget = \"direction\"\nhorizon_candles = 1\n\
                    features = [\"roc(1)\"]\n[fit]\nkind = \"logistic\"\n";
        std::fs::write(dir.path().join("trend.toml"), text).unwrap();
        let cache = CandleCache::open(dir.path()).unwrap();
        let config = ModelsConfig {
            dir: dir.path().display().to_string(),
            cache_budget_mb: 1,
            cache_days: 1,
            search: Vec::new(),
        };
        let models = Models::of(&config, dir.path(), cache, (InstrumentTable::default(), Arc::new(SystemClock)));
        let model = models.named("trend".parse().unwrap()).unwrap();
        let mut rng = Seed(1).stream("predicted", 0);
        let (mut symbols, mut examples) = (Vec::new(), Vec::new());
        for number in 0..5 {
            let (mut points, mut labels) = (Vec::new(), Vec::new());
            for day in 0..days {
                let probability = if (day + number) % 2 == 0 { 0.3 } else { 0.7 };
                points.push(Point { at_ms: START_MS + day * DAY_MS, probability, base: 0.5 });
                let chance = if day < right_days { probability } else { 1.0 - probability };
                labels.push((day + 1 < days).then(|| rng.random::<f64>() < chance));
            }
            let (name, close_ms) = (format!("S{number}USDT"), points.iter().map(|p| p.at_ms).collect());
            let (features, scaled) = (Vec::new(), Vec::new());
            examples.push(SymbolExamples { name: name.clone(), close_ms, features, scaled, labels });
            symbols.push(SymbolPredictions { name, points });
        }
        let fit = Fit { at_ms: START_MS, examples: 100, base: Some(0.5), failed: None };
        Predicted {
            kind: model.file.kind(None).unwrap(),
            model,
            examples: Examples { symbols: examples, horizon_ms: DAY_MS },
            predictions: Predictions { until_ms: START_MS + (days - 1) * DAY_MS, symbols, fits: vec![fit] },
        }
    }

    #[test]
    fn states_and_their_reasons_are_those_of_the_predictions() {
        let state = |of: &Predicted, late_days: i64| {
            let (report, state, reason) = judged(of, of.predictions.until_ms + late_days * DAY_MS);
            (report, state, reason.unwrap_or_default())
        };
        let (report, well, why) = state(&predicted(500, 500), 0);
        assert_eq!((well, why.as_str(), report.lately.unwrap().predictions), (ModelState::Ok, "", 5 * 90));
        assert_eq!(report.before.unwrap()["predictions"], 5 * 409);
        assert_eq!(state(&predicted(40, 40), 0).1, ModelState::Young);
        let (report, drifts, why) = state(&predicted(500, 430), 0);
        assert_eq!((drifts, report.drift.way), (ModelState::Drifting, Some(Way::TooSure)));
        assert!(why.starts_with("what is said for or against holds less than it did: mean error -0."), "{why}");
        let (_, fails, why) = state(&predicted(500, 500), 4);
        assert!(
            fails == ModelState::Failing && why.starts_with("the newest 1d candle of its symbols closed 2020-05-14T"),
            "{why}"
        );
        let mut broken = predicted(500, 430);
        broken.predictions.fits.push(Fit { failed: Some("too few".into()), ..broken.predictions.fits[0].clone() });
        let (report, fails, why) = state(&broken, 0);
        assert_eq!(
            (fails, report.failed_fits, why.as_str()),
            (ModelState::Failing, 1, "the fit of 2019-01-01T00:00:00Z failed: too few")
        );
        let mut silent = predicted(500, 500);
        silent.predictions.symbols.iter_mut().for_each(|s| s.points.truncate(400));
        assert!(state(&silent, 0).2.starts_with("nothing is predicted since 2020-02-04T"), "{}", state(&silent, 0).2);
        silent.predictions.symbols.clear();
        assert!(state(&silent, 0).2.starts_with("nothing was ever predicted"));
    }

    #[test]
    fn what_is_wrong_is_told_in_a_line() {
        let text = "trend.toml: TOML parse error at line 3, column 1\n  |\n3 | horizon = 6\n  | ^^^^^^^\nunknown field `horizon`";
        let expected = "trend.toml: TOML parse error at line 3, column 1; 3 | horizon = 6; unknown field `horizon`";
        assert_eq!(in_a_line(text), expected);
    }

    #[test]
    fn a_model_is_due_once_a_day_when_it_changes_and_soon_again_where_it_fails() {
        let row = |state, digest: Option<&str>| ModelWatchRow {
            model: "trend".into(),
            day_ms: 5 * DAY_MS,
            at_market_ms: 5 * DAY_MS + 7,
            watched_at: DateTime::from_timestamp_millis(1_000_000).unwrap(),
            state,
            reason: None,
            digest: digest.map(ToOwned::to_owned),
            report: json!({}),
        };
        let due = |row: &ModelWatchRow, digest, market_ms, wall_ms| is_due(Some(row), digest, (market_ms, wall_ms));
        let well = row(ModelState::Ok, Some("a"));
        assert!(is_due(None, None, (0, 0)));
        assert!(!due(&well, Some("a"), 6 * DAY_MS - 1, i64::MAX) && due(&well, Some("a"), 6 * DAY_MS, 0));
        assert!(due(&well, Some("b"), 5 * DAY_MS + 8, 0) && due(&well, None, 5 * DAY_MS + 8, 0));
        let failing = row(ModelState::Failing, None);
        assert!(!due(&failing, None, 5 * DAY_MS + 8, 4_599_999) && due(&failing, None, 5 * DAY_MS + 8, 4_600_000));
    }
}

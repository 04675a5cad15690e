//! What the daily look at each model found, and which strategies ask models. Judges nothing itself.

use crate::{
    LeaseToken, NewEvent, Page, Store, StoreError, Strategy, clean, operations::outbox, row::Named as _, strategies,
    transaction::Params,
};
use candles::{MarketKind, time::DAY_MS};
use chrono::{DateTime, Utc};
use genome::{AnyStrategy, Series, Timeframe};
use lifecycle::State;
use serde::Serialize;
use serde_json::Value;
use std::{collections::BTreeSet, fmt, str::FromStr};
use tokio_postgres::Row;
use uuid::Uuid;

/// Rows older than this before the newest of their model go.
const KEPT_DAYS: i64 = 400;

/// How a model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelState {
    /// It predicts, and its calibration is what it was.
    Ok,
    /// It predicts, and too little came due to tell.
    Young,
    /// It predicts, and its calibration is no longer what it was.
    Drifting,
    /// It predicts nothing, or nothing new.
    Failing,
    /// Its file is no longer there.
    Gone,
}

impl ModelState {
    /// Each of them.
    pub const ALL: [Self; 5] = [Self::Ok, Self::Young, Self::Drifting, Self::Failing, Self::Gone];

    /// Its name in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Young => "young",
            Self::Drifting => "drifting",
            Self::Failing => "failing",
            Self::Gone => "gone",
        }
    }

    /// Whether people are told when it comes and when it goes.
    #[must_use]
    pub const fn is_trouble(self) -> bool {
        matches!(self, Self::Drifting | Self::Failing)
    }
}

impl fmt::Display for ModelState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ModelState {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|state| state.name() == text)
            .ok_or_else(|| format!("{text:?} is no state of a model"))
    }
}

/// What a look at a model found.
#[derive(Clone, Debug, PartialEq)]
pub struct NewModelWatch {
    /// The file's name without the ending.
    pub model: String,
    /// When it was looked at, market time, UTC ms.
    pub at_market_ms: i64,
    /// How it is.
    pub state: ModelState,
    /// Why it fails, or what has drifted; needed there.
    pub reason: Option<String>,
    /// SHA-256 of what the file means, hex; `None` where it is wrong or gone.
    pub digest: Option<String>,
    /// Whatever else was found, an object.
    pub report: Value,
}

/// The same as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct ModelWatchRow {
    pub model: String,
    /// Midnight of the market day, UTC ms.
    pub day_ms: i64,
    pub at_market_ms: i64,
    pub watched_at: DateTime<Utc>,
    pub state: ModelState,
    pub reason: Option<String>,
    pub digest: Option<String>,
    pub report: Value,
}

/// What a look of a day found, in numbers; figures are of targets that came due in 90 days.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct ModelDay {
    pub day_ms: i64,
    pub at_market_ms: i64,
    pub state: ModelState,
    pub reason: Option<String>,
    pub digest: Option<String>,
    /// Log loss of the constant forecast less the model's.
    pub gain: Option<f64>,
    pub calibration_error: Option<f64>,
    /// Evidence of drift over what it needs.
    pub drift: Option<f64>,
}

/// A strategy that asks models.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct AskingStrategy {
    pub id: Uuid,
    pub name: String,
    pub state: State,
    pub market: MarketKind,
    pub timeframe: Timeframe,
    /// What it asks: series of models and of the ensemble.
    pub series: BTreeSet<Series>,
}

const COLUMNS: &str = "model, day_ms, at_market_ms, watched_at, state, reason, digest, report";

/// Figures of a row, by name: `gain`, `calibration_error`, `drift`.
pub(crate) const FIGURES: &str = "(report -> 'lately' ->> 'improvement')::double precision as gain,
    (report -> 'lately' ->> 'calibration_error')::double precision as calibration_error,
    (report -> 'drift' ->> 'evidence')::double precision
        / nullif((report -> 'drift' ->> 'needed')::double precision, 0) as drift";

fn read(row: &Row) -> Result<ModelWatchRow, StoreError> {
    Ok(ModelWatchRow {
        model: row.try_get("model")?,
        day_ms: row.try_get("day_ms")?,
        at_market_ms: row.try_get("at_market_ms")?,
        watched_at: row.try_get("watched_at")?,
        state: row.parse("state")?,
        reason: row.try_get("reason")?,
        digest: row.try_get("digest")?,
        report: row.try_get("report")?,
    })
}

impl Store {
    /// Stores what a look at a model found in place of what an earlier one of the same market day did, and what is to be told of it.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; when the database does not answer or refuses the row.
    pub async fn record_model_watch(
        &self,
        lease: &LeaseToken,
        found: &NewModelWatch,
        events: &[NewEvent],
    ) -> Result<(), StoreError> {
        let day_ms = found.at_market_ms.div_euclid(DAY_MS) * DAY_MS;
        let reason = found.reason.as_deref().map(clean);
        self.transaction("record_model_watch", |tx| {
            let reason = reason.clone();
            async move {
                let tx = &tx;
                lease.verify(tx).await?;
                let sql = "insert into model_watch (model, day_ms, at_market_ms, state, reason, digest, report)
                    values ($1, $2, $3, $4, $5, $6, $7)
                    on conflict (model, day_ms) do update set at_market_ms = excluded.at_market_ms, watched_at = now(),
                        state = excluded.state, reason = excluded.reason, digest = excluded.digest,
                        report = excluded.report";
                let state = found.state.name();
                let params: Params<'_> =
                    &[&found.model, &day_ms, &found.at_market_ms, &state, &reason, &found.digest, &found.report];
                tx.execute(sql, params).await?;
                let sql = "delete from model_watch where model = $1 and day_ms < $2";
                tx.execute(sql, &[&found.model, &(day_ms - KEPT_DAYS * DAY_MS)]).await?;
                for event in events {
                    outbox::enqueue(tx, event).await?;
                }
                Ok(())
            }
        })
        .await
    }

    /// What the newest look at each model found, by name; those whose file is gone are left out.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn model_watch(&self) -> Result<Vec<ModelWatchRow>, StoreError> {
        self.transaction("model_watch", |tx| async move {
            let sql = format!(
                "select * from (select distinct on (model) {COLUMNS} from model_watch order by model, day_ms desc) newest
                 where state <> 'gone' order by model"
            );
            tx.rows(&sql, &[]).await?.iter().map(read).collect()
        })
        .await
    }

    /// What the looks at one model found, newest day first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn model_days(&self, model: &str, page: Page) -> Result<Vec<ModelDay>, StoreError> {
        self.transaction("model_days", |tx| async move {
            let sql = format!(
                "select day_ms, at_market_ms, state, reason, digest, {FIGURES} from model_watch
                 where model = $1 order by day_ms desc limit $2 offset $3"
            );
            let day = |row: &Row| {
                Ok(ModelDay {
                    day_ms: row.try_get("day_ms")?,
                    at_market_ms: row.try_get("at_market_ms")?,
                    state: row.parse("state")?,
                    reason: row.try_get("reason")?,
                    digest: row.try_get("digest")?,
                    gain: row.try_get("gain")?,
                    calibration_error: row.try_get("calibration_error")?,
                    drift: row.try_get("drift")?,
                })
            };
            tx.rows(&sql, &[&model, &page.limit(), &page.offset()]).await?.iter().map(day).collect()
        })
        .await
    }

    /// Strategies that ask models, those that are disabled left out, by name.
    ///
    /// # Errors
    /// When the database does not answer, or a sealed strategy cannot be opened.
    pub async fn strategies_that_ask_models(&self) -> Result<Vec<AskingStrategy>, StoreError> {
        self.transaction("strategies_that_ask_models", |tx| async move {
            // A sealed text says nothing before it is opened.
            let sql = format!(
                "select {} from strategies s where s.state <> 'disabled' and (s.canonical like '%model%'
                    or s.canonical like '%ensemble%' or s.canonical like 'sealed:%') order by s.name, s.id",
                strategies::COLUMNS
            );
            let asking = |row: &Row| -> Result<Option<AskingStrategy>, StoreError> {
                let Strategy { id, name, state, market, timeframe, genome, .. } = strategies::read(&tx, row)?;
                let series = genome.read().map(AnyStrategy::model_series).unwrap_or_default();
                Ok((!series.is_empty()).then_some(AskingStrategy { id, name, state, market, timeframe, series }))
            };
            tx.rows(&sql, &[]).await?.iter().filter_map(|row| asking(row).transpose()).collect()
        })
        .await
    }
}

impl AskingStrategy {
    /// Whether it asks a model of which a look found `report`: by name, or as a member of the ensemble. A wrong file keeps
    /// every ensemble from being asked.
    #[must_use]
    pub fn asks(&self, model: &str, report: &Value) -> bool {
        self.series.iter().any(|series| {
            let Some(asked) = series.source.model() else { return false };
            let Some(name) = asked.model() else {
                let timeframe = series.timeframe.unwrap_or(self.timeframe).to_string();
                let is = |key: &str, wanted: &str| report[key] == *wanted;
                return report["target"].is_null()
                    || (is("target", "direction")
                        && is("timeframe", &timeframe)
                        && is("market", &self.market.to_string()));
            };
            name.to_string() == model
        })
    }
}

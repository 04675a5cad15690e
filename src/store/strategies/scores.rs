//! Scores: the judgement of a strategy as one number with its parts, and where that stands among all. Scores nothing.

use crate::{Page, Store, StoreError, Tx, row::Named as _, transaction::Params};
use chrono::{DateTime, NaiveDate, Utc};
use lifecycle::State;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tokio_postgres::{Row, types::Json};
use uuid::Uuid;

/// A part of a score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScorePart {
    /// 0 to 100.
    pub score: f64,
    /// 0 to 1; the weights of all parts sum to 1.
    pub weight: f64,
}

/// A score to store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewScore {
    /// Parts by name: the whole is their sum by weight.
    pub components: BTreeMap<String, ScorePart>,
    /// Whether a gate would let it go on.
    pub promotion_eligible: bool,
    /// What speaks against it.
    pub warnings: Vec<String>,
}

impl NewScore {
    /// The whole, 0 to 100.
    #[must_use]
    pub fn overall(&self) -> f64 {
        self.components.values().map(|part| part.score * part.weight).sum()
    }
}

/// A stored score.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Score {
    pub id: i64,
    pub strategy_id: Uuid,
    pub overall: f64,
    pub components: BTreeMap<String, ScorePart>,
    /// Share of all strategies' newest scores at that time that lay below, ties by half, in percent.
    pub percentile: f64,
    /// `A` from 80, `B` from 65, `C` from 50, `D` from 35, `E` from 20, `F` below.
    pub grade: String,
    pub promotion_eligible: bool,
    pub warnings: Vec<String>,
    pub backtest_run_ids: Vec<Uuid>,
    pub is_latest: bool,
    pub calculated_at: DateTime<Utc>,
    pub effective_date: NaiveDate,
}

/// A newest score, and whose it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct RankedScore {
    pub number: i64,
    pub name: String,
    pub state: State,
    #[serde(flatten)]
    pub score: Score,
}

/// Stores a score: from now on the strategy's newest.
pub(crate) async fn insert(tx: &Tx, strategy_id: Uuid, score: &NewScore, runs: &[Uuid]) -> Result<(), StoreError> {
    let sql = "insert into strategy_scores
            (strategy_id, overall, components, percentile, promotion_eligible, warnings, backtest_run_ids)
        select $1, $2::double precision, $3, 100 * (count(*) filter (where overall < $2::double precision)
                + 0.5 * (count(*) filter (where overall = $2::double precision) + 1)) / (count(*) + 1), $4, $5, $6
        from strategy_scores where is_latest and strategy_id <> $1";
    let components = Json(&score.components);
    let params: Params<'_> =
        &[&strategy_id, &score.overall(), &components, &score.promotion_eligible, &score.warnings, &runs];
    tx.execute(sql, params).await.map(drop)
}

const COLUMNS: &str = "id, strategy_id, overall::double precision, components, percentile::double precision, grade, \
     promotion_eligible, warnings, backtest_run_ids, is_latest, calculated_at, effective_date";

fn read(row: &Row) -> Result<Score, StoreError> {
    Ok(Score {
        id: row.try_get("id")?,
        strategy_id: row.try_get("strategy_id")?,
        overall: row.try_get("overall")?,
        components: row.json("components")?,
        percentile: row.try_get("percentile")?,
        grade: row.try_get("grade")?,
        promotion_eligible: row.try_get("promotion_eligible")?,
        warnings: row.try_get("warnings")?,
        backtest_run_ids: row.try_get("backtest_run_ids")?,
        is_latest: row.try_get("is_latest")?,
        calculated_at: row.try_get("calculated_at")?,
        effective_date: row.try_get("effective_date")?,
    })
}

impl Store {
    /// Stores a score that rests on these backtest runs.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] when the parts do not make a whole.
    pub async fn record_score(&self, strategy_id: Uuid, score: &NewScore, runs: &[Uuid]) -> Result<(), StoreError> {
        self.transaction("record_score", |tx| async move { insert(&tx, strategy_id, score, runs).await }).await
    }

    /// Scores of a strategy, newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn scores(&self, strategy_id: Uuid) -> Result<Vec<Score>, StoreError> {
        self.transaction("scores", |tx| async move {
            let tx = &tx;
            let sql = format!(
                "select {COLUMNS} from strategy_scores where strategy_id = $1 order by calculated_at desc, id desc"
            );
            tx.rows(&sql, &[&strategy_id]).await?.iter().map(read).collect()
        })
        .await
    }

    /// Newest scores of all strategies, best first; those of disabled ones where that is asked for.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn ranking(&self, disabled: bool, page: Page) -> Result<Vec<RankedScore>, StoreError> {
        self.transaction("ranking", |tx| async move {
            let tx = &tx;
            let sql = format!(
                "select t.*, s.number, s.name, s.state from (
                    select {COLUMNS} from strategy_scores where is_latest
                        and ($3 or exists (select from strategies a where a.id = strategy_id and a.state <> 'disabled'))
                    order by strategy_scores.overall desc, strategy_id limit $1 offset $2
                 ) t join strategies s on s.id = t.strategy_id order by t.overall desc, t.strategy_id"
            );
            let ranked = |row: &Row| {
                let (number, name) = (row.try_get("number")?, row.try_get("name")?);
                Ok(RankedScore { number, name, state: row.parse("state")?, score: read(row)? })
            };
            tx.rows(&sql, &[&page.limit(), &page.offset(), &disabled]).await?.iter().map(ranked).collect()
        })
        .await
    }
}

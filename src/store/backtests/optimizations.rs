//! Optimisations of one strategy's numbers: runs, and every point of each. Optimises nothing.
//!
//! What was evaluated stays counted as trials for ever; what tells rules is sealed where genomes are.

use crate::{Page, Store, StoreError, Stored, Tx, clean, count, row::Named as _, seal, transaction::Params};
use chrono::{DateTime, Utc};
use engine::Recipe;
use genome::random::Seed;
use portfolio::Execution;
use serde::Serialize;
use serde_json::{Value, json};
use tokio_postgres::Row;
use uuid::Uuid;

/// Points that are written in one statement.
const POINTS_AT_ONCE: usize = 2_000;

/// A run to store.
#[derive(Clone, Debug, PartialEq)]
pub struct NewOptimization {
    /// Its id; a run that goes on keeps it.
    pub id: Uuid,
    /// Of the strategy whose numbers are varied.
    pub genome_hash: String,
    /// What its file calls it.
    pub name: Option<String>,
    /// Its canonical text.
    pub canonical: String,
    /// What is varied, and how, as JSON: an object.
    pub settings: Value,
    /// `grid`, `random` or `genetic`.
    pub method: String,
    /// What points are compared by, the first above all; at least one.
    pub objectives: Vec<String>,
    /// What a replay needs.
    pub recipe: Recipe,
    /// How orders of a portfolio meet the market; `None` for strategies of rules.
    pub execution: Option<Execution>,
    /// First candle that may be traded, UTC ms.
    pub from_ms: i64,
    /// End, exclusive, UTC ms.
    pub to_ms: i64,
    /// Names the candles.
    pub data_version: String,
    /// Points to look at.
    pub budget: u64,
    /// Root of every random number.
    pub seed: Seed,
}

/// A point to store.
#[derive(Clone, Debug, PartialEq)]
pub struct NewPoint {
    /// Its number in the run.
    pub point: u32,
    /// Its value on each axis.
    pub values: Vec<f64>,
    /// Its value of the first objective.
    pub objective: Option<f64>,
    /// Its figures, an object; `None` where it could not be evaluated.
    pub figures: Option<Value>,
    /// Why not.
    pub error: Option<String>,
}

/// A stored run in a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct OptimizationLine {
    pub id: Uuid,
    pub genome_hash: String,
    pub name: Option<String>,
    pub method: String,
    pub objectives: Vec<String>,
    /// `running` or `completed`.
    pub status: String,
    pub from_ms: i64,
    pub to_ms: i64,
    /// Points to look at, and those that were.
    pub budget: u64,
    pub points: u64,
    /// Of them, those that could be evaluated: trials.
    pub evaluations: u64,
    pub best_objective: Option<f64>,
    pub best_point: Option<u64>,
    pub code_version: String,
    pub seed: Seed,
    pub started_at: DateTime<Utc>,
    pub completed_at: Option<DateTime<Utc>>,
}

/// A stored run with all that it says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Optimization {
    /// As in a list.
    #[serde(flatten)]
    pub line: OptimizationLine,
    /// Canonical text of the strategy.
    pub strategy: String,
    /// What is varied, and how.
    pub settings: Value,
    /// What the run says; `None` while it goes on.
    pub report: Option<Value>,
    /// What a replay needs; of a portfolio its `execution` beside it, how orders met the market.
    pub parameters: Stored<Recipe>,
    /// Names the candles.
    pub data_version: String,
}

/// A stored point.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OptimizationPoint {
    /// Its number in the run.
    pub point: u64,
    /// Its value on each axis.
    pub values: Vec<f64>,
    /// Its value of the first objective.
    pub objective: Option<f64>,
    /// Its figures.
    pub figures: Option<Value>,
    /// Why it could not be evaluated.
    pub error: Option<String>,
    /// The strategy that it became, where it was sent on.
    pub strategy_id: Option<Uuid>,
}

const LINE: &str = "id, genome_hash, name, method, objectives, status, from_ms, to_ms, budget, points, evaluations, \
     best_objective::double precision, best_point::bigint, code_version, seed, started_at, completed_at";

fn read_line(row: &Row) -> Result<OptimizationLine, StoreError> {
    Ok(OptimizationLine {
        id: row.try_get("id")?,
        genome_hash: row.try_get("genome_hash")?,
        name: row.try_get("name")?,
        method: row.try_get("method")?,
        objectives: row.try_get("objectives")?,
        status: row.try_get("status")?,
        from_ms: row.try_get("from_ms")?,
        to_ms: row.try_get("to_ms")?,
        budget: row.count("budget")?,
        points: row.count("points")?,
        evaluations: row.count("evaluations")?,
        best_objective: row.try_get("best_objective")?,
        best_point: row.count_opt("best_point")?,
        code_version: row.try_get("code_version")?,
        seed: row.seed("seed")?,
        started_at: row.try_get("started_at")?,
        completed_at: row.try_get("completed_at")?,
    })
}

/// Trials of all optimisations, and points that could not be evaluated.
pub(crate) async fn evaluations(tx: &Tx) -> Result<(u64, u64), StoreError> {
    let sql = "select coalesce(sum(evaluations), 0)::bigint as evaluations,
        coalesce(sum(points - evaluations), 0)::bigint as failures from optimizations";
    let row = tx.row(sql, &[]).await?;
    Ok((row.count("evaluations")?, row.count("failures")?))
}

impl Store {
    /// Opens a run. One that is there goes on: nothing changes.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn open_optimization(&self, new: &NewOptimization) -> Result<(), StoreError> {
        self.transaction("open_optimization", |tx| async move {
            let tx = &tx;
            let what = seal::optimization_of(new.id);
            let settings = tx.keys().seal_json(&new.settings, &what)?;
            let canonical = tx.keys().seal_text(&new.canonical, &what)?;
            let mut recipe = serde_json::to_value(&new.recipe).map_err(|e| StoreError::decode(e.to_string()))?;
            if let Some(execution) = &new.execution {
                recipe["execution"] = serde_json::to_value(execution).map_err(|e| StoreError::decode(e.to_string()))?;
            }
            let sql =
                "insert into optimizations (id, genome_hash, name, canonical, settings, method, objectives, parameters,
                    from_ms, to_ms, data_version, budget, code_version, seed)
                values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) on conflict (id) do nothing";
            let params: Params<'_> = &[
                &new.id,
                &new.genome_hash,
                &new.name.as_deref().map(clean),
                &canonical,
                &settings,
                &new.method,
                &new.objectives,
                &recipe,
                &new.from_ms,
                &new.to_ms,
                &new.data_version,
                &count(new.budget),
                &new.recipe.config.code_version,
                &new.seed.0.to_string(),
            ];
            tx.execute(sql, params).await.map(drop)
        })
        .await
    }

    /// Records points of a run that goes on, and with them how many trials it has been so far. Points that are there stay as
    /// they are, so that this may be said again.
    ///
    /// # Errors
    /// When there is no such run, or the database does not answer.
    pub async fn record_optimization_points(&self, id: Uuid, points: &[NewPoint]) -> Result<(), StoreError> {
        for part in points.chunks(POINTS_AT_ONCE) {
            let ids: Vec<Uuid> = part.iter().map(|_| Uuid::now_v7()).collect();
            let numbers: Vec<i32> = part.iter().map(|p| i32::try_from(p.point).unwrap_or(i32::MAX)).collect();
            let values: Vec<Value> = part.iter().map(|p| json!({ "values": p.values })).collect();
            let objectives: Vec<Option<f64>> = part.iter().map(|p| p.objective.filter(|v| v.is_finite())).collect();
            let figures: Vec<Option<&Value>> = part.iter().map(|p| p.figures.as_ref()).collect();
            let errors: Vec<Option<String>> = part.iter().map(|p| p.error.as_deref().map(clean)).collect();
            let (ids, numbers, values, objectives, figures, errors) =
                (&ids, &numbers, &values, &objectives, &figures, &errors);
            self.transaction("record_optimization_points", |tx| async move {
                let tx = &tx;
                let sql = "insert into optimization_runs (id, optimization_id, point, method, objective, parameters, figures,
                        status, trials, best_objective, error_message, code_version, seed, started_at, completed_at)
                    select n.id, o.id, n.point, o.method, o.objectives[1], n.parameters, n.figures,
                        case when n.error is null then 'completed' else 'failed' end,
                        case when n.error is null then 1 else 0 end, n.objective, n.error, o.code_version, o.seed, now(), now()
                    from optimizations o, unnest($2::uuid[], $3::integer[], $4::jsonb[], $5::double precision[],
                        $6::jsonb[], $7::text[]) as n (id, point, parameters, objective, figures, error)
                    where o.id = $1
                    on conflict (optimization_id, point) do nothing";
                tx.execute(sql, &[&id, ids, numbers, values, objectives, figures, errors]).await?;
                // Counted from what is there: whoever repeats this counts nothing twice.
                let sql = "update optimizations o set points = n.points, evaluations = n.evaluations
                    from (select count(*) as points, coalesce(sum(trials), 0)::bigint as evaluations from optimization_runs
                        where optimization_id = $1) n
                    where o.id = $1";
                match tx.execute(sql, &[&id]).await? {
                    0 => Err(StoreError::not_found("optimisation", id.to_string())),
                    _ => Ok(()),
                }
            })
            .await?;
        }
        Ok(())
    }

    /// Ends a run with what it says, and its best point, if it has one. Saying so again replaces what it says: the trials
    /// counted before it may have grown.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn finish_optimization(
        &self,
        id: Uuid,
        report: &Value,
        best: Option<(u32, f64)>,
    ) -> Result<(), StoreError> {
        self.transaction("finish_optimization", |tx| async move {
            let tx = &tx;
            let report = tx.keys().seal_json(report, &seal::optimization_of(id))?;
            let point = best.map(|(point, _)| i32::try_from(point).unwrap_or(i32::MAX));
            let sql = "update optimizations set status = 'completed', completed_at = greatest(now(), started_at), report = $2,
                    best_point = $3, best_objective = $4::double precision where id = $1";
            tx.execute(sql, &[&id, &report, &point, &best.map(|(_, value)| value)]).await.map(drop)
        })
        .await
    }

    /// Notes which strategy a point became.
    ///
    /// # Errors
    /// When there is no such point, or the database does not answer.
    pub async fn note_optimized_strategy(&self, id: Uuid, point: u32, strategy_id: Uuid) -> Result<(), StoreError> {
        self.transaction("note_optimized_strategy", |tx| async move {
            let sql = "update optimization_runs set best_strategy_id = $3 where optimization_id = $1 and point = $2";
            match tx.execute(sql, &[&id, &i32::try_from(point).unwrap_or(i32::MAX), &strategy_id]).await? {
                0 => Err(StoreError::not_found("point", point.to_string())),
                _ => Ok(()),
            }
        })
        .await
    }

    /// Runs, newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn optimizations(&self, page: Page) -> Result<Vec<OptimizationLine>, StoreError> {
        self.transaction("optimizations", |tx| async move {
            let sql = format!("select {LINE} from optimizations order by started_at desc, id desc limit $1 offset $2");
            tx.rows(&sql, &[&page.limit(), &page.offset()]).await?.iter().map(read_line).collect()
        })
        .await
    }

    /// The run with this id, or with a unique beginning or end (4 characters or more) of it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or [`StoreError::Ambiguous`] when several fit.
    pub async fn optimization(&self, selector: &str) -> Result<Optimization, StoreError> {
        self.transaction("optimization", |tx| async move {
            let tx = &tx;
            let sql = format!(
                "select {LINE}, canonical, settings, report, parameters, data_version from optimizations
                 where id::text = lower($1) or (length($1) >= 4 and (starts_with(id::text, lower($1))
                     or right(id::text, length($1)) = lower($1)))
                 order by (id::text = lower($1)) desc, id limit 2"
            );
            let rows = tx.rows(&sql, &[&selector]).await?;
            let row = match &rows[..] {
                [] => return Err(StoreError::not_found("optimisation", selector)),
                [one] => one,
                [first, ..] if first.try_get::<_, Uuid>("id")?.to_string() == selector.to_ascii_lowercase() => first,
                _ => return Err(StoreError::Ambiguous { what: "optimisation", id: selector.to_owned() }),
            };
            let line = read_line(row)?;
            let what = seal::optimization_of(line.id);
            let report: Option<Value> = row.try_get("report")?;
            Ok(Optimization {
                strategy: tx.keys().open_text(row.try_get("canonical")?, &what)?,
                settings: tx.keys().open_json(row.try_get("settings")?, &what)?,
                report: report.map(|report| tx.keys().open_json(report, &what)).transpose()?,
                parameters: Stored::new(row.try_get("parameters")?, "parameters", &what),
                data_version: row.try_get("data_version")?,
                line,
            })
        })
        .await
    }

    /// Points of a run: the best by the first objective first, those without a value last.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn optimization_points(&self, id: Uuid, page: Page) -> Result<Vec<OptimizationPoint>, StoreError> {
        self.transaction("optimization_points", |tx| async move {
            let sql = "select point::bigint, parameters, best_objective::double precision, figures, error_message,
                    best_strategy_id
                from optimization_runs where optimization_id = $1
                order by best_objective desc nulls last, point limit $2 offset $3";
            tx.rows(sql, &[&id, &page.limit(), &page.offset()]).await?.iter().map(read_point).collect()
        })
        .await
    }

    /// One point of a run.
    ///
    /// # Errors
    /// When there is none of this number, or the database does not answer.
    pub async fn optimization_point(&self, id: Uuid, point: u32) -> Result<OptimizationPoint, StoreError> {
        self.transaction("optimization_point", |tx| async move {
            let sql = "select point::bigint, parameters, best_objective::double precision, figures, error_message,
                    best_strategy_id
                from optimization_runs where optimization_id = $1 and point = $2";
            let row = tx.row_opt(sql, &[&id, &i32::try_from(point).unwrap_or(i32::MAX)]).await?;
            read_point(&row.ok_or_else(|| StoreError::not_found("point", point.to_string()))?)
        })
        .await
    }
}

fn read_point(row: &Row) -> Result<OptimizationPoint, StoreError> {
    let parameters: Value = row.try_get("parameters")?;
    let values = parameters.get("values").and_then(Value::as_array);
    Ok(OptimizationPoint {
        point: row.count("point")?,
        values: values.map(|values| values.iter().filter_map(Value::as_f64).collect()).unwrap_or_default(),
        objective: row.try_get("best_objective")?,
        figures: row.try_get("figures")?,
        error: row.try_get("error_message")?,
        strategy_id: row.try_get("best_strategy_id")?,
    })
}

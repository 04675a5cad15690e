//! Backtests as they were run: runs, their walk-forward windows and trades, and optimisations. Runs nothing itself.
//!
//! Rows of which there are many go in by COPY.

use crate::{
    Page, Parameters, Store, StoreError, Stored, Tx, count,
    names::names,
    paper::{from_word, word},
    row::Named as _,
    transaction::Params,
};
use chrono::{DateTime, Utc};
use engine::{ExitReason, Recipe, Side, Trade};
use genome::random::Seed;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_postgres::{
    Row,
    types::{Json, Type},
};
use uuid::Uuid;

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum RunStatus {
    Pending,
    Running,
    Completed,
    Failed,
}
names!(
    RunStatus,
    "status of a backtest run",
    Pending = "pending",
    Running = "running",
    Completed = "completed",
    Failed = "failed"
);

/// Which part of a window a trade belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Segment {
    Train,
    Test,
}
names!(Segment, "segment of a window", Train = "train", Test = "test");

/// A run that has ended, to store.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRun {
    /// UUID v7, made by the caller: storing the same one twice changes nothing.
    pub id: Uuid,
    /// Whose.
    pub strategy_id: Uuid,
    /// Of which search session, if of one.
    pub session_id: Option<Uuid>,
    /// What a replay needs.
    pub config: Parameters,
    /// SHA-256 of the candles, hex.
    pub dataset_checksum: String,
    /// First candle traded, UTC ms.
    pub from_ms: i64,
    /// End of the last one (exclusive), UTC ms.
    pub to_ms: i64,
    /// What computed it.
    pub code_version: String,
    /// Root of the random streams that led to it.
    pub seed: Seed,
    /// Wall time it took, ms.
    pub execution_time_ms: u64,
    /// What came out, an object; or what went wrong.
    pub outcome: Result<Value, String>,
    /// Stretches fitted and tried, in order of time; may be none.
    pub windows: Vec<NewWindow>,
    /// Trades in order.
    pub trades: Vec<RunTrade>,
}

/// A stretch of time that a strategy was fitted on, and a later one that it was tried on. Ends are exclusive, UTC ms.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct NewWindow {
    pub train_from_ms: i64,
    pub train_to_ms: i64,
    pub test_from_ms: i64,
    pub test_to_ms: i64,
    /// A performance, as JSON.
    pub train_metrics: Value,
    /// A performance, as JSON.
    pub test_metrics: Value,
}

/// A trade of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunTrade {
    /// Which window, from 0.
    pub window_index: u32,
    /// Which part of it.
    pub segment: Segment,
    /// Base timeframe of the strategy.
    pub timeframe: String,
    /// The trade.
    pub trade: Trade,
}

/// A stored run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct BacktestRun {
    pub id: Uuid,
    pub strategy_id: Uuid,
    pub session_id: Option<Uuid>,
    pub status: RunStatus,
    /// What a replay needs.
    pub config: Stored<Recipe>,
    pub dataset_checksum: String,
    pub from_ms: i64,
    pub to_ms: i64,
    pub window_count: u32,
    pub results: Option<Value>,
    pub error_message: Option<String>,
    pub execution_time_ms: Option<u64>,
    pub code_version: String,
    pub seed: Seed,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub completed_at: Option<DateTime<Utc>>,
}

/// A stored window of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct WalkForwardWindow {
    /// From 0.
    pub index: u32,
    pub train_from_ms: i64,
    pub train_to_ms: i64,
    pub test_from_ms: i64,
    pub test_to_ms: i64,
    pub train_metrics: Value,
    pub test_metrics: Value,
    /// 1 - test Sharpe ratio / training one; `None` where the latter is not above zero.
    pub degradation: Option<f64>,
}

/// A search session, as an optimisation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct OptimizationRun {
    pub id: Uuid,
    pub session_id: Option<Uuid>,
    pub method: String,
    pub objective: String,
    pub parameters: Value,
    /// `running`, `completed`, `failed`.
    pub status: String,
    pub trials: u64,
    pub best_objective: Option<f64>,
    pub best_strategy_id: Option<Uuid>,
    pub error_message: Option<String>,
    pub code_version: String,
    pub seed: Seed,
    pub started_at: DateTime<Utc>,
    pub completed_at: Option<DateTime<Utc>>,
}

const TRADE_COLUMNS: [(&str, Type); 18] = [
    ("run_id", Type::UUID),
    ("seq", Type::INT4),
    ("window_index", Type::INT4),
    ("segment", Type::TEXT),
    ("symbol", Type::TEXT),
    ("timeframe", Type::TEXT),
    ("side", Type::TEXT),
    ("entry_time_ms", Type::INT8),
    ("entry_price", Type::FLOAT8),
    ("exit_time_ms", Type::INT8),
    ("exit_price", Type::FLOAT8),
    ("quantity", Type::FLOAT8),
    ("profit", Type::FLOAT8),
    ("profit_fraction", Type::FLOAT8),
    ("fees", Type::FLOAT8),
    ("slippage", Type::FLOAT8),
    ("funding", Type::FLOAT8),
    ("risk", Type::FLOAT8),
];

/// Stores runs with all that belongs to them: a few statements, however many rows. Those that are stored are left alone.
pub(crate) async fn insert(tx: &Tx, runs: &[NewRun]) -> Result<(), StoreError> {
    let mut new = Vec::with_capacity(runs.len());
    for run in runs {
        if insert_run(tx, run).await? {
            new.push(run);
        }
    }
    copy_trades(tx, &new).await
}

/// The run and its windows; whether it is new.
async fn insert_run(tx: &Tx, run: &NewRun) -> Result<bool, StoreError> {
    let windows = i32::try_from(run.windows.len().max(1)).unwrap_or(i32::MAX);
    let (status, results, error) = match &run.outcome {
        Ok(results) => (RunStatus::Completed, Some(results), None),
        Err(error) => (RunStatus::Failed, None, Some(crate::clean(error))),
    };
    let sql =
        "insert into backtest_runs (id, strategy_id, session_id, status, config, dataset_checksum, from_ms, to_ms,
            window_count, results, error_message, execution_time_ms, code_version, seed, started_at, completed_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::bigint, $13, $14,
            now() - make_interval(secs => $12::bigint::double precision / 1000), now())
        on conflict (id) do nothing";
    let params: Params<'_> = &[
        &run.id,
        &run.strategy_id,
        &run.session_id,
        &status.name(),
        &Json(&run.config),
        &run.dataset_checksum,
        &run.from_ms,
        &run.to_ms,
        &windows,
        &results,
        &error,
        &count(run.execution_time_ms),
        &run.code_version,
        &run.seed.0.to_string(),
    ];
    if tx.execute(sql, params).await? == 0 {
        return Ok(false);
    }
    for (window, index) in run.windows.iter().zip(0_i32..) {
        let sql =
            "insert into walk_forward_windows (run_id, index, train_from_ms, train_to_ms, test_from_ms, test_to_ms,
                train_metrics, test_metrics)
            values ($1, $2, $3, $4, $5, $6, $7, $8)";
        let params: Params<'_> = &[
            &run.id,
            &index,
            &window.train_from_ms,
            &window.train_to_ms,
            &window.test_from_ms,
            &window.test_to_ms,
            &window.train_metrics,
            &window.test_metrics,
        ];
        tx.execute(sql, params).await?;
    }
    Ok(true)
}

async fn copy_trades(tx: &Tx, runs: &[&NewRun]) -> Result<(), StoreError> {
    if runs.iter().all(|run| run.trades.is_empty()) {
        return Ok(());
    }
    tx.execute("select ensure_month_partition('backtest_trades', now())", &[]).await?;
    let names: Vec<&str> = TRADE_COLUMNS.iter().map(|(name, _)| *name).collect();
    let mut types: Vec<Type> = TRADE_COLUMNS.iter().map(|(_, r#type)| r#type.clone()).collect();
    types.extend([Type::TEXT, Type::INT4]);
    let sql = format!("copy backtest_trades ({}, exit_reason, bars) from stdin binary", names.join(", "));
    let mut copy = tx.copy_in(&sql, &types).await?;
    for run in runs {
        for (row, seq) in run.trades.iter().zip(0_i32..) {
            let (window, t) = (i32::try_from(row.window_index).unwrap_or(i32::MAX), &row.trade);
            copy.as_mut()
                .write(&[
                    &run.id,
                    &seq,
                    &window,
                    &row.segment.name(),
                    &t.symbol.as_str(),
                    &row.timeframe,
                    &word(&t.side)?,
                    &t.entry_time_ms,
                    &t.entry_price,
                    &t.exit_time_ms,
                    &t.exit_price,
                    &t.quantity,
                    &t.profit,
                    &t.return_fraction,
                    &t.fees,
                    &t.slippage,
                    &t.funding,
                    &t.risk,
                    &word(&t.exit_reason)?,
                    &i32::try_from(t.bars).unwrap_or(i32::MAX),
                ])
                .await?;
        }
    }
    copy.as_mut().finish().await?;
    Ok(())
}

/// Notes a search session as an optimisation, with the best that came of it. Doing so again changes nothing.
pub(crate) async fn note_optimization(
    tx: &Tx,
    session_id: Uuid,
    best_hash: Option<&str>,
    error: Option<&str>,
) -> Result<(), StoreError> {
    let sql = "insert into optimization_runs (id, session_id, method, objective, parameters, status, trials,
            best_objective, best_strategy_id, error_message, code_version, seed, started_at, completed_at)
        select $2, e.id, 'evolutionary search', 'fitness', e.config,
            case when $4::text is null then 'completed' else 'failed' end,
            coalesce(sum(g.evaluations), 0)::bigint, max(g.best_fitness),
            (select id from strategies where genome_hash = $3), $4, e.code_version, e.seed, e.started_at,
            greatest(now(), e.started_at)
        from search_sessions e left join generations g on g.session_id = e.id
        where e.id = $1 group by e.id
        on conflict (session_id) do nothing";
    tx.execute(sql, &[&session_id, &Uuid::now_v7(), &best_hash, &error.map(crate::clean)]).await.map(drop)
}

const RUN_COLUMNS: &str = "id, strategy_id, session_id, status, config, dataset_checksum, from_ms, to_ms, window_count, \
     results, error_message, execution_time_ms, code_version, seed, created_at, started_at, completed_at";

fn read_run(row: &Row) -> Result<BacktestRun, StoreError> {
    let id: Uuid = row.try_get("id")?;
    Ok(BacktestRun {
        id,
        strategy_id: row.try_get("strategy_id")?,
        session_id: row.try_get("session_id")?,
        status: row.parse("status")?,
        config: Stored::new(row.try_get("config")?, "config", format_args!("backtest run {id}")),
        dataset_checksum: row.try_get("dataset_checksum")?,
        from_ms: row.try_get("from_ms")?,
        to_ms: row.try_get("to_ms")?,
        window_count: row.small("window_count")?,
        results: row.try_get("results")?,
        error_message: row.try_get("error_message")?,
        execution_time_ms: row.count_opt("execution_time_ms")?,
        code_version: row.try_get("code_version")?,
        seed: row.seed("seed")?,
        created_at: row.try_get("created_at")?,
        started_at: row.try_get("started_at")?,
        completed_at: row.try_get("completed_at")?,
    })
}

impl Store {
    /// Stores runs that have ended, with their windows and trades. Those that are stored already are left alone.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] for runs, windows or trades that cannot be.
    pub async fn record_runs(&self, runs: &[NewRun]) -> Result<(), StoreError> {
        self.transaction("record_runs", |tx| async move { insert(&tx, runs).await }).await
    }

    /// Runs of a strategy, newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn backtest_runs(&self, strategy_id: Uuid, page: Page) -> Result<Vec<BacktestRun>, StoreError> {
        self.transaction("backtest_runs", |tx| async move {
            let tx = &tx;
            let sql = format!(
                "select {RUN_COLUMNS} from backtest_runs where strategy_id = $1
                 order by created_at desc, id desc limit $2 offset $3"
            );
            tx.rows(&sql, &[&strategy_id, &page.limit(), &page.offset()]).await?.iter().map(read_run).collect()
        })
        .await
    }

    /// A run.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the database does not answer.
    pub async fn backtest_run(&self, id: Uuid) -> Result<BacktestRun, StoreError> {
        self.transaction("backtest_run", |tx| async move {
            let row = tx.row_opt(&format!("select {RUN_COLUMNS} from backtest_runs where id = $1"), &[&id]).await?;
            read_run(&row.ok_or_else(|| StoreError::not_found("backtest run", id))?)
        })
        .await
    }

    /// Windows of a run, in order.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn walk_forward_windows(&self, run_id: Uuid) -> Result<Vec<WalkForwardWindow>, StoreError> {
        self.transaction("walk_forward_windows", |tx| async move {
            let tx = &tx;
            let sql = "select index, train_from_ms, train_to_ms, test_from_ms, test_to_ms, train_metrics, test_metrics,
                    degradation::double precision
                from walk_forward_windows where run_id = $1 order by index";
            tx.rows(sql, &[&run_id])
                .await?
                .iter()
                .map(|row| {
                    Ok(WalkForwardWindow {
                        index: row.small("index")?,
                        train_from_ms: row.try_get("train_from_ms")?,
                        train_to_ms: row.try_get("train_to_ms")?,
                        test_from_ms: row.try_get("test_from_ms")?,
                        test_to_ms: row.try_get("test_to_ms")?,
                        train_metrics: row.try_get("train_metrics")?,
                        test_metrics: row.try_get("test_metrics")?,
                        degradation: row.try_get("degradation")?,
                    })
                })
                .collect()
        })
        .await
    }

    /// Trades of a run, in order.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn backtest_trades(&self, run_id: Uuid, page: Page) -> Result<Vec<RunTrade>, StoreError> {
        self.transaction("backtest_trades", |tx| async move {
            let tx = &tx;
            let sql = "select window_index, segment, timeframe, symbol, side, entry_time_ms,
                    entry_price::double precision, exit_time_ms, exit_price::double precision,
                    quantity::double precision, profit::double precision, profit_fraction::double precision,
                    fees::double precision, slippage::double precision, funding::double precision,
                    risk::double precision, exit_reason, bars
                from backtest_trades where run_id = $1 order by seq limit $2 offset $3";
            tx.rows(sql, &[&run_id, &page.limit(), &page.offset()]).await?.iter().map(read_trade).collect()
        })
        .await
    }

    /// Search sessions as optimisations, newest first; points of optimisations have their run.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn optimization_runs(&self, page: Page) -> Result<Vec<OptimizationRun>, StoreError> {
        self.transaction("optimization_runs", |tx| async move {
            let tx = &tx;
            let sql = "select id, session_id, method, objective, parameters, status, trials,
                    best_objective::double precision, best_strategy_id, error_message, code_version, seed, started_at,
                    completed_at
                from optimization_runs where optimization_id is null order by started_at desc, id desc limit $1 offset $2";
            tx.rows(sql, &[&page.limit(), &page.offset()])
                .await?
                .iter()
                .map(|row| {
                    Ok(OptimizationRun {
                        id: row.try_get("id")?,
                        session_id: row.try_get("session_id")?,
                        method: row.try_get("method")?,
                        objective: row.try_get("objective")?,
                        parameters: row.try_get("parameters")?,
                        status: row.try_get("status")?,
                        trials: row.count("trials")?,
                        best_objective: row.try_get("best_objective")?,
                        best_strategy_id: row.try_get("best_strategy_id")?,
                        error_message: row.try_get("error_message")?,
                        code_version: row.try_get("code_version")?,
                        seed: row.seed("seed")?,
                        started_at: row.try_get("started_at")?,
                        completed_at: row.try_get("completed_at")?,
                    })
                })
                .collect()
        })
        .await
    }
}

fn read_trade(row: &Row) -> Result<RunTrade, StoreError> {
    let trade = Trade {
        symbol: row.parse("symbol")?,
        side: from_word::<Side>(row.try_get("side")?)?,
        entry_time_ms: row.try_get("entry_time_ms")?,
        entry_price: row.try_get("entry_price")?,
        exit_time_ms: row.try_get("exit_time_ms")?,
        exit_price: row.try_get("exit_price")?,
        quantity: row.try_get("quantity")?,
        profit: row.try_get("profit")?,
        return_fraction: row.try_get("profit_fraction")?,
        fees: row.try_get("fees")?,
        slippage: row.try_get("slippage")?,
        funding: row.try_get("funding")?,
        risk: row.try_get("risk")?,
        exit_reason: from_word::<ExitReason>(row.try_get("exit_reason")?)?,
        bars: row.small("bars")?,
    };
    let (window_index, segment) = (row.small("window_index")?, row.parse("segment")?);
    Ok(RunTrade { window_index, segment, timeframe: row.try_get("timeframe")?, trade })
}

//! What monitoring asks beside the overview: live deployments, drift, queues, regimes, and when things were last done.
//! Read in one snapshot; holds no history.

use crate::{ModelState, Store, StoreError, Tx, data::model_watch::FIGURES, row::Named as _};
use chrono::{DateTime, Utc};
use evidence::volatility_regime::VolatilityRegime;
use serde_json::Value;
use std::collections::BTreeMap;
use tokio_postgres::Row;
use uuid::Uuid;

/// Live deployments that are told of by name at most, the largest first: a metric has no more label values.
const MOST_DEPLOYMENTS: i64 = 20;

/// A deployment that goes on, in a line.
#[derive(Clone, Debug, PartialEq)]
pub struct DeploymentLine {
    /// Name of the strategy.
    pub strategy: String,
    /// Percent of capital; 0 while paused.
    pub allocation_pct: f64,
    /// Return of the live run so far (fraction); `None` before its first pass.
    pub total_return: Option<f64>,
}

/// Moves that are told of by name at most, the newest first, and for how long, minutes.
const MOST_MOVES: (i64, i32) = (20, 60);

/// A strategy that went live or was demoted a short while ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveLine {
    /// Id of the strategy.
    pub strategy_id: Uuid,
    /// Its name.
    pub strategy: String,
    /// `go_live` or `demote`.
    pub kind: String,
    /// Wall time.
    pub at: DateTime<Utc>,
}

/// The regime of an asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetRegime {
    /// Name of the asset; of another market than spot with that before it, as in `um:BTCUSDT`.
    pub asset: String,
    /// That it is in now.
    pub regime: VolatilityRegime,
}

/// The newest book, in numbers; what is undefined is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BookLine {
    /// Which pipeline of this database.
    pub number: u32,
    /// Its state, by name.
    pub state: String,
    /// ln E of all its days, and of its placebo's.
    pub log_e: [Option<f64>; 2],
    /// What it must reach to go live.
    pub needed_log_e: Option<f64>,
    /// ln E of the days since its life began.
    pub life_log_e: Option<f64>,
    /// Annual Sharpe ratio of hedged daily returns, and its placebo's.
    pub hedged_sharpe: [Option<f64>; 2],
    /// Most negative equity / running peak - 1.
    pub max_drawdown: Option<f64>,
    /// Members of its newest block.
    pub members: u32,
    /// When that block ends, market time, UTC ms; `None` before one is frozen.
    pub block_end_ms: Option<i64>,
    /// End of its newest day, market time, UTC ms.
    pub day_end_ms: Option<i64>,
    /// Return of that day, after costs.
    pub day_return: Option<f64>,
    /// When its newest step was stored, or it was begun, wall time.
    pub stepped_at: DateTime<Utc>,
    /// Percent of capital that it has at work.
    pub allocated_pct: f64,
}

/// Models that are told of by name at most: those that fail and those that drift first, then by name.
const MOST_MODELS: i64 = 20;

/// What the newest look at a model found, in numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelLine {
    /// Its name.
    pub model: String,
    /// How it is.
    pub state: ModelState,
    /// Why it fails, or what has drifted.
    pub reason: Option<String>,
    /// When it was looked at, wall time.
    pub watched_at: DateTime<Utc>,
    /// Close of its newest prediction, market time, UTC ms.
    pub predicted_ms: Option<i64>,
    /// Log loss of the constant forecast less the model's, in the window.
    pub gain: Option<f64>,
    /// Calibration error in the window.
    pub calibration_error: Option<f64>,
    /// Evidence of drift over what it needs.
    pub drift: Option<f64>,
    /// Fits in a row, up to the newest, that failed.
    pub failed_fits: u64,
}

/// Everything monitoring asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MonitoringSnapshot {
    /// Open drift alerts by severity.
    pub open_drift_alerts: BTreeMap<String, u64>,
    /// The largest live deployments.
    pub deployments: Vec<DeploymentLine>,
    /// The newest strategies that went live or were demoted within the hour.
    pub moves: Vec<MoveLine>,
    /// Strategies that went live, and those that were demoted, in the last 30 days of market time.
    pub moved_lately: [u64; 2],
    /// Percent of capital that all active deployments have.
    pub allocated_pct: f64,
    /// Win rates of the open shadow runs, undefined ones left out.
    pub shadow_win_rates: Vec<f64>,
    /// ln of the out-of-sample E / ln of the promotion threshold, of the shadow run that is nearest to it; `None` where no gate was
    /// asked yet.
    pub shadow_evidence: Option<f64>,
    /// Trades that these have closed.
    pub shadow_trades: u64,
    /// Strategies that wait as candidates for a session to judge them.
    pub candidates_waiting: u64,
    /// Backtest runs that wait or are under way.
    pub backtests_waiting: u64,
    /// Of each asset, by name.
    pub regimes: Vec<AssetRegime>,
    /// When a daily review was last finished, wall time.
    pub last_review_at: Option<DateTime<Utc>>,
    /// The newest book.
    pub book: Option<BookLine>,
    /// The models whose files are there: a bounded number of them.
    pub models: Vec<ModelLine>,
}

impl Store {
    /// Everything monitoring asks for.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn monitoring_snapshot(&self) -> Result<MonitoringSnapshot, StoreError> {
        self.transaction("eyes", |tx| async move {
            let tx = &tx;
            tx.execute("set transaction isolation level repeatable read, read only", &[]).await?;
            read(tx).await
        })
        .await
    }
}

async fn read(tx: &Tx) -> Result<MonitoringSnapshot, StoreError> {
    let drift = "select severity, count(*) as n from drift_alerts where closed_at is null group by 1";
    let deployments = "select s.name, case d.status when 'active' then d.allocation_pct::double precision else 0 end
                as allocation_pct,
            (r.performance ->> 'total_return')::double precision as total_return
        from deployments d join strategies s on s.id = d.strategy_id
        left join paper_runs r on r.strategy_id = d.strategy_id and r.ended_at is null and r.phase = 'live'
        where d.status <> 'deactivated' order by 2 desc, d.started_at, d.id limit $1";
    let shadow = "select coalesce(array_agg((performance ->> 'win_rate')::double precision)
            filter (where performance ->> 'win_rate' is not null), '{}') as win_rates,
            coalesce(sum(closed_trades), 0)::bigint as closed_trades,
            max((progress ->> 'log_e')::double precision / nullif((progress ->> 'log_needed')::double precision, 0)) as evidence
        from paper_runs where ended_at is null and phase = 'shadow'";
    let numbers = "with lately as (
            select kind from transitions where kind in ('go_live', 'demote') and at_market_ms >
                (select max(newest_close_ms) from feed_status) - 30 * 86400000::bigint
        )
        select
        (select coalesce(sum(allocation_pct), 0)::double precision from deployments where status = 'active')
            + (select coalesce(sum(allocation_pct), 0)::double precision from book_deployments where status = 'active')
            as allocated_pct,
        (select count(*) from strategies where state = 'candidate') as candidates,
        (select count(*) from backtest_runs where status in ('pending', 'running')) as backtests,
        (select count(*) from lately where kind = 'go_live') as promoted,
        (select count(*) from lately where kind = 'demote') as demoted,
        (select max(finished_at) from daily_reviews where status = 'finished') as last_review_at";
    let moves = "select * from (
            select distinct on (t.strategy_id, t.kind) t.strategy_id, s.name, t.kind, t.created_at
            from transitions t join strategies s on s.id = t.strategy_id
            where t.kind in ('go_live', 'demote') and t.created_at > now() - make_interval(mins => $2)
            order by t.strategy_id, t.kind, t.seq desc
        ) newest order by created_at desc, strategy_id limit $1";
    let moved = |row: &Row| {
        let (strategy_id, strategy) = (row.try_get("strategy_id")?, row.try_get("name")?);
        Ok(MoveLine { strategy_id, strategy, kind: row.try_get("kind")?, at: row.try_get("created_at")? })
    };
    let regimes = "select case market when 'spot' then asset else market || ':' || asset end as asset_name, regime
        from market_regimes where effective_until_ms is null order by 1";
    let regime = |row: &Row| Ok(AssetRegime { asset: row.try_get("asset_name")?, regime: row.parse("regime")? });
    let shadow = tx.row(shadow, &[]).await?;
    let numbers = tx.row(numbers, &[]).await?;
    Ok(MonitoringSnapshot {
        open_drift_alerts: tx
            .rows(drift, &[])
            .await?
            .iter()
            .map(|row| Ok((row.try_get("severity")?, row.count("n")?)))
            .collect::<Result<_, StoreError>>()?,
        deployments: tx
            .rows(deployments, &[&MOST_DEPLOYMENTS])
            .await?
            .iter()
            .map(|row| {
                Ok(DeploymentLine {
                    strategy: row.try_get("name")?,
                    allocation_pct: row.try_get("allocation_pct")?,
                    total_return: row.try_get("total_return")?,
                })
            })
            .collect::<Result<_, StoreError>>()?,
        moves: tx
            .rows(moves, &[&MOST_MOVES.0, &MOST_MOVES.1])
            .await?
            .iter()
            .map(moved)
            .collect::<Result<_, StoreError>>()?,
        moved_lately: [numbers.count("promoted")?, numbers.count("demoted")?],
        allocated_pct: numbers.try_get("allocated_pct")?,
        shadow_win_rates: shadow.try_get("win_rates")?,
        shadow_evidence: shadow.try_get("evidence")?,
        shadow_trades: shadow.count("closed_trades")?,
        candidates_waiting: numbers.count("candidates")?,
        backtests_waiting: numbers.count("backtests")?,
        regimes: tx.rows(regimes, &[]).await?.iter().map(regime).collect::<Result<_, StoreError>>()?,
        last_review_at: numbers.try_get("last_review_at")?,
        book: book(tx).await?,
        models: models(tx).await?,
    })
}

/// What the newest look at each model found.
async fn models(tx: &Tx) -> Result<Vec<ModelLine>, StoreError> {
    let sql = format!(
        "select * from (
            select distinct on (model) model, state, reason, watched_at, {FIGURES},
                (report ->> 'predicted_ms')::double precision::bigint as predicted_ms,
                coalesce((report ->> 'failed_fits')::double precision::bigint, 0) as failed_fits
            from model_watch order by model, day_ms desc
        ) newest where state <> 'gone'
        order by array_position(array['failing', 'drifting'], state) nulls last, model limit $1"
    );
    let line = |row: &Row| {
        Ok(ModelLine {
            model: row.try_get("model")?,
            state: row.parse("state")?,
            reason: row.try_get("reason")?,
            watched_at: row.try_get("watched_at")?,
            predicted_ms: row.try_get("predicted_ms")?,
            gain: row.try_get("gain")?,
            calibration_error: row.try_get("calibration_error")?,
            drift: row.try_get("drift")?,
            failed_fits: row.count("failed_fits")?,
        })
    };
    tx.rows(&sql, &[&MOST_MODELS]).await?.iter().map(line).collect()
}

/// The newest book in a line.
async fn book(tx: &Tx) -> Result<Option<BookLine>, StoreError> {
    let sql = "select b.number, b.state, b.standing, coalesce(b.stepped_at, b.created_at) as stepped_at, k.end_ms,
            coalesce(k.members, 0) as members, d.day_ms + 86400000 as day_end_ms, d.net::double precision as day_return,
            coalesce((select allocation_pct::double precision from book_deployments
                where book_id = b.id and status = 'active'), 0) as allocated_pct
        from (select * from books order by number desc limit 1) b
        left join lateral (select end_ms, members from book_blocks
            where book_id = b.id and not is_placebo order by begin_ms desc limit 1) k on true
        left join lateral (select day_ms, net from book_days
            where book_id = b.id and not is_placebo order by day_ms desc limit 1) d on true";
    let Some(row) = tx.row_opt(sql, &[]).await? else { return Ok(None) };
    let standing: Value = row.try_get("standing")?;
    let number = |part: &str, key: &str| standing[part][key].as_f64();
    Ok(Some(BookLine {
        number: row.small("number")?,
        state: row.try_get("state")?,
        log_e: [number("proof", "log_e"), number("placebo_proof", "log_e")],
        needed_log_e: standing["needed_log_e"].as_f64(),
        life_log_e: number("proof", "life_log_e"),
        hedged_sharpe: [number("figures", "hedged_sharpe"), number("placebo_figures", "hedged_sharpe")],
        max_drawdown: number("figures", "max_drawdown"),
        members: row.small("members")?,
        block_end_ms: row.try_get("end_ms")?,
        day_end_ms: row.try_get("day_end_ms")?,
        day_return: row.try_get("day_return")?,
        stepped_at: row.try_get("stepped_at")?,
        allocated_pct: row.try_get("allocated_pct")?,
    }))
}

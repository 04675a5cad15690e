//! Candles that were revised, and who used them. Computes nothing itself.

use crate::{Store, StoreError, audit, count, row::Named as _, strategies};
use candles::stored::CandleRange;
use candles::stored::Part;
use candles::{Interval, MarketKind, Symbol, Ticker};
use chrono::{DateTime, Utc};
use engine::ModelsUsed;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tokio_postgres::Row;
use uuid::Uuid;

/// Candles or payments kept of one revision, as they were and as they are.
pub const MAX_REVISION_DETAIL: usize = 1_000;

/// A stored month whose candles, or funding payments, were replaced.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct NewRevision {
    pub market: MarketKind,
    pub symbol: Symbol,
    pub part: Part,
    /// `YYYY-MM`.
    pub month: String,
    /// Hash of the month before.
    pub old_sha256: String,
    /// Hash of the month when it was found.
    pub new_sha256: String,
    /// How many candles or payments differ; at least one.
    pub count: u64,
    /// Time of the first of them, UTC ms.
    pub first_open_ms: i64,
    /// Time of the last one, UTC ms.
    pub last_open_ms: i64,
    /// As they were and as they are, at most [`MAX_REVISION_DETAIL`] of them: an array.
    pub detail: Value,
}

/// A stored revision.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct RevisionRow {
    pub id: i64,
    pub market: MarketKind,
    pub symbol: Symbol,
    pub part: Part,
    pub month: String,
    pub old_sha256: String,
    pub new_sha256: String,
    /// Candles, or payments of funding, that differ.
    pub candles: u64,
    pub first_open_ms: i64,
    pub last_open_ms: i64,
    pub found_at: DateTime<Utc>,
    /// When everything that rested on it had been scored again.
    pub handled_at: Option<DateTime<Utc>>,
}

/// A session that saw a symbol's candles.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct SessionUse {
    pub id: Uuid,
    pub island: String,
    pub number: u64,
    pub market: MarketKind,
    pub symbols: Vec<Symbol>,
    pub interval: Interval,
    pub window_from_ms: i64,
    pub window_to_ms: i64,
    /// First candle that indicators warmed up on, UTC ms.
    pub warmup_from_ms: i64,
    pub data_version: String,
    /// Generations that were bred on it.
    pub generations: u64,
    /// Whether it ranked the market of these symbols.
    pub ranks: bool,
    /// The models whose predictions it was told.
    #[serde(skip_serializing_if = "ModelsUsed::is_none")]
    pub models: ModelsUsed,
}

/// The models of a session's settings; none where nothing is said.
fn models(stored: Option<Value>) -> Result<ModelsUsed, StoreError> {
    match stored {
        None => Ok(ModelsUsed::default()),
        Some(value) => {
            serde_json::from_value(value).map_err(|error| StoreError::unreadable("models", "a session", &error))
        }
    }
}

/// A result that was computed from the candles that a data version names.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DataVersionUse {
    /// The whole hash.
    pub data_version: String,
    /// `backtest`, `holdout`, `shadow`, `live`, `session`, or a backtest for a client.
    pub what: String,
    /// Name of the strategy; of a session `ISLAND/NUMBER`.
    pub name: String,
    /// First candle traded, UTC ms.
    pub from_ms: i64,
    /// End, exclusive, UTC ms.
    pub to_ms: i64,
    /// Generations that were bred on it; of sessions only.
    pub generations: Option<u64>,
}

const COLUMNS: &str = "id, market, symbol, interval, month, old_sha256, new_sha256, candles, first_open_ms, \
     last_open_ms, found_at, handled_at";

fn read(row: &Row) -> Result<RevisionRow, StoreError> {
    Ok(RevisionRow {
        id: row.try_get("id")?,
        market: row.parse("market")?,
        symbol: row.parse("symbol")?,
        part: row.parse("interval")?,
        month: row.try_get("month")?,
        old_sha256: row.try_get("old_sha256")?,
        new_sha256: row.try_get("new_sha256")?,
        candles: row.count("candles")?,
        first_open_ms: row.try_get("first_open_ms")?,
        last_open_ms: row.try_get("last_open_ms")?,
        found_at: row.try_get("found_at")?,
        handled_at: row.try_get("handled_at")?,
    })
}

impl Store {
    /// Stores a revision, unless it is known; whether it is new, and its row.
    ///
    /// # Errors
    /// When the database does not answer or refuses the row.
    pub async fn record_revision(&self, new: &NewRevision) -> Result<(RevisionRow, bool), StoreError> {
        let (market, symbol, interval) = (&new.market.to_string(), &new.symbol.to_string(), &new.part.to_string());
        self.transaction("record_revision", |tx| async move {
            let tx = &tx;
            let sql = "insert into data_revisions (market, symbol, interval, month, old_sha256, new_sha256, candles,
                    first_open_ms, last_open_ms, detail)
                values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
                on conflict (market, symbol, interval, month, old_sha256) do nothing";
            let params: crate::transaction::Params<'_> = &[
                market,
                symbol,
                interval,
                &new.month,
                &new.old_sha256,
                &new.new_sha256,
                &count(new.count),
                &new.first_open_ms,
                &new.last_open_ms,
                &new.detail,
            ];
            let is_new = tx.execute(sql, params).await? > 0;
            let sql = format!(
                "select {COLUMNS} from data_revisions where market = $1 and symbol = $2 and interval = $3
                 and month = $4 and old_sha256 = $5"
            );
            let row = read(&tx.row(&sql, &[market, symbol, interval, &new.month, &new.old_sha256]).await?)?;
            if is_new {
                let entry = audit::AuditEntry {
                    event: "data_changed",
                    entity_type: "candles",
                    entity_id: &format!("{market}/{symbol}/{interval}/{}", new.month),
                    actor: "market",
                    before: Some(json!({ "content_sha256": new.old_sha256 })),
                    after: Some(json!({ "content_sha256": new.new_sha256 })),
                    metadata: json!({
                        "revision_id": row.id, "candles": row.candles,
                        "first_open_ms": row.first_open_ms, "last_open_ms": row.last_open_ms,
                    }),
                    correlation_id: None,
                };
                audit::append(tx, &self.inner.audit_key, &entry).await?;
            }
            Ok((row, is_new))
        })
        .await
    }

    /// Revisions, newest first; only those not dealt with yet with `only_open`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn revisions(&self, only_open: bool) -> Result<Vec<RevisionRow>, StoreError> {
        self.transaction("revisions", |tx| async move {
            let tx = &tx;
            let sql = format!(
                "select {COLUMNS} from data_revisions where handled_at is null or not $1 order by id desc limit 1000"
            );
            tx.rows(&sql, &[&only_open]).await?.iter().map(read).collect()
        })
        .await
    }

    /// Former contents of months whose revision was dealt with, by hash.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn contents_dealt_with(&self) -> Result<BTreeSet<String>, StoreError> {
        self.transaction("contents_dealt_with", |tx| async move {
            let tx = &tx;
            let sql =
                "select old_sha256 from data_revisions group by old_sha256 having bool_and(handled_at is not null)";
            tx.rows(sql, &[]).await?.iter().map(|row| Ok(row.try_get("old_sha256")?)).collect()
        })
        .await
    }

    /// The candles that stored results were computed from, warm-up included: of sessions, paper runs and backtests. Not
    /// of backtests that clients asked for: those are stored whole, and anybody may ask for any candles.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn candles_in_use(&self) -> Result<Vec<CandleRange>, StoreError> {
        self.transaction("candles_in_use", |tx| async move {
            let tx = &tx;
            let recipe = |parameters: &str, from: &str, end: &str| {
                format!(
                    "select {parameters} ->> 'market', {parameters} -> 'symbols', {parameters} ->> 'interval', {from}, {end}"
                )
            };
            let sql = format!(
                "select distinct market, symbol, interval, from_ms, to_ms from (
                     select market, to_jsonb(symbols), timeframe,
                         window_from_ms - coalesce((config ->> 'warmup_ms')::bigint, 0), window_to_ms
                     from search_sessions
                     union {} from paper_runs
                     union {} from backtest_results where coalesce(backtest_id, '') not like 'service:%'
                 ) used (market, symbols, interval, from_ms, to_ms)
                 cross join lateral jsonb_array_elements_text(
                     case when jsonb_typeof(symbols) = 'array' then symbols else '[]' end) as symbol
                 where market is not null and interval is not null and from_ms < to_ms",
                recipe("config", "warmup_from_ms", "to_ms"),
                recipe(
                    "parameters",
                    "(parameters ->> 'warmup_from_ms')::bigint",
                    "greatest((parameters ->> 'data_to_ms')::bigint, (extract(epoch from period_end) * 1000)::bigint)"
                ),
            );
            let read = |row: &Row| -> Result<CandleRange, StoreError> {
                Ok(CandleRange {
                    market: row.parse("market")?,
                    symbol: row.parse("symbol")?,
                    interval: row.parse("interval")?,
                    from_ms: row.try_get("from_ms")?,
                    to_ms: row.try_get("to_ms")?,
                })
            };
            tx.rows(&sql, &[]).await?.iter().map(read).collect()
        })
        .await
    }

    /// The results that were computed from the candles which a data version, or the first characters of one, names.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn data_version_uses(&self, prefix: &str) -> Result<Vec<DataVersionUse>, StoreError> {
        let pattern = &format!("{prefix}%");
        self.transaction("data_version_uses", |tx| async move {
            let tx = &tx;
            let sql = "select t.data_version, t.source as what, s.name, t.window_from_ms as from_ms,
                    t.window_to_ms as to_ms, null::bigint as generations
                from strategy_stats t join strategies s on s.id = t.strategy_id where t.data_version like $1
                union all
                select b.data_version, 'backtest for a client', s.name, b.from_ms, b.to_ms, null
                from service_backtests b join strategies s on s.id = b.strategy_id where b.data_version like $1
                union all
                select data_version, 'session', island || '/' || number, window_from_ms, window_to_ms,
                    coalesce(last_generation + 1, 0)::bigint
                from search_sessions where data_version like $1
                order by 1, 2, 3, 4";
            let read = |row: &Row| -> Result<DataVersionUse, StoreError> {
                Ok(DataVersionUse {
                    data_version: row.try_get("data_version")?,
                    what: row.try_get("what")?,
                    name: row.try_get("name")?,
                    from_ms: row.try_get("from_ms")?,
                    to_ms: row.try_get("to_ms")?,
                    generations: row.count_opt("generations")?,
                })
            };
            tx.rows(sql, &[pattern]).await?.iter().map(read).collect()
        })
        .await
    }

    /// Notes that everything that rested on a revision was scored again.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn revision_handled(&self, id: i64) -> Result<(), StoreError> {
        self.transaction("revision_handled", |tx| async move {
            let tx = &tx;
            let sql = "update data_revisions set handled_at = now() where id = $1 and handled_at is null";
            tx.execute(sql, &[&id]).await.map(drop)
        })
        .await
    }

    /// Strategies of which some result was computed on candles of a symbol.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn strategies_on(&self, ticker: &Ticker) -> Result<Vec<Uuid>, StoreError> {
        let (market, symbol) = (&ticker.market.to_string(), &ticker.symbol.to_string());
        self.transaction("strategies_on", |tx| async move {
            let tx = &tx;
            let sql = "select s.id from strategies s where s.market = $1 and ($2 = any(s.symbols)
                    or exists (select 1 from paper_runs r where r.strategy_id = s.id
                        and (r.config -> 'symbols' ? $2 or r.config ? 'ranked'))
                    or exists (select 1 from backtest_results b
                        where b.strategy_id = s.id and b.parameters -> 'symbols' ? $2))
                order by s.id";
            tx.rows(sql, &[market, symbol]).await?.iter().map(|row| Ok(row.try_get("id")?)).collect()
        })
        .await
    }

    /// Sessions that saw candles of a symbol in `[from_ms, to_ms]`, warm-up included.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn sessions_on(
        &self,
        ticker: &Ticker,
        (from_ms, to_ms): (i64, i64),
    ) -> Result<Vec<SessionUse>, StoreError> {
        let (market, symbol) = (&ticker.market.to_string(), &ticker.symbol.to_string());
        self.transaction("sessions_on", |tx| async move {
            let tx = &tx;
            let sql = "select id, island, number, market, symbols, timeframe, window_from_ms, window_to_ms,
                    window_from_ms - coalesce((config ->> 'warmup_ms')::bigint, 0) as warmup_from_ms, data_version,
                    coalesce(last_generation + 1, 0)::bigint as generations, config ? 'ranked' as ranks, config -> 'models' as models
                from search_sessions
                where market = $1 and $2 = any(symbols) and window_to_ms > $3
                    and window_from_ms - coalesce((config ->> 'warmup_ms')::bigint, 0) <= $4
                order by started_at, id";
            let rows = tx.rows(sql, &[market, symbol, &from_ms, &to_ms]).await?;
            let read = |row: &Row| -> Result<SessionUse, StoreError> {
                Ok(SessionUse {
                    id: row.try_get("id")?,
                    island: row.try_get("island")?,
                    number: row.count("number")?,
                    market: row.parse("market")?,
                    symbols: strategies::symbols(row.try_get("symbols")?)?,
                    interval: row.parse("timeframe")?,
                    window_from_ms: row.try_get("window_from_ms")?,
                    window_to_ms: row.try_get("window_to_ms")?,
                    warmup_from_ms: row.try_get("warmup_from_ms")?,
                    data_version: row.try_get("data_version")?,
                    generations: row.count("generations")?,
                    ranks: row.try_get("ranks")?,
                    models: models(row.try_get("models")?)?,
                })
            };
            rows.iter().map(read).collect()
        })
        .await
    }
}

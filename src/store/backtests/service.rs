//! What the HTTP service stores: strategies that clients post, by number, and backtests with their whole ledgers.

use crate::{NewStrategy, Page, Store, StoreError, Stored, Strategy, Tx, audit, count, row::Named as _, strategies};
use chrono::{DateTime, Utc};
use engine::{DailyEquity, Performance, Recipe, Trade};
use serde_json::json;
use tokio_postgres::{Row, types::Json};
use uuid::Uuid;

/// The kind of the strategies that clients of the service post. No session judges them until an operator says so.
pub const SERVICE_KIND: &str = "service";

/// A finished backtest to store.
#[derive(Clone, Debug, PartialEq)]
pub struct NewServiceBacktest {
    /// Of which strategy.
    pub strategy_id: Uuid,
    /// First candle that may be traded, UTC ms.
    pub from_ms: i64,
    /// End, exclusive, UTC ms.
    pub to_ms: i64,
    /// What a replay needs.
    pub parameters: Recipe,
    /// Names the candles.
    pub data_version: String,
    /// Candles in the window.
    pub candles: u64,
    /// Candles of the window that are missing.
    pub missing_candles: u64,
    /// What came out.
    pub performance: Performance,
    /// Equity at each 00:00 UTC.
    pub daily_equity: Vec<DailyEquity>,
    /// In order of entry.
    pub trades: Vec<Trade>,
    /// How long it took, ms.
    pub duration_ms: u64,
}

/// A stored backtest of the service.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceBacktest {
    /// Its number.
    pub id: i64,
    /// What was stored.
    pub backtest: NewServiceBacktest,
    /// Whose.
    pub strategy: Strategy,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// A backtest of the service in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceBacktestLine {
    /// Its number.
    pub id: i64,
    /// First candle that might be traded, UTC ms.
    pub from_ms: i64,
    /// End, exclusive, UTC ms.
    pub to_ms: i64,
}

fn read(tx: &Tx, row: &Row) -> Result<ServiceBacktest, StoreError> {
    let strategy = strategies::read(tx, row)?;
    let id: i64 = row.try_get("backtest_id")?;
    let parameters =
        Stored::new(row.try_get("parameters")?, "parameters", format_args!("backtest {id}")).into_read()?;
    Ok(ServiceBacktest {
        id,
        backtest: NewServiceBacktest {
            strategy_id: strategy.id,
            from_ms: row.try_get("from_ms")?,
            to_ms: row.try_get("to_ms")?,
            parameters,
            data_version: row.try_get("data_version")?,
            candles: row.count("candles")?,
            missing_candles: row.count("missing_candles")?,
            performance: row.json("performance")?,
            daily_equity: row.json("daily_equity")?,
            trades: row.json("trades")?,
            duration_ms: row.count("duration_ms")?,
        },
        strategy,
        created_at: row.try_get("backtest_created_at")?,
    })
}

const BACKTEST: &str = "b.id as backtest_id, b.from_ms, b.to_ms, b.parameters, b.data_version, b.candles, \
     b.missing_candles, b.performance, b.daily_equity, b.trades, b.duration_ms, b.created_at as backtest_created_at";

/// Makes a candidate that a client posted the search's own, which found the same rules by itself: whoever posts first
/// does not keep it from being judged. Its id, where there was one.
pub(crate) async fn adopt(tx: &Tx, key: &audit::ChainKey, new: &NewStrategy) -> Result<Option<Uuid>, StoreError> {
    let generation = i32::try_from(new.generation).unwrap_or(i32::MAX);
    let symbols: Vec<&str> = new.symbols.iter().map(candles::Symbol::as_str).collect();
    let market = new.market.to_string();
    let sql = "update strategies set name = $2, type = $3, version = $4, parent_hashes = $5,
            parent_ids = (select coalesce(array_agg(p.id order by array_position($5, p.genome_hash)), '{}')
                from strategies p where p.genome_hash = any($5)),
            generation = $6, island = $7, session_id = $8, symbols = $9, market = $10, seen_until_ms = $11,
            created_by = $12, updated_at = now()
        where genome_hash = $1 and type = 'service' and state = 'candidate' returning id";
    let params: crate::transaction::Params<'_> = &[
        &new.genome_hash,
        &new.name,
        &new.kind,
        &new.version,
        &new.parent_hashes,
        &generation,
        &new.island,
        &new.session_id,
        &symbols,
        &market,
        &new.seen_until_ms,
        &new.created_by,
    ];
    let Some(row) = tx.row_opt(sql, params).await? else { return Ok(None) };
    let id: Uuid = row.try_get("id")?;
    let entry = audit::AuditEntry {
        event: "strategy_created",
        entity_type: "strategy",
        entity_id: &id.to_string(),
        actor: &new.created_by,
        before: Some(json!({ "type": SERVICE_KIND })),
        after: Some(json!({ "type": new.kind, "genome_hash": new.genome_hash })),
        metadata: json!({ "name": new.name, "session_id": new.session_id }),
        correlation_id: new.session_id,
    };
    audit::append(tx, key, &entry).await?;
    Ok(Some(id))
}

impl Store {
    /// Stores a client's strategy as a candidate, or finds the one with the same genome; the stored one, and whether it
    /// is new.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where `most` of clients' are stored already; when the database does not answer or
    /// refuses the row.
    pub async fn put_strategy(&self, strategy: &NewStrategy, most: u32) -> Result<(Strategy, bool), StoreError> {
        self.transaction("put_strategy", |tx| async move {
            let tx = &tx;
            let is_new = strategies::insert(tx, &self.inner.audit_key, strategy).await?;
            let sql = "select count(*) as n from strategies where type = 'service'";
            if is_new && tx.row(sql, &[]).await?.count("n")? > u64::from(most) {
                let why =
                    format!("{most} strategies of clients are stored, as many as http.max_client_strategies allows");
                return Err(StoreError::Conflict(why));
            }
            let sql = format!("select {} from strategies s where s.genome_hash = $1", strategies::COLUMNS);
            Ok((strategies::read(tx, &tx.row(&sql, &[&strategy.genome_hash]).await?)?, is_new))
        })
        .await
    }

    /// The strategy of this number.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none.
    pub async fn strategy_by_number(&self, number: i64) -> Result<Strategy, StoreError> {
        self.transaction("strategy_by_number", |tx| async move {
            let sql = format!("select {} from strategies s where s.number = $1", strategies::COLUMNS);
            let row = tx.row_opt(&sql, &[&number]).await?;
            strategies::read(&tx, &row.ok_or_else(|| StoreError::not_found("strategy", number))?)
        })
        .await
    }

    /// Stores a backtest of the service, and what other systems read of it; its number. (If the connection breaks at
    /// the commit it may be stored twice: both are true.)
    ///
    /// # Errors
    /// When the database does not answer or refuses the row.
    pub async fn put_service_backtest(&self, new: &NewServiceBacktest) -> Result<i64, StoreError> {
        self.transaction("put_service_backtest", |tx| async move {
            let tx = &tx;
            let sql = "insert into service_backtests (strategy_id, from_ms, to_ms, parameters, data_version, candles,
                    missing_candles, performance, daily_equity, trades, duration_ms)
                values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) returning id";
            let params: crate::transaction::Params<'_> = &[
                &new.strategy_id,
                &new.from_ms,
                &new.to_ms,
                &Json(&new.parameters),
                &new.data_version,
                &count(new.candles),
                &count(new.missing_candles),
                &Json(&new.performance),
                &Json(&new.daily_equity),
                &Json(&new.trades),
                &count(new.duration_ms),
            ];
            let id: i64 = tx.row(sql, params).await?.try_get("id")?;
            let sql = "insert into backtest_results (strategy_id, backtest_id, metrics, parameters, period_start, period_end)
                values ($1, $2, $3, $4, to_timestamp($5::double precision / 1000), to_timestamp($6::double precision / 1000))";
            let name = format!("service:{id}");
            let (from, to) = (new.from_ms as f64, new.to_ms as f64);
            let performance = Json(&new.performance);
            tx.execute(sql, &[&new.strategy_id, &name, &performance, &Json(&new.parameters), &from, &to]).await?;
            Ok(id)
        })
        .await
    }

    /// A backtest of the service with its strategy.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none of this number.
    pub async fn service_backtest(&self, id: i64) -> Result<ServiceBacktest, StoreError> {
        self.transaction("service_backtest", |tx| async move {
            let sql = format!(
                "select {}, {BACKTEST} from service_backtests b join strategies s on s.id = b.strategy_id
                 where b.id = $1",
                strategies::COLUMNS
            );
            let row = tx.row_opt(&sql, &[&id]).await?;
            read(&tx, &row.ok_or_else(|| StoreError::not_found("backtest", id))?)
        })
        .await
    }

    /// The service's backtests of a strategy, newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn service_backtests_of(&self, id: Uuid, page: Page) -> Result<Vec<ServiceBacktestLine>, StoreError> {
        self.transaction("service_backtests_of", |tx| async move {
            let sql = "select id, from_ms, to_ms from service_backtests where strategy_id = $1
                order by id desc limit $2 offset $3";
            let rows = tx.rows(sql, &[&id, &page.limit(), &page.offset()]).await?;
            let line = |row: &Row| {
                let (from_ms, to_ms) = (row.try_get("from_ms")?, row.try_get("to_ms")?);
                Ok(ServiceBacktestLine { id: row.try_get("id")?, from_ms, to_ms })
            };
            rows.iter().map(line).collect()
        })
        .await
    }
}

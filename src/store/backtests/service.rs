//! What the HTTP service stores: strategies that clients post, by number, and backtests with their whole ledgers.

use crate::{
    NewStrategy, Page, Store, StoreError, Stored, Strategy, Tx, audit, count, row::Named as _, strategies,
    strategies::naming,
};
use candles::SymbolCoverage;
use chrono::{DateTime, Utc};
use engine::{DailyEquity, Performance, Recipe, Trade};
use portfolio::{Execution, Record};
use serde::{Deserialize, Serialize};
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
    /// Candles in the window; of a portfolio, those that any instrument has.
    pub candles: u64,
    /// Candles of the window that are missing.
    pub missing_candles: u64,
    /// The same by symbol, with those of the warm-up; empty for what was stored before it was kept.
    pub coverage: Vec<SymbolCoverage>,
    /// What came out.
    pub performance: Performance,
    /// Equity at each 00:00 UTC.
    pub daily_equity: Vec<DailyEquity>,
    /// In order of entry; none of a portfolio, which has stays.
    pub trades: Vec<Trade>,
    /// What there is of a strategy that ranks the market beside all this.
    pub portfolio: Option<PortfolioBacktest>,
    /// How long it took, ms.
    pub duration_ms: u64,
}

/// What a backtest of a strategy that ranks the market has beside what every backtest has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PortfolioBacktest {
    /// How orders met the market.
    pub execution: Execution,
    /// Hedged figures, days, weights, stays.
    #[serde(flatten)]
    pub record: Record,
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
    /// Whether it has the terms of every other result: fills at the next open, slippage without a cap.
    pub has_usual_terms: bool,
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
            coverage: row.json_opt("coverage")?.unwrap_or_default(),
            performance: row.json("performance")?,
            daily_equity: row.json("daily_equity")?,
            trades: row.json("trades")?,
            portfolio: row.json_opt("portfolio")?,
            duration_ms: row.count("duration_ms")?,
        },
        strategy,
        created_at: row.try_get("backtest_created_at")?,
    })
}

const BACKTEST: &str = "b.id as backtest_id, b.from_ms, b.to_ms, b.parameters, b.data_version, b.candles, \
     b.missing_candles, b.coverage, b.performance, b.daily_equity, b.trades, b.portfolio, \
     b.duration_ms, b.created_at as backtest_created_at";

/// Makes a candidate that a client posted the search's own, which found the same rules by itself: whoever posts first
/// does not keep it from being judged. Its id, where there was one.
pub(crate) async fn adopt(tx: &Tx, key: &audit::ChainKey, new: &NewStrategy) -> Result<Option<Uuid>, StoreError> {
    let generation = i32::try_from(new.generation).unwrap_or(i32::MAX);
    let symbols: Vec<&str> = new.symbols.iter().map(candles::Symbol::as_str).collect();
    let market = new.market.to_string();
    let (name, version) = (naming::free_name(tx, new).await?, naming::version(tx, new).await?);
    let sql = "update strategies set name = $2, type = $3, version = $4, parent_hashes = $5,
            parent_ids = (select coalesce(array_agg(p.id order by array_position($5, p.genome_hash)), '{}')
                from strategies p where p.genome_hash = any($5)),
            generation = $6, island = $7, session_id = $8, symbols = $9, market = $10, seen_until_ms = $11,
            created_by = $12, updated_at = now()
        where genome_hash = $1 and type = 'service' and state = 'candidate' returning id";
    let params: crate::transaction::Params<'_> = &[
        &new.genome_hash,
        &name,
        &new.kind,
        &version,
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
        metadata: json!({ "name": name, "version": version, "session_id": new.session_id }),
        correlation_id: new.session_id,
    };
    audit::append(tx, key, &entry).await?;
    Ok(Some(id))
}

/// What of clients nobody used, and left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RemovedOfClients {
    /// Strategies.
    pub strategies: u64,
    /// Backtests, of these strategies and of others.
    pub backtests: u64,
}

/// Strategies, and backtests of others, that leave in one transaction.
const REMOVED_AT_ONCE: i32 = 200;

impl Store {
    /// Removes what clients posted and nobody has used for so many days, at least seven: strategies that nothing refers
    /// to, with their backtests, and old backtests of any strategy. Each strategy leaves an audit entry.
    ///
    /// # Errors
    /// When the database does not answer, or fewer days are asked for.
    pub async fn remove_unused_of_clients(&self, days: u32, actor: &str) -> Result<RemovedOfClients, StoreError> {
        let (mut removed, days) = (RemovedOfClients::default(), i32::try_from(days).unwrap_or(i32::MAX));
        loop {
            let some = self
                .transaction("remove_unused_of_clients", |tx| async move {
                    let tx = &tx;
                    // Whoever appends to the trail holds its head first, too: nobody waits for anybody in a circle.
                    tx.execute("select from audit_head for update", &[]).await?;
                    let sql = "select strategy_id, name, backtests from remove_unused_of_clients($1, $2)";
                    let mut some = RemovedOfClients::default();
                    for row in tx.rows(sql, &[&days, &REMOVED_AT_ONCE]).await? {
                        let backtests = row.count("backtests")?;
                        some.backtests += backtests;
                        let Some(id) = row.try_get::<_, Option<Uuid>>("strategy_id")? else { continue };
                        some.strategies += 1;
                        let entry = audit::AuditEntry {
                            event: "data_changed",
                            entity_type: "strategy",
                            entity_id: &id.to_string(),
                            actor,
                            before: Some(json!({ "name": row.try_get::<_, String>("name")?, "type": SERVICE_KIND })),
                            after: None,
                            metadata: json!({ "what": "removed", "unused_days": days, "backtests": backtests }),
                            correlation_id: None,
                        };
                        audit::append(tx, &self.inner.audit_key, &entry).await?;
                    }
                    Ok(some)
                })
                .await?;
            if some == RemovedOfClients::default() {
                return Ok(removed);
            }
            removed.strategies += some.strategies;
            removed.backtests += some.backtests;
        }
    }

    /// Stores a client's strategy as a candidate, or finds the one with the same genome; the stored one, and whether it
    /// is new.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where `most` of clients' are stored already, [`StoreError::NameTaken`] when somebody chose a
    /// name that is taken; when the database does not answer or refuses the row.
    pub async fn put_strategy(&self, strategy: &NewStrategy, most: u32) -> Result<(Strategy, bool), StoreError> {
        self.transaction("put_strategy", |tx| async move {
            let tx = &tx;
            let is_new = strategies::insert(tx, &self.inner.audit_key, strategy).await?.is_some();
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
                    missing_candles, performance, daily_equity, trades, duration_ms, coverage, portfolio)
                values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) returning id";
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
                &Json(&new.coverage),
                &new.portfolio.as_ref().map(Json),
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
            let sql = "select id, from_ms, to_ms, not parameters ? 'fill_on'
                    and parameters #> '{costs,max_slippage_bps}' is null as has_usual_terms
                from service_backtests where strategy_id = $1 order by id desc limit $2 offset $3";
            let rows = tx.rows(sql, &[&id, &page.limit(), &page.offset()]).await?;
            let line = |row: &Row| {
                let (from_ms, to_ms) = (row.try_get("from_ms")?, row.try_get("to_ms")?);
                let has_usual_terms = row.try_get("has_usual_terms")?;
                Ok(ServiceBacktestLine { id: row.try_get("id")?, from_ms, to_ms, has_usual_terms })
            };
            rows.iter().map(line).collect()
        })
        .await
    }
}

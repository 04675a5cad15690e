//! Paper trading: runs of shadow and live strategies, their passes and closed trades. Trades nothing itself.

use crate::{
    LeaseToken, Page, StatSource, Store, StoreError, Stored, Strategy, TradeRow, TransitionOutcome, TransitionRecord,
    Tx, row::Named as _, strategies, strategies::transitions,
};
use chrono::{DateTime, Utc};
use engine::{DailyEquity, ExitReason, Performance, RunConfig, Side, Trade};
use lifecycle::{Progress, State};
use portfolio::Record;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio_postgres::{Row, types::Json};
use uuid::Uuid;

/// Paper trading of a strategy in one phase.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct PaperRun {
    pub id: Uuid,
    pub strategy_id: Uuid,
    /// [`State::Shadow`] or [`State::Live`].
    pub phase: State,
    /// First candle that indicators warm up on, UTC ms. Fixed, so that a replay has the same bits.
    pub warmup_from_ms: i64,
    /// First candle counted, UTC ms.
    pub from_ms: i64,
    /// End of the last candle counted (exclusive), UTC ms; `from_ms` before the first pass.
    pub to_ms: i64,
    /// What a replay needs.
    pub config: Stored<RunConfig>,
    /// Over `[from_ms, to_ms)`; `None` before the first pass.
    pub performance: Option<Performance>,
    /// Trades that the strategy closed itself.
    pub closed_trades: u32,
    /// Positions open at `to_ms`, a JSON array.
    pub open_positions: Value,
    pub daily_equity: Vec<DailyEquity>,
    /// What a run of a strategy that ranks the market has beside these; `None` for rules, and before the first pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub portfolio: Option<Record>,
    /// What the gate was asked last; `None` before that.
    pub progress: Option<Progress>,
    pub opened_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// `None` while it goes on.
    pub ended_at: Option<DateTime<Utc>>,
}

/// A run that goes on, with its strategy.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct ActivePaperRun {
    pub run: PaperRun,
    pub strategy: Strategy,
    /// How often the strategy was demoted from live.
    pub demotions: u32,
}

/// What a pass over new candles found.
#[derive(Clone, Debug, PartialEq)]
pub struct PaperPass {
    /// Which run.
    pub run_id: Uuid,
    /// End of the last candle counted (exclusive), UTC ms.
    pub to_ms: i64,
    /// Names the content of the candles that it rests on, warm-up included.
    pub data_version: Option<String>,
    /// Over the whole run so far.
    pub performance: Performance,
    /// All trades that the strategy closed itself, so far.
    pub closed_trades: u32,
    /// Positions open now, a JSON array.
    pub open_positions: Value,
    /// All closed trades of the run: what is stored becomes exactly these.
    pub trades: Vec<Trade>,
    /// Of the run so far.
    pub daily_equity: Vec<DailyEquity>,
    /// What a strategy that ranks the market has beside these.
    pub portfolio: Option<Record>,
    /// What the gate was asked about it; where it was not asked what is stored stays.
    pub progress: Option<Progress>,
}

/// Days on which the edge of a strategy that ranks the market was proven.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProvingDays {
    /// Results of its newest hold-out, deviations.
    pub holdout: Vec<f64>,
    /// Hedged daily returns of its ended shadow runs, in order.
    pub shadow: Vec<f64>,
}

/// What recording a pass did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassOutcome {
    /// The run reaches further now.
    Recorded,
    /// The run reached as far already: nothing was changed.
    AlreadyThere,
    /// The run has ended meanwhile: nothing was changed.
    Ended,
}

const COLUMNS: &str = "r.id as run_id, r.strategy_id, r.phase, r.warmup_from_ms, r.from_ms, r.to_ms, r.config, \
     r.performance, r.closed_trades, r.open_positions, r.daily_equity, r.portfolio, r.progress, r.opened_at, r.updated_at, r.ended_at";

fn read(row: &Row) -> Result<PaperRun, StoreError> {
    let id: Uuid = row.try_get("run_id")?;
    Ok(PaperRun {
        id,
        strategy_id: row.try_get("strategy_id")?,
        phase: row.parse("phase")?,
        warmup_from_ms: row.try_get("warmup_from_ms")?,
        from_ms: row.try_get("from_ms")?,
        to_ms: row.try_get("to_ms")?,
        config: Stored::new(row.try_get("config")?, "config", format_args!("paper run {id}")),
        performance: row.json_opt("performance")?,
        closed_trades: row.small("closed_trades")?,
        open_positions: row.try_get("open_positions")?,
        daily_equity: row.json("daily_equity")?,
        portfolio: row.json_opt("portfolio")?,
        progress: row.json_opt("progress")?,
        opened_at: row.try_get("opened_at")?,
        updated_at: row.try_get("updated_at")?,
        ended_at: row.try_get("ended_at")?,
    })
}

/// Ends the open run of a strategy that moves, and begins the next one.
pub(crate) async fn switch_run(tx: &Tx, record: &TransitionRecord) -> Result<(), StoreError> {
    let sql = "update paper_runs set ended_at = now() where strategy_id = $1 and ended_at is null";
    tx.execute(sql, &[&record.strategy_id]).await?;
    let Some(run) = &record.run else { return Ok(()) };
    let sql = "insert into paper_runs (id, strategy_id, phase, warmup_from_ms, from_ms, to_ms, config)
        values ($1, $2, $3, $4, $5, $5, $6)";
    let phase = record.transition.to().name();
    let params: crate::transaction::Params<'_> =
        &[&Uuid::now_v7(), &record.strategy_id, &phase, &run.warmup_from_ms, &record.at_market_ms, &Json(&run.config)];
    tx.execute(sql, params).await.map(drop)
}

pub(crate) async fn of_strategy(tx: &Tx, id: Uuid) -> Result<Vec<PaperRun>, StoreError> {
    let sql = format!("select {COLUMNS} from paper_runs r where r.strategy_id = $1 order by r.opened_at, r.id");
    tx.rows(&sql, &[&id]).await?.iter().map(read).collect()
}

async fn put_pass(tx: &Tx, pass: &PaperPass, columns: &TradeColumns) -> Result<PassOutcome, StoreError> {
    write_pass(tx, pass, columns, false).await
}

/// Stores a run anew up to where it is already: its candles were revised.
pub(crate) async fn correct_pass(tx: &Tx, pass: &PaperPass, columns: &TradeColumns) -> Result<PassOutcome, StoreError> {
    write_pass(tx, pass, columns, true).await
}

async fn write_pass(
    tx: &Tx,
    pass: &PaperPass,
    columns: &TradeColumns,
    may_repeat: bool,
) -> Result<PassOutcome, StoreError> {
    let closed = i32::try_from(pass.closed_trades).unwrap_or(i32::MAX);
    let sql = "select strategy_id, phase, from_ms, to_ms, ended_at is not null as has_ended from paper_runs
        where id = $1 for update";
    let row = tx.row_opt(sql, &[&pass.run_id]).await?;
    let row = row.ok_or_else(|| StoreError::not_found("paper run", pass.run_id))?;
    if row.try_get::<_, bool>("has_ended")? {
        return Ok(PassOutcome::Ended);
    }
    let reached_ms = row.try_get::<_, i64>("to_ms")?;
    if pass.to_ms < reached_ms || (pass.to_ms == reached_ms && !may_repeat) {
        return Ok(PassOutcome::AlreadyThere);
    }
    let strategy_id: Uuid = row.try_get("strategy_id")?;
    let source: StatSource = row.parse("phase")?;
    let sql = "update paper_runs set to_ms = $2, performance = $3, closed_trades = $4, open_positions = $5,
            daily_equity = $6, portfolio = $7, progress = coalesce($8, progress), updated_at = now() where id = $1";
    let (performance, equity) = (Json(&pass.performance), Json(&pass.daily_equity));
    let (portfolio, progress) = (pass.portfolio.as_ref().map(Json), pass.progress.as_ref().map(Json));
    let params: crate::transaction::Params<'_> =
        &[&pass.run_id, &pass.to_ms, &performance, &closed, &pass.open_positions, &equity, &portfolio, &progress];
    tx.execute(sql, params).await?;
    columns.remove_others(tx, pass.run_id).await?;
    columns.insert(tx, pass.run_id, strategy_id).await?;
    let window = (row.try_get("from_ms")?, pass.to_ms);
    let version = pass.data_version.as_deref();
    strategies::put_stat(tx, strategy_id, source, window, version, &pass.performance).await?;
    Ok(PassOutcome::Recorded)
}

impl Store {
    /// Runs that go on, of strategies in these states, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn paper_runs(&self, states: &[State]) -> Result<Vec<ActivePaperRun>, StoreError> {
        let states = &states.iter().map(|state| state.name()).collect::<Vec<_>>();
        self.transaction("paper_runs", |tx| async move {
            let tx = &tx;
            let sql = format!(
                "select {}, {COLUMNS},
                 (select count(*) from transitions t where t.strategy_id = s.id and t.kind = 'demote') as demotions
             from paper_runs r join strategies s on s.id = r.strategy_id
             where r.ended_at is null and s.state = any($1) order by r.opened_at, r.id",
                strategies::COLUMNS
            );
            tx.rows(&sql, &[states])
                .await?
                .iter()
                .map(|row| {
                    Ok(ActivePaperRun {
                        strategy: strategies::read(tx, row)?,
                        run: read(row)?,
                        demotions: u32::try_from(row.try_get::<_, i64>("demotions")?).unwrap_or(u32::MAX),
                    })
                })
                .collect()
        })
        .await
    }

    /// Stores what a pass found. A run only ever reaches further; a repeated or late pass changes nothing.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], [`StoreError::NotFound`], [`StoreError::Constraint`] for impossible numbers.
    pub async fn record_paper_pass(&self, lease: &LeaseToken, pass: &PaperPass) -> Result<PassOutcome, StoreError> {
        let columns = &TradeColumns::new(&pass.trades)?;
        self.transaction("record_paper_pass", |tx| async move {
            let tx = &tx;
            lease.verify(tx).await?;
            put_pass(tx, pass, columns).await
        })
        .await
    }

    /// Stores a pass together with the move that was decided on it, or neither: with the pass alone, a process that
    /// died then would find the run beyond the time of the decision and never take it.
    ///
    /// # Errors
    /// Those of [`record_paper_pass`](Self::record_paper_pass) and [`apply_transition`](Self::apply_transition).
    pub async fn record_pass_and_move(
        &self,
        lease: &LeaseToken,
        pass: &PaperPass,
        record: &TransitionRecord,
    ) -> Result<TransitionOutcome, StoreError> {
        let columns = &TradeColumns::new(&pass.trades)?;
        self.transaction("record_pass_and_move", |tx| async move {
            let tx = &tx;
            lease.verify(tx).await?;
            put_pass(tx, pass, columns).await?;
            transitions::apply(tx, &self.inner.audit_key, record).await
        })
        .await
    }

    /// Results, in units of risk and in order of entry, of the trades on which a strategy's edge was proven: those of
    /// its newest hold-out and of its ended shadow runs.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn proving_results(&self, strategy_id: Uuid) -> Result<Vec<f64>, StoreError> {
        self.transaction("proving_results", |tx| async move {
            let tx = &tx;
            let sql = "with judged as (
                    select r.id from backtest_runs r where r.strategy_id = $1 and r.status = 'completed'
                        and exists (select from backtest_trades t where t.run_id = r.id and t.segment = 'test')
                    order by r.started_at desc, r.id limit 1),
                proving as (
                    select entry_time_ms, symbol, profit, risk, exit_reason
                    from backtest_trades where run_id in (select id from judged) and segment = 'test'
                    union all
                    select t.entry_time_ms, t.symbol, t.profit, t.risk, t.exit_reason
                    from paper_trades t join paper_runs r on r.id = t.run_id
                    where r.strategy_id = $1 and r.phase = 'shadow' and r.ended_at is not null)
                select profit::double precision / risk::double precision as result
                from proving where risk::double precision > 0 and exit_reason <> 'end_of_window'
                order by entry_time_ms, symbol";
            let rows = tx.rows(sql, &[&strategy_id]).await?;
            rows.iter().map(|row| Ok(row.try_get("result")?)).collect()
        })
        .await
    }

    /// Days on which a strategy that ranks the market was proven: those of its newest hold-out and of its ended shadow runs.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn proving_days(&self, strategy_id: Uuid) -> Result<ProvingDays, StoreError> {
        self.transaction("proving_days", |tx| async move {
            let tx = &tx;
            let sql = "select holdout_results from strategy_standings where strategy_id = $1";
            let row = tx.row_opt(sql, &[&strategy_id]).await?;
            let holdout = row.map(|row| row.try_get::<_, Option<Vec<f64>>>("holdout_results")).transpose()?.flatten();
            let sql = "select portfolio -> 'days' -> 'hedged' as hedged from paper_runs
                where strategy_id = $1 and phase = 'shadow' and ended_at is not null and portfolio is not null
                order by from_ms, id";
            let mut shadow = Vec::new();
            for row in tx.rows(sql, &[&strategy_id]).await? {
                shadow.extend(row.json::<Vec<f64>>("hedged")?);
            }
            Ok(ProvingDays { holdout: holdout.unwrap_or_default(), shadow })
        })
        .await
    }

    /// Closed paper trades of a strategy, those that ended last first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn paper_trades(&self, strategy_id: Uuid, page: Page) -> Result<Vec<TradeRow>, StoreError> {
        self.transaction("paper_trades", |tx| async move {
            let tx = &tx;
            let sql = "select run_id, symbol, side, entry_time_ms, entry_price::double precision, exit_time_ms,
                    exit_price::double precision, quantity::double precision, profit::double precision,
                    return_fraction::double precision, fees::double precision, slippage::double precision,
                    funding::double precision, risk::double precision, exit_reason, bars
                from paper_trades where strategy_id = $1 order by exit_time_ms desc, id desc limit $2 offset $3";
            tx.rows(sql, &[&strategy_id, &page.limit(), &page.offset()]).await?.iter().map(read_trade).collect()
        })
        .await
    }
}

/// Trades as columns, so that any number of them is one statement.
#[derive(Default)]
pub(crate) struct TradeColumns {
    symbols: Vec<String>,
    sides: Vec<String>,
    times: [Vec<i64>; 2],
    /// Entry price, exit price, quantity, profit, return, fees, slippage, funding.
    numbers: [Vec<f64>; 8],
    risks: Vec<Option<f64>>,
    exit_reasons: Vec<String>,
    bars: Vec<i32>,
}

impl TradeColumns {
    pub(crate) fn new(trades: &[Trade]) -> Result<Self, StoreError> {
        let mut columns = Self::default();
        for trade in trades {
            columns.symbols.push(trade.symbol.to_string());
            columns.sides.push(word(&trade.side)?);
            columns.times[0].push(trade.entry_time_ms);
            columns.times[1].push(trade.exit_time_ms);
            let numbers = [
                trade.entry_price,
                trade.exit_price,
                trade.quantity,
                trade.profit,
                trade.return_fraction,
                trade.fees,
                trade.slippage,
                trade.funding,
            ];
            for (column, number) in columns.numbers.iter_mut().zip(numbers) {
                column.push(number);
            }
            columns.risks.push(trade.risk);
            columns.exit_reasons.push(word(&trade.exit_reason)?);
            columns.bars.push(i32::try_from(trade.bars).unwrap_or(i32::MAX));
        }
        Ok(columns)
    }

    /// Removes trades that a revised or late candle has undone: the rows are what the performance rests on.
    async fn remove_others(&self, tx: &Tx, run_id: Uuid) -> Result<(), StoreError> {
        let sql = "delete from paper_trades p where p.run_id = $1 and not exists (
            select from unnest($2::text[], $3::text[], $4::bigint[]) as t (symbol, side, entry_time_ms)
            where t.symbol = p.symbol and t.side = p.side and t.entry_time_ms = p.entry_time_ms)";
        tx.execute(sql, &[&run_id, &self.symbols, &self.sides, &self.times[0]]).await.map(drop)
    }

    async fn insert(&self, tx: &Tx, run_id: Uuid, strategy_id: Uuid) -> Result<(), StoreError> {
        if self.symbols.is_empty() {
            return Ok(());
        }
        let sql =
            "insert into paper_trades (run_id, strategy_id, symbol, side, entry_time_ms, exit_time_ms, entry_price,
                exit_price, quantity, profit, return_fraction, fees, slippage, funding, risk, exit_reason, bars)
            select $1, $2, t.* from unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[],
                $7::double precision[], $8::double precision[], $9::double precision[], $10::double precision[],
                $11::double precision[], $12::double precision[], $13::double precision[], $14::double precision[],
                $15::double precision[], $16::text[], $17::integer[]) as t
            on conflict (run_id, symbol, entry_time_ms, side) do update set exit_time_ms = excluded.exit_time_ms,
                entry_price = excluded.entry_price, exit_price = excluded.exit_price, quantity = excluded.quantity,
                profit = excluded.profit, return_fraction = excluded.return_fraction, fees = excluded.fees,
                slippage = excluded.slippage, funding = excluded.funding, risk = excluded.risk,
                exit_reason = excluded.exit_reason, bars = excluded.bars";
        let (times, numbers) = (&self.times, &self.numbers);
        tx.execute(
            sql,
            &[
                &run_id,
                &strategy_id,
                &self.symbols,
                &self.sides,
                &times[0],
                &times[1],
                &numbers[0],
                &numbers[1],
                &numbers[2],
                &numbers[3],
                &numbers[4],
                &numbers[5],
                &numbers[6],
                &numbers[7],
                &self.risks,
                &self.exit_reasons,
                &self.bars,
            ],
        )
        .await
        .map(drop)
    }
}

fn read_trade(row: &Row) -> Result<TradeRow, StoreError> {
    let trade = Trade {
        symbol: row.parse("symbol")?,
        side: from_word::<Side>(row.try_get("side")?)?,
        entry_time_ms: row.try_get("entry_time_ms")?,
        entry_price: row.try_get("entry_price")?,
        exit_time_ms: row.try_get("exit_time_ms")?,
        exit_price: row.try_get("exit_price")?,
        quantity: row.try_get("quantity")?,
        profit: row.try_get("profit")?,
        return_fraction: row.try_get("return_fraction")?,
        fees: row.try_get("fees")?,
        slippage: row.try_get("slippage")?,
        funding: row.try_get("funding")?,
        risk: row.try_get("risk")?,
        exit_reason: from_word::<ExitReason>(row.try_get("exit_reason")?)?,
        bars: row.small("bars")?,
    };
    Ok(TradeRow { run_id: row.try_get("run_id")?, trade })
}

/// The JSON name of a value that is a word, such as `stop_loss`.
pub(crate) fn word(value: &impl Serialize) -> Result<String, StoreError> {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => Ok(word),
        other => Err(StoreError::Invalid(format!("not a word: {other:?}"))),
    }
}

pub(crate) fn from_word<T: DeserializeOwned>(word: String) -> Result<T, StoreError> {
    serde_json::from_value(Value::String(word)).map_err(|error| StoreError::decode(error.to_string()))
}

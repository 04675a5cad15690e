//! Lists for people who look: strategies with their figures, audit entries, sessions. Pages, filters, sorts; no more.

use super::audit_entries::{self, AuditRow};
use super::{GenerationRow, Page, StatSource, Store, StoreError, Strategy, Tx, overview, row::Named as _, strategies};
use chrono::{DateTime, Utc};
use engine::Performance;
use lifecycle::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

/// By what strategies are sorted. Figures that are undefined come last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum StrategySort {
    #[default]
    Changed,
    Created,
    Number,
    Name,
    TotalReturn,
    SharpeRatio,
    ProfitFactor,
    MaxDrawdown,
    WinRate,
    Trades,
}

impl StrategySort {
    /// Its column, and whether that is of the figures.
    const fn column(self) -> (&'static str, bool) {
        match self {
            Self::Changed => ("state_changed_at", false),
            Self::Created => ("created_at", false),
            Self::Number => ("number", false),
            Self::Name => ("name", false),
            Self::TotalReturn => ("total_return", true),
            Self::SharpeRatio => ("sharpe_ratio", true),
            Self::ProfitFactor => ("profit_factor", true),
            Self::MaxDrawdown => ("max_drawdown", true),
            Self::WinRate => ("win_rate", true),
            Self::Trades => ("total_trades", true),
        }
    }
}

/// Which strategies to list, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StrategyQuery {
    /// In one of these states; any when empty.
    pub states: Vec<State>,
    /// That trade this symbol.
    pub symbol: Option<String>,
    /// On these candles.
    pub timeframe: Option<String>,
    /// Of this kind of idea.
    pub family: Option<String>,
    /// Of this island.
    pub island: Option<String>,
    /// Of this session.
    pub session_id: Option<Uuid>,
    /// Whose name or rules hold this text, without regard to case.
    pub text: Option<String>,
    /// Whose figures; the newest of all where nothing is said.
    pub source: Option<StatSource>,
    /// By what.
    pub sort: StrategySort,
    /// Smallest first.
    pub ascending: bool,
}

/// A strategy in a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ListedStrategy {
    /// As it is stored.
    pub strategy: Strategy,
    /// What its figures were measured on.
    pub source: Option<StatSource>,
    /// Its figures.
    pub performance: Option<Performance>,
}

/// What lists of strategies filter by, each sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct StrategyFacets {
    pub symbols: Vec<String>,
    pub timeframes: Vec<String>,
    pub families: Vec<String>,
    pub islands: Vec<String>,
}

/// A search session with all its generations.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionStory {
    /// As in a list.
    pub session: SessionRow,
    /// Everything the search was told, an object.
    pub config: Value,
    /// Oldest first.
    pub generations: Vec<GenerationRow>,
}

/// A search session in a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct SessionRow {
    pub id: Uuid,
    pub island: String,
    pub number: i64,
    pub status: String,
    pub symbols: Vec<String>,
    pub timeframe: String,
    pub window_from_ms: i64,
    pub holdout_from_ms: i64,
    pub window_to_ms: i64,
    pub data_version: String,
    pub code_version: String,
    pub seed: String,
    pub report: Option<Value>,
    pub reason: Option<String>,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub evaluations: i64,
}

/// What a live strategy has made on paper since it went live.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct LiveRow {
    pub number: i64,
    pub name: String,
    pub since_ms: i64,
    pub to_ms: i64,
    pub total_return: Option<f64>,
    pub max_drawdown: Option<f64>,
    pub trades: Option<i32>,
    /// Of the newest deployment.
    pub phase: Option<String>,
    pub status: Option<String>,
    pub allocation_pct: Option<f64>,
}

/// The text with everything that LIKE takes for a wildcard escaped, between wildcards.
fn containing(text: &str) -> String {
    let escaped: String =
        text.chars().flat_map(|c| matches!(c, '%' | '_' | '\\').then_some('\\').into_iter().chain([c])).collect();
    format!("%{escaped}%")
}

fn listed(tx: &Tx, row: &Row) -> Result<ListedStrategy, StoreError> {
    let source = row.parse_opt("source")?;
    let performance = row.json_opt("performance")?;
    Ok(ListedStrategy { strategy: strategies::read(tx, row)?, source, performance })
}

const SESSION: &str = "e.id, e.island, e.number, e.status, e.symbols, e.timeframe, e.window_from_ms, \
     e.holdout_from_ms, e.window_to_ms, e.data_version, e.code_version, e.seed, e.report, e.reason, e.started_at, \
     e.ended_at, coalesce(l.evaluations, 0) as evaluations";

fn read_session(row: &Row) -> Result<SessionRow, StoreError> {
    Ok(SessionRow {
        id: row.try_get("id")?,
        island: row.try_get("island")?,
        number: row.try_get("number")?,
        status: row.try_get("status")?,
        symbols: row.try_get("symbols")?,
        timeframe: row.try_get("timeframe")?,
        window_from_ms: row.try_get("window_from_ms")?,
        holdout_from_ms: row.try_get("holdout_from_ms")?,
        window_to_ms: row.try_get("window_to_ms")?,
        data_version: row.try_get("data_version")?,
        code_version: row.try_get("code_version")?,
        seed: row.try_get("seed")?,
        report: row.try_get("report")?,
        reason: row.try_get("reason")?,
        started_at: row.try_get("started_at")?,
        ended_at: row.try_get("ended_at")?,
        evaluations: row.try_get("evaluations")?,
    })
}

impl Store {
    /// Strategies with their figures, and how many there are in all.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list_strategies(
        &self,
        query: &StrategyQuery,
        page: Page,
    ) -> Result<(Vec<ListedStrategy>, u64), StoreError> {
        let states = &query.states.iter().map(|state| state.name()).collect::<Vec<_>>();
        let text = &query.text.as_deref().map(containing);
        let source = &query.source.map(StatSource::name);
        let order = if query.ascending { "asc" } else { "desc" };
        self.transaction("list_strategies", |tx| async move {
            let tx = &tx;
            let wanted =
                "(cardinality($1::text[]) = 0 or s.state = any($1)) and ($2::text is null or $2 = any(s.symbols))
                and ($3::text is null or s.timeframe = $3) and ($4::text is null or s.family = $4)
                and ($5::text is null or s.island = $5) and ($6::uuid is null or s.session_id = $6)
                and ($7::text is null or s.name ilike $7 or s.canonical ilike $7)";
            let (column, of_figures) = query.sort.column();
            let newest = "from strategy_stats t where t.strategy_id = s.id and ($8::text is null or t.source = $8)
                order by t.window_to_ms desc, t.id desc limit 1";
            // The page first, and what is wide only for it: there may be ten thousand others.
            let (figures, by) = if of_figures {
                (format!("left join lateral (select t.id, t.{column} {newest}) f on true"), format!("f.{column}"))
            } else {
                (String::new(), format!("s.{column}"))
            };
            let order = format!("order by {by} {order} nulls last, s.id {order}");
            let page_of = format!("select s.id from strategies s {figures} where {wanted} {order} limit $9 offset $10");
            let sql = format!(
                "select {}, f.source, f.performance from strategies s join ({page_of}) p on p.id = s.id
                 left join lateral (select t.* {newest}) f on true {order}",
                strategies::COLUMNS,
            );
            let q = query;
            let (limit, offset) = (page.limit(), page.offset());
            let params: super::transaction::Params<'_> =
                &[states, &q.symbol, &q.timeframe, &q.family, &q.island, &q.session_id, text, source, &limit, &offset];
            let rows = tx.rows(&sql, params).await?.iter().map(|row| listed(tx, row)).collect::<Result<Vec<_>, _>>()?;
            let sql = format!("select count(*) as n from strategies s where {wanted}");
            let total = tx.row(&sql, &params[..7]).await?.count("n")?;
            Ok((rows, total))
        })
        .await
    }

    /// Symbols, timeframes, families and islands of the stored strategies, each sorted: what lists filter by.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn strategy_facets(&self) -> Result<StrategyFacets, StoreError> {
        self.transaction("strategy_facets", |tx| async move {
            let sql = "select array(select distinct unnest(symbols) from strategies order by 1) as symbols,
                array(select distinct timeframe from strategies order by 1) as timeframes,
                array(select distinct family from strategies where family is not null order by 1) as families,
                array(select distinct island from strategies where island is not null order by 1) as islands";
            let row = tx.row(sql, &[]).await?;
            Ok(StrategyFacets {
                symbols: row.try_get("symbols")?,
                timeframes: row.try_get("timeframes")?,
                families: row.try_get("families")?,
                islands: row.try_get("islands")?,
            })
        })
        .await
    }

    /// Stored children of a strategy, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn children(&self, id: Uuid, page: Page) -> Result<Vec<Strategy>, StoreError> {
        self.transaction("children", |tx| async move {
            let sql = format!(
                "select {} from strategies s where s.parent_ids @> array[$1::uuid]
                 order by s.created_at, s.id limit $2 offset $3",
                strategies::COLUMNS
            );
            tx.rows(&sql, &[&id, &page.limit(), &page.offset()])
                .await?
                .iter()
                .map(|row| strategies::read(&tx, row))
                .collect()
        })
        .await
    }

    /// Entries of the audit trail, newest first; of one thing where its id is given.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn audit_entries(&self, entity_id: Option<&str>, page: Page) -> Result<Vec<AuditRow>, StoreError> {
        self.transaction("audit_entries", |tx| async move {
            let sql =
                "select id, created_at, event_type::text, entity_type, entity_id, actor, before_state, after_state,
                    metadata, ip_hash, hash from audit_logs
                where $1::text is null or entity_id = $1 order by id desc limit $2 offset $3";
            tx.rows(sql, &[&entity_id, &page.limit(), &page.offset()]).await?.iter().map(audit_entries::read).collect()
        })
        .await
    }

    /// A session with its settings and all its generations, oldest first.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn session_story(&self, island: &str, number: i64) -> Result<SessionStory, StoreError> {
        self.transaction("session_story", |tx| async move {
            let sql = format!(
                "select {SESSION}, e.config from search_sessions e
                left join trial_ledger l on l.session_id = e.id where e.island = $1 and e.number = $2"
            );
            let row = tx.row_opt(&sql, &[&island, &number]).await?;
            let row = row.ok_or_else(|| StoreError::not_found("session", format!("{island}/{number}")))?;
            let session = read_session(&row)?;
            let generations = overview::generations_of(&tx, session.id).await?;
            Ok(SessionStory { session, config: row.try_get("config")?, generations })
        })
        .await
    }

    /// Search sessions, newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn sessions(&self, page: Page) -> Result<Vec<SessionRow>, StoreError> {
        self.transaction("sessions", |tx| async move {
            let sql = format!(
                "select {SESSION} from search_sessions e left join trial_ledger l on l.session_id = e.id
                order by e.started_at desc, e.id desc limit $1 offset $2"
            );
            tx.rows(&sql, &[&page.limit(), &page.offset()]).await?.iter().map(read_session).collect()
        })
        .await
    }

    /// Live strategies with what they made on paper since they went live, and their deployments.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn live_strategies(&self) -> Result<Vec<LiveRow>, StoreError> {
        self.transaction("live_strategies", |tx| async move {
            let sql = "select s.number, s.name, r.from_ms, r.to_ms,
                    (r.performance ->> 'total_return')::double precision as total_return,
                    (r.performance ->> 'max_drawdown')::double precision as max_drawdown,
                    (r.performance ->> 'total_trades')::integer as total_trades,
                    d.phase, d.status, d.allocation_pct::double precision
                from strategies s join paper_runs r on r.strategy_id = s.id and r.ended_at is null and r.phase = 'live'
                left join lateral (select * from deployments d where d.strategy_id = s.id
                    order by d.started_at desc limit 1) d on true
                where s.state = 'live' order by s.number";
            let read = |row: &Row| {
                Ok(LiveRow {
                    number: row.try_get("number")?,
                    name: row.try_get("name")?,
                    since_ms: row.try_get("from_ms")?,
                    to_ms: row.try_get("to_ms")?,
                    total_return: row.try_get("total_return")?,
                    max_drawdown: row.try_get("max_drawdown")?,
                    trades: row.try_get("total_trades")?,
                    phase: row.try_get("phase")?,
                    status: row.try_get("status")?,
                    allocation_pct: row.try_get("allocation_pct")?,
                })
            };
            tx.rows(sql, &[]).await?.iter().map(read).collect()
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::containing;

    #[test]
    fn wildcards_of_a_reader_are_text() {
        assert_eq!(containing("a%b_c\\"), "%a\\%b\\_c\\\\%");
    }
}

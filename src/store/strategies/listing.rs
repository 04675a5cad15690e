//! Lists of strategies with their figures, and what they are filtered by. Pages, filters, sorts; no more.

use crate::{Page, StatSource, Store, StoreError, Strategy, Tx, row::Named as _, strategies};
use engine::Performance;
use genome::StrategyForm;
use lifecycle::State;
use serde::{Deserialize, Serialize};
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
    /// ln of the out-of-sample E.
    LogE,
}

impl StrategySort {
    /// Whether it is a number that lists can be limited by.
    #[must_use]
    pub const fn is_figure(self) -> bool {
        self.column().1 || matches!(self, Self::LogE)
    }

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
            Self::LogE => ("log_e", false),
        }
    }
}

/// What a figure of a listed strategy has to be; one that is undefined is not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FigureLimit {
    /// The figure: one of performance, or the evidence.
    pub figure: StrategySort,
    /// Above the value, else below it.
    pub above: bool,
    /// The value itself will do, too.
    pub or_equal: bool,
    /// In the figure's own unit.
    pub value: f64,
}

impl FigureLimit {
    /// As SQL; `k` is its place among the limits.
    fn condition(&self, k: usize) -> String {
        let column = if self.figure == StrategySort::LogE { "e.log_e".to_owned() } else { format!("f.limit{k}") };
        let comparison = match (self.above, self.or_equal) {
            (true, false) => ">",
            (true, true) => ">=",
            (false, false) => "<",
            (false, true) => "<=",
        };
        // A finite number that Rust has written: digits, sign, point and exponent.
        format!(" and {column} {comparison} '{:e}'::double precision", self.value)
    }
}

/// Which strategies to list, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StrategyQuery {
    /// Of this form; any where nothing is said.
    pub form: Option<StrategyForm>,
    /// What their figures have to be, of the source below; finite values only.
    pub limits: Vec<FigureLimit>,
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
    /// Its figures; of one that ranks the market those of its newest stored portfolio.
    pub performance: Option<Performance>,
    /// `None` where nothing out of sample was measured.
    pub evidence: Option<ListedEvidence>,
    /// When it moved last, market time, UTC ms; `None` before its first move.
    pub moved_ms: Option<i64>,
}

/// How close a strategy is or was: evidence of its newest shadow run, or of its hold-out where it had none.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ListedEvidence {
    /// ln of the out-of-sample E; `None` once everything is lost.
    pub log_e: Option<f64>,
    /// ln of the promotion threshold; `None` where no test was bought.
    pub log_needed: Option<f64>,
    /// When it may go live, market time, UTC ms; `None` where nobody can tell, or where shadow ends before.
    pub expected_ms: Option<i64>,
    /// As of, market time, UTC ms; `None` where it is the hold-out's.
    pub at_ms: Option<i64>,
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

/// The text with everything that LIKE takes for a wildcard escaped, between wildcards.
fn containing(text: &str) -> String {
    let escaped: String =
        text.chars().flat_map(|c| matches!(c, '%' | '_' | '\\').then_some('\\').into_iter().chain([c])).collect();
    format!("%{escaped}%")
}

fn listed(tx: &Tx, row: &Row) -> Result<ListedStrategy, StoreError> {
    let source = row.parse_opt("source")?;
    let performance = row.json_opt("performance")?;
    let evidence = ListedEvidence {
        log_e: row.try_get("log_e")?,
        log_needed: row.try_get("log_needed")?,
        expected_ms: row.try_get("expected_ms")?,
        at_ms: row.try_get("evidence_ms")?,
    };
    let evidence = (evidence.log_e.is_some() || evidence.log_needed.is_some()).then_some(evidence);
    let moved_ms = row.try_get("moved_ms")?;
    Ok(ListedStrategy { strategy: strategies::read(tx, row)?, source, performance, evidence, moved_ms })
}

/// Evidence of a strategy `s`: of its newest shadow run that the gate was asked about, or of its hold-out.
const EVIDENCE: &str = "left join lateral (
        (select (r.progress ->> 'log_e')::double precision as log_e,
            (r.progress ->> 'log_needed')::double precision as log_needed,
            case when (r.progress #>> '{expected,at_ms}')::bigint <= (r.progress #>> '{expected,until_ms}')::bigint
                then (r.progress #>> '{expected,at_ms}')::bigint end as expected_ms, (r.progress ->> 'at_ms')::bigint as evidence_ms
        from (select progress from paper_runs where strategy_id = s.id and phase = 'shadow' order by opened_at desc limit 1) r
        where r.progress is not null)
        union all
        (select h.holdout_log_e::double precision, case when h.level > 0 then -ln(h.level * FIRST_SHARE) end, null, null
        from strategy_standings h where h.strategy_id = s.id and s.state <> 'candidate')
        limit 1) e on true";

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
            let mut wanted =
                "(cardinality($1::text[]) = 0 or s.state = any($1)) and ($2::text is null or $2 = any(s.symbols))
                and ($3::text is null or s.timeframe = $3) and ($4::text is null or s.family = $4)
                and ($5::text is null or s.island = $5) and ($6::uuid is null or s.session_id = $6)
                and ($7::text is null or s.name ilike $7 or s.canonical ilike $7)"
                    .to_owned();
            if let Some(form) = query.form {
                wanted += &format!(" and s.form = '{}'", form.name());
            }
            let (mut limited, mut limited_of_portfolio) = (String::new(), String::new());
            for (k, limit) in query.limits.iter().enumerate() {
                wanted += &limit.condition(k);
                if let (column, true) = limit.figure.column() {
                    limited += &format!(", t.{column}::double precision as limit{k}");
                    limited_of_portfolio += &format!(", (b.performance ->> '{column}')::double precision");
                }
            }
            let (column, of_figures) = query.sort.column();
            let (figure, of_portfolio) = if of_figures {
                let of_portfolio = format!("(b.performance ->> '{column}')::double precision");
                (format!("t.{column}::double precision"), of_portfolio)
            } else {
                ("null::double precision".to_owned(), "null".to_owned())
            };
            // What ranks the market and was measured by no session has its newest portfolio's on the terms of every other.
            let newest = |wide: &str, wide_of_portfolio: &str| {
                format!(
                    "left join lateral (
                        (select {figure} as figure{wide} from strategy_stats t
                            where t.strategy_id = s.id and ($8::text is null or t.source = $8)
                            order by t.window_to_ms desc, t.id desc limit 1)
                        union all
                        (select {of_portfolio}{wide_of_portfolio} from service_backtests b
                            where s.form = 'ranking' and b.strategy_id = s.id and b.portfolio is not null
                                and not b.parameters ? 'fill_on' and b.parameters #> '{{costs,max_slippage_bps}}' is null
                                and ($8::text is null or $8 = 'backtest')
                            order by b.id desc limit 1)
                        limit 1) f on true"
                )
            };
            // The page first, and what is wide only for it: there may be ten thousand others.
            let evidence = EVIDENCE.replace("FIRST_SHARE", &lifecycle::promotion_level(1.0, true).to_string());
            let by = match query.sort {
                StrategySort::LogE => "e.log_e".to_owned(),
                _ if of_figures => "f.figure".to_owned(),
                _ => format!("s.{column}"),
            };
            let is_limited = |by_evidence| {
                query.limits.iter().any(|limit| (limit.figure == StrategySort::LogE) == by_evidence)
            };
            // What the page is chosen by, and what its size is counted by.
            let joined = |figures: bool, by_evidence: bool| {
                let figures = if figures { newest(&limited, &limited_of_portfolio) } else { String::new() };
                figures + " " + if by_evidence { evidence.as_str() } else { "" }
            };
            let (by_figures, by_evidence) = (is_limited(false), is_limited(true));
            let figures = joined(by_figures || of_figures, by_evidence || query.sort == StrategySort::LogE);
            let order = format!("order by {by} {order} nulls last, s.id {order}");
            let page_of = format!("select s.id from strategies s {figures} where {wanted} {order} limit $9 offset $10");
            let sql = format!(
                "select {}, f.source, f.performance, e.log_e, e.log_needed, e.expected_ms, e.evidence_ms,
                     (select max(t.at_market_ms) from transitions t where t.strategy_id = s.id) as moved_ms
                 from strategies s join ({page_of}) p on p.id = s.id {} {evidence} {order}",
                strategies::COLUMNS,
                newest(", t.source, t.performance", ", 'backtest', b.performance"),
            );
            let q = query;
            let (limit, offset) = (page.limit(), page.offset());
            let params: crate::transaction::Params<'_> =
                &[states, &q.symbol, &q.timeframe, &q.family, &q.island, &q.session_id, text, source, &limit, &offset];
            let rows = tx.rows(&sql, params).await?.iter().map(|row| listed(tx, row)).collect::<Result<Vec<_>, _>>()?;
            let counted = joined(by_figures, by_evidence);
            let sql = format!("select count(*) as n from strategies s {counted} where {wanted}");
            let total = tx.row(&sql, if by_figures { &params[..8] } else { &params[..7] }).await?.count("n")?;
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
}

#[cfg(test)]
mod tests {
    use super::containing;

    #[test]
    fn wildcards_of_a_reader_are_text() {
        assert_eq!(containing("a%b_c\\"), "%a\\%b\\_c\\\\%");
    }
}

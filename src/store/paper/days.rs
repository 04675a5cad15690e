//! Equity of paper runs by strategy, for comparisons. Computes nothing.

use crate::{Store, StoreError, row::Named as _};
use engine::DailyEquity;
use lifecycle::State;
use uuid::Uuid;

/// What a strategy was worth on paper, day by day.
#[derive(Clone, Debug, PartialEq)]
pub struct PaperDays {
    /// Its id.
    pub id: Uuid,
    /// Its number.
    pub number: i64,
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: State,
    /// Of each of its runs, in order of time: equity at the start and at each 00:00 UTC after it, quote units.
    pub runs: Vec<Vec<DailyEquity>>,
}

impl Store {
    /// Paper runs of strategies: of these numbers, or of these states where no number is given; live ones first, then
    /// by number, at most `limit`. And how many there are in all.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn paper_days(
        &self,
        numbers: &[i64],
        states: &[State],
        limit: u32,
    ) -> Result<(Vec<PaperDays>, u64), StoreError> {
        let states = &states.iter().map(|state| state.name()).collect::<Vec<_>>();
        let limit = &i64::from(limit);
        self.transaction("paper_days", |tx| async move {
            let wanted =
                "case when cardinality($1::bigint[]) > 0 then s.number = any($1) else s.state = any($2::text[]) end
                and exists (select 1 from paper_runs r where r.strategy_id = s.id)";
            let sql = format!("select count(*) as n from strategies s where {wanted}");
            let total = tx.row(&sql, &[&numbers, states]).await?.count("n")?;
            let sql = format!(
                "select s.id as strategy_id, s.number, s.name, s.state, r.daily_equity
                 from (select s.* from strategies s where {wanted}
                    order by s.state <> 'live', s.number limit $3) s
                 join paper_runs r on r.strategy_id = s.id
                 order by s.state <> 'live', s.number, r.from_ms, r.opened_at"
            );
            let mut found: Vec<PaperDays> = Vec::new();
            for row in &tx.rows(&sql, &[&numbers, states, limit]).await? {
                let id = row.try_get("strategy_id")?;
                if found.last().is_none_or(|last| last.id != id) {
                    found.push(PaperDays {
                        id,
                        number: row.try_get("number")?,
                        name: row.try_get("name")?,
                        state: row.parse("state")?,
                        runs: Vec::new(),
                    });
                }
                if let Some(last) = found.last_mut() {
                    last.runs.push(row.json("daily_equity")?);
                }
            }
            Ok((found, total))
        })
        .await
    }
}

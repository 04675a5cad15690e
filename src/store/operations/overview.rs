//! What operators ask about the whole: counts and totals, read in one snapshot. Holds no history.

use crate::{
    GenerationRow, OutboxDepth, ProtocolTotals, Store, StoreError, TrialTotals, Tx,
    data::sources,
    operations::outbox,
    row::Named as _,
    search::{
        generations::{GENERATION, read_generation, trials},
        totals,
    },
};
use genome::StrategyForm;
use lifecycle::State;
use serde::Serialize;
use std::collections::BTreeMap;
use uuid::Uuid;

/// The state of everything in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overview {
    /// Strategies now in each state.
    pub strategies: BTreeMap<State, u64>,
    /// The same by form.
    pub by_form: BTreeMap<StrategyForm, BTreeMap<State, u64>>,
    /// Strategies that ever were in each state.
    pub reached: BTreeMap<State, u64>,
    /// Transitions ever, by kind (`enter_shadow`, `go_live`, `demote`, `disable`, `revive`).
    pub transitions: BTreeMap<String, u64>,
    /// Disabled strategies by reason.
    pub disabled: BTreeMap<String, u64>,
    /// Trials ever.
    pub trials: TrialTotals,
    /// The newest generation of each island.
    pub last_generations: Vec<GenerationRow>,
    /// Profit factors of the open shadow runs, by strategy; undefined ones left out.
    pub shadow_profit_factors: BTreeMap<Uuid, f64>,
    /// Dead letters that nobody did anything about.
    pub open_dead_letters: u64,
    /// What waits to be sent.
    pub outbox: OutboxDepth,
    /// Real and placebo sessions.
    pub protocol: ProtocolTotals,
    /// Whether anything here may rest on a simulated market.
    pub simulated: bool,
}

async fn counts(tx: &Tx, sql: &str) -> Result<BTreeMap<String, u64>, StoreError> {
    tx.rows(sql, &[]).await?.iter().map(|row| Ok((row.try_get("name")?, row.count("n")?))).collect()
}

/// Counts by state, with a zero for each state that has none.
async fn by_state(tx: &Tx, sql: &str) -> Result<BTreeMap<State, u64>, StoreError> {
    let mut counts: BTreeMap<State, u64> = State::ALL.into_iter().map(|state| (state, 0)).collect();
    for row in tx.rows(sql, &[]).await? {
        counts.insert(row.parse("state")?, row.count("n")?);
    }
    Ok(counts)
}

/// Strategies of each form in each state, with a zero where there are none.
async fn by_form(tx: &Tx) -> Result<BTreeMap<StrategyForm, BTreeMap<State, u64>>, StoreError> {
    let none: BTreeMap<State, u64> = State::ALL.into_iter().map(|state| (state, 0)).collect();
    let mut counts = BTreeMap::from([StrategyForm::Rules, StrategyForm::Ranking].map(|form| (form, none.clone())));
    for row in tx.rows("select form, state, count(*) as n from strategies group by 1, 2", &[]).await? {
        counts.entry(row.parse("form")?).or_default().insert(row.parse("state")?, row.count("n")?);
    }
    Ok(counts)
}

impl Store {
    /// Everything in numbers.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn overview(&self) -> Result<Overview, StoreError> {
        self.transaction("overview", |tx| async move {
            let tx = &tx;
            tx.execute("set transaction isolation level repeatable read, read only", &[]).await?;
            // Distinct rows straight from an index; a count of distinct values would sort them once more.
            let reached = "select to_state as state, count(*) as n from (
                    select distinct to_state, strategy_id from transitions where to_state <> 'candidate'
                ) t group by 1";
            let last_generations = format!(
                "select {GENERATION} from (select distinct island from search_sessions) i
                 cross join lateral (
                     select e.id, e.island, e.form, e.number from search_sessions e
                     where e.island = i.island and e.last_generation is not null order by e.number desc limit 1
                 ) e join lateral (
                     select * from generations g where g.session_id = e.id order by g.number desc limit 1
                 ) g on true order by e.island"
            );
            let profit_factors =
                "select strategy_id, (performance ->> 'profit_factor')::double precision as profit_factor
                from paper_runs where ended_at is null and phase = 'shadow'
                    and performance ->> 'profit_factor' is not null";
            let dead = "select count(*) as n from dead_letters where status = 'open'";
            let by_form = by_form(tx).await?;
            let strategies = State::ALL
                .map(|state| (state, by_form.values().filter_map(|of| of.get(&state)).sum()))
                .into_iter()
                .collect::<BTreeMap<_, u64>>();
            let mut reached = by_state(tx, reached).await?;
            // Each strategy began as one.
            reached.insert(State::Candidate, strategies.values().sum());
            Ok(Overview {
                strategies,
                by_form,
                reached,
                transitions: counts(tx, "select kind as name, count(*) as n from transitions group by 1").await?,
                disabled: counts(
                    tx,
                    "select disable_reason as name, count(*) as n from strategies where state = 'disabled' group by 1",
                )
                .await?,
                trials: trials(tx).await?,
                last_generations: tx
                    .rows(&last_generations, &[])
                    .await?
                    .iter()
                    .map(read_generation)
                    .collect::<Result<_, _>>()?,
                shadow_profit_factors: tx
                    .rows(profit_factors, &[])
                    .await?
                    .iter()
                    .map(|row| Ok((row.try_get("strategy_id")?, row.try_get("profit_factor")?)))
                    .collect::<Result<_, StoreError>>()?,
                open_dead_letters: tx.row(dead, &[]).await?.count("n")?,
                outbox: outbox::depth(tx).await?,
                protocol: totals::of_sessions(tx).await?,
                simulated: sources::simulated(tx).await?,
            })
        })
        .await
    }
}

//! `sg-ai strategies`: look at stored strategies, add one, disable or revive one.

use super::{
    CliError, Context,
    format::{e_value, number, operator, percent, simulated, trades},
    input::{strategy_file, time_ms},
    output,
};
use crate::usecases::database::Database;
use crate::usecases::messages::announce;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use engine::Performance;
use genome::AnyFile;
use lifecycle::{DisableReason, State, Transition, VersionStep};
use notify::Channel;
use serde::Serialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use store::{
    ListedEvidence, ListedStrategy, NewStrategy, Page, StatSource, Store, Strategy, StrategyQuery, TransitionRecord,
};
use uuid::Uuid;

/// Look at stored strategies and decide about them.
#[derive(Args, Debug)]
pub(crate) struct StrategiesArgs {
    #[command(subcommand)]
    command: StrategiesCommand,
}

#[derive(Debug, Subcommand)]
enum StrategiesCommand {
    /// List strategies, those that changed state last first
    List {
        /// Only in these states
        #[arg(long, value_delimiter = ',', value_name = "STATE,...")]
        state: Vec<State>,
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Leave out so many first
        #[arg(long, default_value_t = 0)]
        offset: u64,
        /// With symbols, timeframe, costs and rules, as wide as that is
        #[arg(long)]
        wide: bool,
        /// Print JSON, an array
        #[arg(long)]
        json: bool,
    },
    /// Tell the whole life of one strategy: lineage, rules in words, figures, gates, deployments, drift, audit entries
    Show {
        /// Id, name, or the first characters of id or genome hash
        strategy: String,
        /// Print JSON, an object
        #[arg(long)]
        json: bool,
    },
    /// Disable a strategy
    Disable {
        /// Id, name, or the first characters of id or genome hash
        strategy: String,
        /// Why, for the record
        #[arg(long, value_name = "TEXT")]
        why: String,
        /// Print JSON, an object
        #[arg(long)]
        json: bool,
    },
    /// Make a disabled strategy a candidate again; the candles up to now count as seen
    Revive {
        /// Id, name, or the first characters of id or genome hash
        strategy: String,
        /// Why, for the record
        #[arg(long, value_name = "TEXT")]
        why: String,
        /// It has seen candles up to then alone, and nobody chose it by later ones: a date (UTC midnight) or a time
        #[arg(long, value_name = "TIME", value_parser = time_ms)]
        seen_until: Option<i64>,
        /// Print JSON, an object
        #[arg(long)]
        json: bool,
    },
    /// Store a strategy from a file as a candidate; the candles up to now count as seen
    Add {
        /// File with the strategy, in text, JSON or TOML form
        file: PathBuf,
        /// Its name, which no other strategy that is not disabled may have; without it the name in the file
        #[arg(long)]
        name: Option<String>,
        /// It was made from candles up to then alone, by whoever has seen no later ones: a date (UTC midnight) or a time
        #[arg(long, value_name = "TIME", value_parser = time_ms)]
        seen_until: Option<i64>,
        /// Print JSON, an object
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command.
///
/// # Errors
/// When the database does not answer, or there is no such strategy, or it cannot make that move.
pub(crate) async fn run(args: StrategiesArgs, ctx: &Context) -> Result<(), CliError> {
    let opened = Database::open(ctx.config()).await?;
    let done = dispatch(args.command, &opened.store, ctx).await;
    opened.close().await;
    Ok(done?)
}

async fn dispatch(command: StrategiesCommand, store: &Store, ctx: &Context) -> anyhow::Result<()> {
    match command {
        StrategiesCommand::List { state, limit, offset, wide, json } => {
            let query = StrategyQuery { states: state, ..StrategyQuery::default() };
            let (found, _) = store.list_strategies(&query, Page { limit, offset }).await?;
            if json {
                output::json(&found.iter().map(Listed::from).collect::<Vec<_>>())?
            } else {
                simulated(store).await?;
                output::line(if wide { wide_table(&found) } else { table(&found) })?
            }
        }
        StrategiesCommand::Show { strategy, json } => {
            super::life::show(store, &strategy, json).await?;
        }
        StrategiesCommand::Disable { strategy, why, json } => {
            operator_move(store, ctx, &strategy, (State::Disabled, None), why, json).await?
        }
        StrategiesCommand::Revive { strategy, why, seen_until, json } => {
            operator_move(store, ctx, &strategy, (State::Candidate, seen_until), why, json).await?
        }
        StrategiesCommand::Add { file, name, seen_until, json } => {
            add(store, ctx, &file, (name, seen_until), json).await?
        }
    }
    Ok(())
}

/// An operator's decision, applied like any other: guarded, audited, with its reason.
async fn operator_move(
    store: &Store,
    ctx: &Context,
    selector: &str,
    (to, seen_until_ms): (State, Option<i64>),
    why: String,
    json: bool,
) -> anyhow::Result<()> {
    let now_ms = store.market_now_ms(ctx.clock.now_ms()).await?;
    store::seen_until(seen_until_ms, now_ms).map_err(wrong_seen_until)?;
    let strategy = store.find_strategy(selector).await?;
    let transition = Transition::between(strategy.state, to, DisableReason::Operator)?;
    let mut record = TransitionRecord {
        id: Uuid::now_v7(),
        strategy_id: strategy.id,
        transition,
        summary: why,
        decision: None,
        evidence: json!({}),
        policy: None,
        actor: operator(),
        at_market_ms: now_ms,
        run: None,
        seen_until_ms,
        events: Vec::new(),
    };
    announce(&Channel::configured(&ctx.config().notify), &mut record, &strategy.name, &strategy.canonical);
    store.apply_transition(&record, None).await?;
    // One that comes back has another name where its own was given away meanwhile.
    let name = store.find_strategy(&strategy.id.to_string()).await?.name;
    if json {
        return Ok(output::json(&json!({ "id": strategy.id, "name": name, "from": strategy.state, "to": to }))?);
    }
    let renamed = if name == strategy.name { "" } else { ", under a new name: another strategy has its former one" };
    Ok(output::line(format!("{name} is {to} now{renamed}"))?)
}

fn wrong_seen_until(why: String) -> anyhow::Error {
    anyhow::anyhow!("--seen-until: {why}")
}

async fn add(
    store: &Store,
    ctx: &Context,
    path: &Path,
    (name, seen_until_ms): (Option<String>, Option<i64>),
    json: bool,
) -> anyhow::Result<()> {
    let text = strategy_file(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = AnyFile::parse(&text).with_context(|| format!("{} is not a strategy", path.display()))?;
    anyhow::ensure!(
        !file.strategy.looks_beyond_the_daemon(),
        "the daemon trades strategies that look at the candles of their own symbols; one that looks at other instruments, at \
         funding, premium, open interest and ratios, or at models is tested by `sg-ai backtest`"
    );
    let hash = file.strategy.hash().to_string();
    let settings = &ctx.config().daemon;
    let now_ms = store.market_now_ms(ctx.clock.now_ms()).await?;
    let seen_ms = store::seen_until(seen_until_ms, now_ms).map_err(wrong_seen_until)?;
    let chosen = name.or(file.name);
    let new = NewStrategy {
        id: Uuid::now_v7(),
        name_is_chosen: chosen.is_some(),
        name: chosen.unwrap_or_else(|| format!("manual-{}", &hash[..8])),
        genome: file.strategy.clone(),
        canonical: file.strategy.to_string(),
        genome_hash: hash.clone(),
        kind: "manual".to_owned(),
        step: VersionStep::Minor,
        parent_hashes: Vec::new(),
        generation: 0,
        island: None,
        session_id: None,
        // One that ranks the market has its universe.
        symbols: file.strategy.rules().map(|_| settings.symbols.clone()).unwrap_or_default(),
        market: settings.market,
        timeframe: file.strategy.timeframe(),
        seen_until_ms: Some(seen_ms),
        seen_is_stated: seen_until_ms.is_some(),
        created_by: operator(),
    };
    let added = store.add_strategy(&new).await?;
    let name = added.with_context(|| format!("a strategy with this genome ({hash}) is stored already"))?;
    if json {
        let form = file.strategy.form();
        return Ok(output::json(&json!({ "id": new.id, "name": name, "state": State::Candidate, "form": form }))?);
    }
    Ok(output::line(format!("{name} is stored as {} ({})", new.id, State::Candidate))?)
}

/// A strategy with its newest figures, as JSON.
#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    strategy: &'a Strategy,
    /// What the figures were measured on.
    source: Option<StatSource>,
    performance: Option<&'a Performance>,
    /// Out-of-sample evidence beside its threshold, as logarithms.
    evidence: Option<ListedEvidence>,
}

impl<'a> From<&'a ListedStrategy> for Listed<'a> {
    fn from(row: &'a ListedStrategy) -> Self {
        Self {
            strategy: &row.strategy,
            source: row.source,
            performance: row.performance.as_ref(),
            evidence: row.evidence,
        }
    }
}

/// What fits 80 columns: return, Sharpe ratio, state, and how far its evidence is from what is needed to go live.
fn table(strategies: &[ListedStrategy]) -> String {
    let mut text = format!(
        "{:>5}  {:<NAME$}  {:<9}  {:>9}  {:>6}  {:>7}  {:>7}",
        "no.", "name", "state", "return", "Sharpe", "E", "needed"
    );
    for row in strategies {
        let (s, p) = (&row.strategy, row.performance.as_ref());
        let told = |value: Option<f64>, show: &dyn Fn(f64) -> String| value.map_or_else(|| "-".to_owned(), show);
        let e = |log: fn(&ListedEvidence) -> Option<f64>| told(row.evidence.as_ref().and_then(log), &e_value);
        let name = match s.name.char_indices().nth(NAME) {
            None => s.name.clone(),
            Some(_) => format!("{}~", s.name.chars().take(NAME - 1).collect::<String>()),
        };
        text.push_str(&format!(
            "\n{:>5}  {name:<NAME$}  {:<9}  {:>9}  {:>6}  {:>7}  {:>7}",
            s.number,
            s.state.name(),
            told(p.and_then(|p| p.total_return), &|r| format!("{:.1} %", 100.0 * r)),
            told(p.and_then(|p| p.sharpe_ratio), &|r| format!("{r:.2}")),
            e(|e| e.log_e),
            e(|e| e.log_needed),
        ));
    }
    text
}

/// Columns of a name in the narrow list; a longer one is cut, with a sign of it.
const NAME: usize = 20;

fn wide_table(strategies: &[ListedStrategy]) -> String {
    let mut table = output::table();
    table.set_header([
        "no.",
        "name",
        "state",
        "since",
        "timeframe",
        "symbols",
        "metrics from",
        "return",
        "Sharpe",
        "max drawdown",
        "costs",
        "E",
        "needed",
        "rules",
    ]);
    for row in strategies {
        let (s, p) = (&row.strategy, row.performance.as_ref());
        let told = |of: fn(&Performance) -> String| p.map_or_else(|| "-".to_owned(), of);
        let e = |log: fn(&ListedEvidence) -> Option<f64>| {
            row.evidence.as_ref().and_then(log).map_or_else(|| "-".to_owned(), e_value)
        };
        let state = s.disable_reason.map_or_else(|| s.state.to_string(), |r| format!("{} ({})", s.state, r.name()));
        let since = s.state_changed_at.format("%Y-%m-%d %H:%M").to_string();
        table.add_row([
            s.number.to_string(),
            s.name.clone(),
            state,
            since,
            s.timeframe.to_string(),
            trades(s),
            row.source.map_or("-", StatSource::name).to_owned(),
            told(|p| percent(p.total_return)),
            told(|p| number(p.sharpe_ratio)),
            told(|p| percent(p.max_drawdown)),
            told(|p| format!("{:.2}", p.fees + p.slippage + p.funding)),
            e(|e| e.log_e),
            e(|e| e.log_needed),
            s.canonical.clone(),
        ]);
    }
    table.to_string()
}

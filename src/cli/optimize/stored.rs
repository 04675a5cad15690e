//! What of an optimisation is stored: the run, every point, what it says; and a point that becomes a candidate.

use super::{Done, OptimizeArgs, Wanted, ground::Setting};
use crate::cli::{CliError, Context, format::operator, output};
use crate::usecases::database::Database;
use anyhow::Context as _;
use candles::{MarketKind, Symbol};
use genome::AnyStrategy;
use genome::variation::{Parameter, any_parameters, with_any_parameters};
use lifecycle::VersionStep;
use optimize::{Points, Run, Settings, Story};
use serde::Serialize;
use serde_json::json;
use std::sync::Mutex;
use store::{NewOptimization, NewPoint, NewStrategy, Store, embedded};
use uuid::Uuid;

/// The kind of strategies that an optimisation sent on.
const KIND: &str = "optimized";

/// The database of a run, and its id there.
pub(super) struct Opened {
    pub(super) database: Database,
    run: Mutex<Option<Stored>>,
}

/// What of the run is known where it is stored.
#[derive(Clone)]
struct Stored {
    id: Uuid,
    market: MarketKind,
    symbols: Vec<Symbol>,
}

/// What was stored, for whoever asked.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Noted {
    /// The run's id; `None` where nothing was stored.
    pub(super) id: Option<Uuid>,
    /// The candidate that a point became.
    pub(super) added: Option<Added>,
}

/// A candidate.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Added {
    id: Uuid,
    pub(super) name: String,
    pub(super) point: u32,
    /// Trials ever counted, this run's among them.
    pub(super) trials: u64,
}

/// Opens the database, where there is one to write to.
pub(super) async fn open(args: &OptimizeArgs, ctx: &Context) -> Result<Option<Opened>, CliError> {
    let settings = &ctx.config().store;
    let there = settings.database_url.is_some() || embedded::is_there(settings);
    if args.no_store || !(there || args.store || args.add.is_some()) {
        return Ok(None);
    }
    let database = Database::open(ctx.config()).await?;
    Ok(Some(Opened { database, run: Mutex::new(None) }))
}

/// The run as it is stored.
pub(super) fn new(
    id: Uuid,
    name: Option<String>,
    settings: &Settings,
    (from_ms, to_ms): (i64, i64),
    (points, setting): (&Points, &Setting),
    budget: usize,
) -> NewOptimization {
    NewOptimization {
        id,
        genome_hash: points.strategy.hash().to_string(),
        name,
        canonical: points.strategy.to_string(),
        settings: serde_json::to_value(settings).unwrap_or_default(),
        method: settings.method.name().to_owned(),
        objectives: settings.objectives.iter().map(|o| o.name().to_owned()).collect(),
        recipe: setting.recipe.clone(),
        execution: setting.execution,
        from_ms,
        to_ms,
        data_version: setting.data_version.clone(),
        budget: budget as u64,
        seed: settings.seed,
    }
}

/// Tells the store of points, each once as long as it lives.
pub(super) struct Telling<'a> {
    store: &'a Store,
    id: Uuid,
    told: usize,
}

impl<'a> Telling<'a> {
    /// Opens the run in the store.
    pub(super) async fn begin(opened: &'a Opened, new: NewOptimization) -> anyhow::Result<Self> {
        let store = &opened.database.store;
        store.open_optimization(&new).await.context("the store")?;
        let config = &new.recipe.config;
        let stored = Stored { id: new.id, market: config.market, symbols: config.symbols.clone() };
        *opened.run.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(stored);
        Ok(Self { store, id: new.id, told: 0 })
    }

    /// Tells the points that it has not told.
    pub(super) async fn tell(&mut self, run: &Run) -> anyhow::Result<()> {
        let (settings, evaluated) = (run.settings(), run.evaluated());
        let of = |number: usize| {
            let e = &evaluated[number];
            NewPoint {
                point: number as u32,
                values: settings.space.values(&e.point),
                objective: settings.objectives.first().and_then(|&objective| run.value(number, objective)),
                figures: e.figures.as_ref().and_then(|figures| serde_json::to_value(figures).ok()),
                error: e.error.clone(),
            }
        };
        let points: Vec<NewPoint> = (self.told..evaluated.len()).map(of).collect();
        self.store.record_optimization_points(self.id, &points).await.context("the store")?;
        self.told = evaluated.len();
        Ok(())
    }

    /// Trials that were counted beside this run's.
    pub(super) async fn trials_before(&self) -> anyhow::Result<u64> {
        let totals = self.store.trial_totals().await.context("the store")?;
        let own = self.store.optimization(&self.id.to_string()).await.context("the store")?;
        Ok(totals.evaluations.saturating_sub(own.line.evaluations))
    }
}

/// Stores what the run says, and sends a point on, if that is asked for.
pub(super) async fn finish(
    done: &Done,
    opened: &Opened,
    add: Option<Wanted>,
    name: Option<String>,
    ctx: &Context,
) -> Result<Noted, CliError> {
    let run = opened.run.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    let Some(run) = run else { return Ok(Noted::default()) };
    let store = &opened.database.store;
    let report = serde_json::to_value(&done.story).context("the report")?;
    let best = done.story.analysis.best.as_ref().map(|best| (best.point as u32, best.objective));
    store.finish_optimization(run.id, &report, best).await.context("the store")?;
    let Some(add) = add else { return Ok(Noted { id: Some(run.id), added: None }) };
    let point = number(add, done.story.analysis.best.as_ref().map(|b| b.point), Some(&done.story))?;
    let evaluated = done.run.evaluated().get(point as usize);
    let evaluated = evaluated.ok_or_else(|| no_such(point, done.run.evaluated().len()))?;
    let space = &done.run.settings().space;
    let values: Vec<(String, f64)> =
        space.named(&evaluated.point).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let of = Of { run: &run, strategy: &done.strategy, strategy_name: done.name.as_deref(), point };
    let added = candidate(store, &of, &values, name, ctx).await?;
    Ok(Noted { id: Some(run.id), added: Some(added) })
}

fn no_such(point: u32, points: usize) -> CliError {
    CliError::Usage(format!("--add {point}: the run has points 0 to {}", points.saturating_sub(1)))
}

/// The number of the point that is meant.
fn number(add: Wanted, best: Option<usize>, story: Option<&Story>) -> Result<u32, CliError> {
    let none = |what: &str| CliError::Usage(format!("--add {what}: the run has no such point; give its number"));
    match add {
        Wanted::Number(number) => Ok(number),
        Wanted::Best => best.map(|point| point as u32).ok_or_else(|| none("best")),
        Wanted::Plateau => {
            let plateau = story.and_then(|story| story.analysis.best_plateau.as_ref());
            plateau.map(|p| p.point as u32).ok_or_else(|| none("plateau"))
        }
    }
}

/// Sends a point of a stored run on, without evaluating anything.
pub(super) async fn send_on(
    selector: &str,
    add: Wanted,
    name: Option<String>,
    json: bool,
    ctx: &Context,
) -> Result<(), CliError> {
    let opened = Database::open(ctx.config()).await?;
    let sent = of_stored(&opened.store, selector, add, name, ctx).await;
    opened.close().await;
    let (id, added) = sent?;
    let printed = if json {
        output::json(&json!({ "id": id, "added": added }))
    } else {
        output::line(format!("{} is stored as {} (candidate), from point {}", added.name, added.id, added.point))
    };
    Ok(printed.context("standard output")?)
}

async fn of_stored(
    store: &Store,
    selector: &str,
    add: Wanted,
    name: Option<String>,
    ctx: &Context,
) -> Result<(Uuid, Added), CliError> {
    let found = store.optimization(selector).await.context("the store")?;
    let unreadable = |what| format!("{what} of the stored run cannot be read");
    let settings: Settings = serde_json::from_value(found.settings).with_context(|| unreadable("what is varied"))?;
    let story: Option<Story> = found.report.and_then(|report| serde_json::from_value(report).ok());
    let strategy: AnyStrategy =
        found.strategy.parse().map_err(|e| anyhow::anyhow!("{}: {e}", unreadable("the strategy")))?;
    let point = number(add, found.line.best_point.map(|p| p as usize), story.as_ref())?;
    if u64::from(point) >= found.line.points {
        return Err(no_such(point, found.line.points as usize));
    }
    let stored = store.optimization_point(found.line.id, point).await.context("the store")?;
    let axes = settings.space.axes().iter().zip(&stored.values);
    let values: Vec<(String, f64)> =
        axes.flat_map(|(axis, value)| axis.names.iter().map(|name| (name.clone(), *value))).collect();
    let config = &found.parameters.read().context("the store")?.config;
    let run = Stored { id: found.line.id, market: config.market, symbols: config.symbols.clone() };
    let of = Of { run: &run, strategy: &strategy, strategy_name: found.line.name.as_deref(), point };
    let added = candidate(store, &of, &values, name, ctx).await?;
    Ok((found.line.id, added))
}

/// Which point of which run.
struct Of<'a> {
    run: &'a Stored,
    strategy: &'a AnyStrategy,
    strategy_name: Option<&'a str>,
    point: u32,
}

/// Stores a point as a candidate. What it was chosen by are candles up to now.
async fn candidate(
    store: &Store,
    of: &Of<'_>,
    values: &[(String, f64)],
    name: Option<String>,
    ctx: &Context,
) -> Result<Added, CliError> {
    let known = any_parameters(of.strategy);
    let find = |name: &str| known.iter().find(|p| p.name == name);
    let moved: Vec<(&Parameter, f64)> = values.iter().filter_map(|(name, v)| Some((find(name)?, *v))).collect();
    let genome = with_any_parameters(of.strategy, &moved)
        .map_err(|e| CliError::Usage(format!("--add {}: the point is no strategy: {e}", of.point)))?;
    if genome.looks_beyond_the_daemon() {
        return Err(CliError::Usage(
            "the daemon trades strategies that look at the candles of their own symbols; this one looks at funding, premium, \
             open interest, ratios or models, too"
                .into(),
        ));
    }
    let hash = genome.hash().to_string();
    let now_ms = store.market_now_ms(ctx.clock.now_ms()).await.context("the store")?;
    let new = NewStrategy {
        id: Uuid::now_v7(),
        name_is_chosen: name.is_some(),
        name: name.unwrap_or_else(|| format!("{}-{}", of.strategy_name.unwrap_or(KIND), &hash[..8])),
        canonical: genome.to_string(),
        genome_hash: hash.clone(),
        kind: KIND.to_owned(),
        step: VersionStep::Patch,
        parent_hashes: vec![of.strategy.hash().to_string()],
        generation: 0,
        island: None,
        session_id: None,
        // One that ranks the market has its universe, and its run names no symbols.
        symbols: of.run.symbols.clone(),
        market: of.run.market,
        timeframe: genome.timeframe(),
        seen_until_ms: Some(now_ms),
        seen_is_stated: false,
        created_by: format!("{}, point {} of optimisation {}", operator(), of.point, of.run.id),
        genome,
    };
    let Some(name) = store.add_strategy(&new).await.context("the store")? else {
        return Err(anyhow::anyhow!("a strategy with this genome ({hash}) is stored already").into());
    };
    store.note_optimized_strategy(of.run.id, of.point, new.id).await.context("the store")?;
    let trials = store.trial_totals().await.context("the store")?.evaluations;
    Ok(Added { id: new.id, name, point: of.point, trials })
}

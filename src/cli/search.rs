//! `sg-ai search`: evolves a population over cached candles and prints the best. Stores nothing.

use super::{
    CliError, Context,
    format::{number, percent},
    output,
    window::{WindowArgs, WindowNames},
};
use anyhow::Context as _;
use clap::Args;
use engine::{Engine, Performance, Terms, Wanted, Window};
use genome::{AnyStrategy, StrategyHash, random::Seed};
use indicatif::{ProgressBar, ProgressStyle};
use search::{self, Individual, Origin, SearchConfig, SearchState, WindowEvaluator};
use serde::Serialize;
use std::time::Instant;

/// Search for strategies
#[derive(Args, Debug)]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    window: WindowArgs,
    /// Strategies in a generation [default: search.population_size]
    #[arg(long, value_name = "COUNT")]
    population: Option<usize>,
    /// Generations [default: search.generations]
    #[arg(long, value_name = "COUNT")]
    generations: Option<u32>,
    /// Root of every random number: the same seed gives the same result
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Threads; the result does not depend on them [default: one a processor]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// How many of the best to print
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    top: usize,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Report {
    window: WindowNames,
    seed: u64,
    population_size: usize,
    generations: u32,
    evaluations: u64,
    failures: u64,
    top: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    rank: usize,
    hash: StrategyHash,
    strategy: String,
    origin: Origin,
    born: u32,
    /// What it was selected by, 0 to 100.
    fitness: f64,
    /// For people, 0 to 100; `None` where nothing was measured.
    score: Option<f64>,
    /// What the score consists of.
    components: Vec<Part>,
    performance: Performance,
}

#[derive(Serialize)]
struct Part {
    name: &'static str,
    weight: f64,
    value: f64,
    points: f64,
}

/// Runs `sg-ai search`.
///
/// # Errors
/// When the options are wrong or candles are missing.
pub(crate) async fn run(args: SearchArgs, ctx: &Context) -> Result<(), CliError> {
    let mut config = ctx.config().search.for_interval(args.window.interval());
    config.population_size = args.population.unwrap_or(config.population_size);
    config.generations = args.generations.unwrap_or(config.generations);
    config.elites = config.elites.min(config.population_size);
    config.remembered_hashes = config.remembered_hashes.max(config.population_size);
    config.validate().map_err(|e| CliError::Usage(format!("search.{e}")))?;
    let window = args.window.load(ctx).await?;
    let terms = args.window.terms(ctx);
    let names = args.window.names(&window, &terms.costs);
    let engine = Engine::new(ctx.config().engine.cache_mb);
    let threads = usize::from(args.threads.unwrap_or(0));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("cannot start threads")?;
    let search = move || pool.install(|| evolve(&config, names, args.seed, args.top, &engine, &window, &terms));
    let report = tokio::task::spawn_blocking(search).await.context("the search broke off")?;
    if args.json {
        output::json(&report).context("standard output")?;
    } else {
        output::text(lines(&report)).context("standard output")?;
    }
    Ok(())
}

fn evolve(
    config: &SearchConfig,
    window_names: WindowNames,
    seed: u64,
    top: usize,
    engine: &Engine,
    window: &Window,
    terms: &Terms,
) -> Report {
    let evaluator = WindowEvaluator { engine, window, terms };
    let bar = ProgressBar::new(u64::from(config.generations));
    // The template is a constant that parses; a plain bar would do as well.
    if let Ok(style) = ProgressStyle::with_template("{bar:30} generation {pos}/{len} {elapsed_precise} {msg}") {
        bar.set_style(style);
    }
    let mut state = search::start(config, Seed(seed), Vec::new(), None);
    while !state.is_finished(config) {
        let began = Instant::now();
        // Nothing asks a command to stop but the signal that ends it.
        let Ok((next, report)) = search::advance(config, state.clone(), &evaluator, &|_| false) else { break };
        for failure in &report.failures {
            tracing::warn!(strategy = %failure.strategy, error = %failure.error, "cannot be evaluated");
        }
        let best = report.best_fitness.unwrap_or_default();
        let message = format!("best {best:.1}, {} niches, {} evaluated", report.niches, next.counters.evaluations);
        tracing::debug!(generation = report.generation, seconds = began.elapsed().as_secs_f64(), "{message}");
        bar.set_message(message);
        bar.inc(1);
        state = next;
    }
    bar.finish_and_clear();
    Report {
        window: window_names,
        seed,
        population_size: config.population_size,
        generations: state.generation,
        evaluations: state.counters.evaluations,
        failures: state.counters.failures,
        top: rows(&state, top, engine, window, terms),
    }
}

/// The champions, evaluated once more for what the search does not keep.
fn rows(state: &SearchState, top: usize, engine: &Engine, window: &Window, terms: &Terms) -> Vec<Row> {
    let champions = search::champions(state, top);
    let strategies: Vec<AnyStrategy> = champions.iter().map(|c| c.strategy.clone()).collect();
    let outcomes = search::evaluate_rules(engine, &strategies, window, terms, Wanted::default());
    let measured = champions.into_iter().zip(outcomes).filter_map(|(c, outcome)| Some((c, outcome.ok()?)));
    measured.enumerate().map(|(i, (champion, outcome))| row(i + 1, champion, outcome.performance)).collect()
}

fn row(rank: usize, champion: Individual, performance: Performance) -> Row {
    let components = champion.measured.as_ref().and_then(|m| m.components).map(|c| {
        let parts = search::Components::WEIGHTS.into_iter().zip(c.values()).zip(c.points());
        parts.map(|(((name, weight), value), points)| Part { name, weight, value, points }).collect()
    });
    Row {
        rank,
        hash: champion.hash,
        strategy: champion.strategy.to_string(),
        origin: champion.origin,
        born: champion.born,
        fitness: champion.fitness(),
        score: champion.measured.as_ref().and_then(|m| m.components).map(|c| c.score()),
        components: components.unwrap_or_default(),
        performance,
    }
}

fn lines(report: &Report) -> String {
    let mut text = format!(
        "{} strategies evaluated in {} generations; what is best in hindsight is mostly luck\n",
        report.evaluations, report.generations
    );
    for row in &report.top {
        let p = &row.performance;
        text.push_str(&format!(
            "\n#{} fitness {:.1}  score {}  return {}  sharpe {}  profit factor {}  drawdown {}  win rate {}  trades {}\n{}\n",
            row.rank,
            row.fitness,
            row.score.map_or_else(|| "-".to_owned(), |score| format!("{score:.1}")),
            percent(p.total_return),
            number(p.sharpe_ratio),
            number(p.profit_factor),
            percent(p.max_drawdown),
            percent(p.win_rate),
            p.total_trades,
            row.strategy.trim_end(),
        ));
    }
    if report.top.is_empty() {
        text.push_str("\nnone made enough trades to be judged\n");
    }
    text
}

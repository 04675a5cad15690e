//! `sg-ai search`: evolves a population over cached candles and prints the best, what null markets gave to the same search,
//! and what the best earn on candles that it did not see. Stores nothing in the database.

mod ground;

use super::{
    CliError, Context,
    format::{number, percent},
    input::time_ms,
    output,
    window::{WindowArgs, iso},
};
use anyhow::Context as _;
use clap::Args;
use engine::{Performance, performance};
use evidence::null_market::rank_p_value;
use genome::{AnyStrategy, StrategyForm, StrategyHash, random::Seed};
use ground::{Ground, NullName};
use indicatif::{ProgressBar, ProgressStyle};
use report::{FoundNull, FoundReport, FoundStrategy};
use search::{self, Evaluator, Individual, Origin, SearchConfig, SearchState};
use serde::Serialize;
use std::path::PathBuf;
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
    /// What is bred: rules on the symbols named, or ranking over the whole cached market
    #[arg(long, value_name = "FORM", default_value = "rules")]
    form: StrategyForm,
    /// Searches of null markets of each kind, as large as the search itself
    #[arg(long, value_name = "COUNT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1000))]
    nulls: u32,
    /// What the best earn from --to until this time, which the search does not see: a date (UTC midnight) or a time
    #[arg(long, value_name = "TIME", value_parser = time_ms)]
    unseen_to: Option<i64>,
    /// Ranking strategies trade as paper runs do: late, in lots, with margin and borrow (settings `portfolio.execution.*`)
    #[arg(long)]
    realistic: bool,
    /// Write the best to this file, a strategy a line as JSON; those of rules are what `sg-ai backtest --batch` reads
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Write a report to this file: one self-contained HTML page
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Report {
    form: StrategyForm,
    window: serde_json::Value,
    /// End of what the search does not see.
    unseen_to: Option<String>,
    seed: u64,
    population_size: usize,
    generations: u32,
    evaluations: u64,
    failures: u64,
    /// The best share of points for significance among the best; null searches are compared by it.
    best_significance: Option<f64>,
    /// By kind of null market, the share of searches as good as this one, itself counted: the greatest is the search's.
    p_value: Option<f64>,
    top: Vec<Row>,
    nulls: Vec<NullRow>,
}

#[derive(Serialize)]
struct Row {
    rank: usize,
    hash: StrategyHash,
    strategy: String,
    /// The strategy itself.
    #[serde(skip)]
    bred: AnyStrategy,
    origin: Origin,
    born: u32,
    /// What it was selected by, 0 to 100.
    fitness: f64,
    /// For people, 0 to 100; `None` where nothing was measured.
    score: Option<f64>,
    /// What the score consists of.
    components: Vec<Part>,
    performance: Performance,
    /// Of the daily returns that it was selected by: of ranking strategies, those less the market's.
    seen: Daily,
    /// The same over what the search did not see.
    unseen: Option<Daily>,
}

/// What daily returns come to.
#[derive(Clone, Copy, Serialize)]
struct Daily {
    days: usize,
    mean: Option<f64>,
    t_statistic: Option<f64>,
    sharpe_ratio: Option<f64>,
}

impl Daily {
    fn of(returns: &[f64]) -> Self {
        Self {
            days: returns.len(),
            mean: performance::mean(returns),
            t_statistic: performance::t_statistic(returns),
            sharpe_ratio: performance::sharpe_ratio(returns),
        }
    }
}

/// What one search of a null market found.
#[derive(Serialize)]
struct NullRow {
    kind: NullName,
    best_significance: Option<f64>,
    /// Annual Sharpe ratio of its best there.
    best_sharpe_ratio: Option<f64>,
    /// Mean Sharpe ratio of its best on the real candles that no search saw.
    unseen_sharpe_ratio: Option<f64>,
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
    config.form = args.form;
    config.population_size = args.population.unwrap_or(config.population_size);
    config.generations = args.generations.unwrap_or(config.generations);
    config.elites = config.elites.min(config.population_size);
    config.remembered_hashes = config.remembered_hashes.max(config.population_size);
    config.validate().map_err(|e| CliError::Usage(format!("search.{e}")))?;
    let (from_ms, to_ms) = args.window.dates_ms();
    if let Some(unseen_ms) = args.unseen_to.filter(|&unseen_ms| unseen_ms <= to_ms) {
        let problem = format!("--unseen-to {} must be after --to {}", iso(unseen_ms), iso(to_ms));
        return Err(CliError::Usage(problem));
    }
    args.window.check_dates()?;
    let ground = match args.form {
        StrategyForm::Rules => ground::rules(&args, ctx).await?,
        StrategyForm::Ranking => ground::ranking(&args, &config, ctx).await?,
    };
    tracing::debug!(from = iso(from_ms), to = iso(to_ms), form = %args.form, "search begins");
    let threads = usize::from(args.threads.unwrap_or(0));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("cannot start threads")?;
    let (json, save, page) = (args.json, args.save.clone(), args.report.clone());
    let window = told(&args);
    let search = move || pool.install(|| report(&args, &config, &ground));
    let report = tokio::task::spawn_blocking(search).await.context("the search broke off")??;
    if let Some(path) = save {
        let lines: Result<Vec<String>, _> = report.top.iter().map(|row| serde_json::to_string(&row.bred)).collect();
        let text = lines.context("strategies")?.into_iter().map(|line| line + "\n").collect::<String>();
        std::fs::write(&path, text).with_context(|| format!("cannot save the best to {}", path.display()))?;
    }
    if let Some(path) = page {
        let html = report::found_html(&found(&report, window, ctx));
        std::fs::write(&path, html).with_context(|| format!("cannot write the report to {}", path.display()))?;
    }
    if json {
        output::json(&report).context("standard output")?;
    } else {
        output::text(lines(&report)).context("standard output")?;
    }
    Ok(())
}

/// Which candles, for people.
fn told(args: &SearchArgs) -> String {
    let (from_ms, to_ms) = args.window.dates_ms();
    let symbols: Vec<&str> = args.window.symbols().iter().map(candles::Symbol::as_str).collect();
    let what = if symbols.is_empty() { "the whole cached market".to_owned() } else { symbols.join(", ") };
    let unseen = args.unseen_to.map(|ms| format!(", unseen to {}", iso(ms))).unwrap_or_default();
    let (market, interval) = (args.window.market(), args.window.interval());
    format!("{what} · {market} · {interval} candles · {} to {}{unseen}", iso(from_ms), iso(to_ms))
}

/// The same for a page.
fn found(report: &Report, window: String, ctx: &Context) -> FoundReport {
    let strategy = |row: &Row| FoundStrategy {
        strategy: row.strategy.clone(),
        hash: row.hash.to_string(),
        fitness: row.fitness,
        performance: row.performance.clone(),
        sharpe_ratio: row.seen.sharpe_ratio,
        unseen: row.unseen.map(|unseen| (unseen.sharpe_ratio, unseen.days)),
    };
    let null = |null: &NullRow| FoundNull {
        kind: null.kind.words(),
        best_significance: null.best_significance,
        best_sharpe_ratio: null.best_sharpe_ratio,
        unseen_sharpe_ratio: null.unseen_sharpe_ratio,
    };
    FoundReport {
        window,
        seed: report.seed,
        evaluations: report.evaluations,
        generations: report.generations,
        top: report.top.iter().map(strategy).collect(),
        best_significance: report.best_significance,
        p_value: report.p_value,
        nulls: report.nulls.iter().map(null).collect(),
        simulated: ctx.config().market.source.is_simulated(),
        made_at_ms: ctx.clock.now_ms(),
        made_by: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn report(args: &SearchArgs, config: &SearchConfig, ground: &Ground) -> anyhow::Result<Report> {
    let (seed, real) = (Seed(args.seed), ground.real()?);
    let bar = ProgressBar::new(0);
    let state = evolve(config, seed, &*real, &bar, "");
    let unseen = ground.unseen()?;
    let champions = search::champions(&state, args.top);
    let best_significance = significance(&champions);
    let top = rows(champions, &*real, unseen.as_deref());
    let mut nulls = Vec::new();
    for number in 0..args.nulls * ground.null_kinds() {
        let (kind, market) = ground.null(seed, number)?;
        let name = format!("null search {} of {}, ", number + 1, args.nulls * ground.null_kinds());
        let state = evolve(config, seed.child("null", u64::from(number)), &*market, &bar, &name);
        let found = search::champions(&state, args.top);
        let best_significance = significance(&found);
        let found = rows(found, &*market, unseen.as_deref());
        let unseen: Vec<f64> = found.iter().filter_map(|row| row.unseen?.sharpe_ratio).collect();
        nulls.push(NullRow {
            kind,
            best_significance,
            best_sharpe_ratio: found.first().and_then(|row| row.seen.sharpe_ratio),
            unseen_sharpe_ratio: performance::mean(&unseen),
        });
    }
    bar.finish_and_clear();
    Ok(Report {
        form: args.form,
        window: ground.names().clone(),
        unseen_to: args.unseen_to.map(iso),
        seed: args.seed,
        population_size: config.population_size,
        generations: state.generation,
        evaluations: state.counters.evaluations,
        failures: state.counters.failures,
        best_significance,
        p_value: p_value(best_significance, &nulls),
        top,
        nulls,
    })
}

/// One search from its beginning to its end.
fn evolve(config: &SearchConfig, seed: Seed, market: &dyn Evaluator, bar: &ProgressBar, name: &str) -> SearchState {
    bar.set_position(0);
    bar.set_length(u64::from(config.generations));
    // The template is a constant that parses; a plain bar would do as well.
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {prefix}generation {pos}/{len} {elapsed_precise} {msg}") {
        bar.set_style(style);
    }
    bar.set_prefix(name.to_owned());
    let mut state = search::start(config, seed, Vec::new(), None);
    while !state.is_finished(config) {
        let began = Instant::now();
        // Nothing asks a command to stop but the signal that ends it.
        let Ok((next, report)) = search::advance(config, state.clone(), market, &|_| false) else { break };
        for failure in &report.failures {
            tracing::warn!(strategy = %failure.strategy, error = %failure.error, "cannot be evaluated");
        }
        let best = report.best_fitness.unwrap_or_default();
        let message = format!("best {best:.1}, {} niches, {} evaluated", report.niches, next.counters.evaluations);
        tracing::debug!(generation = report.generation, seconds = began.elapsed().as_secs_f64(), "{name}{message}");
        bar.set_message(message);
        bar.inc(1);
        state = next;
    }
    state
}

/// The best share of points for significance, by which searches are compared.
fn significance(champions: &[Individual]) -> Option<f64> {
    let of = |c: &Individual| Some(c.measured.as_ref()?.components?.significance);
    champions.iter().filter_map(of).reduce(f64::max)
}

/// (1 + null searches as good) / (1 + null searches), of the kind of null market that says the least.
fn p_value(real: Option<f64>, nulls: &[NullRow]) -> Option<f64> {
    let real = real?;
    let kinds = nulls.iter().map(|null| null.kind).collect::<std::collections::BTreeSet<_>>();
    let of_kind = |kind| {
        let of_kind = nulls.iter().filter(|null| null.kind == kind);
        // A null market on which nothing was found is not as good as one on which something was.
        let champions = of_kind.map(|null| null.best_significance.unwrap_or(f64::NEG_INFINITY));
        rank_p_value(real, &champions.collect::<Vec<f64>>())
    };
    kinds.into_iter().map(of_kind).reduce(f64::max)
}

/// The champions, evaluated once more for what the search does not keep, and over what it did not see.
fn rows(champions: Vec<Individual>, market: &dyn Evaluator, unseen: Option<&dyn Evaluator>) -> Vec<Row> {
    let strategies: Vec<_> = champions.iter().map(|c| c.strategy.clone()).collect();
    let outcomes = market.evaluate(&strategies);
    let unseen: Vec<Option<Daily>> = match unseen {
        Some(unseen) => {
            let daily = unseen.evaluate(&strategies).into_iter();
            daily.map(|outcome| outcome.ok().map(|o| Daily::of(&o.daily_returns))).collect()
        }
        None => vec![None; strategies.len()],
    };
    let measured = champions.into_iter().zip(outcomes).zip(unseen);
    let measured = measured.filter_map(|((champion, outcome), unseen)| Some((champion, outcome.ok()?, unseen)));
    let numbered = (1..).zip(measured);
    numbered
        .map(|(rank, (champion, outcome, unseen))| {
            let seen = Daily::of(&outcome.daily_returns);
            row(rank, champion, outcome.performance, (seen, unseen))
        })
        .collect()
}

fn row(rank: usize, champion: Individual, performance: Performance, (seen, unseen): (Daily, Option<Daily>)) -> Row {
    let components = champion.measured.as_ref().and_then(|m| m.components).map(|c| {
        let parts = search::Components::WEIGHTS.into_iter().zip(c.values()).zip(c.points());
        parts.map(|(((name, weight), value), points)| Part { name, weight, value, points }).collect()
    });
    Row {
        rank,
        hash: champion.hash,
        strategy: champion.strategy.to_string(),
        bred: champion.strategy.clone(),
        origin: champion.origin,
        born: champion.born,
        fitness: champion.fitness(),
        score: champion.measured.as_ref().and_then(|m| m.components).map(|c| c.score()),
        components: components.unwrap_or_default(),
        performance,
        seen,
        unseen,
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
            "\n#{} fitness {:.1}  score {}  return {}  sharpe {}  profit factor {}  drawdown {}  win rate {}  trades {}\n",
            row.rank,
            row.fitness,
            row.score.map_or_else(|| "-".to_owned(), |score| format!("{score:.1}")),
            percent(p.total_return),
            number(p.sharpe_ratio),
            number(p.profit_factor),
            percent(p.max_drawdown),
            percent(p.win_rate),
            p.total_trades,
        ));
        if report.form == StrategyForm::Ranking {
            text.push_str(&format!(
                "hedged: sharpe {}  t {}\n",
                number(row.seen.sharpe_ratio),
                number(row.seen.t_statistic)
            ));
        }
        if let Some(unseen) = row.unseen {
            text.push_str(&format!(
                "unseen: sharpe {}  t {}  over {} days\n",
                number(unseen.sharpe_ratio),
                number(unseen.t_statistic),
                unseen.days
            ));
        }
        text.push_str(&format!("{}\n", row.strategy.trim_end()));
    }
    if report.top.is_empty() {
        text.push_str("\nnone made enough trades to be judged\n");
    }
    if !report.nulls.is_empty() {
        text.push_str(&null_lines(report));
    }
    text
}

/// What the same search found where there is nothing to find.
fn null_lines(report: &Report) -> String {
    let mean_unseen =
        performance::mean(&report.top.iter().filter_map(|row| row.unseen?.sharpe_ratio).collect::<Vec<f64>>());
    let mut text = format!(
        "\n{:<28} {:>12} {:>12} {:>14}\n{:<28} {:>12} {:>12} {:>14}\n",
        "search of",
        "significance",
        "best sharpe",
        "unseen, mean",
        "the real market",
        number(report.best_significance),
        number(report.top.first().and_then(|row| row.seen.sharpe_ratio)),
        number(mean_unseen),
    );
    for null in &report.nulls {
        text.push_str(&format!(
            "{:<28} {:>12} {:>12} {:>14}\n",
            null.kind.words(),
            number(null.best_significance),
            number(null.best_sharpe_ratio),
            number(null.unseen_sharpe_ratio),
        ));
    }
    text.push_str(&format!("p-value by the kind that says the least: {}\n", number(report.p_value)));
    text
}

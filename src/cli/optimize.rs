//! `sg-ai optimize`: the numbers of one strategy, varied on purpose, and how much of the best is luck.

mod evaluate;
mod ground;
mod shared;
mod shown;
mod stored;

use super::{
    CliError, Context, checkpoints::CheckpointArgs, format::genome_of, input::strategy_file, window::WindowArgs,
};
use crate::usecases::database::Database;
use anyhow::Context as _;
use clap::Args;
use genome::variation::any_parameters;
use genome::{AnyFile, AnyStrategy, random::Seed};
use optimize::{AnalysisConfig, Axis, Method, Objective, Points, Run, Settings, Space, Story};
use std::path::PathBuf;

/// Vary the numbers of a strategy, and tell how much of the best is luck
#[derive(Args, Debug)]
pub(crate) struct OptimizeArgs {
    /// Strategy: a JSON, TOML or text file; - for standard input
    #[arg(long, value_name = "FILE", required_unless_present_any = ["id", "stored"], conflicts_with_all = ["id", "stored"])]
    strategy: Option<PathBuf>,
    /// A stored strategy: id, name, or the first characters of id or genome hash
    #[arg(long, value_name = "ID", conflicts_with = "stored")]
    id: Option<String>,
    /// Print the numbers that the strategy has, by name, with what the language allows, and end
    #[arg(long)]
    list_params: bool,
    /// What to vary: NAME=FROM..TO:STEP, NAME=FROM..TO or NAME=VALUE,VALUE,...; NAME+NAME=... moves several together.
    /// Give it once for each
    #[arg(long = "param", value_name = "NAME=VALUES")]
    params: Vec<String>,
    /// How points are chosen: grid, random or genetic
    #[arg(long, value_name = "METHOD", default_value = "random")]
    method: Method,
    /// What points are compared by, the first above all: sharpe, sortino, calmar, total_return, cagr, drawdown,
    /// profit_factor, win_rate, expectancy, sqn, t_statistic
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', default_value = "sharpe")]
    objective: Vec<Objective>,
    /// Points to evaluate at most; a grid must not be larger
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    points: u32,
    /// Closed trades below which a point is not the best of anything; of a ranking, stays of a name in one leg
    #[arg(long, value_name = "COUNT", default_value_t = 30)]
    least_trades: u32,
    /// Points of a generation of the genetic method
    #[arg(long, value_name = "COUNT", default_value_t = 200)]
    population: u32,
    /// Root of every random number: the same seed gives the same result
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Threads; the result does not depend on them [default: one a processor]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Ranking strategies trade as paper runs do: late, in lots, with margin and borrow (settings `portfolio.execution.*`)
    #[arg(long)]
    realistic: bool,
    #[command(flatten)]
    window: WindowArgs,
    #[command(flatten)]
    forward: ForwardArgs,
    #[command(flatten)]
    checkpoints: CheckpointArgs,
    /// Share the points with workers (`sg-ai worker`, settings `work.*`, DATABASE_URL); the results are the same
    #[arg(long)]
    workers: bool,
    /// Send a point on as a candidate: its number, best, or plateau for the one with the best surroundings
    #[arg(long, value_name = "POINT")]
    add: Option<String>,
    /// With --add: the point is of this stored run, and nothing is evaluated
    #[arg(long = "run", value_name = "ID", requires = "add")]
    stored: Option<String>,
    /// With --add: the candidate's name
    #[arg(long, value_name = "NAME", requires = "add")]
    name: Option<String>,
    /// Store run and points in the private database, too, where there is none yet; a database that is there or is named by
    /// DATABASE_URL is always written to
    #[arg(long, conflicts_with = "no_store")]
    store: bool,
    /// Store nothing: then the run's trials are counted by nobody
    #[arg(long, conflicts_with = "add")]
    no_store: bool,
    /// Write the report to this file: one self-contained HTML file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// How many of the best to print
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    top: usize,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// What is asked of a run as a whole.
#[derive(Args, Clone, Debug)]
struct ForwardArgs {
    /// In-sample lengths of the walk-forward matrix, days [default: a sixth, a quarter and half of the days]
    #[arg(long, value_name = "DAYS,...", value_delimiter = ',')]
    in_sample_days: Vec<usize>,
    /// Out-of-sample lengths, days [default: a twenty-fourth, a twelfth and a sixth of the days]
    #[arg(long, value_name = "DAYS,...", value_delimiter = ',')]
    out_of_sample_days: Vec<usize>,
    /// Trades in sample below which a point is not chosen in a walk-forward window
    #[arg(long, value_name = "COUNT", default_value_t = 30)]
    min_in_sample_trades: u32,
    /// Share of the daily profit that has to be kept out of sample
    #[arg(long, value_name = "FRACTION", default_value_t = 0.5, value_parser = super::input::positive)]
    efficiency_threshold: f64,
    /// Probability that counts as sure
    #[arg(long, value_name = "FRACTION", default_value_t = 0.95, value_parser = super::input::probability)]
    confidence: f64,
    /// Time blocks of the probability of overfitting: even, 2 to 16
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    overfitting_blocks: usize,
    /// Trials counted before this run [default: those in the store, where one is written to, else 0]
    #[arg(long, value_name = "COUNT")]
    trials: Option<u64>,
}

impl ForwardArgs {
    /// For so many days.
    fn config(&self, days: usize) -> Result<AnalysisConfig, CliError> {
        let mut config = AnalysisConfig::fitting(days);
        let given = |name: &str, lengths: &[usize], into: &mut Vec<usize>| {
            if lengths.contains(&0) {
                return Err(CliError::Usage(format!("{name}: a length is at least a day")));
            }
            super::input::distinct(name, lengths)?;
            if !lengths.is_empty() {
                *into = lengths.to_vec();
            }
            Ok(())
        };
        given("--in-sample-days", &self.in_sample_days, &mut config.in_sample_days)?;
        given("--out-of-sample-days", &self.out_of_sample_days, &mut config.out_of_sample_days)?;
        let longest = |lengths: &[usize]| lengths.iter().copied().max().unwrap_or(0);
        let (inside, outside) = (longest(&config.in_sample_days), longest(&config.out_of_sample_days));
        if inside + outside > days {
            return Err(CliError::Usage(format!(
                "a walk-forward window of {inside} days in sample and {outside} out of sample needs {} days, and --from to --to \
                 has {days} whole ones; give shorter lengths or more days",
                inside + outside
            )));
        }
        let blocks = self.overfitting_blocks;
        if !blocks.is_multiple_of(2) || !(2..=optimize::MAX_BLOCKS).contains(&blocks) {
            let most = optimize::MAX_BLOCKS;
            return Err(CliError::Usage(format!("--overfitting-blocks must be even, 2 to {most}, not {blocks}")));
        }
        config.least_in_sample_trades = self.min_in_sample_trades;
        config.efficiency_threshold = self.efficiency_threshold;
        config.confidence = self.confidence;
        config.overfitting_blocks = blocks;
        Ok(config)
    }
}

/// Which point is to be sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Best,
    Plateau,
    Number(u32),
}

fn wanted(text: &str) -> Result<Wanted, CliError> {
    match text {
        "best" => Ok(Wanted::Best),
        "plateau" => Ok(Wanted::Plateau),
        number => number
            .parse()
            .map(Wanted::Number)
            .map_err(|_| CliError::Usage(format!("--add {text}: expected the number of a point, best, or plateau"))),
    }
}

/// A run that is done, with what it is of.
struct Done {
    name: Option<String>,
    strategy: AnyStrategy,
    run: Run,
    story: Story,
    /// What the strategy as it stands came to.
    own: optimize::Measured,
}

/// Runs `sg-ai optimize`.
///
/// # Errors
/// When the strategy or the options are wrong, candles are missing, a file cannot be read or written, or the database does
/// not answer.
pub(crate) async fn run(args: OptimizeArgs, ctx: &Context) -> Result<(), CliError> {
    let add = args.add.as_deref().map(wanted).transpose()?;
    if let (Some(run), Some(add)) = (&args.stored, add) {
        return stored::send_on(run, add, args.name.clone(), args.json, ctx).await;
    }
    let (name, strategy) = strategy(&args, ctx).await?;
    let known = any_parameters(&strategy);
    if args.list_params {
        return shown::parameters(&strategy, &known, args.json);
    }
    ground::check(&strategy, &args)?;
    let axes = args.params.iter().map(|text| Axis::read(text, &known)).collect::<Result<Vec<_>, _>>();
    let space = axes.and_then(Space::new).map_err(|e| CliError::Usage(format!("--param: {e}")))?;
    let settings = Settings {
        method: args.method,
        objectives: args.objective.clone(),
        points: args.points,
        least_trades: args.least_trades,
        population: args.population.min(args.points),
        seed: Seed(args.seed),
        space,
    };
    // What cannot be is told before candles are read.
    Run::new(settings.clone(), 2).map_err(CliError::usage)?;
    let (ground, setting) = ground::load(&strategy, &args, ctx).await?;
    let points = Points { ground, strategy, parameters: known };
    let opened = stored::open(&args, ctx).await?;
    let done = shared::evaluated(&args, name, settings, (points, &setting), opened.as_ref(), ctx).await;
    let done = match (done, &opened) {
        (Ok(done), Some(opened)) => stored::finish(&done, opened, add, args.name.clone(), ctx).await.map(|s| (done, s)),
        (Ok(done), None) => Ok((done, stored::Noted::default())),
        (Err(error), _) => Err(error),
    };
    if let Some(opened) = opened {
        opened.database.close().await;
    }
    let (done, noted) = done?;
    let simulated = ctx.config().market.source.is_simulated();
    let (names, made_at_ms) = (setting.names, ctx.clock.now_ms());
    let made = shown::Made { names, noted: &noted, top: args.top, made_at_ms, simulated };
    if let Some(path) = &args.html {
        let text = shown::html(&done, &made);
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    shown::print(&done, &made, args.json)
}

/// The strategy, with its name.
async fn strategy(args: &OptimizeArgs, ctx: &Context) -> Result<(Option<String>, AnyStrategy), CliError> {
    if let Some(path) = &args.strategy {
        let shown = path.display();
        let text = strategy_file(path).with_context(|| format!("cannot read the strategy {shown}"))?;
        let file = AnyFile::parse(&text).map_err(|e| CliError::Usage(format!("{shown}: {e}")))?;
        return Ok((file.name, file.strategy));
    }
    let Some(id) = &args.id else { return Err(CliError::Usage("--strategy or --id is required".into())) };
    let opened = Database::open(ctx.config()).await?;
    let stored = opened.store.find_strategy(id).await;
    opened.close().await;
    let stored = stored.context("the store")?;
    let genome = genome_of(&stored)?;
    Ok((Some(stored.name), genome))
}

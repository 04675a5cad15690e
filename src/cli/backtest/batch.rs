//! `sg-ai backtest --batch`: a whole population over one window, a strategy a line in, a JSON line out.
//!
//! Never stops at a line that it cannot use: that line's answer says what is wrong, and the others are evaluated.

use super::super::{
    CliError, Context,
    checkpoints::{CheckpointArgs, Unfit},
    output,
    window::WindowArgs,
};
use super::terms::{TermsArgs, TermsNames};
use crate::usecases::models::Chosen;
use anyhow::Context as _;
use candles::{CandleSeries, Symbol};
use engine::{Engine, Outcome, Performance, Wanted};
use genome::{AnyStrategy, MAX_TEXT_BYTES, Strategy, StrategyFile};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    sync::Arc,
    time::Instant,
};

/// How a batch is run and printed.
pub(super) struct Options {
    pub(crate) per_symbol: bool,
    pub(crate) summary_only: bool,
    pub(crate) threads: usize,
    pub(crate) checkpoints: CheckpointArgs,
    pub(crate) terms: TermsArgs,
}

/// What came of a strategy, as far as it is printed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    performance: Performance,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    per_symbol: Vec<Performance>,
}

impl From<Outcome> for Kept {
    fn from(outcome: Outcome) -> Self {
        Self { performance: outcome.performance, per_symbol: outcome.per_symbol }
    }
}

/// How far a batch has come, and of what: two batches share the identity only if they come to the same.
#[derive(Serialize, Deserialize)]
struct Progress {
    identity: BTreeMap<String, String>,
    done: Vec<Result<Kept, String>>,
}

/// First bytes of a checkpoint; a digest of the rest follows.
const MAGIC: &str = "sg-ai batch 1 ";

impl Progress {
    fn to_bytes(&self) -> anyhow::Result<Vec<u8>> {
        let body = serde_json::to_vec(self)?;
        let mut bytes = format!("{MAGIC}{}\n", hex::encode(Sha256::digest(&body))).into_bytes();
        bytes.extend(body);
        Ok(bytes)
    }

    fn from_bytes(bytes: &[u8], identity: &BTreeMap<String, String>) -> Result<Self, Unfit> {
        let foreign = || Unfit::Other("it is no checkpoint of a batch that this program reads".to_owned());
        let damaged = || Unfit::Damaged("it is cut short or damaged: its digest does not fit its content".to_owned());
        let rest = bytes.strip_prefix(MAGIC.as_bytes()).ok_or_else(foreign)?;
        let end = rest.iter().position(|b| *b == b'\n').ok_or_else(damaged)?;
        if hex::encode(Sha256::digest(&rest[end + 1..])).as_bytes() != &rest[..end] {
            return Err(damaged());
        }
        let found: Self = serde_json::from_slice(&rest[end + 1..]).map_err(|_| foreign())?;
        for (name, wanted) in identity {
            let there = found.identity.get(name).map_or("none", String::as_str);
            if there != wanted {
                return Err(Unfit::Other(format!(
                    "it is a checkpoint of another {name}: it has {there}, and this batch has {wanted}; take another file, or \
                     remove it to begin anew"
                )));
            }
        }
        Ok(found)
    }
}

/// A line that holds a strategy, or wants to.
struct Entry {
    line: usize,
    name: String,
    /// Its place among the strategies, or what is wrong with the line.
    strategy: Result<usize, String>,
}

/// The answer to a strategy, or to a strategy on one symbol.
#[derive(Serialize)]
struct Answer<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbol: Option<&'a Symbol>,
    performance: &'a Performance,
}

/// The answer to a line that cannot be used.
#[derive(Serialize)]
struct Refusal<'a> {
    line: usize,
    name: &'a str,
    error: &'a str,
}

/// What it took.
#[derive(Serialize)]
struct Summary {
    /// Strategies evaluated.
    strategies: usize,
    symbols: usize,
    /// Candles of a symbol in the window; of the symbol that has most where they differ.
    candles: usize,
    /// Strategies x candles of all symbols.
    bar_evaluations: u64,
    /// From candles and strategies in memory to performance in memory: reading, parsing and printing are not in it.
    seconds: f64,
    bar_evaluations_per_second: f64,
    /// Processor time of all threads in these seconds: what is left of them on a busy machine. Null as below.
    cpu_seconds: Option<f64>,
    /// Most memory that the process has held; null where the system does not tell.
    peak_memory_bytes: Option<u64>,
    /// Lines that could not be used, and strategies that could not be evaluated.
    errors: usize,
    threads: usize,
    /// Strategies whose results a checkpoint had: they are in no other figure but the first.
    from_checkpoint: usize,
    #[serde(flatten)]
    terms: TermsNames,
}

#[derive(Serialize)]
struct Closing {
    summary: Summary,
}

/// Evaluates the strategies of a file and prints a JSON line for each, then the summary.
pub(super) async fn run(path: &Path, window: &WindowArgs, options: Options, ctx: &Context) -> Result<(), CliError> {
    let mut strategies = Vec::new();
    let (models, mut asked) = (ctx.models()?, Chosen::default());
    let mut asks = |strategy: &Strategy| {
        let own = models.asked(&AnyStrategy::from(strategy.clone()), window.market());
        own.and_then(|own| asked.join(own)).map_err(|error| format!("{error:#}"))
    };
    let mut entries = read(path, &mut strategies, &mut asks)
        .with_context(|| format!("cannot read strategies from {}", path.display()))?;
    if entries.is_empty() {
        return Err(CliError::Usage(format!("{}: there is no strategy in it", path.display())));
    }
    let loaded = models.beside_window(&asked, window.load(ctx).await?).await?;
    let terms = options.terms.of(window.terms(ctx));
    let wanted = Wanted { per_symbol: options.per_symbol, summary_only: options.summary_only, ledger: false };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build().context("threads")?;
    let threads = pool.current_num_threads();
    let costs = serde_json::to_string(&terms.costs).context("costs")?;
    let canonical: Vec<String> = strategies.iter().map(ToString::to_string).collect();
    let identity = BTreeMap::from(
        [
            ("list of strategies", hex::encode(Sha256::digest(canonical.join("\n")))),
            ("version of candles", loaded.data_version()),
            ("dates", format!("{} to {}", loaded.from_ms(), loaded.to_ms())),
            ("set of costs", format!("{costs}, capital {}, fills on {}", terms.initial_capital, terms.fill_on)),
            ("set of options", format!("per symbol {}, summary only {}", options.per_symbol, options.summary_only)),
            ("program", crate::CODE_VERSION.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    let found = options.checkpoints.read(|bytes| Progress::from_bytes(bytes, &identity))?;
    let mut progress = found.unwrap_or_else(|| Progress { identity, done: Vec::new() });
    let from_checkpoint = progress.done.len();
    let at_once = options.checkpoints.every().unwrap_or(strategies.len()).max(1);
    let work = Arc::new((strategies, loaded, terms, Engine::new(ctx.config().engine.cache_mb), pool));
    let (mut seconds, mut cpu) = (0.0, Some(0.0));
    while progress.done.len() < work.0.len() {
        let (worker, first) = (Arc::clone(&work), progress.done.len());
        let evaluate = move || {
            let (strategies, loaded, terms, engine, pool) = &*worker;
            let part = &strategies[first..strategies.len().min(first + at_once)];
            let (start, cpu_before) = (Instant::now(), cpu_seconds());
            let outcomes = pool.install(|| engine.evaluate(part, loaded, terms, wanted));
            let seconds = start.elapsed().as_secs_f64();
            (outcomes, seconds, cpu_seconds().zip(cpu_before).map(|(after, before)| after - before))
        };
        let (outcomes, took, cpu_took) =
            tokio::task::spawn_blocking(evaluate).await.context("the backtest broke off")?;
        seconds += took;
        cpu = cpu.zip(cpu_took).map(|(sum, took)| sum + took);
        progress.done.extend(outcomes.into_iter().map(|o| o.map(Kept::from).map_err(|e| e.to_string())));
        if options.checkpoints.every().is_some() {
            options.checkpoints.write(&progress.to_bytes().context("the checkpoint")?)?;
            tracing::info!("{} of {} strategies", progress.done.len(), work.0.len());
        }
    }
    let (outcomes, loaded, cpu_seconds) = (&progress.done, &work.1, cpu);

    let traded = |candles: &CandleSeries| {
        candles.len() - candles.open_times_ms().partition_point(|&open_ms| open_ms < loaded.from_ms())
    };
    let candles: Vec<usize> = loaded.symbols().iter().map(|s| traded(&s.candles)).collect();
    let bar_evaluations = candles.iter().map(|&n| n as u64).sum::<u64>() * (outcomes.len() - from_checkpoint) as u64;
    print(&mut entries, outcomes, window.symbols(), options.per_symbol).context("standard output")?;
    let failed: Vec<String> = entries.iter().filter(|e| e.strategy.is_err()).map(|e| e.line.to_string()).collect();
    let summary = Summary {
        strategies: outcomes.len(),
        symbols: candles.len(),
        candles: candles.iter().copied().max().unwrap_or(0),
        bar_evaluations,
        seconds,
        bar_evaluations_per_second: bar_evaluations as f64 / seconds.max(1e-9),
        cpu_seconds,
        peak_memory_bytes: peak_memory_bytes(),
        errors: failed.len(),
        threads,
        from_checkpoint,
        terms: options.terms.names(),
    };
    output::json_line(&Closing { summary }).context("standard output")?;
    if failed.is_empty() {
        return Ok(());
    }
    let (shown, more) = (failed[..failed.len().min(10)].join(", "), if failed.len() > 10 { ", ..." } else { "" });
    Err(anyhow::anyhow!("{}: {} of {} lines failed: {shown}{more}", path.display(), failed.len(), entries.len()).into())
}

/// The lines of a file, blank ones and comments left out; strategies apart. `asks` is told of each, and may refuse it.
fn read(
    path: &Path,
    strategies: &mut Vec<Strategy>,
    asks: &mut dyn FnMut(&Strategy) -> Result<(), String>,
) -> io::Result<Vec<Entry>> {
    let source: Box<dyn Read> =
        if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(path)?) };
    let mut source = BufReader::new(source);
    let (mut entries, mut bytes) = (Vec::new(), Vec::new());
    for line in 1.. {
        bytes.clear();
        // One more byte than is read tells a line that is too long; the rest of it is skipped.
        if source.by_ref().take(MAX_TEXT_BYTES as u64 + 2).read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        if bytes.len() > MAX_TEXT_BYTES && !bytes.ends_with(b"\n") {
            source.skip_until(b'\n')?;
        }
        // PowerShell writes such files; the batch is read a line at a time, as UTF-8.
        if line == 1 && (bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff")) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is UTF-16; save it as UTF-8"));
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let unnamed = || format!("line {line}");
        entries.push(match StrategyFile::parse(text) {
            Ok(file) if file.strategy.looks_beside_its_candles() => {
                let why = "it looks beside the candles of its symbols; give it alone, with --strategy".to_owned();
                Entry { line, name: file.name.unwrap_or_else(unnamed), strategy: Err(why) }
            }
            Ok(file) => {
                let strategy = asks(&file.strategy).map(|()| {
                    strategies.push(file.strategy);
                    strategies.len() - 1
                });
                Entry { line, name: file.name.unwrap_or_else(unnamed), strategy }
            }
            Err(error) => Entry { line, name: unnamed(), strategy: Err(error.to_string()) },
        });
    }
    Ok(entries)
}

/// Prints the answers in the order of the lines. An entry whose evaluation failed keeps the error.
fn print(
    entries: &mut [Entry],
    outcomes: &[Result<Kept, String>],
    symbols: &[Symbol],
    per_symbol: bool,
) -> io::Result<()> {
    /// Written at once.
    const BLOCK_BYTES: usize = 1 << 16;
    let mut block = Vec::with_capacity(2 * BLOCK_BYTES);
    for entry in entries {
        let outcome =
            entry.strategy.as_ref().map_err(String::clone).and_then(|&k| outcomes[k].as_ref().map_err(String::clone));
        let name = entry.name.as_str();
        match outcome {
            Ok(outcome) if per_symbol => {
                for (symbol, performance) in symbols.iter().zip(&outcome.per_symbol) {
                    json_line(&mut block, &Answer { name, symbol: Some(symbol), performance })?;
                }
            }
            Ok(outcome) => {
                json_line(&mut block, &Answer { name, symbol: None, performance: &outcome.performance })?;
            }
            Err(error) => {
                json_line(&mut block, &Refusal { line: entry.line, name, error: &error })?;
                entry.strategy = Err(error);
            }
        }
        if block.len() > BLOCK_BYTES {
            output::bytes(&block)?;
            block.clear();
        }
    }
    output::bytes(&block)
}

fn json_line(block: &mut Vec<u8>, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *block, value)?;
    block.push(b'\n');
    Ok(())
}

/// Processor time of all threads of this process so far, as Linux tells it.
fn cpu_seconds() -> Option<f64> {
    let of_thread = |entry: io::Result<std::fs::DirEntry>| -> Option<f64> {
        let text = std::fs::read_to_string(entry.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    };
    let threads = std::fs::read_dir("/proc/self/task").ok()?;
    Some(threads.map(of_thread).sum::<Option<f64>>()? / 1e9)
}

/// The most memory that this process has held at once, as Linux tells it.
fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

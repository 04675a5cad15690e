//! `sg-ai media`: items of videos from files of JSON lines into the store, and what is known of one. Tests no strategy.

use super::{CliError, Context, output};
use crate::usecases::{
    database::Database,
    media_lines::{Import, ImportReport, LineProblem, sources},
};
use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use media::FEATURE_NAMES;
use serde_json::{Value, json};
use std::{
    io::IsTerminal,
    path::PathBuf,
    time::{Duration, Instant},
};
use store::{MediaItem, MediaStrategy, Store};

/// Between two plain lines of progress at least this long passes.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Strategies of an item that are shown.
const STRATEGIES_SHOWN: u32 = 50;

/// Import what videos say, and look at what became of it.
#[derive(Args, Debug)]
pub(crate) struct MediaArgs {
    #[command(subcommand)]
    command: MediaCommand,
}

#[derive(Debug, Subcommand)]
enum MediaCommand {
    /// Store media items from JSON lines; what is stored already is passed over, so that an import can be run again
    Import {
        /// A file; a directory, of which all *.jsonl and *.ndjson are read in order of their names; or - for standard input
        #[arg(value_name = "FILE|DIR|-")]
        source: PathBuf,
        /// Print the whole report as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show an item: its features, its family, its strategies with both verdicts
    Show {
        /// Its number
        #[arg(value_name = "ID")]
        id: i64,
        /// Print JSON, an object
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command.
///
/// # Errors
/// When the database does not answer, a file cannot be read, lines were refused, or there is no such item.
pub(crate) async fn run(args: MediaArgs, ctx: &Context) -> Result<(), CliError> {
    match args.command {
        MediaCommand::Import { source, json } => {
            let files = sources(&source).map_err(CliError::usage)?;
            let opened = Database::open(ctx.config()).await?;
            let done = import(&opened.store, ctx, files, json).await;
            opened.close().await;
            done
        }
        MediaCommand::Show { id, json } => {
            let id = media::check_id(id).map_err(CliError::usage)?;
            let opened = Database::open(ctx.config()).await?;
            let done = show(&opened.store, ctx, id, json).await;
            opened.close().await;
            Ok(done?)
        }
    }
}

/// Tells how far an import is: a line on a terminal that changes, or a line now and then.
struct Progress {
    bar: Option<ProgressBar>,
    began: Instant,
    told: Instant,
    /// Whether problems are told as they come.
    tells_problems: bool,
}

impl Progress {
    fn new(json: bool) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| output::waiting("reading"));
        Self { bar, began: Instant::now(), told: Instant::now(), tells_problems: !json }
    }

    fn tell(&mut self, report: &ImportReport, problems: &[LineProblem]) {
        for problem in problems.iter().filter(|_| self.tells_problems) {
            let told = || eprintln!("{problem}");
            self.bar.as_ref().map_or_else(told, |bar| bar.suspend(told));
        }
        let rate = report.lines as f64 / self.began.elapsed().as_secs_f64().max(1e-3);
        let line = || format!("{} lines, {rate:.0} a second; {} refused", report.lines, report.refused);
        match &self.bar {
            Some(bar) => bar.set_message(line()),
            None if self.told.elapsed() >= LINE_EVERY => {
                self.told = Instant::now();
                eprintln!("{}", line());
            }
            None => {}
        }
    }
}

async fn import(store: &Store, ctx: &Context, files: Vec<Option<PathBuf>>, json: bool) -> Result<(), CliError> {
    let longest = ctx.config().http.max_media_kb * 1024;
    let mut import = Import::new(store, ctx.clock.as_ref(), longest);
    let mut progress = Progress::new(json);
    for file in &files {
        import.file(file.as_deref(), &mut |report, problems| progress.tell(report, problems)).await?;
    }
    if let Some(bar) = &progress.bar {
        bar.finish_and_clear();
    }
    let report = import.finish();
    if json { output::json(&report) } else { output::line(report.to_string()) }.context("standard output")?;
    match report.refused {
        0 => Ok(()),
        refused => Err(CliError::Failed(anyhow!("{refused} lines were refused; the rest is stored"))),
    }
}

async fn show(store: &Store, ctx: &Context, id: i32, json: bool) -> anyhow::Result<()> {
    let item = store.media_item(id).await?;
    let strategies = store.media_strategies(id, STRATEGIES_SHOWN).await?;
    let said = media::propose(&item.item, ctx.config().daemon.interval);
    if json {
        return Ok(output::json(&as_json(&item, &strategies, &said))?);
    }
    let mut features = output::table();
    features.set_header(["feature", "value"]);
    for (name, value) in FEATURE_NAMES.iter().zip(item.features.array()) {
        features.add_row([(*name).to_owned(), value.to_string()]);
    }
    output::line(features.to_string())?;
    let (size, named) = (item.family_size, item.family_items.iter().map(i32::to_string).collect::<Vec<_>>().join(", "));
    let trial = if item.family_tried_at.is_some() { "one trial" } else { "not tried yet" };
    output::line(format!("family {}: {size} items ({named}), {trial}", item.family))?;
    for idea in &said.ideas {
        let words: Vec<&str> = idea.found.iter().map(|found| found.words.as_str()).collect();
        output::line(format!("{:.0} to {:.0} s, {}: {}", idea.start_time, idea.end_time, idea.side, words.join("; ")))?;
    }
    let mut table = output::table();
    table.set_header(["kind", "proposed", "no.", "state", "clients' verdict", "why", "rules"]);
    for row in &strategies {
        let of = row.strategy.as_ref();
        table.add_row([
            row.kind.name().to_owned(),
            row.created_at.format("%Y-%m-%d %H:%M").to_string(),
            of.map_or_else(|| "it has left".to_owned(), |s| s.number.to_string()),
            of.map_or_else(String::new, |s| s.state.to_string()),
            row.status.clone().unwrap_or_else(|| "not tested".to_owned()),
            row.reason.clone().unwrap_or_default(),
            of.map_or_else(String::new, |s| s.canonical.clone()),
        ]);
    }
    Ok(output::line(table.to_string())?)
}

fn as_json(item: &MediaItem, strategies: &[MediaStrategy], said: &media::LexiconProposal) -> Value {
    let strategy = |row: &MediaStrategy| {
        let of = row.strategy.as_ref();
        json!({
            "kind": row.kind, "current": row.is_current, "proposed_at": row.created_at,
            "strategy_id": of.map(|s| s.number), "uuid": of.map(|s| s.id), "name": of.map(|s| &s.name),
            "rules": of.map(|s| &s.canonical), "state": of.map(|s| s.state), "backtest_id": row.backtest_id,
            "status": row.status, "reason": row.reason,
        })
    };
    json!({
        "media_item_id": item.id, "digest": item.digest, "features": item.features,
        "feature_names": FEATURE_NAMES, "feature_vector": item.features.array(),
        "family": {
            "id": item.family, "size": item.family_size, "items": item.family_items, "tried_at": item.family_tried_at,
        },
        "keyword_hits": item.item.keyword_hits, "transcripts": item.item.transcripts,
        "embedding_count": item.item.embeddings.len(), "lexicon": said,
        "strategies": strategies.iter().map(strategy).collect::<Vec<_>>(),
        "created_at": item.created_at, "updated_at": item.updated_at,
    })
}

//! `sg-ai export`: tables as files of JSON lines, pseudonymised if so asked. Changes nothing.

use super::{CliError, Context, output};
use crate::usecases::database::Database;
use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use std::{
    fs,
    io::{BufWriter, Write},
    path::PathBuf,
    sync::Mutex,
};
use store::{EXPORTED, Pseudonyms, Store};

/// Write tables as JSON lines, a file a table.
#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// Directory for the files; made if it is not there
    directory: PathBuf,
    /// Only these tables [default: all that can be exported]
    #[arg(long, value_delimiter = ',', value_name = "TABLE,...")]
    tables: Vec<String>,
    /// Replace ids, hashes and names by pseudonyms, and leave out rules, messages and whatever tells of people
    #[arg(long)]
    pseudonymise: bool,
    /// File whose content is the key of the pseudonyms, so that those of two exports agree [default: a new key that
    /// nobody keeps]
    #[arg(long, value_name = "FILE", requires = "pseudonymise")]
    key_file: Option<PathBuf>,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// Runs `sg-ai export`.
///
/// # Errors
/// When the database does not answer or a file cannot be written.
pub(crate) async fn run(args: ExportArgs, ctx: &Context) -> Result<(), CliError> {
    let opened = Database::open(ctx.config()).await?;
    let done = export(args, &opened.store).await;
    opened.close().await;
    Ok(done?)
}

async fn export(args: ExportArgs, store: &Store) -> anyhow::Result<()> {
    let key = match &args.key_file {
        Some(path) => fs::read(path).with_context(|| format!("cannot read {}", path.display()))?,
        // 244 random bits.
        None => [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()].iter().flat_map(|id| *id.as_bytes()).collect(),
    };
    anyhow::ensure!(key.len() >= 16, "a key of {} bytes hides nothing: at least 16", key.len());
    let pseudonyms = args.pseudonymise.then(|| Pseudonyms::new(&key));
    let tables = match args.tables.as_slice() {
        [] => EXPORTED.iter().map(|(name, _)| (*name).to_owned()).collect(),
        given => given.to_vec(),
    };
    let folder = &args.directory;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut counts = serde_json::Map::new();
    for table in &tables {
        let path = folder.join(format!("{table}.jsonl"));
        let file = fs::File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let file = Mutex::new(BufWriter::new(file));
        let write = |line: &str| {
            let mut file = file.lock().map_err(|error| error.to_string())?;
            writeln!(file, "{line}").map_err(|error| format!("{}: {error}", path.display()))
        };
        let rows = store.export(table, pseudonyms.as_ref(), write).await?;
        let mut file = file.into_inner().map_err(|error| anyhow::anyhow!("{error}"))?;
        file.flush().with_context(|| format!("cannot write {}", path.display()))?;
        if !args.json {
            output::line(format!("{rows} rows of {table}"))?;
        }
        counts.insert(table.clone(), json!(rows));
    }
    if args.json {
        output::json(&counts)?;
    }
    Ok(())
}

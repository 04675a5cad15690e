//! `sg-ai audit`: asks whether the audit trail holds, and notes its head outside the database. Repairs nothing.

use super::{CliError, Context, format, output};
use crate::usecases::audit_anchors::AuditAnchors;
use anyhow::Context as _;
use chrono::DateTime;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::sync::Arc;
use store::{AnchorFile, AuditAnchor, AuditHead, AuditReport, Store, embedded::Database};

/// Look into the audit trail.
#[derive(Args, Debug)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Read the whole trail and name the first entry that was edited, inserted, removed, reordered or cut off
    Verify {
        /// File with notes of the trail's head [default: audit-anchors.jsonl in the data directory]
        #[arg(long, value_name = "FILE")]
        anchors: Option<PathBuf>,
        /// A head from a daily summary, as NUMBER:HASH; may be given more than once
        #[arg(long, value_name = "NUMBER:HASH", value_parser = parse_head)]
        head: Vec<AuditAnchor>,
        /// Print one JSON object instead of a line
        #[arg(long)]
        json: bool,
    },
    /// Note the trail's head in the file of anchors now, and print it. With a key this begins a file anew, where the daemon
    /// does not do so by itself
    Anchor {
        /// File of notes [default: audit-anchors.jsonl in the data directory]
        #[arg(long, value_name = "FILE")]
        anchors: Option<PathBuf>,
        /// Print one JSON object instead of a line
        #[arg(long)]
        json: bool,
    },
}

/// Reads `NUMBER:HASH`; a space will do as well, as the daily summary has it.
fn parse_head(text: &str) -> Result<AuditAnchor, String> {
    let (number, hash) = text.split_once([':', ' ']).ok_or("expected NUMBER:HASH")?;
    let last_id = number.trim().parse().map_err(|_| format!("{number:?} is no number"))?;
    let hash = hash.trim().to_ascii_lowercase();
    if hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(format!("{hash:?} is no SHA-256"));
    }
    Ok(AuditAnchor { last_id, hash, at: DateTime::UNIX_EPOCH, mac: None })
}

/// Runs `sg-ai audit`.
///
/// # Errors
/// When the trail does not hold, or the database does not answer.
pub(crate) async fn run(args: AuditArgs, ctx: &Context) -> Result<(), CliError> {
    let config = &ctx.config().store;
    let database = Database::open(config).await.context("database")?;
    let store = Store::connect(&database.options, config).await.context("database")?;
    let done = dispatch(args.command, &store, ctx).await;
    store.close();
    database.close().await;
    Ok(done?)
}

async fn dispatch(command: AuditCommand, store: &Store, ctx: &Context) -> anyhow::Result<()> {
    let file = |given: Option<PathBuf>| given.map_or_else(|| AnchorFile::in_dir(ctx.data_dir()), AnchorFile::at);
    match command {
        AuditCommand::Verify { anchors, head, json } => {
            let file = file(anchors);
            let mut noted = file.read().with_context(|| format!("anchors in {}", file.path().display()))?;
            // Whoever gives a head by hand vouches for it.
            let vouched = |head: AuditAnchor| {
                let (last_id, hash) = (head.last_id, head.hash);
                store.anchor(&AuditHead { last_id, hash }, head.at)
            };
            noted.extend(head.into_iter().map(vouched));
            let report = store.verify_audit_chain_against(&noted).await.context("audit trail")?;
            told(&report, json)
        }
        AuditCommand::Anchor { anchors, json } => {
            let anchors = AuditAnchors::new(store.clone(), file(anchors), Arc::clone(&ctx.clock));
            let head = anchors.note(true, &format::operator()).await?;
            if json {
                output::json(&head)?
            } else {
                output::line(format!("{}:{}", head.last_id, head.hash))?
            }
            Ok(())
        }
    }
}

fn told(report: &AuditReport, json: bool) -> anyhow::Result<()> {
    if json {
        output::json(report).context("standard output")?;
    } else if report.first_bad.is_none() {
        let some = |n: u64, text: &str| if n == 0 { String::new() } else { format!(", {n} {text}") };
        let (unkeyed, archived) =
            (some(report.unkeyed, "of them without a key"), some(report.archived, "archived before"));
        let anchors = some(report.anchors, "anchors fit");
        let head = &report.head.hash;
        output::line(format!("{} entries hold{unkeyed}{archived}{anchors}; head {head}", report.entries))
            .context("standard output")?;
    }
    match &report.first_bad {
        None => Ok(()),
        Some(bad) => anyhow::bail!("the audit trail does not hold: entry {} {}", bad.id, bad.problem),
    }
}

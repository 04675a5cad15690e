//! `sg-ai book`: what the daemon's book is, who is in it and why it is not live; its days walked again.

use super::{
    CliError, Context,
    format::{minute, number, operator, percent},
    output,
};
use crate::usecases::{
    book_replay::replayed,
    book_setup::{BookSetup, differences},
    database::Database,
    shared::{Sharing, block::OnThread, own_name},
};
use anyhow::Context as _;
use book::Member;
use clap::{Args, Subcommand};
use genome::AnyStrategy;
use lifecycle::{Check, DeploymentStatus, DisableReason, State};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::sync::Arc;
use store::{BookBlock, BookDeployment, BookMove, BookRow, Store, total_pct};
use uuid::Uuid;

/// Look at the daemon's book
#[derive(Args, Debug)]
pub(crate) struct BookArgs {
    #[command(subcommand)]
    command: BookCommand,
}

#[derive(Debug, Subcommand)]
enum BookCommand {
    /// Tell its state, its evidence and what it needs to go live
    Show {
        #[command(flatten)]
        which: Which,
    },
    /// List who trades in its newest block, or in another one
    Members {
        #[command(flatten)]
        which: Which,
        /// A month of market time, such as 2025-03 [default: the newest]
        #[arg(long, value_name = "MONTH")]
        block: Option<String>,
    },
    /// Tell how its evidence came about, block by block
    Explain {
        #[command(flatten)]
        which: Which,
    },
    /// Walk all of it again over cached candles, and compare every block and day with what is stored
    Verify {
        #[command(flatten)]
        which: Which,
        /// Share null searches with workers (`sg-ai worker`, settings `work.*`); the result is the same
        #[arg(long)]
        workers: bool,
    },
    /// Pause what a live one has at work: it is followed on, with nothing at work, until it is resumed
    Pause {
        /// Why, for the record
        #[arg(long, value_name = "TEXT")]
        why: String,
        #[command(flatten)]
        which: Which,
    },
    /// End a pause: it has its share of before again, and the daemon sets it anew with the next day
    Resume {
        /// Why, for the record
        #[arg(long, value_name = "TEXT")]
        why: String,
        #[command(flatten)]
        which: Which,
    },
    /// End it: its paper trading stops, and the same settings begin no other one
    Disable {
        /// Why, for the record
        #[arg(long, value_name = "TEXT")]
        why: String,
        #[command(flatten)]
        which: Which,
    },
}

#[derive(Args, Clone, Copy, Debug)]
struct Which {
    /// Which pipeline [default: the newest]
    #[arg(long, value_name = "NUMBER")]
    number: Option<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is shown of a member.
#[derive(Deserialize)]
pub(super) struct Body {
    #[serde(default)]
    pub(super) members: Vec<Member>,
    #[serde(default)]
    pub(super) came: Vec<Option<f64>>,
    kept: Option<f64>,
}

/// Runs `sg-ai book`.
///
/// # Errors
/// When the database does not answer, or there is no such book.
pub(crate) async fn run(args: BookArgs, ctx: &Context) -> Result<(), CliError> {
    let opened = Database::open(ctx.config()).await?;
    let done = dispatch(args.command, &opened.store, ctx).await;
    opened.close().await;
    done
}

async fn dispatch(command: BookCommand, store: &Store, ctx: &Context) -> Result<(), CliError> {
    match command {
        BookCommand::Show { which } => {
            let row = find(store, which.number).await?;
            let transitions = store.book_transitions(row.id).await.context("its moves")?;
            let next = next_pipeline(&row, ctx);
            let deployment = store.book_deployment(row.id).await.context("its deployment")?;
            if which.json {
                let all = json!({
                    "book": row, "transitions": transitions, "settings": next, "deployment": deployment,
                });
                return Ok(output::json(&all).context("standard output")?);
            }
            let mut text = head(&row);
            let checks: Vec<Check> = serde_json::from_value(row.standing["requirements"].clone()).unwrap_or_default();
            for check in checks {
                let _ = writeln!(text, "  {check}");
            }
            if let Some(d) = &deployment {
                let _ = writeln!(
                    text,
                    "deployment: {}, {}, {:.2} % of capital",
                    d.status.name(),
                    d.phase.name(),
                    d.at_work_pct()
                );
                for reason in &d.reasons {
                    let _ = writeln!(text, "  {reason}");
                }
            }
            for t in transitions {
                let _ = writeln!(text, "{}  {} -> {}: {}", minute(t.at_market_ms), t.from, t.to, t.summary);
            }
            let _ = writeln!(text, "{next}");
            Ok(output::text(text).context("standard output")?)
        }
        BookCommand::Members { which, block } => {
            let row = find(store, which.number).await?;
            let blocks = store.book_blocks(row.id, false).await.context("its blocks")?;
            let named =
                |b: &&BookBlock| block.as_ref().is_none_or(|name| minute(b.begin_ms).starts_with(name.as_str()));
            let found = blocks.iter().rev().find(named).ok_or_else(|| match &block {
                Some(name) => CliError::Usage(format!("book {} has no block {name}", row.number)),
                None => CliError::Usage(format!("book {} has no block yet", row.number)),
            })?;
            if which.json {
                return Ok(output::json(found).context("standard output")?);
            }
            Ok(output::text(members(found)?).context("standard output")?)
        }
        BookCommand::Explain { which } => {
            let row = find(store, which.number).await?;
            let blocks = store.book_blocks(row.id, false).await.context("its blocks")?;
            let days = store.book_days(row.id, false).await.context("its days")?;
            if which.json {
                let all = json!({ "book": row, "blocks": blocks, "days": days });
                return Ok(output::json(&all).context("standard output")?);
            }
            let mut text = head(&row);
            let _ = writeln!(
                text,
                "\n{:<8} {:>8} {:>9} {:>9} {:>9} {:>6} {:>9}",
                "block", "members", "expected", "realised", "hedged", "kept", "ln E"
            );
            for b in &blocks {
                let body: Body = body(b)?;
                let mean = |values: Vec<f64>| engine::performance::mean(&values);
                let within: Vec<_> = days.iter().filter(|d| d.day_ms >= b.begin_ms && d.day_ms < b.end_ms).collect();
                let hedged = within.iter().fold(1.0, |equity, day| equity * (1.0 + day.hedged)) - 1.0;
                let short = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.2}"));
                let _ = writeln!(
                    text,
                    "{:<8} {:>8} {:>9} {:>9} {:>9} {:>6} {:>9}  {}",
                    &minute(b.begin_ms)[..7],
                    b.members,
                    short(mean(body.members.iter().map(|m| m.expected_sharpe).collect())),
                    short(mean(body.came.iter().copied().flatten().collect())),
                    percent(Some(hedged)),
                    short(body.kept),
                    short(within.last().and_then(|day| day.bet_log_e)),
                    b.cash.as_deref().unwrap_or_default()
                );
            }
            Ok(output::text(text).context("standard output")?)
        }
        BookCommand::Verify { which, workers } => {
            let row = find(store, which.number).await?;
            let shared = if workers {
                let threads = rayon::ThreadPoolBuilder::new().build().context("cannot start threads")?;
                let sharing = Sharing::of(ctx.config(), ctx.data_dir(), store, own_name("verification"))?;
                Some(OnThread::of(sharing, &Arc::new(threads)))
            } else {
                None
            };
            let found = replayed(store, &ctx.models()?, &row, shared).await?;
            if which.json {
                output::json(&found).context("standard output")?;
            } else {
                output::text(format!("{found}\n")).context("standard output")?;
            }
            if found.is_same() {
                Ok(())
            } else {
                Err(anyhow::anyhow!("what is stored is not what the candles give").into())
            }
        }
        BookCommand::Pause { why, which } => hold(store, which, why, true, ctx).await,
        BookCommand::Resume { why, which } => hold(store, which, why, false, ctx).await,
        BookCommand::Disable { why, which } => {
            let row = find(store, which.number).await?;
            if row.state == State::Disabled {
                return Err(CliError::Usage(format!("book {} is disabled already", row.number)));
            }
            let until_ms = row.standing["until_ms"].as_i64().unwrap_or(row.began_ms);
            let record = BookMove {
                id: Uuid::now_v7(),
                book_id: row.id,
                from: row.state,
                to: State::Disabled,
                reason: Some(DisableReason::Operator),
                summary: why,
                checks: Vec::new(),
                actor: operator(),
                at_market_ms: until_ms,
                events: Vec::new(),
            };
            store.move_book(&record, None).await.context("the book could not be disabled")?;
            let told = json!({ "number": row.number, "state": State::Disabled });
            let printed = if which.json {
                output::json(&told)
            } else {
                output::text(format!("book {} is disabled\n", row.number))
            };
            Ok(printed.context("standard output")?)
        }
    }
}

/// Pauses what a live book has at work, or ends that.
async fn hold(store: &Store, which: Which, why: String, holds: bool, ctx: &Context) -> Result<(), CliError> {
    let row = find(store, which.number).await?;
    let none = || {
        CliError::Usage(format!("book {} is {} and has nothing at work: only a live one has", row.number, row.state))
    };
    let now = store.book_deployment(row.id).await.context("its deployment")?;
    let now = now.filter(|_| row.state == State::Live).ok_or_else(none)?;
    let mut wanted = BookDeployment { held: holds, reasons: vec![why], ..now.clone() };
    if holds {
        wanted.status = DeploymentStatus::Paused;
    } else if now.held {
        // In hundredths, down. Where nothing is left it waits for the daemon's next look.
        let of_strategies = total_pct(&store.open_deployments().await.context("deployments")?);
        let left = ((ctx.config().deployment.max_total_pct - of_strategies) * 100.0 + 1e-6).floor() / 100.0;
        wanted.allocation_pct = now.allocation_pct.min(left.max(0.0));
        let has_some = wanted.allocation_pct >= 0.01;
        wanted.status = if has_some { DeploymentStatus::Active } else { DeploymentStatus::Paused };
    }
    let is_new = now.held != holds;
    if is_new {
        let set = store.set_book_deployment(&wanted, &operator(), None).await;
        set.context("the deployment could not be changed")?;
    }
    let status = if is_new { wanted.status } else { now.status };
    let told = json!({ "number": row.number, "status": status, "held": holds, "changed": is_new });
    let already = if is_new { "" } else { " already" };
    let what = if holds { "is held" } else { "is not held" };
    let printed = if which.json {
        output::json(&told)
    } else {
        output::text(format!("the deployment of book {} {what}{already}: {}\n", row.number, status.name()))
    };
    Ok(printed.context("standard output")?)
}

async fn find(store: &Store, number: Option<u32>) -> Result<BookRow, CliError> {
    let none = || match number {
        Some(number) => format!("there is no book {number}"),
        None => "there is no book: set daemon.book, such as \"*USDT:4h\", and start the daemon".to_owned(),
    };
    store.book(number).await.context("the book")?.ok_or_else(|| CliError::Usage(none()))
}

/// What the settings of now would do to it.
fn next_pipeline(row: &BookRow, ctx: &Context) -> String {
    let Some(setup) = BookSetup::of(ctx.config()) else {
        return "settings: daemon.book names no market; a daemon leaves the book as it is".to_owned();
    };
    let others = differences(&row.identity, &setup.identity());
    let next = row.number + 1;
    if others.is_empty() {
        return match row.state {
            State::Disabled => "settings: those of this book, which has ended; a daemon begins no other one".to_owned(),
            _ => "settings: those of this book; a daemon goes on with it".to_owned(),
        };
    }
    format!(
        "settings: a daemon would end this book and begin book {next}, which needs ln E {:.2} to go live: other {}",
        book::needed_log_e(&setup.book, next),
        others.join(", ")
    )
}

fn head(row: &BookRow) -> String {
    let s = &row.standing;
    let figure = |value: &Value| number(value.as_f64());
    let reason = row.disable_reason.map(|r| format!(", {}", r.name())).unwrap_or_default();
    let mut text = format!(
        "book {}: {}{reason}, {} *{} {}, history from {}, life from {}\n",
        row.number,
        row.state,
        row.market,
        row.quote,
        row.interval,
        &minute(row.from_ms)[..10],
        &minute(row.began_ms)[..10]
    );
    if s["figures"].is_object() {
        let _ = writeln!(
            text,
            "hedged Sharpe {}, net {}, ln E {} (threshold {}), placebo: hedged {}, ln E {}",
            figure(&s["figures"]["hedged_sharpe"]),
            figure(&s["figures"]["net_sharpe"]),
            figure(&s["proof"]["log_e"]),
            figure(&s["needed_log_e"]),
            figure(&s["placebo_figures"]["hedged_sharpe"]),
            figure(&s["placebo_proof"]["log_e"]),
        );
    }
    let to_come = s["blocks_to_come"].as_f64().unwrap_or(0.0);
    if row.state == State::Candidate && to_come > 0.0 {
        let _ = writeln!(text, "walks its history: {to_come:.0} blocks to come");
    }
    text
}

pub(super) fn body(block: &BookBlock) -> anyhow::Result<Body> {
    serde_json::from_value(block.body.clone()).context("a block of another form")
}

fn members(block: &BookBlock) -> anyhow::Result<String> {
    let Body { members, came, .. } = body(block)?;
    let mut text = format!("block {}: {} members\n", &minute(block.begin_ms)[..7], members.len());
    if let Some(cash) = &block.cash {
        let _ = writeln!(text, "cash: {cash}");
    }
    for (at, m) in members.iter().enumerate() {
        let realised = came.get(at).copied().flatten().map_or_else(|| "-".to_owned(), |v| format!("{v:.2}"));
        let strategy: &AnyStrategy = &m.strategy;
        let _ = writeln!(
            text,
            "{:>6}  expected {:>5.2}  realised {realised:>6}  fdr {:>5}  {}\n        {}",
            percent(Some(m.weight)),
            m.expected_sharpe,
            percent(Some(m.false_discovery)),
            m.niche,
            strategy.to_string().trim_end().replace('\n', " ")
        );
    }
    Ok(text)
}

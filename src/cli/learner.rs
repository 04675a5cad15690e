//! `sg-ai learner`: what earlier strategies have taught, in words.

use super::{CliError, Context, output};
use crate::usecases::database::Database;
use anyhow::Context as _;
use candles::time::rfc3339;
use clap::{Args, Subcommand};
use learner::{Belief, HALF_LIFE_DAYS, Learnt};
use serde::Serialize;
use std::fmt::Write as _;
use store::{Session, SessionLessons};

/// Look at what the search has learnt from earlier strategies
#[derive(Args, Debug)]
pub(crate) struct LearnerArgs {
    #[command(subcommand)]
    command: LearnerCommand,
}

#[derive(Debug, Subcommand)]
enum LearnerCommand {
    /// Tell which building blocks keep their promise, as the newest session was taught, and from how much that is known
    Explain {
        /// Of this island [default: the newest session of all]
        #[arg(long, value_name = "NAME")]
        island: Option<String>,
        /// Lines of each kind
        #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        top: u32,
        /// Print JSON, an object
        #[arg(long)]
        json: bool,
    },
}

/// What is told as JSON.
#[derive(Serialize)]
struct Told {
    /// `ISLAND/NUMBER` of the session that was taught.
    session: String,
    /// When it began, by the market's clock, UTC ms: since then nothing else was learnt.
    taught_at_ms: i64,
    /// End of the candles that taught it, UTC ms, exclusive.
    until_ms: i64,
    #[serde(flatten)]
    lessons: SessionLessons,
}

/// Runs `sg-ai learner`.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn run(args: LearnerArgs, ctx: &Context) -> Result<(), CliError> {
    let LearnerCommand::Explain { island, top, json } = args.command;
    let opened = Database::open(ctx.config()).await?;
    let found = opened.store.newest_lessons(island.as_deref()).await;
    opened.close().await;
    let found = found.context("what was learnt cannot be read")?;
    let printed = match (&found, json) {
        (None, true) => output::json(&serde_json::Value::Null),
        (None, false) => output::text(NOTHING),
        (Some((session, lessons)), true) => output::json(&Told {
            session: name(session),
            taught_at_ms: session.spec.window_to_ms,
            until_ms: session.spec.holdout_from_ms,
            lessons: lessons.clone(),
        }),
        (Some((session, lessons)), false) => output::text(text(session, lessons, top as usize)),
    };
    Ok(printed.context("standard output")?)
}

fn name(session: &Session) -> String {
    format!("{}/{}", session.spec.island, session.spec.number)
}

const NOTHING: &str = "Nothing has been learnt yet: no session has begun with strategies of earlier ones that had days of their own since. The \
    split between search and hold-out moves with time; after ten days the first of them teach something.\n";

fn text(session: &Session, lessons: &SessionLessons, top: usize) -> String {
    let Some(learnt) = &lessons.learnt else { return NOTHING.to_owned() };
    let Learnt { base, independent, days, .. } = learnt;
    let at = rfc3339(session.spec.window_to_ms).unwrap_or_default();
    let until = rfc3339(session.spec.holdout_from_ms).unwrap_or_default();
    let mut out = String::new();
    // A string takes everything.
    let _ = writeln!(
        out,
        "Session {} of {at} was taught by {} of {} strategies of earlier sessions: what each earned after costs on days that nothing which shaped \
         it had seen, up to {until}. On average {days:.0} days count for each (a day counts half after {HALF_LIFE_DAYS:.0}); they \
         rise and fall together, so that they count for {independent:.0} strategies on days of their own.",
        name(session),
        base.strategies,
        lessons.strategies,
    );
    let _ = writeln!(
        out,
        "\nA strategy like most of them earned an annual Sharpe ratio of {:+.2} (± {:.2}).",
        base.mean, base.sd
    );
    let [good, bad] = learnt.surest(top);
    for (title, found) in [("What is worth something, surest first", good), ("What costs, surest first", bad)] {
        let _ = writeln!(out, "\n{title}: annual Sharpe ratio on top of the rest, strategies");
        if found.is_empty() {
            let _ = writeln!(out, "  nothing");
        }
        for (name, Belief { mean, sd, strategies }) in found {
            let how = if mean.abs() > 2.0 * sd { "" } else { ", may be luck" };
            let _ = writeln!(out, "  {mean:+6.2} ± {sd:4.2}  {strategies:>6}  {name}{how}");
        }
    }
    out
}

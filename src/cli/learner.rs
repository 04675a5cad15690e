//! `sg-ai learner`: what earlier strategies have taught, in words.

use super::{CliError, Context, output};
use crate::usecases::database::Database;
use anyhow::Context as _;
use candles::time::rfc3339;
use clap::{Args, Subcommand};
use learner::{Belief, Contrast, HALF_LIFE_DAYS, LEAST_NULLS, Learnt};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use store::{SearchScores, Session, SessionLessons};

/// Look at what the search has learnt from earlier strategies
#[derive(Args, Debug)]
pub(crate) struct LearnerArgs {
    #[command(subcommand)]
    command: LearnerCommand,
}

#[derive(Debug, Subcommand)]
enum LearnerCommand {
    /// Tell which building blocks keep their promise, as the newest session was taught, and from how much that is known; and
    /// which ones score better on the real market than on null ones
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
struct Told<'a> {
    #[serde(flatten)]
    taught: Option<Taught>,
    scores: Vec<ToldScores<'a>>,
}

/// What the newest session was taught.
#[derive(Serialize)]
struct Taught {
    /// `ISLAND/NUMBER` of the session that was taught.
    session: String,
    /// When it began, by the market's clock, UTC ms: since then nothing else was learnt.
    taught_at_ms: i64,
    /// End of the candles that taught it, UTC ms, exclusive.
    until_ms: i64,
    #[serde(flatten)]
    lessons: SessionLessons,
}

/// How building blocks scored in the searches of a market and form.
#[derive(Serialize)]
struct ToldScores<'a> {
    market: String,
    form: String,
    /// Of the newest sessions, and of all.
    sessions: u64,
    all_sessions: u64,
    from: String,
    to: String,
    blocks: BTreeMap<&'a str, ToldContrast>,
}

#[derive(Serialize)]
struct ToldContrast {
    #[serde(flatten)]
    contrast: Contrast,
    deviations: f64,
    /// Of all sessions.
    all_deviations: Option<f64>,
}

/// Newest sessions of which is told how building blocks scored in them.
const NEWEST: u64 = 1_000;

fn told(found: &SearchScores) -> ToldScores<'_> {
    let of_all = found.all.contrasts();
    let one = |(name, contrast)| {
        let all_deviations = of_all.get(name).map(Contrast::deviations);
        (name, ToldContrast { contrast, deviations: contrast.deviations(), all_deviations })
    };
    ToldScores {
        market: found.market.to_string(),
        form: found.form.to_string(),
        sessions: found.sessions,
        all_sessions: found.all_sessions,
        from: found.days.0.to_string(),
        to: found.days.1.to_string(),
        blocks: found.scores.contrasts().into_iter().map(one).collect(),
    }
}

/// Runs `sg-ai learner`.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn run(args: LearnerArgs, ctx: &Context) -> Result<(), CliError> {
    let LearnerCommand::Explain { island, top, json } = args.command;
    let opened = Database::open(ctx.config()).await?;
    let store = &opened.store;
    let found = tokio::try_join!(store.newest_lessons(island.as_deref()), store.search_scores(NEWEST));
    opened.close().await;
    let (lessons, scores) = found.context("what was learnt cannot be read")?;
    let printed = if json {
        let taught = lessons.map(|(session, lessons)| Taught {
            session: name(&session),
            taught_at_ms: session.spec.window_to_ms,
            until_ms: session.spec.holdout_from_ms,
            lessons,
        });
        output::json(&Told { taught, scores: scores.iter().map(told).collect() })
    } else {
        let mut out =
            lessons.map_or_else(|| NOTHING.to_owned(), |(session, lessons)| text(&session, &lessons, top as usize));
        scores.iter().for_each(|found| out.push_str(&scores_text(found, top as usize)));
        output::text(out)
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

fn scores_text(found: &SearchScores, top: usize) -> String {
    let of_all = found.all.contrasts();
    let SearchScores { market, form, sessions, days: (from, to), all_sessions, .. } = found;
    if found.scores.contrasts().is_empty() {
        return format!(
            "\nSearch sessions of {market}, {form}: {sessions} so far. How building blocks score can be compared once \
             {LEAST_NULLS} null searches have told of them.\n"
        );
    }
    let mut out = String::new();
    // A string takes everything.
    let _ = writeln!(
        out,
        "\nIn the newest {sessions} search sessions of {market}, {form} (what they searched ended {from} to {to}): how much better \
         strategies with a building block scored in sample than those without it, 0 to 100 points, on the real market and on null \
         markets. First how far the real market is from null ones, in standard deviations of one null search (in brackets of all \
         {all_sessions} sessions); below 2 it may be luck.",
    );
    let [good, bad] = found.scores.furthest(top);
    for (title, found) in [("Better than on null markets", good), ("Worse than on null markets", bad)] {
        let _ = writeln!(out, "\n{title}: deviations, points real and null, searches real and null");
        if found.is_empty() {
            let _ = writeln!(out, "  nothing");
        }
        for (name, contrast) in found {
            let Contrast { real, null, null_sd, searches, null_searches } = contrast;
            let all = of_all.get(name).map_or(f64::NAN, Contrast::deviations);
            let _ = writeln!(
                out,
                "  {:+5.1} ({all:+5.1})  {real:+6.1} and {null:+5.1} ± {null_sd:4.1}  {searches:>5} and {null_searches:>5}  {name}",
                contrast.deviations()
            );
        }
    }
    out
}

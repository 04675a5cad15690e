//! `sg-ai data affected`: who rests on candles or funding that were revised, and what it comes to when that is scored
//! again.

use super::snapshot::{named, refused};
use crate::cli::{CliError, Context, format::minute, output};
use crate::usecases::affected::{Affected, AffectedRun, affected};
use crate::usecases::database::Database;
use crate::usecases::meaning::{Outdated, all_outdated};
use crate::usecases::rescore::{Cause, Outcomes, Rescorer};
use crate::usecases::revisions::{Change, changes, record};
use crate::usecases::whole_market::Cached;
use anyhow::{Context as _, anyhow};
use candles::stored::Part;
use clap::Args;
use market::CandleCache;
use market::snapshot::{self, MonthChange, NOW, ValuesChange};
use notify::Channel;
use serde::Serialize;
use store::{DataVersionUse, Store};
use tokio_util::sync::CancellationToken;

/// Tell what rests on revised candles
#[derive(Args, Debug)]
pub(super) struct AffectedArgs {
    /// Since when: a snapshot (its name, its version, or current), the first characters of the hash of a month's former
    /// content, or all. Or the data version that a backtest or a session recorded, or its first characters: then what
    /// was computed from it is listed
    #[arg(value_name = "VERSION")]
    since: String,
    /// Compute it again and let the gate decide again; the daemon does so by itself
    #[arg(long)]
    rescore: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    /// What was computed from the data version that was asked for.
    uses: Option<Vec<DataVersionUse>>,
    changes: Vec<Change>,
    #[serde(flatten)]
    affected: Affected,
    /// Strategies with results that an earlier meaning of the engine computed; with `all` alone.
    of_earlier_meaning: Vec<Outdated>,
    rescored: Option<Vec<Outcomes>>,
}

pub(super) async fn run(args: AffectedArgs, ctx: &Context) -> Result<(), CliError> {
    let models = ctx.models()?;
    let opened = Database::open(ctx.config()).await?;
    let done = look(&args, ctx, &models, &opened.store).await;
    opened.close().await;
    let report = done?;
    let written = if args.json { output::json(&report) } else { output::text(lines(&report)) };
    Ok(written.context("standard output")?)
}

/// What was asked about.
enum Since {
    /// Candles that are not what they were.
    Changes(Vec<Change>),
    /// What was computed from the candles of one data version.
    Version(Vec<DataVersionUse>),
}

/// From so many characters on a hash is recognised.
const LEAST_HASH: usize = 6;

async fn since(cache: &CandleCache, store: &Store, version: &str, now_ms: i64) -> Result<Since, CliError> {
    if version == "all" {
        return Ok(Since::Changes(changes(cache, |_| true).await.context("candle cache")?));
    }
    let is_hash = version.len() >= LEAST_HASH && version.bytes().all(|b| b.is_ascii_hexdigit());
    if is_hash {
        let found = changes(cache, |sha256| sha256.starts_with(version)).await.context("candle cache")?;
        if !found.is_empty() {
            return Ok(Since::Changes(found));
        }
        let uses = store.data_version_uses(version).await.context("the database")?;
        if let (Some(first), Some(last)) = (uses.first(), uses.last()) {
            if first.data_version != last.data_version {
                return Err(CliError::usage(anyhow!(
                    "{version} begins several data versions, {} and {} among them: give more of it",
                    first.data_version,
                    last.data_version
                )));
            }
            return Ok(Since::Version(uses));
        }
    }
    let before = match named(cache, version, now_ms).await {
        Err(CliError::Usage(unknown)) if is_hash => {
            let all = snapshot::all(cache).await.map_err(refused)?;
            all.into_iter().find(|s| s.version.starts_with(version)).ok_or(CliError::Usage(unknown))?
        }
        found => found?,
    };
    let after = snapshot::of_cache(cache, now_ms).await.map_err(refused)?;
    let diff = snapshot::diff(cache, &before, &after).await.map_err(refused)?;
    let change = |d: snapshot::MonthDiff| match d.change {
        MonthChange::Revised { candles, .. } => Some(Change {
            ticker: d.ticker,
            part: Part::Candles(d.interval),
            month: d.month,
            old_sha256: d.old_sha256.unwrap_or_default(),
            new_sha256: d.new_sha256.unwrap_or_default(),
            candles,
            payments: Vec::new(),
            readings: Vec::new(),
        }),
        _ => None,
    };
    let values = snapshot::diff_values(cache, &before, &after).await.map_err(refused)?;
    let values_change = |d: snapshot::ValuesDiff| match d.change {
        ValuesChange::Revised { payments, readings, .. } => Some(Change {
            ticker: d.ticker,
            part: d.part,
            month: d.month,
            old_sha256: d.old_sha256.unwrap_or_default(),
            new_sha256: d.new_sha256.unwrap_or_default(),
            candles: Vec::new(),
            payments,
            readings,
        }),
        _ => None,
    };
    debug_assert_ne!(version, NOW);
    let values = values.into_iter().filter_map(values_change);
    Ok(Since::Changes(diff.into_iter().filter_map(change).chain(values).collect()))
}

/// What rests on one data version: of everything that was revised, what its results looked at.
async fn of_version(cached: Cached<'_>, store: &Store, uses: Vec<DataVersionUse>) -> anyhow::Result<Report> {
    let all = changes(&cached.candles, |_| true).await?;
    let version = uses.first().map(|u| u.data_version.clone());
    let resting = async |changes: &[Change]| {
        let mut found = affected(cached, store, changes).await?;
        for strategy in &mut found.strategies {
            strategy.runs.retain(|run| run.data_version == version);
        }
        found.strategies.retain(|s| !s.runs.is_empty());
        found.sessions.retain(|s| Some(&s.data_version) == version.as_ref());
        anyhow::Ok(found)
    };
    let found = resting(&all).await?;
    let mut touching = Vec::new();
    for change in all {
        let touched = resting(std::slice::from_ref(&change)).await?;
        if !touched.strategies.is_empty() || !touched.sessions.is_empty() {
            touching.push(change);
        }
    }
    Ok(Report { uses: Some(uses), changes: touching, affected: found, of_earlier_meaning: Vec::new(), rescored: None })
}

async fn look(args: &AffectedArgs, ctx: &Context, cached: Cached<'_>, store: &Store) -> Result<Report, CliError> {
    let cache = &cached.candles;
    let changes = match since(cache, store, &args.since, ctx.clock.now_ms()).await? {
        Since::Version(_) if args.rescore => {
            let why = "what was revised is scored again for all that rest on it: --rescore goes with a snapshot or all";
            return Err(CliError::usage(anyhow!(why)));
        }
        Since::Version(uses) => return Ok(of_version(cached, store, uses).await?),
        Since::Changes(changes) => changes,
    };
    let affected = affected(cached, store, &changes).await?;
    let of_earlier_meaning = if args.since == "all" { all_outdated(store).await? } else { Vec::new() };
    let mut report = Report { uses: None, changes, affected, of_earlier_meaning, rescored: None };
    if !args.rescore {
        return Ok(report);
    }
    let lease = store.try_acquire_lease("revisions").await.context("the database")?;
    let lease = lease.context("a daemon is dealing with revisions now; it scores them again by itself")?;
    let config = ctx.config();
    let open = record(store, &report.changes).await?;
    let gate = lifecycle::gate(&config.lifecycle).map_err(CliError::usage)?;
    let rescorer = Rescorer {
        cached,
        store,
        gate: gate.as_ref(),
        channels: &Channel::configured(&config.notify),
        recent_trades: config.lifecycle.live_recent_trades as usize,
        warmup_ms: config.daemon.warmup_ms(),
        quality: config.market.quality,
    };
    let mut outcomes = Vec::new();
    if !open.is_empty() {
        let cause = Cause::revised(&open);
        outcomes.extend(rescorer.rescore(&lease.token(), &cause, &report.affected.strategies).await?);
    }
    for revision in &open {
        store.revision_handled(revision.id).await.context("the database")?;
    }
    if args.since == "all" {
        let never = CancellationToken::new();
        outcomes.extend(rescorer.catch_up(&lease.token(), usize::MAX, &never).await?.outcomes);
    }
    lease.release().await;
    report.rescored = Some(outcomes);
    Ok(report)
}

fn lines(report: &Report) -> String {
    let mut text = String::new();
    if let Some(uses) = &report.uses {
        let version = uses.first().map(|u| u.data_version.as_str()).unwrap_or_default();
        text.push_str(&format!("data version {version}: {} results were computed from it\n", uses.len()));
        for u in uses {
            let bred = u.generations.map(|n| format!(", {n} generations")).unwrap_or_default();
            text.push_str(&format!("  {:<8} {}, {} to {}{bred}\n", u.what, u.name, minute(u.from_ms), minute(u.to_ms)));
        }
    }
    if report.changes.is_empty() {
        let what =
            if report.uses.is_some() { "none of its candles was revised" } else { "no stored candle was revised" };
        text.push_str(&format!("{what} since\n"));
    } else {
        text.push_str(&rest(report));
    }
    for Outdated { strategy: s, cause } in &report.of_earlier_meaning {
        text.push_str(&format!("{} ({}) {}: {cause}\n", s.name, s.state, s.id));
        text.push_str(&runs(&s.runs));
    }
    for o in report.rescored.iter().flatten() {
        let decision = o.decision.as_deref().unwrap_or("the gate was not asked");
        text.push_str(&format!("{}: {} results scored again, now {}: {decision}\n", o.name, o.rescored, o.state));
        for why in &o.failed {
            text.push_str(&format!("  {why}\n"));
        }
    }
    text
}

fn runs(runs: &[AffectedRun]) -> String {
    let line =
        |run: &AffectedRun| format!("  {:<8} {} to {}\n", run.source.name(), minute(run.from_ms), minute(run.to_ms));
    runs.iter().map(line).collect()
}

/// What was revised, and who rests on it.
fn rest(report: &Report) -> String {
    let mut text = String::new();
    for c in &report.changes {
        let (n, first) = (c.count(), c.times_ms().next().map(minute).unwrap_or_default());
        let what = match c.part {
            Part::Candles(_) => "candles",
            Part::Funding => "payments",
            Part::Premium | Part::Metrics => "readings",
        };
        text.push_str(&format!(
            "{} {} {} {}: {n} {what} revised, the first {first}; former content {}\n",
            c.ticker.market,
            c.ticker.symbol,
            c.part,
            c.month,
            c.old_sha256.get(..16).unwrap_or_default()
        ));
    }
    let a = &report.affected;
    for s in &a.strategies {
        let deployment = s.deployment.map(|id| format!(", deployment {id}")).unwrap_or_default();
        text.push_str(&format!("{} ({}) {}{deployment}\n", s.name, s.state, s.id));
        text.push_str(&runs(&s.runs));
    }
    for s in &a.sessions {
        text.push_str(&format!("session {} of island {}: {} generations\n", s.number, s.island, s.generations));
    }
    let (strategies, sessions, untouched) = (a.strategies.len(), a.sessions.len(), a.untouched);
    text.push_str(&format!(
        "{strategies} strategies and {sessions} sessions rest on them; {untouched} strategies on the same symbols do not\n"
    ));
    text
}

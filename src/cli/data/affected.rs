//! `sg-ai data affected`: who rests on candles that were revised, and what it comes to when that is scored again.

use super::super::{CliError, Context, output};
use super::snapshot::{named, refused};
use super::{cache, minute};
use crate::daemon::Database;
use crate::daemon::rescore::{Outcomes, Rescorer};
use crate::daemon::revisions::{Affected, Change, affected, changes, record};
use crate::lifecycle;
use crate::market::CandleCache;
use crate::market::snapshot::{self, MonthChange, NOW};
use crate::notify::Channel;
use crate::store::Store;
use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

/// Tell what rests on revised candles
#[derive(Args, Debug)]
pub(super) struct AffectedArgs {
    /// Since when: a snapshot (or current), the first characters of the hash of a month's former content, or all
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
    changes: Vec<Change>,
    #[serde(flatten)]
    affected: Affected,
    rescored: Option<Vec<Outcomes>>,
}

pub(super) async fn run(args: AffectedArgs, ctx: &Context) -> Result<(), CliError> {
    let cache = cache(ctx)?;
    let changes = changes_since(&cache, &args.since, ctx.clock.now_ms()).await?;
    let opened = Database::open(ctx.config()).await?;
    let done = look(&args, ctx, &cache, &opened.store, changes).await;
    opened.close().await;
    let report = done?;
    let written = if args.json { output::json(&report) } else { output::text(lines(&report)) };
    Ok(written.context("standard output")?)
}

async fn changes_since(cache: &CandleCache, version: &str, now_ms: i64) -> Result<Vec<Change>, CliError> {
    if version == "all" {
        return Ok(changes(cache, |_| true).await.context("candle cache")?);
    }
    let is_hash = version.len() >= 8 && version.bytes().all(|b| b.is_ascii_hexdigit());
    if is_hash {
        let found = changes(cache, |sha256| sha256.starts_with(version)).await.context("candle cache")?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    let before = named(cache, version, now_ms).await?;
    let after = snapshot::of_cache(cache, now_ms).await.map_err(refused)?;
    let diff = snapshot::diff(cache, &before, &after).await.map_err(refused)?;
    let change = |d: snapshot::MonthDiff| match d.change {
        MonthChange::Revised { candles, .. } => Some(Change {
            market: d.market,
            symbol: d.symbol,
            interval: d.interval,
            month: d.month,
            old_sha256: d.old_sha256.unwrap_or_default(),
            new_sha256: d.new_sha256.unwrap_or_default(),
            candles,
        }),
        _ => None,
    };
    debug_assert_ne!(version, NOW);
    Ok(diff.into_iter().filter_map(change).collect())
}

async fn look(
    args: &AffectedArgs,
    ctx: &Context,
    cache: &CandleCache,
    store: &Store,
    changes: Vec<Change>,
) -> Result<Report, CliError> {
    let affected = affected(cache, store, &changes).await?;
    let mut report = Report { changes, affected, rescored: None };
    if !args.rescore {
        return Ok(report);
    }
    let lease = store.try_acquire_lease("revisions").await.context("the database")?;
    let lease = lease.context("a daemon is dealing with revisions now; it scores them again by itself")?;
    let config = ctx.config();
    let open = record(store, &report.changes).await?;
    let gate = lifecycle::gate(&config.lifecycle).map_err(CliError::usage)?;
    let days = i64::from(config.daemon.warmup_days.max(config.daemon.shadow_lookback_days));
    let rescorer = Rescorer {
        cache,
        store,
        gate: gate.as_ref(),
        channels: &Channel::configured(&config.notify),
        recent_trades: config.lifecycle.live_recent_trades as usize,
        warmup_ms: days * 86_400_000,
    };
    let outcomes =
        if open.is_empty() { Vec::new() } else { rescorer.rescore(&lease.token(), &open, &report.affected).await? };
    for revision in &open {
        store.revision_handled(revision.id).await.context("the database")?;
    }
    lease.release().await;
    report.rescored = Some(outcomes);
    Ok(report)
}

fn lines(report: &Report) -> String {
    let mut text = String::new();
    if report.changes.is_empty() {
        return "no stored candle was revised since\n".to_owned();
    }
    for c in &report.changes {
        let (n, first) = (c.candles.len(), c.candles.first().map(|r| minute(r.open_time_ms)).unwrap_or_default());
        text.push_str(&format!(
            "{} {} {} {}: {n} candles revised, the first {first}; former content {}\n",
            c.market,
            c.symbol,
            c.interval,
            c.month,
            c.old_sha256.get(..16).unwrap_or_default()
        ));
    }
    let a = &report.affected;
    for s in &a.strategies {
        let deployment = s.deployment.map(|id| format!(", deployment {id}")).unwrap_or_default();
        text.push_str(&format!("{} ({}) {}{deployment}\n", s.name, s.state, s.id));
        for run in &s.runs {
            text.push_str(&format!("  {:<8} {} to {}\n", run.source.name(), minute(run.from_ms), minute(run.to_ms)));
        }
    }
    for s in &a.sessions {
        text.push_str(&format!("session {} of island {}: {} generations\n", s.number, s.island, s.generations));
    }
    let (strategies, sessions, untouched) = (a.strategies.len(), a.sessions.len(), a.untouched);
    text.push_str(&format!(
        "{strategies} strategies and {sessions} sessions rest on them; {untouched} strategies on the same symbols do not\n"
    ));
    for o in report.rescored.iter().flatten() {
        let decision = o.decision.as_deref().unwrap_or("the gate was not asked");
        text.push_str(&format!("{}: {} results scored again, now {}: {decision}\n", o.name, o.rescored, o.state));
        for why in &o.failed {
            text.push_str(&format!("  {why}\n"));
        }
    }
    text
}

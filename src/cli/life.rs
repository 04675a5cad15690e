//! The whole life of a strategy on one page: where it came from, what it does, what it was tested on, why it moved, how
//! much it was given, how it drifted, and who touched it. For people, or as JSON.

use super::format::{self, genome_of, minute};
use super::output;
use comfy_table::{Table, presets};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use store::{AuditRow, DriftAlert, Lineage, PerformanceDay, Proved, Store, StrategyDetail};

/// Generations of ancestors that are told of.
const ANCESTORS: u32 = 10;
/// Audit entries that are told of, the newest.
const AUDIT_ENTRIES: u32 = 500;
/// Days of a deployment that people are shown; JSON has all.
const SHOWN_DAYS: usize = 7;

/// Everything that is stored of a strategy.
#[derive(Serialize)]
struct Life {
    #[serde(flatten)]
    detail: StrategyDetail,
    /// The rules in words.
    words: String,
    /// Ancestors, nearest first.
    lineage: Vec<Lineage>,
    /// Days of each deployment, in the order of the deployments.
    performance_days: Vec<Vec<PerformanceDay>>,
    drift_alerts: Vec<DriftAlert>,
    /// What was proved before shadow.
    proved: Option<Proved>,
    audit: Vec<AuditRow>,
}

/// Prints it.
pub(super) async fn show(store: &Store, selector: &str, json: bool) -> anyhow::Result<()> {
    let detail = store.strategy(selector).await?;
    let id = detail.strategy.id;
    let mut performance_days = Vec::with_capacity(detail.deployments.len());
    for deployment in &detail.deployments {
        performance_days.push(store.performance_days(deployment.id).await?);
    }
    if !json {
        format::simulated(store).await?;
    }
    let life = Life {
        proved: store.proved(id).await?,
        words: genome_of(&detail.strategy)?.describe(),
        lineage: store.lineage(id, ANCESTORS).await?,
        performance_days,
        drift_alerts: store.drift_alerts_of(id).await?,
        audit: store.audit_of_strategy(id, AUDIT_ENTRIES).await?,
        detail,
    };
    if json {
        output::json(&life)?;
    } else {
        output::line(page(&life))?;
    }
    Ok(())
}

fn page(life: &Life) -> String {
    let parts = [
        head(life),
        closeness(life),
        figures(life),
        moves(life),
        lineage(life),
        money(life),
        drifts(life),
        audit(life),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n\n")
}

fn head(life: &Life) -> String {
    let s = &life.detail.strategy;
    let state = s.disable_reason.map_or_else(|| s.state.to_string(), |r| format!("{}, {}", s.state, r.name()));
    let symbols = format::trades(s);
    let seen = s.seen_until_ms.map(|ms| format!("\nseen     candles up to {}", minute(ms)));
    let no_holdout = life.detail.no_holdout.as_ref().map(|why| format!("\nunproven {why}"));
    format!(
        "{}  ({state})\nid       {}\ngenome   {}\nform     {}\nversion  {}\ntrades   {} {} {}\nmade by  {}, generation {}{}, {}{}{}\n\n{}\n\n{}",
        s.name,
        s.id,
        s.genome_hash,
        s.form,
        s.version,
        s.market,
        symbols,
        s.timeframe,
        s.created_by,
        s.generation,
        s.island.as_ref().map(|i| format!(", island {i}")).unwrap_or_default(),
        s.created_at.format("%Y-%m-%d %H:%M"),
        seen.unwrap_or_default(),
        no_holdout.unwrap_or_default(),
        s.canonical,
        life.words,
    )
}

/// How close it is to its next state: evidence beside its threshold, each requirement, and when it may be met.
fn closeness(life: &Life) -> String {
    let mut text = "EVIDENCE".to_owned();
    let e = |log: Option<f64>| log.map_or_else(|| "undefined".to_owned(), format::e_value);
    if let Some(proved) = &life.proved {
        let p = proved.p_value.map_or_else(|| "nobody searched".to_owned(), lifecycle::figure);
        let (holdout, needed) = (e(proved.holdout_log_e), e(proved.log_needed));
        text.push_str(&format!("\nsearch p  {p}\nhold-out  E {holdout}, promotion threshold {needed}"));
    }
    let Some(run) = life.detail.paper_runs.iter().rev().find(|run| run.progress.is_some()) else {
        return if life.proved.is_some() { text } else { String::new() };
    };
    let Some(p) = &run.progress else { return text };
    text.push_str(&format!("\n{:<9} {}, as of {}", p.state.name(), p.summary, minute(p.at_ms)));
    if run.ended_at.is_some() {
        return text;
    }
    if let Some(expected) = &p.expected {
        let day = |ms: Option<i64>, none: &str| ms.map_or_else(|| none.to_owned(), |ms| minute(ms)[..10].to_owned());
        let told = match expected.at_ms {
            None => "cannot be told: its evidence does not grow, or it has closed no trade yet".to_owned(),
            at => {
                let late = expected
                    .late_ms
                    .map_or_else(|| " on, or never".to_owned(), |ms| format!(" to {}", &minute(ms)[..10]));
                format!("about {}; 8 of 10 cases: from {}{late}", day(at, "never"), day(expected.early_ms, "now"))
            }
        };
        text.push_str(&format!("\nlive      {told}; shadow ends on {}", day(Some(expected.until_ms), "never")));
    }
    for check in &p.checks {
        text.push_str(&format!("\n    {check}"));
    }
    text
}

fn lineage(life: &Life) -> String {
    let s = &life.detail.strategy;
    let mut text = "LINEAGE".to_owned();
    if s.parent_hashes.is_empty() {
        text.push_str("\nno parents: it was drawn at random or written by hand");
    }
    for hash in &s.parent_hashes {
        let stored = life.lineage.iter().any(|l| l.depth == 1 && l.genome_hash == *hash);
        if !stored {
            text.push_str(&format!("\n1  {hash}  (not stored: it was no session's best)"));
        }
    }
    for l in &life.lineage {
        text.push_str(&format!(
            "\n{}  {}  {}  generation {}, {}",
            l.depth, l.genome_hash, l.name, l.generation, l.state
        ));
    }
    text
}

fn figures(life: &Life) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "period",
        "from",
        "to",
        "trades",
        "profit factor",
        "Sharpe",
        "win rate",
        "max drawdown",
        "return",
        "costs",
    ]);
    let number = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{v:.3}"));
    for stat in &life.detail.stats {
        let p = &stat.performance;
        table.add_row([
            stat.source.name().to_owned(),
            minute(stat.window_from_ms),
            minute(stat.window_to_ms),
            p.total_trades.to_string(),
            number(p.profit_factor),
            number(p.sharpe_ratio),
            number(p.win_rate),
            number(p.max_drawdown),
            number(p.total_return),
            format!("{:.2}", p.fees + p.slippage + p.funding),
        ]);
    }
    format!("RESULTS BY PERIOD\n{table}")
}

fn moves(life: &Life) -> String {
    let mut text = "DECISIONS".to_owned();
    if life.detail.transitions.is_empty() {
        text.push_str("\nno gate has decided yet");
    }
    for t in &life.detail.transitions {
        text.push_str(&format!("\n{}  {} -> {} by {}: {}", minute(t.at_market_ms), t.from, t.to, t.actor, t.summary));
        for check in t.decision.iter().flat_map(|d| &d.checks) {
            text.push_str(&format!("\n    {check}"));
        }
    }
    text
}

fn money(life: &Life) -> String {
    let found = &life.detail.deployments;
    if found.is_empty() {
        return String::new();
    }
    let name = life.detail.strategy.name.as_str();
    let mut text = format!("DEPLOYMENTS\n{}", format::deployments(found.iter().map(|d| (name, d))));
    if let Some(days) = life.performance_days.last().filter(|days| !days.is_empty()) {
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY);
        table.set_header([
            "day",
            "% of capital",
            "return",
            "since live",
            "benchmark",
            "drawdown",
            "Sharpe 30 d",
            "trades",
        ]);
        let percent = |v: f64| format!("{:.2} %", 100.0 * v);
        let maybe = |v: Option<f64>, show: &dyn Fn(f64) -> String| v.map_or_else(|| "-".to_owned(), show);
        for d in &days[days.len().saturating_sub(SHOWN_DAYS)..] {
            table.add_row([
                d.day.to_string(),
                format!("{:.2}", d.allocation_pct),
                percent(d.daily_return),
                percent(d.cumulative_return),
                maybe(d.benchmark_return, &percent),
                percent(d.drawdown),
                maybe(d.rolling_sharpe_30d, &|v| format!("{v:.2}")),
                d.trades.to_string(),
            ]);
        }
        text.push_str(&format!("\n{table}"));
    }
    text
}

fn drifts(life: &Life) -> String {
    if life.drift_alerts.is_empty() {
        return String::new();
    }
    let names = BTreeMap::from([(life.detail.strategy.id, life.detail.strategy.name.clone())]);
    format!("DRIFT\n{}", format::drift_alerts(&life.drift_alerts, &names))
}

fn audit(life: &Life) -> String {
    let mut text = "AUDIT".to_owned();
    for entry in &life.audit {
        let what = [&entry.metadata["summary"], &entry.metadata["reason"]].into_iter().find_map(Value::as_str);
        let after = entry.after.as_ref().map(brief).unwrap_or_default();
        text.push_str(&format!(
            "\n{}  #{}  {}  {} by {}{}{}",
            entry.at.format("%Y-%m-%d %H:%M:%S"),
            entry.id,
            &entry.hash[..12],
            entry.event.replace('_', " "),
            entry.actor,
            if after.is_empty() { String::new() } else { format!(": {after}") },
            what.map(|what| format!(" ({what})")).unwrap_or_default(),
        ));
    }
    text
}

/// `state live, disable_reason -`: the plain values of an object.
fn brief(value: &Value) -> String {
    let Some(map) = value.as_object() else { return value.to_string() };
    let plain = map.iter().filter(|(_, v)| !v.is_object() && !v.is_array() && !v.is_null());
    let words: Vec<String> =
        plain.map(|(k, v)| format!("{k} {}", v.as_str().map_or_else(|| v.to_string(), str::to_owned))).collect();
    words.join(", ")
}

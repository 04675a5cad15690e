//! What several commands show, in words and rows for people. Prints nothing.

use comfy_table::{Table, presets};
use engine::Performance;
use genome::AnyStrategy;
use std::collections::BTreeMap;
use store::{Deployment, DriftAlert, Store, Strategy};
use uuid::Uuid;

/// Who acts at the keyboard, as far as the system knows, for the record.
pub(super) fn operator() -> String {
    let known = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
    format!("operator {}", known.map_or_else(|| "unknown".to_owned(), |user| user.name))
}

/// A time as `2024-04-01 12:00`, UTC.
pub(super) fn minute(time_ms: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(time_ms);
    time.map_or_else(|| time_ms.to_string(), |t| t.format("%Y-%m-%d %H:%M").to_string())
}

/// What a stored strategy is made of.
pub(super) fn genome_of(stored: &Strategy) -> anyhow::Result<AnyStrategy> {
    Ok(stored.genome.read()?.clone())
}

/// What it trades: its symbols, or the market that it ranks.
pub(super) fn trades(s: &Strategy) -> String {
    let symbols: Vec<&str> = s.symbols.iter().map(candles::Symbol::as_str).collect();
    if symbols.is_empty() { "its universe".to_owned() } else { symbols.join(" ") }
}

/// The figures that people look at first, a line each.
pub(super) fn performance_lines(p: &Performance) -> String {
    let rows = [
        ("return", percent(p.total_return)),
        ("sharpe ratio", number(p.sharpe_ratio)),
        ("t-statistic", number(p.t_statistic)),
        ("profit factor", number(p.profit_factor)),
        ("max drawdown", percent(p.max_drawdown)),
        ("win rate", percent(p.win_rate)),
        ("trades", p.total_trades.to_string()),
        ("mean duration", p.avg_trade_duration_hours.map_or("undefined".into(), |h| format!("{h:.1} h"))),
        ("exposure", percent(p.exposure)),
        ("fees", format!("{:.2}", p.fees)),
    ];
    rows.iter().map(|(name, value)| format!("{name:<14} {value:>12}\n")).collect()
}

pub(super) fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "undefined".to_owned(), |v| format!("{v:.2}"))
}

pub(super) fn percent(fraction: Option<f64>) -> String {
    fraction.map_or_else(|| "undefined".to_owned(), |v| format!("{:.2} %", 100.0 * v))
}

/// An E-value from its logarithm; a power of ten once it is huge.
pub(super) fn e_value(log: f64) -> String {
    if log > 1e5_f64.ln() { format!("10^{:.0}", log / std::f64::consts::LN_10) } else { lifecycle::figure(log.exp()) }
}

/// Says on standard error that what is shown rests on a simulated market, where it does.
pub(super) async fn simulated(store: &Store) -> anyhow::Result<()> {
    if store.is_simulated().await? {
        eprintln!("SIMULATED market: nothing here says anything about real money.");
    }
    Ok(())
}

/// Deployments as rows for people.
pub(super) fn deployments<'a>(deployments: impl Iterator<Item = (&'a str, &'a Deployment)>) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["strategy", "phase", "status", "% of capital", "since", "ended", "why"]);
    for (strategy, d) in deployments {
        let until = d.paused_until.map(|t| format!(" until {}", t.format("%Y-%m-%d %H:%M"))).unwrap_or_default();
        table.add_row([
            strategy.to_owned(),
            d.phase.name().to_owned(),
            format!("{}{until}", d.status.name()),
            format!("{:.2}", d.allocation_pct),
            minute(d.started_market_ms),
            d.ended_market_ms.map(minute).unwrap_or_default(),
            d.reason.clone().unwrap_or_default(),
        ]);
    }
    table.to_string()
}

/// Alerts as rows for people.
pub(super) fn drift_alerts(alerts: &[DriftAlert], names: &BTreeMap<Uuid, String>) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "id",
        "strategy",
        "type",
        "severity",
        "expected",
        "observed",
        "difference",
        "recommended",
        "opened",
        "closed",
        "acknowledged",
    ]);
    for a in alerts {
        let name = names.get(&a.strategy_id).cloned().unwrap_or_else(|| a.strategy_id.to_string());
        let acknowledged = a.acknowledged_by.as_ref().map(|by| match &a.action_taken {
            Some(action) => format!("{by}: {action}"),
            None => by.clone(),
        });
        let time = |t: chrono::DateTime<chrono::Utc>| t.format("%Y-%m-%d %H:%M").to_string();
        table.add_row([
            a.id.to_string(),
            name,
            a.drift.name().to_owned(),
            a.severity.name().to_owned(),
            format!("{:.4}", a.expected),
            format!("{:.4}", a.observed),
            format!("{:+.4}{}", a.delta, a.delta_pct.map_or_else(String::new, |pct| format!(" ({pct:+.1} %)"))),
            a.recommended_action.name().replace('_', " "),
            time(a.opened_at),
            a.closed_at.map_or_else(|| "open".to_owned(), time),
            acknowledged.unwrap_or_default(),
        ]);
    }
    table.to_string()
}

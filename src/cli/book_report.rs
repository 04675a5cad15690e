//! What `sg-ai report book` tells, read from the store. Renders nothing.

use super::book::{Body, body};
use ::book::{Insight, Source};
use anyhow::Context as _;
use engine::performance;
use lifecycle::Check;
use report::{BookReport, BookReportBlock, BookReportDay, BookReportMember, BookReportName};
use store::{BookDay, Store};

/// What is read of one book, or of the newest.
///
/// # Errors
/// When there is none, or the database does not answer.
pub(super) async fn read(store: &Store, number: Option<u32>, now_ms: i64) -> anyhow::Result<BookReport> {
    let row = store.book(number).await.context("the book")?.with_context(|| match number {
        Some(number) => format!("there is no book {number}"),
        None => "there is no book: set daemon.book, such as \"*USDT:4h\", and start the daemon".to_owned(),
    })?;
    let (days, placebo) = (store.book_days(row.id, false).await?, store.book_days(row.id, true).await?);
    let blocks = store.book_blocks(row.id, false).await?;
    let insight = store.book_insight(row.id).await?;
    // Empty before a first block was traded.
    let has_insight = insight.as_object().is_some_and(|all| !all.is_empty());
    let insight: Option<Insight> = has_insight
        .then(|| serde_json::from_value(insight))
        .transpose()
        .context("what the book is made of does not read")?;
    let deployment = store.book_deployment(row.id).await?;
    let moves = store.book_transitions(row.id).await?;
    let s = &row.standing;
    // Nothing is said of them before its first step.
    let checks: Option<Vec<Check>> =
        serde_json::from_value(s["requirements"].clone()).context("the book's requirements do not read")?;
    let checks = checks.unwrap_or_default();
    let figure = |name: &str, key: &str| {
        let of = |part: &str| s[part][key].as_f64();
        (name.to_owned(), of("figures"), of("placebo_figures"))
    };
    let told = |days: &[BookDay]| -> Vec<BookReportDay> {
        let day = |d: &BookDay| BookReportDay {
            day_ms: d.day_ms,
            net: d.net,
            benchmark: d.benchmark,
            hedged: d.hedged,
            log_e: d.bet_log_e,
        };
        days.iter().map(day).collect()
    };
    let mut months = Vec::new();
    let mut members = Vec::new();
    for b in &blocks {
        let found: Body = body(b)?;
        let last = days.iter().rfind(|d| d.day_ms >= b.begin_ms && d.day_ms < b.end_ms);
        let promised: Vec<f64> = found.members.iter().map(|m| m.expected_sharpe).collect();
        let came: Vec<f64> = found.came.iter().copied().flatten().collect();
        months.push(BookReportBlock {
            begin_ms: b.begin_ms,
            members: b.members,
            expected_sharpe: performance::mean(&promised),
            realised_sharpe: performance::mean(&came),
            log_e: last.and_then(|d| d.bet_log_e),
            cash: b.cash.clone(),
        });
        let member = |(at, m): (usize, &::book::Member)| BookReportMember {
            niche: m.niche.clone(),
            weight: m.weight,
            expected_sharpe: m.expected_sharpe,
            realised_sharpe: found.came.get(at).copied().flatten(),
            false_discovery: m.false_discovery,
            strategy: m.strategy.to_string().trim_end().to_owned(),
        };
        members = found.members.iter().enumerate().map(member).collect();
    }
    let (days_held, all) = insight.map(|insight| (insight.days, insight.all)).unzip();
    let days_held = days_held.unwrap_or_default();
    let name = |n: &Source| BookReportName { name: n.name.clone(), total: n.total, long: n.long, short: n.short };
    let deployment = deployment.into_iter().flat_map(|d| {
        let head =
            format!("At work: {:.2} % of capital, phase {}, {}", d.at_work_pct(), d.phase.name(), d.status.name());
        std::iter::once(head).chain(d.reasons)
    });
    let reason = row.disable_reason.map(|r| format!(" ({})", r.name())).unwrap_or_default();
    Ok(BookReport {
        name: format!("book {}", row.number),
        state: format!("{}{reason}", row.state),
        market: format!("{} *{} {}", row.market, row.quote, row.interval),
        from_ms: row.from_ms,
        began_ms: row.began_ms,
        live_ms: s["live_ms"].as_i64(),
        needed_log_e: s["needed_log_e"].as_f64(),
        checks,
        figures: vec![
            figure("Hedged Sharpe ratio", "hedged_sharpe"),
            figure("Net Sharpe ratio", "net_sharpe"),
            figure("ln E (definitions)", "log_e"),
            figure("Growth a year, fraction", "cagr"),
            figure("Max drawdown, fraction", "max_drawdown"),
            figure("Turnover a day, both sides, of equity", "turnover_per_day"),
            figure("Members, mean", "members_mean"),
        ],
        days: told(&days),
        placebo: told(&placebo),
        bitcoin: days_held.iter().map(|d| (d.day_ms, d.btc)).collect(),
        held: days_held.iter().map(|d| (d.day_ms, d.gross, d.net)).collect(),
        legs: all.as_ref().map(|all| (all.long, all.short)),
        names: all.iter().flat_map(|all| &all.names).map(name).collect(),
        members,
        blocks: months,
        moves: moves.into_iter().map(|t| (t.at_market_ms, format!("{} to {}", t.from, t.to), t.summary)).collect(),
        deployment: deployment.collect(),
        simulated: store.is_simulated().await?,
        made_at_ms: now_ms,
        made_by: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

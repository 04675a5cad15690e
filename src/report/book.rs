//! A book as one self-contained HTML file: what it earned in history, shadow and live beside market, bitcoin and placebo, what that
//! proves, who is in it, where it came from and what became of it.
//!
//! Pure rendering: computes nothing but what a drawing needs.

use super::{
    chart::{self, Line},
    curve::{drawdowns, gains},
    document::document,
    format,
};
use candles::time::DAY_MS;
use lifecycle::Check;
use maud::{Markup, html};
use serde::Serialize;

/// Everything that the report tells.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct BookReport {
    /// `book 1`.
    pub name: String,
    pub state: String,
    /// `spot *USDT 4h`.
    pub market: String,
    /// Beginning of its history and of its life, UTC ms.
    pub from_ms: i64,
    pub began_ms: i64,
    /// When it went live.
    pub live_ms: Option<i64>,
    /// ln E that it must reach.
    pub needed_log_e: Option<f64>,
    /// What going live needs, and what there is.
    pub checks: Vec<Check>,
    /// Name, of the book, of its placebo.
    pub figures: Vec<(String, Option<f64>, Option<f64>)>,
    pub days: Vec<BookReportDay>,
    pub placebo: Vec<BookReportDay>,
    /// Time, return of bitcoin.
    pub bitcoin: Vec<(i64, Option<f64>)>,
    /// Day, sum of absolute values held, long less short, over equity.
    pub held: Vec<(i64, f64, f64)>,
    /// Gains of the long and the short leg, and of names, of the first capital.
    pub legs: Option<(f64, f64)>,
    pub names: Vec<BookReportName>,
    /// Of the newest block.
    pub members: Vec<BookReportMember>,
    pub blocks: Vec<BookReportBlock>,
    /// When (UTC ms), from which state to which, why.
    pub moves: Vec<(i64, String, String)>,
    /// What it has at work, and why, a line each.
    pub deployment: Vec<String>,
    /// Whether what it tells of rests on a simulated market.
    pub simulated: bool,
    /// When the report was made, UTC ms.
    pub made_at_ms: i64,
    /// Version of the program that made it.
    pub made_by: String,
}

/// A day.
#[derive(Clone, Copy, Debug, Serialize)]
#[allow(missing_docs)]
pub struct BookReportDay {
    pub day_ms: i64,
    pub net: f64,
    pub benchmark: Option<f64>,
    pub hedged: f64,
    /// Of the bet that decides.
    pub log_e: Option<f64>,
}

/// A member.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct BookReportMember {
    pub niche: String,
    pub weight: f64,
    pub expected_sharpe: f64,
    pub realised_sharpe: Option<f64>,
    pub false_discovery: f64,
    pub strategy: String,
}

/// A name.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct BookReportName {
    pub name: String,
    pub total: f64,
    pub long: f64,
    pub short: f64,
}

/// A month.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct BookReportBlock {
    pub begin_ms: i64,
    pub members: u32,
    pub expected_sharpe: Option<f64>,
    pub realised_sharpe: Option<f64>,
    pub log_e: Option<f64>,
    /// Why it held cash.
    pub cash: Option<String>,
}

/// The report as one HTML file.
#[must_use]
pub fn book_html(report: &BookReport) -> String {
    let page = document(
        &format!("{} – sg-ai book report", report.name),
        report.simulated,
        &html! {
            (head(report))
            (curves(report))
            (needs(report))
            (figures(report))
            (members(report))
            (sources(report))
            (blocks(report))
            (moves(report))
            p.soft { "Made by sg-ai " (report.made_by) "." }
        },
    );
    page.into_string()
}

/// The report as JSON, pretty.
///
/// # Errors
/// Never with these types; serialisation says so.
pub fn book_json(report: &BookReport) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(report)
}

fn head(report: &BookReport) -> Markup {
    html! {
        header { h1 { (report.name) } span class="state" { (report.state) } }
        p.soft {
            (report.market) " · history from " (format::date(report.from_ms)) " · life from " (format::date(report.began_ms))
            @if let Some(live_ms) = report.live_ms { " · live from " (format::date(live_ms)) }
            " · report of " (format::time(report.made_at_ms)) " UTC"
        }
        p.soft {
            "On paper, net of costs. History was walked month by month, each unseen by what chose its members, but who chose the "
            "defaults knew these years; the days of its life nobody could know."
        }
        @for line in &report.deployment { p { (line) } }
    }
}

/// One line in three: history, shadow, live; each begins where the one before ends.
fn stretches<'a>(report: &BookReport, points: &'a [(f64, f64)]) -> Vec<Line<'a>> {
    let at = |time_ms: i64| points.partition_point(|(time, _)| *time <= time_ms as f64);
    let began = at(report.began_ms);
    let live = report.live_ms.map_or(points.len(), at).max(began);
    let part = |class, name, from: usize, to: usize| Line { class, name, points: &points[from.min(to)..to] };
    let all = [
        part("backtest", "history", 0, began),
        part("shadow", "shadow", began.saturating_sub(1), live),
        part("live", "live", live.saturating_sub(1), points.len()),
    ];
    all.into_iter().filter(|line| line.points.len() > 1).collect()
}

fn curves(report: &BookReport) -> Markup {
    let net = gains(report.days.iter().map(|d| (d.day_ms, d.net)));
    let hedged = gains(report.days.iter().map(|d| (d.day_ms, d.hedged)));
    let market = gains(report.days.iter().map(|d| (d.day_ms, d.benchmark.unwrap_or(0.0))));
    let placebo = gains(report.placebo.iter().map(|d| (d.day_ms, d.net)));
    let has_bitcoin = report.bitcoin.iter().any(|(_, r)| r.is_some());
    let bitcoin = gains(report.bitcoin.iter().filter(|_| has_bitcoin).map(|(day, r)| (*day, r.unwrap_or(0.0))));
    let mut lines = vec![
        Line { class: "bitcoin", name: "bitcoin", points: &bitcoin },
        Line { class: "market", name: "equal weight", points: &market },
        Line { class: "placebo", name: "placebo", points: &placebo },
        Line { class: "holdout", name: "hedged", points: &hedged },
    ];
    lines.retain(|line| line.points.len() > 1);
    lines.extend(stretches(report, &net));
    let log_e = |days: &[BookReportDay]| -> Vec<(f64, f64)> {
        days.iter().filter_map(|d| Some(((d.day_ms + DAY_MS) as f64, d.log_e?))).collect()
    };
    let (own, other) = (log_e(&report.days), log_e(&report.placebo));
    let ends = own.first().zip(own.last()).map(|(first, last)| [first.0, last.0]);
    let threshold: Vec<(f64, f64)> =
        ends.into_iter().flatten().filter_map(|time| Some((time, report.needed_log_e?))).collect();
    let mut proof = vec![Line { class: "placebo", name: "placebo", points: &other }];
    proof.push(Line { class: "holdout", name: "threshold", points: &threshold });
    proof.retain(|line| line.points.len() > 1);
    proof.extend(stretches(report, &own));
    let fall = drawdowns(&net);
    let gross: Vec<(f64, f64)> = report.held.iter().map(|(day, gross, _)| ((day + DAY_MS) as f64, *gross)).collect();
    let exposure: Vec<(f64, f64)> = report.held.iter().map(|(day, _, net)| ((day + DAY_MS) as f64, *net)).collect();
    html! {
        @if net.len() > 1 {
            h2 { "Equity" }
            figure {
                (chart::growth_over_time(&lines, 320.0, "What one unit became: history, shadow, live, hedged, market, bitcoin, placebo"))
                figcaption { "What one unit became after costs, on a logarithmic scale: history, shadow and live, with its hedge, the equal-weight market, bitcoin and the placebo." }
            }
            h3 { "Evidence" }
            figure {
                (chart::numbers_over_time(&proof, 260.0, "ln E over time, its placebo's, and the threshold"))
                figcaption { "ln E of the bet that decides. Above the threshold by luck with a chance of at most 5 %, ever." }
            }
            h3 { "Drawdown" }
            figure {
                (chart::lines_over_time(&[Line { class: "live", name: "net", points: &fall }], 180.0, "Distance from the highest value so far"))
                figcaption { "Distance from the highest daily value so far." }
            }
        }
        @if gross.len() > 1 {
            h3 { "Exposure" }
            figure {
                (chart::lines_over_time(
                    &[Line { class: "holdout", name: "long and short", points: &gross }, Line { class: "shadow", name: "long less short", points: &exposure }],
                    200.0, "What is held as a share of equity"))
                figcaption { "What is held at the end of a day as a share of equity." }
            }
        }
    }
}

fn needs(report: &BookReport) -> Markup {
    html! {
        @if !report.checks.is_empty() {
            h2 { "To go live" }
            div.scroll { table {
                thead { tr { th { "requirement" } th { "needed" } th { "had" } th { "" } } }
                tbody { @for c in &report.checks { tr {
                    th { (lifecycle::requirement(&c.name)) } td { (c.needed) } td { (format::ratio(c.had)) }
                    td class=(if c.passed { "yes" } else { "no" }) { (if c.passed { "met" } else { "missing" }) }
                } } }
            } }
        }
    }
}

fn figures(report: &BookReport) -> Markup {
    html! {
        h2 { "Figures" }
        div.scroll { table {
            thead { tr { th { "" } th { "book" } th { "placebo" } } }
            tbody { @for (name, book, placebo) in &report.figures { tr {
                th { (name) } td { (format::ratio(*book)) } td { (format::ratio(*placebo)) }
            } } }
        } }
    }
}

fn members(report: &BookReport) -> Markup {
    html! {
        h2 { "Members of the newest block" }
        @if report.members.is_empty() { p { "It holds cash." } } @else {
            div.scroll { table {
                thead { tr { th { "niche" } th { "weight" } th { "expected Sharpe" } th { "realised" } th { "local fdr" } th { "strategy" } } }
                tbody { @for m in &report.members { tr {
                    th { (m.niche) } td { (format::percent(Some(m.weight))) } td { (format::ratio(Some(m.expected_sharpe))) }
                    td { (format::ratio(m.realised_sharpe)) } td { (format::percent(Some(m.false_discovery))) }
                    td { code { (m.strategy) } }
                } } }
            } }
        }
    }
}

fn sources(report: &BookReport) -> Markup {
    html! {
        @if let Some((long, short)) = report.legs {
            h2 { "Where it came from" }
            p { "Long " (format::percent(Some(long))) ", short " (format::percent(Some(short))) ", of the first capital, after costs." }
            div.scroll { table {
                thead { tr { th { "name" } th { "gain" } th { "long" } th { "short" } } }
                tbody { @for n in &report.names { tr {
                    th { (n.name) }
                    td class=(if n.total < 0.0 { "no" } else { "yes" }) { (format::percent(Some(n.total))) }
                    td { (format::percent(Some(n.long))) } td { (format::percent(Some(n.short))) }
                } } }
            } }
        }
    }
}

fn blocks(report: &BookReport) -> Markup {
    html! {
        h2 { "Blocks" }
        div.scroll { table {
            thead { tr { th { "month" } th { "members" } th { "expected Sharpe" } th { "realised" } th { "ln E" } th { "" } } }
            tbody { @for b in report.blocks.iter().rev() { tr {
                th { (&format::date(b.begin_ms)[..7]) } td { (b.members) } td { (format::ratio(b.expected_sharpe)) }
                td { (format::ratio(b.realised_sharpe)) } td { (format::ratio(b.log_e)) } td { (b.cash.as_deref().unwrap_or_default()) }
            } } }
        } }
    }
}

fn moves(report: &BookReport) -> Markup {
    html! {
        @if !report.moves.is_empty() {
            h2 { "What happened" }
            div.scroll { table {
                tbody { @for (time_ms, moved, why) in &report.moves { tr {
                    th { (format::time(*time_ms)) } td { (moved) } td { (why) }
                } } }
            } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(days: usize) -> BookReport {
        let day = |n: usize| BookReportDay {
            day_ms: n as i64 * DAY_MS,
            net: if n.is_multiple_of(3) { -0.01 } else { 0.01 },
            benchmark: Some(0.001),
            hedged: 0.002,
            log_e: Some(n as f64 / 50.0),
        };
        BookReport {
            name: "book 7".to_owned(),
            state: "live".to_owned(),
            market: "spot *USDT 4h".to_owned(),
            from_ms: 0,
            began_ms: 100 * DAY_MS,
            live_ms: Some(150 * DAY_MS),
            needed_log_e: Some(2.5),
            checks: vec![Check {
                name: "book.log_e".to_owned(),
                needed: ">= 2.50".to_owned(),
                had: Some(4.0),
                passed: true,
            }],
            figures: vec![("Hedged Sharpe ratio".to_owned(), Some(1.25), Some(-0.5))],
            days: (0..days).map(day).collect(),
            placebo: (0..days).map(day).collect(),
            bitcoin: (0..days).map(|n| (n as i64 * DAY_MS, Some(0.0))).collect(),
            held: (0..days).map(|n| (n as i64 * DAY_MS, 1.5, -0.1)).collect(),
            legs: Some((0.25, -0.125)),
            names: vec![BookReportName { name: "<b>USDT".to_owned(), total: 0.125, long: 0.25, short: -0.125 }],
            members: Vec::new(),
            blocks: vec![BookReportBlock {
                begin_ms: 0,
                members: 0,
                expected_sharpe: None,
                realised_sharpe: None,
                log_e: Some(0.0),
                cash: Some("too little history".to_owned()),
            }],
            moves: vec![(150 * DAY_MS, "shadow to live".to_owned(), "Promoted: ln E 3.00".to_owned())],
            deployment: vec!["1.50 % of capital".to_owned()],
            simulated: true,
            made_at_ms: 0,
            made_by: "1.2.3".to_owned(),
        }
    }

    #[test]
    fn it_tells_all_of_it_and_escapes_what_it_is_given() {
        let page = book_html(&report(200));
        for part in [
            "book 7",
            "history",
            "shadow",
            "live",
            "threshold",
            "ln E",
            "1.25",
            "-0.50",
            "too little history",
            "Promoted: ln E 3.00",
            "1.50 % of capital",
            "It holds cash.",
            "SIMULATED",
            "&lt;b&gt;USDT",
            "1970-01",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert!(!page.contains("<b>USDT") && !page.contains("http://") && !page.contains("src="));
        let told: serde_json::Value = serde_json::from_str(&book_json(&report(2)).unwrap()).unwrap();
        assert_eq!(told["days"][1]["net"], 0.01);
    }

    #[test]
    fn the_three_stretches_meet_and_a_young_book_has_a_report() {
        let all = report(200);
        let net = gains(all.days.iter().map(|d| (d.day_ms, d.net)));
        let parts = stretches(&all, &net);
        assert_eq!(parts.iter().map(|line| line.name).collect::<Vec<_>>(), ["history", "shadow", "live"]);
        assert!(parts.windows(2).all(|pair| pair[0].points.last() == pair[1].points.first()));
        assert_eq!(parts.iter().map(|line| line.points.len() - 1).sum::<usize>() + 1, net.len());
        assert!(book_html(&report(0)).contains("book 7") && book_html(&report(1)).contains("book 7"));
        let shadow = BookReport { live_ms: None, ..report(120) };
        assert_eq!(stretches(&shadow, &gains(shadow.days.iter().map(|d| (d.day_ms, d.net)))).len(), 2);
    }
}

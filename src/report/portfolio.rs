//! A run of a strategy that ranks the market, as one self-contained HTML file: what it earned beside the market, what it
//! held, what it paid, and which names it came from.
//!
//! Pure rendering: computes nothing but what a drawing needs.

use super::document::document;
use super::{
    chart::{self, Line},
    curve::{drawdowns, gains},
    format, months,
};
use ::portfolio::{Attribution, PortfolioTerms, Record};
use candles::{Interval, MarketKind, time::DAY_MS};
use engine::Performance;
use maud::{Markup, html};
use serde::Serialize;
use std::collections::BTreeMap;

/// Days that the line of what is traded takes together: single days make no readable line.
const TRADED_DAYS: usize = 30;
/// Names of the attribution, from either end.
const NAMES: usize = 15;

/// Everything that the report tells.
#[derive(Clone, Debug, Serialize)]
pub struct PortfolioReport<'a> {
    /// For people; the strategy's hash where it has no name.
    pub name: String,
    /// Canonical text.
    pub strategy: String,
    /// The same in sentences.
    pub words: String,
    /// SHA-256 of the canonical text.
    pub hash: String,
    /// What the candles are of.
    pub market: MarketKind,
    #[allow(missing_docs)]
    pub timeframe: Interval,
    /// Begin and end, UTC ms.
    pub window_ms: (i64, i64),
    /// Capital, costs, execution.
    pub terms: PortfolioTerms,
    /// Names the candles.
    pub data_version: String,
    /// Version of the program that computed it.
    pub code_version: String,
    /// What came out, as for every strategy.
    pub performance: &'a Performance,
    /// The rest of it.
    pub record: &'a Record,
    /// Whether what it tells of rests on a simulated market.
    pub simulated: bool,
    /// When the report was made, UTC ms.
    pub made_at_ms: i64,
    /// Version of the program that made it.
    pub made_by: String,
}

/// The report as one HTML file.
#[must_use]
pub fn portfolio_html(report: &PortfolioReport<'_>) -> String {
    let page = document(
        &format!("{} – sg-ai portfolio report", report.name),
        report.simulated,
        &html! {
            (head(report))
            (figures(report))
            (curves(report))
            (years(report))
            (held(report))
            (weights_map(report))
            (names(report))
            (setup(report))
        },
    );
    page.into_string()
}

/// The report as JSON, pretty.
///
/// # Errors
/// Never with these types; serialisation says so.
pub fn portfolio_json(report: &PortfolioReport<'_>) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(report)
}

fn head(report: &PortfolioReport<'_>) -> Markup {
    let (from_ms, to_ms) = report.window_ms;
    html! {
        header { h1 { (report.name) } span class="state" { "ranks the market" } }
        p.soft {
            (report.market) " · " (report.timeframe) " candles · " (format::date(from_ms)) " to " (format::date(to_ms))
            " · report of " (format::time(report.made_at_ms)) " UTC"
        }
        p.soft {
            "A backtest: what the past would have paid, net of fees, slippage, funding and ends of instruments. It says "
            "nothing of how many strategies were tried before this one."
        }
        @if report.terms.fill_on == engine::FillOn::Close {
            p { b {
                "Orders filled at the close at which they were decided, which nobody can trade at: not to be compared with "
                "other results."
            } }
        }
        @if let Some(bps) = report.terms.costs.max_slippage_bps {
            p { b { "Slippage of a fill was cut at " (bps) " basis points." } }
        }
        @if let Some(time_ms) = report.record.figures.liquidated_ms {
            p { b { "Everything was liquidated at " (format::time(time_ms)) " UTC." } }
        }
        h2 { "Strategy" }
        @for line in report.words.lines() { p { (line) } }
        pre { (report.strategy) }
    }
}

fn figures(report: &PortfolioReport<'_>) -> Markup {
    let r = &report.record.figures;
    let (p, h, e) = (report.performance, &r.hedged, &r.equal_weight);
    let btc = r.btc.clone().unwrap_or_default();
    let none = || format::UNDEFINED.to_owned();
    let rows: [(&str, [String; 4]); 7] = [
        ("Total return", [p.total_return, h.total_return, e.total_return, btc.total_return].map(format::percent)),
        ("CAGR", [format::percent(p.cagr), format::percent(h.cagr), none(), none()]),
        ("Sharpe ratio", [p.sharpe_ratio, h.sharpe_ratio, e.sharpe_ratio, btc.sharpe_ratio].map(format::ratio)),
        ("Sortino ratio", [format::ratio(p.sortino_ratio), format::ratio(h.sortino_ratio), none(), none()]),
        ("Calmar ratio", [format::ratio(p.calmar_ratio), format::ratio(h.calmar_ratio), none(), none()]),
        ("t-statistic", [format::ratio(p.t_statistic), format::ratio(h.t_statistic), none(), none()]),
        ("Max drawdown", [p.max_drawdown, h.max_drawdown, e.max_drawdown, btc.max_drawdown].map(format::percent)),
    ];
    let facts = [
        ("Turnover a day, both sides", format::percent(r.turnover_per_day)),
        ("Mean of what is held, long and short", format::percent(r.mean_gross)),
        ("Mean of long less short", format::percent(r.mean_net)),
        ("Mean names held", format::ratio(r.mean_names)),
        ("Mean members of the universe", format::ratio(r.mean_members)),
        ("Mean beta to the market", format::ratio(h.mean_beta)),
        ("Rebalances, of them empty", format!("{}, {}", r.rebalances, r.empty_rebalances)),
        ("Stays in a leg, still open", format!("{}, {}", p.total_trades, p.end_of_window_trades)),
        ("Mean stay", format::hours(p.avg_trade_duration_hours)),
        ("Stays that gained", format::percent(p.win_rate)),
        ("Fees", format::number(p.fees, 2)),
        ("Slippage", format::number(p.slippage, 2)),
        ("Funding paid", format::number(p.funding, 2)),
        ("Gain of the long leg", format::percent(Some(r.long_gain))),
        ("Gain of the short leg", format::percent(Some(r.short_gain))),
    ];
    html! {
        h2 { "Results" }
        div.scroll { table {
            thead { tr { th { "" } th { "net" } th { "hedged" } th { "equal weight" } th { "bitcoin" } } }
            tbody { @for (name, values) in &rows { tr { th { (name) } @for v in values { td { (v) } } } } }
        } }
        p.soft {
            "Ratios are annualised by √365 from daily returns. Hedged: each day's return less beta times that of the equal-weight "
            "market, beta from the 90 days before. Equal weight: the 30 names of greatest volume, without costs."
        }
        div.scroll { table {
            tbody { @for (name, value) in &facts { tr { th { (name) } td { (value) } } } }
        } }
    }
}

fn curves(report: &PortfolioReport<'_>) -> Markup {
    let days = &report.record.days;
    if days.day_ms.is_empty() {
        return html! {};
    }
    // A day without a return of the market is one on which its line stays where it is.
    let of = |returns: &[f64]| gains(days.day_ms.iter().copied().zip(returns.iter().copied()));
    let known = |returns: &[Option<f64>]| of(&returns.iter().map(|r| r.unwrap_or(0.0)).collect::<Vec<_>>());
    let net = of(&days.net);
    let hedged = of(&days.hedged);
    let (market, btc) = (known(&days.equal_weight), known(&days.btc));
    let fall = drawdowns(&net);
    let lines = [
        Line { class: "shadow", name: "bitcoin", points: &btc },
        Line { class: "backtest", name: "equal weight", points: &market },
        Line { class: "holdout", name: "hedged", points: &hedged },
        Line { class: "live", name: "net", points: &net },
    ];
    html! {
        h2 { "Equity" }
        figure {
            (chart::growth_over_time(&lines, 320.0, "What one unit became: net, hedged, the equal-weight market, bitcoin"))
            figcaption { "What one unit became, at 00:00 UTC of each day, on a logarithmic scale: net, hedged, the equal-weight market, bitcoin." }
        }
        h3 { "Drawdown" }
        figure {
            (chart::lines_over_time(&[Line { class: "live", name: "net", points: &fall }], 180.0, "Distance from the highest value so far"))
            figcaption { "Distance from the highest daily value so far." }
        }
    }
}

fn years(report: &PortfolioReport<'_>) -> Markup {
    let r = &report.record.figures;
    let by_month: BTreeMap<(i32, usize), f64> = report
        .performance
        .monthly_returns
        .iter()
        .map(|m| ((m.month.year, usize::from(m.month.month).saturating_sub(1)), m.return_fraction))
        .collect();
    html! {
        h2 { "Years" }
        div.scroll { table {
            thead { tr {
                th { "" } th { "return" } th { "Sharpe" } th { "hedged return" } th { "hedged Sharpe" } th { "drawdown" } th { "mean members" }
            } }
            tbody { @for y in &r.years { tr {
                th { (y.year) } td { (format::percent(y.total_return)) } td { (format::ratio(y.sharpe_ratio)) }
                td { (format::percent(y.hedged_return)) } td { (format::ratio(y.hedged_sharpe_ratio)) }
                td { (format::percent(y.max_drawdown)) } td { (format::ratio(y.mean_members)) }
            } } }
        } }
        @if !by_month.is_empty() { h3 { "Monthly returns, percent" } (months::table(&by_month)) }
    }
}

fn held(report: &PortfolioReport<'_>) -> Markup {
    let days = &report.record.days;
    let at_ends = |shares: &[Option<f64>]| -> Vec<(f64, f64)> {
        days.day_ms.iter().zip(shares).filter_map(|(day, v)| Some(((day + DAY_MS) as f64, (*v)?))).collect()
    };
    let (gross, net) = (at_ends(&days.gross), at_ends(&days.exposure));
    let traded: Vec<(f64, f64)> = days
        .day_ms
        .chunks(TRADED_DAYS)
        .zip(days.turnover.chunks(TRADED_DAYS))
        .filter_map(|(days, traded)| {
            Some(((days.last()? + DAY_MS) as f64, traded.iter().sum::<f64>() / traded.len() as f64))
        })
        .collect();
    html! {
        h2 { "Exposure and turnover" }
        figure {
            (chart::lines_over_time(
                &[Line { class: "holdout", name: "long and short", points: &gross }, Line { class: "shadow", name: "long less short", points: &net }],
                220.0, "What is held as a share of equity"))
            figcaption { "What is held as a share of equity: long and short together, and long less short." }
        }
        @if traded.len() > 1 {
            figure {
                (chart::lines_over_time(&[Line { class: "backtest", name: "traded", points: &traded }], 180.0, "Traded a day as a share of equity"))
                figcaption { "Traded a day as a share of equity, both sides, mean of 30 days." }
            }
        }
    }
}

fn weights_map(report: &PortfolioReport<'_>) -> Markup {
    let map = &report.record.weights;
    let Some(times) = map.from_ms.zip(map.to_ms).filter(|_| !map.names.is_empty()) else { return html! {} };
    let named: Vec<(String, Vec<f64>)> =
        map.names.iter().map(|n| (n.instrument.to_string(), n.weights.clone())).collect();
    html! {
        h2 { "Weights over time" }
        figure {
            (chart::heat_map(&named, times, "Mean target weight by name and time"))
            figcaption {
                "Mean target weights, long and short by colour, the greatest the strongest; the " (named.len()) " of " (map.of)
                " names with the greatest weights."
            }
        }
    }
}

fn names(report: &PortfolioReport<'_>) -> Markup {
    let all = &report.record.figures.attribution;
    let (best, rest) = all.split_at(NAMES.min(all.len()));
    let worst = &rest[rest.len().saturating_sub(NAMES)..];
    let table = |rows: &[Attribution]| {
        html! {
            div.scroll { table {
                thead { tr { th { "name" } th { "gain" } th { "long" } th { "short" } th { "costs" } th { "funding" } th { "traded" } } }
                tbody { @for a in rows { tr {
                    th { (a.instrument) }
                    td class=(if a.total < 0.0 { "no" } else { "yes" }) { (format::percent(Some(a.total))) }
                    td { (format::percent(Some(a.long))) } td { (format::percent(Some(a.short))) }
                    td { (format::percent(Some(a.costs))) } td { (format::percent(Some(a.funding))) }
                    td { (format::ratio(Some(a.traded))) }
                } } }
            } }
        }
    };
    html! {
        h2 { "Names" }
        p.soft { "Gain after costs as a share of the initial capital; traded in multiples of it." }
        h3 { "The best" } (table(best))
        @if !worst.is_empty() { h3 { "The worst" } (table(worst)) }
    }
}

fn setup(report: &PortfolioReport<'_>) -> Markup {
    // Terms are plain numbers, which always have a JSON form.
    let terms = serde_json::to_string(&report.terms).unwrap_or_default();
    html! {
        h2 { "Set-up" }
        dl {
            dt { "Strategy" } dd { code { (report.hash) } }
            dt { "Instruments" } dd { (report.record.instruments) }
            dt { "Terms" } dd { code { (terms) } }
            dt { "Data version" } dd { code { (report.data_version) } }
            dt { "Computed by" } dd { code { (report.code_version) } }
        }
        p.soft { "Made by sg-ai " (report.made_by) "." }
    }
}

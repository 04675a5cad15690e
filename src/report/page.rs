//! The page: what a reader asks first comes first.

use super::document::document;
use super::{
    Move, Period, Setup, StrategyReport, TradeRows, chart,
    curve::{self, Stretch},
    evidence,
    format::{self, UNDEFINED},
    lately, months, names,
    robustness::{self, RobustnessSection},
    sums, trades,
    windows::{self, Window},
};
use engine::Performance;
use maud::{Markup, PreEscaped, html};

const FILTER: &str = include_str!("filter.js");

pub(super) fn page(report: &StrategyReport, proven: Option<&RobustnessSection>, rows: TradeRows) -> Markup {
    document(
        &format!("{} – sg-ai strategy report", report.name),
        report.simulated,
        &html! {
            (head(report))
            (rules(report))
            (figures(&report.periods))
            (evidence::section(report.evidence.as_ref()))
            (curves(&curve::chain(&report.periods)))
            (monthly(&report.periods))
            (lately::section(&report.periods))
            (sums::section(&report.periods))
            (distribution(&report.periods))
            (one_after_the_other(&windows::of(&report.periods)))
            (robustness::section(proven))
            @if report.state.is_some() { (gates(&report.moves)) }
            (lineage(report))
            (quality(report))
            (setup(report))
            @if rows != TradeRows::None && report.periods.iter().any(|p| !p.trades.is_empty()) {
                h2 { "Trades" }
                (trades::section(&report.periods, rows))
                script { (PreEscaped(FILTER)) }
            }
        },
    )
}

fn head(report: &StrategyReport) -> Markup {
    let reason = report.disable_reason.map(|r| format!(" ({})", r.name())).unwrap_or_default();
    let symbols: Vec<&str> = report.symbols.iter().map(candles::Symbol::as_str).collect();
    html! {
        header {
            h1 { (report.name) }
            @if let Some(state) = report.state { span class=(format!("state {}", state.name())) { (state) (reason) } }
        }
        p.soft {
            (symbols.join(", ")) " · " (report.market) " · " (report.timeframe) " candles · report of "
            (format::time(report.made_at_ms)) " UTC"
        }
        p.soft {
            "Every result is on paper and net of fees, slippage and funding. "
            @if report.created_by == "search" {
                "The search chose this strategy on its backtest, among many: only what came after says anything about it."
            } @else {
                "It was made by " (report.created_by) "; only what came after its backtest says anything about it."
            }
        }
    }
}

fn rules(report: &StrategyReport) -> Markup {
    html! {
        h2 { "Rules" }
        @for line in report.words.lines() { p { (line) } }
        pre { (report.rules) }
    }
}

/// What one row of the figures shows.
pub(super) type Figure = fn(&Performance) -> String;

pub(super) const FIGURES: &[(&str, Figure)] = &[
    ("Total return", |p| format::percent(p.total_return)),
    ("CAGR", |p| format::percent(p.cagr)),
    ("Sharpe ratio", |p| format::ratio(p.sharpe_ratio)),
    ("Sortino ratio", |p| format::ratio(p.sortino_ratio)),
    ("Calmar ratio", |p| format::ratio(p.calmar_ratio)),
    ("t-statistic", |p| format::ratio(p.t_statistic)),
    ("Max drawdown", |p| format::percent(p.max_drawdown)),
    ("Profit factor", |p| format::ratio(p.profit_factor)),
    ("Win rate", |p| format::percent(p.win_rate)),
    ("Trades", |p| format::number(f64::from(p.total_trades), 0)),
    ("… closed by the period's end", |p| format::number(f64::from(p.end_of_window_trades), 0)),
    ("Mean trade duration", |p| format::hours(p.avg_trade_duration_hours)),
    ("Expectancy (mean trade return)", |p| format::percent(p.expectancy)),
    ("System quality number", |p| format::ratio(p.sqn)),
    ("Exposure", |p| format::percent(p.exposure)),
    ("Days", |p| format::number(f64::from(p.days), 0)),
    ("Fees", |p| format::number(p.fees, 2)),
    ("Slippage", |p| format::number(p.slippage, 2)),
    ("Funding", |p| format::number(p.funding, 2)),
];

fn figures(periods: &[Period]) -> Markup {
    let names = names(periods);
    html! {
        h2 { "Results by period" }
        @if periods.is_empty() { p.soft { "Nothing has been measured yet." } }
        @else {
            div.scroll { table {
                thead {
                    tr { th { "" } @for (p, name) in periods.iter().zip(&names) {
                        th { span class=(format!("dot {}", chart::class(p.part))) { (name) } }
                    } }
                    tr { th { "" } @for p in periods { th.dates { (format::date(p.from_ms)) br; "to " (format::date(p.to_ms)) } } }
                }
                tbody {
                    @for (name, figure) in FIGURES {
                        tr { th { (name) } @for p in periods { td { (p.performance.as_ref().map_or(UNDEFINED.to_owned(), figure)) } } }
                    }
                }
            } }
            p.soft {
                "Ratios are annualised by √365 from daily returns. Fees, slippage and funding are in quote units, each "
                "period on its own initial capital. – is undefined."
            }
            @for (p, name) in periods.iter().zip(&names) {
                @for note in p.notes() { p.soft { b { (name) } ": " (note) "." } }
            }
        }
    }
}

fn curves(stretches: &[Stretch]) -> Markup {
    html! {
        @if !stretches.is_empty() {
            h2 { "Equity" }
            figure {
                (chart::over_time(stretches, chart::Curve::Gain, 320.0, "Gain since the first day, by part"))
                figcaption {
                    "Gain since the first day, at 00:00 UTC of each day; each part goes on from where the one before ended."
                    @if stretches.iter().any(|s| !s.benchmark.is_empty()) {
                        " Dashed: buy and hold of its symbols in equal parts, bought when a part begins, without costs."
                    }
                }
            }
            h3 { "Drawdown" }
            figure {
                (chart::over_time(stretches, chart::Curve::Drawdown, 180.0, "Distance from the highest value so far"))
                figcaption { "Distance from the highest daily value so far. Max drawdown among the results is of every candle, and may be deeper." }
            }
        }
    }
}

fn monthly(periods: &[Period]) -> Markup {
    let by_month = months::by_month(periods);
    html! {
        @if !by_month.is_empty() {
            h2 { "Monthly returns" }
            (months::table(&by_month))
            p.soft { "Percent. First and last month may be incomplete; a month of two parts is the product of both." }
        }
    }
}

fn distribution(periods: &[Period]) -> Markup {
    let returns: Vec<f64> = periods.iter().flat_map(|p| &p.trades).map(|t| t.return_fraction).collect();
    html! {
        @if !returns.is_empty() {
            h2 { "Distribution of trades" }
            figure {
                (chart::histogram(&returns, "How many trades had which return"))
                figcaption {
                    (format::number(returns.len() as f64, 0)) " trades by net return on what was put in. "
                    "The outermost bars hold everything beyond them."
                }
            }
        }
    }
}

fn one_after_the_other(windows: &[Window]) -> Markup {
    html! {
        @if !windows.is_empty() {
            h2 { "Windows in order" }
            div.scroll { table {
                thead { tr { th { "part" } th { "from" } th { "to" } th { "return" } th { "Sharpe ratio" } th { "drawdown" } th { "trades" } } }
                tbody { @for w in windows { tr {
                    td { span class=(format!("dot {}", chart::class(w.part))) { (w.part.name()) } }
                    td { (format::date(w.from_ms)) } td { (format::date(w.to_ms)) }
                    td class=(if w.total_return < 0.0 { "no" } else { "yes" }) { (format::percent(Some(w.total_return))) }
                    td { (format::ratio(w.sharpe_ratio)) } td { (format::percent(Some(w.max_drawdown))) } td { (w.trades) }
                } } }
            } }
            p.soft { "Windows of 30 days; the rules are the same in all of them. Drawdowns are of daily values." }
        }
    }
}

fn quality(report: &StrategyReport) -> Markup {
    html! {
        @if !report.quality.is_empty() {
            h2 { "Data quality" }
            div.scroll { table.words {
                thead { tr { th { "candles" } th.figure { "present" } th.figure { "expected" } th { "findings" } } }
                tbody { @for q in &report.quality { tr {
                    th { (q.symbol) " " (q.interval) } td.figure { (format::number(q.present as f64, 0)) } td.figure { (format::number(q.expected as f64, 0)) }
                    td { @if q.findings.is_empty() { "none" } @for [kind, severity, detail] in q.findings.iter().take(8) { div { b { (severity) } " " (kind) ": " (detail) } }
                        @if q.findings.len() > 8 { div.soft { "and " (q.findings.len() - 8) " more" } } }
                } } }
            } }
        }
    }
}

fn gates(moves: &[Move]) -> Markup {
    html! {
        h2 { "Decisions" }
        @if moves.is_empty() { p.soft { "Nothing has been decided yet." } }
        @for m in moves {
            div.gate {
                h3 { (format::time(m.at_ms)) ": " (m.from) " → " (m.to) }
                p { (m.summary) }
                p.soft { "By " (m.actor) @if let Some(policy) = &m.policy { ", policy " (policy) } }
                @if !m.checks.is_empty() {
                    div.scroll { table.words {
                        thead { tr { th { "requirement" } th { "needed" } th.figure { "had" } th { "" } } }
                        tbody { @for check in &m.checks { tr {
                            th { (lifecycle::requirement(&check.name)) } td { (lifecycle::needed(&check.needed)) }
                            td.figure { (check.had.map_or(UNDEFINED.to_owned(), format::measured)) }
                            @if check.passed { td.yes { "passed" } } @else { td.no { "not passed" } }
                        } } }
                    } }
                }
            }
        }
    }
}

fn lineage(report: &StrategyReport) -> Markup {
    html! {
        h2 { "Origin" }
        dl {
            dt { "Made by" } dd {
                (report.created_by)
                @if report.generation > 0 { ", generation " (report.generation) }
                @if let Some(island) = &report.island { ", island " (island) }
            }
            @if let Some(id) = &report.id {
                dt { "Stored" } dd { (format::time(report.created_at_ms)) " UTC" }
                dt { "Id" } dd { code { (id) } }
            }
            dt { "Genome" } dd { code { (report.genome_hash) } }
            @if let Some(session) = &report.session { dt { "Session" } dd { code { (session) } } }
        }
        @if report.ancestors.is_empty() { @if report.id.is_some() { p.soft { "No stored ancestors." } } }
        @else {
            div.scroll { table.words {
                thead { tr { th { "ancestor" } th.figure { "steps back" } th.figure { "generation" } th { "state" } th { "genome" } } }
                tbody { @for a in &report.ancestors { tr {
                    th { (a.name) } td.figure { (a.depth) } td.figure { (a.generation) } td { (a.state) }
                    td { code { (format::short(&a.genome_hash)) } }
                } } }
            } }
        }
    }
}

fn setup(report: &StrategyReport) -> Markup {
    let names = names(&report.periods);
    html! {
        h2 { "Set-up, and how to reproduce it" }
        @for (period, name) in report.periods.iter().zip(&names) {
            @if let Some(s) = &period.setup { h3 { (name) } (period_setup(period, s)) }
        }
        @if let Some(id) = &report.id {
            p { "The same figures, to the bit, on the machine that has the candles:" }
            pre { "sg-ai reproduce " (id) "\nsg-ai strategies show " (id) }
        } @else {
            p { "The same candles, named by the data version, and the same settings give the same figures, to the bit." }
        }
        p.soft { "Made by sg-ai " (report.made_by) "." }
    }
}

fn period_setup(period: &Period, s: &Setup) -> Markup {
    let symbols: Vec<&str> = s.symbols.iter().map(candles::Symbol::as_str).collect();
    // Costs are plain numbers, which always have a JSON form.
    let costs = serde_json::to_string(&s.costs).unwrap_or_default();
    html! {
        dl {
            dt { "Candles" } dd { (symbols.join(", ")) ", " (s.market) ", " (s.interval) }
            dt { "Window" } dd { (format::time(period.from_ms)) " to " (format::time(period.to_ms)) ", warm-up from " (format::time(s.warmup_from_ms)) }
            dt { "Capital" } dd { (format::number(s.initial_capital, 2)) }
            dt { "Costs" } dd { code { (costs) } }
            dt { "Data version" } dd { @if let Some(version) = &s.data_version { code { (version) } } @else { "not stored" } }
            dt { "Code version" } dd { (s.code_version) }
        }
    }
}

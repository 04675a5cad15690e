//! Every trade as a row of a table that can be filtered.

use super::{Period, format};
use engine::{ExitReason, Side, Trade};
use maud::{Escaper, Markup, PreEscaped, html};
use std::fmt::Write;

/// The table, closed at first: ten thousand rows are nothing to scroll past or to print unasked.
pub(super) fn section(periods: &[Period]) -> Markup {
    let count: usize = periods.iter().map(|p| p.trades.len()).sum();
    html! {
        details #trades {
            summary { "All " (format::number(count as f64, 0)) " trades" }
            div.tools {
                label { "Only rows with " input #words type="search" placeholder="such as: live btc short stop"; }
                label { "Outcome " select #outcome {
                    option value="" { "all" } option value="+" { "won" } option value="-" { "lost" }
                } }
                span #shown {}
            }
            div.scroll {
                table.trades {
                    thead { tr {
                        @for name in HEADER { th { (name) } }
                    } }
                    tbody #rows { (rows(periods)) }
                }
            }
        }
    }
}

const HEADER: [&str; 11] = [
    "part",
    "symbol",
    "side",
    "entry (UTC)",
    "price",
    "exit (UTC)",
    "price",
    "quantity",
    "profit",
    "return",
    "exit by",
];

/// Rows without closing tags, which HTML allows: a third of the file's size with many trades.
fn rows(periods: &[Period]) -> Markup {
    let mut out = String::new();
    for period in periods {
        for trade in &period.trades {
            row(&mut out, period.part.name(), trade);
        }
    }
    PreEscaped(out)
}

fn row(out: &mut String, part: &str, t: &Trade) {
    let side = match t.side {
        Side::Long => "long",
        Side::Short => "short",
    };
    let sign = if t.profit > 0.0 { 'g' } else { 'l' };
    let _ = write!(out, "<tr class={sign}>");
    for cell in [
        part,
        t.symbol.as_str(),
        side,
        &format::time(t.entry_time_ms),
        &format::price(t.entry_price),
        &format::time(t.exit_time_ms),
        &format::price(t.exit_price),
        &format::price(t.quantity),
        &format::number(t.profit, 2),
        &format::percent(Some(t.return_fraction)),
        exit_reason(t.exit_reason),
    ] {
        out.push_str("<td>");
        // Writing to a string cannot fail, here and above.
        let _ = Escaper::new(out).write_str(cell);
    }
}

/// In words.
const fn exit_reason(reason: ExitReason) -> &'static str {
    match reason {
        ExitReason::Rule => "rule",
        ExitReason::StopLoss => "stop-loss",
        ExitReason::TakeProfit => "take-profit",
        ExitReason::TrailingStop => "trailing stop",
        ExitReason::BreakEven => "break-even stop",
        ExitReason::TimeExit => "time",
        ExitReason::Liquidation => "liquidation",
        ExitReason::EndOfWindow => "end of window",
    }
}

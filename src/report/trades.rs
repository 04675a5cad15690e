//! Every trade as a row of a table that can be filtered.

use super::{Period, TradeRows, format};
use engine::{ExitReason, Side, Trade};
use maud::{Escaper, Markup, PreEscaped, html};
use std::fmt::Write;

/// The table, closed at first: ten thousand rows are nothing to scroll past or to print unasked.
pub(super) fn section(periods: &[Period], rows: TradeRows) -> Markup {
    let count: usize = periods.iter().map(|p| p.trades.len()).sum();
    let shown = match rows {
        TradeRows::All => count,
        TradeRows::None => 0,
        TradeRows::Newest(most) => most.min(count),
    };
    html! {
        details #trades {
            summary {
                @if shown < count { "The newest " (format::number(shown as f64, 0)) " of " } @else { "All " }
                (format::number(count as f64, 0)) " trades"
            }
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
                    tbody #rows { (table_rows(periods, count - shown)) }
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
fn table_rows(periods: &[Period], skip: usize) -> Markup {
    let mut out = String::new();
    let all = periods.iter().flat_map(|period| period.trades.iter().map(|trade| (period.part.name(), trade)));
    for (part, trade) in all.skip(skip) {
        row(&mut out, part, trade);
    }
    PreEscaped(out)
}

fn row(out: &mut String, part: &str, t: &Trade) {
    let side = side(t.side);
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
pub(super) const fn side(side: Side) -> &'static str {
    match side {
        Side::Long => "long",
        Side::Short => "short",
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

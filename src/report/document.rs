//! What every report has around it: one HTML file with its style in it, so that it is read anywhere. Knows no report.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// What every report of a simulated market says first.
pub(super) const SIMULATED: &str = "SIMULATED market: nothing here says anything about real money.";

/// Words of the watermark over a page; what is below a page's end is cut off.
const WATERMARKS: usize = 8;

const STYLE: &str = include_str!("style.css");

/// A whole HTML file.
pub(super) fn document(title: &str, simulated: bool, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                @if simulated {
                    p.simulated role="note" { (SIMULATED) }
                    div.watermark aria-hidden="true" { @for _ in 0..WATERMARKS { span { "SIMULATED" } } }
                }
                (body)
            }
        }
    }
}

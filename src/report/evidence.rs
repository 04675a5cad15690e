//! How close a strategy is to live, or was when its shadow ended: evidence beside its threshold, by day, and each requirement.

use super::{
    chart::{self, Line},
    format::{self, UNDEFINED},
};
use lifecycle::Progress;
use maud::{Markup, html};
use serde::Serialize;

/// Greatest E that is drawn: beyond it nothing matters.
const GREATEST: f64 = 1e11;

/// What was proved out of sample.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evidence {
    /// ln E of the hold-out; `None` once everything is lost.
    pub holdout_log_e: Option<f64>,
    /// The same at the end of each day of it, UTC ms and value.
    pub holdout_days: Vec<(i64, Option<f64>)>,
    /// ln of the promotion threshold; `None` where no test was bought.
    pub log_needed: Option<f64>,
    /// What the gate was asked last, of the newest paper run that it was asked about.
    pub progress: Option<Progress>,
}

fn e_value(log: Option<f64>) -> String {
    log.map_or_else(|| UNDEFINED.to_owned(), |log| lifecycle::figure(log.min(700.0).exp()))
}

/// A line of E by day, as what one unit staked became.
fn points(days: &[(i64, Option<f64>)]) -> Vec<(f64, f64)> {
    days.iter().map(|(ms, log)| (*ms as f64, log.map_or(0.0, f64::exp).min(GREATEST) - 1.0)).collect()
}

pub(super) fn section(evidence: Option<&Evidence>) -> Markup {
    let Some(evidence) = evidence else { return html! {} };
    let progress = evidence.progress.as_ref();
    let (holdout, shadow) = (points(&evidence.holdout_days), points(progress.map_or(&[][..], |p| &p.days)));
    let ends = || holdout.iter().chain(&shadow).map(|(ms, _)| *ms);
    let (first, last) = (ends().fold(f64::INFINITY, f64::min), ends().fold(f64::NEG_INFINITY, f64::max));
    let needed = evidence.log_needed.map(|log| log.exp().min(GREATEST) - 1.0);
    let threshold = needed.map(|level| [(first, level), (last, level)]);
    let mut lines = vec![
        Line { class: "holdout", name: "hold-out", points: &holdout },
        Line { class: "shadow", name: "shadow", points: &shadow },
    ];
    lines.extend(threshold.as_ref().map(|points| Line { class: "backtest", name: "threshold", points }));
    html! {
        h2 { "Out-of-sample evidence" }
        p {
            "Hold-out E " (e_value(evidence.holdout_log_e)) ", promotion threshold " (e_value(evidence.log_needed)) "."
            @if let Some(p) = progress { " " b { (p.summary) } " as of " (format::date(p.at_ms)) "." }
        }
        @if holdout.len() + shadow.len() > 1 {
            figure {
                (chart::growth_over_time(&lines, 260.0, "Out-of-sample E by day, with its threshold"))
                figcaption {
                    span.dot.holdout { "hold-out" } "  " span.dot.shadow { "shadow" } "  " span.dot.backtest { "threshold" }
                    ": E at each day's end, logarithmic: what one unit staked on the edge became."
                }
            }
        }
        @if let Some(expected) = progress.and_then(|p| p.expected) {
            p {
                @match expected.at_ms {
                    Some(at_ms) => {
                        "By the growth so far it may go live about " (format::date(at_ms)) "; in 8 of 10 cases from "
                        (expected.early_ms.map_or_else(|| UNDEFINED.to_owned(), format::date))
                        @match expected.late_ms { Some(late) => { " to " (format::date(late)) } None => { " on, or never" } }
                        ". Shadow ends on " (format::date(expected.until_ms)) "."
                    }
                    None => "When it may go live cannot be told: its evidence does not grow, or it has closed no trade yet.",
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_and_what_is_huge_is_drawn_within_bounds() {
        let drawn = points(&[(0, Some(0.0)), (1, Some(2f64.ln())), (2, Some(900.0)), (3, None)]);
        let levels: Vec<f64> = drawn.iter().map(|(_, gain)| 1.0 + gain).collect();
        assert!((levels[1] - 2.0).abs() < 1e-12);
        assert_eq!((levels[0], levels[2], levels[3]), (1.0, GREATEST, 0.0));
    }

    #[test]
    fn it_says_how_far_it_is() {
        let evidence = Evidence {
            holdout_log_e: Some(5f64.ln()),
            holdout_days: vec![(0, Some(0.0)), (86_400_000, Some(5f64.ln()))],
            log_needed: Some(125f64.ln()),
            progress: None,
        };
        let page = section(Some(&evidence)).into_string();
        assert!(page.contains("Hold-out E 5, promotion threshold 125.") && page.contains("<svg"), "{page}");
        assert!(section(None).into_string().is_empty());
    }
}

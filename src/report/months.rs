//! Monthly returns as a heat map: a row a year. A month that several periods share is their product.

use super::{
    Period,
    format::{UNDEFINED, number},
};
use maud::{Markup, html};
use std::collections::BTreeMap;

const NAMES: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Return by year and month (0 to 11).
pub(super) fn by_month(periods: &[Period]) -> BTreeMap<(i32, usize), f64> {
    let mut growth: BTreeMap<(i32, usize), f64> = BTreeMap::new();
    for month in periods.iter().filter_map(|p| p.performance.as_ref()).flat_map(|p| &p.monthly_returns) {
        let number = usize::from(month.month.month).saturating_sub(1);
        *growth.entry((month.month.year, number)).or_insert(1.0) *= 1.0 + month.return_fraction;
    }
    growth.into_iter().map(|(month, growth)| (month, growth - 1.0)).collect()
}

/// The heat map.
pub(super) fn table(months: &BTreeMap<(i32, usize), f64>) -> Markup {
    let years: std::collections::BTreeSet<i32> = months.keys().map(|(year, _)| *year).collect();
    // The strongest month has the strongest colour; quiet ones stay quiet.
    let most = months.values().fold(0.05_f64, |most, value| most.max(value.abs()));
    html! {
        div.scroll {
            table.months {
                thead { tr { th { "" } @for name in NAMES { th { (name) } } th { "year" } } }
                tbody {
                    @for year in years {
                        tr {
                            th { (year) }
                            @for month in 0..12 { (cell(months.get(&(year, month)).copied(), most)) }
                            @let growth: f64 = months.range((year, 0)..(year, 12)).map(|(_, r)| 1.0 + r).product();
                            (cell(Some(growth - 1.0), f64::INFINITY))
                        }
                    }
                }
            }
        }
    }
}

fn cell(value: Option<f64>, most: f64) -> Markup {
    let Some(value) = value else { return html! { td.none { (UNDEFINED) } } };
    let share = (75.0 * value.abs() / most).clamp(0.0, 75.0);
    let colour = if value < 0.0 { "loss" } else { "gain" };
    html! {
        td style=(format!("background:color-mix(in srgb,var(--{colour}) {share:.0}%,transparent)")) {
            (number(100.0 * value, 1))
        }
    }
}

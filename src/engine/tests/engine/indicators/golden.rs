//! Every indicator over 60 candles of one seed, kept as text: a change of any value shows in review.

use super::candles::{Flavour, indicator, random_candles, series};
use candles::Interval;
use engine::indicator::compute;
use genome::IndicatorKind as Kind;
use std::fmt::Write as _;

#[test]
fn values_of_a_seed_stay_as_they_are() {
    let candles = series(&random_candles(20_240_130, 60, Flavour::Walk, Interval::M15), Interval::M15);
    let mut text = String::new();
    for spec in Kind::all().iter().filter(|spec| !spec.kind.is_of_market()) {
        // Short enough to be defined, and different enough to tell one parameter from another.
        let lengths = [5.0, 9.0, 4.0];
        let params: Vec<f64> = match spec.kind {
            Kind::ParabolicSar => vec![0.02, 0.2],
            Kind::VolatilityPercentile => vec![5.0, 20.0],
            Kind::SwingResistance | Kind::SwingSupport => vec![2.0],
            _ => spec.params.iter().zip(lengths).map(|(p, v)| if p.name == "multiple" { 0.7 } else { v }).collect(),
        };
        let column = compute(&indicator(spec.kind, &params), &candles);
        write!(text, "{} {params:?} from {}:", spec.name, column.first_defined()).unwrap();
        for i in [20, 33, 47, 59] {
            match column.get(i) {
                Some(value) => write!(text, " {value:.9}").unwrap(),
                None => text.push_str(" -"),
            }
        }
        text.push('\n');
    }
    insta::assert_snapshot!(text);
}

//! What a strategy is made of, as names that a person can read. Never looks at results.

use super::names::WITH;
use super::rankings;
use genome::{AnyStrategy, Niche, Operand, Rule, Series, SideRules, Source, Strategy, TrendRegimeFilter};
use std::collections::BTreeSet;

/// Spans of time by which look-backs and holding times are told apart: an upper bound in hours, exclusive, and its name.
const SPANS: [(f64, &str); 5] =
    [(6.0, "under 6h"), (24.0, "6h to 1d"), (72.0, "1d to 3d"), (240.0, "3d to 10d"), (f64::INFINITY, "over 10d")];

fn span(hours: f64) -> &'static str {
    SPANS.iter().find(|(most, _)| hours < *most).map_or("over 10d", |(_, name)| name)
}

/// The building blocks of a strategy by name, in order, each once.
///
/// Of rules: kind of idea, timeframe, sides, indicators of its entries, longest look-back, exits, size; and the kind of idea
/// together with timeframe, sides and look-back. Of a ranking: functions (with how far they look back), indicators, fields and
/// size of its score, what it looks at and how far back, direction, legs, form and parts of the weights, universe, clock,
/// turnover, timeframe; and what it looks at together with how far back, direction, turnover and legs.
#[must_use]
pub fn features(strategy: &AnyStrategy) -> Vec<String> {
    match strategy {
        AnyStrategy::Rules(strategy) => of_rules(strategy),
        AnyStrategy::Ranking(ranking) => rankings::features(ranking),
    }
}

fn of_rules(strategy: &Strategy) -> Vec<String> {
    let niche = Niche::of(strategy);
    let base_hours = hours(strategy.timeframe.fixed_ms());
    let mut found = BTreeSet::new();
    let (mut look_back, mut exit_rule) = (base_hours, false);
    for side in [&strategy.long, &strategy.short].into_iter().flatten() {
        let SideRules { entry, exit } = side;
        exit_rule |= exit.is_some();
        entry.for_each_condition(&mut |condition| {
            let right = match condition.right {
                Operand::Series(series) => Some(series),
                Operand::Constant(_) => None,
            };
            for series in [Some(condition.left), right].into_iter().flatten() {
                look_back = look_back.max(reach(&series, base_hours));
                if let Source::Indicator(indicator) = series.source {
                    found.insert(format!("indicator {}", indicator.kind()));
                }
            }
        });
    }
    let conditions = [&strategy.long, &strategy.short].map(|s| s.as_ref().map_or(0, |s| Rule::conditions(&s.entry)));
    let (family, risk) = (format!("idea {}", niche.family), &strategy.risk);
    let timeframe = format!("timeframe {}", niche.timeframe);
    let sides = format!("sides {}", niche.sides);
    let look_back = format!("look-back {}", span(look_back));
    found.extend([&timeframe, &sides, &look_back].map(|other| format!("{family}{WITH}{other}")));
    found.extend([family, timeframe, sides, look_back]);
    found.insert(format!("conditions {}", conditions.into_iter().max().unwrap_or(0).min(5)));
    found.insert(format!("stop {}", niche.stop));
    found.insert(match risk.time_exit_bars {
        Some(bars) => format!("time exit {}", span(f64::from(bars) * base_hours)),
        None => "no time exit".to_owned(),
    });
    let parts = [
        (niche.higher_timeframe, "a higher timeframe"),
        (exit_rule, "an exit rule"),
        (risk.take_profit.is_some(), "a target"),
        (risk.trailing_stop.is_some(), "a trailing stop"),
        (risk.break_even.is_some(), "a break-even stop"),
        (risk.partial_take_profit.is_some(), "a partial target"),
        (risk.recovery.is_some(), "recovery after losses"),
        (strategy.filters.regime != TrendRegimeFilter::Any, "a regime filter"),
        (strategy.universe.is_some(), "a look across the market"),
    ];
    found.extend(parts.into_iter().filter(|(there, _)| *there).map(|(_, name)| name.to_owned()));
    found.into_iter().collect()
}

fn hours(ms: Option<i64>) -> f64 {
    // A month has no fixed length.
    ms.map_or(30.0 * 24.0, |ms| ms as f64 / 3_600_000.0)
}

/// How far back a series looks, hours: its largest count of candles times their length.
fn reach(series: &Series, base_hours: f64) -> f64 {
    let candle = series.timeframe.map_or(base_hours, |timeframe| hours(timeframe.fixed_ms()));
    let Source::Indicator(indicator) = series.source else { return candle };
    let specs = indicator.kind().spec().params;
    let counts = specs.iter().zip(indicator.params()).filter(|(spec, _)| spec.step >= 1.0);
    candle * counts.map(|(_, value)| value.get()).fold(1.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strategy_in_its_building_blocks() {
        let text = "15m; long when close > ema(200)@1h and rsi(14) < 30 exit when rsi(14) > 55; stop 2%; target 4%; \
            time-exit 96";
        let found = of_rules(&text.parse().unwrap());
        let expected = [
            "a higher timeframe",
            "a target",
            "an exit rule",
            "conditions 2",
            "idea trend",
            "idea trend, look-back 3d to 10d",
            "idea trend, sides long",
            "idea trend, timeframe 15m",
            "indicator ema",
            "indicator rsi",
            "look-back 3d to 10d",
            "sides long",
            "stop percent_stop",
            "time exit 1d to 3d",
            "timeframe 15m",
        ];
        assert_eq!(found, expected);
    }
}

//! Strategies in plain English, for reports and terminals. Not read back: the text form is for that.

use crate::{
    Across, AcrossSeries, Comparison, Condition, Distance, ModelSeries, Operand, Rule, Series, SideRules, Size, Source,
    Strategy, TrendRegimeFilter,
};
use std::fmt::Write;

mod ranking;
pub use ranking::describe_ranking;

/// Sentences that say what the strategy does, one paragraph a side and one for risk, separated by newlines.
#[must_use]
pub fn describe(strategy: &Strategy) -> String {
    let mut out = format!("Decides at the close of every {} candle.", strategy.timeframe);
    if let Some(universe) = strategy.universe {
        let _ = write!(out, "\nThe universe is {}.", ranking::members(&universe));
    }
    for (way, side) in [("Buys", &strategy.long), ("Sells short", &strategy.short)] {
        if let Some(SideRules { entry, exit }) = side {
            // Writing into a String cannot fail; the result is dropped for that reason, here and below.
            let _ = write!(out, "\n{way} at the next open when {}.", rule(entry));
            if let Some(exit) = exit {
                let _ = write!(out, " Leaves when {}.", rule(exit));
            }
        }
    }
    out.push('\n');
    out.push_str(&risk(strategy));
    if strategy.filters.regime != TrendRegimeFilter::Any {
        let _ = write!(out, "\nEnters only while the market is {}.", strategy.filters.regime);
    }
    if let Some(confidence) = strategy.filters.min_confidence {
        let percent = round(confidence.get() * 100.0);
        let _ = write!(out, "\nEnters only when at least {percent}% of the entry conditions hold.");
    }
    out
}

/// At most six decimals, for people.
fn round(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn rule(rule: &Rule) -> String {
    let join = |rules: &[Rule], word: &str| {
        let parts: Vec<String> =
            rules
                .iter()
                .map(|r| {
                    if matches!(r, Rule::And(_) | Rule::Or(_)) { format!("({})", self::rule(r)) } else { self::rule(r) }
                })
                .collect();
        parts.join(&format!(", {word} "))
    };
    match rule {
        Rule::Condition(c) => condition(c, false),
        Rule::And(rules) => join(rules, "and"),
        Rule::Or(rules) => join(rules, "or"),
        Rule::Not(inner) => match &**inner {
            Rule::Condition(c) => condition(c, true),
            other => format!("it is not so that {}", self::rule(other)),
        },
    }
}

fn condition(condition: &Condition, negated: bool) -> String {
    let right = match condition.right {
        Operand::Constant(number) => number.to_string(),
        Operand::Series(series) => self::series(series),
    };
    let verb = match (condition.comparison, negated) {
        (Comparison::Below, false) => "is below",
        (Comparison::Above, false) => "is above",
        (Comparison::Below, true) => "is at or above",
        (Comparison::Above, true) => "is at or below",
        (Comparison::CrossesBelow, false) => "crosses below",
        (Comparison::CrossesAbove, false) => "crosses above",
        (Comparison::CrossesBelow, true) => "does not cross below",
        (Comparison::CrossesAbove, true) => "does not cross above",
    };
    format!("{} {verb} {right}", series(condition.left))
}

fn series(series: Series) -> String {
    let own = own_words(series);
    match series.across {
        None => own,
        Some(AcrossSeries::Compared(Across::Rank)) => format!("the rank among the universe (0 to 1) of {own}"),
        Some(AcrossSeries::Compared(Across::ZScore)) => format!("the standard score among the universe of {own}"),
        Some(AcrossSeries::Compared(Across::Demean)) => format!("{own} less its mean over the universe"),
        Some(AcrossSeries::Compared(Across::Relative)) => format!("{own} over its mean over the universe"),
        Some(AcrossSeries::Beta { candles }) => format!("the beta of {own} on the universe over {candles} changes"),
    }
}

fn own_words(series: Series) -> String {
    let source = match series.source {
        Source::Price(field) => match field {
            crate::PriceField::Typical => "the typical price".to_owned(),
            crate::PriceField::Trades => "the number of trades".to_owned(),
            crate::PriceField::TakerBuyRatio => "the takers' share of the volume that bought".to_owned(),
            field => format!("the {}", field.name().replace('_', " ")),
        },
        Source::Indicator(indicator) => {
            let numbers: Vec<String> = indicator.params().iter().map(ToString::to_string).collect();
            let name = indicator.kind().spec().name.replace('_', " ");
            let short =
                ["sma", "ema", "wma", "hma", "vwap", "rsi", "macd", "atr", "natr", "adx", "cci", "mfi", "obv", "roc"];
            let word = |w: &str| if short.contains(&w) { w.to_ascii_uppercase() } else { w.to_owned() };
            let name = name.split(' ').map(word).collect::<Vec<_>>().join(" ");
            if numbers.is_empty() { format!("the {name}") } else { format!("the {name} ({})", numbers.join(", ")) }
        }
        Source::Model(model) => match model {
            ModelSeries::Probability(name) => format!("the probability that model {name} gives"),
            ModelSeries::Confidence(name) => format!("the confidence of model {name}"),
            ModelSeries::EnsembleDirection => "the direction that the models together expect".to_owned(),
            ModelSeries::EnsembleConfidence => "the confidence of the models together".to_owned(),
        },
    };
    series.timeframe.map_or(source.clone(), |t| format!("{source} of the last closed {t} candle"))
}

fn distance(distance: Distance) -> String {
    match distance {
        Distance::Percent(percent) => format!("{percent}%"),
        Distance::Atr { multiple, period } => format!("{multiple} ATR({period})"),
    }
}

fn risk(strategy: &Strategy) -> String {
    let plan = &strategy.risk;
    let mut out = match plan.size {
        Size::Fraction(fraction) => format!("Uses {}% of its capital a trade", round(fraction.get() * 100.0)),
        Size::Risk(fraction) => format!("Risks {}% of its capital a trade", round(fraction.get() * 100.0)),
    };
    if plan.leverage.get() > 1.0 {
        let _ = write!(out, ", with leverage up to {}", plan.leverage);
    }
    out.push('.');
    match (plan.stop_loss, plan.take_profit) {
        (Some(stop), Some(target)) => {
            let _ = write!(out, " Stops {} away and takes profit at {}.", distance(stop), distance(target));
        }
        (Some(stop), None) => {
            let _ = write!(out, " Stops {} away.", distance(stop));
        }
        (None, Some(target)) => {
            let _ = write!(out, " Takes profit at {}, without a stop.", distance(target));
        }
        (None, None) => out.push_str(" Has no stop."),
    }
    if let Some(trail) = plan.trailing_stop {
        let _ = write!(out, " Trails the best close by {}.", distance(trail));
    }
    if let Some(even) = plan.break_even {
        let _ = write!(out, " Moves the stop to the entry price once {} in profit.", distance(even));
    }
    if let Some(partial) = plan.partial_take_profit {
        let share = round(partial.fraction.get() * 100.0);
        let _ = write!(out, " Takes {share}% of the position off at {}.", distance(partial.at));
    }
    if let Some(bars) = plan.time_exit_bars {
        let _ = write!(out, " Leaves after {bars} candle{}.", if bars == 1 { "" } else { "s" });
    }
    if let Some(recovery) = plan.recovery {
        let (times, steps) = (recovery.multiplier, recovery.max_steps);
        let _ = write!(out, " After a loss, sizes up {times} times, at most {steps} in a row.");
    }
    out
}

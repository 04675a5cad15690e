//! What a strategy that ranks the market is made of, as names that a person can read. Never looks at results.

use super::names::WITH;
use genome::{Expression, Form, Ranking, RankingNiche, Source, Timeframe, Unary};
use std::collections::BTreeSet;

/// Spans of days by which the look-backs of operators are told apart, as niches tell horizons: an upper bound, inclusive, and
/// its name.
const LOOK_BACKS: [(f64, &str); 4] =
    [(7.0, "up to a week"), (30.0, "up to 30d"), (90.0, "up to 90d"), (f64::INFINITY, "over 90d")];
/// Sizes of scores by which they are told apart: most operators, series and numbers, inclusive, and the name.
const SIZES: [(usize, &str); 4] =
    [(4, "up to 4 parts"), (8, "5 to 8 parts"), (16, "9 to 16 parts"), (usize::MAX, "over 16 parts")];
/// Hours of a month, which has no fixed length.
const MONTH_HOURS: f64 = 30.0 * 24.0;

/// The building blocks of a ranking by name, in order, each once: what its score looks at and how far back, its functions
/// (those that look back with how far, too), indicators and fields, its size and whether the lowest come first; legs, form and
/// parts of the weights; universe, clock, turnover, timeframe; and what it looks at together with how far back, direction,
/// turnover and legs.
pub(crate) fn features(ranking: &Ranking) -> Vec<String> {
    let RankingNiche { horizon, turnover, data, legs } = RankingNiche::of(ranking);
    let lowest = matches!(ranking.score, Expression::Unary(Unary::Negate, _));
    let direction = if lowest { "the lowest first" } else { "the greatest first" };
    let (data, horizon) = (format!("data {data}"), format!("horizon {horizon}"));
    let (turnover, legs) = (format!("turnover {turnover}"), format!("legs {legs}"));
    let mut found = BTreeSet::from([format!("{data}{WITH}{horizon}{WITH}{direction}")]);
    for other in [horizon.as_str(), direction, turnover.as_str(), legs.as_str()] {
        found.insert(format!("{data}{WITH}{other}"));
    }
    found.extend([data, horizon, turnover, legs, direction.to_owned()]);
    let candle_days = hours(ranking.timeframe) / 24.0;
    of_score(&ranking.score, candle_days, &mut found);
    let size = ranking.score.size();
    found.extend(SIZES.iter().find(|(most, _)| size <= *most).map(|(_, name)| format!("a score of {name}")));
    found.insert(format!("universe of {}", ranking.universe.top));
    found.insert(format!("clock {}", ranking.rebalance));
    found.insert(format!("timeframe {}", ranking.timeframe));
    let weights = &ranking.weights;
    found.insert(match weights.form {
        Form::Linear => "weights by rank".to_owned(),
        Form::TopBottom { .. } => "weights of top and bottom".to_owned(),
    });
    let parts = [
        (weights.inverse_volatility.is_some(), "inverse volatility"),
        (weights.cap.is_some(), "a cap"),
        (weights.beta_neutral.is_some(), "beta neutral"),
        (weights.smooth > 1, "smoothing"),
        (weights.band.is_some(), "a band"),
    ];
    found.extend(parts.into_iter().filter(|(there, _)| *there).map(|(_, name)| name.to_owned()));
    found.into_iter().collect()
}

fn hours(timeframe: Timeframe) -> f64 {
    timeframe.fixed_ms().map_or(MONTH_HOURS, |ms| ms as f64 / 3_600_000.0)
}

/// Functions, indicators and fields of a score. Arithmetic is in nearly all of them and tells nothing.
fn of_score(score: &Expression, candle_days: f64, found: &mut BTreeSet<String>) {
    let mut looks_back = |name: &str, candles: u32| {
        let days = f64::from(candles) * candle_days;
        let name = format!("function {name}");
        let span = LOOK_BACKS.iter().find(|(most, _)| days <= *most).map_or("over 90d", |(_, span)| span);
        found.insert(format!("{name}{WITH}{span}"));
        found.insert(name);
    };
    match score {
        Expression::Volatility { returns } => looks_back("realized_volatility", *returns),
        Expression::Rolling(op, _, n) => looks_back(op.name(), *n),
        Expression::Correlation(_, _, n) => looks_back("correlation", *n),
        Expression::Beta(_, n) => looks_back("beta", *n),
        Expression::Across(op, _) => {
            found.insert(format!("function {}", op.name()));
        }
        Expression::Unary(op, _) if *op != Unary::Negate => {
            found.insert(format!("function {}", op.name()));
        }
        Expression::Series(series) => {
            found.insert(match series.source {
                Source::Indicator(indicator) => format!("indicator {}", indicator.kind()),
                Source::Price(field) => format!("field {}", field.name()),
                Source::Model(model) => format!("model {model}"),
            });
        }
        Expression::Constant(_) | Expression::Unary(..) | Expression::Binary(..) => {}
    }
    score.parts().into_iter().for_each(|part| of_score(part, candle_days, found));
}

#[cfg(test)]
mod tests {
    use super::*;
    use genome::{
        random::Seed,
        variation::{RankingVariation, random_ranking},
    };

    #[test]
    fn a_ranking_in_its_building_blocks() {
        let text = "4h; universe top 30 by quote_volume(30d), listed 60d; score -cs_rank(close / delay(close, 42)) * \
                    realized_volatility(180) / mean(rsi(14), 600); rebalance 1d; weights top 20%, bottom 20%, inverse \
                    volatility(180), cap 10%, smooth 5; gross 1";
        let found = features(&text.parse().unwrap());
        let expected = [
            "a cap",
            "a score of 9 to 16 parts",
            "clock 1d",
            "data price",
            "data price, horizon longer",
            "data price, horizon longer, the lowest first",
            "data price, legs long_short",
            "data price, the lowest first",
            "data price, turnover medium",
            "field close",
            "function cs_rank",
            "function delay",
            "function delay, up to a week",
            "function mean",
            "function mean, over 90d",
            "function realized_volatility",
            "function realized_volatility, up to 30d",
            "horizon longer",
            "indicator rsi",
            "inverse volatility",
            "legs long_short",
            "smoothing",
            "the lowest first",
            "timeframe 4h",
            "turnover medium",
            "universe of 30",
            "weights of top and bottom",
        ];
        assert_eq!(found, expected);
    }

    /// Read off the canonical text, which knows nothing of trees.
    #[test]
    fn functions_are_those_of_the_text() {
        let config = RankingVariation { readings: true, ..RankingVariation::default() };
        let functions = [
            "abs",
            "log",
            "sign",
            "delay",
            "delta",
            "mean",
            "deviation",
            "sum",
            "highest",
            "lowest",
            "ts_rank",
            "decay",
            "correlation",
            "cs_rank",
            "cs_zscore",
            "cs_demean",
            "relative",
            "beta",
            "realized_volatility",
        ];
        for n in 0..500 {
            let ranking = random_ranking(&config, &mut Seed(4).stream("ranking", n));
            let found = features(&ranking);
            let score = format!(" {}", ranking.score);
            for name in functions {
                let is_word =
                    |at: usize| !score.as_bytes()[at - 1].is_ascii_alphanumeric() && score.as_bytes()[at - 1] != b'_';
                let there = score.match_indices(&format!("{name}(")).any(|(at, _)| is_word(at));
                assert_eq!(found.contains(&format!("function {name}")), there, "{name} of {score}");
            }
            assert!(found.is_sorted() && found.len() > 10, "{found:?}");
            assert!(!found.contains(&"the lowest first".to_owned()) || score.starts_with(" -"), "{score}");
        }
    }
}

//! Series that models predict, in rules and in scores.

use genome::variation::{RankingVariation, VariationConfig, crossover, mutate, random, random_ranking};
use genome::{AnyFile, AnyStrategy, ModelSeries, Ranking, Rule, Strategy, StrategyFile, describe, random::Seed};

const TEXT: &str = "4h; long when ensemble_direction > 0 and model(trend_4h) > 0.6 and ensemble_confidence > 0.2 \
    exit when model_confidence(trend_4h)@1d < 0.1; stop 5%";
const RANKING: &str = "4h; universe top 30 by quote_volume(30d), listed 60d; \
    score cs_rank(model(rank_1d)) * ensemble_confidence; rebalance 1d; weights linear; gross 1";

fn strategy(text: &str) -> Strategy {
    text.parse().unwrap_or_else(|e| panic!("{text}\n{e}"))
}

#[test]
fn rules_and_scores_with_models_round_trip_in_every_form() {
    let canonical = strategy(TEXT).to_string();
    let strategy = strategy(&canonical);
    assert_eq!(strategy.to_string(), canonical);
    assert!(strategy.is_canonical() && strategy.looks_beside_its_candles() && !strategy.looks_across());
    let json = serde_json::to_string(&strategy).unwrap();
    assert_eq!(StrategyFile::parse(&json).unwrap().strategy, strategy);
    assert_eq!(StrategyFile::parse(&toml::to_string(&strategy).unwrap()).unwrap().strategy, strategy);
    let names =
        |strategy: AnyStrategy| -> Vec<String> { strategy.model_series().iter().map(ToString::to_string).collect() };
    assert_eq!(
        names(strategy.clone().into()),
        ["model(trend_4h)", "model_confidence(trend_4h)@1d", "ensemble_direction", "ensemble_confidence"]
    );
    let ranking: Ranking = RANKING.parse().unwrap_or_else(|e| panic!("{e}"));
    let text = ranking.to_string();
    assert_eq!(text.parse::<Ranking>().unwrap(), ranking);
    let json = serde_json::to_string(&ranking).unwrap();
    assert_eq!(AnyFile::parse(&json).unwrap().strategy, AnyStrategy::Ranking(ranking.clone()));
    assert_eq!(names(ranking.into()), ["model(rank_1d)", "ensemble_confidence"]);
    let other: Strategy = TEXT.replace("trend_4h", "trend_5h").parse().unwrap();
    assert_ne!(other.hash(), strategy.hash(), "the model is part of the identity");
}

#[test]
fn names_are_read_as_people_write_them_and_mistakes_are_told() {
    let read = |text: &str| text.parse::<Rule>().map(|rule| rule.to_string()).map_err(|e| e.to_string());
    assert_eq!(
        read("MODEL( Trend ) >= .5 and ensemble_direction() > 0").unwrap(),
        "model(trend) >= 0.5 and ensemble_direction > 0"
    );
    for (text, wanted) in [
        ("model > 0.5", "the name of a model"),
        ("model() > 0.5", "the name of a model"),
        ("model(14) > 0.5", "the name of a model"),
        ("model(trend, 2) > 0.5", "`)`"),
        ("model(abcdefghijklmnopqrstuvwxy) > 0.5", "at most 23"),
        ("ensemble_direction(trend) > 0", "`)`"),
        ("ensemble_directon > 0", "ensemble_direction"),
    ] {
        let said = read(text).unwrap_err();
        assert!(said.contains(wanted), "{text}: {said}");
    }
    assert!(describe(&strategy(TEXT)).contains("the probability that model trend_4h gives is above 0.6"));
}

#[test]
fn the_other_side_asks_for_the_other_outcome() {
    let turned = |text: &str| text.parse::<Rule>().unwrap().mirrored();
    for (rule, other) in [
        ("model(a) > 0.75", "model(a) < 0.25"),
        ("ensemble_direction > 0", "ensemble_direction < 0"),
        ("model_confidence(a) > 0.5", "model_confidence(a) > 0.5"),
    ] {
        assert_eq!(turned(rule), other.parse::<Rule>().unwrap(), "{rule}");
        assert_eq!(turned(rule).mirrored(), rule.parse::<Rule>().unwrap());
    }
}

#[test]
fn search_draws_none_by_itself_and_varies_what_has_some() {
    let config = VariationConfig::default();
    let rankings = RankingVariation { readings: true, ..RankingVariation::default() };
    for i in 0..500 {
        let drawn = random(&config, &mut Seed(3).stream("rules", i));
        assert!(AnyStrategy::from(drawn).model_series().is_empty());
        let drawn = random_ranking(&rankings, &mut Seed(3).stream("ranking", i));
        assert!(AnyStrategy::from(drawn).model_series().is_empty());
    }
    let (one, mut kept) = (strategy(TEXT), 0);
    for i in 0..300 {
        let mut rng = Seed(4).stream("varied", i);
        let other = random(&config, &mut rng);
        for varied in [mutate(&one, &config, &mut rng), crossover(&one, &other, &config, &mut rng)] {
            assert!(varied.is_canonical(), "{varied}");
            let models = AnyStrategy::from(varied).model_series();
            assert!(
                models
                    .iter()
                    .all(|s| s.source.model().is_some_and(|m| m.model().is_none_or(|n| n.as_str() == "trend_4h")))
            );
            kept += usize::from(models.iter().any(|s| s.source.model() != Some(ModelSeries::EnsembleDirection)));
        }
    }
    assert!(kept > 100, "{kept}");
}

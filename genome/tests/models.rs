//! Series that models predict, in rules and in scores.

use genome::variation::{RankingVariation, VariationConfig, crossover, mutate, mutate_ranking, random, random_ranking};
use genome::{
    AnyFile, AnyStrategy, OfferedModel, Ranking, Rule, Strategy, StrategyFile, Timeframe, describe, random::Seed,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

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
    assert!(strategy.is_canonical() && !strategy.looks_beside_its_candles() && !strategy.looks_across());
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
        ("model(a) > 0.57", "model(a) < 0.43"),
        ("ensemble_direction > 0", "ensemble_direction < 0"),
        ("model_confidence(a) > 0.5", "model_confidence(a) > 0.5"),
    ] {
        assert_eq!(turned(rule), other.parse::<Rule>().unwrap(), "{rule}");
        assert_eq!(turned(rule).mirrored(), rule.parse::<Rule>().unwrap());
    }
}

#[test]
fn a_search_that_is_offered_none_draws_none() {
    let config = VariationConfig::default();
    let rankings = RankingVariation { readings: true, ..RankingVariation::default() };
    for i in 0..500 {
        let drawn = random(&config, &mut Seed(3).stream("rules", i));
        assert!(AnyStrategy::from(drawn).model_series().is_empty());
        let drawn = random_ranking(&rankings, &mut Seed(3).stream("ranking", i));
        assert!(AnyStrategy::from(drawn).model_series().is_empty());
    }
}

fn offers(all: &[(&str, &str)]) -> Vec<OfferedModel> {
    let one = |(series, timeframe): &(&str, &str)| OfferedModel {
        series: series.parse().unwrap_or_else(|e| panic!("{e}")),
        timeframe: timeframe.parse().unwrap_or_else(|e| panic!("{e}")),
    };
    all.iter().map(one).collect()
}

#[test]
fn a_search_asks_the_models_that_it_is_offered_on_their_own_candles_and_no_other() {
    let mut config = VariationConfig { timeframes: vec![Timeframe::M15, Timeframe::H4], ..VariationConfig::default() };
    config.models = offers(&[
        ("model(trend)", "4h"),
        ("model_confidence(trend)", "4h"),
        ("model(day)", "1d"),
        ("model_confidence(day)", "1d"),
        ("ensemble_direction", "4h"),
        ("ensemble_confidence", "4h"),
    ]);
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut population: Vec<Strategy> = (0..300).map(|_| random(&config, &mut rng)).collect();
    for at in 0..600 {
        let (a, b) = (population[at % 300].clone(), population[(7 * at) % 300].clone());
        population.push(if at % 2 == 0 { mutate(&a, &config, &mut rng) } else { crossover(&a, &b, &config, &mut rng) });
    }
    let mut asked: BTreeMap<String, usize> = BTreeMap::new();
    for strategy in &population {
        let any: AnyStrategy = strategy.clone().into();
        for series in any.model_series() {
            let model = series.source.model().unwrap();
            let own = config.models.iter().find(|o| o.series == model).unwrap().timeframe;
            assert_eq!(series.timeframe.unwrap_or(strategy.timeframe), own, "{strategy}");
            *asked.entry(model.to_string()).or_default() += 1;
        }
        // What is written reads back as the same.
        assert_eq!(strategy.to_string().parse::<Strategy>().unwrap(), *strategy);
    }
    assert_eq!(asked.len(), 6, "{asked:?}");
    let some = population.iter().filter(|s| !AnyStrategy::from((*s).clone()).model_series().is_empty()).count();
    assert!((250..750).contains(&some), "{some} of 900 ask a model");
    // A search that is offered none makes none, whatever its parents ask.
    let none = VariationConfig { models: Vec::new(), ..config };
    for parent in population.iter().take(100) {
        let child: AnyStrategy = mutate(parent, &none, &mut rng).into();
        assert!(child.model_series().is_empty(), "{child}");
    }
}

#[test]
fn scores_ask_models_of_their_own_candles_alone() {
    let config = RankingVariation {
        models: offers(&[("model(best)", "4h"), ("model(day)", "1d")]),
        ..RankingVariation::default()
    };
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut asks = 0;
    for _ in 0..400 {
        let ranking = random_ranking(&config, &mut rng);
        let child = mutate_ranking(&ranking, &config, &mut rng);
        for one in [ranking, child] {
            let any: AnyStrategy = one.into();
            let series = any.model_series();
            assert!(series.iter().all(|s| s.to_string() == "model(best)"), "{any}");
            asks += usize::from(!series.is_empty());
        }
    }
    assert!((160..640).contains(&asks), "{asks} of 800 ask the model");
}

#[test]
fn an_entry_by_the_ensemble_is_a_rule_and_reads_the_least_confidence() {
    let written = |text: &str| text.parse::<Strategy>().map(|s| s.to_string()).map_err(|e| e.to_string());
    for (short, long) in [
        ("4h; long when ensemble; stop 5%", "4h; long when ensemble_direction > 0; stop 5%"),
        (
            "15m; long when ensemble@4h exit when ensemble_direction@4h < 0; short when ENSEMBLE@4h; stop 5%; confidence 20%",
            "15m; long when ensemble_direction@4h > 0 and ensemble_confidence@4h >= 0.2 exit when ensemble_direction@4h < 0; \
             short when ensemble_direction@4h < 0 and ensemble_confidence@4h >= 0.2; stop 5%",
        ),
        // The least confidence may stand before it.
        (
            "4h; confidence 0.1; short when ensemble; stop 5%",
            "4h; short when ensemble_direction < 0 and ensemble_confidence >= 0.1; stop 5%",
        ),
    ] {
        assert_eq!(written(short).unwrap(), written(long).unwrap(), "{short}");
        assert!(strategy(short).filters.min_confidence.is_none());
    }
    let said = written("4h; long when ensemble; short when rsi(14) > 70; stop 5%; confidence 0.2").unwrap_err();
    assert!(said.contains("column 59") && said.contains("the other by a rule"), "{said}");
    for text in ["4h; long when ensemble > 0; stop 5%", "4h; long when ensemble and rsi(14) < 30; stop 5%"] {
        assert!(written(text).is_err(), "{text}");
    }
}

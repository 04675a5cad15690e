//! The numbers of a ranking by name: what they are called, what they may be, and what comes of changing them.

use genome::random::Seed;
use genome::variation::{
    Parameter, RankingVariation, any_parameters, mutate_ranking, parameters, random_ranking, ranking_parameters,
    with_any_parameters, with_parameters, with_ranking_parameters,
};
use genome::{AnyStrategy, Ranking, Strategy};
use std::collections::BTreeSet;

/// Parts of all kinds; their units fit, since they are ranks or have none.
fn full() -> Ranking {
    "4h; universe top 30 by quote_volume(30d), listed 60d; score cs_rank(mean(rsi(14), 20)) + cs_rank(close / delay(close, \
     42)) * 2 - cs_rank(macd_histogram(12, 26, 9) / close) / realized_volatility(180) / beta(close, 90); rebalance 1d; weights \
     top 20%, bottom 30%, inverse volatility(180), cap 10%, beta neutral(120), smooth 5, band 0.5%; gross 1.5"
        .parse()
        .unwrap_or_else(|e| panic!("{e}"))
}

fn named<'a>(all: &'a [Parameter], name: &str) -> &'a Parameter {
    let names: Vec<&str> = all.iter().map(|p| p.name.as_str()).collect();
    all.iter().find(|p| p.name.ends_with(name)).unwrap_or_else(|| panic!("{name} is none of {names:?}"))
}

/// Numbers in a text that stand by themselves: no part of a word, no timeframe, no sign.
fn numbers(text: &str) -> Vec<f64> {
    let mut found = Vec::new();
    let mut word = String::new();
    for c in text.chars().chain([' ']) {
        if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '@') {
            word.push(c);
        } else {
            found.extend(std::mem::take(&mut word).parse::<f64>().ok());
        }
    }
    found.sort_by(f64::total_cmp);
    found
}

fn of_score(all: &[Parameter]) -> Vec<f64> {
    let mut found: Vec<f64> = all.iter().filter(|p| p.name.starts_with("score.")).map(|p| p.value.abs()).collect();
    found.sort_by(f64::total_cmp);
    found
}

#[test]
fn every_number_has_a_name_that_says_where_it_stands() {
    let ranking = full();
    let all = ranking_parameters(&ranking);
    let outside: Vec<(&str, f64)> =
        all.iter().filter(|p| !p.name.starts_with("score.")).map(|p| (p.name.as_str(), p.value)).collect();
    let expected = [
        ("universe.top", 30.0),
        ("universe.volume_days", 30.0),
        ("universe.listed_days", 60.0),
        ("weights.top", 20.0),
        ("weights.bottom", 30.0),
        ("weights.inverse_volatility", 180.0),
        ("weights.cap", 0.1),
        ("weights.beta_neutral", 120.0),
        ("weights.smooth", 5.0),
        ("weights.band", 0.005),
        ("gross", 1.5),
    ];
    assert_eq!(outside, expected);
    assert_eq!(of_score(&all), numbers(&ranking.score.to_string()), "{ranking}");
    let (fast, slow) = (named(&all, "macd_histogram.fast"), named(&all, "macd_histogram.slow"));
    let moved = with_ranking_parameters(&ranking, &[(fast, 40.0), (slow, 60.0), (named(&all, "weights.top"), 12.5)]);
    let moved = moved.unwrap().to_string();
    assert!(moved.contains("macd_histogram(40, 60, 9)") && moved.contains("top 12.5%, bottom 30%"), "{moved}");
    let error = with_ranking_parameters(&ranking, &[(fast, 40.0)]).unwrap_err().to_string();
    assert!(error.contains("score.") && error.contains("below slow"), "{error}");
    // Parts are counted where they begin: the mean before what it is the mean of.
    let part = |name: &str| named(&all, name).name.split('.').nth(1).unwrap().parse::<usize>().unwrap();
    assert_eq!(part("rsi.period"), part("mean.candles") + 1);
}

#[test]
fn what_the_language_forbids_is_refused_with_its_bound() {
    let ranking = full();
    let all = ranking_parameters(&ranking);
    for (name, value, says) in [
        ("universe.top", 1.0, "at least 2"),
        ("universe.top", 30.5, "multiple of 1"),
        ("delay.candles", 0.0, "at least 1"),
        ("delay.candles", 5_001.0, "at most 5000"),
        ("rsi.period", 1.0, "at least 2"),
        ("beta.candles", 1.0, "at least 2"),
        ("weights.top", 0.0, "above 0"),
        ("weights.bottom", 101.0, "at most 100"),
        ("weights.band", 2.0, "at most 1"),
        ("weights.smooth", f64::INFINITY, "finite"),
        ("gross", -1.0, "above 0"),
    ] {
        let error = with_ranking_parameters(&ranking, &[(named(&all, name), value)]).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(says), "{error}");
    }
    // What is a number of another strategy, or of the other form, is none of this one.
    let linear: Ranking =
        "4h; universe top 9 by quote_volume(3d); score close / delay(close, 6); rebalance 1d; weights \
                           linear; gross 1"
            .parse()
            .unwrap();
    let rules: Strategy = "4h; long when rsi(14) < 30; stop 2%".parse().unwrap();
    let of_rules = parameters(&rules);
    for other in [named(&all, "weights.top"), named(&all, "rsi.period"), &of_rules[0]] {
        let error = with_ranking_parameters(&linear, &[(other, other.value)]).unwrap_err().to_string();
        assert!(error.contains("no such number"), "{error}");
    }
    let error = with_parameters(&rules, &[(&all[0], 30.0)]).unwrap_err().to_string();
    assert!(error.contains("no such number"), "{error}");
    assert!(ranking_parameters(&Ranking { gross: genome::Number::ZERO, ..full() }).is_empty());
}

/// Random rankings: the numbers are those that the text has, changing none changes nothing, and changing one changes that
/// one alone.
#[test]
fn a_changed_number_is_the_only_change() {
    let config = RankingVariation { readings: true, ..RankingVariation::default() };
    let mut kinds = BTreeSet::new();
    let mut moved_numbers = 0;
    for n in 0..600 {
        let rng = &mut Seed(3).stream("ranking", n);
        let ranking = mutate_ranking(&random_ranking(&config, rng), &config, rng);
        let all = ranking_parameters(&ranking);
        assert_eq!(of_score(&all), numbers(&ranking.score.to_string()), "{ranking}");
        let names: BTreeSet<&str> = all.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names.len(), all.len(), "no name twice: {ranking}");
        let same: Vec<(&Parameter, f64)> = all.iter().map(|p| (p, p.value)).collect();
        assert_eq!(with_ranking_parameters(&ranking, &same).as_ref(), Ok(&ranking));
        for p in &all {
            kinds.insert(p.name.split('.').filter(|word| word.parse::<u32>().is_err()).collect::<Vec<_>>().join("."));
            p.check(p.value).unwrap();
            let value = if p.value + p.step > p.most { p.value - p.step } else { p.value + p.step };
            if p.name.ends_with(".value") || p.check(value).is_err() {
                continue;
            }
            let Ok(moved) = with_ranking_parameters(&ranking, &[(p, value)]) else { continue };
            let sorted = |values: Vec<f64>| {
                let mut values = values;
                values.sort_by(f64::total_cmp);
                values
            };
            let expected = all.iter().map(|q| if q.name == p.name { value } else { q.value }).collect();
            let found = ranking_parameters(&moved).iter().map(|q| q.value).collect();
            assert_eq!(sorted(found), sorted(expected), "{} to {value}: {ranking}", p.name);
            assert_eq!((moved.timeframe, moved.rebalance), (ranking.timeframe, ranking.rebalance));
            moved_numbers += 1;
        }
        let either = AnyStrategy::Ranking(ranking);
        assert_eq!(any_parameters(&either), all);
        assert_eq!(with_any_parameters(&either, &[]), Ok(either.clone()));
    }
    assert!(moved_numbers > 4_000, "{moved_numbers}");
    for kind in ["score.delay.candles", "score.beta.candles", "score.realized_volatility.returns", "weights.smooth"] {
        assert!(kinds.contains(kind), "{kinds:?}");
    }
}

//! Random, mutated and crossed ranking strategies: all valid, bounded, the same for the same seed, and of every kind.
// Helpers outside test functions may fail a test.
#![allow(clippy::unwrap_used)]

use genome::random::Seed;
use genome::variation::{
    RankingVariation, crossover_ranking, mutate_ranking, random_ranking, ranking_complexity, ranking_neighbours,
    simplify,
};
use genome::{AnyNiche, AnyStrategy, Expression, Form, Ranking, RankingNiche, Timeframe, Universe};
use std::collections::{BTreeMap, BTreeSet};

/// Settings with everything in them.
fn wide() -> RankingVariation {
    RankingVariation {
        timeframes: vec![Timeframe::H1, Timeframe::H4, Timeframe::D1],
        rebalance: vec![Timeframe::H8, Timeframe::D1, Timeframe::W1],
        readings: true,
        ..RankingVariation::default()
    }
}

/// Every count of candles in a score.
fn look_backs(x: &Expression) -> Vec<u32> {
    let own = match x {
        Expression::Volatility { returns: n }
        | Expression::Rolling(_, _, n)
        | Expression::Correlation(_, _, n)
        | Expression::Beta(_, n) => Some(*n),
        _ => None,
    };
    own.into_iter().chain(x.parts().into_iter().flat_map(look_backs)).collect()
}

fn assert_sound(ranking: &Ranking, config: &RankingVariation) {
    let text = ranking.to_string();
    let read: Ranking = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
    assert_eq!(&read, ranking, "{text}");
    assert_eq!(read.hash(), ranking.hash(), "{text}");
    assert!(ranking.is_canonical(), "{text}");
    assert_eq!(&simplify(ranking), ranking, "{text}");
    assert!(ranking.score.size() <= config.max_size && ranking.score.depth() <= config.max_depth, "{text}");
    assert!(config.timeframes.contains(&ranking.timeframe) && config.rebalance.contains(&ranking.rebalance), "{text}");
    assert!(config.universes.contains(&ranking.universe), "{text}");
    assert!(ranking.weights.smooth <= config.max_smooth, "{text}");
    let per_day = (86_400_000 / ranking.timeframe.fixed_ms().unwrap()) as u32;
    let (least, most) = config.lookback_days;
    let weights = [ranking.weights.inverse_volatility, ranking.weights.beta_neutral];
    for n in look_backs(&ranking.score).into_iter().chain(weights.into_iter().flatten()) {
        // A single candle, or two where a day has only one and one has no spread.
        let fits = n == 1 || (least * per_day..=most * per_day).contains(&n) || (n == 2 && most * per_day < 2);
        assert!(fits, "{n} candles: {text}");
    }
    let published = ["funding", "premium", "open_interest", "long_short"].iter().any(|name| text.contains(name));
    assert!(config.readings || !published, "{text}");
}

/// Fresh, changed and crossed strategies, in one long line of descent.
fn line(count: usize, config: &RankingVariation, seed: u64) -> Vec<[Ranking; 3]> {
    let mut rng = Seed(seed).stream("line", 0);
    let mut before = random_ranking(config, &mut rng);
    let mut found = Vec::with_capacity(count);
    for _ in 0..count {
        let fresh = random_ranking(config, &mut rng);
        let mutant = mutate_ranking(&before, config, &mut rng);
        let child = crossover_ranking(&mutant, &fresh, config, &mut rng);
        before = child.clone();
        found.push([fresh, mutant, child]);
    }
    found
}

#[test]
fn all_are_valid_and_within_bounds() {
    let narrow = RankingVariation {
        timeframes: vec![Timeframe::D1],
        rebalance: vec![Timeframe::D1],
        lookback_days: (3, 3),
        max_size: 4,
        max_depth: 3,
        max_smooth: 1,
        ..RankingVariation::default()
    };
    let shortest = RankingVariation { lookback_days: (1, 1), ..narrow.clone() };
    let no_custom = RankingVariation { lookback_days: (800, 833), ..RankingVariation::default() };
    for (config, count) in
        [(wide(), 4000), (RankingVariation::default(), 2000), (narrow, 500), (shortest, 500), (no_custom, 500)]
    {
        config.validate().unwrap();
        for three in line(count, &config, 5) {
            three.iter().for_each(|ranking| assert_sound(ranking, &config));
        }
    }
}

#[test]
fn changes_change_and_stay_what_they_were_mostly() {
    let config = wide();
    let mut rng = Seed(8).stream("changes", 0);
    let (mut same, mut near) = (0, 0);
    for _ in 0..2000 {
        let origin = random_ranking(&config, &mut rng);
        let mutant = mutate_ranking(&origin, &config, &mut rng);
        assert_ne!(mutant, origin);
        same += usize::from(mutant.score == origin.score);
        near += usize::from(mutant.score.size().abs_diff(origin.score.size()) <= 8);
    }
    assert!(near > 1900, "{near}");
    assert!((300..1000).contains(&same), "{same}");
}

#[test]
fn children_have_something_of_both() {
    let config = RankingVariation { free_probability: 0.0, ..RankingVariation::default() };
    let a: Ranking =
        "4h; universe top 20 by quote_volume(30d), listed 60d; score close / delay(close, 42); rebalance 1d; \
                      weights linear; gross 1"
            .parse()
            .unwrap();
    let b: Ranking = "1d; universe top 50 by quote_volume(30d), listed 60d; score mean(volume, 7) / mean(volume, 30); \
                      rebalance 1w; weights linear, smooth 5; gross 1"
        .parse()
        .unwrap();
    let mut rng = Seed(9).stream("children", 0);
    let children: Vec<Ranking> = (0..400).map(|_| crossover_ranking(&a, &b, &config, &mut rng)).collect();
    let of_both = |c: &Ranking| c.to_string().contains("volume, ") && c.to_string().contains("close, 42");
    assert!(children.iter().filter(|c| of_both(c)).count() > 100);
    // Seven days are 42 candles of 4h.
    assert!(children.iter().any(|c| c.score.to_string().contains("mean(volume, 42) / mean(volume, 180)")));
    assert!(children.iter().all(|c| c.timeframe == Timeframe::H4 && *c != a));
    assert!(children.iter().any(|c| c.weights == b.weights) && children.iter().any(|c| c.rebalance == b.rebalance));
}

#[test]
fn the_same_seed_gives_the_same() {
    let digest = |seed| {
        let all = line(300, &wide(), seed).into_iter().flatten();
        all.map(|r| r.hash().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(digest(3), digest(3));
    assert_ne!(digest(3), digest(4));
}

#[test]
fn seeds_draw_what_they_drew() {
    let texts: String = line(1000, &wide(), 17).into_iter().flatten().map(|r| r.hash().to_string()).collect();
    // FNV-1a of the hashes.
    let digest = texts.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    assert_eq!(
        digest, 16_238_543_139_596_731_566,
        "a seed draws something else: stored sessions can no longer be replayed"
    );
}

#[test]
fn every_customary_idea_is_drawn_with_either_sign() {
    let config = RankingVariation { free_probability: 0.0, readings: true, ..RankingVariation::default() };
    let marks = [
        ("momentum", "close / delay(close, "),
        ("without the last days", "delay(close, 42) / delay(close, "),
        ("steady momentum", " - 1) / realized_volatility("),
        ("near high", "close / highest(high, "),
        ("low volatility", "realized_volatility("),
        ("volume shock", "mean(quote_volume, "),
        ("illiquidity", "amihud("),
        ("illiquidity by hand", "abs(delta(log(close), 6)) / sum(quote_volume, 6)"),
        ("skewness", "delta(log(close), 6) / realized_volatility("),
        ("lowest peak", "highest(delta(log(close), 6), "),
        ("trend", "mean(close, "),
        ("own rank", "ts_rank(close, "),
        ("narrow range", "mean((high - low) / close, "),
        ("divergence", "correlation(close, volume, "),
        ("low beta", "beta(close, "),
        ("taker flow", "mean(taker_buy_ratio, "),
        ("carry", "funding_mean("),
        ("discount", "premium_mean("),
        ("open interest", "open_interest / delay(open_interest, "),
        ("crowding", "mean(long_short_ratio, "),
    ];
    let mut rng = Seed(6).stream("ideas", 0);
    let mut seen: BTreeMap<&str, [u32; 2]> = BTreeMap::new();
    let (mut joined, count) = (0, 6000);
    for _ in 0..count {
        let score = random_ranking(&config, &mut rng).score.to_string();
        joined += u32::from(score.contains("cs_rank(") || score.contains("cs_zscore("));
        for (name, mark) in marks {
            if score.contains(mark) {
                seen.entry(name).or_default()[usize::from(score.contains('-'))] += 1;
            }
        }
    }
    for (name, _) in marks {
        let [up, down] = seen.get(name).copied().unwrap_or_default();
        // Two have a minus of their own.
        assert!(
            (matches!(name, "steady momentum" | "narrow range") || up > 5) && down > 5,
            "{name}: {up} and {down} of {count}"
        );
    }
    assert!((count * 3 / 10..count / 2).contains(&joined), "{joined}");
}

#[test]
fn grown_scores_use_the_whole_grammar() {
    let config = RankingVariation { free_probability: 1.0, readings: true, ..RankingVariation::default() };
    let mut rng = Seed(7).stream("grown", 0);
    let names = [
        "abs(",
        "log(",
        "sign(",
        "min(",
        "max(",
        "delay(",
        "delta(",
        "mean(",
        "deviation(",
        "sum(",
        "highest(",
        "lowest(",
        "ts_rank(",
        "decay(",
        "correlation(",
        "beta(",
        "realized_volatility(",
        "cs_rank(",
        "cs_zscore(",
        "cs_demean(",
        "relative(",
        " + ",
        " - ",
        " * ",
        " / ",
        "rsi(",
        "natr(",
        "ema(",
        "amihud(",
        "funding",
        "premium_mean(",
        "open_interest",
        "open_interest_value",
        "long_short_ratio",
        "trades",
        "taker_buy_ratio",
    ];
    let mut missing: BTreeSet<&str> = names.into_iter().collect();
    let mut distinct = BTreeSet::new();
    let mut sizes = Vec::new();
    for _ in 0..3000 {
        let ranking = random_ranking(&config, &mut rng);
        let score = ranking.score.to_string();
        missing.retain(|name| !score.contains(name));
        sizes.push(ranking.score.size());
        distinct.insert(score);
    }
    assert!(missing.is_empty(), "{missing:?}");
    assert!(distinct.len() > 2500, "{}", distinct.len());
    sizes.sort_unstable();
    assert!((4..=16).contains(&sizes[1500]), "median size {}", sizes[1500]);
}

#[test]
fn weights_and_niches_are_of_every_kind() {
    let config = RankingVariation { readings: true, ..RankingVariation::default() };
    let mut rng = Seed(10).stream("weights", 0);
    let all: Vec<Ranking> = (0..4000).map(|_| random_ranking(&config, &mut rng)).collect();
    let share = |of: &dyn Fn(&Ranking) -> bool| all.iter().filter(|r| of(r)).count() as f64 / all.len() as f64;
    let about = |found: f64, wanted: f64, what: &str| assert!((found - wanted).abs() < 0.05, "{what}: {found}");
    about(share(&|r| r.weights.form == Form::Linear), 0.5, "linear");
    about(share(&|r| r.weights.long_only), 0.1, "long only");
    about(share(&|r| r.weights.inverse_volatility.is_some()), 0.5, "inverse volatility");
    about(share(&|r| r.weights.beta_neutral.is_some()), 0.18, "beta neutral");
    about(share(&|r| r.weights.cap.is_some()), 0.2, "cap");
    about(share(&|r| r.weights.band.is_some()), 0.3, "band");
    about(share(&|r| r.universe.top == 20), 1.0 / 3.0, "universe");
    about(share(&|r| r.rebalance == Timeframe::D1), 1.0 / 3.0, "clock");
    assert!(all.iter().all(|r| r.gross.get() == 1.0));
    let smooth: BTreeSet<u32> = all.iter().map(|r| r.weights.smooth).collect();
    assert_eq!(smooth, (1..=10).collect());
    let niches: BTreeSet<RankingNiche> = all.iter().map(RankingNiche::of).collect();
    assert!(niches.len() > 80, "{} of 108", niches.len());
}

#[test]
fn niches_by_hand() {
    let niche = |text: &str| {
        let text = format!("4h; universe top 30 by quote_volume(30d), listed 60d; score {text}; gross 1");
        AnyNiche::of(&AnyStrategy::Ranking(text.parse().unwrap())).to_string()
    };
    for (text, expected) in [
        ("close / delay(close, 42); rebalance 1d; weights linear", "week/fast/price/long_short"),
        ("close / delay(close, 43); rebalance 1d; weights linear, smooth 2", "month/medium/price/long_short"),
        ("amihud(180); rebalance 1w; weights linear, beta neutral(60)", "month/medium/volume/beta_neutral"),
        ("realized_volatility(540); rebalance 12h; weights linear, long only", "quarter/fast/price/long_only"),
        ("-funding_mean(7) * quote_volume; rebalance 1w; weights linear, smooth 2", "week/slow/derivatives/long_short"),
        ("beta(close, 541); rebalance 1d; weights linear, smooth 10", "longer/slow/price/long_short"),
        ("rsi(14)@1d; rebalance 4h; weights linear, smooth 11", "month/fast/price/long_short"),
    ] {
        assert_eq!(niche(text), expected, "{text}");
    }
    let any = AnyNiche::of(&AnyStrategy::Ranking(random_ranking(&wide(), &mut Seed(1).stream("json", 0))));
    assert_eq!(serde_json::from_str::<AnyNiche>(&serde_json::to_string(&any).unwrap()).unwrap(), any);
}

#[test]
fn neighbours_differ_in_one_number() {
    let origin: Ranking = "4h; universe top 30 by quote_volume(30d), listed 60d; score close / delay(close, 1) - \
                           highest(high, 540) / ema(20); rebalance 1d; weights top 20%, bottom 25%, inverse \
                           volatility(180), cap 10%, beta neutral(100), smooth 5, band 0.5%; gross 1"
        .parse()
        .unwrap();
    let near: Vec<String> = ranking_neighbours(&origin, 0.1).iter().map(ToString::to_string).collect();
    for changed in [
        "highest(high, 486)",
        "highest(high, 594)",
        "ema(18)",
        "ema(22)",
        "top 18%",
        "top 22%",
        "bottom 22%",
        "bottom 28%",
        "inverse volatility(162)",
        "inverse volatility(198)",
        "cap 9%",
        "cap 11%",
        "beta neutral(90)",
        "beta neutral(110)",
        "smooth 4",
        "smooth 6",
        "band 0.4%",
        "band 0.6%",
    ] {
        assert!(near.iter().any(|text| text.contains(changed)), "{changed}: {near:#?}");
    }
    assert_eq!(near.len(), 18, "{near:#?}");
    let mut rng = Seed(11).stream("near", 0);
    for _ in 0..300 {
        let ranking = random_ranking(&wide(), &mut rng);
        let near = ranking_neighbours(&ranking, 0.1);
        assert!(near.iter().all(|n| n.is_canonical() && *n != ranking && n.score.size() == ranking.score.size()));
        assert!(near.len() <= 2 * (look_backs(&ranking.score).len() + 40), "{ranking}");
    }
    let least: Ranking =
        "4h; universe top 2 by quote_volume(1d); score close / open; weights top 1%, long only, smooth 1; gross 1"
            .parse()
            .unwrap();
    let texts: Vec<String> = ranking_neighbours(&least, 0.1).iter().map(|r| r.weights.to_string()).collect();
    assert_eq!(texts, ["top 2%, long only", "top 1%, long only, smooth 2"]);
}

#[test]
fn complexity_counts_parts() {
    let text = |weights: &str| {
        format!("4h; universe top 30 by quote_volume(30d); score close / delay(close, 42); weights {weights}")
    };
    let complexity = |weights: &str| ranking_complexity(&text(weights).parse().unwrap());
    assert_eq!(complexity("linear"), 4);
    assert_eq!(complexity("top 10%, long only"), 4);
    assert_eq!(complexity("linear, inverse volatility(42), cap 10%, beta neutral(60), smooth 2, band 1%"), 9);
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let default = RankingVariation::default;
    let bad = |top: u32| vec![Universe { top, volume_days: 30, listed_days: 60 }];
    for (config, expected) in [
        (RankingVariation { timeframes: vec![], ..default() }, "timeframes: needs at least one"),
        (RankingVariation { rebalance: vec![], ..default() }, "rebalance: needs at least one"),
        (RankingVariation { universes: vec![], ..default() }, "universes: needs at least one"),
        (
            RankingVariation { universes: bad(1), ..default() },
            "universes: `top 1 by quote_volume(30d), listed 60d`: universe.top: must be 2 to 1000, not 1",
        ),
        (
            RankingVariation { timeframes: vec![Timeframe::W1], ..default() },
            "timeframes: 1w is longer than a day, and look-backs are in days",
        ),
        (
            RankingVariation { timeframes: vec![Timeframe::Mo1], ..default() },
            "timeframes: 1M is longer than a day, and look-backs are in days",
        ),
        (
            RankingVariation { timeframes: vec![Timeframe::M15], ..default() },
            "lookback_days: 180 days are 17280 candles of 15m, and an operator looks back over at most 5000; give at \
             most 52 days or a longer timeframe",
        ),
        (
            RankingVariation { rebalance: vec![Timeframe::H6], ..default() },
            "rebalance: needs a clock made of whole 4h candles, such as 4h",
        ),
        (
            RankingVariation { lookback_days: (0, 10), ..default() },
            "lookback_days: must be at least 1, smaller first, not 0 and 10",
        ),
        (
            RankingVariation { lookback_days: (9, 8), ..default() },
            "lookback_days: must be at least 1, smaller first, not 9 and 8",
        ),
        (RankingVariation { max_size: 3, ..default() }, "max_size: must be 4 to 64, not 3"),
        (RankingVariation { max_depth: 17, ..default() }, "max_depth: must be 3 to 16, not 17"),
        (RankingVariation { max_smooth: 0, ..default() }, "max_smooth: must be 1 to 365, not 0"),
        (
            RankingVariation { long_only_probability: f64::NAN, ..default() },
            "long_only_probability: must be 0 to 1, not NaN",
        ),
        (RankingVariation { free_probability: 1.5, ..default() }, "free_probability: must be 0 to 1, not 1.5"),
    ] {
        assert_eq!(config.validate(), Err(expected.to_owned()));
    }
    default().validate().unwrap();
    let stored = serde_json::to_string(&wide()).unwrap();
    assert_eq!(serde_json::from_str::<RankingVariation>(&stored).unwrap(), wide());
    assert_eq!(serde_json::from_str::<RankingVariation>("{}").unwrap(), default());
    assert!(serde_json::from_str::<RankingVariation>(r#"{"maximal_size": 3}"#).is_err());
}

#[test]
fn whatever_people_wrote_can_be_varied() {
    let config = RankingVariation::default();
    let mut rng = Seed(12).stream("written", 0);
    for score in [
        "close / delay(close, 3000)",
        "rsi(14)@1d",
        "-funding_mean(7)",
        "cs_rank(sign(cs_rank(close / open)))",
        "(quote_volume * quote_volume) / (quote_volume + close * volume)",
        "sum(quote_volume, 5000) * sum(quote_volume, 2)",
        "log(quote_volume)",
        "deviation(log(close), 10) + 0",
        "min(max(min(max(min(max(min(max(close/open, 1), 2), 1), 2), 1), 2), 1), 2) + high / low",
    ] {
        let text =
            format!("2h; universe top 7 by quote_volume(3d); score {score}; rebalance 1M; weights linear; gross 2");
        let written: Ranking = text.parse().unwrap();
        for _ in 0..50 {
            let mutant = mutate_ranking(&written, &config, &mut rng);
            let child = crossover_ranking(&written, &mutant, &config, &mut rng);
            for ranking in [&mutant, &child] {
                assert!(ranking.is_canonical() && *ranking != written, "{ranking}");
                assert!(ranking.score.size() <= 32 && ranking.score.depth() <= 10, "{ranking}");
                assert!(look_backs(&ranking.score).iter().all(|n| *n <= 2160), "{ranking}");
                assert!(!ranking.to_string().contains("funding"), "{ranking}");
            }
        }
    }
}

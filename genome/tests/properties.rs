//! What holds for all strategies: round trips, canonical form, meaning, variation.

use genome::random::Seed;
use genome::variation::{VariationConfig, complexity, crossover, mutate, neighbours, random};
use genome::{Comparison, Condition, Operand, Rule, Strategy, StrategyFile, Timeframe};
use rand::{Rng, RngExt};
use std::collections::{BTreeSet, HashMap};

fn many(count: u64) -> Vec<Strategy> {
    let config = VariationConfig { recovery_probability: 0.1, max_leverage: 5.0, ..VariationConfig::default() };
    (0..count).map(|i| random(&config, &mut Seed(1).stream("strategy", i))).collect()
}

#[test]
fn text_and_json_give_back_the_same_strategy() {
    for strategy in many(3000) {
        let text = strategy.to_string();
        assert_eq!(text.parse::<Strategy>().unwrap_or_else(|e| panic!("{e}")), strategy);
        let json = serde_json::to_string(&strategy).unwrap();
        assert_eq!(serde_json::from_str::<Strategy>(&json).unwrap(), strategy);
        assert_eq!(StrategyFile::parse(&json).unwrap().strategy, strategy);
        assert_eq!(StrategyFile::parse(&text).unwrap().strategy, strategy);
        let toml = toml::to_string(&strategy).unwrap();
        assert_eq!(StrategyFile::parse(&toml).unwrap_or_else(|e| panic!("{toml}\n{e}")).strategy, strategy);
        assert_eq!(text.replace("; ", "\n").parse::<Strategy>().unwrap(), strategy);
    }
}

/// Another way to write the rule: parts shuffled, repeated and regrouped, sides exchanged, `not` around.
fn rewritten(rule: &Rule, rng: &mut impl Rng) -> Rule {
    let written = match rule {
        Rule::Condition(condition) => match condition.right {
            Operand::Series(right) if rng.random() => Rule::Condition(Condition {
                left: right,
                comparison: condition.comparison.flipped(),
                right: Operand::Series(condition.left),
            }),
            _ => rule.clone(),
        },
        Rule::Not(inner) => Rule::Not(Box::new(rewritten(inner, rng))),
        Rule::And(parts) | Rule::Or(parts) => {
            let is_and = matches!(rule, Rule::And(_));
            let join = |parts| if is_and { Rule::And(parts) } else { Rule::Or(parts) };
            let mut parts: Vec<Rule> = parts.iter().map(|p| rewritten(p, rng)).collect();
            for i in (1..parts.len()).rev() {
                parts.swap(i, rng.random_range(0..=i));
            }
            if rng.random_bool(0.3) {
                parts.push(parts[0].clone());
            }
            if parts.len() > 2 && rng.random() {
                let tail = parts.split_off(1);
                parts.push(join(tail));
            }
            if rng.random_bool(0.3) {
                // De Morgan.
                let parts = parts.into_iter().map(|p| Rule::Not(Box::new(p))).collect();
                Rule::Not(Box::new(if is_and { Rule::Or(parts) } else { Rule::And(parts) }))
            } else {
                join(parts)
            }
        }
    };
    if rng.random_bool(0.2) { Rule::Not(Box::new(Rule::Not(Box::new(written)))) } else { written }
}

/// Whether the rule holds where series have these values; `None` is undefined. `not` is pushed down here,
/// by the definition and not by the code under test.
fn holds(rule: &Rule, negated: bool, value: &dyn Fn(&str) -> Option<(f64, f64)>) -> bool {
    match rule {
        Rule::Not(inner) => holds(inner, !negated, value),
        Rule::And(parts) if !negated => parts.iter().all(|p| holds(p, false, value)),
        Rule::Or(parts) if negated => parts.iter().all(|p| holds(p, true, value)),
        Rule::And(parts) | Rule::Or(parts) => parts.iter().any(|p| holds(p, negated, value)),
        Rule::Condition(c) => {
            let right = match c.right {
                Operand::Constant(n) => Some((n.get(), n.get())),
                Operand::Series(s) => value(&s.to_string()),
            };
            let (Some((a0, a1)), Some((b0, b1))) = (value(&c.left.to_string()), right) else { return false };
            let plain = match c.comparison {
                Comparison::Below => a1 < b1,
                Comparison::Above => a1 > b1,
                Comparison::CrossesBelow => a1 < b1 && a0 >= b0,
                Comparison::CrossesAbove => a1 > b1 && a0 <= b0,
            };
            plain != negated
        }
    }
}

#[test]
fn however_it_is_written_a_strategy_has_one_canonical_form_and_one_meaning() {
    let mut rng = Seed(2).stream("rewrite", 0);
    for strategy in many(1500) {
        assert!(strategy.is_canonical());
        let mut other = strategy.clone();
        for side in [&mut other.long, &mut other.short].into_iter().flatten() {
            side.entry = rewritten(&side.entry, &mut rng);
            side.exit = side.exit.as_ref().map(|r| rewritten(r, &mut rng));
        }
        assert_eq!(other.hash(), strategy.hash(), "{other}\n{strategy}");
        assert_eq!(other.clone().canonical().unwrap(), strategy);
        let sides = [(&other.long, &strategy.long), (&other.short, &strategy.short)];
        for (written, canonical) in sides.into_iter().filter_map(|(a, b)| Some((a.as_ref()?, b.as_ref()?))) {
            for _ in 0..20 {
                let salt: u64 = rng.random();
                let values: std::cell::RefCell<HashMap<String, Option<(f64, f64)>>> = Default::default();
                let value = |name: &str| {
                    *values.borrow_mut().entry(name.to_owned()).or_insert_with(|| {
                        let mut draw = Seed(salt).stream(name, 0);
                        let mut level = || f64::from(draw.random_range(-2..=2_i32)) * 40.0;
                        let pair = (level(), level());
                        (!draw.random_bool(0.15)).then_some(pair)
                    })
                };
                let (a, b) = (&written.entry, &canonical.entry);
                assert_eq!(holds(a, false, &value), holds(b, false, &value), "{a}\n{b}");
            }
        }
    }
}

#[test]
fn hashes_are_stable() {
    for (text, hash) in [
        ("15m; long when close > open", "ee9d300a35948e984b0a5e6cbcf35944fa02f231ac86b4e14846fd8cd2c6df4f"),
        (
            "15m; long when ema(48) crosses above ema(133) and rsi(22) < 71 exit when ema(48) crosses below ema(133); \
             stop 1.51%; target 3.35%",
            "7da4c4bbedf1cf72860eb06f3120363a85a7c8bb045612a47a817a9a5f094e17",
        ),
    ] {
        let found = text.parse::<Strategy>().unwrap().hash();
        assert_eq!(found.to_string(), hash);
        assert_eq!(found.to_string().parse::<genome::StrategyHash>().unwrap(), found);
        assert_eq!(serde_json::to_string(&found).unwrap(), format!("{hash:?}"));
    }
    assert!("12".parse::<genome::StrategyHash>().is_err());
    assert!("zz".repeat(32).parse::<genome::StrategyHash>().is_err());
    assert!("é".repeat(32).parse::<genome::StrategyHash>().is_err());
}

fn check(strategy: &Strategy, config: &VariationConfig) {
    assert!(strategy.is_canonical(), "{strategy}");
    assert!(config.timeframes.contains(&strategy.timeframe));
    assert!(strategy.risk.stop_loss.is_some() || !config.stop_required);
    assert!(config.allow_short || strategy.short.is_none());
    for side in [&strategy.long, &strategy.short].into_iter().flatten() {
        for rule in std::iter::once(&side.entry).chain(&side.exit) {
            assert!(rule.conditions() <= config.max_conditions, "{rule}");
            rule.for_each_condition(&mut |c| {
                if let Operand::Series(right) = c.right {
                    assert_eq!(c.left.source.scale(), right.source.scale(), "{c}");
                }
            });
        }
    }
}

#[test]
fn every_descendant_is_valid_and_bounded() {
    let config = VariationConfig::default();
    let mut rng = Seed(3).stream("evolution", 0);
    let mut population: Vec<Strategy> = (0..60).map(|_| random(&config, &mut rng)).collect();
    for _ in 0..60 {
        let mut next = Vec::new();
        for parent in &population {
            let other = &population[rng.random_range(0..population.len())];
            let child = crossover(parent, other, &config, &mut rng);
            check(&child, &config);
            let child = mutate(&child, &config, &mut rng);
            check(&child, &config);
            next.push(child);
        }
        population = next;
    }
    let distinct: BTreeSet<_> = population.iter().map(Strategy::hash).collect();
    assert!(distinct.len() > 50);
    let largest = population.iter().map(complexity).max().unwrap();
    assert!(largest < 100, "{largest}");
}

#[test]
fn settings_bound_what_is_made() {
    let config = VariationConfig {
        timeframes: vec![Timeframe::H4],
        allow_short: false,
        max_conditions: 2,
        indicators: vec![genome::IndicatorKind::Rsi, genome::IndicatorKind::Ema],
        higher_timeframe_probability: 0.0,
        ..VariationConfig::default()
    };
    config.validate().unwrap();
    let mut rng = Seed(4).stream("settings", 0);
    for _ in 0..500 {
        let strategy = mutate(&random(&config, &mut rng), &config, &mut rng);
        check(&strategy, &config);
        let text = strategy.to_string();
        for spec in genome::IndicatorKind::all() {
            let used = text.contains(&format!(" {}(", spec.name));
            assert!(!used || ["rsi", "ema", "atr"].contains(&spec.name), "{text}");
        }
    }
    let nothing = VariationConfig { timeframes: vec![], ..VariationConfig::default() };
    assert!(nothing.validate().is_err());
    assert!(random(&nothing, &mut rng).is_canonical());
}

#[test]
fn one_stream_gives_one_strategy_and_ideas_differ() {
    assert_eq!(many(200), many(200));
    let hashes: BTreeSet<_> = many(2000).iter().map(Strategy::hash).collect();
    assert!(hashes.len() > 1980, "{}", hashes.len());
}

#[test]
fn twice_mirrored_is_the_same() {
    for strategy in many(1000) {
        for side in [&strategy.long, &strategy.short].into_iter().flatten() {
            let again = side.entry.mirrored().mirrored();
            let conditions = |rule: &Rule| {
                let mut out = Vec::new();
                rule.for_each_condition(&mut |c| out.push(*c));
                out
            };
            for (a, b) in conditions(&again).iter().zip(conditions(&side.entry)) {
                assert_eq!((a.left, a.comparison), (b.left, b.comparison));
                if let (Operand::Constant(a), Operand::Constant(b)) = (a.right, b.right) {
                    assert!((a.get() - b.get()).abs() < 1e-9);
                }
            }
        }
    }
    let rule: Rule = "rsi(14) < 30 and close crosses above donchian_upper(20) and adx(14) > 25".parse().unwrap();
    assert_eq!(rule.mirrored().to_string(), "rsi(14) > 70 and close crosses below donchian_lower(20) and adx(14) > 25");
}

#[test]
fn neighbours_differ_in_one_number() {
    let strategy: Strategy = "15m; long when rsi(14) < 30; stop 2%; time-exit 96".parse().unwrap();
    let texts: Vec<String> = neighbours(&strategy, 0.1).iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "15m; long when rsi(13) < 30; stop 2%; time-exit 96",
            "15m; long when rsi(15) < 30; stop 2%; time-exit 96",
            "15m; long when rsi(14) < 25; stop 2%; time-exit 96",
            "15m; long when rsi(14) < 35; stop 2%; time-exit 96",
            "15m; long when rsi(14) < 30; stop 1.8%; time-exit 96",
            "15m; long when rsi(14) < 30; stop 2.2%; time-exit 96",
            "15m; long when rsi(14) < 30; stop 2%; time-exit 86",
            "15m; long when rsi(14) < 30; stop 2%; time-exit 106",
        ]
    );
    for strategy in many(300) {
        let found = neighbours(&strategy, 0.05);
        let hashes: BTreeSet<_> = found.iter().map(Strategy::hash).collect();
        assert_eq!(hashes.len(), found.len());
        assert!(!hashes.contains(&strategy.hash()));
        assert!(found.iter().all(Strategy::is_canonical));
        assert_eq!(found, neighbours(&strategy, 0.05));
    }
}

#[test]
fn niches_are_many_and_distances_are_distances() {
    use genome::niche::{Family, distance};
    let all = many(2000);
    let niches: BTreeSet<_> = all.iter().map(genome::Niche::of).collect();
    assert!(niches.len() > 150, "{}", niches.len());
    let families: BTreeSet<_> = niches.iter().map(|n| n.family).collect();
    assert!(families.len() >= Family::ALL.len() - 1, "{families:?}");
    for pair in all.windows(2) {
        let (a, b) = (&pair[0], &pair[1]);
        assert_eq!(distance(a, a), 0.0);
        assert!((0.0..=1.0).contains(&distance(a, b)));
        assert_eq!(distance(a, b).to_bits(), distance(b, a).to_bits());
        assert!(distance(a, b) > 0.0 || a == b, "{a}\n{b}");
    }
    let niche = |text: &str| genome::Niche::of(&text.parse().unwrap()).to_string();
    assert_eq!(niche("15m; long when rsi(14) < 30; stop 2%"), "mean_reversion/long/15m/base/percent_stop/few");
    assert_eq!(
        niche("1h; long when close crosses above donchian_upper(20) and volume_zscore > 2"),
        "breakout/long/1h/base/no_stop/few"
    );
    assert_eq!(
        niche("1h; long when ema(9) > ema(50)@4h; short when ema(9) < ema(50)@4h; stop 2 atr"),
        "trend/both/1h/higher/atr_stop/few"
    );
}

#[test]
fn the_search_makes_no_rules_of_what_is_for_people() {
    let bred = genome::IndicatorKind::bred();
    let others: Vec<&str> = genome::IndicatorKind::all()
        .iter()
        .filter(|s| !bred.iter().any(|b| b.kind == s.kind))
        .map(|s| s.name)
        .collect();
    assert_eq!((bred.len(), others.len()), (59, 11), "{others:?}");
    let names = others.into_iter().chain(["quote_volume", "trades", "taker_buy_ratio", "cs_rank", "beta", "universe"]);
    let names: Vec<String> = names.map(|name| format!(" {name}")).collect();
    let config = VariationConfig::default();
    let mut rng = Seed(9).stream("bred", 0);
    for strategy in many(3000) {
        let text = mutate(&strategy, &config, &mut rng).to_string();
        assert!(!names.iter().any(|name| text.contains(name.as_str())), "{text}");
    }
    let config = VariationConfig { indicators: vec![genome::IndicatorKind::Funding], ..VariationConfig::default() };
    let said = config.validate().unwrap_err();
    assert_eq!(said, "indicators: the search makes no rules of funding; it is for people's own strategies");
}

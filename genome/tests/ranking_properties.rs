//! What holds for all ranking strategies: round trips, one canonical form, meaning that no rewriting changes.
// Helpers outside test functions may fail a test.
#![allow(clippy::unwrap_used)]

use genome::random::Seed;
use genome::variation::score_neighbours;
use genome::{
    Across, AnyFile, AnyStrategy, Binary, Expression, Form, Indicator, IndicatorKind, Number, PriceField, Ranking,
    Rolling, Series, Source, Timeframe, Unary, Universe, Weights,
};
use proptest::prelude::*;
use rand::{Rng, RngExt};

const UNARY: [Unary; 4] = [Unary::Negate, Unary::Abs, Unary::Log, Unary::Sign];
const BINARY: [Binary; 6] = [Binary::Add, Binary::Subtract, Binary::Multiply, Binary::Divide, Binary::Min, Binary::Max];
const ROLLING: [Rolling; 9] = [
    Rolling::Delay,
    Rolling::Delta,
    Rolling::Mean,
    Rolling::Deviation,
    Rolling::Sum,
    Rolling::Highest,
    Rolling::Lowest,
    Rolling::TsRank,
    Rolling::Decay,
];
const ACROSS: [Across; 4] = [Across::Rank, Across::ZScore, Across::Demean, Across::Relative];

fn pick<T: Copy>(of: &[T], rng: &mut impl Rng) -> T {
    of[rng.random_range(0..of.len())]
}

fn number(rng: &mut impl Rng) -> Number {
    let value = match rng.random_range(0..4) {
        0 => f64::from(rng.random_range(-3..4)),
        1 => rng.random_range(-10.0..10.0),
        2 => f64::from(rng.random_range(-100..100)) / 8.0,
        _ => 10_f64.powi(rng.random_range(-11..11)),
    };
    Number::new(value).unwrap()
}

fn series(rng: &mut impl Rng) -> Expression {
    if rng.random_bool(0.1) {
        return Expression::Volatility { returns: rng.random_range(1..=5000) };
    }
    let source = if rng.random_bool(0.6) {
        Source::Price(pick(&PriceField::ALL, rng))
    } else {
        let kind = pick(IndicatorKind::all(), rng).kind;
        if kind == IndicatorKind::RealizedVolatility {
            // It has its own form in expressions.
            return Expression::Volatility { returns: 24 };
        }
        Source::Indicator(Indicator::new(kind, &[]).unwrap())
    };
    let timeframe = rng.random_bool(0.2).then(|| pick(&[Timeframe::H1, Timeframe::H4], rng));
    Expression::Series(Series { source, timeframe, across: None })
}

/// Any tree, whatever its parts measure.
fn tree(depth: u32, rng: &mut impl Rng) -> Expression {
    if depth == 0 || rng.random_bool(0.15) {
        return if rng.random_bool(0.25) { Expression::Constant(number(rng)) } else { series(rng) };
    }
    let n = rng.random_range(2..=60);
    let x = Box::new(tree(depth - 1, rng));
    match rng.random_range(0..10) {
        0 | 1 => Expression::Unary(pick(&UNARY, rng), x),
        2..=5 => Expression::Binary(pick(&BINARY, rng), x, Box::new(tree(depth - 1, rng))),
        6 => Expression::Rolling(pick(&ROLLING, rng), x, n),
        7 => Expression::Across(pick(&ACROSS, rng), x),
        8 => Expression::Correlation(x, Box::new(tree(depth - 1, rng)), n),
        _ => Expression::Beta(x, n),
    }
}

/// Trees whose parts fit each other, on 1h.
fn valid(count: usize, seed: u64) -> Vec<Expression> {
    let mut rng = Seed(seed).stream("expression", 0);
    let mut found = Vec::new();
    while found.len() < count {
        let depth = rng.random_range(1..5);
        let expression = tree(depth, &mut rng);
        if expression.canonical(Timeframe::H1).is_ok() {
            found.push(expression);
        }
    }
    let deep = found.iter().filter(|x| x.depth() > 3).count();
    assert!(deep > count / 20, "{deep} of {count} are deep");
    found
}

fn read(text: &str) -> Expression {
    text.parse().unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn what_is_printed_is_read_back() {
    for expression in valid(6000, 1) {
        // As it stands: the very tree, if its parts fit each other before numbers are worked out.
        if expression.unit().is_ok() {
            assert_eq!(read(&expression.to_string()), expression);
        }
        let canonical = expression.canonical(Timeframe::H1).unwrap();
        let text = canonical.to_string();
        assert_eq!(canonical.canonical(Timeframe::H1).as_ref(), Ok(&canonical), "{text}");
        assert_eq!(read(&text).canonical(Timeframe::H1).as_ref(), Ok(&canonical), "{text}");
        let spaced = text.replace(' ', "");
        assert_eq!(read(&spaced).canonical(Timeframe::H1).as_ref(), Ok(&canonical), "{spaced}");
    }
}

/// What an expression without look-back is worth where series have these values; `None` is undefined.
fn worth(expression: &Expression, value: &dyn Fn(&str) -> Option<f64>) -> Option<f64> {
    let defined = |x: f64| x.is_finite().then_some(x);
    let worth = |x: &Expression| worth(x, value);
    match expression {
        Expression::Constant(number) => Some(number.get()),
        Expression::Unary(op, x) => {
            let x = worth(x)?;
            match op {
                Unary::Negate => Some(-x),
                Unary::Abs => Some(x.abs()),
                Unary::Log => (x > 0.0).then(|| x.ln()),
                Unary::Sign => Some(if x == 0.0 { 0.0 } else { x.signum() }),
            }
        }
        Expression::Binary(op, x, y) => {
            let (x, y) = (worth(x)?, worth(y)?);
            match op {
                Binary::Add => defined(x + y),
                Binary::Subtract => defined(x - y),
                Binary::Multiply => defined(x * y),
                Binary::Divide if y == 0.0 => None,
                Binary::Divide => defined(x / y),
                Binary::Min => Some(if y < x { y } else { x }),
                Binary::Max => Some(if y > x { y } else { x }),
            }
        }
        // What looks back or across is a value of its own here.
        other => value(&other.canonical(Timeframe::H1).unwrap().to_string()),
    }
}

#[test]
fn the_canonical_form_is_worth_the_same_to_the_bit() {
    let mut rng = Seed(3).stream("worth", 0);
    for expression in valid(4000, 2) {
        let canonical = expression.canonical(Timeframe::H1).unwrap();
        for _ in 0..8 {
            let salt: u64 = rng.random();
            let value = |name: &str| {
                let label = format!("{salt}{name}");
                let mut rng = Seed(salt).stream(&label, 0);
                rng.random_bool(0.9).then(|| if rng.random_bool(0.1) { 0.0 } else { rng.random_range(-50.0..50.0) })
            };
            let (a, b) = (worth(&expression, &value), worth(&canonical, &value));
            // The sign of a zero is no part of a value.
            let bits = |x: Option<f64>| x.map(|x| (x + 0.0).to_bits());
            assert_eq!(bits(a), bits(b), "{expression} = {a:?}, {canonical} = {b:?}");
        }
    }
}

fn ranking(score: Expression, rng: &mut impl Rng) -> Ranking {
    let some = |rng: &mut rand_chacha::ChaCha8Rng| rng.random_bool(0.5);
    let mut own = Seed(rng.random()).stream("ranking", 0);
    let rng = &mut own;
    let share = |rng: &mut rand_chacha::ChaCha8Rng| Number::new(rng.random_range(0.001..100.0)).unwrap();
    let fraction = |rng: &mut rand_chacha::ChaCha8Rng| Number::new(rng.random_range(0.0001..1.0)).unwrap();
    let returns = |rng: &mut rand_chacha::ChaCha8Rng| rng.random_range(2..=5000);
    let long_only = some(rng);
    let form = if some(rng) {
        Form::Linear
    } else {
        let bottom_pct = (!long_only || some(rng)).then(|| share(rng));
        Form::TopBottom { top_pct: share(rng), bottom_pct }
    };
    Ranking {
        timeframe: Timeframe::H1,
        universe: Universe {
            top: rng.random_range(2..=1000),
            volume_days: rng.random_range(1..=3650),
            listed_days: rng.random_range(0..=3650),
        },
        score,
        rebalance: pick(&[Timeframe::H1, Timeframe::H8, Timeframe::D1, Timeframe::W1, Timeframe::Mo1], rng),
        weights: Weights {
            form,
            inverse_volatility: some(rng).then(|| returns(rng)),
            long_only,
            cap: some(rng).then(|| fraction(rng)),
            beta_neutral: some(rng).then(|| returns(rng)),
            smooth: rng.random_range(1..=365),
            band: some(rng).then(|| fraction(rng)),
        },
        gross: Number::new(rng.random_range(0.01..10.0)).unwrap(),
    }
}

#[test]
fn ranking_strategies_round_trip_in_every_form() {
    let mut rng = Seed(5).stream("ranking", 0);
    let mut checked = 0;
    for score in valid(4000, 4) {
        let Ok(strategy) = ranking(score, &mut rng).canonical() else { continue };
        checked += 1;
        let text = strategy.to_string();
        assert_eq!(text.parse::<Ranking>().unwrap_or_else(|e| panic!("{e}")), strategy);
        assert_eq!(text.replace("; ", "\n").parse::<AnyStrategy>().unwrap(), AnyStrategy::Ranking(strategy.clone()));
        let mut clauses: Vec<&str> = text.split("; ").collect();
        clauses.rotate_left(rng.random_range(0..6));
        assert_eq!(clauses.join(";").parse::<Ranking>().unwrap().hash(), strategy.hash());
        let json = serde_json::to_string(&strategy).unwrap();
        assert_eq!(serde_json::from_str::<Ranking>(&json).unwrap(), strategy);
        assert_eq!(AnyFile::parse(&json).unwrap().strategy, AnyStrategy::Ranking(strategy.clone()));
        let toml = toml::to_string(&strategy).unwrap();
        assert_eq!(AnyFile::parse(&toml).unwrap().strategy, AnyStrategy::Ranking(strategy), "{toml}");
    }
    assert!(checked > 1000, "{checked}");
}

const WORDS: [&str; 56] = [
    "4h",
    "1d",
    "universe",
    "top",
    "by",
    "quote_volume",
    "(",
    ")",
    "30d",
    "listed",
    "score",
    "close",
    "high",
    "volume",
    "/",
    "*",
    "+",
    "-",
    ",",
    ";",
    "\n",
    "highest",
    "delay",
    "cs_rank",
    "relative",
    "beta",
    "correlation",
    "log",
    "min",
    "rebalance",
    "weights",
    "linear",
    "bottom",
    "equal",
    "inverse",
    "volatility",
    "long",
    "only",
    "long-only",
    "cap",
    "neutral",
    "smooth",
    "band",
    "gross",
    "%",
    "10",
    "0",
    "0.5",
    "1e400",
    "@",
    "4H",
    "#",
    "realized_volatility",
    "é",
    "rsi",
    "99999999999999999999",
];

fn read_all(text: &str) {
    if let Ok(expression) = text.parse::<Expression>() {
        let printed = expression.to_string();
        assert_eq!(read(&printed).to_string(), printed, "{text:?}");
    }
    match text.parse::<AnyStrategy>() {
        Ok(strategy) => assert_eq!(strategy.to_string().parse::<AnyStrategy>(), Ok(strategy)),
        Err(error) => {
            assert!(error.line >= 1 && error.column >= 1);
            assert!(error.to_string().chars().count() < 1000, "{error}");
        }
    }
    let _ = AnyFile::parse(text);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_words(words in proptest::collection::vec(proptest::sample::select(&WORDS[..]), 0..60), space in any::<bool>()) {
        read_all(&words.join(if space { " " } else { "" }));
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        read_all(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn a_ranking_strategy_with_one_change(
        at in 0_usize..260, with in proptest::sample::select(&WORDS[..]), drop in 0_usize..12,
    ) {
        let text = "4h; universe top 30 by quote_volume(30d), listed 60d; score cs_rank(close / highest(high, 540)) - \
            0.5 * ts_rank(volume, 42); rebalance 1d; weights top 10%, bottom 10%, inverse volatility(180), cap 10%, \
            beta neutral(180), smooth 5, band 1%; gross 1";
        let at = at.min(text.len());
        let end = (at + drop).min(text.len());
        read_all(&format!("{}{with}{}", &text[..at], &text[end..]));
    }

    #[test]
    fn a_file_with_raw_bytes_in_it(
        json: bool, edits in proptest::collection::vec((any::<usize>(), 0_usize..6, any::<Vec<u8>>()), 1..6),
    ) {
        const JSON: &str = r#"{"version": 1, "name": "x", "timeframe": "4h", "universe": "top 30 by quote_volume(30d)",
            "score": "-roc(42)", "rebalance": "1d", "weights": "linear, smooth 5", "gross": 1.5}"#;
        const TOML: &str = "timeframe = \"1h\"\nuniverse = \"top 30 by quote_volume(30d)\"\nscore = \"roc(7)\"\n\
            weights = \"top 10%, bottom 10%\"\n";
        let mut bytes = if json { JSON } else { TOML }.as_bytes().to_vec();
        for (at, drop, insert) in edits {
            let at = at % (bytes.len() + 1);
            let end = (at + drop).min(bytes.len());
            bytes.splice(at..end, insert.into_iter().take(8));
        }
        read_all(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn large_and_deep_texts_end_soon() {
    for part in ["(", "-", "close+", "close-", "a-", "abs(", "stddev(", "min(close,", "1/", "score ", "smooth 1,", "é"]
    {
        for text in [part.repeat(60_000 / part.len()), part.repeat(1_000_000 / part.len())] {
            assert!(text.parse::<Expression>().is_err());
            assert!(format!("score {text}").parse::<AnyStrategy>().is_err());
            assert!(format!("4h; universe top 30 by quote_volume(30d); score {text}").parse::<Ranking>().is_err());
            assert!(format!("weights {text}").parse::<Ranking>().is_err());
        }
    }
}

#[test]
fn neighbours_of_a_score_differ_in_one_parameter_of_an_indicator() {
    let text = "4h; universe top 30 by quote_volume(30d); score rsi(14) - delay(rsi(14), 6) + macd(12, 26) / close - ema(20) / \
                delay(close, 6); rebalance 1d; weights linear; gross 1";
    let ranking = match text.parse::<AnyStrategy>().unwrap() {
        AnyStrategy::Ranking(ranking) => ranking,
        AnyStrategy::Rules(_) => panic!("it ranks"),
    };
    let own = ranking.to_string();
    let scores: Vec<String> = score_neighbours(&ranking, 0.1).iter().map(ToString::to_string).collect();
    // Two numbers of the same value are moved one at a time, as in rules; look-backs are not the score's indicators.
    for moved in
        ["rsi(13)", "rsi(15)", "macd(11, 26)", "macd(13, 26)", "macd(12, 23)", "macd(12, 29)", "ema(18)", "ema(22)"]
    {
        assert!(scores.iter().any(|score| score.contains(moved)), "{moved}: {scores:?}");
    }
    assert_eq!(scores.len(), 2 * (1 + 1 + 2 + 1), "{scores:?}");
    assert!(scores.iter().all(|score| *score != own && score.contains("delay(close, 6)")), "{scores:?}");
    let (roc, _) = own.split_once("rsi").unwrap();
    let plain = format!("{roc}close / delay(close, 6) - 1; rebalance 1d; weights linear; gross 1");
    let AnyStrategy::Ranking(plain) = plain.parse().unwrap() else { panic!("it ranks") };
    assert_eq!(score_neighbours(&plain, 0.1), []);
}

//! Simplification against values: a plain evaluator on a small market sees the same members in the same places.
// Helpers outside test functions may fail a test.
#![allow(clippy::unwrap_used)]

use genome::random::Seed;
use genome::variation::{RankingVariation, random_ranking, simplify};
use genome::{Across, Binary, Expression, Number, Ranking, Rolling, Timeframe, Unary};
use rand::{Rng, RngExt};

const COINS: usize = 5;
const CANDLES: usize = 26;

/// Column of a part: a value a coin and candle; `None` is undefined.
type Column = Vec<Option<f64>>;

/// A market in which every series has few different values, so that there are ties, and holes.
struct Market(u64);

impl Market {
    fn series(&self, name: &str) -> Column {
        let mut rng = Seed(self.0).stream(name, 0);
        let signed = name.starts_with("funding") || name.starts_with("premium");
        let least = if signed { -3 } else { 1 };
        (0..COINS * CANDLES)
            .map(|_| rng.random_bool(0.97).then(|| f64::from(rng.random_range(least..4_i32)) * 0.7))
            .collect()
    }

    fn value(&self, x: &Expression) -> Column {
        let defined = |v: f64| v.is_finite().then_some(v);
        match x {
            Expression::Constant(number) => vec![Some(number.get()); COINS * CANDLES],
            Expression::Series(_) | Expression::Volatility { .. } => self.series(&x.to_string()),
            Expression::Unary(op, x) => {
                let each = |v: f64| match op {
                    Unary::Negate => Some(-v),
                    Unary::Abs => Some(v.abs()),
                    Unary::Log => (v > 0.0).then(|| v.ln()),
                    Unary::Sign => Some(if v == 0.0 { 0.0 } else { v.signum() }),
                };
                self.value(x).into_iter().map(|v| v.and_then(each)).collect()
            }
            Expression::Binary(op, x, y) => {
                let each = |x: f64, y: f64| match op {
                    Binary::Add => defined(x + y),
                    Binary::Subtract => defined(x - y),
                    Binary::Multiply => defined(x * y),
                    Binary::Divide => (y != 0.0).then(|| x / y).and_then(defined),
                    Binary::Min => Some(if y < x { y } else { x }),
                    Binary::Max => Some(if y > x { y } else { x }),
                };
                self.value(x).into_iter().zip(self.value(y)).map(|(x, y)| each(x?, y?)).collect()
            }
            Expression::Rolling(op, x, n) => {
                let back = usize::from(matches!(op, Rolling::Delay | Rolling::Delta));
                self.windows(&[x], *n as usize + back, |w| defined(over(*op, w[0])))
            }
            // Stand-ins: what they compute is not what is tried here, only that it depends on the same values.
            Expression::Correlation(x, y, n) => {
                self.windows(&[x, y], *n as usize, |w| defined(w[0].iter().zip(w[1]).map(|(x, y)| x * y).sum()))
            }
            Expression::Beta(x, n) => self.windows(&[x], *n as usize + 1, |w| defined(w[0][0] - w[0][w[0].len() - 1])),
            Expression::Across(op, x) => {
                let column = self.value(x);
                (0..COINS * CANDLES).map(|at| across(*op, column[at]?, &members(&column, at % CANDLES))).collect()
            }
        }
    }

    /// A function of the last `n` values of each part, all of them defined.
    fn windows(&self, parts: &[&Expression], n: usize, of: impl Fn(&[&[f64]]) -> Option<f64>) -> Column {
        let columns: Vec<Column> = parts.iter().map(|x| self.value(x)).collect();
        let at = |at: usize| {
            let first = (at % CANDLES + 1).checked_sub(n)? + at / CANDLES * CANDLES;
            let windows: Option<Vec<Vec<f64>>> =
                columns.iter().map(|c| c[first..=at].iter().copied().collect::<Option<Vec<f64>>>()).collect();
            let windows = windows?;
            of(&windows.iter().map(Vec::as_slice).collect::<Vec<_>>())
        };
        (0..COINS * CANDLES).map(at).collect()
    }
}

fn over(op: Rolling, w: &[f64]) -> f64 {
    let (n, last) = (w.len() as f64, w[w.len() - 1]);
    let mean = w.iter().sum::<f64>() / n;
    match op {
        Rolling::Delay => w[0],
        Rolling::Delta => last - w[0],
        Rolling::Mean => mean,
        Rolling::Sum => w.iter().sum(),
        Rolling::Deviation => (w.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt(),
        Rolling::Highest => w.iter().copied().fold(f64::MIN, f64::max),
        Rolling::Lowest => w.iter().copied().fold(f64::MAX, f64::min),
        Rolling::TsRank => rank(last, w),
        Rolling::Decay => {
            let total: f64 = w.iter().enumerate().map(|(i, v)| (i + 1) as f64 * v).sum();
            total / (n * (n + 1.0) / 2.0)
        }
    }
}

fn rank(own: f64, of: &[f64]) -> f64 {
    let below = of.iter().filter(|v| **v < own).count() as f64;
    let equal = of.iter().filter(|v| **v == own).count() as f64;
    (below + (equal - 1.0) / 2.0) / (of.len() as f64 - 1.0)
}

/// Defined values of all coins at a candle.
fn members(column: &Column, candle: usize) -> Vec<f64> {
    (0..COINS).filter_map(|coin| column[coin * CANDLES + candle]).collect()
}

fn across(op: Across, own: f64, of: &[f64]) -> Option<f64> {
    if of.len() < 2 {
        return None;
    }
    let mean = of.iter().sum::<f64>() / of.len() as f64;
    let value = match op {
        Across::Rank => rank(own, of),
        Across::Demean => own - mean,
        Across::Relative => own / mean,
        Across::ZScore => (own - mean) / (of.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / of.len() as f64).sqrt(),
    };
    value.is_finite().then_some(value)
}

/// Ranks of all coins at all candles; of fewer than two with a score, none.
fn order(score: &Expression, market: &Market) -> Column {
    let column = market.value(score);
    (0..COINS * CANDLES).map(|at| across(Across::Rank, column[at]?, &members(&column, at % CANDLES))).collect()
}

/// The expression with operators that do nothing, and some that do something, at places drawn by chance.
fn dressed(x: &Expression, rng: &mut impl Rng) -> Expression {
    let inside = |x: &Expression, rng: &mut _| Box::new(dressed(x, rng));
    let bare = match x {
        Expression::Unary(op, x) => Expression::Unary(*op, inside(x, rng)),
        Expression::Binary(op, x, y) => Expression::Binary(*op, inside(x, rng), inside(y, rng)),
        Expression::Rolling(op, x, n) => Expression::Rolling(*op, inside(x, rng), *n),
        Expression::Correlation(x, y, n) => Expression::Correlation(inside(x, rng), inside(y, rng), *n),
        Expression::Across(op, x) => Expression::Across(*op, inside(x, rng)),
        Expression::Beta(x, n) => Expression::Beta(inside(x, rng), *n),
        leaf => leaf.clone(),
    };
    if rng.random_bool(0.7) || bare.size() > 30 || matches!(bare, Expression::Constant(_)) {
        return bare;
    }
    let number = |value: f64| Box::new(Expression::Constant(Number::new(value).unwrap()));
    let own = bare.unit().unwrap();
    let x = Box::new(bare);
    let twice = |op: Rolling, n, m| Expression::Rolling(op, Box::new(Expression::Rolling(op, x.clone(), n)), m);
    let both = |op: Unary| Expression::Unary(op, Box::new(Expression::Unary(op, x.clone())));
    let dress = match rng.random_range(0..16) {
        0 => Expression::Binary(Binary::Multiply, x.clone(), number(1.0)),
        1 => Expression::Binary(Binary::Divide, x.clone(), number(1.0)),
        2 => Expression::Binary(Binary::Add, number(0.0), x.clone()),
        3 => Expression::Binary(Binary::Subtract, x.clone(), number(0.0)),
        4 => Expression::Binary(Binary::Min, x.clone(), x.clone()),
        5 => both(Unary::Abs),
        6 => both(Unary::Sign),
        7 => both(Unary::Negate),
        8 => twice(Rolling::Highest, 2, 3),
        9 => twice(Rolling::Lowest, 1, 2),
        10 => twice(Rolling::Delay, 2, 1),
        11 => Expression::Across(Across::Rank, Box::new(Expression::Across(Across::Rank, x.clone()))),
        12 => Expression::Binary(Binary::Subtract, number(0.0), x.clone()),
        13 => Expression::Binary(Binary::Divide, x.clone(), number(-1.0)),
        14 => twice(Rolling::Mean, 1, 2),
        _ => Expression::Across(Across::Demean, x.clone()),
    };
    if dress.unit().is_ok_and(|unit| unit == own) { dress } else { *x }
}

#[test]
fn members_keep_their_places() {
    let config = RankingVariation {
        timeframes: vec![Timeframe::D1],
        rebalance: vec![Timeframe::D1],
        lookback_days: (1, 4),
        readings: true,
        max_size: 12,
        ..RankingVariation::default()
    };
    let mut rng = Seed(21).stream("simplify", 0);
    let (mut shorter, mut ranked) = (0, 0);
    for round in 0..4000 {
        let plain = random_ranking(&config, &mut rng);
        let mut score = dressed(&plain.score, &mut rng);
        if rng.random_bool(0.3) {
            score = Expression::Across(Across::Rank, Box::new(score));
        }
        let Ok(dressed) = (Ranking { score, ..plain.clone() }).canonical() else { continue };
        let simple = simplify(&dressed);
        assert!(simple.is_canonical() && simplify(&simple) == simple, "{simple}");
        assert!(simple.score.size() <= dressed.score.size(), "{dressed}");
        shorter += u32::from(simple.score.size() < dressed.score.size());
        let market = Market(round);
        let (before, after) = (order(&dressed.score, &market), order(&simple.score, &market));
        let bits = |column: &Column| column.iter().map(|v| v.map(f64::to_bits)).collect::<Vec<_>>();
        assert_eq!(bits(&before), bits(&after), "{} became {}", dressed.score, simple.score);
        ranked += u32::from(before.iter().any(Option::is_some));
    }
    assert!(shorter > 1000 && ranked > 3000, "{shorter} shorter, {ranked} ranked");
}

#[test]
fn what_does_nothing_goes() {
    let simple = |score: &str| {
        let text = format!("4h; universe top 30 by quote_volume(30d); score {score}; weights linear; gross 1");
        simplify(&text.parse().unwrap()).score.to_string()
    };
    for (score, expected) in [
        ("cs_rank(close / open)", "close / open"),
        ("cs_rank(cs_rank(cs_rank(close / open)))", "close / open"),
        ("-cs_rank(cs_rank(close / open))", "-cs_rank(close / open)"),
        ("cs_rank(close / open) * 1 + cs_rank(-(-(high / low))) / 1", "cs_rank(high / low) + cs_rank(close / open)"),
        ("abs(cs_rank(abs(close - open) / abs(close)))", "abs(close - open) / close"),
        ("abs(close - open) / close", "abs(close - open) / close"),
        ("sign(sign(close - open))", "sign(close - open)"),
        ("0 - (close / open + 0)", "-(close / open)"),
        ("close / open * -1", "-(close / open)"),
        ("max(close / open, close / open)", "close / open"),
        ("close / highest(highest(high, 100), 200)", "close / highest(high, 299)"),
        ("close / delay(delay(close, 100), 200)", "close / delay(close, 300)"),
        ("close / highest(highest(high, 4000), 2000)", "close / highest(highest(high, 4000), 2000)"),
        ("close / lowest(low, 1)", "close / low"),
        // In exact arithmetic these do nothing, but values may round to one.
        ("close / open - 1", "close / open - 1"),
        ("2 * (close / open)", "close / open * 2"),
        ("cs_zscore(close / open)", "cs_zscore(close / open)"),
        ("close / open + cs_rank(cs_zscore(close / open))", "close / open + cs_rank(cs_zscore(close / open))"),
        ("log(close / open)", "log(close / open)"),
        ("close / highest(lowest(high, 10), 10)", "close / highest(lowest(high, 10), 10)"),
    ] {
        assert_eq!(simple(score), expected, "{score}");
    }
}

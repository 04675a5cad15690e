//! Markets of many coins: own characters that stay, lives, and edges of the cross-section; the same to the bit however asked.

use candles::time::DAY_MS;
use candles::{CandleSeries, Interval, Symbol};
use genome::random::Seed;
use simulated::{EdgeKind, EdgeSpec, MAX_COINS, MarketSpec, SimulatedMarket, SpecError};

/// 2024-01-01.
const START_MS: i64 = 1_704_067_200_000;

fn coins(seed: u64, count: u32, edges: &[&str]) -> SimulatedMarket {
    let mut spec = MarketSpec::coins(Seed(seed), START_MS, count, 700).expect("a market");
    spec.edges = edges.iter().map(|text| text.parse().expect("an edge")).collect();
    SimulatedMarket::new(spec).expect("a market")
}

fn of(market: &SimulatedMarket, number: usize, from_day: i64, to_day: i64) -> CandleSeries {
    let symbol = &market.spec().symbols[number].symbol;
    let (from_ms, to_ms) = (START_MS + from_day * DAY_MS, START_MS + to_day * DAY_MS);
    market.candles(symbol, Interval::H4, from_ms, to_ms).expect("candles of a symbol it has")
}

#[test]
fn candles_do_not_depend_on_what_was_asked_before() {
    for edges in [&[][..], &["rank_momentum:all:5"], &["rank_volume:all:5::2024-06-01:10:-1", "rank_reversal:all:3"]] {
        let (forward, backward) = (coins(3, 12, edges), coins(3, 12, edges));
        let all: Vec<CandleSeries> = (0..12).map(|n| of(&forward, n, 0, 700)).collect();
        for number in (0..12).rev() {
            for (from, to) in [(650, 700), (40, 90), (0, 700)] {
                let cut = all[number].slice(START_MS + from * DAY_MS, START_MS + to * DAY_MS);
                assert!(of(&backward, number, from, to) == cut, "{edges:?}: {number}, {from} to {to}");
            }
        }
        // Far more days than are kept: those that were dropped are made again, one symbol at a time.
        assert!(of(&forward, 5, 4_000, 4_030) == of(&backward, 5, 4_000, 4_030));
        assert!(of(&forward, 1, 100, 200) == all[1].slice(START_MS + 100 * DAY_MS, START_MS + 200 * DAY_MS));
    }
}

#[test]
fn what_is_to_come_changes_no_candle() {
    let plain = coins(4, 10, &["rank_momentum:all:6"]);
    let mut spec = plain.spec().clone();
    // Another end of the edge and of a coin, half a year from the start.
    let half_ms = START_MS + 180 * DAY_MS;
    spec.edges[0].end_ms = Some(half_ms);
    spec.symbols[0].delisted_ms = Some(half_ms);
    let other = SimulatedMarket::new(spec).expect("a market");
    for number in 0..10 {
        assert!(of(&plain, number, 0, 180) == of(&other, number, 0, 180), "{number}");
    }
    assert!(of(&other, 0, 180, 400).is_empty());
    assert!((1..10).any(|number| of(&plain, number, 180, 200) != of(&other, number, 180, 200)));
}

#[test]
fn coins_are_listed_late_and_delisted_at_once_or_after_fading() {
    let market = coins(5, 40, &[]);
    let (mut late, mut ended, mut faded) = (0, 0, 0);
    for (number, spec) in market.spec().symbols.iter().enumerate() {
        let series = of(&market, number, 0, 700);
        let (listed_ms, end_ms) = (spec.listed_ms.unwrap_or(START_MS), spec.delisted_ms.unwrap_or(i64::MAX));
        let end_ms = end_ms.min(START_MS + 700 * DAY_MS);
        let opens = series.open_times_ms();
        // Candles of 4h with a part of it, from the first to the last without a hole.
        assert!((0..4 * 3_600_000).contains(&(listed_ms - opens[0])) || opens[0] == listed_ms, "{}", spec.symbol);
        assert!((1..=4 * 3_600_000).contains(&(end_ms - opens[opens.len() - 1])), "{}", spec.symbol);
        assert!(opens.windows(2).all(|w| w[1] - w[0] == 4 * 3_600_000), "{}", spec.symbol);
        assert!(spec.is_traded(START_MS, listed_ms) && !spec.is_traded(START_MS, listed_ms - 1));
        let paid = market.funding_rates(&spec.symbol, START_MS, START_MS + 700 * DAY_MS).expect("payments");
        assert!(paid.iter().all(|f| (listed_ms..end_ms.max(listed_ms)).contains(&f.time_ms) || f.time_ms == end_ms));
        late += u32::from(spec.listed_ms.is_some());
        ended += u32::from(spec.delisted_ms.is_some());
        let Some(from_ms) = spec.fades_ms.filter(|from| *from > listed_ms + 20 * DAY_MS) else { continue };
        let volumes = series.quote_volumes();
        let at = opens.partition_point(|open| *open < from_ms);
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
        let (before, last) = (mean(&volumes[..at]), mean(&volumes[volumes.len() - 60..]));
        assert!(last < before / 100.0, "{}: {before} to {last}", spec.symbol);
        faded += 1;
    }
    assert_eq!((late, ended), (12, 10));
    assert!(faded >= 2, "{faded}");
}

/// Each coin's volatility and volume are its own for years, and all move together.
#[test]
fn characters_stay_and_one_factor_moves_all() {
    let market = coins(6, 16, &[]);
    let there: Vec<usize> = (0..16)
        .filter(|n| market.spec().symbols[*n].listed_ms.is_none() && market.spec().symbols[*n].delisted_ms.is_none())
        .collect();
    let moves = |number: usize, from: i64, to: i64| -> Vec<f64> {
        of(&market, number, from, to).closes().windows(2).map(|w| (w[1] / w[0]).ln()).collect()
    };
    let deviation = |r: &[f64]| (r.iter().map(|x| x * x).sum::<f64>() / r.len() as f64).sqrt();
    for &number in &there {
        let (first, second) = (deviation(&moves(number, 0, 350)), deviation(&moves(number, 350, 700)));
        assert!((first / second).ln().abs() < 0.3, "{number}: {first} {second}");
        let stated = market.spec().symbols[number].annual_volatility / 2_190f64.sqrt();
        assert!((first / stated).ln().abs() < 0.3, "{number}: {first}, stated {stated}");
    }
    let (a, b) = (moves(there[0], 0, 700), moves(there[1], 0, 700));
    let joint: f64 = a.iter().zip(&b).map(|(x, y)| x * y).sum::<f64>() / a.len() as f64;
    let correlation = joint / (deviation(&a) * deviation(&b));
    assert!((0.35..0.65).contains(&correlation), "{correlation}");
}

#[test]
fn impossible_coins_and_edges_are_refused_with_the_reason() {
    for count in [0, 1, MAX_COINS + 1] {
        let refused = MarketSpec::coins(Seed(1), START_MS, count, 10).expect_err("too few or too many");
        assert_eq!(refused, SpecError::Coins { asked: count, most: MAX_COINS });
    }
    let refused = |change: &dyn Fn(&mut MarketSpec)| {
        let mut spec = MarketSpec::coins(Seed(1), START_MS, 5, 10).expect("a market");
        change(&mut spec);
        SimulatedMarket::new(spec).expect_err("an impossible market").to_string()
    };
    let early = refused(&|s| s.symbols[1].listed_ms = Some(START_MS - 1));
    assert_eq!(early, format!("C02USDT is listed at {} ms, before the market's start at {START_MS} ms", START_MS - 1));
    let never = refused(&|s| s.symbols[1].delisted_ms = Some(START_MS));
    assert_eq!(never, format!("C02USDT is delisted at {START_MS} ms, but not listed before {START_MS} ms"));
    let edge = |text: &str| text.parse::<EdgeSpec>().expect("an edge");
    let alone = refused(&|s| s.edges.push(edge("rank_reversal:C01USDT:2")));
    assert_eq!(alone, "a rank_reversal edge ranks symbols, so it needs at least two");
    let volume = |days, against| {
        refused(&|s| {
            let kind = EdgeKind::RankVolume { days, against };
            s.edges.push(EdgeSpec::lasting(kind, Vec::new(), 1.0));
        })
    };
    assert_eq!(volume(5, 5), "an edge's against must be more than its days, to 365, not 5");
    assert_eq!(volume(0, 5), "an edge's days must be 1 to 365, not 0");
    assert!(edge("rank_momentum:all:3").symbols.is_empty());
    assert!(edge("rank_momentum:C01USDT+C02USDT:3").is_on(&"C02USDT".parse::<Symbol>().expect("a symbol")));
    assert!("rank_low:all:3".parse::<EdgeSpec>().expect_err("no such kind").to_string().contains("rank_momentum"));
    // What it ranks is what the strategy of the same kind ranks.
    for kind in ["rank_momentum", "rank_reversal", "rank_volume"] {
        let text = kind.parse::<EdgeKind>().expect("a kind").ideal_ranking().expect("it ranks");
        assert_eq!(text.parse::<genome::Ranking>().expect("a strategy").to_string(), text);
    }
    assert_eq!("momentum".parse::<EdgeKind>().expect("a kind").ideal_ranking(), None);
}

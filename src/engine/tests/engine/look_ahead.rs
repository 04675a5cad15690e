//! Every series in every comparison, on several symbols and on a higher timeframe: cut the future off, or put another
//! one in its place, and no trade that ended before changes. A planted leak is caught.

use crate::{
    agreement::{candles, series, trade_bits},
    support::{START_MS, compare, number},
};
use candles::{Candle, MarketKind, interval};
use engine::{Engine, SymbolWindow, Terms, Trade, Wanted, Window, columns::compute_column};
use genome::{
    Comparison, Indicator, IndicatorKind, Operand, PriceField, Rule, Series, SideRules, Source, Strategy, Timeframe,
    random::Seed,
};
use std::sync::Arc;

const COMPARISONS: [Comparison; 4] =
    [Comparison::Above, Comparison::Below, Comparison::CrossesAbove, Comparison::CrossesBelow];
const LEN: usize = 900;

fn sources() -> Vec<Source> {
    let customary = |kind| Source::Indicator(Indicator::new(kind, &[]).unwrap());
    let candles_own = IndicatorKind::all().iter().filter(|spec| !spec.kind.is_of_market());
    let indicators = candles_own.map(|spec| customary(spec.kind));
    PriceField::ALL.into_iter().map(Source::Price).chain(indicators).collect()
}

/// For each series, comparison and timeframe a strategy that enters when it is above (or the like) its own median
/// and leaves when it is not.
fn population(market: &[Vec<Candle>]) -> Vec<Strategy> {
    let base = series(Timeframe::M15, &market[0]);
    let mut population = Vec::new();
    for source in sources() {
        for timeframe in [None, Some(Timeframe::H1)] {
            let left = Series { source, timeframe, across: None };
            let column = compute_column(&left, &base, &base).unwrap();
            let mut values: Vec<f64> = (0..column.len()).filter_map(|i| column.get(i)).collect();
            values.sort_by(f64::total_cmp);
            let median = values.get(values.len() / 2).copied().unwrap_or(0.0);
            for comparison in COMPARISONS {
                let rule = compare(left, comparison, Operand::Constant(number(median)));
                let rules = SideRules { entry: rule.clone(), exit: Some(Rule::Not(Box::new(rule))) };
                population.push(Strategy {
                    timeframe: Timeframe::M15,
                    long: Some(rules),
                    short: None,
                    risk: genome::RiskPlan::default(),
                    filters: genome::Filters::default(),
                    universe: None,
                });
            }
        }
    }
    population
}

fn window(market: &[Vec<Candle>]) -> Window {
    let symbol = |(name, candles): (&str, &Vec<Candle>)| SymbolWindow {
        market: MarketKind::Spot,
        symbol: name.parse().unwrap(),
        candles: series(Timeframe::M15, candles),
        finer: Vec::new(),
        funding: Arc::new([]),
        readings: Arc::default(),
        across: Arc::default(),
    };
    let symbols: Vec<SymbolWindow> = ["BTCUSDT", "ETHUSDT", "SOLUSDT"].into_iter().zip(market).map(symbol).collect();
    let end = symbols.iter().filter_map(|s| s.candles.last_close_time_ms()).max().unwrap();
    Window::new(START_MS, end + 1, symbols).unwrap()
}

/// Trades of each strategy that ended in candles closed before `known_ms`.
fn known(population: &[Strategy], market: &[Vec<Candle>], known_ms: i64) -> Vec<Vec<String>> {
    let engine = Engine::default();
    let wanted = Wanted { ledger: true, ..Wanted::default() };
    let end =
        |t: &Trade| interval::close_time_ms(Timeframe::M15, interval::open_time_ms(Timeframe::M15, t.exit_time_ms));
    engine
        .evaluate(population, &window(market), &Terms::default(), wanted)
        .into_iter()
        .map(|outcome| {
            let trades = outcome.unwrap().ledger.unwrap().trades;
            trades.iter().filter(|t| end(t) < known_ms).map(trade_bits).collect()
        })
        .collect()
}

fn market() -> Vec<Vec<Candle>> {
    let rng = &mut Seed(19).stream("look-ahead", 1);
    (0..3).map(|_| candles(rng, Timeframe::M15, 0, LEN, 0.01)).collect()
}

/// The strategies whose past a change of the future changes. `see` is what a strategy is shown of the candles.
fn leaks(see: impl Fn(&[Candle]) -> Vec<Candle>) -> Vec<usize> {
    let market = market();
    let population = population(&market);
    let shown = |market: &[Vec<Candle>]| market.iter().map(|candles| see(candles)).collect::<Vec<_>>();
    let (mut leaking, mut ended) = (Vec::new(), 0);
    for cut in [450, 451, 702] {
        let known_ms = START_MS + 900_000 * cut;
        let past = |c: &Candle| c.open_time_ms < known_ms;
        let whole = known(&population, &shown(&market), known_ms);
        ended += whole.iter().map(Vec::len).sum::<usize>();
        let cut_off: Vec<Vec<Candle>> =
            market.iter().map(|s| s.iter().filter(|c| past(c)).copied().collect()).collect();
        let changed: Vec<Vec<Candle>> = market
            .iter()
            .map(|s| {
                let mut other = s.clone();
                for (k, c) in other.iter_mut().enumerate().filter(|(_, c)| !past(c)) {
                    let factor = if k % 2 == 0 { 1.3 } else { 0.8 };
                    for price in [&mut c.open, &mut c.high, &mut c.low, &mut c.close] {
                        *price *= factor;
                    }
                    c.volume = c.volume * 3.0 + 1.0;
                }
                other
            })
            .collect();
        for other in [&cut_off, &changed] {
            // What is open when the candles end is closed there: an end that the whole market does not have.
            let other = known(&population, &shown(other), known_ms);
            let differs = |k: &usize| {
                let without_end = |trades: &[String]| {
                    trades.iter().filter(|t| !t.contains("EndOfWindow")).cloned().collect::<Vec<_>>()
                };
                without_end(&whole[*k]) != without_end(&other[*k])
            };
            leaking.extend((0..population.len()).filter(differs));
        }
    }
    assert!(ended > 20 * population.len(), "{ended} trades ended in time: too few to mean anything");
    leaking.sort_unstable();
    leaking.dedup();
    leaking
}

#[test]
fn no_series_in_any_comparison_looks_ahead() {
    let leaking: Vec<String> = {
        let population = population(&market());
        leaks(<[Candle]>::to_vec).into_iter().map(|k| population[k].to_string()).collect()
    };
    assert!(leaking.is_empty(), "{leaking:#?}");
}

#[test]
fn a_planted_leak_is_caught() {
    // Every candle closes where the one four hours later will.
    let leaky = |candles: &[Candle]| {
        let mut shifted = candles.to_vec();
        for k in 16..candles.len() {
            let (close, c) = (candles[k].close, &mut shifted[k - 16]);
            (c.close, c.high, c.low) = (close, c.high.max(close), c.low.min(close));
        }
        shifted
    };
    let caught = leaks(leaky).len();
    assert!(caught > 20, "the leak was caught in {caught} strategies");
}

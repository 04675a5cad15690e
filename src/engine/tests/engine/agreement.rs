//! The engine against the plain backtest, trade for trade and bit for bit; no look-ahead; growing windows.
//!
//! `SG_AGREEMENT_CASES` (2,000) random strategies meet random markets: gaps, candles without volume, constant prices,
//! windows of one candle, several symbols that lack different candles, finer candles, funding, every cost model.
//! The long run: `SG_AGREEMENT_CASES=100000 cargo test --release -p sg-ai-engine --test engine agreement`.

use crate::{
    plain,
    support::{START_MS, candle, compare, indicator, number, percent, price},
};
use candles::{Candle, CandleSeries, MarketKind, interval};
use engine::{
    Costs, DailyEquity, Engine, FillOn, FundingRate, Outcome, Performance, Slippage, SymbolRun, SymbolWindow, Terms,
    Trade, Wanted, Width, Window,
};
use genome::{
    Comparison, Distance, Filters, IndicatorKind, Operand, PartialTakeProfit, PriceField, Recovery, Rule, Size,
    Strategy, Timeframe,
    random::Seed,
    variation::{self, VariationConfig},
};
use rand::{Rng, RngExt};
use std::sync::Arc;

const CAPITAL: f64 = 10_000.0;
const BATCH: usize = 50;

fn chance(rng: &mut impl Rng, p: f64) -> bool {
    rng.random::<f64>() < p
}

/// A strategy from the search's own generator, with what it draws seldom or never added.
pub(crate) fn strategy(rng: &mut impl Rng) -> Strategy {
    let config = VariationConfig {
        timeframes: vec![Timeframe::M15, Timeframe::M15, Timeframe::M15, Timeframe::M30, Timeframe::H1, Timeframe::H4],
        max_lookback_days: 1,
        free_probability: 0.5,
        max_leverage: 5.0,
        recovery_probability: 0.2,
        stop_required: false,
        ..VariationConfig::default()
    };
    let mut strategy = variation::random(&config, rng);
    for side in [&mut strategy.long, &mut strategy.short].into_iter().flatten() {
        if chance(rng, 0.2) {
            side.entry = Rule::Not(Box::new(side.entry.clone()));
        }
        // Many random rules hardly ever hold; something that happens keeps the trade loop busy.
        if chance(rng, 0.5) {
            let average = indicator(IndicatorKind::Ema, &[7.0]);
            let often = compare(price(PriceField::Close), Comparison::CrossesAbove, Operand::Series(average));
            side.entry = Rule::Or(vec![side.entry.clone(), often]);
        }
        if chance(rng, 0.2)
            && let Some(exit) = side.exit.take()
        {
            side.exit = Some(Rule::Or(vec![exit.clone(), Rule::Not(Box::new(Rule::And(vec![exit.clone(), exit])))]));
        }
    }
    if chance(rng, 0.2) {
        let short = strategy.short.take();
        strategy.short = strategy.long.clone().or(short);
    }
    let risk = &mut strategy.risk;
    if chance(rng, 0.3) {
        risk.stop_loss = percent(0.3);
    }
    if chance(rng, 0.3) {
        let at = Distance::Atr { multiple: number(0.7), period: 5 };
        risk.partial_take_profit = Some(PartialTakeProfit { at, fraction: number(0.4) });
    }
    if chance(rng, 0.2) {
        risk.break_even = percent(0.2);
    }
    if chance(rng, 0.2) {
        risk.trailing_stop = percent(0.4);
    }
    if chance(rng, 0.2) {
        risk.time_exit_bars = Some(rng.random_range(1..6));
    }
    if chance(rng, 0.2) {
        (risk.size, risk.leverage) = (Size::Fraction(number(8.0)), number(6.0));
    }
    if chance(rng, 0.1) {
        risk.recovery = Some(Recovery { multiplier: number(1.7), max_steps: 3 });
    }
    if chance(rng, 0.3) {
        strategy.filters = Filters { min_confidence: Some(number(0.6)), ..strategy.filters };
    }
    strategy
}

/// Candles that can do anything that a market can.
pub(crate) fn candles(rng: &mut impl Rng, interval: Timeframe, from: usize, to: usize, gaps: f64) -> Vec<Candle> {
    let step_ms = interval.fixed_ms().unwrap();
    let (mut price, constant) = (100.0_f64, chance(rng, 0.05));
    let wild = if chance(rng, 0.1) { 0.2 } else { 0.004 };
    let mut series = Vec::new();
    for k in from..to {
        if chance(rng, gaps) && !series.is_empty() {
            continue;
        }
        let mut path = [price; 5];
        if !constant && !chance(rng, 0.05) {
            for i in 0..4 {
                path[i + 1] = (path[i] * (1.0 + wild * (rng.random::<f64>() - 0.5))).max(0.01);
            }
            // Opens can jump, and prices meet levels more often when they lie on ticks.
            path[0] = if chance(rng, 0.1) { path[0] * 1.01 } else { path[0] };
            path = path.map(|p| (p * 10.0).round().max(1.0) / 10.0);
        }
        let high = path.iter().copied().fold(0.0, f64::max);
        let low = path.iter().copied().fold(f64::INFINITY, f64::min);
        price = path[4];
        let volume = if chance(rng, 0.05) { 0.0 } else { rng.random::<f64>() * 1000.0 };
        series.push(candle(interval, START_MS + k as i64 * step_ms, [path[0], high, low, price], volume));
    }
    series
}

pub(crate) fn series(interval: Timeframe, candles: &[Candle]) -> Arc<CandleSeries> {
    Arc::new(CandleSeries::from_candles(interval, candles).unwrap())
}

fn window(rng: &mut impl Rng) -> Window {
    let lengths = [1, 2, 64, 65, 300, 500, 700, 900];
    let n = lengths[rng.random_range(0..lengths.len())];
    let gaps = if chance(rng, 0.5) { 0.0 } else { 0.05 };
    let symbols = ["BTCUSDT", "ETHUSDT", "SOLUSDT"][..rng.random_range(1..4)].iter().map(|name| {
        let from = if chance(rng, 0.2) { rng.random_range(0..n) } else { 0 };
        let funding = chance(rng, 0.3);
        // Candles of both are missing here and there: then the coarser ones, or none, cover a candle.
        let mut finer = Vec::new();
        for (of, count, gaps) in [(Timeframe::M1, 15 * n, 0.02), (Timeframe::M5, 3 * n, 0.2)] {
            if chance(rng, 0.3) {
                finer.push(series(of, &candles(rng, of, 0, count, gaps)));
            }
        }
        SymbolWindow {
            market: MarketKind::Um,
            symbol: name.parse().unwrap(),
            candles: series(Timeframe::M15, &candles(rng, Timeframe::M15, from, n, gaps)),
            finer,
            funding: (0..if funding { n / 5 } else { 0 })
                .map(|k| FundingRate {
                    time_ms: START_MS + k as i64 * 3_600_000 + rng.random_range(0..2) * 7,
                    rate: 0.01 * (rng.random::<f64>() - 0.5),
                })
                .collect(),
            readings: Arc::default(),
            across: Arc::default(),
        }
    });
    let symbols: Vec<SymbolWindow> = symbols.collect();
    let last = symbols.iter().map(|s| s.candles.last_close_time_ms().unwrap()).min().unwrap();
    let end = symbols.iter().map(|s| s.candles.last_close_time_ms().unwrap()).max().unwrap();
    let warm_up_ms = (last - START_MS) / 900_000 / 4 * 900_000;
    let from_ms = if chance(rng, 0.5) { START_MS } else { START_MS + warm_up_ms };
    let to_ms = if chance(rng, 0.3) { end + 90_000_000 } else { end + 1 };
    Window::new(from_ms, to_ms, symbols).unwrap()
}

fn costs(rng: &mut impl Rng) -> Costs {
    let slippage = match rng.random_range(0..4) {
        0 => Slippage::Atr { fraction: 0.1 },
        1 => Slippage::SquareRoot { coefficient: 0.05 },
        2 => Slippage::Fixed { bps: 30.0 },
        _ => Slippage::Fixed { bps: 0.0 },
    };
    let borrow_rate_per_year = if chance(rng, 0.3) { 0.4 } else { 0.0 };
    let max_slippage_bps = chance(rng, 0.3).then_some(12.0);
    Costs { slippage, fee_fraction: 0.0004, borrow_rate_per_year, max_slippage_bps, ..Costs::default() }
}

/// Fills at the next open, and here and there at the close.
fn terms(costs: Costs, number: usize) -> Terms {
    let fill_on = if number % 3 == 2 { FillOn::Close } else { FillOn::NextOpen };
    Terms { initial_capital: CAPITAL, costs, fill_on }
}

/// Everything of a trade, floating point numbers as bits.
pub(crate) fn trade_bits(t: &Trade) -> String {
    let numbers = [
        t.entry_price,
        t.exit_price,
        t.quantity,
        t.profit,
        t.return_fraction,
        t.fees,
        t.slippage,
        t.funding,
        t.risk.unwrap_or(f64::NAN),
    ];
    let what = (&t.symbol, t.side, t.entry_time_ms, t.exit_time_ms, t.exit_reason, t.bars);
    format!("{what:?} {:x?}", numbers.map(f64::to_bits))
}

fn assert_same_trades(ours: &[Trade], plain: &[Trade], context: &dyn Fn() -> String) {
    for (k, (a, b)) in ours.iter().zip(plain).enumerate() {
        assert!(trade_bits(a) == trade_bits(b), "trade {k}: {a:?} is not {b:?}\n{}", context());
    }
    assert_eq!(ours.len(), plain.len(), "{}", context());
}

fn assert_same_equity(ours: &[DailyEquity], plain: &[DailyEquity], context: &dyn Fn() -> String) {
    let bits = |e: &DailyEquity| (e.time_ms, e.equity.to_bits());
    for (a, b) in ours.iter().zip(plain) {
        assert!(bits(a) == bits(b), "{a:?} is not {b:?}\n{}", context());
    }
    assert_eq!(ours.len(), plain.len(), "{}", context());
}

/// The window, less whole candles that are missing at its ends in all symbols: `total` has a value at each close.
fn span(total: &[DailyEquity], strategy: &Strategy, window: &Window) -> (i64, i64) {
    let length_ms = strategy.timeframe.fixed_ms().unwrap();
    let (mut from_ms, mut to_ms) = (window.from_ms(), window.to_ms());
    if let (Some(first), Some(last)) = (total.first(), total.last()) {
        if first.time_ms - length_ms - from_ms >= length_ms {
            from_ms = first.time_ms - length_ms;
        }
        if to_ms - last.time_ms >= length_ms {
            to_ms = last.time_ms;
        }
    }
    (from_ms, to_ms)
}

/// Equity at the start, each midnight and the end, read off a curve.
fn daily(curve: &[DailyEquity], start: f64, (from_ms, to_ms): (i64, i64)) -> Vec<DailyEquity> {
    const DAY_MS: i64 = 86_400_000;
    let midnights = (from_ms / DAY_MS + 1..).map(|day| day * DAY_MS).take_while(|&t| t < to_ms);
    let at = |time_ms: i64| curve.iter().rev().find(|e| e.time_ms <= time_ms).map_or(start, |e| e.equity);
    let times = std::iter::once(from_ms).chain(midnights).chain(std::iter::once(to_ms));
    times.map(|time_ms| DailyEquity { time_ms, equity: at(time_ms) }).collect()
}

pub(crate) fn assert_agrees(outcome: &Outcome, strategy: &Strategy, window: &Window, terms: &Terms) {
    let context = || format!("{strategy:#?}\n{terms:?}");
    let runs: Vec<SymbolRun> =
        (0..window.symbols().len()).map(|s| plain::simulate_symbol(strategy, window, s, terms).unwrap()).collect();
    let ledger = outcome.ledger.as_ref().unwrap();
    let by_symbol: Vec<Trade> = runs.iter().flat_map(|run| run.trades.clone()).collect();
    let mut trades = by_symbol.clone();
    trades.sort_by_key(|t| t.entry_time_ms);
    assert_same_trades(&ledger.trades, &trades, &context);

    let start = runs.iter().map(|_| CAPITAL / runs.len() as f64).sum();
    let curve = plain::total_equity(window, &runs, CAPITAL);
    let span = span(&curve, strategy, window);
    assert_same_equity(&ledger.daily_equity, &daily(&curve, start, span), &context);
    // Written out, a number has all its bits, the sign of a zero too.
    let same = |ours: &Performance, plain: Performance| {
        let (ours, plain) = (format!("{ours:#?}"), format!("{plain:#?}"));
        assert!(ours == plain, "{ours}\nis not\n{plain}\n{}", context());
    };
    let days = daily(&curve, start, span);
    let candles = runs.iter().map(|run| run.equity.len()).sum();
    same(&outcome.performance, plain::performance::performance(&by_symbol, &days, &curve, candles));
    assert_eq!(format!("{:?}", outcome.daily_returns), format!("{:?}", plain::performance::daily_returns(&days)));
    for (ours, run) in outcome.per_symbol.iter().zip(&runs) {
        let days = daily(&run.equity, CAPITAL / runs.len() as f64, span);
        same(ours, plain::performance::performance(&run.trades, &days, &run.equity, run.equity.len()));
    }
    // Of the ledger, as its documentation says it.
    let risks: Vec<f64> = trades.iter().map(|t| t.risk.unwrap_or(t.quantity * t.entry_price)).collect();
    let full = trades.iter().zip(&risks).filter(|(t, risk)| t.profit <= -0.8 * **risk).count();
    let stake = (!trades.is_empty()).then(|| (risks.iter().sum::<f64>() / trades.len() as f64 / start, full as u32));
    let ours = outcome.stake.map(|s| (s.fraction.to_bits(), s.full_losses));
    assert_eq!(ours, stake.map(|(fraction, full)| (fraction.to_bits(), full)), "{}", context());
    let text = format!("{outcome:?}");
    assert!(!text.contains("NaN") && !text.contains("inf"), "{text}\n{}", context());
}

#[test]
fn the_engine_agrees_with_the_plain_backtest() {
    let cases: usize = std::env::var("SG_AGREEMENT_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(2_000);
    // A small cache, so that what leaves it is missed, too.
    let engine = Engine::new(1);
    let wanted = Wanted { ledger: true, per_symbol: true, summary_only: false };
    let (mut trades, mut traded) = (0, 0);
    for batch in 0..cases.div_ceil(BATCH) {
        let rng = &mut Seed(11).stream("agreement", batch as u64);
        let population: Vec<Strategy> = (0..BATCH).map(|_| strategy(rng)).collect();
        let (window, costs) = (window(rng), costs(rng));
        let terms = terms(costs, batch);
        let outcomes = engine.evaluate(&population, &window, &terms, wanted);
        for (strategy, outcome) in population.iter().zip(&outcomes) {
            let outcome = outcome.as_ref().unwrap();
            assert_agrees(outcome, strategy, &window, &terms);
            trades += outcome.performance.total_trades;
            traded += usize::from(outcome.performance.total_trades > 0);
        }
        // Once more, now from the cache, on one thread, and symbol by symbol.
        if batch % 10 == 0 {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
            let again = pool.install(|| engine.evaluate(&population, &window, &terms, wanted));
            assert_eq!(format!("{outcomes:?}"), format!("{again:?}"));
            // What a ledger is not wanted for is the same without one; and a strategy alone, its symbols side by side.
            let without = engine.evaluate(&population, &window, &terms, Wanted { ledger: false, ..wanted });
            let stripped: Vec<_> = outcomes.iter().cloned().map(|o| o.map(|o| Outcome { ledger: None, ..o })).collect();
            assert_eq!(format!("{stripped:?}"), format!("{without:?}"));
            // However wide the vectors are.
            for width in Width::all() {
                let of_width = Engine::new(1).of_width(width).evaluate(&population, &window, &terms, wanted);
                assert_eq!(format!("{outcomes:?}"), format!("{of_width:?}"), "{}", width.name());
            }
            // However little memory there is for it, and whatever was forgotten.
            let (narrow, none) = (Engine::within(1, 1), Engine::within(1, 0));
            for engine in [&narrow, &none, &narrow] {
                let cut = engine.evaluate(&population, &window, &terms, wanted);
                assert_eq!(format!("{outcomes:?}"), format!("{cut:?}"));
                let before = engine.cache_use();
                engine.forget();
                assert_eq!(engine.cache_use(), engine::CacheUse { bytes: 0, ..before });
            }
            for (strategy, outcome) in population.iter().zip(&outcomes).take(3) {
                let alone = engine.evaluate(std::slice::from_ref(strategy), &window, &terms, wanted);
                assert_eq!(format!("{:?}", alone[0]), format!("{outcome:?}"));
            }
            for strategy in &population {
                for s in 0..window.symbols().len() {
                    let ours = engine.simulate_symbol(strategy, &window, s, &terms).unwrap();
                    let plain = plain::simulate_symbol(strategy, &window, s, &terms).unwrap();
                    assert_same_trades(&ours.trades, &plain.trades, &|| format!("{strategy:#?}"));
                    assert_same_equity(&ours.equity, &plain.equity, &|| format!("{strategy:#?}"));
                }
            }
        }
    }
    println!("{cases} strategies, {traded} of them with trades, {trades} trades in all");
    assert!(traded * 5 > cases, "too few of them traded for the test to mean anything: {traded} of {cases}");
}

/// Whether a run knows at candle `cut - 1` what comes after: whether changing all later candles changes its equity
/// up to there or the trades that ended in candles of its timeframe closed by then. (What a fill at an open costs may
/// depend on its own candle's volume.)
fn looks_ahead(run: &dyn Fn(&[Candle]) -> SymbolRun, timeframe: Timeframe, candles: &[Candle], cut: usize) -> bool {
    let mut changed = candles.to_vec();
    for (k, c) in changed.iter_mut().enumerate().skip(cut) {
        let factor = if k % 2 == 0 { 1.07 } else { 0.94 };
        for price in [&mut c.open, &mut c.high, &mut c.low, &mut c.close] {
            *price *= factor;
        }
        c.volume = c.volume * 2.0 + 1.0;
    }
    let known_ms = candles[cut - 1].close_time_ms + 1;
    let end_of = |t: &Trade| interval::close_time_ms(timeframe, interval::open_time_ms(timeframe, t.exit_time_ms));
    let known = |run: SymbolRun| {
        let trades: Vec<String> = run.trades.iter().filter(|t| end_of(t) < known_ms).map(trade_bits).collect();
        let equity: Vec<u64> =
            run.equity.iter().filter(|e| e.time_ms <= known_ms).map(|e| e.equity.to_bits()).collect();
        (trades, equity)
    };
    known(run(candles)) != known(run(&changed))
}

fn one_symbol(candles: &[Candle], to_ms: i64) -> Window {
    let symbol = SymbolWindow {
        market: MarketKind::Um,
        symbol: "BTCUSDT".parse().unwrap(),
        candles: series(Timeframe::M15, candles),
        finer: Vec::new(),
        funding: Arc::new([]),
        readings: Arc::default(),
        across: Arc::default(),
    };
    Window::new(START_MS, to_ms, vec![symbol]).unwrap()
}

#[test]
fn no_strategy_looks_ahead_and_a_planted_leak_is_caught() {
    let engine = Engine::default();
    let rng = &mut Seed(12).stream("look-ahead", 0);
    let mut caught = 0;
    for number in 0..150 {
        let (strategy, costs) = (strategy(rng), costs(rng));
        let terms = terms(costs, number);
        let market = candles(rng, Timeframe::M15, 0, 400, 0.02);
        let to_ms = market[market.len() - 1].close_time_ms + 1;
        let honest =
            |candles: &[Candle]| engine.simulate_symbol(&strategy, &one_symbol(candles, to_ms), 0, &terms).unwrap();
        // The leak: every candle closes where the next one will.
        let leaky = |candles: &[Candle]| {
            let mut shifted = candles.to_vec();
            for k in 1..candles.len() {
                let (close, c) = (candles[k].close, &mut shifted[k - 1]);
                (c.close, c.high, c.low) = (close, c.high.max(close), c.low.min(close));
            }
            honest(&shifted)
        };
        for cut in [100, 200, 317] {
            assert!(!looks_ahead(&honest, strategy.timeframe, &market, cut), "at {cut}: {strategy:#?}");
            caught += usize::from(looks_ahead(&leaky, strategy.timeframe, &market, cut));
        }
    }
    assert!(caught > 10, "the leak was caught only {caught} times of 450");
}

#[test]
fn a_longer_window_changes_nothing_but_the_open_position() {
    let engine = Engine::default();
    let rng = &mut Seed(13).stream("growing", 0);
    let mut closed = 0;
    for number in 0..60 {
        let (strategy, costs) = (strategy(rng), costs(rng));
        let terms = terms(costs, number);
        let market = candles(rng, Timeframe::M15, 0, 330, 0.02);
        let run = |n: usize| {
            let window = one_symbol(&market[..n], market[n - 1].close_time_ms + 1);
            engine.simulate_symbol(&strategy, &window, 0, &terms).unwrap()
        };
        let mut before = run(280);
        for n in 281..300 {
            let after = run(n);
            let still_open = before.trades.last().is_some_and(|t| t.exit_reason == engine::ExitReason::EndOfWindow);
            let settled = before.trades.len() - usize::from(still_open);
            closed += settled;
            let bits = |trades: &[Trade]| trades.iter().map(trade_bits).collect::<Vec<_>>();
            assert_eq!(bits(&before.trades[..settled]), bits(&after.trades[..settled]));
            // The last candle's equity has the closing in it.
            let equal = before.equity.len().saturating_sub(1);
            assert_eq!(before.equity[..equal], after.equity[..equal]);
            before = after;
        }
    }
    assert!(closed > 0);
}

//! Random markets and strategies: gaps, late listings, deaths and returns, cuts, exclusions, ties, funding off the grid.

use candles::{Candle, CandleSeries, FundingRate, InstrumentTable, Interval, MarketKind, readings::MarketReadings};
use engine::{Costs, FillOn, Slippage};
use genome::{
    Across, Binary, Expression, Form, Number, PriceField, Ranking, Rolling, Series, Source, Unary, Universe, Weights,
};
use portfolio::{Execution, PortfolioTerms, Ticker};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub(crate) const DAY: i64 = 86_400_000;

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) market: MarketKind,
    pub(crate) tickers: Vec<Ticker>,
    pub(crate) table: InstrumentTable,
    pub(crate) from: i64,
    pub(crate) to: i64,
}

pub(crate) fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// A market of 4h candles over some weeks. With `ties`, prices are few multiples of 1/4 and volumes small integers.
pub(crate) fn world(rng: &mut impl Rng, ties: bool) -> World {
    let step = 4 * 3_600_000;
    let start = 100 * DAY;
    let slots = rng.random_range(60..150);
    let market = if rng.random_bool(0.5) { MarketKind::Spot } else { MarketKind::Um };
    let mut table = "ticker,kind,first_candle_of_the_new,reason\n".to_owned();
    let mut tickers = Vec::new();
    for number in 0..rng.random_range(3..8) {
        let symbol = format!("C{number}USDT");
        let first = if rng.random_bool(0.3) { rng.random_range(0..slots / 2) } else { 0 };
        let last = if rng.random_bool(0.3) { rng.random_range(slots / 2..slots) } else { slots };
        let hole = if rng.random_bool(0.3) {
            let begin = rng.random_range(0..slots);
            begin..begin + rng.random_range(1..60)
        } else {
            0..0
        };
        let mut price: f64 = if ties { 8.0 } else { 10.0_f64.powf(rng.random_range(-6.0..4.0)) };
        let mut candles = Vec::new();
        for slot in first..last {
            let mut next = || {
                let step: f64 = rng.random_range(-0.05..0.05);
                price = if ties { ((price + step * 20.0) * 4.0).round().max(4.0) / 4.0 } else { price * step.exp() };
                price
            };
            let (open, close) = (next(), next());
            let (high, low) = if ties {
                (open.max(close), open.min(close))
            } else {
                (
                    open.max(close) * (1.0 + rng.random_range(0.0..0.02)),
                    open.min(close) * (1.0 - rng.random_range(0.0..0.02)),
                )
            };
            let volume =
                if ties { f64::from(rng.random_range(0..3)) } else { rng.random_range(1.0..1000.0) / price * 10.0 };
            let quote_volume = if rng.random_bool(0.5) { 0.0 } else { volume * close * 1.01 };
            if hole.contains(&slot) || rng.random_bool(0.02) {
                continue;
            }
            let open_time_ms = start + slot as i64 * step;
            candles.push(Candle {
                open_time_ms,
                open,
                high,
                low,
                close,
                volume,
                close_time_ms: open_time_ms + step - 1,
                quote_volume,
                trade_count: 1,
                taker_buy_volume: volume / 2.0,
                taker_buy_quote_volume: quote_volume / 2.0,
            });
        }
        if rng.random_bool(0.2) {
            let day = 100 + rng.random_range(0..slots / 6) as i64;
            let date = chrono_date(day);
            table.push_str(&format!("{symbol},cut,{date},\n"));
        }
        if rng.random_bool(0.1) {
            table.push_str(&format!("{symbol},exclude,,\n"));
        }
        let mut funding = Vec::new();
        if market == MarketKind::Um && rng.random_bool(0.8) {
            let every = [3_600_000, 8 * 3_600_000, 5 * 3_600_000][rng.random_range(0..3)];
            let end = start + slots as i64 * step;
            let mut time_ms = start;
            while time_ms <= end {
                funding.push(FundingRate { time_ms, rate: rng.random_range(-0.002..0.003) });
                time_ms += every;
            }
        }
        tickers.push(Ticker {
            symbol: symbol.parse().unwrap(),
            candles: CandleSeries::from_candles(Interval::H4, &candles).unwrap(),
            funding,
            readings: MarketReadings::default(),
        });
    }
    let from = start + rng.random_range(0..slots as i64 / 2) * step;
    let to = start + rng.random_range(slots as i64 / 2..slots as i64 + 40) * step;
    World { market, tickers, table: table.parse().unwrap(), from, to }
}

/// Day `days` since the epoch as a date.
fn chrono_date(days: i64) -> String {
    // 1970 is no leap year, and no world lasts longer.
    let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let (mut month, mut left) = (0, days);
    while left >= lengths[month] {
        left -= lengths[month];
        month += 1;
    }
    format!("1970-{:02}-{:02}", month + 1, left + 1)
}

fn series(field: PriceField) -> Expression {
    Expression::Series(Series { source: Source::Price(field), timeframe: None, across: None })
}

/// An expression. With `exact`, of operators that round nothing.
pub(crate) fn expression(rng: &mut impl Rng, depth: usize, exact: bool) -> Expression {
    let leaf = |rng: &mut dyn Rng| {
        let fields = [PriceField::Close, PriceField::High, PriceField::Low, PriceField::Open, PriceField::Volume];
        series(fields[rng.random_range(0..5)])
    };
    if depth == 0 {
        return leaf(rng);
    }
    let inner = |rng: &mut _| Box::new(expression(rng, depth - 1, exact));
    let n = rng.random_range(2..6);
    if exact {
        return match rng.random_range(0..8) {
            0 => Expression::Rolling(Rolling::Highest, inner(rng), n),
            1 => Expression::Rolling(Rolling::Lowest, inner(rng), n),
            2 => Expression::Rolling(Rolling::Delay, inner(rng), n),
            3 => Expression::Rolling(Rolling::Delta, inner(rng), n),
            4 => Expression::Binary(Binary::Max, inner(rng), inner(rng)),
            5 => Expression::Binary(Binary::Subtract, inner(rng), inner(rng)),
            6 => Expression::Unary(Unary::Abs, inner(rng)),
            _ => leaf(rng),
        };
    }
    match rng.random_range(0..14) {
        0 => {
            Expression::Unary([Unary::Negate, Unary::Abs, Unary::Log, Unary::Sign][rng.random_range(0..4)], inner(rng))
        }
        1..=4 => {
            let all = [Binary::Add, Binary::Subtract, Binary::Multiply, Binary::Divide, Binary::Min, Binary::Max];
            Expression::Binary(all[rng.random_range(0..6)], inner(rng), inner(rng))
        }
        5..=8 => {
            let all = [
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
            Expression::Rolling(all[rng.random_range(0..9)], inner(rng), n)
        }
        9 => Expression::Correlation(inner(rng), inner(rng), n + 1),
        10..=11 => {
            let all = [Across::Rank, Across::ZScore, Across::Demean, Across::Relative];
            Expression::Across(all[rng.random_range(0..4)], inner(rng))
        }
        12 => Expression::Beta(inner(rng), n + 1),
        _ => Expression::Volatility { returns: n },
    }
}

pub(crate) fn strategy(rng: &mut impl Rng, exact: bool) -> Ranking {
    let depth = rng.random_range(1..4);
    let number = |v: f64| Number::new(v).unwrap();
    let long_only = rng.random_bool(0.2);
    let form = if rng.random_bool(0.5) {
        Form::Linear
    } else {
        let top_pct = number(f64::from(rng.random_range(1..100)));
        let bottom_pct = (!long_only).then(|| number(f64::from(rng.random_range(1..100))));
        Form::TopBottom { top_pct, bottom_pct }
    };
    let weights = Weights {
        inverse_volatility: rng.random_bool(0.3).then(|| rng.random_range(2..8)),
        long_only,
        cap: rng.random_bool(0.3).then(|| number(rng.random_range(0.05..0.6))),
        beta_neutral: (!exact && rng.random_bool(0.2)).then(|| rng.random_range(3..10)),
        smooth: if rng.random_bool(0.5) { 1 } else { rng.random_range(2..5) },
        band: rng.random_bool(0.2).then(|| number(rng.random_range(0.001..0.2))),
        ..Weights::of(form)
    };
    Ranking {
        timeframe: Interval::H4,
        universe: Universe {
            top: rng.random_range(2..7),
            volume_days: rng.random_range(1..5),
            listed_days: rng.random_range(0..6),
        },
        score: expression(rng, depth, exact),
        rebalance: [Interval::D1, Interval::D1, Interval::H8, Interval::H4][rng.random_range(0..4)],
        weights,
        gross: number(if rng.random_bool(0.7) { 1.0 } else { rng.random_range(0.2..4.0) }),
    }
}

pub(crate) fn terms(rng: &mut impl Rng) -> PortfolioTerms {
    let slippage = if rng.random_bool(0.7) {
        Slippage::Fixed { bps: f64::from(rng.random_range(0..30)) }
    } else {
        Slippage::SquareRoot { coefficient: 0.05 }
    };
    let max_slippage_bps = rng.random_bool(0.3).then_some(15.0);
    let costs = Costs { fee_fraction: 0.001, slippage, max_slippage_bps, ..Costs::default() };
    let fill_on = if rng.random_bool(0.3) { FillOn::Close } else { FillOn::NextOpen };
    let execution = if rng.random_bool(0.6) {
        Execution::default()
    } else {
        Execution {
            delay_candles: if fill_on == FillOn::Close { 0 } else { rng.random_range(0..3) },
            retry_candles: rng.random_range(0..4),
            least_notional: if rng.random_bool(0.5) { 0.0 } else { rng.random_range(1.0..500.0) },
            lot_notional: if rng.random_bool(0.5) { 0.0 } else { rng.random_range(0.5..50.0) },
            greatest_gross: if rng.random_bool(0.5) { 0.0 } else { rng.random_range(0.5..2.0) },
            greatest_one_sided_gross: if rng.random_bool(0.5) { 0.0 } else { rng.random_range(0.2..1.0) },
            maintenance_margin_fraction: if rng.random_bool(0.5) { 0.0 } else { rng.random_range(0.05..0.6) },
            borrow_rate_per_year: if rng.random_bool(0.5) { 0.0 } else { 0.3 },
            borrowable_members: rng.random_range(0..4),
            frozen_exit_fraction: if rng.random_bool(0.5) { 0.0 } else { 0.4 },
        }
    };
    PortfolioTerms { costs, execution, fill_on, ..PortfolioTerms::default() }
}

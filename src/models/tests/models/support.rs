//! Markets and model files for the tests.

use candles::universe::{Verdict, standings};
use candles::{Candle, CandleSeries, InstrumentTable, Interval, MarketReadings, Symbol, interval};
use genome::{Universe, random::Seed};
use models::{Examples, ModelCandles, ModelFile};
use rand::{Rng, RngExt};

/// 2019-01-01, UTC ms.
pub(crate) const START_MS: i64 = 1_546_300_800_000;
pub(crate) const H4_MS: i64 = 4 * 3_600_000;

/// A market: candles by symbol.
pub(crate) type Market = Vec<(String, CandleSeries)>;

pub(crate) fn candle(open_time_ms: i64, [open, high, low, close]: [f64; 4], volume: f64) -> Candle {
    Candle {
        open_time_ms,
        open,
        high,
        low,
        close,
        volume,
        close_time_ms: interval::close_time_ms(Interval::H4, open_time_ms),
        quote_volume: volume * close,
        trade_count: 10,
        taker_buy_volume: volume / 2.0,
        taker_buy_quote_volume: volume * close / 2.0,
    }
}

/// Four-hour candles of `symbols` symbols with gaps here and there. Each return leans by `edge` deviations to the sign of the product of the last return's
/// sign and of whether the last volume was high: neither says anything alone.
pub(crate) fn market(seed: u64, symbols: usize, candles: usize, edge: f64) -> Market {
    let one = |number: usize| {
        let mut rng = Seed(seed).stream("market", number as u64);
        let mut series = CandleSeries::new(Interval::H4);
        let (mut price, mut sign, mut high_volume) = (100.0, 1.0, 1.0);
        for i in 0..candles {
            let noise: f64 = (0..12).map(|_| rng.random_range(-0.5..0.5)).sum();
            let next = price * (0.01 * (noise + edge * sign * high_volume)).exp();
            let (high, low) = (price.max(next) * 1.001, price.min(next) * 0.999);
            high_volume = if rng.random::<bool>() { 1.0 } else { -1.0 };
            let volume = 1000.0 * (1.0 + 0.5 * high_volume + rng.random_range(0.0..0.2));
            sign = if next > price { 1.0 } else { -1.0 };
            // A gap now and then.
            if i % 701 != 700 {
                let open_ms = START_MS + i as i64 * H4_MS;
                series.push(&candle(open_ms, [price, high, low, next], volume)).unwrap();
            }
            price = next;
        }
        (format!("S{number}USDT"), series)
    };
    (0..symbols).map(one).collect()
}

/// The same candles that closed by a time.
pub(crate) fn until(market: &Market, close_ms: i64) -> Market {
    market.iter().map(|(name, candles)| (name.clone(), candles.slice(i64::MIN, close_ms - H4_MS + 1))).collect()
}

/// The same market up to a time, and then another one.
pub(crate) fn changed_after(market: &Market, close_ms: i64, rng: &mut impl Rng) -> Market {
    let change = |candles: &CandleSeries, rng: &mut dyn FnMut() -> f64| {
        let mut out = CandleSeries::new(Interval::H4);
        for i in 0..candles.len() {
            let old = candles.candle(i);
            if candles.close_time_ms(i) < close_ms {
                out.push(&old).unwrap();
            } else {
                let (open, close) = (old.open * rng(), old.close * rng());
                let prices = [open, open.max(close) * 1.01, open.min(close) * 0.99, close];
                out.push(&candle(old.open_time_ms, prices, old.volume * rng())).unwrap();
            }
        }
        out
    };
    let mut draw = || rng.random_range(0.5..2.0);
    market.iter().map(|(name, candles)| (name.clone(), change(candles, &mut draw))).collect()
}

pub(crate) fn examples(file: &ModelFile, market: &Market) -> Examples {
    let readings = MarketReadings::default();
    let members = file.universe.map(|universe| members(&universe, market));
    let candles: Vec<ModelCandles<'_>> = market
        .iter()
        .enumerate()
        .map(|(number, (name, candles))| ModelCandles {
            name,
            candles,
            readings: &readings,
            members: members.as_ref().map(|of| of[number].as_slice()),
        })
        .collect();
    Examples::new(file, &candles).unwrap()
}

/// Who of a market is a member at each of its candles' closes, by the verdicts on each.
pub(crate) fn members(universe: &Universe, market: &Market) -> Vec<Vec<bool>> {
    let symbols: Vec<Symbol> = market.iter().map(|(name, _)| name.parse().unwrap()).collect();
    let views: Vec<(&Symbol, &CandleSeries)> = symbols.iter().zip(market.iter().map(|(_, candles)| candles)).collect();
    let table = InstrumentTable::default();
    let at = |number: usize, close_ms: i64| {
        let found = standings(universe, close_ms, &table, &views);
        let own = found.iter().find(|s| s.instrument.symbol == symbols[number]).unwrap();
        matches!(own.verdict, Verdict::Member { .. })
    };
    let of = |(number, (_, candles)): (usize, &(String, CandleSeries))| {
        (0..candles.len()).map(|i| at(number, candles.close_time_ms(i) + 1)).collect()
    };
    market.iter().enumerate().map(of).collect()
}

/// A model file with the keys given in place of the usual ones.
pub(crate) fn file(target: &str, kind: &str) -> ModelFile {
    ModelFile::parse("planted", &text(target, kind)).unwrap_or_else(|e| panic!("{e}"))
}

pub(crate) fn text(target: &str, kind: &str) -> String {
    format!(
        "timeframe = \"4h\"\nsymbols = [\"*USDT\"]\ntarget = \"{target}\"\nhorizon_candles = 3\nvolatility_candles = 20\n\
         features = [\"roc(1)\", \"volume_zscore(20)\", \"rsi(14)\", \"natr(14)@1d\"]\ntrain_days = 120\nrefit_days = 30\n\
         [fit]\nkind = \"{kind}\"\n{}",
        if kind == "trees" { "trees = 10\nleaf_examples = 50\n" } else { "" }
    )
}

/// Kinds that this build has.
pub(crate) fn kinds() -> Vec<&'static str> {
    if cfg!(feature = "trees") { vec!["logistic", "trees"] } else { vec!["logistic"] }
}

/// The same of the members of a universe alone.
pub(crate) fn of_universe(target: &str, kind: &str, universe: &str) -> ModelFile {
    let text = text(target, kind).replace("symbols = [\"*USDT\"]", &format!("universe = \"{universe}\""));
    ModelFile::parse("planted", &text).unwrap_or_else(|e| panic!("{e}"))
}

//! What a backtest may look at: candles of several symbols, and from when on it may trade.
//!
//! Never loads candles and never changes them.

use super::ledger::Digest as Fold;
use candles::{CandleSeries, Interval, MarketKind, MarketReadings, Readings, Symbol};
use genome::{ModelSeries, Series};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

pub use candles::FundingRate;

/// One symbol's candles.
#[derive(Clone, Debug)]
pub struct SymbolWindow {
    /// Which market.
    pub market: MarketKind,
    /// Which symbol.
    pub symbol: Symbol,
    /// Closed candles, warm-up included, all before the window's end.
    pub candles: Arc<CandleSeries>,
    /// Finer candles where the cache has them, the finest first: of those that cover a candle, the finest decide the
    /// order of stop and target inside it.
    pub finer: Vec<Arc<CandleSeries>>,
    /// Funding payments in time order; empty on spot or where none are cached.
    pub funding: Arc<[FundingRate]>,
    /// What the market published beside the candles, and what models predict; empty on spot or where nothing is cached.
    pub readings: Arc<MarketReadings>,
    /// Values of series that compare the symbol with others, at closes (open + interval) of the strategy's base timeframe;
    /// none where it is no member or has no value. Whoever knows the whole market computes them.
    pub across: Arc<BTreeMap<Series, Readings>>,
}

/// Candles of several symbols at one interval. Coarser timeframes are resampled from them.
#[derive(Clone, Debug)]
pub struct Window {
    interval: Interval,
    from_ms: i64,
    to_ms: i64,
    symbols: Vec<SymbolWindow>,
    data_version: Arc<OnceLock<String>>,
    identities: Arc<OnceLock<Vec<u128>>>,
}

/// Why symbols do not form a window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum WindowError {
    #[error("a window needs at least one symbol")]
    NoSymbols,
    #[error("{0} has candles of another interval than the first symbol")]
    MixedIntervals(Symbol),
    #[error("{0} has no candle in the window")]
    Empty(Symbol),
    #[error("{0} has candles that end after the window")]
    PastEnd(Symbol),
    #[error("{0} appears twice")]
    Twice(Symbol),
    /// For whoever makes the candles of a window.
    #[error("candles of {symbol}: {why}")]
    Candles { symbol: Symbol, why: String },
}

impl Window {
    /// A window in which rules are evaluated on candles that open in `[from_ms, to_ms)`; earlier
    /// candles only warm indicators up. `to_ms` is exclusive, and no candle may close after it.
    ///
    /// # Errors
    /// No symbol, mixed intervals, or a symbol without candles in the window, with candles past its end, or twice.
    pub fn new(from_ms: i64, to_ms: i64, symbols: Vec<SymbolWindow>) -> Result<Self, WindowError> {
        let interval = symbols.first().ok_or(WindowError::NoSymbols)?.candles.interval();
        for (i, s) in symbols.iter().enumerate() {
            if symbols[..i].iter().any(|other| other.symbol == s.symbol && other.market == s.market) {
                return Err(WindowError::Twice(s.symbol.clone()));
            }
            if s.candles.interval() != interval {
                return Err(WindowError::MixedIntervals(s.symbol.clone()));
            }
            match s.candles.last_close_time_ms() {
                None => return Err(WindowError::Empty(s.symbol.clone())),
                Some(close) if close >= to_ms => return Err(WindowError::PastEnd(s.symbol.clone())),
                Some(close) if close < from_ms => return Err(WindowError::Empty(s.symbol.clone())),
                Some(_) => {}
            }
        }
        Ok(Self { interval, from_ms, to_ms, symbols, data_version: Arc::default(), identities: Arc::default() })
    }

    /// The same span of these symbols, of which it is known that they form a window of it.
    pub(super) fn with_symbols(&self, symbols: Vec<SymbolWindow>) -> Self {
        Self { symbols, data_version: Arc::default(), identities: Arc::default(), ..self.clone() }
    }

    /// The same candles with what models predict of each symbol beside them; what was there of models goes.
    #[must_use]
    pub fn with_models(&self, mut of: impl FnMut(&SymbolWindow) -> BTreeMap<ModelSeries, Readings>) -> Self {
        let with = |s: &SymbolWindow| SymbolWindow { readings: Arc::new(s.readings.with_models(of(s))), ..s.clone() };
        self.with_symbols(self.symbols.iter().map(with).collect())
    }

    /// Interval of the candles.
    #[must_use]
    pub fn interval(&self) -> Interval {
        self.interval
    }
    /// First open time at which rules are evaluated.
    #[must_use]
    pub fn from_ms(&self) -> i64 {
        self.from_ms
    }
    /// End, exclusive.
    #[must_use]
    pub fn to_ms(&self) -> i64 {
        self.to_ms
    }
    /// The symbols, in order.
    #[must_use]
    pub fn symbols(&self) -> &[SymbolWindow] {
        &self.symbols
    }

    /// A number for the candles of each symbol and for what is known beside them, by which what was computed over them is found again. Equal for equal
    /// candles, wherever they are kept. Computed once.
    pub(super) fn identities(&self) -> &[u128] {
        self.identities.get_or_init(|| self.symbols.iter().map(identity).collect())
    }

    /// SHA-256, in hex, of exactly the data that a backtest in this window can look at: for each symbol in order its
    /// market, name, and every candle's open time, open, high, low, close and volume, finer candles, funding and, where
    /// there are any, readings and values across the market included. Where the window begins and ends is not data. Quote
    /// volumes, trades and taker volumes come with these candles and are not counted again. Computed once.
    #[must_use]
    pub fn data_version(&self) -> String {
        let compute = || {
            let mut hasher = Sha256::new();
            for s in &self.symbols {
                for name in [s.market.to_string().as_str(), s.symbol.as_str()] {
                    hasher.update((name.len() as u64).to_le_bytes());
                    hasher.update(name);
                }
                hash_candles(&mut hasher, &s.candles);
                hasher.update([u8::try_from(s.finer.len()).unwrap_or(u8::MAX)]);
                for finer in &s.finer {
                    hash_candles(&mut hasher, finer);
                }
                hasher.update((s.funding.len() as u64).to_le_bytes());
                for due in s.funding.iter() {
                    hasher.update(due.time_ms.to_le_bytes());
                    hasher.update(due.rate.to_le_bytes());
                }
                for (name, readings) in beside(s) {
                    hasher.update((name.len() as u64).to_le_bytes());
                    hasher.update(name);
                    hasher.update((readings.len() as u64).to_le_bytes());
                    for (time_ms, value) in readings.times_ms().iter().zip(readings.values()) {
                        hasher.update(time_ms.to_le_bytes());
                        hasher.update(value.to_le_bytes());
                    }
                }
            }
            hex::encode(hasher.finalize())
        };
        self.data_version.get_or_init(compute).clone()
    }
}

fn hash_candles(hasher: &mut Sha256, candles: &CandleSeries) {
    let name = candles.interval().name();
    hasher.update((name.len() as u64).to_le_bytes());
    hasher.update(name);
    hasher.update((candles.len() as u64).to_le_bytes());
    for time_ms in candles.open_times_ms() {
        hasher.update(time_ms.to_le_bytes());
    }
    for column in [candles.opens(), candles.highs(), candles.lows(), candles.closes(), candles.volumes()] {
        for value in column {
            hasher.update(value.to_le_bytes());
        }
    }
}

/// What is known beside the candles, by name, where there is any.
fn beside(symbol: &SymbolWindow) -> impl Iterator<Item = (String, &Readings)> {
    let named = symbol.readings.named().map(|(name, readings)| (name.to_owned(), readings));
    let models = symbol.readings.models.iter().map(|(series, readings)| (series.to_string(), readings));
    let across = symbol.across.iter().map(|(series, readings)| (series.to_string(), readings));
    named.into_iter().chain(models).chain(across).filter(|(_, readings)| !readings.is_empty())
}

/// Two digests with different beginnings, of everything that a column can look at.
fn identity(symbol: &SymbolWindow) -> u128 {
    let candles = &symbol.candles;
    let mut halves = [Fold::new(1), Fold::new(2)];
    let mut pair = |a: u64, b: u64| halves.iter_mut().for_each(|half| half.pair(a, b));
    pair(candles.interval() as u64, candles.len() as u64);
    let (opens, highs, lows) = (candles.opens(), candles.highs(), candles.lows());
    let (quote_volumes, trade_counts) = (candles.quote_volumes(), candles.trade_counts());
    let taker_buy_volumes = candles.taker_buy_volumes();
    for (i, time_ms) in candles.open_times_ms().iter().enumerate() {
        pair(time_ms.cast_unsigned(), candles.volumes()[i].to_bits());
        pair(opens[i].to_bits(), candles.closes()[i].to_bits());
        pair(highs[i].to_bits(), lows[i].to_bits());
        pair(quote_volumes[i].to_bits(), trade_counts[i]);
        pair(taker_buy_volumes[i].to_bits(), 0);
    }
    for (name, readings) in beside(symbol) {
        for byte in name.bytes() {
            pair(u64::from(byte), readings.len() as u64);
        }
        for (time_ms, value) in readings.times_ms().iter().zip(readings.values()) {
            pair(time_ms.cast_unsigned(), value.to_bits());
        }
    }
    u128::from(halves[0].value()) << 64 | u128::from(halves[1].value())
}

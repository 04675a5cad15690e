//! The whole market as one table of instruments and slots, cut where a ticker names another instrument.
//!
//! A slot is a candle of the base timeframe that any instrument could have. Loads nothing, fills no gap.

mod packed;

use crate::grid::Grid;
use candles::{
    CandleSeries, FundingRate, InstrumentId, InstrumentTable, Interval, MarketKind, Symbol, interval,
    readings::{MarketReadings, Readings},
    resample::{ResampleError, resample},
};
use genome::ModelSeries;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
};

const MINUTE_MS: i64 = 60_000;

/// A ticker as it is cached.
#[derive(Clone, Debug)]
pub struct Ticker {
    /// Its name.
    pub symbol: Symbol,
    /// Closed candles, of the base timeframe or finer.
    pub candles: CandleSeries,
    /// Funding payments in time order; empty on spot or where none are cached.
    pub funding: Vec<FundingRate>,
    /// What its perpetual published.
    pub readings: MarketReadings,
}

/// One instrument's candles.
#[derive(Clone, Debug)]
pub struct PanelInstrument {
    id: InstrumentId,
    excluded: Option<Arc<str>>,
    candles: CandleSeries,
    funding: Arc<Vec<FundingRate>>,
    readings: Arc<MarketReadings>,
    /// Slot of each candle.
    slots: Vec<u32>,
    /// Quote volume of each candle; volume x close where it is 0.
    quote_volumes: Vec<f64>,
    /// When the next instrument of the ticker opened its first candle, UTC ms.
    next_opens_ms: Option<i64>,
}

/// Instruments of one market at one timeframe, in byte order of their names.
#[derive(Clone, Debug)]
pub struct Panel {
    market: MarketKind,
    interval: Interval,
    /// Open times of the slots, without a hole.
    opens_ms: Vec<i64>,
    instruments: Vec<PanelInstrument>,
    grid: Arc<OnceLock<Grid>>,
}

/// Why tickers do not make a panel.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum PanelError {
    #[error("there are no {0} candles of any symbol; `sg-ai data list` shows what the cache has")]
    Empty(Interval),
    #[error("{symbol}: {source}")]
    Resample { symbol: Symbol, source: ResampleError },
    #[error("{0} appears twice")]
    Twice(Symbol),
    #[error("the new candles of {0} are not at the times of the old ones")]
    Times(InstrumentId),
}

impl PanelInstrument {
    /// Its name.
    #[must_use]
    pub const fn id(&self) -> &InstrumentId {
        &self.id
    }

    /// Why no universe has it, if none has.
    #[must_use]
    pub fn excluded(&self) -> Option<&str> {
        self.excluded.as_deref()
    }

    /// Its candles, as they are.
    #[must_use]
    pub const fn candles(&self) -> &CandleSeries {
        &self.candles
    }

    /// The ticker's funding payments in time order.
    #[must_use]
    pub fn funding(&self) -> &[FundingRate] {
        &self.funding
    }

    /// What the ticker's perpetual published.
    #[must_use]
    pub fn readings(&self) -> &MarketReadings {
        &self.readings
    }

    /// Slot of each candle.
    #[must_use]
    pub fn slots(&self) -> &[u32] {
        &self.slots
    }

    /// Quote volume of each candle; volume x close where it is 0.
    #[must_use]
    pub fn quote_volumes(&self) -> &[f64] {
        &self.quote_volumes
    }

    /// When the ticker's next instrument opened its first candle, UTC ms.
    #[must_use]
    pub const fn next_opens_ms(&self) -> Option<i64> {
        self.next_opens_ms
    }

    /// The candle in a slot.
    #[must_use]
    pub fn candle_in(&self, slot: usize) -> Option<usize> {
        self.slots.binary_search(&u32::try_from(slot).ok()?).ok()
    }

    /// The last candle in a slot or before it.
    #[must_use]
    pub fn candle_by(&self, slot: usize) -> Option<usize> {
        self.slots.partition_point(|&s| s as usize <= slot).checked_sub(1)
    }
}

impl Panel {
    /// The panel of `tickers` at a timeframe.
    ///
    /// # Errors
    /// No candle at all, a ticker twice, or candles of which the timeframe cannot be made.
    pub fn new(
        market: MarketKind,
        timeframe: Interval,
        tickers: Vec<Ticker>,
        table: &InstrumentTable,
    ) -> Result<Self, PanelError> {
        let listed: BTreeSet<Symbol> =
            tickers.iter().filter(|t| !t.candles.is_empty()).map(|t| t.symbol.clone()).collect();
        let mut instruments = Vec::with_capacity(tickers.len());
        let mut seen = BTreeSet::new();
        for ticker in tickers {
            if !seen.insert(ticker.symbol.clone()) {
                return Err(PanelError::Twice(ticker.symbol));
            }
            let is_listed = |name: &str| name.parse::<Symbol>().is_ok_and(|s| listed.contains(&s));
            let excluded: Option<Arc<str>> = table.exclusion(&ticker.symbol, is_listed).map(Into::into);
            let candles = if ticker.candles.interval() == timeframe {
                ticker.candles
            } else {
                let fail = |source| PanelError::Resample { symbol: ticker.symbol.clone(), source };
                resample(&ticker.candles, timeframe).map_err(fail)?
            };
            let (readings, funding) = (Arc::new(ticker.readings), Arc::new(on_the_minute(ticker.funding)));
            let parts = table.instruments(&ticker.symbol, candles.open_times_ms());
            for (i, (id, at)) in parts.iter().enumerate() {
                let opens = candles.open_times_ms();
                let next_opens_ms = parts.get(i + 1).map(|(_, next)| opens[next.start]);
                let own = if parts.len() == 1 {
                    candles.clone()
                } else {
                    candles.slice(opens[at.start], opens[at.end - 1] + 1)
                };
                let quote_volumes = own.traded_quote_volumes();
                instruments.push(PanelInstrument {
                    id: id.clone(),
                    excluded: excluded.clone(),
                    candles: own,
                    funding: funding.clone(),
                    readings: readings.clone(),
                    slots: Vec::new(),
                    quote_volumes,
                    next_opens_ms,
                });
            }
        }
        instruments.sort_by_cached_key(|i| i.id.to_string().into_bytes());
        let bounds = |i: &PanelInstrument| {
            let opens = i.candles.open_times_ms();
            opens.first().copied().zip(opens.last().copied())
        };
        let first_ms = instruments.iter().filter_map(bounds).map(|(first, _)| first).min();
        let last_ms = instruments.iter().filter_map(bounds).map(|(_, last)| last).max();
        let (Some(first_ms), Some(last_ms)) = (first_ms, last_ms) else { return Err(PanelError::Empty(timeframe)) };
        let next = |open: &i64| Some(interval::next_open_time_ms(timeframe, *open)).filter(|open| *open <= last_ms);
        let opens_ms: Vec<i64> = std::iter::successors(Some(first_ms), next).collect();
        for instrument in &mut instruments {
            let mut slot = 0;
            let place = |open: &i64| {
                slot += opens_ms[slot..].partition_point(|o| o < open);
                slot as u32
            };
            instrument.slots = instrument.candles.open_times_ms().iter().map(place).collect();
        }
        Ok(Self { market, interval: timeframe, opens_ms, instruments, grid: Arc::default() })
    }

    /// The same market as it was known at a time: candles that had closed by then. Funding and readings stay: whoever looks
    /// at them looks at those of before.
    ///
    /// # Errors
    /// [`PanelError::Empty`] where nothing had.
    pub fn until(&self, end_ms: i64) -> Result<Self, PanelError> {
        let slots = (0..self.opens_ms.len()).take_while(|&slot| self.close_ms(slot) <= end_ms).count();
        let known = |i: &PanelInstrument| {
            let count = i.slots.partition_point(|&slot| (slot as usize) < slots);
            let last = *i.candles.open_times_ms().get(count.checked_sub(1)?)?;
            Some(PanelInstrument {
                candles: i.candles.slice(i.candles.open_times_ms()[0], last + 1),
                slots: i.slots[..count].to_vec(),
                quote_volumes: i.quote_volumes[..count].to_vec(),
                next_opens_ms: i.next_opens_ms.filter(|&next| next < end_ms),
                funding: Arc::new(i.funding.iter().filter(|f| f.time_ms <= end_ms).copied().collect()),
                readings: predicted_until(&i.readings, end_ms),
                ..i.clone()
            })
        };
        let instruments: Vec<PanelInstrument> = self.instruments.iter().filter_map(known).collect();
        if instruments.is_empty() {
            return Err(PanelError::Empty(self.interval));
        }
        let opens_ms = self.opens_ms[..slots].to_vec();
        Ok(Self { market: self.market, interval: self.interval, opens_ms, instruments, grid: Arc::default() })
    }

    /// The same instruments with other candles at the same times, and other payments.
    ///
    /// # Errors
    /// [`PanelError::Times`] where an instrument's candles are not at the same times; those of `other`.
    pub fn remade<E: From<PanelError>>(
        &self,
        other: impl Fn(usize) -> Result<(CandleSeries, Vec<FundingRate>), E>,
    ) -> Result<Self, E> {
        let mut instruments = self.instruments.clone();
        for (number, instrument) in instruments.iter_mut().enumerate() {
            let (candles, funding) = other(number)?;
            if candles.open_times_ms() != instrument.candles.open_times_ms() {
                return Err(PanelError::Times(instrument.id.clone()).into());
            }
            instrument.quote_volumes = candles.traded_quote_volumes();
            instrument.candles = candles;
            instrument.funding = Arc::new(on_the_minute(funding));
        }
        // What models predict was made of the old candles.
        Ok(Self { instruments, grid: Arc::default(), ..self.clone() }.with_models(|_| BTreeMap::new()))
    }

    /// The same market with what models predict of each instrument beside it; what was there of models goes.
    #[must_use]
    pub fn with_models(&self, of: impl Fn(&InstrumentId) -> BTreeMap<ModelSeries, Readings>) -> Self {
        let mut instruments = self.instruments.clone();
        for instrument in &mut instruments {
            let models = of(&instrument.id);
            if models != instrument.readings.models {
                instrument.readings = Arc::new(instrument.readings.with_models(models));
            }
        }
        Self { instruments, ..self.clone() }
    }

    /// Which market.
    #[must_use]
    pub const fn market(&self) -> MarketKind {
        self.market
    }

    /// What each slot finds; made when it is first asked for.
    pub(crate) fn grid(&self) -> &Grid {
        self.grid.get_or_init(|| Grid::new(self))
    }

    /// The base timeframe.
    #[must_use]
    pub const fn interval(&self) -> Interval {
        self.interval
    }

    /// The instruments, in byte order of their names.
    #[must_use]
    pub fn instruments(&self) -> &[PanelInstrument] {
        &self.instruments
    }

    /// Open times of the slots, without a hole, UTC ms.
    #[must_use]
    pub fn opens_ms(&self) -> &[i64] {
        &self.opens_ms
    }

    /// When slot `slot` closes: the next one's open, UTC ms.
    #[must_use]
    pub fn close_ms(&self, slot: usize) -> i64 {
        interval::next_open_time_ms(self.interval, self.opens_ms[slot])
    }

    /// The slot that opens at a time, if a candle can be there.
    #[must_use]
    pub fn slot_opening_at(&self, open_ms: i64) -> Option<usize> {
        self.opens_ms.binary_search(&open_ms).ok()
    }

    /// The slot that closes at a time, if a candle can be there.
    #[must_use]
    pub fn slot_closing_at(&self, close_ms: i64) -> Option<usize> {
        let slot = self.opens_ms.partition_point(|&open| open < close_ms).checked_sub(1)?;
        (self.close_ms(slot) == close_ms).then_some(slot)
    }

    /// Close of the last slot: the end of what is known, UTC ms.
    #[must_use]
    pub fn end_ms(&self) -> i64 {
        self.close_ms(self.opens_ms.len() - 1)
    }
}

/// Payments at the minute that they were due: exchanges stamp them some milliseconds later, which would be after the
/// close at which they fell due.
fn on_the_minute(funding: Vec<FundingRate>) -> Vec<FundingRate> {
    let due = |f: FundingRate| FundingRate { time_ms: f.time_ms.div_euclid(MINUTE_MS) * MINUTE_MS, ..f };
    funding.into_iter().map(due).collect()
}
/// Readings with what models had predicted by a time; what the market published names its time itself.
fn predicted_until(readings: &Arc<MarketReadings>, end_ms: i64) -> Arc<MarketReadings> {
    if readings.models.is_empty() {
        return Arc::clone(readings);
    }
    Arc::new(readings.with_models(readings.models_until(end_ms)))
}

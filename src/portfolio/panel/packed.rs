//! A panel as bytes, for another machine: what it was made of as it stands, so that nothing is cut or chosen again.
//!
//! Derives what candles imply (slots, quote volumes) and compresses nothing.

use super::{Panel, PanelInstrument};
use candles::packed::{PackedError, Packer, Unpacker};
use candles::{InstrumentId, interval};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

impl Panel {
    /// Appends the panel.
    pub fn pack(&self, to: &mut Packer) {
        to.text(&self.market.to_string());
        to.text(self.interval.name());
        to.number(self.opens_ms.len() as u64);
        self.opens_ms.iter().for_each(|open_ms| to.time(*open_ms));
        to.number(self.instruments.len() as u64);
        for instrument in &self.instruments {
            to.text(&instrument.id.to_string());
            to.number(u64::from(instrument.excluded.is_some()));
            to.text(instrument.excluded.as_deref().unwrap_or_default());
            to.number(u64::from(instrument.next_opens_ms.is_some()));
            to.time(instrument.next_opens_ms.unwrap_or_default());
            to.candles(&instrument.candles);
            to.funding(&instrument.funding);
            to.market_readings(&instrument.readings);
        }
    }

    /// Reads a panel that was packed.
    ///
    /// # Errors
    /// Where the bytes are none.
    pub fn unpack(from: &mut Unpacker<'_>) -> Result<Self, PackedError> {
        let (market, timeframe) = (from.named()?, from.named()?);
        let count = from.count(8)?;
        let opens_ms = (0..count).map(|_| from.time()).collect::<Result<Vec<_>, _>>()?;
        if opens_ms.is_empty()
            || opens_ms.windows(2).any(|two| interval::next_open_time_ms(timeframe, two[0]) != two[1])
        {
            return Err(PackedError("slots do not follow each other".into()));
        }
        let slot_of: BTreeMap<i64, u32> = opens_ms.iter().copied().zip(0..).collect();
        let count = from.count(64)?;
        let mut instruments: Vec<PanelInstrument> = Vec::with_capacity(count);
        for _ in 0..count {
            let id: InstrumentId = from.named()?;
            if instruments.last().is_some_and(|last| last.id.to_string().as_bytes() >= id.to_string().as_bytes()) {
                return Err(PackedError(format!("{id} is not in order")));
            }
            let (is_excluded, excluded) = (from.number()? == 1, from.text()?);
            let (is_followed, next_opens_ms) = (from.number()? == 1, from.time()?);
            let candles = from.candles()?;
            let (funding, readings) = (from.funding()?, from.market_readings()?);
            let slot = |open_ms: &i64| {
                slot_of.get(open_ms).copied().ok_or_else(|| PackedError(format!("{id} has a candle in no slot")))
            };
            let slots = candles.open_times_ms().iter().map(slot).collect::<Result<Vec<_>, _>>()?;
            if candles.interval() != timeframe || slots.is_empty() {
                return Err(PackedError(format!("{id} has no candles of {timeframe}")));
            }
            instruments.push(PanelInstrument {
                id,
                excluded: is_excluded.then(|| excluded.into()),
                quote_volumes: candles.traded_quote_volumes(),
                candles,
                funding: Arc::new(funding),
                readings: Arc::new(readings),
                slots,
                next_opens_ms: is_followed.then_some(next_opens_ms),
            });
        }
        Ok(Self { market, interval: timeframe, opens_ms, instruments, grid: Arc::new(OnceLock::new()) })
    }
}

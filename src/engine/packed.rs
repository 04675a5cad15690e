//! A window as bytes, for another machine: all that a backtest in it looks at, so that it comes to the same bits there.
//!
//! Cuts nothing and compresses nothing.

use crate::{SymbolWindow, Window};
use candles::packed::{PackedError, Packer, Unpacker};
use std::sync::Arc;

impl Window {
    /// Appends the window.
    ///
    /// # Errors
    /// Where a symbol has values across the market: they are as many as the market has symbols, and are not packed.
    pub fn pack(&self, to: &mut Packer) -> Result<(), PackedError> {
        to.time(self.from_ms());
        to.time(self.to_ms());
        to.number(self.symbols().len() as u64);
        for s in self.symbols() {
            if !s.across.is_empty() {
                return Err(PackedError(format!("{} has values across the market, which are not packed", s.symbol)));
            }
            to.text(&s.market.to_string());
            to.text(s.symbol.as_str());
            to.candles(&s.candles);
            to.number(s.finer.len() as u64);
            s.finer.iter().for_each(|finer| to.candles(finer));
            to.funding(&s.funding);
            to.market_readings(&s.readings);
        }
        Ok(())
    }

    /// Reads a window that was packed.
    ///
    /// # Errors
    /// Where the bytes are none.
    pub fn unpack(from: &mut Unpacker<'_>) -> Result<Self, PackedError> {
        let (from_ms, to_ms) = (from.time()?, from.time()?);
        let count = from.count(64)?;
        let mut symbols = Vec::with_capacity(count);
        for _ in 0..count {
            let (market, symbol) = (from.named()?, from.named()?);
            let candles = Arc::new(from.candles()?);
            let finer = (0..from.count(16)?).map(|_| from.candles().map(Arc::new)).collect::<Result<_, _>>()?;
            let (funding, readings) = (from.funding()?.into(), Arc::new(from.market_readings()?));
            symbols.push(SymbolWindow { market, symbol, candles, finer, funding, readings, across: Arc::default() });
        }
        Self::new(from_ms, to_ms, symbols).map_err(|error| PackedError(error.to_string()))
    }

    /// The same without finer candles.
    #[must_use]
    pub fn without_finer(&self) -> Self {
        let coarse = |s: &SymbolWindow| SymbolWindow { finer: Vec::new(), ..s.clone() };
        self.with_symbols(self.symbols().iter().map(coarse).collect())
    }
}

//! What points are evaluated on, as bytes for another machine, and back to the bit.
//!
//! Compresses nothing; digests are for whoever carries it.

use super::{Ground, MarketGround, SymbolsGround};
use candles::packed::{PackedError, Packer, Unpacker};
use engine::{Engine, Window};
use portfolio::{Market, Panel, PortfolioTerms};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Format of the bytes; another number is not read.
const FORMAT: u64 = 1;
const SYMBOLS: &str = "symbols";
const MARKET: &str = "market";

fn begun(form: &str, terms: &impl Serialize) -> Result<Packer, PackedError> {
    let mut packer = Packer::default();
    packer.number(FORMAT);
    packer.text(form);
    packer.text(&serde_json::to_string(terms).map_err(|error| PackedError(error.to_string()))?);
    Ok(packer)
}

fn terms<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, PackedError> {
    serde_json::from_str(text).map_err(|error| PackedError(error.to_string()))
}

impl SymbolsGround {
    pub(super) fn bytes(&self) -> Result<Vec<u8>, PackedError> {
        let mut packer = begun(SYMBOLS, &self.terms)?;
        self.window.pack(&mut packer)?;
        Ok(packer.finish())
    }
}

impl MarketGround {
    pub(super) fn bytes(&self) -> Result<Vec<u8>, PackedError> {
        let mut packer = begun(MARKET, &self.market.terms())?;
        let (from_ms, to_ms) = self.market.span_ms();
        packer.time(from_ms);
        packer.time(to_ms);
        self.market.panel().pack(&mut packer);
        Ok(packer.finish())
    }
}

/// Reads what [`Ground::packed`] gave.
///
/// # Errors
/// Where the bytes are none of it, or of another format.
pub fn unpacked(bytes: &[u8], engine: Arc<Engine>) -> Result<Box<dyn Ground>, PackedError> {
    let mut from = Unpacker::new(bytes);
    let format = from.number()?;
    if format != FORMAT {
        return Err(PackedError(format!("they have format {format}, where {FORMAT} is read")));
    }
    let ground: Box<dyn Ground> = match from.text()? {
        SYMBOLS => {
            let terms = terms(from.text()?)?;
            let window = Window::unpack(&mut from)?;
            Box::new(SymbolsGround { engine, window, terms })
        }
        MARKET => {
            let terms: PortfolioTerms = terms(from.text()?)?;
            let (from_ms, to_ms) = (from.time()?, from.time()?);
            let panel = Arc::new(Panel::unpack(&mut from)?);
            let market = Market::new(panel, from_ms, to_ms, terms).map_err(|error| PackedError(error.to_string()))?;
            Box::new(MarketGround { market })
        }
        other => return Err(PackedError(format!("{other:?} is nothing that points are evaluated on"))),
    };
    from.end()?;
    Ok(ground)
}

//! Candles of one symbol: from columns of numbers, to columns, and to bytes for another process.
//!
//! Never repairs a candle: what is impossible is an error.

use crate::{read, written, wrong};
use candles::{Candle, CandleSeries, Interval, MarketKind, MarketReadings, Symbol, interval::close_time_ms};
use engine::SymbolWindow;
use portfolio::Ticker;
use pyo3::{
    buffer::PyBuffer,
    exceptions::PyValueError,
    prelude::*,
    types::{PyBytes, PyDict},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// First bytes; the number is the form's version.
const MAGIC: &[u8] = b"sgai candles 1\n";
/// Numbers of a candle in bytes, of eight bytes each: when it opens, four prices, four volumes, trades.
const NUMBERS: usize = 10;

/// Closed candles of a symbol on a market, oldest first.
#[pyclass(frozen, module = "sgai._native")]
#[derive(Debug)]
pub(crate) struct Candles {
    market: MarketKind,
    symbol: Symbol,
    series: Arc<CandleSeries>,
}

/// The line that bytes begin with after [`MAGIC`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    market: MarketKind,
    symbol: Symbol,
    interval: Interval,
    candles: usize,
}

/// A column of 64-bit floats: a buffer of them (a numpy array, `array.array`), or a sequence of numbers.
fn floats(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Vec<f64>> {
    match PyBuffer::<f64>::get(given) {
        Ok(buffer) => buffer.to_vec(given.py()),
        Err(_) => given.extract().map_err(|error| wrong(name, error)),
    }
}

/// The same of 64-bit whole numbers.
fn integers(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Vec<i64>> {
    match PyBuffer::<i64>::get(given) {
        Ok(buffer) => buffer.to_vec(given.py()),
        Err(_) => given.extract().map_err(|error| wrong(name, error)),
    }
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(name: &str, text: &str) -> PyResult<T> {
    text.parse().map_err(|error| wrong(name, error))
}

impl Candles {
    pub(crate) fn new(market: MarketKind, symbol: Symbol, series: CandleSeries) -> Self {
        Self { market, symbol, series: Arc::new(series) }
    }

    /// As the engine takes them: nothing beside the candles.
    pub(crate) fn window(&self) -> SymbolWindow {
        SymbolWindow {
            market: self.market,
            symbol: self.symbol.clone(),
            candles: Arc::clone(&self.series),
            finer: Vec::new(),
            funding: Arc::from([]),
            readings: Arc::default(),
            across: Arc::default(),
        }
    }

    /// As a market that is ranked takes them.
    pub(crate) fn ticker(&self) -> Ticker {
        Ticker {
            symbol: self.symbol.clone(),
            candles: (*self.series).clone(),
            funding: Vec::new(),
            readings: MarketReadings::default(),
        }
    }

    pub(crate) const fn market(&self) -> MarketKind {
        self.market
    }
}

#[pymethods]
impl Candles {
    /// Columns of one length; volumes in coins but for those named quote, in quote units. A column that is not given is 0.
    #[new]
    #[pyo3(signature = (symbol, interval, open_time_ms, open, high, low, close, volume, *, market="spot",
        quote_volume=None, trade_count=None, taker_buy_volume=None, taker_buy_quote_volume=None))]
    #[allow(clippy::too_many_arguments, reason = "one a column")]
    fn from_columns(
        symbol: &str,
        interval: &str,
        open_time_ms: &Bound<'_, PyAny>,
        open: &Bound<'_, PyAny>,
        high: &Bound<'_, PyAny>,
        low: &Bound<'_, PyAny>,
        close: &Bound<'_, PyAny>,
        volume: &Bound<'_, PyAny>,
        market: &str,
        quote_volume: Option<&Bound<'_, PyAny>>,
        trade_count: Option<&Bound<'_, PyAny>>,
        taker_buy_volume: Option<&Bound<'_, PyAny>>,
        taker_buy_quote_volume: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let interval: Interval = parsed("interval", interval)?;
        let times = integers("open_time_ms", open_time_ms)?;
        let given = |name: &str, column: Option<&Bound<'_, PyAny>>| {
            let column = column.map_or_else(|| Ok(vec![0.0; times.len()]), |column| floats(name, column))?;
            let (has, needs) = (column.len(), times.len());
            if has == needs { Ok(column) } else { Err(wrong(name, format!("{has} values for {needs} candles"))) }
        };
        let prices = [("open", open), ("high", high), ("low", low), ("close", close), ("volume", volume)];
        let [open, high, low, close, volume] = prices.map(|(name, column)| given(name, Some(column)));
        let (open, high, low, close, volume) = (open?, high?, low?, close?, volume?);
        let quote_volume = given("quote_volume", quote_volume)?;
        let taker_buy_volume = given("taker_buy_volume", taker_buy_volume)?;
        let taker_buy_quote_volume = given("taker_buy_quote_volume", taker_buy_quote_volume)?;
        let counts = trade_count.map_or_else(|| Ok(vec![0; times.len()]), |column| integers("trade_count", column))?;
        if counts.len() != times.len() {
            return Err(wrong("trade_count", format!("{} values for {} candles", counts.len(), times.len())));
        }
        let mut series = CandleSeries::new(interval);
        for (i, &open_time_ms) in times.iter().enumerate() {
            let candle = Candle {
                open_time_ms,
                open: open[i],
                high: high[i],
                low: low[i],
                close: close[i],
                volume: volume[i],
                close_time_ms: close_time_ms(interval, open_time_ms),
                quote_volume: quote_volume[i],
                trade_count: u64::try_from(counts[i]).map_err(|_| wrong("trade_count", "below 0"))?,
                taker_buy_volume: taker_buy_volume[i],
                taker_buy_quote_volume: taker_buy_quote_volume[i],
            };
            series.push(&candle).map_err(|error| wrong(&format!("candle {i}"), error))?;
        }
        Ok(Self::new(parsed("market", market)?, parsed("symbol", symbol)?, series))
    }

    /// From what `to_bytes` gave.
    #[staticmethod]
    fn from_bytes(bytes: &[u8]) -> PyResult<Self> {
        let damaged = || PyValueError::new_err("these are no candles in bytes, or not all of them");
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(damaged)?;
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or_else(damaged)?;
        let head: Head = read("candles in bytes", std::str::from_utf8(&rest[..end]).map_err(|_| damaged())?)?;
        let (numbers, left) = rest[end + 1..].as_chunks::<8>();
        if !left.is_empty() || head.candles.checked_mul(NUMBERS) != Some(numbers.len()) {
            return Err(damaged());
        }
        let mut series = CandleSeries::new(head.interval);
        for (i, n) in numbers.chunks_exact(NUMBERS).enumerate() {
            let float = |k: usize| f64::from_le_bytes(n[k]);
            let open_time_ms = i64::from_le_bytes(n[0]);
            let candle = Candle {
                open_time_ms,
                open: float(1),
                high: float(2),
                low: float(3),
                close: float(4),
                volume: float(5),
                close_time_ms: close_time_ms(head.interval, open_time_ms),
                quote_volume: float(6),
                taker_buy_volume: float(7),
                taker_buy_quote_volume: float(8),
                trade_count: u64::from_le_bytes(n[9]),
            };
            series.push(&candle).map_err(|error| wrong(&format!("candle {i}"), error))?;
        }
        Ok(Self::new(head.market, head.symbol, series))
    }

    /// The same to the bit in another process: a line that says what they are, then eight bytes a number.
    pub(crate) fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let head = Head {
            market: self.market,
            symbol: self.symbol.clone(),
            interval: self.series.interval(),
            candles: self.series.len(),
        };
        let mut bytes = MAGIC.to_vec();
        bytes.extend(written("candles", &head)?.into_bytes());
        bytes.push(b'\n');
        for c in self.series.candles() {
            bytes.extend(c.open_time_ms.to_le_bytes());
            let prices = [c.open, c.high, c.low, c.close];
            let volumes = [c.volume, c.quote_volume, c.taker_buy_volume, c.taker_buy_quote_volume];
            bytes.extend(prices.into_iter().chain(volumes).flat_map(f64::to_le_bytes));
            bytes.extend(c.trade_count.to_le_bytes());
        }
        Ok(PyBytes::new(py, &bytes))
    }

    /// For pickle, and so for Ray.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
        Ok((py.get_type::<Self>().getattr("from_bytes")?, (self.to_bytes(py)?,)))
    }

    fn __len__(&self) -> usize {
        self.series.len()
    }

    fn __repr__(&self) -> String {
        format!("Candles({} {} {}, {} candles)", self.market, self.symbol, self.series.interval(), self.series.len())
    }

    #[getter]
    fn symbol(&self) -> &str {
        self.symbol.as_str()
    }

    #[getter]
    fn interval(&self) -> &'static str {
        self.series.interval().name()
    }

    /// When the last candle has closed, UTC ms: the end, exclusive, of all of them.
    #[getter]
    fn end_ms(&self) -> Option<i64> {
        self.series.last_close_time_ms().map(|last_ms| last_ms + 1)
    }

    /// Lists by name, as the constructor takes them.
    fn columns<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let columns = PyDict::new(py);
        columns.set_item("open_time_ms", self.series.open_times_ms())?;
        for (name, values) in [
            ("open", self.series.opens()),
            ("high", self.series.highs()),
            ("low", self.series.lows()),
            ("close", self.series.closes()),
            ("volume", self.series.volumes()),
            ("quote_volume", self.series.quote_volumes()),
            ("taker_buy_volume", self.series.taker_buy_volumes()),
        ] {
            columns.set_item(name, values)?;
        }
        let quote: Vec<f64> = self.series.candles().map(|candle| candle.taker_buy_quote_volume).collect();
        columns.set_item("taker_buy_quote_volume", quote)?;
        columns.set_item("trade_count", self.series.trade_counts())?;
        Ok(columns)
    }
}

//! Candles and readings as bytes, to the bit, so that another machine computes on the very same numbers.
//!
//! Little-endian; a count stands before what is counted; numbers as their 64 bits. The same values give the same bytes, so
//! their digest names them. What is read back is checked as if it were new. Compresses nothing, stores nothing.

use crate::{Candle, CandleSeries, FundingRate, Interval, MarketReadings, Readings};
use genome::Series;
use std::collections::BTreeMap;
use std::str::FromStr;

/// Why bytes are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("packed candles do not read: {0}")]
pub struct PackedError(pub String);

/// Writes values one after the other.
#[derive(Clone, Debug, Default)]
pub struct Packer {
    bytes: Vec<u8>,
}

impl Packer {
    /// The bytes.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    /// A whole number, or the bits of one with a fraction.
    pub fn number(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// A time, UTC ms.
    pub fn time(&mut self, time_ms: i64) {
        self.number(time_ms.cast_unsigned());
    }

    /// A text.
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Bytes of any kind.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    fn column<T: Copy>(&mut self, values: impl ExactSizeIterator<Item = T>, bits: impl Fn(T) -> u64) {
        values.for_each(|value| self.number(bits(value)));
    }

    /// Candles with all their columns.
    pub fn candles(&mut self, candles: &CandleSeries) {
        self.text(candles.interval().name());
        self.number(candles.len() as u64);
        self.column(candles.open_times_ms().iter(), |t| t.cast_unsigned());
        for prices in [candles.opens(), candles.highs(), candles.lows(), candles.closes(), candles.volumes()] {
            self.column(prices.iter(), |value| value.to_bits());
        }
        self.column(candles.quote_volumes().iter(), |value| value.to_bits());
        self.column(candles.trade_counts().iter(), |count| *count);
        self.column(candles.taker_buy_volumes().iter(), |value| value.to_bits());
        self.column(0..candles.len(), |i| candles.candle(i).taker_buy_quote_volume.to_bits());
    }

    /// Funding payments.
    pub fn funding(&mut self, funding: &[FundingRate]) {
        self.number(funding.len() as u64);
        for due in funding {
            self.time(due.time_ms);
            self.number(due.rate.to_bits());
        }
    }

    /// Values of one kind.
    pub fn readings(&mut self, readings: &Readings) {
        self.number(readings.len() as u64);
        self.column(readings.times_ms().iter(), |t| t.cast_unsigned());
        self.column(readings.values().iter(), |value| value.to_bits());
    }

    /// What a market published, every kind, and what models predict.
    pub fn market_readings(&mut self, readings: &MarketReadings) {
        readings.named().into_iter().for_each(|(_, readings)| self.readings(readings));
        self.number(readings.models.len() as u64);
        for (series, readings) in &readings.models {
            self.text(&series.to_string());
            self.readings(readings);
        }
    }
}

/// Reads what a [`Packer`] wrote, in the same order.
#[derive(Clone, Debug)]
pub struct Unpacker<'a> {
    bytes: &'a [u8],
}

impl<'a> Unpacker<'a> {
    /// At the beginning.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], PackedError> {
        let (taken, rest) =
            self.bytes.split_at_checked(count).ok_or_else(|| PackedError("they end too early".into()))?;
        self.bytes = rest;
        Ok(taken)
    }

    /// That nothing is left.
    ///
    /// # Errors
    /// Where something is.
    pub fn end(&self) -> Result<(), PackedError> {
        let left = self.bytes.len();
        if left == 0 { Ok(()) } else { Err(PackedError(format!("{left} bytes are left over"))) }
    }

    /// A whole number, or the bits of one with a fraction.
    ///
    /// # Errors
    /// Where the bytes end.
    pub fn number(&mut self) -> Result<u64, PackedError> {
        let bytes = self.take(8)?.try_into().map_err(|_| PackedError("they end too early".into()))?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// A time, UTC ms.
    ///
    /// # Errors
    /// Where the bytes end.
    pub fn time(&mut self) -> Result<i64, PackedError> {
        self.number().map(u64::cast_signed)
    }

    /// A count of things of which each takes `size` bytes at least: no more than there can be.
    ///
    /// # Errors
    /// Where there cannot be so many.
    pub fn count(&mut self, size: usize) -> Result<usize, PackedError> {
        let count = self.number()?;
        let most = self.bytes.len() / size.max(1);
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= most)
            .ok_or_else(|| PackedError(format!("{count} of something, where {most} is the most")))
    }

    /// A text.
    ///
    /// # Errors
    /// Where the bytes end or are no text.
    pub fn text(&mut self) -> Result<&'a str, PackedError> {
        std::str::from_utf8(self.bytes()?).map_err(|error| PackedError(error.to_string()))
    }

    /// Bytes of any kind.
    ///
    /// # Errors
    /// Where they end too early.
    pub fn bytes(&mut self) -> Result<&'a [u8], PackedError> {
        let count = self.count(1)?;
        self.take(count)
    }

    /// A name of something.
    ///
    /// # Errors
    /// Where it names nothing.
    pub fn named<T: FromStr>(&mut self) -> Result<T, PackedError> {
        let text = self.text()?;
        text.parse().map_err(|_| PackedError(format!("{text:?} names nothing that is known here")))
    }

    fn column(&mut self, count: usize) -> Result<impl Iterator<Item = u64> + use<'a>, PackedError> {
        let bytes = self.take(8 * count)?;
        Ok(bytes.chunks_exact(8).map(|eight| eight.iter().rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte))))
    }

    fn fractions(&mut self, count: usize) -> Result<impl Iterator<Item = f64> + use<'a>, PackedError> {
        Ok(self.column(count)?.map(f64::from_bits))
    }

    /// Candles.
    ///
    /// # Errors
    /// Where the bytes end or a candle is none.
    pub fn candles(&mut self) -> Result<CandleSeries, PackedError> {
        let interval: Interval = self.named()?;
        let count = self.count(80)?;
        let times = self.column(count)?;
        let (mut opens, mut highs, mut lows) = (self.fractions(count)?, self.fractions(count)?, self.fractions(count)?);
        let (mut closes, mut volumes) = (self.fractions(count)?, self.fractions(count)?);
        let (mut quote_volumes, mut trade_counts) = (self.fractions(count)?, self.column(count)?);
        let (mut taken, mut taken_quote) = (self.fractions(count)?, self.fractions(count)?);
        let short = || PackedError("they end too early".into());
        let mut candles = CandleSeries::new(interval);
        for time in times {
            let open_time_ms = time.cast_signed();
            let candle = Candle {
                open_time_ms,
                open: opens.next().ok_or_else(short)?,
                high: highs.next().ok_or_else(short)?,
                low: lows.next().ok_or_else(short)?,
                close: closes.next().ok_or_else(short)?,
                volume: volumes.next().ok_or_else(short)?,
                // A series derives it.
                close_time_ms: open_time_ms,
                quote_volume: quote_volumes.next().ok_or_else(short)?,
                trade_count: trade_counts.next().ok_or_else(short)?,
                taker_buy_volume: taken.next().ok_or_else(short)?,
                taker_buy_quote_volume: taken_quote.next().ok_or_else(short)?,
            };
            candles.push(&candle).map_err(|error| PackedError(error.to_string()))?;
        }
        Ok(candles)
    }

    /// Funding payments.
    ///
    /// # Errors
    /// Where the bytes end or a rate is no number.
    pub fn funding(&mut self) -> Result<Vec<FundingRate>, PackedError> {
        let count = self.count(16)?;
        let mut funding = Vec::with_capacity(count);
        for _ in 0..count {
            let due = FundingRate { time_ms: self.time()?, rate: f64::from_bits(self.number()?) };
            if !due.rate.is_finite() {
                return Err(PackedError(format!("the funding rate at {} ms is no number", due.time_ms)));
            }
            funding.push(due);
        }
        Ok(funding)
    }

    /// Values of one kind.
    ///
    /// # Errors
    /// Where the bytes end, a value is no number, or times are not in order.
    pub fn readings(&mut self) -> Result<Readings, PackedError> {
        let count = self.count(16)?;
        let times = self.column(count)?.map(u64::cast_signed);
        let readings = Readings::new(times.zip(self.fractions(count)?));
        let readings = readings.map_err(|error| PackedError(error.to_string()))?;
        // Whatever is in order and apart is kept as it is.
        if readings.len() == count { Ok(readings) } else { Err(PackedError("two readings of one time".into())) }
    }

    /// What a market published, and what models predict.
    ///
    /// # Errors
    /// As [`Unpacker::readings`], or where what is predicted is no series of models, or twice there.
    pub fn market_readings(&mut self) -> Result<MarketReadings, PackedError> {
        let mut found = MarketReadings {
            funding: self.readings()?,
            premium: self.readings()?,
            open_interest: self.readings()?,
            open_interest_value: self.readings()?,
            long_short_ratio: self.readings()?,
            top_long_short_ratio: self.readings()?,
            taker_long_short_ratio: self.readings()?,
            models: BTreeMap::new(),
        };
        for _ in 0..self.count(16)? {
            let series: Series = self.named()?;
            let none = || PackedError(format!("{series} is no series of models"));
            let series =
                series.source.model().filter(|model| model.to_string() == series.to_string()).ok_or_else(none)?;
            if found.models.insert(series, self.readings()?).is_some() {
                return Err(PackedError(format!("{series} is there twice")));
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candles() -> CandleSeries {
        let mut series = CandleSeries::new(Interval::H4);
        for n in 0..5_u32 {
            let open_time_ms = i64::from(n) * 14_400_000;
            let open = 1.0 / 3.0 + f64::from(n);
            let candle = Candle {
                open_time_ms,
                open,
                high: open.next_up(),
                low: f64::MIN_POSITIVE,
                close: open,
                volume: -0.0,
                close_time_ms: open_time_ms + 14_399_999,
                quote_volume: 0.1 + 0.2,
                trade_count: u64::MAX,
                taker_buy_volume: 1e-300,
                taker_buy_quote_volume: f64::MAX,
            };
            series.push(&candle).unwrap();
        }
        series
    }

    fn packed() -> Vec<u8> {
        let mut packer = Packer::default();
        packer.candles(&candles());
        packer.funding(&[FundingRate { time_ms: -1, rate: -0.0001 }]);
        let premium = Readings::new([(1, 0.1), (2, -0.2)]).unwrap();
        let series: Series = "model_confidence(trend)".parse().unwrap();
        let models = BTreeMap::from([(series.source.model().unwrap(), Readings::new([(3, 0.25)]).unwrap())]);
        packer.market_readings(&MarketReadings { premium, models, ..MarketReadings::default() });
        packer.finish()
    }

    #[test]
    fn what_is_read_is_what_was_written_to_the_bit() {
        let bytes = packed();
        let mut unpacker = Unpacker::new(&bytes);
        let (read, funding, readings) =
            (unpacker.candles().unwrap(), unpacker.funding().unwrap(), unpacker.market_readings().unwrap());
        unpacker.end().unwrap();
        let (old, new): (Vec<_>, Vec<_>) = (candles().candles().collect(), read.candles().collect());
        assert_eq!(old, new);
        assert_eq!(readings.models.len(), 1);
        assert_eq!(read.volumes()[0].to_bits(), (-0.0_f64).to_bits(), "equal numbers may differ in bits");
        let mut again = Packer::default();
        again.candles(&read);
        again.funding(&funding);
        again.market_readings(&readings);
        assert_eq!(again.finish(), bytes);
    }

    #[test]
    fn bytes_that_are_no_candles_are_refused() {
        let bytes = packed();
        let read = |bytes: &[u8]| {
            let mut unpacker = Unpacker::new(bytes);
            unpacker.candles()?;
            unpacker.funding()?;
            unpacker.market_readings()?;
            unpacker.end()
        };
        read(&bytes).unwrap();
        for cut in 0..bytes.len() {
            assert!(read(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(read(&[bytes.clone(), vec![0]].concat()).unwrap_err().to_string().contains("left over"));
        // A count that no memory could hold, and a price that is none.
        let mut many = bytes.clone();
        many[10..18].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(read(&many).is_err());
        let mut none = bytes;
        none[58..66].copy_from_slice(&f64::NAN.to_bits().to_le_bytes());
        assert!(read(&none).unwrap_err().to_string().contains("price"));
    }
}

//! A computed series: one value a candle, or none.
//!
//! Inside the engine "undefined" is NaN, so that every comparison with it is false without a test; NaN never leaves
//! the engine: whoever reads one value gets an `Option`. Never holds an infinity.

/// One value for each candle of a timeline.
#[derive(Clone, Debug, Default)]
pub struct Column {
    values: Vec<f64>,
    first_defined: usize,
}

impl Column {
    /// A column of the given values; what is not finite becomes undefined.
    // Inlined, so that a caller compiled for wide vectors has its two passes in them.
    #[inline(always)]
    #[must_use]
    pub fn new(mut values: Vec<f64>) -> Self {
        for value in &mut values {
            if !value.is_finite() {
                *value = f64::NAN;
            }
        }
        let first_defined = values.iter().position(|v| !v.is_nan()).unwrap_or(values.len());
        Self { values, first_defined }
    }

    /// The values, NaN where undefined. Compare them, but never let one out of the engine.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Index of the first defined value; the length when there is none. Later values can be undefined, too: a
    /// volume-weighted average has no value over candles without volume.
    #[must_use]
    pub fn first_defined(&self) -> usize {
        self.first_defined
    }

    /// The value at a candle; `None` where it is undefined or past the end.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<f64> {
        self.values.get(index).copied().filter(|v| !v.is_nan())
    }

    /// Number of candles.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no candle.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Bytes of heap memory it holds.
    #[must_use]
    pub(crate) fn heap_bytes(&self) -> usize {
        self.values.capacity() * size_of::<f64>()
    }
}

/// Equal when the same candles are defined and their values have the same bits.
impl PartialEq for Column {
    fn eq(&self, other: &Self) -> bool {
        let bits = |v: &f64| if v.is_nan() { f64::NAN.to_bits() } else { v.to_bits() };
        self.values.len() == other.values.len() && self.values.iter().map(bits).eq(other.values.iter().map(bits))
    }
}

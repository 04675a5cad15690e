//! A finite number that can be compared, hashed and printed exactly. Never NaN, infinite or minus zero.

use serde::{Deserialize, Serialize};
use std::{cmp::Ordering, fmt, hash};

/// A finite `f64`, with a total order; prints in the shortest form that reads back to the same bits.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Number(f64);

impl Number {
    /// Zero.
    pub const ZERO: Self = Self(0.0);

    /// A number from a finite value; `None` for NaN and infinities.
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        // Adding zero turns -0.0 into 0.0, so that equal numbers have equal bits.
        value.is_finite().then_some(Self(value + 0.0))
    }

    /// A number from an integer of at most 32 bits (exact).
    #[must_use]
    pub const fn int(value: i32) -> Self {
        Self(value as f64)
    }

    /// A number from a literal known to be finite. Only for constants in code.
    ///
    /// # Panics
    /// If `value` is not finite.
    #[must_use]
    pub const fn literal(value: f64) -> Self {
        assert!(value.is_finite(), "a literal is finite");
        Self(value + 0.0)
    }

    /// The value.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// The value as a count of candles, if it is a whole number that fits.
    #[must_use]
    pub(crate) fn as_bars(self) -> Option<usize> {
        (self.0 >= 0.0 && self.0 <= 1e9 && self.0.fract() == 0.0).then_some(self.0 as usize)
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}
impl Eq for Number {}
impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}
impl hash::Hash for Number {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
impl TryFrom<f64> for Number {
    type Error = &'static str;
    fn try_from(value: f64) -> Result<Self, Self::Error> {
        Self::new(value).ok_or("a number must be finite")
    }
}
impl From<Number> for f64 {
    fn from(value: Number) -> Self {
        value.0
    }
}

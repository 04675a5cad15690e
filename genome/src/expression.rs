//! Expressions of a score: arithmetic over series, over an instrument's past, and across the market. Values only:
//! what an expression is worth at a candle is the engine's affair.

use crate::{Number, Series};

pub(crate) mod canonical;
pub(crate) mod unit;

/// One value from one value of the same candle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unary {
    /// The value with its sign turned.
    Negate,
    /// The value without its sign.
    Abs,
    /// Natural logarithm; undefined for what is not above 0.
    Log,
    /// -1, 0 or 1.
    Sign,
}

impl Unary {
    /// The name in texts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Negate => "-",
            Self::Abs => "abs",
            Self::Log => "log",
            Self::Sign => "sign",
        }
    }
}

/// One value from two values of the same candle. Undefined where a side is, where a division is by 0, and where the
/// result is no finite number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Min,
    Max,
}

impl Binary {
    /// The sign or name in texts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Min => "min",
            Self::Max => "max",
        }
    }
}

/// One value from the last n values of an instrument's own candles, this one included; undefined until there are so
/// many, and where one of them is undefined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rolling {
    /// The value n candles before (of n + 1 candles).
    Delay,
    /// The value less the one n candles before (of n + 1 candles).
    Delta,
    /// Mean.
    Mean,
    /// Population standard deviation.
    Deviation,
    /// Sum.
    Sum,
    /// Greatest.
    Highest,
    /// Least.
    Lowest,
    /// (average rank of this value among the n - 1) / (n - 1): 0 the lowest, 1 the highest.
    TsRank,
    /// Mean with weights n, n - 1, ... 1, the newest value with the greatest.
    Decay,
}

impl Rolling {
    /// The name in texts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delay => "delay",
            Self::Delta => "delta",
            Self::Mean => "mean",
            Self::Deviation => "deviation",
            Self::Sum => "sum",
            Self::Highest => "highest",
            Self::Lowest => "lowest",
            Self::TsRank => "ts_rank",
            Self::Decay => "decay",
        }
    }

    /// Least count of candles: one value alone has no rank and no deviation.
    #[must_use]
    pub const fn least(self) -> u32 {
        if matches!(self, Self::Deviation | Self::TsRank) { 2 } else { 1 }
    }
}

/// One value from the values of all members of the universe that have one at this candle; undefined for an instrument
/// that is no member, and where fewer than two have a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Across {
    /// (average rank - 1) / (n - 1): 0 the lowest, 1 the highest.
    Rank,
    /// (value - mean) / population deviation; undefined where the deviation is 0.
    ZScore,
    /// Value less mean.
    Demean,
    /// Value over mean; undefined where the mean is 0.
    Relative,
}

impl Across {
    /// The name in texts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rank => "cs_rank",
            Self::ZScore => "cs_zscore",
            Self::Demean => "cs_demean",
            Self::Relative => "relative",
        }
    }
}

/// An expression over one instrument's series and over the market.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Expression {
    /// A fixed number.
    Constant(Number),
    /// A series of the language.
    Series(Series),
    /// Square root of the mean of ln(close / close before)^2 over the last returns between neighbouring own closes.
    Volatility {
        /// How many returns.
        returns: u32,
    },
    /// An operator on one value.
    Unary(Unary, Box<Expression>),
    /// An operator on two values.
    Binary(Binary, Box<Expression>, Box<Expression>),
    /// An operator on the last `candles` values.
    Rolling(Rolling, Box<Expression>, u32),
    /// Pearson's correlation of the last `n` values of two expressions; undefined where one does not vary.
    Correlation(Box<Expression>, Box<Expression>, u32),
    /// An operator on the values of all members.
    Across(Across, Box<Expression>),
    /// Slope of the last `n` changes of the value on the mean change of the members that have one at these candles. A
    /// change is x / x before - 1 where the value has a unit (a price, an amount), else x - x before. Undefined where
    /// the mean does not vary.
    Beta(Box<Expression>, u32),
}

impl Expression {
    /// Most candles that an operator looks back over.
    pub const MAX_CANDLES: u32 = 5_000;
    /// Most parts that one expression may have.
    pub const MAX_PARTS: usize = 64;
    /// Deepest nesting.
    pub const MAX_DEPTH: usize = 16;

    /// The expressions directly inside this one.
    #[must_use]
    pub fn parts(&self) -> Vec<&Self> {
        match self {
            Self::Constant(_) | Self::Series(_) | Self::Volatility { .. } => Vec::new(),
            Self::Unary(_, x) | Self::Rolling(_, x, _) | Self::Across(_, x) | Self::Beta(x, _) => vec![x],
            Self::Binary(_, x, y) | Self::Correlation(x, y, _) => vec![x, y],
        }
    }

    /// The same expression with another number of candles for each of its operators.
    pub(crate) fn with_candles(&self, candles: &impl Fn(u32) -> u32) -> Self {
        let part = |x: &Self| Box::new(x.with_candles(candles));
        match self {
            Self::Constant(_) | Self::Series(_) => self.clone(),
            Self::Volatility { returns } => Self::Volatility { returns: candles(*returns) },
            Self::Unary(op, x) => Self::Unary(*op, part(x)),
            Self::Binary(op, x, y) => Self::Binary(*op, part(x), part(y)),
            Self::Rolling(op, x, n) => Self::Rolling(*op, part(x), candles(*n)),
            Self::Correlation(x, y, n) => Self::Correlation(part(x), part(y), candles(*n)),
            Self::Across(op, x) => Self::Across(*op, part(x)),
            Self::Beta(x, n) => Self::Beta(part(x), candles(*n)),
        }
    }

    /// Its series, in reading order.
    pub(crate) fn series(&self) -> Vec<Series> {
        match self {
            Self::Series(series) => vec![*series],
            _ => self.parts().into_iter().flat_map(Self::series).collect(),
        }
    }

    /// The same expression with another series in the place of the one `at` its place among [`Self::series`].
    pub(crate) fn with_series(&self, at: usize, series: Series) -> Self {
        let mut next = 0;
        self.with_each_series(&mut |own| {
            next += 1;
            if next == at + 1 { series } else { own }
        })
    }

    fn with_each_series(&self, each: &mut impl FnMut(Series) -> Series) -> Self {
        let mut part = |x: &Self| Box::new(x.with_each_series(each));
        match self {
            Self::Constant(_) | Self::Volatility { .. } => self.clone(),
            Self::Series(series) => Self::Series(each(*series)),
            Self::Unary(op, x) => Self::Unary(*op, part(x)),
            Self::Binary(op, x, y) => Self::Binary(*op, part(x), part(y)),
            Self::Rolling(op, x, n) => Self::Rolling(*op, part(x), *n),
            Self::Correlation(x, y, n) => Self::Correlation(part(x), part(y), *n),
            Self::Across(op, x) => Self::Across(*op, part(x)),
            Self::Beta(x, n) => Self::Beta(part(x), *n),
        }
    }

    /// Number of operators, series and numbers.
    #[must_use]
    pub fn size(&self) -> usize {
        1 + self.parts().into_iter().map(Self::size).sum::<usize>()
    }

    /// Depth of the tree; a lone series has depth 1.
    #[must_use]
    pub fn depth(&self) -> usize {
        1 + self.parts().into_iter().map(Self::depth).max().unwrap_or(0)
    }
}

//! Strategies that rank the whole market: universe, score, clock, weights. Values only.

use crate::{Expression, Number, Timeframe};

mod canonical;

/// The instruments that a strategy looks at, as of each candle.
///
/// The `top` instruments with the greatest quote volume over the last `volume_days` days among those that have been
/// listed for `listed_days` days, have a candle that closes then, and are not excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Universe {
    /// Most members.
    pub top: u32,
    /// Days over which quote volume is added up.
    pub volume_days: u32,
    /// Least days since an instrument's first candle opened.
    pub listed_days: u32,
}

/// How scores become weights, before they are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// By rank: cs_rank - 0.5.
    Linear,
    /// The best get 1, the worst -1; a name in both is at the bottom.
    TopBottom {
        /// Share of the best, percent.
        top_pct: Number,
        /// Share of the worst, percent; `None` only where the strategy is long only.
        bottom_pct: Option<Number>,
    },
}

/// How scores become target weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weights {
    /// From ranks to raw weights.
    pub form: Form,
    /// Raw weights are divided by realised volatility over so many returns; `None`: equal.
    pub inverse_volatility: Option<u32>,
    /// No short leg: the long leg has all of the gross.
    pub long_only: bool,
    /// Greatest weight of one name, a fraction of equity.
    pub cap: Option<Number>,
    /// The weights' exposure to the members' mean return over so many returns is taken off.
    pub beta_neutral: Option<u32>,
    /// Targets are the mean over so many rebalances; 1: none.
    pub smooth: u32,
    /// A name whose target is nearer to its present share than this is left alone, a fraction of equity.
    pub band: Option<Number>,
}

impl Weights {
    /// A form with nothing else.
    #[must_use]
    pub const fn of(form: Form) -> Self {
        Self { form, inverse_volatility: None, long_only: false, cap: None, beta_neutral: None, smooth: 1, band: None }
    }
}

/// A strategy that ranks the members of a universe by a score and holds them by weights (definitions, section 7).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ranking {
    /// Base timeframe: scores are evaluated at closes of its candles.
    pub timeframe: Timeframe,
    /// Which instruments.
    pub universe: Universe,
    /// What they are ranked by, greatest first.
    pub score: Expression,
    /// Weights are set at closes of candles of this timeframe.
    pub rebalance: Timeframe,
    /// From scores to target weights.
    pub weights: Weights,
    /// Sum of the absolute weights, both legs.
    pub gross: Number,
}

impl Ranking {
    /// The same strategy with every look-back of its score and weights, in candles, multiplied and rounded, within bounds.
    /// Parameters of indicators (see [`crate::variation::score_neighbours`]) and the smoothing stay.
    #[must_use]
    pub fn with_look_backs(&self, factor: f64) -> Self {
        let scaled = |n: u32| {
            let most = f64::from(Expression::MAX_CANDLES);
            if n < 2 { n } else { (f64::from(n) * factor).round().clamp(2.0, most) as u32 }
        };
        let weights = Weights {
            inverse_volatility: self.weights.inverse_volatility.map(scaled),
            beta_neutral: self.weights.beta_neutral.map(scaled),
            ..self.weights
        };
        Self { score: self.score.with_candles(&scaled), weights, ..self.clone() }
    }
}

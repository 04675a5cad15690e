//! A whole strategy: entries, exits, risk plan, filters. Values only.

use crate::{Number, Operand, Rule, Series, Timeframe, Universe};
use std::collections::BTreeSet;

/// A distance from a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Distance {
    /// In percent of the fill price: `1.51` is 1.51 %.
    Percent(Number),
    /// A multiple of ATR(period) on the base timeframe, as it stood at the signal candle's close.
    Atr {
        /// How many ATRs.
        multiple: Number,
        /// ATR period in candles.
        period: u32,
    },
}

/// How large a position is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Size {
    /// Notional as a fraction of the sleeve's equity, fee included: units = fraction x equity / (price x (1 + fee)).
    Fraction(Number),
    /// Units such that the stop loses this fraction of the sleeve's equity, fees and slippage included: equity x risk /
    /// loss of one unit.
    /// Needs a stop-loss.
    Risk(Number),
}

/// Takes part of a position off at a profit, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartialTakeProfit {
    /// Distance from the entry fill.
    pub at: Distance,
    /// Share of the position closed there, in (0, 1).
    pub fraction: Number,
}

/// Grows the size after each losing trade in a row, back to normal after a win.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Recovery {
    /// Size multiplier for each losing trade in a row, > 1.
    pub multiplier: Number,
    /// Steps after which it grows no more.
    pub max_steps: u32,
}

/// What a position risks and when it ends without being told by a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RiskPlan {
    /// Position size.
    pub size: Size,
    /// Cap on notional / equity; above 1, liquidation is simulated.
    pub leverage: Number,
    /// Stop-loss, standing from the fill.
    pub stop_loss: Option<Distance>,
    /// Take-profit, standing from the fill.
    pub take_profit: Option<Distance>,
    /// Trailing stop: this far behind the best close since entry; moves on closed candles only.
    pub trailing_stop: Option<Distance>,
    /// Once a candle has closed this far in profit, the stop moves to the entry fill price.
    pub break_even: Option<Distance>,
    /// Close at the open of the candle that comes this many candles after the entry candle.
    pub time_exit_bars: Option<u32>,
    /// Partial take-profit.
    pub partial_take_profit: Option<PartialTakeProfit>,
    /// Capped recovery after losses.
    pub recovery: Option<Recovery>,
}

impl Default for RiskPlan {
    /// The whole sleeve, no leverage, nothing else.
    fn default() -> Self {
        Self {
            size: Size::Fraction(Number::literal(1.0)),
            leverage: Number::literal(1.0),
            stop_loss: None,
            take_profit: None,
            trailing_stop: None,
            break_even: None,
            time_exit_bars: None,
            partial_take_profit: None,
            recovery: None,
        }
    }
}

/// Market regimes on the base timeframe; see the engine's regime indicator for the thresholds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum TrendRegimeFilter {
    #[default]
    Any,
    Trending,
    Ranging,
    Choppy,
}

impl TrendRegimeFilter {
    /// Every filter.
    pub const ALL: [Self; 4] = [Self::Any, Self::Trending, Self::Ranging, Self::Choppy];

    /// The name in texts and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Trending => "trending",
            Self::Ranging => "ranging",
            Self::Choppy => "choppy",
        }
    }
}

/// What must hold beside the entry rule. Filters hold entries back; they never close a position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Filters {
    /// Regime at the signal candle.
    pub regime: TrendRegimeFilter,
    /// Least confidence in [0, 1]: the share of the entry rule's conditions (after `not` is pushed
    /// down to them) that hold at the signal candle.
    pub min_confidence: Option<Number>,
}

/// Rules of one side.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SideRules {
    /// When to enter.
    pub entry: Rule,
    /// When to leave, beside the risk plan.
    pub exit: Option<Rule>,
}

/// A strategy. At least one side is present; when both sides signal at one candle, neither enters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Strategy {
    /// Base timeframe: rules are evaluated at the close of its candles.
    pub timeframe: Timeframe,
    /// Long side.
    pub long: Option<SideRules>,
    /// Short side.
    pub short: Option<SideRules>,
    /// Risk plan.
    pub risk: RiskPlan,
    /// Filters.
    pub filters: Filters,
    /// The instruments with which a rule compares its own; there if, and only if, one does.
    pub universe: Option<Universe>,
}

impl Strategy {
    /// Every series that its rules look at, each once.
    #[must_use]
    pub fn series(&self) -> BTreeSet<Series> {
        let mut all = BTreeSet::new();
        let sides = [&self.long, &self.short];
        let rules = sides.into_iter().flatten().flat_map(|side| std::iter::once(&side.entry).chain(&side.exit));
        for rule in rules {
            rule.for_each_condition(&mut |condition| {
                all.insert(condition.left);
                if let Operand::Series(right) = condition.right {
                    all.insert(right);
                }
            });
        }
        all
    }
}

//! Rules to signals: at which candles a strategy asks to enter or to leave.
//!
//! Knows nothing of positions, prices of fills or costs. A signal at candle i is what was known at i's close;
//! it can fill at the open of i + 1 at the earliest.

use candles::CandleSeries;
use engine::{EvaluationError, Slippage, columns::compute_column, indicator::Column};
use genome::{
    Comparison, Condition, Distance, Indicator, IndicatorKind, Number, Operand, Rule, Series, SideRules, Source,
    Strategy, TrendRegimeFilter,
};
use std::collections::BTreeMap;

/// Entry and exit signals, one of each for every base candle.
#[derive(Clone, Debug)]
pub(crate) struct Signals {
    pub enter_long: Vec<bool>,
    pub enter_short: Vec<bool>,
    pub exit_long: Vec<bool>,
    pub exit_short: Vec<bool>,
}

/// The candles a strategy looks at on one symbol, and the columns computed over them so far.
pub(crate) struct Columns<'a> {
    base: &'a CandleSeries,
    finest: &'a CandleSeries,
    computed: BTreeMap<Series, Column>,
}

impl<'a> Columns<'a> {
    pub(crate) fn new(base: &'a CandleSeries, finest: &'a CandleSeries) -> Self {
        Self { base, finest, computed: BTreeMap::new() }
    }

    fn values(&mut self, series: &Series) -> Result<&[f64], EvaluationError> {
        if !self.computed.contains_key(series) {
            self.computed.insert(*series, compute_column(series, self.base, self.finest)?);
        }
        Ok(self.computed[series].values())
    }

    fn column(&mut self, series: &Series) -> Result<Vec<f64>, EvaluationError> {
        self.values(series).map(<[f64]>::to_vec)
    }
}

/// ATR(period) on the base timeframe.
fn atr(period: u32) -> Result<Series, EvaluationError> {
    let params = [Number::int(i32::try_from(period).unwrap_or(i32::MAX))];
    let indicator = Indicator::new(IndicatorKind::Atr, &params).map_err(EvaluationError::Invalid)?;
    Ok(Series { source: Source::Indicator(indicator), timeframe: None, across: None })
}

/// ATRs at one candle, one for each distance of the plan that asks for one (NaN for the rest).
pub(crate) struct PlanAtrs {
    pub stop_loss: f64,
    pub take_profit: f64,
    pub trailing_stop: f64,
    pub break_even: f64,
    pub partial_take_profit: f64,
}

/// ATR columns that the risk plan and the slippage model look at; empty where they do not.
pub(crate) struct Atrs {
    stop_loss: Vec<f64>,
    take_profit: Vec<f64>,
    trailing_stop: Vec<f64>,
    break_even: Vec<f64>,
    partial_take_profit: Vec<f64>,
    slippage: Vec<f64>,
}

impl Atrs {
    pub(crate) fn new(
        strategy: &Strategy,
        slippage: &Slippage,
        columns: &mut Columns<'_>,
    ) -> Result<Self, EvaluationError> {
        let risk = &strategy.risk;
        let mut of = |distance: Option<Distance>| match distance {
            Some(Distance::Atr { period, .. }) => columns.column(&atr(period)?),
            _ => Ok(Vec::new()),
        };
        Ok(Self {
            stop_loss: of(risk.stop_loss)?,
            take_profit: of(risk.take_profit)?,
            trailing_stop: of(risk.trailing_stop)?,
            break_even: of(risk.break_even)?,
            partial_take_profit: of(risk.partial_take_profit.map(|p| p.at))?,
            slippage: match slippage {
                Slippage::Atr { .. } => columns.column(&atr(Slippage::ATR_PERIOD)?)?,
                _ => Vec::new(),
            },
        })
    }

    /// The plan's ATRs at candle `i`; NaN for those that nothing looks at.
    pub(crate) fn at(&self, i: usize) -> PlanAtrs {
        let value = |column: &[f64]| column.get(i).copied().unwrap_or(f64::NAN);
        PlanAtrs {
            stop_loss: value(&self.stop_loss),
            take_profit: value(&self.take_profit),
            trailing_stop: value(&self.trailing_stop),
            break_even: value(&self.break_even),
            partial_take_profit: value(&self.partial_take_profit),
        }
    }

    /// ATR for slippage of a fill in candle `i`: that of the close before.
    pub(crate) fn before(&self, i: usize) -> f64 {
        i.checked_sub(1).and_then(|i| self.slippage.get(i)).copied().unwrap_or(f64::NAN)
    }

    /// Whether every ATR that an entry signalled at `i` needs is defined.
    fn defined(&self, i: usize) -> bool {
        [
            &self.stop_loss,
            &self.take_profit,
            &self.trailing_stop,
            &self.break_even,
            &self.partial_take_profit,
            &self.slippage,
        ]
        .into_iter()
        .all(|column| column.get(i).is_none_or(|v| !v.is_nan()))
    }
}

impl Signals {
    /// Evaluates the strategy's rules at each candle from `first` on; before it nothing signals.
    pub(crate) fn new(
        strategy: &Strategy,
        first: usize,
        atrs: &Atrs,
        columns: &mut Columns<'_>,
    ) -> Result<Self, EvaluationError> {
        let n = columns.base.len();
        let allowed = regime_allows(strategy.filters.regime, n, columns)?;
        let least = strategy.filters.min_confidence.map(Number::get);
        let mut entry = |side: Option<&SideRules>| -> Result<Vec<bool>, EvaluationError> {
            let Some(rules) = side else { return Ok(vec![false; n]) };
            let mut signals = holds(&rules.entry, false, n, columns)?;
            if let Some(least) = least {
                let share = confidence(&rules.entry, n, columns)?;
                for (signal, share) in signals.iter_mut().zip(share) {
                    *signal &= share >= least;
                }
            }
            Ok(signals)
        };
        let (mut enter_long, mut enter_short) = (entry(strategy.long.as_ref())?, entry(strategy.short.as_ref())?);
        for i in 0..n {
            let may = i >= first && allowed[i] && atrs.defined(i) && !(enter_long[i] && enter_short[i]);
            enter_long[i] &= may;
            enter_short[i] &= may;
        }
        let mut exit = |side: Option<&SideRules>| match side.and_then(|s| s.exit.as_ref()) {
            Some(rule) => holds(rule, false, n, columns),
            None => Ok(vec![false; n]),
        };
        Ok(Self {
            enter_long,
            enter_short,
            exit_long: exit(strategy.long.as_ref())?,
            exit_short: exit(strategy.short.as_ref())?,
        })
    }
}

/// Whether `rule` (or its negation, pushed down to the conditions) holds at each candle.
fn holds(rule: &Rule, negated: bool, n: usize, columns: &mut Columns<'_>) -> Result<Vec<bool>, EvaluationError> {
    match rule {
        Rule::Condition(condition) => condition_holds(condition, negated, n, columns),
        Rule::Not(rule) => holds(rule, !negated, n, columns),
        Rule::And(rules) | Rule::Or(rules) => {
            let all = matches!(rule, Rule::And(_)) != negated;
            let mut result = vec![all; n];
            for rule in rules {
                for (out, v) in result.iter_mut().zip(holds(rule, negated, n, columns)?) {
                    *out = if all { *out && v } else { *out || v };
                }
            }
            Ok(result)
        }
    }
}

/// Share of the rule's conditions, `not` pushed down to them, that hold at each candle.
fn confidence(rule: &Rule, n: usize, columns: &mut Columns<'_>) -> Result<Vec<f64>, EvaluationError> {
    fn count(rule: &Rule, negated: bool, held: &mut [u32], columns: &mut Columns<'_>) -> Result<(), EvaluationError> {
        match rule {
            Rule::Condition(condition) => {
                let n = held.len();
                for (held, v) in held.iter_mut().zip(condition_holds(condition, negated, n, columns)?) {
                    *held += u32::from(v);
                }
                Ok(())
            }
            Rule::Not(rule) => count(rule, !negated, held, columns),
            Rule::And(rules) | Rule::Or(rules) => rules.iter().try_for_each(|rule| count(rule, negated, held, columns)),
        }
    }
    let mut held = vec![0; n];
    count(rule, false, &mut held, columns)?;
    let total = rule.conditions() as f64;
    Ok(held.into_iter().map(|held| f64::from(held) / total).collect())
}

/// Whether a condition holds at each candle: never where a value it looks at is undefined, negated or not.
fn condition_holds(
    condition: &Condition,
    negated: bool,
    n: usize,
    columns: &mut Columns<'_>,
) -> Result<Vec<bool>, EvaluationError> {
    let left = columns.column(&condition.left)?;
    let right = match condition.right {
        Operand::Constant(constant) => vec![constant.get(); n],
        Operand::Series(series) => columns.column(&series)?,
    };
    let at = |i: usize| -> Option<bool> {
        let defined = |i: usize| (!left[i].is_nan() && !right[i].is_nan()).then_some((left[i], right[i]));
        let (a, b) = defined(i)?;
        Some(match condition.comparison {
            Comparison::Below => a < b,
            Comparison::Above => a > b,
            Comparison::CrossesBelow => {
                let (before_a, before_b) = defined(i.checked_sub(1)?)?;
                a < b && before_a >= before_b
            }
            Comparison::CrossesAbove => {
                let (before_a, before_b) = defined(i.checked_sub(1)?)?;
                a > b && before_a <= before_b
            }
        })
    };
    Ok((0..n).map(|i| at(i).is_some_and(|holds| holds != negated)).collect())
}

/// Whether the market's regime at each candle is the one that the filter asks for.
fn regime_allows(filter: TrendRegimeFilter, n: usize, columns: &mut Columns<'_>) -> Result<Vec<bool>, EvaluationError> {
    let wanted = match filter {
        TrendRegimeFilter::Any => return Ok(vec![true; n]),
        TrendRegimeFilter::Trending => 1.0,
        TrendRegimeFilter::Ranging => 0.0,
        TrendRegimeFilter::Choppy => -1.0,
    };
    let regime = Indicator::new(IndicatorKind::Regime, &[]).map_err(EvaluationError::Invalid)?;
    let series = Series { source: Source::Indicator(regime), timeframe: None, across: None };
    Ok(columns.values(&series)?.iter().map(|&v| v == wanted).collect())
}

//! Strategies compiled: each rule a tree over numbered tests, each distinct test numbered once for a population.
//!
//! Knows no candle: what a test's outcome is at each candle is `conditions`' affair.

use super::{EvaluationError, Slippage};
use candles::{Interval, resample};
use foldhash::fast::FixedState;
use genome::{
    Comparison, Condition, Distance, Indicator, IndicatorKind, Number, Operand, Rule, Series, SideRules, Source,
    Strategy, Timeframe, TrendRegimeFilter,
};
use std::collections::HashMap;

/// Most conditions of an entry rule: as many as `signal` can count for the confidence filter.
const MOST_COUNTED: usize = 31;

/// What a test asks of its two sides; false where a value it looks at is undefined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Relation {
    Above,
    Below,
    AtLeast,
    AtMost,
    CrossesAbove,
    CrossesBelow,
    NotCrossesAbove,
    NotCrossesBelow,
}

/// A condition with its negation pushed into it. Ordered so that tests of one left column are neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Test {
    pub left: Series,
    pub right: Operand,
    pub relation: Relation,
}

/// A rule without `not`.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Test(u32),
    All(Vec<Node>),
    Any(Vec<Node>),
}

/// Rules of one side.
#[derive(Clone, Debug)]
pub(super) struct SidePlan {
    pub entry: Node,
    /// The entry rule's tests and how many of them must hold, where the filter asks for confidence.
    pub confidence: Option<(Vec<u32>, usize)>,
    pub exit: Option<Node>,
}

/// ATR columns that a sleeve looks at, by number; `None` where it does not.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AtrNumbers {
    pub stop_loss: Option<u32>,
    pub take_profit: Option<u32>,
    pub trailing_stop: Option<u32>,
    pub break_even: Option<u32>,
    pub partial_take_profit: Option<u32>,
    pub slippage: Option<u32>,
}

/// A compiled strategy.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Which of the population's vocabularies its numbers belong to.
    pub vocabulary: usize,
    pub long: Option<SidePlan>,
    pub short: Option<SidePlan>,
    /// Tests that must hold beside any entry rule: the regime, and that the ATRs needed are defined.
    pub guards: Vec<u32>,
    pub atrs: AtrNumbers,
    /// Every test that it looks at.
    pub uses: Vec<u32>,
}

/// Everything that strategies of one base timeframe look at, numbered.
#[derive(Debug)]
pub(super) struct Vocabulary {
    pub timeframe: Timeframe,
    pub tests: Vec<Test>,
    /// The tests once more, by the numbers of their series.
    pub keys: Vec<Key>,
    pub series: Vec<Series>,
    test_numbers: HashMap<Key, u32, FixedState>,
    series_numbers: HashMap<Series, u32, FixedState>,
    pub atrs: Vec<Series>,
}

/// A test of a vocabulary by the numbers of its series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub left: u32,
    pub right: Right,
    pub relation: Relation,
}

impl Key {
    /// In this order tests of one pair of sides are neighbours. By the right series first: rules compare few fast
    /// averages with many slow ones, so that parts of the order have the fewest series in common.
    pub(super) fn order(self) -> (bool, u32, Right, Relation) {
        match self.right {
            Right::Series(right) => (false, right, Right::Series(self.left), self.relation),
            constant @ Right::Constant(_) => (true, self.left, constant, self.relation),
        }
    }
}

/// The right side of a [`Key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Right {
    Series(u32),
    Constant(Number),
}

impl Vocabulary {
    fn new(timeframe: Timeframe) -> Self {
        let (test_numbers, series_numbers) = (HashMap::default(), HashMap::default());
        let (tests, keys, series, atrs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { timeframe, tests, keys, series, test_numbers, series_numbers, atrs }
    }

    fn series(&mut self, series: Series) -> u32 {
        *self.series_numbers.entry(series).or_insert_with(|| {
            self.series.push(series);
            index(self.series.len() - 1)
        })
    }

    fn test(&mut self, test: Test) -> u32 {
        let left = self.series(test.left);
        let right = match test.right {
            Operand::Series(right) => Right::Series(self.series(right)),
            Operand::Constant(constant) => Right::Constant(constant),
        };
        let key = Key { left, right, relation: test.relation };
        *self.test_numbers.entry(key).or_insert_with(|| {
            self.tests.push(test);
            self.keys.push(key);
            index(self.tests.len() - 1)
        })
    }
}

/// The vocabularies of a population.
#[derive(Debug)]
pub(super) struct Planner {
    interval: Interval,
    pub vocabularies: Vec<Vocabulary>,
}

impl Planner {
    /// For windows with candles of this interval.
    pub(super) fn new(interval: Interval) -> Self {
        Self { interval, vocabularies: Vec::new() }
    }

    /// Compiles a strategy, adding what it looks at to the vocabulary of its timeframe.
    pub(super) fn plan(&mut self, strategy: &Strategy, slippage: &Slippage) -> Result<Plan, EvaluationError> {
        let timeframe = strategy.timeframe;
        if timeframe < self.interval {
            return Err(EvaluationError::TimeframeTooFine { strategy: timeframe, window: self.interval });
        }
        self.check_timeframe(timeframe)?;
        let known = self.vocabularies.iter().position(|v| v.timeframe == timeframe);
        let number = known.unwrap_or_else(|| {
            self.vocabularies.push(Vocabulary::new(timeframe));
            self.vocabularies.len() - 1
        });
        let mut guards = self.regime(number, strategy.filters.regime)?;
        let risk = &strategy.risk;
        let mut atr = |distance: Option<Distance>| match distance {
            Some(Distance::Atr { period, .. }) => self.atr(number, period, &mut guards).map(Some),
            _ => Ok(None),
        };
        let slippage_distance = matches!(slippage, Slippage::Atr { .. })
            .then_some(Distance::Atr { multiple: Number::ZERO, period: Slippage::ATR_PERIOD });
        let atrs = AtrNumbers {
            stop_loss: atr(risk.stop_loss)?,
            take_profit: atr(risk.take_profit)?,
            trailing_stop: atr(risk.trailing_stop)?,
            break_even: atr(risk.break_even)?,
            partial_take_profit: atr(risk.partial_take_profit.map(|p| p.at))?,
            slippage: atr(slippage_distance)?,
        };
        let least = strategy.filters.min_confidence.map(Number::get);
        let mut uses = Vec::new();
        let mut side =
            |rules: Option<&SideRules>| rules.map(|rules| self.side(number, rules, least, &mut uses)).transpose();
        let (long, short) = (side(strategy.long.as_ref())?, side(strategy.short.as_ref())?);
        uses.extend(&guards);
        Ok(Plan { vocabulary: number, long, short, guards, atrs, uses })
    }

    fn check_timeframe(&self, to: Timeframe) -> Result<(), EvaluationError> {
        if resample::can_resample(self.interval, to) {
            return Ok(());
        }
        Err(resample::ResampleError::BordersDoNotMeet { from: self.interval, to }.into())
    }

    fn test(&mut self, vocabulary: usize, test: Test) -> Result<u32, EvaluationError> {
        let timeframes = match test.right {
            Operand::Series(right) => [test.left.timeframe, right.timeframe],
            Operand::Constant(_) => [test.left.timeframe, None],
        };
        for timeframe in timeframes.into_iter().flatten() {
            self.check_timeframe(timeframe)?;
        }
        Ok(self.vocabularies[vocabulary].test(test))
    }

    /// The number of ATR(period) on the base timeframe; guards entries where it is undefined.
    fn atr(&mut self, vocabulary: usize, period: u32, guards: &mut Vec<u32>) -> Result<u32, EvaluationError> {
        let params = [Number::int(i32::try_from(period).unwrap_or(i32::MAX))];
        let series = indicator(IndicatorKind::Atr, &params)?;
        let at_least_zero = Test { left: series, right: Operand::Constant(Number::ZERO), relation: Relation::AtLeast };
        guards.push(self.test(vocabulary, at_least_zero)?);
        let atrs = &mut self.vocabularies[vocabulary].atrs;
        let known = atrs.iter().position(|a| *a == series);
        Ok(index(known.unwrap_or_else(|| {
            atrs.push(series);
            atrs.len() - 1
        })))
    }

    /// Tests that hold in the wanted regime: 1 trending, 0 ranging, -1 choppy.
    fn regime(&mut self, vocabulary: usize, filter: TrendRegimeFilter) -> Result<Vec<u32>, EvaluationError> {
        let bounds: &[(Relation, f64)] = match filter {
            TrendRegimeFilter::Any => &[],
            TrendRegimeFilter::Trending => &[(Relation::Above, 0.5)],
            TrendRegimeFilter::Ranging => &[(Relation::Above, -0.5), (Relation::Below, 0.5)],
            TrendRegimeFilter::Choppy => &[(Relation::Below, -0.5)],
        };
        let left = indicator(IndicatorKind::Regime, &[])?;
        let test = |&(relation, bound)| Test { left, right: Operand::Constant(Number::literal(bound)), relation };
        bounds.iter().map(|bound| self.test(vocabulary, test(bound))).collect()
    }

    fn side(
        &mut self,
        vocabulary: usize,
        rules: &SideRules,
        least: Option<f64>,
        uses: &mut Vec<u32>,
    ) -> Result<SidePlan, EvaluationError> {
        let mut tests = Vec::new();
        let entry = self.node(vocabulary, &rules.entry, false, &mut tests)?;
        if tests.len() > MOST_COUNTED {
            return Err(EvaluationError::Invalid(format!("an entry rule of {} conditions", tests.len())));
        }
        uses.extend(&tests);
        let confidence = least.map(|least| {
            // One past all of them where no share is enough.
            let total = tests.len();
            let needed = (0..=total).find(|&held| held as f64 / total as f64 >= least).unwrap_or(total + 1);
            (tests, needed)
        });
        let exit = rules.exit.as_ref().map(|rule| self.node(vocabulary, rule, false, uses)).transpose()?;
        Ok(SidePlan { entry, confidence, exit })
    }

    fn node(
        &mut self,
        vocabulary: usize,
        rule: &Rule,
        negated: bool,
        tests: &mut Vec<u32>,
    ) -> Result<Node, EvaluationError> {
        Ok(match rule {
            Rule::Condition(condition) => {
                let number = self.test(vocabulary, test_of(condition, negated))?;
                tests.push(number);
                Node::Test(number)
            }
            Rule::Not(rule) => self.node(vocabulary, rule, !negated, tests)?,
            Rule::And(rules) | Rule::Or(rules) => {
                let nodes: Vec<Node> =
                    rules.iter().map(|rule| self.node(vocabulary, rule, negated, tests)).collect::<Result<_, _>>()?;
                if matches!(rule, Rule::And(_)) != negated { Node::All(nodes) } else { Node::Any(nodes) }
            }
        })
    }
}

fn test_of(condition: &Condition, negated: bool) -> Test {
    let relation = match (condition.comparison, negated) {
        (Comparison::Above, false) => Relation::Above,
        (Comparison::Above, true) => Relation::AtMost,
        (Comparison::Below, false) => Relation::Below,
        (Comparison::Below, true) => Relation::AtLeast,
        (Comparison::CrossesAbove, false) => Relation::CrossesAbove,
        (Comparison::CrossesAbove, true) => Relation::NotCrossesAbove,
        (Comparison::CrossesBelow, false) => Relation::CrossesBelow,
        (Comparison::CrossesBelow, true) => Relation::NotCrossesBelow,
    };
    Test { left: condition.left, right: condition.right, relation }
}

fn indicator(kind: IndicatorKind, params: &[Number]) -> Result<Series, EvaluationError> {
    let indicator = Indicator::new(kind, params).map_err(EvaluationError::Invalid)?;
    Ok(Series { source: Source::Indicator(indicator), timeframe: None, across: None })
}

/// Numbers are dense and far fewer than 2^32.
fn index(n: usize) -> u32 {
    u32::try_from(n).expect("a population names fewer than four billion series")
}

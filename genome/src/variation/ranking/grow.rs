//! Scores grown from the grammar, by what they measure: every part is made to be what is wanted of it, so that nothing
//! is drawn that would have to be thrown away.

use super::draw::{Maker, price};
use super::ideas::{boxed, rolling, unary};
use crate::variation::{chance, pick, pick_weighted};
use crate::{Across, Binary, Expression, IndicatorKind as Kind, Number, PriceField as Field, Rolling, Unary, Unit};
use rand::{Rng, RngExt};

/// What can be grown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    Plain,
    Price,
    Coins,
    Money,
    PerMoney,
}

impl Measure {
    /// What measures this unit; `None` for units that only other expressions lead to.
    pub(super) fn of(unit: Unit) -> Option<Self> {
        match unit {
            Unit::PLAIN => Some(Self::Plain),
            Unit::PRICE => Some(Self::Price),
            Unit::COINS => Some(Self::Coins),
            Unit::MONEY => Some(Self::Money),
            Unit::Of { quote: -1, base: 0 } => Some(Self::PerMoney),
            _ => None,
        }
    }
}

/// How large a part may become.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Operators, series and numbers.
    pub(super) size: usize,
    /// Levels.
    pub(super) depth: usize,
}

impl Room {
    /// What is left inside an operator of one value.
    const fn inside(self) -> Self {
        Self { size: self.size.saturating_sub(1), depth: self.depth.saturating_sub(1) }
    }

    /// What is left for both values of an operator, divided by chance.
    fn halves(self, rng: &mut impl Rng) -> (Self, Self) {
        let Self { size, depth } = self.inside();
        let first = rng.random_range(1..=size.saturating_sub(1).max(1));
        (Self { size: first, depth }, Self { size: size.saturating_sub(first).max(1), depth })
    }

    const fn holds(self, size: usize, depth: usize) -> bool {
        self.size >= size && self.depth >= depth
    }
}

/// Operators on an instrument's past that keep what is measured.
const KEEPING: [Rolling; 8] = [
    Rolling::Mean,
    Rolling::Decay,
    Rolling::Highest,
    Rolling::Lowest,
    Rolling::Delay,
    Rolling::Delta,
    Rolling::Deviation,
    Rolling::Sum,
];

impl Maker<'_> {
    /// A score, mostly a plain number.
    pub(super) fn free(&self, rng: &mut impl Rng) -> Expression {
        let (most, depth) = self.config.room();
        // Small ones mostly: what is large has more ways to fit what was luck.
        let size = rng.random_range(4..=most).min(rng.random_range(4..=most));
        let measure = match pick_weighted(&[0.94, 0.03, 0.03], rng) {
            Some(1) => Measure::Money,
            Some(2) => Measure::PerMoney,
            _ => Measure::Plain,
        };
        self.grown(measure, Room { size, depth }, rng)
    }

    /// An expression that measures what is wanted, no larger than the room.
    pub(super) fn grown(&self, measure: Measure, room: Room, rng: &mut impl Rng) -> Expression {
        match measure {
            Measure::Plain => self.plain(room, rng),
            other => self.quantity(other, room, rng),
        }
    }

    /// A plain number: a ratio, a rank, what is made of such.
    fn plain(&self, room: Room, rng: &mut impl Rng) -> Expression {
        let (one, two, three) = (room.holds(2, 2), room.holds(3, 2), room.holds(3, 3));
        let open = |weight: f64, there: bool| if there { weight } else { 0.0 };
        let weights = [
            open(0.7, true),
            open(4.0, two),
            open(2.0, one),
            open(1.0, one),
            open(3.0, one),
            open(0.7, two),
            open(0.4, one),
            open(2.5, two),
            open(0.4, one),
            open(1.0, three),
            open(0.7, two),
        ];
        match pick_weighted(&weights, rng) {
            Some(1) => self.ratio(room, rng),
            Some(2) => self.kept(Measure::Plain, room, rng),
            Some(3) => {
                let of = self.grown(quantity(rng), room.inside(), rng);
                rolling(Rolling::TsRank, of, self.window(rng))
            }
            Some(4) => self.compared(room, rng),
            Some(5) => {
                let (left, right) = room.halves(rng);
                let x = self.grown(any(rng), left, rng);
                let y = self.apart(&x, any(rng), right, rng);
                Expression::Correlation(Box::new(x), Box::new(y), self.window(rng).max(3))
            }
            Some(6) => {
                let of = self.grown(quantity(rng), room.inside(), rng);
                Expression::Beta(Box::new(of), self.window(rng).max(3))
            }
            Some(7) => self.joined(Measure::Plain, room, rng),
            Some(8) => {
                let op = pick(&[Unary::Negate, Unary::Abs, Unary::Sign], rng).copied().unwrap_or(Unary::Negate);
                unary(op, self.plain(room.inside(), rng))
            }
            Some(9) => {
                // A log return of something that is above 0 as it stands.
                let log = unary(Unary::Log, self.leaf(quantity(rng), rng));
                rolling(Rolling::Delta, log, self.window(rng))
            }
            Some(10) => {
                // Weighted, or moved by one: what stands inside of products and absolute values.
                let inner = Room { size: room.size - 2, depth: room.depth - 1 };
                let number = pick(&[0.25, 0.5, 2.0, 3.0], rng).copied().and_then(Number::new);
                let (op, number) = match number {
                    Some(number) if rng.random_range(0..2) == 0 => (Binary::Multiply, number),
                    _ => (Binary::Subtract, Number::int(1)),
                };
                boxed(op, self.plain(inner, rng), Expression::Constant(number))
            }
            _ => self.leaf(Measure::Plain, rng),
        }
    }

    /// One quantity over another of the same kind, mostly over its own past.
    fn ratio(&self, room: Room, rng: &mut impl Rng) -> Expression {
        let measure = pick(&[Measure::Price, Measure::Price, Measure::Money, Measure::Coins], rng).copied();
        let measure = measure.unwrap_or(Measure::Price);
        let (left, right) = room.halves(rng);
        let x = self.grown(measure, left, rng);
        let past = x.size() + 1;
        let y = if room.holds(x.size() + past + 1, x.depth() + 2) && rng.random_range(0..10) < 7 {
            let ops = [Rolling::Delay, Rolling::Mean, Rolling::Highest, Rolling::Lowest, Rolling::Deviation];
            rolling(pick(&ops, rng).copied().unwrap_or(Rolling::Delay), x.clone(), self.window(rng))
        } else {
            self.apart(&x, measure, right, rng)
        };
        boxed(Binary::Divide, x, y)
    }

    /// What is compared from coin to coin.
    fn compared(&self, room: Room, rng: &mut impl Rng) -> Expression {
        let op = pick(&[Across::Rank, Across::Rank, Across::ZScore, Across::Demean, Across::Relative], rng).copied();
        let op = op.unwrap_or(Across::Rank);
        // The mean of what is left keeps its unit; only plain numbers are wanted here.
        let measure = match (op, pick_weighted(&[0.8, 0.1, 0.1], rng)) {
            (Across::Demean, _) => Measure::Plain,
            (_, Some(1)) => Measure::Money,
            (_, Some(2)) => Measure::PerMoney,
            _ => Measure::Plain,
        };
        Expression::Across(op, Box::new(self.grown(measure, room.inside(), rng)))
    }

    /// An operator on the past of something of the same kind.
    fn kept(&self, measure: Measure, room: Room, rng: &mut impl Rng) -> Expression {
        let op = pick(&KEEPING, rng).copied().unwrap_or(Rolling::Mean);
        rolling(op, self.grown(measure, room.inside(), rng), self.window(rng))
    }

    /// Two of one kind, added or otherwise joined.
    fn joined(&self, measure: Measure, room: Room, rng: &mut impl Rng) -> Expression {
        let mut ops = vec![Binary::Add, Binary::Subtract, Binary::Min, Binary::Max];
        if measure == Measure::Plain {
            ops.extend([Binary::Multiply, Binary::Multiply, Binary::Divide]);
        }
        let op = pick(&ops, rng).copied().unwrap_or(Binary::Add);
        let (left, right) = room.halves(rng);
        let x = self.grown(measure, left, rng);
        let y = self.apart(&x, measure, right, rng);
        boxed(op, x, y)
    }

    /// Another expression than `x`: two of the same would add, divide or correlate to nothing.
    fn apart(&self, x: &Expression, measure: Measure, room: Room, rng: &mut impl Rng) -> Expression {
        let y = self.grown(measure, room, rng);
        if y != *x {
            return y;
        }
        match measure {
            Measure::Plain => Expression::Volatility { returns: self.window(rng) },
            Measure::Price if *x == price(Field::Close) => price(Field::Open),
            Measure::Price => price(Field::Close),
            // What is left is as large as before only where `x` is a lone series.
            _ => rolling(Rolling::Delay, self.leaf(measure, rng), self.window(rng)),
        }
    }

    /// Something with a unit.
    fn quantity(&self, measure: Measure, room: Room, rng: &mut impl Rng) -> Expression {
        let (one, two) = (room.holds(2, 2), room.holds(3, 2));
        let open = |weight: f64, there: bool| if there { weight } else { 0.0 };
        let weights = [open(3.0, true), open(2.0, one), open(0.7, two), open(0.5, two), open(0.2, one)];
        match pick_weighted(&weights, rng) {
            Some(1) => self.kept(measure, room, rng),
            Some(2) => self.joined(measure, room, rng),
            Some(3) => {
                let (left, right) = room.halves(rng);
                let (op, x, y) = match measure {
                    Measure::Price => (Binary::Divide, Measure::Money, Measure::Coins),
                    Measure::Coins => (Binary::Divide, Measure::Money, Measure::Price),
                    Measure::Money => (Binary::Multiply, Measure::Price, Measure::Coins),
                    Measure::PerMoney | Measure::Plain => (Binary::Divide, Measure::Plain, Measure::Money),
                };
                boxed(op, self.grown(x, left, rng), self.grown(y, right, rng))
            }
            Some(4) => unary(Unary::Abs, self.grown(measure, room.inside(), rng)),
            _ => self.leaf(measure, rng),
        }
    }

    /// A lone series, or a volatility.
    pub(super) fn leaf(&self, measure: Measure, rng: &mut impl Rng) -> Expression {
        let readings = self.config.readings;
        let field = |of: &[Field], rng: &mut _| price(pick(of, rng).copied().unwrap_or(Field::Close));
        if measure == Measure::Plain {
            let models = self.config.models_on(self.base);
            if !models.is_empty()
                && chance(0.2, rng)
                && let Some(series) = pick(&models, rng)
            {
                return Expression::Series(*series);
            }
        }
        match measure {
            Measure::Plain => match rng.random_range(0..if readings { 10 } else { 6 }) {
                0 | 1 => Expression::Volatility { returns: self.window(rng) },
                2 => self.indicator(Kind::Rsi, rng),
                3 => self.indicator(Kind::Natr, rng),
                4 => price(Field::TakerBuyRatio),
                5 => price(Field::Trades),
                6 => self.reading(Kind::FundingMean, rng),
                7 => self.reading(Kind::PremiumMean, rng),
                8 => self.reading_now(Kind::Funding),
                _ => {
                    let kinds = [Kind::LongShortRatio, Kind::TopLongShortRatio, Kind::TakerLongShortRatio];
                    self.reading_now(pick(&kinds, rng).copied().unwrap_or(Kind::LongShortRatio))
                }
            },
            Measure::Price if rng.random_range(0..10) == 0 => self.indicator(Kind::Ema, rng),
            Measure::Price => field(
                &[Field::Close, Field::Close, Field::Close, Field::High, Field::Low, Field::Open, Field::Typical],
                rng,
            ),
            Measure::Coins if readings && rng.random_range(0..2) == 0 => self.reading_now(Kind::OpenInterest),
            Measure::Coins => price(Field::Volume),
            Measure::Money if readings && rng.random_range(0..3) == 0 => self.reading_now(Kind::OpenInterestValue),
            Measure::Money => price(Field::QuoteVolume),
            Measure::PerMoney => self.indicator(Kind::Amihud, rng),
        }
    }
}

/// Something with a unit that has a past worth ranking.
fn quantity(rng: &mut impl Rng) -> Measure {
    pick(&[Measure::Price, Measure::Price, Measure::Coins, Measure::Money], rng).copied().unwrap_or(Measure::Price)
}

/// Anything.
fn any(rng: &mut impl Rng) -> Measure {
    pick(&[Measure::Plain, Measure::Price, Measure::Coins, Measure::Money], rng).copied().unwrap_or(Measure::Plain)
}

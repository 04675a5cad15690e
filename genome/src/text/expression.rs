//! Expressions of a score, read with the units of their parts, so that an error stands where parts do not fit.
//!
//! Recursion and size are bounded. Nothing is simplified here.

use super::error::ParseError;
use super::functions::{FUNCTIONS, Function, function};
use super::lexer::{Kind, Token};
use super::parser::{MAX_NESTING, Parser, keyword, nearest, series_names};
use crate::expression::canonical::own;
use crate::expression::unit::Unit;
use crate::{Binary, Expression, IndicatorKind, Number, Unary};

/// Most parts that are read; what remains when numbers are worked out is bounded by [`Expression::MAX_PARTS`].
const MAX_READ: usize = 4 * Expression::MAX_PARTS;

/// An expression as read, what it measures, and where it begins.
struct Typed {
    value: Expression,
    unit: Unit,
    start: usize,
}

const VOLATILITY: &str = "realized_volatility";

/// What is expected where a value begins.
const VALUE: [&str; 5] = ["a series", "a number", "a function", "`-`", "`(`"];

/// Reads an expression, up to what cannot belong to it.
pub(super) fn expression(parser: &mut Parser<'_>) -> Result<Expression, ParseError> {
    Reader { parser, parts: 0 }.sum(0).map(|typed| typed.value)
}

/// What may follow a whole expression, beside what its surroundings allow.
pub(super) const OPERATORS: [&str; 4] = ["`+`", "`-`", "`*`", "`/`"];

struct Reader<'r, 'a> {
    parser: &'r mut Parser<'a>,
    parts: usize,
}

impl Reader<'_, '_> {
    fn sum(&mut self, nesting: usize) -> Result<Typed, ParseError> {
        let mut left = self.product(nesting)?;
        loop {
            let op = match self.parser.peek().kind {
                Kind::Plus => Binary::Add,
                Kind::Minus => Binary::Subtract,
                _ => return Ok(left),
            };
            self.parser.next();
            let right = self.product(nesting)?;
            left = self.joined(op, left, right)?;
        }
    }

    fn product(&mut self, nesting: usize) -> Result<Typed, ParseError> {
        let mut left = self.signed(nesting)?;
        loop {
            let op = match self.parser.peek().kind {
                Kind::Star => Binary::Multiply,
                Kind::Slash => Binary::Divide,
                _ => return Ok(left),
            };
            self.parser.next();
            let right = self.signed(nesting)?;
            left = self.joined(op, left, right)?;
        }
    }

    fn joined(&mut self, op: Binary, left: Typed, right: Typed) -> Result<Typed, ParseError> {
        let value = Expression::Binary(op, Box::new(left.value), Box::new(right.value));
        self.made(value, &[left.unit, right.unit], left.start)
    }

    fn signed(&mut self, nesting: usize) -> Result<Typed, ParseError> {
        let token = self.parser.peek();
        if nesting > MAX_NESTING {
            let text = format!("parentheses, functions and signs nest more than {MAX_NESTING} deep");
            return Err(self.parser.invalid(token.start, token.end, text));
        }
        match token.kind {
            Kind::Minus => {
                self.parser.next();
                if self.parser.peek().kind == Kind::Number {
                    let number = self.parser.number()?.get();
                    let value = Expression::Constant(Number::new(-number).unwrap_or(Number::ZERO));
                    return self.made(value, &[], token.start);
                }
                let inner = self.signed(nesting + 1)?;
                self.made(Expression::Unary(Unary::Negate, Box::new(inner.value)), &[inner.unit], token.start)
            }
            Kind::Number => {
                let value = Expression::Constant(self.parser.number()?);
                self.made(value, &[], token.start)
            }
            Kind::Open => {
                self.parser.next();
                let inner = self.sum(nesting + 1)?;
                self.close()?;
                Ok(Typed { start: token.start, ..inner })
            }
            Kind::Word => self.named(token, nesting),
            _ => Err(self.parser.unexpected(&VALUE)),
        }
    }

    /// A function or a series.
    fn named(&mut self, token: Token, nesting: usize) -> Result<Typed, ParseError> {
        let name = keyword(self.parser.text(token));
        if matches!(name.as_str(), VOLATILITY | "realised_volatility") {
            return self.volatility(token.start);
        }
        let is_series = series_names().any(|n| n == name);
        let called = self.parser.peek_second().kind == Kind::Open;
        // `stddev(20)` is a series of closes, `stddev(volume, 20)` the function of any.
        if let Some((function, canonical)) = function(&name)
            && (!is_series || (called && self.parser.arguments_ahead() > 1))
        {
            self.parser.next();
            self.parser.expect(Kind::Open, "`(`")?;
            return self.call(function, canonical, token.start, nesting + 1);
        }
        if !is_series {
            let functions = FUNCTIONS.iter().flat_map(|(_, name, others)| std::iter::once(name).chain(*others));
            let near = nearest(&name, series_names().chain(functions.copied())).map(str::to_owned);
            return Err(self.parser.unexpected_at(token, &VALUE, near));
        }
        let series = self.parser.series(&VALUE)?;
        let value = own(series).map_err(|text| self.parser.invalid(token.start, self.parser.last_end(), text))?;
        self.made(value, &[], token.start)
    }

    /// Realised volatility has wider bounds here than among the series of a rule.
    fn volatility(&mut self, start: usize) -> Result<Typed, ParseError> {
        self.parser.next();
        // The customary value of the table is a whole number.
        let mut returns = IndicatorKind::RealizedVolatility.spec().params[0].default as u32;
        if self.parser.eat(Kind::Open) && !self.parser.eat(Kind::Close) {
            returns = self.parser.count()?;
            if !self.parser.eat(Kind::Close) {
                return Err(self.parser.unexpected(&["`)`"]));
            }
        }
        let at = self.parser.peek();
        if at.kind == Kind::At {
            let text =
                "realized_volatility of a score is of the strategy's own candles; leave out `@` and what follows";
            return Err(self.parser.invalid(start, at.end, text));
        }
        self.made(Expression::Volatility { returns }, &[], start)
    }

    fn call(&mut self, function: Function, name: &str, start: usize, nesting: usize) -> Result<Typed, ParseError> {
        let x = self.sum(nesting)?;
        let (value, units) = match function {
            Function::Unary(op) => (Expression::Unary(op, Box::new(x.value)), vec![x.unit]),
            Function::Across(op) => (Expression::Across(op, Box::new(x.value)), vec![x.unit]),
            Function::Binary(op) => {
                let y = self.second(nesting)?;
                (Expression::Binary(op, Box::new(x.value), Box::new(y.value)), vec![x.unit, y.unit])
            }
            Function::Correlation => {
                let y = self.second(nesting)?;
                let n = self.candles(name)?;
                (Expression::Correlation(Box::new(x.value), Box::new(y.value), n), vec![x.unit, y.unit])
            }
            Function::Rolling(op) => {
                let n = self.candles(name)?;
                (Expression::Rolling(op, Box::new(x.value), n), vec![x.unit])
            }
            Function::Beta => {
                let n = self.candles(name)?;
                (Expression::Beta(Box::new(x.value), n), vec![x.unit])
            }
        };
        self.close()?;
        self.made(value, &units, start)
    }

    fn second(&mut self, nesting: usize) -> Result<Typed, ParseError> {
        self.comma()?;
        self.sum(nesting)
    }

    fn candles(&mut self, name: &str) -> Result<u32, ParseError> {
        self.comma()?;
        if self.parser.peek().kind != Kind::Number {
            return Err(self.parser.unexpected(&[&format!("the candles of {name}, a whole number")]));
        }
        self.parser.count()
    }

    fn comma(&mut self) -> Result<(), ParseError> {
        let mut expected = OPERATORS.to_vec();
        expected.push("`,`");
        if self.parser.eat(Kind::Comma) { Ok(()) } else { Err(self.parser.unexpected(&expected)) }
    }

    fn close(&mut self) -> Result<(), ParseError> {
        let mut expected = OPERATORS.to_vec();
        expected.push("`)`");
        if self.parser.eat(Kind::Close) { Ok(()) } else { Err(self.parser.unexpected(&expected)) }
    }

    /// The value with its unit, if its parts fit each other.
    fn made(&mut self, value: Expression, units: &[Unit], start: usize) -> Result<Typed, ParseError> {
        self.parts += 1;
        let end = self.parser.last_end();
        if self.parts > MAX_READ {
            let text = format!("the expression has more than {} parts", Expression::MAX_PARTS);
            return Err(self.parser.invalid(start, end, text));
        }
        let unit = value.check_candles().and_then(|()| value.unit_over(units));
        let unit = unit.map_err(|text| self.parser.invalid(start, end, text))?;
        Ok(Typed { value, unit, start })
    }
}

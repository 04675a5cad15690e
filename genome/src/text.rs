//! Text form of rules, distances and whole strategies; the grammar is in `docs/LANGUAGE.md`.
//!
//! Reading never panics, and its time and depth are bounded whatever the bytes. A [`Rule`] is read as
//! written; a [`Strategy`] is read, checked and made canonical.

use crate::{AnyStrategy, Distance, Expression, InvalidStrategy, Ranking, Rule, Series, Strategy, Universe, Weights};
use std::str::FromStr;

mod clauses;
mod ensemble;
mod error;
mod expression;
mod functions;
mod lexer;
mod parser;
mod percent;
mod print_expression;
mod print_ranking;
mod printer;
mod ranking;

pub use error::{ParseError, ParseProblem};
use lexer::Kind;
pub use parser::MAX_TEXT_BYTES;
use parser::Parser;

impl FromStr for Rule {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut parser = Parser::new(text)?;
        while parser.eat(Kind::Separator) {}
        let rule = parser.rule()?;
        while parser.eat(Kind::Separator) {}
        end(&parser, &["`and`", "`or`", "the end"])?;
        Ok(rule)
    }
}

impl FromStr for Distance {
    type Err = ParseError;
    /// `1.51%` or `3 atr(14)`.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut parser = Parser::new(text)?;
        let distance = clauses::distance(&mut parser)?;
        end(&parser, &["the end"])?;
        Ok(distance)
    }
}

impl FromStr for Strategy {
    type Err = ParseError;
    /// The canonical strategy that the clauses stand for.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut parser = Parser::new(text)?;
        if let Some(score) = parser.score_clause() {
            let text = "a strategy with a `score` ranks the market; here one of rules is expected, with `long when` or \
                        `short when`";
            return Err(parser.invalid(score.start, score.end, text));
        }
        let written = clauses::strategy(&mut parser)?;
        written.strategy.canonical().map_err(|invalid| placed(&parser, &written.spans, &invalid))
    }
}

impl FromStr for Expression {
    type Err = ParseError;
    /// The expression as written; it is made canonical in a strategy.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut parser = Parser::arithmetic(text)?;
        let value = expression::expression(&mut parser)?;
        let mut expected = expression::OPERATORS.to_vec();
        expected.push("the end");
        end(&parser, &expected)?;
        Ok(value)
    }
}

impl FromStr for Series {
    type Err = ParseError;
    /// `rsi(14)`, `close@1d`: as written.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut parser = Parser::new(text)?;
        let value = parser.series(&["a series"])?;
        end(&parser, &["the end"])?;
        Ok(value)
    }
}

impl FromStr for Universe {
    type Err = ParseError;
    /// `top 30 by quote_volume(30d), listed 60d`.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut parser = Parser::arithmetic(text)?;
        let value = ranking::universe(&mut parser)?;
        end(&parser, &["`, listed 60d`", "the end"])?;
        Ok(value)
    }
}

impl FromStr for Weights {
    type Err = ParseError;
    /// `linear, inverse volatility(180), smooth 5`; bounds are checked in a strategy.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut parser = Parser::arithmetic(text)?;
        let mut draft = ranking::WeightsDraft::default();
        ranking::weights(&mut parser, &mut draft, &mut Vec::new())?;
        end(&parser, &["`,`", "the end"])?;
        let form = draft.form().ok_or_else(|| parser.unexpected(&["`linear`", "`top 10%, bottom 10%`"]))?;
        Ok(draft.with(form))
    }
}

impl FromStr for Ranking {
    type Err = ParseError;
    /// The canonical ranking strategy that the clauses stand for.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut parser = Parser::arithmetic(text)?;
        let written = ranking::ranking(&mut parser)?;
        written.ranking.canonical().map_err(|invalid| placed(&parser, &written.spans, &invalid))
    }
}

impl FromStr for AnyStrategy {
    type Err = ParseError;
    /// A text with a `score` clause ranks the market; any other is one of rules.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        match Parser::new(text)?.score_clause() {
            Some(_) => text.parse().map(Self::Ranking),
            None => text.parse().map(Self::Rules),
        }
    }
}

/// The error at the clause of its field.
fn placed(parser: &Parser<'_>, spans: &[(&'static str, usize, usize)], invalid: &InvalidStrategy) -> ParseError {
    let span = spans.iter().find(|(field, ..)| invalid.field.starts_with(field));
    let (start, end) = span.map_or((0, 0), |(_, start, end)| (*start, *end));
    parser.invalid(start, end, invalid.to_string())
}

fn end(parser: &Parser<'_>, expected: &[&str]) -> Result<(), ParseError> {
    if parser.peek().kind == Kind::End { Ok(()) } else { Err(parser.unexpected(expected)) }
}

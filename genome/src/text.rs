//! Text form of rules, distances and whole strategies; the grammar is in `docs/LANGUAGE.md`.
//!
//! Reading never panics, and its time and depth are bounded whatever the bytes. A [`Rule`] is read as
//! written; a [`Strategy`] is read, checked and made canonical.

use crate::{Distance, Rule, Strategy};
use std::str::FromStr;

mod clauses;
mod error;
mod lexer;
mod parser;
mod percent;
mod printer;

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
        let written = clauses::strategy(&mut parser)?;
        written.strategy.canonical().map_err(|invalid| {
            let span = written.spans.iter().find(|(field, ..)| invalid.field.starts_with(field));
            let (start, end) = span.map_or((0, 0), |(_, start, end)| (*start, *end));
            parser.invalid(start, end, invalid.to_string())
        })
    }
}

fn end(parser: &Parser<'_>, expected: &[&str]) -> Result<(), ParseError> {
    if parser.peek().kind == Kind::End { Ok(()) } else { Err(parser.unexpected(expected)) }
}

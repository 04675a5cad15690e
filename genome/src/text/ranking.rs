//! A whole ranking strategy: universe, score, clock, weights, in clauses separated by `;` or ends of lines.

use super::error::ParseError;
use super::expression::{OPERATORS, expression};
use super::lexer::Kind;
use super::parser::{Parser, keyword, nearest};
use super::percent;
use crate::{Expression, Form, Number, Ranking, Timeframe, Universe, Weights, bounds};

/// Clauses by canonical name; the parts of `weights` are read as clauses as well.
const CLAUSES: [&str; 5] = ["universe", "score", "rebalance", "weights", "gross"];
/// Parts of `weights`.
const PARTS: [&str; 10] = [
    "`linear`",
    "`top`",
    "`bottom`",
    "`equal`",
    "`inverse volatility(k)`",
    "`long only`",
    "`cap`",
    "`beta neutral(k)`",
    "`smooth`",
    "`band`",
];
/// Clauses that only a strategy of rules has.
const OF_RULES: [&str; 20] = [
    "long",
    "short",
    "exit",
    "stop",
    "stop_loss",
    "target",
    "take_profit",
    "trail",
    "trailing_stop",
    "break_even",
    "time_exit",
    "partial",
    "recovery",
    "size",
    "risk",
    "leverage",
    "regime",
    "confidence",
    "min_confidence",
    "breakeven",
];

/// A ranking strategy as written, before it is checked, and where its parts stand.
pub(super) struct Written {
    pub(super) ranking: Ranking,
    /// Field of the strategy, first and last byte.
    pub(super) spans: Spans,
}

/// Field of the strategy, first and last byte of its clause.
type Spans = Vec<(&'static str, usize, usize)>;

#[derive(Default)]
struct Draft {
    timeframe: Option<Timeframe>,
    universe: Option<Universe>,
    score: Option<Expression>,
    rebalance: Option<Timeframe>,
    gross: Option<Number>,
    weights: WeightsDraft,
    spans: Spans,
}

/// Parts of weights as they were given.
#[derive(Default)]
pub(super) struct WeightsDraft {
    linear: bool,
    top_pct: Option<Number>,
    bottom_pct: Option<Number>,
    equal: bool,
    inverse_volatility: Option<u32>,
    long_only: bool,
    cap: Option<Number>,
    beta_neutral: Option<u32>,
    smooth: Option<u32>,
    band: Option<Number>,
}

/// Reads all clauses.
pub(super) fn ranking(parser: &mut Parser<'_>) -> Result<Written, ParseError> {
    let mut draft = Draft::default();
    loop {
        while parser.eat(Kind::Separator) {}
        if parser.peek().kind == Kind::End {
            break;
        }
        clause(parser, &mut draft)?;
        if !matches!(parser.peek().kind, Kind::Separator | Kind::End) {
            return Err(parser.unexpected(&after(&draft)));
        }
    }
    let Draft { timeframe, universe, score, rebalance, gross, weights, spans } = draft;
    let Some(timeframe) = timeframe else {
        return Err(parser.unexpected(&["a timeframe such as `4h`"]));
    };
    let Some(universe) = universe else {
        return Err(parser.unexpected(&["`universe top N by quote_volume(30d)`"]));
    };
    let Some(score) = score else {
        return Err(parser.unexpected(&["`score` and an expression"]));
    };
    if let Some((_, start, end)) = spans.iter().find(|(field, ..)| *field == "weights.bottom")
        && weights.top_pct.is_none()
    {
        return Err(parser.invalid(*start, *end, "`bottom` needs `top` beside it"));
    }
    let Some(form) = weights.form() else {
        return Err(parser.unexpected(&["`weights linear`", "`weights top 10%, bottom 10%`"]));
    };
    let rebalance = rebalance.unwrap_or(Timeframe::D1);
    let gross = gross.unwrap_or(Number::int(1));
    let ranking = Ranking { timeframe, universe, score, rebalance, weights: weights.with(form), gross };
    Ok(Written { ranking, spans })
}

/// What may follow the clause just read.
fn after(draft: &Draft) -> Vec<&'static str> {
    let mut expected = match draft.spans.last() {
        Some(("score", ..)) => OPERATORS.to_vec(),
        Some((field, ..)) if field.starts_with("weights") || *field == "universe" => vec!["`,`"],
        _ => Vec::new(),
    };
    expected.extend(["`;`", "the end"]);
    expected
}

fn clause(parser: &mut Parser<'_>, draft: &mut Draft) -> Result<(), ParseError> {
    let token = parser.peek();
    let start = token.start;
    if token.kind == Kind::Number || parser.sees(&["timeframe"]) {
        parser.eat_word(&["timeframe"]);
        let value = parser.timeframe()?;
        return once(parser, &mut draft.spans, "timeframe", start, &mut draft.timeframe, value);
    }
    let word = keyword(parser.text(token));
    let spans = &mut draft.spans;
    match word.as_str() {
        _ if token.kind != Kind::Word => Err(expected_clause(parser)),
        "universe" => {
            parser.next();
            let value = universe(parser)?;
            once(parser, spans, "universe", start, &mut draft.universe, value)
        }
        "score" => {
            parser.next();
            let value = expression(parser)?;
            once(parser, spans, "score", start, &mut draft.score, value)
        }
        "rebalance" => {
            parser.next();
            parser.eat_word(&["every"]);
            let value = parser.timeframe()?;
            once(parser, spans, "rebalance", start, &mut draft.rebalance, value)
        }
        "gross" => {
            parser.next();
            let value = parser.fraction()?;
            once(parser, spans, "gross", start, &mut draft.gross, value)
        }
        "weights" => {
            parser.next();
            weights(parser, &mut draft.weights, spans)
        }
        _ if is_part(parser) => part(parser, &mut draft.weights, spans),
        word if OF_RULES.contains(&word) => {
            let text = format!("`{word}` belongs to a strategy of rules; one with a `score` has none");
            Err(parser.invalid(start, token.end, text))
        }
        _ => Err(expected_clause(parser)),
    }
}

fn once<T>(
    parser: &Parser<'_>,
    spans: &mut Spans,
    field: &'static str,
    start: usize,
    slot: &mut Option<T>,
    value: T,
) -> Result<(), ParseError> {
    let end = parser.last_end();
    if slot.replace(value).is_some() {
        return Err(parser.invalid(start, end, format!("{field} is given twice")));
    }
    spans.push((field, start, end));
    Ok(())
}

fn expected_clause(parser: &Parser<'_>) -> ParseError {
    let token = parser.peek();
    let mut expected = vec!["a timeframe".to_owned()];
    expected.extend(CLAUSES.iter().map(|name| format!("`{name}`")));
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    let names = CLAUSES.into_iter().chain(["timeframe", "smooth", "cap", "band"]);
    let word = parser.text(token).to_ascii_lowercase();
    let near = if token.kind == Kind::Word { nearest(&word, names) } else { None };
    parser.unexpected_at(token, &expected, near.map(str::to_owned))
}

/// `top 30 by quote_volume(30d), listed 60d`.
pub(super) fn universe(parser: &mut Parser<'_>) -> Result<Universe, ParseError> {
    parser.expect_word(&["top"], "`top`")?;
    let top = bounded(parser, "universe.top", bounds::UNIVERSE_TOP, |parser| parser.count())?;
    parser.expect_word(&["by"], "`by quote_volume(30d)`")?;
    parser.expect_word(&["quote_volume"], "`quote_volume(30d)`")?;
    parser.expect(Kind::Open, "`(`")?;
    let volume_days = bounded(parser, "universe.volume_days", bounds::UNIVERSE_DAYS, days)?;
    parser.expect(Kind::Close, "`)`")?;
    let mut listed_days = 0;
    if parser.peek().kind == Kind::Comma {
        parser.next();
        parser.expect_word(&["listed"], "`listed 60d`")?;
        listed_days = bounded(parser, "universe.listed_days", (0, bounds::UNIVERSE_DAYS.1), days)?;
    }
    Ok(Universe { top, volume_days, listed_days })
}

/// A count within bounds; the error stands at the very number.
fn bounded(
    parser: &mut Parser<'_>,
    field: &str,
    (least, most): (u32, u32),
    read: fn(&mut Parser<'_>) -> Result<u32, ParseError>,
) -> Result<u32, ParseError> {
    let start = parser.peek().start;
    let value = read(parser)?;
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(parser.invalid(start, parser.last_end(), format!("{field}: must be {least} to {most}, not {value}")))
}

/// `30d`.
fn days(parser: &mut Parser<'_>) -> Result<u32, ParseError> {
    if parser.peek().kind != Kind::Number {
        return Err(parser.unexpected(&["a number of days such as `30d`"]));
    }
    let value = parser.count()?;
    parser.expect_word(&["d", "day", "days"], "`d`, for days")?;
    Ok(value)
}

/// All parts of `weights`, separated by commas.
pub(super) fn weights(parser: &mut Parser<'_>, draft: &mut WeightsDraft, spans: &mut Spans) -> Result<(), ParseError> {
    loop {
        part(parser, draft, spans)?;
        // `top 10% bottom 10%` needs no comma.
        if !parser.eat(Kind::Comma) && !parser.sees(&["bottom"]) {
            return Ok(());
        }
    }
}

/// Whether a part of `weights` begins here; `long when` does not.
fn is_part(parser: &Parser<'_>) -> bool {
    let second = parser.peek_second();
    let only = second.kind == Kind::Word && keyword(parser.text(second)) == "only";
    parser.sees(&["linear", "top", "bottom", "equal", "inverse", "inverse_volatility", "cap", "beta"])
        || parser.sees(&["beta_neutral", "smooth", "band", "long_only"])
        || (parser.sees(&["long"]) && only)
}

fn part(parser: &mut Parser<'_>, draft: &mut WeightsDraft, spans: &mut Spans) -> Result<(), ParseError> {
    let token = parser.peek();
    if token.kind != Kind::Word || !is_part(parser) {
        let names = ["linear", "bottom", "equal", "inverse", "beta_neutral", "smooth", "band", "long_only"];
        let near = nearest(&keyword(parser.text(token)), names.into_iter()).map(|name| name.replace('_', " "));
        return Err(parser.unexpected_at(token, &PARTS, near.filter(|_| token.kind == Kind::Word)));
    }
    let start = token.start;
    parser.next();
    match keyword(parser.text(token)).as_str() {
        "linear" => flag(parser, spans, "weights.linear", start, &mut draft.linear)?,
        "equal" => flag(parser, spans, "weights.equal", start, &mut draft.equal)?,
        word @ ("long" | "long_only") => {
            if word == "long" {
                parser.expect_word(&["only"], "`only`")?;
            }
            flag(parser, spans, "weights.long_only", start, &mut draft.long_only)?;
        }
        "top" => {
            let value = share(parser)?;
            once(parser, spans, "weights.top", start, &mut draft.top_pct, value)?;
        }
        "bottom" => {
            let value = share(parser)?;
            once(parser, spans, "weights.bottom", start, &mut draft.bottom_pct, value)?;
        }
        "cap" => {
            let value = parser.fraction()?;
            once(parser, spans, "weights.cap", start, &mut draft.cap, value)?;
        }
        "band" => {
            let value = parser.fraction()?;
            once(parser, spans, "weights.band", start, &mut draft.band, value)?;
        }
        "smooth" => {
            let value = parser.count()?;
            once(parser, spans, "weights.smooth", start, &mut draft.smooth, value)?;
        }
        word @ ("inverse" | "inverse_volatility") => {
            if word == "inverse" {
                parser.expect_word(&["volatility"], "`volatility(k)`")?;
            }
            let value = returns(parser)?;
            once(parser, spans, "weights.inverse_volatility", start, &mut draft.inverse_volatility, value)?;
        }
        word => {
            if word == "beta" {
                parser.expect_word(&["neutral"], "`neutral(k)`")?;
            }
            let value = returns(parser)?;
            once(parser, spans, "weights.beta_neutral", start, &mut draft.beta_neutral, value)?;
        }
    }
    let end = parser.last_end();
    if draft.linear && (draft.top_pct.is_some() || draft.bottom_pct.is_some()) {
        return Err(parser.invalid(start, end, "weights are either `linear` or `top` and `bottom`, not both"));
    }
    if draft.equal && draft.inverse_volatility.is_some() {
        return Err(parser.invalid(start, end, "weights are either `equal` or by `inverse volatility`, not both"));
    }
    Ok(())
}

fn flag(
    parser: &Parser<'_>,
    spans: &mut Spans,
    field: &'static str,
    start: usize,
    slot: &mut bool,
) -> Result<(), ParseError> {
    let mut given = slot.then_some(());
    *slot = true;
    once(parser, spans, field, start, &mut given, ())
}

/// `(180)`, a count of returns.
fn returns(parser: &mut Parser<'_>) -> Result<u32, ParseError> {
    parser.expect(Kind::Open, "`(`")?;
    let value = parser.count()?;
    parser.expect(Kind::Close, "`)`")?;
    Ok(value)
}

/// A share of the members, `10%` or `0.1`, in percent.
fn share(parser: &mut Parser<'_>) -> Result<Number, ParseError> {
    let token = parser.peek();
    let value = parser.number()?;
    if parser.eat(Kind::Percent) {
        return Ok(value);
    }
    let percent = percent::from_fraction(value).parse().ok().and_then(Number::new).filter(|n| bounds::is_number(*n));
    percent.ok_or_else(|| parser.invalid(token.start, parser.last_end(), bounds::NUMBER_TEXT))
}

impl WeightsDraft {
    /// The form, if there is one.
    pub(super) fn form(&self) -> Option<Form> {
        match (self.linear, self.top_pct) {
            (true, _) => Some(Form::Linear),
            (false, Some(top_pct)) => Some(Form::TopBottom { top_pct, bottom_pct: self.bottom_pct }),
            (false, None) => None,
        }
    }

    pub(super) fn with(&self, form: Form) -> Weights {
        Weights {
            form,
            inverse_volatility: self.inverse_volatility,
            long_only: self.long_only,
            cap: self.cap,
            beta_neutral: self.beta_neutral,
            smooth: self.smooth.unwrap_or(1),
            band: self.band,
        }
    }
}

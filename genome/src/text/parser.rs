//! Tokens to rules. Recursion is bounded, every step consumes a token or ends.

use super::error::{ParseError, ParseProblem};
use super::functions::{Function, function};
use super::lexer::{Kind, Signs, Token, tokens};
use super::percent;
use crate::{
    AcrossSeries, Comparison, Condition, Indicator, IndicatorKind, ModelSeries, Number, Operand, PriceField, Rule,
    Series, Source, Timeframe, bounds,
};

/// Longest text that is read, in bytes. The longest canonical strategy is shorter.
pub const MAX_TEXT_BYTES: usize = 64 * 1024;
/// Deepest nesting of parentheses and `not` that is read; what remains after flattening is bounded by
/// [`Rule::MAX_DEPTH`].
pub(super) const MAX_NESTING: usize = 32;

pub(super) struct Parser<'a> {
    source: &'a str,
    tokens: Vec<Token>,
    at: usize,
    conditions: usize,
}

/// One side of a comparison as written.
enum Side {
    Constant(Number),
    Series(Series),
}

impl<'a> Parser<'a> {
    /// A parser of rules.
    pub(super) fn new(source: &'a str) -> Result<Self, ParseError> {
        Self::with(source, Signs::Joined)
    }

    /// A parser of expressions.
    pub(super) fn arithmetic(source: &'a str) -> Result<Self, ParseError> {
        Self::with(source, Signs::Arithmetic)
    }

    fn with(source: &'a str, signs: Signs) -> Result<Self, ParseError> {
        if source.len() > MAX_TEXT_BYTES {
            let text = format!("the text has {} bytes; at most {MAX_TEXT_BYTES} are read", source.len());
            return Err(ParseError::at(source, 0, 0, ParseProblem::Invalid(text)));
        }
        Ok(Self { source, tokens: tokens(source, signs), at: 0, conditions: 0 })
    }

    pub(super) fn peek(&self) -> Token {
        // The last token is `End`, and `next` never steps past it.
        self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    pub(super) fn peek_second(&self) -> Token {
        self.tokens[(self.at + 1).min(self.tokens.len() - 1)]
    }

    /// How many arguments stand in the parentheses that open with the second token from here.
    pub(super) fn arguments_ahead(&self) -> usize {
        let mut depth = 0_usize;
        let mut commas = 0;
        for token in self.tokens.iter().skip(self.at + 1) {
            match token.kind {
                Kind::Open => depth += 1,
                Kind::Close if depth <= 1 => break,
                Kind::Close => depth -= 1,
                Kind::Comma if depth == 1 => commas += 1,
                _ => {}
            }
        }
        commas + 1
    }

    /// The word `score` at the beginning of a clause, which makes a strategy one that ranks the market.
    pub(super) fn score_clause(&self) -> Option<Token> {
        let begins = |i: usize| i == 0 || self.tokens[i - 1].kind == Kind::Separator;
        let found = |i: &usize| begins(*i) && self.text(self.tokens[*i]).eq_ignore_ascii_case("score");
        (0..self.tokens.len()).find(found).map(|i| self.tokens[i])
    }

    pub(super) fn next(&mut self) -> Token {
        let token = self.peek();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    /// End of the last token read.
    pub(super) fn last_end(&self) -> usize {
        self.at.checked_sub(1).map_or(0, |i| self.tokens[i].end)
    }

    pub(super) fn text(&self, token: Token) -> &'a str {
        &self.source[token.start..token.end]
    }

    pub(super) fn eat(&mut self, kind: Kind) -> bool {
        let found = self.peek().kind == kind;
        if found {
            self.next();
        }
        found
    }

    /// Whether the next token is one of these keywords, without regard to case and hyphens.
    pub(super) fn sees(&self, words: &[&str]) -> bool {
        let token = self.peek();
        token.kind == Kind::Word && words.contains(&keyword(self.text(token)).as_str())
    }

    pub(super) fn eat_word(&mut self, words: &[&str]) -> bool {
        let found = self.sees(words);
        if found {
            self.next();
        }
        found
    }

    pub(super) fn invalid(&self, start: usize, end: usize, text: impl Into<String>) -> ParseError {
        ParseError::at(self.source, start, end, ParseProblem::Invalid(text.into()))
    }

    pub(super) fn unexpected(&self, expected: &[&str]) -> ParseError {
        self.unexpected_at(self.peek(), expected, None)
    }

    pub(super) fn unexpected_at(&self, token: Token, expected: &[&str], suggestion: Option<String>) -> ParseError {
        let found = match (token.kind, self.text(token)) {
            (Kind::End, _) => "the end".to_owned(),
            (Kind::Separator, "\n") => "the end of the line".to_owned(),
            (_, text) => {
                let mut shown: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).take(40).collect();
                if text.chars().count() > 40 {
                    shown.push_str("...");
                }
                format!("`{shown}`")
            }
        };
        let expected = expected.iter().map(|e| (*e).to_owned()).collect();
        ParseError::at(self.source, token.start, token.end, ParseProblem::Unexpected { found, expected, suggestion })
    }

    pub(super) fn expect(&mut self, kind: Kind, name: &str) -> Result<Token, ParseError> {
        if self.peek().kind == kind { Ok(self.next()) } else { Err(self.unexpected(&[name])) }
    }

    pub(super) fn expect_word(&mut self, words: &[&str], name: &str) -> Result<(), ParseError> {
        if self.eat_word(words) { Ok(()) } else { Err(self.unexpected(&[name])) }
    }

    /// A whole rule, up to what cannot belong to it.
    pub(super) fn rule(&mut self) -> Result<Rule, ParseError> {
        self.conditions = 0;
        self.or(0)
    }

    fn or(&mut self, nesting: usize) -> Result<Rule, ParseError> {
        let first = self.and(nesting)?;
        let mut rules = vec![first];
        while self.eat_word(&["or"]) {
            rules.push(self.and(nesting)?);
        }
        Ok(single(rules, Rule::Or))
    }

    fn and(&mut self, nesting: usize) -> Result<Rule, ParseError> {
        let first = self.unary(nesting)?;
        let mut rules = vec![first];
        while self.eat_word(&["and"]) {
            rules.push(self.unary(nesting)?);
        }
        Ok(single(rules, Rule::And))
    }

    fn unary(&mut self, nesting: usize) -> Result<Rule, ParseError> {
        let token = self.peek();
        if nesting > MAX_NESTING {
            let text = format!("parentheses and `not` nest more than {MAX_NESTING} deep");
            return Err(self.invalid(token.start, token.end, text));
        }
        if self.eat_word(&["not"]) {
            return Ok(Rule::Not(Box::new(self.unary(nesting + 1)?)));
        }
        if self.eat(Kind::Open) {
            let rule = self.or(nesting + 1)?;
            if !self.eat(Kind::Close) {
                return Err(self.unexpected(&["`and`", "`or`", "`)`"]));
            }
            return Ok(rule);
        }
        self.condition()
    }

    fn condition(&mut self) -> Result<Rule, ParseError> {
        let start = self.peek();
        self.conditions += 1;
        if self.conditions > Rule::MAX_CONDITIONS {
            let text = format!("a rule has at most {} conditions", Rule::MAX_CONDITIONS);
            return Err(self.invalid(start.start, start.end, text));
        }
        let left = self.side(&["a series", "a number", "`not`", "`(`"])?;
        let (comparison, negated) = self.comparison()?;
        let right = self.side(&["a series", "a number"])?;
        let end = self.last_end();
        let condition = match (left, right) {
            (Side::Series(left), Side::Series(right)) if left == right => {
                return Err(self.invalid(start.start, end, "a series is compared with itself"));
            }
            (Side::Series(left), Side::Series(right)) => Condition { left, comparison, right: Operand::Series(right) },
            (Side::Series(left), Side::Constant(right)) => {
                Condition { left, comparison, right: Operand::Constant(right) }
            }
            (Side::Constant(left), Side::Series(right)) => {
                Condition { left: right, comparison: comparison.flipped(), right: Operand::Constant(left) }
            }
            (Side::Constant(_), Side::Constant(_)) => {
                return Err(self.invalid(start.start, end, "two numbers are compared; one side must be a series"));
            }
        };
        let rule = Rule::Condition(condition);
        Ok(if negated { Rule::Not(Box::new(rule)) } else { rule })
    }

    /// The comparison, and whether it is negated: `a <= b` is `not a > b`, exactly.
    fn comparison(&mut self) -> Result<(Comparison, bool), ParseError> {
        const EXPECTED: [&str; 6] = ["`<`", "`>`", "`<=`", "`>=`", "`crosses above`", "`crosses below`"];
        let token = self.peek();
        let found = match token.kind {
            Kind::Less => (Comparison::Below, false),
            Kind::Greater => (Comparison::Above, false),
            Kind::AtMost => (Comparison::Above, true),
            Kind::AtLeast => (Comparison::Below, true),
            Kind::Word if self.sees(&["crosses", "cross"]) => {
                self.next();
                if self.eat_word(&["above", "over"]) {
                    return Ok((Comparison::CrossesAbove, false));
                }
                if self.eat_word(&["below", "under"]) {
                    return Ok((Comparison::CrossesBelow, false));
                }
                return Err(self.unexpected(&["`above`", "`below`"]));
            }
            Kind::Word if self.sees(&["crosses_above"]) => (Comparison::CrossesAbove, false),
            Kind::Word if self.sees(&["crosses_below"]) => (Comparison::CrossesBelow, false),
            _ => {
                let near = nearest(&keyword(self.text(token)), ["crosses", "above", "below"].into_iter());
                let suggestion = (token.kind == Kind::Word && near.is_some()).then(|| "crosses above".to_owned());
                return Err(self.unexpected_at(token, &EXPECTED, suggestion));
            }
        };
        self.next();
        Ok(found)
    }

    fn side(&mut self, expected: &[&str]) -> Result<Side, ParseError> {
        match self.peek().kind {
            Kind::Number => Ok(Side::Constant(self.number()?)),
            Kind::Word => Ok(Side::Series(self.series(expected)?)),
            _ => Err(self.unexpected(expected)),
        }
    }

    /// A whole number of candles, steps or names.
    pub(super) fn count(&mut self) -> Result<u32, ParseError> {
        let token = self.peek();
        if token.kind != Kind::Number {
            return Err(self.unexpected(&["a whole number"]));
        }
        let number = self.number()?;
        let count = number.as_bars().and_then(|n| u32::try_from(n).ok());
        count.ok_or_else(|| self.invalid(token.start, token.end, "a whole number of candles or steps is expected"))
    }

    /// `60%` or `0.6`.
    pub(super) fn fraction(&mut self) -> Result<Number, ParseError> {
        let token = self.peek();
        let plain = self.number()?;
        if !self.eat(Kind::Percent) {
            return Ok(plain);
        }
        percent::to_fraction(self.text(token)).ok_or_else(|| self.invalid(token.start, token.end, bounds::NUMBER_TEXT))
    }

    /// A number within [`bounds::NUMBER`].
    pub(super) fn number(&mut self) -> Result<Number, ParseError> {
        let token = self.expect(Kind::Number, "a number")?;
        let number = self.text(token).parse().ok().and_then(Number::new).filter(|n| bounds::is_number(*n));
        number.ok_or_else(|| self.invalid(token.start, token.end, bounds::NUMBER_TEXT))
    }

    pub(super) fn series(&mut self, expected: &[&str]) -> Result<Series, ParseError> {
        let token = self.peek();
        let name = keyword(self.text(token));
        if self.peek_second().kind == Kind::Open
            && let Some(function) = across_function(&name)
        {
            return self.across(function, token);
        }
        self.next();
        let source = if let Some(field) = price_field(&name) {
            Source::Price(field)
        } else if let Some(kind) = IndicatorKind::named(&name) {
            Source::Indicator(self.indicator(kind, token.start)?)
        } else if ModelSeries::NAMES.contains(&name.as_str()) {
            Source::Model(self.model(&name)?)
        } else {
            let functions = ["cs_rank", "cs_zscore", "cs_demean", "relative", "beta"];
            let near = nearest(&name, series_names().chain(functions));
            return Err(self.unexpected_at(token, expected, near.map(str::to_owned)));
        };
        let timeframe = if self.eat(Kind::At) { Some(self.timeframe()?) } else { None };
        Ok(Series { source, timeframe, across: None })
    }

    /// `cs_rank(rsi(14))`, `beta(close, 180)`: a series compared with those of the universe's other members.
    fn across(&mut self, function: Function, token: Token) -> Result<Series, ParseError> {
        self.next();
        self.next();
        let inner = self.peek();
        if inner.kind != Kind::Word {
            return Err(self.unexpected(&["a series"]));
        }
        if self.peek_second().kind == Kind::Open && across_function(&keyword(self.text(inner))).is_some() {
            let text = "what is compared across the market is a series, not itself such a comparison";
            return Err(self.invalid(inner.start, inner.end, text));
        }
        let series = self.series(&["a series"])?;
        let across = match function {
            Function::Across(op) => AcrossSeries::Compared(op),
            _ => {
                self.expect(Kind::Comma, "`,` and the candles of beta")?;
                AcrossSeries::Beta { candles: self.count()? }
            }
        };
        self.expect(Kind::Close, "`)`")?;
        let at = self.peek();
        if at.kind == Kind::At {
            let text = format!("{} is of the strategy's own candles; leave out `@` and what follows", self.text(token));
            return Err(self.invalid(at.start, at.end, text));
        }
        let compared = Series { across: Some(across), ..series };
        compared.check_across().map_err(|text| self.invalid(token.start, self.last_end(), text))?;
        Ok(compared)
    }

    /// `model(trend)`, `ensemble_direction`: what follows the name.
    fn model(&mut self, name: &str) -> Result<ModelSeries, ParseError> {
        let [probability, _, direction, confidence] = ModelSeries::NAMES;
        let of_all = [(direction, ModelSeries::EnsembleDirection), (confidence, ModelSeries::EnsembleConfidence)];
        if let Some((_, series)) = of_all.into_iter().find(|(own, _)| *own == name) {
            if self.eat(Kind::Open) {
                self.expect(Kind::Close, "`)`")?;
            }
            return Ok(series);
        }
        self.expect(Kind::Open, "`(` and the name of a model")?;
        let token = self.expect(Kind::Word, "the name of a model")?;
        let model = keyword(self.text(token)).parse();
        let model = model.map_err(|text: String| self.invalid(token.start, token.end, text))?;
        self.expect(Kind::Close, "`)`")?;
        Ok(if name == probability { ModelSeries::Probability(model) } else { ModelSeries::Confidence(model) })
    }

    fn indicator(&mut self, kind: IndicatorKind, start: usize) -> Result<Indicator, ParseError> {
        let mut params = Vec::new();
        if self.eat(Kind::Open) && !self.eat(Kind::Close) {
            loop {
                if self.peek().kind != Kind::Number {
                    return Err(self.unexpected(&["a number"]));
                }
                params.push(self.number()?);
                if self.eat(Kind::Close) {
                    break;
                }
                if !self.eat(Kind::Comma) {
                    return Err(self.unexpected(&["`,`", "`)`"]));
                }
                if params.len() > Indicator::MAX_PARAMS {
                    break;
                }
            }
        }
        Indicator::new(kind, &params).map_err(|text| self.invalid(start, self.last_end(), text))
    }

    /// A timeframe such as `15m`: a number and a word without a gap. Case matters in `1m` and `1M`.
    pub(super) fn timeframe(&mut self) -> Result<Timeframe, ParseError> {
        let names = Timeframe::ALL.map(Timeframe::name);
        let (number, word) = (self.peek(), self.peek_second());
        if number.kind != Kind::Number || word.kind != Kind::Word || number.end != word.start {
            return Err(self.unexpected_at(number, &names, None));
        }
        let whole = Token { kind: Kind::Word, start: number.start, end: word.end };
        let timeframe = self.text(whole).parse().map_err(|_| {
            let near = self.text(whole).to_ascii_lowercase();
            let suggestion = names.into_iter().find(|n| *n == near).map(str::to_owned);
            self.unexpected_at(whole, &names, suggestion)
        })?;
        self.next();
        self.next();
        Ok(timeframe)
    }
}

fn single(mut rules: Vec<Rule>, join: impl Fn(Vec<Rule>) -> Rule) -> Rule {
    match rules.len() {
        1 => rules.remove(0),
        _ => join(rules),
    }
}

/// The function across the market that a rule may use by this name.
fn across_function(name: &str) -> Option<Function> {
    let (function, _) = function(name)?;
    matches!(function, Function::Across(_) | Function::Beta).then_some(function)
}

/// The word in lower case with `_` for `-`.
pub(super) fn keyword(word: &str) -> String {
    word.to_ascii_lowercase().replace('-', "_")
}

fn price_field(name: &str) -> Option<PriceField> {
    match name {
        "price" => Some(PriceField::Close),
        "hlc3" | "typical_price" => Some(PriceField::Typical),
        "trade_count" => Some(PriceField::Trades),
        _ => PriceField::ALL.into_iter().find(|f| f.name() == name),
    }
}

pub(super) fn series_names() -> impl Iterator<Item = &'static str> {
    let fields = PriceField::ALL.into_iter().map(PriceField::name);
    let indicators = IndicatorKind::all().iter().flat_map(|s| std::iter::once(s.name).chain(s.aliases.iter().copied()));
    fields.chain(indicators).chain(ModelSeries::NAMES)
}

/// The name closest to `word`, if one is close enough to be meant.
pub(super) fn nearest(word: &str, names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    if word.len() > 40 {
        return None;
    }
    let best = names.map(|n| (strsim::damerau_levenshtein(word, n), n)).min_by_key(|(distance, _)| *distance);
    best.filter(|(distance, name)| *distance <= 1 + word.len().min(name.len()) / 4).map(|(_, name)| name)
}

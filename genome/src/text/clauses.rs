//! A whole strategy: clauses separated by `;` or ends of lines.

use super::ensemble;
use super::error::ParseError;
use super::lexer::Kind;
use super::parser::{Parser, keyword, nearest};
use super::ranking::universe;
use crate::{
    Distance, Filters, Number, PartialTakeProfit, Recovery, RiskPlan, Rule, SideRules, Size, Strategy, Timeframe,
    TrendRegimeFilter, Universe,
};

/// Clauses by canonical name, with the other names that are read.
const CLAUSES: [(&str, &[&str]); 15] = [
    ("long", &["long"]),
    ("short", &["short"]),
    ("exit", &["exit"]),
    ("stop", &["stop", "stop_loss"]),
    ("target", &["target", "take_profit"]),
    ("trail", &["trail", "trailing_stop"]),
    ("break-even", &["break_even", "breakeven"]),
    ("time-exit", &["time_exit", "time_exit_bars"]),
    ("partial", &["partial", "partial_take_profit"]),
    ("recovery", &["recovery"]),
    ("size", &["size"]),
    ("risk", &["risk"]),
    ("leverage", &["leverage"]),
    ("universe", &["universe"]),
    ("regime", &["regime"]),
];
const CONFIDENCE: &[&str] = &["confidence", "min_confidence"];

/// Clauses that only a strategy that ranks the market has.
const OF_RANKING: [&str; 4] = ["score", "rebalance", "weights", "gross"];

/// A strategy as written, before it is checked and made canonical, and where its parts stand.
pub(super) struct Written {
    pub(super) strategy: Strategy,
    /// Field of the strategy, first and last byte.
    pub(super) spans: Vec<(&'static str, usize, usize)>,
}

#[derive(Default)]
struct Draft {
    timeframe: Option<Timeframe>,
    long: Option<SideRules>,
    short: Option<SideRules>,
    last_is_short: Option<bool>,
    size: Option<Size>,
    leverage: Option<Number>,
    risk: RiskPlan,
    filters: Filters,
    universe: Option<Universe>,
    /// Of the long and of the short side: entered as the models together expect, on these candles (`None`: the strategy's own).
    ensembles: [Option<Option<Timeframe>>; 2],
    spans: Vec<(&'static str, usize, usize)>,
}

/// Reads all clauses.
pub(super) fn strategy(parser: &mut Parser<'_>) -> Result<Written, ParseError> {
    let mut draft = Draft::default();
    loop {
        while parser.eat(Kind::Separator) {}
        if parser.peek().kind == Kind::End {
            break;
        }
        clause(parser, &mut draft)?;
        // `exit when` may follow its side without a separator.
        if !matches!(parser.peek().kind, Kind::Separator | Kind::End) && !parser.sees(&["exit"]) {
            return Err(parser.unexpected(&after(&draft)));
        }
    }
    let Some(timeframe) = draft.timeframe else {
        return Err(parser.unexpected(&["a timeframe such as `15m`"]));
    };
    if draft.long.is_none() && draft.short.is_none() {
        return Err(parser.unexpected(&["`long when ...`", "`short when ...`"]));
    }
    ensemble_entries(parser, &mut draft)?;
    let mut risk = draft.risk;
    risk.size = draft.size.unwrap_or(risk.size);
    risk.leverage = draft.leverage.unwrap_or(risk.leverage);
    let Draft { long, short, filters, universe, spans, .. } = draft;
    let strategy = Strategy { timeframe, long, short, risk, filters, universe };
    Ok(Written { strategy, spans })
}

/// Entries by the ensemble have the least confidence of the strategy, which is theirs then.
fn ensemble_entries(parser: &Parser<'_>, draft: &mut Draft) -> Result<(), ParseError> {
    let by_ensemble = |is_short: bool| draft.ensembles[usize::from(is_short)];
    let sides = [(false, draft.long.is_some()), (true, draft.short.is_some())];
    let Some(least) = draft.filters.min_confidence else { return Ok(()) };
    if sides.iter().all(|(is_short, _)| by_ensemble(*is_short).is_none()) {
        return Ok(());
    }
    if sides.iter().any(|(is_short, is_there)| *is_there && by_ensemble(*is_short).is_none()) {
        let span = draft.spans.iter().find(|(field, ..)| *field == "filters.min_confidence");
        let (start, end) = span.map_or((0, 0), |(_, start, end)| (*start, *end));
        let text = "one side is entered as the models together expect, the other by a rule, and `confidence` means something else for each; write \
                    `ensemble_direction > 0 and ensemble_confidence > ...` for the one";
        return Err(parser.invalid(start, end, text));
    }
    for (is_short, side) in [(false, &mut draft.long), (true, &mut draft.short)] {
        if let (Some(side), Some(timeframe)) = (side, draft.ensembles[usize::from(is_short)]) {
            side.entry = ensemble::entry(is_short, timeframe, Some(least));
        }
    }
    draft.filters.min_confidence = None;
    Ok(())
}

/// What may follow the clause just read.
fn after(draft: &Draft) -> Vec<&'static str> {
    match draft.spans.last() {
        Some(("long.entry" | "short.entry", ..)) => vec!["`and`", "`or`", "`exit when`", "`;`", "the end"],
        Some(("long.exit" | "short.exit", ..)) => vec!["`and`", "`or`", "`;`", "the end"],
        _ => vec!["`;`", "the end"],
    }
}

fn clause(parser: &mut Parser<'_>, draft: &mut Draft) -> Result<(), ParseError> {
    let token = parser.peek();
    if token.kind == Kind::Number || parser.sees(&["timeframe"]) {
        parser.eat_word(&["timeframe"]);
        let timeframe = parser.timeframe()?;
        return once(parser, draft, "timeframe", token.start, |draft| &mut draft.timeframe, timeframe);
    }
    if token.kind != Kind::Word {
        return Err(expected_clause(parser));
    }
    let word = keyword(parser.text(token));
    if CONFIDENCE.contains(&word.as_str()) {
        parser.next();
        let value = parser.fraction()?;
        return once(parser, draft, "filters.min_confidence", token.start, |d| &mut d.filters.min_confidence, value);
    }
    if OF_RANKING.contains(&word.as_str()) {
        let text = format!("`{word}` belongs to a strategy that ranks the market by a `score`; one of rules has none");
        return Err(parser.invalid(token.start, token.end, text));
    }
    let Some((name, _)) = CLAUSES.iter().find(|(_, names)| names.contains(&word.as_str())) else {
        return Err(expected_clause(parser));
    };
    parser.next();
    let start = token.start;
    match *name {
        side @ ("long" | "short") => {
            parser.expect_word(&["when"], "`when`")?;
            let is_short = side == "short";
            draft.last_is_short = Some(is_short);
            let entry = if parser.eat_word(&[ensemble::ENTRY]) {
                let timeframe = if parser.eat(Kind::At) { Some(parser.timeframe()?) } else { None };
                draft.ensembles[usize::from(is_short)] = Some(timeframe);
                ensemble::entry(is_short, timeframe, None)
            } else {
                parser.rule()?
            };
            let rules = SideRules { entry, exit: None };
            let field = if is_short { "short.entry" } else { "long.entry" };
            once(parser, draft, field, start, |d| if is_short { &mut d.short } else { &mut d.long }, rules)
        }
        "exit" => exit(parser, draft, start),
        "stop" => {
            let value = distance(parser)?;
            once(parser, draft, "risk.stop_loss", start, |d| &mut d.risk.stop_loss, value)
        }
        "target" => {
            let value = distance(parser)?;
            once(parser, draft, "risk.take_profit", start, |d| &mut d.risk.take_profit, value)
        }
        "trail" => {
            let value = distance(parser)?;
            once(parser, draft, "risk.trailing_stop", start, |d| &mut d.risk.trailing_stop, value)
        }
        "break-even" => {
            let value = distance(parser)?;
            once(parser, draft, "risk.break_even", start, |d| &mut d.risk.break_even, value)
        }
        "time-exit" => {
            let value = parser.count()?;
            parser.eat_word(&["bars", "candles"]);
            once(parser, draft, "risk.time_exit_bars", start, |d| &mut d.risk.time_exit_bars, value)
        }
        "partial" => {
            let fraction = parser.fraction()?;
            parser.expect_word(&["at"], "`at`")?;
            let value = PartialTakeProfit { at: distance(parser)?, fraction };
            once(parser, draft, "risk.partial_take_profit", start, |d| &mut d.risk.partial_take_profit, value)
        }
        "recovery" => {
            let multiplier = parser.number()?;
            parser.eat_word(&["x"]);
            parser.expect_word(&["up"], "`up to`")?;
            parser.expect_word(&["to"], "`to`")?;
            let value = Recovery { multiplier, max_steps: parser.count()? };
            once(parser, draft, "risk.recovery", start, |d| &mut d.risk.recovery, value)
        }
        "size" => {
            let value = Size::Fraction(parser.fraction()?);
            once(parser, draft, "risk.size", start, |d| &mut d.size, value)
        }
        "risk" => {
            let value = Size::Risk(parser.fraction()?);
            once(parser, draft, "risk.size", start, |d| &mut d.size, value)
        }
        "leverage" => {
            let value = parser.number()?;
            parser.eat_word(&["x"]);
            once(parser, draft, "risk.leverage", start, |d| &mut d.leverage, value)
        }
        "universe" => {
            let value = universe(parser)?;
            once(parser, draft, "universe", start, |d| &mut d.universe, value)
        }
        _ => regime(parser, draft, start),
    }
}

fn exit(parser: &mut Parser<'_>, draft: &mut Draft, start: usize) -> Result<(), ParseError> {
    parser.expect_word(&["when"], "`when`")?;
    let rule = parser.rule()?;
    let end = parser.last_end();
    let (field, side) = match draft.last_is_short {
        Some(true) => ("short.exit", &mut draft.short),
        Some(false) => ("long.exit", &mut draft.long),
        None => ("", &mut draft.long),
    };
    let slot: Option<&mut Option<Rule>> = side.as_mut().map(|s| &mut s.exit);
    match slot {
        None => Err(parser.invalid(start, end, "`exit when` belongs after `long when` or `short when`")),
        Some(Some(_)) => Err(parser.invalid(start, end, format!("{field} is given twice"))),
        Some(slot) => {
            *slot = Some(rule);
            draft.spans.push((field, start, end));
            Ok(())
        }
    }
}

fn regime(parser: &mut Parser<'_>, draft: &mut Draft, start: usize) -> Result<(), ParseError> {
    let token = parser.peek();
    let names = TrendRegimeFilter::ALL.map(TrendRegimeFilter::name);
    let word = keyword(parser.text(token));
    let Some(value) = TrendRegimeFilter::ALL.into_iter().find(|r| r.name() == word) else {
        let near = nearest(&word, names.into_iter()).map(str::to_owned);
        return Err(parser.unexpected_at(token, &names, near));
    };
    parser.next();
    let field = "filters.regime";
    if draft.spans.iter().any(|(given, ..)| *given == field) {
        return Err(parser.invalid(start, parser.last_end(), format!("{field} is given twice")));
    }
    draft.filters.regime = value;
    draft.spans.push((field, start, parser.last_end()));
    Ok(())
}

fn once<T>(
    parser: &Parser<'_>,
    draft: &mut Draft,
    field: &'static str,
    start: usize,
    slot: impl Fn(&mut Draft) -> &mut Option<T>,
    value: T,
) -> Result<(), ParseError> {
    let end = parser.last_end();
    if slot(draft).replace(value).is_some() {
        return Err(parser.invalid(start, end, format!("{field} is given twice")));
    }
    draft.spans.push((field, start, end));
    Ok(())
}

fn expected_clause(parser: &Parser<'_>) -> ParseError {
    let token = parser.peek();
    let mut expected = vec!["a timeframe".to_owned()];
    expected.extend(CLAUSES.iter().map(|(name, _)| format!("`{name}`")));
    expected.push("`confidence`".to_owned());
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    let names = CLAUSES.iter().map(|(name, _)| *name).chain(["confidence", "timeframe"]);
    let word = parser.text(token).to_ascii_lowercase();
    let near = if token.kind == Kind::Word { nearest(&word, names) } else { None };
    parser.unexpected_at(token, &expected, near.map(str::to_owned))
}

/// `1.51%` or `3 atr(14)`; `3 atr` takes the customary period.
pub(super) fn distance(parser: &mut Parser<'_>) -> Result<Distance, ParseError> {
    let start = parser.peek();
    if start.kind != Kind::Number {
        return Err(parser.unexpected(&["a distance such as `1.5%`", "`3 atr(14)`"]));
    }
    let number = parser.number()?;
    if parser.eat(Kind::Percent) {
        return Ok(Distance::Percent(number));
    }
    if !parser.eat_word(&["atr"]) {
        return Err(parser.unexpected(&["`%`", "`atr`"]));
    }
    let mut period = crate::IndicatorKind::Atr.spec().params[0].default as u32;
    if parser.eat(Kind::Open) {
        period = parser.count()?;
        parser.expect(Kind::Close, "`)`")?;
    }
    Ok(Distance::Atr { multiple: number, period })
}

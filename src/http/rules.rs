//! A strategy as clients of the service write it, and the strategy that it stands for. Pure.
//!
//! Either a whole one in the language, of rules or one that ranks the market, or parts for people who write rules alone.
//! Entry rules are joined by `and`, exit rules by `or`. Names are read without regard to case; an indicator without
//! its parameters takes the customary ones.

use super::problem::Problem;
use genome::{AnyFile, AnyStrategy, Distance, Filters, Number, RiskPlan, Rule, SideRules, Size, Strategy, Timeframe};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::{
    ToSchema,
    openapi::{
        Schema,
        schema::{ObjectBuilder, OneOfBuilder, SchemaType, Type},
    },
};

/// What `default_entry` stands for.
const DEFAULT_ENTRY: &str = "ema(12) crosses above ema(26)";
/// What `default_exit` stands for.
const DEFAULT_EXIT: &str = "ema(12) crosses below ema(26)";

/// Why rules that look beside their candles are not taken.
const BESIDE: &str = "rules of the service look at the candles of one symbol; those that look at funding, premium, open \
     interest, ratios, other instruments or models are tested by `sg-ai backtest`";

/// A condition in the language, such as `RSI < 30`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(min_length = 1, max_length = 2000, example = "RSI < 30")]
pub(super) struct RuleText(String);

/// Characters of a rule at most.
const LONGEST_RULE: usize = 2_000;

/// A whole strategy, as a file has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "a strategy in text, TOML or JSON form is expected: a string, or an object of the JSON form"
)]
pub(super) enum WholeStrategy {
    /// In text, TOML or JSON form.
    Text(String),
    /// In JSON form.
    Json(Map<String, Value>),
}

fn whole_schema() -> Schema {
    let example =
        "4h; universe top 30 by quote_volume(30d), listed 60d; score close / highest(high, 540); weights linear";
    let of = |kind| ObjectBuilder::new().schema_type(SchemaType::Type(kind));
    let of_both = OneOfBuilder::new()
        .item(of(Type::String).max_length(Some(genome::MAX_TEXT_BYTES)))
        .item(of(Type::Object))
        .description(Some(
            "A whole strategy in the language, of rules or one that ranks the market, in text, TOML or JSON form; in place of \
             all other fields but the name. A name in it counts for nothing.",
        ))
        .examples([serde_json::json!(example)]);
    Schema::OneOf(of_both.build())
}

/// A strategy to store.
///
/// Either `strategy` or `entry_rules` is needed, not both.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StrategyRequest {
    /// For people.
    ///
    /// Without control characters, and not to be taken for a number, an id or hash, or a session such as `main/12`.
    #[schema(
        min_length = 1,
        max_length = 200,
        example = "dip",
        pattern = r"^(?!\s*([+-]?[0-9]+|[0-9A-Fa-f-]{4,}|[^ /]*/[0-9]+)\s*$)[^\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]*\S[^\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]*$"
    )]
    pub(super) name: String,
    /// A whole strategy in the language, of rules or one that ranks the market, in text, TOML or JSON form; in place of all
    /// fields below. A name in it counts for nothing.
    #[serde(default)]
    #[schema(schema_with = whole_schema)]
    pub(super) strategy: Option<WholeStrategy>,
    /// Conditions that must all hold at a candle's close to buy at the next open, such as `RSI < 30`, or
    /// `default_entry`.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 16, example = json!(["RSI < 30", "MACD_histogram > 0", "close > resistance"]))]
    pub(super) entry_rules: Option<Vec<RuleText>>,
    /// Conditions of which one is enough to sell at the next open; `stop_loss_hit` and `take_profit_hit` stand for
    /// the levels of `risk_management`, `default_exit` for the mirror image of `default_entry`.
    #[serde(default)]
    #[schema(max_items = 16, example = json!(["stop_loss_hit", "take_profit_hit", "RSI > 70"]))]
    pub(super) exit_rules: Option<Vec<RuleText>>,
    /// How much is put in, and where it ends.
    #[serde(default, deserialize_with = "risk")]
    pub(super) risk_management: Option<RiskRequest>,
    /// Candles that rules are evaluated on, such as `15m`; those that the daemon searches on where it is left out.
    #[serde(default)]
    #[schema(pattern = r"^(1m|3m|5m|15m|30m|1h|2h|4h|6h|8h|12h|1d|3d|1w|1M)$", example = "15m")]
    pub(super) timeframe: Option<String>,
    /// A day (00:00 UTC) or a moment up to which its author has looked at candles, where that is not now: what it did
    /// before proves nothing.
    #[serde(default)]
    #[schema(example = "2024-03-01")]
    pub(super) seen_until: Option<String>,
}

/// How much is put in, and where it ends. All are fractions: 0.02 is 2 %.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RiskRequest {
    /// Share of the capital in a position; all of it where it is left out.
    #[serde(default)]
    #[schema(minimum = 0.01, maximum = 1.0, example = 0.1)]
    pub(super) position_size: Option<f64>,
    /// Distance of the stop-loss below the fill.
    #[serde(default)]
    #[schema(minimum = 0.0005, maximum = 0.9, example = 0.02)]
    pub(super) stop_loss_pct: Option<f64>,
    /// Distance of the target above the fill.
    #[serde(default)]
    #[schema(minimum = 0.0005, maximum = 0.9, example = 0.06)]
    pub(super) take_profit_pct: Option<f64>,
}

fn risk<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<RiskRequest>, D::Error> {
    super::extract::object(deserializer).map(Some)
}

impl StrategyRequest {
    /// The canonical strategy, on `timeframe` where the request names none, and what its author should know.
    pub(super) fn strategy(&self, timeframe: Timeframe) -> Result<(AnyStrategy, Vec<String>), Problem> {
        if let Some(why) = super::names::problem_of(&self.name) {
            return Err(Problem::field("name", why));
        }
        match &self.strategy {
            Some(whole) => Ok((self.whole(whole)?, Vec::new())),
            None => self.of_parts(timeframe).map(|(strategy, warnings)| (strategy.into(), warnings)),
        }
    }

    /// The strategy of the request that says all by itself.
    fn whole(&self, whole: &WholeStrategy) -> Result<AnyStrategy, Problem> {
        let parts = [
            ("entry_rules", self.entry_rules.is_some()),
            ("exit_rules", self.exit_rules.is_some()),
            ("risk_management", self.risk_management.is_some()),
            ("timeframe", self.timeframe.is_some()),
        ];
        if let Some((field, _)) = parts.into_iter().find(|(_, given)| *given) {
            return Err(Problem::field(field, "strategy says all of it: leave this out, or strategy"));
        }
        let text = match whole {
            WholeStrategy::Text(text) => text.clone(),
            WholeStrategy::Json(map) => serde_json::to_string(map).unwrap_or_default(),
        };
        let file = AnyFile::parse(&text).map_err(|why| Problem::field("strategy", why.to_string()))?;
        if file.strategy.looks_beyond_the_daemon() {
            return Err(Problem::field("strategy", BESIDE));
        }
        Ok(file.strategy)
    }

    fn of_parts(&self, timeframe: Timeframe) -> Result<(Strategy, Vec<String>), Problem> {
        let timeframe = match &self.timeframe {
            None => timeframe,
            Some(text) => text.parse().map_err(|why: String| Problem::field("timeframe", why))?,
        };
        let mut entries = Vec::new();
        let Some(entry_rules) = &self.entry_rules else {
            return Err(Problem::field("entry_rules", "missing: entry_rules or strategy is needed"));
        };
        for (i, RuleText(text)) in entry_rules.iter().enumerate() {
            let text = if is_word(text, "default_entry") { DEFAULT_ENTRY } else { text };
            entries.push(rule("entry_rules", i, text)?);
        }
        let Some(entry) = joined(entries, Rule::And) else {
            return Err(Problem::field(
                "entry_rules",
                "at least one rule is needed, such as RSI < 30, or default_entry",
            ));
        };
        let (mut exits, mut warnings) = (Vec::new(), Vec::new());
        let risk = &self.risk_management.clone().unwrap_or_default();
        let levels = [
            ("stop_loss_hit", "stop_loss_pct", risk.stop_loss_pct),
            ("take_profit_hit", "take_profit_pct", risk.take_profit_pct),
        ];
        for (i, RuleText(text)) in self.exit_rules.iter().flatten().enumerate() {
            if let Some((word, key, level)) = levels.iter().find(|(word, ..)| is_word(text, word)) {
                if level.is_none() {
                    warnings.push(format!("exit_rules[{i}]: {word} never happens without risk_management.{key}"));
                }
                continue;
            }
            let text = if is_word(text, "default_exit") { DEFAULT_EXIT } else { text };
            exits.push(rule("exit_rules", i, text)?);
        }
        let risk = risk.plan()?;
        let long = Some(SideRules { entry, exit: joined(exits, Rule::Or) });
        let strategy = Strategy { timeframe, long, short: None, risk, filters: Filters::default(), universe: None };
        let strategy = strategy.canonical().map_err(|invalid| {
            let field = match invalid.field.as_str() {
                field if field.starts_with("long.entry") => "entry_rules",
                field if field.starts_with("long.exit") => "exit_rules",
                field if field.starts_with("risk.size") => "risk_management.position_size",
                field if field.starts_with("risk.stop_loss") => "risk_management.stop_loss_pct",
                field if field.starts_with("risk.take_profit") => "risk_management.take_profit_pct",
                _ => "timeframe",
            };
            Problem::field(field, invalid.problem)
        })?;
        if strategy.looks_beside_its_candles() {
            // Undefined values would look like a rule that never holds.
            return Err(Problem::field("entry_rules", BESIDE));
        }
        Ok((strategy, warnings))
    }
}

impl RiskRequest {
    fn plan(&self) -> Result<RiskPlan, Problem> {
        let usual = RiskPlan::default();
        let within = |key: &str, value: f64, (min, max): (f64, f64)| {
            let field = format!("risk_management.{key}");
            let fits = value.is_finite() && (min..=max).contains(&value);
            let why = || format!("a fraction from {min} to {max} is expected (0.02 is 2 %), not {value}");
            if fits { Ok(value) } else { Err(Problem::field(field, why())) }
        };
        let number = |key: &str, value: f64| {
            let why = || Problem::field(format!("risk_management.{key}"), "a number is expected");
            Number::new(value).ok_or_else(why)
        };
        let distance = |key: &str, value: Option<f64>, bounds| {
            let Some(value) = value else { return Ok(None) };
            // Ten digits: 7 % is not to become 7.000000000000001 %.
            let percent = (within(key, value, bounds)? * 1e12).round() / 1e10;
            Ok::<_, Problem>(Some(Distance::Percent(number(key, percent)?)))
        };
        let size = match self.position_size {
            None => usual.size,
            Some(size) => Size::Fraction(number("position_size", within("position_size", size, (0.01, 1.0))?)?),
        };
        Ok(RiskPlan {
            size,
            stop_loss: distance("stop_loss_pct", self.stop_loss_pct, (0.0005, 0.9))?,
            take_profit: distance("take_profit_pct", self.take_profit_pct, (0.0005, 0.9))?,
            ..usual
        })
    }
}

fn is_word(text: &str, word: &str) -> bool {
    text.trim().eq_ignore_ascii_case(word)
}

fn rule(list: &str, i: usize, text: &str) -> Result<Rule, Problem> {
    if text.chars().count() > LONGEST_RULE {
        return Err(Problem::field(format!("{list}[{i}]"), format!("a rule has at most {LONGEST_RULE} characters")));
    }
    text.parse().map_err(|error: genome::ParseError| Problem::field(format!("{list}[{i}]"), error.headline()))
}

fn joined(mut rules: Vec<Rule>, join: fn(Vec<Rule>) -> Rule) -> Option<Rule> {
    match rules.len() {
        0 => None,
        1 => rules.pop(),
        _ => Some(join(rules)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_warnings(json: &str) -> Result<(AnyStrategy, Vec<String>), Problem> {
        serde_json::from_str::<StrategyRequest>(json).unwrap().strategy("15m".parse().unwrap())
    }

    fn request(json: &str) -> Result<AnyStrategy, Problem> {
        with_warnings(json).map(|(strategy, _)| strategy)
    }

    #[test]
    fn a_whole_strategy_is_taken_in_every_form_and_says_all_by_itself() {
        let text = "4h; universe top 30 by quote_volume(30d), listed 60d; score close / highest(high, 540); rebalance 1d; \
                    weights linear, inverse volatility(180), smooth 5; gross 1";
        let meant: AnyStrategy = text.parse().unwrap();
        let document = serde_json::to_value(&meant).unwrap();
        let toml = "timeframe = \"4h\"\nuniverse = \"top 30 by quote_volume(30d), listed 60d\"\n\
            score = \"close / highest(high, 540)\"\nweights = \"linear, inverse volatility(180), smooth 5\"\n";
        for whole in [text.into(), document.to_string().into(), toml.into(), document.clone()] {
            let body = serde_json::json!({ "name": "near high", "strategy": whole }).to_string();
            assert_eq!(request(&body).unwrap(), meant, "{body}");
        }
        let rules = r#"{"name": "x", "strategy": "15m; long when rsi(14) < 30"}"#;
        assert_eq!(request(rules).unwrap(), "15m; long when rsi(14) < 30".parse().unwrap());
        for (more, field) in [
            (r#""strategy": "4h; universe top 1 by quote_volume(30d); score rank; weights linear""#, "strategy"),
            (r#""strategy": "4h; long when funding > 0.001""#, "strategy"),
            (r#""strategy": "4h; long when rsi(14) < 30", "timeframe": "15m""#, "timeframe"),
            (r#""strategy": "4h; long when rsi(14) < 30", "entry_rules": ["rsi < 30"]"#, "entry_rules"),
            (r#""exit_rules": ["rsi < 30"]"#, "entry_rules"),
        ] {
            let problem = request(&format!(r#"{{"name": "x", {more}}}"#)).unwrap_err();
            assert_eq!(problem.field.as_deref(), Some(field), "{more}: {}", problem.detail);
        }
    }

    #[test]
    fn what_people_write_is_what_the_language_says() {
        let written = request(
            r#"{"name": "dip", "entry_rules": ["RSI < 30", "MACD_histogram > 0", "close > resistance"],
                "exit_rules": ["stop_loss_hit", "TAKE_PROFIT_HIT", "RSI > 70"],
                "risk_management": {"position_size": 0.1, "stop_loss_pct": 0.02, "take_profit_pct": 0.07}}"#,
        );
        let meant: Strategy = "15m; long when rsi(14) < 30 and macd_histogram(12, 26, 9) > 0 and close > \
             swing_resistance(5); exit when rsi(14) > 70; stop 2%; target 7%; size 0.1"
            .parse()
            .unwrap();
        assert_eq!(written.unwrap(), meant.into());
        let customary = request(r#"{"name": "x", "entry_rules": ["Default_Entry"], "exit_rules": ["default_exit"]}"#);
        let meant: Strategy = format!("15m; long when {DEFAULT_ENTRY}; exit when {DEFAULT_EXIT}").parse().unwrap();
        assert_eq!(customary.unwrap(), meant.into());
    }

    #[test]
    fn what_is_wrong_is_named_by_its_field() {
        let field = |json: &str| request(json).unwrap_err().field.unwrap();
        for name in [" ", "0001", "+1", "a\\u0007"] {
            assert_eq!(field(&format!(r#"{{"name": "{name}", "entry_rules": ["rsi < 30"]}}"#)), "name");
        }
        assert_eq!(field(r#"{"name": "x", "entry_rules": []}"#), "entry_rules");
        assert_eq!(field(r#"{"name": "x", "entry_rules": ["rsi < 30", "rsj > 1"]}"#), "entry_rules[1]");
        assert_eq!(field(r#"{"name": "x", "entry_rules": ["funding > 0.001"]}"#), "entry_rules");
        let exits = r#"{"name": "x", "entry_rules": ["rsi < 30"], "exit_rules": ["rsi > 70", "stop_loss_hit"]}"#;
        let warnings = with_warnings(exits).unwrap().1;
        assert_eq!(warnings, ["exit_rules[1]: stop_loss_hit never happens without risk_management.stop_loss_pct"]);
        assert_eq!(field(r#"{"name": "x", "entry_rules": ["rsi < 30"], "timeframe": "7m"}"#), "timeframe");
        for (key, value) in [("position_size", "1.5"), ("stop_loss_pct", "2"), ("take_profit_pct", "0")] {
            let json =
                format!(r#"{{"name": "x", "entry_rules": ["rsi < 30"], "risk_management": {{"{key}": {value}}}}}"#);
            assert_eq!(field(&json), format!("risk_management.{key}"));
        }
    }
}

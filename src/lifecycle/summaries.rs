//! Decisions in a sentence: what moved a strategy, with the numbers that did it.
//!
//! Never decides.

use super::{Check, EdgeDecayLevel, EdgeDecayVerdict, figure, needed, requirement};

/// What a check had, for people.
fn had(checks: &[Check], name: &str) -> String {
    let value = checks.iter().find(|check| check.name == name).and_then(|check| check.had);
    value.map_or_else(|| "undefined".to_owned(), figure)
}

/// The number in what a check needed: `>= 14.0, the promotion threshold` is `14`.
fn limit(checks: &[Check], name: &str) -> String {
    let text = checks.iter().find(|check| check.name == name).map_or("", |check| check.needed.as_str());
    let number = text.split(|c: char| !(c.is_ascii_digit() || c == '.')).find_map(|part| part.parse::<f64>().ok());
    number.map_or_else(|| "undefined".to_owned(), figure)
}

pub(super) fn entered_shadow(checks: &[Check]) -> String {
    let of = |name: &str, words: &str| {
        let value = checks.iter().find(|check| check.name == name)?.had?;
        Some(format!("{words} {}", figure(value)))
    };
    let told: Vec<String> =
        [of("search.p_value", "search p"), of("holdout.e_value", "hold-out E")].into_iter().flatten().collect();
    format!("Entered shadow: {}", told.join(", "))
}

pub(super) fn promoted(checks: &[Check]) -> String {
    format!("Promoted: {}", out_of_sample(checks))
}

pub(super) fn out_of_time(checks: &[Check]) -> String {
    format!("Failed: shadow time is over with {}", out_of_sample(checks))
}

pub(super) fn withered(checks: &[Check]) -> String {
    format!("Failed: shadow E {} is below 1 after the time that it had to grow", had(checks, "shadow.growth"))
}

pub(super) fn waits_in_shadow(checks: &[Check]) -> String {
    format!("In shadow: {}", out_of_sample(checks))
}

fn out_of_sample(checks: &[Check]) -> String {
    format!("out-of-sample E {}, threshold {}", had(checks, "protocol.e_value"), limit(checks, "protocol.e_value"))
}

/// What the worst detector says: `CUSUM decay alarm 11.5 above 11.2`.
pub(super) fn alarm(verdict: Option<&EdgeDecayVerdict>) -> String {
    let alarmed = verdict.into_iter().flat_map(|v| &v.readings).find(|r| r.level == EdgeDecayLevel::Alarm);
    alarmed.map_or_else(
        || "decay alarm".to_owned(),
        |reading| {
            let name = match reading.detector.as_str() {
                "cusum" => "CUSUM",
                "drawdown" => "drawdown",
                "e_detector" => "E-detector",
                other => other,
            };
            // The e-detector alarms at its limit, too.
            let beyond = if reading.statistic > reading.control_limit { "above" } else { "at" };
            format!("{name} decay alarm {} {beyond} {}", figure(reading.statistic), figure(reading.control_limit))
        },
    )
}

/// A requirement within a sentence, and the unit of its values: `("shadow max drawdown", " %")`.
fn within(check: &Check) -> (String, &'static str) {
    let words = requirement(&check.name);
    let plain = words.trim_end_matches(", %");
    let unit = if plain.len() < words.len() { " %" } else { "" };
    let plain = plain.trim_end_matches(" before disabling").trim_end_matches(" before demotion");
    (format!("{}{}", plain[..1].to_lowercase(), &plain[1..]), unit)
}

/// `shadow max drawdown 26 %, limit 25 %`.
pub(super) fn beyond(check: Option<&Check>) -> String {
    let Some(check) = check else { return "a limit is broken".to_owned() };
    let (what, unit) = within(check);
    let limit = limit(std::slice::from_ref(check), &check.name);
    // What is just beyond a limit is not to look as if it were at it.
    let told = |had: f64| Some(figure(had)).filter(|text| *text != limit).unwrap_or_else(|| format!("{had:.4}"));
    let had = check.had.map_or_else(|| "undefined".to_owned(), told);
    format!("{what} {had}{unit}, limit {limit}{unit}")
}

/// Requirements that are missed, the first two of them in full.
pub(super) fn missed(checks: &[Check]) -> String {
    const TOLD: usize = 2;
    let missed: Vec<&Check> = checks.iter().filter(|check| !check.passed).collect();
    let told = missed.iter().take(TOLD).map(|check| {
        let (what, unit) = within(check);
        let had = check.had.map_or_else(|| "undefined".to_owned(), |had| figure(had) + unit);
        format!("{what} {had} (needed {})", needed(&check.needed))
    });
    let told = told.collect::<Vec<_>>().join(", ");
    let rest = missed.len().saturating_sub(TOLD);
    if rest == 0 { told } else { format!("{told} and {rest} more") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missed_is_told_with_what_there_was() {
        let check =
            |name: &str, needed: &str, had, passed| Check { name: name.into(), needed: needed.into(), had, passed };
        let checks = [
            check("holdout.e_value", ">= 1", Some(0.42), false),
            check("backtest.total_trades", ">= 50", Some(60.0), true),
            check("holdout.total_trades", ">= 10", Some(3.0), false),
            check("holdout.max_drawdown_percent", "<= 25", None, false),
        ];
        assert_eq!(missed(&checks[..2]), "hold-out E 0.42 (needed >= 1)");
        assert_eq!(missed(&checks), "hold-out E 0.42 (needed >= 1), hold-out trades 3 (needed >= 10) and 1 more");
        let deep = check("live.max_drawdown_percent", "<= 25 to stay enabled", Some(26.13), false);
        assert_eq!(beyond(Some(&deep)), "live drawdown 26.1 %, limit 25 %");
        let just = Check { had: Some(25.0312), ..deep };
        assert_eq!(beyond(Some(&just)), "live drawdown 25.0312 %, limit 25 %");
    }
}

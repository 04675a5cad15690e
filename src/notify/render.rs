//! Notices as the bodies that Discord and Slack take. Pure.
//!
//! Texts are cut to the limits of each service and cannot mention anybody. Each body carries the key of its event, so
//! that a repeated delivery can be recognised.

use super::{Channel, Day, Drifted, ModelTold, Moved, Notice, Trouble};
use candles::time::rfc3339;
use lifecycle::{Check, State, figure, needed, requirement};
use serde_json::{Value, json};

/// What both services are given, before their own form.
struct Card {
    title: String,
    body: String,
    fields: Vec<(&'static str, String)>,
    /// The strategy's rules, shown as code.
    code: Option<String>,
    color: u32,
    time: Option<String>,
}

const GREEN: u32 = 0x2e_a0_43;
const AMBER: u32 = 0xd2_99_22;
const RED: u32 = 0xda_36_33;
const BLUE: u32 = 0x1f_6f_eb;

/// The body to post for a notice.
#[must_use]
pub fn render(channel: Channel, notice: &Notice, event_key: &str) -> Value {
    let card = card(notice);
    match channel {
        Channel::Discord => discord(&card, event_key),
        Channel::Slack => slack(&card, event_key),
    }
}

fn card(notice: &Notice) -> Card {
    match notice {
        Notice::Promotion(moved) => strategy_card("Promoted to live", GREEN, moved),
        Notice::Demotion(moved) => strategy_card("Demoted to shadow", AMBER, moved),
        Notice::Disabled(moved) => strategy_card("Disabled", RED, moved),
        Notice::SystemError(trouble) => trouble_card(trouble),
        Notice::Drift(drifted) => drift_card(drifted),
        Notice::Model(told) => model_card(told),
        Notice::DailySummary(day) => day_card(day),
    }
}

fn strategy_card(what: &str, color: u32, moved: &Moved) -> Card {
    let mut fields = vec![("Transition", format!("{} -> {}", moved.from, moved.to))];
    fields.extend(moved.reason.map(|reason| ("Reason", reason.name().to_owned())));
    if !moved.checks.is_empty() {
        fields.push(("Requirements", moved.checks.iter().map(check_line).collect::<Vec<_>>().join("\n")));
    }
    fields.push(("Strategy", moved.strategy_id.clone()));
    Card {
        title: format!("{what}: {}", moved.name),
        body: moved.summary.clone(),
        fields,
        code: Some(moved.text.clone()),
        color,
        time: rfc3339(moved.market_time_ms),
    }
}

fn check_line(check: &Check) -> String {
    let had = check.had.map_or_else(|| "undefined".to_owned(), figure);
    format!(
        "{} {}: {had}, needed {}",
        if check.passed { "+" } else { "-" },
        requirement(&check.name),
        needed(&check.needed)
    )
}

fn trouble_card(trouble: &Trouble) -> Card {
    Card {
        title: format!("System error: {} keeps failing", trouble.step),
        body: trouble.error.clone(),
        fields: vec![("Failures in a row", trouble.failures.to_string())],
        code: None,
        color: RED,
        time: rfc3339(trouble.at_ms),
    }
}

fn drift_card(drifted: &Drifted) -> Card {
    let fields = vec![
        ("Expected", number(drifted.expected)),
        ("Observed", number(drifted.observed)),
        ("Recommended", drifted.action.replace('_', " ")),
        ("Alert", drifted.alert.to_string()),
        ("Strategy", drifted.strategy_id.clone()),
    ];
    Card {
        title: format!("Drift, {}: {}", drifted.severity, drifted.name),
        body: format!("Live {} is away from what backtest, hold-out and shadow let expect.", drifted.figure),
        fields,
        code: None,
        color: if drifted.severity == "critical" { RED } else { AMBER },
        time: rfc3339(drifted.market_time_ms),
    }
}

fn model_card(told: &ModelTold) -> Card {
    let (what, color) = match told.state.as_str() {
        "failing" => ("Model fails", RED),
        "drifting" => ("Model drifts", AMBER),
        "gone" => ("Model is gone", BLUE),
        _ => ("Model is well again", GREEN),
    };
    let usual = match told.state.as_str() {
        "gone" => "Its file is no longer there.",
        _ => "It predicts, and its calibration is what it was.",
    };
    let mut fields = vec![("Before", told.was.clone().unwrap_or_else(|| "not there".to_owned()))];
    if !told.strategies.is_empty() {
        fields.push(("Strategies that ask it", told.strategies.join(", ")));
    }
    Card {
        title: format!("{what}: {}", told.model),
        body: told.reason.clone().unwrap_or_else(|| usual.to_owned()),
        fields,
        code: None,
        color,
        time: rfc3339(told.market_time_ms),
    }
}

fn day_card(day: &Day) -> Card {
    let state = |state: State| day.strategies.get(&state).copied().unwrap_or(0);
    let moves = |kind: &str| day.transitions.get(kind).copied().unwrap_or(0);
    let body = format!(
        "{} live, {} in shadow, {} candidates, {} disabled",
        state(State::Live),
        state(State::Shadow),
        state(State::Candidate),
        state(State::Disabled)
    );
    let last_day = format!(
        "{} to shadow, {} to live, {} demoted, {} disabled",
        moves("enter_shadow"),
        moves("go_live"),
        moves("demote"),
        moves("disable")
    );
    let mut fields = vec![
        ("Last 24 hours", last_day),
        ("Best fitness", day.best_fitness.map_or_else(|| "none yet".to_owned(), number)),
        ("Generations", day.generations.to_string()),
        ("Evaluations", day.evaluations.to_string()),
        ("Failed jobs queued", day.open_dead_letters.to_string()),
        ("Open drift alerts", day.open_drift_alerts.to_string()),
        ("Capital allocated", format!("{} %", number(day.allocated_pct))),
    ];
    if !day.review.is_empty() {
        fields.push(("Daily review", day.review.join("\n")));
    }
    fields.extend(day.book.clone().map(|book| ("Book", book)));
    fields.extend(day.audit_head.clone().map(|head| ("Audit head", head)));
    Card { title: format!("Daily summary {}", day.date), body, fields, code: None, color: BLUE, time: None }
}

/// At most four decimals, none where there is nothing to show.
fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The first `limit` characters, with a sign that something is missing.
fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit.saturating_sub(3)).chain("...".chars()).collect()
}

/// Code cannot end early.
fn code(text: &str, limit: usize) -> String {
    format!("```\n{}\n```", cut(&text.replace("```", "'''"), limit))
}

/// Limits: title 256, description 4096, field 1024 characters, 6000 in all.
fn discord(card: &Card, event_key: &str) -> Value {
    let escape = |text: &str| {
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            if matches!(c, '*' | '_' | '~' | '`' | '|' | '>' | '\\' | '[' | '#') {
                out.push('\\');
            }
            out.push(c);
        }
        out
    };
    let mut description = cut(&escape(&card.body), 1500);
    if let Some(text) = &card.code {
        description.push('\n');
        description.push_str(&code(text, 1500));
    }
    let field = |(name, value): &(&str, String)| {
        let inline = !value.contains('\n') && value.chars().count() <= 40;
        json!({ "name": name, "value": cut(&escape(value), 1000), "inline": inline })
    };
    let mut embed = json!({
        "title": cut(&escape(&card.title), 250),
        "description": description,
        "color": card.color,
        "fields": card.fields.iter().map(field).collect::<Vec<_>>(),
        "footer": { "text": cut(&format!("event {event_key}"), 200) },
    });
    if let Some(time) = &card.time {
        embed["timestamp"] = time.clone().into();
    }
    json!({ "username": "sg-ai", "allowed_mentions": { "parse": [] }, "embeds": [embed] })
}

/// Limits: header 150, section 3000, field 2000 characters, ten fields.
fn slack(card: &Card, event_key: &str) -> Value {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut body = cut(&escape(&card.body), 1400);
    if let Some(text) = &card.code {
        body.push('\n');
        body.push_str(&code(&escape(text), 1400));
    }
    let field = |(name, value): &(&str, String)| json!({ "type": "mrkdwn", "text": format!("*{name}*\n{}", cut(&escape(value), 1900)) });
    let mut context = format!("event {event_key}");
    if let Some(time) = &card.time {
        context = format!("{time}, {context}");
    }
    json!({
        "text": cut(&escape(&format!("{}: {}", card.title, card.body)), 1000),
        "blocks": [
            { "type": "header", "text": { "type": "plain_text", "text": cut(&card.title, 150) } },
            { "type": "section", "text": { "type": "mrkdwn", "text": body } },
            { "type": "section", "fields": card.fields.iter().take(10).map(field).collect::<Vec<_>>() },
            { "type": "context", "elements": [{ "type": "mrkdwn", "text": cut(&escape(&context), 500) }] },
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lifecycle::DisableReason;

    pub(super) fn moved() -> Moved {
        let check =
            |name: &str, needed: &str, had, passed| Check { name: name.into(), needed: needed.into(), had, passed };
        Moved {
            strategy_id: "0198c0de-0000-7000-8000-000000000001".into(),
            name: "quiet_otter".into(),
            text: "15m long when rsi(14) < 30 and close > ema(200)@4h".into(),
            from: State::Shadow,
            to: State::Live,
            reason: None,
            summary: "Passed every check of the shadow gate.".into(),
            checks: vec![
                check("shadow.profit_factor", ">= 1.3", Some(1.72), true),
                check("shadow.sharpe_ratio", ">= 1", None, false),
            ],
            market_time_ms: 1_764_449_100_000,
        }
    }

    fn notices() -> Vec<Notice> {
        let demoted = Moved { from: State::Live, to: State::Shadow, checks: vec![], ..moved() };
        let disabled = Moved {
            from: State::Live,
            to: State::Disabled,
            reason: Some(DisableReason::Deactivated),
            summary: "Drawdown 27.1 % beyond 25 %.".into(),
            ..moved()
        };
        let trouble = Trouble {
            step: "shadow".into(),
            error: "candles of BTCUSDT: HTTP 418 <banned> & more".into(),
            failures: 5,
            at_ms: 1_764_449_100_000,
        };
        let day = Day {
            date: "2025-11-29".into(),
            strategies: [(State::Live, 2), (State::Shadow, 11)].into(),
            transitions: [("go_live".to_owned(), 1)].into(),
            best_fitness: Some(71.5),
            generations: 240,
            evaluations: 120_000,
            open_dead_letters: 0,
            open_drift_alerts: 1,
            allocated_pct: 6.5,
            review: vec!["500 generated and tested, 7 stored, 1 to shadow".into()],
            book: Some("book 1 shadow: ln E 2.50 of 3.00, placebo -0.40".into()),
            audit_head: Some("9f2c".into()),
        };
        let drifted = Drifted {
            strategy_id: "0193".into(),
            name: "breakout-3f9a".into(),
            alert: 12,
            figure: "drawdown".into(),
            severity: "critical".into(),
            expected: -0.06,
            observed: -0.131,
            action: "deactivate".into(),
            market_time_ms: 1_764_449_100_000,
        };
        let told = |state: &str, was: Option<&str>, reason: Option<&str>| {
            Notice::Model(ModelTold {
                model: "trend".into(),
                state: state.into(),
                was: was.map(Into::into),
                reason: reason.map(Into::into),
                strategies: if state == "ok" { vec![] } else { vec!["asks the model".into(), "and another".into()] },
                market_time_ms: 1_764_449_100_000,
            })
        };
        vec![
            told("failing", None, Some("model trend: the cache lacks 4h candles of spot BTCUSDT")),
            told("drifting", Some("ok"), Some("what is said for or against holds less than it did")),
            told("ok", Some("drifting"), None),
            told("gone", Some("failing"), None),
            Notice::Drift(drifted),
            Notice::Promotion(moved()),
            Notice::Demotion(demoted),
            Notice::Disabled(disabled),
            Notice::SystemError(trouble),
            Notice::DailySummary(day),
        ]
    }

    #[test]
    fn every_notice_for_discord() {
        let bodies: Vec<_> = notices().iter().map(|notice| render(Channel::Discord, notice, "key:1")).collect();
        insta::assert_json_snapshot!(bodies);
    }

    #[test]
    fn every_notice_for_slack() {
        let bodies: Vec<_> = notices().iter().map(|notice| render(Channel::Slack, notice, "key:1")).collect();
        insta::assert_json_snapshot!(bodies);
    }

    #[test]
    fn notices_survive_the_outbox() {
        for notice in notices() {
            let event = notice.events("key:1", &[Channel::Slack]).remove(0);
            assert_eq!((event.kind.as_str(), event.channel.as_str()), (notice.kind(), "slack"));
            assert_eq!(serde_json::from_value::<Notice>(event.payload).unwrap(), notice);
        }
    }

    #[test]
    fn long_and_hostile_texts_stay_within_limits_and_within_their_code() {
        let hostile = "@everyone ``` *x* <!channel> ".repeat(500);
        let checks = (0..200).map(|i| Check {
            name: format!("check_{i}"),
            needed: hostile.clone(),
            had: Some(0.1),
            passed: true,
        });
        let moved = Moved {
            name: hostile.clone(),
            text: hostile.clone(),
            summary: hostile.clone(),
            checks: checks.collect(),
            ..moved()
        };
        let notice = Notice::Promotion(moved);
        let embed = &render(Channel::Discord, &notice, &hostile)["embeds"][0];
        let length = |value: &Value| value.as_str().unwrap().chars().count();
        assert!(length(&embed["title"]) <= 256 && length(&embed["description"]) <= 4096);
        let fields = embed["fields"].as_array().unwrap();
        assert!(fields.iter().all(|field| length(&field["value"]) <= 1024));
        let all = length(&embed["title"]) + length(&embed["description"]) + length(&embed["footer"]["text"]);
        assert!(all + fields.iter().map(|f| length(&f["name"]) + length(&f["value"])).sum::<usize>() <= 6000);
        assert_eq!(embed["description"].as_str().unwrap().matches("```").count(), 2);

        let slack = render(Channel::Slack, &notice, &hostile);
        assert!(length(&slack["blocks"][0]["text"]["text"]) <= 150);
        assert!(length(&slack["blocks"][1]["text"]["text"]) <= 3000);
        assert!(slack["blocks"][2]["fields"].as_array().unwrap().iter().all(|f| length(&f["text"]) <= 2000));
        assert!(!slack["blocks"][1].to_string().contains("<!channel>"));
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            (number(1.5), number(2.0), number(0.123456), number(-10.0)),
            ("1.5".into(), "2".into(), "0.1235".into(), "-10".into())
        );
    }
}

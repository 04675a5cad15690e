//! Every phrase of the lexicon becomes a strategy that parses, and is told in its own words; docs/MEDIA.md shows the same
//! lexicon.

// A failed assumption of a test is a failed test.
#![allow(clippy::unwrap_used)]

use media::{Item, KeywordHit, LEXICON, LexiconEntry, LexiconProposal, Meaning, Transcript, propose};
use proptest::prelude::*;
use std::collections::BTreeSet;

const DOCUMENT: &str = include_str!("../../../docs/MEDIA.md");

fn said(text: &str, start_time: f64) -> Transcript {
    Transcript { text: text.to_owned(), start_time, end_time: start_time + 2.0 }
}

fn item(transcripts: Vec<Transcript>) -> Item {
    Item { transcripts, ..Item::default() }
}

fn proposed(texts: &[(&str, f64)]) -> LexiconProposal {
    propose(&item(texts.iter().map(|(text, at)| said(text, *at)).collect()), "15m".parse().unwrap())
}

#[track_caller]
fn strategy(texts: &[(&str, f64)]) -> String {
    let proposal = proposed(texts);
    proposal.strategy.clone().unwrap_or_else(|| panic!("{proposal:?}"))
}

#[track_caller]
fn same(texts: &[(&str, f64)], expected: &str) {
    assert_eq!(strategy(texts), expected.parse::<genome::Strategy>().unwrap().to_string());
}

/// A phrase of a row with numbers that it may have, and what it means with them.
fn spoken(entry: &LexiconEntry, phrase: &str) -> (String, Vec<String>) {
    let (least, most) = entry.numbers;
    let n = match entry.meaning {
        Meaning::Timeframe("{n}m") => 15.0,
        Meaning::Timeframe("{n}h") => 4.0,
        _ => [3.0, 55.0, 70.0].into_iter().find(|n| (least..=most).contains(n)).unwrap(),
    };
    let filled = |text: &str| text.replace("{n}", &n.to_string()).replace("{m}", "21");
    let rules = match entry.meaning {
        Meaning::Bullish(text) | Meaning::Bearish(text) | Meaning::Filter(text) => vec![filled(text)],
        Meaning::Either(long, short) => vec![filled(long), filled(short)],
        Meaning::Clause(text) | Meaning::Timeframe(text) => vec![filled(text)],
        Meaning::RewardPerRisk => vec![format!("target {}%", 2.0 * 7.0)],
        Meaning::Long | Meaning::Short => Vec::new(),
    };
    (filled(phrase), rules)
}

/// What a rule is in canonical form, condition by condition.
fn conditions(rule: &str) -> Vec<String> {
    let text = format!("15m; long when {rule}").parse::<genome::Strategy>().unwrap_or_else(|e| panic!("{rule}: {e}"));
    let text = text.to_string();
    let rule = text.split("long when ").nth(1).unwrap().split("; ").next().unwrap();
    rule.split(" and ").map(str::to_owned).collect()
}

#[test]
fn each_phrase_becomes_a_strategy_that_parses_and_its_words_come_back() {
    for entry in LEXICON {
        for phrase in entry.phrases {
            let (text, rules) = spoken(entry, phrase);
            for side in ["go long", "go short"] {
                // Beside something else of which there is an entry, on the side that is said.
                let beside = if entry.topic == "keltner" { "hull moving average" } else { "keltner channel" };
                let side = if entry.topic == "side" { "" } else { side };
                let proposal = proposed(&[(beside, 0.0), (side, 2.0), (&text, 5.0)]);
                let idea = &proposal.ideas[0];
                assert_eq!(proposal.ideas.len(), 1, "{text}");
                // As it was written, and under the first phrase of its row.
                let found =
                    idea.found.iter().find(|f| f.entry() == entry).unwrap_or_else(|| panic!("{text}: {idea:?}"));
                assert_eq!(found.words, text.trim_start_matches("on "), "{proposal:?}");
                assert_eq!(found.phrase, entry.phrases[0]);
                let strategy = proposal.strategy.clone().unwrap_or_else(|| panic!("{text}: {proposal:?}"));
                assert_eq!(strategy.parse::<genome::Strategy>().unwrap().to_string(), strategy, "{text}");
                let has = |part: &str| assert!(strategy.contains(part), "{text} ({side}): {part} is not in {strategy}");
                let long = side != "go short";
                match entry.meaning {
                    Meaning::Either(..) => conditions(&rules[usize::from(!long)]).iter().for_each(|c| has(c)),
                    Meaning::Bullish(_) | Meaning::Bearish(_) | Meaning::Filter(_) => {
                        conditions(&rules[0]).iter().for_each(|c| has(c));
                    }
                    Meaning::Clause(_) => has(rules[0].strip_prefix("size").map_or(&rules[0], |size| size.trim())),
                    Meaning::Timeframe(_) => assert!(strategy.starts_with(&format!("{}; ", rules[0])), "{strategy}"),
                    Meaning::RewardPerRisk => has(&rules[0]),
                    Meaning::Long => {}
                    Meaning::Short => has("short when"),
                }
            }
        }
    }
}

#[test]
fn no_phrase_is_told_twice_and_the_document_shows_them_all() {
    let mut seen = BTreeSet::new();
    for entry in LEXICON {
        for phrase in entry.phrases {
            assert!(seen.insert((phrase, entry.numbers.0.to_bits())), "{phrase} stands twice");
        }
        let means = match entry.meaning {
            Meaning::Bullish(text) => format!("for: `{text}`"),
            Meaning::Bearish(text) => format!("against: `{text}`"),
            Meaning::Either(long, short) => format!("long `{long}`, short `{short}`"),
            Meaning::Filter(text) => format!("too: `{text}`"),
            Meaning::Clause(text) => format!("`{text}`"),
            Meaning::Timeframe(text) => format!("timeframe `{text}`"),
            Meaning::RewardPerRisk => "target: the stop times the greater number / the lesser".to_owned(),
            Meaning::Long => "the idea is to buy".to_owned(),
            Meaning::Short => "the idea is to sell short".to_owned(),
        };
        let (least, most) = entry.numbers;
        let range = if least.is_finite() { format!("n from {least} to {most}. ") } else { String::new() };
        let vague = if entry.vague { "vague. " } else { "" };
        let note = format!("{range}{vague}{}", entry.stands_for);
        let row = format!("| {} | {means} | {} |", entry.phrases.join("; "), note.trim()).replace("|  |", "| |");
        assert!(DOCUMENT.lines().any(|line| line == row), "docs/MEDIA.md lacks\n{row}");
    }
}

#[test]
fn phrases_are_found_whatever_their_case_number_and_small_words() {
    let long = "15m; long when sma(50) crosses above sma(200); stop 2%; target 6%; size 10%";
    same(&[("Then a GOLDEN Cross, finally!", 0.0)], long);
    let stop = "4h; long when sma(50) crosses above sma(200); stop 2.5%; target 5 atr(14); risk 1%; leverage 3";
    let text = "On the four-hour charts we see a golden cross, with a stop loss of two and a half percent";
    same(&[(text, 0.0), ("a target of five ATR, risk one percent per trade, 3x leverage", 3.0)], stop);
    same(
        &[("when the RSI is below twenty five and price is above the two hundred EMA", 0.0)],
        "15m; long when rsi(14) < 25 and close > ema(200); stop 2%; target 6%; size 10%",
    );
    let crossed = "15m; short when ema(9) crosses below ema(21); stop 1.5%; target 4.5%; size 10%";
    same(&[("go short on the 9/21 cross, stop at 1.5%, 1:3 risk reward", 0.0)], crossed);
    same(
        &[("sell short: nine and twenty one EMA cross; one point five percent stop; risk reward three to one", 0.0)],
        crossed,
    );
    // Broken over two segments.
    same(&[("this is the golden", 0.0), ("cross again", 2.5)], long);
    assert_eq!(proposed(&[("this is the golden", 0.0), ("cross again", 60.0)]).strategy, None);
}

#[test]
fn what_is_said_within_ten_seconds_is_one_idea_and_ideas_are_alternatives() {
    let texts = [("golden cross", 0.0), ("strong volume", 11.0), ("oversold", 40.0), ("lower band", 44.0)];
    same(
        &texts,
        "15m; long when (sma(50) crosses above sma(200) and volume_zscore(48) > 2) or \
         (rsi(14) < 30 and close < bollinger_lower(20, 2)); stop 2%; target 6%; size 10%",
    );
    let ideas = proposed(&texts).ideas;
    let spans: Vec<(f64, f64, usize)> = ideas.iter().map(|i| (i.start_time, i.end_time, i.found.len())).collect();
    assert_eq!(
        spans,
        [(0.0, 2.0, 2), (40.0, 46.0, 2)].map(|(a, b, n)| if a == 0.0 { (a, 13.0, n) } else { (a, b, n) })
    );
    // Ten seconds after the end of the first phrase, and not more.
    assert_eq!(proposed(&[("golden cross", 0.0), ("oversold", 12.0)]).ideas.len(), 1);
    assert_eq!(proposed(&[("golden cross", 0.0), ("oversold", 12.1)]).ideas.len(), 2);
}

#[test]
fn signals_leave_where_they_speak_against_the_side() {
    same(
        &[("supertrend", 0.0), ("exit at overbought", 4.0)],
        "15m; long when supertrend_direction(10, 3) > 0 exit when rsi(14) > 70; stop 2%; target 6%; size 10%",
    );
    same(
        &[("short setup: death cross", 0.0), ("cover when oversold", 4.0)],
        "15m; short when sma(50) crosses below sma(200) exit when rsi(14) < 30; stop 2%; target 6%; size 10%",
    );
    let both = strategy(&[("golden cross, go long. death cross, go short", 0.0)]);
    assert!(both.contains("long when sma(50) crosses above sma(200)"), "{both}");
    assert!(both.contains("short when sma(50) crosses below sma(200)"), "{both}");
}

#[test]
fn of_two_crossings_the_first_is_the_moment() {
    same(
        &[("golden cross and macd crossover", 0.0)],
        "15m; long when sma(50) crosses above sma(200) and macd(12, 26) > macd_signal(12, 26, 9); stop 2%; target 6%; size 10%",
    );
}

#[test]
fn what_cannot_be_is_left_out_and_told() {
    let proposal = proposed(&[
        ("golden cross on the seven hour chart", 0.0),
        ("five hundred percent stop, three percent stop, two percent stop", 3.0),
        ("daily chart", 5.0),
        ("above the 900 ema", 6.0),
        ("four hour chart", 8.0),
    ]);
    let text = proposal.strategy.as_deref().unwrap();
    assert!(text.starts_with("4h; long when sma(50) crosses above sma(200); ") && text.contains("stop 3%"), "{text}");
    for part in [
        "\"seven hour chart\": ",
        "\"five hundred percent stop\": ",
        "stop 3% was said before",
        "\"daily chart\": 1d is not",
        "\"above 900 ema\": ",
    ] {
        assert!(
            proposal.left_out.iter().any(|why| why.contains(&part.replace("above 900", "above the 900"))),
            "{part}: {proposal:?}"
        );
    }
    // Conditions that exclude each other.
    let proposal = proposed(&[("hull moving average, go long, rsi below 20 and rsi above 50", 0.0)]);
    assert!(proposal.strategy.unwrap().contains("rsi(14) < 20"));
    assert!(proposal.left_out[0].starts_with("\"rsi above 50\": "), "{:?}", proposal.left_out);
    // No entry, or nothing that clients would not have said, is no proposal.
    let none = proposed(&[("two percent stop on the daily chart, supertrend sell signal", 0.0)]);
    assert_eq!(
        (none.strategy, none.left_out.last().map(String::as_str)),
        (None, Some("nothing that was said tells when to enter"))
    );
    let clients = proposed(&[("RSI, MACD, breakout and a stop loss", 0.0)]);
    assert_eq!((clients.strategy, clients.left_out.as_slice()), (None, [].as_slice()));
}

#[test]
fn a_definite_phrase_counts_in_place_of_a_vague_one_beside_it() {
    let hit = |keyword: &str, at: f64| KeywordHit {
        keyword: keyword.to_owned(),
        category: "technical_indicator".to_owned(),
        start_time: at,
        end_time: at + 1.0,
        confidence: 0.9,
    };
    let item = Item {
        keyword_hits: vec![hit("RSI", 0.0), hit("supertrend", 3.0)],
        transcripts: vec![said("rsi below 25", 4.0)],
        ..Item::default()
    };
    let proposal = propose(&item, "1h".parse().unwrap());
    let expected = "1h; long when rsi(14) < 25 and supertrend_direction(10, 3) > 0; stop 2%; target 6%; size 10%";
    assert_eq!(proposal.strategy, Some(expected.parse::<genome::Strategy>().unwrap().to_string()));
    assert_eq!(proposal.left_out, ["\"RSI\": \"rsi below 25\" says it better"]);
}

proptest! {
    #[test]
    fn whatever_is_said_a_strategy_that_is_proposed_parses(
        picks in prop::collection::vec((0..LEXICON.len(), 0..8_usize, 0.0..120.0_f64), 0..40),
        noise in "[a-z0-9%:. ]{0,60}",
    ) {
        let mut texts: Vec<Transcript> = picks
            .iter()
            .map(|(row, phrase, at)| {
                let entry = &LEXICON[*row];
                said(&spoken(entry, entry.phrases[phrase % entry.phrases.len()]).0, *at)
            })
            .collect();
        texts.push(said(&noise, 50.0));
        let proposal = propose(&item(texts), "15m".parse().unwrap());
        if let Some(text) = &proposal.strategy {
            prop_assert_eq!(&text.parse::<genome::Strategy>().unwrap().to_string(), text);
        }
    }
}

//! Finds the phrases of the lexicon in what was said; the phrases themselves stand in `lexicon/table.rs`.
//!
//! At each word the longest phrase that fits is taken, and what it takes belongs to no other one. Joins nothing.

mod table;

use crate::{
    Item, SAME_IDEA_SECONDS, numbers,
    stream::{Token, streams, words},
};
use serde::Serialize;
use std::{collections::HashMap, sync::OnceLock};

pub use table::LEXICON;

/// What a phrase means. `{n}` and `{m}` stand for the numbers that were said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Meaning {
    /// A rule that speaks for rising prices: enters long, or leaves short.
    Bullish(&'static str),
    /// A rule that speaks for falling prices: leaves long, or enters short.
    Bearish(&'static str),
    /// Something that is used either way: rules to enter long and to enter short.
    Either(&'static str, &'static str),
    /// A rule that must hold, too, whichever way.
    Filter(&'static str),
    /// A clause of a strategy.
    Clause(&'static str),
    /// The base timeframe.
    Timeframe(&'static str),
    /// The target as a multiple of the stop: the greater of the two numbers / the lesser.
    RewardPerRisk,
    /// What is said is about buying.
    Long,
    /// What is said is about selling short.
    Short,
}

/// A row of the lexicon.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LexiconEntry {
    /// What it is about: a vague phrase counts for nothing beside a definite one of the same topic.
    pub topic: &'static str,
    /// Phrases of the same meaning; case, plurals and small words (`the`, `of`, `at` ...) make no difference.
    pub phrases: &'static [&'static str],
    /// What they mean.
    pub meaning: Meaning,
    /// Least and greatest `{n}` of which this row speaks.
    pub numbers: (f64, f64),
    /// Whether the phrase says too little to stand beside a definite one.
    pub vague: bool,
    /// Whether existing clients know it, too: what says no more needs no second strategy.
    pub known_to_clients: bool,
    /// What it stands for, where the language has no such thing.
    pub stands_for: &'static str,
}

/// A phrase that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    /// As it was written.
    pub words: String,
    /// The first phrase of its row.
    pub phrase: &'static str,
    /// Rules or clause with the numbers that were said.
    pub means: Vec<String>,
    /// Seconds.
    pub start_time: f64,
    /// Seconds.
    pub end_time: f64,
    /// Row of [`LEXICON`].
    #[serde(skip)]
    pub(crate) row: usize,
    /// Numbers that were said.
    #[serde(skip)]
    pub(crate) numbers: Vec<f64>,
}

impl Found {
    /// Its row.
    #[must_use]
    pub fn entry(&self) -> &'static LexiconEntry {
        &LEXICON[self.row]
    }
}

impl Meaning {
    /// Its texts, with these numbers.
    pub(crate) fn texts(&self, numbers: &[f64]) -> Vec<String> {
        let fill = |text: &str| {
            let with = |text: String, slot: &str, k: usize| match numbers.get(k) {
                Some(n) => text.replace(slot, &n.to_string()),
                None => text,
            };
            with(with(text.to_owned(), "{n}", 0), "{m}", 1)
        };
        match self {
            Self::Bullish(text) | Self::Bearish(text) | Self::Filter(text) => vec![fill(text)],
            Self::Clause(text) | Self::Timeframe(text) => vec![fill(text)],
            Self::Either(long, short) => vec![fill(long), fill(short)],
            Self::RewardPerRisk => vec![fill("target {n} : {m} of the stop")],
            Self::Long => vec!["long".to_owned()],
            Self::Short => vec!["short".to_owned()],
        }
    }
}

/// A part of a phrase.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Word(String),
    Number,
}

/// A phrase that can be looked for.
struct Phrase {
    row: usize,
    parts: Vec<Part>,
}

/// All phrases, by the word that they begin with; those that begin with a number by none. Longest first.
struct Phrases {
    by_word: HashMap<String, Vec<Phrase>>,
    by_number: Vec<Phrase>,
}

/// A phrase as it is compared, without fillers.
fn compiled(phrase: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    for piece in phrase.split_whitespace() {
        if matches!(piece, "{n}" | "{m}") {
            parts.push(Part::Number);
            continue;
        }
        for (word, written) in words(piece) {
            let token = Token { word, written, start: 0.0, end: 0.0 };
            if !token.is_filler() {
                parts.push(Part::Word(token.word));
            }
        }
    }
    parts
}

fn phrases() -> &'static Phrases {
    static PHRASES: OnceLock<Phrases> = OnceLock::new();
    PHRASES.get_or_init(|| {
        let mut all = Phrases { by_word: HashMap::new(), by_number: Vec::new() };
        for (row, entry) in LEXICON.iter().enumerate() {
            for phrase in entry.phrases {
                let parts = compiled(phrase);
                match parts.first() {
                    Some(Part::Word(word)) => all.by_word.entry(word.clone()).or_default().push(Phrase { row, parts }),
                    Some(Part::Number) => all.by_number.push(Phrase { row, parts }),
                    None => {}
                }
            }
        }
        let longest_first = |list: &mut Vec<Phrase>| list.sort_by_key(|p| std::cmp::Reverse(p.parts.len()));
        all.by_word.values_mut().for_each(longest_first);
        longest_first(&mut all.by_number);
        all
    })
}

/// Where a phrase that begins at a token ends, and its numbers.
fn fits(phrase: &Phrase, tokens: &[Token], at: usize) -> Option<(usize, Vec<f64>)> {
    let (mut i, mut numbers) = (at, Vec::new());
    for part in &phrase.parts {
        while i > at && tokens.get(i)?.is_filler() {
            i += 1;
        }
        let token = tokens.get(i)?;
        if i > at && token.start - tokens[i - 1].end > SAME_IDEA_SECONDS {
            return None;
        }
        match part {
            Part::Word(word) if *word == token.word => i += 1,
            Part::Word(_) => return None,
            Part::Number => {
                let (value, taken) = number(&tokens[i..])?;
                numbers.push(value);
                i += taken;
            }
        }
    }
    let (least, most) = LEXICON[phrase.row].numbers;
    numbers.first().is_none_or(|n| (least..=most).contains(n)).then_some((i, numbers))
}

/// The longest number in words that makes sense.
const NUMBER_WORDS: usize = 12;

/// The number that tokens begin with, and how many of them it takes, fillers within it included.
fn number(tokens: &[Token]) -> Option<(f64, usize)> {
    let near: Vec<(usize, &str)> = tokens
        .iter()
        .take(NUMBER_WORDS)
        .enumerate()
        .filter(|(k, token)| *k == 0 || !token.is_filler())
        .map(|(k, token)| (k, token.word.as_str()))
        .collect();
    let words: Vec<&str> = near.iter().map(|(_, word)| *word).collect();
    let (value, taken) = numbers::read(&words)?;
    Some((value, near[taken - 1].0 + 1))
}

/// Every phrase of the lexicon that an item says, in order of time.
pub(crate) fn find(item: &Item) -> Vec<Found> {
    let all = phrases();
    let mut found = Vec::new();
    for tokens in streams(item) {
        let mut at = 0;
        while at < tokens.len() {
            let of_word = all.by_word.get(&tokens[at].word).into_iter().flatten();
            let of_number = number(&tokens[at..]).map(|_| all.by_number.iter()).into_iter().flatten();
            let hit = of_word
                .chain(of_number)
                .filter_map(|phrase| fits(phrase, &tokens, at).map(|(end, numbers)| (phrase.row, end, numbers)))
                .max_by_key(|(row, end, _)| (*end, std::cmp::Reverse(*row)));
            let Some((row, end, numbers)) = hit else {
                at += 1;
                continue;
            };
            let entry = &LEXICON[row];
            let said = &tokens[at..end];
            found.push(Found {
                words: said.iter().map(|token| token.written.as_str()).collect::<Vec<_>>().join(" "),
                phrase: entry.phrases[0],
                means: entry.meaning.texts(&numbers),
                start_time: said[0].start,
                end_time: said[said.len() - 1].end,
                row,
                numbers,
            });
            at = end;
        }
    }
    found
        .sort_by(|a, b| (a.start_time, a.row).partial_cmp(&(b.start_time, b.row)).unwrap_or(std::cmp::Ordering::Equal));
    found
}

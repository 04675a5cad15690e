//! Words in time: what was said and recognised, as tokens that phrases of the lexicon are found in. Knows no meaning.

use crate::Item;

/// Words that say nothing about a rule: a phrase goes on across them.
const FILLERS: &[&str] = &[
    "a", "an", "the", "is", "are", "was", "it", "its", "this", "that", "of", "at", "on", "in", "for", "with", "our",
    "your", "my", "we", "you", "i", "be", "will", "set", "just", "so", "then", "get", "goe", "being", "uh", "um",
    "line", "level",
];

/// A word, a number or a sign that is one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    /// As it is compared: lower case, singular.
    pub(crate) word: String,
    /// As it was written.
    pub(crate) written: String,
    /// Seconds.
    pub(crate) start: f64,
    /// Seconds.
    pub(crate) end: f64,
}

impl Token {
    pub(crate) fn is_filler(&self) -> bool {
        FILLERS.contains(&self.word.as_str())
    }
}

/// A word as it is compared: without the ending of a plural.
fn compared(word: &str) -> String {
    let lower = word.to_lowercase();
    let is_plural =
        lower.len() > 3 && lower.ends_with('s') && !["ss", "us", "is"].iter().any(|end| lower.ends_with(end));
    match lower.strip_suffix('s') {
        Some(singular) if is_plural => singular.to_owned(),
        _ => lower,
    }
}

/// Words, numbers and the signs `%` and `:` of a text: as they are compared, and as they are written.
pub(crate) fn words(text: &str) -> Vec<(String, String)> {
    let chars: Vec<char> = text.chars().filter(|c| !matches!(c, '\'' | '\u{2019}')).collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or(' ');
    let (mut found, mut i) = (Vec::new(), 0);
    while i < chars.len() {
        let start = i;
        let negative = at(i) == '-' && at(i + 1).is_ascii_digit() && (i == 0 || at(i - 1).is_whitespace());
        if at(i).is_ascii_digit() || negative {
            i += 1;
            // A point or comma between digits belongs to the number.
            while at(i).is_ascii_digit() || (matches!(at(i), '.' | ',') && at(i + 1).is_ascii_digit()) {
                i += 1;
            }
            let written: String = chars[start..i].iter().collect();
            found.push((written.replace(',', ""), written));
        } else if at(i).is_alphabetic() {
            while at(i).is_alphabetic() {
                i += 1;
            }
            let written: String = chars[start..i].iter().collect();
            found.push((compared(&written), written));
        } else {
            match at(i) {
                '%' => found.push(("percent".to_owned(), "%".to_owned())),
                // Between numbers: `1:3`.
                ':' if at(i + 1).is_ascii_digit() => found.push(("to".to_owned(), ":".to_owned())),
                '&' => found.push(("and".to_owned(), "&".to_owned())),
                _ => {}
            }
            i += 1;
        }
    }
    found
}

fn timed(text: &str, start: f64, end: f64, into: &mut Vec<Token>) {
    let words = words(text);
    // As if all words took the same time.
    let each = (end - start) / words.len().max(1) as f64;
    into.extend(words.into_iter().enumerate().map(|(k, (word, written))| {
        let start = start + each * k as f64;
        Token { word, written, start, end: start + each }
    }));
}

/// What an item says: each keyword by itself, and all that was said in one stream, in order of time.
pub(crate) fn streams(item: &Item) -> Vec<Vec<Token>> {
    let mut all: Vec<Vec<Token>> = Vec::with_capacity(item.keyword_hits.len() + 1);
    for hit in &item.keyword_hits {
        let mut tokens = Vec::new();
        // Names such as MACD_histogram.
        timed(&hit.keyword.replace('_', " "), hit.start_time, hit.end_time, &mut tokens);
        all.push(tokens);
    }
    let mut segments: Vec<_> = item.transcripts.iter().collect();
    segments.sort_by(|a, b| a.start_time.total_cmp(&b.start_time));
    let mut said = Vec::new();
    for segment in segments {
        timed(&segment.text, segment.start_time, segment.end_time, &mut said);
    }
    all.push(said);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Transcript;

    #[test]
    fn a_text_becomes_words_numbers_and_signs() {
        let of = |text: &str| words(text).into_iter().map(|(word, _)| word).collect::<Vec<_>>();
        assert_eq!(
            of("Stop-loss at 2.5%, R:R 1:3!"),
            ["stop", "loss", "at", "2.5", "percent", "r", "r", "1", "to", "3"]
        );
        assert_eq!(
            of("The 4h chart, 50EMA & 1,000 bars"),
            ["the", "4", "h", "chart", "50", "ema", "and", "1000", "bar"]
        );
        assert_eq!(of("Williams %R below -80"), ["william", "percent", "r", "below", "-80"]);
        assert_eq!(of("it's Bollinger Bands' basis; loss"), ["its", "bollinger", "band", "basis", "loss"]);
        assert_eq!(of(""), Vec::<String>::new());
    }

    #[test]
    fn words_of_a_segment_share_its_time_and_segments_are_one_stream() {
        let said = |text: &str, start_time, end_time| Transcript { text: text.into(), start_time, end_time };
        let item = Item { transcripts: vec![said("cross now", 5.0, 6.0), said("golden", 0.0, 4.0)], ..Item::default() };
        let streams = streams(&item);
        let times: Vec<(&str, f64, f64)> = streams[0].iter().map(|t| (t.word.as_str(), t.start, t.end)).collect();
        assert_eq!(times, [("golden", 0.0, 4.0), ("cross", 5.0, 5.5), ("now", 5.5, 6.0)]);
    }
}

//! Bytes to tokens. Never fails: what it does not know becomes a token that no grammar accepts.

/// What a token is. Its text is the slice of the source that it spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or keyword: letters, digits, `_`, and `-` before a letter.
    Word,
    /// Digits with an optional sign, point and exponent; without a sign where `-` subtracts.
    Number,
    /// `+`, only where there is arithmetic, as the next three.
    Plus,
    Minus,
    Star,
    Slash,
    Open,
    Close,
    Comma,
    At,
    Percent,
    /// `<`
    Less,
    /// `>`
    Greater,
    /// `<=`
    AtMost,
    /// `>=`
    AtLeast,
    /// `;` or the end of a line.
    Separator,
    /// Anything else, one run of it.
    Unknown,
    End,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// What `-`, `+`, `*` and `/` mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signs {
    /// Part of a number or of a word.
    Joined,
    /// Operators; the words of [`HYPHENATED`] are whole words all the same.
    Arithmetic,
}

/// Words with a hyphen that are read where `-` subtracts: no series or function is named like a part of them.
const HYPHENATED: [&str; 3] = ["long-only", "beta-neutral", "inverse-volatility"];

/// Tokens of `source`, an [`Kind::End`] last. Ends of lines inside parentheses, after an operator and
/// before one do not separate; neither do comments, which run from `#` to the end of the line.
pub(super) fn tokens(source: &str, signs: Signs) -> Vec<Token> {
    let arithmetic = signs == Signs::Arithmetic;
    let bytes = source.as_bytes();
    let mut out: Vec<Token> = Vec::new();
    let mut depth = 0_usize;
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        let byte = bytes[at];
        at += 1;
        let next = bytes.get(at).copied().unwrap_or(0);
        let kind = match byte {
            b'\n' if depth > 0 || out.last().is_some_and(|t| continues(source, t)) => continue,
            b'\n' | b';' => Kind::Separator,
            b if b.is_ascii_whitespace() => continue,
            b'#' => {
                at += bytes[at..].iter().position(|b| *b == b'\n').unwrap_or(bytes.len() - at);
                continue;
            }
            b'(' => {
                depth += 1;
                Kind::Open
            }
            b')' => {
                depth = depth.saturating_sub(1);
                Kind::Close
            }
            b',' => Kind::Comma,
            b'@' => Kind::At,
            b'%' => Kind::Percent,
            b'<' | b'>' => {
                let or_equal = next == b'=';
                at += usize::from(or_equal);
                match (byte, or_equal) {
                    (b'<', false) => Kind::Less,
                    (b'<', true) => Kind::AtMost,
                    (_, false) => Kind::Greater,
                    (_, true) => Kind::AtLeast,
                }
            }
            b'+' if arithmetic => Kind::Plus,
            b'-' if arithmetic => Kind::Minus,
            b'*' if arithmetic => Kind::Star,
            b'/' if arithmetic => Kind::Slash,
            b if starts_number(b, next, bytes.get(at + 1).copied().unwrap_or(0)) => {
                at = number_end(bytes, start);
                Kind::Number
            }
            b if is_letter(b) => {
                at = match arithmetic.then(|| hyphenated(source, start)).flatten() {
                    Some(end) => end,
                    None => word_end(bytes, at, !arithmetic),
                };
                Kind::Word
            }
            _ => {
                while at < bytes.len() && (!bytes[at].is_ascii() || b"&|=!~*/".contains(&bytes[at])) {
                    at += 1;
                }
                Kind::Unknown
            }
        };
        let token = Token { kind, start, end: at };
        // `and`, `or` and an operator at the start of a line go on with the line before.
        let joins_lines = matches!(kind, Kind::Plus | Kind::Minus | Kind::Star | Kind::Slash)
            || kind == Kind::Word && is_any(&source[start..at], &["and", "or"]);
        if joins_lines && out.last().is_some_and(|t| t.kind == Kind::Separator && &source[t.start..t.end] == "\n") {
            while out.last().is_some_and(|t| t.kind == Kind::Separator && &source[t.start..t.end] == "\n") {
                out.pop();
            }
        }
        out.push(token);
    }
    out.push(Token { kind: Kind::End, start: source.len(), end: source.len() });
    out
}

fn is_any(word: &str, of: &[&str]) -> bool {
    of.iter().any(|w| word.eq_ignore_ascii_case(w))
}

/// Whether a rule goes on after this token, so that a line may break here.
fn continues(source: &str, token: &Token) -> bool {
    match token.kind {
        Kind::Less | Kind::Greater | Kind::AtMost | Kind::AtLeast | Kind::Comma | Kind::At => true,
        Kind::Plus | Kind::Minus | Kind::Star | Kind::Slash => true,
        Kind::Word => {
            let words = ["and", "or", "not", "when", "cross", "crosses", "above", "below", "over", "under"];
            is_any(&source[token.start..token.end], &words)
        }
        _ => false,
    }
}

/// The end of the word that goes on at `at`; hyphens before letters are part of it where they join.
fn word_end(bytes: &[u8], mut at: usize, hyphens_join: bool) -> usize {
    while at < bytes.len() && (is_word(bytes[at]) || (hyphens_join && joins(bytes, at))) {
        at += 1;
    }
    at
}

/// The end of the word of [`HYPHENATED`] that begins at `start`, if one does.
fn hyphenated(source: &str, start: usize) -> Option<usize> {
    // No further than any of them reaches, so that a long chain of words is not read again for each.
    let reach = source.len().min(start + 24);
    let end = word_end(&source.as_bytes()[..reach], start, true);
    is_any(&source[start..end], &HYPHENATED).then_some(end)
}

fn is_letter(b: u8) -> bool {
    b.is_ascii_alphabetic() || b == b'_'
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

/// A hyphen inside a word, as in `break-even`.
fn joins(bytes: &[u8], at: usize) -> bool {
    bytes[at] == b'-' && bytes.get(at + 1).is_some_and(u8::is_ascii_alphabetic)
}

fn starts_number(b: u8, next: u8, after: u8) -> bool {
    let digits = |a: u8, b: u8| a.is_ascii_digit() || (a == b'.' && b.is_ascii_digit());
    digits(b, next) || ((b == b'-' || b == b'+') && digits(next, after))
}

fn number_end(bytes: &[u8], start: usize) -> usize {
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let mut at = digits(start + usize::from(matches!(bytes[start], b'-' | b'+')));
    if bytes.get(at) == Some(&b'.') {
        at = digits(at + 1);
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'-' | b'+')));
        let exponent = digits(at + 1 + sign);
        if exponent > at + 1 + sign {
            at = exponent;
        }
    }
    at
}

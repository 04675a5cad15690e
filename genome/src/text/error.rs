//! What was wrong with a text, where, and what would have been right.

use std::fmt;

/// Most characters of the source shown around the place of an error.
const SHOWN: usize = 96;

/// What was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParseProblem {
    /// Something else should stand here.
    Unexpected {
        /// What stood there, as written; `the end` where the text ended too early.
        found: String,
        /// What may stand there instead.
        expected: Vec<String>,
        /// The name that was probably meant.
        suggestion: Option<String>,
    },
    /// It could be read, but it cannot be; the text says why.
    Invalid(String),
}

/// A text that is no rule or no strategy. Its display shows the place with a caret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What was wrong.
    pub problem: ParseProblem,
    /// The part of the line that is shown, and where in it the carets stand.
    excerpt: Box<Excerpt>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    text: String,
    caret: usize,
    width: usize,
}

impl ParseError {
    /// An error at the bytes `start..end` of `source`.
    pub(super) fn at(source: &str, start: usize, end: usize, problem: ParseProblem) -> Self {
        let start = floor_boundary(source, start);
        let end = floor_boundary(source, end).max(start);
        let line_start = source[..start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = source[start..].find('\n').map_or(source.len(), |i| start + i);
        let line = 1 + source[..start].matches('\n').count();
        let column = 1 + source[line_start..start].chars().count();
        let width = source[start..end.min(line_end)].chars().count().max(1);

        let skip = (column - 1).saturating_sub(SHOWN / 2);
        let shown: String = source[line_start..line_end]
            .chars()
            .skip(skip)
            .take(SHOWN)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let cut_left = if skip > 0 { "..." } else { "" };
        let caret = column - 1 - skip + cut_left.len();
        let excerpt = Box::new(Excerpt {
            text: format!("{cut_left}{}", shown.trim_end()),
            caret,
            width: width.min((SHOWN + cut_left.len()).saturating_sub(caret).max(1)),
        });
        Self { line, column, problem, excerpt }
    }

    /// The error in one line, without the picture: `column 9: found ...`.
    #[must_use]
    pub fn headline(&self) -> String {
        let place = if self.line > 1 {
            format!("line {}, column {}", self.line, self.column)
        } else {
            format!("column {}", self.column)
        };
        match &self.problem {
            ParseProblem::Invalid(text) => format!("{place}: {text}"),
            ParseProblem::Unexpected { found, expected, suggestion } => {
                let meant = suggestion.as_ref().map_or(String::new(), |name| format!("; did you mean `{name}`?"));
                format!("{place}: found {found}, expected {}{meant}", list(expected))
            }
        }
    }
}

fn list(expected: &[String]) -> String {
    match expected {
        [] => "nothing more".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Excerpt { text, caret, width } = &*self.excerpt;
        write!(f, "{}\n  {text}\n  {:caret$}{}", self.headline(), "", "^".repeat(*width))
    }
}

impl std::error::Error for ParseError {}

//! Names that clients give to strategies: read by people, and never to be taken for something else. Pure.

use uuid::Uuid;

/// Characters of a name at most.
const LONGEST: usize = 200;
/// First characters of an id or hash that select what they belong to, at least.
const SHORTEST_PREFIX: usize = 4;

/// Characters that nobody sees, or that change how others are shown.
fn is_hidden(c: char) -> bool {
    let unseen = ['\u{ad}', '\u{61c}', '\u{180e}', '\u{feff}'];
    c.is_control()
        || unseen.contains(&c)
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
}

/// Why a name cannot be one.
pub(super) fn problem_of(name: &str) -> Option<&'static str> {
    let name = name.trim();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_number = digits(name.strip_prefix(['+', '-']).unwrap_or(name));
    let is_prefix = name.len() >= SHORTEST_PREFIX && name.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    let is_session = name.split_once('/').is_some_and(|(island, number)| !island.contains(' ') && digits(number));
    if name.is_empty() || name.chars().count() > LONGEST {
        Some("a name has 1 to 200 characters")
    } else if name.chars().any(is_hidden) {
        Some("a name has no control characters and none that cannot be seen")
    } else if is_number || is_prefix || is_session || Uuid::parse_str(name).is_ok() {
        Some(
            "this would be taken for a number, for an id or hash, or for a session such as main/12; a word more makes a \
             name of it",
        )
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::problem_of;

    #[test]
    fn what_selects_something_else_is_no_name() {
        for name in [
            "1",
            "0001",
            "+1",
            "-7",
            " 12 ",
            "deadbeef",
            "FACE",
            "2024-01-01",
            "0195f7c2-3c0e-7000-8000-000000000001",
            "{0195f7c2-3c0e-7000-8000-000000000001}",
            "urn:uuid:0195f7c2-3c0e-7000-8000-000000000001",
            "main/12",
        ] {
            assert!(problem_of(name).is_some_and(|why| why.contains("taken for")), "{name}");
        }
        for name in ["dip", "x", "rsi 14", "v1", "12 bars", "BTC/USDT dip", "a/b", "Überkreuz", "abc", "+1 day"] {
            assert_eq!(problem_of(name), None, "{name}");
        }
    }

    #[test]
    fn what_cannot_be_seen_or_is_too_long_is_no_name() {
        for name in ["a\u{1b}[2Jb", "a\nb", "a\u{202e}b", "a\u{200b}b", "a\0b", "\u{feff}a", "a\u{85}b"] {
            assert!(problem_of(name).is_some_and(|why| why.contains("control")), "{name:?}");
        }
        assert!(["", "   ", &"n".repeat(201)].iter().all(|name| problem_of(name).is_some()));
        assert_eq!(problem_of(&"é".repeat(200)), None);
    }
}

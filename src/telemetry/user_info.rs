//! Texts without what addresses in them say of users and passwords. Reads no address: it may stand in any text.

use std::{borrow::Cow, io};
use tracing_subscriber::fmt::MakeWriter;

/// The text with `***@` in place of the user and password of every address in it: `http://***@proxy.example:3128`.
#[must_use]
pub fn without_user_info(text: &str) -> Cow<'_, str> {
    let (mut shown, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("://") {
        let (before, authority) = rest.split_at(at + 3);
        let ends = |c: char| c.is_whitespace() || "/?#\"'`\\<>".contains(c);
        let end = authority.find(ends).unwrap_or(authority.len());
        shown.push_str(before);
        rest = authority;
        if let Some(user_end) = authority[..end].rfind('@') {
            shown.push_str("***");
            rest = &authority[user_end..];
        }
    }
    if shown.is_empty() {
        return Cow::Borrowed(text);
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

/// Standard error, for lines that may hold an address.
pub(super) struct Stderr;

impl MakeWriter<'_> for Stderr {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}

impl io::Write for Stderr {
    /// A line comes as a whole.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        io::stderr().write_all(without_user_info(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::without_user_info;

    #[test]
    fn nothing_of_users_is_left_of_any_address_in_a_text() {
        for (text, shown) in [
            ("http://user:secret@proxy.example:3128/x", "http://***@proxy.example:3128/x"),
            ("no answer from \"https://u:p%40@h\": refused", "no answer from \"https://***@h\": refused"),
            ("postgresql://a:b@c@d/e, then s3://k:s@bucket/p", "postgresql://***@d/e, then s3://***@bucket/p"),
            ("http://secret@h http://other@h", "http://***@h http://***@h"),
            ("http://h/path@1?q=a@b", "http://h/path@1?q=a@b"),
            ("wss://h/stream?streams=btcusdt@kline_1m", "wss://h/stream?streams=btcusdt@kline_1m"),
            ("write to alice@example.com", "write to alice@example.com"),
            ("://", "://"),
            ("", ""),
        ] {
            assert_eq!(without_user_info(text), shown);
            assert_eq!(without_user_info(shown), shown, "again");
        }
    }
}

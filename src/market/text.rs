//! Bytes of a text file to text: UTF-8, or UTF-16 where a byte order mark says so. A mark is no part of the text.

use std::borrow::Cow;

/// Why bytes are no text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum NotText {
    #[error("it begins as UTF-16 and is not that throughout; save it as UTF-8")]
    Utf16,
    #[error("it looks like UTF-16 without a byte order mark; save it as UTF-8")]
    Unmarked,
    #[error("it is not UTF-8 from byte {0} on; save it as UTF-8")]
    Utf8(usize),
}

/// The text of a file.
///
/// # Errors
/// When the bytes are in neither form.
pub fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, NotText> {
    let utf16 = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, odd) = rest.as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
        String::from_utf16(&units).ok().filter(|_| odd.is_empty()).map(Cow::Owned).ok_or(NotText::Utf16)
    };
    let utf8 = |rest| str::from_utf8(rest).map(Cow::Borrowed);
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest).map_err(|e| NotText::Utf8(e.valid_up_to() + 3)),
        // Text has no NUL; every other byte of plain text in UTF-16 is one.
        [0, _, ..] | [_, 0, ..] => Err(NotText::Unmarked),
        _ => utf8(bytes).map_err(|e| NotText::Utf8(e.valid_up_to())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_and_what_is_no_text_is_told() {
        let text = "1h / long wenn größer 1\n";
        let units: Vec<u16> = text.encode_utf16().collect();
        let le: Vec<u8> = [0xfeff].iter().chain(&units).flat_map(|unit: &u16| unit.to_le_bytes()).collect();
        let be: Vec<u8> = [0xfeff].iter().chain(&units).flat_map(|unit: &u16| unit.to_be_bytes()).collect();
        for bytes in [text.as_bytes().to_vec(), format!("\u{feff}{text}").into_bytes(), le.clone(), be] {
            assert_eq!(decode(&bytes), Ok(text.into()));
        }
        assert_eq!(decode(&le[2..]), Err(NotText::Unmarked));
        assert_eq!(decode(&le[..le.len() - 1]), Err(NotText::Utf16));
        assert_eq!(decode(b"ab\xe9"), Err(NotText::Utf8(2)));
        assert_eq!(decode(b"\xef\xbb\xbfab\xe9"), Err(NotText::Utf8(5)));
        assert_eq!(decode(b""), Ok("".into()));
    }
}

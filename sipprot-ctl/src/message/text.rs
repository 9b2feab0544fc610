//! Text that strangers wrote, made fit to be shown.

/// Longest text that is kept of a header, in characters.
pub const SHOWN_MAX: usize = 96;

/// Lossy UTF-8, at most `length_max` characters, each that could move a cursor or turn the reading
/// direction replaced.
pub fn clean(bytes: &[u8], length_max: usize) -> String {
    // Four bytes a character at most: what lies behind can't be shown anyway.
    let bytes = &bytes[..bytes.len().min(length_max * 4)];
    String::from_utf8_lossy(bytes)
        .trim()
        .chars()
        .take(length_max)
        .map(|c| if harmless(c) { c } else { char::REPLACEMENT_CHARACTER })
        .collect()
}

/// Text of our own in one line: what is longer ends with an ellipsis.
pub fn shortened(text: &str, length_max: usize) -> String {
    match text.char_indices().nth(length_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A Call-ID or branch, to be compared: as it is when short and plain, else with a hash of the whole.
pub fn identifier(bytes: &[u8]) -> String {
    const SHORT: usize = 80;
    let plain = bytes.len() <= SHORT && bytes.iter().all(u8::is_ascii_graphic);
    let shown = clean(bytes, SHORT);
    if plain { shown } else { format!("{shown}#{:016x}", sipprot_common::hash::bytes(0, bytes)) }
}

/// Does [`clean`] replace nothing of it?
pub fn is_clean(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) || text.chars().all(harmless)
}

fn harmless(c: char) -> bool {
    let steers = matches!(c,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !c.is_control() && !steers
}

/// The seven hex digits by which reports name a scanner.
///
/// FNV-1a: it only has to be the same on every host and after every restart.
pub fn signature(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{:07x}", hash >> 36)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &[u8], expected: &str) {
        assert_eq!(clean(input, 12), expected, "{input:?}");
    }

    #[test]
    fn what_strangers_write() {
        check(b" friendly ", "friendly");
        check(b"a\x1b[31mb\0c", "a\u{fffd}[31mb\u{fffd}c");
        check(b"\xff\xfe", "\u{fffd}\u{fffd}");
        check("a\u{202e}b".as_bytes(), "a\u{fffd}b");
        check(&[b'x'; 500], "xxxxxxxxxxxx");
        check("éàüßéàüßéàüßéà".as_bytes(), "éàüßéàüßéàüß");
    }

    #[test]
    fn what_is_long_is_cut() {
        assert_eq!(shortened("éàü", 3), "éàü");
        assert_eq!(shortened("éàüß", 3), "éàü…");
    }

    #[test]
    fn identifiers_differ_when_the_bytes_do() {
        assert_eq!(identifier(b"z9hG4bK-1"), "z9hG4bK-1");
        let long = |last: &str| identifier(format!("{}{last}", "x".repeat(200)).as_bytes());
        assert_ne!(long("a"), long("b"));
        assert_ne!(identifier(b"\x01"), identifier(b"\x02"));
    }

    #[test]
    fn signatures_have_seven_digits_and_no_case() {
        assert_eq!(signature("friendly-scanner").len(), 7);
        assert_eq!(signature("Friendly-Scanner"), signature("friendly-scanner"));
        assert_ne!(signature("sipcli"), signature("pplsip"));
    }
}

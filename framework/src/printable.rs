//! Text of others, for a terminal to show and never to obey.
//!
//! Names, reasons and cells may come from files of strangers. A terminal obeys control characters, turns
//! text around at bidirectional controls and hides zero-width characters. Here each of them becomes an
//! escape that can be read, as in `\u{9b}`; letters, combining marks and emoji stay as they are.

use std::borrow::Cow;
use std::fmt::Write;

/// Returns `text` as one line: line breaks and tabs become blanks, other characters that are not shown
/// become escapes.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |c| match c {
        '\n' | '\r' | '\t' => Some(' '),
        _ => is_shown(c).then_some(c),
    })
}

/// Returns `text` with its line breaks and tabs; other characters that are not shown become escapes.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| (matches!(c, '\n' | '\t') || is_shown(c)).then_some(c))
}

/// Returns `text` with as many characters as before, so that columns stay: those that are not shown,
/// tabs aside, become U+FFFD.
pub fn same_length(text: &str) -> Cow<'_, str> {
    escaped(text, |c| Some(if c == '\t' || is_shown(c) { c } else { char::REPLACEMENT_CHARACTER }))
}

/// Whether a character takes its place on the screen and does nothing else: not a control or format
/// character, a separator other than the blank, or one that Unicode has not assigned.
pub fn is_shown(c: char) -> bool {
    match c {
        ' '..='~' => true,
        _ if c.is_ascii() => false,
        // The standard library knows them; behind a letter, it leaves combining marks.
        _ => format!("a{c}").escape_debug().eq(['a', c]),
    }
}

/// Replaces each character by the one that `shown` gives for it, or else by its escape.
fn escaped(text: &str, shown: impl Fn(char) -> Option<char>) -> Cow<'_, str> {
    let is_kept = |c: char| shown(c) == Some(c);
    let Some(first) = text.find(|c| !is_kept(c)) else { return Cow::Borrowed(text) };
    let mut safe = text[..first].to_owned();
    for c in text[first..].chars() {
        match shown(c) {
            Some(c) => safe.push(c),
            // Writing to a string does not fail.
            None => drop(write!(safe, "{}", c.escape_unicode())),
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C0, DEL and C1; bidirectional controls; separators of lines and paragraphs; characters without width.
    fn is_harmful(c: char) -> bool {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ad}' | '\u{180e}')
            || matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    }

    /// Wrong if any character that a terminal obeys, or that hides, got through any of the ways.
    #[test]
    fn no_character_gets_through_that_is_obeyed_or_hides() {
        for c in '\0'..=char::MAX {
            let text = c.to_string();
            assert!(!line(&text).chars().any(is_harmful), "{c:?}");
            assert!(!lines(&text).replace(['\n', '\t'], "").chars().any(is_harmful), "{c:?}");
            let same = same_length(&text);
            assert!(!same.replace('\t', "").chars().any(is_harmful), "{c:?}");
            assert_eq!(same.chars().count(), 1, "{c:?}");
        }
    }

    /// Wrong if the words of any language, or what this program draws itself, became escapes.
    #[test]
    fn what_can_be_read_stays() {
        let text = "résumé e\u{301} ρ̂ ± 2 % … – 数 عرب עבר हिन्दी 🙂 ▁▂█ `x` \"y\" \\ 'z' ♥\u{fe0f}";
        assert!(matches!(line(text), Cow::Borrowed(_)), "{}", line(text));
        assert!(matches!(lines("a\n\tb"), Cow::Borrowed("a\n\tb")));
    }

    #[test]
    fn what_is_not_shown_becomes_an_escape() {
        assert_eq!(line("a\u{9b}2J\u{1b}[31m\r\nb\tc"), "a\\u{9b}2J\\u{1b}[31m  b c");
        assert_eq!(lines("a\r\n\u{202e}b"), "a\\u{d}\n\\u{202e}b");
        assert_eq!(same_length("a\u{200b}\u{1b}\tb"), "a\u{fffd}\u{fffd}\tb");
        assert_eq!(line("a\u{a0}b"), "a\\u{a0}b", "it looks like a blank and is none");
    }
}

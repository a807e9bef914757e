//! Escaping of foreign text for HTML and SVG.

use std::borrow::Cow;

/// Escapes a text so that it stands for itself between tags and in quoted attributes. Replaces some
/// characters by U+FFFD: those that XML forbids, control characters, characters that turn the reading
/// direction, and characters without width.
pub fn escape(text: &str) -> Cow<'_, str> {
    let is_special = |c: char| matches!(c, '&' | '<' | '>' | '"' | '\'') || is_forbidden(c);
    if !text.contains(is_special) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if is_forbidden(c) => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

/// Returns true for characters that are replaced by U+FFFD.
fn is_forbidden(c: char) -> bool {
    (c.is_control() && !matches!(c, '\t' | '\n' | '\r'))
        || matches!(c, '\u{fffe}' | '\u{ffff}')
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if the name of a run becomes a tag, an attribute or an entity, or turns the text after it
    /// around.
    #[test]
    fn nothing_that_html_knows_is_left() {
        assert_eq!(escape("<script>\"'&amp;"), "&lt;script&gt;&quot;&#39;&amp;amp;");
        assert_eq!(escape("a\0b\u{1b}c\nd"), "a\u{fffd}b\u{fffd}c\nd");
        assert_eq!(
            escape("a\u{9b}b\u{202e}c\u{2066}\u{200b}"),
            "a\u{fffd}b\u{fffd}c\u{fffd}\u{fffd}"
        );
        assert!(matches!(escape("λ = 0.1 ± 2 %"), Cow::Borrowed(_)));
    }
}

//! Words of others in HTML and SVG.

use std::borrow::Cow;

/// A text that stands for itself between tags and within quoted attributes; characters that XML does
/// not allow become U+FFFD.
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

fn is_forbidden(c: char) -> bool {
    matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if the name of a run could become a tag, an attribute or an entity.
    #[test]
    fn nothing_that_html_knows_is_left() {
        assert_eq!(escape("<script>\"'&amp;"), "&lt;script&gt;&quot;&#39;&amp;amp;");
        assert_eq!(escape("a\0b\u{1b}c\nd"), "a\u{fffd}b\u{fffd}c\nd");
        assert!(matches!(escape("λ = 0.1 ± 2 %"), Cow::Borrowed(_)));
    }
}

//! What is no TOML, told to those who do not know TOML by heart.

use std::ops::Range;
use std::sync::Arc;

use crate::diagnostics::{Diagnostic, ENOUGH, Origin, Source, without_repeats};

/// What the parser found wrong, the first [`ENOUGH`] mistakes.
pub fn syntax_errors(source: &Arc<Source>, errors: &[toml::de::Error]) -> Vec<Diagnostic> {
    let mut problems: Vec<Diagnostic> = Vec::new();
    // Behind a decimal comma the parser stumbles over the rest of the line.
    let mut confused = None;
    for error in errors.iter().take(ENOUGH) {
        let at = error.span().unwrap_or_default().start;
        let line = Origin::new(source.clone(), at..at).line_column().0;
        if confused != Some(line) {
            confused = comma(&source.text, at).map(|_| line);
            problems.push(syntax_error(source, error));
        }
    }
    without_repeats(problems)
}

/// What the parser found wrong, at its place: where it is about a word without quotes, at all of the word.
pub fn syntax_error(source: &Arc<Source>, error: &toml::de::Error) -> Diagnostic {
    // Where the parser cannot say where, as of keys of too many parts, it is the whole that is wrong.
    let span = error.span().unwrap_or_default();
    let origin = Origin::new(source.clone(), span.clone());
    if let Some((span, message, help)) = comma(&source.text, span.start) {
        return Diagnostic::at(&Origin::new(source.clone(), span), message).help(help);
    }
    let word = word(&source.text, span.start);
    let found = source.text.get(word.clone()).unwrap_or_default();
    // The parser may not say the same of a word that it says of its middle.
    let is_value = source.text[..word.start].trim_end().ends_with(['=', '[', ',']);
    if let Some((message, help)) = no_value(found).filter(|_| is_value) {
        return Diagnostic::at(&Origin::new(source.clone(), word), message).help(help);
    }
    let rest = source.text.get(span.start..).unwrap_or_default();
    let (message, help) = plainly(error.message(), origin.text(), rest);
    Diagnostic::at(&origin, message).help(help)
}

/// The word without quotes that `at` is in or at the end of.
fn word(text: &str, at: usize) -> Range<usize> {
    let ends = |c: char| c.is_whitespace() || "=,[]{}#\"'".contains(c);
    let Some((before, rest)) = text.split_at_checked(at) else { return 0..0 };
    let start = before
        .rfind(ends)
        .map_or(0, |end| end + before[end..].chars().next().map_or(0, char::len_utf8));
    start..at + rest.find(ends).unwrap_or(rest.len())
}

/// A number with a comma in the place of its point, which the parser stumbles over at or behind the comma.
fn comma(text: &str, at: usize) -> Option<(Range<usize>, String, String)> {
    let line = text.get(..at)?.rfind('\n').map_or(0, |end| end + 1);
    let end = text[at..].find('\n').map_or(text.len(), |end| at + end);
    let is_number = |word: &str| {
        let digits = word.trim_start_matches(['+', '-']);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    text[line..end].match_indices(',').find_map(|(comma, _)| {
        let comma = line + comma;
        let (left, right) = (word(text, comma), word(text, comma + 1));
        let (whole, part) = (&text[left.clone()], &text[right.clone()]);
        let digits = part.split(['e', 'E']).next().unwrap_or_default();
        // In a list of numbers a comma is right.
        let follows = text[..left.start].trim_end().ends_with('=');
        let is_at_fault = (comma..=right.end + 1).contains(&at);
        if !follows || !is_at_fault || left.is_empty() || !is_number(whole) || !is_number(digits) {
            return None;
        }
        let message =
            format!("a number has a point where others write a comma, got `{whole},{part}`");
        let help = format!("write {whole}.{part}; a list has brackets: [{whole}, {part}]");
        Some((left.start..right.end, message, help))
    })
}

/// Why a word without quotes is no value, and what to write instead; `None` if the parser says it as well.
fn no_value(word: &str) -> Option<(String, String)> {
    let (sign, digits) = word.split_at(usize::from(word.starts_with(['+', '-'])));
    let is_number_like = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.contains(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|byte| b"0123456789._eE+-".contains(&byte));
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, "0"));
    let (part, exponent) = match rest.find(['e', 'E']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    if is_number_like && (whole.is_empty() || part.is_empty()) {
        let message = format!("a number has digits before and behind its point, got `{word}`");
        let filled = |digits: &str| if digits.is_empty() { "0".into() } else { digits.to_owned() };
        let sign = sign.trim_start_matches('+');
        return Some((
            message,
            format!("write {sign}{}.{}{exponent}", filled(whole), filled(part)),
        ));
    }
    match word.to_lowercase().as_str() {
        "none" | "null" | "nil" | "na" | "undefined" => Some((
            format!("there is no `{word}` in TOML"),
            "leave the setting out to have its default".into(),
        )),
        plain @ ("true" | "false") if plain != word => {
            Some((format!("`{word}` is written in small letters"), format!("write {plain}")))
        }
        _ if digits.starts_with(|c: char| c.is_ascii_digit()) => Some((
            format!("`{word}` is neither a number nor a text in quotes"),
            format!("text must be quoted, as in \"{word}\""),
        )),
        _ => None,
    }
}

/// What the parser says of the commonest mistakes, in words for those who do not know TOML by heart, and
/// what to write instead. `found` is the text at fault, `rest` begins with it.
fn plainly(message: &str, found: &str, rest: &str) -> (String, String) {
    let said = message.to_owned();
    match message {
        "duplicate key" => (format!("`{found}` is there twice"), "keep one of them".into()),
        _ if message.starts_with("cannot extend value of type") => {
            let key = rest.split('=').next().unwrap_or_default().trim();
            let section = found.trim();
            (
                format!("`{section}` has a value already, so nothing can be below it"),
                format!(
                    "an axis over one setting has its whole key in quotes, as in \"{key}\" = …"
                ),
            )
        }
        _ if message.starts_with("string values must be quoted") => match found.trim() {
            "" => ("a value is missing".into(), String::new()),
            word => ("text must be quoted".into(), format!("as in \"{word}\"")),
        },
        "recursion limit" | "cannot recurse further; max recursion depth met" => {
            ("this is nested too deeply".into(), String::new())
        }
        "invalid basic string, expected `\"`" => {
            ("the closing quote of this text is missing".into(), String::new())
        }
        _ if message.starts_with("unexpected key or value") && rest.starts_with(',') => (
            said,
            "a number has a point where others write a comma: 0.1; a list has brackets: [0, 1]"
                .into(),
        ),
        _ if message.starts_with("invalid unquoted key") && rest.starts_with(':') => {
            (said, "between a key and its value stands `=`".into())
        }
        _ => (said, String::new()),
    }
}

//! What is no TOML, told to those who do not know TOML by heart.

use std::sync::Arc;

use crate::diagnostics::{Diagnostic, Origin, Source};

/// What the parser found wrong, at its place.
pub fn syntax_error(source: &Arc<Source>, error: &toml::de::Error) -> Diagnostic {
    // Where the parser cannot say where, as of keys of too many parts, it is the whole that is wrong.
    let span = error.span().unwrap_or_default();
    let rest = source.text.get(span.start..).unwrap_or_default();
    let origin = Origin::new(source.clone(), span);
    let (message, help) = plainly(error.message(), origin.text(), rest);
    Diagnostic::at(&origin, message).help(help)
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

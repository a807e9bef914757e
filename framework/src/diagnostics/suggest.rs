//! Suggests the nearest right name for a wrong one.

use crate::printable::is_shown;

/// Returns the name nearest to `wrong`, if one is near enough to be meant: within a third of the longer
/// word's length in edits, or within one edit. Letter case and `_` against `-` do not count.
pub fn closest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A text this long is no mistyped name, and comparing it would take long.
    if wrong.len() > 100 {
        return None;
    }
    let plain = |name: &str| name.to_lowercase().replace('_', "-");
    let wrong = plain(wrong);
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&wrong, &plain(name)), name))
        .filter(|(distance, name)| {
            *distance <= (wrong.chars().count().max(name.chars().count()) / 3).max(1)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Returns a help line with the nearest name, or else with all names.
pub fn did_you_mean(wrong: &str, names: &[&str]) -> String {
    match closest(wrong, names.iter().copied()) {
        Some(name) => match odd(wrong, name) {
            Some(odd) => format!("did you mean `{name}`? What is written has {odd} in it"),
            None => format!("did you mean `{name}`?"),
        },
        None if names.is_empty() => String::new(),
        None => format!("known: {}", names.join(", ")),
    }
}

/// Names the blank or invisible character in `wrong`, if `wrong` differs from `name` only in such characters.
fn odd(wrong: &str, name: &str) -> Option<String> {
    let is_odd = |c: char| c.is_whitespace() || !is_shown(c);
    let plain: String = wrong.chars().filter(|c| !is_odd(*c)).collect();
    let first = wrong.chars().find(|c| is_odd(*c)).filter(|_| plain == name)?;
    Some(match first {
        ' ' => "a blank".to_owned(),
        '\u{a0}' => "a no-break space".to_owned(),
        first => format!("the character {}", first.escape_unicode()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_its_word_and_a_different_word_finds_none() {
        let names = ["lambda", "group_size", "k-sparse"];
        assert_eq!(closest("lamda", names), Some("lambda"));
        assert_eq!(closest("K_SPARSE", names), Some("k-sparse"));
        assert_eq!(closest("colour", names), None);
        assert_eq!(did_you_mean("colour", &names), "known: lambda, group_size, k-sparse");
        assert_eq!(did_you_mean("lamda", &names), "did you mean `lambda`?");
        for (wrong, odd) in [
            ("lambda ", "a blank"),
            ("lambda\u{a0}", "a no-break space"),
            ("lam\u{200b}bda", "the character \\u{200b}"),
        ] {
            let said = did_you_mean(wrong, &names);
            assert_eq!(said, format!("did you mean `lambda`? What is written has {odd} in it"));
        }
    }
}

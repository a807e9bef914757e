//! Names of columns: told apart, and as SQL writes them.

use std::collections::HashSet;

/// The names, with `:1`, `:2` and so on after those that were there before. Names are the same where
/// `key` makes the same of them.
pub fn unique<'a>(
    names: impl Iterator<Item = &'a str>,
    key: impl Fn(&str) -> String,
) -> Vec<String> {
    let mut taken = HashSet::new();
    names
        .map(|name| {
            let mut free = name.to_owned();
            let mut count = 0;
            while !taken.insert(key(&free)) {
                count += 1;
                free = format!("{name}:{count}");
            }
            free
        })
        .collect()
}

/// A name in quotes, whatever is in it.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        let names = ["a", "A", "a", "a:1", "b", "a"];
        let exact = unique(names.into_iter(), str::to_owned);
        assert_eq!(exact, ["a", "A", "a:1", "a:1:1", "b", "a:2"]);
        let any_case = unique(names.into_iter(), str::to_lowercase);
        assert_eq!(any_case, ["a", "A:1", "a:2", "a:1:1", "b", "a:3"]);
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    }
}

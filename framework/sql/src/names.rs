//! Names of columns: made unique, and quoted for SQL.

use std::collections::HashSet;

/// Makes names unique: adds `:1`, `:2` and so on to a name that was there before. Names are the same if
/// `key` returns the same for them.
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

/// Quotes a name, whatever is in it.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Words in a query that may be names, without regard to capitals.
pub struct Words {
    all: HashSet<String>,
    text: String,
}

impl Words {
    /// Words of a query.
    pub fn of(sql: &str) -> Self {
        let small = sql.to_ascii_lowercase();
        let all = small.split(|char: char| !is_letter(char)).map(str::to_owned).collect();
        Self { all, text: plain(sql) }
    }

    /// Returns whether the query may contain this name; true in case of doubt.
    pub fn may_name(&self, name: &str) -> bool {
        let name = plain(name);
        match name.chars().all(is_letter) {
            true => self.all.contains(&name),
            false => self.text.contains(&name),
        }
    }
}

fn is_letter(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// Returns lower-case text without quotes: SQL writes a quote within a name twice.
fn plain(text: &str) -> String {
    text.to_ascii_lowercase().replace(['"', '`', '[', ']'], "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        let names = ["a", "A", "a", "a:1", "b", "a"];
        let exact = unique(names.into_iter(), str::to_owned);
        assert_eq!(exact, ["a", "A", "a:1", "a:1:1", "b", "a:2"]);
        let any_case = unique(names.into_iter(), str::to_ascii_lowercase);
        assert_eq!(any_case, ["a", "A:1", "a:2", "a:1:1", "b", "a:3"]);
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    }
}

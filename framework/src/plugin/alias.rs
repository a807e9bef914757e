//! Words that people of the field use for what has another name here, or is not here yet.

use std::sync::LazyLock;

use linkme::distributed_slice;

use super::kinds;
use crate::diagnostics::{closest, did_you_mean};

/// Every registered alias. Those of a plugin stand in the plugin's own file.
#[distributed_slice]
pub static ALIASES: [Alias];

/// Other words for one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The words, in kebab-case. Capitals, blanks, `-` and `_` do not count where one is looked up.
    pub words: &'static [&'static str],
    /// What they mean here.
    pub meant: Meant,
    /// What to tell somebody who uses one of them, in one line without a full stop.
    pub about: &'static str,
    /// TOML that says it in an experiment file; may be empty.
    pub lines: &'static str,
}

/// What an alias means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meant {
    /// A plugin.
    Plugin {
        /// Its kind.
        kind: &'static str,
        /// Its name.
        name: &'static str,
    },
    /// A section of an experiment file.
    Section(&'static str),
    /// Something that this version does not have.
    Missing,
}

/// A plugin and how it is written.
#[derive(Clone, Copy, Debug)]
struct Listed {
    kind: &'static str,
    name: &'static str,
    example: &'static str,
}

/// Every plugin. Made once, since an error may be one of many. A penalty is not there as an auxiliary again.
static LISTED: LazyLock<Vec<Listed>> = LazyLock::new(|| {
    let all = kinds().into_iter().flat_map(|(kind, rows)| {
        rows.into_iter().map(move |row| Listed { kind, name: row.name, example: row.example })
    });
    let all: Vec<Listed> = all.collect();
    let is_penalty = |name| all.iter().any(|row| row.kind == "penalty" && row.name == name);
    all.iter().filter(|row| row.kind != "auxiliary" || !is_penalty(row.name)).copied().collect()
});

/// Returns a word without what does not count: `topk` of `Top-K`.
fn squeezed(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).flat_map(char::to_lowercase).collect()
}

/// Returns whether two words are the same but for capitals, blanks, `-` and `_`.
pub fn same_word(one: &str, other: &str) -> bool {
    squeezed(one) == squeezed(other)
}

/// Returns what a word is an alias of, in the order of the aliases' first words. What is missing is left out
/// where a plugin has that name.
pub fn aliases(word: &str) -> Vec<&'static Alias> {
    let is_there = LISTED.iter().any(|row| same_word(row.name, word));
    let has = |alias: &&Alias| alias.words.iter().any(|known| same_word(known, word));
    let is_true = |alias: &&Alias| alias.meant != Meant::Missing || !is_there;
    let mut found: Vec<&Alias> = ALIASES.iter().filter(has).filter(is_true).collect();
    found.sort_by_key(|alias| alias.words);
    found
}

/// Returns the other words for a plugin, by the alphabet.
pub fn words_of(kind: &str, name: &str) -> Vec<&'static str> {
    let is_its = |alias: &&Alias| matches!(alias.meant, Meant::Plugin { kind: k, name: n } if k == kind && n == name);
    let mut words: Vec<&str> =
        ALIASES.iter().filter(is_its).flat_map(|alias| alias.words).copied().collect();
    words.sort_unstable();
    words
}

impl Alias {
    /// Returns lines of help for somebody who wrote `word`.
    pub fn help(&self, word: &str) -> Vec<String> {
        let about = match self.meant {
            Meant::Missing => format!("`{word}` is not in this version: {}", self.about),
            Meant::Plugin { .. } | Meant::Section(_) => self.about.to_owned(),
        };
        let lines = (!self.lines.is_empty()).then(|| written(self.lines));
        [about].into_iter().chain(lines).collect()
    }
}

/// Returns TOML as help shows it.
fn written(lines: &str) -> String {
    format!("it is written so:\n    {}", lines.trim_end().replace('\n', "\n    "))
}

impl Listed {
    /// Returns lines of help that say what it is and how it is written.
    fn help(&self) -> Vec<String> {
        let Self { kind, name, example } = *self;
        let article = if kind.starts_with(['a', 'e']) { "an" } else { "a" };
        let lines = match kind {
            "evaluation" => format!("[evaluate]\nkinds = [\"reconstruction\", \"{name}\"]"),
            "auxiliary" => format!("[[auxiliary]]\nkind = \"{name}\"\n{example}"),
            kind => format!("[{kind}]\nkind = \"{name}\"\n{example}"),
        };
        vec![format!("`{name}` is {article} {kind}"), written(&lines)]
    }
}

/// Returns lines of help for a word that is none of the `names` of a section: the name that was meant, what
/// the word is elsewhere or what it is called here, or else all names.
pub fn help_for(section: &str, word: &str, names: &[&str]) -> Vec<String> {
    if names.iter().any(|name| same_word(name, word)) {
        return vec![did_you_mean(word, names)];
    }
    let is_elsewhere = |row: &&Listed| row.kind != section && same_word(row.name, word);
    let elsewhere: Vec<&Listed> = LISTED.iter().filter(is_elsewhere).collect();
    let aliases = aliases(word);
    // A name that several kinds have, as `none`, says nothing about which is meant.
    if let [row] = elsewhere[..] {
        return row.help();
    }
    if !aliases.is_empty() {
        return aliases.into_iter().flat_map(|alias| alias.help(word)).collect();
    }
    let near_own = closest(word, names.iter().copied()).is_some();
    let others = || {
        let aliases = ALIASES.iter().flat_map(|alias| alias.words).copied();
        let rows = LISTED.iter().filter(|row| row.kind != section).map(|row| row.name);
        // Short words are near to too much.
        aliases.chain(rows).filter(|other| other.len() > 4)
    };
    match closest(word, others()).filter(|_| !near_own && word.len() > 4) {
        Some(meant) => [format!("did you mean `{meant}`?")]
            .into_iter()
            .chain(help_for(section, meant, names))
            .collect(),
        None => vec![did_you_mean(word, names)],
    }
}

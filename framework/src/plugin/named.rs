//! Names of evaluations: an evaluation may stand more than once in an experiment, each time under another
//! name, which takes the place of its kind in the names of its results.

use serde_json::{Value as Json, json};

use super::{Best, Built, Declared, Evaluation, L0Rule, Measured, Role};

/// The name that the results of an evaluation go by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvaluationName {
    kind: &'static str,
    /// The name that the user gives; `None`: the kind.
    given: Option<String>,
}

impl EvaluationName {
    /// The name of an evaluation of a kind; `given` by the user, if any.
    pub fn new(kind: &'static str, given: Option<String>) -> Self {
        Self { kind, given }
    }

    /// Returns it as text.
    pub fn as_str(&self) -> &str {
        self.given.as_deref().unwrap_or(self.kind)
    }

    /// Returns the name of a column under this name: what the plugin calls it where the user gives no name.
    /// Else the kind, where it is a whole word of the column, becomes the name (`test_denoising_psnr`,
    /// `test_heavy_psnr`), and a column without it gets the name after its first word (`test_mse`,
    /// `test_heavy_mse`).
    pub fn column(&self, column: &str) -> String {
        let Some(name) = &self.given else { return column.to_owned() };
        let kind = as_word(self.kind);
        let is_edge = |byte: Option<&u8>| byte.is_none_or(|byte| *byte == b'_');
        for (at, _) in column.match_indices(&kind) {
            let (before, after) = (&column[..at], &column[at + kind.len()..]);
            if is_edge(before.as_bytes().last()) && is_edge(after.as_bytes().first()) {
                return format!("{before}{name}{after}");
            }
        }
        match column.split_once('_') {
            Some((first, rest)) => format!("{first}_{name}_{rest}"),
            None => format!("{column}_{name}"),
        }
    }
}

/// Returns a kind as the names of columns have it.
pub(crate) fn as_word(kind: &str) -> String {
    kind.replace('-', "_")
}

/// An evaluation of an experiment, with the name that its results go by. The plugin knows nothing of the
/// name: everything here is renamed.
pub struct NamedEvaluation {
    /// The plugin and its settings.
    pub built: Built<dyn Evaluation>,
    name: EvaluationName,
    /// Its kind and settings, as text.
    settings: String,
}

impl From<Built<dyn Evaluation>> for NamedEvaluation {
    fn from(built: Built<dyn Evaluation>) -> Self {
        Self::new(built, None)
    }
}

impl NamedEvaluation {
    /// An evaluation under the name that the user gives, if any.
    pub fn new(built: Built<dyn Evaluation>, given: Option<String>) -> Self {
        let settings = format!("{} {}", built.kind, json!(built.resolved().all));
        Self { name: EvaluationName::new(built.kind, given), built, settings }
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Returns the plugin.
    pub fn plugin(&self) -> &(dyn Evaluation + 'static) {
        &*self.built.plugin
    }

    /// Returns what tells it from others.
    pub fn role(&self) -> Role<'_> {
        Role { name: self.name(), settings: &self.settings }
    }

    /// Returns its settings as a manifest keeps them, with its kind if that is not its name.
    pub fn kept(&self) -> Json {
        let mut all = self.built.resolved().all;
        if self.name.given.is_some() {
            all.insert("kind".to_owned(), json!(self.built.kind));
        }
        Json::Object(all)
    }

    /// Returns the metrics that settings can name, each with its good values.
    pub fn metrics(&self) -> Vec<(String, Option<Best>)> {
        let listed = self.plugin().metrics().iter();
        listed.map(|(name, best)| (self.name.column(name), *best)).collect()
    }

    /// Returns what these metrics declare.
    pub fn declared(&self) -> Vec<(String, Declared)> {
        let changed = self.built.resolved().changed;
        let how = if changed.is_empty() { String::new() } else { Json::from(changed).to_string() };
        let declare = |(name, best): &(&'static str, Option<Best>)| {
            let within = self.plugin().within(name);
            (self.name.column(name), Declared { how: how.clone(), ..Declared::new(*best, within) })
        };
        self.plugin().metrics().iter().map(declare).collect()
    }

    /// Returns the version of what it measures on codes that are counted by this rule.
    pub fn version(&self, rule: L0Rule) -> u32 {
        self.plugin().version(rule)
    }

    /// Returns the columns whose values changed after a version, on codes that are counted by this rule.
    pub fn changed_since(&self, version: u32, rule: L0Rule) -> Vec<String> {
        let columns = self.plugin().changed_since(version, rule);
        columns.map(|column| self.name.column(column)).collect()
    }

    /// Returns what its plugin found, under its name.
    pub fn renamed(&self, found: Measured) -> Measured {
        found.renamed(self.name(), |column| self.name.column(column))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if a name did not take the place of the kind, or took that of a part of a word.
    #[test]
    fn a_name_takes_the_place_of_the_kind_in_columns() {
        let column = |kind, given: &str, column: &str| {
            EvaluationName::new(kind, Some(given.to_owned())).column(column)
        };
        for (from, to) in [
            ("test_denoising_psnr", "test_heavy_psnr"),
            ("denoising_map", "heavy_map"),
            ("test_denoising", "test_heavy"),
            ("noisy_psnr", "noisy_heavy_psnr"),
            ("test_mse", "test_heavy_mse"),
            ("test_denoisings", "test_heavy_denoisings"),
            ("undenoising_x_denoising", "undenoising_x_heavy"),
            ("map", "map_heavy"),
        ] {
            assert_eq!(column("denoising", "heavy", from), to);
        }
        assert_eq!(
            column("label-probe", "other", "test_label_probe_accuracy"),
            "test_other_accuracy"
        );
        let unnamed = EvaluationName::new("denoising", None);
        assert_eq!(unnamed.column("test_denoising_psnr"), "test_denoising_psnr");
        assert_eq!(unnamed.column("test_mse"), "test_mse");
    }
}

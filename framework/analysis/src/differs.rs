//! What differs between methods beside what names them, so that nobody takes a larger model, or one that
//! was trained for longer, for a better method.

use std::collections::{BTreeMap, BTreeSet};

use super::group::Group;
use super::runs::Runs;

/// A setting that is not the same for all methods.
#[derive(Clone, Debug, PartialEq)]
pub struct Differs {
    /// Its column.
    pub column: String,
    /// Each method that has it, with its values where it is read.
    pub values: Vec<(String, Vec<String>)>,
}

/// So many values of a method are listed in words.
const MOST: usize = 6;

impl Differs {
    /// In words, as in `train_epochs (k-sparse 1, l1 20)`.
    pub fn words(&self) -> String {
        let method = |(name, values): &(String, Vec<String>)| {
            let more = if values.len() > MOST { " or …" } else { "" };
            let shown: Vec<&str> = values.iter().take(MOST).map(String::as_str).collect();
            format!("{name} {}{more}", shown.join(" or "))
        };
        let methods: Vec<String> = self.values.iter().map(method).collect();
        format!("{} ({})", self.column, methods.join(", "))
    }
}

/// What differs between methods, in the settings that are read, beside what is in `named`: columns that
/// name methods or are averaged over. The settings of a penalty are its own where it is what is compared.
pub fn differences(runs: &Runs, groups: &[Group], named: &[&str]) -> Vec<Differs> {
    type Values = BTreeMap<String, String>;
    let mut columns: BTreeMap<&str, BTreeMap<usize, Values>> = BTreeMap::new();
    for (at, group) in groups.iter().enumerate() {
        for row in group.settings.iter().filter(|one| one.is_read).flat_map(|one| &one.rows) {
            for (column, counted) in runs.setting(*row) {
                let is_own = named.contains(&"penalty") && column.starts_with("penalty_");
                if is_own || counted.is_empty() || named.contains(&column) {
                    continue;
                }
                let values = columns.entry(column).or_default().entry(at).or_default();
                values.entry(counted).or_insert_with(|| runs.text(*row, column));
            }
        }
    }
    let differs = |column: &&String| {
        let methods = columns.get(column.as_str())?;
        let counted: BTreeSet<Vec<&String>> =
            methods.values().map(|values| values.keys().collect()).collect();
        let values = |(at, values): (&usize, &Values)| {
            (groups[*at].title(), values.values().cloned().collect())
        };
        (counted.len() > 1).then(|| Differs {
            column: (*column).clone(),
            values: methods.iter().map(values).collect(),
        })
    };
    runs.settings().iter().filter_map(|column| differs(&column)).collect()
}

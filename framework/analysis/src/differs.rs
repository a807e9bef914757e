//! Differences between methods beside those that name them. Without them, a reader might take a larger or
//! longer-trained model for a better method.

use std::collections::{BTreeMap, BTreeSet};

use super::group::Group;
use super::runs::Runs;

/// A setting that is not the same for all methods.
#[derive(Clone, Debug, PartialEq)]
pub struct Differs {
    /// Column of the setting.
    pub column: String,
    /// Methods that have the setting, each with its values in the settings that are read.
    pub values: Vec<(String, Vec<String>)>,
}

/// Maximum number of values that are listed for a method.
const MOST: usize = 6;

impl Differs {
    /// Returns the difference in words, as in `train_epochs (k-sparse 1, l1 20)`.
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

/// Returns the settings that differ between methods. Looks only at settings that are read, and skips the
/// columns in `named`, which name methods or are averaged over. If methods are named by their penalty,
/// skips the settings of penalties too: they belong to the method.
pub fn differences(runs: &Runs, groups: &[Group], named: &[&str]) -> Vec<Differs> {
    /// Values as they are shown, by the value as it is counted.
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
                values.entry(counted).or_insert_with(|| runs.shown(*row, column));
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

//! Scopes: runs that can be compared because the metric means the same for all of them.

use std::collections::{BTreeMap, BTreeSet};

use framework::plugin::{Decides, Within};
use framework::spec::SECTIONS;

use super::metric::ComparedMetric;
use super::runs::Runs;

/// Runs for which a metric means the same.
pub struct Scope {
    /// Words that tell its runs from the others; empty if there is only one scope.
    pub name: String,
    /// Rows of its runs.
    pub rows: Vec<usize>,
}

/// Columns with their values: everything that changes the meaning of a metric.
type ScopeKey = Vec<(String, String)>;

/// Divides rows into scopes, such that the metric means the same within each. Columns in `over` are
/// averaged over, so they divide nothing; the name of a section stands for all its settings.
pub fn scopes(
    runs: &Runs,
    metric: &ComparedMetric<'_>,
    over: &[String],
    rows: &[usize],
) -> Vec<Scope> {
    let averaged = runs.averaged(over);
    let is_over = |column: &str| {
        averaged.contains(&column) || column == "folder" && averaged.contains(&"dataset")
    };
    let mut parts: BTreeMap<ScopeKey, Vec<usize>> = BTreeMap::new();
    for row in rows {
        let mut key = runs.scope(*row, metric.within);
        key.retain(|(column, _)| !is_over(column));
        let how = metric.how(*row);
        if !how.is_empty() {
            key.push(("evaluation".to_owned(), how.to_owned()));
        }
        parts.entry(key).or_default().push(*row);
    }
    let names = names(runs, &parts);
    let scopes = names.into_iter().zip(parts.into_values());
    scopes.map(|(name, rows)| Scope { name, rows }).collect()
}

/// Names each scope: by its dataset alone if these differ, else by every setting that differs.
fn names(runs: &Runs, parts: &BTreeMap<ScopeKey, Vec<usize>>) -> Vec<String> {
    if parts.len() < 2 {
        return parts.keys().map(|_| String::new()).collect();
    }
    let counted = |key: &ScopeKey, column: &str| {
        let found = key.iter().find(|(known, _)| known == column);
        found.map_or(String::new(), |(_, value)| value.clone())
    };
    let mut columns: Vec<&str> = Vec::new();
    for (column, _) in parts.keys().flatten() {
        let mut values = parts.keys().map(|key| counted(key, column));
        let first = values.next();
        if !columns.contains(&column.as_str()) && values.any(|value| Some(value) != first) {
            columns.push(column);
        }
    }
    let word = |key: &ScopeKey, row: usize, column: &str, with_digest: bool| {
        let counted = counted(key, column);
        let written = match runs.text(row, column) {
            // The table has no such column.
            empty if empty.is_empty() => counted.clone(),
            written => written,
        };
        let name = column.strip_prefix("dataset_").unwrap_or(column);
        match counted.get(..8).filter(|_| with_digest && counted != written) {
            Some(digest) => format!("{name}={written} ({digest})"),
            None => format!("{name}={written}"),
        }
    };
    let all = |columns: &[&str], with_digest: bool| -> Vec<String> {
        let name = |(key, rows): (&ScopeKey, &Vec<usize>)| {
            let given = columns.iter().filter(|column| !counted(key, column).is_empty());
            given
                .map(|column| word(key, rows[0], column, with_digest))
                .collect::<Vec<_>>()
                .join(" ")
        };
        parts.iter().map(name).collect()
    };
    let is_enough = |names: &[String]| {
        let distinct = names.iter().collect::<BTreeSet<_>>();
        distinct.len() == names.len() && !distinct.contains(&String::new())
    };
    let short = all(&["dataset"], false);
    if is_enough(&short) {
        return short;
    }
    let plain = all(&columns, false);
    if is_enough(&plain) { plain } else { all(&columns, true) }
}

impl Runs {
    /// Returns all columns and values of a row that change the meaning of a metric.
    pub fn scope(&self, row: usize, within: Within) -> Vec<(String, String)> {
        let is_of = |column: &str| {
            if let Some(key) = column.strip_prefix("dataset_") {
                return match self.decides(row, key) {
                    Decides::Test | Decides::Place => true,
                    Decides::Labels => within >= Within::Labels,
                    Decides::Training => within >= Within::Training,
                };
            }
            let is_of_section = |section: &&str| {
                let rest = column.strip_prefix(*section);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
            };
            let is_term = ["penalty", "auxiliary"].iter().any(is_of_section);
            let is_of_loss = matches!(within, Within::Training | Within::Loss);
            column == "dataset"
                || within == Within::Loss && is_term
                || is_of_loss && column == "train_objective"
        };
        let machine = ["host", "threads"].into_iter().filter(|_| within == Within::Machine);
        let settings = self.settings().iter().map(String::as_str).filter(|column| is_of(column));
        let value = |column: &str| (column.to_owned(), self.counted(row, column));
        let mut scope: Vec<(String, String)> = settings.chain(machine).map(value).collect();
        // Files of one name in two folders may hold different data.
        if self.files(row).is_none()
            && self.has_files(row)
            && let Some(origin) = self.origins.get(row)
        {
            scope.push(("folder".to_owned(), origin.folder.to_string()));
        }
        scope.retain(|(_, value)| !value.is_empty());
        scope
    }

    /// Returns true if a column names the kind of a section. It then stands for all settings of the
    /// section.
    pub fn is_section(&self, column: &str) -> bool {
        SECTIONS.contains(&column)
    }

    /// Returns the settings that these columns stand for: the name of a section stands for all its
    /// settings.
    pub fn averaged(&self, over: &[String]) -> Vec<&str> {
        let is_over = |setting: &&str| {
            let of_section = |name: &String| {
                let rest = setting.strip_prefix(name.as_str());
                rest.is_some_and(|rest| {
                    rest.is_empty() || self.is_section(name) && rest.starts_with('_')
                })
            };
            over.iter().any(of_section)
        };
        self.settings().iter().map(String::as_str).filter(is_over).collect()
    }

    /// Returns the values of a row that are averaged over by a column: its own value, or all settings of
    /// the section.
    pub fn over(&self, row: usize, column: &str) -> Vec<String> {
        let columns = self.averaged(std::slice::from_ref(&column.to_owned()));
        match columns.is_empty() {
            true => vec![self.text(row, column)],
            false => columns.iter().map(|column| self.counted(row, column)).collect(),
        }
    }
}

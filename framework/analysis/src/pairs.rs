//! Pairs of runs that differ by their seed alone, and the table that stores them.

use std::collections::HashMap;

use tables::{Table, Values};

/// Two runs of one setting and how alike their dictionaries are.
#[derive(Clone, Debug, PartialEq)]
pub struct SeedPair {
    /// Ids of the runs, lower seed first.
    pub runs: [String; 2],
    /// Seeds of the runs.
    pub seeds: [u64; 2],
    /// Digests of the files that were compared: of the model, or of the model and its table of latents.
    pub models: [String; 2],
    /// Number of live latents of each run.
    pub live: [usize; 2],
    /// Mean |cosine| of paired rows; `None` if a run has no live latent.
    pub matched_cosine: Option<f64>,
    /// Mean |cosine| of paired rows of as many random directions; `None` if a run has no live latent, or in a
    /// table older than the column.
    pub chance: Option<f64>,
    /// Share of rows that are paired with a |cosine| above [`ALIKE`]; `None` likewise.
    pub alike: Option<f64>,
    /// Name of the way in which rows were paired.
    pub pairing: String,
}

/// Cosine above which two latents count as the same.
pub const ALIKE: f64 = 0.7;

impl SeedPair {
    /// Returns false if it is from a table that is older than some of its columns.
    pub fn is_complete(&self) -> bool {
        self.matched_cosine.is_none() || self.chance.is_some() && self.alike.is_some()
    }
}

/// Returns the table of pairs.
pub fn table(pairs: &[SeedPair]) -> Table {
    let mut table = Table::default();
    let text = |of: &dyn Fn(&SeedPair) -> &str| {
        Values::Text(pairs.iter().map(|pair| Some(of(pair).to_owned())).collect())
    };
    let whole = |of: &dyn Fn(&SeedPair) -> u64| {
        Values::Whole(pairs.iter().map(|pair| i64::try_from(of(pair)).ok()).collect())
    };
    for (at, prefix) in ["", "other_"].into_iter().enumerate() {
        table.set(format!("{prefix}run_id"), text(&|pair| &pair.runs[at]));
        table.set(format!("{prefix}seed"), whole(&|pair| pair.seeds[at]));
        table.set(format!("{prefix}live_latents"), whole(&|pair| pair.live[at] as u64));
        table.set(format!("{prefix}model"), text(&|pair| &pair.models[at]));
    }
    let number =
        |of: &dyn Fn(&SeedPair) -> Option<f64>| Values::Number(pairs.iter().map(of).collect());
    table.set("matched_cosine", number(&|pair| pair.matched_cosine));
    table.set("chance_cosine", number(&|pair| pair.chance));
    table.set("share_above_0_7", number(&|pair| pair.alike));
    table.set("pairing", text(&|pair| &pair.pairing));
    table
}

/// Reads the pairs of a table, by the digests of their models. Returns none if the table has another form.
pub fn read(table: &Table) -> HashMap<[String; 2], SeedPair> {
    let text = |name: &str, row: usize| match table.get(name) {
        Some(Values::Text(values)) => values[row].clone(),
        _ => None,
    };
    let whole = |name: &str, row: usize| match table.get(name) {
        Some(Values::Whole(values)) => u64::try_from(values[row]?).ok(),
        _ => None,
    };
    let number = |name: &str, row: usize| match table.get(name) {
        Some(Values::Number(values)) => values[row],
        _ => None,
    };
    let pair = |row: usize| {
        Some(SeedPair {
            runs: [text("run_id", row)?, text("other_run_id", row)?],
            seeds: [whole("seed", row)?, whole("other_seed", row)?],
            models: [text("model", row)?, text("other_model", row)?],
            live: [
                usize::try_from(whole("live_latents", row)?).ok()?,
                usize::try_from(whole("other_live_latents", row)?).ok()?,
            ],
            matched_cosine: match table.get("matched_cosine")? {
                Values::Number(values) => values[row],
                _ => return None,
            },
            chance: number("chance_cosine", row),
            alike: number("share_above_0_7", row),
            pairing: text("pairing", row)?,
        })
    };
    let pairs = (0..table.rows()).filter_map(pair);
    pairs.map(|pair| (pair.models.clone(), pair)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if a stored pair is compared again, or comes back changed.
    #[test]
    fn the_table_holds_all_of_a_pair() {
        let pair = |cosine| SeedPair {
            runs: ["a".into(), "b".into()],
            seeds: [0, 7],
            models: ["x".into(), format!("{cosine:?}")],
            live: [3, 4],
            matched_cosine: cosine,
            chance: cosine.map(|cosine| cosine / 2.0),
            alike: cosine.map(|_| 0.25),
            pairing: "best".into(),
        };
        let pairs = [pair(Some(0.5)), pair(None)];
        let known = read(&table(&pairs));
        assert_eq!(known.len(), 2);
        for pair in &pairs {
            assert_eq!(&known[&pair.models], pair);
        }
        assert!(read(&Table::default()).is_empty());
    }

    /// Wrong if a table that an older program wrote were of no use, or if what it lacks were never added.
    #[test]
    fn a_table_without_the_newer_columns_has_incomplete_pairs() {
        let mut old = Table::default();
        let new = table(&[SeedPair {
            runs: ["a".into(), "b".into()],
            seeds: [0, 1],
            models: ["x".into(), "y".into()],
            live: [3, 4],
            matched_cosine: Some(0.5),
            chance: Some(0.2),
            alike: Some(0.0),
            pairing: "best".into(),
        }]);
        for column in new.columns() {
            if !["chance_cosine", "share_above_0_7"].contains(&column.name.as_str()) {
                old.set(column.name.as_str(), column.values.clone());
            }
        }
        let [of_new, of_old] = [&new, &old].map(|table| read(table).into_values().next().unwrap());
        assert!(of_new.is_complete() && !of_old.is_complete());
        assert_eq!((of_old.matched_cosine, of_old.chance), (Some(0.5), None));
        let silent = SeedPair { matched_cosine: None, ..of_old };
        assert!(silent.is_complete(), "there is nothing to add");
    }
}

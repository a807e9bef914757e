//! What the seeds of settings have in common, in a line each.

use std::collections::HashMap;

use super::{Group, Runs, SeedPair, Setting};
use crate::words;

/// A setting and what its seeds have in common.
pub struct Agreement<'a> {
    /// The method that it is of.
    pub group: &'a Group,
    /// The setting.
    pub setting: &'a Setting,
    /// Each two seeds that were compared.
    pub pairs: Vec<&'a SeedPair>,
}

impl<'a> Agreement<'a> {
    /// Those of all settings of which at least two seeds were compared.
    pub fn all(
        groups: impl Iterator<Item = &'a Group>,
        pairs: &'a [SeedPair],
        runs: &Runs,
    ) -> Vec<Self> {
        let mut of_run: HashMap<&str, Vec<&SeedPair>> = HashMap::new();
        pairs.iter().for_each(|pair| of_run.entry(&pair.runs[0]).or_default().push(pair));
        let settings = groups.flat_map(|group| group.settings.iter().map(move |one| (group, one)));
        let agreement = |(group, setting): (&'a Group, &'a Setting)| {
            let ids = setting.rows.iter().map(|row| runs.text(*row, "run_id"));
            let pairs = ids.filter_map(|id| of_run.get(id.as_str())).flatten().copied();
            Self { group, setting, pairs: pairs.collect() }
        };
        settings.map(agreement).filter(|found| !found.pairs.is_empty()).collect()
    }

    /// The mean over pairs; pairs share runs, so there is no interval. `None` where a dictionary of
    /// each has no live latent.
    pub fn mean(&self) -> Option<f64> {
        let count = self.cosines().count();
        (count > 0).then(|| self.cosines().sum::<f64>() / count as f64)
    }

    /// The matched cosine of each pair that has one.
    pub fn cosines(&self) -> impl Iterator<Item = f64> {
        self.pairs.iter().filter_map(|pair| pair.matched_cosine)
    }

    /// Its cells in a table for people; [`Self::HEADING`] says what they are.
    pub fn cells(&self) -> Vec<String> {
        let number = |value: Option<f64>| value.map_or("–".to_owned(), words::number);
        let live = self.pairs.iter().flat_map(|pair| pair.live);
        let (least, most) = (live.clone().min().unwrap_or(0), live.max().unwrap_or(0));
        vec![
            self.group.title(),
            self.setting.words.clone(),
            self.setting.rows.len().to_string(),
            if least == most { least.to_string() } else { format!("{least} to {most}") },
            number(self.mean()),
            number(self.cosines().reduce(f64::min)),
            number(self.cosines().reduce(f64::max)),
        ]
    }

    /// What the cells are.
    pub const HEADING: [&'static str; 7] =
        ["method", "setting", "seeds", "live latents", "matched cosine", "least", "greatest"];
}

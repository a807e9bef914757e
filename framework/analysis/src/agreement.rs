//! Agreement of seeds: how alike the dictionaries of one setting are, one line a setting.

use std::collections::HashMap;

use super::pairs::ALIKE;
use super::{Group, Runs, SeedPair, Setting};
use crate::words;

/// A setting whose seeds were compared, with the pairs of seeds.
pub struct Agreement<'a> {
    /// Method that the setting belongs to.
    pub group: &'a Group,
    /// The setting.
    pub setting: &'a Setting,
    /// Every pair of its seeds that was compared.
    pub pairs: Vec<&'a SeedPair>,
}

impl<'a> Agreement<'a> {
    /// Returns one entry for each setting of which at least two seeds were compared.
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

    /// Returns the mean matched cosine over the pairs; `None` if no pair has one, because a dictionary has
    /// no live latent. It has no interval: pairs share runs, so they are not independent.
    pub fn mean(&self) -> Option<f64> {
        mean(self.cosines())
    }

    /// Returns the matched cosine of each pair that has one.
    pub fn cosines(&self) -> impl Iterator<Item = f64> {
        self.pairs.iter().filter_map(|pair| pair.matched_cosine)
    }

    /// Returns the mean of what as many random directions have in common; `None` if it is not known.
    pub fn chance(&self) -> Option<f64> {
        mean(self.pairs.iter().filter_map(|pair| pair.chance))
    }

    /// Returns the mean share of latents that have a partner with a cosine above [`ALIKE`]; `None` if it is not
    /// known.
    pub fn alike(&self) -> Option<f64> {
        mean(self.pairs.iter().filter_map(|pair| pair.alike))
    }

    /// Says in words what the numbers mean, for readers who ask whether one is good: two sentences.
    pub fn meaning(all: &[Self]) -> [String; 2] {
        let chance = || all.iter().filter_map(Self::chance);
        let ends = chance().reduce(f64::min).zip(chance().reduce(f64::max));
        let level = ends.map_or(String::new(), |ends| {
            let [low, high] = [ends.0, ends.1].map(|end| format!("{end:.2}"));
            if low == high { format!(" ({low} here)") } else { format!(" ({low} to {high} here)") }
        });
        [
            format!(
                "A matched cosine of 1 means that the seeds found the same latents; one near `chance`{level}, which \
                 is what as many directions drawn at random come to, means that they share nothing. Decoder rows \
                 of one data set are somewhat alike without that, so a value a little above chance says little."
            ),
            format!(
                "`above {ALIKE}` is the share of latents with a partner in the other seed that may be called the \
                 same: their cosine is above {ALIKE}."
            ),
        ]
    }

    /// Returns the cells of its row in a table for people. [`Self::HEADING`] names the columns.
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
            number(self.chance()),
            self.alike().map_or("–".to_owned(), |share| format!("{:.1} %", 100.0 * share)),
        ]
    }

    /// Headings of the columns of [`Self::cells`].
    pub const HEADING: [&'static str; 9] = [
        "method",
        "setting",
        "seeds",
        "live latents",
        "matched cosine",
        "least",
        "greatest",
        "chance",
        "above 0.7",
    ];
}

/// Returns the mean of some numbers; `None` if there are none.
fn mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0);
    for number in numbers {
        sum += number;
        count += 1;
    }
    (count > 0).then(|| sum / f64::from(count))
}

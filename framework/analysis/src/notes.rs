//! Notes beside a comparison, one line each.

use std::collections::BTreeSet;

use framework::search::Quantity;

use super::budgets;
use super::comparison::Comparison;
use super::group::Group;
use super::metric::THRESHOLDED;

impl Comparison {
    /// Returns the notes: why no method is called better, which runs are on no front, which methods are not
    /// compared, and which settings other than the columns `by` differ between methods.
    pub fn notes(&self, by: &[String]) -> Vec<String> {
        let mut notes = Vec::new();
        if self.better.is_none() {
            notes.push(format!(
                "Which values of {} are good is not known, so no method is called better: say --best lowest, \
                 --best highest or --best VALUE.",
                self.metric
            ));
        }
        if self.silent > 0 {
            let runs = if self.silent == 1 { "run is" } else { "runs are" };
            notes.push(format!(
                "{} {runs} on no front, as all codes are off: {} 0 wins nothing and has no place on a logarithm.",
                self.silent,
                self.along.words()
            ));
        }
        let names = self.never_zero.join(", ");
        if self.budgets.is_some() {
            notes.push(
                "Methods are compared with the same number of latents per sample: those that contribute most keep \
                 their values, and all others rest at 0, or at their median where codes are never 0. Each seed of \
                 a method takes the setting that is its best there."
                    .to_owned(),
            );
            if !names.is_empty() {
                notes.push(format!(
                    "Codes of {names} are never 0, so L0 says little of them; --metric {THRESHOLDED} compares at \
                     the same L0."
                ));
            }
        } else if self.metric == THRESHOLDED && !names.is_empty() {
            let how = match (&self.for_all_codes, budgets::evaluation()) {
                (Some(column), _) => format!(": --metric {column} compares"),
                (None, Some(name)) => {
                    format!(": the evaluation `{name}`, in `evaluate.kinds`, compares")
                }
                (None, None) => String::new(),
            };
            let how = match how.is_empty() {
                true => how,
                false => format!("{how} all codes with the same number of latents"),
            };
            notes.push(format!(
                "Codes of {names} are never 0, and what L0 does not count of them is set to 0 here, which is more \
                 than other codes lose{how}."
            ));
        }
        let is_called_otherwise =
            |group: &&Group| group.label != self.metric && self.budgets.is_none();
        for group in self.groups.iter().filter(is_called_otherwise) {
            notes.push(format!(
                "{}: its {} is its {}, as every latent that is not 0 counts.",
                group.name, group.label, self.metric
            ));
        }
        if self.is_split && self.along == Quantity::MeanActivation {
            let codes: BTreeSet<&str> =
                self.groups.iter().map(|group| group.codes.as_str()).collect();
            let codes: Vec<&str> = codes.into_iter().collect();
            notes.push(format!(
                "Mean activations of {} codes are in other units, so methods are compared only where their codes are \
                 of one activation.",
                codes.join(" and ")
            ));
        } else if self.is_split {
            notes.push(format!(
                "Methods whose L0 counts latents in another way are not compared by {}; {THRESHOLDED} compares \
                 them.",
                self.metric
            ));
        }
        if !self.differs.is_empty() && self.better.is_some() {
            let words: Vec<String> = self.differs.iter().map(|differs| differs.words()).collect();
            notes.push(format!(
                "Beside {}, what is compared differs in {}.",
                by.join(", "),
                words.join("; ")
            ));
        }
        notes
    }
}

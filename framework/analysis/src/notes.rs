//! Notes beside a comparison, one line each.

use super::comparison::Comparison;
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
                "{} {runs} on no front, as all codes are off: L0 0 wins nothing and has no place on a logarithm.",
                self.silent
            ));
        }
        for group in self.groups.iter().filter(|group| group.label != self.metric) {
            notes.push(format!(
                "{}: its {} is its {}, as every latent that is not 0 counts.",
                group.name, group.label, self.metric
            ));
        }
        if self.is_split {
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

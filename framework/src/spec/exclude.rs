//! The rules `[[grid.exclude]]` while the runs of a grid go by.

use super::rule::{Rule, RunFacts};

/// The rules, and which of them have excluded a run.
pub struct Excludes<'a> {
    rules: &'a [Rule],
    met: Vec<bool>,
    /// How many runs have been excluded.
    pub count: usize,
}

impl<'a> Excludes<'a> {
    /// No run has gone by yet.
    pub fn new(rules: &'a [Rule]) -> Self {
        Self { rules, met: vec![false; rules.len()], count: 0 }
    }

    /// The seeds whose runs are not excluded at a point of the grid with these settings.
    pub fn seeds_left(&mut self, facts: &RunFacts<'_>, seeds: &[u64]) -> Vec<u64> {
        let rules: Vec<usize> =
            (0..self.rules.len()).filter(|rule| self.rules[*rule].holds(facts)).collect();
        let mut left = seeds.to_vec();
        left.retain(|seed| {
            let mut excluded = false;
            for &rule in &rules {
                let holds = self.rules[rule].holds_for_seed(*seed);
                self.met[rule] |= holds;
                excluded |= holds;
            }
            !excluded
        });
        self.count += seeds.len() - left.len();
        left
    }

    /// The rules that have excluded nothing.
    pub fn idle(&self) -> impl Iterator<Item = &'a Rule> {
        let met = self.rules.iter().zip(&self.met);
        met.filter(|(_, met)| !**met).map(|(rule, _)| rule)
    }
}

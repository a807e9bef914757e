//! Versions of evaluations: what makes the numbers of a finished run out of date.

use super::{Evaluation, L0Rule};

/// A change in what an evaluation measures. Runs that it concerns and that were measured before it are
/// measured again on their stored models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision {
    /// Codes that are counted by this rule are concerned.
    pub rule: L0Rule,
    /// The metrics, and columns of latents, whose values are others since.
    pub columns: &'static [&'static str],
}

impl dyn Evaluation {
    /// The version of what it measures on codes that are counted by this rule: 1, and 1 more for each
    /// revision that concerns them.
    pub fn version(&self, rule: L0Rule) -> u32 {
        1 + self.revisions().iter().filter(|revision| revision.rule == rule).count() as u32
    }

    /// The columns whose values changed after a version, on codes that are counted by this rule.
    pub fn changed_since(
        &self,
        version: u32,
        rule: L0Rule,
    ) -> impl Iterator<Item = &'static str> + use<'_> {
        let revisions = self.revisions().iter().filter(move |revision| revision.rule == rule);
        let known = version.saturating_sub(1) as usize;
        revisions.skip(known).flat_map(|revision| revision.columns).copied()
    }
}

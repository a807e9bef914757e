//! Choice of the models that have pictures: one of each setting.

use std::collections::HashSet;

use analysis::{Group, Setting};

use super::ExperimentView;
use super::models::{best_seed, chosen};
use crate::subject::pictured;

/// A model to show.
pub struct Standing<'g> {
    pub group: &'g Group,
    pub setting: &'g Setting,
    pub row: usize,
    /// True if it stands for its method, not for its setting alone.
    pub is_of_method: bool,
}

/// Returns the models to show: for each method those of the settings that have pictures, and of the setting
/// that stands for the method.
pub fn standing<'a>(subject: &'a ExperimentView<'_>) -> Vec<Standing<'a>> {
    let (mut all, mut seen) = (Vec::new(), HashSet::new());
    for (part, group) in subject.methods() {
        let of_method = chosen(part, group);
        let is_of_method =
            |setting: &Setting| of_method.is_some_and(|(one, _)| std::ptr::eq(one, setting));
        let mut settings = pictured(group);
        if let Some((setting, _)) = of_method
            && !settings.iter().any(|one| is_of_method(one))
        {
            settings.push(setting);
        }
        for setting in settings {
            let is_of_method = is_of_method(setting);
            let Some(row) = best_seed(part, setting) else { continue };
            // A method may stand in several comparisons, by the same runs.
            if seen.insert(row) || is_of_method {
                all.push(Standing { group, setting, row, is_of_method });
            }
        }
    }
    all
}

/// Says which settings have no model among `shown`; `None` if all have one.
pub fn left_out(subject: &ExperimentView<'_>, shown: &[Standing<'_>]) -> Option<String> {
    let of_group = |(_, group): (_, &Group)| {
        // A setting may stand in several comparisons, and has one picture.
        let is_shown = |setting: &&Setting| shown.iter().any(|one| setting.rows.contains(&one.row));
        let some = group.settings.iter().filter(is_shown).count();
        let all = group.settings.len();
        (some < all).then(|| format!("{some} of {all} settings of {}", group.title()))
    };
    let some: Vec<String> = subject.methods().filter_map(of_group).collect();
    let settings = (!some.is_empty()).then(|| {
        format!(
            "Shown are {}, those on the front first. `saegrid features RESULTS SETTING` shows any other.",
            some.join(", ")
        )
    });
    let words: Vec<String> = settings.into_iter().chain(subject.left_out()).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

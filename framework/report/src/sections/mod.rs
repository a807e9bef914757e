//! Sections of the page about an experiment, one file each. `figures` draws them, and the crate `analysis`
//! compares.

mod atoms;
mod budgets;
mod curves;
mod exhibits;
mod fronts;
mod heat;
mod latents;
mod models;
mod origin;
mod runs;
mod stability;
mod verdict;

use analysis::words::interval;

use crate::{ExperimentView, Page, PageSection};

/// Makes the page about an experiment.
pub fn page(subject: &ExperimentView<'_>) -> Page {
    let section = |id, title: &str, blocks| PageSection { id, title: title.to_owned(), blocks };
    let mut sections = vec![
        section("methods", "Which method costs least", verdict::blocks(subject)),
        section("fronts", "Error against sparsity", fronts::blocks(subject)),
        section("budgets", "Error with few latents", budgets::blocks(subject)),
        section("settings", "Two settings at once", heat::blocks(subject)),
        section("runs", "All runs", runs::blocks(subject)),
        section("curves", "Learning curves", curves::blocks(subject)),
        section("latents", "Latents", latents::blocks(subject)),
    ];
    sections.push(section("stability", "Stability over seeds", stability::blocks(subject)));
    sections.extend(models::sections(subject));
    sections.push(section("evaluations", "Tables and pictures", exhibits::blocks(subject)));
    sections.push(section("origin", "Settings and provenance", origin::blocks(subject)));
    Page { title: subject.name.clone(), subtitle: runs::counts(subject), sections }
}

/// Makes a name for the files of a figure: letters, digits and dashes.
fn file_name(parts: &[&str]) -> String {
    let words = parts.join("-");
    let plain =
        words.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    plain
        .collect::<String>()
        .split('-')
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if the name of a method leads out of the folder of figures.
    #[test]
    fn names_of_files_are_plain() {
        assert_eq!(file_name(&["curves", "../k-sparse relu/"]), "curves-k-sparse-relu");
        assert_eq!(file_name(&["", "<script>"]), "script");
    }
}

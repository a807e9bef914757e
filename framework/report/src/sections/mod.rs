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
use framework::plugin::Title;

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

/// Returns the label of an axis, or the heading of a table's column: what a column of the results is, and its
/// name in small letters.
fn label(subject: &ExperimentView<'_>, column: &str) -> String {
    two_lines(subject.runs.title(column).long, column)
}

/// Joins words with the name of a column in small letters, unless they are the same.
fn two_lines(words: String, column: &str) -> String {
    if words == column { words } else { format!("{words}\n{column}") }
}

/// Returns the same for a caption or a paragraph.
fn in_words(title: &Title, column: &str) -> String {
    if title.long == column { column.to_owned() } else { format!("{} (`{column}`)", title.long) }
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

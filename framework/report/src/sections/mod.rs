//! Sections of the page about an experiment, one file each. `figures` draws them, and the crate `analysis`
//! compares.

mod atoms;
mod budgets;
mod codes;
mod curves;
mod decoded;
mod exhibits;
mod fronts;
mod heat;
mod kernels;
mod latents;
mod models;
mod origin;
mod prior;
mod runs;
mod stability;
mod standing;
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
        section("prior", "Distance from the prior", prior::blocks(subject)),
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

/// Maximum length of the name of the file of a picture, without its ending.
const NAME: usize = 120;

/// Makes a name for the file of a picture of a setting: the same, with dots within numbers, as in `rho-0.02`.
fn picture_name(parts: &[&str]) -> String {
    let words = parts.join("-");
    let is_dot = |at: usize| {
        let is_digit = |letter: Option<char>| letter.is_some_and(|one| one.is_ascii_digit());
        is_digit(words[..at].chars().next_back()) && is_digit(words[at + 1..].chars().next())
    };
    let dots: Vec<usize> = words.match_indices('.').map(|(at, _)| at).collect();
    let (mut name, mut from) = (String::new(), 0);
    for at in dots.into_iter().filter(|at| is_dot(*at)) {
        name.push_str(&file_name(&[&words[from..at]]));
        name.push('.');
        from = at + 1;
    }
    name.push_str(&file_name(&[&words[from..]]));
    name.truncate(NAME);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if the name of a method leads out of the folder of figures.
    #[test]
    fn names_of_files_are_plain() {
        assert_eq!(file_name(&["curves", "../k-sparse relu/"]), "curves-k-sparse-relu");
        assert_eq!(file_name(&["", "<script>"]), "script");
        assert_eq!(file_name(&["above 0.5"]), "above-0-5");
        let long = "x".repeat(500);
        for (words, name) in [
            ("kl rho=0.02 beta=.1", "atoms-kl-rho-0.02-beta-1"),
            ("../1.2/.", "atoms-1.2"),
            ("1.2.3 a..1.", "atoms-1.2.3-a-1"),
            ("é=1e-5", "atoms-1e-5"),
            (&long, &format!("atoms-{}", &long[..NAME - 6])),
        ] {
            assert_eq!(picture_name(&["atoms", words]), name);
        }
    }
}

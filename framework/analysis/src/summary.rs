//! Summary of settings: one row a setting, in words and few digits, with what each column is.

use std::collections::BTreeSet;

use framework::plugin::{L0Rule, Title};
use framework::search::Quantity;

use super::metric::{DEFAULT, THRESHOLDED};
use super::titles::DEAD;
use super::{Group, Runs, Setting};
use crate::statistics::interval::Interval;
use crate::words::{brief, interval, percent};

/// A setting with its method.
pub type SettingRow<'a> = (&'a Group, &'a Setting);

/// Table of settings.
pub struct SettingsSummary {
    /// Columns, each with its cells in the order of the settings.
    pub columns: Vec<SummaryColumn>,
}

/// Column of a summary.
pub struct SummaryColumn {
    /// Heading of the column.
    pub heading: String,
    /// Column of the results that it is taken from, if it is one.
    pub of: Option<String>,
    /// What the column is, if the heading does not say it all.
    pub meaning: Option<String>,
    /// One cell a setting.
    pub cells: Vec<String>,
}

/// Numbers that say what a setting came to, whatever settings are compared by.
const USUAL: [&str; 7] = [
    "test_mean_activation",
    L0,
    DEFAULT,
    "test_explained_variance",
    DEAD,
    "test_kl_prior",
    "test_collapsed_fraction",
];
/// Number of active latents.
const L0: &str = "test_l0";

impl SettingsSummary {
    /// Summarizes these settings of these methods: means over seeds, and of L0, of what is compared and of what is
    /// asked for half of the interval too. Leaves out columns without a number.
    pub fn new<'a>(
        runs: &Runs,
        groups: impl IntoIterator<Item = &'a Group>,
        rows: &[SettingRow<'_>],
    ) -> Self {
        let groups: Vec<&Group> = groups.into_iter().collect();
        let table = SummaryOf { runs, groups: &groups, rows };
        let mut columns = vec![
            table.plain("method", |(group, _)| group.title()),
            table.plain("setting", |(_, setting)| setting.words.clone()),
            table.plain("seeds", |(_, setting)| setting.rows.len().to_string()),
        ];
        let compared = table.compared();
        let more = runs.show.iter().map(String::as_str);
        let compared_column = compared.iter().map(|(column, _)| column.as_str());
        let mut shown: Vec<&str> = Vec::new();
        let is_by_share = groups.iter().any(|group| group.along == Quantity::Share);
        let share = is_by_share.then_some(Quantity::Share.column());
        for column in USUAL.into_iter().chain(share).chain(more).chain(compared_column) {
            if !shown.contains(&column) {
                shown.push(column);
            }
        }
        columns.extend(shown.into_iter().map(|column| match &compared {
            Some((own, label)) if own == column => table.value(own, label),
            _ => table.usual(column),
        }));
        columns.push(table.best());
        columns.retain(|column| column.cells.iter().any(|cell| !cell.is_empty() && cell != "–"));
        Self { columns }
    }

    /// Returns the headings.
    pub fn heading(&self) -> Vec<&str> {
        self.columns.iter().map(|column| column.heading.as_str()).collect()
    }

    /// Returns the cells row by row.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let rows = self.columns.first().map_or(0, |column| column.cells.len());
        let row = |at: usize| self.columns.iter().map(|column| column.cells[at].clone()).collect();
        (0..rows).map(row).collect()
    }

    /// Returns the columns whose headings do not say it all, with what they are.
    pub fn legend(&self) -> impl Iterator<Item = (&SummaryColumn, &str)> {
        self.columns.iter().filter_map(|column| Some((column, column.meaning.as_deref()?)))
    }
}

/// What a summary is made of.
struct SummaryOf<'a> {
    runs: &'a Runs,
    groups: &'a [&'a Group],
    rows: &'a [SettingRow<'a>],
}

impl SummaryOf<'_> {
    /// Makes a column that explains itself.
    fn plain(&self, heading: &str, cell: impl Fn(&SettingRow<'_>) -> String) -> SummaryColumn {
        let cells = self.rows.iter().map(cell).collect();
        SummaryColumn { heading: heading.to_owned(), of: None, meaning: None, cells }
    }

    /// Returns the rules by which the methods count active latents.
    fn rules(&self) -> BTreeSet<L0Rule> {
        self.groups.iter().map(|group| group.l0_rule).collect()
    }

    /// Makes the column of one of the usual numbers, or of one that is asked for.
    fn usual(&self, column: &str) -> SummaryColumn {
        let Title { short, long } = self.runs.title(column);
        let rules = self.rules();
        let over_seeds = |setting: &Setting| {
            let values = setting.rows.iter().map(|row| self.runs.number(*row, column));
            Interval::of(&values.collect::<Option<Vec<f64>>>()?)
        };
        // What a summary is not about has no interval, which would be one too many.
        let cell = |(_, setting): &SettingRow<'_>| match (column, over_seeds(setting)) {
            (L0, _) => interval(&setting.l0),
            (_, None) => "–".to_owned(),
            (DEAD, Some(of)) => percent(of.mean),
            (_, Some(of)) if USUAL.contains(&column) => brief(of.mean),
            (_, Some(of)) => interval(&of),
        };
        let only = if rules.len() == 1 { rules.first().copied() } else { None };
        let (heading, meaning) = match (column, only) {
            (DEAD, Some(rule)) => {
                let always = match rule {
                    L0Rule::Nonzero => {
                        "share of latents that are 0 on every test sample".to_owned()
                    }
                    _ => {
                        format!("share of latents that are {} on test samples", rule.never_active())
                    }
                };
                (rule.never_active().to_owned(), always)
            }
            (L0, Some(L0Rule::Nonzero)) => (short, "latents per sample that are not 0".to_owned()),
            (L0, Some(rule)) => (format!("{short} ({})", rule.condition()), self.counting(long)),
            (L0, None) => (short, self.counting(long)),
            _ => (short, long),
        };
        let cells = self.rows.iter().map(cell).collect();
        SummaryColumn { heading, of: Some(column.to_owned()), meaning: Some(meaning), cells }
    }

    /// Says which latents count as active.
    fn counting(&self, long: String) -> String {
        let counted = self.groups.iter().filter(|group| group.l0_rule != L0Rule::Nonzero);
        let words: BTreeSet<String> = counted
            .map(|group| {
                let (name, rule) = (group.title(), group.l0_rule.words());
                format!("codes of {name} are never exactly 0, so a latent counts as active {rule}")
            })
            .collect();
        let words: Vec<String> = words.into_iter().collect();
        format!("{long}; {}", words.join("; "))
    }

    /// Returns the column that is compared, and its name as it is compared. Where every nonzero value counts, the
    /// errors with and without what L0 does not count are the same number.
    fn compared(&self) -> Option<(String, String)> {
        let is_called = |column: &str| self.groups.iter().any(|group| group.label == column);
        let first = self.groups.first()?;
        Some(match is_called(DEFAULT) && is_called(THRESHOLDED) {
            true => (THRESHOLDED.to_owned(), THRESHOLDED.to_owned()),
            false => (first.metric.clone(), first.label.clone()),
        })
    }

    /// Makes the column of what is compared.
    fn value(&self, column: &str, label: &str) -> SummaryColumn {
        let Title { short: heading, long } = self.runs.title(label);
        let cells = self.rows.iter().map(|(_, setting)| interval(&setting.value)).collect();
        let of = Some(column.to_owned());
        SummaryColumn { heading, of, meaning: Some(long), cells }
    }

    /// Makes the column that says where a setting is the best of its method.
    fn best(&self) -> SummaryColumn {
        let settings = || self.groups.iter().flat_map(|group| &group.settings);
        let by_budget = settings().any(|setting| !setting.best_at.is_empty());
        let (heading, meaning) = match by_budget {
            true => (
                "best with",
                "numbers of latents per sample with which it is the best setting of its method",
            ),
            false => (
                "on its front",
                match self.groups.first().map(|group| group.along) {
                    Some(Quantity::MeanActivation) => {
                        "no other setting of its method beats it at as low a mean activation"
                    }
                    Some(Quantity::Share) => {
                        "no other setting of its method beats it with as small a share of active latents"
                    }
                    _ => "no other setting of its method beats it with as few active latents",
                },
            ),
        };
        let cell = |(_, setting): &SettingRow<'_>| match by_budget {
            true => best_with(setting),
            false => if setting.is_on_front { "yes" } else { "" }.to_owned(),
        };
        let cells = self.rows.iter().map(cell).collect();
        let meaning = Some(meaning.to_owned());
        SummaryColumn { heading: heading.to_owned(), of: None, meaning, cells }
    }
}

/// Writes the numbers of latents with which a setting is the best of its method.
fn best_with(setting: &Setting) -> String {
    let numbers: Vec<String> = setting.best_at.iter().map(f64::to_string).collect();
    match setting.best_at[..] {
        [] => String::new(),
        [1.0] => "1 latent".to_owned(),
        _ => format!("{} latents", numbers.join(", ")),
    }
}

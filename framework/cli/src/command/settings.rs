//! Formats the settings of a comparison: a table of means over seeds, and learning curves.

use analysis::words;
use analysis::{Comparisons, Group, Runs, SettingRow, SettingsSummary, SummaryColumn, mean_curve};
use framework::diagnostics::closest;
use framework::printable;
use framework::spec::RunId;
use store::Folder;
use tables::Table;

use super::{show, spark};

/// Largest number of settings in a short table.
const MOST: usize = 20;

/// Returns every setting.
pub fn all<'a>(groups: impl IntoIterator<Item = &'a Group>) -> Vec<SettingRow<'a>> {
    groups
        .into_iter()
        .flat_map(|group| group.settings.iter().map(move |one| (group, one)))
        .collect()
}

/// Returns every setting if they are few, and otherwise those on the front of their method. If these are
/// still too many, takes some of each method, evenly spaced along its front. A method without a front is
/// shown by any of its settings.
pub fn chosen<'a>(groups: impl IntoIterator<Item = &'a Group>) -> Vec<SettingRow<'a>> {
    let groups: Vec<&Group> = groups.into_iter().collect();
    let rows = all(groups.iter().copied());
    if rows.len() <= MOST {
        return rows;
    }
    let share = (MOST / groups.len()).max(1);
    let fronts: Vec<Vec<SettingRow<'_>>> = groups
        .iter()
        .map(|group| {
            let has_front = group.settings.iter().any(|one| one.is_on_front);
            let shown = group.settings.iter().filter(|one| one.is_on_front || !has_front);
            shown.map(|one| (*group, one)).collect()
        })
        .collect();
    let share = if fronts.iter().map(Vec::len).sum::<usize>() <= MOST { MOST } else { share };
    let some = fronts.iter().flat_map(|front| {
        let count = front.len().min(share);
        (0..count)
            .map(move |n| front[if count < 2 { 0 } else { n * (front.len() - 1) / (count - 1) }])
    });
    some.take(MOST).collect()
}

/// Formats settings as a table: what each came to, and what its columns are.
pub fn table<'a>(
    groups: impl IntoIterator<Item = &'a Group>,
    rows: &[SettingRow<'_>],
    runs: &Runs,
) -> String {
    let summary = SettingsSummary::new(runs, groups, rows);
    let mut text = show::table(&summary.heading(), &summary.rows());
    let is_shown =
        |name: &&String| summary.columns.iter().any(|column| column.of.as_ref() == Some(*name));
    for name in runs.show.iter().filter(|name| !is_shown(name)) {
        let names = runs.table().columns().iter().map(|column| column.name.as_str());
        let names = names.filter(|name| runs.is_number(name));
        let help = closest(name, names).map(|near| format!("; did you mean `{near}`?"));
        let help = help.unwrap_or_default();
        text.push_str(&format!("`evaluate.show` names `{name}`, which no run has{help}\n"));
    }
    let width = |(column, _): (&SummaryColumn, &str)| column.heading.chars().count();
    let width = summary.legend().map(width).max().unwrap_or(0);
    for (SummaryColumn { heading, of, .. }, meaning) in summary.legend() {
        let of = of.as_ref().map_or(String::new(), |of| format!(" ({of})"));
        text.push_str(&printable::line(&format!("{heading:width$}  {meaning}{of}")));
        text.push('\n');
    }
    text
}

/// Formats at most 20 settings as a table, and says where the others are; empty if there are none.
pub fn brief(comparisons: &Comparisons, runs: &Runs, folder: &Folder) -> String {
    let groups = || comparisons.groups();
    let (rows, count) = (chosen(groups()), all(groups()).len());
    if rows.is_empty() {
        return String::new();
    }
    let done: usize = all(groups()).iter().map(|(_, setting)| setting.rows.len()).sum();
    let mut text = format!(
        "{done} runs that are done, {count} {}; means over seeds, ± half of the 95 % interval:\n{}",
        if count == 1 { "setting" } else { "settings" },
        table(groups(), &rows, runs)
    );
    if rows.len() < count {
        let (more, folder) = (count - rows.len(), folder.path().display());
        text.push_str(&format!("… and {more} more: `saegrid compare {folder}` has all\n"));
    }
    text
}

/// Draws the learning curve of each of these settings as a line: of a metric, or else of the training loss,
/// if at least two points were measured.
pub fn curves(rows: &[SettingRow<'_>], metric: &str, runs: &Runs, folder: &Folder) -> String {
    let drawn: Vec<[String; 3]> =
        rows.iter().filter_map(|row| curve(row, metric, runs, folder)).collect();
    if drawn.is_empty() {
        return String::new();
    }
    let width = |at: usize| drawn.iter().map(|words| words[at].chars().count()).max().unwrap_or(0);
    let (names, lines) = (width(0), width(1));
    let mut text = format!(
        "Learning curves, each on its own scale (logarithmic where it spans a factor of {}):\n",
        spark::LOGARITHMIC
    );
    for [name, line, ends] in &drawn {
        text.push_str(&format!("{name:names$}  {line:lines$}  {ends}\n"));
    }
    text
}

/// Largest number of characters in the name of a curve.
const NAME: usize = 80;

/// Returns a name, a line, and the values at which the line begins and ends.
fn curve(
    (group, setting): &SettingRow<'_>,
    metric: &str,
    runs: &Runs,
    folder: &Folder,
) -> Option<[String; 3]> {
    let read = |row: &usize| -> Option<Table> {
        // Skips a history that cannot be read: the code that makes the tables warns of it.
        folder.table_of(&RunId(runs.text(*row, "run_id")), "history.parquet").ok()?
    };
    let histories: Vec<Table> = setting.rows.iter().filter_map(read).collect();
    let curve = mean_curve(&histories, metric)?;
    let values: Vec<f64> = curve.points.iter().map(|(_, value)| *value).collect();
    let [first, .., last] = values[..] else { return None };
    let name = format!("{} {}", group.title(), setting.words);
    let mut name = printable::line(name.trim_end()).into_owned();
    if let Some((cut, _)) = name.char_indices().nth(NAME) {
        name.truncate(cut);
        name.push('…');
    }
    let metric = runs.title(&curve.metric).short;
    let ends = format!("{metric} {} to {}", words::brief(first), words::brief(last));
    Some([name, spark::line(&values), ends])
}

#[cfg(test)]
mod tests {
    use analysis::Setting;
    use analysis::statistics::interval::Interval;
    use framework::plugin::L0Rule;
    use framework::search::Quantity;

    use super::*;

    fn group(name: &str, settings: usize, on_front: impl Fn(usize) -> bool) -> Group {
        let setting = |at: usize| Setting {
            words: at.to_string(),
            rows: vec![at],
            outcomes: Vec::new(),
            l0: Interval::of(&[at as f64]).unwrap(),
            place: Interval::of(&[at as f64]).unwrap(),
            value: Interval::of(&[1.0]).unwrap(),
            is_on_front: on_front(at),
            is_read: on_front(at),
            best_at: Vec::new(),
        };
        Group {
            name: name.to_owned(),
            within: String::new(),
            l0_rule: L0Rule::Nonzero,
            metric: "test_mse".to_owned(),
            label: "test_mse".to_owned(),
            along: Quantity::L0,
            codes: String::new(),
            settings: (0..settings).map(setting).collect(),
        }
    }

    fn words(groups: &[Group]) -> Vec<String> {
        chosen(groups).iter().map(|(group, one)| format!("{}{}", group.name, one.words)).collect()
    }

    /// Wrong if a grid of 300 runs printed 300 lines, or a setting on a front were hidden without need.
    #[test]
    fn few_settings_are_all_shown_and_of_many_those_on_fronts() {
        assert_eq!(words(&[group("a", 12, |_| false), group("b", 8, |_| true)]).len(), 20);
        let many = [group("a", 100, |at| at % 10 == 0), group("b", 3, |at| at == 1)];
        assert_eq!(words(&many).len(), 11);
        let more = [group("a", 100, |_| true), group("b", 50, |_| true)];
        let shown = words(&more);
        assert_eq!(shown.len(), 20);
        for end in ["a0", "a99", "b0", "b49"] {
            assert!(shown.iter().any(|word| word == end), "{end} is an end of a front: {shown:?}");
        }
        let groups: Vec<Group> = (0..40).map(|_| group("a", 9, |_| true)).collect();
        assert_eq!(words(&groups).len(), 20);
        assert!(chosen(&[]).is_empty());
    }
}

//! Formats the settings of a comparison: a table of means over seeds, and learning curves.

use analysis::words;
use analysis::{Comparisons, DEFAULT, Group, Runs, Setting, THRESHOLDED, mean_curve};
use framework::plugin::L0Rule;
use framework::printable;
use framework::spec::RunId;
use store::Folder;
use tables::Table;

use super::{show, spark};

/// Setting and its method.
pub type SettingRow<'a> = (&'a Group, &'a Setting);

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

/// Formats settings as a table: means over seeds, with half of the interval, and which are on the front of
/// their method.
pub fn table<'a>(groups: impl IntoIterator<Item = &'a Group>, rows: &[SettingRow<'_>]) -> String {
    let groups: Vec<&Group> = groups.into_iter().collect();
    let is_called = |label: &str| groups.iter().any(|group| group.label == label);
    // Where every nonzero value counts, both metrics are the same number.
    let value = match groups.first() {
        Some(_) if is_called(DEFAULT) && is_called(THRESHOLDED) => THRESHOLDED,
        Some(group) => &group.label,
        None => "",
    };
    let settings = || groups.iter().flat_map(|group| &group.settings);
    let mut beside: Vec<&str> = Vec::new();
    for (column, _) in settings().flat_map(|setting| &setting.beside) {
        if !beside.contains(column) {
            beside.push(column);
        }
    }
    let is_by_budget = settings().any(|setting| !setting.best_at.is_empty());
    let mut heading = vec!["method", "setting", "seeds", "test_l0"];
    heading.extend(&beside);
    heading.extend([value, if is_by_budget { "best with" } else { "on its front" }]);
    let cells = |(group, setting): &SettingRow<'_>| {
        let mut cells = vec![
            group.title(),
            setting.words.clone(),
            setting.rows.len().to_string(),
            words::interval(&setting.l0),
        ];
        cells.extend(beside.iter().map(|column| {
            let known = setting.beside.iter().find(|(own, _)| own == column);
            known.map_or("–".to_owned(), |(_, interval)| words::interval(interval))
        }));
        cells.push(words::interval(&setting.value));
        let is_best = if setting.is_on_front { "yes" } else { "" };
        cells.push(if is_by_budget { best_with(setting) } else { is_best.to_owned() });
        cells
    };
    let mut text = show::table(&heading, &rows.iter().map(cells).collect::<Vec<_>>());
    for group in groups.iter().filter(|group| group.l0_rule != L0Rule::Nonzero) {
        let meaning = match group.metric.as_str() {
            THRESHOLDED => {
                format!(", and {THRESHOLDED} is what is compared: where the others are 0")
            }
            DEFAULT => format!("; {DEFAULT} is that of whole codes"),
            _ => String::new(),
        };
        let (title, rule) = (group.title(), group.l0_rule.words());
        let name = printable::line(&title);
        text.push_str(&format!("{name}: a latent counts as active {rule}{meaning}\n"));
    }
    if is_by_budget {
        text.push_str(&format!(
            "{value}: of each sample the latents that say most keep their values, the same number of every code, \
             and all others rest\n"
        ));
    }
    text
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

/// Formats at most 20 settings as a table, and says where the others are; empty if there are none.
pub fn brief(comparisons: &Comparisons, folder: &Folder) -> String {
    let groups = || comparisons.groups();
    let (rows, count) = (chosen(groups()), all(groups()).len());
    if rows.is_empty() {
        return String::new();
    }
    let runs: usize = all(groups()).iter().map(|(_, setting)| setting.rows.len()).sum();
    let mut text = format!(
        "{runs} runs that are done, {count} {}; mean over seeds ± half of the 95 % interval:\n{}",
        if count == 1 { "setting" } else { "settings" },
        table(groups(), &rows)
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
    let ends = format!("{} {} to {}", curve.metric, words::number(first), words::number(last));
    Some([name, spark::line(&values), ends])
}

#[cfg(test)]
mod tests {
    use analysis::statistics::interval::Interval;

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
            beside: Vec::new(),
        };
        Group {
            name: name.to_owned(),
            within: String::new(),
            l0_rule: L0Rule::Nonzero,
            metric: "test_mse".to_owned(),
            label: "test_mse".to_owned(),
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

//! Choice of one run by words: its id, the first characters of its id, or a setting as progress and tables
//! print it.

use std::collections::BTreeSet;

use framework::diagnostics::{Diagnostic, did_you_mean};
use framework::search::Goal;
use framework::spec::RunSpec;
use serde_json::Value as Json;
use store::exit::Failure;

use crate::progress::setting_of;

/// A run that was chosen by words.
pub struct ChosenRun<'a> {
    pub run: &'a RunSpec,
    /// Other seeds of its setting, which the words fit too.
    pub other_seeds: Vec<u64>,
}

/// Number of settings that an error lists at most.
const LISTED: usize = 6;

/// Returns the run that `words` name. Of a setting with several seeds, takes the lowest of those with a model.
/// `trained` gives a run with a target as it was trained, if it was: with the strength that was found. Strengths that
/// were steered are no settings of their runs, and fit whatever they are.
///
/// # Errors
/// If no run fits, or runs of several settings do.
pub fn chosen<'a>(
    runs: &'a [RunSpec],
    words: &[String],
    has_model: &dyn Fn(&RunSpec) -> Result<bool, Failure>,
    trained: &dyn Fn(&RunSpec) -> Option<RunSpec>,
) -> Result<ChosenRun<'a>, Failure> {
    let said = words.join(" ");
    let said = said.trim();
    let by_id: Vec<&RunSpec> = runs.iter().filter(|run| run.id.0.starts_with(said)).collect();
    match by_id[..] {
        [run] => return Ok(ChosenRun { run, other_seeds: Vec::new() }),
        [] => {}
        _ => {
            let message = format!(
                "`{said}`: {} runs of the experiment have an id that starts so",
                by_id.len()
            );
            let help =
                "the id of one run, as `list` shows it, or a setting, as `rho=0.02 beta=0.1`";
            return Err(Failure::Problems(vec![Diagnostic::nowhere(message).help(help)]));
        }
    }
    let ChoosingWords { plain: words, found } = ChoosingWords::of(said);
    let mut settings = GridSetting::all(runs, trained);
    settings.retain(|setting| found.iter().all(|found| setting.has_found(*found)));
    let fitting: Vec<(&GridSetting<'a>, Vec<&'a RunSpec>)> = settings
        .iter()
        .map(|setting| (setting, setting.fitting(&words)))
        .filter(|(_, runs)| !runs.is_empty())
        .collect();
    let mut fitting_runs = match &fitting[..] {
        [(_, runs)] => runs.clone(),
        [] => return Err(none_fits(said, &words, &settings)),
        _ => {
            let message = format!("`{said}` fits {} settings", fitting.len());
            let names = fitting.iter().map(|(setting, _)| setting.words.as_str());
            let help = format!("say which: {}", listed(names));
            return Err(Failure::Problems(vec![Diagnostic::nowhere(message).help(help)]));
        }
    };
    fitting_runs.sort_by_key(|run| run.seed);
    let mut run = fitting_runs[0];
    for other in &fitting_runs {
        if has_model(other)? {
            run = other;
            break;
        }
    }
    let others = fitting_runs.iter().map(|other| other.seed).filter(|seed| *seed != run.seed);
    Ok(ChosenRun { run, other_seeds: others.collect() })
}

/// Words that name a run.
struct ChoosingWords<'w> {
    /// Settings with their values, kinds and seeds.
    plain: Vec<&'w str>,
    /// Strengths that were found for a target, each between two values, as tables print them.
    found: Vec<(&'w str, f64, f64)>,
}

impl<'w> ChoosingWords<'w> {
    /// Takes `lambda≈1.2 to 1.4 (found)`, or `(steered)`, out of the words, which stands for a strength between the two.
    fn of(said: &'w str) -> Self {
        let (mut plain, mut found): (Vec<&str>, Vec<(&str, f64, f64)>) = (Vec::new(), Vec::new());
        let is_value = |word: &&str| !["(found)", "(steered)"].contains(word);
        let mut words = said.split_whitespace().filter(is_value).peekable();
        while let Some(word) = words.next() {
            let is_range = words.peek() == Some(&"to");
            let pair = word.split_once('≈').or(word.split_once('=').filter(|_| is_range));
            let Some((key, low)) = pair.and_then(|(key, low)| Some((key, low.parse().ok()?)))
            else {
                plain.push(word);
                continue;
            };
            let high =
                if is_range { words.nth(1).and_then(|high| high.parse().ok()) } else { None };
            found.push((key, low, high.unwrap_or(low)));
        }
        Self { plain, found }
    }
}

/// Lists names in backticks, the first few.
fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    let more = match names.len().saturating_sub(LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", names[..names.len().min(LISTED)].join(", "))
}

/// Runs at one place of the grid, which differ by their seed alone.
struct GridSetting<'a> {
    /// What progress prints of it, without the seed.
    words: String,
    runs: Vec<&'a RunSpec>,
    /// Keys of its strengths that are steered.
    steered: Vec<&'static str>,
    /// Settings with their values: the keys with `_` between their parts.
    known: Vec<(String, Json)>,
}

impl<'a> GridSetting<'a> {
    /// Sorts runs by their place in the grid.
    fn all(runs: &'a [RunSpec], trained: &dyn Fn(&RunSpec) -> Option<RunSpec>) -> Vec<Self> {
        // The seeds of a place stand together.
        runs.chunk_by(|one, other| one.point == other.point)
            .map(|runs| {
                let mut known = Vec::new();
                leaves(String::new(), &runs[0].settings(), &mut known);
                if let Some(goal) = runs[0].goal() {
                    // What is written as the strength is where the search starts, and no setting of the run.
                    let strength = format!("penalty_{}", goal.key.key());
                    known.retain(|(key, _)| *key != strength);
                    let searched = runs.iter().filter(|run| run.searched().is_some());
                    for run in searched.filter_map(trained) {
                        let mut own = Vec::new();
                        leaves(String::new(), &run.settings(), &mut own);
                        known.extend(own.into_iter().filter(|(key, _)| *key == strength));
                    }
                }
                known.retain(|(key, _)| key != "seed");
                let keys = |goal: Goal| std::iter::once(goal.key.key()).chain(goal.key.second());
                let steered = runs[0].controlled().into_iter().flat_map(keys).collect();
                let (words, runs) = (setting_of(&runs[0]), runs.iter().collect());
                Self { words, runs, steered, known }
            })
            .collect()
    }

    /// Returns whether it has a strength between two values, which were rounded to three digits, or steers one.
    fn has_found(&self, (key, low, high): (&str, f64, f64)) -> bool {
        if self.steered.contains(&key) {
            return true;
        }
        let is_between = |value: f64| 0.994 * low <= value && value <= 1.006 * high;
        self.values(key).filter_map(Json::as_f64).any(is_between)
    }

    /// Returns the runs that every word fits.
    fn fitting(&self, words: &[&str]) -> Vec<&'a RunSpec> {
        let (seeds, rest): (Vec<&str>, Vec<&str>) =
            words.iter().partition(|word| word.starts_with("seed="));
        if !rest.iter().all(|word| self.fits(word)) {
            return Vec::new();
        }
        let is_seed = |run: &&&RunSpec| seeds.iter().all(|seed| seed[5..] == run.seed.to_string());
        self.runs.iter().filter(is_seed).copied().collect()
    }

    /// Returns whether a word fits: it is among the words of the setting, a setting with its value, or the kind
    /// of a section.
    fn fits(&self, word: &str) -> bool {
        if self.words.split_whitespace().any(|own| own == word) {
            return true;
        }
        match word.split_once('=') {
            Some((key, value)) => self.values(key).any(|known| is_same(known, value)),
            None => self.kinds().any(|kind| kind == word),
        }
    }

    /// Returns the values of a setting: by its whole key, or by the end of it.
    fn values(&self, key: &str) -> impl Iterator<Item = &Json> {
        let key = key.replace(['.', '-'], "_");
        let is_it = move |known: &str| {
            known
                .strip_suffix(key.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
        };
        self.known.iter().filter(move |(known, _)| is_it(known)).map(|(_, value)| value)
    }

    /// Returns the kinds of its sections.
    fn kinds(&self) -> impl Iterator<Item = &str> {
        let kinds = self.known.iter().filter(|(key, _)| key.ends_with("_kind"));
        kinds.filter_map(|(_, value)| value.as_str())
    }
}

/// Collects the settings within a value. Items of a list have the key of the list; a section has its kind also as
/// its own value.
fn leaves(key: String, value: &Json, known: &mut Vec<(String, Json)>) {
    match value {
        Json::Object(entries) => {
            for (name, value) in entries {
                let name = match key.as_str() {
                    "" => name.clone(),
                    key => format!("{key}_{name}"),
                };
                if let Some(section) = name.strip_suffix("_kind") {
                    known.push((section.to_owned(), value.clone()));
                }
                leaves(name, value, known);
            }
        }
        Json::Array(items) => items.iter().for_each(|item| leaves(key.clone(), item, known)),
        _ => known.push((key, value.clone())),
    }
}

/// Returns whether a value is written so; numbers may be written in several ways.
fn is_same(known: &Json, word: &str) -> bool {
    match known {
        Json::String(text) => text == word,
        Json::Number(number) => {
            number.to_string() == word
                || word.parse().is_ok_and(|word: f64| number.as_f64() == Some(word))
        }
        _ => word.parse::<Json>().is_ok_and(|word| word == *known),
    }
}

/// Says why no run fits: the first word that fits none, with what there is instead.
fn none_fits(said: &str, words: &[&str], settings: &[GridSetting<'_>]) -> Failure {
    let alone = |word: &&&str| settings.iter().all(|setting| setting.fitting(&[word]).is_empty());
    let (message, help) = match words.iter().find(alone) {
        Some(word) => (format!("no run has `{word}`"), known_of(word, settings)),
        None => {
            let count = |setting: &GridSetting<'_>| {
                words.iter().filter(|word| !setting.fitting(&[**word]).is_empty()).count()
            };
            let most = settings.iter().map(count).max().unwrap_or(0);
            let near = settings.iter().filter(|setting| count(setting) == most);
            let near = listed(near.map(|setting| setting.words.as_str()));
            (format!("no run has all of `{said}`"), format!("the nearest are {near}"))
        }
    };
    Failure::Problems(vec![Diagnostic::nowhere(message).help(help)])
}

/// Says what a word could have been: the values of its setting, or the settings and kinds that differ.
fn known_of(word: &str, settings: &[GridSetting<'_>]) -> String {
    let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if let Some((key, _)) = word.split_once('=') {
        let mut values: Vec<String> = Vec::new();
        let seeds = settings.iter().flat_map(|setting| &setting.runs).map(|run| run.seed);
        let mut add = |value: String| {
            if !values.contains(&value) {
                values.push(value);
            }
        };
        match key {
            "seed" => seeds.for_each(|seed| add(seed.to_string())),
            _ => settings.iter().flat_map(|one| one.values(key)).for_each(|value| add(text(value))),
        }
        if !values.is_empty() {
            return format!("`{key}` is {}", listed(values.iter().map(String::as_str)));
        }
        let own = settings.iter().flat_map(|setting| setting.words.split_whitespace());
        let own: BTreeSet<&str> = own
            .filter_map(|word| word.split_once('='))
            .map(|(key, _)| key)
            .chain(["seed"])
            .collect();
        return did_you_mean(key, &own.into_iter().collect::<Vec<_>>());
    }
    let kinds = settings.iter().flat_map(|setting| {
        let penalty = setting.values("penalty").chain(setting.values("penalty.kind"));
        penalty.filter_map(Json::as_str).chain(setting.words.split_whitespace())
    });
    let kinds: BTreeSet<&str> = kinds.collect();
    let kinds: Vec<&str> = kinds.into_iter().take(2 * LISTED).collect();
    let help = did_you_mean(word, &kinds);
    let end = if help.ends_with('?') { " A" } else { "; a" };
    format!("{help}{end} run is named by its id, or by a setting as progress prints it")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if a setting that was copied from a table named no run, because of a strength that was found.
    #[test]
    fn what_was_found_for_a_target_is_between_two_values() {
        let one = ("lambda", 1.31, 1.31);
        let range = ("lambda", 1.2, 1.4);
        for (said, plain, found) in [
            ("l1 l0=20 lambda≈1.31 (found)", "l1 l0=20", vec![one]),
            ("lambda≈1.31", "", vec![one]),
            ("l1 l0=20 lambda≈1.2 to 1.4 (found) seed=1", "l1 l0=20 seed=1", vec![range]),
            ("lambda≈1.31 group≈0.6 to 0.7 (found)", "", vec![one, ("group", 0.6, 0.7)]),
            ("l0=20 lambda≈1.31 (steered)", "l0=20", vec![one]),
            ("l0=20 k=25 (found)", "l0=20 k=25", Vec::new()),
            ("l0=20 k=24 to 26 (found)", "l0=20", vec![("k", 24.0, 26.0)]),
            ("rho=0.1 beta=0.2", "rho=0.1 beta=0.2", Vec::new()),
            ("x≈y to (found)", "x≈y to", Vec::new()),
        ] {
            let words = ChoosingWords::of(said);
            assert_eq!((words.plain.join(" ").as_str(), words.found), (plain, found), "{said}");
        }
    }
}

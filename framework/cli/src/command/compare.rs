//! `compare`: shows which method wins at which L0, and where the runs cannot tell.

use std::collections::BTreeSet;
use std::path::PathBuf;

use analysis::statistics::interval::Interval;
use analysis::statistics::matched::LEVEL;
use analysis::words;
use analysis::{Comparison, Comparisons, Differs, EARLIER, Group, Runs, Setting};
use clap::Args;
use framework::printable;
use framework::search::Quantity;
use serde_json::{Value as Json, json};
use store::exit::{Exit, Failure};

use super::choice::Choice;
use super::{print, print_json, settings, show};
use crate::progress::say;

const MORE: &str = "\
For each seed, the metric is read along the Pareto front of a method, on a line over the logarithm of L0, at most 5 %
beyond its ends. Where the front does not reach, nothing is said (–), not even where the method has a denser setting,
for that is no better than a sparser one of its own; `--at` compares methods elsewhere. Intervals are 95 % over the
seeds (Student's t); two methods differ if the differences between the same seeds do, by the paired t test with Holm's
correction over all pairs and L0 of a comparison. One seed never makes a winner.

L0 says little of codes that are never 0, as those of sigmoid and tanh. Where there are such, and all runs were measured
with the same number of latents of each sample (test_mse_at_1, test_mse_at_2, ...), methods are compared with that
number in place of L0: each seed of a method takes the setting that is its best there. `--metric test_mse_thresholded`
compares at the same L0.

`--at share=0.1` compares at the same share of active latents (L0 divided by the number of latents), and
`--at mean_activation=0.05` where the mean of the codes is the same: by test_mse of whole codes, among codes of one
activation, as 0.05 means another thing for sigmoid than for relu; relu codes have a scale of their own unless rows of
the decoder have norm 1. Runs with codes that can be negative are left out there. Where all runs have such a `[target]`,
its values are where methods are compared.

Runs are compared where the metric means the same: an error on the same test samples, an accuracy on the same labels
too, a time on the same data and machine. Of others there is a comparison each. Codes that are all off (L0 0) are on no
front. Runs that the experiment file does not contain any more are left out, unless `--all` takes them in.";

#[derive(Args)]
#[command(after_long_help = MORE)]
pub struct Arguments {
    /// Experiment folders, such as results/methods
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    #[command(flatten)]
    choice: Choice,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub fn compare(arguments: &Arguments) -> Result<Exit, Failure> {
    let (mut runs, warnings) = Runs::load(&arguments.folders, arguments.choice.all)?;
    warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
    let comparisons = arguments.choice.of(&mut runs)?;
    if arguments.json {
        print_json(&document(&comparisons, &runs))?;
    } else {
        print(&text(&comparisons, &runs))?;
    }
    Ok(Exit::Done)
}

/// Formats the comparisons as tables.
fn text(comparisons: &Comparisons, runs: &Runs) -> String {
    let mut text = String::new();
    let settings = || comparisons.groups().flat_map(|group| &group.settings);
    let count: usize = settings().map(|setting| setting.rows.len()).sum();
    let names: BTreeSet<&str> = comparisons.groups().map(|group| group.name.as_str()).collect();
    let methods = if names.len() == 1 { "method" } else { "methods" };
    let is = if count == 1 { "run that is" } else { "runs that are" };
    text.push_str(&format!(
        "{count} {is} done, {} {methods} by {}\n",
        names.len(),
        comparisons.by.join(", ")
    ));
    for (what, count) in &comparisons.left_out {
        let hint = if what == EARLIER { "; --all takes them in" } else { "" };
        text.push_str(&format!("Left out: {count} {}{hint}\n", printable::line(what)));
    }
    if !comparisons.over.is_empty() {
        text.push_str(&format!(
            "Paired and averaged like the seed: {}\n",
            comparisons.over.join(", ")
        ));
    }
    if let Some(why) = comparisons.why_several() {
        text.push_str(&format!("{}\n", printable::line(&why)));
    }
    for part in &comparisons.parts {
        if !part.within.is_empty() {
            text.push_str(&format!("\n## {}\n", printable::line(&part.within)));
        }
        text.push_str(&part_text(part, &comparisons.by, runs));
    }
    text
}

/// Formats one comparison as tables.
fn part_text(comparison: &Comparison, by: &[String], runs: &Runs) -> String {
    let groups = &comparison.groups;
    let mut text = String::from(
        "\nEach setting, means over its seeds, ± half of the 95 % interval (Student's t):\n",
    );
    text.push_str(&settings::table(groups, &settings::all(groups), runs));
    let notes: String =
        comparison.notes(by).iter().map(|note| format!("{}\n", printable::line(note))).collect();
    if comparison.at.is_empty() {
        text.push_str(&match (comparison.better, groups.len()) {
            (None, _) => notes,
            (_, 1) => format!("{notes}\nThere is one method only, so none are compared.\n"),
            _ => format!(
                "{notes}\nNo two methods have {} in common, so none are compared.\n",
                comparison.along.a_word()
            ),
        });
        return text;
    }
    text.push_str(&match comparison.budgets {
        None => format!(
            "\nAt the same {}, read along the front of each method, seed by seed:\n",
            comparison.along.words()
        ),
        Some(_) => {
            "\nWith the same number of latents of each sample, the best setting of each method, seed by seed:\n"
                .to_owned()
        }
    });
    let mut heading = vec!["method".to_owned()];
    heading.extend(comparison.at.iter().map(|at| comparison.place(*at)));
    let heading: Vec<&str> = heading.iter().map(String::as_str).collect();
    let cells = |at: usize, name: &str| {
        let of = comparison.readings.iter().filter(|reading| reading.method == at);
        let values = of.map(|reading| comparison.read(reading).unwrap_or("–".into()));
        std::iter::once(name.to_owned()).chain(values).collect::<Vec<String>>()
    };
    let mut rows: Vec<Vec<String>> =
        groups.iter().enumerate().map(|(at, group)| cells(at, &group.name)).collect();
    if let Some((method, values)) = comparison.baseline_row() {
        let value = |value: &Option<f64>| value.map_or("–".to_owned(), words::number);
        rows.push(std::iter::once(method.to_owned()).chain(values.iter().map(value)).collect());
    }
    text.push_str(&show::table(&heading, &rows));
    if let Some(why) = comparison.unread() {
        text.push_str(&format!("{why}\n"));
    }
    text.push_str(&verdicts(comparison));
    text.push_str(&notes);
    text
}

/// Formats a table of every two methods at every L0: their difference, and whether it may be chance.
fn verdicts(comparison: &Comparison) -> String {
    let name = |at: usize| comparison.groups[at].name.as_str();
    let mut rows = Vec::new();
    for pair in &comparison.pairs {
        let Some(difference) = pair.difference else { continue };
        let [one, other] = pair.methods;
        rows.push(vec![
            format!("{}", pair.at),
            format!("{} - {}", name(one), name(other)),
            words::interval(&difference),
            pair.probability.map_or("-".to_owned(), probability),
            match (pair.winner, pair.probability) {
                (Some(winner), _) => format!("{} is better", name(winner)),
                (None, Some(_)) => "may be chance".to_owned(),
                (None, None) => "one seed says nothing".to_owned(),
            },
        ]);
    }
    let place = if comparison.budgets.is_some() { "latents" } else { comparison.along.words() };
    if rows.is_empty() {
        return match (comparison.groups.len() == 1, &comparison.budgets) {
            (true, _) => "\nThere is one method only, so none are compared.\n".to_owned(),
            (_, Some(_)) => "\nNo two methods were measured with the same number.\n".to_owned(),
            (_, None) if comparison.along == Quantity::L0 => {
                "\nNo two methods come near any of these L0.\n".to_owned()
            }
            (_, None) => format!(
                "\nNo two methods that are compared come near any of these values of {}.\n",
                comparison.along.words()
            ),
        };
    }
    let heading = [place, "methods", "difference", "p", "so"];
    format!(
        "\nDifferences in {} between the same seeds (paired t; p by Holm over these {}, called below {LEVEL}; intervals are \
         not corrected so):\n{}",
        called(comparison),
        rows.len(),
        show::table(&heading, &rows)
    )
}

/// Returns what is compared in words, with its name.
fn called(comparison: &Comparison) -> String {
    match comparison.title.short == comparison.metric {
        true => comparison.metric.clone(),
        false => format!("{} ({})", comparison.title.short, comparison.metric),
    }
}

fn probability(p: f64) -> String {
    if p < 0.001 { format!("{p:.0e}") } else { format!("{p:.3}") }
}

fn document(comparisons: &Comparisons, runs: &Runs) -> Json {
    let parts = &comparisons.parts;
    json!({
        "metric": comparisons.metric,
        "by": comparisons.by,
        "over": comparisons.over,
        "within": parts.iter().map(|part| &part.within).collect::<Vec<_>>(),
        "methods": comparisons
            .parts_of_groups()
            .map(|(part, group)| method(part.along, group, runs))
            .collect::<Vec<_>>(),
        "at": parts.iter().flat_map(readings).collect::<Vec<_>>(),
        "pairs": parts.iter().flat_map(pairs).collect::<Vec<_>>(),
        "notes": parts.iter().map(|part| notes(part, &comparisons.by)).collect::<Vec<_>>(),
        "left_out": comparisons.left_out,
    })
}

fn interval(interval: &Interval) -> Json {
    json!({
        "mean": interval.mean, "sd": interval.deviation, "seeds": interval.count,
        "half_width": interval.half_width,
    })
}

fn method(along: Quantity, group: &Group, runs: &Runs) -> Json {
    let setting = |setting: &Setting| {
        let mut all = json!({
            "setting": setting.words,
            "run_ids": setting.rows.iter().map(|row| runs.text(*row, "run_id")).collect::<Vec<_>>(),
            "l0": interval(&setting.l0),
            "value": interval(&setting.value),
            "on_front": setting.is_on_front,
        });
        if along != Quantity::L0 {
            all[along.key()] = interval(&setting.place);
        }
        all
    };
    json!({
        "method": group.name,
        "within": group.within,
        "metric": group.label,
        "l0_threshold": group.l0_rule.threshold(),
        "l0_rule": group.l0_rule.name(),
        "settings": group.settings.iter().map(setting).collect::<Vec<_>>(),
    })
}

/// Returns the key of a place where methods are compared.
fn key(part: &Comparison) -> &'static str {
    if part.budgets.is_some() { "latents" } else { part.along.key() }
}

fn readings(part: &Comparison) -> impl Iterator<Item = Json> {
    part.readings.iter().map(|reading| {
        json!({
            "method": part.groups[reading.method].name, "within": part.within, key(part): reading.at,
            "value": reading.interval().as_ref().map(interval),
        })
    })
}

fn pairs(part: &Comparison) -> impl Iterator<Item = Json> {
    let name = |at: usize| part.groups[at].name.as_str();
    part.pairs.iter().map(move |pair| {
        json!({
            key(part): pair.at,
            "within": part.within,
            "metric": part.metric_at(pair.at),
            "methods": pair.methods.map(name),
            "difference": pair.difference.as_ref().map(interval),
            "p_holm": pair.probability,
            "better": pair.winner.map(name),
        })
    })
}

fn notes(part: &Comparison, by: &[String]) -> Json {
    let values = |differs: &Differs| -> Json {
        differs.values.iter().map(|(method, values)| (method.clone(), json!(values))).collect()
    };
    let differs = part.differs.iter().map(|differs| (differs.column.clone(), values(differs)));
    json!({
        "within": part.within,
        "metric": part.metric,
        "best_is_known": part.better.is_some(),
        "runs_with_all_codes_off": part.silent,
        "differs": differs.collect::<Json>(),
        "said": part.notes(by),
    })
}

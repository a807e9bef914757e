//! `compare`: which method wins, at which strength, and where nobody can say.

use std::path::PathBuf;

use clap::Args;
use compare::interval::Interval;
use compare::matched::LEVEL;
use framework::printable;
use serde_json::{Value as Json, json};

use super::choice::Choice;
use super::{print, print_json, settings, show};
use crate::analysis::{Comparison, Runs, Setting, UNREAD};
use crate::exit::{Exit, Failure};
use crate::progress::say;
use crate::store::load_runs;

const MORE: &str = "\
For each seed, the metric is read along the Pareto front of a method, on a line over the logarithm of L0, at most 5 %
beyond its ends. Where the front does not reach, nothing is said (–), not even where the method has a denser setting,
for that is no better than a sparser one of its own; `--at` compares methods elsewhere. Intervals are 95 % over the
seeds (Student's t); two methods differ if the differences between the same seeds do, by the paired t test with Holm's
correction over all pairs and L0 that are shown. One seed never makes a winner.";

#[derive(Args)]
#[command(after_long_help = MORE)]
pub struct Arguments {
    /// Folders of experiments, as in results/methods
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    #[command(flatten)]
    choice: Choice,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub fn compare(arguments: &Arguments) -> Result<Exit, Failure> {
    let (table, warnings) = load_runs(&arguments.folders)?;
    warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
    let runs = Runs::new(table);
    let comparison = arguments.choice.of(&runs)?;
    if arguments.json {
        print_json(&document(&comparison, &runs))?;
    } else {
        print(&text(&comparison))?;
    }
    Ok(Exit::Done)
}

/// The comparison in tables.
fn text(comparison: &Comparison) -> String {
    let Comparison { by, groups, .. } = comparison;
    let mut text = String::new();
    let runs: usize = groups.iter().flat_map(|group| &group.settings).map(|s| s.rows.len()).sum();
    text.push_str(&format!(
        "{runs} runs that are done, {} methods by {}\n",
        groups.len(),
        by.join(", ")
    ));
    for (what, count) in &comparison.left_out {
        text.push_str(&format!("Left out: {count} {}\n", printable::line(what)));
    }
    text.push_str(
        "\nEach setting, mean over its seeds ± half of the 95 % interval (Student's t):\n",
    );
    text.push_str(&settings::table(groups, &settings::all(groups)));
    if comparison.at.is_empty() {
        text.push_str("\nNo two methods have an L0 in common, so none are compared.\n");
        return text;
    }
    text.push_str("\nAt the same L0, read along the front of each method, seed by seed:\n");
    let mut heading = vec!["method".to_owned()];
    heading.extend(comparison.at.iter().map(|l0| format!("L0 {l0}")));
    let heading: Vec<&str> = heading.iter().map(String::as_str).collect();
    let cells = |at: usize, name: &str| {
        let of = comparison.readings.iter().filter(|reading| reading.method == at);
        let values = of.map(|reading| comparison.read(reading).unwrap_or("–".into()));
        std::iter::once(name.to_owned()).chain(values).collect::<Vec<String>>()
    };
    let rows: Vec<Vec<String>> =
        groups.iter().enumerate().map(|(at, group)| cells(at, &group.name)).collect();
    text.push_str(&show::table(&heading, &rows));
    if comparison.readings.iter().any(|reading| reading.seeds.is_empty()) {
        text.push_str(&format!("{UNREAD}\n"));
    }
    text.push_str(&verdicts(comparison));
    text
}

/// Every two methods at every L0: what differs and whether that can be chance.
fn verdicts(comparison: &Comparison) -> String {
    let name = |at: usize| comparison.groups[at].name.as_str();
    let mut rows = Vec::new();
    for pair in &comparison.pairs {
        let Some(difference) = pair.difference else { continue };
        let [one, other] = pair.methods;
        rows.push(vec![
            format!("{}", pair.l0),
            format!("{} - {}", name(one), name(other)),
            show::interval(&difference),
            pair.probability.map_or("-".to_owned(), probability),
            match (pair.winner, pair.probability) {
                (Some(winner), _) => format!("{} is better", name(winner)),
                (None, Some(_)) => "may be chance".to_owned(),
                (None, None) => "one seed says nothing".to_owned(),
            },
        ]);
    }
    if rows.is_empty() {
        return "\nNo two methods come near any of these L0.\n".to_owned();
    }
    let heading = ["L0", "methods", "difference", "p", "so"];
    format!(
        "\nDifferences between the same seeds (paired t; p by Holm over these {}, called below {LEVEL}):\n{}",
        rows.len(),
        show::table(&heading, &rows)
    )
}

fn probability(p: f64) -> String {
    if p < 0.001 { format!("{p:.0e}") } else { format!("{p:.3}") }
}

fn document(comparison: &Comparison, runs: &Runs) -> Json {
    let name = |at: usize| comparison.groups[at].name.as_str();
    let interval = |interval: &Interval| {
        json!({
            "mean": interval.mean, "sd": interval.deviation, "seeds": interval.count,
            "half_width": interval.half_width,
        })
    };
    let setting = |setting: &Setting| {
        json!({
            "setting": setting.words,
            "run_ids": setting.rows.iter().map(|row| runs.text(*row, "run_id")).collect::<Vec<_>>(),
            "l0": interval(&setting.l0),
            "value": interval(&setting.value),
            "on_front": setting.is_on_front,
        })
    };
    let groups = comparison.groups.iter().map(|group| {
        json!({
            "method": group.name,
            "metric": group.metric,
            "l0_threshold": group.l0_rule.threshold(),
            "l0_rule": group.l0_rule.name(),
            "settings": group.settings.iter().map(setting).collect::<Vec<_>>(),
        })
    });
    let readings = comparison.readings.iter().map(|reading| {
        let value = reading.interval();
        json!({ "method": name(reading.method), "l0": reading.l0, "value": value.as_ref().map(interval) })
    });
    let pairs = comparison.pairs.iter().map(|pair| {
        json!({
            "l0": pair.l0,
            "methods": pair.methods.map(name),
            "difference": pair.difference.as_ref().map(interval),
            "p_holm": pair.probability,
            "better": pair.winner.map(name),
        })
    });
    json!({
        "metric": comparison.metric,
        "by": comparison.by,
        "methods": groups.collect::<Vec<_>>(),
        "at": readings.collect::<Vec<_>>(),
        "pairs": pairs.collect::<Vec<_>>(),
        "left_out": comparison.left_out,
    })
}

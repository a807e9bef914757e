//! `compare`: which method wins, at which strength, and where nobody can say.

use std::path::PathBuf;

use clap::Args;
use compare::interval::Interval;
use compare::matched::LEVEL;
use framework::diagnostics::{Diagnostic, did_you_mean};
use serde_json::{Value as Json, json};

use super::{print, settings, show};
use crate::analysis::{Comparison, Runs, Setting};
use crate::exit::{Exit, Failure};
use crate::progress::say;
use crate::store::load_runs;

#[derive(Args)]
pub struct Arguments {
    /// Folders of experiments, as in results/methods
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    /// What a method is: the values of these columns
    #[arg(long, value_name = "COLUMN", value_delimiter = ',', default_value = "penalty")]
    by: Vec<String>,
    /// The column that methods are compared by
    #[arg(long, value_name = "COLUMN", default_value = "test_mse")]
    metric: String,
    /// The L0 at which methods are compared, as in l0=25 or l0=10,20; by default the targets of the
    /// runs, or three that the methods have in common
    #[arg(long, value_name = "l0=N", value_parser = at)]
    at: Vec<At>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Some L0.
#[derive(Clone)]
struct At(Vec<f64>);

fn at(text: &str) -> Result<At, String> {
    let numbers = text.strip_prefix("l0=").unwrap_or(text).split(',');
    let read = |number: &str| match number.trim().parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err(format!("expected a number of active latents as in l0=25, got `{number}`")),
    };
    numbers.map(read).collect::<Result<_, _>>().map(At)
}

pub fn compare(arguments: &Arguments) -> Result<Exit, Failure> {
    let (table, warnings) = load_runs(&arguments.folders)?;
    warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
    let runs = Runs::new(table);
    let known: Vec<&str> =
        runs.settings().iter().map(String::as_str).chain(["experiment"]).collect();
    let by: Result<Vec<String>, Diagnostic> =
        arguments.by.iter().map(|column| column_of(column, "--by", &known)).collect();
    let numbers = runs.table().columns().iter().map(|column| column.name.as_str());
    let numbers: Vec<&str> = numbers.filter(|name| runs.is_number(name)).collect();
    let metric = column_of(&arguments.metric, "--metric", &numbers);
    let (by, metric) = match (by, metric) {
        (Ok(by), Ok(metric)) => (by, metric),
        (by, metric) => {
            return Err(Failure::Problems(by.err().into_iter().chain(metric.err()).collect()));
        }
    };
    let at: Vec<f64> = arguments.at.iter().flat_map(|At(l0)| l0).copied().collect();
    let comparison = Comparison::new(&runs, &by, &metric, &at);
    if arguments.json {
        print(&format!("{}\n", document(&comparison, &runs)))?;
    } else {
        print(&text(&comparison))?;
    }
    Ok(Exit::Done)
}

/// A column by its name, or by the dotted key of a setting.
fn column_of(word: &str, option: &str, known: &[&str]) -> Result<String, Diagnostic> {
    let name = word.strip_suffix(".kind").unwrap_or(word).replace('.', "_");
    if known.contains(&name.as_str()) {
        return Ok(name);
    }
    let problem = Diagnostic::nowhere(format!("`{option} {word}`: no run has such a column"));
    Err(problem.help(did_you_mean(&name, known)))
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
        text.push_str(&format!("Left out: {count} {what}\n"));
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
        let values =
            of.map(|reading| reading.interval().map_or("-".into(), |i| show::interval(&i)));
        std::iter::once(name.to_owned()).chain(values).collect::<Vec<String>>()
    };
    let rows: Vec<Vec<String>> =
        groups.iter().enumerate().map(|(at, group)| cells(at, &group.name)).collect();
    text.push_str(&show::table(&heading, &rows));
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
            "l0_threshold": group.l0_threshold,
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

//! What is compared, by what and where: the options that `compare` and `report` share.

use clap::Args;
use framework::diagnostics::{Diagnostic, did_you_mean};

use crate::analysis::{Comparison, Runs};
use crate::exit::Failure;

#[derive(Args)]
pub struct Choice {
    /// What a method is: the values of these columns
    #[arg(long, value_name = "COLUMN", value_delimiter = ',', default_value = "penalty")]
    by: Vec<String>,
    /// The column that methods are compared by
    #[arg(long, value_name = "COLUMN", default_value = METRIC)]
    metric: String,
    /// The L0 at which methods are compared, as in l0=25 or l0=10,20; by default the targets of the
    /// runs, or some at which there is something to compare
    #[arg(long, value_name = "l0=N", value_parser = at)]
    at: Vec<At>,
}

const METRIC: &str = "test_mse";

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

impl Choice {
    /// The comparison of these runs.
    ///
    /// # Errors
    /// If no run has a column that is asked for.
    pub fn of(&self, runs: &Runs) -> Result<Comparison, Failure> {
        let known: Vec<&str> =
            runs.settings().iter().map(String::as_str).chain(["experiment"]).collect();
        let by: Result<Vec<String>, Diagnostic> =
            self.by.iter().map(|column| column_of(column, "--by", &known)).collect();
        let numbers = runs.table().columns().iter().map(|column| column.name.as_str());
        let numbers: Vec<&str> = numbers.filter(|name| runs.is_number(name)).collect();
        let metric = match self.metric.as_str() {
            // Where no run came to an end, none has the metric that nobody asked for.
            METRIC => Ok(METRIC.to_owned()),
            other => column_of(other, "--metric", &numbers),
        };
        match (by, metric) {
            (Ok(by), Ok(metric)) => {
                let at: Vec<f64> = self.at.iter().flat_map(|At(l0)| l0).copied().collect();
                Ok(Comparison::new(runs, &by, &metric, &at))
            }
            (by, metric) => {
                Err(Failure::Problems(by.err().into_iter().chain(metric.err()).collect()))
            }
        }
    }
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

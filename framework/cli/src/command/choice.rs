//! Options that `compare` and `report` share: what to compare, by which metric and at which L0.

use analysis::{Comparisons, Question, Runs};
use clap::Args;
use framework::diagnostics::{Diagnostic, did_you_mean};
use framework::plugin::Best;
use framework::search::Quantity;
use store::exit::Failure;

#[derive(Args)]
pub struct Choice {
    /// Columns whose values define a method
    #[arg(long, value_name = "COLUMN", value_delimiter = ',', default_value = "penalty")]
    by: Vec<String>,
    /// Columns whose values are paired and averaged over, like the seed
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    over: Vec<String>,
    /// Column to compare methods by; by default test_mse. If codes of a method are never 0, it is
    /// test_mse_thresholded, or, if all runs have it, the error with the same number of latents, as
    /// test_mse_at_10, which needs no L0
    #[arg(long, value_name = "COLUMN")]
    metric: Option<String>,
    /// Good values of a metric that does not define them itself: lowest, highest, or those near a number
    #[arg(long, value_name = "lowest|highest|VALUE", value_parser = best, allow_negative_numbers = true)]
    best: Option<Best>,
    /// L0 to compare methods at, such as l0=25 or l0=10,20, or share=0.1 of the latents, or mean_activation=0.05;
    /// by default the targets of the runs, or some L0 at which there is something to compare. Of an error with the
    /// same number of latents, plain numbers are these: 10,20
    #[arg(long, value_name = "l0=N|share=S|mean_activation=M", value_parser = at)]
    at: Vec<AtPlaces>,
    /// Columns of results to show of each setting beside the usual ones, as test_jacobian; `show` under
    /// [evaluate] says it for good
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    show: Vec<String>,
    /// Include runs that the experiment file no longer contains
    #[arg(long)]
    pub all: bool,
}

/// Places of one option.
#[derive(Clone)]
struct AtPlaces {
    numbers: Vec<f64>,
    /// Quantity that they are called values of.
    along: Option<Quantity>,
}

fn at(text: &str) -> Result<AtPlaces, String> {
    let (along, numbers) = match text.split_once('=') {
        None => (None, text),
        Some((name, numbers)) => {
            let key = name.trim().replace('-', "_");
            let known = Quantity::ALL.map(Quantity::key);
            let named = Quantity::ALL.into_iter().find(|quantity| quantity.key() == key);
            let help =
                || format!("`{name}` is no quantity to compare at; {}", did_you_mean(&key, &known));
            (Some(named.ok_or_else(help)?), numbers)
        }
    };
    let read = |number: &str| match (number.trim().parse::<f64>(), along) {
        (Ok(share), Some(Quantity::Share)) if share > 1.0 => Err(format!(
            "expected a share of the latents of at most 1 as in share=0.1, got `{number}`"
        )),
        (Ok(number), _) if number.is_finite() && number > 0.0 => Ok(number),
        (_, Some(Quantity::MeanActivation)) => {
            Err(format!("expected a mean above 0 as in mean_activation=0.05, got `{number}`"))
        }
        (_, Some(Quantity::Share)) => {
            Err(format!("expected a share of the latents as in share=0.1, got `{number}`"))
        }
        _ => Err(format!("expected a number of active latents as in l0=25, got `{number}`")),
    };
    let numbers = numbers.split(',').map(read).collect::<Result<_, _>>()?;
    Ok(AtPlaces { numbers, along })
}

fn best(text: &str) -> Result<Best, String> {
    match (text, text.parse::<f64>()) {
        ("lowest", _) => Ok(Best::Lowest),
        ("highest", _) => Ok(Best::Highest),
        (_, Ok(value)) if value.is_finite() => Ok(Best::Value(value)),
        _ => Err(format!("expected `lowest`, `highest` or a number, got `{text}`")),
    }
}

impl Choice {
    /// Compares the runs at the same L0 too, if `comparisons` are made with the same number of latents.
    pub fn by_l0(&self, runs: &Runs, comparisons: &Comparisons) -> Option<Comparisons> {
        let is_by_budget = comparisons.parts.iter().any(|part| part.budgets.is_some());
        let Comparisons { by, over, .. } = comparisons;
        let question =
            Question { by: by.clone(), over: over.clone(), by_l0: true, ..Question::default() };
        is_by_budget.then(|| Comparisons::new(runs, &question))
    }

    /// Compares these runs. Has them show the requested columns.
    ///
    /// # Errors
    /// If no run has a requested column, or a column both names methods and is averaged over.
    pub fn of(&self, runs: &mut Runs) -> Result<Comparisons, Failure> {
        let known: Vec<&str> =
            runs.settings().iter().map(String::as_str).chain(["experiment"]).collect();
        let mut problems = Vec::new();
        let by = set_of(&self.by, "--by", &known, &mut problems);
        let over = set_of(&self.over, "--over", &known, &mut problems);
        let numbers = runs.table().columns().iter().map(|column| column.name.as_str());
        let numbers: Vec<&str> = numbers.filter(|name| runs.is_number(name)).collect();
        let mut metric = None;
        if let Some(word) = &self.metric {
            match column_of(word, "--metric", &numbers) {
                Ok(column) => metric = Some(column),
                Err(problem) => problems.push(problem),
            }
        }
        if let Some(column) = by.iter().find(|column| over.contains(column)) {
            let message = format!("`{column}` both names methods (--by) and is averaged (--over)");
            problems.push(Diagnostic::nowhere(message));
        }
        let show = set_of(&self.show, "--show", &numbers, &mut problems);
        if !problems.is_empty() {
            return Err(Failure::Problems(problems));
        }
        let mut named = self.at.iter().filter_map(|places| places.along);
        let along = named.next();
        if let Some(other) = named.find(|other| Some(*other) != along) {
            let first = along.map_or("", Quantity::key);
            let message =
                format!("--at: methods are compared at {first} or at {}, not at both", other.key());
            return Err(Failure::Problems(vec![Diagnostic::nowhere(message)]));
        }
        runs.show(show.iter().map(String::as_str));
        let (best, by_l0) = (self.best, along.is_some());
        let at = self.at.iter().flat_map(|places| &places.numbers).copied().collect();
        Ok(Comparisons::new(runs, &Question { by, over, metric, best, at, along, by_l0 }))
    }
}

/// Returns the columns of these names, each once.
fn set_of(
    words: &[String],
    option: &str,
    known: &[&str],
    problems: &mut Vec<Diagnostic>,
) -> Vec<String> {
    let mut columns = Vec::new();
    for word in words {
        match column_of(word, option, known) {
            Ok(column) if columns.contains(&column) => {}
            Ok(column) => columns.push(column),
            Err(problem) => problems.push(problem),
        }
    }
    columns
}

/// Returns a column by its name, or by the dotted key of a setting.
fn column_of(word: &str, option: &str, known: &[&str]) -> Result<String, Diagnostic> {
    let name = word.strip_suffix(".kind").unwrap_or(word).replace(['.', '-'], "_");
    if known.contains(&name.as_str()) {
        return Ok(name);
    }
    let problem = Diagnostic::nowhere(format!("`{option} {word}`: no run has such a column"));
    let measured = format!("test_{name}");
    Err(problem.help(match known.contains(&measured.as_str()) {
        true => format!("did you mean `{measured}`?"),
        false => did_you_mean(&name, known),
    }))
}

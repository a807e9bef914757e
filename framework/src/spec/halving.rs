//! `[run] halving`: runs that do badly are stopped early, by successive halving. The runs of a grid are
//! compared at rungs, which stand at the same share of the steps of each; of those that came so far
//! only the best go on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::node::Node;
use super::numbers::{Factor, Rate, valid};
use super::settings::Settings;
use super::train::Parsed;
use crate::diagnostics::{Diagnostic, did_you_mean};
use crate::plugin::{Best, NamedEvaluation, When};

/// By what, and how early, runs are stopped that do badly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Halving {
    /// The metric that runs are compared by: one that is measured at every evaluation point.
    pub metric: String,
    /// Which of its values are the best; to be given where the metric does not say.
    #[serde(default)]
    pub best: Option<Best>,
    /// Of n runs that are compared, the best n / eta go on, rounded up.
    #[serde(default = "eta")]
    pub eta: Factor,
    /// After which share of their steps runs are compared first; then after eta times as many, and so
    /// on.
    #[serde(default = "first")]
    pub first: Rate,
    /// Axes of the grid, or `seed`, whose values are not compared with one another.
    #[serde(default)]
    pub within: Vec<String>,
}

fn eta() -> Factor {
    valid(3.0)
}

fn first() -> Rate {
    valid(1.0 / 9.0)
}

/// More rungs than anybody needs: eta is very near to 1.
const MAX_RUNGS: f64 = 32.0;

/// Where the runs of a grid are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rung {
    /// Which of the rungs it is, counted from 1.
    pub number: usize,
    /// How many there are.
    pub of: usize,
    /// After which share of a run's steps it stands.
    pub share: f64,
}

impl Rung {
    /// After which step of a run of so many it stands: never at the end, and of a run of one step
    /// before it.
    pub fn step(&self, steps: usize) -> usize {
        let step = (self.share * steps as f64).round() as usize;
        step.max(1).min(steps.saturating_sub(1))
    }
}

impl Halving {
    /// The rungs, the first one first. The end of a run is none.
    pub fn rungs(&self) -> Vec<Rung> {
        // A share that is 1 but for rounding is the end.
        let shares: Vec<f64> = (0..MAX_RUNGS as i32)
            .map(|number| self.first.get() * self.eta.get().powi(number))
            .take_while(|share| *share < 1.0 - 1e-9)
            .collect();
        let of = shares.len();
        let rung = |(at, share)| Rung { number: at + 1, of, share };
        shares.into_iter().enumerate().map(rung).collect()
    }

    /// How many of `n` runs go on from a rung.
    pub fn kept(&self, n: usize) -> usize {
        // Rounding must not add one to a number that eta divides.
        (n as f64 / self.eta.get() - 1e-9).ceil() as usize
    }

    /// A value of the metric such that less is better.
    pub fn cost(&self, value: f64) -> f64 {
        match self.best {
            Some(Best::Highest) => -value,
            Some(Best::Value(best)) => (value - best).abs(),
            Some(Best::Lowest) | None => value,
        }
    }

    /// Reads the table. What it names is looked for among `evaluations` and `axes`, where these are
    /// known.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn read(
        node: &Node,
        evaluations: Option<&[NamedEvaluation]>,
        axes: Option<&[&str]>,
    ) -> Parsed<Self> {
        if node.as_table().is_none() {
            let message = format!("`run.halving` is a table, got {}", node.type_name());
            let help = "as in halving = { metric = \"test_mse\" }";
            return Err(vec![Diagnostic::at(&node.origin, message).help(help)]);
        }
        let settings = Settings::new("run.halving", node.clone());
        let mut read: Self = settings.read()?;
        let mut problems = Vec::new();
        let steepness = read.eta.get().ln();
        if -read.first.get().ln() / steepness > MAX_RUNGS {
            let message = format!("more than {MAX_RUNGS} rungs would follow; take a larger eta");
            problems.push(settings.problem("eta", message));
        }
        if let Some(evaluations) = evaluations {
            match find(&read.metric, evaluations) {
                Ok((_, direction)) => {
                    read.best = read.best.or(direction);
                    if read.best.is_none() {
                        let message = format!("`{}` may be good low or high", read.metric);
                        let help = "say which: best = \"lowest\" or best = \"highest\"";
                        problems.push(settings.problem("metric", message).help(help));
                    }
                }
                Err((message, help)) => {
                    problems.push(settings.problem("metric", message).help(help));
                }
            }
        }
        if let Some(axes) = axes {
            let known: Vec<&str> = axes.iter().copied().chain(["seed"]).collect();
            for name in read.within.iter().filter(|name| !known.contains(&name.as_str())) {
                let message = format!("`{name}` is no axis of the grid");
                let help = did_you_mean(name, &known);
                problems.push(settings.problem("within", message).help(help));
            }
        }
        if problems.is_empty() { Ok(read) } else { Err(problems) }
    }
}

/// The metric of this name among those that are measured at every point; else what is wrong, and
/// help.
fn find(
    name: &str,
    evaluations: &[NamedEvaluation],
) -> Result<(String, Option<Best>), (String, String)> {
    let (always, late): (Vec<_>, Vec<_>) =
        evaluations.iter().partition(|one| one.plugin().when() == When::EveryPoint);
    let metrics = |of: Vec<&NamedEvaluation>| -> Vec<(String, Option<Best>)> {
        of.into_iter().flat_map(NamedEvaluation::metrics).collect()
    };
    let (always, late) = (metrics(always), metrics(late));
    if let Some(found) = always.iter().find(|(known, _)| known == name) {
        return Ok(found.clone());
    }
    let names: Vec<&str> = always.iter().map(|(name, _)| name.as_str()).collect();
    let message = if late.iter().any(|(known, _)| known == name) {
        format!("`{name}` is measured at the end of a run only")
    } else {
        format!("no evaluation of this experiment measures `{name}`")
    };
    Err((message, did_you_mean(name, &names)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halving(eta: f64, first: f64) -> Halving {
        let (eta, first) = (valid(eta), valid(first));
        Halving { metric: "test_mse".into(), best: None, eta, first, within: Vec::new() }
    }

    #[test]
    fn rungs_stand_at_powers_of_eta_and_never_at_the_end() {
        let shares = |eta, first| -> Vec<f64> {
            halving(eta, first).rungs().iter().map(|rung| rung.share).collect()
        };
        assert_eq!(shares(3.0, 1.0 / 9.0).len(), 2, "1/9 and 1/3: 1 is the end");
        assert_eq!(shares(2.0, 0.25), [0.25, 0.5]);
        assert_eq!(shares(10.0, 0.5), [0.5]);
        let rungs = halving(3.0, 0.1).rungs();
        let steps: Vec<usize> = rungs.iter().map(|rung| rung.step(1000)).collect();
        assert_eq!(steps, [100, 300, 900]);
        assert_eq!((rungs[2].number, rungs[2].of), (3, 3));
    }

    #[test]
    fn a_rung_lies_within_a_run_however_short_it_is() {
        let rung = Rung { number: 1, of: 1, share: 0.9 };
        assert_eq!([1, 2, 3, 10].map(|steps| rung.step(steps)), [0, 1, 2, 9]);
        assert_eq!(Rung { share: 0.001, ..rung }.step(10), 1);
    }

    #[test]
    fn as_many_go_on_as_eta_says_rounded_up() {
        let kept = |eta, n| halving(eta, 0.1).kept(n);
        assert_eq!([0, 1, 2, 3, 4, 27].map(|n| kept(3.0, n)), [0, 1, 1, 1, 2, 9]);
        assert_eq!(kept(1.1, 11), 10);
        assert_eq!(kept(1e9, 5), 1);
    }
}

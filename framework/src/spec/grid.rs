//! The grid: every combination of the axes' values and the seeds, as runs.

use std::collections::HashMap;
use std::iter;
use std::sync::Arc;

use serde_json::Value as Json;

use super::axis::{Axis, Place};
use super::exclude::Excludes;
use super::experiment::Experiment;
use super::node::Node;
use super::run::{RunId, RunSpec};
use super::sections::{Parts, Sections};
use super::sweep::WhenBlock;
use super::target::STEERED_UNTIL;
use super::train::Parsed;
use crate::diagnostics::{Diagnostic, ENOUGH, Severity, without_repeats};
use crate::plugin::{StrengthKey, Unfit};

/// The most runs a grid may have, those that are excluded among them.
pub const MAX_RUNS: usize = 1_000_000;

/// A grid as runs.
pub struct Expanded {
    /// The runs.
    pub runs: Vec<RunSpec>,
    /// How many more the rules of `[[grid.exclude]]` have left out.
    pub excluded: usize,
    /// What is no mistake, but probably not what was meant.
    pub warnings: Vec<Diagnostic>,
}

impl Experiment {
    /// Every run of the grid, as [`Experiment::expand`] finds them.
    ///
    /// # Errors
    /// As there.
    pub fn runs(&self) -> Result<Vec<RunSpec>, Vec<Diagnostic>> {
        Ok(self.expand()?.runs)
    }

    /// Every run of the grid: dimensions in the order of the file, the last one fastest, and each
    /// point with all seeds. The runs that meet a rule of `[[grid.exclude]]` are left out; that may be
    /// all of them.
    ///
    /// # Errors
    /// Everything that is wrong with a section of a run; more runs than [`MAX_RUNS`]; two points that
    /// are the same run; rules on settings that no run has.
    pub fn expand(&self) -> Result<Expanded, Vec<Diagnostic>> {
        let mut sections = Sections::new(self);
        let (places, idle_blocks) = self.places(&mut sections)?;
        let mut excludes = Excludes::new(&self.sweep.exclude);
        let mut runs = Vec::with_capacity(places.len() * self.seeds.len());
        let mut known: HashMap<RunId, &Place> = HashMap::with_capacity(runs.capacity());
        let mut problems = Vec::new();
        let words: Vec<Vec<String>> = self
            .sweep
            .axes
            .iter()
            .map(|axis| axis.values.iter().map(Node::to_words).collect())
            .collect();
        for place in &places {
            if problems.len() >= ENOUGH {
                break;
            }
            let chosen = sections.at(place);
            let seeds = excludes.seeds_left(&sections.facts(chosen), &self.seeds);
            if seeds.is_empty() {
                continue;
            }
            let Some(parts) = sections.parts(place, chosen) else { continue };
            if let Some(problem) = self.target_misfit(place, &parts) {
                problems.push(problem);
                continue;
            }
            let value = |(axis, words): (&Axis, &Vec<String>)| {
                Some((axis.name.clone(), words[axis.index(place)?].clone()))
            };
            let point: Arc<[_]> = self.sweep.axes.iter().zip(&words).filter_map(value).collect();
            for seed in seeds {
                let id = RunSpec::name(&parts, seed);
                if let Some(first) = known.insert(id.clone(), place) {
                    problems.push(self.same_run(first, place));
                    break;
                }
                runs.push(RunSpec { id, seed, parts: parts.clone(), point: point.clone() });
            }
        }
        let wrong = sections.problems();
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let idle = idle_blocks.iter().map(|when| (&when.rule, "this block applies to no run"));
        let idle = idle.chain(excludes.idle().map(|rule| (rule, "this rule excludes no run")));
        let idle: Vec<_> = idle.collect();
        let mut warnings = self.sweep.warnings.clone();
        if !idle.is_empty() {
            let known = sections.known(&self.seeds);
            let found = idle.iter().flat_map(|(rule, message)| rule.explain(message, &known));
            let (errors, rest): (Vec<_>, Vec<_>) =
                found.partition(|problem| problem.severity == Severity::Error);
            problems.extend(errors);
            warnings.extend(rest);
        }
        if problems.is_empty() {
            Ok(Expanded { runs, excluded: excludes.count, warnings })
        } else {
            Err(without_repeats(problems))
        }
    }

    /// Every point of the grid, and the blocks `[[grid.when]]` that apply to none. The conditions of
    /// a block are about what a run is before the block; how many points there will be is known before
    /// they are made.
    fn places(&self, sections: &mut Sections<'_>) -> Parsed<(Vec<Box<Place>>, Vec<&WhenBlock>)> {
        let lengths = self.sweep.dimensions();
        let first = self.sweep.when.first().map_or(lengths.len(), |when| when.dimensions.start);
        self.check_size(product(&lengths[..first]), self.sweep.when.is_empty())?;
        let nowhere: Box<Place> = iter::repeat_n(None, lengths.len()).collect();
        let mut places = vary(nowhere, &lengths, 0..first);
        let mut idle = Vec::new();
        for (at, when) in self.sweep.when.iter().enumerate() {
            let mut holds = Vec::with_capacity(places.len());
            for place in &places {
                let chosen = sections.at(place);
                holds.push(when.rule.holds(&sections.facts(chosen)));
            }
            let applies = holds.iter().filter(|holds| **holds).count();
            if applies == 0 {
                idle.push(when);
                continue;
            }
            let each = product(&lengths[when.dimensions.clone()]);
            let size = applies.saturating_mul(each).saturating_add(places.len() - applies);
            self.check_size(size, at + 1 == self.sweep.when.len())?;
            let held = places.iter().zip(&holds).filter(|(_, holds)| **holds);
            self.check_overlap(when, held.map(|(place, _)| &**place))?;
            let mut varied = Vec::with_capacity(size);
            for (place, holds) in places.into_iter().zip(holds) {
                match holds {
                    true => varied.append(&mut vary(place, &lengths, when.dimensions.clone())),
                    false => varied.push(place),
                }
            }
            places = varied;
        }
        Ok((places, idle))
    }

    /// Refuses a grid that is too large before any of it is made; `whole`: nothing is added to the
    /// points.
    fn check_size(&self, points: usize, whole: bool) -> Result<(), Vec<Diagnostic>> {
        let size = points.saturating_mul(self.seeds.len());
        if size <= MAX_RUNS {
            return Ok(());
        }
        let mut largest: Vec<&Axis> = self.sweep.axes.iter().collect();
        largest.sort_by_key(|axis| std::cmp::Reverse(axis.len()));
        let axes: Vec<String> = largest
            .iter()
            .take(3)
            .map(|axis| format!("`{}` with {} values", axis.name, axis.len()))
            .collect();
        let at_least = if whole { "" } else { "at least " };
        let message =
            format!("this grid has {at_least}{size} runs; at most {MAX_RUNS} are allowed");
        let origin = largest.first().map_or(&self.origin, |axis| &axis.origin);
        let help = format!("the largest axes: {}", axes.join(", "));
        Err(vec![Diagnostic::at(origin, message).help(help)])
    }

    /// Two blocks may have an axis over the same key only if no run is in both.
    fn check_overlap<'a>(
        &self,
        when: &WhenBlock,
        places: impl Iterator<Item = &'a Place> + Clone,
    ) -> Result<(), Vec<Diagnostic>> {
        let own = |axis: &&Axis| when.dimensions.contains(&axis.dimension);
        for axis in self.sweep.axes.iter().filter(own) {
            let mut others =
                self.sweep.axes.iter().filter(|other| {
                    other.path == axis.path && other.dimension < when.dimensions.start
                });
            let twice = others.find(|other| places.clone().any(|at| other.value(at).is_some()));
            if let Some(first) = twice {
                let message = format!(
                    "the axis `{}` is there twice for a run that is in both blocks",
                    axis.name
                );
                let problem = Diagnostic::at(&axis.origin, message);
                return Err(vec![problem.related(&first.origin, "the first")]);
            }
        }
        Ok(())
    }

    /// What keeps the target of a run from being searched for.
    fn target_misfit(&self, place: &Place, parts: &Parts) -> Option<Diagnostic> {
        let target = parts.target.value?;
        let key = target.wanted().0.key();
        let is_search = target.method.is_search();
        if self.run.halving.is_some() {
            let (message, help) = match is_search {
                true => (
                    "runs that have their strength found cannot be halved too",
                    "each trains several models: leave out `[target]` or `run.halving`",
                ),
                false => (
                    "runs whose weights are steered cannot be halved too",
                    "they come to their target after the rungs: leave out `[target]` or `run.halving`",
                ),
            };
            return Some(Diagnostic::at(&self.place_of("target", key), message).help(help));
        }
        let penalty = &parts.penalty.value;
        let Some(strength) = penalty.plugin.strength() else {
            let problem = match penalty.plugin.lacks_strength() {
                Some(Unfit { key, message }) => penalty.settings.problem(key, message),
                None => {
                    let kind = penalty.kind;
                    let message =
                        format!("penalty `{kind}` has no strength that could lead to a target");
                    Diagnostic::at(penalty.settings.origin_of("kind"), message)
                }
            };
            return Some(problem.related(&self.place_of("target", key), "the target"));
        };
        let architecture = &parts.architecture.value;
        if let Some(message) = target.misfit(architecture.plugin.code_range()) {
            let problem = Diagnostic::at(&self.place_of("target", key), message)
                .related(architecture.settings.origin_of("activation"), "the codes");
            return Some(problem.help("`l0` and `share` count active latents, whatever the codes"));
        }
        if !is_search && let Some(problem) = self.control_misfit(parts, strength) {
            return Some(problem);
        }
        if parts.penalty.settings.get(strength.key()).and_then(Json::as_f64) == Some(0.0) {
            let message = match is_search {
                true => "the search for a target starts at a strength greater than 0",
                false => "a weight that is steered to a target starts above 0",
            };
            return Some(penalty.settings.problem(strength.key(), message));
        }
        let is_strength = |axis: &&Axis| axis.path == ["penalty", strength.key()];
        let mut axes = self.sweep.axes.iter().filter(is_strength);
        let axis = axes.find(|axis| axis.value(place).is_some())?;
        let done = if is_search { "find" } else { "steer" };
        let message = format!(
            "the axis `{}` varies what the target has the program {done}; leave one of them out",
            axis.name
        );
        let problem = Diagnostic::at(&axis.origin, message);
        Some(problem.related(&self.place_of("target", key), "the target"))
    }

    /// What keeps an L0 controller from steering a run to its target.
    fn control_misfit(&self, parts: &Parts, strength: StrengthKey) -> Option<Diagnostic> {
        let (target, penalty) = (parts.target.value?, &parts.penalty.value);
        let place = self.place_of("target", "method");
        let search = r#"`method = "search"`, the default, finds the strength by several trainings"#;
        if target.mean_activation.is_some() {
            let message = "target: method: `control` follows the number of active latents, and no mean activation";
            let problem = Diagnostic::at(&place, message);
            let problem =
                problem.related(&self.place_of("target", "mean_activation"), "the target");
            return Some(problem.help(search));
        }
        if let StrengthKey::Count(key) | StrengthKey::MeanCount(key) = strength {
            let message = format!(
                "target: method: `control` steers weights, and `{key}` of penalty `{}` is a number of latents",
                penalty.kind
            );
            let problem = Diagnostic::at(&place, message);
            let problem = problem.related(penalty.settings.origin_of("kind"), "the penalty");
            return Some(problem.help(search));
        }
        if parts.train.value.penalty_warmup >= STEERED_UNTIL {
            let message = format!(
                "`control` steers from the end of the warm-up until {STEERED_UNTIL} of the steps are done"
            );
            let problem = self.train_problem("penalty_warmup", &message);
            return Some(problem.related(&place, "the controller"));
        }
        None
    }

    /// What is wrong where the rules of `[[grid.exclude]]` have `excluded` all runs.
    pub fn none_left(&self, excluded: usize) -> Diagnostic {
        let message =
            format!("no run is left: each of the {excluded} runs of this grid is excluded");
        let (first, rest) = match self.sweep.exclude.split_first() {
            Some((first, rest)) => (&first.origin, rest),
            None => (&self.origin, &[][..]),
        };
        let problem = Diagnostic::at(first, message)
            .help("a run is excluded where all conditions of one rule hold");
        rest.iter().fold(problem, |problem, rule| {
            problem.related(&rule.origin, "this rule excludes runs too")
        })
    }

    /// Two places in the grid that mean the same.
    fn same_run(&self, first: &Place, second: &Place) -> Diagnostic {
        let words = |place: &Place| {
            let value =
                |axis: &Axis| Some(format!("{} = {}", axis.name, axis.value(place)?.to_toml()));
            self.sweep.axes.iter().filter_map(value).collect::<Vec<_>>().join(", ")
        };
        let (one, other) = (words(first), words(second));
        let message = format!("two points of the grid are the same run: ({one}) and ({other})");
        let differs = |axis: &&Axis| axis.index(first) != axis.index(second);
        let axis = self.sweep.axes.iter().find(differs);
        let value = |place| axis.and_then(|axis: &Axis| axis.value(place));
        match (value(second), value(first)) {
            (Some(second), Some(first)) => Diagnostic::at(&second.origin, message)
                .related(&first.origin, "the same meaning as this"),
            (Some(only), None) | (None, Some(only)) => Diagnostic::at(&only.origin, message)
                .help("a run that this axis does not apply to has this value already"),
            (None, None) => Diagnostic::at(&self.origin, message),
        }
    }
}

/// How many points dimensions of these lengths have.
fn product(lengths: &[usize]) -> usize {
    lengths.iter().fold(1, |size, length| size.saturating_mul(*length))
}

/// A place once for every point of these dimensions, the last one fastest.
fn vary(place: Box<Place>, lengths: &[usize], over: std::ops::Range<usize>) -> Vec<Box<Place>> {
    let mut places = vec![place];
    for dimension in over {
        let mut varied = Vec::with_capacity(places.len() * lengths[dimension]);
        for place in places {
            for index in 0..lengths[dimension] {
                let mut next = place.clone();
                // An axis has a million values at most.
                next[dimension] = Some(index as u32);
                varied.push(next);
            }
        }
        places = varied;
    }
    places
}

//! Opens the data of runs and refuses runs whose parts do not fit together, before anything trains.

mod initial;
mod objective;
mod opened;

pub use opened::{Opened, open_data};

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use self::initial::{InitialChecks, start_misfits};
use self::objective::{TargetRanges, decoder_misfit};
use crate::diagnostics::{Diagnostic, without_repeats};
use crate::dims::Latent;
use crate::engine::{ENGINES, EngineChoice, EngineKind};
use crate::model::{Declaration, Definition};
use crate::plugin::{CodeFacts, Data, NamedAuxiliary, NamedEvaluation, SampleShape, Split, Unfit};
use crate::search::{Goal, Quantity};
use crate::spec::{BatchOrder, Experiment, RunSpec};

/// Largest number of latents that a model may have.
const MAX_LATENTS: usize = 1 << 24;

/// Largest number of bytes that parameters and moments may take: 1 TiB.
const MAX_BYTES: u128 = 1 << 40;

/// Checks that the parts of one run fit together and fit the shape of `data`, whichever dataset the run names.
///
/// # Errors
/// Every misfit, at the setting at fault.
pub fn check_run(
    experiment: &Experiment,
    run: &RunSpec,
    data: &dyn Data,
) -> Result<(), Vec<Diagnostic>> {
    let mut problems = misfits(experiment, run, data, &mut ParameterCounts::default());
    problems.extend(corruption_misfit(run, data));
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Checks that the parts of every run fit together and that the evaluations have what they need. Returns
/// warnings about evaluations whose numbers will say little, and about terms that make little sense.
///
/// # Errors
/// Every misfit, at the setting at fault.
pub fn check_fit(
    experiment: &Experiment,
    runs: &[RunSpec],
    opened: &mut Opened,
) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    let (mut seen, mut doubted) = (HashSet::new(), HashSet::new());
    let (mut counts, mut ranges) = (ParameterCounts::default(), TargetRanges::default());
    let mut initials = InitialChecks::default();
    for run in runs {
        if seen.insert(run.addresses()) {
            match opened.get(&run.dataset) {
                Ok(data) => {
                    problems.extend(misfits(experiment, run, &*data, &mut counts));
                    let dataset = run.dataset.value.dataset.settings.origin_of("kind");
                    let name_it =
                        |found: Diagnostic| found.related(dataset, "the dataset it does not fit");
                    problems.extend(corruption_misfit(run, &*data).map(name_it));
                    match initials.check(run, data.shape()) {
                        Ok(warning) => warnings.extend(warning),
                        Err(problem) => problems.push(problem),
                    }
                    let range = ranges.misfit(run, &*data);
                    problems.extend(range.map(|what| experiment.train_problem("objective", &what)));
                    warnings.extend(doubtful_terms(run, &*data));
                    if doubted.insert(Arc::as_ptr(&run.dataset)) {
                        warnings.extend(doubts(experiment, &*data));
                    }
                }
                Err(problem) => problems.push(problem),
            }
        }
    }
    if problems.is_empty() { Ok(without_repeats(warnings)) } else { Err(without_repeats(problems)) }
}

/// Returns the warnings of the evaluations about the data.
fn doubts(experiment: &Experiment, data: &dyn Data) -> Vec<Diagnostic> {
    let doubt = |NamedEvaluation { built, .. }: &NamedEvaluation| {
        // Data that does not fit is already an error.
        built.plugin.fits(data).ok()?;
        let Unfit { key, message } = built.plugin.doubt(data)?;
        Some(built.settings.problem(key, message).warning())
    };
    experiment.evaluate.evaluations.iter().filter_map(doubt).collect()
}

/// Returns the warnings of the penalty and the auxiliaries of a run about its codes.
fn doubtful_terms(run: &RunSpec, data: &dyn Data) -> Vec<Diagnostic> {
    let (facts, penalty) = (code_facts(run, data), &run.penalty.value);
    let own = penalty.plugin.doubt(&facts).map(|unfit| (&penalty.settings, unfit));
    let beside = run.auxiliary.value.iter().filter(|_| !penalty.plugin.leaves_zeros());
    let beside = beside.filter_map(|NamedAuxiliary { built, .. }| {
        Some((&built.settings, built.plugin.doubt(&facts)?))
    });
    let codes = run.architecture.value.settings.origin_of("activation");
    own.into_iter()
        .chain(beside)
        .map(|(settings, Unfit { key, message })| {
            settings.problem(key, message).warning().related(codes, "what makes the codes")
        })
        .collect()
}

/// What penalties and auxiliaries may want to know of a run.
fn code_facts(run: &RunSpec, data: &dyn Data) -> CodeFacts {
    let architecture = &*run.architecture.value.plugin;
    CodeFacts {
        latents: architecture.latents(),
        range: architecture.code_range(),
        offers: architecture.offers(),
        classes: data.labels(Split::Train).map_or(0, |_| data.class_names().len()),
    }
}

fn misfits(
    experiment: &Experiment,
    run: &RunSpec,
    data: &dyn Data,
    counts: &mut ParameterCounts,
) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let architecture = &run.architecture.value;
    let mut unfit_architecture =
        |unfit: Unfit| problems.push(architecture.settings.problem(unfit.key, unfit.message));
    let sample = data.shape();
    let latents = architecture.plugin.latents();
    if latents == 0 || latents > MAX_LATENTS {
        let message = format!("a code has 1 to {MAX_LATENTS} latents, got {latents}");
        unfit_architecture(Unfit::new("latents", message));
        return problems;
    }
    if let Err(unfit) = architecture.plugin.fits(&sample) {
        unfit_architecture(unfit);
        return problems;
    }
    let bytes = bytes_of(counts.count(run, sample));
    if bytes > MAX_BYTES {
        let tebibytes = bytes as f64 / MAX_BYTES as f64;
        let needed = match tebibytes {
            few if few < 1e6 => format!("{few:.1} TiB"),
            _ => "more than a million TiB".to_owned(),
        };
        let message =
            format!("parameters and moments would take {needed}; at most 1 TiB is allowed");
        unfit_architecture(Unfit::new(architecture.plugin.size_setting(), message));
    }

    let penalty = &run.penalty.value;
    let facts = code_facts(run, data);
    let other = penalty.plugin.activation().filter(|activation| activation.range() != facts.range);
    let is_setting = run.architecture.settings.contains_key("activation");
    if let Some(activation) = other.filter(|_| is_setting) {
        let (name, kind) = (serde_json::json!(activation), penalty.kind);
        let message = format!("penalty `{kind}` needs `activation = {name}`");
        let problem = architecture.settings.problem("activation", message);
        problems.push(problem.related(penalty.settings.origin_of("kind"), "the penalty"));
    } else if let Err(unfit) = penalty.plugin.fits(&facts) {
        let problem = penalty.settings.problem(unfit.key, unfit.message);
        let label = "the architecture it does not fit";
        problems.push(problem.related(architecture.settings.origin_of("kind"), label));
    }
    for NamedAuxiliary { built, .. } in &run.auxiliary.value {
        if let Err(unfit) = built.plugin.fits(&facts) {
            let problem = built.settings.problem(unfit.key, unfit.message);
            let label = "the architecture it does not fit";
            problems.push(problem.related(architecture.settings.origin_of("kind"), label));
        }
    }
    let is_too_many = |goal: &Goal| goal.quantity == Quantity::L0 && goal.value > latents as f64;
    if let Some(goal) = run.goal().filter(is_too_many) {
        let message = format!("target: l0: of {latents} latents, {} cannot be active", goal.value);
        let problem = Diagnostic::at(&experiment.place_of("target", "l0"), message);
        problems.push(problem.related(architecture.settings.origin_of("latents"), "the latents"));
    }
    for NamedEvaluation { built: evaluation, .. } in &experiment.evaluate.evaluations {
        if let Err(unfit) = evaluation.plugin.fits(data) {
            problems.push(evaluation.settings.problem(unfit.key, unfit.message));
        }
    }
    if run.train.value.batches == BatchOrder::Stratified && data.labels(Split::Train).is_none() {
        let message = "`stratified` batches need labels, and the dataset has none";
        problems.push(experiment.train_problem("batches", message));
    }
    if let Some(message) = decoder_misfit(run) {
        let problem = experiment.train_problem("objective", &message);
        let label = "the architecture it does not fit";
        problems.push(problem.related(architecture.settings.origin_of("kind"), label));
    }
    problems.extend(start_misfits(run, sample));
    problems.extend(engine_misfit(experiment, run));
    problems
}

/// Returns why the corruption of a run does not fit the samples.
fn corruption_misfit(run: &RunSpec, data: &dyn Data) -> Option<Diagnostic> {
    let corruption = &run.corruption.value;
    let Unfit { key, message } = corruption.plugin.fits(&data.shape()).err()?;
    Some(corruption.settings.problem(key, message))
}

/// Counts the numbers that runs learn, from their declarations, without allocating them. Runs of one grid
/// share their architectures; the declarations of each architecture are read once.
#[derive(Default)]
pub struct ParameterCounts {
    /// Counts by the address of the architecture's section and the shape of a sample.
    of_architectures: HashMap<(usize, SampleShape), u128>,
}

impl ParameterCounts {
    /// Returns how many numbers a run learns from samples of this shape, at most `u128::MAX`. The runs
    /// must live as long as the counts, which know architectures by their addresses.
    pub fn count(&mut self, run: &RunSpec, sample: SampleShape) -> u128 {
        let architecture = &run.architecture;
        let known = self.of_architectures.entry((Arc::as_ptr(architecture).addr(), sample));
        let plugin = &architecture.value.plugin;
        let shared = *known.or_insert_with(|| numbers(&plugin.parameters(sample)));
        let latents = Latent(plugin.latents());
        let mut own = run.penalty.value.plugin.parameters(latents);
        let auxiliaries = run.auxiliary.value.iter();
        own.extend(auxiliaries.flat_map(|auxiliary| auxiliary.built.plugin.parameters(latents)));
        shared.saturating_add(numbers(&own))
    }
}

fn numbers(declared: &[Declaration]) -> u128 {
    let of = |sizes: &[usize]| {
        sizes.iter().fold(1_u128, |product, size| product.saturating_mul(*size as u128))
    };
    declared.iter().map(|parameter| of(&parameter.shape)).fold(0, u128::saturating_add)
}

/// Returns the bytes that the parameters of a run and their two moments take, at four bytes a number.
pub fn parameter_bytes(run: &RunSpec, sample: SampleShape) -> u128 {
    bytes_of(ParameterCounts::default().count(run, sample))
}

fn bytes_of(parameters: u128) -> u128 {
    parameters.saturating_mul(4 * 3)
}

/// Returns a problem if the engine that the file asks for does not cover the run in the precision it asks
/// for.
fn engine_misfit(experiment: &Experiment, run: &RunSpec) -> Option<Diagnostic> {
    let (train, definition) = (&run.train.value, Definition::of(run));
    let (EngineChoice(named), engine) = (train.engine, EngineKind::of(run));
    let (key, message) = if let Err(reason) = (engine.covers)(&definition) {
        let other = EngineKind::covering(&definition).name;
        ("engine", format!("{reason}; `auto` takes the {other} engine for this run"))
    } else if !engine.precisions.contains(&train.precision) {
        let only = format!("the {} engine trains in `f32` only", engine.name);
        // Why none of the engines that have this precision was taken.
        let able = ENGINES.iter().filter(|other| other.precisions.contains(&train.precision));
        let mut reasons = able.filter_map(|other| (other.covers)(&definition).err());
        let reason = reasons.next().filter(|_| named.is_none());
        ("precision", reason.map_or(only.clone(), |reason| format!("{reason}, and {only}")))
    } else {
        return None;
    };
    Some(experiment.train_problem(key, &message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Init;

    #[test]
    fn sizes_beyond_all_numbers_are_as_many_as_fit() {
        let declared = |shape: &[usize]| vec![Declaration::new("w", shape, Init::Zeros)];
        assert_eq!(numbers(&declared(&[1_000_000_000_000, 64])), 64_000_000_000_000);
        assert_eq!(numbers(&declared(&[usize::MAX; 3])), u128::MAX);
        assert_eq!(bytes_of(u128::MAX), u128::MAX);
    }
}

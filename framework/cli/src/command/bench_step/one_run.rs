//! The run whose steps are timed: an experiment made from the options, read and checked like a file.

use std::path::PathBuf;

use framework::diagnostics::Diagnostic;
use framework::fit::{check_run, parameter_bytes};
use framework::plugin::{CodeRange, DATASETS, Data, SampleShape, sorted};
use framework::spec::{Expanded, Experiment, Override, RunSpec};
use serde_json::json;
use store::exit::Failure;
use store::provenance;

use super::Arguments;
use super::activity::gates;
use super::samples::{BATCHES, NormalSamples};

/// Sections that decide nothing about a step: setting them would change no time.
const NO_PART_OF_A_STEP: [&str; 6] = ["dataset", "target", "init", "evaluate", "run", "slurm"];

/// Returns the run whose steps are timed, read and checked like a run of an experiment file.
pub fn read_run(arguments: &Arguments) -> Result<RunSpec, Failure> {
    let here = std::env::current_dir().unwrap_or_default();
    let overrides: Vec<Override> =
        arguments.sets.iter().map(|set| Override::new(set.as_str(), &here)).collect();
    check_sections(&overrides)?;
    let name = "bench-step".to_owned();
    let experiment = Experiment::parse(name, PathBuf::new(), experiment(arguments), &overrides)?;
    let Expanded { mut runs, excluded, .. } = experiment.expand()?;
    if runs.len() > 1 {
        let message = format!("`bench-step` times one run; these settings make {}", runs.len());
        return Err(vec![Diagnostic::nowhere(message)].into());
    }
    let Some(run) = runs.pop() else {
        return Err(Failure::NoRuns(experiment.none_left(excluded)));
    };
    // Batches are not made before it is known that they fit into memory; they are like these.
    let samples = NormalSamples::new(arguments.input.get(), 1);
    check_run(&experiment, &run, &samples)?;
    check_memory(&run, samples.shape())?;
    let architecture = &run.architecture.value.plugin;
    let penalty = &*run.penalty.value.plugin;
    let has_gates = gates(penalty, architecture.latents()).is_some();
    let is_rectified = architecture.code_range() == CodeRange::NonNegative;
    let is_cut = is_rectified || has_gates || penalty.thresholds().is_some();
    if arguments.density.is_some() && !is_cut {
        let message = "`--density` is for codes that are 0 below a threshold; those of this \
                       architecture are not";
        let help = "activation `relu` and the penalties `jump-relu` and `gated` have them";
        return Err(vec![Diagnostic::nowhere(message).help(help)].into());
    }
    Ok(run)
}

/// Returns the text of the experiment that the options describe.
fn experiment(arguments: &Arguments) -> String {
    let Arguments { latents, batch, .. } = arguments;
    let string = |text: &str| json!(text).to_string();
    // An experiment needs a dataset. The first known one stands in for the random numbers; it is not opened.
    let dataset = sorted(&DATASETS);
    let dataset = dataset.first().map_or(String::new(), |dataset| {
        format!("[dataset]\nkind = \"{}\"\n{}\n", dataset.name, dataset.example)
    });
    // Settings of one architecture are written only if asked for: `--set` may name another, which has others.
    let activation = arguments.activation.as_deref();
    let activation =
        activation.map_or(String::new(), |name| format!("activation = {}\n", string(name)));
    let tied = if arguments.tied { "tied = true\n" } else { "" };
    format!(
        "name = \"bench-step\"\n\
         penalty = {penalty}\n\
         [architecture]\n\
         kind = \"dense\"\n\
         latents = {latents}\n\
         {activation}{tied}\
         [train]\n\
         batch = {batch}\n\
         engine = {engine}\n\
         precision = {precision}\n\
         {dataset}",
        // On one line, the option holds one value and cannot add other settings.
        penalty = arguments.penalty.replace(['\n', '\r'], " "),
        engine = string(&arguments.engine),
        precision = string(&arguments.precision),
    )
}

/// Refuses settings of sections that decide nothing about a step.
fn check_sections(overrides: &[Override]) -> Result<(), Vec<Diagnostic>> {
    let problem = |set: &Override| {
        let section = set.section()?;
        let known = NO_PART_OF_A_STEP.into_iter().find(|known| *known == section)?;
        let message = format!("`--set {}`: `{known}` is no part of a step", set.text);
        let help = "the samples are normal random numbers, `--input` of them each; nothing is \
                    evaluated, stored or searched for";
        Some(Diagnostic::nowhere(message).help(help))
    };
    let problems: Vec<Diagnostic> = overrides.iter().filter_map(problem).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Refuses a run that does not fit into this machine's memory, before anything is allocated.
fn check_memory(run: &RunSpec, sample: SampleShape) -> Result<(), Failure> {
    let latents = run.architecture.value.plugin.latents();
    let of_sample = (BATCHES * sample.inputs() + latents) as u128;
    let needed = parameter_bytes(run, sample) + 4 * run.train.value.batch as u128 * of_sample;
    let there = provenance::memory().unwrap_or(u64::MAX);
    if needed <= u128::from(there) {
        return Ok(());
    }
    let gib = |bytes: f64| bytes / f64::from(1 << 30);
    let message = format!(
        "parameters, moments, batches and a code would take {:.1} GiB; this machine has {:.1}",
        gib(needed as f64),
        gib(there as f64)
    );
    Err(vec![Diagnostic::nowhere(message)].into())
}

//! Measuring a stored model: what was asked for after it was trained.

use framework::dims::Input;
use framework::evaluate::Evaluator;
use framework::plugin::{Data, Evaluation, LatentColumn, Measured, When};
use framework::spec::{Opened, RunSpec};
use tables::{Table, Values};

use super::execute::{Stop, failed};
use super::outcome::{Files, Outcome, Task, parquet};
use super::search::said;
use crate::store::{self, Manifest, RunState, Status};

/// Measures a stored model: what was measured before stays, what was missing is added.
pub fn evaluate(task: &Task<'_>, missing: &[String], opened: &mut Opened) -> Result<Outcome, Stop> {
    let (context, run) = (task.context, task.run);
    let RunState::Ended(mut manifest) = context.folder.state(&run.id, true)? else {
        return Err(failed("its folder changed while it was measured"));
    };
    let data = opened.get(&run.dataset).map_err(failed)?;
    let settings = &context.experiment.evaluate;
    let chosen = || {
        settings.evaluations.iter().filter(|built| missing.iter().any(|name| name == built.kind))
    };
    let plugins: Vec<_> = chosen().map(|built| &*built.plugin).collect();
    let bytes = context.folder.read_run_file(&manifest, "model.safetensors")?;
    let run = as_trained(run, &manifest).map_err(failed)?;
    let measured = measure(&run, &*data, &bytes, &plugins, settings.batch).map_err(failed)?;

    let read = |name: &str| -> Result<Table, Stop> {
        Table::from_parquet(&context.folder.read_run_file(&manifest, name)?).map_err(failed)
    };
    let (mut row, mut latents) = (read("run.parquet")?, read("latents.parquet")?);
    let mut history = read("history.parquet")?;
    for metric in &measured.metrics {
        row.set(metric.name.as_str(), Values::Number(vec![metric.value]));
        set_last(&mut history, &metric.name, metric.value);
    }
    store::declare(&mut row, chosen(), &measured.declared);
    for LatentColumn { name, values } in measured.latents {
        if values.len() == latents.rows() {
            latents.set(name, Values::Number(values));
        }
    }
    for built in chosen() {
        manifest.evaluations.insert(built.kind.to_owned(), built.resolved().all.into());
    }
    let contents = vec![
        ("latents.parquet", parquet(&latents)?),
        ("history.parquet", parquet(&history)?),
        ("run.parquet", parquet(&row)?),
    ];
    let files = Files::Some(manifest, contents);
    Ok(Outcome { status: Status::Done, reason: None, metrics: measured.metrics, files })
}

/// The run as it was trained: where its strength was searched for, with the one that was found.
///
/// # Errors
/// If its manifest does not say which that is.
pub fn as_trained(run: &RunSpec, manifest: &Manifest) -> Result<RunSpec, String> {
    let Some(goal) = run.goal() else { return Ok(run.clone()) };
    let strength = manifest.settings["penalty"][goal.key.key()].as_f64();
    let strength = strength.ok_or("its manifest does not say its strength")?;
    run.with_strength(strength).map_err(|problems| said(&problems))
}

/// Sets a number in the last row; a column that is new is null before.
fn set_last(table: &mut Table, name: &str, value: Option<f64>) {
    let mut values = match table.get(name) {
        Some(Values::Number(values)) => values.clone(),
        _ => vec![None; table.rows()],
    };
    if let Some(last) = values.last_mut() {
        *last = value;
    }
    table.set(name, Values::Number(values));
}

fn measure(
    run: &RunSpec,
    data: &dyn Data,
    model: &[u8],
    evaluations: &[&dyn Evaluation],
    batch: usize,
) -> Result<Measured, String> {
    let model = store::read_model(run, Input(data.shape().inputs()), model)?;
    Evaluator::new(data, batch).measure(&model, evaluations, When::End)
}

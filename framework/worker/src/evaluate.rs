//! Measures a stored model: evaluations that were added after it was trained, and those that were measured by
//! an older definition.

use framework::evaluate::{Evaluator, Unmeasured};
use framework::fit::Opened;
use framework::plugin::{LatentColumn, Measured, When};
use framework::search::Goal;
use framework::spec::{RunSpec, TargetMethod};
use framework::train::Model;
use store::{self, Changes, Manifest, RunState, Status, set_l0_rule};
use tables::{Table, Values};

use crate::outcome::{EndedEarly, Outcome, RunFiles, add_exhibits, failed, parquet, unmeasured};
use crate::task::Task;
use crate::words::not_finite;

/// Measures a stored model: adds missing values, replaces values that are out of date, and leaves all
/// others.
pub fn measure_stored(
    task: &Task<'_>,
    missing: &[String],
    opened: &mut Opened,
) -> Result<Outcome, EndedEarly> {
    let (context, run) = (task.context, task.run);
    let RunState::Ended(mut manifest) = context.folder.state(&run.id, true)? else {
        return Err(failed("its folder changed while it was measured"));
    };
    let (data, facts) = opened.get_with_facts(&run.dataset).map_err(failed)?;
    let settings = &context.experiment.evaluate;
    let chosen =
        || settings.evaluations.iter().filter(|one| missing.iter().any(|name| name == one.name()));
    let bytes = context.folder.read_run_file(&manifest, "model.safetensors")?;
    let run = manifest.as_trained(run).map_err(failed)?;
    let model = store::read_model(&run, data.shape(), &bytes).map_err(failed)?;
    if let Some(key) = Changes::default().since(&run, &manifest.data) {
        let what = format!("the file of `{}` has changed since", store::data_setting(key));
        return Err(failed(format!("{what}; `--rerun stale` trains it on what is there now")));
    }
    let evaluator = Evaluator::new(&*data, settings.batch).knowing(facts);
    let mut evaluator = evaluator.of_run(&run, &model.normalizer).map_err(failed)?;

    let read = |name: &str| -> Result<Table, EndedEarly> {
        Table::from_parquet(&context.folder.read_run_file(&manifest, name)?).map_err(failed)
    };
    let (mut row, mut latents) = (read("run.parquet")?, read("latents.parquet")?);
    let mut history = read("history.parquet")?;
    let rule = run.l0_rule();
    let old = manifest.take_old(rule);
    for table in [&mut row, &mut latents, &mut history] {
        // In the history too: its models do not exist any more, so their new values are unknown.
        old.iter().for_each(|column| clear(table, column));
    }
    let measured = match evaluator.measure(&model, chosen(), When::End) {
        Ok(measured) => measured,
        Err(Unmeasured::Unread(message)) => return Err(failed(message)),
        Err(Unmeasured::NotFinite(metric)) => {
            manifest.status = Status::Diverged;
            manifest.reason = Some(not_finite(&metric, None));
            Measured::default()
        }
    };
    if let Some(goal) = run.goal().filter(|goal| goal.is_counted() && !old.is_empty()) {
        judge(&mut manifest, &run, &goal, &mut evaluator, &model)?;
    }
    let (status, reason) = (manifest.status, manifest.reason.clone());
    for metric in &measured.metrics {
        row.set(metric.name.as_str(), Values::Number(vec![metric.value]));
        set_last(&mut history, &metric.name, metric.value);
    }
    row.set("status", Values::Text(vec![Some(status.to_string())]));
    row.set("reason", Values::Text(vec![reason.clone()]));
    set_l0_rule(&mut row, Some(rule));
    store::declare(&mut row, chosen(), &measured.declared);
    for LatentColumn { name, values } in measured.latents {
        if values.len() == latents.rows() {
            latents.set(name, Values::Number(values));
        }
    }
    manifest.add(chosen(), rule);
    let mut contents = vec![
        ("latents.parquet".into(), parquet(&latents)?),
        ("history.parquet".into(), parquet(&history)?),
        ("run.parquet".into(), parquet(&row)?),
    ];
    // `missing` has the names of old ones too.
    manifest.exhibits.retain(|one| !missing.contains(&one.evaluation));
    add_exhibits(&measured.exhibits, &mut manifest, &mut contents)?;
    let files = RunFiles::Some(manifest, contents);
    Ok(Outcome { status, reason, metrics: measured.metrics, files })
}

/// Decides again whether a run has its target: its strength was found by an older count of active
/// latents.
fn judge(
    manifest: &mut Manifest,
    run: &RunSpec,
    goal: &Goal,
    evaluator: &mut Evaluator<'_>,
    model: &Model<'_>,
) -> Result<(), EndedEarly> {
    if manifest.status == Status::Diverged {
        return Ok(());
    }
    let l0 = evaluator.l0(model).map_err(unmeasured)?;
    (manifest.status, manifest.reason) = if goal.is_near(l0) {
        (Status::Done, None)
    } else {
        let setting = |key: &str| format!("{key} = {}", manifest.settings["penalty"][key]);
        let keys = std::iter::once(goal.key.key()).chain(goal.key.second());
        let (what, again) = match goal.method {
            TargetMethod::Search => {
                let strengths: Vec<String> = keys.map(setting).collect();
                (format!("{} was found", strengths.join(" and ")), "searches")
            }
            TargetMethod::Control => (format!("{} was steered", goal.key.key()), "steers"),
        };
        let reason = format!(
            "{what} by an older count of active latents; as they are counted now, a latent being active {}, \
             its test L0 is {l0:.4}, not within {} % of {}; `--rerun {}` {again} again",
            run.l0_rule().words(),
            100.0 * goal.tolerance,
            goal.value,
            run.id,
        );
        (Status::Unreached, Some(reason))
    };
    Ok(())
}

/// Sets a column of numbers to null, if the table has it.
fn clear(table: &mut Table, name: &str) {
    if let Some(Values::Number(values)) = table.get(name) {
        let values = vec![None; values.len()];
        table.set(name, Values::Number(values));
    }
}

/// Sets a number in the last row; the earlier rows of a new column are null.
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

//! One run in a worker: train or measure, and store whatever came of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use framework::dims::Input;
use framework::evaluate::Evaluator;
use framework::plugin::{Data, LatentColumn, Measured, Metric, When};
use framework::spec::{Experiment, Opened, RunSpec};
use framework::train::{Ended, Progress, Trained, train};
use tables::{Table, Values};

use super::{Event, Job};
use crate::exit::Failure;
use crate::provenance;
use crate::store::{
    self, Execution, Folder, Manifest, RunState, Status, history_table, latents_table,
    loss_metrics, run_table,
};

/// What a run is executed in.
pub struct Context<'a> {
    /// Where results go.
    pub folder: &'a Folder,
    /// The experiment of the run.
    pub experiment: &'a Experiment,
    /// Which worker this is.
    pub worker: usize,
    /// How many threads the run has.
    pub threads: usize,
    /// Which attempt this is, counted from 1.
    pub attempt: usize,
}

/// At most so many progress events a second leave a worker.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// Does what is left to do for a run and stores it. Whatever goes wrong in the run itself is its
/// result; what goes wrong when a stored model is measured leaves the run as it is.
///
/// # Errors
/// If results cannot be written.
pub fn execute(
    context: &Context<'_>,
    run: &RunSpec,
    job: &Job,
    opened: &mut Opened,
    say: &mut dyn FnMut(&Event),
) -> Result<(), Failure> {
    let (worker, attempt) = (context.worker, context.attempt);
    say(&Event::Started { worker, run: run.id.clone(), attempt });
    provenance::reset_peak_memory();
    let clock = Clock { started: provenance::now(), instant: Instant::now() };
    let outcome = guarded(|| match job {
        Job::Train => train_run(context, run, opened, &clock, say),
        Job::Evaluate(missing) => evaluate_run(context, run, missing, opened),
    });
    let stored = match outcome {
        Ok(Ok(stored)) => stored,
        Ok(Err(Stop::Store(failure))) => return Err(failure),
        Ok(Err(Stop::Run(status, reason))) => {
            unfinished(context, run, job, status, &reason, &clock)?
        }
        Err(panic) => {
            let reason = format!("it panicked: {panic}");
            unfinished(context, run, job, Status::Failed, &reason, &clock)?
        }
    };
    let value = |name: &str| stored.metrics.iter().find(|metric| metric.name == name)?.value;
    say(&Event::Finished {
        worker,
        run: run.id.clone(),
        status: stored.status,
        reason: stored.reason,
        test_mse: value("test_mse"),
        test_l0: value("test_l0"),
        seconds: clock.instant.elapsed().as_secs_f64(),
    });
    Ok(())
}

/// When a run started.
struct Clock {
    started: String,
    instant: Instant,
}

/// What was stored of a run.
struct Stored {
    status: Status,
    reason: Option<String>,
    metrics: Vec<Metric>,
}

/// Why a run did not end as done.
enum Stop {
    /// Something in the run.
    Run(Status, String),
    /// Its results cannot be written: nothing can go on.
    Store(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Store(failure)
    }
}

fn failed(reason: impl ToString) -> Stop {
    Stop::Run(Status::Failed, reason.to_string())
}

fn train_run(
    context: &Context<'_>,
    run: &RunSpec,
    opened: &mut Opened,
    clock: &Clock,
    say: &mut dyn FnMut(&Event),
) -> Result<Stored, Stop> {
    let data = opened.get(&run.dataset).map_err(failed)?;
    let mut last_said: Option<Instant> = None;
    let mut watch = |progress: &Progress| {
        if last_said.is_none_or(|said| said.elapsed() >= PROGRESS_EVERY) {
            last_said = Some(Instant::now());
            let Progress { step, steps, loss, l0 } = *progress;
            say(&Event::Progress {
                worker: context.worker,
                run: run.id.clone(),
                step,
                steps,
                loss,
                l0,
            });
        }
    };
    let settings = &context.experiment.run;
    let timeout = settings.timeout.map(|time| time.0);
    match train(run, &*data, &context.experiment.evaluate, timeout, None, &mut watch) {
        Ended::Done(trained) => store_done(context, run, &trained, clock),
        Ended::Diverged { step, last_loss } => {
            let last = last_loss.map_or("no step before was finite".to_owned(), |loss| {
                format!("the last finite loss was {loss}")
            });
            let reason = format!("the loss was no finite number any more at step {step}; {last}");
            Err(Stop::Run(Status::Diverged, reason))
        }
        Ended::Timeout { step } => {
            let limit = humantime::format_duration(timeout.unwrap_or_default());
            Err(Stop::Run(
                Status::Timeout,
                format!("it took longer than {limit}; {step} steps were done"),
            ))
        }
        Ended::Failed(message) | Ended::NotKept(message) | Ended::Refused(message) => {
            Err(failed(message))
        }
        // Nobody wishes for either yet.
        Ended::Stopped { step } | Ended::Abandoned { step } => {
            Err(failed(format!("it was stopped after {step} steps")))
        }
    }
}

fn store_done(
    context: &Context<'_>,
    run: &RunSpec,
    trained: &Trained<'_>,
    clock: &Clock,
) -> Result<Stored, Stop> {
    let mut metrics = loss_metrics(&trained.loss);
    metrics.extend(trained.measured.metrics.iter().cloned());
    let training = trained.training.as_secs_f64();
    let rate = (training > 0.0).then(|| trained.samples as f64 / training);
    let execution = execution(context, clock, rate);
    let threshold = Some(trained.model.l0_threshold());
    let name = &context.experiment.name;
    let row = run_table(name, run, Status::Done, None, &metrics, threshold, &execution);
    let latents =
        latents_table(&run.id, trained.model.architecture.latents(), &trained.measured.latents);
    let model = store::write_model(run, &trained.model).map_err(failed)?;
    let manifest = manifest(context, run, Status::Done, None);
    context.folder.write_run(
        manifest,
        &[
            ("model.safetensors", model),
            ("latents.parquet", parquet(&latents)?),
            ("history.parquet", parquet(&history_table(&run.id, &trained.history))?),
            ("run.parquet", parquet(&row)?),
        ],
    )?;
    Ok(Stored { status: Status::Done, reason: None, metrics })
}

/// Measures a stored model: what was measured before stays, what was missing is added.
fn evaluate_run(
    context: &Context<'_>,
    run: &RunSpec,
    missing: &[String],
    opened: &mut Opened,
) -> Result<Stored, Stop> {
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
    let measured = measure(run, &*data, &bytes, &plugins, settings.batch).map_err(failed)?;

    let read = |name: &str| -> Result<Table, Stop> {
        Table::from_parquet(&context.folder.read_run_file(&manifest, name)?).map_err(failed)
    };
    let (mut row, mut latents) = (read("run.parquet")?, read("latents.parquet")?);
    let mut history = read("history.parquet")?;
    for metric in &measured.metrics {
        row.set(metric.name.as_str(), Values::Number(vec![metric.value]));
        set_last(&mut history, &metric.name, metric.value);
    }
    for LatentColumn { name, values } in measured.latents {
        if values.len() == latents.rows() {
            latents.set(name, Values::Number(values));
        }
    }
    for built in chosen() {
        manifest.evaluations.insert(built.kind.to_owned(), built.resolved().all.into());
    }
    let contents = [
        ("latents.parquet", parquet(&latents)?),
        ("history.parquet", parquet(&history)?),
        ("run.parquet", parquet(&row)?),
    ];
    context.folder.write_run(*manifest, &contents)?;
    Ok(Stored { status: Status::Done, reason: None, metrics: measured.metrics })
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
    evaluations: &[&dyn framework::plugin::Evaluation],
    batch: usize,
) -> Result<Measured, String> {
    let model = store::read_model(run, Input(data.shape().inputs()), model)?;
    Evaluator::new(data, batch).measure(&model, evaluations, When::End)
}

fn unfinished(
    context: &Context<'_>,
    run: &RunSpec,
    job: &Job,
    status: Status,
    reason: &str,
    clock: &Clock,
) -> Result<Stored, Failure> {
    match job {
        Job::Train => store_unfinished(context, run, status, reason, clock),
        // The model and what was measured before stay; these evaluations are still missing.
        Job::Evaluate(missing) => {
            let reason = format!("{} could not be measured: {reason}", missing.join(", "));
            Ok(Stored { status, reason: Some(reason), metrics: Vec::new() })
        }
    }
}

fn store_unfinished(
    context: &Context<'_>,
    run: &RunSpec,
    status: Status,
    reason: &str,
    clock: &Clock,
) -> Result<Stored, Failure> {
    let execution = execution(context, clock, None);
    let name = &context.experiment.name;
    let row = run_table(name, run, status, Some(reason), &[], None, &execution);
    let bytes = row.to_parquet().map_err(|error| Failure::Io(error.to_string()))?;
    let manifest = manifest(context, run, status, Some(reason.to_owned()));
    context.folder.write_run(manifest, &[("run.parquet", bytes)])?;
    Ok(Stored { status, reason: Some(reason.to_owned()), metrics: Vec::new() })
}

/// Stores that a run was lost with its process, which could not do so itself.
///
/// # Errors
/// If it cannot be written.
pub fn record_lost(context: &Context<'_>, run: &RunSpec, reason: &str) -> Result<(), Failure> {
    let clock = Clock { started: provenance::now(), instant: Instant::now() };
    store_unfinished(context, run, Status::Failed, reason, &clock).map(|_| ())
}

fn manifest(
    context: &Context<'_>,
    run: &RunSpec,
    status: Status,
    reason: Option<String>,
) -> Manifest {
    Manifest {
        format: 1,
        run_id: run.id.clone(),
        status,
        reason,
        settings: run.settings(),
        evaluations: Manifest::evaluations_of(context.experiment),
        provenance: provenance::provenance(),
        digests: Default::default(),
    }
}

fn execution(context: &Context<'_>, clock: &Clock, samples_per_second: Option<f64>) -> Execution {
    Execution {
        seconds: clock.instant.elapsed().as_secs_f64(),
        samples_per_second,
        peak_memory_bytes: provenance::peak_memory(),
        started: clock.started.clone(),
        finished: provenance::now(),
        host: provenance::host(),
        pid: std::process::id(),
        worker: context.worker,
        attempt: context.attempt,
        threads: context.threads,
    }
}

fn parquet(table: &Table) -> Result<Vec<u8>, Stop> {
    table.to_parquet().map_err(|error| failed(format!("its results cannot be stored: {error}")))
}

/// The last panic of this process, in whichever thread: what it said and where.
static LAST_PANIC: Mutex<Option<String>> = Mutex::new(None);

fn last_panic() -> MutexGuard<'static, Option<String>> {
    LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps what panics say, in place of printing it: it is stored with the run.
pub fn keep_panics() {
    std::panic::set_hook(Box::new(|info| {
        let payload = info.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let message = text.or_else(|| payload.downcast_ref().copied()).unwrap_or("no message");
        let place =
            info.location().map_or(String::new(), |at| format!(" ({}:{})", at.file(), at.line()));
        *last_panic() = Some(format!("{message}{place}"));
    }));
}

/// Runs `f`; a panic in it is an error that says what the panic said.
fn guarded<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(f))
        .map_err(|_| last_panic().take().unwrap_or_else(|| "no message".to_owned()))
}

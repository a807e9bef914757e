//! A claimed run: makes its outcome, stores it, and tells the controller about it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use framework::plugin::{Declared, Metric, Within};
use framework::spec::RunSpec;
use framework::train::Trained;
use store::exit::Failure;
use store::provenance;
use store::{
    self, Attempt, Execution, Manifest, Published, Status, declare, history_table, latents_table,
    loss_metrics, run_table,
};

use crate::context::Context;
use crate::outcome::{EndedEarly, Outcome, RunFiles, add_exhibits, failed, parquet};
use crate::protocol::Event;
use crate::rungs::StopAtRung;
use crate::supervisor::Watched;

/// A run that this worker has claimed.
#[derive(Clone)]
pub struct Task<'a> {
    /// Folder, experiment and worker.
    pub context: &'a Context<'a>,
    /// Settings of the run.
    pub run: &'a RunSpec,
    /// Attempt at the run that this worker has claimed.
    pub attempt: Attempt,
    /// Time at which the attempt started, in UTC.
    started: String,
    /// The same time, for measuring durations.
    clock: Instant,
}

/// Result of a search for a penalty strength.
pub struct Searched<'a> {
    /// The run with the strength that was found, or with the nearest one.
    pub run: &'a RunSpec,
    /// Number of trainings.
    pub trainings: usize,
    /// Time that earlier attempts took.
    pub earlier: Duration,
    /// Why the run misses its target, if it does.
    pub unreached: Option<String>,
}

impl<'a> Task<'a> {
    /// Makes the task of an attempt, which starts now.
    pub fn new(context: &'a Context<'a>, run: &'a RunSpec, attempt: Attempt) -> Self {
        let (started, clock) = (provenance::now(), Instant::now());
        Self { context, run, attempt, started, clock }
    }

    /// Prepares the run for the supervisor, and sends what it prints to its log. If the run is still busy
    /// after `deadline`, the supervisor stores it as one that took too long.
    pub fn watched(&self, deadline: Option<Duration>) -> Watched<'a> {
        let task = self.clone();
        let overdue = move || {
            // If the outcome cannot be stored, the worker that takes the run next finds out.
            let _ = task
                .unfinished(Status::Timeout, task.too_long(None))
                .and_then(|outcome| task.publish(outcome));
        };
        let output = self.context.worker.output;
        Watched {
            attempt: self.attempt.clone(),
            lease: self.context.experiment.run.lease(),
            log: output.map(|output| output.log_to(&self.attempt)),
            deadline,
            overdue: Box::new(overdue),
        }
    }

    /// Makes the outcome of a run that was trained once and measured; `unreached` says why it misses its target, if
    /// it does.
    pub fn trained(
        &self,
        trained: &Trained<'_>,
        unreached: Option<String>,
    ) -> Result<Outcome, EndedEarly> {
        let status = if unreached.is_some() { Status::Unreached } else { Status::Done };
        self.with_model(self.run, trained, trained.earlier, Vec::new(), status, unreached)
    }

    /// Makes the outcome of a run whose penalty strength was searched for.
    pub fn searched(
        &self,
        trained: &Trained<'_>,
        searched: Searched<'_>,
    ) -> Result<Outcome, EndedEarly> {
        let Searched { run, trainings, earlier, unreached } = searched;
        let status = if unreached.is_some() { Status::Unreached } else { Status::Done };
        let trainings = Metric { name: "search_trainings".into(), value: Some(trainings as f64) };
        self.with_model(run, trained, earlier, vec![trainings], status, unreached)
    }

    fn with_model(
        &self,
        run: &RunSpec,
        trained: &Trained<'_>,
        earlier: Duration,
        more: Vec<Metric>,
        status: Status,
        reason: Option<String>,
    ) -> Result<Outcome, EndedEarly> {
        let mut metrics = loss_metrics(&trained.loss);
        metrics.extend(trained.measured.metrics.iter().cloned());
        metrics.extend(trained.steered.iter().cloned());
        metrics.extend(more);
        let training = trained.training.as_secs_f64();
        let rate = (training > 0.0).then(|| trained.samples as f64 / training);
        let execution = Execution {
            seconds: (earlier + self.clock.elapsed()).as_secs_f64(),
            ..self.execution(rate)
        };
        let rule = Some(trained.model.l0_rule());
        let name = &self.context.experiment.name;
        let why = reason.as_deref();
        let mut row = run_table(name, run, status, why, &metrics, rule, &execution);
        let evaluations = &self.context.experiment.evaluate.evaluations;
        let mut declared = trained.measured.declared.clone();
        // A weight is neither good nor bad, and of one penalty.
        let weight = || Declared::new(None, Within::Loss);
        declared.extend(trained.steered.iter().map(|steered| (steered.name.clone(), weight())));
        declare(&mut row, evaluations.iter(), &declared);
        let latents = trained.model.latents();
        let latents = latents_table(&run.id, latents, &trained.measured.latents);
        let mut contents = vec![
            ("model.safetensors".into(), store::write_model(run, &trained.model).map_err(failed)?),
            ("latents.parquet".into(), parquet(&latents)?),
            ("history.parquet".into(), parquet(&history_table(&run.id, &trained.history))?),
            ("run.parquet".into(), parquet(&row)?),
        ];
        let manifest = self.manifest(run, status, reason.clone());
        let mut manifest = Box::new(Manifest { taken: trained.taken.clone(), ..manifest });
        add_exhibits(&trained.measured.exhibits, &mut manifest, &mut contents)?;
        let files = RunFiles::All(manifest, contents);
        Ok(Outcome { status, reason, metrics, files })
    }

    /// Makes the outcome of a run that did not reach its end.
    ///
    /// # Errors
    /// If its row cannot be made.
    pub fn unfinished(&self, status: Status, reason: String) -> Result<Outcome, Failure> {
        self.without_model(status, reason, Vec::new())
    }

    /// Makes the outcome of a run that is stopped at a rung, with the metrics that were measured there.
    ///
    /// # Errors
    /// If its record cannot be read, or its row cannot be made.
    pub fn stopped(&self, stop: &StopAtRung) -> Result<Outcome, Failure> {
        let record = self.context.folder.record(stop.rung.share, &self.run.id)?;
        let metrics = record.map_or(Vec::new(), |record| record.metrics());
        self.without_model(Status::Stopped, stop.reason.clone(), metrics)
    }

    fn without_model(
        &self,
        status: Status,
        reason: String,
        metrics: Vec<Metric>,
    ) -> Result<Outcome, Failure> {
        let name = &self.context.experiment.name;
        let execution = self.execution(None);
        let mut row = run_table(name, self.run, status, Some(&reason), &metrics, None, &execution);
        let evaluations = &self.context.experiment.evaluate.evaluations;
        declare(&mut row, evaluations.iter(), &BTreeMap::new());
        let bytes = row.to_parquet().map_err(|error| Failure::Io(error.to_string()))?;
        let manifest = Box::new(self.manifest(self.run, status, Some(reason.clone())));
        let files = RunFiles::All(manifest, vec![("run.parquet".into(), bytes)]);
        Ok(Outcome { status, reason: Some(reason), metrics, files })
    }

    fn manifest(&self, run: &RunSpec, status: Status, reason: Option<String>) -> Manifest {
        Manifest {
            format: 1,
            run_id: self.run.id.clone(),
            status,
            reason,
            settings: run.settings(),
            evaluations: Manifest::evaluations_of(self.context.experiment),
            every: Some(Manifest::every_of(self.context.experiment, run)),
            versions: Manifest::versions_of(self.context.experiment, run),
            provenance: provenance::provenance(),
            attempt: self.attempt.number(),
            data: self.context.data_files(self.run),
            taken: Vec::new(),
            digests: Default::default(),
            exhibits: Vec::new(),
        }
    }

    fn execution(&self, samples_per_second: Option<f64>) -> Execution {
        let worker = self.context.worker;
        Execution {
            seconds: self.clock.elapsed().as_secs_f64(),
            samples_per_second,
            peak_memory_bytes: provenance::peak_memory(),
            started: self.started.clone(),
            finished: provenance::now(),
            host: provenance::host(),
            pid: std::process::id(),
            worker: worker.number,
            attempt: self.attempt.number(),
            threads: worker.threads,
        }
    }

    /// Reason of a run that took too long, after so many steps, if their number is known.
    pub fn too_long(&self, steps: Option<usize>) -> String {
        let limit = self.context.experiment.run.timeout.map(|timeout| timeout.0);
        let limit = humantime::format_duration(limit.unwrap_or_default());
        let steps = steps
            .map_or("it did not answer".to_owned(), |steps| format!("{steps} steps were done"));
        format!("it took longer than {limit}; {steps}")
    }

    /// Stores an outcome, and tells the controller if it is the one of the run.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn publish(&self, outcome: Outcome) -> Result<Published, Failure> {
        let Outcome { status, reason, metrics, files } = outcome;
        let published = match files {
            RunFiles::All(manifest, contents) => self.attempt.publish(*manifest, &contents)?,
            RunFiles::Some(manifest, contents) => self.attempt.replace(*manifest, &contents)?,
            RunFiles::Same => {
                self.attempt.remove();
                Published::Yes
            }
        };
        if published == Published::Yes {
            self.tell_finished(status, reason, &metrics);
        }
        Ok(published)
    }

    /// Tells the controller that the run has started.
    pub fn tell_started(&self) {
        let (worker, run) = (self.context.worker, self.run.id.clone());
        let attempt = self.attempt.number();
        (worker.say)(&Event::Started { worker: worker.number, run, attempt });
    }

    /// Tells the controller that something is wrong with the run's files.
    pub fn warn(&self, message: String) {
        let (worker, run) = (self.context.worker, self.run.id.clone());
        (worker.say)(&Event::Warning { worker: worker.number, run, message });
    }

    /// Tells the controller that the run waits at a rung, after so many steps.
    pub fn tell_paused(&self, step: usize) {
        let (worker, run) = (self.context.worker, self.run.id.clone());
        (worker.say)(&Event::Paused { worker: worker.number, run, step });
    }

    /// Tells the controller how the run ended.
    pub fn tell_finished(&self, status: Status, reason: Option<String>, metrics: &[Metric]) {
        let value = |name: &str| metrics.iter().find(|metric| metric.name == name)?.value;
        let worker = self.context.worker;
        let target = self.run.target.value.filter(|target| target.mean_activation.is_some());
        (worker.say)(&Event::Finished {
            worker: worker.number,
            run: self.run.id.clone(),
            status,
            reason,
            test_mse: value("test_mse"),
            test_l0: value("test_l0"),
            test_mean_activation: target.and_then(|_| value("test_mean_activation")),
            seconds: self.clock.elapsed().as_secs_f64(),
        });
    }
}

//! What came of a run, ready to be stored.

use std::collections::BTreeMap;
use std::time::Duration;

use framework::plugin::Metric;
use framework::spec::RunSpec;
use framework::train::Trained;
use store::exit::Failure;
use store::provenance;
use store::{
    self, Attempt, Execution, Manifest, Published, Status, declare, history_table, latents_table,
    loss_metrics, run_table,
};
use tables::Table;

use super::Out;
use super::execute::{Clock, Context, NoOutcome, failed};

/// A file of a run's folder and what is in it.
pub type FileContent = (&'static str, Vec<u8>);

/// How a run ended, and the files that say so.
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// Why, where it is not done.
    pub reason: Option<String>,
    /// What was measured.
    pub metrics: Vec<Metric>,
    /// The files.
    pub files: RunFiles,
}

/// What becomes of the files of a run.
pub enum RunFiles {
    /// These are all.
    All(Box<Manifest>, Vec<FileContent>),
    /// These take the place of some that it had.
    Some(Box<Manifest>, Vec<FileContent>),
    /// They stay as they are.
    Same,
}

/// A run under way.
#[derive(Clone)]
pub struct Task<'a> {
    /// What it is executed in.
    pub context: &'a Context<'a>,
    /// The run.
    pub run: &'a RunSpec,
    /// The attempt at it.
    pub attempt: Attempt,
    /// When the attempt started.
    pub clock: Clock,
}

/// What a search came to.
pub struct Searched<'a> {
    /// The run with the strength that was found, or that came nearest.
    pub run: &'a RunSpec,
    /// How many trainings there were.
    pub trainings: usize,
    /// The time of earlier attempts.
    pub earlier: Duration,
    /// Why the run does not have its target, if it does not.
    pub unreached: Option<String>,
}

impl Task<'_> {
    /// Of a run that was trained and measured.
    pub fn done(&self, trained: &Trained<'_>) -> Result<Outcome, NoOutcome> {
        self.trained(self.run, trained, trained.earlier, Vec::new(), Status::Done, None)
    }

    /// Of a run whose strength was searched for.
    pub fn searched(
        &self,
        trained: &Trained<'_>,
        searched: Searched<'_>,
    ) -> Result<Outcome, NoOutcome> {
        let Searched { run, trainings, earlier, unreached } = searched;
        let status = if unreached.is_some() { Status::Unreached } else { Status::Done };
        let trainings = Metric { name: "search_trainings".into(), value: Some(trainings as f64) };
        self.trained(run, trained, earlier, vec![trainings], status, unreached)
    }

    fn trained(
        &self,
        run: &RunSpec,
        trained: &Trained<'_>,
        earlier: Duration,
        more: Vec<Metric>,
        status: Status,
        reason: Option<String>,
    ) -> Result<Outcome, NoOutcome> {
        let mut metrics = loss_metrics(&trained.loss);
        metrics.extend(trained.measured.metrics.iter().cloned());
        metrics.extend(more);
        let training = trained.training.as_secs_f64();
        let rate = (training > 0.0).then(|| trained.samples as f64 / training);
        let execution = Execution {
            seconds: (earlier + self.clock.instant.elapsed()).as_secs_f64(),
            ..self.execution(rate)
        };
        let rule = Some(trained.model.l0_rule());
        let name = &self.context.experiment.name;
        let why = reason.as_deref();
        let mut row = run_table(name, run, status, why, &metrics, rule, &execution);
        let evaluations = &self.context.experiment.evaluate.evaluations;
        declare(&mut row, evaluations.iter(), &trained.measured.declared);
        let latents = trained.model.latents();
        let latents = latents_table(&run.id, latents, &trained.measured.latents);
        let contents = vec![
            ("model.safetensors", store::write_model(run, &trained.model).map_err(failed)?),
            ("latents.parquet", parquet(&latents)?),
            ("history.parquet", parquet(&history_table(&run.id, &trained.history))?),
            ("run.parquet", parquet(&row)?),
        ];
        let manifest = Box::new(self.manifest(run, status, reason.clone()));
        let files = RunFiles::All(manifest, contents);
        Ok(Outcome { status, reason, metrics, files })
    }

    /// Of a run that did not come to its end.
    ///
    /// # Errors
    /// If its row cannot be made.
    pub fn unfinished(&self, status: Status, reason: String) -> Result<Outcome, Failure> {
        self.ended(status, reason, Vec::new())
    }

    /// Of a run that is stopped at a rung, with what was measured there.
    ///
    /// # Errors
    /// If its record cannot be read, or its row not be made.
    pub fn stopped(&self, out: &Out) -> Result<Outcome, Failure> {
        let record = self.context.folder.record(out.rung.share, &self.run.id)?;
        let metrics = record.map_or(Vec::new(), |record| record.metrics());
        self.ended(Status::Stopped, out.reason.clone(), metrics)
    }

    fn ended(
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
        let files = RunFiles::All(manifest, vec![("run.parquet", bytes)]);
        Ok(Outcome { status, reason: Some(reason), metrics, files })
    }

    /// Stores an outcome as that of the run.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn store(&self, files: RunFiles) -> Result<Published, Failure> {
        match files {
            RunFiles::All(manifest, contents) => self.attempt.publish(*manifest, &contents),
            RunFiles::Some(manifest, contents) => self.attempt.replace(*manifest, &contents),
            RunFiles::Same => {
                self.attempt.remove();
                Ok(Published::Yes)
            }
        }
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
            data: self.context.data(self.run),
            digests: Default::default(),
        }
    }

    fn execution(&self, samples_per_second: Option<f64>) -> Execution {
        let worker = self.context.worker;
        Execution {
            seconds: self.clock.instant.elapsed().as_secs_f64(),
            samples_per_second,
            peak_memory_bytes: provenance::peak_memory(),
            started: self.clock.started.clone(),
            finished: provenance::now(),
            host: provenance::host(),
            pid: std::process::id(),
            worker: worker.number,
            attempt: self.attempt.number(),
            threads: worker.threads,
        }
    }
}

/// A table as the bytes of its file.
pub fn parquet(table: &Table) -> Result<Vec<u8>, NoOutcome> {
    table.to_parquet().map_err(|error| failed(format!("its results cannot be stored: {error}")))
}

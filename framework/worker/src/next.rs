//! Work that is left for a run: depends on its folder, and on how far it goes by comparison with others.

use std::collections::HashSet;

use framework::spec::{Experiment, RunId, RunSpec, Rung};
use rayon::prelude::*;
use store::exit::Failure;
use store::{Claim, Folder, FoundClaim, RunState, Status};

use crate::rungs::{Rungs, StopAtRung, Verdict};

/// Work that a run needs.
#[derive(Clone, Debug, PartialEq)]
pub enum Job {
    /// Train it, to a rung or to its end.
    Train(Option<Rung>),
    /// Measure its stored model: these evaluations are missing or out of date.
    Evaluate(Vec<String>),
    /// Store it as stopped.
    Stop(StopAtRung),
}

/// Work that is left for a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Nothing.
    Nothing,
    /// Nothing until other runs have reached the same rung.
    Wait,
    /// Stopped earlier and allowed again: move it back so that it can resume.
    Revive,
    /// This job.
    Do(Job),
}

/// Returns what is left to do for a run. Failed runs are not repeated by themselves. Trusts the manifest
/// about the run's files: the controller has checked them.
///
/// # Errors
/// If its folder cannot be read.
pub fn next(
    folder: &Folder,
    experiment: &Experiment,
    rungs: &mut Rungs<'_>,
    run: &RunSpec,
) -> Result<Next, Failure> {
    Ok(match folder.state(&run.id, false)? {
        RunState::Outstanding | RunState::Damaged(_) => {
            rungs.has_not_ended(run)?;
            match rungs.verdict(run)? {
                Verdict::GoOn(rung) => Next::Do(Job::Train(rung)),
                Verdict::Wait(..) => Next::Wait,
                Verdict::Stop(stop) => Next::Do(Job::Stop(stop)),
            }
        }
        RunState::Ended(manifest) if manifest.status == Status::Stopped => {
            match rungs.verdict(run)? {
                Verdict::GoOn(_) => Next::Revive,
                Verdict::Wait(..) => Next::Wait,
                Verdict::Stop(_) => Next::Nothing,
            }
        }
        RunState::Ended(manifest) => {
            let missing = manifest.to_measure(experiment, run);
            if missing.is_empty() { Next::Nothing } else { Next::Do(Job::Evaluate(missing)) }
        }
    })
}

/// Work that is left in a grid, including runs that workers hold now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outstanding {
    /// Number of runs that have not ended, or lack an evaluation.
    pub count: usize,
    /// Runs whose process was killed: they count as ended until a command retries them.
    pub killed: Vec<RunId>,
    /// Outstanding runs that are trained and lack an evaluation.
    pub unmeasured: Vec<RunId>,
}

/// Counts what is left to do in a grid. Trusts the manifests about the runs' files, and reads nothing for a
/// run that has not ended: there may be 100,000 of them.
///
/// # Errors
/// If the folder cannot be read.
pub fn outstanding(
    folder: &Folder,
    experiment: &Experiment,
    runs: &[RunSpec],
) -> Result<Outstanding, Failure> {
    /// Work that is left by the manifest of a run.
    #[derive(Clone, Copy)]
    enum Left {
        Nothing,
        Something,
        Measuring,
        Killed,
        DependsOnOthers,
    }
    let known: HashSet<RunId> = folder.run_ids()?.into_iter().collect();
    let ended: Vec<&RunSpec> = runs.iter().filter(|run| known.contains(&run.id)).collect();
    let left = |run: &&RunSpec| -> Result<Left, Failure> {
        let RunState::Ended(manifest) = folder.state(&run.id, false)? else {
            return Ok(Left::Something);
        };
        Ok(match manifest.status {
            Status::Killed => Left::Killed,
            Status::Stopped => Left::DependsOnOthers,
            _ if manifest.to_measure(experiment, run).is_empty() => Left::Nothing,
            _ => Left::Measuring,
        })
    };
    let left: Result<Vec<Left>, Failure> = ended.par_iter().map(left).collect();
    let mut all = Outstanding { count: runs.len() - ended.len(), ..Outstanding::default() };
    let mut rungs = Rungs::new(folder, experiment, runs)?;
    for (run, left) in ended.into_iter().zip(left?) {
        let is_left = match left {
            Left::Nothing => false,
            Left::Something => true,
            Left::Measuring => {
                all.unmeasured.push(run.id.clone());
                true
            }
            Left::Killed => {
                all.killed.push(run.id.clone());
                false
            }
            Left::DependsOnOthers => next(folder, experiment, &mut rungs, run)? != Next::Nothing,
        };
        all.count += usize::from(is_left);
    }
    Ok(all)
}

/// Returns true if a run is left alone until the next command: its evaluation has crashed more than
/// `retries` times and would crash again.
pub fn is_given_up(job: &Job, found: &FoundClaim, retries: usize) -> bool {
    let has_crashed = |claim: &Claim| claim.released && claim.crashes > retries;
    matches!(job, Job::Evaluate(_)) && found.claim.as_ref().is_some_and(has_crashed)
}

//! What is left to do for a run: what its folder says, and how far it goes by comparison with others.

use std::collections::HashSet;

use framework::spec::{Experiment, RunId, RunSpec, Rung};
use rayon::prelude::*;
use store::exit::Failure;
use store::{Claim, Folder, FoundClaim, RunState, Status};

use super::rungs::{Out, Rungs, Verdict};

/// Work on a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Job {
    /// It has to be trained, to a rung or to its end.
    Train(Option<Rung>),
    /// It is trained; these evaluations are missing, or out of date.
    Evaluate(Vec<String>),
    /// It is to be stored as one that was stopped.
    Stop(Out),
}

/// What is left to do for a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Nothing.
    Nothing,
    /// Nothing before other runs have come as far.
    Wait,
    /// It was stopped and now is not to be: it has to be made one that can be gone on with.
    Revive,
    /// This.
    Do(Job),
}

/// What is left to do for a run of the experiment. Runs that failed are not repeated by themselves.
/// Files are taken as the manifest says they are: the controller has looked.
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
                Verdict::Out(out) => Next::Do(Job::Stop(out)),
            }
        }
        RunState::Ended(manifest) if manifest.status == Status::Stopped => {
            match rungs.verdict(run)? {
                Verdict::GoOn(_) => Next::Revive,
                Verdict::Wait(..) => Next::Wait,
                Verdict::Out(_) => Next::Nothing,
            }
        }
        RunState::Ended(manifest) => {
            let missing = manifest.to_measure(experiment, run);
            if missing.is_empty() { Next::Nothing } else { Next::Do(Job::Evaluate(missing)) }
        }
    })
}

/// What is left to do of a grid, whoever works on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outstanding {
    /// How many runs have not ended, or lack an evaluation.
    pub count: usize,
    /// The runs whose process was killed: they have ended, until a command has them tried again.
    pub killed: Vec<RunId>,
    /// Those of the outstanding runs that are trained and lack an evaluation.
    pub unmeasured: Vec<RunId>,
}

/// What is left to do for the runs of the experiment. Files are taken as manifests say they are, and a run
/// that nobody has ended costs no look at the disk: there may be 100,000 of them.
///
/// # Errors
/// If the folder cannot be read.
pub fn outstanding(
    folder: &Folder,
    experiment: &Experiment,
    runs: &[RunSpec],
) -> Result<Outstanding, Failure> {
    /// What a manifest says.
    #[derive(Clone, Copy)]
    enum Left {
        Nothing,
        Something,
        Measuring,
        Killed,
        UpToOthers,
    }
    let known: HashSet<RunId> = folder.run_ids()?.into_iter().collect();
    let ended: Vec<&RunSpec> = runs.iter().filter(|run| known.contains(&run.id)).collect();
    let left = |run: &&RunSpec| -> Result<Left, Failure> {
        let RunState::Ended(manifest) = folder.state(&run.id, false)? else {
            return Ok(Left::Something);
        };
        Ok(match manifest.status {
            Status::Killed => Left::Killed,
            Status::Stopped => Left::UpToOthers,
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
            Left::UpToOthers => next(folder, experiment, &mut rungs, run)? != Next::Nothing,
        };
        all.count += usize::from(is_left);
    }
    Ok(all)
}

/// Whether a run is left alone until the next command: measuring its model has crashed more often
/// than it may, and would again.
pub fn is_given_up(job: &Job, found: &FoundClaim, retries: usize) -> bool {
    let has_crashed = |claim: &Claim| claim.released && claim.crashes > retries;
    matches!(job, Job::Evaluate(_)) && found.claim.as_ref().is_some_and(has_crashed)
}

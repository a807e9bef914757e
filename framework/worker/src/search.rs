//! A run with a target: trainings with one strength of the penalty after another, until one has the
//! L0 that is asked for. That one is the run.

use std::time::Instant;

use framework::diagnostics::in_one_line;
use framework::evaluate::Evaluator;
use framework::fit::Opened;
use framework::plugin::Split;
use framework::search::{Goal, NextTrial, SHORT, Trial, TrialLength};
use framework::spec::{Evaluate, RunId, RunSpec};
use framework::train::Checkpoint;
use store::data_identity;

use super::execute::{NoOutcome, failed, unmeasured};
use super::outcome::{Outcome, Searched, Task};
use super::supervisor::Supervisor;
use super::training::Training;

/// Searches for the strength that leads to the goal; the training that has it, or that came nearest
/// where none has, is that of the run.
pub fn search_run(
    task: &Task<'_>,
    goal: &Goal,
    supervisor: &Supervisor<'_>,
    opened: &mut Opened,
) -> Result<Outcome, NoOutcome> {
    let identity = data_identity(&task.context.data(task.run));
    let data = opened.get(&task.run.dataset).map_err(failed)?;
    let training = Training { task, supervisor, rung: None, data: &*data, identity: &identity };
    let mut kept = task.attempt.search(&identity)?;
    supervisor.take_off(kept.elapsed);
    let mut earlier = kept.elapsed;
    let batch = task.context.experiment.evaluate.batch;
    let nothing = Evaluate { evaluations: Vec::new(), every: None, batch };
    loop {
        let (strength, length, is_new) = match goal.next(&kept.trials) {
            NextTrial::Try(strength, length) => (strength, length, true),
            // The nearest was not the last: it is trained once more.
            NextTrial::Unreached(nearest) => (nearest.strength, nearest.length, false),
            NextTrial::Found => {
                // Its model is lost.
                kept.trials.pop();
                continue;
            }
        };
        let started = Instant::now();
        let number = kept.trials.len() + 1;
        let run =
            task.run.with_strength(strength).map_err(|problems| failed(in_one_line(&problems)))?;
        let trial = trial_of(&run, number, length, data.rows(Split::Train));
        let (evaluate, start) = match length {
            TrialLength::Short => {
                (&nothing, kept.state.as_deref().map(|state| start(state, &trial)))
            }
            TrialLength::Whole => (&task.context.experiment.evaluate, None),
        };
        let ended =
            training.train(&trial, evaluate, start.transpose()?, length == TrialLength::Short);
        let in_search = |stop| match stop {
            NoOutcome::Run(status, reason) => {
                let key = goal.key.key();
                let which = format!("training {number} of its search, with {key} = {strength}");
                NoOutcome::Run(status, format!("{reason} ({which})"))
            }
            stop => stop,
        };
        let (trained, state) = ended.map_err(in_search)?;
        let l0 = Evaluator::new(&*data, batch).l0(&trained.model);
        let l0 = l0.map_err(|why| in_search(unmeasured(why)))?;
        earlier += trained.earlier;
        let mut trials = kept.trials.clone();
        if is_new {
            trials.push(Trial { strength, length, l0 });
        }
        let unreached = match goal.next(&trials) {
            NextTrial::Found => None,
            NextTrial::Unreached(nearest) if nearest.strength == strength => {
                Some(unreached(goal, &nearest))
            }
            NextTrial::Try(..) | NextTrial::Unreached(_) => {
                if goal.warm(&trials) == Some(trials.len() - 1) {
                    kept.state = state;
                }
                kept.elapsed += trained.earlier + started.elapsed();
                kept.trials = trials;
                task.attempt.keep_search(&identity, &kept)?;
                task.attempt.remove_checkpoints();
                continue;
            }
        };
        let searched = Searched { run: &run, trainings: trials.len(), earlier, unreached };
        return task.searched(&trained, searched);
    }
}

/// A run as a training of a search, which is called after its number.
fn trial_of(run: &RunSpec, number: usize, length: TrialLength, rows: usize) -> RunSpec {
    let name = RunId(format!("{}.{number}", run.id));
    match length {
        TrialLength::Short => {
            let steps = (run.train.value.steps(rows) as f64 * SHORT).ceil() as usize;
            run.shortened(name, steps.max(1))
        }
        TrialLength::Whole => RunSpec { id: name, ..run.clone() },
    }
}

/// The state of one training as the start of another.
fn start(state: &[u8], trial: &RunSpec) -> Result<Vec<u8>, NoOutcome> {
    Checkpoint::read(state).and_then(|state| state.as_start_of(&trial.id)).map_err(failed)
}

/// Why a run is stored that does not have its target.
fn unreached(goal: &Goal, nearest: &Trial) -> String {
    format!(
        "no {} with a test L0 within {} % of {} was found; the nearest is {:.4}, with {} = {}",
        goal.key.key(),
        100.0 * goal.tolerance,
        goal.l0,
        nearest.l0,
        goal.key.key(),
        nearest.strength,
    )
}

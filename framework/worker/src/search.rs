//! A run with a target: trains with one penalty strength after another until a training has the wanted L0 or mean
//! activation.
//! That training becomes the run.

use std::time::Instant;

use framework::diagnostics::in_one_line;
use framework::evaluate::Evaluator;
use framework::fit::Opened;
use framework::plugin::Split;
use framework::search::{Goal, MeanPull, NextTrial, SHORT, Trial, TrialLength};
use framework::spec::{Evaluate, RunId, RunSpec};
use framework::train::Checkpoint;
use store::data_identity;

use crate::outcome::{EndedEarly, Outcome, failed, unmeasured};
use crate::supervisor::Supervisor;
use crate::task::{Searched, Task};
use crate::training::Training;

/// Searches for the penalty strength that reaches the goal. The run becomes the training that reaches
/// it, or the nearest one if none does.
pub fn search_run(
    task: &Task<'_>,
    goal: &Goal,
    supervisor: &Supervisor<'_>,
    opened: &mut Opened,
) -> Result<Outcome, EndedEarly> {
    let identity = data_identity(&task.context.data_files(task.run));
    let (data, facts) = opened.get_with_facts(&task.run.dataset).map_err(failed)?;
    let training = Training {
        task,
        supervisor,
        rung: None,
        data: &*data,
        facts: facts.clone(),
        identity: &identity,
    };
    let mut kept = task.attempt.search(&identity)?;
    supervisor.count_earlier(kept.elapsed);
    let mut earlier = kept.elapsed;
    let batch = task.context.experiment.evaluate.batch;
    let nothing = Evaluate { evaluations: Vec::new(), every: None, batch, show: Vec::new() };
    loop {
        let (strength, length, is_new) = match goal.next(&kept.trials) {
            NextTrial::Try(strength, length) => (strength, length, true),
            // The nearest training was not the last one: train it once more.
            NextTrial::Unreached(nearest) => (nearest.strength, nearest.length, false),
            NextTrial::Found => {
                // Its model was not published and is lost: repeat it.
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
        let in_search = |early| match early {
            EndedEarly::Unfinished(status, reason) => {
                let strengths = goal.strength_words(strength);
                let which = format!("training {number} of its search, with {strengths}");
                EndedEarly::Unfinished(status, format!("{reason} ({which})"))
            }
            other => other,
        };
        let (trained, state) = ended.map_err(in_search)?;
        let mut evaluator = Evaluator::new(&*data, batch).knowing(facts.clone());
        let value = evaluator.reached(&trained.model, goal.quantity);
        let value = value.map_err(|why| in_search(unmeasured(why)))?;
        earlier += trained.earlier;
        let mut trials = kept.trials.clone();
        if is_new {
            trials.push(Trial { strength, length, value });
        }
        let unreached = match goal.next(&trials) {
            NextTrial::Found => None,
            NextTrial::Unreached(nearest) if nearest.strength == strength => {
                Some(unreached(goal, &nearest, &trials))
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

/// Run of one training of a search, named after its number.
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

/// Turns the state of one training into the start of another.
fn start(state: &[u8], trial: &RunSpec) -> Result<Vec<u8>, EndedEarly> {
    Checkpoint::read(state).and_then(|state| state.as_start_of(&trial.id)).map_err(failed)
}

/// Reason of a run that misses its target.
fn unreached(goal: &Goal, nearest: &Trial, trials: &[Trial]) -> String {
    let keys: Vec<&str> = std::iter::once(goal.key.key()).chain(goal.key.second()).collect();
    let strengths = goal.strength_words(nearest.strength);
    let mut reason = format!(
        "no {} with {} was found; the nearest is {}, with {strengths}",
        keys.join(" and "),
        goal.words(),
        goal.rounded(nearest.value),
    );
    if let Some(floor) = goal.floor(trials) {
        let (what, floor) = (goal.quantity.a_word(), goal.rounded(floor));
        reason
            .push_str(&format!("; no strength led below {what} of {floor}, neither more nor less"));
    }
    if let Some(MeanPull { key, to }) = goal.pull {
        let strength = goal.key.key();
        let is_there = (nearest.value / to - 1.0).abs() < 0.1;
        let is_beyond = is_there || (goal.value < to) == (to < nearest.value);
        reason.push_str(&match is_beyond {
            true => format!("; more {strength} pulls it to {key} = {to}, and not beyond"),
            false => format!(
                "; more {strength} pulls it to {key} = {to}, and longer training brings it nearer"
            ),
        });
    }
    reason
}

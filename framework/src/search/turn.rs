//! Where more strength stops helping: some penalties have a floor, an L0 that no strength leads below. JumpReLU is one
//! under Adam, whose steps of a threshold are the learning rate's whatever the strength.
//!
//! A search that went up to such a floor turns round and tries less strength than it started with. If that leads to
//! the target it is found there, and else the target is unreached and the floor is known.

use super::{Directed, Goal, MOST_SHORT, MOST_WHOLE, MostTrials, NextTrial, Trial, TrialLength};
use crate::plugin::StrengthKey;

/// How much stronger a training has to be than another, as a factor, that says how much strength helps.
const SEVERAL: f64 = 3.0;

/// Share of the value that strength has to take away to be of help.
const OF_HELP: f64 = 0.05;

/// So many short trainings with less strength, none of which is sparser than that at the start, are enough.
const ENOUGH_BELOW: usize = 2;

impl Goal {
    /// The floor of a search: the least value of its whole trainings, where neither more strength nor less leads nearer
    /// to the target. `None` where that is not known.
    pub fn floor(&self, trials: &[Trial]) -> Option<f64> {
        self.stuck_above(&self.upward(trials), trials)?;
        let whole = trials.iter().filter(|trial| trial.length == TrialLength::Whole);
        whole.map(|trial| trial.value).reduce(f64::min).filter(|floor| *floor > self.value)
    }

    /// What is to be done after these trials where going on as the search began leads no further; `None` if it does,
    /// or if there is no way back.
    pub(super) fn turn(&self, ahead: &Directed<'_>, trials: &[Trial]) -> Option<NextTrial> {
        let up = self.stuck_above(ahead, trials)?;
        let start = *trials.first()?;
        let below = || trials.iter().filter(|trial| trial.strength < start.strength).copied();
        let unreached = || {
            let whole: Vec<Trial> =
                trials.iter().filter(|trial| trial.length == TrialLength::Whole).copied().collect();
            ahead.nearest(&whole).map(NextTrial::Unreached)
        };
        let left = MostTrials {
            // The start is of both ways.
            short: MOST_SHORT + 1 - count(&up, TrialLength::Short),
            whole: MOST_WHOLE - count(&up, TrialLength::Whole),
        };
        let short_below = below().filter(|trial| trial.length == TrialLength::Short);
        let is_denser = |trial: Trial| trial.value >= start.value;
        let is_enough = short_below.clone().count() >= ENOUGH_BELOW;
        if left.whole == 0 || (is_enough && short_below.clone().all(is_denser)) {
            return unreached();
        }
        let short_up = up.iter().filter(|trial| trial.length == TrialLength::Short);
        let least = short_up.map(|trial| trial.value).fold(f64::INFINITY, f64::min);
        let way_back: Vec<Trial> = std::iter::once(start).chain(below()).collect();
        let back = Directed { goal: self, rises: true };
        match back.next(&way_back, left) {
            // A short training that is no sparser than the floor is not worth a whole one.
            NextTrial::Try(strength, TrialLength::Whole)
                if count(&way_back, TrialLength::Whole) == 0
                    && !short_below
                        .clone()
                        .any(|trial| trial.strength == strength && trial.value < least) =>
            {
                unreached()
            }
            NextTrial::Unreached(_) => unreached(),
            next => Some(next),
        }
    }

    /// The trials from the start upwards, if the whole ones are all denser than the target, are at their end, and say
    /// that strength does not help any more. Short ones may be sparser: each goes on from another, and so adds to what
    /// strength did.
    fn stuck_above(&self, ahead: &Directed<'_>, trials: &[Trial]) -> Option<Vec<Trial>> {
        let is_weight = matches!(self.key, StrengthKey::Weight(_) | StrengthKey::Weights(..));
        let start = trials.first()?.strength;
        let up = trials.iter().filter(|trial| trial.strength >= start).copied();
        let up: Vec<Trial> = up.collect();
        let is_denser = |trial: &Trial| trial.value > self.value;
        let whole = || up.iter().filter(|trial| trial.length == TrialLength::Whole);
        if !is_weight || self.pull.is_some() || !whole().all(is_denser) {
            return None;
        }
        let NextTrial::Unreached(_) = ahead.next(&up, MostTrials::ALL) else { return None };
        let strongest = whole().max_by(|a, b| a.strength.total_cmp(&b.strength))?;
        let is_flat = |weaker: &Trial| {
            SEVERAL * weaker.strength <= strongest.strength
                && strongest.value >= (1.0 - OF_HELP) * weaker.value
        };
        whole().any(is_flat).then_some(up)
    }
}

fn count(trials: &[Trial], length: TrialLength) -> usize {
    trials.iter().filter(|trial| trial.length == length).count()
}

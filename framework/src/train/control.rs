//! The L0 controller: it steers the weights of the penalty's own terms while a run trains, until codes have the L0 that
//! is wanted. Source: the trainer of SynthSAEBench, arXiv:2602.14687, made quicker for short runs.
//!
//! A weight is that of the settings times a multiplier, which starts at 1. After each of T steps two running means
//! follow the batch: of its L0, and of how that mean changes. Then the logarithm of the multiplier goes on by
//! `max(3e-4, 20 / T) · tanh(10 · error)`, where the error is that of the mean, relative to the target: more weight
//! where codes are too dense. It goes quicker while the L0 is far off. While the error shrinks, the one counts that it
//! leads to: the weight goes back before the target is reached, as thresholds that were raised too far come down late
//! or never. It stands still while the weights warm up, and over the last tenth of the steps.
//!
//! The target is an L0 of test samples, which is not quite that of the batches. So the test samples are passed a few
//! times on the way, as a search passes them after each of its trainings, and the batches get the target that fits.

use crate::model::{State, Step};
use crate::plugin::Metric;
use crate::spec::{RunSpec, STEERED_UNTIL};

/// Name of the running state. No penalty's own state has such a name.
const STATE: &str = "target.control";

/// Shares of the steps after which the test samples are passed; of a short run the last of them alone.
const CHECKS: [f64; 4] = [0.4, 0.6, 0.75, 0.85];

/// The most that these passes cost, as a share of the training: a pass is a third of what a step does with a sample.
/// One is made whatever it costs.
const CHECKS_COST: f64 = 0.05;
const PASS_OF_STEP: f64 = 1.0 / 3.0;

/// The furthest that a weight goes from its start, as a factor.
const FURTHEST: f64 = 1e4;

/// The L0 of the test samples is at most so many times that of the batches, and at least its inverse.
const MOST_APART: f64 = 10.0;

/// An L0 below this is as good as none.
const LEAST_L0: f64 = 0.01;

/// The logarithm of how far an L0 can be off without being far off.
const NEAR: f64 = 0.2;

/// How far ahead the error is looked at while it shrinks: the number of steps in which the multiplier could go by e to
/// the power of this, at most, and at most a quarter of the steps that are left to steer.
const AHEAD: f64 = 2.0;

/// Steers the weights of a penalty in one run.
pub struct L0Controller {
    /// The L0 that test samples are to have.
    target: f64,
    /// The columns of the weights and their starts.
    weights: Vec<(String, f64)>,
    /// The share of the steps over which the weights warm up.
    warmup: f64,
    /// How fast the logarithm of the multiplier goes, a step.
    rate: f64,
    /// How fast the mean L0 follows that of the batches, and the mean change that of the mean.
    follows: [f64; 2],
    /// Numbers of steps after which the test samples are passed.
    checks: Vec<usize>,
}

/// What the controller has found so far: running state, so that checkpoints have it.
#[derive(Clone, Copy)]
struct Found {
    /// The logarithm of the multiplier.
    log: f64,
    /// The mean L0 of the batches.
    mean: f64,
    /// The mean of its change, a step.
    change: f64,
    /// The number of batches seen.
    seen: f64,
    /// The L0 of the test samples divided by that of the batches.
    ratio: f64,
}

impl Found {
    /// As a run starts with it.
    const START: Self = Self { log: 0.0, mean: 0.0, change: 0.0, seen: 0.0, ratio: 1.0 };

    fn read(state: &State) -> Option<Self> {
        let [log, mean, change, seen, ratio] = state.get(STATE)?[..] else { return None };
        Some(Self { log, mean, change, seen, ratio })
    }

    fn write(self, state: &mut State) {
        let Self { log, mean, change, seen, ratio } = self;
        state.insert(STATE.to_owned(), vec![log, mean, change, seen, ratio]);
    }
}

impl L0Controller {
    /// The controller of a run of so many steps, with `test` samples to measure; `None` if the run
    /// asks for none.
    pub fn of(run: &RunSpec, steps: usize, test: usize) -> Option<Self> {
        let goal = run.controlled()?;
        let first = std::iter::once((goal.key.key(), goal.start));
        let weights = first.chain(goal.key.second().zip(goal.second));
        let samples = steps as f64 * run.train.value.batch as f64;
        Some(Self {
            weights: weights.map(|(key, start)| (format!("control_{key}"), start)).collect(),
            warmup: run.train.value.penalty_warmup,
            ..Self::towards(goal.value, steps, samples / test.max(1) as f64)
        })
    }

    /// A controller that steers no weight by name, of a run that sees `passes` times as many samples as there are
    /// test samples.
    fn towards(target: f64, steps: usize, passes: f64) -> Self {
        let of_all = 1.0 / steps.max(1) as f64;
        let follows = (100.0 * of_all).max(0.01);
        // A few at most.
        let checks = (CHECKS_COST * passes / PASS_OF_STEP).clamp(1.0, CHECKS.len() as f64) as usize;
        let checks = CHECKS[CHECKS.len() - checks..].iter();
        Self {
            target,
            weights: Vec::new(),
            warmup: 0.0,
            rate: (20.0 * of_all).max(3e-4),
            follows: [follows.min(1.0), (5.0 * follows).min(1.0)],
            checks: checks.map(|share| (share * steps as f64).ceil() as usize).collect(),
        }
    }

    /// Adds its running state to that of the model.
    pub fn start(&self, state: &mut State) {
        Found::START.write(state);
    }

    /// Takes its running state out again: a trained model needs none of it.
    pub fn end(state: &mut State) {
        state.remove(STATE);
    }

    /// The number that the weights are multiplied by.
    pub fn multiplier(state: &State) -> f64 {
        Found::read(state).map_or(1.0, |found| found.log.exp())
    }

    /// The weights as they are now, each under the name of its column.
    pub fn weights(&self, state: &State) -> Vec<Metric> {
        let multiplier = Self::multiplier(state);
        let weight = |(name, start): &(String, f64)| {
            let weight = start * multiplier;
            Metric { name: name.clone(), value: Some(weight).filter(|weight| weight.is_finite()) }
        };
        self.weights.iter().map(weight).collect()
    }

    /// Follows a step whose batch had this L0 before it.
    pub fn follow(&self, state: &mut State, step: Step<'_>, l0: f64) {
        let Some(mut found) = Found::read(state).filter(|_| l0.is_finite()) else { return };
        let before = found.mean;
        if found.seen == 0.0 {
            found.mean = l0;
        } else {
            let [mean, change] = self.follows;
            found.mean += mean * (l0 - before);
            found.change += change * (found.mean - before - found.change);
        }
        found.seen += 1.0;
        // While the weights rise by themselves, L0 says little of where they lead.
        if (self.warmup..STEERED_UNTIL).contains(&step.progress) {
            let furthest = FURTHEST.ln();
            found.log = (found.log + self.pace(&found, step)).clamp(-furthest, furthest);
        }
        found.write(state);
    }

    /// How far the logarithm of the multiplier goes in this step.
    fn pace(&self, found: &Found, step: Step<'_>) -> f64 {
        let target = self.target / found.ratio;
        let error = found.mean - target;
        if error * found.change < 0.0 {
            let left = (STEERED_UNTIL - step.progress) * step.steps as f64;
            let ahead = (AHEAD / self.rate).min(left / 4.0);
            return self.rate * (10.0 * (error + ahead * found.change) / target).tanh();
        }
        let off = (found.mean.max(LEAST_L0) / target).ln().abs();
        let haste = 1.0 + (off - NEAR).max(0.0);
        self.rate * haste * (10.0 * error / target).tanh()
    }

    /// Whether the test samples are to be passed after so many steps.
    pub fn checks_after(&self, steps: usize) -> bool {
        self.checks.contains(&steps)
    }

    /// Takes the L0 of the test samples, as it is after the last step that it followed.
    pub fn check(state: &mut State, l0: f64) {
        let Some(mut found) = Found::read(state) else { return };
        let ratio = l0 / found.mean;
        // Of codes that are all off nothing is known.
        if found.mean > LEAST_L0 && l0 > LEAST_L0 && ratio.is_finite() {
            found.ratio = ratio.clamp(1.0 / MOST_APART, MOST_APART);
            found.write(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Mode;

    const STEPS: usize = 1000;

    fn step(number: usize) -> Step<'static> {
        let progress = number as f64 / STEPS as f64;
        Step { mode: Mode::Train, number, progress, steps: STEPS, labels: None }
    }

    /// A training whose L0 goes to where the multiplier has it, 30 steps late, with noise; returns the state and the
    /// L0 at the end, and all multipliers. The L0 of the test samples is `apart` times that of the batches.
    fn steered(controller: &L0Controller, right: f64, apart: f64) -> (State, f64, Vec<f64>) {
        let mut state = State::new();
        controller.start(&mut state);
        let (mut l0, mut multipliers) = (250.0_f64, Vec::new());
        for number in 0..STEPS {
            let multiplier = L0Controller::multiplier(&state);
            multipliers.push(multiplier);
            let leads_to = 20.0 * (multiplier / right).powf(-0.8);
            l0 += (leads_to.min(256.0) - l0) / 30.0;
            let noise = if number % 3 == 0 { 1.04 } else { 0.98 };
            controller.follow(&mut state, step(number), l0 * noise);
            if controller.checks_after(number + 1) {
                L0Controller::check(&mut state, l0 * apart);
            }
        }
        (state, l0 * apart, multipliers)
    }

    fn twenty() -> L0Controller {
        L0Controller::towards(20.0, STEPS, 1e9)
    }

    /// Wrong if a start that is far off were not left behind, if it were left too far behind, or if test samples ended with another L0 than is asked
    /// for because they have another one than the batches.
    #[test]
    fn the_target_is_reached_from_far_off_on_both_sides() {
        for right in [1.0 / 30.0, 1.0, 30.0] {
            for apart in [0.8, 1.0, 1.1] {
                let (_, l0, multipliers) = steered(&twenty(), right, apart);
                assert!((l0 / 20.0 - 1.0).abs() < 0.04, "{right}, {apart}: {l0}");
                let most = multipliers.iter().copied().fold(0.0, f64::max);
                assert!(most < 2.0 * right.max(1.0), "{right}: it goes up to {most}");
            }
        }
    }

    /// Wrong if the weights went on over the last tenth of the steps, or wound up while they warm up.
    #[test]
    fn the_multiplier_stands_still_at_the_end_and_while_weights_warm_up() {
        let warming = L0Controller { warmup: 0.25, ..twenty() };
        let (.., multipliers) = steered(&warming, 3.0, 1.0);
        assert!(multipliers[..=250].iter().all(|multiplier| *multiplier == 1.0));
        assert_ne!(multipliers[251], 1.0);
        assert_ne!(multipliers[899], multipliers[900]);
        assert!(multipliers[900..].iter().all(|multiplier| *multiplier == multipliers[900]));
    }

    /// Wrong if a target out of reach drove weights beyond all numbers.
    #[test]
    fn weights_stay_within_a_factor_of_their_start() {
        let names = vec![("control_lambda".to_owned(), 0.5)];
        for (l0, furthest) in [(200.0, 5000.0), (0.0, 5e-5)] {
            let controller = L0Controller { weights: names.clone(), ..twenty() };
            let mut state = State::new();
            controller.start(&mut state);
            for number in 0..900 {
                controller.follow(&mut state, step(number), l0);
            }
            let [Metric { value: Some(weight), .. }] = &controller.weights(&state)[..] else {
                panic!("one weight is steered")
            };
            assert!((weight / furthest - 1.0).abs() < 1e-9, "{weight}");
        }
    }

    /// Wrong if an L0 that is no number, or codes that are all off, moved anything.
    #[test]
    fn what_is_no_number_moves_nothing() {
        let (mut state, ..) = steered(&twenty(), 1.0, 1.0);
        let before = state.clone();
        for l0 in [f64::NAN, f64::INFINITY] {
            twenty().follow(&mut state, step(5), l0);
            L0Controller::check(&mut state, l0);
        }
        L0Controller::check(&mut state, 0.0);
        assert_eq!(state, before);
        L0Controller::end(&mut state);
        assert!(state.is_empty());
        L0Controller::check(&mut state, 20.0);
        twenty().follow(&mut state, step(5), 20.0);
        assert!(state.is_empty(), "without a controller there is no state of one");
    }

    /// Wrong if passing the test samples cost more than a run can bear, or if none were passed.
    #[test]
    fn short_runs_pass_the_test_samples_less_often() {
        let checks = |passes: f64| L0Controller::towards(20.0, 1000, passes).checks;
        assert_eq!(checks(120.0), [400, 600, 750, 850]);
        assert_eq!(checks(20.0), [600, 750, 850]);
        assert_eq!(checks(0.0), [850]);
    }
}

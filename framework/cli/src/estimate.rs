//! Estimates what a run will need, from its settings, before anything is allocated: parameters, memory and
//! time. Memory and time are estimates; time follows from similar runs that are done, if there are any.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use framework::diagnostics::Diagnostic;
use framework::engine::{Costs, EngineKind};
use framework::fit::{Opened, ParameterCounts};
use framework::plugin::{SampleShape, Split};
use framework::spec::{Evaluate, Experiment, Optimizer, RunSpec, TrainLength};

/// Needs of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Need {
    /// Number of parameters.
    pub parameters: u64,
    /// Approximate peak memory of its worker process, in bytes.
    pub memory: u64,
    /// Amount of arithmetic.
    work: Arithmetic,
}

/// Amount of arithmetic in one engine, with all overheads counted as operations.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Arithmetic {
    engine: EngineKind,
    /// Floating point operations; a positive number.
    amount: f64,
}

/// Sizes of a dataset that estimates need.
#[derive(Clone, Copy, Debug)]
struct DataNeeds {
    sample: SampleShape,
    train: usize,
    test: usize,
    bytes: u64,
}

/// Returns the needs of each of these runs.
///
/// # Errors
/// If data cannot be opened.
pub fn needs(
    experiment: &Experiment,
    runs: &[RunSpec],
    opened: &mut Opened,
) -> Result<Vec<Need>, Diagnostic> {
    let mut facts = HashMap::new();
    for run in runs {
        if let Entry::Vacant(entry) = facts.entry(Arc::as_ptr(&run.dataset).addr()) {
            let data = opened.get(&run.dataset)?;
            entry.insert(DataNeeds {
                sample: data.shape(),
                train: data.rows(Split::Train),
                test: data.rows(Split::Test),
                bytes: data.bytes(),
            });
        }
    }
    let mut counts = ParameterCounts::default();
    let need = |run: &RunSpec| {
        let facts = &facts[&Arc::as_ptr(&run.dataset).addr()];
        Need::of(run, counts.count(run, facts.sample), facts, &experiment.evaluate)
    };
    Ok(runs.iter().map(need).collect())
}

/// Memory in bytes of a worker that has done a run before; before its first run it is about 20 MB less. In
/// eighteen measured runs, of 16 to 65,536 latents, the estimate was 5 % too low to 27 % too high.
const PROCESS: f64 = 39e6;

/// Operations that a run and a step cost at any size: files, buffers, calls.
const OF_A_RUN: f64 = 1e9;
const OF_A_STEP: f64 = 1e6;

/// Operations in the time that the optimizer needs for one parameter: memory is its limit.
const OF_A_PARAMETER: f64 = 100.0;

/// Cost of a search for a target in whole trainings, a short training counting as a fifth: the mean of 72
/// searches on digits, for six targets, four penalties and three seeds (k-sparse 1.4, L1 3.9, KL 4.8, group
/// lasso 5.6; the longest 10.4).
pub const OF_A_SEARCH: f64 = 3.9;

impl Need {
    fn of(run: &RunSpec, parameters: u128, facts: &DataNeeds, evaluate: &Evaluate) -> Self {
        let engine = EngineKind::of(run);
        let is_listed =
            engine.costs.listed_codes.is_some() && run.penalty.value.plugin.leaves_zeros();
        let p = parameters as f64;
        let levels = Levels::of(run, p, facts.sample);
        let trainings = if run.searched().is_some() { OF_A_SEARCH } else { 1.0 };
        let amount = trainings * operations(run, is_listed, p, levels, facts, evaluate);
        Self {
            // Too large a number becomes the largest that fits.
            parameters: u64::try_from(parameters).unwrap_or(u64::MAX),
            memory: memory(run, engine, is_listed, p, levels, facts, evaluate) as u64,
            work: Arithmetic { engine, amount },
        }
    }
}

/// What the levels of a model add to what its parameters say.
#[derive(Clone, Copy)]
struct Levels {
    /// Multiplications of a sample's way through the model; a model of one level has about one a parameter.
    multiplications: f64,
    /// Numbers that the levels around the one that makes the code give for a sample.
    hidden: f64,
}

impl Levels {
    /// Those of a run with `p` parameters.
    fn of(run: &RunSpec, p: f64, sample: SampleShape) -> Self {
        let plugin = &run.architecture.value.plugin;
        let form = plugin.layers().filter(|form| form.levels.len() > 1);
        let Some(form) = form else { return Self { multiplications: p, hidden: 0.0 } };
        let declared = plugin.parameters(sample);
        let shape = |name: &str| {
            let own = declared.iter().find(|declaration| declaration.name == name);
            own.map(|declaration| declaration.shape.clone())
        };
        let size = form.size(sample, &shape);
        Self { multiplications: size.multiplications as f64, hidden: size.hidden as f64 }
    }
}

/// Returns the memory, in bytes, of the process of a run with p parameters, m latents, d inputs and B samples
/// in the larger of a training batch and an evaluation batch:
///
/// - in the fused engine `PROCESS + data + 4 (4 p + 3 B m + 3 B d)`: values, two moments and the copy
///   that is stored; the code with its gradients; samples and reconstruction. Where the penalty leaves
///   zeros, codes are lists: `B m / 2` in place of `3 B m`;
/// - in the reference engine `PROCESS + data + 4 (6 p + 6 B m + 6 B d)`: gradients too, and what the
///   tape keeps.
///
/// What the levels around the one that makes the code give takes 4 copies, or in the reference engine 6. SGD has one moment less. In 32 runs, each the second of its worker, the estimate was between 22 % too low
/// and 30 % too high, and within 13 % in 30 of them: both engines, L1 and k-sparse, 64 and 512 inputs, 1,024
/// and 8,192 latents, batches of 64 and 1,024 samples. Not counted: what an evaluation keeps, as a probe
/// keeps codes, and memory that a worker has not given back after a larger run.
fn memory(
    run: &RunSpec,
    engine: EngineKind,
    is_listed: bool,
    p: f64,
    levels: Levels,
    facts: &DataNeeds,
    evaluate: &Evaluate,
) -> f64 {
    let train = &run.train.value;
    let (m, d) = (run.architecture.value.plugin.latents() as f64, facts.sample.inputs() as f64);
    let rows = train.batch.min(facts.train).max(evaluate.batch.min(facts.test)) as f64;
    let Costs { copies, codes, listed_codes, samples, .. } = engine.costs;
    let of_codes = listed_codes.filter(|_| is_listed).unwrap_or(codes);
    let copies = match train.optimizer {
        Optimizer::Adam(_) => copies,
        Optimizer::Sgd(_) => copies - 1.0,
    };
    let of_hidden = samples.max(4.0) * rows * levels.hidden;
    let numbers = copies * p + of_codes * rows * m + samples * rows * d + of_hidden;
    PROCESS + facts.bytes as f64 + 4.0 * numbers
}

/// Returns the operations of a run: 6 p for each training sample (1.5 p if codes are lists), 2 p for each
/// sample of an evaluation, those of pretraining, and the other costs of the run and its steps. With several levels
/// there are the multiplications of all in place of p, and lists save nothing.
fn operations(
    run: &RunSpec,
    is_listed: bool,
    p: f64,
    levels: Levels,
    facts: &DataNeeds,
    evaluate: &Evaluate,
) -> f64 {
    let train = &run.train.value;
    let batch = train.batch.min(facts.train).max(1);
    let per_epoch = facts.train.div_ceil(batch).max(1);
    let (steps, points) = match train.length {
        TrainLength::Epochs(epochs) => {
            (epochs.saturating_mul(per_epoch), epochs.div_ceil(evaluate.every.unwrap_or(1).max(1)))
        }
        TrainLength::Steps(steps) => {
            (steps, steps.div_ceil(evaluate.every.unwrap_or(per_epoch).max(1)))
        }
    };
    let has_levels = levels.hidden > 0.0;
    let of_a_sample = if is_listed && !has_levels { 1.5 } else { 6.0 } * levels.multiplications;
    let step = of_a_sample * batch as f64 + OF_A_PARAMETER * p + OF_A_STEP;
    let mut evaluations = evaluate.evaluations.iter();
    let sees_train = evaluations.any(|one| one.plugin().splits().contains(&Split::Train));
    let at_the_end = if sees_train { facts.train } else { 0 };
    let measured = facts.test as f64 * points as f64 + at_the_end as f64;
    let pretraining = of_pretraining(run, facts, batch, per_epoch);
    OF_A_RUN + pretraining + step * steps as f64 + 2.0 * levels.multiplications * measured
}

/// Returns the operations of pretraining: the steps of each layer, as those of a run of its own, with 2 operations
/// a sample for each parameter of the layers before it.
fn of_pretraining(run: &RunSpec, facts: &DataNeeds, batch: usize, per_epoch: usize) -> f64 {
    let Some(pretraining) = run.architecture.value.plugin.pretraining() else { return 0.0 };
    let steps = pretraining.epochs.get() as f64 * per_epoch as f64;
    let (mut sample, mut before, mut sum) = (facts.sample, 0.0, 0.0);
    for layer in &pretraining.layers {
        let declared = layer.architecture.parameters(sample);
        let size = |shape: &[usize]| shape.iter().map(|size| *size as f64).product::<f64>();
        let p: f64 = declared.iter().map(|one| size(&one.shape)).sum();
        let of_samples = (6.0 * p + 2.0 * before) * batch as f64;
        sum += steps * (of_samples + OF_A_PARAMETER * p + OF_A_STEP);
        before += p;
        sample = SampleShape::Vector(layer.architecture.latents());
    }
    sum
}

/// Times of finished runs by their amount of work, from which the times of others are estimated.
#[derive(Default)]
pub struct Experience {
    /// By engine: sum of seconds and number of runs, by amount of work. The key is the bits of the amount,
    /// which have the same order.
    of_engines: HashMap<&'static str, BTreeMap<u64, (f64, usize)>>,
}

impl Experience {
    /// Adds a run that is done.
    pub fn add(&mut self, need: &Need, seconds: f64) {
        let known = self.of_engines.entry(need.work.engine.name).or_default();
        let (sum, count) = known.entry(need.work.amount.to_bits()).or_default();
        *sum += seconds;
        *count += 1;
    }

    /// Estimates how many seconds a run will take: the mean time of the finished runs whose work in the same
    /// engine is nearest, times the ratio of the work. If none has finished, uses a rate that one core of a
    /// common processor reaches: 80 (fused) or 20 (reference) thousand million operations a second. That
    /// estimate is often wrong by a factor of three.
    pub fn seconds(&self, need: &Need) -> f64 {
        let Arithmetic { engine, amount } = need.work;
        let known = self.of_engines.get(engine.name);
        let below = known.and_then(|known| known.range(..=amount.to_bits()).next_back());
        let above = known.and_then(|known| known.range(amount.to_bits()..).next());
        let away = |bits: u64| (f64::from_bits(bits) / amount).ln().abs();
        let nearest = below
            .into_iter()
            .chain(above)
            .min_by(|one, other| away(*one.0).total_cmp(&away(*other.0)));
        match nearest {
            Some((bits, (sum, count))) => sum / *count as f64 * (amount / f64::from_bits(*bits)),
            None => amount / engine.costs.rate,
        }
    }
}

/// Returns how many seconds runs of these lengths take when `at_once` of them run at the same time.
pub fn together(seconds: impl Iterator<Item = f64> + Clone, at_once: usize) -> f64 {
    let longest = seconds.clone().fold(0.0, f64::max);
    longest.max(seconds.sum::<f64>() / at_once.max(1) as f64)
}

/// Formats a length of time with about two digits.
pub fn time(seconds: f64) -> String {
    match seconds {
        s if s < 0.095 => format!("{s:.2} s"),
        s if s < 9.5 => format!("{s:.1} s"),
        s if s < 99.5 => format!("{s:.0} s"),
        s if s < 99.5 * 60.0 => format!("{:.0} min", s / 60.0),
        s if s < 48.0 * 3600.0 => format!("{:.0} h", s / 3600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use framework::engine::{FUSED, REFERENCE};

    use super::*;

    fn need(amount: f64) -> Need {
        Need { parameters: 1, memory: 1, work: Arithmetic { engine: FUSED, amount } }
    }

    #[test]
    fn time_is_that_of_the_nearest_run_by_the_ratio_of_the_work() {
        let mut experience = Experience::default();
        assert_eq!(experience.seconds(&need(80e9)), 1.0, "by the rate alone");
        experience.add(&need(1e9), 3.0);
        experience.add(&need(1e9), 5.0);
        experience.add(&need(1e12), 100.0);
        assert_eq!(experience.seconds(&need(1e9)), 4.0);
        assert_eq!(experience.seconds(&need(0.5e9)), 2.0);
        assert_eq!(experience.seconds(&need(1e10)), 40.0);
        assert_eq!(experience.seconds(&need(1e11)), 10.0);
        let other = Arithmetic { engine: REFERENCE, amount: 20e9 };
        let other = Need { work: other, ..need(1.0) };
        assert_eq!(experience.seconds(&other), 1.0, "another engine says nothing");
    }

    #[test]
    fn what_is_done_at_once_takes_as_long_as_the_longest_at_least() {
        assert_eq!(together([1.0, 2.0, 3.0].into_iter(), 2), 3.0);
        assert_eq!(together([2.0; 5].into_iter(), 2), 5.0);
        assert_eq!(together([].into_iter(), 0), 0.0);
    }

    #[test]
    fn times_are_said_in_their_unit() {
        let said = [0.0, 0.05, 0.6, 9.7, 99.0, 3000.0, 90_000.0, 1e9].map(time);
        let want = ["0.00 s", "0.05 s", "0.6 s", "10 s", "99 s", "50 min", "25 h", "11574 days"];
        assert_eq!(said, want);
    }
}

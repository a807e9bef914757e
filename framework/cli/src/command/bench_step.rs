//! `bench-step`: times whole training steps (forward, loss, backward, Adam) on a few fixed batches of normal
//! random numbers. The batches are already in memory, and the process is set up as a worker.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use analysis::words;
use clap::Args;
use framework::diagnostics::Diagnostic;
use framework::dims::{Batch, Input};
use framework::engine::Minibatch;
use framework::fit::{check_run, parameter_bytes};
use framework::fused::bf16_product;
use framework::model::{Mode, Real, Step, Weights, tensor, values};
use framework::plugin::{Architecture, CodeRange, DATASETS, Data, SampleShape, Split, sorted};
use framework::rand::RngExt;
use framework::random::Streams;
use framework::spec::numbers::Share;
use framework::spec::{Experiment, Precision, RunSpec};
use framework::train::{Model, Normalizer, Trainer};
use rand_distr::StandardNormal;
use rayon::prelude::*;
use serde_json::json;
use store::exit::{Exit, Failure};
use store::provenance;

use super::{print, print_json, say_problems};

#[derive(Args)]
pub struct Arguments {
    /// Numbers per sample
    #[arg(long, value_name = "D")]
    input: std::num::NonZeroUsize,
    /// Number of latents
    #[arg(long, value_name = "M")]
    latents: std::num::NonZeroUsize,
    /// Samples per step
    #[arg(long, value_name = "B")]
    batch: std::num::NonZeroUsize,
    /// Penalty, written as in an experiment file, such as '{ kind = "k-sparse", k = 32 }'
    #[arg(long, value_name = "TABLE", default_value = "{ kind = \"none\" }")]
    penalty: String,
    /// Activation after the encoder's affine map
    #[arg(long, value_name = "NAME", default_value = "relu")]
    activation: String,
    /// Use the encoder's transpose as the decoder
    #[arg(long)]
    tied: bool,
    /// Share of the latents to make active (relu only): before each step, each latent's pre-code gets a
    /// constant that puts this share of its values above 0; values that the penalty then sets to 0 are not
    /// active
    #[arg(long, value_name = "P", value_parser = share)]
    density: Option<Share>,
    /// Precision of the products: f32 or bf16
    #[arg(long, value_name = "NAME", default_value = "f32")]
    precision: String,
    /// Engine that trains: auto, fused or reference
    #[arg(long, value_name = "NAME", default_value = "auto")]
    engine: String,
    /// Number of threads; by default one per core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
    /// Number of steps to time, after some to warm up
    #[arg(long, value_name = "S", default_value_t = 20,
          value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    steps: u64,
    /// Print one JSON object on one line instead of the summary
    #[arg(long)]
    json: bool,
}

fn share(text: &str) -> Result<Share, String> {
    let number: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    Share::try_from(number)
}

/// Number of batches that the steps take in turn.
const BATCHES: usize = 4;

/// Least number of warm-up steps, and the least time that they take.
const WARM_UP: (usize, Duration) = (BATCHES, Duration::from_millis(100));

/// Training step at the end of training, when the schedule of the penalty is over.
const STEP: Step<'_> = Step { mode: Mode::Train, progress: 1.0, labels: None };

pub fn bench_step(arguments: &Arguments) -> Result<Exit, Failure> {
    restart_as_worker();
    let threads = arguments.threads.map_or(provenance::cores(), |threads| threads as usize);
    let samples = NormalSamples {
        inputs: arguments.input.get(),
        rows: arguments.batch.get().saturating_mul(BATCHES),
    };
    let run = read_run(arguments, &samples)?;
    worker::limit_threads(threads);

    let architecture = &*run.architecture.value.plugin;
    let model = Model::new(
        architecture,
        &*run.penalty.value.plugin,
        Input(samples.inputs),
        Normalizer::default(),
        &Streams::new(run.seed),
    );
    let mut trainer = Trainer::of(model.as_asked(&run), &run.train.value);
    let batches = samples.batches(arguments.batch.get()).map_err(Failure::Io)?;
    let Some(timed) = time(&mut trainer, architecture, &batches, arguments) else {
        let message = "the loss was no finite number any more, so there is no whole step to time";
        say_problems(&[Diagnostic::nowhere(message)]);
        return Ok(Exit::RunsFailed);
    };

    let median = timed.median();
    let rate = arguments.batch.get() as f64 / (median / 1e3);
    let density = timed.l0 / architecture.latents() as f64;
    let (engine, precision) = (trainer.model.engine().name, run.train.value.precision);
    let peak = provenance::peak_memory().map(|bytes| bytes as f64 / f64::from(1 << 20));
    if arguments.json {
        let object = json!({
            "ms_per_step_median": median,
            "step_ms": timed.milliseconds,
            "samples_per_second": rate,
            "engine": engine,
            "precision": precision,
            "bf16_product": (precision == Precision::Bf16).then(bf16_product),
            "threads": threads,
            "density": density,
            "peak_rss_mib": peak,
        });
        print_json(&object)?;
    } else {
        let (fastest, slowest) = timed.range();
        let precision = &arguments.precision;
        let peak = peak.map_or("unknown".to_owned(), |mib| format!("{mib:.0} MiB"));
        print(&format!(
            "{} ms a step: median of {}, {} to {}; {} samples a second\n\
             engine {engine}, {precision}, threads {threads}, density {}, peak memory {peak}\n",
            words::number(median),
            timed.milliseconds.len(),
            words::number(fastest),
            words::number(slowest),
            words::number(rate),
            words::number(density),
        ))?;
    }
    Ok(Exit::Done)
}

/// Restarts this process with the memory allocator set as in a worker, unless it is already set so.
fn restart_as_worker() {
    let is_set = |(name, value): &(&str, &str)| {
        std::env::var_os(name).is_some_and(|present| present == *value)
    };
    if worker::ALLOCATOR.iter().all(is_set) {
        return;
    }
    #[cfg(unix)]
    if let Ok(program) = std::env::current_exe() {
        use std::os::unix::process::CommandExt;
        // `exec` returns only if it fails; the step is then timed with the allocator as it is.
        let arguments = std::env::args_os().skip(1);
        let _ = Command::new(program).args(arguments).envs(worker::ALLOCATOR).exec();
    }
}

/// Returns the run whose steps are timed, read and checked like a run of an experiment file.
fn read_run(arguments: &Arguments, samples: &NormalSamples) -> Result<RunSpec, Failure> {
    let Arguments { latents, batch, tied, .. } = arguments;
    let string = |text: &str| json!(text).to_string();
    // An experiment needs a dataset. The first known one stands in for the random numbers; it is not opened.
    let dataset = sorted(&DATASETS);
    let dataset = dataset.first().map_or(String::new(), |dataset| {
        format!("[dataset]\nkind = \"{}\"\n{}\n", dataset.name, dataset.example)
    });
    let text = format!(
        "name = \"bench-step\"\n\
         penalty = {penalty}\n\
         [architecture]\n\
         kind = \"dense\"\n\
         latents = {latents}\n\
         activation = {activation}\n\
         tied = {tied}\n\
         [train]\n\
         batch = {batch}\n\
         engine = {engine}\n\
         precision = {precision}\n\
         {dataset}",
        // On one line, the option holds one value and cannot add other settings.
        penalty = arguments.penalty.replace(['\n', '\r'], " "),
        activation = string(&arguments.activation),
        engine = string(&arguments.engine),
        precision = string(&arguments.precision),
    );
    let experiment = Experiment::parse("bench-step".into(), PathBuf::new(), text, &[])?;
    let run = experiment.runs()?.remove(0);
    check_run(&experiment, &run, samples)?;
    check_memory(&run, samples, batch.get())?;
    let range = run.architecture.value.plugin.code_range();
    if arguments.density.is_some() && range != CodeRange::NonNegative {
        let message = format!(
            "`--density` is for codes that are 0 below a threshold, got activation `{}`",
            arguments.activation
        );
        return Err(vec![Diagnostic::nowhere(message).help("activation `relu` has them")].into());
    }
    Ok(run)
}

/// Refuses a run that does not fit into this machine's memory, before anything is allocated.
fn check_memory(run: &RunSpec, samples: &NormalSamples, batch: usize) -> Result<(), Failure> {
    let latents = run.architecture.value.plugin.latents();
    let numbers = samples.rows as u128 * samples.inputs as u128 + batch as u128 * latents as u128;
    let needed = parameter_bytes(run, samples.inputs) + 4 * numbers;
    let there = provenance::memory().unwrap_or(u64::MAX);
    if needed <= u128::from(there) {
        return Ok(());
    }
    let gib = |bytes: f64| bytes / f64::from(1 << 30);
    let message = format!(
        "parameters, moments, batches and a code would take {:.1} GiB; this machine has {:.1}",
        gib(needed as f64),
        gib(there as f64)
    );
    Err(vec![Diagnostic::nowhere(message)].into())
}

/// Samples of normal random numbers, the same every time.
struct NormalSamples {
    inputs: usize,
    rows: usize,
}

impl NormalSamples {
    fn batches(&self, batch: usize) -> Result<Vec<Vec<f32>>, String> {
        (0..BATCHES)
            .map(|at| {
                let rows: Vec<usize> = (at * batch..(at + 1) * batch).collect();
                let mut x = vec![0.0; batch * self.inputs];
                self.gather(Split::Train, &rows, &mut x).map(|()| x)
            })
            .collect()
    }
}

impl Data for NormalSamples {
    fn shape(&self) -> SampleShape {
        SampleShape::Vector(self.inputs)
    }

    fn rows(&self, _: Split) -> usize {
        self.rows
    }

    fn gather(&self, _: Split, rows: &[usize], out: &mut [f32]) -> Result<(), String> {
        for (row, out) in rows.iter().zip(out.chunks_exact_mut(self.inputs)) {
            let mut random = Streams::new(0).stream(&format!("bench-step/{row}"));
            out.iter_mut().for_each(|value| *value = random.sample(StandardNormal));
        }
        Ok(())
    }
}

/// Measured steps.
struct StepTimes {
    milliseconds: Vec<f64>,
    /// Mean L0 over the timed steps.
    l0: f64,
}

impl StepTimes {
    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.milliseconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    fn median(&self) -> f64 {
        let sorted = self.sorted();
        let middle = sorted.len() / 2;
        if sorted.len().is_multiple_of(2) {
            (sorted[middle - 1] + sorted[middle]) / 2.0
        } else {
            sorted[middle]
        }
    }

    fn range(&self) -> (f64, f64) {
        let sorted = self.sorted();
        (sorted[0], sorted[sorted.len() - 1])
    }
}

/// Warms up and times steps; `None` if the loss is not finite, since such a step learns nothing.
fn time(
    trainer: &mut Trainer<'_>,
    architecture: &dyn Architecture,
    batches: &[Vec<f32>],
    arguments: &Arguments,
) -> Option<StepTimes> {
    let mut step = 0;
    let mut next = || {
        let x = &batches[step % BATCHES];
        step += 1;
        if let Some(density) = arguments.density {
            let code = pre_code(trainer, architecture, arguments.input.get(), x);
            trainer.model.shift_encoder_bias(&shift(&code, architecture.latents(), density.get()));
        }
        let started = Instant::now();
        let loss = trainer.step(Minibatch::clean(x), STEP, 1.0);
        let elapsed = started.elapsed();
        loss.total.is_finite().then_some((elapsed, loss.l0))
    };
    let (mut done, mut spent) = (0, Duration::ZERO);
    while done < WARM_UP.0 || spent < WARM_UP.1 {
        spent += next()?.0;
        done += 1;
    }
    let steps = arguments.steps as usize;
    let mut timed = StepTimes { milliseconds: Vec::with_capacity(steps), l0: 0.0 };
    for _ in 0..steps {
        let (elapsed, l0) = next()?;
        timed.milliseconds.push(elapsed.as_nanos() as f64 / 1e6);
        timed.l0 += l0;
    }
    timed.l0 /= steps as f64;
    Some(timed)
}

/// Returns the code of samples `x` before the activation, [batch, latents], by the architecture's definition.
fn pre_code(
    trainer: &Trainer<'_>,
    architecture: &dyn Architecture,
    inputs: usize,
    x: &[f32],
) -> Vec<f32> {
    let parameters = trainer.model.parameters();
    let weights = Weights::new(Input(inputs), &parameters);
    let shape = (Batch(x.len() / inputs), Input(inputs));
    let x = tensor(x.to_vec(), shape).retaped();
    values(&f32::autoencoder(architecture).encode(x, &weights).pre_code)
}

/// Returns the constant to add to each latent's pre-code, [batch, latents], so that the share `density` of
/// all values is above 0. If the share of a batch is not a whole number, some latents get one more than
/// others.
fn shift(pre_code: &[f32], latents: usize, density: f64) -> Vec<f32> {
    let batch = pre_code.len() / latents;
    let up_to = |latent: usize| (density * batch as f64 * latent as f64).round() as usize;
    (0..latents)
        .into_par_iter()
        .map(|latent| {
            let mut column: Vec<f32> =
                (0..batch).map(|row| pre_code[row * latents + latent]).collect();
            -level(&mut column, up_to(latent + 1) - up_to(latent))
        })
        .collect()
}

/// Returns a number below the `above` greatest values and above the others.
fn level(values: &mut [f32], above: usize) -> f32 {
    let least = |values: &[f32]| values.iter().copied().fold(f32::INFINITY, f32::min);
    if above >= values.len() {
        return least(values) - 1.0;
    }
    let (kept, below, _) = values.select_nth_unstable_by(above, |a, b| b.total_cmp(a));
    if kept.is_empty() { *below + 1.0 } else { least(kept) / 2.0 + *below / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_has_the_asked_number_of_values_above_it() {
        let values = [3.0, -1.0, 0.5, 2.0, -4.0];
        for above in 0..=values.len() {
            let level = level(&mut values.clone(), above);
            assert_eq!(values.iter().filter(|value| **value > level).count(), above);
        }
    }

    #[test]
    fn shares_that_are_no_whole_number_of_a_batch_hold_over_all_latents() {
        // 3 samples, 4 latents, a quarter: 3 of 12 values.
        let code: Vec<f32> = (0..12).map(|at| ((at * 7) % 12) as f32).collect();
        let shift = shift(&code, 4, 0.25);
        let above = code.iter().enumerate().filter(|(at, value)| **value + shift[at % 4] > 0.0);
        assert_eq!(above.count(), 3);
    }
}

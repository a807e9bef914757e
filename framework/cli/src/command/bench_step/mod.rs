//! `bench-step`: times whole training steps (forward, loss, backward, Adam) on a few fixed batches of normal
//! random numbers. The batches are already in memory, and the process is set up as a worker.

mod activity;
mod one_run;
mod samples;
mod step_times;

use std::process::Command;

use analysis::words;
use clap::Args;
use framework::diagnostics::Diagnostic;
use framework::fused::bf16_product;
use framework::model::{Definition, Mode, Step};
use framework::plugin::Data;
use framework::random::Streams;
use framework::spec::Precision;
use framework::spec::numbers::Share;
use framework::train::{Model, Normalizer, Trainer};
use serde_json::json;
use store::exit::{Exit, Failure};
use store::provenance;

use self::activity::Shares;
use self::one_run::read_run;
use self::samples::NormalSamples;
use self::step_times::{NormalNoise, time};
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
    /// Activation after the encoder's affine map; by default that of the architecture
    #[arg(long, value_name = "NAME")]
    activation: Option<String>,
    /// Use the encoder's transpose as the decoder
    #[arg(long)]
    tied: bool,
    /// Set a key of the architecture, the penalty, auxiliaries, the corruption or training, as `run --set` does;
    /// it takes the place of what the other options say; repeatable
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    sets: Vec<String>,
    /// Share of the latents to make active (of relu, or of a penalty with thresholds or gates): before each step,
    /// each latent's pre-code gets a constant that puts this share of its values above 0, or above its threshold;
    /// values that the penalty then sets to 0 are not active, and magnitudes of `gated` are shifted to be above 0
    /// there. With `--dead`, the living latents carry the share of all
    #[arg(long, value_name = "P", value_parser = share)]
    density: Option<Share>,
    /// Share of the latents that never fire, the first ones: before the first step, a constant is subtracted
    /// from their pre-codes, or added to those of the others where the largest are kept and an auxiliary watches
    /// dead latents. The share that was dead in the timed steps is printed: settings that revive latents still
    /// do so
    #[arg(long, value_name = "P", value_parser = share)]
    dead: Option<Share>,
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

/// Training step at the end of training, when the schedule of the penalty is over.
const STEP: Step<'_> = Step { mode: Mode::Train, number: 0, progress: 1.0, steps: 0, labels: None };

pub fn bench_step(arguments: &Arguments) -> Result<Exit, Failure> {
    restart_as_worker();
    let threads = arguments.threads.map_or(provenance::cores(), |threads| threads as usize);
    let run = read_run(arguments)?;
    let (batch, precision) = (run.train.value.batch, run.train.value.precision);
    let samples = NormalSamples::new(arguments.input.get(), batch);
    let architecture = &*run.architecture.value.plugin;
    let shares = Shares::new(architecture.latents(), arguments.density, arguments.dead)?;
    worker::limit_threads(threads);

    let model = Model::new(
        Definition::of(&run),
        samples.shape(),
        Normalizer::default(),
        &Streams::new(run.seed),
    );
    let mut trainer = Trainer::of(model.as_asked(&run), &run.train.value)
        .dead_after(run.train.value.dead_after(batch));
    let batches = samples.batches(batch).map_err(Failure::Io)?;
    shares.silence(&mut trainer, &batches)?;
    let Some(timed) = time(
        &mut trainer,
        &batches,
        samples.classes(batch),
        &shares,
        arguments.steps as usize,
        NormalNoise::new(samples.shape(), &*run.corruption.value.plugin).as_ref(),
    ) else {
        let message = "the loss was no finite number any more, so there is no whole step to time";
        say_problems(&[Diagnostic::nowhere(message)]);
        return Ok(Exit::RunsFailed);
    };

    let median = timed.median();
    let rate = batch as f64 / (median / 1e3);
    let density = timed.l0 / architecture.latents() as f64;
    let engine = trainer.model.engine().name;
    let peak = provenance::peak_memory().map(|bytes| bytes as f64 / f64::from(1 << 20));
    if arguments.json {
        let mut object = json!({
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
        if let Some(dead) = timed.dead {
            object["dead"] = json!(dead);
        }
        print_json(&object)?;
    } else {
        let (fastest, slowest) = timed.range();
        let precision = json!(precision);
        let precision = precision.as_str().unwrap_or_default();
        let peak = peak.map_or("unknown".to_owned(), |mib| format!("{mib:.0} MiB"));
        let dead =
            timed.dead.map_or(String::new(), |dead| format!(", dead {}", words::number(dead)));
        print(&format!(
            "{} ms a step: median of {}, {} to {}; {} samples a second\n\
             engine {engine}, {precision}, threads {threads}, density {}{dead}, peak memory {peak}\n",
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

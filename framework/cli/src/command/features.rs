//! `features`: shows the latents of one run: what they are active on and what they write.

use std::path::PathBuf;

use analysis::words;
use analysis::{Features, Latent};
use clap::{Args, ValueEnum};
use framework::diagnostics::Diagnostic;
use framework::dims::Input;
use framework::fit::Opened;
use framework::plugin::{Data, SampleShape, Split};
use framework::spec::RunSpec;
use report::Picture;
use report::figures::picture::{Colors, Tile, rows_of};
use serde_json::{Value as Json, json};
use store::exit::{Exit, Failure};
use store::{self, Folder, Manifest, RunCondition, RunState, Unread};

use super::{print, print_json, show};
use crate::output;
use crate::progress::{describe, say};

const MORE: &str = "\
Latents are measured on the test part of the data. Nearest latents are by the cosine of decoder rows. Of data with
classes, `class` is the one with the greatest mean activation, with that mean and the mutual information, in bits, of
whether the latent is active and the class: 0 where one says nothing about the other.";

#[derive(Args)]
#[command(after_long_help = MORE)]
pub struct Arguments {
    /// Experiment folder, such as results/kl_sweep
    folder: PathBuf,
    /// Id of a run, or its first characters
    run: String,
    /// Number of test samples to show of each latent, those with its greatest values
    #[arg(long, value_name = "N", default_value_t = 5)]
    top: usize,
    /// Number to sort latents by, the greatest first
    #[arg(long, value_enum, default_value_t = Sort::FiringRate)]
    sort: Sort,
    /// Show every latent, not only the first 20
    #[arg(long)]
    all: bool,
    /// Write pictures of image data to FOLDER: decoder rows (features.png), and for each latent a row with
    /// its decoder row and its shown samples (examples.png)
    #[arg(long, value_name = "FOLDER")]
    pictures: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Sort {
    FiringRate,
    MeanActivation,
    MaxActivation,
    DecoderNorm,
    /// Mutual information between being active and the class
    Information,
    /// Index, the lowest first
    Latent,
}

/// Number of latents shown without `--all`.
const SHOWN: usize = 20;

/// Number of nearest latents shown.
const NEAREST: usize = 3;

/// Largest number of rows in a picture of examples, which is about 35,000 pixels.
const ROWS: usize = 1000;

/// Smallest size of a tile in pixels; smaller tiles are enlarged.
const LEAST: usize = 32;

pub fn features(arguments: &Arguments) -> Result<Exit, Failure> {
    let folder = Folder::at(&arguments.folder);
    let experiment = folder.experiment()?;
    let runs = experiment.runs()?;
    let run = chosen(&runs, &arguments.run)?;
    if let [RunCondition::Stale(what)] = &folder.survey(&experiment, std::slice::from_ref(run))?[..]
    {
        say(&format!("warning: run {}: {what}; it is shown on what its data is now", run.id));
    }
    let (manifest, bytes) = model_of(&folder, run)?;
    let unread = |what: String| Failure::Io(format!("run {}: {what}", run.id));
    let run = manifest.as_trained(run).map_err(unread)?;
    let mut opened = Opened::default();
    let data = opened.get(&run.dataset).map_err(|problem| vec![problem])?;
    let input = Input(data.shape().inputs());
    let model = store::read_model(&run, input, &bytes).map_err(unread)?;
    let features = Features::of(&model, &*data, experiment.evaluate.batch, arguments.top);
    let features = features.map_err(unread)?;

    let order = order(&features, arguments.sort);
    let count = if arguments.all { order.len() } else { order.len().min(SHOWN) };
    let shown = &order[..count];
    if let Some(pictured) = &arguments.pictures {
        let files = pictures(&features, shown, &*data)?;
        output::make_folder(&[&folder], pictured)?;
        for (name, bytes) in files {
            output::write(&[&folder], &pictured.join(name), &bytes)?;
        }
    }
    if arguments.json {
        let latents: Vec<Json> = shown.iter().map(|at| latent_json(&features, *at)).collect();
        let document = json!({
            "run_id": run.id.0,
            "samples": features.samples,
            "latents": features.latents.len(),
            "class_names": data.class_names(),
            "shown": latents,
        });
        print_json(&document)?;
    } else {
        print(&text(&features, &run, shown, &*data))?;
    }
    Ok(Exit::Done)
}

/// Returns the run whose id begins with `id`.
fn chosen<'a>(runs: &'a [RunSpec], id: &str) -> Result<&'a RunSpec, Failure> {
    let found: Vec<&RunSpec> = runs.iter().filter(|run| run.id.0.starts_with(id)).collect();
    match found[..] {
        [run] => Ok(run),
        _ => {
            let message =
                format!("`{id}`: {} runs of the experiment have an id that starts so", found.len());
            let problem = Diagnostic::nowhere(message);
            Err(Failure::Problems(vec![problem.help("the id of one run, as `list` shows it")]))
        }
    }
}

/// Reads the manifest of a run and the file of its model.
fn model_of(folder: &Folder, run: &RunSpec) -> Result<(Box<Manifest>, Vec<u8>), Failure> {
    const MODEL: &str = "model.safetensors";
    let none = |what: &str| Failure::Io(format!("run {} has no model: {what}", run.id));
    let manifest = match folder.state(&run.id, false)? {
        RunState::Ended(manifest) if manifest.digests.contains_key(MODEL) => manifest,
        RunState::Ended(manifest) => return Err(none(&format!("it is {}", manifest.status))),
        RunState::Outstanding => return Err(none("it has not ended")),
        RunState::Damaged(what) => return Err(none(&what)),
    };
    match folder.read_run_file(&manifest, MODEL) {
        Ok(bytes) => Ok((manifest, bytes)),
        Err(Unread::Damaged(what)) => Err(Failure::Io(what)),
        Err(Unread::Failed(failure)) => Err(failure),
    }
}

/// Returns the latents in the requested order, equal ones by index.
fn order(features: &Features, sort: Sort) -> Vec<usize> {
    let key = |latent: &Latent| match sort {
        Sort::FiringRate => latent.firing_rate,
        Sort::MeanActivation => latent.mean_activation,
        Sort::MaxActivation => latent.max_activation,
        Sort::DecoderNorm => latent.decoder_norm.unwrap_or(f64::NEG_INFINITY),
        Sort::Information => latent.class.as_ref().map_or(f64::NEG_INFINITY, |c| c.information),
        Sort::Latent => 0.0,
    };
    let latents = &features.latents;
    let mut order: Vec<usize> = (0..latents.len()).collect();
    order.sort_by(|a, b| key(&latents[*b]).total_cmp(&key(&latents[*a])));
    order
}

fn text(features: &Features, run: &RunSpec, shown: &[usize], data: &dyn Data) -> String {
    let name = |class: u32| {
        let name = data.class_names().get(class as usize).cloned();
        name.unwrap_or_else(|| class.to_string())
    };
    let has_classes = data.labels(Split::Test).is_some();
    let example = if has_classes { "sample (class) value" } else { "sample value" };
    let mut heading = vec!["latent", "firing_rate", "mean", "max", "norm", example, "nearest"];
    heading.extend(has_classes.then_some("class: mean, bits"));
    let row = |at: &usize| {
        let latent = &features.latents[*at];
        let top = latent.top.iter().map(|example| {
            let class = example.class.map_or(String::new(), |class| format!(" ({})", name(class)));
            format!("{}{class} {}", example.sample, words::number(f64::from(example.value)))
        });
        let nearest = features.nearest(*at, NEAREST).into_iter();
        let nearest = nearest.map(|near| format!("{} {:.2}", near.latent, near.cosine));
        let mut cells = vec![
            at.to_string(),
            words::number(latent.firing_rate),
            words::number(latent.mean_activation),
            words::number(latent.max_activation),
            latent.decoder_norm.map_or(String::new(), words::number),
            top.collect::<Vec<_>>().join(", "),
            nearest.collect::<Vec<_>>().join(", "),
        ];
        if has_classes {
            let class = latent.class.as_ref().map(|class| {
                let mean = words::number(class.mean_activation);
                format!("{}: {mean}, {:.3}", name(class.class), class.information)
            });
            cells.push(class.unwrap_or_default());
        }
        cells
    };
    let dead = features.latents.iter().filter(|latent| latent.firing_rate == 0.0).count();
    let mut text = format!(
        "run {} ({}): {} latents, {dead} of them dead on {} test samples\n{}",
        run.id,
        describe(run),
        features.latents.len(),
        features.samples,
        show::table(&heading, &shown.iter().map(row).collect::<Vec<_>>())
    );
    if shown.len() < features.latents.len() {
        let more = features.latents.len() - shown.len();
        text.push_str(&format!("… and {more} more; `--all` shows them\n"));
    }
    text
}

fn latent_json(features: &Features, at: usize) -> Json {
    let mut json = json!(features.latents[at]);
    json["nearest"] = json!(features.nearest(at, NEAREST));
    json
}

/// Returns the pictures of these latents as files: names and bytes.
fn pictures(
    features: &Features,
    shown: &[usize],
    data: &dyn Data,
) -> Result<[(&'static str, Vec<u8>); 2], Failure> {
    let refused =
        |what: &str| Failure::Problems(vec![Diagnostic::nowhere(format!("`--pictures`: {what}"))]);
    let (shape, inputs) = (data.shape(), data.shape().inputs());
    let Some(dictionary) = &features.dictionary else {
        return Err(refused("the latents of this run have no decoder rows"));
    };
    let SampleShape::Image { channels: channels @ (1 | 3), height, width } = shape else {
        return Err(refused("the samples are no pictures, grey or of three colours"));
    };
    let atom = |at: &usize| (dictionary[at * inputs..(at + 1) * inputs].to_vec(), Colors::Signed);
    let samples: Vec<usize> = shown
        .iter()
        .take(ROWS)
        .flat_map(|at| features.latents[*at].top.iter().map(|example| example.sample))
        .collect();
    let mut values = vec![0.0; samples.len() * inputs];
    data.gather(Split::Test, &samples, &mut values).map_err(Failure::Io)?;
    let (low, high) = data.range().unwrap_or_else(|| {
        let ends = (f32::INFINITY, f32::NEG_INFINITY);
        values.iter().fold(ends, |(low, high), value| (low.min(*value), high.max(*value)))
    });
    let mut values = values.chunks_exact(inputs);
    let row = |at: &usize| {
        let examples = values.by_ref().take(features.latents[*at].top.len());
        let examples = examples.map(|values| (values.to_vec(), Colors::Between(low, high)));
        std::iter::once(atom(at)).chain(examples).collect::<Vec<Tile>>()
    };
    let examples = shown.iter().take(ROWS).map(row).collect();
    // The picture is about square.
    let across = (shown.len() as f64).sqrt().ceil() as usize;
    let atoms = rows_of(shown.iter().map(atom).collect(), across);
    let scale = LEAST.div_ceil(height.max(width).max(1));
    let png = |rows| {
        let picture =
            Picture { caption: String::new(), channels, height, width, rows, block: None };
        picture.png(scale).map_err(Failure::Io)
    };
    Ok([("features.png", png(atoms)?), ("examples.png", png(examples)?)])
}

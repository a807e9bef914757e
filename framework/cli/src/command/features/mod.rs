//! `features`: shows the latents of one run: what they are active on and what they write.
//!
//! - `chosen` finds the run by its id or its setting.
//! - `latent` shows one latent in full, and `pictures` draws them.

mod chosen;
mod latent;
mod pictures;

use std::path::PathBuf;

use analysis::words;
use analysis::{Features, Latent};
use clap::{Args, ValueEnum};
use framework::diagnostics::Diagnostic;
use framework::fit::Opened;
use framework::plugin::{Data, SampleShape, Split};
use framework::printable;
use framework::spec::RunSpec;
use serde_json::{Value as Json, json};
use store::exit::{Exit, Failure};
use store::{self, Folder, Manifest, RunCondition, RunState, Unread};

use self::chosen::{ChosenRun, chosen};
use self::pictures::pictures;
use super::{print, print_json, show};
use crate::output;
use crate::progress::{describe, say};

const MORE: &str = "\
A run is named by its id, by the first characters of its id, or by its setting as progress and tables print it:

  saegrid features results/kl_sweep rho=0.02 beta=0.1
  saegrid features results/kl_sweep rho=0.02 beta=0.1 seed=1
  saegrid features results/methods k-sparse k=10 --latent 17

Without a seed, the lowest one that has a model is taken.

Latents are measured on the test part of the data. Nearest latents are by the cosine of decoder rows. Of data with
classes, `class` is the one with the greatest mean activation, with that mean and the mutual information, in bits, of
whether the latent is active and the class: 0 where one says nothing about the other. `selectivity` is the share of
its activation that is on samples of one class.

With `--latent`, all there is about these latents is shown: the decoder row (of images, as characters), the top
samples, a histogram of the values on the test samples with exact zeros counted apart, the mean on each class, and the
nearest latents.

Of an architecture whose latents have no decoder rows, the input that activates a latent most is shown in their place:
found by gradient ascent from the mean training sample, among inputs that are no further from it than training samples
are on average.";

#[derive(Args)]
#[command(after_long_help = MORE)]
pub struct Arguments {
    /// Experiment folder, such as results/kl_sweep
    folder: PathBuf,
    /// Id of a run, its first characters, or its setting, such as rho=0.02 beta=0.1 or k-sparse k=10 seed=1
    #[arg(required = true, num_args = 1.., value_name = "RUN")]
    run: Vec<String>,
    /// Show these latents in full instead of the table: tile, top samples, histogram of values, classes, nearest;
    /// repeatable, or several as in 17,42
    #[arg(long, value_name = "INDEX", value_delimiter = ',')]
    latent: Vec<usize>,
    /// Number of test samples to show of each latent, those with its greatest values
    #[arg(long, value_name = "N", default_value_t = 5)]
    top: usize,
    /// Number to sort latents by, the greatest first
    #[arg(long, value_enum, default_value_t = Sort::FiringRate)]
    sort: Sort,
    /// Show every latent, not only the first 20
    #[arg(long)]
    all: bool,
    /// Write pictures of image data to FOLDER: decoder rows, or the inputs that activate latents most, with the
    /// numbers of their latents (features.png), and for each latent a row with the same and its shown samples
    /// (examples.png); with `--latent 17` also latent-17.png
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
    /// Share of its activation that is on samples of one class
    ClassSelectivity,
    /// Index, the lowest first
    Latent,
}

/// Number of latents shown without `--all`.
const SHOWN: usize = 20;

/// Number of nearest latents shown.
const NEAREST: usize = 3;

pub fn features(arguments: &Arguments) -> Result<Exit, Failure> {
    let folder = Folder::at(&arguments.folder);
    let experiment = folder.experiment()?;
    let runs = experiment.runs()?;
    let ChosenRun { run, other_seeds } =
        chosen(&runs, &arguments.run, &|run| Ok(model_of(&folder, run)?.is_ok()), &|run| {
            model_of(&folder, run).ok()?.ok()?.as_trained(run).ok()
        })?;
    if let Some(other) = other_seeds.first() {
        say(&format!(
            "this is seed {} of {}: run {}; `seed={other}` takes another",
            run.seed,
            other_seeds.len() + 1,
            run.id
        ));
    }
    if let [RunCondition::Stale(what)] = &folder.survey(&experiment, std::slice::from_ref(run))?[..]
    {
        say(&format!("warning: run {}: {what}; it is shown on what its data is now", run.id));
    }
    let manifest = model_of(&folder, run)?.map_err(Failure::Io)?;
    let bytes = folder.read_run_file(&manifest, MODEL).map_err(|unread| match unread {
        Unread::Damaged(what) => Failure::Io(what),
        Unread::Failed(failure) => failure,
    })?;
    let unread = |what: String| Failure::Io(format!("run {}: {what}", run.id));
    let run = manifest.as_trained(run).map_err(unread)?;
    let mut opened = Opened::default();
    let data = opened.get(&run.dataset).map_err(|problem| vec![problem])?;
    let model = store::read_model(&run, data.shape(), &bytes).map_err(unread)?;
    let in_full = in_full(&arguments.latent, model.latents())?;
    let (batch, top) = (experiment.evaluate.batch, arguments.top);
    let mut features = Features::of(&model, &*data, batch, top, &in_full).map_err(unread)?;

    let order = order(&features, arguments.sort);
    let count = if arguments.all { order.len() } else { order.len().min(SHOWN) };
    let shown = if in_full.is_empty() { &order[..count] } else { &in_full };
    let are_images = matches!(data.shape(), SampleShape::Image { .. });
    if are_images && (arguments.pictures.is_some() || !in_full.is_empty()) {
        features.search_preferred(&model, &*data, shown).map_err(unread)?;
    }
    if let Some(pictured) = &arguments.pictures {
        let files = pictures(&features, shown, &in_full, &*data)?;
        output::make_folder(&[&folder], pictured)?;
        for (name, bytes) in files {
            output::write(&[&folder], &pictured.join(name), &bytes)?;
        }
    }
    if arguments.json {
        let latents: Vec<Json> =
            shown.iter().map(|at| latent_json(&features, *at, &*data)).collect();
        let document = json!({
            "run_id": run.id.0,
            "seed": run.seed,
            "samples": features.samples,
            "latents": features.latents.len(),
            "l0_rule": features.l0_rule.name(),
            "class_names": data.class_names(),
            "shown": latents,
        });
        print_json(&document)?;
    } else if in_full.is_empty() {
        print(&text(&features, &run, shown, &*data))?;
    } else {
        let each = features.profiles.iter();
        let each = each.map(|(at, profile)| latent::text(&features, *at, profile, &*data));
        print(&format!("{}{}", heading(&features, &run), each.collect::<String>()))?;
    }
    Ok(Exit::Done)
}

/// File of a run that holds its model.
const MODEL: &str = "model.safetensors";

/// Reads the manifest of a run that has a model; within, the reason why it has none.
fn model_of(folder: &Folder, run: &RunSpec) -> Result<Result<Box<Manifest>, String>, Failure> {
    let none = |what: &str| Err(format!("run {} has no model: {what}", run.id));
    Ok(match folder.state(&run.id, false)? {
        RunState::Ended(manifest) if manifest.digests.contains_key(MODEL) => Ok(manifest),
        RunState::Ended(manifest) => none(&format!("it is {}", manifest.status)),
        RunState::Outstanding => none("it has not ended"),
        RunState::Damaged(what) => none(&what),
    })
}

/// Returns the latents to show in full, lowest first, each once.
fn in_full(asked: &[usize], latents: usize) -> Result<Vec<usize>, Failure> {
    let mut all = asked.to_vec();
    all.sort_unstable();
    all.dedup();
    match all.last() {
        Some(last) if *last >= latents => {
            let message = format!("`--latent {last}`: the run has {latents} latents");
            let help = format!("the first is 0, the last {}", latents.saturating_sub(1));
            Err(Failure::Problems(vec![Diagnostic::nowhere(message).help(help)]))
        }
        _ => Ok(all),
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
        Sort::ClassSelectivity => latent.class_selectivity.unwrap_or(f64::NEG_INFINITY),
        Sort::Latent => 0.0,
    };
    let latents = &features.latents;
    let mut order: Vec<usize> = (0..latents.len()).collect();
    order.sort_by(|a, b| key(&latents[*b]).total_cmp(&key(&latents[*a])));
    order
}

/// Says which run it is, and how many of its latents are never active.
fn heading(features: &Features, run: &RunSpec) -> String {
    let never = features.latents.iter().filter(|latent| latent.firing_rate == 0.0).count();
    format!(
        "run {} ({}): {} latents, {never} of them {} on {} test samples\n",
        run.id,
        describe(run),
        features.latents.len(),
        features.l0_rule.never_active(),
        features.samples,
    )
}

/// Returns the name of a class.
fn name_of(class: u32, data: &dyn Data) -> String {
    let name = data.class_names().get(class as usize);
    name.map_or_else(|| class.to_string(), |name| printable::line(name).into_owned())
}

/// Returns the samples with the greatest values of a latent, each with its class and the value.
fn top_words(latent: &Latent, data: &dyn Data) -> Vec<String> {
    let top = latent.top.iter().map(|example| {
        let class = example.class.map(|class| format!(" ({})", name_of(class, data)));
        let value = words::number(f64::from(example.value));
        format!("{}{} {value}", example.sample, class.unwrap_or_default())
    });
    top.collect()
}

/// Returns the nearest latents, each with its cosine.
fn nearest_words(features: &Features, at: usize, count: usize) -> Vec<String> {
    let nearest = features.nearest(at, count).into_iter();
    nearest.map(|near| format!("{} {:.2}", near.latent, near.cosine)).collect()
}

fn text(features: &Features, run: &RunSpec, shown: &[usize], data: &dyn Data) -> String {
    let has_classes = data.labels(Split::Test).is_some();
    let example = if has_classes { "sample (class) value" } else { "sample value" };
    let mut titles = vec!["latent", "firing_rate", "mean", "max", "norm", example, "nearest"];
    titles.extend(has_classes.then_some("class: mean, bits, selectivity"));
    let row = |at: &usize| {
        let latent = &features.latents[*at];
        let mut cells = vec![
            at.to_string(),
            words::number(latent.firing_rate),
            words::number(latent.mean_activation),
            words::number(latent.max_activation),
            latent.decoder_norm.map_or(String::new(), words::number),
            top_words(latent, data).join(", "),
            nearest_words(features, *at, NEAREST).join(", "),
        ];
        if has_classes {
            let class = latent.class.as_ref().map(|class| {
                let mean = words::number(class.mean_activation);
                let selectivity = latent.class_selectivity.map_or("–".to_owned(), words::percent);
                let name = name_of(class.class, data);
                format!("{name}: {mean}, {:.3}, {selectivity}", class.information)
            });
            cells.push(class.unwrap_or_default());
        }
        cells
    };
    let mut text = format!(
        "{}{}",
        heading(features, run),
        show::table(&titles, &shown.iter().map(row).collect::<Vec<_>>())
    );
    if !shown.is_empty() && shown.iter().all(|at| features.latents[*at].decoder_norm.is_none()) {
        text.push_str(
            "Latents behind hidden layers have no decoder rows: `norm` and `nearest` stay empty, and tiles show the \
             inputs that they prefer.\n",
        );
    }
    if shown.len() < features.latents.len() {
        let more = features.latents.len() - shown.len();
        text.push_str(&format!("… and {more} more; `--all` shows them\n"));
    }
    text
}

fn latent_json(features: &Features, at: usize, data: &dyn Data) -> Json {
    let mut json = json!(features.latents[at]);
    let Some(profile) = features.profiles.get(&at) else {
        json["nearest"] = json!(features.nearest(at, NEAREST));
        return json;
    };
    json["nearest"] = json!(features.nearest(at, latent::NEAREST));
    json["zeros"] = json!(profile.zeros);
    json["histogram"] = json!(profile.histogram);
    json["classes"] = json!(profile.classes);
    json["decoder_row"] = json!(features.row(at));
    if let Some(input) = features.preferred.get(&at) {
        json["preferred_input"] = json!(input);
    }
    if let SampleShape::Image { channels, height, width } = data.shape() {
        json["tile"] = json!({ "channels": channels, "height": height, "width": width });
    }
    json
}

//! A run depends on its settings and its seed alone, on any number of threads; and it learns.

use framework::model::Parameters;
use framework::plugin::{CORRUPTIONS, sorted};
use framework::train::{Ended, LossMeans, Progress, train};

use crate::support::models::{data, runs};

/// What a run leaves behind.
#[derive(Debug, PartialEq)]
struct Left {
    /// Bit patterns, so that -0 is not 0.
    parameters: Vec<(String, Vec<u32>)>,
    loss: LossMeans,
    metrics: Vec<(String, Option<u64>)>,
    first_loss: u64,
}

/// An experiment of one run on waves.
fn experiment(rest: &str) -> String {
    format!(
        "name = \"determinism\"\n[dataset]\nkind = \"waves\"\nlabels = true\n\
         [evaluate]\nkinds = [\"peak\"]\n{rest}"
    )
}

fn bits(parameters: &Parameters<f32>) -> Vec<(String, Vec<u32>)> {
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect();
    let entries = parameters.entries.iter();
    entries.map(|entry| (entry.declaration.name.clone(), bits(&entry.values))).collect()
}

/// Trains the experiment's only run in a pool of `threads` threads.
fn trained(text: &str, threads: usize) -> Left {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let (experiment, runs) = runs(text);
        let [run] = &*runs else { panic!("one run, not {}", runs.len()) };
        let mut first_loss = None;
        let watch = &mut |progress: &Progress| {
            first_loss.get_or_insert(progress.loss.to_bits());
        };
        let ended = train(run, &*data(run), &experiment.evaluate, None, watch);
        let Ended::Done(trained) = ended else { panic!("the run did not go to its end") };
        let metrics = trained.history.iter().flat_map(|row| &row.metrics);
        Left {
            parameters: bits(&trained.model.parameters()),
            loss: trained.loss,
            metrics: metrics
                .map(|metric| (metric.name.clone(), metric.value.map(f64::to_bits)))
                .collect(),
            first_loss: first_loss.unwrap(),
        }
    })
}

/// Wrong if a run did not do what one of these settings of `[train]` says, did it where the setting changes
/// nothing, or counted the penalty by another weight than the one applied.
#[test]
fn a_run_clips_warms_up_and_stratifies_as_its_settings_say() {
    for engine in ["reference", "fused"] {
        let of = |setting: &str| {
            let text = experiment(&format!(
                "[architecture]\nkind = \"dense\"\nlatents = 12\n[penalty]\nkind = \"l1\"\n\
                 lambda = 0.1\n[train]\nengine = \"{engine}\"\nepochs = 2\nbatch = 20\n{setting}\n"
            ));
            trained(&text, 1)
        };
        let plain = of("");
        for setting in ["clip_norm = 1e9", "penalty_warmup = 0", "batches = \"shuffled\""] {
            assert_eq!(of(setting), plain, "{engine}: {setting}");
        }
        let falling = "schedule = { kind = \"linear\", decay = 1 }";
        for setting in ["clip_norm = 0.01", "batches = \"stratified\"", falling] {
            assert_ne!(of(setting).parameters, plain.parameters, "{engine}: {setting}");
        }
        let LossMeans { penalty, penalty_raw, .. } = of("penalty_warmup = 1").loss;
        // Over the second half of the steps, the weight rises from one half of 0.1 to all of it.
        let weight = penalty / penalty_raw;
        assert!((0.05..0.095).contains(&weight), "{engine}: {weight}");
    }
}

/// Large enough that products are spread over threads where a library does so.
const WIDE: &str = "[dataset]\nkind = \"waves\"\ninputs = 96\ntrain = 256\ntest = 64\n\
                    [architecture]\nkind = \"dense\"\nlatents = 256\n\
                    [penalty]\nkind = \"l1\"\nlambda = 0.01\n\
                    [train]\nsteps = 6\n[evaluate]\nkinds = [\"peak\"]\nbatch = 64\n";

/// The same run twice, and with one and two threads: the same bits.
#[test]
fn the_same_run_gives_the_same_bits_with_any_number_of_threads() {
    let small = |architecture: &str, penalty: &str| {
        experiment(&format!(
            "[architecture]\n{architecture}\n[penalty]\n{penalty}\n[train]\nepochs = 3\nbatch = 20\n"
        ))
    };
    let classes = "kind = \"class-group-lasso\"\nlambda = 0.1";
    let wide_classes = format!("name = \"determinism\"\n{WIDE}")
        .replace("kind = \"l1\"\nlambda = 0.01", classes)
        .replace("inputs = 96", "inputs = 96\nlabels = true");
    for text in [
        small("kind = \"dense\"\nlatents = 16", "kind = \"l1\"\nlambda = 0.1"),
        small(
            "kind = \"dense\"\nlatents = 16\nactivation = \"sigmoid\"\ntied = true",
            "kind = \"kl\"\nrho = 0.1\nbeta = 0.2",
        ),
        small(
            "kind = \"dense\"\nlatents = 16\nactivation = \"identity\"",
            "kind = \"k-sparse\"\nk = 4",
        ),
        small(
            "kind = \"two-layer\"\nlatents = 16\ncode = \"first\"",
            "kind = \"soft-threshold\"\nlambda = 0.1",
        ),
        small(
            "kind = \"dense\"\nlatents = 16",
            "kind = \"sparse-group-lasso\"\nlambda = 0.1\ngroup_lambda = 0.1\ngroup_size = 4",
        ),
        small(
            "kind = \"dense\"\nlatents = 16\ntied = true",
            "kind = \"l1\"\nlambda = 0.1\nnorm_weighted = true",
        ),
        small("kind = \"dense\"\nlatents = 16", classes),
        small("kind = \"dense\"\nlatents = 16", classes) + "batches = \"stratified\"\n",
        format!(
            "auxiliary = [{{ kind = \"contractive\", lambda = 0.1 }}]\n{}",
            small("kind = \"dense\"\nlatents = 16\nactivation = \"sigmoid\"", "kind = \"none\"")
        ),
        format!("name = \"determinism\"\n{WIDE}"),
        wide_classes.clone(),
        wide_classes.replace("steps = 6", "steps = 6\nbatches = \"stratified\""),
        format!(
            "auxiliary = [{{ kind = \"contractive\", lambda = 0.1 }}, \
             {{ kind = \"l1\", lambda = 0.1, norm_weighted = true }}]\nname = \"determinism\"\n{WIDE}"
        ),
        format!("name = \"determinism\"\n{WIDE}[corruption]\nkind = \"salt\"\nrate = 0.3\n"),
    ] {
        let once = trained(&text, 1);
        assert_eq!(once, trained(&text, 1), "twice with one thread:\n{text}");
        assert_eq!(once, trained(&text, 2), "with one and two threads:\n{text}");
    }
}

/// Wrong if noise depended on which thread makes it. Images fit every corruption.
#[test]
fn every_corruption_gives_the_same_bits_with_any_number_of_threads() {
    for plugin in sorted(&CORRUPTIONS) {
        let text = format!(
            "name = \"determinism\"\n[dataset]\nkind = \"digits\"\n[architecture]\nkind = \"dense\"\n\
             latents = 160\n[corruption]\nkind = \"{}\"\n{}\n[train]\nsteps = 4\nbatch = 300\n\
             [evaluate]\nkinds = [\"reconstruction\"]\n",
            plugin.name, plugin.example
        );
        assert_eq!(trained(&text, 1), trained(&text, 2), "{}", plugin.name);
    }
}

/// Another seed is another run.
#[test]
fn another_seed_gives_another_model() {
    let with_seed = |seed: u64| {
        let text =
            experiment("[architecture]\nkind = \"dense\"\nlatents = 8\n[train]\nepochs = 1\n");
        format!("seeds = [{seed}]\n{text}")
    };
    assert_ne!(trained(&with_seed(0), 1).parameters, trained(&with_seed(1), 1).parameters);
}

/// Both optimizers bring the loss down to a small part of what it was, with every penalty that
/// the traits are shaped for: none, soft, hard, and with parameters of its own.
#[test]
fn training_reduces_the_loss() {
    for optimizer in ["{ kind = \"adam\", lr = 1e-2 }", "{ kind = \"sgd\", lr = 2e-2 }"] {
        for penalty in [
            "kind = \"none\"",
            "kind = \"l1\"\nlambda = 0.01",
            "kind = \"k-sparse\"\nk = 6",
            "kind = \"soft-threshold\"\nlambda = 0.01",
        ] {
            let left = trained(
                &experiment(&format!(
                    "[architecture]\nkind = \"dense\"\nlatents = 16\n[penalty]\n{penalty}\n\
                     [train]\nepochs = 60\nbatch = 16\noptimizer = {optimizer}\n"
                )),
                1,
            );
            let (first, last) = (f64::from_bits(left.first_loss), left.loss.total);
            assert!(last < 0.3 * first, "{optimizer}, {penalty}: from {first} to {last}");
        }
    }
}

/// Evaluations are no part of a run's id, so they change nothing that is learnt, even where the penalty draws
/// random numbers while it is measured.
#[test]
fn evaluation_moves_nothing_that_is_learnt() {
    for engine in ["fused", "reference"] {
        let left = |every: usize| {
            trained(
                &experiment(&format!(
                    "every = {every}\n[architecture]\nkind = \"dense\"\nlatents = 9\n\
                     [penalty]\nkind = \"drop-out\"\nlambda = 0.1\n\
                     [train]\nepochs = 3\nbatch = 20\nengine = \"{engine}\"\n"
                )),
                1,
            )
        };
        let (often, seldom) = (left(1), left(3));
        assert_eq!(often.parameters, seldom.parameters, "{engine}");
        assert_eq!(often.metrics.last(), seldom.metrics.last(), "{engine}");
    }
}

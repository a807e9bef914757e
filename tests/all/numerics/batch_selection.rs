//! Penalties that keep the largest of a batch or of a sample by size: what they are equal to, and what their running
//! threshold follows.

use std::cell::RefCell;

use framework::engine::{AfterStep, ENGINES, FUSED, Minibatch, REFERENCE};
use framework::evaluate::Evaluator;
use framework::model::{Definition, Mode, PassAt, Step};
use framework::plugin::{Split, When};
use framework::random::Streams;
use framework::spec::{Optimizer, Sgd};
use framework::train::{Ended, LossMeans, Progress, Trained, Trainer, train};

use crate::support::models::{architecture, data, model, penalty, runs, shape_of};

/// What a run comes to, as bits.
#[derive(Debug, PartialEq)]
struct Left {
    parameters: Vec<u32>,
    reconstruction: u64,
}

/// The text of a small run.
fn text(engine: &str, architecture: &str, penalty: &str, batch: usize) -> String {
    format!(
        "name = \"equal\"\n[dataset]\nkind = \"waves\"\n[architecture]\nkind = \"dense\"\n{architecture}\n\
         [penalty]\n{penalty}\n[train]\nepochs = 3\nbatch = {batch}\nengine = \"{engine}\"\n\
         [evaluate]\nkinds = [\"reconstruction\", \"sparsity\"]\n"
    )
}

/// Trains a run and shows what became of it.
fn trained<R>(text: &str, see: impl FnOnce(&Trained<'_>) -> R) -> R {
    let (experiment, runs) = runs(text);
    let ended =
        train(&runs[0], &*data(&runs[0]), &experiment.evaluate, None, &mut |_: &Progress| {});
    let Ended::Done(trained) = ended else { panic!("the run did not go to its end") };
    see(&trained)
}

fn left(engine: &str, architecture: &str, penalty: &str, batch: usize) -> Left {
    trained(&text(engine, architecture, penalty, batch), |trained| {
        let own = trained.model.parameters();
        let values = own.entries.iter().flat_map(|entry| &entry.values);
        let LossMeans { reconstruction, .. } = trained.loss;
        let parameters = values.map(|value| value.to_bits()).collect();
        Left { parameters, reconstruction: reconstruction.to_bits() }
    })
}

/// Wrong if the largest of a batch of one sample were others than those of the sample, or the same in another order.
#[test]
fn batch_top_k_of_one_sample_is_k_sparse_with_relu() {
    for engine in ["fused", "reference"] {
        for form in ["latents = 24", "latents = 24\ntied = true\nsubtract_decoder_bias = true"] {
            let form = format!("{form}\nactivation = \"relu\"");
            let one = left(engine, &form, "kind = \"batch-top-k\"\nk = 3", 1);
            let other = left(engine, &form, "kind = \"k-sparse\"\nk = 3", 1);
            assert!(one == other, "{engine} {form}");
            let more = left(engine, &form, "kind = \"k-sparse\"\nk = 4", 1);
            assert!(one != more, "{engine} {form}: any k would do");
        }
    }
}

/// Wrong if one prefix, which is the whole code, changed a weight, a term or a sum.
#[test]
fn matryoshka_with_one_prefix_is_batch_top_k() {
    for engine in ["fused", "reference"] {
        let right = left(engine, "latents = 24", "kind = \"batch-top-k\"\nk = 2.5", 20);
        for sizes in ["prefixes = [24]", "fractions = [1.0]\naverage = false"] {
            let penalty = format!("kind = \"matryoshka\"\nk = 2.5\n{sizes}");
            assert!(left(engine, "latents = 24", &penalty, 20) == right, "{engine} {sizes}");
        }
        let several = "kind = \"matryoshka\"\nk = 2.5\nprefixes = [6, 24]\naverage = false";
        assert!(
            left(engine, "latents = 24", several, 20) != right,
            "{engine}: prefixes do nothing"
        );
    }
}

/// Wrong if keeping all latents left one out, or made another step than relu alone.
#[test]
fn batch_top_k_of_all_latents_is_relu() {
    for engine in ["fused", "reference"] {
        let right = left(engine, "latents = 24", "kind = \"none\"", 20);
        let all = left(engine, "latents = 24", "kind = \"batch-top-k\"\nk = 24", 20);
        assert!(all == right, "{engine}");
    }
}

fn step(mode: Mode) -> Step<'static> {
    Step { mode, progress: 0.0, ..Step::EVALUATE }
}

/// Samples whose codes are themselves, where they are above 0: two inputs, two latents, an encoder that is 1.
fn on_codes(penalty_text: &str, see: impl Fn(&str, Trainer<'_>)) {
    let dense = architecture("kind = \"dense\"\nlatents = 2\nactivation = \"relu\"");
    let penalty = penalty(penalty_text);
    for engine in ENGINES {
        let model = model(&*dense.plugin, &*penalty.plugin, 2, 0);
        let mut parameters = model.parameters().into_owned();
        for entry in &mut parameters.entries {
            let one = [1.0, 0.0, 0.0, 1.0];
            let is_matrix = entry.values.len() == 4;
            entry.values.iter_mut().zip(one).for_each(|(value, one)| {
                *value = if is_matrix { one } else { 0.0 };
            });
        }
        let (lr, momentum) = (1e-9.try_into().unwrap(), 0.0.try_into().unwrap());
        let optimizer = Optimizer::Sgd(Sgd { lr, momentum });
        see(engine.name, Trainer::new(model.with_parameters(parameters).on(engine), optimizer));
    }
}

fn threshold(trainer: &Trainer<'_>) -> f64 {
    trainer.model.state.borrow()["threshold"][0]
}

/// Wrong if the threshold moved twice a step or in evaluation, followed a value that was not kept, was pulled down by
/// a batch of zeros, or moved with a loss that is not finite; or if a kept 0 were counted as active.
#[test]
fn the_threshold_follows_the_least_kept_value_of_each_training_batch() {
    for kind in ["batch-top-k", "matryoshka"] {
        let sizes = if kind == "matryoshka" { "prefixes = [1, 2]" } else { "" };
        for inference in ["threshold", "batch"] {
            let text = format!("kind = \"{kind}\"\nk = 1\ninference = \"{inference}\"\n{sizes}");
            on_codes(&text, |engine, mut trainer| {
                let what = format!("{engine} {text}");
                let near = |trainer: &Trainer<'_>, right: f64| {
                    let found = threshold(trainer);
                    assert!((found - right).abs() < 1e-6, "{what}: {found}, not {right}");
                };
                near(&trainer, 0.0);
                let zeros = trainer.step(Minibatch::clean(&[-1.0; 4]), step(Mode::Train), 1.0);
                assert_eq!(zeros.l0, 0.0, "{what}: what is kept is 0");
                near(&trainer, 0.0);
                // Of each two samples the two largest.
                let x = [0.5, 4.0, 0.25, 2.0];
                let first = trainer.step(Minibatch::clean(&x), step(Mode::Train), 1.0);
                assert_eq!(first.l0, 1.0, "{what}");
                near(&trainer, 2.0);
                trainer.model.forward(&[1.0; 4], step(Mode::Evaluate));
                near(&trainer, 2.0);
                // One value above 0, of two that may be kept.
                let one =
                    trainer.step(Minibatch::clean(&[3.0, 0.0, 0.0, 0.0]), step(Mode::Train), 1.0);
                assert_eq!(one.l0, 0.5, "{what}");
                near(&trainer, 2.01);
                trainer.step(Minibatch::clean(&[-1.0; 4]), step(Mode::Train), 1.0);
                near(&trainer, 2.01);
                let before = threshold(&trainer);
                let diverged = trainer.step(
                    Minibatch { sample: &x, target: &[f32::INFINITY; 4] },
                    step(Mode::Train),
                    1.0,
                );
                assert!(!diverged.total.is_finite());
                assert_eq!(threshold(&trainer), before, "{what}");
                // All samples of the last pass have more than one value above 2.01, or none.
                let x = [3.0, 2.5, 1.0, 2.0];
                let code = trainer.model.forward(&x, step(Mode::Evaluate)).code;
                let active: Vec<bool> = code.view().to_dense().iter().map(|h| *h != 0.0).collect();
                assert_eq!(active, [true, true, false, false], "{what}");
                let x = [3.0, 2.5, 2.75, 2.25];
                let code = trainer.model.forward(&x, step(Mode::Evaluate)).code;
                let active: Vec<bool> = code.view().to_dense().iter().map(|h| *h != 0.0).collect();
                let by_batch = [true, false, true, false];
                let right = if inference == "batch" { by_batch } else { [true; 4] };
                assert_eq!(active, right, "{what}");
            });
        }
    }
}

/// Wrong if a pass that an auxiliary asks for after a step counted as another step.
#[test]
fn a_pass_after_a_step_leaves_the_threshold_alone() {
    let dense = architecture("kind = \"dense\"\nlatents = 5");
    let built = penalty("kind = \"batch-top-k\"\nk = 1");
    let definition = Definition::new(&*dense.plugin, &*built.plugin);
    let streams = Streams::new(1);
    let (random, x) = (RefCell::new(streams.stream("penalty")), [0.5, -1.0, 2.0, 1.5]);
    for engine in ENGINES {
        let parameters = model(&*dense.plugin, &*built.plugin, 2, 0).parameters().into_owned();
        let mut own = (engine.make)(definition, shape_of(2), parameters);
        let state = RefCell::new(definition.state());
        state.borrow_mut().insert("threshold".to_owned(), vec![100.0]);
        let at = PassAt::new(step(Mode::Train), &state, &random, &streams);
        let batch = Minibatch::clean(&x);
        own.step(batch, at, 1.0);
        let after_step = state.borrow().clone();
        assert!(after_step["threshold"][0] < 100.0, "{engine:?}: a step moves it");
        AfterStep::new("any", 5, at, batch, &mut *own).forward();
        assert_eq!(*state.borrow(), after_step, "{engine:?}");
    }
}

/// Wrong if a value at the threshold were kept, or rounding the threshold to f32 kept another one.
#[test]
fn what_is_kept_is_above_the_threshold() {
    on_codes("kind = \"batch-top-k\"\nk = 1", |engine, trainer| {
        let value = 0.3_f32;
        let exact = f64::from(value);
        for (threshold, is_kept) in
            [(exact, false), (exact.next_down(), true), (exact.next_up(), false), (0.0, true)]
        {
            trainer.model.state.borrow_mut().insert("threshold".to_owned(), vec![threshold]);
            let code = trainer.model.forward(&[value, -1.0], step(Mode::Evaluate)).code;
            assert_eq!(code.view().to_dense()[0] != 0.0, is_kept, "{engine} at {threshold}");
        }
    });
}

/// Wrong if "batch" depended on the batches of the evaluation, or kept another number than k of a sample of each
/// batch of `train.batch`; or if "threshold" depended on batches at all.
#[test]
fn batches_of_an_evaluation_are_those_of_training_where_they_count() {
    for inference in ["batch", "threshold"] {
        let penalty = format!("kind = \"batch-top-k\"\nk = 2.5\ninference = \"{inference}\"");
        for engine in ["fused", "reference"] {
            let text = text(engine, "latents = 24", &penalty, 11);
            let (experiment, runs) = runs(&text);
            let data = data(&runs[0]);
            trained(&text, |trained| {
                let found = [1, 7, 64, 512].map(|batch| {
                    let evaluations = &experiment.evaluate.evaluations;
                    let measured = Evaluator::new(&*data, batch).measure(
                        &trained.model,
                        evaluations,
                        When::End,
                    );
                    let measured = measured.unwrap().metrics;
                    let metric = measured.into_iter().find(|metric| metric.name == "test_l0");
                    metric.unwrap().value.unwrap()
                });
                assert!(found.iter().all(|l0| *l0 == found[0]), "{engine} {inference}: {found:?}");
                let rows = data.rows(Split::Test);
                let whole = rows / 11 * 27 + rows % 11 * 5 / 2;
                let is_by_batch = (found[0] * rows as f64).round() as usize == whole;
                assert_eq!(is_by_batch, inference == "batch", "{engine}: {found:?} of {rows}");
            });
        }
    }
}

/// Wrong if a file that leaves the activation out were another run than one that says the penalty's own.
#[test]
fn an_activation_that_is_left_out_is_the_penaltys() {
    let id = |architecture: &str, penalty: &str| {
        runs(&text("auto", architecture, penalty, 8)).1[0].id.to_string()
    };
    let abs = "kind = \"abs-top-k\"\nk = 2";
    assert_eq!(id("latents = 8", abs), id("latents = 8\nactivation = \"identity\"", abs));
    let batch = "kind = \"batch-top-k\"\nk = 2";
    assert_eq!(id("latents = 8", batch), id("latents = 8\nactivation = \"relu\"", batch));
    let deep = |activation: &str| {
        let text = text("auto", "latents = 8", batch, 8);
        let deep = format!("kind = \"deep\"\nhidden = [9]\n{activation}latents");
        runs(&text.replace("kind = \"dense\"\nlatents", &deep)).1[0].id.to_string()
    };
    assert_eq!(deep(""), deep("activation = \"relu\"\n"));
    assert_ne!(deep(""), deep("activation = \"tanh\"\n"));
    // Each point of a grid has its own.
    let grid = text("auto", "latents = 8", "kind = \"none\"", 8)
        + "[grid]\npenalty = [{ kind = \"none\" }, { kind = \"abs-top-k\", k = 2 }]\n";
    let of_grid: Vec<String> = runs(&grid).1.iter().map(|run| run.id.to_string()).collect();
    assert_eq!(of_grid, [id("latents = 8", "kind = \"none\""), id("latents = 8", abs)]);
}

/// Wrong if the definitions of a prefix in two engines kept different orders of latents, or the shorter ones were
/// weighed twice: by hand, for one sample.
#[test]
fn prefixes_by_hand() {
    for (average, weight) in [(true, 0.5), (false, 1.0)] {
        let text = format!("kind = \"matryoshka\"\nk = 2\nprefixes = [1, 2]\naverage = {average}");
        on_codes(&text, |engine, mut trainer| {
            let loss = trainer.step(Minibatch::clean(&[3.0, 2.0]), step(Mode::Train), 1.0);
            // The whole code is the sample; its first latent alone misses the 2.
            assert_eq!((loss.reconstruction, loss.terms.len()), (0.0, 1), "{engine}");
            assert_eq!((&*loss.terms[0].name, loss.terms[0].raw), ("prefixes", 4.0), "{engine}");
            assert_eq!((loss.terms[0].weight, loss.total), (weight, 4.0 * weight), "{engine}");
        });
    }
}

/// Wrong if the fused engine did not train one of these with an auxiliary that it trains beside others.
#[test]
fn the_fused_engine_trains_them() {
    let dense = architecture("kind = \"dense\"\nlatents = 8");
    for text in ["kind = \"batch-top-k\"\nk = 2", "kind = \"matryoshka\"\nk = 2\nprefixes = [2, 8]"]
    {
        let built = penalty(text);
        let definition = Definition::new(&*dense.plugin, &*built.plugin);
        assert_eq!((FUSED.covers)(&definition), Ok(()), "{text}");
        assert_eq!((REFERENCE.covers)(&definition), Ok(()), "{text}");
    }
}

//! JumpReLU: what its thresholds learn, by hand and as what the straight-through estimators stand for, and what it is
//! equal to.

use std::path::PathBuf;

use framework::engine::{ENGINES, EngineKind, Minibatch};
use framework::model::{Definition, Mode, Parameters, Step};
use framework::plugin::{Architecture, Built, Penalty};
use framework::spec::{Adam, Experiment, Optimizer, Sgd};
use framework::train::{Ended, Progress, Trainer, train};

use crate::support::models::{Samples, architecture, data, model, parameters, pass, penalty, runs};

const TRAIN: Step<'static> = Step { mode: Mode::Train, ..Step::EVALUATE };

fn identity(latents: usize) -> Built<dyn Architecture> {
    architecture(&format!("kind = \"dense\"\nlatents = {latents}\nactivation = \"identity\""))
}

/// The engines that train a penalty on dense codes.
fn engines(dense: &dyn Architecture, penalty: &dyn Penalty) -> Vec<EngineKind> {
    let covers = |engine: &&EngineKind| (engine.covers)(&Definition::new(dense, penalty)).is_ok();
    ENGINES.iter().filter(covers).copied().collect()
}

fn sgd(lr: f64) -> Optimizer {
    let (lr, momentum) = (lr.try_into().unwrap(), 0.0.try_into().unwrap());
    Optimizer::Sgd(Sgd { lr, momentum })
}

/// Matrices that are the identity, biases of 0, and thresholds as they are.
fn pass_on(parameters: &mut Parameters<f32>) {
    for entry in &mut parameters.entries {
        if entry.declaration.name.starts_with("penalty.") {
            continue;
        }
        let shape = entry.declaration.shape.clone();
        let is_one = |at: usize| shape.len() == 2 && at / shape[1] == at % shape[1];
        entry.values = (0..entry.values.len()).map(|at| f32::from(is_one(at))).collect();
    }
}

/// A trainer whose codes, before they are constrained, are its samples.
fn on_codes<'a>(
    dense: &'a dyn Architecture,
    penalty: &'a dyn Penalty,
    engine: EngineKind,
    optimizer: Optimizer,
) -> Trainer<'a> {
    let latents = dense.latents();
    let model = model(dense, penalty, latents, 0);
    let mut parameters = model.parameters().into_owned();
    pass_on(&mut parameters);
    Trainer::new(model.with_parameters(parameters).on(engine), optimizer)
}

fn values(trainer: &Trainer<'_>, name: &str) -> Vec<f64> {
    let all = trainer.model.parameters();
    all.get(name).unwrap().values.iter().map(|value| f64::from(*value)).collect()
}

/// Two samples of two latents, thresholds 0.5 and boxes of 0.2 on either side. The first sample's codes are both in
/// their boxes, one above and one below its threshold; the second's are both outside.
const X: [f32; 4] = [0.6, 0.4, 0.2, 2.0];

/// Half the derivatives of the squared error by the reconstructions [0.6, 0, 0, 2].
const TARGET: [f32; 4] = [1.0, 0.3, 0.0, 1.0];

/// What a form comes to on these samples: its value, and the derivatives of its value by the number of active latents
/// of a sample and by each code.
struct ByHand {
    form: &'static str,
    raw: f64,
    by_count: f64,
    by_code: [f64; 4],
}

fn by_hand() -> [ByHand; 3] {
    // Half, for the mean of two samples; the rows of the decoder have norm 1.
    let slope = |h: f64| 2.0 * (1.0 - (4.0 * h).tanh().powi(2));
    let tanh = ((4.0 * 0.6_f64).tanh() + (4.0 * 2.0_f64).tanh()) / 2.0;
    [
        ByHand { form: "", raw: 1.0, by_count: 1.0, by_code: [0.0; 4] },
        ByHand {
            form: "form = \"tanh\"",
            raw: tanh,
            by_count: 0.0,
            by_code: [slope(0.6), slope(0.0), slope(0.0), slope(2.0)],
        },
        // (2 / 0.5) (1 - 0.5)² and (4 / 0.5) (1 - 0.5).
        ByHand {
            form: "form = \"target\"\ntarget_l0 = 0.5",
            raw: 1.0,
            by_count: 4.0,
            by_code: [0.0; 4],
        },
    ]
}

/// Wrong if codes outside the box taught a threshold, codes below it inside the box did not, the derivative by a code
/// reached the bias of one that is off, or anything of the box did.
#[test]
fn one_step_by_hand() {
    let (lambda, theta, width) = (0.08, 0.5, 0.4);
    let dense = identity(2);
    for ByHand { form, raw, by_count, by_code } in by_hand() {
        let built = penalty(&format!(
            "kind = \"jump-relu\"\nlambda = {lambda}\ntheta = {theta}\nbandwidth = {width}\n{form}"
        ));
        let penalty = &*built.plugin;
        for engine in engines(&*dense.plugin, penalty) {
            let what = format!("{} {form}", engine.name);
            let lr = 1e-2;
            let mut trainer = on_codes(&*dense.plugin, penalty, engine, sgd(lr));
            let code = trainer.model.forward(&X, Step::EVALUATE).code;
            assert_eq!(*code.view().to_dense(), [0.6, 0.0, 0.0, 2.0], "{what}");
            let loss = trainer.step(Minibatch { sample: &X, target: &TARGET }, TRAIN, 1.0);
            assert_eq!(loss.l0, 1.0, "{what}");
            let term = &loss.terms[0];
            assert_eq!((&*term.name, term.weight, loss.terms.len()), ("jump_relu", lambda, 1));
            assert!((term.raw - raw).abs() < 1e-6, "{what}: {} is not {raw}", term.raw);

            // 2 (x̂ − target) / 2, and the terms.
            let by_code = [-0.4, -0.3, 0.0, 1.0]
                .iter()
                .zip(by_code)
                .map(|(main, own)| main + lambda * own)
                .collect::<Vec<_>>();
            let of_count = lambda * by_count / (2.0 * width);
            let right = [
                ("penalty.theta", theta, [0, 1].map(|at| -theta / width * by_code[at] - of_count)),
                ("b_enc", 0.0, [by_code[0], by_code[3]]),
            ];
            for (name, start, right) in right {
                let found = values(&trainer, name);
                for (latent, (found, right)) in found.iter().zip(right).enumerate() {
                    let gradient = (start - found) / lr;
                    let is_right = (gradient - right).abs() < 1e-4;
                    assert!(is_right, "{what}: {name} {latent}: {gradient} is not {right}");
                }
            }
        }
    }
}

/// Wrong if the estimators were not what they stand for: where codes have density 1, a threshold that rises by δ takes
/// δ codes away, whose values are θ.
#[test]
fn over_flat_codes_the_slopes_are_those_of_the_sums() {
    let (theta, width, gap) = (0.75, 0.5, 1e-4);
    let dense = identity(1);
    // Codes from −1 to 3, one every `gap`.
    let x: Vec<f64> = (0..40_000).map(|at| (f64::from(at) + 0.5) * gap - 1.0).collect();
    let samples = Samples { target: vec![0.0; x.len()], x, inputs: 1 };
    let slope = |lambda: f64| {
        let built = penalty(&format!(
            "kind = \"jump-relu\"\nlambda = {lambda}\ntheta = {theta}\nbandwidth = {width}"
        ));
        let definition = Definition::new(&*dense.plugin, &*built.plugin);
        let mut all = parameters(definition, 1);
        for entry in &mut all.entries {
            let start = if entry.declaration.name == "penalty.theta" { theta } else { 1.0 };
            let is_bias = entry.declaration.name.starts_with("b_");
            entry.values = vec![if is_bias { 0.0 } else { start }];
        }
        let at = all.entries.iter().position(|e| e.declaration.name == "penalty.theta").unwrap();
        // A mean over samples, of which a unit has 1 / gap.
        pass(definition, &all, &samples, TRAIN).gradients[at][0] * samples.x.len() as f64 * gap
    };
    // ∂Σ h²/∂θ = Σ 2h ∂h/∂θ: the codes near the threshold are θ or, below it, 0; half of each.
    let of_squares = slope(0.0);
    let of_count = slope(1.0) - of_squares;
    assert!((of_count + 1.0).abs() < 1e-3, "{of_count}");
    // Codes above it in the box are θ + ε/4 on average.
    let right = -2.0 * theta * (theta + width / 4.0) / 2.0;
    assert!((of_squares - right).abs() < 1e-3, "{of_squares} is not {right}");
}

/// A run on waves.
fn text(engine: &str, architecture: &str, penalty: &str) -> String {
    format!(
        "name = \"jumps\"\n[dataset]\nkind = \"waves\"\n[architecture]\nkind = \"dense\"\nlatents = 24\n{architecture}\n\
         [penalty]\n{penalty}\n[train]\nepochs = 3\nbatch = 20\nengine = \"{engine}\"\n\
         [evaluate]\nkinds = [\"reconstruction\", \"sparsity\"]\n"
    )
}

/// The parameters that a run ends with, and its metrics.
fn trained(text: &str) -> (Parameters<f32>, Vec<(String, Option<f64>)>) {
    let (experiment, runs) = runs(text);
    let ended =
        train(&runs[0], &*data(&runs[0]), &experiment.evaluate, None, &mut |_: &Progress| {});
    let Ended::Done(trained) = ended else { panic!("the run did not go to its end") };
    let metrics = trained.measured.metrics.iter().map(|one| (one.name.clone(), one.value));
    (trained.model.parameters().into_owned(), metrics.collect())
}

/// Engines by name that train a run.
fn engines_of(penalty_text: &str) -> Vec<&'static str> {
    let (dense, built) = (identity(24), penalty(penalty_text));
    engines(&*dense.plugin, &*built.plugin).iter().map(|engine| engine.name).collect()
}

/// Wrong if thresholds of 0 that nothing moves made other codes, or other steps, than relu.
#[test]
fn thresholds_of_0_without_a_penalty_are_relu() {
    let jump = "kind = \"jump-relu\"\nlambda = 0\ntheta = 0";
    for form in ["", "\nform = \"tanh\"", "\nform = \"target\"\ntarget_l0 = 3"] {
        let jump = format!("{jump}{form}");
        for engine in engines_of(&jump) {
            for more in ["", "tied = true\nsubtract_decoder_bias = true"] {
                let what = format!("{engine} {form} {more}");
                let (found, measured) = trained(&text(engine, more, &jump));
                let relu = format!("activation = \"relu\"\n{more}");
                let (right, of_relu) = trained(&text(engine, &relu, "kind = \"none\""));
                assert_eq!(found.entries.len(), right.entries.len() + 1);
                for entry in &right.entries {
                    let name = &entry.declaration.name;
                    assert_eq!(found.get(name).unwrap().values, entry.values, "{what}: {name}");
                }
                assert!(found.get("penalty.theta").unwrap().values.iter().all(|t| *t == 0.0));
                // The Jacobian is that of codes before they are constrained, which are the pre-codes here.
                let others = |all: Vec<(String, Option<f64>)>| {
                    all.into_iter().filter(|(name, _)| name != "test_jacobian").collect::<Vec<_>>()
                };
                assert_eq!(others(measured), others(of_relu), "{what}");
            }
        }
    }
}

/// Wrong if a threshold fell below 0: steps of Adam are far longer than these thresholds.
#[test]
fn thresholds_are_never_below_0() {
    let jump = "kind = \"jump-relu\"\nlambda = 0\ntheta = 0.002\nbandwidth = 1";
    for engine in engines_of(jump) {
        let text = text(engine, "", jump) + "[train.optimizer]\nkind = \"adam\"\nlr = 0.02\n";
        let (found, _) = trained(&text);
        let theta = &found.get("penalty.theta").unwrap().values;
        assert!(theta.iter().all(|theta| *theta >= 0.0), "{engine}: {theta:?}");
        assert!(theta.contains(&0.0), "{engine}: none would have fallen below 0: {theta:?}");
    }
}

/// Wrong if a threshold moved in proportion to itself, as its logarithm would under Adam: from near 0 it would
/// hardly move at all.
#[test]
fn a_threshold_near_0_moves_as_far_as_any_other() {
    let dense = identity(2);
    let built = penalty("kind = \"jump-relu\"\nlambda = 1\ntheta = 1e-6");
    for engine in engines(&*dense.plugin, &*built.plugin) {
        let lr = 1e-2;
        let adam = Optimizer::Adam(Adam { lr: lr.try_into().unwrap(), ..Adam::default() });
        let mut trainer = on_codes(&*dense.plugin, &*built.plugin, engine, adam);
        trainer.step(Minibatch::clean(&[0.01, 0.04, -0.02, 3.0]), TRAIN, 1.0);
        for theta in values(&trainer, "penalty.theta") {
            assert!((theta - lr).abs() < 1e-4, "{}: {theta}", engine.name);
        }
    }
}

/// Wrong if a target were searched for by a penalty that has its own, or if the error did not say what to do.
#[test]
fn its_own_target_stands_beside_no_other() {
    let of = |form: &str| {
        let jump = format!("kind = \"jump-relu\"\nlambda = 0.1\n{form}");
        let text = text("auto", "", &jump) + "[target]\nl0 = 5\n";
        let read = Experiment::parse("x.toml".into(), PathBuf::new(), text, &[]);
        let runs = read.and_then(|experiment| experiment.runs());
        runs.map(drop).map_err(|all| all[0].to_string())
    };
    assert!(of("").is_ok() && of("form = \"tanh\"").is_ok());
    let refused = of("form = \"target\"\ntarget_l0 = 5").expect_err("it is refused");
    for part in ["x.toml:11:8", "`target_l0`", "\"tanh\""] {
        assert!(refused.contains(part), "no {part} in {refused}");
    }
}

//! Gated: what its code and its terms are, and which parameters the gradient of each part reaches.

use framework::dfdx::prelude::{Rank0, SumTo};
use framework::dims::{Batch, Latent};
use framework::engine::{ENGINES, Minibatch};
use framework::model::{Declaration, Definition, Mode, Parameters, Pass, Real, Step, Traced};
use framework::plugin::{Architecture, Penalize, Penalty, Term};
use framework::rand::RngExt;
use framework::random::Streams;
use framework::spec::{Adam, Optimizer};
use framework::train::{Model, Trainer};

use super::gradient_check::{Subject, check};
use crate::support::models::{Samples, architecture, model, parameters, pass, penalty};

const TRAINING: Step<'static> =
    Step { mode: Mode::Train, number: 0, progress: 0.5, steps: 0, labels: None };

const GATED: &str = "kind = \"gated\"\nlambda = 0.5";

/// Dense models whose parameters the encoder and the decoder share in every way there is, and a deep one.
const ARCHITECTURES: [&str; 6] = [
    "kind = \"dense\"\nlatents = 4\nactivation = \"identity\"",
    "kind = \"dense\"\nlatents = 4\nactivation = \"identity\"\ntied = true",
    "kind = \"dense\"\nlatents = 4\nactivation = \"identity\"\nsubtract_decoder_bias = true",
    "kind = \"dense\"\nlatents = 4\nactivation = \"identity\"\ndecoder = \"sigmoid\"",
    "kind = \"deep\"\nhidden = [3]\nlatents = 4",
    "kind = \"deep\"\nhidden = [3]\nlatents = 4\ntied = true",
];

/// Parts of the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    /// The reconstruction from the code alone.
    Main,
    /// The same beside squares of pre-codes: no gradient is 0 but for rounding, which no difference can show.
    MainBesideSquares,
    /// The terms alone.
    Terms,
}

/// A penalty of which one part of the loss is left.
struct Alone<'a>(&'a dyn Penalty, Part);

impl<E: Real> Penalize<E> for Alone<'_> {
    fn constrain(
        &self,
        code: Traced<(Batch, Latent), E>,
        pass: &Pass<'_, E>,
    ) -> Traced<(Batch, Latent), E> {
        E::penalize(self.0).constrain(code, pass)
    }

    fn penalize(&self, code: Traced<(Batch, Latent), E>, pass: &Pass<'_, E>) -> Vec<Term<E>> {
        match self.1 {
            Part::Main => Vec::new(),
            Part::MainBesideSquares => {
                let squares = pass.pre_code().square().sum::<Rank0, _>();
                vec![Term::new("squares", squares, 0.1)]
            }
            Part::Terms => E::penalize(self.0).penalize(code, pass),
        }
    }
}

impl Penalty for Alone<'_> {
    fn reconstruction_weight(&self) -> f64 {
        if self.1 == Part::Terms { 0.0 } else { 1.0 }
    }

    fn parameters(&self, latents: Latent) -> Vec<Declaration> {
        self.0.parameters(latents)
    }
}

/// The largest derivative by each parameter, by its name, of one part of the loss at a point in no order, where some
/// gates are open.
fn reached(architecture: &dyn Architecture, part: Part) -> impl Fn(&str) -> Option<f64> + use<> {
    let gated = penalty(GATED);
    let alone = Alone(&*gated.plugin, part);
    let definition = Definition::new(architecture, &alone);
    let mut random = Streams::new(5).stream("gated");
    let mut number = move || random.random_range(-1.0..1.0);
    let mut parameters = parameters(definition, 5);
    parameters.entries.iter_mut().flat_map(|entry| &mut entry.values).for_each(|v| *v = number());
    let samples = Samples::new((0..30).map(|_| number()).collect(), 5);
    let gradients = pass(definition, &parameters, &samples, TRAINING).gradients;
    let largest = |of: &Vec<f64>| of.iter().fold(0.0_f64, |most, g| most.max(g.abs()));
    let names = parameters.entries.into_iter().map(|entry| entry.declaration.name);
    let all: Vec<_> = names.zip(gradients.iter().map(largest).collect::<Vec<_>>()).collect();
    move |name| all.iter().find(|(own, _)| own == name).map(|(_, largest)| *largest)
}

/// Wrong if the gradient of a part were not that of the function in which the gates and, in the terms, the decoder are
/// held fixed.
#[test]
fn gradients_of_each_part_are_those_of_differences() {
    let gated = penalty(GATED);
    for text in ARCHITECTURES {
        let built = architecture(text);
        for part in [Part::MainBesideSquares, Part::Terms] {
            let alone = Alone(&*gated.plugin, part);
            let definition = Definition::new(&*built.plugin, &alone);
            let name = format!("{part:?} of {text}");
            let subject = Subject { name, definition, batch: 4, inputs: 5 };
            for seed in 0..2 {
                check(&subject, seed).unwrap_or_else(|failure| panic!("{failure}"));
            }
        }
    }
}

/// Wrong if the reconstruction did not reach what the magnitudes are made of, or reached the encoder's bias, which
/// moves the gates alone.
#[test]
fn the_reconstruction_teaches_the_magnitudes_and_not_the_bias_of_the_gates() {
    for text in ARCHITECTURES {
        let largest = reached(&*architecture(text).plugin, Part::Main);
        let is_deep = text.contains("deep");
        let [matrix, bias] = if is_deep { ["enc.2.w", "enc.2.b"] } else { ["w_enc", "b_enc"] };
        for name in ["penalty.r", "penalty.b_mag", matrix] {
            assert!(largest(name).unwrap() > 1e-3, "{text}: {name}");
        }
        assert!(largest(bias).unwrap() < 1e-13, "{text}: {bias} {:?}", largest(bias));
    }
}

/// Wrong if the terms did not reach the encoder's matrix and bias, or reached the decoder or the magnitudes.
#[test]
fn the_terms_teach_the_gates_and_not_the_decoder() {
    for text in ARCHITECTURES {
        let largest = reached(&*architecture(text).plugin, Part::Terms);
        let (taught, left): (&[&str], &[&str]) = if text.contains("deep") {
            (
                &["enc.1.w", "enc.1.b", "enc.2.w", "enc.2.b"],
                &["dec.1.w", "dec.1.b", "dec.2.w", "dec.2.b"],
            )
        } else {
            (&["w_enc", "b_enc"], &["w_dec", "b_dec"])
        };
        for name in taught {
            assert!(largest(name).unwrap() > 1e-3, "{text}: {name}");
        }
        // The encoder subtracts that bias.
        let is_used = |name: &str| name == "b_dec" && text.contains("subtract");
        for name in left.iter().chain(&["penalty.r", "penalty.b_mag"]) {
            match largest(name) {
                Some(largest) if is_used(name) => assert!(largest > 1e-3, "{text}: {name}"),
                Some(largest) => assert_eq!(largest, 0.0, "{text}: {name}"),
                None => assert!(text.contains("tied"), "{text}: {name}"),
            }
        }
    }
}

/// The same model with other values of its parameters, by their names.
fn with_values<'a>(model: Model<'a>, values: &[(&str, &[f32])]) -> Model<'a> {
    let mut parameters = model.parameters().into_owned();
    for (name, values) in values {
        let entry = parameters.entries.iter_mut().find(|entry| entry.declaration.name == *name);
        entry.unwrap().values.copy_from_slice(values);
    }
    model.with_parameters(parameters)
}

const LINE: &str = "kind = \"dense\"\nlatents = 2\nactivation = \"identity\"";

/// Two latents and two samples by hand. Of the first sample the first gate is open and its magnitude is
/// 2 · 1 + 0.25; of the second sample the second gate is open and its magnitude would be 4 − 5, so its code is 0.
/// Wrong if a gate or a magnitude were of other numbers, a term counted otherwise, or the magnitudes moved what the
/// terms are of.
#[test]
fn codes_and_terms_are_those_computed_by_hand() {
    let (dense, gated) = (architecture(LINE), penalty(GATED));
    let values: [(&str, &[f32]); 6] = [
        ("w_enc", &[1.0, 0.0, 0.0, 1.0]),
        ("b_enc", &[0.5, -3.0]),
        ("w_dec", &[2.0, 0.0, 0.0, 1.0]),
        ("b_dec", &[0.1, 0.2]),
        ("penalty.r", &[2.0_f32.ln(), 0.0]),
        ("penalty.b_mag", &[0.25, -5.0]),
    ];
    for engine in ENGINES {
        let own = with_values(model(&*dense.plugin, &*gated.plugin, 2, 0), &values).on(engine);
        let near = |got: f64, right: f64| {
            assert!((got - right).abs() < 1e-5, "{}: {got} is not {right}", engine.name);
        };
        let passed = own.forward(&[1.0, 2.0, -1.0, 4.0], Step::EVALUATE);
        let code = passed.code.view().to_dense();
        assert!((code[0] - 2.25).abs() < 1e-6 && code[1..] == [0.0; 3], "{code:?}");
        let mut trainer = Trainer::new(own, Optimizer::Adam(Adam::default())).warming_up(1.0);
        let loss = trainer.step(Minibatch::clean(&[1.0, 2.0, -1.0, 4.0]), TRAINING, 1.0);
        near(loss.l0, 0.5);
        near(loss.reconstruction, (16.2 + 15.65) / 2.0);
        let terms: Vec<_> = loss.terms.iter().map(|term| (&*term.name, term.weight)).collect();
        // Half of the warm-up is done, which reconstructions have no part in.
        assert_eq!(terms, [("gated_l1", 0.25), ("gated_reconstruction", 1.0)], "{}", engine.name);
        near(loss.terms[0].raw, 1.25);
        near(loss.terms[1].raw, (7.65 + 9.05) / 2.0);
        near(loss.total, 15.925 + 0.25 * 1.25 + 8.35);
    }
}

/// Wrong if a magnitude had another scale or shift: with that of the gates, codes are those of relu.
#[test]
fn with_the_bias_of_the_gates_codes_are_those_of_relu() {
    let text = "kind = \"dense\"\nlatents = 9\nsubtract_decoder_bias = true\nactivation = ";
    let [dense, relu] = ["identity", "relu"].map(|of| architecture(&format!("{text}\"{of}\"")));
    let (gated, none) = (penalty("kind = \"gated\"\nlambda = 0"), penalty("kind = \"none\""));
    let mut random = Streams::new(1).stream("gated");
    let mut number = || random.random_range(-1.0..1.0_f32);
    let mut other = model(&*relu.plugin, &*none.plugin, 5, 0).parameters().into_owned();
    other.entries.iter_mut().flat_map(|entry| &mut entry.values).for_each(|v| *v = number());
    let x: Vec<f32> = (0..40).map(|_| number()).collect();
    for engine in ENGINES {
        let mut own = model(&*dense.plugin, &*gated.plugin, 5, 0);
        let values = |of: &Parameters<f32>, name: &str| of.get(name).unwrap().values.clone();
        for name in ["w_enc", "b_enc", "w_dec", "b_dec"] {
            own = with_values(own, &[(name, &values(&other, name))]);
        }
        own = with_values(own, &[("penalty.b_mag", &values(&other, "b_enc"))]);
        let right = model(&*relu.plugin, &*none.plugin, 5, 0).with_parameters(other.clone());
        let [code, right] = [own.on(engine), right.on(engine)]
            .map(|model| model.forward(&x, Step::EVALUATE).code.view().to_dense().into_owned());
        assert!(right.contains(&0.0) && right.iter().any(|h| *h > 0.0));
        for (h, right) in code.iter().zip(right.iter()) {
            assert!((h - right).abs() < 1e-5, "{}: {h} is not {right}", engine.name);
            assert_eq!(*h == 0.0, *right == 0.0, "{}: {h} is not {right}", engine.name);
        }
    }
}

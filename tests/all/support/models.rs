//! Plugins and runs from TOML text, and losses with their gradients.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;

use framework::diagnostics::{Diagnostic, Source};
use framework::dims::{Batch, Input};
use framework::fit::open_data;
use framework::model::{
    Definition, Held, Parameters, PassAt, Real, State, Step, Weights, activity, loss, rank0, tensor,
};
use framework::plugin::{
    self, ARCHITECTURES, Architecture, Built, Data, NamedAuxiliary, PENALTIES, Penalty, SampleShape,
};
use framework::random::Streams;
use framework::spec::{Experiment, Node, RunSpec, Section, parse};
use framework::train::{Model, Normalizer};

fn node(text: &str) -> Node {
    let source =
        Source { name: "test".into(), base: PathBuf::new(), text: text.into(), is_private: false };
    parse(&Arc::new(source)).unwrap_or_else(|problems| panic!("{text}: {}", shown(&problems)))
}

fn shown(problems: &[Diagnostic]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// The architecture of a section, as in `kind = "dense"` and its settings, one a line.
pub fn architecture(text: &str) -> Built<dyn Architecture> {
    plugin::build("architecture", &ARCHITECTURES, &node(text))
        .unwrap_or_else(|problems| panic!("{text}: {}", shown(&problems)))
}

/// The penalty of a section.
pub fn penalty(text: &str) -> Built<dyn Penalty> {
    plugin::build("penalty", &PENALTIES, &node(text))
        .unwrap_or_else(|problems| panic!("{text}: {}", shown(&problems)))
}

/// The auxiliaries of a list, as in `[{ kind = "l1", lambda = 0.1 }]`.
pub fn auxiliaries(list: &str) -> Arc<Section<Vec<NamedAuxiliary>>> {
    let text = format!(
        "name = \"test\"\nauxiliary = {list}\n[dataset]\nkind = \"digits\"\n\
         [architecture]\nkind = \"dense\"\nlatents = 4\n[penalty]\nkind = \"none\""
    );
    runs(&text).1[0].auxiliary.clone()
}

/// An experiment and its runs.
pub fn runs(text: &str) -> (Experiment, Vec<RunSpec>) {
    let experiment = Experiment::parse("test".into(), PathBuf::new(), text.into(), &[]);
    let experiment = experiment.unwrap_or_else(|problems| panic!("{}", shown(&problems)));
    let runs = experiment.runs().unwrap_or_else(|problems| panic!("{}", shown(&problems)));
    (experiment, runs)
}

/// The data of a run, opened and looked at.
pub fn data(run: &RunSpec) -> Arc<dyn Data> {
    open_data(std::slice::from_ref(run))
        .and_then(|mut opened| opened.get(&run.dataset).map_err(|problem| vec![problem]))
        .unwrap_or_else(|problems| panic!("{}", shown(&problems)))
}

/// The shape of samples of so many numbers: grey images where these make a square.
pub fn shape_of(inputs: usize) -> SampleShape {
    match inputs.isqrt() {
        side if side * side == inputs => {
            SampleShape::Image { channels: 1, height: side, width: side }
        }
        _ => SampleShape::Vector(inputs),
    }
}

/// A model in f32 on samples of `inputs` numbers, as a run with this seed starts with it.
pub fn model<'a>(
    architecture: &'a dyn Architecture,
    penalty: &'a dyn Penalty,
    inputs: usize,
    seed: u64,
) -> Model<'a> {
    model_of(Definition::new(architecture, penalty), inputs, seed)
}

/// The same with all that a definition has.
pub fn model_of(definition: Definition<'_>, inputs: usize, seed: u64) -> Model<'_> {
    Model::new(definition, shape_of(inputs), Normalizer::default(), &Streams::new(seed))
}

/// The parameters that a run starts with, in f64.
pub fn parameters(definition: Definition<'_>, inputs: usize) -> Parameters<f64> {
    model_of(definition, inputs, 0).parameters().cast()
}

/// Number of samples after which a latent is dead in [`value`] and [`pass`].
pub const DEAD_AFTER: usize = 5;

/// Has every other latent, from the first on, active in none of the last samples, where an auxiliary asks.
pub fn silence_some(state: &RefCell<State>) {
    let mut state = state.borrow_mut();
    let latents = activity::samples_since_active(&state).map_or(0, <[f64]>::len);
    let active: Vec<bool> = (0..latents).map(|latent| latent % 2 == 1).collect();
    activity::count(&mut state, &active, DEAD_AFTER);
}

/// Result of a pass.
pub struct Passed {
    /// The whole loss.
    pub total: f64,
    /// All terms with their weights.
    pub terms: f64,
    /// The gradient of each parameter, in the order of the parameters.
    pub gradients: Vec<Vec<f64>>,
}

/// A batch to compute a loss on.
#[derive(Clone, Debug)]
pub struct Samples {
    /// [batch, inputs]
    pub x: Vec<f64>,
    /// [batch, inputs]
    pub target: Vec<f64>,
    /// How many numbers a sample has.
    pub inputs: usize,
}

impl Samples {
    /// Samples that are their own targets.
    pub fn new(x: Vec<f64>, inputs: usize) -> Self {
        Self { target: x.clone(), x, inputs }
    }
}

/// The loss without its gradients, where [some latents are dead](silence_some); `held` records or replays what the definition holds fixed.
pub fn value(
    definition: Definition<'_>,
    parameters: &Parameters<f64>,
    samples: &Samples,
    step: Step<'_>,
    held: Option<&RefCell<Held>>,
) -> f64 {
    with_loss(definition, parameters, samples, step, held, |loss, _| rank0(&loss.total))
}

/// The loss and its gradients by autodiff, where [some latents are dead](silence_some).
pub fn pass(
    definition: Definition<'_>,
    parameters: &Parameters<f64>,
    samples: &Samples,
    step: Step<'_>,
) -> Passed {
    use dfdx::tensor_ops::Backward;
    with_loss(definition, parameters, samples, step, None, |loss, weights| Passed {
        total: rank0(&loss.total),
        terms: loss.terms.iter().map(|term| term.weight * term.raw).sum(),
        gradients: weights.gradients(loss.total.backward()),
    })
}

fn with_loss<E: Real, R>(
    definition: Definition<'_>,
    parameters: &Parameters<E>,
    samples: &Samples,
    step: Step<'_>,
    held: Option<&RefCell<Held>>,
    see: impl FnOnce(framework::model::Loss<E>, &Weights<'_, E>) -> R,
) -> R {
    let shape = (Batch(samples.x.len() / samples.inputs), Input(samples.inputs));
    let cast = |values: &[f64]| values.iter().map(|value| E::of(*value)).collect();
    let weights = Weights::new(shape_of(samples.inputs), parameters);
    let (x, target) = (tensor(cast(&samples.x), shape), tensor(cast(&samples.target), shape));
    let state = RefCell::new(definition.state());
    let (streams, random) = (&Streams::new(0), &RefCell::new(Streams::new(0).stream("test")));
    silence_some(&state);
    let dead_after = DEAD_AFTER;
    let at = PassAt { held, dead_after, ..PassAt::new(step, &state, random, streams) };
    let loss = loss(&definition, x, &target, &weights, at);
    see(loss, &weights)
}

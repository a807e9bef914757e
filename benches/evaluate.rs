//! What evaluation takes, of 2,000 samples at the size of MNIST: all of it, beside the epoch of 8,000
//! samples that it follows; and the evaluations of every point alone, of codes in full and of codes
//! without their zeros, of which 25 of 1,000 are not zero.

use std::hint::black_box;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use framework::engine::FUSED;
use framework::evaluate::Evaluator;
use framework::plugin::{
    Coder, Codes, Data, DataFacts, EVALUATIONS, EvaluatedBatch, Evaluation, NamedEvaluation,
    OwnedCodes, Role, SampleShape, Split, Spread, Subject, When,
};
use framework::rand::RngExt;
use framework::random::Streams;
use framework::train::Model;
use rayon::ThreadPoolBuilder;

use crate::case::{Case, Trained};

const ROWS: usize = 2000;
const BATCH: usize = 1000;
const INPUTS: usize = 784;
const LATENTS: usize = 1000;

/// Every how many latents one is not zero.
const ACTIVE_EVERY: usize = 40;

/// Bytes, as MNIST has them.
struct Bytes(Vec<u8>);

impl Data for Bytes {
    fn shape(&self) -> SampleShape {
        SampleShape::Vector(INPUTS)
    }

    fn rows(&self, _: Split) -> usize {
        ROWS
    }

    fn gather(&self, _: Split, rows: &[usize], out: &mut [f32]) -> Result<(), String> {
        for (row, out) in rows.iter().zip(out.chunks_exact_mut(INPUTS)) {
            let bytes = &self.0[row * INPUTS..][..INPUTS];
            out.iter_mut().zip(bytes).for_each(|(out, byte)| *out = f32::from(*byte) / 255.0);
        }
        Ok(())
    }
}

/// A model of which the evaluations of every point use nothing.
struct Unused;

impl Coder for Unused {
    fn encode(&self, x: &[f32]) -> OwnedCodes {
        OwnedCodes::Dense { latents: INPUTS, values: x.to_vec() }
    }

    fn reconstruct(&self, x: &[f32]) -> Vec<f32> {
        x.to_vec()
    }

    fn decode(&self, codes: Codes<'_>) -> Vec<f32> {
        codes.to_dense().into_owned()
    }

    fn dictionary(&self) -> Option<&[f32]> {
        None
    }

    fn whole(&self) -> Option<&Model<'_>> {
        None
    }
}

fn evaluations(criterion: &mut Criterion) {
    let mut random = Streams::new(0).stream("bench");
    let data = Bytes((0..ROWS * INPUTS).map(|_| random.random()).collect());
    let mut x = vec![0.0; ROWS * INPUTS];
    data.gather(Split::Test, &(0..ROWS).collect::<Vec<_>>(), &mut x).expect("it is in memory");
    let x_hat: Vec<f32> = x.iter().map(|x| x + random.random::<f32>() - 0.5).collect();
    let full: Vec<f32> = (0..BATCH * LATENTS).map(|_| random.random()).collect();
    let starts: Vec<usize> = (0..BATCH).map(|row| row * (LATENTS / ACTIVE_EVERY)).collect();
    let lengths = vec![(LATENTS / ACTIVE_EVERY) as u32; BATCH];
    let latents = |row: usize| (row % ACTIVE_EVERY..LATENTS).step_by(ACTIVE_EVERY);
    let indices: Vec<u32> = (0..BATCH).flat_map(latents).map(|latent| latent as u32).collect();
    let dense = Codes::Dense { latents: LATENTS, values: &full };
    let values = &full[..indices.len()];
    let (starts, lengths, indices) = (&*starts, &*lengths, &*indices);
    let sparse = Codes::Sparse { latents: LATENTS, starts, lengths, indices, values };

    let mut group = criterion.benchmark_group("evaluate");
    group.sample_size(20).throughput(Throughput::Elements(ROWS as u64));
    for (threads, name) in [(1, "1 thread"), (2, "2 threads")] {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        for plugin in EVALUATIONS.iter().filter(|plugin| plugin.example.is_empty()) {
            let evaluation = plugin.example("".as_ref()).expect("its example builds").plugin;
            if evaluation.when() != When::EveryPoint {
                continue;
            }
            for (form, codes) in [("dense", dense), ("sparse", sparse)] {
                let id = BenchmarkId::new(format!("{} {form}", plugin.name), name);
                group.bench_function(id, |bencher| {
                    pool.install(|| {
                        bencher.iter(|| measure(&*evaluation, &data, &x, &x_hat, codes))
                    });
                });
            }
        }
    }
    group.finish();
}

/// Samples of an epoch, of a batch of training and of one of evaluation.
const EPOCH: usize = 8000;
const TRAINED: usize = 128;
const EVALUATED: usize = 256;

/// Codes as dense as trainings end with them; but kl's are all above the threshold here, so that the
/// second reconstruction, from thresholded codes, costs as much as it can.
const CASES: [Case; 3] = [
    case("identity", "kind = \"k-sparse\"\nk = 25", None),
    case("relu", "kind = \"l1\"\nlambda = 0.3", Some(0.1)),
    case("sigmoid", "kind = \"kl\"\nrho = 0.05\nbeta = 0.1", None),
];

const fn case(activation: &'static str, penalty: &'static str, density: Option<f64>) -> Case {
    Case { sizes: (INPUTS, LATENTS, TRAINED), activation, penalty, density }
}

/// An evaluation with all that belongs to it, and the epoch beside it, gathering left out.
fn beside_epochs(criterion: &mut Criterion) {
    let mut random = Streams::new(0).stream("bench");
    let data = Bytes((0..ROWS * INPUTS).map(|_| random.random()).collect());
    let evaluations: Vec<_> = EVALUATIONS
        .iter()
        .filter(|plugin| plugin.example.is_empty())
        .map(|plugin| plugin.example("".as_ref()).expect("its example builds"))
        .map(NamedEvaluation::from)
        .collect();
    let mut group = criterion.benchmark_group("evaluation");
    group.sample_size(20);
    for case in CASES {
        let run = case.run();
        let mut trained = Trained::new(&case, &run, FUSED);
        trained.step();
        group.bench_function(BenchmarkId::new("epoch", case.name(&run)), |bencher| {
            bencher.iter_custom(|epochs| {
                let started = Instant::now();
                (0..epochs * EPOCH as u64 / TRAINED as u64)
                    .for_each(|_| _ = black_box(trained.step()));
                started.elapsed()
            });
        });
        let mut evaluator = Evaluator::new(&data, EVALUATED);
        group.bench_function(BenchmarkId::new("evaluation", case.name(&run)), |bencher| {
            bencher.iter(|| evaluator.measure(trained.model(), &evaluations, When::EveryPoint));
        });
    }
    group.finish();
}

fn measure(
    evaluation: &dyn Evaluation,
    data: &dyn Data,
    x: &[f32],
    x_hat: &[f32],
    code: Codes<'_>,
) {
    let spread = Spread { samples: 1.0, mean: vec![0.0; INPUTS], variation: 1.0 };
    let subject = Subject {
        data,
        facts: &DataFacts::default(),
        test_spread: &spread,
        inputs: INPUTS,
        latents: LATENTS,
        l0_rule: framework::plugin::L0Rule::Nonzero,
        rests_at_zero: true,
        model: &Unused,
        streams: Streams::new(0),
        role: Role::default(),
        corruption: None,
        when: When::EveryPoint,
    };
    let mut measure = evaluation.start(&subject).expect("it reads no data");
    for (x, x_hat) in x.chunks(BATCH * INPUTS).zip(x_hat.chunks(BATCH * INPUTS)) {
        measure.batch(
            &subject,
            &EvaluatedBatch {
                objective: None,
                split: Split::Test,
                first: 0,
                rows: BATCH,
                x,
                x_hat,
                x_hat_thresholded: None,
                code,
                labels: None,
            },
        );
    }
    measure.finish(&subject).expect("it reads no data");
}

criterion_group!(group, evaluations, beside_epochs);

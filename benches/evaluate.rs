//! What the evaluations of every point take, besides the forward pass: 2,000 samples at the size of
//! MNIST, codes in full and codes without their zeros, of which 25 of 1,000 are not zero.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use framework::plugin::{
    Codes, Data, Dictionary, EVALUATIONS, EvaluatedBatch, Evaluation, SampleShape, Split, Spread,
    Subject, When,
};
use framework::rand::RngExt;
use framework::random::Streams;
use rayon::ThreadPoolBuilder;

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
        test_spread: &spread,
        inputs: INPUTS,
        latents: LATENTS,
        l0_threshold: 0.0,
        dictionary: Dictionary::new(Box::new(|| None)),
        when: When::EveryPoint,
    };
    let mut measure = evaluation.start(&subject);
    for (x, x_hat) in x.chunks(BATCH * INPUTS).zip(x_hat.chunks(BATCH * INPUTS)) {
        measure.batch(
            &subject,
            &EvaluatedBatch {
                split: Split::Test,
                rows: BATCH,
                x,
                x_hat,
                x_hat_thresholded: None,
                code,
                labels: None,
            },
        );
    }
    measure.finish(&subject);
}

criterion_group!(group, evaluations);

//! One training step: forward, loss, backward and Adam, both engines side by side, at the sizes that
//! experiments use. The density of the codes is in the name: a sparse step is as fast as it is low.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use framework::engine::{FUSED, REFERENCE};

use crate::case::{Case, Trained};

const L1: &str = "kind = \"l1\"\nlambda = 0.1";
const KL: &str = "kind = \"kl\"\nrho = 0.05\nbeta = 0.1";
const K25: &str = "kind = \"k-sparse\"\nk = 25";
const K32: &str = "kind = \"k-sparse\"\nk = 32";
const GROUPS: &str = "kind = \"group-lasso\"\nlambda = 0.1\ngroup_size = 8";

const SMALL: (usize, usize, usize) = (64, 256, 256);
const MIDDLE: (usize, usize, usize) = (784, 2048, 256);

const CASES: [Case; 13] = [
    case(SMALL, "relu", "kind = \"none\"", Some(0.5)),
    case(SMALL, "relu", L1, Some(0.1)),
    case(SMALL, "sigmoid", KL, None),
    case(SMALL, "identity", K25, None),
    case(SMALL, "relu", GROUPS, Some(0.1)),
    case((784, 1000, 128), "identity", K25, None),
    case(MIDDLE, "identity", K32, None),
    case(MIDDLE, "relu", L1, Some(0.05)),
    case(MIDDLE, "relu", L1, Some(0.5)),
    case(MIDDLE, "sigmoid", KL, None),
    case(MIDDLE, "relu", GROUPS, Some(0.1)),
    case((768, 6144, 1024), "identity", K32, None),
    case((768, 24576, 1024), "identity", K32, None),
];

const fn case(
    sizes: (usize, usize, usize),
    activation: &'static str,
    penalty: &'static str,
    density: Option<f64>,
) -> Case {
    Case { sizes, activation, penalty, density }
}

/// Above so many multiply-adds of the encoder the reference engine takes seconds a step, and is left
/// out.
const REFERENCE_MAX: usize = 1 << 30;

fn steps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    for case in CASES {
        let run = case.run();
        let (inputs, latents, batch) = case.sizes;
        let is_large = inputs * latents * batch > REFERENCE_MAX;
        group.throughput(Throughput::Elements(batch as u64));
        group.sample_size(if is_large { 10 } else { 20 });
        for engine in [REFERENCE, FUSED] {
            if is_large && engine == REFERENCE {
                continue;
            }
            // Made when it is its turn, and not at all if it is filtered out.
            let mut trained = None;
            let id = BenchmarkId::new(engine.name, case.name(&run));
            group.bench_function(id, |bencher| {
                let trained = trained.get_or_insert_with(|| Trained::new(&case, &run, engine));
                bencher.iter(|| trained.step());
            });
        }
    }
    group.finish();
}

criterion_group!(group, steps);

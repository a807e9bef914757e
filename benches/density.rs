//! Where lists of active latents stop being faster than dense codes: the fused engine's step at
//! several densities of L1. It chooses by density, so the time has a knee at that density; where the
//! two meet without a jump, the choice is right.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use framework::engine::FUSED;

use crate::case::{Case, Trained};

const PERCENT: [u32; 9] = [2, 5, 10, 15, 20, 25, 30, 35, 50];

fn densities(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("density");
    group.sample_size(20);
    for sizes in [(64, 256, 256), (784, 1000, 128), (784, 2048, 256)] {
        let (inputs, latents, batch) = sizes;
        group.throughput(Throughput::Elements(batch as u64));
        for percent in PERCENT {
            let case = Case {
                sizes,
                activation: "relu",
                penalty: "kind = \"l1\"\nlambda = 0.1",
                density: Some(f64::from(percent) / 100.0),
            };
            let run = case.run();
            let mut trained = None;
            let id = BenchmarkId::new(format!("{inputs}x{latents}x{batch}"), percent);
            group.bench_function(id, |bencher| {
                let new = || Trained::new(&case, &run, FUSED);
                let trained = trained.get_or_insert_with(new);
                bencher.iter(|| trained.step());
            });
        }
    }
    group.finish();
}

criterion_group!(group, densities);

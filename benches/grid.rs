//! How long it takes to read an experiment of 100,000 runs and to check every one of them: what
//! `list`, `status` and `run` begin with. A grid of many seeds shares its sections; in one of many
//! strengths each run has a penalty of its own. Listing the first takes less than a second and 300 MB;
//! the whole command is measured by
//!
//!     seeds=$(seq -s, 0 99)
//!     sed "s/^seeds.*/seeds = [$seeds]/" experiments/kl_sweep.toml > /tmp/many.toml
//!     /usr/bin/time -v saegrid list /tmp/many.toml --set 'grid."penalty.rho"={ linear = [0.01, 0.1], points = 10 }' \
//!         --set 'grid."penalty.beta"={ log = [0.01, 1.0], points = 10 }' \
//!         --set 'grid."train.optimizer.lr"={ log = [1e-4, 1e-2], points = 10 }' > /dev/null

use criterion::{Criterion, Throughput, criterion_group};
use framework::fit::{check_fit, open_data};
use framework::spec::Experiment;

const RUNS: usize = 100_000;

fn grids(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("grid");
    group.sample_size(10);
    group.throughput(Throughput::Elements(RUNS as u64));
    for (name, seeds, points) in
        [("many seeds", 100, [10, 10, 10]), ("many penalties", 1, [100, 1000, 1])]
    {
        let text = experiment(seeds, points);
        group.bench_function(name, |bencher| bencher.iter(|| checked(&text)));
    }
    group.finish();
}

fn experiment(seeds: usize, [rho, beta, lr]: [usize; 3]) -> String {
    let seeds: Vec<usize> = (0..seeds).collect();
    format!(
        "name = \"grid\"\nseeds = {seeds:?}\ndataset.kind = \"digits\"\n\
         architecture = {{ kind = \"dense\", latents = 64, activation = \"sigmoid\" }}\n\
         penalty = {{ kind = \"kl\", rho = 0.05, beta = 0.1 }}\n[grid]\n\
         \"penalty.rho\" = {{ linear = [0.01, 0.1], points = {rho} }}\n\
         \"penalty.beta\" = {{ log = [0.01, 1.0], points = {beta} }}\n\
         \"train.optimizer.lr\" = {{ log = [1e-4, 1e-2], points = {lr} }}\n",
    )
}

fn checked(text: &str) -> usize {
    let experiment = Experiment::parse("grid".into(), ".".into(), text.into(), &[]);
    let experiment = experiment.expect("the experiment is a legal one");
    let runs = experiment.runs().expect("no two points are the same");
    let mut opened = open_data(&runs).expect("digits are embedded");
    check_fit(&experiment, &runs, &mut opened).expect("KL fits sigmoid codes");
    assert_eq!(runs.len(), RUNS);
    runs.len()
}

criterion_group!(group, grids);

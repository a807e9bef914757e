//! One training step: forward, loss, backward and Adam on a batch that is in memory already, at the
//! sizes that experiments use, right after initialisation.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use framework::dims::Input;
use framework::model::{Mode, Step};
use framework::rand::RngExt;
use framework::random::Streams;
use framework::spec::Experiment;
use framework::train::{Engine, Model, Normaliser, Trainer};

/// Inputs, latents, batch, architecture and penalty as an experiment has them.
const CASES: [(usize, usize, usize, &str, &str); 4] = [
    (64, 256, 128, "activation = \"sigmoid\"", "kind = \"kl\"\nrho = 0.05\nbeta = 0.1"),
    (64, 256, 128, "activation = \"relu\"", "kind = \"l1\"\nlambda = 0.1"),
    (784, 1000, 128, "activation = \"relu\"", "kind = \"k-sparse\"\nk = 25"),
    (784, 1000, 128, "activation = \"relu\"", "kind = \"l1\"\nlambda = 0.3"),
];

fn steps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    group.sample_size(20);
    for (inputs, latents, batch, architecture, penalty) in CASES {
        let text = format!(
            "name = \"bench\"\n[dataset]\nkind = \"digits\"\n[architecture]\nkind = \"dense\"\n\
             latents = {latents}\n{architecture}\n[penalty]\n{penalty}\n"
        );
        let experiment = Experiment::parse("bench".into(), "".into(), text, &[]);
        let runs = experiment.and_then(|experiment| experiment.runs()).expect("the case is right");
        let run = &runs[0];
        let streams = Streams::new(0);
        let mut random = streams.stream("bench");
        let x: Vec<f32> = (0..batch * inputs).map(|_| random.random()).collect();
        let step = Step { mode: Mode::Train, progress: 0.0, labels: None };
        group.throughput(Throughput::Elements(batch as u64));
        for engine in [Engine::Reference, Engine::Fused] {
            let model = Model::new(
                &*run.architecture.value.plugin,
                &*run.penalty.value.plugin,
                Input(inputs),
                Normaliser::default(),
                &streams,
            );
            let mut trainer = Trainer::new(model.on(engine), run.train.value.optimizer);
            let name = format!("{} {inputs}x{latents}x{batch}", run.penalty.value.kind);
            group.bench_function(BenchmarkId::new(engine.name(), name), |bencher| {
                bencher.iter(|| trainer.step(&x, step, 1.0));
            });
        }
    }
    group.finish();
}

criterion_group!(group, steps);

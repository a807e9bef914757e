//! What is done with the results of 10,000 finished runs of 256 latents and 20 evaluation points:
//! tables made from nothing, brought up to date with 10 new runs, read, and asked. The most memory in
//! use is said at the end.

use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, criterion_group};
use rayon::prelude::*;
use store::{Folder, Status};

use crate::finished::Finished;

const SEEDS: usize = 2500;
const NEW: usize = 10;

fn tables(criterion: &mut Criterion) {
    let finished = Finished::new(SEEDS, 256, 20);
    let place = tempfile::tempdir().expect("there is room for results");
    let folder = finished.open(place.path());
    let mut group = criterion.benchmark_group("tables");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(1))
        .measurement_time(Duration::from_secs(1));
    finished.runs.par_iter().for_each(|run| finished.write(&folder, run, 1, Status::Done));
    let anew = || {
        // Without it, nothing is kept.
        let _ = std::fs::remove_file(place.path().join("tables.json"));
    };
    group.bench_function("made from nothing", |bencher| {
        bencher.iter_batched(anew, |()| compact(&finished, &folder), BatchSize::PerIteration);
    });
    let mut attempt = 1;
    let mut new = || {
        attempt += 1;
        let runs = finished.runs.iter().rev().take(NEW);
        runs.for_each(|run| finished.write(&folder, run, attempt, Status::Done));
    };
    group.bench_function("with 10 new runs", |bencher| {
        bencher.iter_batched(&mut new, |()| compact(&finished, &folder), BatchSize::PerIteration);
    });
    group.bench_function("with nothing new", |bencher| {
        bencher.iter(|| compact(&finished, &folder));
    });
    for (name, sql) in [
        ("query of runs", "SELECT penalty, avg(test_mse) FROM runs GROUP BY penalty"),
        ("query of history", "SELECT epoch, avg(test_mse) FROM history GROUP BY epoch"),
        ("query of latents", "SELECT count(*) FROM latents WHERE firing_rate < 0"),
        (
            "query of all",
            "SELECT penalty, avg(firing_rate) FROM runs JOIN latents USING (run_id) \
             JOIN history USING (run_id) WHERE epoch = 1 GROUP BY penalty",
        ),
    ] {
        group.bench_function(name, |bencher| bencher.iter(|| asked(place.path(), sql)));
    }
    group.finish();
    println!("tables/memory: {}", peak_memory());
}

fn compact(finished: &Finished, folder: &Folder) -> usize {
    let (runs, warnings) = folder.compact(&finished.runs).expect("the folder is ours");
    assert_eq!((runs.rows(), warnings.len()), (finished.runs.len(), 0));
    runs.rows()
}

/// What the command `query` does.
fn asked(path: &Path, sql: &str) -> usize {
    let start = Instant::now();
    let opened = store::open_tables(&[path]).expect("the folder is one of an experiment");
    let loaded = start.elapsed();
    let answer = sql::query(&opened.tables, sql, sql::Limits::default());
    let rows = answer.expect("the query is right").rows();
    if std::env::var_os("VERBOSE").is_some() {
        println!("opened in {loaded:?}, answered in {:?}", start.elapsed() - loaded);
    }
    rows
}

fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or("unknown".to_owned(), |line| line.trim().to_owned())
}

criterion_group!(group, tables);

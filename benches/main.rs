//! All benchmarks in one binary: `cargo bench --profile dev`.

mod case;
mod density;
mod evaluate;
mod finished;
mod grid;
mod step;
mod tables;

use plugins as _;

criterion::criterion_main!(
    step::group,
    density::group,
    evaluate::group,
    grid::group,
    tables::group
);

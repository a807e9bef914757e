//! All benchmarks in one binary: `cargo bench`.

mod step;

use plugins as _;

criterion::criterion_main!(step::group);

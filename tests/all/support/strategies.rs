//! Generators of test inputs, and the settings of all property tests.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// The seed of every property test: the same cases on every machine and every day.
const SEED: u64 = 20_240_607;

/// A property tried on `cases` inputs. A failure names its input, seed included, so nothing is
/// written to disk.
pub fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(SEED),
        failure_persistence: None,
        // A case of a gradient property takes up to a second: a smaller failure is worth this many.
        max_shrink_iters: 16,
        ..ProptestConfig::default()
    }
}

/// The sizes of a small model, and the seed of its numbers.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Samples.
    pub batch: usize,
    /// Numbers a sample.
    pub inputs: usize,
    /// Latents the penalty sees: even, so that groups of two fit.
    pub latents: usize,
    /// The seed of parameters and samples.
    pub seed: u64,
}

/// Small models.
pub fn sizes() -> impl Strategy<Value = Sizes> {
    (1..=5_usize, 1..=6_usize, 1..=3_usize, any::<u32>()).prop_map(|(batch, inputs, half, seed)| {
        Sizes { batch, inputs, latents: 2 * half, seed: seed.into() }
    })
}

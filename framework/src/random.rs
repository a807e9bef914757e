//! One seed drives everything, through streams that have names: adding a use of randomness moves
//! no other.

pub use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// The random streams of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    seed: u64,
}

impl Streams {
    /// The streams of a seed.
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The stream of a purpose: ChaCha keyed by BLAKE3 of the seed and the purpose.
    pub fn stream(&self, purpose: &str) -> ChaCha8Rng {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.seed.to_le_bytes());
        hasher.update(purpose.as_bytes());
        ChaCha8Rng::from_seed(*hasher.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    #[test]
    fn streams_repeat_and_differ_by_seed_and_purpose() {
        let first = |seed, purpose| Streams::new(seed).stream(purpose).random::<u64>();
        assert_eq!(first(1, "shuffling/0"), first(1, "shuffling/0"));
        assert_ne!(first(1, "shuffling/0"), first(1, "shuffling/1"));
        assert_ne!(first(1, "shuffling/0"), first(2, "shuffling/0"));
    }
}

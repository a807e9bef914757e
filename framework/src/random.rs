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

    /// The streams of a part of the run that has all purposes again, each with another stream.
    pub fn of(&self, part: &str) -> Self {
        use rand_chacha::rand_core::Rng;
        Self::new(self.stream(part).next_u64())
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
        let of_part = |part| Streams::new(1).of(part).stream("shuffling/0").random::<u64>();
        assert_eq!(of_part("a"), of_part("a"));
        assert_ne!(of_part("a"), of_part("b"));
        assert_ne!(of_part("a"), first(1, "shuffling/0"));
    }
}

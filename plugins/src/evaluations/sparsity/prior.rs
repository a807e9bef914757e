//! How far latents are from their prior, where they have one.

/// Mean divergence, in nats, below which a latent is collapsed: it has the prior whatever the sample.
const COLLAPSED: f64 = 0.01;

/// Sums over the samples seen, latent by latent.
pub struct PriorSums {
    samples: u64,
    /// Of the divergences of each latent, in nats.
    sums: Vec<f64>,
}

impl PriorSums {
    /// Nothing seen yet of so many latents.
    pub fn new(latents: usize) -> Self {
        Self { samples: 0, sums: vec![0.0; latents] }
    }

    /// Adds the divergences of a batch, [samples, latents].
    pub fn add(&mut self, divergences: &[f64]) {
        for of_sample in divergences.chunks_exact(self.sums.len()) {
            self.samples += 1;
            self.sums.iter_mut().zip(of_sample).for_each(|(sum, kl)| *sum += kl);
        }
    }

    /// The mean over samples of each latent.
    pub fn means(&self) -> impl Iterator<Item = f64> {
        let samples = self.samples as f64;
        self.sums.iter().map(move |sum| sum / samples)
    }

    /// The mean over samples of the sum over latents.
    pub fn sum_of_means(&self) -> f64 {
        self.means().sum()
    }

    /// The share of latents that are collapsed.
    pub fn collapsed(&self) -> f64 {
        let collapsed = self.means().filter(|mean| *mean < COLLAPSED).count();
        collapsed as f64 / self.sums.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if a latent were collapsed by one sample, or sums were not means.
    #[test]
    fn a_case_by_hand() {
        let mut sums = PriorSums::new(3);
        sums.add(&[1.0, 0.015, 0.0, 3.0, 0.0, 0.0]);
        sums.add(&[2.0, 0.0, 0.06]);
        assert_eq!(sums.means().collect::<Vec<_>>(), [2.0, 0.005, 0.02]);
        assert!((sums.sum_of_means() - 2.025).abs() < 1e-15);
        assert_eq!(sums.collapsed(), 1.0 / 3.0);
    }
}

//! The latents that say most of a sample, and codes in which they alone do not rest.

use std::cmp::Ordering;

use framework::plugin::Codes;
use rayon::prelude::*;

use super::rest::Resting;

/// A latent of a sample that is kept.
#[derive(Clone, Copy, Debug)]
struct KeptLatent {
    latent: u32,
    value: f32,
    /// How much it says.
    says: f64,
}

/// The latents of each sample of a batch that say most, the one that says most first.
pub struct KeptCodes<'a> {
    resting: &'a Resting,
    rows: Vec<Vec<KeptLatent>>,
}

impl<'a> KeptCodes<'a> {
    /// Chooses as many latents of each sample as the greatest budget of `at`, the last one, has. A latent at
    /// rest says nothing, and is left out where all rest at 0.
    pub fn new(codes: Codes<'_>, resting: &'a Resting, at: &[usize]) -> Self {
        let most = at.last().copied().unwrap_or(0);
        let latent = |latent: usize, value: f32| KeptLatent {
            latent: latent as u32,
            value,
            says: resting.says(latent, value),
        };
        let rows = match codes {
            Codes::Dense { latents, values } => {
                let all = |row: &[f32]| {
                    let all = row.iter().enumerate().map(|(at, value)| latent(at, *value));
                    greatest(all.collect(), most)
                };
                values.par_chunks_exact(latents).map(all).collect()
            }
            Codes::Sparse { .. } => {
                let mut rows = vec![Vec::new(); codes.rows()];
                codes.for_each_nonzero(|row, at, value| rows[row].push(latent(at, value)));
                if !resting.is_at_zero() {
                    // What is not listed is 0, and does not rest there.
                    rows = rows.into_iter().map(|row| filled(row, resting, latent)).collect();
                }
                rows.into_par_iter().map(|row| greatest(row, most)).collect()
            }
        };
        Self { resting, rows }
    }

    /// Shows the codes at each budget, [rows, latents], with the place of the budget in `at`.
    pub fn for_each(&self, at: &[usize], mut see: impl FnMut(usize, &[f32])) {
        let rest = self.resting.code();
        let mut codes = rest.repeat(self.rows.len());
        let mut before = 0;
        for (place, m) in at.iter().enumerate() {
            for (code, kept) in codes.chunks_exact_mut(rest.len()).zip(&self.rows) {
                for one in kept.iter().take(*m).skip(before) {
                    code[one.latent as usize] = one.value;
                }
            }
            before = *m;
            see(place, &codes);
        }
    }
}

/// Returns a row with the latents that it lacks, which are 0.
fn filled(
    row: Vec<KeptLatent>,
    resting: &Resting,
    latent: impl Fn(usize, f32) -> KeptLatent,
) -> Vec<KeptLatent> {
    let mut all: Vec<KeptLatent> = (0..resting.code().len()).map(|at| latent(at, 0.0)).collect();
    row.into_iter().for_each(|one| all[one.latent as usize] = one);
    all
}

/// Returns the latents that say most, the one that says most first, and of equal ones the lowest.
fn greatest(mut all: Vec<KeptLatent>, most: usize) -> Vec<KeptLatent> {
    let order = |a: &KeptLatent, b: &KeptLatent| -> Ordering {
        b.says.total_cmp(&a.says).then(a.latent.cmp(&b.latent))
    };
    if most < all.len() {
        all.select_nth_unstable_by(most, order);
        all.truncate(most);
    }
    all.sort_unstable_by(order);
    all
}

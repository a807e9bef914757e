//! Which latents are active in the timed steps: constants added to the encoder's bias make the asked shares
//! of them active (`--density`) and dead (`--dead`).

use framework::diagnostics::Diagnostic;
use framework::dims::Batch;
use framework::model::{Definition, EncoderPass, Real, Step, Weights, tensor, values};
use framework::plugin::{FusedPenalty, GateTerms, Penalty};
use framework::random::Streams;
use framework::spec::numbers::Share;
use framework::train::{Model, Trainer};
use rayon::prelude::*;

use super::STEP;

/// How many times as great as the pre-codes the constant is that silences dead latents: warm-up may be
/// thousands of steps if they are short, and moves the decoder's bias.
const FAR: f32 = 1000.0;

/// The shares of latents that the options ask for.
pub struct Shares {
    latents: usize,
    /// Share of all values of a code that are above 0.
    density: Option<f64>,
    /// Number of latents that never fire: the first ones.
    dead: Option<usize>,
}

impl Shares {
    /// Shares of `latents` latents.
    ///
    /// # Errors
    /// More active latents than there are living ones.
    pub fn new(
        latents: usize,
        density: Option<Share>,
        dead: Option<Share>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let dead = dead.map(|dead| (dead.get() * latents as f64).round() as usize);
        let density = density.map(Share::get);
        let shares = Self { latents, density, dead };
        // A part of a latent is left to rounding: 1 - 0.9 is a little less than 0.1.
        if let Some(density) = density
            && density * latents as f64 > shares.living() as f64 + 1e-6
        {
            let message = format!(
                "`--density {density}` is a share of all latents, and `--dead` leaves {} of {latents} \
                 alive: at most {} can be active",
                shares.living(),
                shares.living() as f64 / latents as f64,
            );
            return Err(vec![Diagnostic::nowhere(message)]);
        }
        Ok(shares)
    }

    /// Number of latents that may fire.
    fn living(&self) -> usize {
        self.latents - self.dead.unwrap_or(0)
    }

    /// Whether dead latents are asked for, even none.
    pub fn asks_for_dead(&self) -> bool {
        self.dead.is_some()
    }

    /// Subtracts one constant from the pre-codes of the first latents, so that they do not fire. It is the
    /// same for the whole timing, and so much greater than these pre-codes that steps wake none by moving
    /// parameters a little. Where the largest codes are kept and an auxiliary has dead latents learn, it is added
    /// to the others instead: so dead latents have pre-codes to learn with, as in such trainings.
    ///
    /// # Errors
    /// Latents that fire nevertheless.
    pub fn silence(
        &self,
        trainer: &mut Trainer<'_>,
        batches: &[Vec<f32>],
    ) -> Result<(), Vec<Diagnostic>> {
        let Some(dead) = self.dead.filter(|dead| *dead > 0) else { return Ok(()) };
        let definition = &trainer.model.definition;
        let learns = definition.watches_activity()
            && definition.penalty.leaves_zeros()
            && self.density.is_none();
        let greatest = |x: &Vec<f32>| {
            let code = pre_code(trainer, x);
            let rows = code.par_chunks_exact(self.latents);
            let most = |row: &[f32]| row.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
            rows.map(|row| most(if learns { row } else { &row[..dead] })).reduce(|| 0.0, f32::max)
        };
        let constant = FAR * batches.iter().map(greatest).fold(1.0, f32::max);
        let [of_dead, of_others] = if learns { [0.0, constant] } else { [-constant, 0.0] };
        let shift: Vec<f32> =
            (0..self.latents).map(|at| if at < dead { of_dead } else { of_others }).collect();
        trainer.model.shift_encoder_bias(&shift);
        let mut fired = self.none_fired();
        batches.iter().for_each(|x| fired.see(trainer, x));
        if fired.0[..dead].contains(&true) {
            let message = "`--dead` is for latents that are not active where their pre-code is low; \
                           with this architecture and penalty they are";
            let help = "activation `relu` and the penalty `k-sparse` leave such latents inactive";
            return Err(vec![Diagnostic::nowhere(message).help(help)]);
        }
        Ok(())
    }

    /// Adds constants to the pre-codes of the living latents so that the asked share of all is active on
    /// batch `x`.
    pub fn prepare(&self, trainer: &mut Trainer<'_>, x: &[f32]) {
        let Some(density) = self.density else { return };
        let (dead, living) = (self.latents - self.living(), self.living());
        if living == 0 {
            return;
        }
        let of_the_living = match dead {
            0 => density,
            _ => (density * self.latents as f64 / living as f64).min(1.0),
        };
        let mut beyond = pre_code(trainer, x);
        if let Some(thresholds) = thresholds(trainer) {
            for row in beyond.chunks_exact_mut(self.latents) {
                row.iter_mut().zip(&thresholds).for_each(|(code, threshold)| *code -= threshold);
            }
        }
        let shift = shift(&beyond, self.latents, dead, of_the_living);
        trainer.model.shift_encoder_bias(&shift);
        open_magnitudes(&mut trainer.model, self.latents);
    }

    /// Returns the record of latents that fired, of which none has.
    pub fn none_fired(&self) -> Fired {
        Fired(vec![false; self.latents])
    }
}

/// Which latents have been active.
pub struct Fired(Vec<bool>);

impl Fired {
    /// Notes the latents that are active in a training step on batch `x`, without making the step.
    pub fn see(&mut self, trainer: &Trainer<'_>, x: &[f32]) {
        let model = &trainer.model;
        // A pass in training may move the penalty's running state, which the step itself is to do.
        let state = model.state.borrow().clone();
        let code = model.forward(x, STEP).code;
        model.state.replace(state);
        let rule = model.l0_rule();
        // A value of 0 is active by no rule.
        code.view().for_each_nonzero(|_, latent, value| self.0[latent] |= rule.is_active(value));
    }

    /// Returns the share of the latents that were never active.
    pub fn dead_share(&self) -> f64 {
        self.0.iter().filter(|fired| !**fired).count() as f64 / self.0.len() as f64
    }
}

/// Returns the gates that a penalty makes codes with, if it does.
pub fn gates(penalty: &dyn Penalty, latents: usize) -> Option<GateTerms> {
    match penalty.fused(&STEP, latents) {
        Some(FusedPenalty::Gates(terms)) => Some(terms),
        _ => None,
    }
}

/// Where gates make the code, shifts magnitudes so that they are above 0 wherever gates are open: then as many latents
/// are active as pre-codes are above 0.
fn open_magnitudes(model: &mut Model<'_>, latents: usize) {
    let Definition { architecture, penalty, .. } = model.definition;
    let Some(GateTerms { scale, shift, .. }) = gates(penalty, latents) else { return };
    let Some(level) = architecture.layers().and_then(|mut form| form.levels.pop()) else { return };
    let all: Vec<usize> = (0..latents).collect();
    let mut slices = model.of_latents(&all);
    let values = |name: &str| slices.get(name).map(|own| own.values.clone()).unwrap_or_default();
    let (scales, biases) = (values(&format!("penalty.{scale}")), values(&level.encoder.bias));
    // The magnitude of the pre-code z with the bias b is exp(r) (z − b) + s.
    let shifts: Vec<f32> = scales.iter().zip(&biases).map(|(r, bias)| r.exp() * bias).collect();
    let own = format!("penalty.{shift}");
    let own = slices.entries.iter_mut().find(|entry| entry.declaration.name == own);
    own.into_iter().for_each(|own| own.values.clone_from(&shifts));
    model.set_latents(&all, &slices);
}

/// Returns the code of samples `x` before the activation, [batch, latents], by the architecture's definition.
fn pre_code(trainer: &Trainer<'_>, x: &[f32]) -> Vec<f32> {
    let Model { input, sample, definition, .. } = &trainer.model;
    let parameters = trainer.model.parameters();
    let weights = Weights::new(*sample, &parameters);
    let streams = Streams::new(0);
    let pass = EncoderPass::new(Step::EVALUATE, &streams);
    let shape = (Batch(x.len() / input.0), *input);
    let x = tensor(x.to_vec(), shape).retaped();
    values(&f32::autoencoder(definition.architecture).encode(x, &weights, &pass).pre_code)
}

/// Returns what the code of each latent has to exceed to be active, where the penalty has thresholds.
fn thresholds(trainer: &Trainer<'_>) -> Option<Vec<f32>> {
    let name = trainer.model.definition.penalty.thresholds()?;
    let parameters = trainer.model.parameters();
    Some(parameters.get(&format!("penalty.{name}"))?.values.clone())
}

/// Returns the constant to add to each latent's pre-code, [batch, latents], so that the share `density` of the
/// values of all latents but the first `dead` is above 0; to these, nothing is added. If the share of a batch
/// is not a whole number, some latents get one more than others.
fn shift(pre_code: &[f32], latents: usize, dead: usize, density: f64) -> Vec<f32> {
    let batch = pre_code.len() / latents;
    let up_to = |living: usize| (density * batch as f64 * living as f64).round() as usize;
    (0..latents)
        .into_par_iter()
        .map(|latent| {
            if latent < dead {
                return 0.0;
            }
            let living = latent - dead;
            let mut column: Vec<f32> =
                (0..batch).map(|row| pre_code[row * latents + latent]).collect();
            -level(&mut column, up_to(living + 1) - up_to(living))
        })
        .collect()
}

/// Returns a number below the `above` greatest values and above the others.
fn level(values: &mut [f32], above: usize) -> f32 {
    let least = |values: &[f32]| values.iter().copied().fold(f32::INFINITY, f32::min);
    if above >= values.len() {
        return least(values) - 1.0;
    }
    let (kept, below, _) = values.select_nth_unstable_by(above, |a, b| b.total_cmp(a));
    if kept.is_empty() { *below + 1.0 } else { least(kept) / 2.0 + *below / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_has_the_asked_number_of_values_above_it() {
        let values = [3.0, -1.0, 0.5, 2.0, -4.0];
        for above in 0..=values.len() {
            let level = level(&mut values.clone(), above);
            assert_eq!(values.iter().filter(|value| **value > level).count(), above);
        }
    }

    #[test]
    fn shares_that_are_no_whole_number_of_a_batch_hold_over_all_latents() {
        // 3 samples, 4 latents, a quarter: 3 of 12 values.
        let code: Vec<f32> = (0..12).map(|at| ((at * 7) % 12) as f32).collect();
        let shift = shift(&code, 4, 0, 0.25);
        let above = code.iter().enumerate().filter(|(at, value)| **value + shift[at % 4] > 0.0);
        assert_eq!(above.count(), 3);
    }

    /// Wrong if a dead latent were moved, or if the living ones did not carry the whole share.
    #[test]
    fn the_living_latents_carry_the_share_and_the_dead_ones_stay() {
        let code: Vec<f32> = (0..12).map(|at| ((at * 7) % 12) as f32 - 20.0).collect();
        let shift = shift(&code, 4, 2, 0.5);
        assert_eq!(shift[..2], [0.0, 0.0]);
        let above = code.iter().enumerate().filter(|(at, value)| **value + shift[at % 4] > 0.0);
        assert_eq!(above.count(), 3);
    }
}

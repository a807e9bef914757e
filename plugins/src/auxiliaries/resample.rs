//! Resampling: every so many steps, dead latents start again as what the model reconstructs worst.

use std::num::NonZeroUsize;

use framework::engine::{AfterStep, Forward};
use framework::linkme::distributed_slice;
use framework::model::{Declaration, Parameter, Parameters, Real, Side, Step};
use framework::plugin::{
    ALIASES, AUXILIARIES, Alias, Auxiliary, AuxiliaryTerms, CodeFacts, FusedAuxiliary, Meant,
    Offer, Plugin, Unfit,
};
use framework::random::ChaCha8Rng;
use framework::spec::schema_of;
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Every so many steps, latents that were active for none of the last `train.dead_after` training samples start
/// again. Samples of the step's batch are drawn without replacement, with probability proportional to their squared
/// error; each gives one dead latent the direction of its residual x − x̂. The decoder's row gets it at the mean norm
/// of the rows of latents that are not dead, the encoder's column at 0.2 times the mean norm of their columns, the
/// encoder's bias becomes 0, and so do the optimizer's moments. Tied weights are a row of the decoder. Where more
/// latents are dead than samples are there, the others wait for the next time.
///
/// Source: Bricken et al. 2023, Towards Monosemanticity, appendix "Neuron resampling", which takes the direction of
/// the sample itself, from many more samples.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Resample {
    /// Number of steps from one time to the next.
    every: NonZeroUsize,
    /// Number of steps after which no latent starts again.
    until: NonZeroUsize,
}

#[distributed_slice(AUXILIARIES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Auxiliary> = Plugin {
    name: "resample",
    about: "dead latents start again as what is reconstructed worst",
    example: "every = 500\nuntil = 5000",
    build: |settings| Ok(Box::new(settings.read::<Resample>()?)),
    schema: schema_of::<Resample>,
};

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["resampling", "neuron-resampling", "revival"],
    meant: Meant::Plugin { kind: "auxiliary", name: "resample" },
    about: "the auxiliary `resample` has dead latents start again as what is reconstructed worst; `auxk` has them learn from it",
    lines: "[[auxiliary]]\n\
            kind = \"resample\"\n\
            every = 500\n\
            until = 5000",
};

/// What the norm of living latents' columns of the encoder is multiplied by.
const OF_ENCODER: f64 = 0.2;

/// Draws at most `count` samples without replacement, with probabilities proportional to `weights`, in the order in
/// which they are drawn. Those without a weight, or whose weight is no finite number, are never drawn.
///
/// An exponential clock of rate w for each: the first to ring are such a draw (Efraimidis and Spirakis 2006).
fn draw(weights: &[f64], count: usize, random: &mut ChaCha8Rng) -> Vec<usize> {
    // 1 less a number of [0, 1) is never 0.
    let clock = |weight: &f64| -(1.0 - random.random::<f64>()).ln() / weight;
    let mut clocks: Vec<(f64, usize)> = weights.iter().map(clock).zip(0..).collect();
    clocks.retain(|(_, at)| weights[*at] > 0.0 && weights[*at].is_finite());
    clocks.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    clocks.into_iter().take(count).map(|(_, at)| at).collect()
}

/// What a part of a latent becomes.
#[derive(Clone, Copy, PartialEq)]
enum Becomes {
    /// A direction times this.
    Direction(f64),
    /// 0.
    Zero,
    /// What it was.
    Same,
}

/// What the slices of a parameter of so many latents become.
fn becomes(Parameter { declaration, values }: &Parameter<f32>, latents: usize) -> Becomes {
    let Some(side) = declaration.side else {
        // A parameter of a penalty.
        return Becomes::Same;
    };
    if !declaration.is_weight_of(side) {
        return Becomes::Zero;
    }
    let norm = |latent: usize| {
        let square = |at: usize| f64::from(values[at]).powi(2);
        declaration.of_latent(latent).map(square).sum::<f64>().sqrt()
    };
    let mean = (0..latents).map(norm).sum::<f64>() / latents as f64;
    Becomes::Direction(if side == Side::Encoder { OF_ENCODER * mean } else { mean })
}

/// Writes the parameters of latents that start again, one for each direction, [latents, inputs].
fn write(parameters: &mut Parameters<f32>, becomes: &[Becomes], directions: &[Vec<f64>]) {
    for (Parameter { declaration, values }, becomes) in parameters.entries.iter_mut().zip(becomes) {
        let places = |declaration: &Declaration, at| declaration.of_latent(at).collect::<Vec<_>>();
        for (at, direction) in directions.iter().enumerate() {
            match becomes {
                Becomes::Same => {}
                Becomes::Zero => {
                    places(declaration, at).into_iter().for_each(|place| values[place] = 0.0);
                }
                Becomes::Direction(norm) => {
                    let own = places(declaration, at).into_iter().zip(direction);
                    own.for_each(|(place, part)| values[place] = (norm * part) as f32);
                }
            }
        }
    }
}

impl<E: Real> AuxiliaryTerms<E> for Resample {}

impl Auxiliary for Resample {
    fn fits(&self, code: &CodeFacts) -> Result<(), Unfit> {
        code.needs("kind", Offer::Directions)
    }

    fn watches_activity(&self) -> bool {
        true
    }

    fn fused(&self, _: &Step<'_>, _: usize) -> Option<FusedAuxiliary<'_>> {
        Some(FusedAuxiliary::Nothing)
    }

    fn after_step(&self, after: &mut AfterStep<'_>) {
        let taken = after.steps_taken();
        if !taken.is_multiple_of(self.every.get()) || taken > self.until.get() {
            return;
        }
        let mut dead = after.dead();
        if dead.is_empty() {
            return;
        }
        let Forward { code, x_hat, .. } = after.forward();
        let (samples, target) = (code.view().rows(), after.batch.target);
        let inputs = target.len() / samples;
        let residual = |sample: usize| -> Vec<f64> {
            let own = sample * inputs..(sample + 1) * inputs;
            let pairs = target[own.clone()].iter().zip(&x_hat[own]);
            pairs.map(|(x, x_hat)| f64::from(*x) - f64::from(*x_hat)).collect()
        };
        let square = |sample| residual(sample).iter().map(|e| e * e).sum();
        let squares: Vec<f64> = (0..samples).map(square).collect();
        let drawn = draw(&squares, dead.len(), &mut after.random());
        let direction = |sample: &usize| -> Vec<f64> {
            let norm = squares[*sample].sqrt();
            residual(*sample).into_iter().map(|e| e / norm).collect()
        };
        let directions: Vec<Vec<f64>> = drawn.iter().map(direction).collect();
        let mut living: Vec<usize> = (0..after.latents).collect();
        living.retain(|latent| dead.binary_search(latent).is_err());
        if living.is_empty() {
            // Then there is no other norm.
            living.clone_from(&dead);
        }
        let of_living = after.of_latents(&living);
        let becomes: Vec<Becomes> =
            of_living.entries.iter().map(|own| becomes(own, living.len())).collect();
        dead.truncate(drawn.len());
        let mut parameters = after.of_latents(&dead);
        write(&mut parameters, &becomes, &directions);
        after.restart(&dead, &parameters);
    }
}

#[cfg(test)]
mod tests {
    use framework::model::Init;
    use framework::random::Streams;

    use super::*;

    /// Wrong if a sample were drawn twice, one without an error at all, or the worst no more often than others.
    #[test]
    fn samples_are_drawn_by_their_error_and_none_twice() {
        let mut random = Streams::new(2).stream("test");
        let weights = [1.0, 0.0, 3.0, f64::NAN, f64::INFINITY, 6.0];
        let mut first = [0; 6];
        for _ in 0..20_000 {
            let drawn = draw(&weights, 9, &mut random);
            first[drawn[0]] += 1;
            let mut all = drawn.clone();
            all.sort_unstable();
            assert_eq!(all, [0, 2, 5]);
        }
        for (at, right) in [(0, 0.1), (2, 0.3), (5, 0.6)] {
            let share = f64::from(first[at]) / 20_000.0;
            assert!((share - right).abs() < 0.015, "{share}, not {right}");
        }
        assert_eq!(draw(&weights, 2, &mut random).len(), 2);
        assert_eq!(draw(&[0.0; 3], 2, &mut random), [0; 0]);
    }

    /// Wrong if columns and rows were scaled alike, tied weights as a column, or what a penalty owns were touched.
    #[test]
    fn parts_of_latents_become_directions_at_the_norms_of_others() {
        let parameter = |name: &str, shape: &[usize], axis, side: Option<Side>, values: &[f32]| {
            let declaration = Declaration::new(name, shape, Init::Zeros).by_latent(axis);
            let declaration = Declaration { side, ..declaration };
            Parameter { declaration, values: values.to_vec() }
        };
        // Columns of norms 5 and 15, and rows of the same.
        let column = |side| parameter("w", &[2, 2], 1, Some(side), &[3.0, 9.0, 4.0, 12.0]);
        let row = parameter("d", &[2, 2], 0, Some(Side::Decoder), &[3.0, 4.0, 9.0, 12.0]);
        let bias = parameter("b", &[2], 0, Some(Side::Encoder), &[7.0, 8.0]);
        let own = parameter("penalty.theta", &[2], 0, None, &[7.0, 8.0]);
        let entries = vec![column(Side::Encoder), row, bias, own];
        let of: Vec<Becomes> = entries.iter().map(|entry| becomes(entry, 2)).collect();
        let right =
            [Becomes::Direction(2.0), Becomes::Direction(10.0), Becomes::Zero, Becomes::Same];
        assert!(of == right);
        assert!(becomes(&column(Side::Both), 2) == Becomes::Direction(10.0));
        let mut parameters = Parameters { entries };
        write(&mut parameters, &of, &[vec![0.6, 0.8], vec![-1.0, 0.0]]);
        let written: Vec<_> = parameters.entries.into_iter().map(|entry| entry.values).collect();
        assert_eq!(written[0], [1.2, -2.0, 1.6, 0.0]);
        assert_eq!(written[1], [6.0, 8.0, -10.0, 0.0]);
        assert_eq!(written[2..], [vec![0.0, 0.0], vec![7.0, 8.0]]);
    }
}

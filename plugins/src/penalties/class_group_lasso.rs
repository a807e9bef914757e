//! Group lasso over classes: samples of one class use the same latents.

use dfdx::prelude::{BroadcastTo, HasShape, Rank0, SumTo, TryMatMul};
use framework::dims::{Batch, Latent};
use framework::linkme::distributed_slice;
use framework::model::{Pass, Real, Step, Tensor, Traced, tensor};
use framework::plugin::{
    BatchClasses, CodeColumn, CodeFacts, ColumnTerm, FusedPenalty, PENALTIES, Penalize, Penalty,
    PerColumn, Plugin, StrengthKey, Term, Unfit,
};
use framework::spec::numbers::Strength;
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::support::{SMOOTHING, doubt_without_zeros};

framework::dim! {
    /// Classes of a batch.
    ClassInBatch,
}

/// (`lambda` / B) Σ_c √n_c Σⱼ √(Σ h²ᵢⱼ + 1e-8), the inner sum over the samples i of a batch of B that are of
/// class c, n_c of them: each class comes to use few latents, the same for all its samples. It needs labels,
/// and batches with several samples of a class: `train.batches = "stratified"` spreads each class evenly.
///
/// Source: Sankaran et al. 2017, Group Sparse Autoencoder.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ClassGroupLasso {
    /// Weight of the penalty in the loss.
    lambda: Strength,
}

#[distributed_slice(PENALTIES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Penalty> = Plugin {
    name: "class-group-lasso",
    about: "lambda times the sum of the norms of each latent's values over the samples of a class",
    example: "lambda = 0.1",
    build: |settings| Ok(Box::new(settings.read::<ClassGroupLasso>()?)),
    schema: schema_of::<ClassGroupLasso>,
};

impl<E: Real> Penalize<E> for ClassGroupLasso {
    fn penalize(&self, code: Traced<(Batch, Latent), E>, pass: &Pass<'_, E>) -> Vec<Term<E>> {
        // Evaluations have no labels, and no loss.
        let Some(labels) = pass.step.labels else { return Vec::new() };
        let (batch, latent) = *code.shape();
        let BatchClasses { of_sample, sizes } = BatchClasses::of(labels);
        let class = ClassInBatch(sizes.len());
        let mut members = vec![E::of(0.0); class.0 * batch.0];
        for (sample, class) in of_sample.iter().enumerate() {
            members[*class as usize * batch.0 + sample] = E::of(1.0);
        }
        let roots = sizes.iter().map(|size| E::of(f64::from(*size).sqrt())).collect();
        let members: Tensor<(ClassInBatch, Batch), E> = tensor(members, (class, batch));
        let roots: Tensor<(ClassInBatch,), E> = tensor(roots, (class,));
        let squares = members.retaped().matmul(code.square());
        let norms = (squares + E::of(SMOOTHING)).sqrt();
        let norms = norms * roots.broadcast_like(&(class, latent));
        let value = norms.sum::<Rank0, _>() * E::of(1.0 / batch.0 as f64);
        vec![Term::new("class_group_lasso", value, self.lambda.get())]
    }
}

impl Penalty for ClassGroupLasso {
    fn is_soft(&self) -> bool {
        true
    }

    fn is_of_code_alone(&self) -> bool {
        true
    }

    fn strength(&self) -> Option<StrengthKey> {
        Some(StrengthKey::Weight("lambda"))
    }

    fn fused(&self, _: &Step<'_>, _: usize) -> Option<FusedPenalty<'_>> {
        let weight = self.lambda.get();
        Some(FusedPenalty::PerColumn { name: "class_group_lasso", weight, term: self })
    }

    fn doubt(&self, code: &CodeFacts) -> Option<Unfit> {
        doubt_without_zeros(code)
    }

    fn fits(&self, code: &CodeFacts) -> Result<(), Unfit> {
        if code.classes > 0 {
            return Ok(());
        }
        Err(Unfit::new("kind", "it needs labels of the training samples, and the dataset has none"))
    }
}

impl PerColumn for ClassGroupLasso {
    fn value(&self, column: CodeColumn<'_>, gradient: &mut [f32]) -> ColumnTerm {
        let BatchClasses { of_sample, sizes } = column.classes;
        if of_sample.is_empty() {
            gradient.fill(0.0);
            return ColumnTerm::default();
        }
        let mut classes = vec![0.0_f32; sizes.len()];
        match column.samples {
            None => {
                for (class, value) in of_sample.iter().zip(column.values) {
                    classes[*class as usize] += value * value;
                }
            }
            Some(samples) => {
                for (sample, value) in samples.iter().zip(column.values) {
                    classes[of_sample[*sample as usize] as usize] += value * value;
                }
            }
        }
        // From each class's sum of squares to what its values are multiplied by.
        let mut sum = 0.0;
        for (class, size) in classes.iter_mut().zip(sizes) {
            let (norm, root) = ((*class + SMOOTHING as f32).sqrt(), (*size as f32).sqrt());
            sum += f64::from(root) * f64::from(norm);
            *class = root / norm;
        }
        let slopes = gradient.iter_mut().zip(column.values);
        match column.samples {
            None => slopes.zip(of_sample).for_each(|((slope, value), class)| {
                *slope = value * classes[*class as usize];
            }),
            Some(samples) => slopes.zip(samples).for_each(|((slope, value), sample)| {
                *slope = value * classes[of_sample[*sample as usize] as usize];
            }),
        }
        ColumnTerm { value: sum, by_norm: 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use framework::plugin::CodeRange;

    use super::*;

    /// Wrong if classes were mixed, a class counted without the root of its size, or lists gave another value
    /// than the whole column: classes whose values are all 0 count as what smoothing leaves of them.
    #[test]
    fn the_term_of_a_latent_is_as_computed_by_hand() {
        let penalty = ClassGroupLasso { lambda: Strength::try_from(1.0).unwrap() };
        let classes = &BatchClasses::of(&[9, 4, 9, 9, 4]);
        let value = |values: &[f32], samples: Option<&[u32]>| {
            let range = CodeRange::NonNegative;
            let column = CodeColumn { values, samples, range, norm: 0.0, classes };
            let mut gradient = vec![f32::NAN; values.len()];
            (penalty.value(column, &mut gradient).value, gradient)
        };
        let (sum, gradient) = value(&[3.0, 0.0, 0.0, 4.0, 0.0], None);
        let right = 3.0_f64.sqrt() * 5.0 + 2.0_f64.sqrt() * 1e-4;
        assert!((sum - right).abs() < 1e-6, "{sum}");
        let slope = |value: f32| value * 3.0_f32.sqrt() / 5.0;
        let near = |(a, b): (&f32, f32)| (a - b).abs() < 1e-6;
        assert!(gradient.iter().zip([slope(3.0), 0.0, 0.0, slope(4.0), 0.0]).all(near));
        let (of_list, listed) = value(&[3.0, 4.0], Some(&[0, 3]));
        assert_eq!((of_list, listed), (sum, vec![gradient[0], gradient[3]]));
    }
}

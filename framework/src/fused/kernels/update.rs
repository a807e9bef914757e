//! One optimizer step on a row of parameters.

use pulp::Simd;

use crate::spec::Optimizer;

/// The optimizer at one step, its constants in f32.
#[derive(Clone, Copy, Debug)]
pub enum Update {
    /// m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², w ← w − rate · m / (root · √v + eps).
    Adam {
        /// lr / (1 − β₁ᵗ).
        rate: f32,
        /// 1 / √(1 − β₂ᵗ).
        root: f32,
        /// Outside the root.
        eps: f32,
        /// β₁ and 1 − β₁.
        first: (f32, f32),
        /// β₂ and 1 − β₂.
        second: (f32, f32),
    },
    /// v ← momentum · v + g, w ← w − rate · v.
    Sgd {
        /// The learning rate.
        rate: f32,
        /// How much of the velocity stays.
        momentum: f32,
    },
}

impl Update {
    /// The step `step`, counted from 1, at `factor` times the learning rate.
    pub fn new(optimizer: &Optimizer, step: i32, factor: f64) -> Self {
        match optimizer {
            Optimizer::Adam(adam) => {
                let (beta1, beta2) = (adam.beta1.get(), adam.beta2.get());
                Self::Adam {
                    rate: (adam.lr.get() * factor / (1.0 - beta1.powi(step))) as f32,
                    root: (1.0 / (1.0 - beta2.powi(step)).sqrt()) as f32,
                    eps: adam.eps.get() as f32,
                    first: (beta1 as f32, (1.0 - beta1) as f32),
                    second: (beta2 as f32, (1.0 - beta2) as f32),
                }
            }
            Optimizer::Sgd(sgd) => Self::Sgd {
                rate: (sgd.lr.get() * factor) as f32,
                momentum: sgd.momentum.get() as f32,
            },
        }
    }

    /// Moves whole rows along their gradients; `second` is not read by SGD and may be empty.
    #[inline(always)]
    pub fn apply<S: Simd>(
        &self,
        simd: S,
        gradient: &[f32],
        values: &mut [f32],
        first: &mut [f32],
        second: &mut [f32],
    ) {
        let (gradient, _) = S::as_simd_f32s(gradient);
        let (values, _) = S::as_mut_simd_f32s(values);
        let (first_moments, _) = S::as_mut_simd_f32s(first);
        match *self {
            Self::Adam { rate, root, eps, first, second: (keep, take) } => {
                let (second_moments, _) = S::as_mut_simd_f32s(second);
                let splat = |value| simd.splat_f32s(value);
                let (keep1, take1) = (splat(first.0), splat(first.1));
                let (keep2, take2) = (splat(keep), splat(take));
                let (rate, root, eps) = (splat(rate), splat(root), splat(eps));
                for (((g, w), m), v) in
                    gradient.iter().zip(values).zip(first_moments).zip(second_moments)
                {
                    let moment = simd.mul_add_e_f32s(take1, *g, simd.mul_f32s(keep1, *m));
                    let square = simd.mul_f32s(take2, simd.mul_f32s(*g, *g));
                    let square = simd.mul_add_e_f32s(keep2, *v, square);
                    *m = normal(simd, moment);
                    *v = normal(simd, square);
                    let divisor = simd.mul_add_e_f32s(simd.sqrt_f32s(*v), root, eps);
                    let change = simd.div_f32s(simd.mul_f32s(rate, *m), divisor);
                    *w = simd.sub_f32s(*w, change);
                }
            }
            Self::Sgd { rate, momentum } => {
                let (rate, momentum) = (simd.splat_f32s(rate), simd.splat_f32s(momentum));
                for ((g, w), v) in gradient.iter().zip(values).zip(first_moments) {
                    *v = normal(simd, simd.mul_add_e_f32s(momentum, *v, *g));
                    *w = simd.sub_f32s(*w, simd.mul_f32s(rate, *v));
                }
            }
        }
    }
}

/// Moments below the least normal number become 0, as in the reference engine: arithmetic on
/// sub-normal numbers is many times slower, and eps hides them.
#[inline(always)]
fn normal<S: Simd>(simd: S, moment: S::f32s) -> S::f32s {
    let least = simd.splat_f32s(f32::MIN_POSITIVE);
    let vanishing = simd.less_than_f32s(simd.abs_f32s(moment), least);
    simd.select_f32s(vanishing, simd.splat_f32s(0.0), moment)
}

#[cfg(test)]
mod tests {
    use pulp::WithSimd;

    use super::super::on_every_instruction_set;
    use super::*;
    use crate::model::{Declaration, Init, Parameters};
    use crate::random::Streams;
    use crate::reference::ReferenceOptimizer;
    use crate::spec::{Adam, Sgd};

    const SIZE: usize = 48;

    struct Steps {
        optimizer: Optimizer,
        gradients: Vec<Vec<f32>>,
    }

    impl WithSimd for Steps {
        type Output = Vec<f32>;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
            let mut values = vec![1.0; SIZE];
            let (mut first, mut second) = (vec![0.0; SIZE], vec![0.0; SIZE]);
            for (step, gradient) in self.gradients.iter().enumerate() {
                let update = Update::new(&self.optimizer, step as i32 + 1, 0.5);
                update.apply(simd, gradient, &mut values, &mut first, &mut second);
            }
            assert!(first.iter().all(|moment| *moment == 0.0 || moment.is_normal()));
            values
        }
    }

    #[test]
    fn steps_are_those_of_the_reference_optimizer_on_every_instruction_set() {
        // The last numbers get no gradient after the first step, and moments that vanish.
        let gradient = |step: usize, at: usize| match (at, step) {
            (40.., 1..) => 0.0,
            (44.., 0) => 1e-37,
            _ => ((step * 31 + at * 7) % 13) as f32 - 6.0,
        };
        let gradients: Vec<Vec<f32>> =
            (0..60).map(|step| (0..SIZE).map(|at| gradient(step, at)).collect()).collect();
        let sgd = Sgd { lr: 0.01.try_into().unwrap(), momentum: 0.5.try_into().unwrap() };
        for optimizer in [Optimizer::Adam(Adam::default()), Optimizer::Sgd(sgd)] {
            let declaration = Declaration::new("w", [SIZE], Init::Constant(1.0));
            let mut right = Parameters::<f64>::initialize(vec![declaration], &Streams::new(0));
            let mut reference = ReferenceOptimizer::new(optimizer, &right);
            for gradient in &gradients {
                let gradient = gradient.iter().map(|value| f64::from(*value)).collect();
                reference.step(&mut right, &mut [gradient], 0.5);
            }
            let steps = || Steps { optimizer, gradients: gradients.clone() };
            on_every_instruction_set(steps, |values| {
                for (got, right) in values.iter().zip(&right.entries[0].values) {
                    assert!((f64::from(*got) - right).abs() < 2e-5, "{got}, not {right}");
                }
            });
        }
    }
}

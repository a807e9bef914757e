//! Convolution and its transpose: equal to plain loops, each other's adjoint, with right gradients, and the same
//! on any number of threads.

mod case;

use dfdx::prelude::{Backward, BroadcastTo, Gradients, PermuteTo, ReshapeTo, SumTo, Trace};
use dfdx::shapes::{Axes4, Axis, Rank0};
use framework::dims::{Batch, Coarse, CoarseChannel, Fine, FineChannel, KernelSide};
use framework::model::{Convolution, Maps, Real, Tensor, Traced, rank0, tensor, values};
use proptest::prelude::*;

use crate::support::strategies;
use case::{Case, LARGE, Numbers, cases, plainly};

/// The numbers as leaves of the tape.
struct Leaves<E: Real> {
    fine: Tensor<(Batch, Fine), E>,
    coarse: Tensor<(Batch, Coarse), E>,
    kernels: Tensor<(CoarseChannel, FineChannel, KernelSide, KernelSide), E>,
    fine_bias: Tensor<(FineChannel,), E>,
    coarse_bias: Tensor<(CoarseChannel,), E>,
    convolution: Convolution,
}

impl<E: Real> Leaves<E> {
    fn new(case: &Case, numbers: &Numbers<E>) -> Self {
        let convolution = case.convolution();
        let batch = Batch(case.samples);
        let numbers = numbers.clone();
        Self {
            fine: tensor(numbers.fine, (batch, convolution.fine_dim())),
            coarse: tensor(numbers.coarse, (batch, convolution.coarse_dim())),
            kernels: tensor(numbers.kernels, convolution.kernel_dims()),
            fine_bias: tensor(numbers.fine_bias, (FineChannel(case.fine.channels),)),
            coarse_bias: tensor(numbers.coarse_bias, (CoarseChannel(case.channels),)),
            convolution,
        }
    }

    fn convolved(&self) -> Traced<(Batch, Coarse), E> {
        let (kernels, bias) = (self.kernels.retaped(), self.coarse_bias.retaped());
        self.convolution.convolve(self.fine.leaky_trace(), kernels, bias)
    }

    fn transposed(&self) -> Traced<(Batch, Fine), E> {
        let (kernels, bias) = (self.kernels.retaped(), self.fine_bias.retaped());
        self.convolution.convolve_transposed(self.coarse.leaky_trace(), kernels, bias)
    }

    /// The convolution and the transpose, and all gradients of Σ of their products with the numbers of their
    /// sides.
    fn everything(&self) -> Vec<Vec<E>> {
        let (y, x) = (self.convolved(), self.transposed());
        let mut all = vec![values(&y), values(&x)];
        let gradients = (y * self.coarse.clone()).sum::<Rank0, _>().backward();
        all.push(values(&gradients.get(&self.fine)));
        all.push(values(&gradients.get(&self.kernels)));
        all.push(values(&gradients.get(&self.coarse_bias)));
        let gradients = (x * self.fine.clone()).sum::<Rank0, _>().backward();
        all.push(values(&gradients.get(&self.coarse)));
        all.push(values(&gradients.get(&self.kernels)));
        all.push(values(&gradients.get(&self.fine_bias)));
        all
    }
}

/// Compares with plain loops: numbers differ by less than `tolerance` of the sizes of the terms.
fn compare<E: Real>(case: &Case, tolerance: f64) {
    let numbers = case.numbers::<E>();
    let wide = |values: &[E]| values.iter().map(|value| value.f64()).collect();
    let same = Numbers {
        fine: wide(&numbers.fine),
        coarse: wide(&numbers.coarse),
        kernels: wide(&numbers.kernels),
        fine_bias: wide(&numbers.fine_bias),
        coarse_bias: wide(&numbers.coarse_bias),
    };
    let found = Leaves::new(case, &numbers).everything();
    for (which, (found, right)) in found.iter().zip(plainly(case, &same)).enumerate() {
        assert_eq!(found.len(), right.len(), "{case:?}: {which}");
        for (at, (found, (right, size))) in found.iter().zip(right).enumerate() {
            let error = (found.f64() - right).abs();
            assert!(error <= size * tolerance, "{case:?}: {which}, {at}: {found:?} {right}");
        }
    }
}

proptest! {
    #![proptest_config(strategies::config(200))]

    /// Wrong if any place met another weight, or the samples of another part of the batch.
    #[test]
    fn convolutions_are_those_of_plain_loops(case in cases(40, 8)) {
        compare::<f64>(&case, 1e-14);
        compare::<f32>(&case, 2f64.powi(-20));
    }

    /// ⟨convolution of x, y⟩ = ⟨x, transpose of y⟩. Wrong if the last rows and columns of a side that the stride
    /// does not divide were left out of the transpose.
    #[test]
    fn the_transpose_is_the_adjoint(case in cases(3, 8)) {
        let mut numbers = case.numbers::<f64>();
        numbers.fine_bias.fill(0.0);
        numbers.coarse_bias.fill(0.0);
        let leaves = Leaves::new(&case, &numbers);
        let dot = |a: Vec<f64>, b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let of_coarse = dot(values(&leaves.convolved()), &numbers.coarse);
        let of_fine = dot(values(&leaves.transposed()), &numbers.fine);
        prop_assert!((of_coarse - of_fine).abs() <= 1e-10, "{of_coarse} {of_fine}");
    }
}

/// Σ weight · output² of a convolution, or of its transpose.
fn loss(
    case: &Case,
    numbers: &Numbers<f64>,
    transposed: bool,
) -> (f64, Leaves<f64>, Gradients<f64, dfdx::prelude::Cpu>) {
    let leaves = Leaves::new(case, numbers);
    let weights = |count: usize| (0..count).map(|at| (at as f64).sin()).collect::<Vec<_>>();
    let total = if transposed {
        let x = leaves.transposed();
        let weights = tensor(
            weights(numbers.fine.len()),
            (Batch(case.samples), leaves.convolution.fine_dim()),
        );
        (x.square() * weights).sum::<Rank0, _>()
    } else {
        let y = leaves.convolved();
        let weights = tensor(
            weights(numbers.coarse.len()),
            (Batch(case.samples), leaves.convolution.coarse_dim()),
        );
        (y.square() * weights).sum::<Rank0, _>()
    };
    (rank0(&total), leaves, total.backward())
}

/// One of the tensors of a case.
type Which = fn(&mut Numbers<f64>) -> &mut Vec<f64>;

proptest! {
    #![proptest_config(strategies::config(60))]

    /// The loss is a square in each tensor alone, so that central differences are exact at any step. Wrong if
    /// the gradient by the input, the kernels or the bias were another.
    #[test]
    fn gradients_are_those_of_differences(case in cases(2, 6)) {
        const STEP: f64 = 0.5;
        for transposed in [false, true] {
            let numbers = case.numbers::<f64>();
            let (_, leaves, gradients) = loss(&case, &numbers, transposed);
            let kernels = values(&gradients.get(&leaves.kernels));
            let [input, bias]: [(Which, Vec<f64>); 2] = if transposed {
                [
                    (|numbers| &mut numbers.coarse, values(&gradients.get(&leaves.coarse))),
                    (|numbers| &mut numbers.fine_bias, values(&gradients.get(&leaves.fine_bias))),
                ]
            } else {
                [
                    (|numbers| &mut numbers.fine, values(&gradients.get(&leaves.fine))),
                    (|numbers| &mut numbers.coarse_bias, values(&gradients.get(&leaves.coarse_bias))),
                ]
            };
            for (which, gradient) in [input, bias, (|numbers| &mut numbers.kernels, kernels)] {
                let most = gradient.iter().fold(1.0, |most: f64, one| most.max(one.abs()));
                for (at, by_tape) in gradient.iter().enumerate() {
                    let at_step = |step: f64| {
                        let mut moved = numbers.clone();
                        which(&mut moved)[at] += step;
                        loss(&case, &moved, transposed).0
                    };
                    let by_differences = (at_step(STEP) - at_step(-STEP)) / (2.0 * STEP);
                    let error = (by_differences - by_tape).abs();
                    prop_assert!(error <= most * 1e-10, "{transposed} {at}: {by_differences} {by_tape}");
                }
            }
        }
    }
}

/// Wrong if a tile ended or began at another row than the next one goes on with.
#[test]
fn convolutions_of_many_tiles_are_those_of_plain_loops() {
    for case in LARGE {
        compare::<f64>(&case, 1e-14);
        compare::<f32>(&case, 2f64.powi(-20));
    }
}

/// Wrong if sums were taken in the order in which threads come to them.
#[test]
fn convolutions_are_the_same_on_any_number_of_threads() {
    let of_threads = |case: &Case, threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let everything = pool.install(|| Leaves::new(case, &case.numbers::<f32>()).everything());
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        everything.into_iter().map(bits).collect::<Vec<_>>()
    };
    for case in LARGE {
        let alone = of_threads(&case, 1);
        for threads in [2, 3, 20] {
            assert!(of_threads(&case, threads) == alone, "{threads} threads: {case:?}");
        }
    }
}

/// Wrong if numbers, or gradients, were taken in the order in which they lie in memory, or a second use of a
/// tensor replaced the gradient of the first.
#[test]
fn tensors_that_are_views_and_are_used_twice_have_their_gradients() {
    let case = Case { samples: 3, channels: 2, ..LARGE[1] };
    let numbers = case.numbers::<f64>();
    let leaves = Leaves::new(&case, &numbers);
    let of_fine = case.fine.numbers();
    let sample = tensor(numbers.fine[..of_fine].to_vec(), (Fine(of_fine),));
    let (out, of_fine, side, _) = leaves.convolution.kernel_dims();
    let swapped = leaves.kernels.clone().permute::<_, Axes4<1, 0, 3, 2>>().contiguous();
    let swapped: Tensor<(FineChannel, CoarseChannel, KernelSide, KernelSide), f64> =
        swapped.reshape_like(&(of_fine, out, side, side));

    // The same sample in each row, and kernels that lie in another order.
    let shape = (Batch(case.samples), leaves.convolution.fine_dim());
    let x: Traced<(Batch, Fine), f64> = sample.leaky_trace().broadcast_like(&shape);
    let kernels: Traced<(CoarseChannel, FineChannel, KernelSide, KernelSide), f64> =
        swapped.retaped().permute::<_, Axes4<1, 0, 3, 2>>();
    let y = leaves.convolution.convolve(x, kernels, leaves.coarse_bias.retaped());
    let kernels = swapped.retaped().permute::<_, Axes4<1, 0, 3, 2>>();
    let x = leaves.convolution.convolve_transposed(y, kernels, leaves.fine_bias.retaped());
    let gradients = (x * leaves.fine.clone()).sum::<Rank0, _>().backward();

    let rows = tensor(numbers.fine[..shape.1.0].repeat(case.samples), shape);
    let y = leaves.convolution.convolve(
        rows.leaky_trace(),
        leaves.kernels.retaped(),
        leaves.coarse_bias.retaped(),
    );
    let (kernels, bias) = (leaves.kernels.clone(), leaves.fine_bias.retaped());
    let again = tensor(values(&kernels), leaves.convolution.kernel_dims());
    let x = leaves.convolution.convolve_transposed(y, again.retaped(), bias);
    let right = (x * leaves.fine.clone()).sum::<Rank0, _>().backward();

    let of_sample = values(&right.get(&rows).sum::<(Fine,), Axis<0>>());
    let of_kernels = right.get(&leaves.kernels) + right.get(&again);
    let of_kernels = values(&of_kernels.permute::<_, Axes4<1, 0, 3, 2>>().contiguous());
    for (found, right) in [
        (values(&gradients.get(&sample)), of_sample),
        (values(&gradients.get(&swapped)), of_kernels),
    ] {
        assert_eq!(found.len(), right.len());
        let most = right.iter().fold(0.0, |most: f64, one| most.max(one.abs()));
        let worst =
            found.iter().zip(&right).fold(0.0, |worst: f64, (a, b)| worst.max((a - b).abs()));
        assert!(most > 0.1 && worst <= most * 1e-12, "{worst} {most}");
    }
}

fn of_one_channel(height: usize, width: usize, stride: usize) -> Convolution {
    Convolution::new(Maps { channels: 1, height, width }, 1, 3, stride).unwrap()
}

/// The numbers 1 to 9 as a kernel of 3 × 3, and a bias of 0.
fn kernel_of_digits(
    convolution: &Convolution,
) -> Tensor<(CoarseChannel, FineChannel, KernelSide, KernelSide), f64> {
    tensor((1..=9).map(f64::from).collect(), convolution.kernel_dims())
}

/// Wrong if the kernel were turned around, or the pixels that a stride keeps were others.
#[test]
fn a_small_convolution_and_its_transpose_are_as_by_hand() {
    let convolution = of_one_channel(3, 3, 2);
    let (kernel, none) = (kernel_of_digits(&convolution), tensor(vec![100.0], (CoarseChannel(1),)));
    let x = tensor(vec![1.0, 0.0, 0.0, 0.0, 0.0, 10.0, 0.0, 0.0, 0.0], (Batch(1), Fine(9)));
    let y = convolution.convolve(x, kernel.clone(), none);
    // The 1 is the middle of the first pixel's patch; the 10 lies below the second's and above the fourth's.
    assert_eq!(values(&y), [105.0, 180.0, 100.0, 120.0]);

    // One pixel becomes four: the row and the column that a stride of 2 lacks are at the bottom and right.
    let convolution = of_one_channel(2, 2, 2);
    let y = tensor(vec![10.0], (Batch(1), convolution.coarse_dim()));
    let none = tensor(vec![0.5], (FineChannel(1),));
    let x = convolution.convolve_transposed(y, kernel, none);
    assert_eq!(values(&x), [50.5, 60.5, 80.5, 90.5]);
}

#[test]
#[should_panic(expected = "convolve: wrong size of samples")]
fn samples_of_another_size_are_not_convolved() {
    let convolution = of_one_channel(3, 3, 1);
    let bias = tensor(vec![0.0], (CoarseChannel(1),));
    let x = tensor(vec![0.0; 8], (Batch(1), Fine(8)));
    convolution.convolve(x, kernel_of_digits(&convolution), bias);
}

#[test]
#[should_panic(expected = "convolve_transposed: wrong shape of kernels")]
fn kernels_of_another_shape_are_not_taken() {
    let convolution = of_one_channel(3, 3, 1);
    let bias = tensor(vec![0.0], (FineChannel(1),));
    let y = tensor(vec![0.0; 9], (Batch(1), convolution.coarse_dim()));
    let side = KernelSide(1);
    let kernels = tensor(vec![0.0], (CoarseChannel(1), FineChannel(1), side, side));
    convolution.convolve_transposed(y, kernels, bias);
}

//! Convolutions of many sizes, their numbers, and what plain loops make of them.

use framework::model::{Convolution, Maps, Real};
use framework::rand::RngExt;
use framework::rand_chacha::ChaCha8Rng;
use framework::random::Streams;
use proptest::prelude::*;

/// Sizes of a convolution, and the seed of its numbers.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub samples: usize,
    pub fine: Maps,
    pub channels: usize,
    pub kernel: usize,
    pub stride: usize,
    pub seed: u64,
}

/// One channel and several, maps smaller than the kernel, even and odd sides.
pub fn cases(most_samples: usize, side: usize) -> impl Strategy<Value = Case> {
    let channels = || 1..=4_usize;
    let sizes = (1..=most_samples, channels(), channels(), 1..=side, 1..=side);
    (sizes, 0..=2_usize, 1..=3_usize, any::<u32>()).prop_map(
        |((samples, of_fine, channels, height, width), half, stride, seed)| Case {
            samples,
            fine: Maps { channels: of_fine, height, width },
            channels,
            kernel: 2 * half + 1,
            stride,
            seed: seed.into(),
        },
    )
}

/// Sizes of several tiles a part, of tiles that end within a sample, and of patches that fill a tile alone.
pub const LARGE: [Case; 3] = [
    Case {
        samples: 37,
        fine: Maps { channels: 4, height: 100, width: 5 },
        channels: 3,
        kernel: 5,
        stride: 1,
        seed: 1,
    },
    Case {
        samples: 3,
        fine: Maps { channels: 2, height: 90, width: 87 },
        channels: 5,
        kernel: 7,
        stride: 2,
        seed: 2,
    },
    Case {
        samples: 19,
        fine: Maps { channels: 64, height: 11, width: 7 },
        channels: 3,
        kernel: 5,
        stride: 1,
        seed: 3,
    },
];

/// The numbers of a case, from −1 to 1.
#[derive(Clone, Debug)]
pub struct Numbers<E> {
    pub fine: Vec<E>,
    pub coarse: Vec<E>,
    pub kernels: Vec<E>,
    pub fine_bias: Vec<E>,
    pub coarse_bias: Vec<E>,
}

impl Case {
    pub fn convolution(&self) -> Convolution {
        Convolution::new(self.fine, self.channels, self.kernel, self.stride).unwrap()
    }

    pub fn numbers<E: Real>(&self) -> Numbers<E> {
        let mut random = Streams::new(self.seed).stream("convolution");
        let coarse = self.convolution().coarse();
        let patch = self.fine.channels * self.kernel * self.kernel;
        Numbers {
            fine: uniform(self.samples * self.fine.numbers(), &mut random),
            coarse: uniform(self.samples * coarse.numbers(), &mut random),
            kernels: uniform(self.channels * patch, &mut random),
            fine_bias: uniform(self.fine.channels, &mut random),
            coarse_bias: uniform(self.channels, &mut random),
        }
    }

    /// Shows each product of a convolution: a place on the coarse side, one on the fine side, and a weight.
    fn each_product(&self, mut see: impl FnMut(usize, usize, usize)) {
        let (fine, coarse) = (self.fine, self.convolution().coarse());
        let padding = (self.kernel - 1) / 2;
        let place = |maps: Maps, sample: usize, channel: usize, row: usize, column: usize| {
            ((sample * maps.channels + channel) * maps.height + row) * maps.width + column
        };
        let at = |of_coarse: usize, of_kernel: usize, side: usize| {
            (of_coarse * self.stride + of_kernel).checked_sub(padding).filter(|at| *at < side)
        };
        for sample in 0..self.samples {
            for (out, row, column) in all(coarse.channels, coarse.height, coarse.width) {
                for (of_fine, y, x) in all(fine.channels, self.kernel, self.kernel) {
                    let weight = ((out * fine.channels + of_fine) * self.kernel + y) * self.kernel;
                    let Some(fine_row) = at(row, y, fine.height) else { continue };
                    let Some(fine_column) = at(column, x, fine.width) else { continue };
                    see(
                        place(coarse, sample, out, row, column),
                        place(fine, sample, of_fine, fine_row, fine_column),
                        weight + x,
                    );
                }
            }
        }
    }
}

fn uniform<E: Real>(count: usize, random: &mut ChaCha8Rng) -> Vec<E> {
    (0..count).map(|_| E::of(random.random_range(-1.0..1.0))).collect()
}

fn all(a: usize, b: usize, c: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..a).flat_map(move |i| (0..b).flat_map(move |j| (0..c).map(move |k| (i, j, k))))
}

/// What `everything` is by plain loops in f64, each number with the sum of the sizes of its terms.
pub fn plainly(case: &Case, numbers: &Numbers<f64>) -> Vec<Vec<(f64, f64)>> {
    let Numbers { fine, coarse, kernels, fine_bias, coarse_bias } = numbers;
    let add = |(sum, size): &mut (f64, f64), term: f64| {
        *sum += term;
        *size += term.abs();
    };
    let filled = |bias: &[f64], pixels: usize, count: usize| -> Vec<(f64, f64)> {
        let one = |at: usize| bias[at / pixels % bias.len()];
        (0..count).map(|at| (one(at), one(at).abs())).collect()
    };
    let zeros = |count: usize| vec![(0.0, 0.0); count];
    let summed = |values: &[f64], channels: usize, pixels: usize| {
        let mut sums = zeros(channels);
        let all = values.iter().enumerate();
        all.for_each(|(at, value)| add(&mut sums[at / pixels % channels], *value));
        sums
    };
    let of_coarse = case.convolution().coarse().pixels();
    let mut y = filled(coarse_bias, of_coarse, coarse.len());
    let mut x = filled(fine_bias, case.fine.pixels(), fine.len());
    let (mut of_x, mut of_y, mut of_kernels) =
        (zeros(fine.len()), zeros(coarse.len()), zeros(kernels.len()));
    case.each_product(|on_coarse, on_fine, weight| {
        add(&mut y[on_coarse], fine[on_fine] * kernels[weight]);
        add(&mut x[on_fine], coarse[on_coarse] * kernels[weight]);
        add(&mut of_x[on_fine], coarse[on_coarse] * kernels[weight]);
        add(&mut of_y[on_coarse], fine[on_fine] * kernels[weight]);
        add(&mut of_kernels[weight], fine[on_fine] * coarse[on_coarse]);
    });
    let of_coarse_bias = summed(coarse, case.channels, of_coarse);
    let of_fine_bias = summed(fine, case.fine.channels, case.fine.pixels());
    vec![y, x, of_x, of_kernels.clone(), of_coarse_bias, of_y, of_kernels, of_fine_bias]
}

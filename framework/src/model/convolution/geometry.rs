//! Sizes of a convolution: what fits is decided once, when it is made.

use std::ops::Range;

use crate::dims::{Coarse, CoarseChannel, Fine, FineChannel, KernelSide};
use crate::plugin::SampleShape;

/// Maps of one size, one a channel: how a sample lies between two layers (channel, row, column).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maps {
    /// Number of maps.
    pub channels: usize,
    /// Rows of a map.
    pub height: usize,
    /// Columns of a map.
    pub width: usize,
}

impl Maps {
    /// How samples of this shape lie: a vector is one row.
    pub fn of(sample: SampleShape) -> Self {
        match sample {
            SampleShape::Image { channels, height, width } => Self { channels, height, width },
            SampleShape::Vector(inputs) => Self { channels: 1, height: 1, width: inputs },
        }
    }

    /// Numbers of a map.
    pub fn pixels(self) -> usize {
        self.height * self.width
    }

    /// Numbers of all maps.
    pub fn numbers(self) -> usize {
        self.channels * self.pixels()
    }

    /// Whether there are numbers, and no more than can be counted.
    fn is_countable(self) -> bool {
        let pixels = self.height.checked_mul(self.width);
        let numbers = pixels.and_then(|pixels| pixels.checked_mul(self.channels));
        numbers.is_some_and(|numbers| numbers > 0 && isize::try_from(numbers).is_ok())
    }
}

/// Sizes of a convolution, and of its transpose.
///
/// A pixel of the coarse side stands at every `stride`-th pixel of the fine side, from the first on, and sees
/// the square of kernel × kernel fine pixels around it; what lies outside of the map is 0. So n fine rows
/// make ⌈n / stride⌉ coarse rows, whatever the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    pub(super) fine: Maps,
    pub(super) coarse: Maps,
    pub(super) kernel: usize,
    pub(super) stride: usize,
}

impl Convolution {
    /// A convolution of `fine` maps to `channels` maps.
    ///
    /// # Errors
    /// If a size is 0 or larger than can be counted, or the kernel is even: it would have no middle.
    pub fn new(fine: Maps, channels: usize, kernel: usize, stride: usize) -> Result<Self, String> {
        let Maps { channels: of_fine, height, width } = fine;
        if !fine.is_countable() {
            return Err(format!(
                "a convolution reads at least 1 channel of at least 1 x 1 pixels, got {of_fine} of {height} x {width}"
            ));
        }
        if kernel.is_multiple_of(2) {
            return Err(format!("a kernel has an odd number of rows, got {kernel}"));
        }
        if stride == 0 {
            return Err("a stride is at least 1, got 0".to_owned());
        }
        let coarse =
            Maps { channels, height: height.div_ceil(stride), width: width.div_ceil(stride) };
        if !coarse.is_countable() {
            return Err(format!("a convolution writes at least 1 channel, got {channels}"));
        }
        let weights = Maps { channels: of_fine, height: kernel, width: kernel };
        let all = weights.is_countable().then(|| weights.numbers().checked_mul(channels));
        if all.flatten().is_none_or(|numbers| isize::try_from(numbers).is_err()) {
            return Err(format!(
                "a kernel of {kernel} x {kernel} from {of_fine} to {channels} channels has more weights than can be counted"
            ));
        }
        Ok(Self { fine, coarse, kernel, stride })
    }

    /// What the convolution reads, and its transpose writes.
    pub fn fine(&self) -> Maps {
        self.fine
    }

    /// What the convolution writes, and its transpose reads.
    pub fn coarse(&self) -> Maps {
        self.coarse
    }

    /// Numbers of a sample of the fine side.
    pub fn fine_dim(&self) -> Fine {
        Fine(self.fine.numbers())
    }

    /// Numbers of a sample of the coarse side.
    pub fn coarse_dim(&self) -> Coarse {
        Coarse(self.coarse.numbers())
    }

    /// Shape of the kernels: [out, in, k, k] for the convolution, [in, out, k, k] for the transpose.
    pub fn kernel_dims(&self) -> (CoarseChannel, FineChannel, KernelSide, KernelSide) {
        let Self { fine, coarse, kernel, .. } = self;
        let side = KernelSide(*kernel);
        (CoarseChannel(coarse.channels), FineChannel(fine.channels), side, side)
    }

    /// Numbers of the fine side that a coarse pixel sees, those outside of the map counted.
    pub(crate) fn patch(&self) -> usize {
        self.fine.channels * self.kernel * self.kernel
    }

    /// Zeros before the first row and column.
    #[inline]
    fn padding(&self) -> usize {
        self.kernel / 2
    }

    /// The fine row that row `of_kernel` of the kernel meets at a coarse row, if it lies in the map.
    #[inline]
    pub(super) fn fine_row(&self, coarse_row: usize, of_kernel: usize) -> Option<usize> {
        let row = (coarse_row * self.stride + of_kernel).checked_sub(self.padding())?;
        (row < self.fine.height).then_some(row)
    }

    /// The coarse columns at which column `of_kernel` of the kernel meets a pixel of the map, and the fine
    /// column that it meets at the first of them. Each further one is `stride` columns on.
    pub(super) fn columns(&self, of_kernel: usize) -> (Range<usize>, usize) {
        let before = |pixels: usize| pixels.saturating_sub(of_kernel).div_ceil(self.stride);
        let last = before(self.fine.width + self.padding()).min(self.coarse.width);
        let first = before(self.padding());
        if first >= last {
            return (0..0, 0);
        }
        (first..last, first * self.stride + of_kernel - self.padding())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Maps = Maps { channels: 2, height: 7, width: 4 };

    /// Wrong if a size of the coarse side depended on the kernel, or the last pixel of an odd side were lost.
    #[test]
    fn every_strideth_pixel_is_kept_from_the_first_on() {
        for kernel in [1, 3, 5, 11] {
            for (stride, height, width) in [(1, 7, 4), (2, 4, 2), (3, 3, 2), (9, 1, 1)] {
                let made = Convolution::new(FINE, 3, kernel, stride).unwrap();
                assert_eq!(made.coarse(), Maps { channels: 3, height, width }, "{kernel} {stride}");
                assert_eq!((made.fine_dim(), made.coarse_dim().0), (Fine(56), 3 * height * width));
            }
        }
    }

    #[test]
    fn sizes_that_do_not_fit_are_errors() {
        let error = |fine, channels, kernel, stride| {
            Convolution::new(fine, channels, kernel, stride).unwrap_err()
        };
        assert!(error(FINE, 1, 4, 1).contains("odd number of rows, got 4"));
        assert!(error(FINE, 1, 0, 1).contains("got 0"));
        assert!(error(FINE, 1, 3, 0).contains("stride"));
        assert!(error(FINE, 0, 3, 1).contains("writes at least 1 channel, got 0"));
        assert!(error(Maps { height: 0, ..FINE }, 1, 3, 1).contains("got 2 of 0 x 4"));
        assert!(error(Maps { width: usize::MAX, ..FINE }, 1, 3, 1).contains("reads"));
        assert!(error(FINE, 1, usize::MAX, 1).contains("more weights than can be counted"));
        assert!(error(FINE, usize::MAX / 2, 1, 9).contains("more weights"));
        assert!(error(FINE, usize::MAX, 1, 9).contains("writes"));
    }
}

//! A convolution, its transpose and the gradient of their weights on slices, as products of matrices.
//!
//! What a coarse pixel sees is a column of numbers, its patch. The patches of neighbouring pixels are a matrix
//! [patch, pixels], and the convolution is its product with the kernels, [coarse channels, patch]. This matrix
//! repeats each fine pixel as often as a kernel covers it, so it is made in tiles and never whole: some rows of
//! coarse pixels at a time, of one sample or of several. Threads take parts of the batch. Parts and tiles
//! depend on sizes alone, so that the result is the same on any number of threads.

use super::{Convolution, Maps};
use crate::fused::{Mat, MatMut, matmul, parallel};
use crate::model::Real;

/// Parts of a batch, of whole samples: more threads than these have nothing to do. Each part has its own sum of
/// the weights' gradient, so many parts take much memory.
const PARTS: usize = 16;

/// Numbers in the patches of a tile: 256 KiB of f32, about what stays in a core's own cache.
const TILE: usize = 1 << 16;

/// Pixels of a tile, where there are as many: products of few columns are slow.
const TILE_PIXELS: usize = 64;

/// Numbers that are summed side by side.
const SUMS: usize = 16;

/// Rows of coarse pixels, counted through the samples of a part.
#[derive(Clone, Copy)]
struct TileRows {
    first: usize,
    count: usize,
}

/// A tile in the memory of a thread: its patches, [patch, pixels], and its coarse side, [channels, pixels].
struct TileScratch<E> {
    patches: Vec<E>,
    coarse: Vec<E>,
}

impl Convolution {
    /// coarse += the convolution of fine.
    pub(crate) fn gather<E: Real>(&self, fine: &[E], weights: &[E], coarse: &mut [E]) {
        let part = self.part(fine.len());
        let fine = fine.chunks(part * self.fine.numbers());
        let tasks = fine.zip(coarse.chunks_mut(part * self.coarse.numbers()));
        parallel(&mut self.scratches(part), tasks, |scratch, (fine, coarse)| {
            for rows in self.tiles(fine.len()) {
                self.unfold(rows, fine, &mut scratch.patches);
                let patches = self.patches(rows, &scratch.patches);
                let product = &mut self.coarse_rows_mut(rows, &mut scratch.coarse);
                matmul(self.kernels(weights), patches, product, false);
                self.each_row(rows, |in_tile, in_part, width| {
                    let sums = &mut coarse[in_part..][..width];
                    add(&scratch.coarse[in_tile..][..width], sums);
                });
            }
        });
    }

    /// fine += the transpose of coarse.
    pub(crate) fn scatter<E: Real>(&self, coarse: &[E], weights: &[E], fine: &mut [E]) {
        let part = self.part(fine.len());
        let coarse = coarse.chunks(part * self.coarse.numbers());
        let tasks = coarse.zip(fine.chunks_mut(part * self.fine.numbers()));
        parallel(&mut self.scratches(part), tasks, |scratch, (coarse, fine)| {
            for rows in self.tiles(fine.len()) {
                self.take(rows, coarse, &mut scratch.coarse);
                let (patch, pixels) = (self.patch(), self.pixels(rows));
                let product = &mut MatMut::new(&mut scratch.patches, patch, pixels, pixels);
                let coarse = self.coarse_rows(rows, &scratch.coarse);
                matmul(self.kernels(weights).t(), coarse, product, false);
                self.fold(rows, &scratch.patches, fine);
            }
        });
    }

    /// weights += the gradient by the weights of Σ coarse · (the convolution of fine), which is that of
    /// Σ fine · (the transpose of coarse) too.
    pub(crate) fn correlate<E: Real>(&self, coarse: &[E], fine: &[E], weights: &mut [E]) {
        let (part, size) = (self.part(fine.len()), weights.len());
        let fine = fine.chunks(part * self.fine.numbers());
        let coarse = coarse.chunks(part * self.coarse.numbers());
        let mut sums = vec![E::zero(); fine.len() * size];
        let tasks = coarse.zip(fine).zip(sums.chunks_mut(size));
        parallel(&mut self.scratches(part), tasks, |scratch, ((coarse, fine), sums)| {
            let sums = &mut MatMut::new(sums, self.coarse.channels, self.patch(), self.patch());
            for rows in self.tiles(fine.len()) {
                self.take(rows, coarse, &mut scratch.coarse);
                self.unfold(rows, fine, &mut scratch.patches);
                let coarse = self.coarse_rows(rows, &scratch.coarse);
                matmul(coarse, self.patches(rows, &scratch.patches).t(), sums, true);
            }
        });
        sums.chunks_exact(size).for_each(|part| add(part, weights));
    }

    /// sums += the sum of each coarse channel's pixels.
    pub(crate) fn sum_coarse<E: Real>(&self, coarse: &[E], sums: &mut [E]) {
        sum_maps(coarse, self.coarse.pixels(), sums);
    }

    /// sums += the sum of each fine channel's pixels.
    pub(crate) fn sum_fine<E: Real>(&self, fine: &[E], sums: &mut [E]) {
        sum_maps(fine, self.fine.pixels(), sums);
    }

    /// Samples of a part of a batch that has `numbers` numbers on the fine side.
    fn part(&self, numbers: usize) -> usize {
        (numbers / self.fine.numbers()).div_ceil(PARTS).max(1)
    }

    /// Memory for the tiles of parts of `part` samples, for each thread.
    fn scratches<E: Real>(&self, part: usize) -> Vec<TileScratch<E>> {
        let pixels = self.rows_of_a_tile().min(part * self.coarse.height) * self.coarse.width;
        let zeros = |rows: usize| vec![E::zero(); rows * pixels];
        let scratch =
            || TileScratch { patches: zeros(self.patch()), coarse: zeros(self.coarse.channels) };
        (0..rayon::current_num_threads().min(PARTS)).map(|_| scratch()).collect()
    }

    fn rows_of_a_tile(&self) -> usize {
        let width = self.coarse.width;
        (TILE / self.patch() / width).max(TILE_PIXELS.div_ceil(width))
    }

    /// The tiles of a part that has `numbers` numbers on the fine side.
    fn tiles(&self, numbers: usize) -> impl Iterator<Item = TileRows> + use<> {
        let all = numbers / self.fine.numbers() * self.coarse.height;
        let most = self.rows_of_a_tile();
        (0..all).step_by(most).map(move |first| TileRows { first, count: most.min(all - first) })
    }

    fn pixels(&self, rows: TileRows) -> usize {
        rows.count * self.coarse.width
    }

    fn kernels<'a, E: Real>(&self, weights: &'a [E]) -> Mat<'a, E> {
        Mat::new(weights, self.coarse.channels, self.patch(), self.patch())
    }

    fn patches<'a, E: Real>(&self, rows: TileRows, patches: &'a [E]) -> Mat<'a, E> {
        Mat::new(patches, self.patch(), self.pixels(rows), self.pixels(rows))
    }

    fn coarse_rows<'a, E: Real>(&self, rows: TileRows, coarse: &'a [E]) -> Mat<'a, E> {
        Mat::new(coarse, self.coarse.channels, self.pixels(rows), self.pixels(rows))
    }

    fn coarse_rows_mut<'a, E: Real>(&self, rows: TileRows, coarse: &'a mut [E]) -> MatMut<'a, E> {
        MatMut::new(coarse, self.coarse.channels, self.pixels(rows), self.pixels(rows))
    }

    /// Copies the rows of a part's coarse side into a tile.
    fn take<E: Real>(&self, rows: TileRows, coarse: &[E], tile: &mut [E]) {
        self.each_row(rows, |in_tile, in_part, width| {
            tile[in_tile..][..width].copy_from_slice(&coarse[in_part..][..width]);
        });
    }

    /// Writes the patches of a tile.
    fn unfold<E: Real>(&self, rows: TileRows, fine: &[E], patches: &mut [E]) {
        patches[..self.patch() * self.pixels(rows)].fill(E::zero());
        self.each_stretch(rows, |place, count, first| {
            let (place, seen) = (&mut patches[place..][..count], &fine[first..]);
            match self.stride {
                1 => place.copy_from_slice(&seen[..count]),
                stride => {
                    let seen = &seen[..(count - 1) * stride + 1];
                    (0..count).for_each(|at| place[at] = seen[at * stride]);
                }
            }
        });
    }

    /// Adds the patches of a tile to the fine pixels that they were seen at.
    fn fold<E: Real>(&self, rows: TileRows, patches: &[E], fine: &mut [E]) {
        self.each_stretch(rows, |place, count, first| {
            let (place, seen) = (&patches[place..][..count], &mut fine[first..]);
            match self.stride {
                1 => add(place, &mut seen[..count]),
                stride => {
                    let seen = &mut seen[..(count - 1) * stride + 1];
                    (0..count).for_each(|at| seen[at * stride] += place[at]);
                }
            }
        });
    }

    /// Shows each row of each channel of a tile: where it starts in the tile and in the part, and its length.
    #[inline(always)]
    fn each_row(&self, rows: TileRows, mut see: impl FnMut(usize, usize, usize)) {
        let Maps { channels, height, width } = self.coarse;
        let mut in_tile = 0;
        for channel in 0..channels {
            for row in rows.first..rows.first + rows.count {
                let (sample, row) = (row / height, row % height);
                see(in_tile, ((sample * channels + channel) * height + row) * width, width);
                in_tile += width;
            }
        }
    }

    /// Shows each stretch of a tile's patches that lies in the map: where in the patches it starts, how many
    /// pixels of a coarse row it is, and where in the part the first of them is seen.
    #[inline(always)]
    fn each_stretch(&self, rows: TileRows, mut see: impl FnMut(usize, usize, usize)) {
        let Maps { channels, height, width } = self.fine;
        let start = (rows.first / self.coarse.height, rows.first % self.coarse.height);
        let mut row_of_patches = 0;
        for channel in 0..channels {
            for (of_row, of_column) in square(self.kernel) {
                let (inside, column) = self.columns(of_column);
                let (mut sample, mut row) = start;
                for of_tile in 0..rows.count {
                    if let (Some(row), false) = (self.fine_row(row, of_row), inside.is_empty()) {
                        let place = row_of_patches + of_tile * self.coarse.width + inside.start;
                        let map = (sample * channels + channel) * height;
                        see(place, inside.len(), (map + row) * width + column);
                    }
                    row += 1;
                    if row == self.coarse.height {
                        (sample, row) = (sample + 1, 0);
                    }
                }
                row_of_patches += self.pixels(rows);
            }
        }
    }
}

/// Rows and columns of a kernel.
fn square(side: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..side).flat_map(move |row| (0..side).map(move |column| (row, column)))
}

/// sums += values.
fn add<E: Real>(values: &[E], sums: &mut [E]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += *value);
}

/// Fills each map of `pixels` numbers with its channel's bias.
pub(super) fn fill_maps<E: Real>(bias: &[E], pixels: usize, maps: &mut [E]) {
    maps.chunks_exact_mut(pixels).zip(bias.iter().cycle()).for_each(|(map, bias)| map.fill(*bias));
}

/// sums += the sum of each channel's maps of `pixels` numbers.
fn sum_maps<E: Real>(maps: &[E], pixels: usize, sums: &mut [E]) {
    for sample in maps.chunks_exact(pixels * sums.len()) {
        for (sum, map) in sums.iter_mut().zip(sample.chunks_exact(pixels)) {
            let mut side_by_side = [E::zero(); SUMS];
            map.chunks(SUMS).for_each(|values| add(values, &mut side_by_side));
            *sum += side_by_side.iter().fold(E::zero(), |sum, part| sum + *part);
        }
    }
}

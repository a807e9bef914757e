//! The encoder in bf16, for its product alone: a rounded copy of its rows, kept up to date by the
//! optimizer. The rows themselves, the moments and all other arithmetic stay f32.

use super::kernels::{Bf16Inputs, Bf16Product, Matrix};

/// A copy of the encoder's rows in bf16.
pub struct Narrow {
    product: Bf16Product,
    rows: Vec<u16>,
}

/// Rows of some latents, to be kept up to date.
pub struct NarrowRows<'a> {
    product: Bf16Product,
    rows: &'a mut [u16],
}

impl Narrow {
    /// A copy of `encoder`, [latents, inputs].
    pub fn new(encoder: &Matrix) -> Self {
        let product = Bf16Product::new(encoder.columns());
        let mut narrow = Self { product, rows: vec![0; encoder.rows() * product.row_len()] };
        let mut rows = NarrowRows { product, rows: &mut narrow.rows };
        (0..encoder.rows()).for_each(|latent| rows.update(latent, encoder.row(latent)));
        narrow
    }

    /// Packs the samples of a step.
    pub fn pack<'a>(
        &self,
        samples: impl ExactSizeIterator<Item = &'a [f32]>,
        packed: &mut Bf16Inputs,
    ) {
        self.product.pack_inputs(samples, packed);
    }

    /// Pre-codes without bias of latents `first` to `first + count`, to [samples, stride].
    pub fn tile(
        &self,
        packed: &Bf16Inputs,
        [first, count]: [usize; 2],
        out: &mut [f32],
        stride: usize,
    ) {
        let length = self.product.row_len();
        let rows = &self.rows[first * length..(first + count) * length];
        self.product.tile(packed, 0..packed.batch(), rows, out, stride);
    }

    /// The rows in chunks of `count`.
    pub fn chunks(&mut self, count: usize) -> impl Iterator<Item = NarrowRows<'_>> {
        let product = self.product;
        let chunks = self.rows.chunks_mut(count * product.row_len());
        chunks.map(move |rows| NarrowRows { product, rows })
    }
}

impl NarrowRows<'_> {
    /// Rounds a row, padding of its f32 form included, to the row `at` of these.
    pub fn update(&mut self, at: usize, row: &[f32]) {
        let length = self.product.row_len();
        let narrow = &mut self.rows[at * length..(at + 1) * length];
        self.product.pack_row(&row[..self.product.inputs()], narrow);
    }
}

//! Codes of a batch, in full or without their zeros.

use std::borrow::Cow;

/// The codes of a batch, [rows, latents], in full or without their zeros.
#[derive(Clone, Copy, Debug)]
pub enum Codes<'a> {
    /// Every value.
    Dense {
        /// How many latents a row has.
        latents: usize,
        /// [rows, latents]
        values: &'a [f32],
    },
    /// Lists of what is not zero.
    Sparse {
        /// How many latents a row has.
        latents: usize,
        /// Where in the two lists below the entries of each row start; there may be more of these
        /// than rows, and gaps between the entries of one row and the next.
        starts: &'a [usize],
        /// How many entries each row has.
        lengths: &'a [u32],
        /// The latent of each entry, ascending within a row.
        indices: &'a [u32],
        /// The value of each entry. All that are not listed are zero; listed ones may be.
        values: &'a [f32],
    },
}

/// Codes of a batch that own their numbers; see [`Codes`].
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // the fields are those of `Codes`
pub enum OwnedCodes {
    /// Every value.
    Dense { latents: usize, values: Vec<f32> },
    /// Lists of what is not zero.
    Sparse {
        latents: usize,
        starts: Vec<usize>,
        lengths: Vec<u32>,
        indices: Vec<u32>,
        values: Vec<f32>,
    },
}

impl OwnedCodes {
    /// The same, borrowed.
    pub fn view(&self) -> Codes<'_> {
        match self {
            Self::Dense { latents, values } => Codes::Dense { latents: *latents, values },
            Self::Sparse { latents, starts, lengths, indices, values } => {
                Codes::Sparse { latents: *latents, starts, lengths, indices, values }
            }
        }
    }
}

impl OwnedCodes {
    /// Returns the rows of all parts, one part after the other: without zeros if all parts are, and dense
    /// otherwise. No parts are no rows.
    pub fn join(latents: usize, parts: Vec<Self>) -> Self {
        let is_sparse = |part: &Self| matches!(part, Self::Sparse { .. });
        if parts.is_empty() || !parts.iter().all(is_sparse) {
            let all = parts.iter().flat_map(|part| part.view().to_dense().into_owned());
            return Self::Dense { latents, values: all.collect() };
        }
        let (mut all_starts, mut all_lengths) = (Vec::new(), Vec::new());
        let (mut all_indices, mut all_values) = (Vec::new(), Vec::new());
        for part in parts {
            if let Self::Sparse { starts, lengths, indices, values, .. } = part {
                let rows = starts.iter().take(lengths.len());
                all_starts.extend(rows.map(|start| start + all_values.len()));
                all_lengths.extend(lengths);
                all_indices.extend(indices);
                all_values.extend(values);
            }
        }
        Self::Sparse {
            latents,
            starts: all_starts,
            lengths: all_lengths,
            indices: all_indices,
            values: all_values,
        }
    }
}

impl<'a> Codes<'a> {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        match *self {
            Self::Dense { latents, values } => values.len() / latents,
            Self::Sparse { lengths, .. } => lengths.len(),
        }
    }

    /// Calls `f` with row, latent and value of everything that is not zero, in order. Of a sparse
    /// form it costs as much as is there.
    pub fn for_each_nonzero(&self, mut f: impl FnMut(usize, usize, f32)) {
        match *self {
            Self::Dense { latents, values } => {
                for (row, values) in values.chunks_exact(latents).enumerate() {
                    for (latent, value) in values.iter().enumerate() {
                        if *value != 0.0 {
                            f(row, latent, *value);
                        }
                    }
                }
            }
            Self::Sparse { starts, lengths, indices, values, .. } => {
                for (row, (start, length)) in starts.iter().zip(lengths).enumerate() {
                    let entries = *start..start + *length as usize;
                    for (latent, value) in indices[entries.clone()].iter().zip(&values[entries]) {
                        if *value != 0.0 {
                            f(row, *latent as usize, *value);
                        }
                    }
                }
            }
        }
    }

    /// Every value, [rows, latents]: for what needs them all.
    pub fn to_dense(&self) -> Cow<'a, [f32]> {
        match *self {
            Self::Dense { values, .. } => Cow::Borrowed(values),
            Self::Sparse { latents, .. } => {
                let mut all = vec![0.0; self.rows() * latents];
                self.for_each_nonzero(|row, latent, value| all[row * latents + latent] = value);
                Cow::Owned(all)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_codes_say_the_same() {
        let all = [0.0, 2.0, 0.0, -1.0, 0.0, 0.0, 0.5, 0.0, 3.0];
        let dense = Codes::Dense { latents: 3, values: &all };
        let sparse = Codes::Sparse {
            latents: 3,
            starts: &[0, 3, 4, 7],
            lengths: &[2, 1, 2],
            indices: &[0, 1, 9, 0, 0, 2, 9],
            values: &[0.0, 2.0, 9.0, -1.0, 0.5, 3.0, 9.0],
        };
        let entries = |codes: Codes<'_>| {
            let mut entries = Vec::new();
            codes.for_each_nonzero(|row, latent, value| entries.push((row, latent, value)));
            entries
        };
        assert_eq!(entries(dense), [(0, 1, 2.0), (1, 0, -1.0), (2, 0, 0.5), (2, 2, 3.0)]);
        assert_eq!(entries(sparse), entries(dense));
        assert_eq!((dense.rows(), sparse.rows()), (3, 3));
        assert_eq!(sparse.to_dense(), all.as_slice());
        assert!(matches!(dense.to_dense(), Cow::Borrowed(_)));
    }

    /// Wrong if joined parts had other rows, in another order, than one after the other.
    #[test]
    fn joined_codes_are_one_after_the_other() {
        let dense = |values: &[f32]| OwnedCodes::Dense { latents: 2, values: values.to_vec() };
        // With a gap, and a start more than there are rows.
        let sparse = |value: f32| OwnedCodes::Sparse {
            latents: 2,
            starts: vec![0, 2, 3],
            lengths: vec![1, 1],
            indices: vec![1, 9, 0],
            values: vec![value, 9.0, -value],
        };
        let all = [0.0, 1.0, -1.0, 0.0, 0.0, 2.0, -2.0, 0.0];
        let lists = OwnedCodes::join(2, vec![sparse(1.0), sparse(2.0)]);
        assert!(matches!(lists, OwnedCodes::Sparse { .. }));
        assert_eq!(*lists.view().to_dense(), all);
        let mixed = OwnedCodes::join(2, vec![dense(&all[..4]), sparse(2.0)]);
        assert_eq!(mixed, dense(&all));
        assert_eq!(OwnedCodes::join(2, Vec::new()).view().rows(), 0);
    }
}

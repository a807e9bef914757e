//! Gradients that are scaled where they are too long.

use super::gradient::{ScaledGradients, SumSquares};
use super::{Lesson, Moments};
use crate::fused::buffers::{Scratch, Sums};
use crate::fused::kernels::Update;
use crate::fused::layers::Layers;
use crate::fused::narrow::Narrow;

impl Lesson<'_, Update> {
    /// Moves all parameters one step along their gradient, scaled to the norm `limit` where it is longer.
    ///
    /// Gradients are forgotten where they are made, and the norm is of all: so they are made twice.
    pub fn learn_clipped(
        &self,
        limit: f64,
        layers: &mut Layers,
        moments: &mut Moments,
        narrow: Option<&mut Narrow>,
        sums: &mut Sums,
        scratches: &mut [Scratch],
    ) -> Vec<f64> {
        let measured = self.to(SumSquares);
        let norm = measured.learn(layers, moments, None, sums, scratches)[0].sqrt();
        if norm > limit {
            let scaled = ScaledGradients { update: self.update, factor: (limit / norm) as f32 };
            self.to(scaled).learn(layers, moments, narrow, sums, scratches)
        } else {
            self.learn(layers, moments, narrow, sums, scratches)
        }
    }
}

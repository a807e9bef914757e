//! What the levels of an autoencoder cost, before anything is made.

use super::{LayeredForm, LevelMap, SampleShape};
use crate::model::{Convolution, Maps};

/// What a sample's way through the levels costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FormSize {
    /// Multiplications of all maps, of the encoder and of the decoder.
    pub multiplications: u128,
    /// Numbers that the levels around the one that makes the code give.
    pub hidden: u128,
}

impl LayeredForm {
    /// The size for samples of this shape, with as many units as `parameters` says of the parameter of a name: the
    /// sizes of a matrix, [in, out]. A convolution that does not fit the samples counts as none.
    pub fn size(
        &self,
        sample: SampleShape,
        parameters: &dyn Fn(&str) -> Option<Vec<usize>>,
    ) -> FormSize {
        let mut maps = Maps::of(sample);
        let mut size = FormSize::default();
        let of_matrix = |name: &str| match parameters(name).as_deref() {
            Some([inputs, outputs]) => (*inputs as u128, *outputs as u128),
            _ => (0, 0),
        };
        let Some((inside, outer)) = self.levels.split_last() else { return size };
        for level in outer {
            let (one_way, gives) = match level.map {
                LevelMap::Dense => {
                    let (inputs, outputs) = of_matrix(&level.encoder.weights);
                    (inputs * outputs, outputs)
                }
                LevelMap::Convolution { channels, kernel, stride } => {
                    let Ok(made) = Convolution::new(maps, channels, kernel, stride) else { break };
                    let patch = (maps.channels * kernel * kernel) as u128;
                    maps = made.coarse();
                    (patch * maps.numbers() as u128, maps.numbers() as u128)
                }
            };
            size.multiplications += 2 * one_way;
            size.hidden += gives;
        }
        let (inputs, latents) = of_matrix(&inside.encoder.weights);
        let heads = if self.noise.is_some() { 3 } else { 2 };
        size.multiplications += heads * inputs * latents;
        size
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::{Activation, LayerNames, Level};

    fn level(map: LevelMap, name: &str) -> Level {
        Level {
            map,
            activation: Activation::Relu,
            decoder_activation: Activation::Relu,
            encoder: LayerNames::new(name, "b"),
            decoder: LayerNames::new("d", "c"),
            tied: false,
        }
    }

    /// Wrong if a convolution's pixels, or the way back, were not counted.
    #[test]
    fn costs_by_hand() {
        let sizes = |name: &str| match name {
            "code" => Some(vec![8, 5]),
            "hidden" => Some(vec![16, 8]),
            _ => None,
        };
        let form = |levels| LayeredForm {
            levels,
            subtract_decoder_bias: false,
            unit_norm: false,
            noise: None,
        };
        let dense = [level(LevelMap::Dense, "hidden"), level(LevelMap::Dense, "code")];
        let found = form(dense.to_vec()).size(SampleShape::Vector(16), &sizes);
        assert_eq!(found, FormSize { multiplications: 2 * (16 * 8 + 8 * 5), hidden: 8 });
        let map = LevelMap::Convolution { channels: 2, kernel: 3, stride: 2 };
        let image = SampleShape::Image { channels: 1, height: 4, width: 4 };
        let levels = vec![level(map, "k"), level(LevelMap::Dense, "code")];
        let found = form(levels).size(image, &sizes);
        assert_eq!(found, FormSize { multiplications: 2 * (9 * 2 * 4 + 8 * 5), hidden: 8 });
    }
}

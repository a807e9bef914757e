//! How many weights are next to nothing.

use framework::model::{Parameters, Side};

/// What the absolute value of a weight is below that counts as nothing.
const NOTHING: f32 = 1e-3;

/// The share of the weights of one half of the autoencoder, in matrices and kernels, whose absolute value is
/// below 1e-3. Biases and parameters of penalties are left out; tied weights are those of both halves. Undefined
/// if there are none.
pub fn share_below(parameters: &Parameters<f32>, side: Side) -> f64 {
    let (mut below, mut all) = (0, 0);
    for entry in parameters.entries.iter().filter(|entry| entry.declaration.is_weight_of(side)) {
        below += entry.values.iter().filter(|weight| weight.abs() < NOTHING).count();
        all += entry.values.len();
    }
    below as f64 / all as f64
}

#[cfg(test)]
mod tests {
    use framework::model::{Declaration, Init, Parameter};

    use super::*;

    fn parameter(
        name: &str,
        shape: &[usize],
        side: Option<Side>,
        values: &[f32],
    ) -> Parameter<f32> {
        let declaration = Declaration::new(name, shape, Init::Zeros);
        Parameter { declaration: Declaration { side, ..declaration }, values: values.to_vec() }
    }

    /// Wrong if biases or parameters of a penalty counted, if signs mattered, or if the mean were over matrices.
    #[test]
    fn shares_by_hand() {
        let (encoder, decoder, both) = (Some(Side::Encoder), Some(Side::Decoder), Some(Side::Both));
        let mut parameters = Parameters {
            entries: vec![
                parameter("w_enc", &[2, 2], encoder, &[0.0, -9e-4, 1e-3, -0.5]),
                parameter("b_enc", &[2], encoder, &[0.0, 0.0]),
                parameter("w_dec", &[2, 2], decoder, &[2e-3, -2e-3, 1.0, 1.0]),
                parameter("b_dec", &[2], decoder, &[0.0, 0.0]),
                parameter("penalty.scale", &[2, 2], None, &[0.0; 4]),
            ],
        };
        assert_eq!(share_below(&parameters, Side::Encoder), 0.5);
        assert_eq!(share_below(&parameters, Side::Decoder), 0.0);
        parameters.entries.push(parameter("kernel", &[1, 1, 6], decoder, &[0.0; 6]));
        assert_eq!(share_below(&parameters, Side::Decoder), 0.6);

        let tied =
            Parameters { entries: vec![parameter("w", &[1, 4], both, &[0.0, 1.0, 1.0, 1.0])] };
        let shares = [Side::Encoder, Side::Decoder].map(|side| share_below(&tied, side));
        assert_eq!(shares, [0.25, 0.25]);
        assert!(share_below(&Parameters { entries: Vec::new() }, Side::Encoder).is_nan());
    }
}

//! What a plugin may tell the fused engine about itself: that it is dense, and what its penalty is
//! by hand. The engine asks for nothing else, and everything here has a default in dfdx.

use rand_distr::{Distribution, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::CodeRange;
use crate::cpu;
use crate::model::Side;
use crate::random::ChaCha8Rng;

/// What follows the encoder's affine map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// Nothing.
    Identity,
    /// max(0, x).
    #[default]
    Relu,
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// tanh x.
    Tanh,
}

impl Activation {
    /// The values that it gives.
    pub const fn range(self) -> CodeRange {
        match self {
            Self::Identity => CodeRange::Real,
            Self::Relu => CodeRange::NonNegative,
            Self::Sigmoid => CodeRange::Unit,
            Self::Tanh => CodeRange::Symmetric,
        }
    }
}

/// An autoencoder as levels, one inside the other: each maps what the level around it gives, or a sample, and
/// maps it back from what the level inside it gives, or from the code.
///
/// Its parameters are those that the levels and the noise name, and no others.
#[derive(Clone, Debug, PartialEq)]
pub struct LayeredForm {
    /// From samples inward; the last one is dense and makes the code. Inside a convolution, a sample lies flat:
    /// channel, row, column.
    pub levels: Vec<Level>,
    /// Whether the decoder's bias is subtracted from the input before it is encoded; of a single dense level.
    pub subtract_decoder_bias: bool,
    /// Whether each decoder row has norm 1; of a single dense level.
    pub unit_norm: bool,
    /// What is added to the code in training, if it is a variational autoencoder.
    pub noise: Option<CodeNoise>,
}

/// A map and its mirror in the decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    /// What kind of map.
    pub map: LevelMap,
    /// What follows the encoder's map.
    pub activation: Activation,
    /// What follows the decoder's map.
    pub decoder_activation: Activation,
    /// The encoder's parameters.
    pub encoder: LayerNames,
    /// The decoder's parameters.
    pub decoder: LayerNames,
    /// Whether the decoder's matrix is the encoder's transpose, and no parameter of its own; of dense maps.
    pub tied: bool,
}

/// Kinds of maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LevelMap {
    /// Affine. The encoder's matrix is [in, out], the decoder's is [out, in].
    Dense,
    /// A [`Convolution`](crate::model::Convolution), and its transpose in the decoder. Both kernels are
    /// [channels outside of the level of its outer side, …]: [channels, outer channels, kernel, kernel].
    Convolution {
        /// Number of channels that the encoder writes.
        channels: usize,
        /// Rows, or columns, of a kernel.
        kernel: usize,
        /// Pixels from one that is kept to the next.
        stride: usize,
    },
}

/// Names of the parameters of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerNames {
    /// The matrix or the kernels.
    pub weights: String,
    /// The bias.
    pub bias: String,
}

impl LayerNames {
    /// The names of a map's parameters.
    pub fn new(weights: impl Into<String>, bias: impl Into<String>) -> Self {
        Self { weights: weights.into(), bias: bias.into() }
    }
}

/// What makes a code random, as in a variational autoencoder: in training the code is μ + exp(s / 2) ε, where μ is
/// what the last level gives, s comes of another affine map of what the last level maps, clamped to
/// ±[`MOST`](Self::MOST), and ε is standard normal, drawn sample by sample from the architecture's stream of the
/// step. The loss has the term `kl_prior`: the mean over samples of the sum over latents of
/// −½ (1 + s − μ² − eˢ). Source: Kingma and Welling 2014, appendix B.
#[derive(Clone, Debug, PartialEq)]
pub struct CodeNoise {
    /// The map to s = log σ²: [in, latents] and [latents].
    pub log_variance: LayerNames,
    /// The weight of the term.
    pub beta: f64,
}

impl CodeNoise {
    /// The largest size of a log-variance; beyond it, it is held there, and no gradient passes.
    pub const MOST: f64 = 20.0;
    /// What results call the term.
    pub const TERM: &'static str = "kl_prior";

    /// Draws ε for a batch: `count` standard normal numbers, sample by sample and latent by latent. Every engine
    /// draws them here, so that all draw the same.
    pub fn draw(random: &mut ChaCha8Rng, count: usize) -> Vec<f64> {
        StandardNormal.sample_iter(random).take(count).collect()
    }
}

/// A penalty at one step, by hand.
#[derive(Clone, Copy)]
pub enum FusedPenalty<'a> {
    /// It does nothing.
    Nothing,
    /// Of each sample the k largest stay, the lowest index winning ties; gradients pass through them
    /// alone.
    KeepLargest {
        /// How many.
        k: usize,
        /// What is compared.
        by: KeptBy,
    },
    /// Of codes that are never negative, the ⌊k · samples⌋ largest of the whole batch stay, the lowest sample and
    /// then the lowest latent winning ties; gradients pass through them alone.
    KeepLargestOfBatch {
        /// How many of a sample, on average.
        k: f64,
        /// Name of the penalty's state that follows the least value kept in training:
        /// [`follow_threshold`](crate::model::follow_threshold).
        threshold: &'static str,
        /// Shorter parts of the code that reconstruct the target too, if there are any.
        prefixes: Option<PrefixTerm<'a>>,
    },
    /// In evaluation, values above the penalty's state of this name stay.
    KeepAbove(&'static str),
    /// Codes that gates and magnitudes make of pre-codes, with the terms that teach the gates.
    Gates(GateTerms),
    /// A term that is a mean over samples.
    PerSample {
        /// What results call it.
        name: &'static str,
        /// Its weight in the loss.
        weight: f64,
        /// Its value and gradient.
        term: &'a dyn PerSample,
    },
    /// A term that is a sum over latents, each of which counts by its mean over the batch.
    PerLatent {
        /// What results call it.
        name: &'static str,
        /// Its weight in the loss.
        weight: f64,
        /// Its value and slope.
        term: &'a dyn PerLatent,
    },
    /// A term that is a mean over samples, one latent after another.
    PerColumn {
        /// What results call it.
        name: &'static str,
        /// Its weight in the loss.
        weight: f64,
        /// Its value and slopes.
        term: &'a dyn PerColumn,
    },
    /// Of codes that may be any number, those above the threshold of their latent stay, and others are 0. The
    /// thresholds θ are the one parameter of the penalty, [latents], at least 0. They learn from the pre-codes z within
    /// half the bandwidth ε of them: ∂h/∂θ is −θ/ε there, and the slope of the number of active latents is −1/ε. The
    /// derivatives by active codes reach z as they are.
    Threshold {
        /// ε, more than 0.
        bandwidth: f64,
        /// What codes cost.
        cost: ThresholdCost<'a>,
    },
}

/// What codes above thresholds cost.
#[derive(Clone, Copy)]
pub enum ThresholdCost<'a> {
    /// A term of the mean number of active latents of a sample.
    Count {
        /// What results call it.
        name: &'static str,
        /// Its weight in the loss.
        weight: f64,
        /// Its value and slope.
        term: &'a dyn PerCount,
    },
    /// A term that is a mean over samples, one latent after another.
    Columns {
        /// What results call it.
        name: &'static str,
        /// Its weight in the loss.
        weight: f64,
        /// Its value and slopes.
        term: &'a dyn PerColumn,
    },
}

impl FusedPenalty<'_> {
    /// Whether it keeps some values of a code and sets the others to 0.
    pub(crate) fn keeps_some(&self) -> bool {
        match self {
            Self::KeepLargest { .. } | Self::KeepLargestOfBatch { .. } | Self::KeepAbove(_) => true,
            Self::Nothing
            | Self::Gates(_)
            | Self::Threshold { .. }
            | Self::PerSample { .. }
            | Self::PerLatent { .. }
            | Self::PerColumn { .. } => false,
        }
    }
}

/// What is compared where the largest values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptBy {
    /// Values with their sign.
    Value,
    /// Absolute values; what is kept keeps its sign.
    Size,
}

/// Gates and magnitudes, of an architecture whose codes are pre-codes. With z the pre-code and b the encoder's bias in it,
/// the code is max(0, exp(r) (z − b) + s) where z > 0, and else 0; r and s are parameters of the penalty's own, one number
/// a latent. Of max(0, z) there are two terms, both means over samples; the gradient of the code does not pass the gate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GateTerms {
    /// Name of the parameter r.
    pub scale: &'static str,
    /// Name of the parameter s.
    pub shift: &'static str,
    /// What results call the sum over latents of max(0, z), and its weight in the loss.
    pub sum: (&'static str, f64),
    /// What results call the squared error of decoding max(0, z) with the decoder held fixed, and its weight, which does
    /// not warm up.
    pub reconstruction: (&'static str, f64),
}

/// A term of a penalty that is the sum of the objectives of decoding the first latents alone: one for each prefix but
/// the last, which is the whole code. It does not warm up.
#[derive(Clone, Copy)]
pub struct PrefixTerm<'a> {
    /// What results call it.
    pub name: &'static str,
    /// Its weight in the loss; the same as the penalty gives the reconstruction.
    pub weight: f64,
    /// All prefixes.
    pub sizes: &'a PrefixSizes,
}

/// Sizes of the prefixes of a code, as they are written.
#[derive(Clone, Debug, PartialEq)]
pub enum PrefixSizes {
    /// Numbers of latents.
    Counts(Vec<usize>),
    /// Shares of the latents.
    Fractions(Vec<f64>),
}

impl PrefixSizes {
    /// Number of prefixes.
    pub fn count(&self) -> usize {
        match self {
            Self::Counts(counts) => counts.len(),
            Self::Fractions(fractions) => fractions.len(),
        }
    }

    /// Numbers of latents of the prefixes: shares are rounded to the nearest number, and to at least 1.
    pub fn ends(&self, latents: usize) -> Vec<usize> {
        let rounded = |share: &f64| ((share * latents as f64).round() as usize).max(1);
        match self {
            Self::Counts(counts) => counts.clone(),
            Self::Fractions(fractions) => fractions.iter().map(rounded).collect(),
        }
    }
}

/// An auxiliary's term at one step, by hand.
#[derive(Clone, Copy)]
pub enum FusedAuxiliary<'a> {
    /// It has none.
    Nothing,
    /// A term that is a mean over samples, with its weight in the loss.
    PerSample(f64, &'a dyn PerSample),
    /// A term that is a sum over latents, each of which counts by its mean over the batch, with its weight in
    /// the loss.
    PerLatent(f64, &'a dyn PerLatent),
    /// A term that is a mean over samples, one latent after another, with its weight in the loss.
    PerColumn(f64, &'a dyn PerColumn),
    /// A term that is a sum over weights, with its weight in the loss.
    Weights(f64, &'a dyn WeightTerm),
    /// What dead latents make of the error.
    DeadLatents(DeadPrediction),
}

/// A term that has dead latents predict the error that the reconstruction leaves, e = x − x̂, held fixed: of the
/// dead latents' pre-codes after relu the k largest of each sample, the lowest index winning ties, are decoded
/// without the decoder's biases and without what follows its last affine map, to ê. The term is ‖e − ê‖² over the
/// whole batch times [`scale`](Self::scale). Without dead latents it is 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeadPrediction {
    /// Number of latents of a sample, at most.
    pub k: usize,
    /// The weight of the term in the loss.
    pub weight: f64,
    /// Whether it is a share of ‖e‖² over the whole batch.
    pub normalize: bool,
}

impl DeadPrediction {
    /// What the sum of ‖e − ê‖² over a batch of `samples` samples is multiplied by, where that of ‖e‖² is `squares`
    /// and `dead` latents are dead. Where there is no error, there is none to predict: 0.
    pub fn scale(&self, squares: f64, samples: usize, dead: usize) -> f64 {
        if !self.normalize {
            return (dead as f64 / self.k as f64).min(1.0) / samples as f64;
        }
        if squares == 0.0 { 0.0 } else { 1.0 / squares }
    }
}

impl FusedAuxiliary<'_> {
    /// Whether its term, if it has one, is of the code that is decoded.
    pub fn is_of_constrained(&self) -> bool {
        match self {
            Self::Weights(..) | Self::DeadLatents(_) => false,
            Self::PerColumn(_, term) => !term.is_before_constraint(),
            Self::Nothing | Self::PerSample(..) | Self::PerLatent(..) => true,
        }
    }
}

/// The code of one sample.
#[derive(Clone, Copy, Debug)]
pub struct SampleCode<'a> {
    /// Its values: all, or, with `latents`, all that are not zero and maybe some that are.
    pub values: &'a [f32],
    /// The latents that `values` belong to, ascending.
    pub latents: Option<&'a [u32]>,
    /// How many latents there are in all.
    pub size: usize,
}

/// A term of one sample's code.
pub trait PerSample: Sync {
    /// The term before its weight; its derivative by each of `code.values` goes to `gradient`.
    /// (Derivatives by values that are zero are not asked for where relu stops them anyway.)
    fn value(&self, code: SampleCode<'_>, gradient: &mut [f32]) -> f64;
}

/// A term of the mean number of active latents of a sample.
pub trait PerCount: Sync {
    /// The term at this mean before its weight, and its derivative by the mean.
    fn value(&self, mean: f64) -> (f64, f64);
}

/// A term of one latent's mean activation.
pub trait PerLatent: Sync {
    /// The term of a latent with this mean before its weight, and its derivative by the mean.
    fn value(&self, mean: f64, range: CodeRange) -> (f64, f64);
}

/// The code of one latent: its values in a batch.
#[derive(Clone, Copy)]
pub struct CodeColumn<'a> {
    /// Its values: of all samples, or, with `samples`, all that are not zero and maybe some that are.
    pub values: &'a [f32],
    /// The samples that `values` belong to, ascending.
    pub samples: Option<&'a [u32]>,
    /// The values that a code can take before it is constrained.
    pub range: CodeRange,
    /// The norm of the latent's row that the term asks for; 0 if it asks for none.
    pub norm: f64,
    /// The classes of the batch, where the dataset has labels.
    pub classes: &'a BatchClasses,
}

/// What a term of one latent's values comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ColumnTerm {
    /// The sum over samples, before the term's weight.
    pub value: f64,
    /// Its derivative by the norm of the latent's row.
    pub by_norm: f64,
}

/// A term that is a mean over samples of a sum over latents, of the values of each latent in the batch and maybe
/// of the norm of its row.
pub trait PerColumn: Sync {
    /// Whose rows' norms it depends on: the encoder's or the decoder's.
    fn row(&self) -> Option<Side> {
        None
    }

    /// Whether it is of the code before it is constrained.
    fn is_before_constraint(&self) -> bool {
        false
    }

    /// What it comes to for one latent; its derivative by each of `column.values` goes to `gradient`.
    /// (A value of 0 that relu gave has none.)
    fn value(&self, column: CodeColumn<'_>, gradient: &mut [f32]) -> ColumnTerm;
}

/// The classes that are in a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BatchClasses {
    /// The class of each sample, as a place in `sizes`; empty without labels.
    pub of_sample: Vec<u32>,
    /// Number of samples of each class that is there.
    pub sizes: Vec<u32>,
}

impl BatchClasses {
    /// The classes of samples with these labels.
    pub fn of(labels: &[u32]) -> Self {
        let mut distinct = labels.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let mut sizes = vec![0; distinct.len()];
        let mut place = |label: &u32| {
            let at = distinct.partition_point(|other| other < label);
            sizes[at] += 1;
            at as u32
        };
        let of_sample = labels.iter().map(&mut place).collect();
        Self { of_sample, sizes }
    }
}

/// A term that is a sum over the numbers of weight matrices and kernels.
pub trait WeightTerm: Sync {
    /// The half of the autoencoder whose weights count; tied weights count once.
    fn side(&self) -> Side;

    /// The sum over some weights before the term's weight; its derivatives times `weight` are added to
    /// `gradient`.
    fn value(&self, weights: &[f32], weight: f32, gradient: &mut [f32]) -> f64;
}

/// A change of the weights after every step of the optimizer.
pub trait Shrink: Sync {
    /// The half of the autoencoder whose weights are changed; tied weights are changed once.
    fn side(&self) -> Side;

    /// Changes some weights after a step at the learning rate `lr`.
    fn shrink(&self, lr: f32, weights: &mut [f32]);
}

/// Does some work in code that is compiled for the vector instructions that are used. It comes to the same, bit
/// for bit, as without: the compiler neither reorders sums nor contracts products.
#[inline(always)]
pub fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    cpu::arch().dispatch(work)
}

/// Σ f(value), in sixteen partial sums, so that it is vectorised; each holds few enough numbers to
/// be exact to rounding.
#[inline(always)]
pub fn sum_of(values: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    const LANES: usize = 16;
    let mut sums = [0.0_f32; LANES];
    let mut pieces = values.chunks_exact(LANES);
    for piece in pieces.by_ref() {
        for (sum, value) in sums.iter_mut().zip(piece) {
            *sum += f(*value);
        }
    }
    let rest: f64 = pieces.remainder().iter().map(|value| f64::from(f(*value))).sum();
    sums.iter().map(|sum| f64::from(*sum)).sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Streams;

    /// Wrong if a batch drew other noise than its samples one after another, or if what is drawn were not standard
    /// normal.
    #[test]
    fn noise_is_drawn_in_order_and_standard_normal() {
        let start = || Streams::new(3).stream("architecture/0");
        let (mut whole, mut parts) = (start(), start());
        let all = CodeNoise::draw(&mut whole, 30_000);
        let one_by_one: Vec<f64> =
            (0..10_000).flat_map(|_| CodeNoise::draw(&mut parts, 3)).collect();
        assert_eq!(all, one_by_one);
        let mean = |f: &dyn Fn(f64) -> f64| all.iter().map(|e| f(*e)).sum::<f64>() / 30_000.0;
        assert!(mean(&|e| e).abs() < 0.02);
        assert!((mean(&|e| e * e) - 1.0).abs() < 0.03);
        assert!((mean(&|e| e.powi(4)) - 3.0).abs() < 0.2);
    }

    /// Wrong if a class that is not in the batch had a place, or places were not those of `sizes`.
    #[test]
    fn classes_of_a_batch_are_those_that_are_there() {
        let BatchClasses { of_sample, sizes } = BatchClasses::of(&[7, 2, 7, 4_000_000, 2, 7]);
        assert_eq!(of_sample, [1, 0, 1, 2, 0, 1]);
        assert_eq!(sizes, [2, 3, 1]);
        assert_eq!(BatchClasses::of(&[]), BatchClasses::default());
    }
}

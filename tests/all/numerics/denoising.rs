//! Linear denoising autoencoders come to the best affine denoiser, which the moments of the data give in closed
//! form: Wiener's for Gaussian noise, the marginalised one of Chen et al. 2012 (arXiv:1206.4683) for masking.

use framework::plugin::{Data, Split};
use framework::train::{Ended, Progress, train};

use crate::support::models::{data, runs};

/// Numbers of a sample.
const INPUTS: usize = 12;

/// A square matrix of moments; the last row and column are those of a constant 1.
type Moments = Vec<Vec<f64>>;

/// What is done to samples.
enum Noise {
    Gaussian { sigma: f64 },
    Masking { rate: f64, rescale: bool },
}

impl Noise {
    fn section(&self) -> String {
        match self {
            Self::Gaussian { sigma } => format!("kind = \"gaussian\"\nsigma = {sigma:?}"),
            Self::Masking { rate, rescale } => {
                format!("kind = \"masking\"\nrate = {rate:?}\nrescale = {rescale}")
            }
        }
    }

    /// From E[xxᵀ] to the moments E[x̃x̃ᵀ] of corrupted samples, and E[xx̃ᵀ].
    fn on(&self, clean: &Moments) -> (Moments, Moments) {
        let (mut own, mut cross) = (clean.clone(), clean.clone());
        match *self {
            Self::Gaussian { sigma } => (0..INPUTS).for_each(|at| own[at][at] += sigma * sigma),
            Self::Masking { rate, rescale } => {
                // The constant is never masked.
                let left = |at: usize| if at < INPUTS { 1.0 - rate } else { 1.0 };
                let scale = |at: usize| if rescale { 1.0 / left(at) } else { 1.0 };
                for (row, column) in
                    (0..=INPUTS).flat_map(|row| (0..=INPUTS).map(move |at| (row, at)))
                {
                    let both = if row == column { left(row) } else { left(row) * left(column) };
                    own[row][column] *= both * scale(row) * scale(column);
                    cross[row][column] *= left(column) * scale(column);
                }
            }
        }
        (own, cross)
    }
}

/// E[xxᵀ] over a part of the data, with a constant 1 at the end of each sample.
fn moments(data: &dyn Data, split: Split) -> Moments {
    let rows: Vec<usize> = (0..data.rows(split)).collect();
    let mut samples = vec![0.0; rows.len() * INPUTS];
    data.gather(split, &rows, &mut samples).unwrap();
    let mut moments = vec![vec![0.0; INPUTS + 1]; INPUTS + 1];
    for sample in samples.chunks(INPUTS) {
        let value = |at: usize| sample.get(at).map_or(1.0, |value| f64::from(*value));
        for (row, sums) in moments.iter_mut().enumerate() {
            for (column, sum) in sums.iter_mut().enumerate() {
                *sum += value(row) * value(column) / rows.len() as f64;
            }
        }
    }
    moments
}

/// The map W with the least E‖x − Wx̃‖²: E[xx̃ᵀ] E[x̃x̃ᵀ]⁻¹, by Gauss's elimination.
fn best_map((own, cross): (Moments, Moments)) -> Moments {
    let size = own.len();
    // W · own = cross, and own is symmetric: own · Wᵀ = crossᵀ.
    let transposed = |row: usize| cross.iter().map(move |of| of[row]);
    let mut left: Moments = own
        .iter()
        .enumerate()
        .map(|(at, of)| of.iter().copied().chain(transposed(at)).collect())
        .collect();
    for pivot in 0..size {
        let by_size =
            |a: &usize, b: &usize| left[*a][pivot].abs().total_cmp(&left[*b][pivot].abs());
        let largest = (pivot..size).max_by(by_size).unwrap();
        left.swap(pivot, largest);
        let row = left[pivot].clone();
        assert!(row[pivot].abs() > 1e-9, "the moments are singular");
        for (_, other) in left.iter_mut().enumerate().filter(|(at, _)| *at != pivot) {
            let factor = other[pivot] / row[pivot];
            other.iter_mut().zip(&row).for_each(|(value, of)| *value -= factor * of);
        }
    }
    (0..size).map(|row| (0..size).map(|at| left[at][size + row] / left[at][at]).collect()).collect()
}

/// E‖x − Wx̃‖² an input, from the moments alone.
fn error_of(map: &Moments, clean: &Moments, (own, cross): &(Moments, Moments)) -> f64 {
    let of_input = |row: usize| {
        let by_clean: f64 = map[row].iter().zip(&cross[row]).map(|(w, moment)| w * moment).sum();
        let products = map[row].iter().zip(own);
        let squared: f64 = products
            .map(|(w, moments)| w * map[row].iter().zip(moments).map(|(v, m)| v * m).sum::<f64>())
            .sum();
        clean[row][row] - 2.0 * by_clean + squared
    };
    (0..INPUTS).map(of_input).sum::<f64>() / INPUTS as f64
}

/// Wrong if noise were of another size or shape than its setting says, in training or in evaluation, if the target
/// were corrupted, or if training did not come to the optimum. Samples are of low rank and have means, so that most
/// of the noise can be removed and the biases matter.
#[test]
fn linear_denoising_autoencoders_reach_the_best_affine_denoiser() {
    let rate = 0.3;
    for noise in [
        Noise::Gaussian { sigma: 0.3 },
        Noise::Masking { rate, rescale: false },
        Noise::Masking { rate, rescale: true },
    ] {
        let section = noise.section();
        let text = format!(
            "name = \"denoising\"\n[dataset]\nkind = \"sparse-dictionary\"\ninputs = {INPUTS}\nfeatures = 7\n\
             active = 3\nnoise = 0.05\ntrain = 4000\ntest = 20000\n[architecture]\nkind = \"dense\"\n\
             latents = {INPUTS}\nactivation = \"identity\"\n[corruption]\n{section}\n[train]\nepochs = 60\n\
             batch = 100\noptimizer = {{ kind = \"adam\", lr = 5e-3 }}\nschedule = {{ kind = \"cosine\" }}\n\
             [evaluate]\nkinds = [\"reconstruction\"]\nevery = 60\n"
        );
        let (experiment, runs) = runs(&text);
        let data = data(&runs[0]);
        let ended = train(&runs[0], &*data, &experiment.evaluate, None, &mut |_: &Progress| {});
        let Ended::Done(trained) = ended else { panic!("the run did not go to its end") };
        let metrics = &trained.measured.metrics;
        let found =
            metrics.iter().find(|one| one.name == "test_mse_corrupted").unwrap().value.unwrap();

        let [of_train, of_test] = [Split::Train, Split::Test].map(|split| moments(&*data, split));
        let map = best_map(noise.on(&of_train));
        let corrupted = noise.on(&of_test);
        let best = error_of(&map, &of_test, &corrupted);
        let unit = |row: usize| (0..=INPUTS).map(|at| f64::from(u8::from(at == row))).collect();
        let nothing_done: Moments = (0..=INPUTS).map(unit).collect();
        let noisy = error_of(&nothing_done, &of_test, &corrupted);
        assert!(best < 0.7 * noisy, "{section}: the best is {best}, which is little below {noisy}");
        assert!((found / best - 1.0).abs() < 0.02, "{section}: {found}, but the best is {best}");
    }
}

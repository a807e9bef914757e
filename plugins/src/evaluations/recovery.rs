//! Recovery: how well the decoder's rows match the true features of synthetic data, by their cosine.
//!
//! - `test_mean_max_cosine`: the mean over true features g of the greatest cos(d, g) of any decoder
//!   row d, with its sign. Several features may share a row. Source: Sharkey et al. 2022, "Taking
//!   features out of superposition with sparse autoencoders".
//! - `test_matched_cosine`: features and rows are paired one to one so that the sum of |cos(d, g)| is
//!   greatest; the mean over features. A feature without a row, where there are fewer latents than
//!   features, counts 0.
//! - `test_uniqueness`: the share of live latents, those active on a test sample, whose best feature,
//!   by the signed cosine, is not the best of another live latent. Copies of a latent lower it.
//!
//! A decoder row of length 0 has cosine 0 with everything and no best feature. A model without
//! decoder rows leaves all undefined. Memory and time grow with features × latents, the time of the
//! pairing up to features² × latents: 512 and 4,096 take a tenth of a second, copies of one row
//! several seconds.

use framework::linkme::distributed_slice;
use framework::plugin::{
    ALIASES, Alias, Best, Data, EVALUATIONS, EvaluatedBatch, Evaluation, Finding, L0Rule, Meant,
    Measure, Measured, Plugin, Revision, Subject, Title, Unfit, When, Within,
};
use framework::spec::schema_of;
use pathfinding::prelude::{Matrix, kuhn_munkres};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Recovery {}

#[distributed_slice(EVALUATIONS)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Evaluation> = Plugin {
    name: "recovery",
    about: "cosines of decoder rows with the true features of synthetic data",
    example: "",
    build: |settings| Ok(Box::new(settings.read::<Recovery>()?)),
    schema: schema_of::<Recovery>,
};

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["mmcs", "mcc", "ground-truth"],
    meant: Meant::Plugin { kind: "evaluation", name: "recovery" },
    about: "the evaluation `recovery` compares decoder rows with the true features of synthetic data",
    lines: "[evaluate]\n\
            kinds = [\"reconstruction\", \"sparsity\", \"recovery\"]",
};

impl Evaluation for Recovery {
    fn when(&self) -> When {
        When::End
    }

    fn metrics(&self) -> &[Finding] {
        &[
            ("test_mean_max_cosine", Some(Best::Highest)),
            ("test_matched_cosine", Some(Best::Highest)),
            ("test_uniqueness", Some(Best::Highest)),
        ]
    }

    fn revisions(&self) -> &[Revision] {
        &[Revision { rule: L0Rule::Magnitude, columns: &["test_uniqueness"] }]
    }

    fn within(&self, _: &str) -> Within {
        Within::Data
    }

    fn title(&self, column: &str, _: &str) -> Option<Title> {
        Some(match column {
            "test_mean_max_cosine" => {
                Title::new("features found", "best cosine with a true feature, mean over features")
            }
            "test_matched_cosine" => Title::new(
                "features matched",
                "cosine with a true feature, each latent serving one, mean over features",
            ),
            "test_uniqueness" => {
                Title::new("unique", "share of live latents that alone claim their true feature")
            }
            _ => return None,
        })
    }

    fn fits(&self, data: &dyn Data) -> Result<(), Unfit> {
        match data.truth() {
            Some(_) => Ok(()),
            None => Err(Unfit::new(
                "kind",
                "what is to be recovered is not known: the dataset has no true features, as \
                 synthetic data has",
            )),
        }
    }

    fn start(&self, subject: &Subject<'_>) -> Result<Box<dyn Measure>, String> {
        Ok(Box::new(Live(vec![false; subject.latents])))
    }
}

/// Which latents were active on a sample.
struct Live(Vec<bool>);

impl Measure for Live {
    fn batch(&mut self, subject: &Subject<'_>, batch: &EvaluatedBatch<'_>) {
        batch.code.for_each_nonzero(|_, latent, value| {
            self.0[latent] |= subject.l0_rule.is_active(value)
        });
    }

    fn finish(self: Box<Self>, subject: &Subject<'_>) -> Result<Measured, String> {
        let cosines = match (subject.data.truth(), subject.model.dictionary()) {
            (Some(truth), Some(atoms)) => {
                Some(Cosines::new(&truth.features, atoms, subject.inputs))
            }
            _ => None,
        };
        let number = |of: &dyn Fn(&Cosines) -> f64| cosines.as_ref().map_or(f64::NAN, of);
        let mut measured = Measured::default();
        measured.metric("test_mean_max_cosine", number(&Cosines::mean_max));
        measured.metric("test_matched_cosine", number(&Cosines::matched));
        measured.metric("test_uniqueness", number(&|cosines| cosines.uniqueness(&self.0)));
        Ok(measured)
    }
}

/// cos(d, g) of each true feature g and decoder row d, [features, latents].
struct Cosines(Matrix<f64>);

impl Cosines {
    fn new(features: &[f32], atoms: &[f32], inputs: usize) -> Self {
        let (features, atoms) = (directions(features, inputs), directions(atoms, inputs));
        let cosine = |(feature, latent): (usize, usize)| -> f64 {
            let (feature, atom) = (&features[feature], &atoms[latent]);
            feature.iter().zip(atom).map(|(g, d)| g * d).sum()
        };
        Self(Matrix::from_fn(features.len(), atoms.len(), cosine))
    }

    fn mean_max(&self) -> f64 {
        let greatest = |row: &[f64]| row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        self.0.iter().map(greatest).sum::<f64>() / self.0.rows as f64
    }

    fn matched(&self) -> f64 {
        // The pairing leaves no row of its matrix alone: the fewer of the two are the rows.
        let weights = self.0.clone();
        let weights = if weights.rows > weights.columns { weights.transposed() } else { weights };
        let (_, pairs) = kuhn_munkres(&weights.clone().map(to_integer));
        let pairs = pairs.iter().enumerate();
        let sum: f64 = pairs.map(|(row, column)| weights[(row, *column)].abs()).sum();
        sum / self.0.rows as f64
    }

    fn uniqueness(&self, live: &[bool]) -> f64 {
        let mut claims = vec![0; self.0.rows];
        let best: Vec<usize> = (0..self.0.columns)
            .filter(|latent| live[*latent])
            .filter_map(|latent| self.best_feature(latent))
            .collect();
        best.iter().for_each(|feature| claims[*feature] += 1);
        let alone = best.iter().filter(|feature| claims[**feature] == 1).count();
        alone as f64 / live.iter().filter(|live| **live).count() as f64
    }

    /// The feature with the greatest cosine, the lowest index winning ties.
    fn best_feature(&self, latent: usize) -> Option<usize> {
        let cosine = |feature: &usize| self.0[(*feature, latent)];
        let features = 0..self.0.rows;
        if features.clone().all(|feature| cosine(&feature) == 0.0) {
            return None;
        }
        features.rev().max_by(|a, b| cosine(a).total_cmp(&cosine(b)))
    }
}

/// The rows as f64, each of norm 1 or all zero.
fn directions(values: &[f32], inputs: usize) -> Vec<Vec<f64>> {
    let direction = |row: &[f32]| {
        let norm = row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        let scale = if norm > 0.0 { 1.0 / norm } else { 0.0 };
        row.iter().map(|value| f64::from(*value) * scale).collect()
    };
    values.chunks_exact(inputs).map(direction).collect()
}

/// |cosine| in whole units of 2⁻⁴⁰: sums of these are exact, and so the pairing ends, and always in
/// the same place.
fn to_integer(cosine: f64) -> i64 {
    (cosine.abs() * (1_u64 << 40) as f64).round() as i64
}

#[cfg(test)]
mod tests {
    use framework::plugin::Truth;

    use super::*;
    use crate::support::testing::{ByName, Case, Samples, measure, uneven};

    /// Every latent is active on the one test sample.
    fn case(inputs: usize, features: &[f32], atoms: &[f32]) -> Case {
        let latents = atoms.len() / inputs;
        Case {
            inputs,
            latents,
            dictionary: Some(atoms.to_vec()),
            truth: Some(Truth { features: features.to_vec() }),
            test: Samples { code: vec![1.0; latents], ..Samples::default() },
            ..Case::default()
        }
    }

    fn found(case: &Case) -> [Option<f64>; 3] {
        let found = measure(&PLUGIN, "", case, 10);
        ["test_mean_max_cosine", "test_matched_cosine", "test_uniqueness"]
            .map(|name| found.value(name))
    }

    const AXES: [f32; 4] = [1.0, 0.0, 0.0, 1.0];

    #[test]
    fn the_features_themselves_in_any_order_and_length_are_recovered() {
        assert_eq!(found(&case(2, &AXES, &[0.0, 3.0, 0.5, 0.0])), [Some(1.0); 3]);
    }

    #[test]
    fn only_the_matched_cosine_forgives_a_wrong_sign() {
        let [max, matched, _] = found(&case(2, &AXES, &[-1.0, 0.0, 0.0, -2.0]));
        assert_eq!((max, matched), (Some(0.0), Some(1.0)));
    }

    #[test]
    fn a_case_by_hand() {
        // The first row serves both axes best, at 45 degrees. The second has cosines -3/√10, 1/√10:
        // paired with the first axis, it leaves the second to the first row.
        let [max, matched, unique] = found(&case(2, &AXES, &[2.0, 2.0, -3.0, 1.0]));
        let root = 0.5_f64.sqrt();
        assert!((max.unwrap() - root).abs() < 1e-12);
        assert!((matched.unwrap() - (3.0 / 10.0_f64.sqrt() + root) / 2.0).abs() < 1e-12);
        assert_eq!(unique, Some(1.0), "the lowest index wins the first row's tie");
        let both = found(&case(2, &AXES, &[1.0, 0.0, 1.0, 0.5]));
        assert_eq!(both[2], Some(0.0), "both claim the first axis");
    }

    #[test]
    fn the_pairing_is_the_best_of_all() {
        let (features, atoms) = (uneven(12), uneven(32)[12..].to_vec());
        let case = case(3, &features, &atoms[..15]);
        let cosines = Cosines::new(&features, &atoms[..15], 3).0;
        let mut best = 0.0_f64;
        for at in 0..5_usize.pow(4) {
            let latents = [at % 5, at / 5 % 5, at / 25 % 5, at / 125];
            let distinct = (1..4).all(|at| !latents[..at].contains(&latents[at]));
            if distinct {
                best = best.max((0..4).map(|g| cosines[(g, latents[g])].abs()).sum());
            }
        }
        assert!((found(&case)[1].unwrap() - best / 4.0).abs() < 1e-11);
    }

    #[test]
    fn features_left_over_count_nothing_and_latents_left_over_do_no_harm() {
        let few = found(&case(2, &AXES, &[0.0, 1.0]));
        assert_eq!(few, [Some(0.5), Some(0.5), Some(1.0)]);
        let many = found(&case(2, &AXES, &[0.0, 1.0, 1.0, 0.0, 0.0, 1.0]));
        assert_eq!(many, [Some(1.0), Some(1.0), Some(1.0 / 3.0)], "a copy is not unique");
    }

    #[test]
    fn dead_latents_claim_nothing_and_rows_of_length_0_match_nothing() {
        let mut case = case(2, &AXES, &[0.0, 1.0, 1.0, 0.0, 0.0, 1.0]);
        case.test.code = vec![1.0, 1.0, 0.0];
        assert_eq!(found(&case)[2], Some(1.0));
        case.test.code = vec![0.0; 3];
        assert_eq!(found(&case)[2], None);
        case.dictionary = Some(vec![0.0; 6]);
        case.test.code = vec![1.0; 3];
        assert_eq!(found(&case), [Some(0.0); 3]);
    }

    #[test]
    fn without_a_dictionary_all_is_undefined_and_without_truth_all_is_refused() {
        let mut case = case(2, &AXES, &AXES);
        case.dictionary = None;
        assert_eq!(found(&case), [None; 3]);
        assert!(Recovery {}.fits(&case).is_ok());
        case.truth = None;
        assert_eq!(Recovery {}.fits(&case).unwrap_err().key, "kind");
    }
}

//! Sparsity: how many latents are active on the test part, and how strongly.
//!
//! - `test_l0`: the mean number of active latents of a sample; [`L0Rule`] says which are active.
//!   `test_firing_rate` is its share of the latents.
//! - `test_dead_fraction`: the share of latents that are active on no sample.
//! - `test_mean_activation`: the mean of the signed code over samples and latents.
//! - `test_hoyer`: the mean over samples of (√m − ‖h‖₁ / ‖h‖₂) / (√m − 1), from 0 where all m latents
//!   are equal to 1 where one alone is not 0. Samples whose code is all zero are left out. It needs
//!   no threshold. Source: Hoyer 2004, JMLR 5.
//!
//! - `test_active_groups`, where the penalty has groups of neighbouring latents: the mean number of groups of a
//!   sample of which at least one latent is active.
//! - `encoder_weights_below_1e_3` and `decoder_weights_below_1e_3`: the share of weights, without biases, whose
//!   absolute value is below 1e-3. Tied weights are those of both.
//! - `test_kl_prior`, where codes have a prior, as those of a variational autoencoder: the mean over samples of the
//!   sum over latents of the KL divergence of a latent's distribution from it, in nats. `test_collapsed_fraction`:
//!   the share of latents whose mean divergence is below 0.01 nats, which say nothing of samples.
//! - `test_class_selectivity`, where the data has labels: the mean of `class_selectivity` over latents.
//!
//! A latent's `firing_rate`, `mean_activation` and `max_activation` are over all test samples, and
//! `decoder_norm` is the length of its decoder row in the units of the data. `group` is the group that it is
//! in, `kl_prior` its mean divergence from its prior, and `class_selectivity` the share of its Σ|h| over test samples that the samples of one class have, of
//! the class for which that is greatest: 1 where it is 0 for all other classes, and 1 / classes by chance, where
//! classes are of one size; undefined where it is 0 on every sample.
//!
//! Sums are in f64, a latent's sample by sample and a sample's in a fixed order of its latents, so that
//! results depend neither on the size of batches, nor on the number of threads, nor on the form of
//! the codes. Of codes without their zeros, only what is there is looked at.

mod classes;
mod groups;
mod prior;
mod weights;

use framework::linkme::distributed_slice;
use framework::model::Side;
use framework::plugin::{
    ALIASES, Alias, Best, Codes, EVALUATIONS, EvaluatedBatch, Evaluation, Finding, L0Rule, Meant,
    Measure, Measured, Plugin, Revision, Subject, Title, When, Within,
};
use framework::spec::schema_of;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::classes::{ClassSums, mean_of_defined};
use self::groups::GroupCounts;
use self::prior::PriorSums;
use self::weights::share_below;

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sparsity {}

#[distributed_slice(EVALUATIONS)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Evaluation> = Plugin {
    name: "sparsity",
    about: "L0, dead latents and activations, of the whole code and of each latent",
    example: "",
    build: |settings| Ok(Box::new(settings.read::<Sparsity>()?)),
    schema: schema_of::<Sparsity>,
};

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["l0", "dead-latents", "dead-features", "dead-neurons"],
    meant: Meant::Plugin { kind: "evaluation", name: "sparsity" },
    about: "L0 and dead latents are measured by the evaluation `sparsity`; a certain L0 is asked for by `l0` under [target]",
    lines: "",
};

impl Evaluation for Sparsity {
    fn when(&self) -> When {
        When::EveryPoint
    }

    fn metrics(&self) -> &[Finding] {
        &[
            ("test_l0", None),
            ("test_firing_rate", None),
            ("test_dead_fraction", Some(Best::Lowest)),
            ("test_mean_activation", None),
            ("test_hoyer", Some(Best::Highest)),
        ]
    }

    fn revisions(&self) -> &[Revision] {
        &[Revision {
            rule: L0Rule::Magnitude,
            columns: &["test_l0", "test_firing_rate", "test_dead_fraction", "firing_rate"],
        }]
    }

    fn within(&self, _: &str) -> Within {
        Within::Data
    }

    fn title(&self, column: &str, _: &str) -> Option<Title> {
        Some(match column {
            "test_l0" => Title::new("L0", "active latents per sample"),
            "test_firing_rate" => {
                Title::new("share active", "share of latents that are active, mean over samples")
            }
            "test_dead_fraction" => {
                Title::new("never active", "share of latents that are active on no test sample")
            }
            "test_mean_activation" => {
                Title::new("mean activation", "mean value of the code, over latents and samples")
            }
            "test_hoyer" => Title::new("Hoyer", "Hoyer sparsity (1: one active latent per sample)"),
            "test_active_groups" => Title::new("groups", "groups of latents active per sample"),
            "test_class_selectivity" => {
                Title::new("selectivity", "class selectivity of latents (1: active for one class)")
            }
            "test_kl_prior" => {
                Title::new("KL", "KL divergence of codes from their prior, in nats per sample")
            }
            "test_collapsed_fraction" => Title::new(
                "collapsed",
                "share of latents with a mean KL divergence below 0.01 nats",
            ),
            "encoder_weights_below_1e_3" => {
                Title::new("encoder zeros", "share of encoder weights below 0.001")
            }
            "decoder_weights_below_1e_3" => {
                Title::new("decoder zeros", "share of decoder weights below 0.001")
            }
            _ => return None,
        })
    }

    fn start(&self, subject: &Subject<'_>) -> Result<Box<dyn Measure>, String> {
        let silent =
            Latents { active: [0; LANES], sum: [0.0; LANES], max: [f64::NEG_INFINITY; LANES] };
        Ok(Box::new(FiringSums {
            latents: vec![silent; subject.latents.div_ceil(LANES)],
            maxed: vec![0; subject.latents],
            groups: subject.model.group_size().map(GroupCounts::new),
            classes: (subject.when == When::End).then(|| ClassSums::new(subject)).flatten(),
            ..FiringSums::default()
        }))
    }
}

/// Latents are taken so many together, which vector instructions do at once.
const LANES: usize = 8;

/// So many of these are a block. Blocks are shared out among threads; the sums over a sample are first
/// over the latents of a block, lane by lane, then over lanes, then over blocks.
const BLOCK: usize = 32;

/// What was seen of neighbouring latents.
#[derive(Clone)]
struct Latents {
    /// On how many samples a latent was active.
    active: [u64; LANES],
    /// The sum of its values.
    sum: [f64; LANES],
    /// The greatest of them.
    max: [f64; LANES],
}

impl Latents {
    fn add(&mut self, lane: usize, value: f64, is_active: bool) {
        self.active[lane] += u64::from(is_active);
        self.sum[lane] += value;
        self.max[lane] = if value > self.max[lane] { value } else { self.max[lane] };
    }
}

/// Sums over the samples seen.
#[derive(Default)]
struct FiringSums {
    samples: u64,
    latents: Vec<Latents>,
    /// How many values of each latent went into `max` one by one; the others were 0.
    maxed: Vec<u64>,
    /// How many samples went into `max` in full.
    maxed_samples: u64,
    /// The sum of Hoyer's measure, and over how many samples.
    hoyer: f64,
    hoyers: u64,
    /// Where the run's penalty has groups.
    groups: Option<GroupCounts>,
    /// Where codes have a prior.
    prior: Option<PriorSums>,
    /// At the end, where the data has labels.
    classes: Option<ClassSums>,
    /// Of the samples of a batch; with full codes, of their blocks: [blocks, rows].
    norms: Vec<Norms>,
}

/// What Hoyer's measure of a code is made of.
#[derive(Clone, Copy, Default)]
struct Norms {
    /// ‖h‖₁.
    absolute: f64,
    /// ‖h‖₂².
    square: f64,
}

/// The same, lane by lane.
#[derive(Default)]
struct NormLanes {
    absolute: [f64; LANES],
    square: [f64; LANES],
}

impl NormLanes {
    fn add(&mut self, lane: usize, value: f64) {
        self.absolute[lane] += value.abs();
        self.square[lane] += value * value;
    }
}

impl Norms {
    fn add(&mut self, block: &NormLanes) {
        self.absolute += block.absolute.iter().sum::<f64>();
        self.square += block.square.iter().sum::<f64>();
    }

    /// Hoyer's measure of a code that is not all zero; undefined for a single latent.
    fn hoyer(self, latents: usize) -> Option<f64> {
        let root = (latents as f64).sqrt();
        let defined = self.square > 0.0 && latents > 1;
        defined.then(|| (root - self.absolute / self.square.sqrt()) / (root - 1.0))
    }
}

/// Takes one sample's values of a block of latents in.
#[inline(always)]
fn add_block(
    latents: &mut [Latents],
    values: &[f32],
    is_active: impl Fn(f32) -> bool,
) -> NormLanes {
    let mut norms = NormLanes::default();
    let mut add = |latents: &mut Latents, values: &[f32; LANES]| {
        for (lane, value) in values.iter().enumerate() {
            latents.add(lane, (*value).into(), is_active(*value));
            norms.add(lane, (*value).into());
        }
    };
    let (full, rest) = values.as_chunks();
    latents.iter_mut().zip(full).for_each(|(latents, values)| add(latents, values));
    if let Some(latents) = latents.get_mut(full.len()) {
        let mut padded = [0.0; LANES];
        padded[..rest.len()].copy_from_slice(rest);
        add(latents, &padded);
    }
    norms
}

impl FiringSums {
    fn dense(&mut self, values: &[f32], n_latents: usize, rule: L0Rule) {
        let rows = values.len() / n_latents;
        self.maxed_samples += rows as u64;
        self.norms.resize(rows * self.latents.len().div_ceil(BLOCK), Norms::default());
        let blocks = self.latents.par_chunks_mut(BLOCK).zip(self.norms.par_chunks_mut(rows));
        blocks.enumerate().for_each(|(block, (latents, norms))| {
            let start = block * BLOCK * LANES;
            let end = n_latents.min(start + BLOCK * LANES);
            for (values, norms) in values.chunks_exact(n_latents).zip(norms) {
                let values = &values[start..end];
                // A loop for each rule, so that each is vectorised.
                let lanes = match rule {
                    L0Rule::Nonzero => {
                        add_block(latents, values, |value| L0Rule::Nonzero.is_active(value))
                    }
                    L0Rule::Above => {
                        add_block(latents, values, |value| L0Rule::Above.is_active(value))
                    }
                    L0Rule::Magnitude => {
                        add_block(latents, values, |value| L0Rule::Magnitude.is_active(value))
                    }
                };
                *norms = Norms::default();
                norms.add(&lanes);
            }
        });
        for row in 0..rows {
            let blocks = self.norms[row..].iter().step_by(rows);
            let sum = blocks.fold(Norms::default(), |sum, block| Norms {
                absolute: sum.absolute + block.absolute,
                square: sum.square + block.square,
            });
            self.sample(sum, n_latents);
        }
    }

    fn sparse(&mut self, codes: &Codes<'_>, n_latents: usize, rule: L0Rule) {
        self.norms.clear();
        self.norms.resize(codes.rows(), Norms::default());
        let (mut at, mut lanes) = ((0, 0), NormLanes::default());
        codes.for_each_nonzero(|row, latent, value| {
            let (place, lane) = (latent / LANES, latent % LANES);
            if at != (row, place / BLOCK) {
                self.norms[at.0].add(&std::mem::take(&mut lanes));
                at = (row, place / BLOCK);
            }
            self.latents[place].add(lane, value.into(), rule.is_active(value));
            lanes.add(lane, value.into());
            self.maxed[latent] += 1;
        });
        if let Some(norms) = self.norms.get_mut(at.0) {
            norms.add(&lanes);
        }
        for row in 0..codes.rows() {
            self.sample(self.norms[row], n_latents);
        }
    }

    fn sample(&mut self, norms: Norms, n_latents: usize) {
        self.samples += 1;
        if let Some(hoyer) = norms.hoyer(n_latents) {
            self.hoyer += hoyer;
            self.hoyers += 1;
        }
    }

    /// The sums of each latent: on how many samples it was active, its sum and its greatest value.
    fn each(&self) -> Vec<(u64, f64, f64)> {
        let each = self.maxed.iter().enumerate().map(|(latent, maxed)| {
            let (latents, lane) = (&self.latents[latent / LANES], latent % LANES);
            let max = latents.max[lane];
            let was_zero = maxed + self.maxed_samples < self.samples;
            let max = if was_zero { max.max(0.0) } else { max };
            (latents.active[lane], latents.sum[lane], max)
        });
        each.collect()
    }
}

impl Measure for FiringSums {
    fn batch(&mut self, subject: &Subject<'_>, batch: &EvaluatedBatch<'_>) {
        match batch.code {
            Codes::Dense { latents, values } => self.dense(values, latents, subject.l0_rule),
            Codes::Sparse { latents, .. } => self.sparse(&batch.code, latents, subject.l0_rule),
        }
        if let Some(groups) = &mut self.groups {
            groups.add(&batch.code, subject.l0_rule);
        }
        if let Some(divergences) = subject.model.kl_prior(batch) {
            self.prior.get_or_insert_with(|| PriorSums::new(subject.latents)).add(&divergences);
        }
        if let Some(classes) = &mut self.classes {
            classes.add(batch);
        }
    }

    fn finish(self: Box<Self>, subject: &Subject<'_>) -> Result<Measured, String> {
        let each = self.each();
        let (samples, n_latents) = (self.samples as f64, each.len() as f64);
        let active: u64 = each.iter().map(|(active, ..)| active).sum();
        let dead = each.iter().filter(|(active, ..)| *active == 0).count();
        let sum: f64 = each.iter().map(|(_, sum, _)| sum).sum();
        let seen = if samples > 0.0 { 1.0 } else { f64::NAN };

        let mut measured = Measured::default();
        measured.metric("test_l0", active as f64 / samples);
        measured.metric("test_firing_rate", active as f64 / samples / n_latents);
        measured.metric("test_dead_fraction", seen * dead as f64 / n_latents);
        measured.metric("test_mean_activation", sum / samples / n_latents);
        measured.metric("test_hoyer", self.hoyer / self.hoyers as f64);
        if let Some(groups) = &self.groups {
            measured.metric("test_active_groups", groups.mean(samples));
            measured.declare("test_active_groups", None, Within::Data);
        }
        if let Some(prior) = &self.prior {
            measured.metric("test_kl_prior", prior.sum_of_means());
            measured.declare("test_kl_prior", None, Within::Data);
            measured.metric("test_collapsed_fraction", prior.collapsed());
            measured.declare("test_collapsed_fraction", Some(Best::Lowest), Within::Data);
        }
        if subject.when == When::End {
            let column = |of: &dyn Fn(&(u64, f64, f64)) -> f64| -> Vec<f64> {
                each.iter().map(of).collect()
            };
            let rate = column(&|(active, ..)| *active as f64 / samples);
            measured.latent_column("firing_rate", rate);
            measured.latent_column("mean_activation", column(&|(_, sum, _)| sum / samples));
            measured.latent_column("max_activation", column(&|(.., max)| *max));
            measured.latent_column("decoder_norm", decoder_norms(subject));
            if let Some(groups) = &self.groups {
                measured.latent_column("group", groups.of_latents(subject.latents));
            }
            if let Some(prior) = &self.prior {
                measured.latent_column("kl_prior", prior.means());
            }
            if let Some(classes) = &self.classes {
                let selectivity = classes.selectivity();
                measured.metric("test_class_selectivity", mean_of_defined(&selectivity));
                measured.declare("test_class_selectivity", None, Within::Labels);
                measured.latent_column("class_selectivity", selectivity);
            }
            if let Some(model) = subject.model.whole() {
                let parameters = model.parameters();
                let halves = [("encoder", Side::Encoder), ("decoder", Side::Decoder)];
                for (name, side) in halves {
                    let name = format!("{name}_weights_below_1e_3");
                    measured.metric(&name, share_below(&parameters, side));
                    measured.declare(&name, None, Within::Training);
                }
            }
        }
        Ok(measured)
    }
}

/// The length of each latent's decoder row; undefined where there are none.
fn decoder_norms(subject: &Subject<'_>) -> Vec<f64> {
    let norm = |row: &[f32]| row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    match subject.model.dictionary() {
        Some(dictionary) => dictionary.chunks_exact(subject.inputs).map(norm).collect(),
        None => vec![f64::NAN; subject.latents],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::testing::{ByName, Case, Samples, in_pool, measure, uneven};

    fn case(latents: usize, code: &[f32]) -> Case {
        let test = Samples { code: code.to_vec(), ..Samples::default() };
        Case { latents, test, ..Case::default() }
    }

    /// Wrong if models without a prior had a new column, or means were over batches.
    #[test]
    fn divergences_are_there_where_codes_have_a_prior() {
        let mut case = case(2, &[0.0; 6]);
        let found = |case: &Case| measure(&PLUGIN, "", case, 2);
        let is_of_prior = |name: &str| name.contains("prior") || name.contains("collapsed");
        let plain = found(&case);
        assert!(plain.metrics.iter().all(|metric| !is_of_prior(&metric.name)));
        assert!(plain.latents.iter().all(|column| !is_of_prior(&column.name)));
        case.test.kl_prior = vec![1.0, 0.0, 2.0, 0.0, 3.0, 0.003];
        let found = found(&case);
        assert!((found.value("test_kl_prior").unwrap() - 2.001).abs() < 1e-15);
        assert_eq!(found.value("test_collapsed_fraction"), Some(0.5));
        assert_eq!(found.column("kl_prior")[0], Some(2.0));
        assert_eq!(found.declared["test_collapsed_fraction"].best, Some(Best::Lowest));
    }

    #[test]
    fn a_case_by_hand() {
        let mut case = case(4, &[0.0, 2.0, -1.0, 0.0, 0.0, 4.0, 0.0, 0.0]);
        case.inputs = 2;
        case.dictionary = Some(vec![3.0, 4.0, 0.0, 0.0, 0.0, -2.0, 1.0, 0.0]);
        let found = measure(&PLUGIN, "", &case, 1);
        assert_eq!(found.value("test_l0"), Some(1.5));
        assert_eq!(found.value("test_firing_rate"), Some(0.375));
        assert_eq!(found.value("test_dead_fraction"), Some(0.5));
        assert_eq!(found.value("test_mean_activation"), Some(0.625));
        // (2 − 3 / √5) / (2 − 1) and 1.
        let hoyer = (2.0 - 3.0 / 5.0_f64.sqrt() + 1.0) / 2.0;
        assert!((found.value("test_hoyer").unwrap() - hoyer).abs() < 1e-15);
        assert_eq!(found.column("firing_rate"), [Some(0.0), Some(1.0), Some(0.5), Some(0.0)]);
        assert_eq!(found.column("mean_activation"), [Some(0.0), Some(3.0), Some(-0.5), Some(0.0)]);
        assert_eq!(found.column("max_activation"), [Some(0.0), Some(4.0), Some(0.0), Some(0.0)]);
        assert_eq!(found.column("decoder_norm"), [Some(5.0), Some(0.0), Some(2.0), Some(1.0)]);
    }

    #[test]
    fn a_threshold_decides_where_codes_are_never_zero() {
        let mut case = case(3, &[0.9, 0.1, 0.5, 0.6, 0.2, 0.4]);
        assert_eq!(measure(&PLUGIN, "", &case, 2).value("test_l0"), Some(3.0));
        case.l0_rule = L0Rule::Above;
        let found = measure(&PLUGIN, "", &case, 2);
        assert_eq!(found.value("test_l0"), Some(1.0), "0.5 is not above 0.5");
        assert_eq!(found.value("test_dead_fraction"), Some(2.0 / 3.0));
    }

    /// Wrong if a strongly negative latent were silent or dead, as it was in versions before.
    #[test]
    fn codes_of_both_signs_count_by_magnitude() {
        let mut case = case(4, &[-1.0, -0.6, 0.4, 0.0, -0.4, 0.6, -0.4, 0.5]);
        case.l0_rule = L0Rule::Magnitude;
        let found = measure(&PLUGIN, "", &case, 1);
        assert_eq!(found.value("test_l0"), Some(1.5));
        assert_eq!(found.value("test_firing_rate"), Some(0.375));
        assert_eq!(found.value("test_dead_fraction"), Some(0.5));
        assert_eq!(found.column("firing_rate"), [Some(0.5), Some(1.0), Some(0.0), Some(0.0)]);
        case.l0_rule = L0Rule::Above;
        let found = measure(&PLUGIN, "", &case, 1);
        assert_eq!(found.value("test_l0"), Some(0.5));
        assert_eq!(found.value("test_dead_fraction"), Some(0.75));
    }

    #[test]
    fn hoyer_goes_from_0_for_equal_latents_to_1_for_one() {
        let hoyer =
            |code: &[f32]| measure(&PLUGIN, "", &case(code.len(), code), 1).value("test_hoyer");
        assert_eq!(hoyer(&[0.5; 4]), Some(0.0));
        assert_eq!(hoyer(&[0.0, -3.0, 0.0]), Some(1.0));
        assert_eq!(hoyer(&[0.0, 0.0]), None);
        assert_eq!(hoyer(&[7.0]), None);
        let found = measure(&PLUGIN, "", &case(2, &[0.0, 0.0, 0.0, 5.0]), 2);
        assert_eq!(found.value("test_hoyer"), Some(1.0), "the silent sample is left out");
        assert_eq!(measure(&PLUGIN, "", &case(1, &[3.0]), 2).value("test_hoyer"), None);
    }

    /// Wrong if a group counted once for each of its latents, by another rule, or were cut elsewhere.
    #[test]
    fn active_groups_by_hand() {
        // Of the first two samples both groups of two are active, of the third none.
        let code = [0.9, 0.8, 0.0, 0.1, 0.0, 0.7, 0.6, 0.0, 0.0, 0.0, 0.0, 0.0];
        let mut case = case(4, &code);
        let found = measure(&PLUGIN, "", &case, 2);
        assert!(found.metrics.iter().all(|metric| metric.name != "test_active_groups"));
        assert!(found.latents.iter().all(|column| column.name != "group"));
        case.group_size = Some(2);
        let found = measure(&PLUGIN, "", &case, 2);
        assert_eq!(found.value("test_active_groups"), Some(4.0 / 3.0), "0.1 is not 0");
        assert_eq!(found.column("group"), [0.0, 0.0, 1.0, 1.0].map(Some));
        assert_eq!(found.declared["test_active_groups"].best, None);
        case.l0_rule = L0Rule::Above;
        assert_eq!(measure(&PLUGIN, "", &case, 1).value("test_active_groups"), Some(1.0));
        case.l0_rule = L0Rule::Nonzero;
        for (size, right) in [(1, 5.0 / 3.0), (3, 1.0), (4, 2.0 / 3.0)] {
            case.group_size = Some(size);
            let found = measure(&PLUGIN, "", &case, 3);
            assert_eq!(found.value("test_active_groups"), Some(right), "groups of {size}");
        }
    }

    /// Wrong if signs cancelled, samples were counted in place of activation, a silent latent had a number or
    /// took part in the mean, or data without labels had one.
    #[test]
    fn class_selectivity_by_hand() {
        // Rows of the classes 7, 2, 7: one latent for class 7 alone, one for both, a silent one, a signed one.
        let code = [2.0, 1.0, 0.0, 3.0, 0.0, 1.0, 0.0, 2.0, 4.0, 1.0, 0.0, -3.0];
        let mut case = case(4, &code);
        let names = |case: &Case| -> Vec<String> {
            measure(&PLUGIN, "", case, 2).metrics.into_iter().map(|metric| metric.name).collect()
        };
        assert!(!names(&case).contains(&"test_class_selectivity".to_owned()));
        case.test.labels = Some(vec![7, 2, 7]);
        let found = measure(&PLUGIN, "", &case, 2);
        let right = [Some(1.0), Some(2.0 / 3.0), None, Some(0.75)];
        assert_eq!(found.column("class_selectivity"), right);
        let mean = (1.0 + 2.0 / 3.0 + 0.75) / 3.0;
        assert_eq!(found.value("test_class_selectivity"), Some(mean));
        let declared = &found.declared["test_class_selectivity"];
        assert_eq!((declared.best, declared.within), (None, Within::Labels));
    }

    /// Wrong if latents of random codes seemed to know the class, or sums depended on batches or threads.
    #[test]
    fn selectivity_is_chance_where_codes_know_nothing() {
        let latents = 150;
        let code: Vec<f32> = uneven(3000 * latents).iter().map(|value| value.max(0.0)).collect();
        let mut case = case(latents, &code);
        case.test.labels = Some((0..3000).map(|row| row % 5).collect());
        let all = measure(&PLUGIN, "", &case, 3000);
        let found = all.value("test_class_selectivity").unwrap();
        assert!((found - 0.2).abs() < 0.02, "{found}");
        for (batch, threads) in [(1, 1), (700, 2)] {
            assert_eq!(in_pool(threads, || measure(&PLUGIN, "", &case, batch)), all);
        }
    }

    /// Two blocks of latents and part of a third, most of them silent; the last one always.
    #[test]
    fn neither_the_size_of_batches_nor_the_number_of_threads_matters() {
        let latents = 2 * BLOCK * LANES + 13;
        let mut code = uneven(50 * latents);
        code.iter_mut().filter(|value| **value < 0.3).for_each(|value| *value = 0.0);
        code.iter_mut().skip(latents - 1).step_by(latents).for_each(|value| *value = 0.0);
        let case = case(latents, &code);
        let all = measure(&PLUGIN, "", &case, 50);
        let l0 = code.iter().filter(|value| **value != 0.0).count() as f64 / 50.0;
        assert_eq!(all.value("test_l0"), Some(l0));
        assert_eq!(all.column("firing_rate").last(), Some(&Some(0.0)));
        for (batch, threads) in [(1, 1), (7, 2), (50, 3), (49, 1)] {
            assert_eq!(in_pool(threads, || measure(&PLUGIN, "", &case, batch)), all);
        }
    }

    #[test]
    fn without_samples_or_a_dictionary_numbers_are_undefined() {
        let found = measure(&PLUGIN, "", &case(2, &[]), 2);
        assert!(found.metrics.iter().all(|metric| metric.value.is_none()));
        assert!(found.latents.iter().all(|column| column.values == [None, None]));
    }
}

//! Probe: how well the labels can be read off the codes by a linear classifier, multinomial logistic
//! regression with an L2 penalty. It is fitted on the training part and scored on the test part.
//!
//! - `test_probe_accuracy`: the share of test samples whose label it gets right from the codes, as
//!   they are, not rescaled.
//! - `test_probe_accuracy_raw`: the same from the samples themselves, to compare with.
//!
//! The codes and samples of both parts are held in memory while it runs, four bytes a number: 60,000
//! codes of 1,000 latents are 240 MB. A fit that does not converge leaves its number undefined, as
//! where it stopped says nothing about the codes.

use std::collections::BTreeSet;

use framework::linkme::distributed_slice;
use framework::plugin::{
    ALIASES, Alias, Best, Data, EVALUATIONS, EvaluatedBatch, Evaluation, Finding, Meant, Measure,
    Measured, Plugin, Split, Subject, Title, Unfit, When, Within,
};
use framework::spec::numbers::Positive;
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::support::logistic::{Logistic, LogisticProblem};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Probe {
    /// The weight of the data against the penalty: scikit-learn's `C`, for three classes or more;
    /// for two, half of it. Greater is freer.
    #[serde(default = "one")]
    c: Positive,
}

fn one() -> Positive {
    Positive::try_from(1.0).expect("1 is greater than 0")
}

#[distributed_slice(EVALUATIONS)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Evaluation> = Plugin {
    name: "probe",
    about: "accuracy of a logistic regression from codes to labels",
    example: "c = 1.0",
    build: |settings| Ok(Box::new(settings.read::<Probe>()?)),
    schema: schema_of::<Probe>,
};

/// Other words for it.
#[distributed_slice(ALIASES)]
#[linkme(crate = framework::linkme)]
static WORDS: Alias = Alias {
    words: &["linear-probe", "accuracy", "logistic-regression", "classifier"],
    meant: Meant::Plugin { kind: "evaluation", name: "probe" },
    about: "the evaluation `probe` fits a logistic regression from codes to labels",
    lines: "[evaluate]\n\
            kinds = [\"reconstruction\", \"sparsity\", \"probe\"]",
};

impl Evaluation for Probe {
    fn when(&self) -> When {
        When::End
    }

    fn metrics(&self) -> &[Finding] {
        &[
            ("test_probe_accuracy", Some(Best::Highest)),
            ("test_probe_accuracy_raw", Some(Best::Highest)),
        ]
    }

    fn within(&self, _: &str) -> Within {
        Within::Labels
    }

    fn title(&self, column: &str, input: &str) -> Option<Title> {
        Some(match column {
            "test_probe_accuracy" => {
                Title::new("probe accuracy", "accuracy of a classifier on the codes")
            }
            "test_probe_accuracy_raw" => {
                let long = format!("accuracy of a classifier on the {input}s themselves");
                Title::new("raw accuracy", long)
            }
            _ => return None,
        })
    }

    fn splits(&self) -> &[Split] {
        &[Split::Train, Split::Test]
    }

    fn fits(&self, data: &dyn Data) -> Result<(), Unfit> {
        for (split, name) in [(Split::Train, "training"), (Split::Test, "test")] {
            if data.labels(split).is_none() {
                let message = format!("a probe learns labels, and the {name} samples have none");
                return Err(Unfit::new("kind", message));
            }
        }
        Ok(())
    }

    fn doubt(&self, data: &dyn Data) -> Option<Unfit> {
        let classes = |split| -> BTreeSet<u32> {
            data.labels(split).into_iter().flatten().copied().collect()
        };
        let (known, asked) = (classes(Split::Train), classes(Split::Test));
        let unknown: Vec<u32> = asked.difference(&known).copied().collect();
        let (first, rest) = unknown.split_first()?;
        let name = |label: u32| {
            let name = data.class_names().get(label as usize).cloned();
            name.unwrap_or_else(|| label.to_string())
        };
        let others = match rest.len() {
            0 => String::new(),
            1 => " and of 1 other class".to_owned(),
            others => format!(" and of {others} other classes"),
        };
        let message = format!(
            "the training part has no sample of class `{}`{others} of the test part, of which a probe gets \
             every sample wrong; if the data is sorted by class, shuffle it",
            name(*first)
        );
        Some(Unfit::new("kind", message))
    }

    fn start(&self, _: &Subject<'_>) -> Result<Box<dyn Measure>, String> {
        let (train, test) = (Collected::default(), Collected::default());
        Ok(Box::new(Probing { c: self.c.get(), train, test }))
    }
}

/// A part, as far as it was seen.
#[derive(Default)]
struct Collected {
    /// [rows, latents].
    codes: Vec<f32>,
    /// [rows, inputs].
    x: Vec<f32>,
    /// [rows].
    labels: Vec<u32>,
}

struct Probing {
    c: f64,
    train: Collected,
    test: Collected,
}

impl Measure for Probing {
    fn batch(&mut self, _: &Subject<'_>, batch: &EvaluatedBatch<'_>) {
        let part = match batch.split {
            Split::Train => &mut self.train,
            Split::Test => &mut self.test,
        };
        // Data without labels was refused before; a batch without them has nothing to learn from.
        if let Some(labels) = batch.labels {
            part.codes.extend_from_slice(&batch.code.to_dense());
            part.x.extend_from_slice(batch.x);
            part.labels.extend_from_slice(labels);
        }
    }

    fn finish(self: Box<Self>, subject: &Subject<'_>) -> Result<Measured, String> {
        let Self { c, train, test } = *self;
        let labels = train.labels.iter().chain(&test.labels);
        let highest = labels.max().map_or(0, |label| *label as usize);
        let classes = subject.data.class_names().len().max(highest + 1);
        let accuracy = |train_rows: &[f32], test_rows: &[f32], features| {
            let problem = |rows, labels| LogisticProblem { rows, features, labels, classes };
            let fit = Logistic::fit(&problem(train_rows, &train.labels), c);
            if !fit.converged {
                return f64::NAN;
            }
            fit.model.accuracy(&problem(test_rows, &test.labels))
        };
        let mut measured = Measured::default();
        let from_codes = accuracy(&train.codes, &test.codes, subject.latents);
        measured.metric("test_probe_accuracy", from_codes);
        measured.metric("test_probe_accuracy_raw", accuracy(&train.x, &test.x, subject.inputs));
        Ok(measured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::testing::{ByName, Case, Samples, measure, uneven};

    /// Samples whose code has a 1 at their label and whose x says nothing.
    fn samples(labels: &[u32]) -> Samples {
        let one_hot = |label: &u32| (0..3).map(|latent| f32::from(latent == *label)).collect();
        let code = labels.iter().flat_map(|label| -> Vec<f32> { one_hot(label) }).collect();
        let x = vec![0.5; labels.len()];
        Samples { x, code, labels: Some(labels.to_vec()), ..Samples::default() }
    }

    fn case() -> Case {
        let (train, test) = (samples(&[0, 1, 2, 1, 1, 0]), samples(&[2, 1, 0, 1]));
        Case { latents: 3, train, test, ..Case::default() }
    }

    #[test]
    fn codes_that_tell_the_labels_are_read_and_inputs_that_do_not_give_the_commonest() {
        for batch in [1, 4, 100] {
            let found = measure(&PLUGIN, "", &case(), batch);
            assert_eq!(found.value("test_probe_accuracy"), Some(1.0));
            assert_eq!(found.value("test_probe_accuracy_raw"), Some(0.5));
        }
    }

    #[test]
    fn it_is_fitted_on_the_training_part_alone() {
        let mut case = case();
        case.test.labels = Some(vec![0, 0, 1, 0]);
        let found = measure(&PLUGIN, "", &case, 2);
        assert_eq!(found.value("test_probe_accuracy"), Some(0.0));
    }

    #[test]
    fn a_label_that_the_training_part_lacks_is_got_wrong() {
        let mut case = case();
        case.test.labels = Some(vec![7, 1, 0, 1]);
        assert_eq!(measure(&PLUGIN, "", &case, 2).value("test_probe_accuracy"), Some(0.75));
    }

    /// Wrong if an accuracy of 0 comes without a word where sorted data was cut.
    #[test]
    fn classes_that_cannot_be_learnt_are_told() {
        let probe = Probe { c: one() };
        let mut case = case();
        assert!(probe.doubt(&case).is_none());
        case.train.labels = Some(vec![0, 0, 0, 1, 1, 1]);
        let message = probe.doubt(&case).unwrap().message;
        assert!(message.contains("no sample of class `2` of the test part"), "{message}");
        case.train.labels = Some(vec![1; 6]);
        let message = probe.doubt(&case).unwrap().message;
        assert!(message.contains("class `0` and of 1 other class of the test part"), "{message}");
        case.test.labels = Some(vec![1; 4]);
        assert!(probe.doubt(&case).is_none(), "a class that only the training part has is learnt");
    }

    #[test]
    fn a_strong_penalty_leaves_the_commonest_class() {
        let found = measure(&PLUGIN, "c = 1e-9", &case(), 2);
        assert_eq!(found.value("test_probe_accuracy"), Some(0.5));
    }

    #[test]
    fn a_fit_that_does_not_converge_is_undefined_and_the_other_stays() {
        let mut case = case();
        case.train.code[0] = f32::NAN;
        let found = measure(&PLUGIN, "", &case, 2);
        assert_eq!(found.value("test_probe_accuracy"), None);
        assert_eq!(found.value("test_probe_accuracy_raw"), Some(0.5));
    }

    #[test]
    fn chance_gets_no_more_than_chance_does() {
        let mut case = case();
        let values = uneven(3000);
        let part = |codes: &[f32], labels: &[f32]| Samples {
            code: codes.to_vec(),
            x: vec![0.0; labels.len()],
            labels: Some(labels.iter().map(|value| (1.5 * (value + 1.0)) as u32).collect()),
            ..Samples::default()
        };
        case.train = part(&values[..900], &values[1800..2100]);
        case.test = part(&values[900..1800], &values[2100..2400]);
        let accuracy = measure(&PLUGIN, "", &case, 50).value("test_probe_accuracy").unwrap();
        assert!(accuracy < 0.5, "the labels are in no relation to the codes: {accuracy}");
    }

    #[test]
    fn labels_are_needed_for_both_parts() {
        let probe = Probe { c: one() };
        assert!(probe.fits(&case()).is_ok());
        let mut case = case();
        case.test.labels = None;
        assert!(probe.fits(&case).unwrap_err().message.contains("the test samples have none"));
        case.train.labels = None;
        assert!(probe.fits(&case).unwrap_err().message.contains("the training samples have none"));
    }
}

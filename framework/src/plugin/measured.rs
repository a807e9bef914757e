//! What a measurement finds: numbers of the run, numbers of each latent, tables and pictures.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Declared, Exhibit, ExhibitColumn, ExhibitContent, Pixels, Within};

/// A number in the results; `None` where it is undefined.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// The column: `split_metric`, as in `test_mse`.
    pub name: String,
    /// The value; one that is not finite is undefined.
    pub value: Option<f64>,
}

/// Which values of a metric are the good ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Best {
    /// The lowest, as of an error.
    Lowest,
    /// The highest, as of an accuracy.
    Highest,
    /// Those near to this one, as of a ratio that should be 1.
    #[serde(skip_deserializing)]
    Value(f64),
}

/// A metric that an evaluation finds: its name, and which of its values are good where that can be
/// said.
pub type Finding = (&'static str, Option<Best>);

/// A column of the table of latents.
#[derive(Clone, Debug, PartialEq)]
pub struct LatentColumn {
    /// The column's name.
    pub name: String,
    /// One value a latent.
    pub values: Vec<Option<f64>>,
}

/// What a measure found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Numbers of the whole run.
    pub metrics: Vec<Metric>,
    /// Numbers of each latent.
    pub latents: Vec<LatentColumn>,
    /// What metrics declare whose names [`metrics`](super::Evaluation::metrics) cannot list.
    pub declared: BTreeMap<String, Declared>,
    /// Tables and pictures.
    pub exhibits: Vec<Exhibit>,
}

impl Measured {
    /// Adds a number of the whole run; one that is not finite becomes undefined.
    pub fn metric(&mut self, name: impl Into<String>, value: f64) {
        let value = value.is_finite().then_some(value);
        self.metrics.push(Metric { name: name.into(), value });
    }

    /// Says which values of a metric are good, and what it depends on, where
    /// [`metrics`](super::Evaluation::metrics) does not list it: its name is made at run time.
    pub fn declare(&mut self, name: impl Into<String>, best: Option<Best>, within: Within) {
        self.declared.insert(name.into(), Declared::new(best, within));
    }

    /// Adds a number of each latent.
    pub fn latent_column(
        &mut self,
        name: impl Into<String>,
        values: impl IntoIterator<Item = f64>,
    ) {
        let values = values.into_iter().map(|value| value.is_finite().then_some(value)).collect();
        self.latents.push(LatentColumn { name: name.into(), values });
    }

    /// Adds a table, stored and shown under this name.
    pub fn table(
        &mut self,
        name: impl Into<String>,
        caption: impl Into<String>,
        columns: Vec<ExhibitColumn>,
    ) {
        self.exhibit(name.into(), caption.into(), ExhibitContent::Table(columns));
    }

    /// Adds a picture, stored and shown under this name.
    pub fn picture(&mut self, name: impl Into<String>, caption: impl Into<String>, pixels: Pixels) {
        self.exhibit(name.into(), caption.into(), ExhibitContent::Picture(pixels));
    }

    fn exhibit(&mut self, name: String, caption: String, content: ExhibitContent) {
        self.exhibits.push(Exhibit { name, caption, evaluation: String::new(), content });
    }

    /// Adds what another measure found.
    pub(crate) fn extend(&mut self, other: Self) {
        self.metrics.extend(other.metrics);
        self.latents.extend(other.latents);
        self.declared.extend(other.declared);
        self.exhibits.extend(other.exhibits);
    }

    /// Checks that its exhibits can be stored: each by itself, and no two under one name.
    ///
    /// # Errors
    /// What cannot be stored.
    pub(crate) fn check_exhibits(&self) -> Result<(), String> {
        let Self { exhibits, .. } = self;
        if exhibits.len() > Exhibit::MOST {
            let (most, all) = (Exhibit::MOST, exhibits.len());
            return Err(format!("a run has at most {most} tables and pictures, not {all}"));
        }
        for (at, exhibit) in exhibits.iter().enumerate() {
            let of = |problem| format!("the evaluation `{}`: {problem}", exhibit.evaluation);
            exhibit.check().map_err(of)?;
            if exhibits[..at].iter().any(|other| other.name == exhibit.name) {
                let problem = format!("the name `{}` is taken by another exhibit", exhibit.name);
                return Err(of(problem));
            }
        }
        Ok(())
    }

    /// Returns the same as the evaluation of this name finds it, with every name of a result changed.
    pub(super) fn renamed(mut self, evaluation: &str, rename: impl Fn(&str) -> String) -> Self {
        for exhibit in &mut self.exhibits {
            exhibit.evaluation = evaluation.to_owned();
            exhibit.name = rename(&exhibit.name);
        }
        self.metrics.iter_mut().for_each(|metric| metric.name = rename(&metric.name));
        self.latents.iter_mut().for_each(|column| column.name = rename(&column.name));
        for at in self.declared.values_mut().filter_map(|declared| declared.at.as_mut()) {
            at.curve = rename(&at.curve);
            if let Some(baseline) = &mut at.baseline {
                baseline.column = rename(&baseline.column);
            }
        }
        let declared = self.declared.into_iter();
        self.declared = declared.map(|(name, declared)| (rename(&name), declared)).collect();
        self
    }
}

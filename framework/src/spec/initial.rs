//! The section `[init]`: what the parameters of a run start from.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::node::Node;
use super::numbers::Positive;
use super::run::Section;
use super::settings::Settings;
use super::train::Parsed;
use crate::diagnostics::Diagnostic;

/// Which parameters of a stored model are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InitPart {
    /// All that the run has too.
    #[default]
    All,
    /// Those of the encoder.
    Encoder,
}

/// What the encoder's matrix starts as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InitEncoder {
    /// What the architecture says.
    #[default]
    Own,
    /// The transpose of the dictionary as it starts.
    Decoder,
}

/// What the decoder's last bias starts as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InitBias {
    /// Zeros.
    #[default]
    Zero,
    /// The mean of the first training rows.
    Mean,
    /// Their geometric median: the point with the least sum of distances to them.
    Median,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InitTable {
    /// Stored model to start from, a `model.safetensors` or the folder of a run: parameters of the same names and
    /// shapes are taken, the others start as without it. Its `normalize.*` and the state of its penalty are not
    /// taken.
    from: Option<String>,
    /// Which of its parameters are taken.
    #[serde(default)]
    part: InitPart,
    /// Euclidean norm that each row of the dictionary starts with; not given, rows start as long as they are drawn.
    /// Needs a dictionary that is one matrix.
    decoder_norm: Option<Positive>,
    /// What the matrix that makes the code starts as: its own draw, or the transpose of the dictionary as it
    /// starts.
    #[serde(default)]
    encoder: InitEncoder,
    /// What the decoder's last bias starts as: zeros, or the mean or the geometric median of the first 10,000
    /// training rows as the model sees them. Before a sigmoid it is what the sigmoid makes that of, with values
    /// beyond 0.01 and 0.99 taken for these.
    #[serde(default)]
    bias: InitBias,
}

/// Settings that results show only where they say something: runs were stored before these existed.
const SHOWN_IF_SAID: [&str; 3] = ["decoder_norm", "encoder", "bias"];

/// What parameters start from, and where in the file that is said.
#[derive(Debug)]
pub struct Initial {
    /// The stored model, if parameters are taken from one.
    pub from: Option<InitFrom>,
    /// The norm that each row of the dictionary starts with, if one is given.
    pub decoder_norm: Option<f64>,
    /// What the encoder's matrix starts as.
    pub encoder: InitEncoder,
    /// What the decoder's last bias starts as.
    pub bias: InitBias,
    settings: Settings,
}

/// A stored model to start from.
#[derive(Clone, Debug)]
pub struct InitFrom {
    /// Where it is, as it is written, from the folder of the experiment file.
    path: PathBuf,
    /// Which of its parameters are taken.
    pub part: InitPart,
}

impl InitFrom {
    /// Returns the path of the model's file: the one named, or the one in the folder named.
    #[allow(clippy::disallowed_methods, reason = "the model lies where the experiment file says")]
    pub fn file(&self) -> PathBuf {
        match self.path.is_dir() {
            true => self.path.join("model.safetensors"),
            false => self.path.clone(),
        }
    }
}

impl Initial {
    /// Returns a problem with one of the settings, at its place in the file.
    pub(crate) fn problem(&self, key: &str, message: &str) -> Diagnostic {
        self.settings.problem(key, message)
    }
}

/// Reads the section; one without settings takes nothing.
pub(super) fn read_init(node: &Node) -> Parsed<Section<Initial>> {
    if node.as_table().is_none() {
        let message = format!("`init` is a table, got {}", node.type_name());
        let help = "as in init = { from = \"model.safetensors\" }";
        return Err(vec![Diagnostic::at(&node.origin, message).help(help)]);
    }
    let settings = Settings::new("init", node.clone());
    let InitTable { from, part, decoder_norm, encoder, bias } = settings.read::<InitTable>()?;
    if from.is_none() && part != InitPart::All {
        return Err(vec![settings.problem("part", "it says nothing without `from`")]);
    }
    if from.as_ref().is_some_and(String::is_empty) {
        return Err(vec![
            settings.problem("from", "expected the path of a stored model, got none"),
        ]);
    }
    let from = from.map(|from| InitFrom { path: settings.path("from", &from), part });
    let mut resolved = settings.take_resolved();
    for key in SHOWN_IF_SAID.into_iter().filter(|key| !resolved.changed.contains_key(*key)) {
        resolved.all.shift_remove(key);
    }
    if from.is_none() {
        resolved.all.shift_remove("from");
        resolved.all.shift_remove("part");
    }
    let decoder_norm = decoder_norm.map(Positive::get);
    let initial = Initial { from, decoder_norm, encoder, bias, settings };
    Ok(Section::new(initial, None, resolved))
}

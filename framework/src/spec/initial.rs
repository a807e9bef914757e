//! The section `[init]`: what the parameters of a run start from.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::node::Node;
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
}

/// What parameters start from, and where in the file that is said.
#[derive(Debug)]
pub struct Initial {
    /// The stored model, if parameters are taken from one.
    pub from: Option<InitFrom>,
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
    /// Returns a problem with the stored model, at its place in the file.
    pub(crate) fn problem(&self, message: &str) -> Diagnostic {
        self.settings.problem("from", message)
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
    let InitTable { from, part } = settings.read::<InitTable>()?;
    if from.is_none() && part != InitPart::All {
        return Err(vec![settings.problem("part", "it says nothing without `from`")]);
    }
    if from.as_ref().is_some_and(String::is_empty) {
        return Err(vec![
            settings.problem("from", "expected the path of a stored model, got none"),
        ]);
    }
    let from = from.map(|from| InitFrom { path: settings.path("from", &from), part });
    let resolved = settings.take_resolved();
    Ok(Section::new(Initial { from, settings }, None, resolved))
}

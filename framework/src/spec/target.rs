//! The section `[target]`: how sparse codes are to be, in place of a strength that leads there.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::node::{KeyValue, Node, Value};
use super::numbers::{Positive, PositiveShare, Rate, valid};
use super::run::{RunId, RunSpec, Section};
use super::sections::Parts;
use super::settings::Settings;
use super::train::{Parsed, Train, TrainLength};
use super::variants::of_plugin;
use crate::diagnostics::Diagnostic;
use crate::plugin::{self, Built, CodeRange, PENALTIES, Penalty, StrengthKey};
use crate::search::{Goal, Quantity};

/// Share of the steps after which a weight that is steered to a target stays what it is.
pub const STEERED_UNTIL: f64 = 0.9;

/// How the strength that leads to a target is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TargetMethod {
    /// By several trainings, each with another strength, until one has what is to be reached.
    #[default]
    Search,
    /// In one training that steers the weights of the penalty while it goes on.
    Control,
}

impl TargetMethod {
    /// Returns true if several trainings find the strength.
    pub fn is_search(&self) -> bool {
        *self == Self::Search
    }
}

/// What is to be reached: one of `l0`, `share` and `mean_activation`. The strength of the penalty is searched
/// for, from the value that is written or, where none is, from that of the plugin's example.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The mean number of active latents of a test sample that codes are to have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l0: Option<Positive>,
    /// The same as a share of the latents: L0 divided by their number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<PositiveShare>,
    /// The mean of the codes over all test samples and latents, as results have it in `test_mean_activation`. Of
    /// codes that are never negative.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_activation: Option<Positive>,
    /// How far from it is near enough, as a share of it.
    #[serde(default = "five_percent")]
    pub tolerance: Rate,
    /// `search`: trainings with one strength after another find the one that leads there. `control`: one training
    /// multiplies the weights of the penalty's own terms by what a controller says, which follows the L0 of the
    /// batches and stands still over the last tenth of the steps. For `l0` and `share`, and for penalties whose
    /// strength is a weight.
    #[serde(default, skip_serializing_if = "TargetMethod::is_search")]
    pub method: TargetMethod,
}

fn five_percent() -> Rate {
    valid(0.05)
}

impl Target {
    /// The quantity that is to be reached and the value that is written.
    pub fn wanted(&self) -> (Quantity, f64) {
        let share = || Some((Quantity::Share, self.share?.get()));
        let mean = || Some((Quantity::MeanActivation, self.mean_activation?.get()));
        let l0 = self.l0.map(|l0| (Quantity::L0, l0.get()));
        // A section is read with exactly one of them.
        l0.or_else(share).or_else(mean).unwrap_or((Quantity::L0, f64::NAN))
    }

    /// What keeps codes of this range from the target.
    pub(super) fn misfit(&self, range: CodeRange) -> Option<String> {
        let mean = self.mean_activation?.get();
        match range {
            CodeRange::NonNegative => None,
            CodeRange::Unit if mean < 1.0 => None,
            CodeRange::Unit => Some(format!(
                "target: mean_activation: codes are below 1, so their mean cannot be {mean}"
            )),
            CodeRange::Real | CodeRange::Symmetric => Some(
                "target: mean_activation: these codes can be negative, and then their mean does not say how sparse \
                 they are"
                    .to_owned(),
            ),
        }
    }
}

/// Reads the section; one without settings is none.
pub(super) fn read_target(node: &Node) -> Parsed<Section<Option<Target>>> {
    if node.as_table().is_some_and(|table| table.entries.is_empty()) {
        return Ok(Section::new(None, None, Default::default()));
    }
    if node.as_table().is_none() {
        let message = format!("`target` is a table, got {}", node.type_name());
        return Err(vec![Diagnostic::at(&node.origin, message).help("as in target = { l0 = 25 }")]);
    }
    let settings = Settings::new("target", node.clone());
    let target = settings.read::<Target>()?;
    one_quantity(node)?;
    Ok(Section::new(Some(target), None, settings.take_resolved()))
}

/// Refuses a section that gives several quantities, or none.
fn one_quantity(node: &Node) -> Parsed<()> {
    let table = node.as_table();
    let written = Quantity::ALL.iter().filter_map(|quantity| table?.get(quantity.key()));
    let written: Vec<_> = written.collect();
    let quote = |key: &str| format!("`{key}`");
    match written[..] {
        [_] => Ok(()),
        [] => {
            let keys = Quantity::ALL.map(|quantity| quote(quantity.key()));
            let message = format!("target: one of {} is missing", keys.join(", "));
            let help = "l0 = 25 aims at 25 active latents of a sample, share = 0.05 at 5 % of the latents, and \
                        mean_activation = 0.05 at codes of this mean";
            Err(vec![Diagnostic::at(&node.origin, message).help(help)])
        }
        [first, ref others @ ..] => {
            let keys: Vec<String> = written.iter().map(|entry| quote(&entry.key)).collect();
            let message =
                format!("target: {} each say how sparse codes are to be", keys.join(" and "));
            let problem = Diagnostic::at(&first.key_origin, message).help("give one of them");
            let also = |problem: Diagnostic, other: &&KeyValue| {
                problem.related(&other.key_origin, "this says it too")
            };
            Err(vec![others.iter().fold(problem, also)])
        }
    }
}

/// Reads the penalty of a run that has a target: its strength need not be written.
pub(super) fn read_searched(node: &Node) -> Parsed<Section<Built<dyn Penalty>>> {
    let problems = match plugin::build("penalty", &PENALTIES, node) {
        Ok(built) => return Ok(of_plugin(built)),
        Err(problems) => problems,
    };
    match with_strength(node) {
        Some(node) => plugin::build("penalty", &PENALTIES, &node).map(of_plugin),
        None => Err(problems),
    }
}

impl RunSpec {
    /// What this run is to reach; `None` if it has no target.
    pub fn goal(&self) -> Option<Goal> {
        let target = self.target.value?;
        let penalty = &self.penalty;
        let key = penalty.value.plugin.strength()?;
        let written = |key: &str| penalty.settings.get(key).and_then(Json::as_f64);
        let latents = self.architecture.value.plugin.latents();
        let (quantity, wanted) = target.wanted();
        let pull = penalty.value.plugin.pulls_mean_to();
        Some(Goal {
            value: if quantity == Quantity::Share { wanted * latents as f64 } else { wanted },
            quantity,
            tolerance: target.tolerance.get(),
            method: target.method,
            key,
            start: written(key.key())?,
            second: key.second().and_then(written),
            pull: pull.filter(|_| quantity == Quantity::MeanActivation),
            latents,
        })
    }

    /// What several trainings search for in this run; `None` if it has no target, or steers a weight to it.
    pub fn searched(&self) -> Option<Goal> {
        self.goal().filter(|goal| goal.method == TargetMethod::Search)
    }

    /// What a controller steers to while this run trains; `None` if none does.
    pub fn controlled(&self) -> Option<Goal> {
        self.goal().filter(|goal| goal.method == TargetMethod::Control)
    }

    /// The run as one of the trainings of a search for its target: a short one, of so many steps, that
    /// is called `name`.
    pub fn shortened(&self, name: RunId, steps: usize) -> Self {
        let Section { value, settings, canonical } = &*self.train;
        let value = Train { length: TrainLength::Steps(steps), ..value.clone() };
        let (settings, canonical) = (settings.clone(), canonical.clone());
        let train = Arc::new(Section { value, settings, canonical });
        Self { id: name, parts: Parts { train, ..self.parts.clone() }, ..self.clone() }
    }

    /// The run with another strength of its penalty; its name and its target stay.
    ///
    /// # Errors
    /// If the penalty cannot have this strength.
    pub fn with_strength(&self, strength: f64) -> Result<Self, Vec<Diagnostic>> {
        let penalty = &self.penalty.value;
        let (settings, kind) = (&penalty.settings, penalty.kind);
        let origin = settings.origin_of("kind").clone();
        let mut node = settings.node().clone();
        let mut set = |key: &str, value| {
            let value = Node { origin: origin.clone(), value };
            node.set_path(&[key], &origin, value).map_err(|problem| vec![problem])
        };
        set("kind", Value::String(kind.to_owned()))?;
        let key = penalty.plugin.strength();
        match key {
            Some(
                StrengthKey::Weight(key)
                | StrengthKey::Weights(key, _)
                | StrengthKey::MeanCount(key),
            ) => {
                set(key, Value::Float(strength))?;
            }
            Some(StrengthKey::Count(key)) => set(key, Value::Integer(strength as i64))?,
            None => {}
        }
        if let Some(second) = key.and_then(StrengthKey::second)
            && let Some(other) = self.goal().and_then(|goal| goal.second_at(strength))
        {
            set(second, Value::Float(other))?;
        }
        let penalty = Arc::new(plugin::build("penalty", &PENALTIES, &node).map(of_plugin)?);
        Ok(Self { parts: Parts { penalty, ..self.parts.clone() }, ..self.clone() })
    }
}

/// The section with the strength of the plugin's example, if it has none of its own; of two weights, if it has
/// neither.
fn with_strength(node: &Node) -> Option<Node> {
    let table = node.as_table()?;
    let kind = table.get("kind")?;
    let row = PENALTIES.iter().find(|row| Some(row.name) == kind.node.as_str())?;
    let example = row.example(kind.node.origin.base()).ok()?;
    let strength = example.plugin.strength()?;
    let keys = || std::iter::once(strength.key()).chain(strength.second());
    if keys().any(|key| table.get(key).is_some()) {
        return None;
    }
    let mut node = node.clone();
    for key in keys() {
        let value = example.settings.node().as_table()?.get(key)?.node.value.clone();
        let value = Node { origin: kind.node.origin.clone(), value };
        node.set_path(&[key], &kind.key_origin, value).ok()?;
    }
    Some(node)
}

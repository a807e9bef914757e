//! Which engine trains a run: the only place that chooses one.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};
use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json};

use super::EngineKind;
pub use crate::fused::FUSED;
use crate::model::Definition;
pub use crate::reference::REFERENCE;
use crate::spec::RunSpec;

/// Every engine; `auto` takes the first that covers a run. The last one covers every run.
pub const ENGINES: [EngineKind; 2] = [FUSED, REFERENCE];

/// What `train.engine` can say.
const NAMES: [&str; ENGINES.len() + 1] = {
    let mut names = ["auto"; ENGINES.len() + 1];
    let mut at = 0;
    while at < ENGINES.len() {
        names[at + 1] = ENGINES[at].name;
        at += 1;
    }
    names
};

/// The value of `train.engine`: an engine by its name, or `auto`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineChoice(pub Option<EngineKind>);

impl EngineKind {
    /// The engine of a run: the one that was asked for, or the first that covers it.
    pub fn of(run: &RunSpec) -> Self {
        let EngineChoice(named) = run.train.value.engine;
        named.unwrap_or_else(|| Self::covering(&Definition::of(run)))
    }

    /// The engine that `auto` takes for a run in place of the fastest, and why the fastest does not train it;
    /// `None` where it takes the fastest or the file names one.
    pub fn fallback(run: &RunSpec) -> Option<(Self, &'static str)> {
        if run.train.value.engine.0.is_some() {
            return None;
        }
        let (definition, [fastest, ..]) = (Definition::of(run), ENGINES);
        let reason = (fastest.covers)(&definition).err()?;
        Some((Self::covering(&definition), reason))
    }

    /// The first engine that covers a model.
    pub fn covering(definition: &Definition<'_>) -> Self {
        let [others @ .., last] = ENGINES;
        others.into_iter().find(|engine| (engine.covers)(definition).is_ok()).unwrap_or(last)
    }
}

impl Serialize for EngineChoice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.map_or("auto", |engine| engine.name))
    }
}

impl<'de> Deserialize<'de> for EngineChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        match ENGINES.into_iter().find(|engine| engine.name == name) {
            Some(engine) => Ok(Self(Some(engine))),
            None if name == "auto" => Ok(Self(None)),
            None => Err(D::Error::unknown_variant(&name, &NAMES)),
        }
    }
}

impl JsonSchema for EngineChoice {
    fn schema_name() -> Cow<'static, str> {
        "EngineChoice".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let choice = |name: &str, about: &str| json!({ "type": "string", "const": name, "description": about });
        let engines = ENGINES.iter().map(|engine| choice(engine.name, engine.about));
        let auto = choice("auto", "The fastest that covers the run.");
        let all: Vec<Json> = std::iter::once(auto).chain(engines).collect();
        json_schema!({ "oneOf": all, "description": "Which engine trains." })
    }
}

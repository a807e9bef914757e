//! The JSON Schema of an experiment file, for editors: made from the structs that read the file and
//! from every registered plugin, with their documentation, defaults and ranges.
//!
//! It never refuses a valid file, with one exception: what a section says has to be right even where
//! an axis replaces it. It cannot know what needs more than one value: whether a penalty fits an
//! architecture, or whether two points are the same run.

mod definitions;
mod grid;

use serde_json::{Map, Value as Json, json};

use self::definitions::KindSchema;
pub(super) use self::definitions::{Definitions, SectionSchema};
use super::evaluate::{EvaluateTable, MOST_LETTERS};
use super::experiment::defaults_text;
use super::initial::InitTable;
use super::optimizer::Optimizer;
use super::run::Normalize;
use super::running::RunSettings;
use super::schedule::Schedule;
use super::sections::SECTION_ROWS;
use super::settings::schema_of;
use super::slurm;
use super::target::Target;
use super::train::TrainTable;
use crate::plugin::kinds;
use crate::search::Quantity;

/// The JSON Schema (draft 2020-12) of an experiment file with the plugins of this program.
pub fn experiment_schema() -> Json {
    let mut definitions = Definitions::default();
    let sections: Vec<(&'static str, SectionSchema)> =
        SECTION_ROWS.iter().map(|row| (row.name, (row.schema)(&mut definitions))).collect();
    let evaluate = evaluate(&mut definitions);
    let mut run = definitions.import("run", schema_of::<RunSettings>());
    run["description"] = json!("What does not change results.");
    let grid = grid::grid(&mut definitions, &sections);

    let mut properties = Map::new();
    properties.insert("include".into(), include());
    properties.insert("name".into(), name());
    properties.insert("seeds".into(), seeds());
    for (name, section) in &sections {
        properties.insert((*name).into(), section.schema.clone());
    }
    let slurm = slurm::schema();
    properties
        .extend([("evaluate", evaluate), ("run", run), ("slurm", slurm), ("grid", grid)].map(own));
    let defaults = defaults();
    let needs: Vec<Json> = sections
        .iter()
        .flat_map(|(name, section)| grid::needs(name, section, !defaults.contains_key(*name)))
        .collect();
    for (name, default) in defaults {
        properties[&name]["default"] = default;
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "An experiment of saegrid",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        // What is missing here may be in an included file.
        "if": { "not": { "required": ["include"] } },
        "then": { "required": ["name"], "allOf": needs },
        "$defs": definitions.0,
    })
}

fn own((name, schema): (&str, Json)) -> (String, Json) {
    (name.to_owned(), schema)
}

fn include() -> Json {
    json!({
        "description": "Files that this one builds on, found from its folder; what is written later wins, and what is written here over all of them.",
        "type": "array", "items": { "type": "string", "minLength": 1 },
    })
}

fn name() -> Json {
    json!({
        "description": "The name of the experiment and of the folder of its results.",
        "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$", "maxLength": 200,
    })
}

fn seeds() -> Json {
    json!({
        "description": "Every point of the grid is run with each of these.",
        "type": "array", "items": { "type": "integer", "minimum": 0 },
        "minItems": 1, "uniqueItems": true,
    })
}

/// The whole sections and lists that stand for what a file leaves out.
fn defaults() -> Map<String, Json> {
    match toml::from_str(&defaults_text()) {
        Ok(all) => all,
        Err(problem) => unreachable!("defaults.toml does not parse: {problem}"),
    }
}

/// The schema of `[dataset]`.
pub(super) fn dataset(definitions: &mut Definitions) -> SectionSchema {
    let normalize = normalize(definitions);
    plugins_with(definitions, "dataset", &decides("The data."), &normalize)
}

/// The schema of a section whose kinds are the plugins of that name.
pub(super) fn plugins(definitions: &mut Definitions, name: &str, about: &str) -> SectionSchema {
    plugins_with(definitions, name, &decides(about), &Map::new())
}

fn decides(about: &str) -> String {
    format!("{about} Its kind decides which settings there are.")
}

/// The same with settings that every kind has.
fn plugins_with(
    definitions: &mut Definitions,
    name: &str,
    about: &str,
    shared: &Map<String, Json>,
) -> SectionSchema {
    let rows = kinds().into_iter().filter(|(kind, _)| *kind == name).flat_map(|(_, rows)| rows);
    let kinds = rows.map(|row| KindSchema {
        name: row.name,
        about: row.about.to_owned(),
        schema: row.schema,
    });
    definitions.choice(name, about, kinds.collect(), shared, None)
}

/// The schema of the list `auxiliary`.
pub(super) fn auxiliary(definitions: &mut Definitions) -> SectionSchema {
    let about = "What trains beside the penalty: terms of the loss, and interventions.";
    let entry = plugins(definitions, "auxiliary", about);
    definitions.list("auxiliary", about, entry)
}

/// `normalize`, which is for every dataset.
fn normalize(definitions: &mut Definitions) -> Map<String, Json> {
    let mut schema = definitions.import("dataset.normalize", schema_of::<Normalize>());
    schema["default"] = json!(Normalize::default());
    Map::from_iter([("normalize".to_owned(), schema)])
}

/// The schema of `[target]`.
pub(super) fn target(definitions: &mut Definitions) -> SectionSchema {
    let mut table = schema_of::<Target>();
    let about =
        "How sparse codes are to be, in place of a strength of the penalty that leads there.";
    table["description"] = json!(about);
    let table = definitions.import("target", table);
    let mut target = definitions.table("target", table);
    // Without a key it is no target; otherwise it is that of one quantity.
    let required = |quantity: &Quantity| json!({ "required": [quantity.key()] });
    let mut one: Vec<Json> = Quantity::ALL.iter().map(required).collect();
    one.push(json!({ "maxProperties": 0 }));
    target.complete = json!({ "oneOf": one });
    target
}

/// The schema of `[init]`.
pub(super) fn init(definitions: &mut Definitions) -> SectionSchema {
    let mut table = schema_of::<InitTable>();
    table["description"] = json!("What parameters start from.");
    let table = definitions.import("init", table);
    definitions.table("init", table)
}

/// The schema of `[train]`.
pub(super) fn train(definitions: &mut Definitions) -> SectionSchema {
    let mut table = definitions.import("train", schema_of::<TrainTable>());
    table["description"] =
        json!("How long training goes on, in what batches and with which optimizer.");
    let mut tagged = |key: &str, about: &str, names: &[&'static str], schemas: Vec<Json>| {
        let kind = |(name, schema): (&&'static str, Json)| {
            let about = schema["description"].as_str().unwrap_or_default().to_owned();
            KindSchema { name, about, schema }
        };
        let kinds = names.iter().zip(schemas).map(kind);
        let name = format!("train.{key}");
        let choice =
            definitions.choice(&name, about, kinds.collect(), &Map::new(), names.first().copied());
        table["properties"][key] = choice.schema;
    };
    let optimizer = "How parameters move along their gradients.";
    tagged("optimizer", optimizer, Optimizer::KINDS, Optimizer::schemas().into());
    let schedule = "How the learning rate changes over the run.";
    tagged("schedule", schedule, Schedule::KINDS, Schedule::schemas().into());
    let mut train = definitions.table("train", table);
    train.complete["not"] = json!({ "required": ["epochs", "steps"] });
    train
}

fn evaluate(definitions: &mut Definitions) -> Json {
    let about = "An evaluation with its settings.";
    let name = json!({
        "description": "The name that its results go by, in place of its kind: an evaluation may stand more than once, each time under another name.",
        "type": "string", "pattern": "^[a-z][a-z0-9_]*$", "maxLength": MOST_LETTERS,
    });
    let shared = Map::from_iter([("name".to_owned(), name)]);
    let evaluation = plugins_with(definitions, "evaluation", about, &shared);
    let names = definitions.0["evaluation"]["properties"]["kind"].clone();
    let with_settings = json!({ "allOf": [evaluation.schema, evaluation.complete] });
    let mut table = definitions.import("evaluate", schema_of::<EvaluateTable>());
    table["description"] = json!("What is measured, and how often.");
    table["properties"]["kinds"] = json!({
        "description": "The evaluations: names, or tables with a `kind` where settings or a name are given.",
        "type": "array", "items": { "anyOf": [names, with_settings] },
    });
    table
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::spec::experiment::top_level;

    /// Wrong if the reader had learnt a key that editors would mark as a mistake.
    #[test]
    fn the_schema_has_the_keys_of_the_reader() {
        let schema = experiment_schema();
        let keys: BTreeSet<&str> =
            schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, top_level().into_iter().collect());
    }
}

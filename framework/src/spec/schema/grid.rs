//! `[grid]`: axes over settings and whole sections, and what they change about the sections.
//!
//! Keys without a dot that are no section are let through: the grid's own, of which the reader says
//! more than a schema could.

use serde_json::{Map, Value as Json, json};

use super::definitions::{Definitions, SectionSchema};
use crate::spec::experiment::top_level;
use crate::spec::random::RANDOM_KEYS;
use crate::spec::sections::{SECTIONS, is_list};

/// The schema of `[grid]`.
pub fn grid(definitions: &mut Definitions, sections: &[(&'static str, SectionSchema)]) -> Json {
    let range = definitions.add("range", range());
    let drawn = definitions.add("drawn", drawn());
    let (mut axes, mut random) = (Map::new(), Map::new());
    for (name, section) in sections {
        let (mut inner, mut inner_random) = (Map::new(), Map::new());
        for (setting, places) in &section.settings {
            let list = json!({ "type": "array", "minItems": 1, "items": { "anyOf": places } });
            let path = format!("{name}.{setting}");
            let axis = json!({
                "description": format!("The values that `{path}` takes: a list or a range."),
                "anyOf": [list, range],
            });
            let axis = definitions.add(&format!("axis.{path}"), axis);
            axes.insert(path.clone(), axis.clone());
            inner.insert(setting.clone(), axis);
            let choice = json!({ "properties": { "choice": list } });
            let about = format!("What `{path}` is drawn from.");
            let axis = json!({ "description": about, "allOf": [drawn, choice] });
            let axis = definitions.add(&format!("random.{path}"), axis);
            random.insert(path, axis.clone());
            inner_random.insert(setting.clone(), axis);
        }
        // The names of a list's entries follow from their places, so here any may stand.
        let is_list = is_list(name);
        let whole = json!({ "type": "array", "minItems": 1, "items": section.schema });
        // `penalty.rho` without quotes is a table in a table.
        let nested = |inner: Map<String, Json>| match is_list {
            true => json!({ "type": "object" }),
            false => json!({
                "type": "object", "properties": inner, "patternProperties": { r"\.": {} },
                "additionalProperties": false,
            }),
        };
        let what = if is_list { "list" } else { "section" };
        let about = format!("Each value is a whole {what} `{name}`.");
        let sections = json!({ "description": about, "anyOf": [whole, nested(inner)] });
        axes.insert((*name).into(), sections);
        let choice = json!({ "required": ["choice"], "properties": { "choice": whole } });
        let sections = json!({ "description": about, "anyOf": [choice, nested(inner_random)] });
        random.insert((*name).into(), sections);
    }
    let names: Vec<&String> = axes.keys().collect();
    let never: Vec<&str> =
        top_level().into_iter().filter(|name| !SECTIONS.contains(name)).chain(["seed"]).collect();
    let deep = format!(r"^({})\.[^.]+\.", SECTIONS.join("|"));
    let keys = json!({
        "anyOf": [{ "enum": names }, { "pattern": deep }, { "pattern": r"^[^.]+$" }],
        "not": { "enum": never },
    });
    let axes = json!({ "type": "object", "properties": axes, "propertyNames": keys });
    let axes = definitions.add("axes", axes);
    random.extend(samples());
    let random = json!({
        "type": "object", "properties": random, "propertyNames": {
            "anyOf": [{ "enum": RANDOM_KEYS }, keys],
        },
        "required": ["samples"], "minProperties": 2,
    });
    json!({
        "description": "What varies: each key is an axis with its values, and every combination is run.",
        "allOf": [axes],
        "properties": {
            "zip": {
                "description": "Blocks of axes that move together.",
                "type": "array",
                "items": axes,
            },
            "random": {
                "description": "Blocks of axes whose values are drawn at random, together.",
                "type": "array",
                "items": random,
            },
        },
    })
}

/// What a block `[[grid.random]]` has besides its axes.
fn samples() -> Map<String, Json> {
    let samples = json!({
        "description": "How often the axes of this block are drawn; more of it leaves the first as they are.",
        "type": "integer", "minimum": 1, "maximum": 1_000_000,
    });
    let seed = json!({
        "description": "What drives the randomness.", "type": "integer", "minimum": 0, "default": 0,
    });
    Map::from_iter([("samples".to_owned(), samples), ("seed".to_owned(), seed)])
}

/// A distribution, but for what it may choose from.
fn drawn() -> Json {
    let ends = |about: &str, least: Json| {
        json!({
            "description": about, "type": "array", "items": least, "minItems": 2, "maxItems": 2,
        })
    };
    let uniform =
        "Numbers between these, all as likely; whole numbers between whole numbers, both included.";
    let log_uniform =
        "Numbers between these, all ratios as likely; whole numbers between whole ones.";
    let kinds = ["uniform", "log_uniform", "choice"].map(|kind| json!({ "required": [kind] }));
    json!({
        "type": "object",
        "properties": {
            "uniform": ends(uniform, json!({ "type": "number" })),
            "log_uniform": ends(log_uniform, json!({ "type": "number", "exclusiveMinimum": 0 })),
            "choice": { "description": "One of these, all as likely." },
            "step": {
                "description": "The step between whole numbers that are `uniform`.",
                "type": "integer", "minimum": 1, "default": 1,
            },
        },
        "dependentRequired": { "step": ["uniform"] },
        "additionalProperties": false,
        "oneOf": kinds,
    })
}

fn range() -> Json {
    let ends =
        |least: Json| json!({ "type": "array", "items": least, "minItems": 2, "maxItems": 2 });
    let mut log = ends(json!({ "type": "number", "exclusiveMinimum": 0 }));
    log["description"] = json!("The first and last value; `points` values in equal ratios.");
    let mut linear = ends(json!({ "type": "number" }));
    linear["description"] = json!("The first and last value; `points` values in equal steps.");
    let points = json!({
        "description": "How many values there are, both ends included.",
        "type": "integer", "minimum": 1, "maximum": 1_000_000,
    });
    json!({
        "type": "object",
        "properties": { "log": log, "linear": linear, "points": points },
        "not": { "required": ["log", "linear"] },
    })
}

/// What is needed only where no axis can give it: the keys of a section and of the whole sections
/// that an axis lists.
pub fn needs(name: &str, section: &SectionSchema, must_be_there: bool) -> [Json; 2] {
    // The strength of a penalty need not be given where a target has it found.
    let has_no_part = |other: &&str| *other != name && (name, *other) != ("penalty", "target");
    let others: Vec<&str> = SECTIONS.into_iter().filter(has_no_part).collect();
    let elsewhere = format!(r"^({})(\.|$)|^zip$", others.join("|"));
    let complete = &section.complete;
    let mut written = json!({ "properties": { name: complete } });
    if must_be_there {
        written["required"] = json!([name]);
    }
    let mut no_axis_within = with_axes(&json!({
        "propertyNames": { "pattern": format!("{elsewhere}|^{name}$") },
    }));
    no_axis_within["properties"]["grid"]["properties"][name] = json!({ "type": "array" });
    let listed = json!({ "properties": { name: { "items": complete } } });
    let mut no_axis = with_axes(&json!({ "propertyNames": { "pattern": elsewhere } }));
    if name == "penalty" {
        for condition in [&mut no_axis, &mut no_axis_within] {
            condition["not"] = json!({ "required": ["target"] });
        }
    }
    [
        json!({ "if": no_axis, "then": written }),
        json!({ "if": no_axis_within, "then": with_axes(&listed) }),
    ]
}

/// What holds for the axes of the grid and of all its blocks.
fn with_axes(schema: &Json) -> Json {
    let mut grid = schema.clone();
    grid["properties"]["zip"] = json!({ "items": schema });
    json!({ "properties": { "grid": grid } })
}

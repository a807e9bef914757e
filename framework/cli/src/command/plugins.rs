//! `plugins`: lists the plugins, or shows the settings of one.

use std::path::Path;

use clap::Args;
use framework::diagnostics::{Diagnostic, did_you_mean};
use framework::plugin::{PENALTIES, PluginRow, StrengthKey, kinds};
use serde_json::{Value as Json, json};
use store::exit::{Exit, Failure};

use super::{print, print_json, show};

#[derive(Args)]
pub struct Arguments {
    /// Kind of plugin: architecture, auxiliary, corruption, dataset, evaluation or penalty
    kind: Option<String>,
    /// Name of one plugin
    name: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub fn plugins(arguments: &Arguments) -> Result<Exit, Failure> {
    let mut kinds = kinds();
    if let Some(kind) = &arguments.kind {
        let names: Vec<&str> = kinds.iter().map(|(name, _)| *name).collect();
        let help = did_you_mean(kind, &names);
        kinds.retain(|(name, _)| name == kind);
        if kinds.is_empty() {
            let problem = Diagnostic::nowhere(format!("there is no kind of plugin `{kind}`"));
            return Err(Failure::Problems(vec![problem.help(help)]));
        }
    }
    if let Some(name) = &arguments.name {
        for (kind, rows) in &mut kinds {
            let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
            let help = did_you_mean(name, &names);
            rows.retain(|row| row.name == name);
            if rows.is_empty() {
                let problem = Diagnostic::nowhere(format!("no {kind} is named `{name}`"));
                return Err(Failure::Problems(vec![problem.help(help)]));
            }
        }
    }
    if arguments.json {
        let document: serde_json::Map<String, Json> = kinds
            .iter()
            .map(|(kind, rows)| ((*kind).to_owned(), rows.iter().map(row_json).collect()))
            .collect();
        print_json(&document)?;
    } else if let (Some(_), [(kind, rows)]) = (&arguments.name, kinds.as_slice()) {
        rows.iter().try_for_each(|row| print(&settings(kind, row)))?;
    } else {
        let rows: Vec<Vec<String>> = kinds
            .iter()
            .flat_map(|(kind, rows)| {
                rows.iter().map(move |row| {
                    vec![(*kind).to_owned(), row.name.to_owned(), row.about.to_owned()]
                })
            })
            .collect();
        print(&show::table(&["kind", "name", "what it is"], &rows))?;
    }
    Ok(Exit::Done)
}

fn row_json(row: &PluginRow) -> Json {
    json!({ "name": row.name, "about": row.about, "example": row.example, "schema": row.schema })
}

/// Describes a plugin and its settings: type and range, default, and doc comment.
fn settings(kind: &str, row: &PluginRow) -> String {
    let mut text = format!("{kind} `{}`: {}\n", row.name, row.about);
    // The doc comment of the settings: formula and source.
    if let Some(about) = row.schema["description"].as_str() {
        text.push_str(&format!("\n{about}\n\n"));
    }
    let properties = row.schema["properties"].as_object();
    let required = |key: &str| {
        row.schema["required"].as_array().is_some_and(|keys| keys.iter().any(|known| known == key))
    };
    let rows: Vec<Vec<String>> = properties
        .into_iter()
        .flatten()
        .map(|(key, property)| {
            let default = match property.get("default") {
                Some(Json::Null) | None if required(key) => "needed".to_owned(),
                Some(Json::Null) | None => String::new(),
                Some(default) => default.to_string(),
            };
            let about = property["description"].as_str().unwrap_or_default().replace('\n', " ");
            vec![key.clone(), value_range(&row.schema, property), default, about]
        })
        .collect();
    if rows.is_empty() {
        text.push_str("It takes no settings.\n");
    } else {
        text.push_str(&show::table(&["setting", "value", "default", "what it is"], &rows));
    }
    if let Some(strength) = strength(kind, row) {
        let key = strength.key();
        text.push_str(&match strength.second() {
            None => format!("Its strength is `{key}`: with `[target] l0 = …` it is found.\n"),
            Some(second) => format!(
                "Its strengths are `{key}` and `{second}`: with `[target] l0 = …` both are found, at the ratio \
                 that is written.\n"
            ),
        });
    }
    if !row.example.is_empty() {
        text.push_str(&format!("Example:\n    kind = \"{}\"\n", row.name));
        row.example.lines().for_each(|line| text.push_str(&format!("    {line}\n")));
    }
    text
}

/// Returns the settings of a penalty that the program finds for a target.
fn strength(kind: &str, row: &PluginRow) -> Option<StrengthKey> {
    let penalty = PENALTIES.iter().find(|plugin| kind == "penalty" && plugin.name == row.name)?;
    penalty.example(Path::new("")).ok()?.plugin.strength()
}

/// Describes the values that a setting takes, from its JSON Schema.
fn value_range(schema: &Json, property: &Json) -> String {
    // The second of a setting's own definition, the third of one that may be left out.
    let reference = property
        .get("$ref")
        .or_else(|| property["allOf"][0].get("$ref"))
        .or_else(|| property["anyOf"][0].get("$ref"))
        .and_then(Json::as_str);
    if let Some(target) = reference.and_then(|path| schema.pointer(path.trim_start_matches('#'))) {
        return value_range(schema, target);
    }
    let quoted =
        |values: &[Json]| values.iter().map(Json::to_string).collect::<Vec<_>>().join(" | ");
    if let Some(values) = property["enum"].as_array() {
        return quoted(values);
    }
    if let Some(variants) = property["oneOf"].as_array() {
        let values: Vec<Json> = variants.iter().map(|variant| variant["const"].clone()).collect();
        return quoted(&values);
    }
    let kind = match &property["type"] {
        Json::String(kind) => kind.clone(),
        Json::Array(kinds) => kinds
            .iter()
            .filter_map(Json::as_str)
            .find(|kind| *kind != "null")
            .unwrap_or("")
            .to_owned(),
        _ => String::new(),
    };
    let words = match kind.as_str() {
        "integer" => "whole number",
        "boolean" => "true | false",
        "array" => "list",
        other => other,
    };
    let bound = |key: &str, sign: &str| property.get(key).map(|bound| format!("{sign} {bound}"));
    let bounds = [
        bound("minimum", "≥"),
        bound("exclusiveMinimum", ">"),
        bound("maximum", "≤"),
        bound("exclusiveMaximum", "<"),
    ];
    let bounds: Vec<String> = bounds.into_iter().flatten().collect();
    format!("{words} {}", bounds.join(", ")).trim_end().to_owned()
}

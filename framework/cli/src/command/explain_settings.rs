//! Tables of settings for people, of plugins and of sections of experiment files: what the schema says.

use framework::plugin::PluginRow;
use serde_json::{Map, Value as Json};

use super::show;

/// Sections whose settings are listed, which are not those of a kind of plugin.
const LISTED: [&str; 6] = ["train", "evaluate", "run", "target", "init", "slurm"];

/// Returns the sections, and the settings that are tables, of which the settings can be shown, by their paths.
pub fn sections(schema: &Json) -> impl Iterator<Item = &'static str> {
    let nested = ["train.optimizer", "train.schedule", "run.halving"];
    LISTED.into_iter().chain(nested).filter(|path| section(schema, path).is_some())
}

/// Returns the schema of a section, or of a table in one, by its path.
pub fn section<'a>(schema: &'a Json, path: &str) -> Option<&'a Json> {
    let mut names = path.split('.');
    let first = names.next().filter(|name| LISTED.contains(name))?;
    let mut found = resolved(schema, &schema["properties"][first]);
    for name in names {
        found = resolved(schema, found["properties"].get(name)?);
    }
    found["properties"].is_object().then_some(found)
}

/// Returns what a schema refers to.
fn resolved<'a>(root: &'a Json, property: &'a Json) -> &'a Json {
    // The second of a setting's own definition, the third of one that may be left out.
    let reference = property
        .get("$ref")
        .or_else(|| property["allOf"][0].get("$ref"))
        .or_else(|| property["anyOf"][0].get("$ref"))
        .filter(|_| !property["properties"].is_object())
        .and_then(Json::as_str);
    match reference.and_then(|path| root.pointer(path.trim_start_matches('#'))) {
        Some(target) => resolved(root, target),
        None => property,
    }
}

/// Describes a section and its settings: type and range, default, and doc comment.
pub fn of_section(root: &Json, path: &str) -> String {
    let Some(section) = section(root, path) else { return String::new() };
    let about = section["description"].as_str().unwrap_or_default();
    let mut text = format!("[{path}]: {about}\n\n");
    text.push_str(&of_tables(root, path, section));
    if path == "evaluate" {
        text.push_str("\n`saegrid plugins evaluation` lists what `kinds` may name.\n");
    }
    text
}

/// Describes a table, and below it its settings that are tables.
fn of_tables(root: &Json, path: &str, table: &Json) -> String {
    // A table that has one of several kinds has no other settings of its own.
    let kinds = table["anyOf"].as_array().filter(|_| table["properties"]["kind"].is_object());
    if let Some(kinds) = kinds {
        let of_kind = |kind: &Json| {
            let kind = resolved(root, kind);
            let name = kind["properties"]["kind"]["const"].as_str().unwrap_or_default();
            let default = table["properties"]["kind"]["default"] == *name;
            let default = if default { ", the default" } else { "" };
            let rows = rows(root, kind, &["kind"], &Json::Null);
            let heading = format!("{path} of kind = \"{name}\"{default}:\n");
            match rows.is_empty() {
                true => format!("{heading}It takes no settings.\n"),
                false => heading + &settings_table(&rows),
            }
        };
        return kinds.iter().map(of_kind).collect::<Vec<_>>().join("\n");
    }
    // What stands for the whole section where it is left out, has defaults too.
    let default = &root["properties"][path]["default"];
    let mut text = settings_table(&rows(root, table, &[], default));
    for (key, property) in table["properties"].as_object().into_iter().flatten() {
        let inner = resolved(root, property);
        if inner["properties"].is_object() {
            text.push('\n');
            let path = format!("{path}.{key}");
            if !inner["anyOf"].is_array() {
                text.push_str(&format!("{path}:\n"));
            }
            text.push_str(&of_tables(root, &path, inner));
        }
    }
    text
}

pub fn settings_table(rows: &[Vec<String>]) -> String {
    show::table(&["setting", "value", "default", "what it is"], rows)
}

/// Returns a row for each setting of a table but those that are `left_out`: its name, values, default and doc
/// comment.
pub fn rows(root: &Json, table: &Json, left_out: &[&str], defaults: &Json) -> Vec<Vec<String>> {
    let required = |key: &str| {
        table["required"].as_array().is_some_and(|keys| keys.iter().any(|known| known == key))
    };
    let properties = table["properties"].as_object().into_iter().flatten();
    let properties = properties.filter(|(key, _)| !left_out.contains(&key.as_str()));
    let row = |(key, property): (&String, &Json)| {
        let inner = resolved(root, property);
        let own = property.get("default").filter(|default| !default.is_null());
        let kind = inner["properties"]["kind"].get("default");
        let default = match own.or_else(|| defaults.get(key)) {
            Some(default) => default.to_string(),
            None if required(key) => "needed".to_owned(),
            None => kind.map_or(String::new(), |kind| format!("kind = {kind}")),
        };
        let about = property["description"].as_str().or_else(|| inner["description"].as_str());
        let about = about.unwrap_or_default().replace('\n', " ");
        vec![key.clone(), value_range(root, property), default, about]
    };
    properties.map(row).collect()
}

/// Returns the settings that stand in the section of a plugin and that every plugin of its kind has.
pub fn shared(root: &Json, kind: &str, row: &PluginRow) -> Json {
    let own = &row.schema["properties"];
    let all = root["$defs"][format!("{kind}.{}", row.name)]["properties"].as_object();
    let is_shared = |key: &str| key != "kind" && own.get(key).is_none();
    let shared = all.into_iter().flatten().filter(|(key, _)| is_shared(key));
    Json::Object(
        shared.map(|(key, property)| (key.clone(), property.clone())).collect::<Map<_, _>>(),
    )
}

/// Describes the values that a setting takes, from its JSON Schema.
fn value_range(root: &Json, property: &Json) -> String {
    let target = resolved(root, property);
    let quoted =
        |values: &[Json]| values.iter().map(Json::to_string).collect::<Vec<_>>().join(" | ");
    if let Some(values) = target["enum"].as_array() {
        return quoted(values);
    }
    if let Some(variants) = target["oneOf"].as_array() {
        let values: Vec<Json> = variants.iter().map(|variant| variant["const"].clone()).collect();
        return quoted(&values);
    }
    if let Some(kinds) = target["properties"]["kind"]["enum"].as_array() {
        return format!("table of kind {}", quoted(kinds));
    }
    let types = |of: &Json| -> Vec<Json> {
        match &of["type"] {
            Json::Array(types) => types.clone(),
            Json::Null => Vec::new(),
            only => vec![only.clone()],
        }
    };
    // What may be of several forms has the type of any.
    let forms = target["anyOf"].as_array().into_iter().flatten();
    let kinds: Vec<Json> = types(target).into_iter().chain(forms.flat_map(types)).collect();
    let kinds = kinds.iter().filter_map(Json::as_str);
    let words = kinds.filter(|kind| *kind != "null").map(|kind| match kind {
        "integer" => "whole number",
        "boolean" => "true | false",
        "array" => "list",
        "object" => "table",
        other => other,
    });
    let words = words.collect::<Vec<_>>().join(" or ");
    // A setting may say more than the type it has.
    let bound = |key: &str, sign: &str| {
        property.get(key).or_else(|| target.get(key)).map(|bound| format!("{sign} {bound}"))
    };
    let bounds = [
        bound("minimum", "≥"),
        bound("exclusiveMinimum", ">"),
        bound("maximum", "≤"),
        bound("exclusiveMaximum", "<"),
    ];
    let bounds: Vec<String> = bounds.into_iter().flatten().collect();
    format!("{words} {}", bounds.join(", ")).trim_end().to_owned()
}

//! The parts of the schema: what a struct says, and a choice between kinds.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::spec::entries::snake;

/// A schema of one kind of a section: its name, a line of help and the schema of its settings.
pub struct KindSchema {
    pub name: &'static str,
    pub about: String,
    pub schema: Json,
}

/// A section of an experiment.
pub struct SectionSchema {
    /// What it may hold. No key has to be there, since axes can set any of them.
    pub schema: Json,
    /// What it needs besides where no axis sets anything of it.
    pub complete: Json,
    /// The schemas that each setting has in the kinds that have it; of a list, by the name of the first entry
    /// of a kind and the setting.
    pub settings: BTreeMap<String, Vec<Json>>,
}

/// What the schema refers to, by name.
#[derive(Default)]
pub struct Definitions(pub Map<String, Json>);

impl Definitions {
    /// Takes a schema of a struct in: what it defines itself becomes a definition here.
    pub fn import(&mut self, name: &str, mut schema: Json) -> Json {
        let own = schema.as_object_mut().and_then(|schema| schema.remove("$defs"));
        if let Some(Json::Object(own)) = own {
            for (key, mut definition) in own {
                tidy(&mut definition, name);
                self.0.insert(format!("{name}.{key}"), definition);
            }
        }
        tidy(&mut schema, name);
        schema
    }

    /// Adds a definition. Returns a reference to it.
    pub fn add(&mut self, name: &str, schema: Json) -> Json {
        self.0.insert(name.to_owned(), schema);
        json!({ "$ref": format!("#/$defs/{name}") })
    }

    /// Adds a table of settings.
    pub fn table(&mut self, name: &str, mut schema: Json) -> SectionSchema {
        let required = take_required(&mut schema);
        let settings = settings(name, &schema).into_iter().collect();
        let schema = self.add(name, schema);
        SectionSchema { schema, complete: json!({ "required": required }), settings }
    }

    /// Adds a list of such tables, of which `entry` is the schema of one.
    pub fn list(&mut self, name: &str, about: &str, entry: SectionSchema) -> SectionSchema {
        let mut settings = BTreeMap::new();
        let kinds = self.0[name]["properties"]["kind"]["enum"].as_array().cloned();
        for kind in kinds.iter().flatten().filter_map(Json::as_str) {
            let path = format!("{name}.{kind}");
            for (key, places) in self::settings(&path, &self.0[&path]) {
                settings.insert(format!("{}.{key}", snake(kind)), places);
            }
        }
        let schema = json!({ "description": about, "type": "array", "items": entry.schema });
        SectionSchema {
            schema: self.add(&format!("{name}.list"), schema),
            complete: json!({ "items": entry.complete }),
            settings,
        }
    }

    /// Adds a table that has one of several kinds, named by its key `kind`; `shared` are settings
    /// that every kind has. Without a `default` kind, one has to be named.
    pub fn choice(
        &mut self,
        name: &str,
        about: &str,
        kinds: Vec<KindSchema>,
        shared: &Map<String, Json>,
        default: Option<&str>,
    ) -> SectionSchema {
        let names: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
        let (mut all, mut complete) = (Vec::new(), Vec::new());
        let mut known: BTreeMap<String, Vec<Json>> = BTreeMap::new();
        for KindSchema { name: kind, about, schema } in kinds {
            let path = format!("{name}.{kind}");
            let mut schema = self.import(&path, schema);
            let mut required = take_required(&mut schema);
            if default != Some(kind) {
                required.insert(0, json!("kind"));
            }
            let is_kind = json!({ "const": kind, "description": about });
            complete.push(json!({ "properties": { "kind": is_kind }, "required": required }));
            let mut properties = Map::from_iter([("kind".to_owned(), is_kind)]);
            if let Json::Object(own) = schema["properties"].take() {
                properties.extend(own);
            }
            properties.extend(shared.clone());
            schema["properties"] = Json::Object(properties);
            for (key, places) in settings(&path, &schema) {
                known.entry(key).or_default().extend(places);
            }
            all.push(self.add(&path, schema));
        }
        let mut kind = json!({ "enum": names });
        if let Some(default) = default {
            kind["default"] = json!(default);
        }
        let schema = json!({
            "description": about, "type": "object", "properties": { "kind": kind }, "anyOf": all,
        });
        SectionSchema {
            schema: self.add(name, schema),
            complete: self.add(&format!("{name}.complete"), json!({ "anyOf": complete })),
            settings: known,
        }
    }
}

/// Where the schema of each setting of a definition stands.
fn settings(definition: &str, schema: &Json) -> Vec<(String, Vec<Json>)> {
    let keys = schema["properties"].as_object().into_iter().flat_map(Map::keys);
    let place = |key: &String| json!({ "$ref": format!("#/$defs/{definition}/properties/{key}") });
    keys.map(|key| (key.clone(), vec![place(key)])).collect()
}

fn take_required(schema: &mut Json) -> Vec<Json> {
    match schema.as_object_mut().and_then(|schema| schema.remove("required")) {
        Some(Json::Array(keys)) => keys,
        _ => Vec::new(),
    }
}

/// Makes a schema of a Rust type one of TOML, which has no null and none of Rust's names, and lets its
/// references point to the definitions that begin with `prefix`.
fn tidy(schema: &mut Json, prefix: &str) {
    match schema {
        Json::Array(items) => items.iter_mut().for_each(|item| tidy(item, prefix)),
        Json::Object(map) => {
            map.retain(|key, value| match key.as_str() {
                // Settings of these names are no strings.
                "$schema" | "title" | "format" => !value.is_string(),
                "default" => !value.is_null(),
                _ => true,
            });
            if let Some(Json::String(place)) = map.get_mut("$ref")
                && let Some(name) = place.strip_prefix("#/$defs/")
            {
                *place = format!("#/$defs/{prefix}.{name}");
            }
            if let Some(Json::Array(types)) = map.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    map.insert("type".into(), only);
                }
            }
            if let Some(Json::Array(choices)) = map.get_mut("anyOf") {
                choices.retain(|choice| *choice != json!({ "type": "null" }));
            }
            for (_, value) in map.iter_mut().filter(|(key, _)| *key != "default") {
                tidy(value, prefix);
            }
        }
        _ => {}
    }
}

//! A plugin among the settings of another: `corruption = { kind = "gaussian", sigma = 0.5 }` in those of an
//! evaluation.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value as Json, json};

use super::settings::{Resolved, Settings};
use crate::diagnostics::Diagnostic;
use crate::plugin::{Built, Plugin, build};

/// A setting that is a table with a `kind` and the settings of that plugin. [`Settings::nested`] makes the
/// plugin of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct NestedPlugin(Map<String, Json>);

impl<'de> Deserialize<'de> for NestedPlugin {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct AnyTable;

        impl<'de> Visitor<'de> for AnyTable {
            type Value = NestedPlugin;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table with a `kind`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NestedPlugin, A::Error> {
                let mut all = Map::new();
                while let Some((key, value)) = map.next_entry::<String, Json>()? {
                    all.insert(key, value);
                }
                Ok(NestedPlugin(all))
            }
        }

        reader.deserialize_map(AnyTable)
    }
}

impl JsonSchema for NestedPlugin {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "NestedPlugin".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "properties": { "kind": { "type": "string" } },
            "required": ["kind"],
        })
    }
}

impl Settings {
    /// Makes the plugin that the setting `key` describes, a [`NestedPlugin`] of a struct that was read
    /// before; `None` if the setting is not written. Errors call it `section`. From now on the settings as
    /// read hold those of the plugin with their defaults.
    ///
    /// # Errors
    /// What is wrong with its kind or its settings, at their places.
    pub fn nested<T: ?Sized>(
        &self,
        key: &str,
        section: &str,
        plugins: &'static [Plugin<T>],
    ) -> Result<Option<Built<T>>, Vec<Diagnostic>> {
        let Some(entry) = self.node().as_table().and_then(|table| table.get(key)) else {
            return Ok(None);
        };
        let built = build(section, plugins, &entry.node)?;
        let Resolved { all, changed } = built.resolved();
        self.update_resolved(|outer| {
            for (outer, mut own) in [(&mut outer.all, all), (&mut outer.changed, changed)] {
                own.insert("kind".to_owned(), json!(built.kind));
                outer.insert(key.to_owned(), Json::Object(own));
            }
        });
        Ok(Some(built))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::diagnostics::Source;
    use crate::plugin::{Corruption, SampleFacts};
    use crate::random::ChaCha8Rng;
    use crate::spec::numbers::Rate;
    use crate::spec::{parse, schema_of};

    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Hush {
        /// Probability that an input becomes 0.
        #[serde(default = "half")]
        rate: Rate,
    }

    fn half() -> Rate {
        Rate::try_from(0.5).unwrap()
    }

    impl Corruption for Hush {
        fn corrupt(&self, samples: &mut [f32], _: &SampleFacts, _: &mut ChaCha8Rng) {
            samples.fill(self.rate.get() as f32);
        }
    }

    static KNOWN: [Plugin<dyn Corruption>; 1] = [Plugin {
        name: "hush",
        about: "inputs become 0 at random",
        example: "",
        build: |settings| Ok(Box::new(settings.read::<Hush>()?)),
        schema: schema_of::<Hush>,
    }];

    #[derive(Debug, Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        noise: Option<NestedPlugin>,
    }

    fn settings(text: &str) -> Settings {
        let source =
            Source { name: "x.toml".into(), text: text.into(), base: "".into(), is_private: false };
        Settings::new("evaluation `outer`", parse(&Arc::new(source)).unwrap())
    }

    /// Wrong if a mistake within had no place, or a table of another form were taken.
    #[test]
    fn mistakes_within_are_found_at_their_place() {
        let said = |text: &str| {
            let settings = settings(text);
            let read = settings.read::<Outer>().map(|_| ());
            let made = read.and_then(|()| settings.nested("noise", "corruption", &KNOWN));
            made.map(|_| ()).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        for (text, problem) in [
            (
                "noise = 3",
                "x.toml:1:9: evaluation `outer`: noise: expected a table with a `kind`, got 3",
            ),
            ("noise = {}", "x.toml:1:9: `corruption` needs a `kind`"),
            ("noise = { kind = \"hash\" }", "x.toml:1:18: no corruption is named `hash`"),
            (
                "noise = { kind = \"hush\", rat = 0.1 }",
                "x.toml:1:26: corruption `hush` has no setting `rat`",
            ),
        ] {
            assert_eq!(said(text), [problem]);
        }
    }

    /// Wrong if settings that mean the same were kept as different ones.
    #[test]
    fn defaults_within_are_filled_in_and_no_changes() {
        let resolved = |text: &str| {
            let settings = settings(text);
            settings.read::<Outer>().unwrap();
            settings.nested("noise", "corruption", &KNOWN).unwrap();
            settings.resolved()
        };
        let short = resolved("noise = { kind = \"hush\" }");
        assert_eq!(short, resolved("noise = { rate = 0.5, kind = \"hush\" }"));
        assert_eq!(json!(short.all), json!({ "noise": { "kind": "hush", "rate": 0.5 } }));
        assert_eq!(json!(short.changed), json!({ "noise": { "kind": "hush" } }));
        assert_eq!(json!(resolved("").all), json!({ "noise": null }));
    }
}

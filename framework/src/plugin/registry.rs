//! What all kinds of plugins share: a row of a registry, and finding one by its name.

use std::path::Path;

use serde_json::Value as Json;

use crate::diagnostics::{Diagnostic, did_you_mean};
use crate::spec::{Node, Resolved, Settings, Value};

/// A row of a registry: a plugin's name, help and constructor.
pub struct Plugin<T: ?Sized + 'static> {
    /// The name in TOML: kebab-case, unique within its kind.
    pub name: &'static str,
    /// One line of help, no full stop.
    pub about: &'static str,
    /// TOML settings that must build: documentation, and input of the tests over all plugins.
    pub example: &'static str,
    /// Reads the settings and makes the plugin.
    pub build: fn(&Settings) -> Result<Box<T>, Vec<Diagnostic>>,
    /// The JSON Schema of the settings: [`schema_of`](crate::spec::schema_of) their struct.
    pub schema: fn() -> Json,
}

/// A plugin made from a section of an experiment file.
pub struct Built<T: ?Sized> {
    /// Its name in the registry.
    pub kind: &'static str,
    /// The plugin itself.
    pub plugin: Box<T>,
    /// The section it was made from, for errors found later.
    pub settings: Settings,
}

impl<T: ?Sized> Built<T> {
    /// The settings with their defaults.
    pub fn resolved(&self) -> Resolved {
        self.settings.resolved()
    }
}

/// Why a plugin does not fit the rest of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// The setting at fault; one that is not written stands for the section.
    pub key: &'static str,
    /// What does not fit, what was given and what is allowed.
    pub message: String,
}

impl Unfit {
    /// A setting that does not fit.
    pub fn new(key: &'static str, message: impl Into<String>) -> Self {
        Self { key, message: message.into() }
    }
}

/// A registry in the order of names: the linker's order is not one.
pub fn sorted<T: ?Sized>(plugins: &'static [Plugin<T>]) -> Vec<&'static Plugin<T>> {
    let mut plugins: Vec<_> = plugins.iter().collect();
    plugins.sort_by_key(|plugin| plugin.name);
    plugins
}

/// Makes the plugin that a section names under `kind`; `section` is what errors call it.
///
/// # Errors
/// No `kind`, no plugin of that name, or what is wrong with its settings.
pub fn build<T: ?Sized>(
    section: &str,
    plugins: &'static [Plugin<T>],
    node: &Node,
) -> Result<Built<T>, Vec<Diagnostic>> {
    build_beside(section, plugins, node, &["kind"])
}

/// The same of a section in which keys that others read stand beside the plugin's, `kind` among them.
pub(crate) fn build_beside<T: ?Sized>(
    section: &str,
    plugins: &'static [Plugin<T>],
    node: &Node,
    beside: &'static [&'static str],
) -> Result<Built<T>, Vec<Diagnostic>> {
    let names: Vec<&str> = sorted(plugins).iter().map(|plugin| plugin.name).collect();
    let known = || format!("known: {}", names.join(", "));
    let Value::TomlTable(table) = &node.value else {
        let message = format!("`{section}` is a table, got {}", node.type_name());
        let help = format!("as in {section} = {{ kind = \"…\" }}; {}", known());
        return Err(vec![Diagnostic::at(&node.origin, message).help(help)]);
    };
    let mut table = table.clone();
    let Some(kind) = table.remove("kind") else {
        let message = format!("`{section}` needs a `kind`");
        return Err(vec![Diagnostic::at(&node.origin, message).help(known())]);
    };
    let Some(name) = kind.node.as_str() else {
        let message = format!("`{section}.kind` is a string, got {}", kind.node.type_name());
        return Err(vec![Diagnostic::at(&kind.node.origin, message).help(known())]);
    };
    let Some(plugin) = plugins.iter().find(|plugin| plugin.name == name) else {
        let message = format!("no {section} is named `{name}`");
        let help = did_you_mean(name, &names);
        return Err(vec![Diagnostic::at(&kind.node.origin, message).help(help)]);
    };
    let node = Node { origin: kind.node.origin.clone(), value: Value::TomlTable(table) };
    let settings = Settings::new(format!("{section} `{name}`"), node).beside(beside);
    let made = (plugin.build)(&settings)?;
    Ok(Built { kind: plugin.name, plugin: made, settings })
}

/// A registry row without its type: what help and schema need.
#[derive(Clone, Debug)]
pub struct PluginRow {
    /// The name in TOML.
    pub name: &'static str,
    /// One line of help.
    pub about: &'static str,
    /// TOML settings that build.
    pub example: &'static str,
    /// The JSON Schema of the settings.
    pub schema: Json,
}

fn rows<T: ?Sized>(plugins: &'static [Plugin<T>]) -> Vec<PluginRow> {
    let row = |plugin: &&'static Plugin<T>| PluginRow {
        name: plugin.name,
        about: plugin.about,
        example: plugin.example,
        schema: (plugin.schema)(),
    };
    sorted(plugins).iter().map(row).collect()
}

/// Every kind of plugin with all its rows, by name.
pub fn kinds() -> Vec<(&'static str, Vec<PluginRow>)> {
    vec![
        ("architecture", rows(&super::ARCHITECTURES)),
        ("corruption", rows(&super::CORRUPTIONS)),
        ("dataset", rows(&super::DATASETS)),
        ("evaluation", rows(&super::EVALUATIONS)),
        ("penalty", rows(&super::PENALTIES)),
    ]
}

impl<T: ?Sized> Plugin<T> {
    /// The plugin as its example describes it: what tests over a whole registry use.
    ///
    /// # Errors
    /// If the example does not build.
    pub fn example(&self, base: &Path) -> Result<Built<T>, Vec<Diagnostic>> {
        let source = crate::diagnostics::Source {
            name: format!("example of `{}`", self.name),
            text: self.example.to_owned(),
            base: base.to_owned(),
            is_private: false,
        };
        let node = crate::spec::parse(&std::sync::Arc::new(source))?;
        let settings = Settings::new(format!("`{}`", self.name), node);
        let plugin = (self.build)(&settings)?;
        Ok(Built { kind: self.name, plugin, settings })
    }
}

//! What all kinds of plugins share: a row of a registry, and finding one by its name.

use std::path::Path;

use serde_json::Value as Json;

use super::{AUXILIARIES, PENALTIES, Penalty, help_for};
use crate::diagnostics::Diagnostic;
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
    let (kind, settings) = named_kind(section, &names, node)?;
    let Some(plugin) = find(plugins, &kind) else { unreachable!("its name is one of these") };
    build_as(format!("{section} `{kind}`"), plugin, settings, beside)
}

/// Finds a plugin by its name.
pub(crate) fn find<T: ?Sized>(
    plugins: &'static [Plugin<T>],
    name: &str,
) -> Option<&'static Plugin<T>> {
    plugins.iter().find(|plugin| plugin.name == name)
}

/// Reads which of the `names` a section names under `kind`. Returns the name, and the settings beside it at
/// its place.
///
/// # Errors
/// No `kind`, or none of the names.
pub(crate) fn named_kind(
    section: &str,
    names: &[&str],
    node: &Node,
) -> Result<(String, Node), Vec<Diagnostic>> {
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
    if !names.contains(&name) {
        let message = format!("no {section} is named `{name}`");
        let problem = Diagnostic::at(&kind.node.origin, message);
        return Err(vec![
            help_for(section, name, names).into_iter().fold(problem, Diagnostic::help),
        ]);
    }
    let rest = Node { origin: kind.node.origin.clone(), value: Value::TomlTable(table) };
    Ok((name.to_owned(), rest))
}

/// Makes a plugin from its settings, which errors call `title`.
///
/// # Errors
/// What is wrong with its settings.
pub(crate) fn build_as<T: ?Sized>(
    title: String,
    plugin: &'static Plugin<T>,
    settings: Node,
    beside: &'static [&'static str],
) -> Result<Built<T>, Vec<Diagnostic>> {
    let settings = Settings::new(title, settings).beside(beside);
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
    sorted(plugins).into_iter().map(Plugin::row).collect()
}

/// Every plugin that may stand in `auxiliary`, by name: the registered ones, and soft penalties.
pub(crate) fn rows_of_auxiliaries() -> Vec<PluginRow> {
    let is_soft = |row: &&Plugin<dyn Penalty>| {
        row.example(Path::new("")).is_ok_and(|built| built.plugin.is_soft())
    };
    let mut rows = rows(&AUXILIARIES);
    rows.extend(PENALTIES.iter().filter(is_soft).map(Plugin::row));
    rows.sort_by_key(|row| row.name);
    rows
}

/// Every kind of plugin with all its rows, by name.
pub fn kinds() -> Vec<(&'static str, Vec<PluginRow>)> {
    vec![
        ("architecture", rows(&super::ARCHITECTURES)),
        ("auxiliary", rows_of_auxiliaries()),
        ("corruption", rows(&super::CORRUPTIONS)),
        ("dataset", rows(&super::DATASETS)),
        ("evaluation", rows(&super::EVALUATIONS)),
        ("penalty", rows(&super::PENALTIES)),
    ]
}

impl<T: ?Sized> Plugin<T> {
    fn row(&self) -> PluginRow {
        let Self { name, about, example, .. } = *self;
        PluginRow { name, about, example, schema: (self.schema)() }
    }

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

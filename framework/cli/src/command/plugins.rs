//! `plugins`: lists the plugins, or shows the settings of one, or of a section of experiment files.

use std::path::Path;

use clap::Args;
use framework::diagnostics::{Diagnostic, closest, did_you_mean};
use framework::plugin::{
    ALIASES, Alias, Meant, PENALTIES, PluginRow, StrengthKey, aliases, help_for, kinds, words_of,
};
use framework::spec::experiment_schema;
use serde_json::{Map, Value as Json, json};
use store::exit::{Exit, Failure};

use super::{explain_settings, print, print_json, show};

#[derive(Args)]
pub struct Arguments {
    /// Kind of plugin (architecture, auxiliary, corruption, dataset, evaluation or penalty), name of a plugin,
    /// word for one (topk, mnist), or section of experiment files (train, evaluate, run, run.halving)
    word: Option<String>,
    /// Name of one plugin of that kind, or another word for it
    name: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

type Kinds = Vec<(&'static str, Vec<PluginRow>)>;

/// What is shown.
struct Answer {
    /// Words that led here, with what to say.
    aliases: Vec<&'static Alias>,
    kinds: Kinds,
    /// True if the settings of each plugin are shown.
    is_detailed: bool,
    /// A section of experiment files, by its dotted path.
    section: Option<String>,
}

pub fn plugins(arguments: &Arguments) -> Result<Exit, Failure> {
    let schema = experiment_schema();
    let answer = match (&arguments.word, &arguments.name) {
        // Two words may be one name, as `TopK SAE`.
        (Some(kind), Some(name)) => match aliases(&format!("{kind} {name}")).is_empty() {
            true => plugin(kind, name)?,
            false => one_word(&format!("{kind} {name}"), &schema)?,
        },
        (Some(word), None) => one_word(word, &schema)?,
        _ => Answer { kinds: kinds(), ..Answer::empty() },
    };
    if arguments.json {
        print_json(&answer.json(&schema))?;
    } else {
        print(&answer.text(&schema))?;
        if arguments.word.is_none() {
            print(&hints(&schema))?;
        }
    }
    Ok(Exit::Done)
}

/// Finds a plugin of a kind by its name or by another word for it.
fn plugin(kind: &str, name: &str) -> Result<Answer, Failure> {
    let mut kinds = kinds();
    let names: Vec<&str> = kinds.iter().map(|(name, _)| *name).collect();
    let help = did_you_mean(kind, &names);
    kinds.retain(|(name, _)| *name == kind);
    let Some((known, rows)) = kinds.first_mut() else {
        let problem = Diagnostic::nowhere(format!("there is no kind of plugin `{kind}`"));
        return Err(Failure::Problems(vec![problem.help(help)]));
    };
    let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
    let mut aliases = aliases(name);
    aliases.retain(|alias| matches!(alias.meant, Meant::Plugin { kind, .. } if kind == *known));
    if names.contains(&name) {
        aliases.clear();
    }
    let is_meant = |row: &PluginRow| {
        let is_its =
            |alias: &&Alias| matches!(alias.meant, Meant::Plugin { name, .. } if name == row.name);
        row.name == name || aliases.iter().any(is_its)
    };
    rows.retain(is_meant);
    if rows.is_empty() {
        let problem = Diagnostic::nowhere(format!("no {kind} is named `{name}`"));
        let help = help_for(kind, name, &names);
        return Err(Failure::Problems(vec![help.into_iter().fold(problem, Diagnostic::help)]));
    }
    Ok(Answer { aliases, kinds, is_detailed: true, section: None })
}

/// Finds what one word stands for: a kind, a section, the name of plugins, or another word for some.
fn one_word(word: &str, schema: &Json) -> Result<Answer, Failure> {
    let mut kinds = kinds();
    if kinds.iter().any(|(kind, _)| *kind == word) {
        kinds.retain(|(kind, _)| *kind == word);
        return Ok(Answer { kinds, ..Answer::empty() });
    }
    if explain_settings::section(schema, word).is_some() {
        return Ok(Answer { section: Some(word.to_owned()), ..Answer::empty() });
    }
    let known = words(&kinds, schema);
    let has_name = |row: &PluginRow| row.name == word;
    if kinds.iter().any(|(_, rows)| rows.iter().any(has_name)) {
        kinds.iter_mut().for_each(|(_, rows)| rows.retain(has_name));
        kinds.retain(|(_, rows)| !rows.is_empty());
        return Ok(Answer { kinds, is_detailed: true, ..Answer::empty() });
    }
    let aliases = aliases(word);
    if aliases.is_empty() {
        let message = format!("there is no plugin, kind of plugin or section `{word}`");
        let meant = closest(word, known.iter().copied());
        let help = match meant {
            Some(_) => did_you_mean(word, &known),
            None => "`saegrid plugins` lists them".to_owned(),
        };
        return Err(Failure::Problems(vec![Diagnostic::nowhere(message).help(help)]));
    }
    if aliases.iter().all(|alias| alias.meant == Meant::Missing) {
        let problem = |alias: &&Alias| {
            let message = format!("`{word}` is not in this version");
            Diagnostic::nowhere(message).help(alias.about)
        };
        return Err(Failure::Problems(aliases.iter().map(problem).collect()));
    }
    let section = aliases.iter().find_map(|alias| match alias.meant {
        Meant::Section(section) => Some(section),
        Meant::Plugin { .. } | Meant::Missing => None,
    });
    let Some(section) = section else {
        kinds.iter_mut().for_each(|(kind, rows)| {
            rows.retain(|row| {
                let meant = Meant::Plugin { kind, name: row.name };
                aliases.iter().any(|alias| alias.meant == meant)
            });
        });
        kinds.retain(|(_, rows)| !rows.is_empty());
        return Ok(Answer { aliases, kinds, is_detailed: true, section: None });
    };
    kinds.retain(|(kind, _)| *kind == section);
    let section = kinds.is_empty().then(|| section.to_owned());
    Ok(Answer { aliases, kinds, is_detailed: false, section })
}

/// Returns every word that is understood.
fn words(kinds: &Kinds, schema: &Json) -> Vec<&'static str> {
    let names = kinds.iter().flat_map(|(_, rows)| rows).map(|row| row.name);
    let sections = explain_settings::sections(schema);
    let aliases = ALIASES.iter().flat_map(|alias| alias.words).copied();
    let kinds = kinds.iter().map(|(kind, _)| *kind);
    kinds.chain(sections).chain(names).chain(aliases).collect()
}

impl Answer {
    fn empty() -> Self {
        let (aliases, kinds) = (Vec::new(), Vec::new());
        Self { aliases, kinds, is_detailed: false, section: None }
    }

    fn json(&self, schema: &Json) -> Json {
        if let Some(path) = &self.section {
            let section = explain_settings::section(schema, path);
            return json!({ "section": path, "schema": section, "$defs": schema["$defs"] });
        }
        let row = |kind: &str, row: &PluginRow| {
            json!({
                "name": row.name, "about": row.about, "example": row.example, "schema": row.schema,
                "also": words_of(kind, row.name),
                "shared": explain_settings::shared(schema, kind, row),
            })
        };
        let rows = |(kind, rows): &(&str, Vec<PluginRow>)| {
            let rows: Vec<Json> = rows.iter().map(|one| row(kind, one)).collect();
            ((*kind).to_owned(), json!(rows))
        };
        let mut document: Map<String, Json> = self.kinds.iter().map(rows).collect();
        if !self.aliases.is_empty() {
            let alias = |alias: &&Alias| json!({ "words": alias.words, "about": alias.about, "lines": alias.lines });
            let aliases: Vec<Json> = self.aliases.iter().map(alias).collect();
            document.insert("aliases".to_owned(), json!(aliases));
        }
        Json::Object(document)
    }

    fn text(&self, schema: &Json) -> String {
        let said = self.aliases.iter().map(|alias| format!("{}\n", said(alias)));
        let section = self.section.iter().map(|path| explain_settings::of_section(schema, path));
        let rows = self
            .kinds
            .iter()
            .flat_map(|(kind, rows)| rows.iter().map(|row| settings(schema, kind, row)));
        let rows: Vec<String> = match (self.is_detailed, self.kinds.is_empty()) {
            (true, _) => rows.collect(),
            (false, true) => Vec::new(),
            (false, false) => vec![listing(&self.kinds)],
        };
        said.chain(section).chain(rows).collect::<Vec<_>>().join("\n")
    }
}

/// Returns what an alias says, and its lines.
fn said(alias: &Alias) -> String {
    let mut letters = alias.about.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    let about: String = first.chain(letters).collect();
    match alias.lines.trim_end() {
        "" => format!("{about}."),
        lines => format!("{about}:\n    {}", lines.replace('\n', "\n    ")),
    }
}

fn listing(kinds: &Kinds) -> String {
    let cells = |kind: &str, row: &PluginRow| {
        let also = words_of(kind, row.name).join(", ");
        vec![kind.to_owned(), row.name.to_owned(), row.about.to_owned(), also]
    };
    let rows: Vec<Vec<String>> = kinds
        .iter()
        .flat_map(|(kind, rows)| rows.iter().map(move |row| cells(kind, row)))
        .collect();
    show::table(&["kind", "name", "what it is", "other words"], &rows)
}

/// Says what else can be asked for.
fn hints(schema: &Json) -> String {
    let sections: Vec<&str> = explain_settings::sections(schema).collect();
    format!(
        "`saegrid plugins penalty k-sparse` shows the settings of a plugin, and so does another word for it, as in \
         `saegrid plugins topk`.\nSettings that are no plugin's: `saegrid plugins SECTION`, of {}.\n",
        sections.join(", ")
    )
}

/// Describes a plugin and its settings: type and range, default, and doc comment.
fn settings(schema: &Json, kind: &str, row: &PluginRow) -> String {
    let mut text = format!("{kind} `{}`: {}\n", row.name, row.about);
    let also = words_of(kind, row.name);
    if !also.is_empty() {
        text.push_str(&format!("Other words for it: {}\n", also.join(", ")));
    }
    // The doc comment of the settings: formula and source.
    if let Some(about) = row.schema["description"].as_str() {
        text.push_str(&format!("\n{about}\n\n"));
    }
    let rows = explain_settings::rows(&row.schema, &row.schema, &[], &Json::Null);
    if rows.is_empty() {
        text.push_str("It takes no settings.\n");
    } else {
        text.push_str(&explain_settings::settings_table(&rows));
    }
    let shared = json!({ "properties": explain_settings::shared(schema, kind, row) });
    let shared = explain_settings::rows(schema, &shared, &[], &Json::Null);
    if !shared.is_empty() {
        text.push_str(&format!("Of every {kind}:\n{}", explain_settings::settings_table(&shared)));
    }
    if let Some(strength) = strength(kind, row) {
        let key = strength.key();
        text.push_str(&match strength.second() {
            None => format!("Its strength is `{key}`: with a `[target]` (`l0`, `share` or `mean_activation`) it is found.\n"),
            Some(second) => format!(
                "Its strengths are `{key}` and `{second}`: with a `[target]` (`l0`, `share` or `mean_activation`) \
                 both are found, at the ratio that is written.\n"
            ),
        });
        if matches!(strength, StrengthKey::Weight(_) | StrengthKey::Weights(..)) {
            let it = if strength.second().is_some() { "them" } else { "it" };
            text.push_str(&format!(
                "With `[target] method = \"control\"`, one training steers {it} to an `l0` or a `share`.\n"
            ));
        }
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

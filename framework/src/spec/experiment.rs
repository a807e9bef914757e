//! An experiment file as a whole.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use super::evaluate::Evaluate;
use super::include::{IncludeFiles, Included, read_text, with_included};
use super::node::{self, Node, Value};
use super::overrides::Override;
use super::running::RunSettings;
use super::sections::{SECTION_ROWS, SECTIONS, SectionRow};
use super::slurm::Slurm;
use super::sweep::Sweep;
use crate::diagnostics::{Diagnostic, ENOUGH, Origin, Source, closest};
use crate::plugin::help_for;

/// An experiment file, read and checked but for what needs the whole of a run.
pub struct Experiment {
    /// Its name: the folder of its results.
    pub name: String,
    /// The text of the file, as results keep it.
    pub text: String,
    /// The files that it includes.
    pub included: Vec<Included>,
    /// The seeds: every point of the grid is run with each.
    pub seeds: Vec<u64>,
    /// What is measured.
    pub evaluate: Evaluate,
    /// What does not change results.
    pub run: RunSettings,
    /// How workers are submitted to a cluster.
    pub slurm: Slurm,
    /// The axes of the grid, and its rules.
    pub(super) sweep: Sweep,
    /// The sections that make a run, by name; one that the file leaves out is `None`.
    pub(super) sections: Vec<(&'static str, Option<Node>)>,
    /// Where the file starts: the place of what it lacks.
    pub(super) origin: Origin,
}

/// The keys of an experiment.
pub(super) fn top_level() -> Vec<&'static str> {
    let first = ["include", "name", "seeds"].into_iter();
    first.chain(SECTIONS).chain(["evaluate", "run", "slurm", "grid"]).collect()
}

/// TOML of what a file leaves out.
pub(super) fn defaults_text() -> String {
    // Lists come first: what stands below a heading belongs to its table.
    let list = |row: &SectionRow| Some(format!("{} = {}\n", row.name, row.default?));
    let section = |row: &SectionRow| Some(format!("\n[{}]\n{}\n", row.name, row.default?));
    let lists: String = SECTION_ROWS.iter().filter(|row| row.is_list).filter_map(list).collect();
    let tables = SECTION_ROWS.iter().filter(|row| !row.is_list);
    lists + include_str!("defaults.toml") + &tables.filter_map(section).collect::<String>()
}

impl Experiment {
    /// Reads the file at `path`, with overrides in their order. Relative paths in the file start
    /// from its folder.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(path: &Path, overrides: &[Override]) -> Result<Self, Vec<Diagnostic>> {
        let source = read_text(path, "the experiment").map_err(|problem| vec![problem])?;
        Self::from_source(source, Some(path), IncludeFiles::Disk, overrides)
    }

    /// Reads an experiment from a text; errors call it `name`, relative paths start from `base`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(
        name: String,
        base: PathBuf,
        text: String,
        overrides: &[Override],
    ) -> Result<Self, Vec<Diagnostic>> {
        Self::from_source(
            Source { name, base, text, is_private: false },
            None,
            IncludeFiles::Disk,
            overrides,
        )
    }

    /// The same, with the files it includes as they were `kept`; for these, `base` is absolute.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse_kept(
        name: String,
        base: PathBuf,
        text: String,
        kept: &[Included],
        overrides: &[Override],
    ) -> Result<Self, Vec<Diagnostic>> {
        Self::from_source(
            Source { name, base, text, is_private: false },
            None,
            IncludeFiles::Kept(kept),
            overrides,
        )
    }

    fn from_source(
        source: Source,
        file: Option<&Path>,
        files: IncludeFiles<'_>,
        overrides: &[Override],
    ) -> Result<Self, Vec<Diagnostic>> {
        let source = Arc::new(source);
        let document = node::parse(&source)?;
        let (mut document, included) = with_included(document, file, files)?;
        let wrong = overrides.iter().filter_map(|set| set.apply(&mut document).err());
        let wrong: Vec<Diagnostic> = wrong.flatten().collect();
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let mut problems = misspelt(&mut document);
        let origin = Origin::new(source.clone(), 0..0);
        let defaults = defaults();
        let section = |name: &str| document.as_table().and_then(|table| table.get(name));
        let or_default = |name: &str| {
            let written = section(name).map(|entry| entry.node.clone());
            written.or_else(|| defaults.as_table()?.get(name).map(|entry| entry.node.clone()))
        };

        if let Some(entry) = section("include") {
            // What files include has been read: this comes from elsewhere.
            let message = "`include` stands in a file and cannot be set from outside";
            problems.push(Diagnostic::at(&entry.key_origin, message));
        }
        let name = read_name(&origin, section("name").map(|entry| &entry.node));
        let seeds = or_default("seeds").map_or(Ok(Vec::new()), |node| read_seeds(&node));
        let sweep = section("grid").map_or(Ok(Sweep::default()), |entry| Sweep::read(&entry.node));
        let default_kinds = defaults
            .as_table()
            .and_then(|table| table.get("evaluate")?.node.as_table()?.get("kinds"))
            .map(|entry| &entry.node);
        let evaluate = match (or_default("evaluate"), default_kinds) {
            (Some(node), Some(kinds)) => Evaluate::read(&node, kinds),
            _ => unreachable!("defaults.toml has evaluate.kinds"),
        };
        let run = match or_default("run") {
            Some(node) => {
                let axes = sweep.as_ref().ok().map(Sweep::axis_names);
                let evaluations = evaluate.as_ref().ok().map(|read| &*read.evaluations);
                RunSettings::read(&node, evaluations, axes.as_deref())
            }
            None => unreachable!("defaults.toml has run"),
        };
        let slurm = section("slurm").map_or(Ok(Slurm::default()), |entry| Slurm::read(&entry.node));
        let sections: Vec<_> = SECTIONS.iter().map(|name| (*name, or_default(name))).collect();
        match (name, seeds, sweep, evaluate, run, slurm) {
            (Ok(name), Ok(seeds), Ok(sweep), Ok(evaluate), Ok(run), Ok(slurm))
                if problems.is_empty() =>
            {
                let text = source.text.clone();
                Ok(Self {
                    name,
                    text,
                    included,
                    seeds,
                    evaluate,
                    run,
                    slurm,
                    sweep,
                    sections,
                    origin,
                })
            }
            (name, seeds, sweep, evaluate, run, slurm) => {
                // What is wrong with the sections is said in the same pass.
                if let Ok(sweep) = &sweep {
                    let rest = Self {
                        name: String::new(),
                        text: String::new(),
                        included: Vec::new(),
                        seeds: vec![0],
                        evaluate: Evaluate {
                            evaluations: Vec::new(),
                            every: None,
                            batch: 1,
                            show: Vec::new(),
                        },
                        run: RunSettings::default(),
                        slurm: Slurm::default(),
                        sweep: sweep.clone(),
                        sections,
                        origin,
                    };
                    problems.extend(rest.runs().err().into_iter().flatten());
                }
                problems.extend(name.err());
                problems.extend(seeds.err().into_iter().flatten());
                problems.extend(sweep.err().into_iter().flatten());
                problems.extend(evaluate.err().into_iter().flatten());
                problems.extend(run.err().into_iter().flatten());
                problems.extend(slurm.err().into_iter().flatten());
                problems.sort_by_cached_key(|problem| {
                    let place =
                        |origin: &Origin| (origin.source_name().to_owned(), origin.line_column());
                    problem.origin.as_ref().map(place)
                });
                Err(problems)
            }
        }
    }
}

impl Experiment {
    /// The names of the grid's axes, each once, in their order.
    pub fn axis_names(&self) -> Vec<&str> {
        self.sweep.axis_names()
    }

    /// The place of a setting of a section: its value, the axis that sets it, or the file.
    pub(crate) fn place_of(&self, section: &str, key: &str) -> Origin {
        let path = [section, key];
        if let Some(axis) = self.sweep.axes.iter().find(|axis| axis.path == path) {
            return axis.origin.clone();
        }
        let section = self.sections.iter().find(|(name, _)| *name == section);
        let entry = section.and_then(|(_, node)| node.as_ref()?.as_table()?.get(key));
        entry.map_or_else(|| self.origin.clone(), |entry| entry.node.origin.clone())
    }
}

/// What a file leaves out. It is asked for by every section of every grid point, and parsed once.
fn defaults() -> &'static Node {
    static DEFAULTS: LazyLock<Node> = LazyLock::new(|| {
        let source = Arc::new(Source {
            name: "defaults".into(),
            base: PathBuf::new(),
            text: defaults_text(),
            is_private: false,
        });
        match node::parse(&source) {
            Ok(node) => node,
            Err(problems) => unreachable!("defaults.toml does not parse: {problems:?}"),
        }
    });
    &DEFAULTS
}

/// The place of a setting that stands nowhere.
pub(super) fn default_origin() -> Origin {
    defaults().origin.clone()
}

/// The keys that an experiment does not have. What one of them was probably meant for is read as such, so
/// that it is not missing, and what is in it is looked at too.
fn misspelt(document: &mut Node) -> Vec<Diagnostic> {
    let Value::TomlTable(table) = &mut document.value else { return Vec::new() };
    let mut problems = Vec::new();
    let top_level = top_level();
    let mut has: Vec<String> = table.entries.iter().map(|entry| entry.key.clone()).collect();
    let unknown = table.entries.iter_mut().filter(|entry| !top_level.contains(&&*entry.key));
    for entry in unknown.take(ENOUGH) {
        let message = format!("an experiment has no `{}`", entry.key);
        let problem = Diagnostic::at(&entry.key_origin, message);
        let help = help_for("", &entry.key, &top_level);
        problems.push(help.into_iter().fold(problem, Diagnostic::help));
        let meant = closest(&entry.key, top_level.iter().copied())
            .filter(|meant| !has.iter().any(|key| key == meant));
        if let Some(meant) = meant {
            has.push(meant.to_owned());
            entry.key = meant.to_owned();
        }
    }
    problems
}

fn read_name(origin: &Origin, node: Option<&Node>) -> Result<String, Diagnostic> {
    let Some(node) = node else {
        let help = "the name is the folder of its results, as in name = \"kl_sweep\"";
        return Err(Diagnostic::at(origin, "an experiment needs a `name`").help(help));
    };
    let Some(name) = node.as_str() else {
        let message = format!("`name` is a string, got {}", node.type_name());
        return Err(Diagnostic::at(&node.origin, message).help("as in name = \"kl_sweep\""));
    };
    let legal = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if legal && name.len() <= 200 {
        return Ok(name.to_owned());
    }
    let message = format!("`{name}` is no name for a folder of results");
    let help = "a name starts with a letter or digit; letters, digits, `.`, `_` and `-` follow, 200 at most";
    Err(Diagnostic::at(&node.origin, message).help(help))
}

fn read_seeds(node: &Node) -> Result<Vec<u64>, Vec<Diagnostic>> {
    let help = "as in seeds = [0, 1, 2]";
    let Value::Array(items) = &node.value else {
        let message = format!("`seeds` is a list, got {}", node.type_name());
        return Err(vec![Diagnostic::at(&node.origin, message).help(help)]);
    };
    if items.is_empty() {
        let message = "`seeds` is empty, so the grid has no runs";
        return Err(vec![Diagnostic::at(&node.origin, message).help(help)]);
    }
    let mut seeds: Vec<(u64, &Origin)> = Vec::new();
    let mut problems = Vec::new();
    let mut seen = std::collections::HashMap::new();
    for item in items {
        match item.value {
            Value::Integer(seed) if seed >= 0 => {
                let seed = seed as u64;
                if let Some(first) = seen.insert(seed, &item.origin) {
                    let message = format!("the seed {seed} is there twice");
                    problems
                        .push(Diagnostic::at(&item.origin, message).related(first, "the first"));
                }
                seeds.push((seed, &item.origin));
            }
            _ => {
                let message =
                    format!("a seed is a whole number of at least 0, got {}", item.to_toml());
                problems.push(Diagnostic::at(&item.origin, message).help(help));
            }
        }
    }
    if problems.is_empty() {
        Ok(seeds.into_iter().map(|(seed, _)| seed).collect())
    } else {
        problems.truncate(ENOUGH);
        Err(problems)
    }
}

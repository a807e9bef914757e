//! `include = ["base.toml"]`: experiment files that build on others.
//!
//! What is written later wins: the included files in their order, each with what it includes itself,
//! then the file that includes them. Every value keeps the place it comes from.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::merge::merge_documents;
use super::node::{self, KeyValue, Node, Value};
use crate::diagnostics::{Diagnostic, ENOUGH, Origin, Source};
use crate::files;

/// A file that an experiment includes, as it was when the experiment was read.
#[derive(Clone, Debug)]
pub struct Included {
    /// Where it is: absolute, as the files that include it spell it.
    pub path: PathBuf,
    /// What errors call it.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// Where included files are read from.
#[derive(Clone, Copy)]
pub enum IncludeFiles<'a> {
    /// From the disk.
    Disk,
    /// As they were earlier.
    Kept(&'a [Included]),
}

/// More files in a row than anybody can follow.
const MAX_DEPTH: usize = 20;

/// The most bytes that an experiment file has: 16 MiB. A million values on an axis take less.
const MAX_SIZE: u64 = 16 << 20;

/// Merges a document with what it includes; `file` is where it stands, if it is a file. Returns the
/// included files too, each once.
///
/// # Errors
/// Files that cannot be read or are no TOML, and files that include themselves.
pub fn with_included(
    document: Node,
    file: Option<&Path>,
    files: IncludeFiles<'_>,
) -> Result<(Node, Vec<Included>), Vec<Diagnostic>> {
    let home = file.map_or_else(|| document.origin.base().to_owned(), folder_of);
    let home = files.identity(if home.as_os_str().is_empty() { Path::new(".") } else { &home });
    let (whole, read) = (HashMap::new(), Vec::new());
    let mut reader = Reader { files, home, open: Vec::new(), whole, read };
    if let Some(file) = file {
        reader.open.push(Open {
            identity: files.identity(file),
            name: file.display().to_string(),
            included_at: None,
        });
    }
    let document = reader.merged(document)?;
    Ok((document, reader.read))
}

/// The folder that a file is in.
fn folder_of(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).to_owned()
}

/// Reads a text file. An error says which byte is not UTF-8.
///
/// # Errors
/// If it cannot be read, with `what` to call it.
pub fn read_text(path: &Path, what: &str) -> Result<Source, Diagnostic> {
    read(path, what, false)
}

/// Reads a text file, of which errors show nothing if it is private.
fn read(path: &Path, what: &str, is_private: bool) -> Result<Source, Diagnostic> {
    let name = path.display().to_string();
    let bytes = files::read(path, MAX_SIZE)
        .map_err(|error| Diagnostic::nowhere(format!("cannot read {what} `{name}`: {error}")))?;
    let base = folder_of(path);
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source { name, base, text, is_private }),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let message = format!("`{name}` is not UTF-8 text: byte {at} is not");
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let origin = Origin::new(Arc::new(Source { name, base, text, is_private }), at..at);
            Err(Diagnostic::at(&origin, message).help("save the file as UTF-8"))
        }
    }
}

impl IncludeFiles<'_> {
    /// What two paths to the same file have in common.
    #[allow(clippy::disallowed_methods, reason = "it tells files of a user apart")]
    fn identity(&self, path: &Path) -> PathBuf {
        match self {
            Self::Disk => fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()),
            Self::Kept(_) => path.to_owned(),
        }
    }

    /// The file at `path`, which is `absolute`. Whoever wrote the experiment may have named any file,
    /// such as one with passwords: errors show nothing of a file that is not below `home`.
    fn read(&self, path: &Path, absolute: &Path, home: &Path) -> Result<Source, Diagnostic> {
        let what = "the included file";
        let name = path.display();
        match self {
            Self::Disk => read(path, what, !self.identity(path).starts_with(home)),
            Self::Kept(kept) => match kept.iter().find(|kept| kept.path == absolute) {
                Some(Included { name, text, .. }) => {
                    let (name, text) = (name.clone(), text.clone());
                    Ok(Source { name, base: folder_of(absolute), text, is_private: false })
                }
                None => {
                    let error = io::Error::from(io::ErrorKind::NotFound);
                    Err(Diagnostic::nowhere(format!("cannot read {what} `{name}`: {error}")))
                }
            },
        }
    }
}

struct Reader<'a> {
    files: IncludeFiles<'a>,
    /// The folder of the experiment.
    home: PathBuf,
    /// The files that are being read, each included by the one before it.
    open: Vec<Open>,
    /// Those that have been read, merged with what they include, by absolute path.
    whole: HashMap<PathBuf, Node>,
    read: Vec<Included>,
}

/// A file that is being read.
struct Open {
    identity: PathBuf,
    name: String,
    /// Where it is included, but for the first.
    included_at: Option<Origin>,
}

impl Reader<'_> {
    /// A document merged with what it includes.
    fn merged(&mut self, mut document: Node) -> Result<Node, Vec<Diagnostic>> {
        let Value::TomlTable(table) = &mut document.value else { return Ok(document) };
        let Some(entry) = table.remove("include") else { return Ok(document) };
        let mut below: Option<Node> = None;
        let mut problems = Vec::new();
        for (written, origin) in names(&entry)? {
            match self.file(written, origin) {
                Ok(node) => {
                    below = Some(match below {
                        Some(below) => merge_documents(below, node),
                        None => node,
                    });
                }
                Err(found) => problems.extend(found),
            }
            if problems.len() >= ENOUGH {
                break;
            }
        }
        match below {
            _ if !problems.is_empty() => Err(problems),
            Some(below) => Ok(merge_documents(below, document)),
            None => Ok(document),
        }
    }

    /// The file of the name `written`, merged with what it includes.
    fn file(&mut self, written: &str, origin: &Origin) -> Result<Node, Vec<Diagnostic>> {
        let path = origin.base().join(written);
        let absolute = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
        if let Some(node) = self.whole.get(&absolute) {
            return Ok(node.clone());
        }
        let identity = self.files.identity(&path);
        if let Some(first) = self.open.iter().position(|open| open.identity == identity) {
            return Err(vec![self.cycle(first, origin)]);
        }
        if self.open.len() > MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} files include each other in a row");
            return Err(vec![Diagnostic::at(origin, message)]);
        }
        let source = self.files.read(&path, &absolute, &self.home).map_err(|mut problem| {
            if problem.origin.is_none() {
                let help =
                    "an included file is looked for from the folder of the file that names it";
                problem = Diagnostic::at(origin, problem.message).help(help);
            }
            vec![problem]
        })?;
        let source = Arc::new(source);
        let document = node::parse(&source)?;
        let (name, included_at) = (source.name.clone(), Some(origin.clone()));
        self.open.push(Open { identity, name: name.clone(), included_at });
        let document = self.merged(document);
        self.open.pop();
        let document = document?;
        self.read.push(Included { path: absolute.clone(), name, text: source.text.clone() });
        self.whole.insert(absolute, document.clone());
        Ok(document)
    }

    /// The file that is `first` among the open ones is included again at `origin`.
    fn cycle(&self, first: usize, origin: &Origin) -> Diagnostic {
        let around = &self.open[first..];
        let names: Vec<&str> = around.iter().chain(&around[..1]).map(|open| &*open.name).collect();
        let message = format!("this file includes itself: {}", names.join(" → "));
        let through = around[1..].iter().filter_map(|open| open.included_at.as_ref());
        through.fold(Diagnostic::at(origin, message), |problem, origin| {
            problem.related(origin, "by way of this")
        })
    }
}

/// What `include` lists, each with its place.
fn names(entry: &KeyValue) -> Result<Vec<(&str, &Origin)>, Vec<Diagnostic>> {
    let node = &entry.node;
    let help = |name: &str| format!("as in include = [{name}]");
    let Value::Array(items) = &node.value else {
        let message = format!("`include` is a list of files, got {}", node.type_name());
        let name = if node.as_str().is_some() { node.to_toml() } else { "\"base.toml\"".into() };
        return Err(vec![Diagnostic::at(&node.origin, message).help(help(&name))]);
    };
    let wrong = items.iter().filter(|item| item.as_str().is_none()).take(ENOUGH).map(|item| {
        let message = format!("an included file is named by a string, got {}", item.type_name());
        Diagnostic::at(&item.origin, message).help(help("\"base.toml\""))
    });
    let wrong: Vec<Diagnostic> = wrong.collect();
    if !wrong.is_empty() {
        return Err(wrong);
    }
    Ok(items.iter().filter_map(|item| Some((item.as_str()?, &item.origin))).collect())
}

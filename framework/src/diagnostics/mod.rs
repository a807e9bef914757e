//! Problems that a user can fix: where each one is, what is wrong, and what would be right.
//!
//! An [`Origin`] is a place in a source text and travels with every setting, from the parser to the plugins.
//! A [`Diagnostic`] is one problem at one place. Checks collect as many problems as they can, so that one
//! pass shows them all.

mod suggest;

pub use suggest::{closest, did_you_mean};

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::printable;

/// Text that settings were read from: a file, or a command line option.
#[derive(Debug)]
pub struct Source {
    /// Name as the user knows it, such as `experiments/kl.toml` or `--set`.
    pub name: String,
    /// Folder that relative paths in the text start from.
    pub base: PathBuf,
    /// The whole text.
    pub text: String,
    /// Whether errors hide the text: it may come from a file that the user did not mean.
    pub is_private: bool,
}

/// A place in a source: a byte range of its text.
#[derive(Clone)]
pub struct Origin {
    source: Arc<Source>,
    span: Range<usize>,
}

impl Origin {
    /// Makes the place of the bytes `span` in `source`. A span beyond the text is cut to the text; an end
    /// inside a character moves to the start of that character.
    pub fn new(source: Arc<Source>, span: Range<usize>) -> Self {
        let whole = |at: usize| (0..=at).rev().find(|at| source.text.is_char_boundary(*at));
        let end = whole(span.end.min(source.text.len())).unwrap_or(0);
        let start = whole(span.start.min(end)).unwrap_or(0);
        Self { source, span: start..end }
    }

    /// Returns line and column, both counted from 1; the column counts characters.
    pub fn line_column(&self) -> (usize, usize) {
        let before = &self.source.text.as_bytes()[..self.span.start];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(&before[line_start..]).chars().count() + 1;
        (line, column)
    }

    /// Returns the text at this place.
    pub fn text(&self) -> &str {
        self.source.text.get(self.span.clone()).unwrap_or_default()
    }

    /// Returns the folder that a relative path written here starts from.
    pub fn base(&self) -> &Path {
        &self.source.base
    }

    /// Returns `text` without the parts that reveal a private source: the value after "got", the text at this
    /// place, and quoted text that occurs in the source. Names of settings stay.
    fn hide(&self, text: String) -> String {
        if !self.source.is_private {
            return text;
        }
        let (said, got) = text.split_once(", got ").unwrap_or((&text, ""));
        let got = if got.is_empty() { String::new() } else { format!(", got {HIDDEN}") };
        let here = self.text().trim().trim_matches(['"', '\'']);
        // One or two bytes are no secret, and occur inside other words.
        let said = if here.len() > 2 { said.replace(here, HIDDEN) } else { said.to_owned() };
        // Every second part stands between quotes.
        let hidden = said.split('"').enumerate().map(|(at, part)| {
            let is_hidden = at % 2 == 1 && !part.is_empty() && self.source.text.contains(part);
            if is_hidden { HIDDEN } else { part }
        });
        hidden.collect::<Vec<_>>().join("\"") + &got
    }

    /// Returns the name of the source.
    pub fn source_name(&self) -> &str {
        &self.source.name
    }

    /// Returns a key that is equal for equal places.
    fn place(&self) -> (String, usize, usize) {
        (self.source.name.clone(), self.span.start, self.span.end)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_column();
        write!(f, "{}:{line}:{column}", self.source.name)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Nothing runs until it is fixed.
    Error,
    /// Shown, and the command continues.
    Warning,
}

/// One problem: what is wrong, where, and what may help.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Message that says what is wrong: lower case, no full stop, names in backticks.
    pub message: String,
    /// Place of the problem; `None` if no text is at fault, as for a file that cannot be opened.
    pub origin: Option<Origin>,
    /// Other places that matter, each with a label.
    pub related: Vec<(Origin, String)>,
    /// Hints: what is expected, or the nearest right name.
    pub help: Vec<String>,
}

/// Stands in for the text of a private source.
const HIDDEN: &str = "…";

/// Number of characters kept at each end of a long message: a message about a text of a million characters
/// must not be a million characters long.
const END: usize = 300;

fn shortened(message: String) -> String {
    let from = message.char_indices().nth(END).map(|(at, _)| at);
    let to = message.char_indices().nth_back(END).map(|(at, _)| at);
    match (from, to) {
        (Some(from), Some(to)) if from < to => format!("{}…{}", &message[..from], &message[to..]),
        _ => message,
    }
}

impl Diagnostic {
    /// Makes an error at a place.
    pub fn at(origin: &Origin, message: impl Into<String>) -> Self {
        let problem = Self::nowhere(origin.hide(message.into()));
        let problem = Self { origin: Some(origin.clone()), ..problem };
        let help = "its text is not shown: the file lies outside the experiment's folder";
        problem.help(if origin.source.is_private { help } else { "" })
    }

    /// Makes an error that no text is at fault for.
    pub fn nowhere(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: shortened(message.into()),
            origin: None,
            related: Vec::new(),
            help: Vec::new(),
        }
    }

    /// Returns the same problem as a warning.
    pub fn warning(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }

    /// Adds a line of help; skips an empty one.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        let help = help.into();
        let help = self.origin.as_ref().map_or(help.clone(), |origin| origin.hide(help));
        if !help.is_empty() {
            self.help.push(help);
        }
        self
    }

    /// Returns whether the places of both problems overlap or touch in one text.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (Some(one), Some(other)) = (&self.origin, &other.origin) else { return false };
        Arc::ptr_eq(&one.source, &other.source)
            && one.span.start <= other.span.end
            && other.span.start <= one.span.end
    }

    /// Adds another place, with its label.
    pub fn related(mut self, origin: &Origin, label: impl Into<String>) -> Self {
        self.related.push((origin.clone(), origin.hide(label.into())));
        self
    }

    /// Formats the problem with its source lines, in the style of the Rust compiler; `color` is for
    /// terminals. Control characters in its texts are escaped, so that a terminal obeys none of them.
    pub fn render(&self, color: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        // Lines after the first are indented, so that one message cannot look like two.
        let title = level.primary_title(printable::lines(&self.message));
        let mut group = annotate_snippets::Group::with_title(title);
        let primary = self.origin.iter().map(|origin| (origin, AnnotationKind::Primary, None));
        let related = self.related.iter().map(|(origin, label)| {
            (origin, AnnotationKind::Context, Some(printable::line(label).into_owned()))
        });
        for (origin, kind, label) in primary.chain(related) {
            group = if origin.source.is_private {
                group.element(place(origin))
            } else {
                group.element(snippet(origin, kind, label))
            };
        }
        for help in &self.help {
            group = group.element(Level::HELP.message(printable::lines(help)));
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }
}

/// Returns the place alone, without its source line.
fn place(origin: &Origin) -> annotate_snippets::Origin<'static> {
    let (line, column) = origin.line_column();
    let name = printable::line(&origin.source.name).into_owned();
    annotate_snippets::Origin::path(name).line(line).char_column(column)
}

/// Returns the line that an origin begins in, and marks only the part of the origin in that line: carets
/// under a whole table would hide the point.
fn snippet(
    origin: &Origin,
    kind: AnnotationKind,
    label: Option<String>,
) -> Snippet<'static, annotate_snippets::Annotation<'static>> {
    let (text, start) = (&origin.source.text, origin.span.start);
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let rest = &text[start..];
    let line_end = start + rest.find(['\n', '\r']).unwrap_or(rest.len());
    let end = origin.span.end.min(line_end);
    let shown = |range: Range<usize>| printable::same_length(&text[range]).into_owned();
    let (before, marked) = (shown(line_start..start), shown(start..end));
    let span = before.len()..before.len() + marked.len();
    Snippet::source(before + &marked + &shown(end..line_end))
        .line_start(origin.line_column().0)
        .path(printable::line(&origin.source.name).into_owned())
        .annotation(kind.span(span).label(label))
}

impl fmt::Display for Diagnostic {
    /// Writes one line: `file:line:column: message`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{}: ", printable::line(&origin.to_string()))?;
        }
        f.write_str(&printable::line(&self.message))
    }
}

/// Number of problems of one kind after which a check may stop: nobody reads more. A mistake in a range of a
/// million values, or a file that is not TOML at all, need not be reported a million times.
pub const ENOUGH: usize = 20;

/// Returns problems as one line of text, without their places.
pub fn in_one_line(problems: &[Diagnostic]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Drops repeated problems: grid points share text, so one mistake is found many times.
pub fn without_repeats(problems: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut seen = HashSet::new();
    let mut kept = problems;
    kept.retain(|problem| {
        let place = problem.origin.as_ref().map(Origin::place);
        seen.insert((problem.message.clone(), place))
    });
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str, span: Range<usize>) -> Origin {
        Origin::new(
            Arc::new(Source {
                name: "kl.toml".into(),
                base: PathBuf::new(),
                text: text.into(),
                is_private: false,
            }),
            span,
        )
    }

    #[test]
    fn lines_and_columns_count_from_one_in_characters() {
        let origin = origin("a = 1\nü = \"é\" # x\nb = 2\n", 12..13);
        assert_eq!(origin.line_column(), (2, 6));
    }

    #[test]
    fn a_rendered_problem_shows_the_place_the_line_and_the_help() {
        let text = "name = \"a\"\n[penalty]\nkind = \"kll\"\n";
        let at = text.find("\"kll\"").unwrap();
        let shown = Diagnostic::at(&origin(text, at..at + 5), "no penalty is named `kll`")
            .help("did you mean `kl`?")
            .render(false);
        for part in ["kl.toml:3:8", "kind = \"kll\"", "^^^^^", "did you mean `kl`?"] {
            assert!(shown.contains(part), "`{part}` is missing in:\n{shown}");
        }
    }

    /// Wrong if any of the text of a private file is printed, wherever an error quotes it.
    #[test]
    fn of_a_private_source_only_the_place_is_shown() {
        let text = "root = \"hunter2\"\npassword = 4242\n";
        let (name, base) = ("/etc/x.toml".into(), PathBuf::new());
        let source = Arc::new(Source { name, base, text: text.into(), is_private: true });
        let origin = Origin::new(source.clone(), 7..16);
        let problem = Diagnostic::at(&origin, "no `penalty` is named `hunter2`, got \"hunter2\"")
            .help("as in password = \"hunter2\"")
            .related(&Origin::new(source, 28..32), "the first is 4242");
        let shown = format!("{}\n{problem}", problem.render(false));
        for secret in ["hunter2", "root", "4242"] {
            assert!(!shown.contains(secret), "`{secret}` is shown in:\n{shown}");
        }
        for part in ["no `penalty` is named `…`", "/etc/x.toml:1:8", "/etc/x.toml:2:12"] {
            assert!(shown.contains(part), "`{part}` is missing in:\n{shown}");
        }
        assert!(shown.contains("its text is not shown"), "{shown}");
    }

    /// Wrong if a file's name, or its text in a source line or a message, moved the cursor, reversed the text
    /// or started a line of its own.
    #[test]
    fn nothing_in_a_problem_is_obeyed_by_a_terminal() {
        let evil = "\u{1b}[2J\u{9b}31m\u{202e}\u{200b}\r\u{7f}\u{2028}";
        let text = format!("# \u{9b}\nä{evil} = {evil}x\n");
        let at = text.rfind('x').unwrap();
        let source = Source {
            name: format!("a\nerror: b{evil}"),
            base: PathBuf::new(),
            text: text.clone(),
            is_private: false,
        };
        let origin = Origin::new(Arc::new(source), at..at + 1);
        let problem = Diagnostic::at(&origin, format!("no `{evil}`\nerror: forged"))
            .help(evil)
            .related(&origin, format!("{evil}\nerror: forged"));
        let plain = problem.render(false);
        assert!(plain.lines().all(|line| !line.contains(|c| !printable::is_shown(c))), "{plain:?}");
        assert!(plain.lines().skip(1).all(|line| !line.starts_with("error")), "{plain}");
        assert!(
            plain.contains("no `\\u{1b}[2J\\u{9b}31m\\u{202e}\\u{200b}\\u{d}\\u{7f}"),
            "{plain}"
        );
        let (_, column) = origin.line_column();
        assert!(plain.contains(&format!(":2:{column}\n")), "{plain}");
        let colors = problem.render(true);
        let mut parts = colors.split("\u{1b}[");
        let mut bare = parts.next().unwrap_or_default().to_owned();
        parts.for_each(|part| bare.push_str(part.split_once('m').unwrap().1));
        assert_eq!(bare, plain, "colours are all that is added");
        let line = problem.to_string();
        assert!(line.chars().all(printable::is_shown), "{line:?}");
    }

    #[test]
    fn long_messages_keep_their_ends() {
        let message = format!("no {}: é", "ü".repeat(100_000));
        let shown = Diagnostic::nowhere(message).message;
        assert!(shown.starts_with("no ü") && shown.ends_with("ü: é"), "{shown}");
        assert_eq!(shown.chars().count(), 602);
        let whole = "x".repeat(600);
        assert_eq!(Diagnostic::nowhere(whole.as_str()).message, whole);
    }

    #[test]
    fn a_span_beyond_the_text_is_cut() {
        assert_eq!(origin("ab", 1..9).text(), "b");
        assert_eq!(origin("", 5..9).line_column(), (1, 1));
        assert_eq!(origin("üü", 1..3).text(), "ü", "a character is whole");
        assert!(Diagnostic::at(&origin("aü", 2..3), "x").render(false).contains("aü"));
    }
}

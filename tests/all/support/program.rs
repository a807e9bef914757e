//! The program as a user meets it: started in a folder of its own, with its output, its exit code and its
//! tables.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde_json::Value as Json;
use tables::{Table, Values};
use tempfile::TempDir;

/// The smallest experiment that is worth running.
pub const TINY: &str = "name = \"tiny\"

[dataset]
kind = \"digits\"

[architecture]
kind = \"dense\"
latents = 16

[penalty]
kind = \"l1\"
lambda = 0.1

[train]
epochs = 1
";

/// Columns in which identical runs may differ.
pub const VOLATILE: [&str; 11] = [
    "seconds",
    "samples_per_second",
    "peak_memory_bytes",
    "host",
    "pid",
    "attempt",
    "worker",
    "threads",
    "started",
    "finished",
    "reason",
];

/// A penalty that adds nothing. While a place is [held](Place::hold), each step with it takes 20 ms, so that a
/// test can act in the middle of a run, however fast or busy the machine is. The program `outside` has it.
pub const HELD: &str = "[penalty]
kind = \"slow\"
milliseconds = 20
only_while = \"held\"
";

/// A folder with experiment files; results go to `results` in it.
pub struct Place {
    folder: TempDir,
    program: PathBuf,
}

/// What the program said, and how it ended.
#[derive(Debug)]
pub struct Said {
    /// The exit code; `None`: it was killed by a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Place {
    /// An empty folder.
    pub fn new() -> Self {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_saegrid"));
        Self { folder: tempfile::tempdir().unwrap(), program }
    }

    /// A folder with the experiment `text` in `x.toml`; with [`HELD`] in it, `outside` is the program.
    pub fn with(text: &str) -> Self {
        let mut place = Self::new();
        place.write("x.toml", text);
        if text.contains(HELD) {
            place.program = example("outside");
        }
        place
    }

    /// Makes each step with [`HELD`] wait from now on.
    pub fn hold(&self) {
        self.write("held", "");
    }

    /// Ends the waiting of steps.
    pub fn let_go(&self) {
        fs::remove_file(self.path("held")).unwrap();
    }

    /// The program that is run here.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The path of something in the folder.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        fs::write(self.path(name), contents).unwrap();
    }

    /// Reads a text file.
    pub fn read(&self, name: impl AsRef<Path>) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Reads a JSON file.
    pub fn json(&self, name: impl AsRef<Path>) -> Json {
        serde_json::from_str(&self.read(name)).unwrap()
    }

    /// Whether anything has been written to the results.
    pub fn has_results(&self) -> bool {
        self.path("results").exists()
    }

    /// The program, not started yet, in this folder.
    pub fn command<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Command {
        self.command_of(&self.program, words)
    }

    fn command_of<S: AsRef<OsStr>>(
        &self,
        program: &Path,
        words: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = Command::new(program);
        command.args(words).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env_remove("RUST_BACKTRACE");
        command
    }

    /// Runs the program to its end.
    pub fn run<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Said {
        Said::from(self.command(words).output().unwrap())
    }

    /// The program that has the plugins of the crate `outside` too, not started yet.
    pub fn command_outside<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Command {
        self.command_of(&example("outside"), words)
    }

    /// Runs the program that has the plugins of the crate `outside` too.
    pub fn run_outside<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Said {
        Said::from(self.command_outside(words).output().unwrap())
    }

    /// A table of the experiment `tiny`, or of another one below `results`: `tiny/runs`.
    pub fn table(&self, name: &str) -> Table {
        let bytes = fs::read(self.path("results").join(format!("{name}.parquet"))).unwrap();
        Table::from_parquet(&bytes).unwrap()
    }

    /// Ids of the runs with a folder in the results of `experiment`, in order.
    pub fn run_ids(&self, experiment: &str) -> Vec<String> {
        let folder = self.path("results").join(experiment).join("runs");
        let entries = fs::read_dir(folder).unwrap();
        let mut ids: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        ids.sort();
        ids
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

impl Said {
    /// The same, if the exit code is this one.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// The same, if each part is somewhere on standard error.
    #[track_caller]
    pub fn complains<'a>(self, parts: impl IntoIterator<Item = &'a str>) -> Self {
        for part in parts {
            assert!(self.err.contains(part), "`{part}` is missing:\n{self}");
        }
        self
    }

    /// Standard output as one JSON document.
    #[track_caller]
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}\n{self}"))
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, out, err } = self;
        write!(f, "exit code {code:?}\n--- standard output\n{out}\n--- standard error\n{err}")
    }
}

/// Path of an example, which is built where it is missing: `cargo test --test all` builds none.
pub fn example(name: &str) -> PathBuf {
    static BUILDING: Mutex<()> = Mutex::new(());
    let here = std::env::current_exe().unwrap();
    let profile = here.ancestors().nth(2).unwrap();
    let program = profile.join("examples").join(name);
    let _one_at_a_time = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    if !program.exists() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--examples"]);
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        // What cargo told this process makes some build scripts run again, and all that needs them.
        for (name, _) in std::env::vars_os() {
            let told = name.to_string_lossy();
            if told.starts_with("CARGO_") && !["CARGO_TARGET_DIR", "CARGO_HOME"].contains(&&*told) {
                cargo.env_remove(&name);
            }
        }
        let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap();
        assert!(status.success() && program.exists(), "the example `{name}` is not built");
    }
    program
}

/// Writes an executable script of `sh`. Another process writes it: a process that another test starts at the
/// same moment would inherit the open file, and a file that is open for writing cannot be run ("text file
/// busy").
#[track_caller]
pub fn write_script(path: &Path, text: &str) {
    let mut shell = Command::new("sh");
    shell.args(["-c", "cat > \"$1\" && chmod 755 \"$1\"", "sh"]).arg(path);
    let mut shell = shell.stdin(Stdio::piped()).spawn().unwrap();
    write!(shell.stdin.take().unwrap(), "#!/bin/sh\n{text}\n").unwrap();
    assert!(shell.wait().unwrap().success(), "{}", path.display());
}

/// The text of a column.
#[track_caller]
pub fn texts(table: &Table, column: &str) -> Vec<String> {
    let values = table.get(column).unwrap_or_else(|| panic!("no column `{column}`"));
    values.texts().into_iter().map(Option::unwrap_or_default).collect()
}

/// The numbers of a column.
#[track_caller]
pub fn numbers(table: &Table, column: &str) -> Vec<Option<f64>> {
    match table.get(column) {
        Some(Values::Number(values)) => values.clone(),
        Some(Values::Whole(values)) => {
            values.iter().map(|value| value.map(|value| value as f64)).collect()
        }
        other => panic!("`{column}` is no column of numbers: {other:?}"),
    }
}

/// The names of the columns, in order of the alphabet.
pub fn columns(table: &Table) -> Vec<String> {
    let mut names: Vec<String> = table.columns().iter().map(|column| column.name.clone()).collect();
    names.sort();
    names
}

/// The part of a table that identical runs share: each column's values as text, numbers as their bits.
pub fn lasting(table: &Table) -> BTreeMap<String, Vec<String>> {
    let lasting = table.columns().iter().filter(|column| !VOLATILE.contains(&&*column.name));
    let bits = |value: &Option<f64>| match value {
        Some(value) => format!("{:016x} ({value:?})", value.to_bits()),
        None => "null".to_owned(),
    };
    lasting
        .map(|column| {
            let values = match &column.values {
                Values::Number(values) => values.iter().map(bits).collect(),
                other => {
                    let or_null = |text: Option<String>| text.unwrap_or_else(|| "null".to_owned());
                    other.texts().into_iter().map(or_null).collect()
                }
            };
            (column.name.clone(), values)
        })
        .collect()
}

/// Asserts that two tables are equal, bit for bit, except for volatile columns.
#[track_caller]
pub fn assert_same(one: &Table, other: &Table) {
    let (one, other) = (lasting(one), lasting(other));
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    for (name, values) in &one {
        assert_eq!(values, &other[name], "column `{name}`");
    }
}

/// A file in IDX form of unsigned bytes.
pub fn idx(sizes: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, sizes.len() as u8];
    sizes.iter().for_each(|size| file.extend(size.to_be_bytes()));
    file.extend(bytes);
    file
}

/// The tiny experiment with more at its end.
pub fn with(more: &str) -> String {
    format!("{TINY}{more}\n")
}

/// Time of the last change of each file below a folder.
pub fn changes(folder: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                all.insert(entry.path(), entry.metadata().unwrap().modified().unwrap());
            }
        }
    }
    all
}

/// The header of a safetensors file.
pub fn safetensors_header(path: &Path) -> Json {
    let bytes = fs::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    serde_json::from_slice(&bytes[8..8 + length]).unwrap()
}

//! An experiment folder as a stranger may have prepared it: links, pipes, sockets, devices, huge files
//! and odd names in the place of what the program makes. Every command is run on it, and everything
//! outside the folder is watched: nothing there changes, no command hangs or panics, and nothing that
//! a terminal would obey is printed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Two runs that end at once, and one that does not.
const EXPERIMENT: &str = "name = \"grid\"
seeds = [0, 1, 2]
[dataset]
kind = \"digits\"
[architecture]
kind = \"dense\"
latents = 4
[train]
steps = 2
batch = 16
[run]
lease = 1
";

/// Commands, with `ID` for the id of a run.
const COMMANDS: [&[&str]; 17] = [
    &["status", "results/grid"],
    &["list", "x.toml"],
    &["check", "x.toml"],
    &["compare", "results/grid"],
    &["query", "results/grid", "SELECT count(*) FROM runs"],
    &["features", "results/grid", "ID", "--pictures", "results/grid/figures"],
    &["stability", "results/grid"],
    &["report", "results/grid"],
    &["report", "results/grid", "--figures", "results/grid/figures"],
    &["cancel", "results/grid"],
    &["submit", "x.toml", "--engine", "none"],
    &["worker", "results/grid"],
    &["run", "x.toml"],
    &["run", "x.toml", "--rerun", "all"],
    &["report", "results/grid", "--output", "results/grid/report.html"],
    &["status", "results/grid", "--json"],
    &["query", "results/grid", "SELECT * FROM runs", "--output", "results/grid/answer.csv"],
];

/// How many of them are run on a folder, one after another.
const COMMANDS_A_FOLDER: usize = 6;

/// A finished experiment that folders are made from.
pub struct Template {
    place: tempfile::TempDir,
    /// The ids of its runs, in order; the last one is under way.
    ids: Vec<String>,
    program: PathBuf,
}

impl Template {
    /// Has the program at `program` run an experiment.
    pub fn new(program: &Path) -> Self {
        let place = tempfile::tempdir().expect("there is a place for temporary files");
        fs::write(place.path().join("x.toml"), EXPERIMENT).expect("a file can be written");
        let path = place.path().join("results/grid");
        let program = program.to_owned();
        let said = command(&program, place.path(), &["run", "x.toml", "-j", "1"]).output();
        let said = said.expect("the program can be run");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let mut ids: Vec<String> = names(&path.join("runs"));
        ids.sort();
        let last = &ids[2];
        fs::create_dir_all(path.join("work").join(last)).expect("a folder can be made");
        let (run, attempt) = (path.join("runs").join(last), path.join("work").join(last).join("1"));
        fs::rename(run, &attempt).expect("a folder can be renamed");
        fs::remove_file(attempt.join("manifest.json")).expect("the run has ended");
        Self { place, ids, program }
    }
}

/// Makes a folder as `bytes` say, three of them for each thing in it, runs some commands on it, and
/// panics if any of them does harm or takes longer than `limit`.
pub fn folder(template: &Template, bytes: &[u8], limit: Duration) {
    let place = tempfile::tempdir().expect("there is a place for temporary files");
    copy(template.place.path(), place.path());
    let (root, outside) = (place.path().join("results/grid"), place.path().join("outside"));
    furnish(&outside, &template.ids);
    let places = places(&template.ids);
    let mut made = Vec::new();
    for instruction in bytes.chunks_exact(3).take(12) {
        let [at, kind, target] = [instruction[0], instruction[1], instruction[2]].map(usize::from);
        let path = &places[at % places.len()];
        made.push(format!("{path:?}: {}", put(&root.join(path), &outside, kind, target)));
    }
    let before = look(place.path(), &root);
    let start = bytes.iter().map(|byte| usize::from(*byte)).sum::<usize>();
    for at in 0..COMMANDS_A_FOLDER {
        let words = COMMANDS[(start + at * 5) % COMMANDS.len()];
        let id = &template.ids[0];
        let words: Vec<&str> =
            words.iter().map(|word| if *word == "ID" { id } else { *word }).collect();
        check(&template.program, place.path(), &words, limit, &made);
        let after = look(place.path(), &root);
        assert!(before == after, "`{words:?}` changed what is outside; the folder has {made:#?}");
    }
}

fn check(program: &Path, place: &Path, words: &[&str], limit: Duration, made: &[String]) {
    let (out, err) = (place.join("out"), place.join("err"));
    let file = |path: &Path| Stdio::from(File::create(path).expect("a file can be made"));
    let mut command = command(program, place, words);
    let child = command.stdout(file(&out)).stderr(file(&err)).spawn();
    let code = wait(child.expect("the program can be run"), limit);
    let said = [&out, &err].map(|path| fs::read(path).unwrap_or_default());
    for path in [out, err] {
        fs::remove_file(path).expect("a file can be removed");
    }
    let said = said.map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    let code =
        code.unwrap_or_else(|| panic!("`{words:?}` hangs; the folder has {made:#?}\n{said}"));
    // Codes that the program documents; 101 is a panic, and none a signal.
    let is_known = [0, 2, 4, 5, 74, 75, 100].contains(&code.unwrap_or(-1));
    assert!(is_known, "`{words:?}` ended with {code:?}; the folder has {made:#?}\n{said}");
    let obeyed = said.chars().find(|char| {
        char.is_control() && !"\n\t".contains(*char)
            || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    });
    assert_eq!(obeyed, None, "`{words:?}` prints it; the folder has {made:#?}\n{said:?}");
}

/// The exit code, of which there is none after a signal; `None` if the process had to be killed.
fn wait(mut child: Child, limit: Duration) -> Option<Option<i32>> {
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status.code());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

fn command(program: &Path, place: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(words).current_dir(place).stdin(Stdio::null()).env("PATH", "");
    command
}

/// Names from the experiment folder on: of what the program makes there, and others.
fn places(ids: &[String]) -> Vec<PathBuf> {
    let [first, second, last] = [&ids[0], &ids[1], &ids[2]];
    let attempt = format!("work/{last}/1");
    let mut places: Vec<String> = [
        "experiment.toml",
        "experiment.1.toml",
        "invocation.json",
        "runs.parquet",
        "history.parquet",
        "latents.parquet",
        "tables.json",
        "stability.parquet",
        "report.html",
        "report.html.part",
        "figures",
        "answer.csv",
        "runs",
        "work",
        "replaced",
        "rungs",
        "rungs/0.5",
        "slurm",
        "slurm/1.json",
        "slurm/1.sh",
        "slurm/log",
        "included",
        ".writing-0-0",
        "runs/\u{1b}]0;title\u{7}",
        "runs/0000000000000000",
        "work/0000000000000000/1",
    ]
    .map(str::to_owned)
    .into();
    for file in [
        "",
        "/manifest.json",
        "/run.parquet",
        "/model.safetensors",
        "/latents.parquet",
        "/history.parquet",
        "/log.txt",
        "/claim.json",
    ] {
        places.push(format!("runs/{first}{file}"));
        places.push(format!("{attempt}{file}"));
    }
    for file in
        ["checkpoint-1", "checkpoint-2", "search", "progress.json", "notes.txt", ".writing-1"]
    {
        places.push(format!("{attempt}/{file}"));
    }
    places.extend([
        format!("work/{last}"),
        format!("work/{last}/2"),
        format!("work/{last}/18446744073709551615"),
        format!("work/{last}/007"),
        format!("work/{last}/notes"),
        format!("work/{last}/.writing-2"),
        format!("work/{second}"),
        format!("work/{second}/1"),
        format!("replaced/{last}.1"),
        format!("rungs/0.5/{first}.json"),
    ]);
    places.into_iter().map(PathBuf::from).collect()
}

/// What nothing may touch, under names that the program makes and would remove or write to.
fn furnish(outside: &Path, ids: &[String]) {
    for folder in ["", "1", "runs", "empty", ".writing-1"] {
        fs::create_dir_all(outside.join(folder)).expect("a folder can be made");
    }
    fs::create_dir_all(outside.join(&ids[0])).expect("a folder can be made");
    for file in ["claim.json", "log.txt", "model.safetensors", "search", "notes", "checkpoint-1"] {
        for folder in ["", "1", ".writing-1"] {
            let text =
                format!("{folder}/{file}\n").repeat(if file == "log.txt" { 200_000 } else { 1 });
            fs::write(outside.join(folder).join(file), text).expect("a file can be written");
        }
    }
}

/// Puts something in a place. Returns what, in words.
fn put(path: &Path, outside: &Path, kind: usize, target: usize) -> &'static str {
    // An archive is unpacked into folders, not through the links that it has made before.
    let is_in_the_way =
        |above: &Path| fs::symlink_metadata(above).is_ok_and(|found| !found.is_dir());
    let Some(above) = path.parent() else { return "nothing" };
    if above.ancestors().any(is_in_the_way) || fs::create_dir_all(above).is_err() {
        return "nothing";
    }
    // A claim that cannot be read may be somebody's: its run is left alone for a minute, and `run` says so.
    if path.ends_with("claim.json") && [11, 14, 15].contains(&(kind % 16)) {
        return "nothing";
    }
    clear(path);
    let goals =
        ["", "1", "claim.json", "log.txt", "model.safetensors", "empty", "1/log.txt", "gone"];
    let goal = outside.join(goals[target % goals.len()]);
    let done = match kind % 16 {
        0..=2 => symlink(&goal, path).map(|()| "a link to something outside"),
        3 => symlink(relative(path, &goal), path).map(|()| "a relative link to something outside"),
        4 => symlink(".", path).map(|()| "a link to its folder"),
        5 => symlink(path, path).map(|()| "a link to itself"),
        6 => symlink("/dev/zero", path).map(|()| "a link to /dev/zero"),
        7 | 8 => pipe(path).map(|()| "a pipe"),
        9 => UnixListener::bind(path).map(|_| "a socket"),
        10 => device(path).map(|()| "a device"),
        11 => fs::hard_link(&goal, path).map(|()| "a hard link to something outside"),
        12 => File::create(path).and_then(|file| file.set_len(1 << 42)).map(|()| "a huge file"),
        13 => fs::create_dir_all(path.join("deep/deeper")).map(|()| "a folder with folders"),
        14 => {
            let text = "\u{1b}[2J\u{9b}31m\u{202e}{\"a\": 18446744073709551616}\n\r";
            fs::write(path, text).map(|()| "a text of controls")
        }
        _ => fs::write(path, vec![0; target]).map(|()| "zeros"),
    };
    done.unwrap_or("nothing")
}

fn relative(from: &Path, to: &Path) -> PathBuf {
    let above = to.ancestors().find(|above| from.starts_with(above)).unwrap_or(Path::new("/"));
    let below = |path: &Path| path.strip_prefix(above).unwrap_or(path).to_owned();
    let up = below(from).components().count().saturating_sub(1);
    let up: PathBuf = std::iter::repeat_n("..", up).collect();
    up.join(below(to))
}

/// Makes a pipe. The program `mkfifo` is in every Unix.
fn pipe(path: &Path) -> std::io::Result<()> {
    Command::new("/usr/bin/mkfifo").arg(path).status().map(drop)
}

/// Makes a device that never ends, where this user may.
fn device(path: &Path) -> std::io::Result<()> {
    let words = ["-m", "666"].map(OsStr::new).into_iter().chain([path.as_os_str()]);
    let words = words.chain(["c", "1", "5"].map(OsStr::new));
    Command::new("/usr/bin/mknod").args(words).stderr(Stdio::null()).status().map(drop)
}

/// Removes what stands in a place, of a folder all that is in it.
fn clear(path: &Path) {
    let _ = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        _ => fs::remove_file(path),
    };
}

/// What is known of everything in a place but the experiment folder.
fn look(place: &Path, root: &Path) -> BTreeMap<PathBuf, (u32, u64, i64, i64, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut open = vec![place.to_owned()];
    while let Some(path) = open.pop() {
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        if path == *root {
            continue;
        }
        let bytes = if found.is_file() { fs::read(&path).unwrap_or_default() } else { Vec::new() };
        // The folder that commands are run in has their output for a moment.
        let time = if path == *place { (0, 0) } else { (found.mtime(), found.mtime_nsec()) };
        // The number of names of a file changes with its hard links in the folder.
        let size = if found.is_dir() { 0 } else { found.size() };
        if found.is_dir() {
            open.extend(names(&path).into_iter().map(|name| path.join(name)));
        }
        all.insert(path, (found.mode(), size, time.0, time.1, bytes));
    }
    all
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn copy(from: &Path, to: &Path) {
    for name in names(from) {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            fs::create_dir_all(&to).expect("a folder can be made");
            copy(&from, &to);
        } else {
            fs::copy(from, to).expect("a file can be copied");
        }
    }
}

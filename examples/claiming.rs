//! What claiming costs when many workers share one experiment folder, simulated by processes of this
//! machine: each works as a worker of the program does, on runs that take no time to train. What is
//! measured is the time from the end of a worker's run to the begin of its next, in which it looks for
//! that run and claims it. docs/scale.md has what came of it.
//!
//!     cargo run --example claiming                                     # the table of docs/scale.md
//!     cargo run --example claiming -- WORKERS RUNS OPEN SECONDS [DIR]  # one line of it, with its files in DIR
//!
//! Of `RUNS` runs all but `OPEN`, spread evenly, have ended before; each takes `SECONDS`, in which its
//! worker sleeps. With 0 all workers claim and store without a pause, more of them than there are cores.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use framework::shared::Shared;
use framework::spec::{Experiment, RunSpec};
use plugins as _;
use serde_json::{Value as Json, json};
use store::process::Process;
use store::{Folder, Manifest, Status};
use worker::{Event, Idle, StopRequest, Worker, work};

/// Workers, runs, those of them that are open, and seconds that each takes.
type Line = (usize, usize, usize, f64);

const TABLE: [Line; 16] = [
    (1, 100, 100, 0.0),
    (1, 1000, 1000, 0.0),
    (1, 10_000, 1000, 0.0),
    (1, 100_000, 1000, 0.0),
    (4, 1000, 1000, 0.0),
    (16, 1000, 1000, 0.0),
    (64, 1000, 1000, 0.0),
    (64, 10_000, 1000, 0.0),
    (64, 100_000, 1000, 0.0),
    (64, 100, 100, 2.0),
    (64, 1000, 1000, 2.0),
    (64, 10_000, 1000, 2.0),
    (64, 100_000, 1000, 2.0),
    (128, 10_000, 1000, 4.0),
    (1, 10_000, 0, 0.0),
    (1, 100_000, 0, 0.0),
];

const HEADER: &str = "| workers | runs | open | s a run | wall, s | claims a second | claim, ms: median | 90 % | worst | first, s | last to end, s | CPU, ms a claim | MiB a worker |\n\
                      |---|---|---|---|---|---|---|---|---|---|---|---|---|";

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let place = tempfile::tempdir()?;
    match words[..] {
        [] => {
            println!("{HEADER}");
            for (at, line) in TABLE.into_iter().enumerate() {
                simulate(&place.path().join(at.to_string()), line)?;
                fs::remove_dir_all(place.path().join(at.to_string()))?;
            }
        }
        ["worker", folder, seconds] => claim(Path::new(folder), seconds.parse()?)?,
        [workers, runs, open, seconds, ref folder @ ..] => {
            let folder = folder.first().map_or(place.path(), |folder| Path::new(*folder));
            println!("{HEADER}");
            let line = (workers.parse()?, runs.parse()?, open.parse()?, seconds.parse()?);
            simulate(&folder.join("claiming"), line)?;
        }
        _ => return Err("expected nothing, or WORKERS RUNS OPEN SECONDS [DIR]".into()),
    }
    Ok(())
}

/// One line of the table.
fn simulate(path: &Path, (workers, runs, open, seconds): Line) -> Result<(), Box<dyn Error>> {
    prepare(path, runs, open)?;
    let start = Instant::now();
    let children: Vec<_> = (0..workers)
        .map(|_| {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("worker").arg(path).arg(seconds.to_string()).stdout(Stdio::piped()).spawn()
        })
        .collect::<Result<_, _>>()?;
    let said: Vec<Json> = children
        .into_iter()
        .map(|child| Ok(serde_json::from_slice(&child.wait_with_output()?.stdout)?))
        .collect::<Result<_, Box<dyn Error>>>()?;
    let wall = start.elapsed().as_secs_f64();

    let list = |key: &str| -> Vec<f64> {
        let mut all: Vec<f64> = said
            .iter()
            .flat_map(|said| said[key].as_array().expect("each worker says it"))
            .filter_map(Json::as_f64)
            .collect();
        all.sort_by(f64::total_cmp);
        all
    };
    let (gaps, first, last) = (list("gaps"), list("first"), list("last"));
    let (cpu, memory) = (list("cpu"), list("memory"));
    let at = |values: &[f64], share: f64| {
        values.get(((values.len() as f64 * share) as usize).min(values.len().max(1) - 1)).copied()
    };
    let shown = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
    let claims = gaps.len() + first.len();
    assert_eq!(claims, open, "each open run is claimed once");
    println!(
        "| {workers} | {runs} | {open} | {seconds} | {wall:.1} | {:.0} | {} | {} | {} | {} | {} | {:.1} | {:.0} |",
        claims as f64 / wall,
        shown(at(&gaps, 0.5)),
        shown(at(&gaps, 0.9)),
        shown(at(&gaps, 1.0)),
        shown(at(&first, 0.5)),
        shown(at(&last, 1.0)),
        cpu.iter().sum::<f64>() * 1e3 / claims.max(1) as f64,
        memory.iter().sum::<f64>() / workers as f64,
    );
    Ok(())
}

/// Makes the folder, in which all runs but so many have ended.
fn prepare(path: &Path, runs: usize, open: usize) -> Result<(), Box<dyn Error>> {
    let seeds: Vec<usize> = (0..runs).collect();
    let text = format!(
        "name = \"claiming\"\nseeds = {seeds:?}\ndataset.kind = \"digits\"\n\
         architecture = {{ kind = \"dense\", latents = 1 }}\n\
         train = {{ steps = 1, batch = 1 }}\nevaluate = {{ kinds = [], every = 1 }}\n",
    );
    let experiment = Experiment::parse("claiming.toml".into(), "".into(), text, &[])
        .map_err(|problems| format!("{problems:?}"))?;
    let folder = Folder::at(path);
    folder
        .open_for(&experiment, Path::new("claiming.toml"), &[])
        .map_err(|error| error.to_string())?;
    let specs = experiment.runs().map_err(|problems| format!("{problems:?}"))?;
    for (at, run) in specs.iter().enumerate() {
        let is_open = (at + 1) * open / runs > at * open / runs;
        if !is_open {
            end(&folder, &experiment, run)?;
        }
    }
    Ok(())
}

/// Ends a run as one that is done, with all that workers look at.
fn end(folder: &Folder, experiment: &Experiment, run: &RunSpec) -> Result<(), Box<dyn Error>> {
    let manifest = Manifest {
        format: 1,
        run_id: run.id.clone(),
        status: Status::Done,
        reason: None,
        settings: run.settings(),
        evaluations: Manifest::evaluations_of(experiment),
        every: None,
        versions: Manifest::versions_of(experiment, run),
        provenance: json!({ "host": "here", "cpu_features": ["sse2", "avx", "avx2", "fma"] }),
        attempt: 1,
        data: Default::default(),
        digests: BTreeMap::from(
            ["run.parquet", "history.parquet", "latents.parquet", "model.safetensors"]
                .map(|name| (name.to_owned(), blake3::hash(name.as_bytes()).to_hex().to_string())),
        ),
        exhibits: Vec::new(),
        taken: Vec::new(),
    };
    fs::create_dir_all(folder.run(&run.id))?;
    let bytes = manifest.to_bytes().map_err(|error| error.to_string())?;
    Ok(fs::write(folder.run(&run.id).join("manifest.json"), bytes)?)
}

/// What a worker has seen.
#[derive(Default)]
struct Seen {
    ended: Option<Instant>,
    /// Seconds from the start of the process to its first claim.
    first: Option<f64>,
    /// Milliseconds from the end of a run to the next claim.
    gaps: Vec<f64>,
}

/// A worker: works until all runs have ended, and says how long it took to claim them.
fn claim(path: &Path, seconds: f64) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let seen = Mutex::new(Seen::default());
    let say = |event: &Event| {
        let mut seen = seen.lock().expect("nobody panics with it");
        match event {
            Event::Started { .. } => {
                match seen.ended {
                    Some(ended) => seen.gaps.push(ended.elapsed().as_secs_f64() * 1e3),
                    None => seen.first = Some(start.elapsed().as_secs_f64()),
                }
                std::thread::sleep(Duration::from_secs_f64(seconds));
            }
            Event::Finished { .. } => seen.ended = Some(Instant::now()),
            _ => {}
        }
    };
    let (process, stop) = (Process::this(), StopRequest::default());
    let worker =
        Worker { number: 0, process, threads: 1, idle: Idle::Ends, stop, output: None, say: &say };
    work(&Folder::at(path), &worker, Shared::default()).map_err(|failure| failure.to_string())?;
    let seen = seen.into_inner()?;
    let last = seen.ended.map_or(start.elapsed(), |ended| ended.elapsed()).as_secs_f64();
    let said = json!({
        "first": seen.first.into_iter().collect::<Vec<_>>(), "gaps": seen.gaps, "last": [last],
        "cpu": [cpu().as_secs_f64()], "memory": [memory_mib()],
    });
    println!("{said}");
    Ok(())
}

/// Processor time of this process.
fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let words = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks: u64 = words.skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
    // A tick is a hundredth of a second on all of Linux.
    Duration::from_millis(ticks * 10)
}

/// The most memory this process had in use.
fn memory_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

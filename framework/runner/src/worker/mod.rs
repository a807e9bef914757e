//! Workers: each claims the next run that has not ended, trains and measures it, stores it, and
//! goes on until none is left. Starting more of them is all there is to running faster.

mod execute;
mod pool;
mod protocol;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use framework::shared::Shared;
use framework::spec::{Experiment, Opened, RunSpec};

pub use execute::record_lost;
pub use pool::{Pool, PoolEnd};
pub use protocol::Event;

use crate::exit::{Exit, Failure};
use crate::store::{Claim, Folder, RunState, Status};

/// How glibc's allocator is set in a worker, as environment variables: they are read when a process
/// starts. Each step of the reference engine frees what the next one asks for again; glibc would give
/// it back to the system in between and fault it in anew, a fifth of the time at 784 x 1000. Huge
/// pages save the fused engine 3 % at 768 x 24576, whose every step walks through all memory.
pub const ALLOCATOR: [(&str, &str); 4] = [
    ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"),
    ("MALLOC_MMAP_MAX_", "0"),
    ("MALLOC_TRIM_THRESHOLD_", "17179869184"),
    ("MALLOC_TOP_PAD_", "16777216"),
];

/// What is left to do for a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// It has to be trained.
    Train,
    /// It is trained; these evaluations are missing.
    Evaluate(Vec<String>),
}

/// What is left to do for a run of the experiment; `None`: nothing. Runs that failed are not
/// repeated by themselves. Files are taken as the manifest says they are: the controller has looked.
///
/// # Errors
/// If its folder cannot be read.
pub fn job(
    folder: &Folder,
    experiment: &Experiment,
    run: &RunSpec,
) -> Result<Option<Job>, Failure> {
    Ok(match folder.state(&run.id, false)? {
        RunState::Outstanding | RunState::Damaged(_) => Some(Job::Train),
        RunState::Ended(manifest) if manifest.status == Status::Done => {
            let missing = manifest.missing_evaluations(experiment);
            let missing: Vec<String> = missing.into_iter().map(str::to_owned).collect();
            (!missing.is_empty()).then_some(Job::Evaluate(missing))
        }
        RunState::Ended(_) => None,
    })
}

/// Arguments that tell a worker where data is in memory already.
pub fn places(shared: &Shared) -> impl Iterator<Item = OsString> {
    shared.places().into_iter().map(|(key, place)| {
        let mut argument = OsString::from(format!("--shared={key}="));
        argument.push(place);
        argument
    })
}

/// What [`places`] says, read back.
///
/// # Errors
/// If it is nothing of the kind.
pub fn place(argument: &str) -> Result<(String, PathBuf), String> {
    let (key, place) = argument.split_once('=').ok_or("expected KEY=PLACE")?;
    Ok((key.to_owned(), place.into()))
}

/// A worker as a process: works on the experiment folder at `path` until nothing is left to claim,
/// and says on standard output what it does.
pub fn main(path: &Path, worker: usize, threads: usize, shared: Shared, controlled: bool) -> Exit {
    if controlled {
        end_with_controller();
    }
    execute::keep_panics();
    limit_threads(threads);
    match work(path, worker, threads, shared) {
        Ok(()) => Exit::Done,
        Err(failure) => {
            say(&Event::Broken {
                worker,
                message: failure.to_string(),
                exit: failure.exit() as u8,
            });
            failure.exit()
        }
    }
}

/// Gives this process so many threads for its products.
pub fn limit_threads(threads: usize) {
    // The pool of both engines is rayon's global one, and this thread is one of several in it, so
    // that a step starts without waking another. If it were the only one, whoever else asks the pool
    // for something (a dataset that gathers ahead) would wait for this thread, and it for them. A
    // second worker in this process is an error of the caller and would share the pool.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    let pool = if threads > 1 { pool.use_current_thread() } else { pool };
    let _ = pool.build_global();
}

fn work(path: &Path, worker: usize, threads: usize, shared: Shared) -> Result<(), Failure> {
    let folder = Folder::at(path);
    let experiment = folder.experiment()?;
    let runs = experiment.runs()?;
    let mut opened = Opened::new(shared);
    for run in &runs {
        if job(&folder, &experiment, run)?.is_none() {
            continue;
        }
        let Some(mut claim) = Claim::take(&folder, &run.id)? else { continue };
        // Between the first look and the claim another worker may have finished it.
        let Some(job) = job(&folder, &experiment, run)? else { continue };
        let context = execute::Context {
            folder: &folder,
            experiment: &experiment,
            worker,
            threads,
            attempt: claim.begin_attempt(),
        };
        execute::execute(&context, run, &job, &mut opened, &mut say)?;
    }
    Ok(())
}

/// One line of JSON on standard output. If nobody listens any more, the work goes on.
fn say(event: &Event) {
    if let Ok(mut line) = serde_json::to_string(event) {
        line.push('\n');
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    }
}

/// The controller holds the other end of standard input and never writes: the end of input is the
/// end of the controller, however it came.
fn end_with_controller() {
    std::thread::spawn(|| {
        let mut byte = [0];
        while matches!(std::io::stdin().read(&mut byte), Ok(read) if read > 0) {}
        std::process::exit(i32::from(Exit::Interrupted as u8));
    });
}

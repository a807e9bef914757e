//! Workers: each claims the next run that has not ended, trains and measures it, publishes the result and
//! takes the next one, until none is left. Starting more of them is all there is to running faster.
//!
//! A worker of `run` waits for what others work on, so that all has ended when the command does. One on a
//! cluster, which has its processor for itself, ends when nothing is left to claim.

// Tests make and look at files, and print, as they need.
#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_macros))]

mod ends;
mod evaluate;
mod execute;
mod log;
mod next;
mod order;
mod outcome;
mod panics;
mod pool;
mod protocol;
mod rungs;
mod search;
mod settle;
pub mod signals;
mod stop;
mod supervisor;
mod training;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use framework::fit::Opened;
use framework::shared::Shared;
use framework::spec::{Experiment, RunSpec};

pub use next::{Job, Next, Outstanding, is_given_up, next, outstanding};
pub use panics::keep as keep_panics;
pub use pool::{Pool, PoolEnd};
pub use protocol::{Event, HeldRun};
pub use rungs::{Out, Rungs, Verdict};
pub use stop::StopRequest;

use execute::{Context, Did};
use log::Output;
use order::Order;
use store::exit::{Exit, Failure};
use store::process::Process;
use store::{Folder, Holder, Leases, Taken};
use supervisor::{Supervisor, end_process};

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

/// A worker as a process: works on the experiment folder at `path` until nothing is left to do, and
/// says on standard output what it does. It ends when standard input does, which its pool holds.
pub fn main(path: &Path, number: usize, threads: usize, shared: Shared, idle: Idle) -> Exit {
    let stop = StopRequest::on_signals();
    stop.on_end_of_input();
    let (output, events) = Output::take();
    let events = Mutex::new(events);
    let say = |event: &Event| say(&events, event);
    limit_threads(threads);
    let (process, output) = (Process::this(), Some(&output));
    let worker = Worker { number, process, threads, idle, stop: stop.clone(), output, say: &say };
    match work(&Folder::at(path), &worker, shared) {
        // Nobody is left to end what its runs have started.
        Ok(()) if stop.asked() == Some(Exit::Orphaned) => end_process(Exit::Orphaned),
        Ok(()) => stop.asked().unwrap_or(Exit::Done),
        Err(failure) => {
            let exit = failure.exit();
            say(&Event::Broken { worker: number, message: failure.to_string(), exit: exit as u8 });
            exit
        }
    }
}

/// One line of JSON. If nobody listens any more, the work goes on.
fn say(events: &Mutex<Box<dyn Write + Send>>, event: &Event) {
    if let Ok(mut line) = serde_json::to_string(event) {
        line.push('\n');
        let mut events = events.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = events.write_all(line.as_bytes()).and_then(|()| events.flush());
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

/// Whoever works on runs.
pub struct Worker<'a> {
    /// Which worker of its pool it is.
    pub number: usize,
    /// In which process.
    pub process: Process,
    /// How many threads a run has.
    pub threads: usize,
    /// What it does when it finds nothing to claim.
    pub idle: Idle,
    /// When it is to stop.
    pub stop: StopRequest,
    /// Its standard output and error, if runs may have them.
    pub output: Option<&'a Output>,
    /// What hears of what happens.
    pub say: &'a (dyn Fn(&Event) + Sync),
}

/// What a worker does that finds nothing to claim while others have not ended what they work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// It waits, and takes over what they leave.
    Waits,
    /// It ends, as soon as it has seen that they are alive.
    Ends,
}

/// How long a worker waits before it looks again whether others are done, or are still there.
const PAUSE: Duration = Duration::from_millis(100);

/// Works on the runs of a folder until each has ended, whoever worked on it, or until it is to stop; or,
/// if it does not wait for others, until they have all that is left.
///
/// # Errors
/// If the experiment or its data cannot be read, or results cannot be written.
pub fn work(folder: &Folder, worker: &Worker<'_>, shared: Shared) -> Result<(), Failure> {
    let experiment = folder.experiment()?;
    let runs = experiment.runs()?;
    limit_memory(&experiment);
    let context = Context { folder, experiment: &experiment, worker, seen: Mutex::default() };
    let supervisor = Supervisor::new(worker.stop.clone());
    thread::scope(|scope| {
        scope.spawn(|| supervisor.supervise());
        // Whatever happens here, the thread ends.
        let _end = supervisor.end_later();
        work_on(&context, &supervisor, &runs, &mut Opened::new(shared))
    })
}

fn work_on<'a>(
    context: &'a Context<'a>,
    supervisor: &Supervisor<'a>,
    runs: &'a [RunSpec],
    opened: &mut Opened,
) -> Result<(), Failure> {
    let mut leases = Leases::new(context.worker.process.clone());
    let mut rungs = Rungs::new(context.folder, context.experiment, runs)?;
    let mut order = Order::new(context.folder, context.experiment, runs);
    let mut waits_for = Vec::new();
    while !order.is_empty() {
        let (mut held, mut is_idle, mut all_are_kept) = (Vec::new(), true, true);
        rungs.refresh()?;
        order.begin_pass()?;
        while let Some(at) = order.next()? {
            if context.worker.stop.asked().is_some() {
                return Ok(());
            }
            let run = &runs[at];
            match take(context, supervisor, run, &mut leases, &mut rungs, opened)? {
                Did::Ended => {
                    leases.forget(&run.id);
                    order.hit();
                }
                Did::Stopped => return Ok(()),
                Did::Over => {
                    leases.forget(&run.id);
                    order.over();
                }
                Did::Lost | Did::Paused => order.again(at),
                Did::Waits => {
                    order.again(at);
                    continue;
                }
                Did::Held(holding, is_kept) => {
                    all_are_kept &= is_kept;
                    held.push((at, holding));
                    order.again(at);
                    order.held();
                    continue;
                }
            }
            is_idle = false;
        }
        if is_idle && !order.is_empty() {
            if all_are_kept && context.worker.idle == Idle::Ends {
                return Ok(());
            }
            held.sort_unstable_by_key(|(at, _)| *at);
            let held: Vec<_> = held.into_iter().map(|(_, holding)| holding).collect();
            if held != waits_for {
                let worker = context.worker.number;
                (context.worker.say)(&Event::Waiting { worker, runs: held.clone() });
                waits_for = held;
            }
            thread::sleep(PAUSE);
        }
    }
    Ok(())
}

/// Does what is left to do for a run, if it is free.
fn take<'a>(
    context: &'a Context<'a>,
    supervisor: &Supervisor<'a>,
    run: &'a RunSpec,
    leases: &mut Leases,
    rungs: &mut Rungs<'_>,
    opened: &mut Opened,
) -> Result<Did, Failure> {
    let (folder, experiment) = (context.folder, context.experiment);
    // Of many that wait, none is asked for on the disk.
    if let Verdict::Wait(..) = rungs.known(&run.id) {
        return Ok(Did::Waits);
    }
    if let Some(gone) = folder.gone() {
        return Err(gone);
    }
    match next(folder, experiment, rungs, run)? {
        Next::Nothing => return Ok(Did::Over),
        Next::Wait => return Ok(Did::Waits),
        Next::Revive => folder.revive(&run.id)?,
        Next::Do(job) => {
            let found = folder.holder(&run.id)?;
            if found.is_some_and(|found| is_given_up(&job, &found, experiment.run.retries)) {
                return Ok(Did::Over);
            }
        }
    }
    let holder = Holder { worker: context.worker.number, lease: experiment.run.lease() };
    let attempt = match folder.take(&run.id, holder, leases)? {
        Taken::Mine(attempt) => attempt,
        Taken::Held(found) => {
            let is_kept = leases.is_kept(&run.id, &found);
            return Ok(Did::Held(HeldRun::of(&run.id, &found), is_kept));
        }
    };
    // Between the first look and the claim somebody else may have finished it.
    match next(folder, experiment, rungs, run)? {
        Next::Do(job) => execute::execute(context, supervisor, run, &job, attempt, opened),
        Next::Nothing => {
            attempt.remove();
            Ok(Did::Over)
        }
        Next::Wait => {
            attempt.release(false)?;
            Ok(Did::Waits)
        }
        // It was stopped just now: this attempt is not the one that has its checkpoint.
        Next::Revive => {
            attempt.remove();
            Ok(Did::Lost)
        }
    }
}

/// Lets this process have no more memory than a run may: what needs more ends with an error that
/// the controller can tell.
fn limit_memory(experiment: &Experiment) {
    #[cfg(target_os = "linux")]
    if let Some(memory) = experiment.run.memory {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Data);
        limit.current = Some(limit.maximum.map_or(memory.0, |most| most.min(memory.0)));
        // A limit that cannot be set is none.
        let _ = setrlimit(Resource::Data, limit);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = experiment;
}

//! Workers: each claims the next free run, trains and measures it, publishes the result and takes the next
//! one, until none is left. To run faster, start more of them.
//!
//! Start with `one_run.rs`: it follows one run from its settings to its published result. One line a file,
//! each file uses only files below it:
//!
//! - `pool/`: starts worker processes, watches them, and settles the runs of those that are lost.
//! - `worker_main.rs`: `main` of a worker process, and its arguments.
//! - `work.rs`: the loop of a worker, over the runs of a grid.
//! - `one_run.rs`: one run, step by step: look, claim, train and measure, publish, tell.
//! - `search.rs`: a run with a target: trainings with one penalty strength after another.
//! - `steered.rs`: a run whose weights an L0 controller steers: whether it has its target.
//! - `training.rs`: one training, from the last checkpoint, with new checkpoints on the way.
//! - `evaluate.rs`: evaluations that a stored model lacks.
//! - `task.rs`: a claimed run: makes its outcome, stores it and tells the controller.
//! - `outcome.rs`: how work on a run ended: with an outcome to store, or early.
//! - `context.rs`: a worker, its experiment and its folder.
//! - `supervisor.rs`: a thread that renews the lease and ends a run that takes too long.
//! - `order.rs`: in which order a worker asks for runs.
//! - `next.rs`: what is left to do for a run.
//! - `rungs/`: how far each run goes where runs are compared on the way.
//! - `protocol.rs`: events that a worker sends to its controller.
//! - `resources.rs`: threads, memory and allocator of a worker process.
//! - `log.rs`, `panics.rs`, `words.rs`: log of a run, messages of panics, words of reasons.
//! - `stop.rs`, `signals.rs`: requests to stop, as a worker and as its controller hear them.

// Tests make and look at files, and print, as they need.
#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_macros))]

mod context;
mod evaluate;
mod log;
mod next;
mod one_run;
mod order;
mod outcome;
mod panics;
mod pool;
mod protocol;
mod resources;
mod rungs;
mod search;
pub mod signals;
mod steered;
mod stop;
mod supervisor;
mod task;
mod training;
mod words;
mod work;
mod worker_main;

pub use context::{Idle, Worker};
pub use next::{Job, Next, Outstanding, is_given_up, next, outstanding};
pub use panics::keep as keep_panics;
pub use pool::{Pool, PoolEnd};
pub use protocol::{Event, HeldRun};
pub use resources::{ALLOCATOR, limit_threads};
pub use rungs::{Rungs, StopAtRung, Verdict};
pub use stop::StopRequest;
pub use work::work;
pub use worker_main::{main, place, places};

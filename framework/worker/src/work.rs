//! The loop of a worker: goes through the runs of a grid until none is left. What happens in each run is
//! in `one_run.rs`.

use std::thread;
use std::time::Duration;

use framework::fit::Opened;
use framework::shared::Shared;
use framework::spec::RunSpec;
use store::exit::Failure;
use store::{Folder, Leases};

use crate::context::{Context, Idle, Worker};
use crate::one_run::{Visit, one_run};
use crate::order::Order;
use crate::protocol::Event;
use crate::resources::limit_memory;
use crate::rungs::Rungs;
use crate::supervisor::Supervisor;

/// Pause of an idle worker before it looks again what other workers have done.
const PAUSE: Duration = Duration::from_millis(100);

/// Works on the runs of a folder until all have ended, no matter which worker did them, or until the
/// worker is asked to stop. With [`Idle::Ends`] it also ends when other workers hold all that is left.
///
/// # Errors
/// If the experiment or its data cannot be read, or results cannot be written.
pub fn work(folder: &Folder, worker: &Worker<'_>, shared: Shared) -> Result<(), Failure> {
    let experiment = folder.experiment()?;
    let runs = experiment.runs()?;
    limit_memory(&experiment);
    let context = Context::new(folder, &experiment, worker);
    let supervisor = Supervisor::new(worker.stop.clone());
    thread::scope(|scope| {
        scope.spawn(|| supervisor.supervise());
        // Ends that thread, however this one leaves the scope.
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
        let (mut held, mut is_idle, mut all_are_alive) = (Vec::new(), true, true);
        rungs.refresh()?;
        order.begin_pass()?;
        while let Some(at) = order.next()? {
            if context.worker.stop.asked().is_some() {
                return Ok(());
            }
            let run = &runs[at];
            match one_run(context, supervisor, run, &mut rungs, &mut leases, opened)? {
                Visit::Ended => {
                    leases.forget(&run.id);
                    order.was_free();
                }
                Visit::Stopped => return Ok(()),
                Visit::NothingLeft => {
                    leases.forget(&run.id);
                    order.had_ended();
                }
                Visit::Lost | Visit::Paused => order.ask_again(at),
                Visit::Waits => {
                    order.ask_again(at);
                    continue;
                }
                Visit::Held { by, is_alive } => {
                    all_are_alive &= is_alive;
                    held.push((at, by));
                    order.ask_again(at);
                    order.was_held();
                    continue;
                }
            }
            is_idle = false;
        }
        if is_idle && !order.is_empty() {
            if all_are_alive && context.worker.idle == Idle::Ends {
                return Ok(());
            }
            held.sort_unstable_by_key(|(at, _)| *at);
            let held: Vec<_> = held.into_iter().map(|(_, by)| by).collect();
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

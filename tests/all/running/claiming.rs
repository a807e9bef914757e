//! Which runs a worker tries to claim where most have ended and others hold many.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;

use framework::shared::Shared;
use store::process::Process;
use store::{Holder, Leases, Status, Taken};
use worker::{Event, Idle, StopRequest, Worker, work};

use crate::finished::Finished;

/// Wrong if a worker missed a free run, because it continues elsewhere after it meets claims of others; if it
/// did one twice, or took a held one; or if it counted a damaged run as done, by its name.
#[test]
fn what_is_free_is_found_among_runs_that_ended_or_are_held() {
    let finished = Finished::new(100, 4, 1);
    let place = tempfile::tempdir().unwrap();
    let folder = finished.open(place.path());
    let (mut held, mut free) = (Vec::new(), Vec::new());
    for (at, run) in finished.runs.iter().enumerate() {
        match at % 20 {
            // In rows, so that the worker meets one after another.
            0..=5 if at % 3 == 0 => held.push(run.id.clone()),
            7 => free.push(run.id.clone()),
            8 => finished.write(&folder, run, 1, Status::Failed),
            _ => finished.write(&folder, run, 1, Status::Done),
        }
    }
    let damaged = finished.runs[11].id.clone();
    fs::write(folder.run(&damaged).join("manifest.json"), "{").unwrap();
    free.push(damaged);
    free.sort();
    assert!(held.len() > 30 && free.len() > 20);
    let mut leases = Leases::new(Process::this());
    let holder = Holder { worker: 1, lease: std::time::Duration::from_secs(600) };
    for id in &held {
        assert!(matches!(folder.take(id, holder, &mut leases).unwrap(), Taken::Mine(_)));
    }

    let begun = Mutex::new(BTreeMap::new());
    let say = |event: &Event| {
        if let Event::Started { run, .. } = event {
            *begun.lock().unwrap().entry(run.clone()).or_insert(0) += 1;
        }
    };
    let (process, stop, idle) = (Process::this(), StopRequest::default(), Idle::Ends);
    let worker = Worker { number: 0, process, threads: 1, idle, stop, output: None, say: &say };
    work(&folder, &worker, Shared::default()).unwrap();
    let begun = begun.into_inner().unwrap();
    assert!(begun.values().all(|times| *times == 1), "{begun:?}");
    assert!(begun.keys().eq(&free), "{begun:?}, not {free:?}");
    for id in held {
        let claim = folder.holder(&id).unwrap().and_then(|found| found.claim);
        assert_eq!(claim.map(|claim| claim.worker), Some(1), "{id} was taken");
    }
}

/// Wrong if a single worker that resumes a grid left its order, by which users see the progress.
#[test]
fn a_grid_that_is_gone_on_with_is_worked_on_in_its_order() {
    let finished = Finished::new(4, 2, 1);
    let place = tempfile::tempdir().unwrap();
    let folder = finished.open(place.path());
    let (ended, open) = finished.runs.split_at(10);
    ended.iter().for_each(|run| finished.write(&folder, run, 1, Status::Done));
    let begun = Mutex::new(Vec::new());
    let say = |event: &Event| {
        if let Event::Started { run, .. } = event {
            begun.lock().unwrap().push(run.clone());
        }
    };
    let (process, stop, idle) = (Process::this(), StopRequest::default(), Idle::Ends);
    let worker = Worker { number: 0, process, threads: 1, idle, stop, output: None, say: &say };
    work(&folder, &worker, Shared::default()).unwrap();
    let wanted: Vec<_> = open.iter().map(|run| run.id.clone()).collect();
    assert_eq!(begun.into_inner().unwrap(), wanted);
}

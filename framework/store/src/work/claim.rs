//! Claims: which worker has a run, and how others tell whether it still works.
//!
//! A worker that takes a run writes a claim file into the folder of its attempt, and renews its lease by
//! adding a byte to that file. Another worker takes the run over when it sees that the process is gone,
//! or when it has watched for as long as the lease lasts and saw no renewal. It watches by its own clock,
//! so the clocks of two machines are never compared. There are no locks, which shared disks may not have.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use framework::spec::{LONGEST_LEASE, RunId};
use serde::{Deserialize, Serialize};

use crate::process::Process;

/// Content of a claim file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// Number of the attempt at the run, counted from 1.
    pub attempt: usize,
    /// Process that works on it.
    pub process: Process,
    /// Number of the worker in its pool.
    pub worker: usize,
    /// Time without renewal, in seconds, after which others may take over.
    pub lease: f64,
    /// Time when the attempt was taken, UTC.
    pub since: String,
    /// Number of attempts that ended because their process crashed.
    pub crashes: usize,
    /// True if the run was given back: any worker may resume it.
    pub released: bool,
}

/// A claim as it was read.
#[derive(Clone, Debug)]
pub struct FoundClaim {
    /// Number of the attempt, by the name of its folder.
    pub attempt: usize,
    /// Content of the file; `None` if it is missing or damaged.
    pub claim: Option<Claim>,
    /// Size of the file in bytes; it grows when the lease is renewed.
    pub size: usize,
}

impl FoundClaim {
    /// Returns whether a worker is just taking the attempt over: the folder has its new name, but not yet
    /// its new claim.
    pub fn is_being_taken(&self) -> bool {
        self.claim.as_ref().map_or(self.size == 0, |claim| claim.attempt != self.attempt)
    }

    /// Returns `Some(true)` if no worker has this attempt any more, `Some(false)` if its process is
    /// there, and `None` if only watching its lease can tell.
    pub fn is_void(&self, here: &Process) -> Option<bool> {
        match &self.claim {
            _ if self.is_being_taken() => None,
            None => None,
            Some(claim) if claim.released => Some(true),
            Some(claim) => claim.process.is_gone(here),
        }
    }

    /// Time that the claim lasts without renewal. At most [`LONGEST_LEASE`]: somebody else may have
    /// written the claim.
    pub fn lease(&self) -> Duration {
        match &self.claim {
            _ if self.is_being_taken() => TAKEOVER,
            Some(claim) => Duration::try_from_secs_f64(claim.lease)
                .map_or(UNKNOWN, |lease| lease.min(LONGEST_LEASE)),
            None => UNKNOWN,
        }
    }
}

/// Lease of a damaged claim file.
const UNKNOWN: Duration = Duration::from_secs(60);

/// Time in which a worker that takes an attempt over must write its claim. Without this wait, two workers
/// could take the same attempt from each other again and again.
const TAKEOVER: Duration = Duration::from_secs(2);

/// Leases of other workers, as one process has seen them.
#[derive(Debug)]
pub struct Leases {
    here: Process,
    seen: HashMap<RunId, SeenLease>,
}

/// A lease as it was seen last.
#[derive(Debug)]
struct SeenLease {
    /// Number of the attempt, and size of its claim, which grows when the lease is renewed.
    token: (usize, usize),
    /// Time when this token was first seen.
    since: Instant,
    /// Time when it was last looked at.
    looked: Instant,
    /// True if it was renewed between two looks that were no further apart than the lease lasts.
    is_kept: bool,
}

impl Leases {
    /// No leases yet; this process will watch them.
    pub fn new(here: Process) -> Self {
        Self { here, seen: HashMap::new() }
    }

    /// Process that watches the leases.
    pub fn here(&self) -> &Process {
        &self.here
    }

    /// Returns whether no worker has the run any more: its process is gone, or this process watched for
    /// as long as the lease lasts and saw no renewal.
    pub fn is_over(&mut self, run: &RunId, found: &FoundClaim, now: Instant) -> bool {
        if found.is_void(&self.here) == Some(true) {
            return true;
        }
        let token = (found.attempt, found.size);
        let lease = found.lease();
        match self.seen.get_mut(run) {
            Some(seen) if seen.token == token => {
                seen.looked = now;
                now.duration_since(seen.since) > lease
            }
            before => {
                let is_kept =
                    before.is_some_and(|before| now.duration_since(before.looked) <= lease);
                self.seen
                    .insert(run.clone(), SeenLease { token, since: now, looked: now, is_kept });
                false
            }
        }
    }

    /// Returns whether the run's worker was seen alive: its process is there, or it renewed its lease
    /// while this process watched.
    pub fn is_kept(&self, run: &RunId, found: &FoundClaim) -> bool {
        found.is_void(&self.here) == Some(false)
            || self.seen.get(run).is_some_and(|seen| seen.is_kept)
    }

    /// Forgets a run that has ended.
    pub fn forget(&mut self, run: &RunId) {
        self.seen.remove(run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elsewhere() -> Process {
        let here = serde_json::to_value(Process::this()).unwrap();
        let mut map = here.as_object().unwrap().clone();
        map.insert("boot".into(), "another".into());
        map.insert("host".into(), "elsewhere".into());
        serde_json::from_value(map.into()).unwrap()
    }

    fn found(process: Process, size: usize) -> FoundClaim {
        let claim = Claim {
            attempt: 3,
            process,
            worker: 0,
            lease: 10.0,
            since: String::new(),
            crashes: 0,
            released: false,
        };
        FoundClaim { attempt: 3, claim: Some(claim), size }
    }

    #[test]
    fn a_lease_is_over_when_it_was_not_renewed_while_somebody_watched() {
        let mut leases = Leases::new(Process::this());
        let run = RunId("0123456789abcdef".into());
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut is_over =
            |size, seconds| leases.is_over(&run, &found(elsewhere(), size), at(seconds));
        assert!(!is_over(100, 0));
        assert!(!is_over(100, 10));
        assert!(!is_over(101, 11), "it was renewed");
        assert!(!is_over(101, 21));
        assert!(is_over(101, 22));
    }

    /// Wrong if an idle worker left a run to a worker that may be dead, or waited for one that is alive.
    #[test]
    fn who_renews_his_lease_while_he_is_watched_is_alive() {
        let (run, start) = (RunId("0123456789abcdef".into()), Instant::now());
        let mut leases = Leases::new(Process::this());
        let mut look = |size, seconds| {
            let found = found(elsewhere(), size);
            leases.is_over(&run, &found, start + Duration::from_secs(seconds));
            leases.is_kept(&run, &found)
        };
        assert!(!look(100, 0) && !look(100, 5), "nothing is known of it");
        assert!(look(101, 8) && look(101, 12));
        assert!(!look(102, 100), "it may have died since it renewed its lease");
        assert!(look(103, 105));
        let here = found(Process::this(), 100);
        assert!(Leases::new(Process::this()).is_kept(&run, &here), "its process is there");
    }

    #[test]
    fn the_lease_of_a_living_process_of_this_machine_ends_too() {
        let mut leases = Leases::new(Process::this());
        let run = RunId("0123456789abcdef".into());
        let found = found(Process::this(), 100);
        let start = Instant::now();
        assert_eq!(found.is_void(leases.here()), Some(false));
        assert!(!leases.is_over(&run, &found, start));
        assert!(leases.is_over(&run, &found, start + Duration::from_secs(11)), "it was stopped");
    }

    /// Wrong if a forged claim blocked its run for ever, by its lease or by naming a process that is
    /// there, or if its lease made a worker panic.
    #[test]
    fn no_claim_lasts_longer_than_an_hour() {
        let (run, start) = (RunId("0123456789abcdef".into()), Instant::now());
        for process in [elsewhere(), Process::this()] {
            for lease in [3601.0, 1e19, f64::MAX, -1.0, f64::NAN, f64::INFINITY] {
                let mut found = found(process.clone(), 100);
                found.claim.as_mut().unwrap().lease = lease;
                assert!(found.lease() <= LONGEST_LEASE, "{lease}");
                let mut leases = Leases::new(Process::this());
                assert!(!leases.is_over(&run, &found, start), "{lease}");
                let later = start + LONGEST_LEASE + Duration::from_secs(1);
                assert!(leases.is_over(&run, &found, later), "{lease}");
            }
        }
    }

    /// Wrong if two workers took the same attempt from each other without end.
    #[test]
    fn what_is_being_taken_over_is_left_alone_for_a_moment() {
        let run = RunId("0123456789abcdef".into());
        let now = Instant::now();
        let mut moved = found(elsewhere(), 100);
        moved.claim.as_mut().unwrap().released = true;
        moved.attempt += 1;
        for found in [moved, FoundClaim { attempt: 1, claim: None, size: 0 }] {
            let mut leases = Leases::new(Process::this());
            assert!(!leases.is_over(&run, &found, now));
            assert!(!leases.is_over(&run, &found, now + Duration::from_secs(1)));
            assert!(leases.is_over(&run, &found, now + Duration::from_secs(3)), "it is dead");
        }
    }

    #[test]
    fn what_was_given_back_is_free_and_what_is_torn_has_a_lease() {
        let mut leases = Leases::new(Process::this());
        let run = RunId("0123456789abcdef".into());
        let now = Instant::now();
        let mut released = found(elsewhere(), 100);
        released.claim.as_mut().unwrap().released = true;
        assert!(leases.is_over(&run, &released, now));
        let torn = FoundClaim { attempt: 1, claim: None, size: 7 };
        assert!(!leases.is_over(&run, &torn, now));
        assert!(leases.is_over(&run, &torn, now + UNKNOWN + UNKNOWN));
    }
}

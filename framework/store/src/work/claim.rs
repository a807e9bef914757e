//! Claims: who works on a run, and how others tell whether he still does.
//!
//! Whoever takes a run keeps a claim file in the folder of his attempt and renews his lease of it
//! by one more byte at its end. Others take the run over when they see that he is gone, or when they
//! have watched for as long as the lease without it being renewed: by their own clock, so that the
//! clocks of two machines are never compared, and without locks, which shared disks may not have.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use framework::spec::{LONGEST_LEASE, RunId};
use serde::{Deserialize, Serialize};

use crate::process::Process;

/// What stands in a claim file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// Which attempt at the run this is, counted from 1.
    pub attempt: usize,
    /// Who works on it.
    pub process: Process,
    /// The number of the worker in its pool.
    pub worker: usize,
    /// The time without renewal, in seconds, after which others may take over.
    pub lease: f64,
    /// Since when, UTC.
    pub since: String,
    /// How many attempts ended because their process crashed.
    pub crashes: usize,
    /// It was given back: anybody may go on.
    pub released: bool,
}

/// A claim as it was read.
#[derive(Clone, Debug)]
pub struct FoundClaim {
    /// The attempt, by the name of its folder.
    pub attempt: usize,
    /// What the file says; `None` if it is not there or cannot be understood.
    pub claim: Option<Claim>,
    /// Its size in bytes; it grows when the lease is renewed.
    pub size: usize,
}

impl FoundClaim {
    /// Whether somebody has taken the attempt over just now: its folder has a new name, and his claim
    /// is yet to come.
    pub fn is_being_taken(&self) -> bool {
        self.claim.as_ref().map_or(self.size == 0, |claim| claim.attempt != self.attempt)
    }

    /// Whether it is known at a glance that nobody works on this attempt (`Some(true)`), or that its
    /// process is there (`Some(false)`).
    pub fn is_void(&self, here: &Process) -> Option<bool> {
        match &self.claim {
            _ if self.is_being_taken() => None,
            None => None,
            Some(claim) if claim.released => Some(true),
            Some(claim) => claim.process.is_gone(here),
        }
    }

    /// How long the claim lasts without being renewed. A claim may come from a stranger: of one that says
    /// longer, [`LONGEST_LEASE`] is believed.
    pub fn lease(&self) -> Duration {
        match &self.claim {
            _ if self.is_being_taken() => ON_ITS_WAY,
            Some(claim) => Duration::try_from_secs_f64(claim.lease)
                .map_or(UNKNOWN, |lease| lease.min(LONGEST_LEASE)),
            None => UNKNOWN,
        }
    }
}

/// The lease of a claim file that cannot be understood.
const UNKNOWN: Duration = Duration::from_secs(60);

/// How long a claim may be on its way. If two who take the same attempt over did not wait for each
/// other, each would take it from the other again and again.
const ON_ITS_WAY: Duration = Duration::from_secs(2);

/// What one process has seen of the leases of others.
#[derive(Debug)]
pub struct Leases {
    here: Process,
    seen: HashMap<RunId, SeenLease>,
}

/// A lease as it was seen last.
#[derive(Debug)]
struct SeenLease {
    /// The attempt and the size of its claim, which grows when the lease is renewed.
    token: (usize, usize),
    /// Since when it has been so.
    since: Instant,
    /// When it was looked at last.
    looked: Instant,
    /// Whether it was renewed between two looks that were no further apart than it lasts.
    is_kept: bool,
}

impl Leases {
    /// Nothing yet, seen by this process.
    pub fn new(here: Process) -> Self {
        Self { here, seen: HashMap::new() }
    }

    /// Who sees them.
    pub fn here(&self) -> &Process {
        &self.here
    }

    /// Whether nobody works on the run any more: its process is gone, or its lease was not renewed
    /// while this process watched for as long as it lasts.
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

    /// Whether somebody is known to work on the run: his process is there, or he has renewed his lease
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

    /// Wrong if a worker that has nothing to do left a run to somebody who may be dead, or waited for one
    /// who is alive.
    #[test]
    fn who_renews_his_lease_while_he_is_watched_is_alive() {
        let (run, start) = (RunId("0123456789abcdef".into()), Instant::now());
        let mut leases = Leases::new(Process::this());
        let mut look = |size, seconds| {
            let found = found(elsewhere(), size);
            leases.is_over(&run, &found, start + Duration::from_secs(seconds));
            leases.is_kept(&run, &found)
        };
        assert!(!look(100, 0) && !look(100, 5), "nothing is known of him");
        assert!(look(101, 8) && look(101, 12));
        assert!(!look(102, 100), "he may have died since he renewed it");
        assert!(look(103, 105));
        let here = found(Process::this(), 100);
        assert!(Leases::new(Process::this()).is_kept(&run, &here), "his process is there");
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

    /// Wrong if a prepared claim blocked its run for ever, be it by its lease or by naming a process that is
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

    /// Wrong if two who take the same attempt over took it from each other without end.
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
            assert!(leases.is_over(&run, &found, now + Duration::from_secs(3)), "he is dead");
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

//! Tests of attempts, two of them at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, json};

use super::super::claim::{FoundClaim, Leases};
use super::super::taking::{Holder, Taken};
use super::*;
use crate::process::Process;
use crate::runs::exhibits::ExhibitFile;
use crate::runs::manifest::Status;

const HOLDER: Holder = Holder { worker: 0, lease: Duration::from_secs(60) };

struct TestFolder {
    _folder: tempfile::TempDir,
    folder: Folder,
    id: RunId,
}

fn place() -> TestFolder {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::at(temporary.path());
    std::fs::create_dir(temporary.path().join("runs")).unwrap();
    TestFolder { _folder: temporary, folder, id: RunId("0123456789abcdef".into()) }
}

impl TestFolder {
    fn take(&self) -> Taken {
        self.folder.take(&self.id, HOLDER, &mut Leases::new(Process::this())).unwrap()
    }

    fn mine(&self) -> Attempt {
        match self.take() {
            Taken::Mine(attempt) => attempt,
            Taken::Held(found) => panic!("it is held: {found:?}"),
        }
    }

    /// Takes the run over as if its holder were gone.
    fn take_over(&self) -> Attempt {
        let found = self.folder.holder(&self.id).unwrap().unwrap();
        let claim = Claim { attempt: found.attempt + 1, ..found.claim.clone().unwrap() };
        assert!(self.folder.take_over(&self.id, &found, &claim).unwrap());
        Attempt::new(&self.folder, &self.id, claim)
    }

    fn manifest(&self, status: Status) -> Manifest {
        Manifest {
            format: 1,
            run_id: self.id.clone(),
            status,
            reason: None,
            settings: json!({}),
            evaluations: Map::new(),
            every: None,
            versions: Default::default(),
            provenance: json!({}),
            attempt: 0,
            data: BTreeMap::new(),
            taken: Vec::new(),
            digests: BTreeMap::new(),
            exhibits: Vec::new(),
        }
    }

    fn publish(&self, attempt: &Attempt, text: &str) -> Published {
        let contents = [("run.parquet", text.into()), ("model.safetensors", b"model".into())];
        attempt.publish(self.manifest(Status::Done), &contents).unwrap()
    }

    /// Published results, if they are whole.
    fn result(&self) -> Option<String> {
        let RunState::Ended(manifest) = self.folder.state(&self.id, true).unwrap() else {
            return None;
        };
        let bytes = self.folder.read_run_file(&manifest, "run.parquet").unwrap();
        Some(String::from_utf8(bytes).unwrap())
    }

    fn result_is_damaged(&self) -> bool {
        matches!(self.folder.state(&self.id, true).unwrap(), RunState::Damaged(_))
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let path = self.folder.path().join(folder);
        let mut names = files::names(self.folder.storage(), &path).unwrap();
        names.sort();
        names
    }
}

#[test]
fn a_run_is_taken_once_and_what_is_published_is_whole_and_alone() {
    let place = place();
    let attempt = place.mine();
    assert_eq!(attempt.number(), 1);
    assert!(matches!(place.take(), Taken::Held(_)));
    attempt.keep_checkpoint(3, "data", b"checkpoint").unwrap();
    assert_eq!(place.publish(&attempt, "one"), Published::Yes);
    assert_eq!(place.result().as_deref(), Some("one"));
    let run = format!("runs/{}", place.id);
    assert_eq!(place.names(&run), ["manifest.json", "model.safetensors", "run.parquet"]);
    assert!(place.names("work").is_empty());
}

#[test]
fn whoever_lost_his_attempt_can_write_nothing_that_counts() {
    let place = place();
    let stale = place.mine();
    stale.keep_checkpoint(3, "data", b"early").unwrap();
    let taker = place.take_over();
    assert_eq!(taker.checkpoint("data").unwrap().checkpoint.as_deref(), Some(&b"early"[..]));
    assert!(stale.is_lost() && !stale.renew() && taker.renew());
    assert!(stale.keep_checkpoint(9, "data", b"late").is_err());
    stale.release(true).unwrap();
    assert_eq!(place.publish(&stale, "stale"), Published::Lost);
    assert_eq!(place.result(), None);
    assert_eq!(taker.checkpoint("data").unwrap().step, 3);
    assert_eq!(place.publish(&taker, "taker"), Published::Yes);
    assert_eq!(place.publish(&stale, "stale"), Published::Lost);
    assert_eq!(place.result().as_deref(), Some("taker"));
}

#[test]
fn an_attempt_that_was_given_back_is_gone_on_with_and_crashes_are_counted() {
    let place = place();
    place.mine().release(false).unwrap();
    let second = place.mine();
    assert_eq!((second.number(), second.crashes()), (2, 0));
    second.release(true).unwrap();
    let third = place.mine();
    assert_eq!((third.number(), third.crashes()), (3, 1));
    third.remove();
    assert!(place.names("work").is_empty());
}

#[test]
fn a_fresh_claim_is_not_taken_away_by_who_looked_before_it_was_made() {
    let place = place();
    place.mine().release(false).unwrap();
    let seen = place.folder.holder(&place.id).unwrap().unwrap();
    let fresh = place.mine();
    // As if a worker had read the folder of attempt 2 before its new claim was written.
    let seen = FoundClaim { attempt: 2, ..seen };
    let claim = Claim { attempt: 3, ..seen.claim.clone().unwrap() };
    assert!(!place.folder.take_over(&place.id, &seen, &claim).unwrap());
    assert!(!fresh.is_lost() && fresh.renew());
    assert_eq!(place.publish(&fresh, "fresh"), Published::Yes);
}

#[test]
fn results_that_were_ready_are_published_by_whoever_comes_next() {
    let place = place();
    let first = place.mine();
    first.write(place.manifest(Status::Done), &[("run.parquet", b"ready".into())]).unwrap();
    assert_eq!(place.result(), None, "it was killed here");
    let second = place.take_over();
    assert_eq!(second.finished().unwrap().unwrap().status, Status::Done);
    assert_eq!(second.publish_finished().unwrap(), Published::Yes);
    assert_eq!(place.result().as_deref(), Some("ready"));
}

#[test]
fn results_are_replaced_at_once_and_keep_their_other_files() {
    let place = place();
    assert_eq!(place.publish(&place.mine(), "one"), Published::Yes);
    let RunState::Ended(manifest) = place.folder.state(&place.id, true).unwrap() else {
        panic!("it is done");
    };
    let attempt = place.mine();
    let contents = [("run.parquet", b"two".into())];
    assert_eq!(attempt.replace((*manifest).clone(), &contents).unwrap(), Published::Yes);
    assert_eq!(place.result().as_deref(), Some("two"));
    assert!(place.names("work").is_empty(), "{:?}", place.names("work"));

    let (stale, contents) = (place.mine(), [("run.parquet", b"stale".into())]);
    let taker = place.take_over();
    assert_eq!(stale.replace(*manifest, &contents).unwrap(), Published::Lost);
    assert_eq!(place.result().as_deref(), Some("two"));
    taker.remove();
}

#[test]
fn what_was_put_aside_is_kept_and_attempts_are_counted_on() {
    let place = place();
    let stale = place.mine();
    let second = place.take_over();
    assert_eq!(place.publish(&second, "one"), Published::Yes);
    place.folder.put_aside(&place.id).unwrap();
    assert_eq!(place.result(), None);
    let third = place.mine();
    assert_eq!(third.number(), 3, "nobody has the number of one before");
    assert!(stale.is_lost());
    assert_eq!(place.publish(&third, "two"), Published::Yes);
    place.folder.put_aside(&place.id).unwrap();
    let names = ["0123456789abcdef.1", "0123456789abcdef.2"];
    assert_eq!(place.names("replaced"), names);
}

#[test]
fn what_is_in_the_way_and_no_result_is_put_aside() {
    let place = place();
    let run = place.folder.run(&place.id);
    std::fs::create_dir_all(&run).unwrap();
    std::fs::write(run.join("manifest.json"), "half a mani").unwrap();
    assert_eq!(place.publish(&place.mine(), "one"), Published::Yes);
    assert_eq!(place.result().as_deref(), Some("one"));
    assert_eq!(place.names("replaced").len(), 1);
}

#[test]
fn a_killed_or_stopped_run_goes_on_from_its_checkpoint() {
    for status in [Status::Killed, Status::Stopped] {
        let place = place();
        let first = place.mine();
        first.keep_checkpoint(3, "data", b"checkpoint").unwrap();
        first.publish(place.manifest(status), &[("run.parquet", b"so far".into())]).unwrap();
        place.folder.revive(&place.id).unwrap();
        place.folder.revive(&place.id).unwrap();
        let second = place.mine();
        assert!(second.finished().unwrap().is_none());
        assert_eq!(second.checkpoint("data").unwrap().step, 3);
        assert_eq!(place.publish(&second, "one"), Published::Yes);
        let names = place.names(&format!("runs/{}", place.id));
        assert!(names.iter().all(|name| name != "checkpoint-3"), "{status}");
    }
}

#[test]
fn a_damaged_checkpoint_gives_way_to_the_one_before() {
    let place = place();
    let attempt = place.mine();
    for step in [1, 20, 300] {
        attempt.keep_checkpoint(step, "data", format!("at {step}").as_bytes()).unwrap();
    }
    let path = attempt.path();
    assert!(!path.join("checkpoint-1").exists(), "two are kept");
    let whole = std::fs::read(path.join("checkpoint-300")).unwrap();
    for cut in (0..whole.len()).step_by(7) {
        std::fs::write(path.join("checkpoint-300"), &whole[..cut]).unwrap();
        let resumed = attempt.checkpoint("data").unwrap();
        assert_eq!(resumed.checkpoint.as_deref(), Some(&b"at 20"[..]), "cut at {cut}");
        assert_eq!(resumed.warnings.len(), 1);
        assert!(attempt.checkpoint("data").unwrap().warnings.is_empty(), "it was put aside");
    }
    std::fs::write(path.join("checkpoint-300"), &whole).unwrap();
    assert_eq!(attempt.checkpoint("data").unwrap().step, 300);
    let resumed = attempt.checkpoint("other data").unwrap();
    assert!(resumed.checkpoint.is_none());
    assert!(resumed.warnings.iter().all(|what| what.ends_with("of data that has changed since")));
}

/// Wrong if a worker that claims a run in a folder that was just moved away made another folder of that
/// name, which nobody knows of, and trained there.
#[test]
fn a_claim_does_not_make_a_folder_that_is_gone() {
    let (place, away) = (place(), tempfile::tempdir().unwrap());
    std::fs::rename(place.folder.path(), away.path().join("moved")).unwrap();
    let taken = place.folder.take(&place.id, HOLDER, &mut Leases::new(Process::this()));
    let failure = taken.map(drop).unwrap_err().to_string();
    assert!(failure.ends_with("is gone"), "{failure}");
    assert!(!place.folder.path().exists());
}

/// Wrong if a folder with the largest number were taken for an attempt: the next one would be number 0.
#[test]
fn numbers_that_nobody_can_have_counted_to_are_no_attempts() {
    let place = place();
    let attempts = place.folder.attempts(&place.id);
    for name in ["18446744073709551615", "18446744073709551616", "4294967295", "007", "+1", "-1"] {
        std::fs::create_dir_all(attempts.join(name)).unwrap();
    }
    assert!(place.folder.holder(&place.id).unwrap().is_none());
    let attempt = place.mine();
    assert_eq!(attempt.number(), 1);
    std::fs::create_dir(attempts.join("4294967294")).unwrap();
    let found = place.folder.holder(&place.id).unwrap().unwrap();
    assert_eq!(found.attempt, 4294967294, "the last one that is counted");
    let claim = Claim { crashes: usize::MAX, ..attempt.claim.clone() };
    let attempt = Attempt::new(&place.folder, &place.id, claim);
    attempt.release(true).unwrap();
    let found = place.folder.found_in(&attempt.path(), 1).unwrap();
    assert_eq!(found.claim.unwrap().crashes, usize::MAX);
}

/// Wrong if exhibits were published without their folder, or an earlier attempt's were left among them, or
/// new measurements lost those that stay.
#[test]
fn exhibits_are_published_with_the_run_and_replaced_one_by_one() {
    let place = place();
    let attempt = place.mine();
    let stray = attempt.path().join("exhibits");
    std::fs::create_dir(&stray).unwrap();
    std::fs::write(stray.join("old.png"), "left by an attempt that was killed").unwrap();
    let exhibit = |file: &str| ExhibitFile {
        file: file.into(),
        evaluation: "e".into(),
        caption: String::new(),
        digest: String::new(),
    };
    let content = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
    let manifest = Manifest {
        exhibits: vec![exhibit("map.png"), exhibit("rows.parquet")],
        ..place.manifest(Status::Done)
    };
    let contents = [
        content("run.parquet", "one"),
        content("exhibits/map.png", "map"),
        content("exhibits/rows.parquet", "rows"),
    ];
    assert_eq!(attempt.publish(manifest, &contents).unwrap(), Published::Yes);
    let run = format!("runs/{}", place.id);
    assert_eq!(place.names(&run), ["exhibits", "manifest.json", "run.parquet"]);
    assert_eq!(place.names(&format!("{run}/exhibits")), ["map.png", "rows.parquet"]);

    let RunState::Ended(mut manifest) = place.folder.state(&place.id, true).unwrap() else {
        panic!("it is not whole");
    };
    assert_eq!(place.folder.read_run_file(&manifest, "exhibits/map.png").unwrap(), b"map");
    manifest.exhibits.retain(|one| one.file != "map.png");
    manifest.exhibits.push(exhibit("new.png"));
    let contents = [content("run.parquet", "two"), content("exhibits/new.png", "new")];
    let attempt = place.mine();
    assert_eq!(attempt.replace(*manifest, &contents).unwrap(), Published::Yes);
    assert_eq!(place.result().as_deref(), Some("two"));
    assert_eq!(place.names(&format!("{run}/exhibits")), ["new.png", "rows.parquet"]);
    assert!(place.names("work").is_empty(), "the old ones are gone");
    assert!(place.names("replaced").is_empty());

    std::fs::remove_file(place.folder.path().join(&run).join("exhibits/rows.parquet")).unwrap();
    assert!(place.result_is_damaged());
}

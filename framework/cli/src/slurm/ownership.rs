//! Ownership of jobs. The records of an experiment folder may come from a stranger. So a job in a record
//! counts as the folder's own only if the queue confirms it: its user is the user who asks, and its command
//! is a script of this folder, as only `submit` makes it.

#![allow(
    clippy::disallowed_methods,
    reason = "it compares paths of folders, and opens nothing in them"
)]

use std::path::Path;

use store::exit::Failure;
use store::{Folder, Submission};

use super::client::{Client, Trouble};
use super::queue::by_cluster;

/// Jobs of records, sorted by ownership.
#[derive(Debug, Default)]
pub struct Owned {
    /// Jobs of the folder.
    pub own: Vec<Submission>,
    /// Other jobs, and jobs whose owner is unknown, each with the reason.
    pub others: Vec<(Submission, String)>,
}

impl Owned {
    /// Asks the queue who owns these jobs. All of them must be in the queue.
    ///
    /// # Errors
    /// If Slurm gives no answer, or the folder is gone.
    pub fn of(folder: &Folder, submissions: Vec<Submission>) -> Result<Self, Failure> {
        let place = folder.path().canonicalize();
        let place = place.map_err(|error| Failure::io("find", folder.path(), &error))?;
        let said = ask(&submissions)?;
        let mut owned = Self::default();
        for submission in submissions {
            match refused(&said, &submission.job, &place) {
                None => owned.own.push(submission),
                Some(why) => owned.others.push((submission, why)),
            }
        }
        Ok(owned)
    }
}

/// Returns the answer of the queue: lines of job, user and command, one for each part of a job.
fn ask(submissions: &[Submission]) -> Result<String, Trouble> {
    let mut said = String::new();
    for (cluster, ids) in by_cluster(submissions) {
        let mut arguments: Vec<String> =
            ["--noheader", "--states=all", "--format=%F|%U|%o"].map(String::from).into();
        arguments.push(format!("--jobs={}", ids.join(",")));
        arguments.extend(cluster.map(|cluster| format!("--clusters={cluster}")));
        said.push_str(&Client::Squeue.call(arguments)?);
        said.push('\n');
    }
    Ok(said)
}

/// Returns the reason why a job is not one of the folder in `place`, by the answer of the queue; `None` if
/// it is one.
fn refused(said: &str, job: &str, place: &Path) -> Option<String> {
    let mut is_known = false;
    for line in said.lines() {
        let mut words = line.splitn(3, '|').map(str::trim);
        let (Some(id), Some(user), Some(command)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        if id != job {
            continue;
        }
        if user != me() {
            return Some(format!("it is another user's ({user})"));
        }
        if !is_script_of(Path::new(command), place) {
            return Some(format!("it runs `{command}`, which is no script of this folder"));
        }
        is_known = true;
    }
    (!is_known).then(|| "the queue does not say whose it is".to_owned())
}

/// Returns true if a command is a script that `submit` wrote into the folder in `place`. Resolves only the
/// path of the folder, not the script: a link in the place of the script could name any other file.
fn is_script_of(command: &Path, place: &Path) -> bool {
    let number = command.file_name().and_then(|name| name.to_str()?.strip_suffix(".sh"));
    let is_numbered = number.is_some_and(|number| number.parse::<usize>().is_ok());
    let slurm = command.parent().filter(|slurm| slurm.file_name() == Some("slurm".as_ref()));
    let found = slurm.and_then(|slurm| slurm.parent()?.canonicalize().ok());
    command.is_absolute() && is_numbered && found.is_some_and(|found| found == place)
}

/// Returns the user id of this process, as `squeue` prints it.
fn me() -> String {
    #[cfg(unix)]
    {
        rustix::process::getuid().as_raw().to_string()
    }
    #[cfg(not(unix))]
    String::new()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// Wrong if a record alone makes a job the folder's own, or if a job of the folder is refused.
    #[test]
    fn a_job_is_the_folders_own_if_its_user_and_its_command_say_so() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().canonicalize().unwrap();
        std::fs::create_dir(folder.join("slurm")).unwrap();
        std::os::unix::fs::symlink(&folder, folder.join("link")).unwrap();
        let of = |user: &str, command: &str| {
            let command = command.replace("HERE", &folder.display().to_string());
            refused(&format!("CLUSTER: x\n8|1|/bin/true\n7|{user}|{command}\n"), "7", &folder)
        };
        assert_eq!(of(&me(), "HERE/slurm/12.sh"), None);
        assert_eq!(of(&me(), "HERE/link/slurm/1.sh"), None, "it was typed so");
        for command in [
            "/home/me/train.sh",
            "HERE/slurm/train.sh",
            "HERE/1.sh",
            "HERE/slurm/../1.sh",
            "HERE/other/slurm/1.sh",
            "slurm/1.sh",
            "(null)",
            "",
        ] {
            let why = of(&me(), command).unwrap_or_else(|| panic!("{command}"));
            assert!(why.contains("no script of this folder"), "{why}");
        }
        assert!(of("4711", "HERE/slurm/1.sh").unwrap().contains("another user's (4711)"));
        let silent = refused("", "7", &folder).unwrap();
        assert!(silent.contains("does not say"), "{silent}");
        let ours = format!("7|{}|{}/slurm/1.sh\n", me(), folder.display());
        assert_eq!(refused(&ours, "7", &folder), None);
        assert!(
            refused(&(ours + "7|4711|/x\n"), "7", &folder).is_some(),
            "all of it is to be ours"
        );
    }
}

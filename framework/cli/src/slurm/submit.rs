//! Submission of as many workers as the site takes. Fewer workers can do the same work: each claims runs
//! until none is left.

use std::ffi::OsStr;
use std::path::Path;

use store::exit::Failure;
use store::{Folder, Submission};

use super::client::{Client, Trouble};
use super::script::Script;
use super::site::SiteLimits;

/// Workers that were submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Job that runs them.
    pub submission: Submission,
    /// Reason why there are fewer than wanted.
    pub cut: Option<String>,
}

/// Submits `wanted` workers, or as many as the site takes. Keeps the script in the folder.
///
/// # Errors
/// If the site takes none, or the folder cannot be written to.
pub fn submit(
    folder: &Folder,
    script: &Script<'_>,
    wanted: usize,
    limits: SiteLimits,
) -> Result<Accepted, Failure> {
    let (mut workers, mut met) = limits.cut(wanted);
    let number = folder.begin_submission(&script.text(workers))?;
    let path = folder.script_of(number);
    loop {
        let arguments = [OsStr::new("--parsable"), path.as_os_str()];
        match Client::Sbatch.call_without(arguments, script.overridden()) {
            Ok(said) => {
                let submission = folder.keep_submission(number, &said, workers)?;
                let cut = met.filter(|_| workers < wanted).map(|met| {
                    format!(
                        "{} in place of {wanted}, as {met}; each claims runs until none is left",
                        super::workers(workers)
                    )
                });
                return Ok(Accepted { submission, cut });
            }
            Err(trouble) if workers > 1 && is_too_many(&trouble) => {
                workers /= 2;
                let first = trouble.said().lines().next().unwrap_or_default();
                met = Some(format!(
                    "more are refused ({})",
                    first.trim_start_matches("sbatch: error: ")
                ));
                folder.write_script(number, &script.text(workers))?;
            }
            Err(trouble) => return Err(refused(&trouble, &path)),
        }
    }
}

/// Describes a submission that failed.
fn refused(trouble: &Trouble, path: &Path) -> Failure {
    let message = match trouble {
        Trouble::Missing(_) => format!(
            "{trouble}; without them, `saegrid worker` on the folder of the experiment works wherever it is started"
        ),
        Trouble::TooLong(..) => format!(
            "{trouble}; whether it has submitted the job is not known: `squeue --me` says so"
        ),
        _ => format!("{trouble}\nno job was submitted; the script is `{}`", path.display()),
    };
    Failure::Io(message)
}

/// Returns true if the site might take fewer workers, by the answer of `sbatch`.
fn is_too_many(trouble: &Trouble) -> bool {
    let said = trouble.said();
    // The first line names the limit, if the site says which one it is.
    let limits: Vec<&str> = said
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| word.ends_with("Limit") && word.len() > "Limit".len())
        .collect();
    let is_named = limits.iter().any(|limit| limit.contains("Submit"));
    is_named
        || said.contains("Invalid job array specification")
        || said.contains("temporarily unable to accept job")
        || said.contains("job queue full")
        || limits.is_empty() && said.contains("job submit limit")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if fewer workers are tried where that cannot help, or if a limit on the number of jobs is
    /// final.
    #[test]
    fn fewer_workers_are_tried_where_that_may_help() {
        let trouble = |said: &str| Trouble::TooLong(Client::Sbatch, said.to_owned());
        const POLICY: &str = "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)";
        for said in [
            format!("sbatch: error: AssocMaxSubmitJobLimit\n{POLICY}"),
            format!("sbatch: error: QOSMaxSubmitJobPerUserLimit\n{POLICY}"),
            POLICY.to_owned(),
            "sbatch: error: Batch job submission failed: Invalid job array specification"
                .to_owned(),
            "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying"
                .to_owned(),
        ] {
            assert!(is_too_many(&trouble(&said)), "{said}");
        }
        for said in [
            format!("sbatch: error: QOSMaxWallDurationPerJobLimit\n{POLICY}"),
            "sbatch: error: Batch job submission failed: Invalid partition name specified"
                .to_owned(),
            String::new(),
        ] {
            assert!(!is_too_many(&trouble(&said)), "{said}");
        }
    }
}

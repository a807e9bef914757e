//! Submissions to a cluster: the scripts, and the jobs that these became.
//!
//! Submission N is `slurm/N.sh` and, once a cluster has accepted it, `slurm/N.json`. No run depends on
//! these files: they are for `status` and `cancel`, and for users to read.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::exit::Failure;
use crate::folder::Folder;
use crate::provenance;
use crate::storage::FileKind;
use crate::storage::files;

/// Folder of all submissions.
const SLURM: &str = "slurm";

/// A submitted job, as its record says. Somebody else may have written the record. So a text that cannot
/// be a job number or a cluster name is refused, and the queue is asked whose job it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// Number of the job in Slurm.
    #[serde(deserialize_with = "job")]
    pub job: String,
    /// Name of the cluster, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "cluster")]
    pub cluster: Option<String>,
    /// Number of its workers.
    pub workers: usize,
    /// Time of the submission, UTC.
    pub since: String,
    /// Machine that it was submitted from.
    pub host: String,
    /// True once it was cancelled: none of its workers may come back.
    #[serde(default)]
    pub cancelled: bool,
}

/// A submission and its number.
type Numbered = (usize, Submission);

impl Folder {
    /// Path of a submission's script.
    pub fn script_of(&self, number: usize) -> PathBuf {
        self.path().join(SLURM).join(format!("{number}.sh"))
    }

    fn record_of(&self, number: usize) -> PathBuf {
        self.path().join(SLURM).join(format!("{number}.json"))
    }

    /// Begins a submission with this script. Returns its number.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn begin_submission(&self, script: &str) -> Result<usize, Failure> {
        // Slurm writes the workers' output there, but does not make the folder.
        let log = self.path().join(SLURM).join("log");
        self.make_folder(&log)?;
        // Slurm would write through a link or a pipe of that name.
        for name in files::names(self.storage(), &log)? {
            if self.kind(&log.join(&name))? == Some(FileKind::Other) {
                let path = log.join(name);
                return Err(Failure::Io(format!(
                    "`{}` is no regular file, and Slurm would write through it: remove it, then submit",
                    path.display()
                )));
            }
        }
        let last = self.submission_numbers()?.last().copied().unwrap_or(0);
        let number = last.checked_add(1).ok_or_else(|| {
            Failure::Io(format!(
                "`{}` has the largest number that a submission may have; remove it, if it is none",
                self.script_of(last).display()
            ))
        })?;
        self.write_script(number, script)?;
        Ok(number)
    }

    /// Replaces the script of a submission.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_script(&self, number: usize, script: &str) -> Result<(), Failure> {
        files::write(self.storage(), &self.script_of(number), script.as_bytes())
    }

    /// Records the job that a submission became; `said` is the output of `sbatch --parsable`.
    ///
    /// # Errors
    /// If `said` names no job, or the record cannot be written.
    pub fn keep_submission(
        &self,
        number: usize,
        said: &str,
        workers: usize,
    ) -> Result<Submission, Failure> {
        // A site may print messages to its users before.
        let last = said.lines().last().unwrap_or_default().trim();
        let (job, cluster) = match last.split_once(';') {
            Some((job, cluster)) => (job, Some(cluster.to_owned())),
            None => (last, None),
        };
        if !is_job(job) || !cluster.as_deref().is_none_or(is_cluster) {
            return Err(Failure::Io(format!("`sbatch` does not say which job it made: {said:?}")));
        }
        let (since, host) = (provenance::now(), provenance::host());
        let job = job.to_owned();
        let submission = Submission { job, cluster, workers, since, host, cancelled: false };
        self.write_submission(number, &submission)?;
        Ok(submission)
    }

    fn write_submission(&self, number: usize, submission: &Submission) -> Result<(), Failure> {
        let text = serde_json::to_vec_pretty(submission)
            .map_err(|error| Failure::Io(format!("cannot write down a submission: {error}")))?;
        files::write(self.storage(), &self.record_of(number), &text)
    }

    /// Returns all submissions in order, and messages about damaged records, which are left out.
    ///
    /// # Errors
    /// If a record cannot be read.
    pub fn submissions(&self) -> Result<(Vec<Submission>, Vec<String>), Failure> {
        let (all, left_out) = self.numbered_submissions()?;
        Ok((all.into_iter().map(|(_, submission)| submission).collect(), left_out))
    }

    fn numbered_submissions(&self) -> Result<(Vec<Numbered>, Vec<String>), Failure> {
        let (mut all, mut left_out) = (Vec::new(), Vec::new());
        for number in self.submission_numbers()? {
            let path = self.record_of(number);
            let Some(bytes) = files::read(self.storage(), &path)? else { continue };
            match serde_json::from_slice(&bytes) {
                Ok(submission) => all.push((number, submission)),
                Err(error) => left_out.push(format!(
                    "`{}` is no record of a submission and is left out: {error}",
                    path.display()
                )),
            }
        }
        Ok((all, left_out))
    }

    /// Marks all submissions so far as cancelled.
    ///
    /// # Errors
    /// If a record cannot be written.
    pub fn cancel_submissions(&self) -> Result<(), Failure> {
        for (number, mut submission) in self.numbered_submissions()?.0 {
            if !std::mem::replace(&mut submission.cancelled, true) {
                self.write_submission(number, &submission)?;
            }
        }
        Ok(())
    }

    /// Numbers of all submissions, in order.
    fn submission_numbers(&self) -> Result<Vec<usize>, Failure> {
        let names = files::names(self.storage(), &self.path().join(SLURM))?;
        let number = |name: &String| {
            let end = [".sh", ".json"].into_iter().find_map(|end| name.strip_suffix(end));
            end?.parse().ok()
        };
        let mut numbers: Vec<usize> = names.iter().filter_map(number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    }
}

/// Returns whether a word is a job number, as `sbatch` prints it.
fn is_job(word: &str) -> bool {
    word.parse::<u32>().is_ok_and(|number| number > 0 && number.to_string() == word)
}

/// Returns whether a word can name a cluster: no program may take it for an option.
fn is_cluster(word: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    !word.is_empty() && !word.starts_with('-') && word.chars().all(is_part)
}

fn job<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let word = String::deserialize(deserializer)?;
    if is_job(&word) { Ok(word) } else { Err(de::Error::custom(format!("{word:?} is no job"))) }
}

fn cluster<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Option::<String>::deserialize(deserializer)? {
        Some(word) if !is_cluster(&word) => {
            Err(de::Error::custom(format!("{word:?} is no name of a cluster")))
        }
        cluster => Ok(cluster),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submission_is_what_sbatch_says_and_what_is_no_job_is_none() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::at(place.path());
        assert!(folder.submissions().unwrap().0.is_empty());
        for (said, job, cluster) in [("12\n", "12", None), ("welcome\n13;big", "13", Some("big"))] {
            let number = folder.begin_submission("script").unwrap();
            let kept = folder.keep_submission(number, said, 5).unwrap();
            assert_eq!((kept.job.as_str(), kept.cluster.as_deref()), (job, cluster));
        }
        let number = folder.begin_submission("refused").unwrap();
        assert_eq!(number, 3);
        assert!(folder.keep_submission(number, "Submitted batch job", 5).is_err());
        assert_eq!(folder.begin_submission("another").unwrap(), 4);
        assert_eq!(folder.submissions().unwrap().0.len(), 2);
        folder.cancel_submissions().unwrap();
        assert!(folder.submissions().unwrap().0.iter().all(|submission| submission.cancelled));
    }

    /// Wrong if a record could name several jobs, an option of a program, or another cluster's.
    #[test]
    fn a_record_that_names_no_job_is_left_out_and_said() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::at(place.path());
        std::fs::create_dir(place.path().join("slurm")).unwrap();
        let write = |job: &str, cluster: &str| {
            let record = format!(
                "{{\"job\": {job:?}, \"cluster\": {cluster:?}, \"workers\": 1, \"since\": \"\", \"host\": \"\"}}"
            );
            std::fs::write(place.path().join("slurm/1.json"), record).unwrap();
            folder.submissions().unwrap()
        };
        assert_eq!(write("12", "big-1.x").0.len(), 1);
        for job in ["", "0", "007", "12_3", "1,2", "--me", "+1", "1 2", "4294967296", "\u{661}"] {
            let (jobs, left_out) = write(job, "big");
            assert!(jobs.is_empty() && left_out[0].contains("is no job"), "{job}: {left_out:?}");
        }
        for cluster in ["", "-M", "a,b", "a b", "ü"] {
            let (jobs, left_out) = write("12", cluster);
            assert!(jobs.is_empty() && left_out[0].contains("no name of a cluster"), "{cluster}");
        }
    }

    /// Wrong if the output of workers on a cluster went through a link that stood in the folder before.
    #[test]
    fn nothing_is_submitted_whose_log_would_be_a_link() {
        let place = tempfile::tempdir().unwrap();
        let log = place.path().join("slurm/log");
        std::fs::create_dir_all(&log).unwrap();
        std::fs::write(log.join("7_0.txt"), "of a job before").unwrap();
        let folder = Folder::at(place.path());
        folder.begin_submission("script").unwrap();
        std::os::unix::fs::symlink("/dev/null", log.join("8_0.txt")).unwrap();
        let failure = folder.begin_submission("script").unwrap_err().to_string();
        assert!(failure.contains("8_0.txt` is no regular file"), "{failure}");
        std::fs::remove_dir_all(&log).unwrap();
        std::os::unix::fs::symlink("..", &log).unwrap();
        let failure = folder.begin_submission("script").unwrap_err().to_string();
        assert!(failure.contains("symbolic link"), "{failure}");
    }

    /// Wrong if a file with the largest number made the next submission number 0.
    #[test]
    fn submissions_are_not_counted_beyond_the_largest_number() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("slurm")).unwrap();
        std::fs::write(place.path().join(format!("slurm/{}.sh", usize::MAX)), "").unwrap();
        let failure = Folder::at(place.path()).begin_submission("script").unwrap_err().to_string();
        assert!(failure.contains("the largest number") && failure.contains("615.sh"), "{failure}");
        assert!(!place.path().join("slurm/0.sh").exists());
    }
}

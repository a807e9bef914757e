//! What was submitted to a cluster: the scripts, and which jobs they have become.
//!
//! Submission N is `slurm/N.sh` and, once a cluster has taken it, `slurm/N.json`. Nothing of what is done
//! depends on it: it is for `status` and `cancel`, and for whoever wants to see what was submitted.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::files;
use super::folder::Folder;
use crate::exit::Failure;
use crate::provenance;

/// Its folder.
const SLURM: &str = "slurm";

/// A job that was submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// The job, as Slurm calls it.
    pub job: String,
    /// The cluster, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// How many workers it has.
    pub workers: usize,
    /// Since when, UTC.
    pub since: String,
    /// The machine that it was submitted from.
    pub host: String,
    /// It was cancelled: none of its workers is to come back.
    #[serde(default)]
    pub cancelled: bool,
}

impl Folder {
    /// The script of a submission.
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
        // What workers say goes there; Slurm makes no folder.
        self.make_folder(&self.path().join(SLURM).join("log"))?;
        let number = self.submission_numbers()?.last().map_or(1, |last| last + 1);
        self.write_script(number, script)?;
        Ok(number)
    }

    /// Writes the script of a submission anew.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_script(&self, number: usize, script: &str) -> Result<(), Failure> {
        files::write(self.storage(), &self.script_of(number), script.as_bytes())
    }

    /// Writes down which job a submission has become, by what `sbatch --parsable` says of it.
    ///
    /// # Errors
    /// If that is no job, or cannot be written down.
    pub fn keep_submission(
        &self,
        number: usize,
        said: &str,
        workers: usize,
    ) -> Result<Submission, Failure> {
        // What a site has to say to its users comes before.
        let last = said.lines().last().unwrap_or_default().trim();
        let (job, cluster) = match last.split_once(';') {
            Some((job, cluster)) => (job, Some(cluster.to_owned())),
            None => (last, None),
        };
        if job.is_empty() || !job.bytes().all(|byte| byte.is_ascii_digit()) {
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

    /// What was submitted, in order. A record that cannot be understood is left out.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn submissions(&self) -> Result<Vec<Submission>, Failure> {
        let all = self.numbered_submissions()?;
        Ok(all.into_iter().map(|(_, submission)| submission).collect())
    }

    fn numbered_submissions(&self) -> Result<Vec<(usize, Submission)>, Failure> {
        let mut all = Vec::new();
        for number in self.submission_numbers()? {
            let bytes = files::read(self.storage(), &self.record_of(number))?;
            let read = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            all.extend(read.map(|submission| (number, submission)));
        }
        Ok(all)
    }

    /// Writes down that everything submitted so far is cancelled.
    ///
    /// # Errors
    /// If it cannot be written down.
    pub fn cancel_submissions(&self) -> Result<(), Failure> {
        for (number, mut submission) in self.numbered_submissions()? {
            if !std::mem::replace(&mut submission.cancelled, true) {
                self.write_submission(number, &submission)?;
            }
        }
        Ok(())
    }

    /// The numbers of all submissions, in order.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submission_is_what_sbatch_says_and_what_is_no_job_is_none() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::at(place.path());
        assert!(folder.submissions().unwrap().is_empty());
        for (said, job, cluster) in [("12\n", "12", None), ("welcome\n13;big", "13", Some("big"))] {
            let number = folder.begin_submission("script").unwrap();
            let kept = folder.keep_submission(number, said, 5).unwrap();
            assert_eq!((kept.job.as_str(), kept.cluster.as_deref()), (job, cluster));
        }
        let number = folder.begin_submission("refused").unwrap();
        assert_eq!(number, 3);
        assert!(folder.keep_submission(number, "Submitted batch job", 5).is_err());
        assert_eq!(folder.begin_submission("another").unwrap(), 4);
        assert_eq!(folder.submissions().unwrap().len(), 2);
        folder.cancel_submissions().unwrap();
        assert!(folder.submissions().unwrap().iter().all(|submission| submission.cancelled));
    }
}

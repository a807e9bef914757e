//! How work on a run ended: with an [`Outcome`] to store, or early ([`EndedEarly`]).

use framework::evaluate::Unmeasured;
use framework::plugin::{Exhibit, Metric};
use store::exit::Failure;
use store::{Manifest, Status, Unread};
use tables::Table;

use crate::words::not_finite;

/// File of a run's folder: its path from there and its bytes.
pub type FileContent = (String, Vec<u8>);

/// How a run ended, and the files that record it.
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// Reason, if it is not done.
    pub reason: Option<String>,
    /// Metrics that were measured.
    pub metrics: Vec<Metric>,
    /// Files to store.
    pub files: RunFiles,
}

/// Files to store in a run's folder.
pub enum RunFiles {
    /// All files of the run.
    All(Box<Manifest>, Vec<FileContent>),
    /// New versions of some files; the others stay.
    Some(Box<Manifest>, Vec<FileContent>),
    /// Nothing: the files stay as they are.
    Same,
}

/// Why work on a run ended before there was an [`Outcome`].
pub enum EndedEarly {
    /// Something in the run itself: it is stored with this status and reason.
    Unfinished(Status, String),
    /// Results cannot be written: the worker cannot continue.
    NotWritten(Failure),
    /// Another worker took the run over.
    Lost,
    /// The worker was asked to stop.
    StopAsked,
    /// The run has reached a rung, after so many steps.
    Paused(usize),
}

impl From<Failure> for EndedEarly {
    fn from(failure: Failure) -> Self {
        Self::NotWritten(failure)
    }
}

impl From<Unread> for EndedEarly {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Damaged(what) => failed(what),
            Unread::Failed(failure) => Self::NotWritten(failure),
        }
    }
}

/// Ends a run that cannot continue.
pub fn failed(reason: impl ToString) -> EndedEarly {
    EndedEarly::Unfinished(Status::Failed, reason.to_string())
}

/// Ends a run whose model cannot be measured.
pub fn unmeasured(why: Unmeasured) -> EndedEarly {
    match why {
        Unmeasured::Unread(message) => failed(message),
        Unmeasured::NotFinite(metric) => {
            EndedEarly::Unfinished(Status::Diverged, not_finite(&metric, None))
        }
    }
}

/// Puts the exhibits of evaluations into the manifest of their run and their files among `contents`.
pub fn add_exhibits(
    exhibits: &[Exhibit],
    manifest: &mut Manifest,
    contents: &mut Vec<FileContent>,
) -> Result<(), EndedEarly> {
    for exhibit in exhibits {
        let (file, bytes) = store::exhibit_file(exhibit).map_err(failed)?;
        if let Some(other) = manifest.exhibits.iter().find(|other| other.name() == file.name()) {
            let (name, ours, others) = (file.name(), &file.evaluation, &other.evaluation);
            return Err(failed(format!(
                "the evaluations `{others}` and `{ours}` both have a table or picture `{name}`"
            )));
        }
        if manifest.exhibits.len() == Exhibit::MOST {
            let most = Exhibit::MOST;
            return Err(failed(format!(
                "its evaluations have more than {most} tables and pictures"
            )));
        }
        contents.push((file.path(), bytes));
        manifest.exhibits.push(file);
    }
    Ok(())
}

/// Bytes of the file that holds a table.
pub fn parquet(table: &Table) -> Result<Vec<u8>, EndedEarly> {
    table.to_parquet().map_err(|error| failed(format!("its results cannot be stored: {error}")))
}

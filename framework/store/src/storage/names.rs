//! Names of all that the program makes in an experiment folder. The program removes nothing of another
//! name, and reads no file that is larger than a file of its name can be.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::LazyLock;

use framework::plugin::Exhibit;

use crate::provenance;

/// Prefix of files and folders that are being written.
pub const UNFINISHED: &str = ".writing-";

/// Prefix of checkpoints; the step follows.
pub const CHECKPOINT: &str = "checkpoint-";

/// Prefix of damaged checkpoints.
pub const DAMAGED: &str = "damaged-";

/// Manifest of a run.
pub const MANIFEST: &str = "manifest.json";

/// Claim of an attempt.
pub const CLAIM: &str = "claim.json";

/// Log of an attempt: standard output and error of its run.
pub const LOG: &str = "log.txt";

/// Note of an attempt's progress.
pub const NOTE: &str = "progress.json";

/// State of an attempt's search for the strength of its penalty.
pub const SEARCH: &str = "search";

/// Index of the tables of an experiment.
pub const INDEX: &str = "tables.json";

/// Folder of a run's tables and pictures.
pub const EXHIBITS: &str = "exhibits";

/// Returns whether the program makes this name in the folder of exhibits.
pub fn is_exhibit(name: &str) -> bool {
    let stem = name.strip_suffix(".png").or_else(|| name.strip_suffix(".parquet"));
    stem.is_some_and(Exhibit::is_name)
}

/// Files that the folder of a run or an attempt may hold besides checkpoints.
const OF_A_RUN: [&str; 10] = [
    MANIFEST,
    EXHIBITS,
    CLAIM,
    LOG,
    NOTE,
    SEARCH,
    "run.parquet",
    "history.parquet",
    "latents.parquet",
    "model.safetensors",
];

/// Returns whether the program makes this name and so may remove it: files of a run or an attempt, the
/// numbered folder of an attempt, and unfinished files.
pub fn is_removable(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let checkpoint = name.strip_prefix(CHECKPOINT);
    OF_A_RUN.contains(&name)
        || name.starts_with(UNFINISHED)
        || is_number(name)
        || checkpoint.is_some_and(is_number)
        || name.strip_prefix(DAMAGED).is_some_and(|name| name.starts_with(CHECKPOINT))
}

/// Returns whether the program makes this name in a folder, and so may remove it with the folder.
pub fn is_removable_in(folder: &OsStr, name: &OsStr) -> bool {
    if folder != EXHIBITS {
        return is_removable(name);
    }
    name.to_str().is_some_and(|name| is_exhibit(name) || name.starts_with(UNFINISHED))
}

/// Number of bytes that a file has at most, by its name and that of its folder. Text and exhibits are
/// small. A table, a model or a checkpoint may take half of the memory: its bytes and their unpacked form are
/// there at once.
pub fn most_bytes(path: &Path) -> u64 {
    const MIB: u64 = 1 << 20;
    let name = path.file_name().unwrap_or_default();
    let folder = path.parent().and_then(Path::file_name);
    static MEMORY: LazyLock<Option<u64>> = LazyLock::new(provenance::memory);
    let is = |end: &str| name.to_str().is_some_and(|name| name.ends_with(end));
    if folder == Some(OsStr::new(EXHIBITS)) {
        64 * MIB
    } else if name == INDEX {
        1024 * MIB
    } else if is(".json") || is(".toml") || is(".sh") || is(".txt") {
        64 * MIB
    } else {
        MEMORY.map_or(u64::MAX, |memory| memory / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if tidying up removed files that a user or another program put beside the results.
    #[test]
    fn only_names_that_the_program_makes_are_removed() {
        let of_ours = ["1", "12", "claim.json", "checkpoint-40", "damaged-checkpoint-40.1"];
        for name in of_ours.into_iter().chain(OF_A_RUN).chain([".writing-0-1"]) {
            assert!(is_removable(OsStr::new(name)), "{name}");
        }
        for name in
            ["", "notes.txt", "-1", "1.5", "+1", "checkpoint-", "checkpoint-x", "damaged-x", "."]
        {
            assert!(!is_removable(OsStr::new(name)), "{name}");
        }
    }
}

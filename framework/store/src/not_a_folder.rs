//! What to say where something else than the folder of an experiment is named.

use std::path::Path;

use framework::spec::Experiment;

use crate::exit::Failure;
use crate::folder::Folder;

/// Folder that results go to unless another one is asked for.
const RESULTS: &str = "results";

/// Says that `path` is no experiment folder, and which folder is probably meant.
pub fn not_a_folder(path: &Path) -> Failure {
    let shown = path.display();
    if path.extension().is_some_and(|end| end == "toml") {
        let name = Experiment::read(path, &[]).map_or("NAME".to_owned(), |read| read.name);
        return Failure::Io(format!(
            "`{shown}` is no experiment folder: name the folder of its results, such as `{RESULTS}/{name}`"
        ));
    }
    let below = Folder::at(Path::new(RESULTS).join(path));
    let meant = if path.is_relative() && below.has_experiment() {
        format!("; did you mean `{}`?", below.path().display())
    } else {
        String::new()
    };
    let why = match is_there(path) {
        true => "it has no experiment.toml",
        false => "there is nothing of this name",
    };
    Failure::Io(format!("`{shown}` is no experiment folder: {why}{meant}"))
}

/// Returns whether there is anything at a path.
#[allow(clippy::disallowed_methods, reason = "it looks at a path that the user names")]
fn is_there(path: &Path) -> bool {
    path.exists()
}

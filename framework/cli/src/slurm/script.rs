//! The script for `sbatch`: it is short and becomes a worker.

use std::path::{Path, PathBuf};
use std::time::Duration;

use framework::spec::Slurm;
use store::exit::Failure;

/// Time between the warning of a worker and its end. Slurm checks about once a minute, so the warning may
/// come twice as early.
const WARNING: Duration = Duration::from_secs(60);

/// Divisor for short jobs: a job of a few minutes is warned a quarter of its time before its end.
const SHARE: u32 = 4;

/// A script for the workers of an experiment.
pub struct Script<'a> {
    /// Name of the experiment.
    pub name: &'a str,
    /// Folder of the experiment: absolute, as every node sees it.
    pub folder: PathBuf,
    /// Path of this program.
    pub program: PathBuf,
    /// Settings of the submission.
    pub settings: &'a Slurm,
}

/// Place in the folder for the output of workers.
pub const LOG: &str = "slurm/log";

impl<'a> Script<'a> {
    /// Makes the script for the experiment in `folder`, run by this program.
    ///
    /// # Errors
    /// If a path cannot be written in a script.
    pub fn new(name: &'a str, folder: &Path, settings: &'a Slurm) -> Result<Self, Failure> {
        let absolute = |path: &Path| {
            std::path::absolute(path).map_err(|error| Failure::io("find", path, &error))
        };
        let program = std::env::current_exe();
        let program = program.map_err(|error| Failure::io("find", Path::new("saegrid"), &error))?;
        let new = Self { name, folder: absolute(folder)?, program, settings };
        for path in [&new.folder, &new.program] {
            let is_text =
                path.to_str().is_some_and(|path| !path.contains(['\\', '\n', '\r', '\0']));
            if !is_text {
                let message = format!(
                    "`{}` cannot be told to Slurm, which gives a backslash, and what is no text, another meaning",
                    path.display()
                );
                return Err(Failure::Io(message));
            }
        }
        Ok(new)
    }

    /// Returns the text of the script for so many workers.
    pub fn text(&self, workers: usize) -> String {
        let Self { name, folder, settings, .. } = self;
        let log = folder.join(LOG).display().to_string().replace('%', "%%");
        let mut lines = vec![
            "#!/bin/bash".to_owned(),
            format!(
                "# Workers of the experiment {name}: each claims runs until none is left to claim."
            ),
            format!("#SBATCH --array=0-{}", workers.max(1) - 1),
            format!("#SBATCH --output={}", quoted(&format!("{log}/%A_%a.txt"))),
            "#SBATCH --open-mode=append".to_owned(),
            "#SBATCH --requeue".to_owned(),
            format!("#SBATCH --signal=B:USR1@{}", self.warning().as_secs()),
        ];
        if settings.option("job-name").is_none() {
            lines.push(format!("#SBATCH --job-name={}", quoted(name)));
        }
        lines.extend(settings.options().map(|(key, value)| match value {
            Some(value) => format!("#SBATCH --{key}={}", quoted(value)),
            None => format!("#SBATCH --{key}"),
        }));
        lines.extend(settings.more.iter().map(|option| format!("#SBATCH {option}")));
        lines.push(String::new());
        if !settings.setup.is_empty() {
            lines.extend(settings.setup.iter().cloned());
            lines.push(String::new());
        }
        lines.push(
            "# In the place of the shell, so that Slurm's warning reaches the worker.".to_owned(),
        );
        lines.push(format!("exec {}", self.command()));
        lines.join("\n") + "\n"
    }

    /// Returns the command that starts a worker, quoted for the shell.
    fn command(&self) -> String {
        let (program, folder) = (self.program.to_string_lossy(), self.folder.to_string_lossy());
        let at_once = self.settings.runs_at_once.map(|jobs| jobs.to_string());
        let mut words = vec![&*program, "worker", &*folder, "--requeue", "--progress", "line"];
        words.extend(at_once.iter().flat_map(|jobs| ["--jobs", jobs]));
        // Only a zero byte cannot be quoted, and no path contains one.
        shlex::try_join(words.iter().copied()).unwrap_or_else(|_| words.join(" "))
    }

    /// Returns the time between the warning of a worker and its end.
    fn warning(&self) -> Duration {
        self.settings.time_limit().map_or(WARNING, |limit| WARNING.min(limit / SHARE))
    }

    /// Returns the environment variables to remove for `sbatch`: it would prefer each of them to an option
    /// in the script.
    pub fn overridden(&self) -> impl Iterator<Item = String> {
        let own =
            ["array-inx", "output", "open-mode", "requeue", "no-requeue", "signal", "job-name"];
        let own = own.into_iter().chain(["error", "input", "wait", "test-only", "chdir"]);
        let set = self.settings.options().map(|(key, _)| match key {
            "time" => "timelimit",
            "mem" => "mem-per-node",
            key => key,
        });
        own.chain(set).map(|key| format!("SBATCH_{}", key.to_uppercase().replace('-', "_")))
    }
}

/// Quotes a value as `sbatch` reads it in a script: in double quotes, with a backslash before each special
/// character.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(settings: &Slurm, folder: &str) -> String {
        let (folder, program) = (folder.into(), "/opt/sae grid/saegrid".into());
        Script { name: "kl", folder, program, settings }.text(50)
    }

    fn settings(words: &[&str]) -> Slurm {
        Slurm::of_words(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    /// Wrong if the script asks for something else than was meant, or cannot be read.
    #[test]
    fn the_script_is_short_and_says_all() {
        let settings = settings(&[
            "partition=short",
            "time=2:00:00",
            "exclusive",
            "setup=module load gcc",
            "more=--site=x",
            "runs-at-once=2",
        ]);
        assert_eq!(
            script(&settings, "/home/me/results/kl"),
            "#!/bin/bash\n\
             # Workers of the experiment kl: each claims runs until none is left to claim.\n\
             #SBATCH --array=0-49\n\
             #SBATCH --output=\"/home/me/results/kl/slurm/log/%A_%a.txt\"\n\
             #SBATCH --open-mode=append\n\
             #SBATCH --requeue\n\
             #SBATCH --signal=B:USR1@60\n\
             #SBATCH --job-name=\"kl\"\n\
             #SBATCH --exclusive\n\
             #SBATCH --partition=\"short\"\n\
             #SBATCH --time=\"2:00:00\"\n\
             #SBATCH --site=x\n\
             \n\
             module load gcc\n\
             \n\
             # In the place of the shell, so that Slurm's warning reaches the worker.\n\
             exec '/opt/sae grid/saegrid' worker /home/me/results/kl --requeue --progress line --jobs 2\n"
        );
    }

    /// Wrong if a path is cut at a blank, or its percent sign becomes a pattern of Slurm.
    #[test]
    fn paths_are_quoted_for_slurm_and_for_the_shell() {
        let text = script(&Slurm::default(), "/a b/100%A/it's \"q\" #x");
        assert!(
            text.contains("--output=\"/a b/100%%A/it's \\\"q\\\" #x/slurm/log/%A_%a.txt\""),
            "{text}"
        );
        let command = text.lines().last().unwrap();
        assert_eq!(shlex::split(command).unwrap()[3], "/a b/100%A/it's \"q\" #x");
    }

    #[test]
    fn a_worker_is_warned_in_time_whatever_its_time_is() {
        let warned = |word| {
            let text = script(&settings(&[word]), "/x");
            let line = text.lines().find(|line| line.contains("USR1")).unwrap();
            line.split('@').nth(1).unwrap().parse::<u64>().unwrap()
        };
        assert_eq!((warned("time=1"), warned("time=2"), warned("time=3-0")), (15, 30, 60));
        assert_eq!((warned("time=0"), warned("mem=1G")), (60, 60));
    }

    #[test]
    fn the_environment_does_not_overrule_the_script() {
        let settings = settings(&["time=10", "mem=1G", "qos=high"]);
        let (folder, program) = ("/x".into(), "/y".into());
        let script = Script { name: "kl", folder, program, settings: &settings };
        let overridden: Vec<String> = script.overridden().collect();
        for name in ["ARRAY_INX", "OUTPUT", "SIGNAL", "TIMELIMIT", "MEM_PER_NODE", "QOS"] {
            assert!(overridden.contains(&format!("SBATCH_{name}")), "{overridden:?}");
        }
        assert!(!overridden.contains(&"SBATCH_PARTITION".to_owned()), "that one is the user's");
    }
}

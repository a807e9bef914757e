//! Stand-ins for the programs of Slurm: shell scripts on the path that print what a test tells them to, and
//! record how they were called.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use crate::support::program::{Place, Said, write_script};

/// A place with an imitated cluster.
pub struct Site {
    /// The place.
    pub place: Place,
}

/// Script of an `sbatch` that accepts every job: the jobs are 101, 102, …
const TAKES: &str =
    "n=$(cat taken 2>/dev/null || echo 100); n=$((n + 1)); echo $n > taken; echo $n";

impl Site {
    /// A site with this experiment. It accepts every job and has no limits.
    pub fn with(text: &str) -> Self {
        let site = Self { place: Place::with(text) };
        fs::create_dir(site.place.path("bin")).unwrap();
        site.says("sbatch", TAKES);
        site.says("squeue", "");
        site.says("scancel", "");
        site.says("scontrol", "echo 'MaxArraySize = 1001'; echo 'MaxJobCount = 10000'");
        site
    }

    /// Replaces a program by this script of `sh`, which runs in the place. Asked for the owners of jobs,
    /// `squeue` prints the file `owners`, or else that each job is this user's, by its script.
    pub fn says(&self, program: &str, script: &str) {
        let here = self.place.path("");
        let me = fs::metadata(&here).unwrap().uid();
        let owners = format!(
            "case \"$*\" in *%o*) if [ -e owners ]; then cat owners; exit; fi; n=100; \
             while [ $n -lt $(cat taken 2>/dev/null || echo 100) ]; do n=$((n + 1)); \
             echo \"$n|{me}|$PWD/results/tiny/slurm/$((n - 100)).sh\"; done; exit;; esac"
        );
        let script =
            if program == "squeue" { format!("{owners}\n{script}") } else { script.into() };
        let text = format!(
            "cd '{}'\nprintf '%s' {program} >> calls\nfor word; do printf ' %s' \"$word\" >> calls; done\n\
             echo >> calls\n{script}",
            here.display()
        );
        write_script(&self.place.path("bin").join(program), &text);
    }

    /// Removes a program.
    pub fn lacks(&self, program: &str) {
        fs::remove_file(self.place.path("bin").join(program)).unwrap();
    }

    /// saegrid at this site, not started yet. Its path does not lead to a real cluster of this machine.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = self.place.command(words);
        command.env("PATH", self.place.path("bin").display().to_string() + ":" + &shells());
        command.env("XDG_CONFIG_HOME", self.place.path("config"));
        command
    }

    /// Runs saegrid at this site.
    pub fn run(&self, words: &[&str]) -> Said {
        Said::from(self.command(words).output().unwrap())
    }

    /// The arguments of every call of a program so far.
    pub fn calls(&self, program: &str) -> Vec<String> {
        let calls = fs::read_to_string(self.place.path("calls")).unwrap_or_default();
        let of_it = calls.lines().filter_map(|line| line.strip_prefix(program));
        of_it.map(|words| words.trim_start().to_owned()).collect()
    }

    /// The array that a script asks for.
    #[track_caller]
    pub fn array_of(&self, script: usize) -> String {
        let text = self.place.read(format!("results/tiny/slurm/{script}.sh"));
        let line = text.lines().find_map(|line| line.strip_prefix("#SBATCH --array="));
        line.unwrap_or_else(|| panic!("no array:\n{text}")).to_owned()
    }
}

/// A folder with the programs that the scripts need, and none of Slurm.
fn shells() -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shells");
    fs::create_dir_all(&folder).unwrap();
    for program in ["sh", "cat", "sleep", "cp", "tail", "grep", "sed", "kill", "env"] {
        let of = |place: &str| Path::new(place).join(program);
        let found = ["/bin", "/usr/bin"].map(of).into_iter().find(|path| path.exists()).unwrap();
        // Another test may have made it meanwhile.
        let _ = std::os::unix::fs::symlink(found, folder.join(program));
    }
    folder.display().to_string()
}

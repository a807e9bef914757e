//! The long options of `sbatch`, as its manual has them.

use super::forms::Form::{self, Count, Flag, FlagOrText, Memory, Number, One, Text, Time};

/// An option that is passed on.
pub struct KnownOption {
    /// Its name, without dashes.
    pub name: &'static str,
    /// The form of its value.
    pub form: Form,
    /// What it is, in a line.
    pub about: &'static str,
}

const fn known(name: &'static str, form: Form, about: &'static str) -> KnownOption {
    KnownOption { name, form, about }
}

/// Options that may be set.
pub const OPTIONS: &[KnownOption] = &[
    known("account", Text, "the account that the jobs are charged to"),
    known("acctg-freq", Text, "how often use is sampled for accounting"),
    known("batch", Text, "features of the node that a job runs on"),
    known("bb", Text, "a burst buffer"),
    known("bbf", Text, "a file that describes a burst buffer"),
    known("begin", Text, "not before this time, as in \"now+1hour\""),
    known("cluster-constraint", Text, "features that a cluster has to have"),
    known("clusters", Text, "the clusters that may take the jobs"),
    known("comment", Text, "a comment on the jobs"),
    known("constraint", Text, "features that a node has to have"),
    known("container", Text, "the path of a container bundle"),
    known("contiguous", Flag, "nodes that lie together"),
    known("core-spec", Number, "processors that are left to the system"),
    known("cores-per-socket", Count, "at least so many cores a socket"),
    known("cpu-freq", Text, "the frequency of the processors"),
    known("cpus-per-gpu", Count, "processors for each GPU"),
    known("cpus-per-task", Count, "how many processors a worker has: 1 unless given"),
    known("deadline", Text, "a time by which the jobs have to be over"),
    known("delay-boot", Text, "how long nodes are not started for the jobs"),
    known("dependency", Text, "what has to be over before, as in \"afterok:123\""),
    known("exclude", Text, "nodes that the jobs do not run on"),
    known("exclusive", FlagOrText, "whole nodes, shared with nobody"),
    known("export", Text, "variables of the environment that the jobs have"),
    known("extra-node-info", Text, "sockets, cores and threads, as in \"2:4:1\""),
    known("get-user-env", FlagOrText, "the environment of a login"),
    known("gpu-bind", Text, "how tasks are bound to GPUs"),
    known("gpu-freq", Text, "the frequency of the GPUs"),
    known("gpus", Text, "how many GPUs a job has"),
    known("gpus-per-node", Text, "how many GPUs on each node"),
    known("gpus-per-socket", Text, "how many GPUs on each socket"),
    known("gpus-per-task", Text, "how many GPUs for each task"),
    known("gres", Text, "what else a job needs, as in \"gpu:1\""),
    known("gres-flags", Text, "how that is bound"),
    known("hint", Text, "compute_bound, memory_bound or nomultithread"),
    known("hold", Flag, "held until `scontrol release`"),
    known("job-name", Text, "the name of the jobs: that of the experiment unless given"),
    known("kill-on-invalid-dep", Text, "yes or no: whether jobs end whose dependency never holds"),
    known("licenses", Text, "licences that a job needs"),
    known("mail-type", Text, "when mail is sent, as in \"END,FAIL\""),
    known("mail-user", Text, "who gets it"),
    known("mcs-label", Text, "the label of the jobs"),
    known("mem", Memory, "memory a job has on its node, as in \"8G\""),
    known("mem-bind", Text, "how tasks are bound to memory"),
    known("mem-per-cpu", Memory, "memory for each processor"),
    known("mem-per-gpu", Memory, "memory for each GPU"),
    known("mincpus", Count, "at least so many processors a node"),
    known("network", Text, "what the network has to be like"),
    known("nice", FlagOrText, "how much the jobs' priority is lowered"),
    known("nodefile", Text, "a file that names nodes"),
    known("nodelist", Text, "nodes that the jobs run on"),
    known("nodes", One, "how many nodes a worker has"),
    known("ntasks", One, "how many processes a worker has"),
    known("ntasks-per-node", One, "how many processes a worker has on a node"),
    known("overcommit", Flag, "processors are counted once for all tasks"),
    known("oversubscribe", Flag, "processors may be shared with other jobs"),
    known("partition", Text, "the partition, or several with commas"),
    known("power", Text, "how power is managed"),
    known("prefer", Text, "features that a node had better have"),
    known("priority", Number, "the priority of the jobs"),
    known("profile", Text, "what is profiled"),
    known("propagate", FlagOrText, "limits that the jobs have from here"),
    known("qos", Text, "the quality of service"),
    known("reboot", Flag, "nodes are started anew before"),
    known("reservation", Text, "the reservation that the jobs use"),
    known("sockets-per-node", Count, "at least so many sockets a node"),
    known("spread-job", Flag, "spread over as many nodes as there are"),
    known("switches", Text, "how many switches at most"),
    known("thread-spec", Number, "threads that are left to the system"),
    known("threads-per-core", Count, "at least so many threads a core"),
    known("time", Time, "how long a job may take; a run may take longer, over several jobs"),
    known("time-min", Time, "how short it may be made to start sooner"),
    known("tmp", Memory, "disk on the node"),
    known("tres-bind", Text, "how resources are bound to tasks"),
    known("tres-per-task", Text, "resources for each task"),
    known("use-min-nodes", Flag, "as few nodes as there can be"),
    known("wckey", Text, "the key that use is recorded by"),
];

const OF_SBATCH: &str = "it is about `sbatch` itself, not about the jobs";
const REQUEUED: &str = "a worker goes on where it was, so jobs are always requeued";

/// Options that are not to be set, and why.
pub const NOT_TO_BE_SET: &[(&str, &str)] = &[
    (
        "array",
        "workers claim what is left to do, whatever their number; `workers` says how many there are",
    ),
    ("chdir", "a worker begins in the folder that it is submitted from"),
    ("error", "what a worker says goes to `slurm/log` in the folder of the experiment"),
    ("help", OF_SBATCH),
    ("input", "a worker reads nothing"),
    ("no-requeue", REQUEUED),
    ("open-mode", "a job that is requeued adds to what it said before"),
    ("output", "what a worker says goes to `slurm/log` in the folder of the experiment"),
    ("parsable", OF_SBATCH),
    ("quiet", OF_SBATCH),
    ("requeue", REQUEUED),
    ("signal", "a worker is warned in time to keep what it has"),
    ("test-only", OF_SBATCH),
    ("usage", OF_SBATCH),
    ("verbose", OF_SBATCH),
    ("version", OF_SBATCH),
    ("wait", OF_SBATCH),
    ("wrap", "the script is made here; `setup` has lines that run before a worker"),
];

/// Options of which `sbatch` takes one; the later one takes the place of the others.
pub const EXCLUSIVE: [&[&str]; 2] =
    [&["mem", "mem-per-cpu", "mem-per-gpu"], &["exclusive", "oversubscribe"]];

/// What is meant by a word that other programs, and Slurm's own short options, have for an option.
pub fn meant_by(word: &str) -> Option<&'static str> {
    let plain = word.to_lowercase().replace('_', "-");
    Some(match plain.as_str() {
        "walltime" | "timelimit" | "time-limit" | "timeout" | "t" => "time",
        "memory" | "mem-per-node" | "ram" => "mem",
        "cpus" | "cpu" | "cores" | "ncpus" | "threads" | "c" => "cpus-per-task",
        "queue" | "p" => "partition",
        "jobs" | "tasks" | "n" | "array-size" => "workers",
        "gpu" => "gpus",
        "name" | "j" => "job-name",
        "a" => "account",
        "email" => "mail-user",
        "share" => "oversubscribe",
        "modules" | "module" | "prolog" => "setup",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_in_order_and_each_is_there_once() {
        assert!(OPTIONS.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert!(NOT_TO_BE_SET.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (name, _) in NOT_TO_BE_SET {
            assert!(OPTIONS.iter().all(|option| option.name != *name), "{name}");
        }
        for name in EXCLUSIVE.iter().flat_map(|names| names.iter()) {
            assert!(OPTIONS.iter().any(|option| option.name == *name), "{name}");
        }
    }
}

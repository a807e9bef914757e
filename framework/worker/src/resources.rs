//! Threads, memory and allocator of a worker process.

use framework::spec::Experiment;

/// Environment variables that set glibc's allocator in a worker; glibc reads them when a process starts.
/// Each step of the reference engine frees memory that the next step asks for again. By default glibc
/// returns it to the system in between and faults it in anew: a fifth of the time at 784 x 1000. Huge
/// pages save the fused engine 3 % at 768 x 24576, as each of its steps walks through all memory.
pub const ALLOCATOR: [(&str, &str); 4] = [
    ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"),
    ("MALLOC_MMAP_MAX_", "0"),
    ("MALLOC_TRIM_THRESHOLD_", "17179869184"),
    ("MALLOC_TOP_PAD_", "16777216"),
];

/// Sets the number of threads that this process uses for matrix products.
pub fn limit_threads(threads: usize) {
    // Both engines use rayon's global pool. This thread is one of several in it, so that a step starts
    // without waking another thread. It is never the only one: a dataset that gathers ahead asks the
    // same pool, and the two would wait for each other. A second worker in this process would share the
    // pool; that is an error of the caller.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    let pool = if threads > 1 { pool.use_current_thread() } else { pool };
    let _ = pool.build_global();
}

/// Limits the memory of this process to what the experiment allows a run. A run that needs more ends
/// with an error that its controller recognizes.
pub fn limit_memory(experiment: &Experiment) {
    #[cfg(target_os = "linux")]
    if let Some(memory) = experiment.run.memory {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Data);
        limit.current = Some(limit.maximum.map_or(memory.0, |most| most.min(memory.0)));
        // Where the limit cannot be set, there is none.
        let _ = setrlimit(Resource::Data, limit);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = experiment;
}

//! Origin of a result: the program, the machine, the process.

#![allow(clippy::disallowed_methods, reason = "it reads what the system says of itself")]

use std::fs;
use std::time::SystemTime;

use serde_json::{Value as Json, json};

/// Version of the program and the commit it was built from.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("SAEGRID_COMMIT"), ")");

/// Describes the program and the machine, for a manifest.
pub fn provenance() -> Json {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "commit": env!("SAEGRID_COMMIT"),
        "host": host(),
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "cpu_features": framework::cpu::features(),
        "l1_data_cache": l1_data_cache(),
        "cores": cores(),
    })
}

/// Name of this machine.
pub fn host() -> String {
    let named =
        fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned());
    named.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_else(|| "unknown".to_owned())
}

/// Number of cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// First-level data cache of a core, such as `48K, 12 ways`: the reference engine splits sums of more
/// than 512 terms by it.
fn l1_data_cache() -> Option<String> {
    let caches = fs::read_dir("/sys/devices/system/cpu/cpu0/cache").ok()?.map_while(Result::ok);
    caches.map(|entry| entry.path()).find_map(|cache| {
        let read = |name: &str| Some(fs::read_to_string(cache.join(name)).ok()?.trim().to_owned());
        let is_it = read("level")? == "1" && read("type")? == "Data";
        is_it.then_some(format!("{}, {} ways", read("size")?, read("ways_of_associativity")?))
    })
}

/// Current time in UTC, to the second.
pub fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// Resets the peak of memory use, so that the next run of this process has a peak of its own. Where the
/// system cannot, the peak is that of the whole process.
pub fn reset_peak_memory() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Peak of this process' memory use since [`reset_peak_memory`], in bytes.
pub fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Memory of this machine, in bytes.
pub fn memory() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

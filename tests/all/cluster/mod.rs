//! Several machines: workers on Slurm, on other engines that start workers, and on hosts that share a folder.

#[cfg(unix)]
mod elsewhere;
#[cfg(target_os = "linux")]
mod hosts;
#[cfg(target_os = "linux")]
mod slurm;

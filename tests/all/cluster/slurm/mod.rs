//! Workers on a Slurm cluster: with programs that stand for Slurm's and say what a test has them say, and
//! on a real cluster of several nodes, where there is one.

pub mod cluster;
mod fake;
mod faults;
mod looking_on;
mod nodes;
mod requeueing;
mod smoke;
mod submitting;

//! Workers on a Slurm cluster: with stand-ins for its programs that print what a test tells them to, and on a
//! real cluster of several nodes, where there is one.

pub mod cluster;
mod fake;
mod faults;
mod looking_on;
mod nodes;
mod requeueing;
mod smoke;
mod submitting;

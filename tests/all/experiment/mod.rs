//! Experiment files: what they may say, which runs they describe, the ids of these runs, the plugins that
//! they name, and what a user reads about a mistake.

mod auxiliary;
mod bad_input;
mod batches;
mod corruption;
mod evaluations;
mod identity;
mod ids;
mod include;
mod init;
mod mistakes;
mod objective;
mod plugins;
mod schema;
mod start;
mod sweep;
mod terms;
mod toml_suite;
mod words;

//! Results: the tables and files that runs leave behind, the commands that read them, and folders that are
//! damaged, moved or made by a stranger.

mod browser;
mod budget;
mod columns;
mod compare;
mod corpus;
mod damaged_runs;
mod exhibits;
mod latents;
mod model_elsewhere;
mod moved;
mod query;
mod report;
mod stored;
mod summaries;
mod tables;
mod terminal;
mod verdicts;
mod without_rows;

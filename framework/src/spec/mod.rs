//! What is to be run, as typed and checked data: an experiment file becomes a grid of runs.
//!
//! `node` and `de` keep the place of every key and value, `settings` hands a section to a plugin,
//! `experiment` reads a file with what it includes, `grid` expands it, and `run` names what comes out. `schema` says
//! all of it to editors. Nothing here opens data, trains or writes.

mod auxiliary;
mod axis;
mod de;
mod distribution;
mod draw;
mod entries;
mod evaluate;
mod exclude;
mod experiment;
mod filled;
mod grid;
mod halving;
mod include;
mod initial;
mod merge;
mod nested;
mod node;
pub mod numbers;
mod objective;
mod optimizer;
mod overrides;
mod random;
mod range;
mod rule;
mod run;
mod running;
mod schedule;
mod schema;
mod sections;
mod settings;
mod slurm;
mod sweep;
mod syntax;
mod target;
mod train;
mod variants;
mod words;

pub use evaluate::{ColumnName, Evaluate};
pub use experiment::Experiment;
pub use grid::{Expanded, MAX_RUNS};
pub use halving::{Halving, Rung};
pub use include::Included;
pub use initial::{InitBias, InitEncoder, InitFrom, InitPart, Initial};
pub use nested::NestedPlugin;
pub use node::{KeyValue, Node, TomlTable, Value, parse};
pub use objective::TrainObjective;
pub use optimizer::{Adam, Optimizer, Sgd};
pub use overrides::Override;
pub use run::{DatasetSection, Normalize, RunId, RunSpec, Section};
pub use running::{LONGEST_LEASE, MemorySize, RunSettings, Time};
pub use schedule::Schedule;
pub use schema::experiment_schema;
pub use sections::{AllSettings, Parts, SECTION_ROWS, SECTIONS, SectionRow, is_list};
pub use settings::{Readable, Resolved, Settings, schema_of};
pub use slurm::Slurm;
pub use target::{STEERED_UNTIL, Target, TargetMethod};
pub use train::{BatchOrder, Precision, Train, TrainLength};

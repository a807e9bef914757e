//! Computes what finished runs say, as numbers. Other crates print and draw them.
//!
//! - [`Runs`] holds the runs of experiment folders; `loaded` reads them, `group` sorts them into methods
//!   and settings.
//! - [`Comparisons`] is the verdict: `scope` separates runs that are not comparable, `differs` finds the
//!   other settings in which methods differ, `metric` says which direction is better, `comparison` reads
//!   all methods at the same L0, `notes` says what was left out.
//! - [`BudgetCurve`] is a metric with 1, 2, 5, … latents of each sample: it compares codes that are never 0.
//! - [`stability`] compares the dictionaries of different seeds, and `agreement` summarizes the result.
//! - [`Features`] says what the latents of one model are active on.
//! - [`mean_curve`] averages learning curves, and [`SeedPair`] holds two runs of one setting.
//! - [`statistics`] computes: intervals, fronts, methods at matched L0, matched dictionaries, principal
//!   components. It reads no tables.
//! - [`SettingsSummary`] says what each setting came to, in words; `titles` has the words for columns.
//! - [`words`] writes numbers in few digits, the same everywhere.

// Tests create and read files, and print.
#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_macros))]

mod agreement;
mod budgets;
mod common;
mod comparison;
mod comparisons;
mod curve;
mod differs;
mod features;
mod group;
mod loaded;
mod metric;
mod notes;
mod pairs;
mod runs;
mod scope;
mod stability;
pub mod statistics;
mod summary;
mod titles;
pub mod words;

pub use agreement::Agreement;
pub use budgets::{BaselineCurve, BudgetCurve, BudgetPoint};
pub use comparison::Comparison;
pub use comparisons::{Comparisons, EARLIER, Question};
pub use curve::mean_curve;
pub use differs::Differs;
pub use features::{Features, Latent};
pub use group::{Group, Setting};
pub use metric::{DEFAULT, THRESHOLDED};
pub use pairs::SeedPair;
pub use runs::{Runs, rows_of};
pub use stability::{Effort, stability};
pub use summary::{SettingRow, SettingsSummary, SummaryColumn};

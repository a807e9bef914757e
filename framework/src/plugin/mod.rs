//! Plugins: one trait and one registry a kind.
//!
//! A plugin is one file: a serde struct of its TOML settings, whose doc comments are its help; an
//! implementation of its kind's trait; and one registration with linkme. Nothing else names it.

mod alias;
mod architecture;
mod auxiliary;
mod codes;
mod corruption;
mod data_facts;
pub(crate) mod dataset;
mod declared;
mod evaluation;
mod exhibit;
mod form_size;
mod fused;
mod l0_rule;
mod measured;
mod named;
mod penalty;
mod pretraining;
mod registry;
mod revision;
mod soft_penalty;
mod title;

pub use alias::{ALIASES, Alias, Meant, aliases, help_for, same_word, words_of};
pub use architecture::{ARCHITECTURES, Architecture, Autoencoder, CodeRange, Encoded, Offer};
pub use auxiliary::{AUXILIARIES, Auxiliary, AuxiliaryTerms, NamedAuxiliary};
pub use codes::{Codes, OwnedCodes};
pub use corruption::{CORRUPTIONS, Corruption, SampleFacts};
pub use data_facts::DataFacts;
pub use dataset::{DATASETS, Data, Dataset, Decides, SampleShape, Split, Truth};
pub use declared::{AtBudget, BaselineColumn, Declared, Within};
pub use evaluation::{
    Coder, EVALUATIONS, EvaluatedBatch, Evaluation, Measure, Role, Spread, Subject, When,
};
pub use exhibit::{Exhibit, ExhibitCells, ExhibitColumn, ExhibitContent, Pixels};
pub use form_size::FormSize;
pub use fused::{
    Activation, BatchClasses, CodeColumn, CodeNoise, ColumnTerm, DeadPrediction, FusedAuxiliary,
    FusedPenalty, GateTerms, KeptBy, LayerNames, LayeredForm, Level, LevelMap, PerColumn, PerCount,
    PerLatent, PerSample, PrefixSizes, PrefixTerm, SampleCode, Shrink, ThresholdCost, WeightTerm,
    sum_of, vectorized,
};
pub use l0_rule::L0Rule;
pub use measured::{Best, Finding, LatentColumn, Measured, Metric};
pub(crate) use named::as_word;
pub use named::{EvaluationName, NamedEvaluation};
pub use penalty::{CodeFacts, PENALTIES, Penalize, Penalty, StrengthKey, Term};
pub use pretraining::{PretrainedLayer, Pretraining};
pub use registry::{Built, Plugin, PluginRow, Unfit, build, kinds, sorted};
pub(crate) use registry::{build_as, build_beside, find, named_kind, rows_of_auxiliaries};
pub use revision::Revision;
pub use soft_penalty::SoftPenalty;
pub use title::Title;

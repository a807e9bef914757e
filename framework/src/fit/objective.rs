//! Whether the objective of a run fits its decoder and its data.

use std::collections::HashMap;
use std::sync::Arc;

use super::opened::find_value;
use crate::plugin::Data;
use crate::spec::{Normalize, RunSpec, TrainObjective};
use crate::train::Normalizer;

/// Returns why the decoder of a run cannot be trained on its objective.
pub(super) fn decoder_misfit(run: &RunSpec) -> Option<String> {
    let is_cross_entropy = run.train.value.objective == TrainObjective::CrossEntropy;
    if !is_cross_entropy || run.architecture.value.plugin.ends_in_sigmoid() {
        return None;
    }
    Some("`cross-entropy` needs an architecture with `decoder = \"sigmoid\"`".into())
}

/// What data cannot be a target of the cross-entropy, by the address of its section: each is looked at once.
#[derive(Default)]
pub(super) struct TargetRanges {
    of_datasets: HashMap<usize, Option<String>>,
}

impl TargetRanges {
    /// Returns why the data of a run cannot be the target of its objective. The runs must live as long as
    /// this, which knows data by its address.
    pub(super) fn misfit(&mut self, run: &RunSpec, data: &dyn Data) -> Option<String> {
        if run.train.value.objective != TrainObjective::CrossEntropy {
            return None;
        }
        let known = self.of_datasets.entry(Arc::as_ptr(&run.dataset).addr());
        known.or_insert_with(|| outside(run.dataset.value.normalize, data)).clone()
    }
}

/// Returns where the data, as a model sees it, lies outside [0, 1]; or why that cannot be said.
fn outside(normalize: Normalize, data: &dyn Data) -> Option<String> {
    let found = Normalizer::fit(normalize, data).and_then(|normalizer| {
        find_value(data, |values| normalizer.apply(values), |value| !(0.0..=1.0).contains(&value))
    });
    match found {
        Ok(None) => None,
        Ok(Some(place)) => {
            let scaled = match normalize {
                Normalize::None => "",
                _ => ", scaled as `dataset.normalize` says",
            };
            Some(format!("`cross-entropy` needs data within [0, 1]; {place}{scaled}"))
        }
        Err(message) => Some(message),
    }
}

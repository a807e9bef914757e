//! Opens each dataset once, and checks every value in it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rayon::prelude::*;

use crate::diagnostics::{Diagnostic, without_repeats};
use crate::plugin::{Data, DataFacts, Split, Unfit};
use crate::shared::Shared;
use crate::spec::{DatasetSection, RunSpec, Section};

/// Open datasets, by the canonical settings of their sections.
#[derive(Default)]
pub struct Opened {
    data: HashMap<String, (Arc<dyn Data>, Arc<DataFacts>)>,
    shared: Shared,
}

impl Opened {
    /// Makes an empty set; `shared` says where data is already in memory.
    pub fn new(shared: Shared) -> Self {
        Self { shared, ..Self::default() }
    }

    /// Returns the data in memory here that other processes can use.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Returns the data of a section; opens it if it is not open yet.
    ///
    /// # Errors
    /// The problem with the files, at the setting that names them.
    pub fn get(&mut self, section: &Section<DatasetSection>) -> Result<Arc<dyn Data>, Diagnostic> {
        self.get_with_facts(section).map(|(data, _)| data)
    }

    /// Returns the same with what all runs on that data share.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn get_with_facts(
        &mut self,
        section: &Section<DatasetSection>,
    ) -> Result<(Arc<dyn Data>, Arc<DataFacts>), Diagnostic> {
        if let Some(known) = self.data.get(&section.canonical) {
            return Ok(known.clone());
        }
        let data: Arc<dyn Data> = open(section, &self.shared)?.into();
        let known = (data, Arc::default());
        self.data.insert(section.canonical.clone(), known.clone());
        Ok(known)
    }
}

fn open(section: &Section<DatasetSection>, shared: &Shared) -> Result<Box<dyn Data>, Diagnostic> {
    let built = &section.value.dataset;
    let at = |unfit: Unfit| built.settings.problem(unfit.key, unfit.message);
    let data = built.plugin.open(&built.settings, shared).map_err(at)?;
    if data.shape().inputs() == 0 {
        return Err(at(Unfit::new("kind", "its samples hold no numbers")));
    }
    for (split, name) in [(Split::Train, "training"), (Split::Test, "test")] {
        if data.rows(split) == 0 {
            return Err(at(Unfit::new("kind", format!("its {name} part is empty"))));
        }
    }
    Ok(data)
}

/// Approximate number of values read at once when every value is checked.
const VALUES_AT_ONCE: usize = 1 << 17;

/// Opens the data of every run and checks each value in it.
///
/// # Errors
/// Missing or malformed files and values that are not finite, at the setting that names the data.
pub fn open_data(runs: &[RunSpec]) -> Result<Opened, Vec<Diagnostic>> {
    let mut opened = Opened::default();
    let mut problems = Vec::new();
    let mut seen = HashSet::new();
    for run in runs {
        if seen.insert(Arc::as_ptr(&run.dataset)) {
            let checked = opened.get(&run.dataset).and_then(|data| {
                let settings = &run.dataset.value.dataset.settings;
                check_finite(&*data).map_err(|message| settings.problem("kind", message))
            });
            problems.extend(checked.err());
        }
    }
    if problems.is_empty() { Ok(opened) } else { Err(without_repeats(problems)) }
}

fn check_finite(data: &dyn Data) -> Result<(), String> {
    match find_value(data, |_| {}, |value| !value.is_finite())? {
        None => Ok(()),
        Some(place) => Err(format!("{place}; every value is a finite number")),
    }
}

/// Looks at every value of both parts, after `change` was made to samples, [rows, inputs]. Returns the place of
/// the first value that is `wrong`, in words.
///
/// # Errors
/// If the data cannot be read.
pub(super) fn find_value(
    data: &dyn Data,
    change: impl Fn(&mut [f32]) + Sync,
    wrong: impl Fn(f32) -> bool + Sync,
) -> Result<Option<String>, String> {
    let inputs = data.shape().inputs();
    for (split, name) in [(Split::Train, "training"), (Split::Test, "test")] {
        let (all, at_once) = (data.rows(split), (VALUES_AT_ONCE / inputs).max(1));
        let chunks = (0..all.div_ceil(at_once)).into_par_iter();
        let looks = chunks.map_init(Vec::new, |values, chunk| {
            let first = chunk * at_once;
            let rows: Vec<usize> = (first..all.min(first + at_once)).collect();
            values.resize(rows.len() * inputs, 0.0);
            data.gather(split, &rows, values)?;
            change(values);
            // The loop has no early exit, so that the compiler vectorises it for good data.
            if !values.iter().fold(false, |found, value| found | wrong(*value)) {
                return Ok::<_, String>(None);
            }
            let found = values.iter().enumerate().find(|(_, value)| wrong(**value));
            Ok(found.map(|(at, value)| {
                let (row, input) = (rows[at / inputs], at % inputs);
                format!("the {name} sample {row} holds {value} at input {input}")
            }))
        });
        let found = looks.find_map_first(Result::transpose).transpose()?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

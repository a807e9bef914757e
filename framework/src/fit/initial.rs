//! Whether runs can start as `[init]` says: from the stored models that they name, or from scaled matrices.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::diagnostics::Diagnostic;
use crate::model::Definition;
use crate::plugin::SampleShape;
use crate::spec::{InitBias, InitEncoder, RunSpec};
use crate::train::{InitPlaces, StoredModel};

/// What is known of stored models and of the runs that start from them. The runs must live as long as this,
/// which knows their sections by their addresses.
#[derive(Default)]
pub(super) struct InitialChecks {
    seen: HashSet<([usize; 4], SampleShape)>,
    /// Parameters that were looked at, by file, with what is wrong with them.
    finite: HashMap<(PathBuf, String), Option<String>>,
}

impl InitialChecks {
    /// Looks at the stored model of a run, once for all runs of its form. Returns a warning that says what is
    /// taken where that is not every parameter.
    ///
    /// # Errors
    /// What is wrong with the model, or does not fit the run.
    pub(super) fn check(
        &mut self,
        run: &RunSpec,
        sample: SampleShape,
    ) -> Result<Option<Diagnostic>, Diagnostic> {
        let initial = &run.init.value;
        let Some(from) = &initial.from else { return Ok(None) };
        let form = [
            Arc::as_ptr(&run.init).addr(),
            Arc::as_ptr(&run.architecture).addr(),
            Arc::as_ptr(&run.penalty).addr(),
            Arc::as_ptr(&run.auxiliary).addr(),
        ];
        if !self.seen.insert((form, sample)) {
            return Ok(None);
        }
        let problem = |message: String| initial.problem("from", &message);
        let model = StoredModel::open(from).map_err(problem)?;
        let declared = Definition::of(run).parameters(sample);
        let taken = model.taken(&declared, from.part).map_err(problem)?;
        for at in &taken {
            let name = &declared[*at].name;
            let known = self.finite.entry((from.file(), name.clone()));
            let wrong = known.or_insert_with(|| model.check_finite(name).err());
            wrong.clone().map_or(Ok(()), |message| Err(problem(message)))?;
        }
        if taken.len() == declared.len() {
            return Ok(None);
        }
        let names = |is_taken: bool| {
            let of = |(at, _): &(usize, _)| taken.contains(at) == is_taken;
            let names = declared.iter().enumerate().filter(of).map(|(_, one)| &*one.name);
            names.collect::<Vec<_>>().join("`, `")
        };
        let (taken, others) = (names(true), names(false));
        let message = format!("`{taken}` are taken; `{others}` start as without it");
        Ok(Some(initial.problem("from", &message).warning()))
    }
}

/// Returns why a run cannot start with the norms, the encoder or the bias that it asks for.
pub(super) fn start_misfits(run: &RunSpec, sample: SampleShape) -> Vec<Diagnostic> {
    let initial = &run.init.value;
    let (norm, encoder, bias) = (initial.decoder_norm, initial.encoder, initial.bias);
    if norm.is_none() && encoder == InitEncoder::Own && bias == InitBias::Zero {
        return Vec::new();
    }
    let architecture = &run.architecture.value;
    let start = InitPlaces::of(&*architecture.plugin, sample);
    let norm = norm.and_then(|norm| Some(("decoder_norm", start.norm_misfit(norm)?)));
    let encoder =
        (encoder != InitEncoder::Own).then(|| Some(("encoder", start.encoder_misfit()?))).flatten();
    let bias = (bias != InitBias::Zero).then(|| Some(("bias", start.bias_misfit()?))).flatten();
    let label = "the architecture it does not fit";
    let problem = |(key, message): (&str, String)| {
        initial.problem(key, &message).related(architecture.settings.origin_of("kind"), label)
    };
    [norm, encoder, bias].into_iter().flatten().map(problem).collect()
}

//! Models as safetensors files: the parameters, other tensors that readers expect, and the settings.

use std::collections::HashMap;

use framework::model::Definition;
use framework::plugin::SampleShape;
use framework::random::Streams;
use framework::spec::RunSpec;
use framework::train::{Model, Normalizer};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

const MEAN: &str = "normalize.mean";
const SCALE: &str = "normalize.scale";
const STATE: &str = "penalty.state.";

/// Returns a model as the bytes of a safetensors file.
///
/// # Errors
/// If the format cannot hold it.
pub fn write(run: &RunSpec, model: &Model<'_>) -> Result<Vec<u8>, String> {
    let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    let mut floats = |name: String, shape: Vec<usize>, values: &[f32]| {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        tensors.push((name, Dtype::F32, shape, bytes));
    };
    let parameters = model.parameters();
    for entry in &parameters.entries {
        floats(entry.declaration.name.clone(), entry.declaration.shape.clone(), &entry.values);
    }
    for (name, shape, values) in
        model.definition.architecture.derived_tensors(model.sample, &parameters)
    {
        floats(name, shape, &values);
    }
    for (name, values) in [(MEAN, &model.normalizer.mean), (SCALE, &model.normalizer.scale)] {
        if !values.is_empty() {
            floats(name.to_owned(), vec![values.len()], values);
        }
    }
    for (name, values) in model.state.borrow().iter() {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        tensors.push((format!("{STATE}{name}"), Dtype::F64, vec![values.len()], bytes));
    }
    let views: Result<Vec<_>, _> = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?))
        })
        .collect();
    let metadata = HashMap::from([("settings".to_owned(), run.settings().to_string())]);
    views
        .and_then(|views| safetensors::serialize(views, Some(metadata)))
        .map_err(|error| format!("the model cannot be stored: {error}"))
}

/// Returns the bytes of a model's file with the settings of another run in them.
///
/// # Errors
/// If it is not a safetensors file.
pub fn with_settings(run: &RunSpec, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let metadata = HashMap::from([("settings".to_owned(), run.settings().to_string())]);
    safetensors::serialize(file.tensors(), Some(metadata)).map_err(|error| error.to_string())
}

/// Reads the model of a run from the bytes of its file.
///
/// # Errors
/// If the file lacks a tensor that the run's settings ask for. Callers usually verify its digest before;
/// this is a second check.
pub fn read<'a>(run: &'a RunSpec, sample: SampleShape, bytes: &[u8]) -> Result<Model<'a>, String> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| format!("the stored model is damaged: {error}"))?;
    let floats = |name: &str| -> Option<Vec<f32>> {
        let view = file.tensor(name).ok().filter(|view| view.dtype() == Dtype::F32)?;
        let values = view.data().chunks_exact(4);
        Some(
            values
                .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
                .collect(),
        )
    };
    let one_an_input = |name: &str| match floats(name) {
        Some(values) if values.len() != sample.inputs() => Err(format!(
            "the stored model has {} numbers in `{name}`, expected one for each of {} inputs",
            values.len(),
            sample.inputs()
        )),
        values => Ok(values.unwrap_or_default()),
    };
    let normalizer = Normalizer { mean: one_an_input(MEAN)?, scale: one_an_input(SCALE)? };
    let is_scale = |scale: &f32| scale.is_finite() && *scale > 0.0;
    if !normalizer.mean.iter().all(|mean| mean.is_finite())
        || !normalizer.scale.iter().all(is_scale)
    {
        return Err(format!(
            "the stored model has numbers in `{MEAN}` or `{SCALE}` that scale nothing"
        ));
    }
    let model = Model::new(Definition::of(run), sample, normalizer, &Streams::new(run.seed));
    let mut parameters = model.parameters().into_owned();
    for entry in &mut parameters.entries {
        let name = &entry.declaration.name;
        let is_right = |view: &TensorView<'_>| view.shape() == entry.declaration.shape;
        let stored = file.tensor(name).ok().filter(is_right).and_then(|_| floats(name));
        entry.values = stored
            .ok_or_else(|| format!("the stored model has no tensor `{name}` of the right shape"))?;
    }
    let model = model.with_parameters(parameters).as_asked(run);
    for (name, values) in model.state.borrow_mut().iter_mut() {
        let view = file
            .tensor(&format!("{STATE}{name}"))
            .ok()
            .filter(|view| view.dtype() == Dtype::F64 && view.data().len() == 8 * values.len())
            .ok_or_else(|| format!("the stored model has no state `{name}` of the right size"))?;
        let stored = view.data().chunks_exact(8).filter_map(|bytes| bytes.try_into().ok());
        *values = stored.map(f64::from_le_bytes).collect();
    }
    Ok(model)
}

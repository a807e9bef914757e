//! Peak: `test_peak`, the mean over test samples of the largest value of the code.

use framework::linkme::distributed_slice;
use framework::plugin::{
    Best, EVALUATIONS, EvaluatedBatch, Evaluation, Finding, Measure, Measured, Plugin, Subject,
    Title, When, Within,
};
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Peak {
    /// End the process instead: what a bug may do to it.
    #[serde(default)]
    abort: bool,
    /// Find the same under this name too, which is known at run time only.
    named: Option<String>,
}

#[distributed_slice(EVALUATIONS)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Evaluation> = Plugin {
    name: "peak",
    about: "the largest value of a sample's code, as a mean over test samples",
    example: "",
    build: |settings| Ok(Box::new(settings.read::<Peak>()?)),
    schema: schema_of::<Peak>,
};

impl Evaluation for Peak {
    fn when(&self) -> When {
        When::EveryPoint
    }

    fn metrics(&self) -> &[Finding] {
        &[("test_peak", None)]
    }

    fn title(&self, column: &str, _: &str) -> Option<Title> {
        let long = "greatest value of a code, mean over samples";
        (column == "test_peak").then(|| Title::new("peak", long))
    }

    fn start(&self, _: &Subject<'_>) -> Result<Box<dyn Measure>, String> {
        if self.abort {
            std::process::abort();
        }
        Ok(Box::new(Peaks { named: self.named.clone(), ..Peaks::default() }))
    }
}

#[derive(Default)]
struct Peaks {
    sum: f64,
    samples: usize,
    named: Option<String>,
}

impl Measure for Peaks {
    fn batch(&mut self, subject: &Subject<'_>, batch: &EvaluatedBatch<'_>) {
        for code in batch.code.to_dense().chunks_exact(subject.latents) {
            self.sum += f64::from(code.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            self.samples += 1;
        }
    }

    fn finish(self: Box<Self>, _: &Subject<'_>) -> Result<Measured, String> {
        let mut measured = Measured::default();
        let peak = self.sum / self.samples as f64;
        measured.metric("test_peak", peak);
        if let Some(name) = self.named {
            measured.metric(name.as_str(), peak);
            measured.declare(name, Some(Best::Highest), Within::Data);
        }
        Ok(measured)
    }
}

//! Nudge: how far codes move when samples are moved a little. Samples are drawn from the training part with
//! the evaluation's own random stream, moved by a corruption of its own settings, and encoded again.

use std::sync::Arc;

use framework::linkme::distributed_slice;
use framework::plugin::{
    Best, Built, CORRUPTIONS, Corruption, Data, EVALUATIONS, EvaluatedBatch, Evaluation,
    ExhibitColumn, Finding, Measure, Measured, Pixels, Plugin, SampleFacts, Split, Spread, Subject,
    Title, Unfit, When, Within,
};
use framework::rand::RngExt;
use framework::spec::{NestedPlugin, schema_of};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Moves samples a little and looks how far their codes move.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NudgeSettings {
    /// Number of samples that are moved.
    #[serde(default = "ten")]
    samples: usize,
    /// How they are moved.
    corruption: NestedPlugin,
}

fn ten() -> usize {
    10
}

#[distributed_slice(EVALUATIONS)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Evaluation> = Plugin {
    name: "nudge",
    about: "how far codes move when samples are moved a little",
    example: "corruption = { kind = \"salt\", rate = 0.3 }",
    build: |settings| {
        let NudgeSettings { samples, .. } = settings.read()?;
        let corruption = settings.nested("corruption", "corruption", &CORRUPTIONS)?;
        Ok(Box::new(Nudge { samples, corruption: corruption.map(Arc::new) }))
    },
    schema: schema_of::<NudgeSettings>,
};

struct Nudge {
    samples: usize,
    corruption: Option<Arc<Built<dyn Corruption>>>,
}

impl Evaluation for Nudge {
    fn when(&self) -> When {
        When::EveryPoint
    }

    fn metrics(&self) -> &[Finding] {
        &[("test_nudge_distance", None), ("test_error", Some(Best::Lowest))]
    }

    fn within(&self, _: &str) -> Within {
        Within::Data
    }

    fn title(&self, column: &str, _: &str) -> Option<Title> {
        Some(match column {
            "test_nudge_distance" => Title::new("nudge", "distance that a nudge moves codes"),
            "test_error" => Title::new("nudged error", "error of nudged samples"),
            _ => return None,
        })
    }

    fn splits(&self) -> &[Split] {
        &[]
    }

    fn fits(&self, data: &dyn Data) -> Result<(), Unfit> {
        let fits = self.corruption.iter().try_for_each(|built| built.plugin.fits(&data.shape()));
        fits.map_err(|Unfit { message, .. }| Unfit::new("corruption", message))
    }

    fn start(&self, subject: &Subject<'_>) -> Result<Box<dyn Measure>, String> {
        let training = subject.once("training", || Training::of(subject))?;
        let corruption = self.corruption.clone();
        Ok(Box::new(Nudging { samples: self.samples, corruption, training }))
    }
}

/// What is known of the training part.
struct Training {
    spread: Spread,
    range: (f32, f32),
}

impl Training {
    fn of(subject: &Subject<'_>) -> Result<Self, String> {
        let all = 0..subject.data.rows(Split::Train);
        let values = subject.samples(Split::Train, &all.collect::<Vec<_>>())?;
        let ends = (f32::INFINITY, f32::NEG_INFINITY);
        let range =
            values.iter().fold(ends, |(low, high), value| (low.min(*value), high.max(*value)));
        Ok(Self { spread: Spread::of(subject.data, Split::Train)?, range })
    }
}

struct Nudging {
    samples: usize,
    corruption: Option<Arc<Built<dyn Corruption>>>,
    training: Arc<Training>,
}

impl Measure for Nudging {
    fn batch(&mut self, _: &Subject<'_>, _: &EvaluatedBatch<'_>) {}

    fn finish(self: Box<Self>, subject: &Subject<'_>) -> Result<Measured, String> {
        let mut random = subject.random();
        let all = subject.data.rows(Split::Train);
        let rows: Vec<usize> = (0..self.samples).map(|_| random.random_range(0..all)).collect();
        let clean = subject.samples(Split::Train, &rows)?;
        let mut moved = clean.clone();
        if let Some(corruption) = &self.corruption {
            let facts = SampleFacts::new(subject.data.shape(), Some(self.training.range));
            corruption.plugin.corrupt(&mut moved, &facts, &mut random);
        }
        let (before, after) = (subject.model.encode(&clean), subject.model.encode(&moved));
        let (before, after) = (before.view().to_dense(), after.view().to_dense());
        let distance = |(one, other): (&[f32], &[f32])| {
            one.iter().zip(other).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
        };
        let pairs = before.chunks_exact(subject.latents).zip(after.chunks_exact(subject.latents));
        let distances: Vec<f64> = pairs.map(distance).collect();
        let x_hat = subject.model.reconstruct(&moved);
        let error: f64 =
            clean.iter().zip(&x_hat).map(|(x, x_hat)| f64::from(x_hat - x).powi(2)).sum();
        let Spread { samples, variation, .. } = self.training.spread;
        let mut measured = Measured::default();
        let count = self.samples as f64;
        measured.metric("test_nudge_distance", distances.iter().sum::<f64>() / count);
        measured.metric("test_error", error / count / (variation / samples));
        if subject.when == When::End {
            let columns = vec![
                ExhibitColumn::numbers("row", rows.iter().map(|row| *row as f64)),
                ExhibitColumn::numbers("distance", distances),
                ExhibitColumn::texts("<b>note</b>", rows.iter().map(|row| format!("row {row}"))),
            ];
            measured.table("nudge_distances", "How far the code of each sample moved.", columns);
            let caption = "Codes of the moved samples, a row a sample; black is 0, white is 1.";
            let pixels = Pixels::grey(subject.latents, &after, (0.0, 1.0));
            measured.picture("codes", caption, pixels);
        }
        Ok(measured)
    }
}

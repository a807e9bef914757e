//! What is fuzzed: each function takes the bytes of a file as somebody else may have written it, and
//! has it read as the program does. Whatever the bytes are, it returns: no panic, no hang, and no
//! more memory than the size of the file warrants; it says whether it took them for what they should
//! be. The fuzz targets call these functions, and so does the ordinary test that replays the corpus
//! (tests/all/results/corpus.rs), which includes this file.

#[cfg(target_os = "linux")]
pub mod folder;

use std::cell::OnceCell;
use std::path::PathBuf;

use framework::fit::open_data;
use framework::model::{Definition, Step};
use framework::plugin::SampleShape;
use framework::random::Streams;
use framework::spec::{Experiment, Override, RunSpec};
use framework::train::{Checkpoint, Model, Normalizer, Trainer};
use plugins as _;

/// What parses one kind of file.
pub struct Target {
    /// The name of its folder, and of its file in `fuzz_targets`.
    pub name: &'static str,
    /// Reads the bytes of a file; whether they are one of its kind.
    pub read: fn(&[u8]) -> bool,
    /// What it may have in memory at once, in bytes, from the size of the file in bytes.
    pub memory: fn(usize) -> usize,
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Every target.
pub const TARGETS: [Target; 6] = [
    Target { name: "checkpoint", read: checkpoint, memory: |size| MIB + KIB * size },
    // A grid may have a million values on its axes, however short the file is that asks for them.
    Target { name: "experiment", read: experiment, memory: |size| 256 * MIB + KIB * size },
    // gzip packs up to 1032 bytes into one, of which 64 MiB, or 100 times the file, are believed. The
    // bytes themselves lie in memory that the allocator does not give. A sample of theirs, of which there
    // are two, is looked at as numbers of four bytes.
    Target { name: "idx", read: idx, memory: |size| MIB + 2 * unpacked(size) },
    Target { name: "manifest", read: manifest, memory: |size| MIB + KIB * size },
    Target { name: "model", read: model, memory: |size| MIB + KIB * size },
    Target { name: "parquet", read: parquet, memory: tables::memory_bound },
];

/// What a gzipped file of this size may unpack to.
fn unpacked(size: usize) -> usize {
    (1032 * size).min((64 * MIB).max(100 * size))
}

/// A checkpoint of a run with 4 latents on the digits.
pub fn checkpoint(bytes: &[u8]) -> bool {
    thread_local!(static RUN: OnceCell<RunSpec> = const { OnceCell::new() });
    RUN.with(|run| {
        let run = run.get_or_init(|| only_run("kind = \"digits\""));
        let (architecture, penalty) = (&*run.architecture.value.plugin, &*run.penalty.value.plugin);
        let streams = Streams::new(run.seed);
        let model = Model::new(
            Definition::new(architecture, penalty),
            SampleShape::Image { channels: 1, height: 8, width: 8 },
            Normalizer::default(),
            &streams,
        );
        let mut trainer = Trainer::of(model.as_asked(run), &run.train.value);
        let read = Checkpoint::read(bytes);
        read.is_ok_and(|checkpoint| checkpoint.restore(&run.id, &mut trainer).is_ok())
    })
}

/// An experiment file; what follows a zero byte is an override of the command line.
pub fn experiment(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else { return false };
    let mut parts = text.split('\0');
    let file = parts.next().unwrap_or_default();
    let overrides: Vec<Override> = parts.map(|text| Override::new(text, ".")).collect();
    let read = Experiment::parse("fuzz.toml".into(), PathBuf::new(), file.into(), &overrides);
    match read.and_then(|experiment| experiment.runs()) {
        Ok(runs) => {
            let excludes = text.contains("exclude");
            assert!(!runs.is_empty() || excludes, "no axis is empty");
            true
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "what is refused is refused for a reason");
            problems.iter().for_each(|problem| drop(problem.render(false)));
            false
        }
    }
}

/// The images of an IDX dataset, plain or gzipped.
pub fn idx(bytes: &[u8]) -> bool {
    thread_local!(static RUN: OnceCell<(tempfile::NamedTempFile, RunSpec)> = const { OnceCell::new() });
    RUN.with(|run| {
        let (file, run) = run.get_or_init(|| {
            let file =
                tempfile::NamedTempFile::new().expect("there is a place for temporary files");
            let dataset = format!("kind = \"idx\"\nimages = {:?}\ntrain = 1", file.path());
            (file, only_run(&dataset))
        });
        std::fs::write(file.path(), bytes).expect("a temporary file can be written to");
        open_data(std::slice::from_ref(run)).is_ok()
    })
}

/// The manifest of a run, behind its own digest and without.
pub fn manifest(bytes: &[u8]) -> bool {
    let whole = store::Manifest::from_bytes(bytes);
    assert!(whole.is_err() || store::Manifest::brief(bytes).is_ok(), "it is the same file");
    let Ok(manifest) = serde_json::from_slice::<store::Manifest>(bytes) else {
        return false;
    };
    let written = serde_json::to_vec(&manifest).expect("a manifest has a JSON form");
    assert!(serde_json::from_slice::<store::Manifest>(&written).is_ok(), "and comes back");
    true
}

/// The model of a run with 4 latents on samples of 3 numbers.
pub fn model(bytes: &[u8]) -> bool {
    thread_local!(static RUN: OnceCell<RunSpec> = const { OnceCell::new() });
    RUN.with(|run| {
        let run = run.get_or_init(|| only_run("kind = \"digits\""));
        let Ok(model) = store::read_model(run, SampleShape::Vector(3), bytes) else { return false };
        model.forward(&[0.5; 2 * 3], Step::EVALUATE);
        true
    })
}

/// A table of results.
pub fn parquet(bytes: &[u8]) -> bool {
    let Ok(table) = tables::Table::from_parquet(bytes) else { return false };
    assert!(table.columns().iter().all(|column| column.values.len() == table.rows()));
    true
}

/// The run of an experiment with this dataset and a model of 4 latents.
fn only_run(dataset: &str) -> RunSpec {
    let text = format!(
        "name = \"fuzz\"\n[architecture]\nkind = \"dense\"\nlatents = 4\n[dataset]\n{dataset}\n"
    );
    let experiment = Experiment::parse("fuzz.toml".into(), PathBuf::new(), text, &[]);
    let runs = experiment.and_then(|experiment| experiment.runs());
    runs.unwrap_or_else(|problems| panic!("{problems:?}")).remove(0)
}

//! The JSON Schema of experiment files, which `saegrid schema` prints and editors use. `golden/mistakes` says
//! of each mistake whether the schema sees it.

use std::fs;
use std::path::{Path, PathBuf};

use boon::{Compiler, SchemaIndex, Schemas};
use framework::spec::{Experiment, experiment_schema};
use serde_json::Value as Json;

use crate::readme::blocks;
use crate::support::program::{Place, TINY};

/// Checks files by the schema, as editors do.
pub struct Validator(Schemas, SchemaIndex);

impl Validator {
    /// The schema of all linked plugins.
    pub fn new() -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("schema.json", experiment_schema()).unwrap();
        let index =
            compiler.compile("schema.json", &mut schemas).unwrap_or_else(|e| panic!("{e:#}"));
        Self(schemas, index)
    }

    /// The schema's complaint about a file; `None` if it accepts the file.
    ///
    /// # Panics
    /// If the file is no TOML.
    pub fn complaint(&self, text: &str) -> Option<String> {
        let document: Json = toml::from_str(text).unwrap();
        self.0.validate(&document, self.1).err().map(|error| format!("{error:#}"))
    }
}

/// Whether the program accepts a file.
fn valid(text: &str) -> bool {
    Experiment::parse("x.toml".into(), PathBuf::new(), text.into(), &[])
        .is_ok_and(|experiment| experiment.runs().is_ok())
}

#[test]
fn the_command_prints_the_schema() {
    let said = Place::new().run(["schema"]).exits(0).json();
    assert_eq!(said["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let rho = &said["$defs"]["penalty.kl"]["properties"]["rho"];
    assert_eq!((&rho["exclusiveMinimum"], &rho["exclusiveMaximum"]), (&0.into(), &1.into()));
    assert!(rho["description"].as_str().unwrap().contains("Target rate"));
    assert_eq!(said["$defs"]["train"]["properties"]["batch"]["default"], 128);
    assert_eq!(said["properties"]["seeds"]["default"], serde_json::json!([0]));
    let outside = Place::new().run_outside(["schema"]).exits(0).json();
    assert!(outside["$defs"]["penalty.soft-threshold"].is_object(), "a plugin from elsewhere");
}

/// Wrong if editors checked the experiments by an outdated schema.
#[test]
fn the_schema_beside_the_experiments_is_current() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/schema.json");
    let said = Place::new().run(["schema"]).exits(0);
    let current = fs::read_to_string(file).unwrap() == said.out;
    assert!(current, "write it anew: saegrid schema > experiments/schema.json");
}

#[test]
fn every_experiment_is_right_by_the_schema() {
    let validator = Validator::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts: Vec<String> = Vec::new();
    for entry in fs::read_dir(root.join("experiments")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "toml") {
            texts.push(fs::read_to_string(&path).unwrap());
        }
    }
    assert!(texts.len() >= 15, "the experiments were not found");
    let readme = blocks("toml");
    texts.push(readme[0].1.clone());
    texts.extend(readme[1..].iter().map(|(_, part)| format!("{}{part}", readme[0].1)));
    texts.push(TINY.to_owned());
    for text in texts {
        assert_eq!(validator.complaint(&text), None, "{text}");
    }
}

/// The tiny experiment with replaced lines, and more at its end.
fn changed(changes: &[(&str, &str)], more: &str) -> String {
    let change = |text: String, (from, to): &(&str, &str)| {
        assert!(text.contains(from), "the tiny experiment has no `{from}`");
        text.replace(from, to)
    };
    format!("{}{more}\n", changes.iter().fold(TINY.to_owned(), change))
}

/// Wrong if an editor marked a file that the program accepts.
#[test]
fn no_valid_file_is_refused() {
    let validator = Validator::new();
    let lambda = ("lambda = 0.1\n", "");
    let section = ("[penalty]\nkind = \"l1\"\nlambda = 0.1\n", "");
    let files = [
        // An axis gives what the section lacks.
        changed(&[lambda], "[grid]\n\"penalty.lambda\" = [0.1, 1]"),
        changed(&[lambda], "[grid]\npenalty.lambda = { log = [0.1, 1], points = 2 }"),
        changed(&[lambda], "[[grid.zip]]\npenalty.lambda = [0.1, 1]\ntrain.batch = [8, 16]"),
        changed(&[("kind = \"l1\"\n", "")], "[grid]\n\"penalty.kind\" = [\"l1\"]"),
        changed(
            &[section],
            "[grid]\npenalty = [{ kind = \"none\" }, { kind = \"k-sparse\", k = 2 }]",
        ),
        changed(
            &[section],
            "[grid]\n\"penalty.lambda\" = [0.1, 1]\n[[grid.zip]]\npenalty = [{ kind = \"l1\" }]",
        ),
        changed(
            &[("[architecture]\nkind = \"dense\"\nlatents = 16\n", "")],
            "[grid]\narchitecture = [{ kind = \"dense\", latents = 8 }]",
        ),
        changed(&[section], ""),
        changed(
            &[lambda],
            "[[grid.random]]\nsamples = 3\nseed = 1\n\"penalty.lambda\" = { log_uniform = [0.1, 1] }\n\
             train.batch = { uniform = [8, 64], step = 8 }\n\
             architecture.activation = { choice = [\"relu\", \"tanh\"] }\n\
             \"train.optimizer.lr\" = { uniform = [0.1, 0.2] }",
        ),
        changed(
            &[section],
            "[[grid.random]]\nsamples = 3\npenalty = { choice = [{ kind = \"none\" }, \
             { kind = \"k-sparse\", k = 2 }] }",
        ),
        changed(&[("[train]\nepochs = 1\n", "")], ""),
        changed(&[("name = \"tiny\"", "name = \"tiny\"\ninclude = []")], ""),
        changed(&[("epochs = 1", "steps = 7")], "[evaluate]\nevery = 3"),
        changed(&[], "optimizer = { lr = 1 }\nschedule = { kind = \"cosine\", end = 0 }"),
        changed(
            &[],
            "[grid]\n\"train.optimizer\" = [{ kind = \"adam\" }, { kind = \"sgd\", momentum = 0 }]",
        ),
        changed(&[], "[grid]\n\"train.optimizer.lr\" = { log = [0.001, 0.1], points = 3 }"),
        changed(&[], "[grid]\ntrain.optimizer.lr = [0.001, 0.1]"),
        changed(&[], "[evaluate]\nkinds = [\"sparsity\", { kind = \"probe\", c = 2 }]"),
        changed(&[], "[run]\ncheckpoint = 0\ntimeout = \"2h\"\nmemory = 5000000000\nlease = 0.5"),
        changed(
            &[],
            "[run]\nhalving = { metric = \"test_l0\", best = \"lowest\", eta = 2, first = 0.1, within = [] }",
        ),
        changed(&[("kind = \"digits\"", "kind = \"digits\"\nnormalize = \"unit-norm\"")], ""),
        changed(
            &[],
            "[[auxiliary]]\nkind = \"l1\"\nlambda = 1\n[[auxiliary]]\nkind = \"l1\"\nlambda = 2",
        ),
        changed(
            &[],
            "[[auxiliary]]\nkind = \"l1\"\n[[auxiliary]]\nkind = \"group-lasso\"\ngroup_size = 2\n\
             [grid]\n\"auxiliary.l1.lambda\" = [0.1, 1]\n\"auxiliary.group-lasso.lambda\" = [1, 2]",
        ),
        changed(
            &[],
            "[grid]\nauxiliary = [[], [{ kind = \"l1\" }, { kind = \"l1\", lambda = 1 }]]\n\
             [[grid.when]]\nif.auxiliary.l1.kind = \"l1\"\n\
             auxiliary.l1.lambda = { log = [0.1, 1], points = 2 }\n\"auxiliary.l1_2.lambda\" = [2, 3]",
        ),
        changed(
            &[],
            "[[grid.random]]\nsamples = 3\n\
             auxiliary = { choice = [[], [{ kind = \"kl\", rho = 0.1, beta = 1 }]] }",
        ),
    ];
    for text in files {
        assert!(valid(&text), "this was to be a valid file:\n{text}");
        assert_eq!(validator.complaint(&text), None, "{text}");
    }
}

/// An included file may give everything that is missing.
#[test]
fn nothing_is_missing_in_a_file_that_includes_others() {
    let validator = Validator::new();
    for part in ["", "[penalty]\nrho = 0.1", "[grid]\n\"penalty.rho\" = [0.1]"] {
        assert_eq!(validator.complaint(&format!("include = [\"base.toml\"]\n{part}")), None);
    }
}
